"""The whole contract of a layer.

The author of a layer writes `forward` and `backward`, and `build` where there are parameters:

    class Scale(Layer):
        def build(self, input_shape):
            self.gamma, self.dgamma = self.param("gamma", input_shape[-1:], "ones")

        def forward(self, x, ctx=INFERENCE):
            return self.gamma * x, x

        def backward(self, dy, x):
            self.dgamma = sum_rows(dy * x)
            return self.gamma * dy

Everything else (weights, configuration, repr, copies, names, checks at the border) is here and is
written once. The rules that keep layers free to be shared, repeated and run side by side:

* `forward` returns what `backward` will need; nothing about one call is kept on the layer.
* `backward` sets every gradient, it never adds. Assigning to a parameter or gradient copies into
  the model's vector.
* Write only into arrays made in this call: not into `x`, `dy`, the cache, or anything already
  returned.
* Training behaviour comes from `ctx`, randomness from `self.rng`.
"""

from __future__ import annotations

import copy
import functools
import math
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backprop import constraints, initializers, masks, random, regularizers
from backprop.absent import explain_attribute
from backprop.config import Configurable, signature_of, snake_case
from backprop.defaults import float_dtype, floatx
from backprop.input_spec import (
    Described,
    InputSpec,
    Shape,
    SymbolicArray,
    described,
    show_shape,
)
from backprop.parameters import Parameter, State, spend
from backprop.promises import came_back, check_methods, kept

Array = np.ndarray


@dataclass(frozen=True)
class Context:
    """What a forward pass must know besides its input.

    Attributes
    ----------
    training : bool
        Dropout drops and batch normalization takes the batch's statistics.
    mask : array_like of bool, (batch, time), optional
        True at a real step, False at padding; 1 and 0 will do. It may have more axes, of steps
        within steps, or that of the batch alone, and becomes an array of booleans here.
    backward : bool
        Whether a backward pass may follow. Where not, containers drop each cache at once.
    penalties : list, optional
        Where layers put penalties on their activity; the trainer adds them to the loss.
    """

    training: bool = False
    mask: Array | None = None
    backward: bool = True
    penalties: list | None = None

    def __post_init__(self):
        if self.mask is not None:
            object.__setattr__(self, "mask", masks.flags(self.mask, "Context"))

    def with_mask(self, mask: Array | None) -> Context:
        return self if mask is self.mask else replace(self, mask=mask)


INFERENCE = Context()
TRAINING = Context(training=True)
PREDICT = Context(backward=False)


class Layer(Configurable):
    """A function with parameters and a hand-derived derivative; see the module's docstring for how
    to write one.

    Parameters
    ----------
    activity_regularizer : str or Regularizer, optional
        Penalty on the layer's output, divided by the batch's size. Containers apply it.
    trainable : bool, default True
        Whether an optimizer may change the parameters.
    dtype : str, optional
        Of the parameters and of what the layer computes in. Default: the model's; outside a
        model, `config.floatx`.
    name : str, optional
        Default: the class' name in snake case, made unique by the model.
    input_shape : tuple, optional
        Shape of one sample, where the layer is the first of a model and there is no `Input`.
    input_dim : int, optional
        Short for ``input_shape=(input_dim,)``.
    """

    integer_input = False  # an Embedding's: not cast to the model's dtype
    divides_batches = False  # whether it has threads of its own work on parts of a batch
    sparse_input = False  # whether x may be a SciPy CSR matrix; a model makes others dense
    changes_mask = False  # whether compute_mask is overridden
    time_local = False  # whether y at a time step is that of x at this step alone, in inference
    mask_caveat = ""  # what a user of a mask must know, though the layer obeys it
    input_spec: InputSpec | None = None
    dtype: np.dtype | None = None
    fixed_rows: int | None = None  # how many rows every batch must have; None for any number
    built = False
    activity_regularizer: Any = None
    build_shape: Shape | None = None
    declared_shape: Shape | None = None
    calls_checked = True  # whether forward and backward are called as those of a layer are
    # of a layer that runs others: where their y was as promised, in training or in inference, and
    # whether their dx was
    _tried: frozenset[bool] = frozenset()
    _reversed = False
    has_identity = True
    # containers, optimizers and the layers around it have taken note of these
    fixed = ("activity_regularizer", "input_shape", "input_dim")
    _origin: Layer | None = None  # a replica's: the layer that it stands for
    _warned = False  # of a mask

    def __new__(cls, *args, **kwargs):
        if cls.forward is Layer.forward and hasattr(cls, "call"):
            raise TypeError(
                f"{cls.__name__} is written for Keras' automatic differentiation (call); here a "
                "layer derives its own: rename call to forward(self, x, ctx) and return (y, "
                "cache), write backward(self, dy, cache) that returns dx, and replace add_weight "
                "by self.param. See docs/write_a_layer.md"
            )
        if cls.calls_checked:
            check_methods(cls)
        self = super().__new__(cls, *args, **kwargs)
        # here and not in __init__, so that a subclass may leave super().__init__() out
        self.__dict__ |= {
            "_parameters": {},
            "_arrays": {},
            "_trainable": True,
            "_name": None,
            "_rng": None,
        }
        return self

    def __init__(
        self,
        *,
        activity_regularizer=None,
        trainable: bool = True,
        dtype=None,
        name: str | None = None,
        input_shape: tuple[int | None, ...] | None = None,
        input_dim: int | None = None,
    ):
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.trainable = trainable
        self.dtype = None if dtype is None else float_dtype(dtype)
        self._name = name
        if isinstance(input_shape, int):  # (784) for (784,)
            input_dim = input_shape
        if input_dim is not None:
            input_shape = (input_dim,)
        self.declared_shape = None if input_shape is None else (None, *input_shape)

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "build" in cls.__dict__:
            cls.build = once(cls.build)
        cls.changes_mask = cls.compute_mask is not Layer.compute_mask

    # ---------------------------------------------------------- what the author of a layer writes

    def build(self, input_shape: Shape) -> None:
        """Make the parameters. `input_shape` has the batch axis, as None: ``(None, 784)``."""
        self.built, self.build_shape = True, tuple(input_shape)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Shape of `y` for a shape of `x`, both with the batch axis. Default: the same."""
        return tuple(input_shape)

    def forward(self, x: Array, /, ctx: Context = INFERENCE) -> tuple[Array, Any]:
        """`x` → `(y, cache)`: the result, and what `backward` will need."""
        raise TypeError(
            f"{type(self).__name__} has no forward(self, x, ctx): write one that returns (y, cache)"
        )

    def backward(self, dy: Array, cache: Any, /) -> Array:
        """dL/dy → dL/dx; sets the gradient of every parameter."""
        raise TypeError(
            f"{type(self).__name__} has no backward(self, dy, cache): write one that returns dx"
        )

    def backward_params(self, dy: Array, cache: Any, /) -> None:
        """Set the gradients alone; for a model's first layer, whose dx nobody needs."""
        self.backward(dy, cache)

    def compute_mask(self, x: Array, mask: Array | None, /) -> Array | None:
        """The mask of `y`. Default: that of `x`."""
        return mask

    def obeys_mask(self, x: Array, mask: Array, /) -> bool:
        """Whether this mask is kept to: what stands at masked steps of `x` moves no real step of
        `y`. Where not, the mask ends at this layer, which says so once.

        Default: yes, as it is where every step goes through the layer by itself.
        """
        return True

    def step(self, x: Array, memory: Any, /) -> tuple[Array, Any]:
        """`x`, further time steps of a sequence → `(y, memory)`, in inference.

        `memory` is what an earlier `step` of the same sequence returned, None at its beginning; it
        is not changed, so that a sequence can be continued in two ways.
        """
        if not self.time_local:
            raise TypeError(f"{self!r} cannot go step by step: run the whole sequence by forward")
        return self.forward(x, PREDICT)[0], None

    @property
    def can_step(self) -> bool:
        """Whether y of a whole sequence is that of one `step` after the other."""
        return self.time_local

    @property
    def ends_in_softmax(self) -> bool:
        """Whether y is a softmax along its last axis and `backward_logits` can start before it."""
        return False

    def backward_logits(self, dz: Array, cache: Any, /, *, dx: bool = True) -> Any:
        """`backward` from dL/dz, where y = softmax(z); without dL/dx where `dx` is False."""
        raise TypeError(f"{type(self).__name__} does not end in a softmax")

    # ------------------------------------------------------------------------- what the author uses

    def param(
        self,
        name: str,
        shape: Iterable[int | None],
        initializer: Any = "glorot_uniform",
        *,
        regularizer=None,
        constraint=None,
    ) -> tuple[Array, Array]:
        """Make a trainable array; to be called in `build`.

        Parameters
        ----------
        name : str
            Unlike every other array of the layer.
        shape : tuple of int
        initializer : str or Initializer
        regularizer, constraint : str or object, optional

        Returns
        -------
        value, gradient : ndarray
            Assign them to attributes: ``self.kernel, self.dkernel = self.param("kernel", (3, 4))``.
            From then on an assignment to either attribute copies into the array, and its shape must
            be exactly the array's.
        """
        value = self._fresh(name, shape, initializer)
        gradient = np.zeros_like(value)
        self._parameters[name] = Parameter(
            self, name, value, gradient, regularizers.get(regularizer), constraints.get(constraint)
        )
        return value, gradient

    def buffer(self, name: str, shape: Iterable[int | None], fill: Any = 0.0) -> Array:
        """Make a weight that is saved with the model and never trained; `fill` is a number or an
        initializer."""
        if isinstance(fill, int | float):
            fill = initializers.Constant(fill)
        value = self._fresh(name, shape, fill)
        self._parameters[name] = Parameter(self, name, value, None)
        return value

    def state(self, name: str, shape: Iterable[int | None], fill: float = 0.0) -> Array:
        """Make an array that is carried from one call to the next; to be called in `build`.

        It is part of a run, and so of its checkpoints, but no weight: not counted, not saved with
        the model, and of any size without a model of other batches having other weights.

        Parameters
        ----------
        name : str
            Unlike every other array of the layer.
        shape : tuple of int
        fill : float, default 0
            What it holds at first, and after `reset_state`.

        Returns
        -------
        ndarray
            Assign it to an attribute: ``self.carry = self.state("carry", (8, 3))``. From then on an
            assignment to the attribute copies into the array.
        """
        value = np.zeros(self._declare(name, shape), self.dtype or np.float32)
        self._parameters[name] = found = State(self, name, value, fill)
        if fill:  # memory that is never written to costs nothing, however much a file declares
            found.reset()
        return value

    def reset_state(self) -> None:
        """Fill the states of this layer, and of those in it, anew: forget what came before."""
        for state in self.states_kept():
            state.reset()

    def reset_states(self) -> None:
        """Another name of `reset_state`."""
        self.reset_state()

    def _declare(self, name: str, shape: Iterable[int | None]) -> tuple[int, ...]:
        """The shape of a new array, checked."""
        if name in self._parameters:
            raise ValueError(f"{self!r} already has an array named {name!r}")
        shape = tuple(shape)
        if any(n is None for n in shape):
            raise ValueError(
                f"{self!r} cannot size {name!r} {shape}: the input's shape must be known there"
            )
        return shape  # type: ignore[return-value] - no None is in it

    def _fresh(self, name: str, shape: Iterable[int | None], initializer) -> Array:
        shape = self._declare(name, shape)
        spend(math.prod(shape), f"{self!r} declares {name!r}")
        dtype = self.dtype or floatx()
        value = initializers.get(initializer)(shape, dtype=dtype, rng=self.rng)
        value = np.asarray(value, dtype=dtype, order="C")  # 0-d stays 0-d
        if value.shape != shape:
            raise ValueError(
                f"{initializer!r} made an array of shape {value.shape} for {name!r} {shape}"
            )
        return value

    @property
    def rng(self) -> np.random.Generator:
        """The layer's own generator: a draw here moves no other layer's."""
        if self._rng is None:
            self._rng = random.generator(getattr(self, "seed", None))
        return self._rng

    def take_seeds(self) -> None:
        """Seed this layer and those in it now, so that the order of building decides and not that
        of first draws."""
        for layer in self.walk():
            _ = layer.rng

    def real_steps(self, x: Array, mask: Array) -> Array:
        """The mask of the steps of x: (N, T, ...), as (N, T); that of whole rows is that of all
        their steps."""
        if mask.shape == x.shape[:1]:
            mask = np.broadcast_to(mask[:, None], x.shape[:2])
        if mask.shape != x.shape[:2]:
            raise ValueError(
                f"{self!r} expects a mask of shape {x.shape[:2]}, batch and time, got {mask.shape}"
            )
        return mask

    # --------------------------------------------------------------------------- what everyone gets

    def __call__(self, inputs, training: bool = False, mask: Any = None) -> Array:
        """y for x, in inference unless told otherwise. Builds the layer on first use.

        A mask is one of booleans, or of 1 and 0: (batch, time), or what broadcasts to it.
        """
        if isinstance(inputs, Layer | SymbolicArray):
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
        return self.__dict__.get("data_format") == "channels_first"

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

    def propagate_of(self, part: Layer, x: Array, ctx: Context) -> tuple[Array, Any, Array | None]:
        """`part.propagate`, for a layer that runs another one: tried out the first time."""
        if ctx.training in self._tried:
            return part.propagate(x, ctx)
        found = part.try_out(x, ctx)
        self._tried |= {ctx.training}
        return found

    def backward_of(self, part: Layer, dy: Array, cache: Any, shape: Shape | None) -> Array:
        """`part.backward` for an x of this shape, of which the first dx is looked at."""
        dx = part.backward(dy, cache)
        if not self._reversed:
            came_back(part, dx, shape)
            self._reversed = True
        return dx

    def try_out(self, x: Array, ctx: Context) -> tuple[Array, Any, Array | None]:
        """`propagate`, for the first time: raise unless y is what the layer promises."""
        if type(self).propagate is not Layer.propagate:
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

    @property
    def name(self) -> str:
        return self._name or snake_case(type(self).__name__)

    @name.setter
    def name(self, name: str) -> None:
        self._name = self._arguments["name"] = name

    @property
    def trainable(self) -> bool:
        return self._trainable if self._origin is None else self._origin.trainable

    @trainable.setter
    def trainable(self, trainable: bool) -> None:
        self._trainable = bool(trainable)
        for layer in self.sublayers():
            layer.trainable = trainable

    def sublayers(self) -> list[Layer]:
        """The layers that this one is made of: its attributes, and lists of them."""
        found: list[Layer] = []
        for name, value in self.__dict__.items():
            if isinstance(value, HOLDERS) and name[0] != "_":
                found += layers_in(value)
        return unique(found)

    def walk(self) -> Iterator[Layer]:
        """This layer and all layers in it, each once, in order."""
        return iter(unique(self._descend()))

    def _descend(self) -> Iterator[Layer]:
        yield self
        for layer in self.sublayers():
            yield from layer._descend()

    def arrays(self) -> list[Parameter]:
        """The weights, parameters and buffers, of this layer and the layers in it, in Keras'
        order."""
        return [p for layer in self.walk() for p in layer.own_arrays()]

    def own_arrays(self) -> list[Parameter]:
        """The weights of this layer alone, parameters first."""
        found = sorted(self._parameters.values(), key=is_buffer)
        return [p for p in found if not isinstance(p, State)]

    def states_kept(self) -> list[State]:
        """What this layer and the layers in it carry from one call to the next."""
        return [
            p for layer in self.walk() for p in layer._parameters.values() if isinstance(p, State)
        ]

    @property
    def weights(self) -> list[Array]:
        """Parameters and buffers, each a `Variable`; those that are trained first in each layer."""
        return [p.variable for p in self.arrays()]

    variables = weights

    @property
    def trainable_weights(self) -> list[Array]:
        return [p.variable for p in self.arrays() if p.trainable]

    @property
    def non_trainable_weights(self) -> list[Array]:
        return [p.variable for p in self.arrays() if not p.trainable]

    trainable_variables, non_trainable_variables = trainable_weights, non_trainable_weights

    def get_weights(self) -> list[Array]:
        """Copies of all weights."""
        return [w.copy() for w in self.weights]

    def set_weights(self, weights: Iterable[Array]) -> None:
        """Set all weights; nothing changes unless every one of them fits."""
        arrays, weights = self.arrays(), [np.asarray(w) for w in weights]
        if len(weights) != len(arrays):
            state = "" if self.built else "; it is not built yet: build it, or call it on data"
            raise ValueError(f"{self!r} has {len(arrays)} weights and got {len(weights)}{state}")
        for p, w in zip(arrays, weights, strict=True):
            if w.shape != p.shape:
                raise ValueError(f"{p.path} has shape {p.shape} and got {w.shape}")
        for p, w in zip(arrays, weights, strict=True):
            p.value[...] = w

    @described
    def input_shape(self) -> Shape:
        """Shape of the input that the layer was built for, with the batch axis."""
        if self.build_shape is None:
            raise AttributeError("input_shape")  # __getattr__ says what to do
        return self.build_shape

    @described
    def output_shape(self) -> Shape:
        """Shape of `y` for `input_shape`."""
        return tuple(self.compute_output_shape(self.input_shape))

    @described
    def input(self) -> SymbolicArray:
        """Shape and dtype of what goes in, once the layer is built."""
        dtype = np.int64 if self.integer_input else self.dtype or floatx()
        return SymbolicArray(self.input_shape, np.dtype(dtype), self.name)

    @described
    def output(self) -> SymbolicArray:
        """Shape and dtype of what comes out, once the layer is built."""
        return SymbolicArray(self.output_shape, np.dtype(self.dtype or floatx()), self.name)

    @property
    def compute_dtype(self) -> str:
        """The name of the dtype that the layer computes in and keeps its weights in."""
        return np.dtype(self.dtype or floatx()).name

    variable_dtype = compute_dtype

    def count_params(self) -> int:
        """Number of scalars in all weights."""
        if not self.built:
            raise ValueError(
                f"{self!r} has no weights yet: call it on data or build(input_shape) first"
            )
        return sum(p.size for p in self.arrays())

    @property
    def losses(self) -> list[float]:
        """The penalties on the layer's weights."""
        return [p.regularizer(p.value) for p in self.arrays() if p.regularizer is not None]

    @property
    def penalises(self) -> bool:
        """Whether the layer adds to the loss by its activity."""
        return self.activity_regularizer is not None

    def add_weight(self, *args, **kwargs):
        """Not here: a layer of this library has hand-derived gradients, see `param`."""
        raise TypeError(
            "add_weight belongs to Keras' automatic differentiation; write self.kernel, "
            "self.dkernel = self.param('kernel', shape, initializer), and a backward that sets "
            "self.dkernel"
        )

    # ------------------------------------------------------------ configuration

    def add_loss(self, *args, **kwargs):
        """Not here: a penalty needs a derivative."""
        raise TypeError(
            "add_loss belongs to Keras' automatic differentiation; give layers an "
            "activity_regularizer or a kernel_regularizer, or write a Loss"
        )

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if not self.trainable:
            config["trainable"] = False
        return config

    def get_build_config(self) -> dict[str, Any] | None:
        """What `build_from_config` builds the layer with; None before it is built."""
        return None if self.build_shape is None else {"input_shape": self.build_shape}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build for the shape that `get_build_config` gave."""
        self.build(tuple(config["input_shape"]))

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Build a layer from what `get_config` returned."""
        if "trainable" in config and "trainable" not in signature_of(cls)[0]:
            config = dict(config)
            trainable = config.pop("trainable")
            layer = super().from_config(config, custom_objects)
            layer.trainable = trainable
            return layer
        return super().from_config(config, custom_objects)

    def _argument(self, name: str, value: Any) -> Any:
        if name in ("name", "trainable"):
            return getattr(self, name)
        return super()._argument(name, value)

    @property
    def _settled(self) -> bool:
        return self.built

    def speak_for(self, part: Layer, but: tuple[str, ...] = ()) -> None:
        """Keep the arguments of a layer that this one has made as they are, as it is this one's
        configuration that says them."""
        spoken = [n for n in signature_of(type(part))[0] if n not in (*but, "dtype")]
        part.__dict__["fixed"] = tuple(spoken)

    def _change(self, name: str, value: Any) -> None:
        if name == "dtype" and not self._fixes(name):
            value = None if value is None else float_dtype(value)
            if any(p.value.dtype != value for p in self.arrays()):
                raise AttributeError(
                    f"{self!r} has weights of {self.dtype}, so its dtype cannot be changed in "
                    f"place: {self.name}.astype({str(value)!r}) is a copy in the other one"
                )
            self.__dict__["dtype"] = value
            self._arguments["dtype"] = None if value is None else value.name
        else:
            super()._change(name, value)

    def _take_over(self, name: str, value: Any) -> None:
        if not self._settled:
            return super()._take_over(name, value)
        before, shape = dict(self.__dict__), self.build_shape
        y = None if shape is None else tuple(self.compute_output_shape(shape))
        super()._take_over(name, value)
        part = self.__dict__.get(name)
        if isinstance(part, Layer) and part is not before.get(name) and shape and y:
            part.build(y)  # an activation
            couples = self.time_local and not part.time_local
            if part.arrays() or couples or self.compute_output_shape(shape) != y:
                self.__dict__.clear()
                self.__dict__.update(before)
                raise self._refusal(name, value)

    # ------------------------------------------------------------ arrays: views, replicas, copies

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._arrays:
            target = self.__dict__[name]
            if value is not target:
                if np.shape(value) != target.shape:
                    raise ValueError(
                        f"{self!r}.{name} has shape {target.shape} and was given {np.shape(value)}"
                    )
                target[...] = value
            return
        if type(value) is np.ndarray:
            for p in self._parameters.values():
                if value is p.value or value is p.gradient:
                    self._arrays[name] = (p.name, "value" if value is p.value else "gradient")
                    self.__dict__[name] = value  # an array of the layer is no argument
                    return
        if self._made:
            super().__setattr__(name, value)
        else:
            self._store(name, value)

    def _store(self, name: str, value: Any) -> None:
        if isinstance(value, (Layer, list, tuple)):  # a union of types takes twice as long
            self._take_in(name, value)
        try:
            object.__setattr__(self, name, value)
        except AttributeError:
            own = getattr(type(self), name, None)
            if not isinstance(own, property) or own.fset is not None:
                raise
            raise AttributeError(
                f"{type(self).__name__} cannot keep anything as {name!r}, as every layer has "
                f"{name} of its own: choose another name"
            ) from None

    def _take_in(self, name: str, value: Any) -> None:
        """Make a layer, or those of a list, parts of this one."""
        for layer in layers_in(value):
            layer.adopt_dtype(self.dtype)
            if not self._trainable:
                layer.trainable = False
        if type(value) is tuple and any(
            p.value is value[0] for p in self._parameters.values() if value
        ):
            raise TypeError(
                f"{self!r}.{name} was given the pair that param returns, a value and its gradient: "
                f"write self.{name}, self.d{name} = self.param(...)"
            )

    def _keep_the_rest(self) -> None:
        """Nothing: what a layer keeps may be a part of it. `__getattr__` looks arguments up."""

    def __getattr__(self, name: str) -> Any:
        own = getattr(type(self), name, None)
        if own is not None and not isinstance(own, Described):
            return object.__getattribute__(self, name)  # a property's own error, once more
        names = signature_of(type(self))[0] if self._made and own is None else {}
        if name in names:
            return self._arguments.get(name, names[name])
        public = not name.startswith("_")
        if public and (instead := explain_attribute(self, name)):
            raise AttributeError(f"{type(self).__name__} has no {name}: {instead}")
        state = NOT_BUILT if public and not self.built else ""
        raise AttributeError(f"{type(self).__name__} has no {name!r}{state}", name=name, obj=self)

    def adopt_dtype(self, dtype: np.dtype | None) -> None:
        """Compute in the dtype of the model or layer around this one, where none was chosen."""
        if self.dtype is None:
            self.__dict__["dtype"] = dtype

    def bind(self, parameter: Parameter) -> None:
        """Point the attributes of a parameter at its arrays."""
        for attribute, (name, kind) in self._arrays.items():
            if name == parameter.name:
                self.__dict__[attribute] = getattr(parameter, kind)

    def replica(self, memo: dict[int, Any] | None = None) -> Any:
        """A layer with the same values and gradients of its own: the same layer on a second thread.

        Whoever made it sums the gradients after the backward pass, with `add_gradients`. What
        `memo` holds, by identity, is taken from there instead of being replicated.
        """
        memo = {} if memo is None else memo
        if id(self) in memo:
            return memo[id(self)]
        memo[id(self)] = twin = object.__new__(type(self))
        twin.__dict__ |= self.__dict__ | {
            "_origin": self,
            "_arrays": dict(self._arrays),
            "_arguments": dict(self._arguments),
        }
        twin.__dict__["_parameters"] = own = {}
        for p in self._parameters.values():
            own[p.name] = memo[id(p)] = p.replica(twin)
            twin.bind(own[p.name])
        if self._rng is not None or getattr(self, "seed", None) is not None:
            twin.__dict__["_rng"] = self.rng.spawn(1)[0]  # not the same draws again
        for name, value in self.__dict__.items():
            if isinstance(value, Layer | list | tuple):
                twin.__dict__[name] = counterpart(value, memo)
        return twin

    def add_gradients(self, twin: Layer) -> None:
        """Add the gradients of a replica to this layer's."""
        for mine, other in zip(self.arrays(), twin.arrays(), strict=True):
            if mine.gradient is not None:
                mine.gradient += other.gradient

    def astype(self, dtype) -> Layer:
        """A copy of the layer that computes in another dtype, with the same values."""
        dtype = float_dtype(dtype)
        twin = copy.deepcopy(self)
        for layer in twin.walk():
            layer.__dict__["dtype"] = dtype
            if layer is twin or layer._arguments.get("dtype") is not None:
                layer._arguments["dtype"] = dtype.name
            for p in layer._parameters.values():
                p.astype(dtype)
        return twin


def once(build):
    """A layer is built once: `build` on a built layer only checks that the shape is acceptable."""

    @functools.wraps(build)
    def wrapper(self, input_shape=None):
        if input_shape is None:
            input_shape = getattr(self, "declared_shape", None)
        if self.built:
            if input_shape is not None:
                self.check_input(input_shape)
            return
        if input_shape is None:
            raise ValueError(
                f"{self.name} does not know its input's shape: build((None, 784)), or add an Input "
                "first"
            )
        input_shape = tuple(input_shape)
        unbuilt = [(layer, dict(layer.__dict__)) for layer in self.walk() if not layer.built]
        for layer in self.sublayers():
            layer.adopt_dtype(self.dtype)
        try:
            build(self, input_shape)
        except BaseException:
            for layer, before in unbuilt:  # half-built is unbuilt, layers within too
                layer.__dict__.clear()
                layer.__dict__.update(before)
                layer._parameters.clear()
                layer._arrays.clear()
            raise
        self.build_shape = input_shape
        self.built = True

    return wrapper


UNUSED = (
    "does not use it: from here on padding counts like real steps. Put a layer that ends the time "
    "axis before it, such as GlobalAveragePooling1D() or LSTM(8), or make no mask"
)
NOT_BUILT = " yet: it is not built; call it on data or build(input_shape) first"


HOLDERS = Layer, list, tuple  # the types of attributes that hold layers


def layers_in(value: Any) -> list[Layer]:
    """A layer, or the layers in a list."""
    return [
        v for v in (value if isinstance(value, list | tuple) else [value]) if isinstance(v, Layer)
    ]


def counterpart(value: Any, memo: dict[int, Any]) -> Any:
    """A layer's replica, a parameter's twin, lists of them; anything else is itself."""
    if isinstance(value, Layer):
        return value.replica(memo)
    if isinstance(value, list | tuple):
        return type(value)(counterpart(v, memo) for v in value)
    return memo.get(id(value), value) if isinstance(value, Parameter) else value


def is_buffer(p: Parameter) -> bool:
    return p.gradient is None


def unique(items: Iterable) -> list:
    return list({id(item): item for item in items}.values())
