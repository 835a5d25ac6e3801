"""What happens at the border of a layer: data are cast and checked, masks fitted, and the first y
and dx that come back are looked at."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from backprop import masks
from backprop.context import Context
from backprop.defaults import floatx
from backprop.input_spec import Shape, show_shape
from backprop.layer_arrays import LayerArrays
from backprop.nest import any_rows, as_one, as_tuple, each, several, shapes
from backprop.promises import came_back, declared_shape, kept
from backprop.spelling import nearest
from backprop.symbols import Call, Symbol

Array = np.ndarray


class LayerCalls(LayerArrays):
    """How a layer is called, by users and by the layers around it."""

    input_spec = None  # an InputSpec: what x must look like
    integer_input = False  # an Embedding's: not cast to the model's dtype
    string_input = False  # whether what is not cast may hold strings; of several inputs, of each
    output_kind = "f"  # of y: "f" numbers of the layer's dtype, "i" integers, "U" strings; of each
    call_inputs: ClassVar[tuple[str, ...]] = ("inputs",)  # what a call may give, in order
    call_options: ClassVar[tuple[str, ...]] = ()  # arguments that a call may give as well
    several_inputs = False  # whether a tuple, or a list at a call, is several inputs
    mask_caveat = ""  # what a user of a mask must know, though the layer obeys it
    # of a layer that runs others: where their y was as promised, in training or in inference, and
    # whether their dx was
    _tried = frozenset()
    _reversed = False
    _warned = False  # of a mask

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if len(cls.call_inputs) > 1:
            cls.several_inputs = True

    if TYPE_CHECKING:  # what `Layer` adds
        forward: ClassVar[Callable[..., Any]]
        backward: ClassVar[Callable[..., Any]]
        compute_mask: ClassVar[Callable[..., Any]]
        obeys_mask: ClassVar[Callable[..., Any]]

    def __call__(self, *inputs: Any, training: Any = None, mask: Any = None, **named: Any) -> Any:
        """y for x; what will be y for a symbolic x. Builds the layer on first use. A call that says
        nothing of `training` is inference, but layers that change images change them, as in Keras.

        A mask is one of booleans, or of 1 and 0: (batch, time), or what broadcasts to it. A layer
        of several inputs takes them one after the other or by their names (`call_inputs`), their
        masks by name (``value_mask=``), and returns a tuple where it has several outputs.
        """
        own, more = inputs[: len(self.call_inputs)], inputs[len(self.call_inputs) :]
        if len(more) > 2 or (more and training is not None) or (more[1:] and mask is not None):
            raise TypeError(
                f"{self!r} is called on {', '.join(self.call_inputs)}, training and mask, and got "
                f"{len(inputs)} arguments by position"
            )
        training, mask = (*more, *(training, mask)[len(more) :])
        if training is not None and not isinstance(training, bool | int | np.bool_):
            in_list = self.several_inputs and len(self.call_inputs) == 1
            raise TypeError(
                f"{self!r} is called on {', '.join(self.call_inputs)}{' in a list' * in_list}; "
                f"then comes training, True or False, and got {type(training).__name__}"
            )
        x, mask, options = self.gather(*own, mask=mask, **named)
        if symbolic(x, self):
            return self.arranged(self._connect(x, mask, training, options))
        x, given = self.cast(each(np.asarray, x)), x
        self._meet(x, given)
        layer = self.with_options(options) if options else self
        return self.arranged(layer._compute(x, None if training is None else bool(training), mask))

    def arranged(self, y: Any) -> Any:
        """y as a call returns it: several outputs are a tuple."""
        return y

    def gather(self, *inputs: Any, mask: Any = None, **named: Any) -> tuple[Any, Any, dict]:
        """What a call was given, as `(x, mask, options)`: x and its mask each one array or a tuple,
        and the arguments in `call_options`."""
        names = self.call_inputs
        given: dict[str, Any] = dict(zip(names, inputs, strict=False))
        masks, options = {}, {}
        for name, value in named.items():
            if name in names and name not in given:
                given[name] = value
            elif name in self.call_options:
                options[name] = value
            elif len(names) > 1 and name.removesuffix("_mask") in names:
                masks[name.removesuffix("_mask")] = value
            else:
                known = [*names, *self.call_options, "training", "mask"]
                raise TypeError(
                    f"{self!r} cannot be called with {name!r}{nearest(name, known)}; it takes "
                    f"{', '.join(known)}"
                )
        if given.get(names[0]) is None:
            raise TypeError(f"{self!r} is called on {names[0]}, and got none")
        x = last_given([given.get(name) for name in names])
        if masks:
            mask = tuple([masks.get(name) for name in names[: len(x)]])
        x = x if len(x) > 1 else x[0]
        if self.several_inputs and isinstance(x, list | tuple):
            x = tuple(x)
            mask = tuple(mask) if isinstance(mask, list) else mask
        return x, mask, options

    def with_options(self, options: dict[str, Any]) -> Any:
        """This layer with other arguments, for one call: its values are shared."""
        twin = self.replica()
        twin.__dict__["fixed"] = ()  # whoever made this layer does not speak for the twin
        for name, value in options.items():
            setattr(twin, name, value)
        return twin

    def _compute(self, x: Any, training: bool | None, mask: Any) -> Any:
        """y for arrays of the layer's dtype, and a mask as a user gives it."""
        if mask is not None:
            x, mask = self._masked(x, mask)
        return self.try_out(x, Context(training, mask, backward=False))[0]

    def _meet(self, x: Any, given: Any) -> None:
        """Build the layer for these arrays, or raise unless it accepts them."""
        found = shapes(x)
        if not self.built:
            self.build(any_rows(found))
        try:
            self.check_input(found)
        except ValueError as error:
            if (
                isinstance(given, list)
                and type(x) is not tuple
                and all(np.ndim(a) == x.ndim - 1 > 1 for a in given)
            ):
                raise ValueError(
                    f"{self!r} was called on a list of {len(given)} arrays, which stands for "
                    "several inputs, and has one: join them into one array, such as "
                    "np.concatenate([a, b], axis=-1)"
                ) from error
            raise

    def _masked(self, x: Any, mask: Any) -> tuple[Any, Any]:
        """x without what is not finite at masked steps, and the mask as it fits x."""
        if type(x) is not tuple:
            mask = self.fit_mask(mask, x.shape)
            return x if self.channels_first else masks.cleaned(x, mask), mask
        if not isinstance(mask, tuple) or len(mask) > len(x):
            raise TypeError(
                f"{self!r} has {len(x)} inputs here, so its mask is a tuple with a mask or None "
                f"for each, got {type(mask).__name__}"
            )
        mask = (*mask, *[None] * (len(x) - len(mask)))
        pairs = [
            (a, m)
            if m is None or a is None
            else (masks.cleaned(a, f := self.fit_mask(m, a.shape)), f)
            for a, m in zip(x, mask, strict=True)
        ]
        return tuple(a for a, _ in pairs), tuple(m for _, m in pairs)

    def _connect(self, x: Any, mask: Any, training: Any, options: dict[str, Any]) -> Any:
        """What will be y for symbolic arrays."""
        if mask is not None:
            raise TypeError(
                f"{self!r} was given a mask on a symbolic call: masks go from layer to layer by "
                "themselves, from an Embedding with mask_zero=True, from Masking, or from the mask "
                "that the model is called with"
            )
        if isinstance(x, list | tuple) and not self.several_inputs:
            if len(x) > 1:
                raise self._one_input(len(x))
            x = as_one(x)
        self.take_strings([s is not None and s.dtype.kind == "U" for s in as_tuple(x)])
        for name, value in options.items():
            self._settle(name, value)
        shape = each(lambda symbol: symbol.shape, x)
        before = [s.dtype for s in as_tuple(x) if s is not None and s.call.reads]
        self.adopt_dtype(next((d for d in before if d.kind == "f"), np.dtype(floatx())))
        self.build(shape)  # or, of a layer that is built, look whether it takes this shape
        self.take_seeds()
        call = Call(self, x, None if training is None else bool(training))
        kinds = {"f": self.dtype or floatx(), "i": np.int64, "U": np.str_}
        y = call.gives(declared_shape(self, shape), each(kinds.__getitem__, self.output_kind))
        self.__dict__["_drawn"] = (*self._drawn, y)
        return y

    def take_strings(self, found: list[bool]) -> None:
        """Raise where an input is found to hold strings and the layer takes none there."""
        takes = self.string_input
        takes = takes if type(takes) is tuple else (takes,) * len(found)
        if any(is_there and not taken for is_there, taken in zip(found, takes, strict=False)):
            raise TypeError(
                f"{self!r} computes with numbers and would get strings: put a layer between them "
                "that makes numbers of these, such as TextVectorization, StringLookup or Hashing"
            )

    def _settle(self, name: str, value: Any) -> None:
        """Take an argument from a symbolic call: it is the layer's from now on."""
        if value == getattr(self, name):
            return
        if self._drawn:
            raise ValueError(
                f"{self!r} was called with {name}={getattr(self, name)!r} before and now with "
                f"{value!r}: make two layers of it"
            )
        self.__dict__[name] = self._arguments[name] = value

    def fit_mask(self, mask: Any, shape: Shape) -> Array:
        """A user's mask as it goes with an input of this shape."""
        if self.channels_first:
            shape = (shape[0], *shape[2:], shape[1])
        return masks.fitted(mask, shape, repr(self))

    @property
    def channels_first(self) -> bool:
        """Whether the steps or places are behind axis 1 of x, and not on it."""
        return getattr(self, "data_format", None) == "channels_first"

    def cast(self, x: Any) -> Any:
        """`x` in the layer's dtype; integers stay integers for an input that takes them."""
        if type(x) is not tuple:
            return x if self.integer_input else self.as_float(x)
        kept = self.integer_input
        flags = kept if isinstance(kept, tuple) else (kept,) * len(x)
        return tuple(
            [
                a if a is None or kept else self.as_float(a)
                for a, kept in zip(x, flags[: len(x)], strict=True)
            ]
        )

    def as_float(self, x: Array) -> Array:
        if x.dtype.kind not in "fiub":
            raise TypeError(f"{self!r} expected numbers and got an array of dtype {x.dtype}")
        return x.astype(self.dtype or floatx(), copy=False)

    def check_input(self, shape: Shape) -> None:
        """Raise unless the layer accepts an input of this shape (with the batch axis), or inputs of
        these."""
        if several(shape) and not self.several_inputs:
            raise self._one_input(len(shape))
        spec = self.input_spec
        if isinstance(spec, tuple | list):
            for i, (one, given) in enumerate(zip(spec, as_tuple(shape), strict=False)):
                if given is not None and not one.accepts(tuple(given)):
                    raise ValueError(
                        f"{self!r} expects {one} of {self.input_name(i)} and got "
                        f"{show_shape(given[1:])}"
                    )
        elif spec is not None and not several(shape) and not spec.accepts(tuple(shape)):
            raise ValueError(
                f"{self!r} expects inputs of {spec} and got "
                f"{show_shape(shape[1:])}{self.advice(tuple(shape))}"
            )

    def _one_input(self, count: int) -> ValueError:
        return ValueError(
            f"{self!r} has one input and got {count}: join them by a layer first, such as "
            "Concatenate() or Add()"
        )

    def input_name(self, i: int) -> str:
        """What one of several inputs is called in a message."""
        return self.call_inputs[i] if 1 < len(self.call_inputs) > i else f"input {i}"

    def check_values(self, x: Array) -> None:
        """Raise unless the layer accepts these numbers; called once for all data, before a model is
        trained."""

    def advice(self, shape: Shape) -> str:
        """What to do about an input of a wrong shape, as the end of a sentence."""
        return ""

    def propagate(self, x: Any, ctx: Context) -> tuple[Any, Any, Any]:
        """`forward`, with the mask of what comes out."""
        if ctx.mask is not None:
            ctx = self._heed(x, ctx)
        y, cache = self.forward(x, ctx)
        return y, cache, self.compute_mask(x, ctx.mask)

    def propagate_of(self, part: Any, x: Any, ctx: Context) -> tuple[Any, Any, Any]:
        """`part.propagate`, for a layer that runs another one: tried out the first time."""
        if ctx.training in self._tried:
            return part.propagate(x, ctx)
        found = part.try_out(x, ctx)
        self._tried |= {ctx.training}
        return found

    def backward_of(self, part: Any, dy: Any, cache: Any, shape: Any) -> Any:
        """`part.backward` for an x of this shape, of which the first dx is looked at."""
        dx = part.backward(dy, cache)
        if not self._reversed:
            came_back(part, dx, shape)
            self._reversed = True
        return dx

    def try_out(self, x: Any, ctx: Context) -> tuple[Any, Any, Any]:
        """`propagate`, for the first time: raise unless y is what the layer promises."""
        if type(self).propagate is not LayerCalls.propagate:
            y, cache, mask = self.propagate(x, ctx)
            return *kept(self, x, (y, cache)), mask
        if ctx.mask is not None:
            ctx = self._heed(x, ctx)
        y, cache = kept(self, x, self.forward(x, ctx))
        return y, cache, self.compute_mask(x, ctx.mask)

    def _heed(self, x: Any, ctx: Context) -> Context:
        """The context, without a mask that the layer cannot use: of which it warns once, at the
        first batch with padding."""
        assert ctx.mask is not None
        obeys = self.obeys_mask(x, ctx.mask)
        said = self.mask_caveat if obeys else UNUSED
        layer = self._origin or self
        if (
            said
            and not layer._warned
            and any(m is not None and not m.all() for m in as_tuple(ctx.mask))
        ):
            layer._warned = True
            warnings.warn(
                f"{self.name}, {self!r}, was passed an input with a mask and {said}", stacklevel=2
            )
        return ctx if obeys else ctx.with_mask(None)


def symbolic(x: Any, layer: Any) -> bool:
    """Whether a layer is called on symbolic arrays; raises where they are mixed with others."""
    if isinstance(x, Symbol):
        return True
    if not isinstance(x, list | tuple):
        return False
    found = [isinstance(item, Symbol) for item in x if item is not None]
    if any(found) and not all(found):
        raise TypeError(
            f"{layer!r} was called on symbolic arrays and others together: an array that changes "
            "is an Input, and one that is always the same belongs into a layer of your own, or is "
            "added or multiplied as in x + array"
        )
    return any(found)


def last_given(inputs: list) -> list:
    """Without what is None at the end."""
    while inputs[-1] is None:
        inputs = inputs[:-1]
    return inputs


UNUSED = (
    "does not use it: from here on padding counts like real steps. Put a layer that ends the time "
    "axis before it, such as GlobalAveragePooling1D() or LSTM(8), or make no mask"
)
