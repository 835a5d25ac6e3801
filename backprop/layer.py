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
from backprop.config import Configurable, snake_case
from backprop.input_spec import InputSpec, Shape, show_shape
from backprop.parameters import Parameter, spend

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
        Of the parameters and of what the layer computes in. Default: the model's; float32 outside a
        model.
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
    built = False
    activity_regularizer: Any = None
    build_shape: Shape | None = None
    has_identity = True
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
        if input_dim is not None:
            input_shape = (input_dim,)
        self.declared_shape: Shape | None = None if input_shape is None else (None, *input_shape)

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "build" in cls.__dict__:
            cls.build = once(cls.build)
        cls.changes_mask = cls.compute_mask is not Layer.compute_mask

    # ---------------------------------------------------------- what the author of a layer writes

    def build(self, input_shape: Shape) -> None:
        """Make the parameters. `input_shape` has the batch axis, as None: ``(None, 784)``."""
        self.built = True

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
        """Make an array that is saved with the model and never trained; `fill` is a number or an
        initializer."""
        if isinstance(fill, int | float):
            fill = initializers.Constant(fill)
        value = self._fresh(name, shape, fill)
        self._parameters[name] = Parameter(self, name, value, None)
        return value

    def _fresh(self, name: str, shape: Iterable[int | None], initializer) -> Array:
        if name in self._parameters:
            raise ValueError(f"{self!r} already has an array named {name!r}")
        shape = tuple(shape)
        if any(n is None for n in shape):
            raise ValueError(
                f"{self!r} cannot size {name!r} {shape}: the input's shape must be known there"
            )
        spend(math.prod(n or 0 for n in shape), f"{self!r} declares {name!r}")
        value = initializers.get(initializer)(shape, dtype=self.dtype or np.float32, rng=self.rng)
        value = np.asarray(value, dtype=self.dtype or np.float32, order="C")  # 0-d stays 0-d
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

    def __call__(self, x, training: bool = False, mask: Any = None) -> Array:
        """y for x, in inference unless told otherwise. Builds the layer on first use.

        A mask is one of booleans, or of 1 and 0: (batch, time), or what broadcasts to it.
        """
        if isinstance(x, Layer):
            raise TypeError(
                f"{self!r} was called on a layer: backprop has no functional API. Chain layers "
                "with Sequential([...]), join branches with Residual or Parallel"
            )
        x = self.cast(np.asarray(x))
        if not self.built:
            self.build((None, *x.shape[1:]))
        self.check_input(x.shape)
        if mask is not None:
            mask = self.fit_mask(mask, x.shape)
            x = x if self.channels_first else masks.cleaned(x, mask)
        return self.propagate(x, Context(training, mask, backward=False))[0]

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
        return x.astype(self.dtype or np.float32, copy=False)

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
            if not name.startswith("_"):
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
        """All parameters and buffers of this layer and the layers in it, in Keras' order."""
        return [
            p for layer in self.walk() for p in sorted(layer._parameters.values(), key=is_buffer)
        ]

    @property
    def weights(self) -> list[Array]:
        """Parameters and buffers, each layer's parameters first."""
        return [p.value for p in self.arrays()]

    variables = weights

    @property
    def trainable_weights(self) -> list[Array]:
        return [p.value for p in self.arrays() if p.trainable]

    @property
    def non_trainable_weights(self) -> list[Array]:
        return [p.value for p in self.arrays() if not p.trainable]

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

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if not self.trainable:
            config["trainable"] = False
        return config

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
                if value is p.value:
                    self._arrays[name] = (p.name, "value")
                elif value is p.gradient:
                    self._arrays[name] = (p.name, "gradient")
        elif isinstance(value, Layer | list | tuple):
            for layer in layers_in(value):
                layer.adopt_dtype(self.dtype)
                if not self._trainable:
                    layer.trainable = False
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        state = "" if self.built or name.startswith("_") else NOT_BUILT
        raise AttributeError(f"{type(self).__name__} has no {name!r}{state}", name=name, obj=self)

    def adopt_dtype(self, dtype: np.dtype | None) -> None:
        """Compute in the dtype of the model or layer around this one, where none was chosen."""
        if self.dtype is None:
            self.dtype = dtype

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
        twin.__dict__ |= self.__dict__ | {"_origin": self, "_arrays": dict(self._arrays)}
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
            layer.dtype = dtype
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


def float_dtype(dtype) -> np.dtype:
    """float32 or float64, from a name or a type."""
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found not in (np.float32, np.float64):
        raise ValueError(f"dtype must be 'float32' or 'float64', got {dtype!r}")
    return found
