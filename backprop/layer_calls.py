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
from backprop.input_spec import Shape, SymbolicArray, show_shape
from backprop.layer_arrays import LayerArrays
from backprop.promises import came_back, kept

Array = np.ndarray


class LayerCalls(LayerArrays):
    """How a layer is called, by users and by the layers around it."""

    input_spec = None  # an InputSpec: what x must look like
    integer_input = False  # an Embedding's: not cast to the model's dtype
    mask_caveat = ""  # what a user of a mask must know, though the layer obeys it
    # of a layer that runs others: where their y was as promised, in training or in inference, and
    # whether their dx was
    _tried = frozenset()
    _reversed = False
    _warned = False  # of a mask

    if TYPE_CHECKING:  # what `Layer` adds
        forward: ClassVar[Callable[..., Any]]
        backward: ClassVar[Callable[..., Any]]
        compute_mask: ClassVar[Callable[..., Any]]
        obeys_mask: ClassVar[Callable[..., Any]]

    def __call__(self, inputs, training: bool = False, mask: Any = None) -> Array:
        """y for x, in inference unless told otherwise. Builds the layer on first use.

        A mask is one of booleans, or of 1 and 0: (batch, time), or what broadcasts to it.
        """
        if isinstance(inputs, LayerCalls | SymbolicArray):
            raise TypeError(
                f"{self!r} was called on a layer or its output: backprop has no functional API. "
                "Chain layers with Sequential([...]), join branches with Residual or Parallel"
            )
        x = self.cast(np.asarray(inputs))
        if not self.built:
            self.build((None, *x.shape[1:]))
        try:
            self.check_input(x.shape)
        except ValueError as error:
            if isinstance(inputs, list | tuple) and all(
                np.ndim(a) == x.ndim - 1 > 1 for a in inputs
            ):
                raise ValueError(
                    f"{self!r} was called on a list of {len(inputs)} arrays, which stands for "
                    "several inputs, and has one: join them into one array, such as "
                    "np.concatenate([a, b], axis=-1)"
                ) from error
            raise
        if mask is not None:
            mask = self.fit_mask(mask, x.shape)
            x = x if self.channels_first else masks.cleaned(x, mask)
        return self.try_out(x, Context(training, mask, backward=False))[0]

    def fit_mask(self, mask: Any, shape: Shape) -> Array:
        """A user's mask as it goes with an input of this shape."""
        if self.channels_first:
            shape = (shape[0], *shape[2:], shape[1])
        return masks.fitted(mask, shape, repr(self))

    @property
    def channels_first(self) -> bool:
        """Whether the steps or places are behind axis 1 of x, and not on it."""
        return getattr(self, "data_format", None) == "channels_first"

    def cast(self, x: Array) -> Array:
        """`x` in the layer's dtype; integers stay integers for a layer of integer input."""
        if self.integer_input:
            return x
        if x.dtype.kind not in "fiub":
            raise TypeError(f"{self!r} expected numbers and got an array of dtype {x.dtype}")
        return x.astype(self.dtype or floatx(), copy=False)

    def check_input(self, shape: Shape) -> None:
        """Raise unless the layer accepts an input of this shape (with the batch axis)."""
        spec = self.input_spec
        if spec is not None and not spec.accepts(tuple(shape)):
            raise ValueError(
                f"{self!r} expects inputs of {spec} and got "
                f"{show_shape(shape[1:])}{self.advice(tuple(shape))}"
            )

    def check_values(self, x: Array) -> None:
        """Raise unless the layer accepts these numbers; called once for all data, before a model is
        trained."""

    def advice(self, shape: Shape) -> str:
        """What to do about an input of a wrong shape, as the end of a sentence."""
        return ""

    def propagate(self, x: Array, ctx: Context) -> tuple[Array, Any, Array | None]:
        """`forward`, with the mask of what comes out."""
        if ctx.mask is not None:
            ctx = self._heed(x, ctx)
        y, cache = self.forward(x, ctx)
        return y, cache, self.compute_mask(x, ctx.mask)

    def propagate_of(self, part: Any, x: Array, ctx: Context) -> tuple[Array, Any, Array | None]:
        """`part.propagate`, for a layer that runs another one: tried out the first time."""
        if ctx.training in self._tried:
            return part.propagate(x, ctx)
        found = part.try_out(x, ctx)
        self._tried |= {ctx.training}
        return found

    def backward_of(self, part: Any, dy: Array, cache: Any, shape: Shape | None) -> Array:
        """`part.backward` for an x of this shape, of which the first dx is looked at."""
        dx = part.backward(dy, cache)
        if not self._reversed:
            came_back(part, dx, shape)
            self._reversed = True
        return dx

    def try_out(self, x: Array, ctx: Context) -> tuple[Array, Any, Array | None]:
        """`propagate`, for the first time: raise unless y is what the layer promises."""
        if type(self).propagate is not LayerCalls.propagate:
            y, cache, mask = self.propagate(x, ctx)
            return *kept(self, x, (y, cache)), mask
        if ctx.mask is not None:
            ctx = self._heed(x, ctx)
        y, cache = kept(self, x, self.forward(x, ctx))
        return y, cache, self.compute_mask(x, ctx.mask)

    def _heed(self, x: Array, ctx: Context) -> Context:
        """The context, without a mask that the layer cannot use: of which it warns once, at the
        first batch with padding."""
        assert ctx.mask is not None
        obeys = self.obeys_mask(x, ctx.mask)
        said = self.mask_caveat if obeys else UNUSED
        layer = self._origin or self
        if said and not layer._warned and not ctx.mask.all():
            layer._warned = True
            warnings.warn(
                f"{self.name}, {self!r}, was passed an input with a mask and {said}", stacklevel=2
            )
        return ctx if obeys else ctx.with_mask(None)


UNUSED = (
    "does not use it: from here on padding counts like real steps. Put a layer that ends the time "
    "axis before it, such as GlobalAveragePooling1D() or LSTM(8), or make no mask"
)
