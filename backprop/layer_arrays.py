"""What a layer is made of: its arguments, its arrays and the layers in it; and copies of all that.

Values and gradients live in a model's one vector, and a layer's attributes are views of it. So
assigning to one copies into the vector, and a copy or a replica gets views of its own.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from backprop import checks, random
from backprop.absent import explain_attribute
from backprop.arguments import Managed, defaults_of, managed
from backprop.config import Configurable
from backprop.defaults import FloatDtype, float_dtype
from backprop.input_spec import Described, Shape
from backprop.parameters import Freezing, Parameter, State
from backprop.registry import is_foreign
from backprop.regularizers import RegularizerLike
from backprop.spelling import snake_case

Array = np.ndarray


def name_of(layer: LayerArrays) -> str:
    return layer._name or snake_case(type(layer).__name__)


def rename(layer: LayerArrays, name: str) -> None:
    if name is not None and not isinstance(name, str):
        raise ValueError(f"{type(layer).__name__} expects name to be a string, got {name!r}")
    layer._name = name
    if layer._made:
        layer._arguments["name"] = name


def is_trainable(layer: LayerArrays) -> bool:
    return layer._trainable if layer._origin is None else layer._origin.trainable


def set_trainable(layer: LayerArrays, trainable: bool) -> None:
    trainable = checks.flag(trainable, type(layer).__name__, "trainable")
    layer._trainable = trainable
    Freezing.count += 1
    for part in layer.sublayers():
        part.trainable = trainable


def built_shape(layer: LayerArrays) -> Shape:
    """Shape of the input that the layer was built for, with the batch axis."""
    if layer.build_shape is None:
        raise AttributeError("input_shape")  # __getattr__ says what to do
    return layer.build_shape


def sizes_of(shape: Any, who: str, name: str = "input_shape") -> tuple[int | None, ...]:
    """The sizes of a shape without the batch axis; (784) stands for (784,)."""
    one = isinstance(shape, int | np.integer)
    sizes = [shape] if one else checks.sequence(shape, who, name, "a tuple of integers or None")
    each = f"every axis of {name}"
    return tuple(None if n is None else checks.integer(n, who, each, 0) for n in sizes)


def declare_shape(layer: LayerArrays, shape: Any) -> None:
    if layer._made:
        raise layer._refusal("input_shape", shape)
    if shape is not None:  # (784) for (784,)
        layer.__dict__["declared_shape"] = (None, *sizes_of(shape, type(layer).__name__))


class LayerArrays(Configurable, kw_only=True):
    """The arguments of every layer, and all that it owns."""

    activity_regularizer: RegularizerLike = None
    trainable: bool = managed(default=True, fget=is_trainable, fset=set_trainable)
    dtype: FloatDtype = None
    name: Any = managed(default=None, fget=name_of, fset=rename)
    input_shape: Any = managed(default=None, fget=built_shape, fset=declare_shape)
    input_dim: Any = None

    declared_shape = None  # with the batch axis

    built = False
    build_shape = None  # with the batch axis
    time_local = False  # whether y at a time step is that of x at this step alone, in inference
    has_identity = True
    # containers, optimizers and the layers around it have taken note of these
    fixed = ("activity_regularizer", "input_shape", "input_dim")
    _origin = None  # a replica's: the layer that it stands for
    _within = None  # a weak reference to the model that the layer stands in
    _owner = None  # a weak reference to the layer that it was a part of when it was built
    _owned = False  # whether there was one, which copies of that one make theirs
    weights_within = ""  # a part that Keras' layer keeps the weights in: an LSTM's cell
    _drawn: ClassVar[tuple[Any, ...]] = ()  # what came out of its calls on symbolic arrays

    if TYPE_CHECKING:  # what `Layer` adds
        build: ClassVar[Callable[..., Any]]
        compute_output_shape: ClassVar[Callable[..., Any]]

    def __new__(cls, *args, **kwargs):
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

    def __post_init__(self):
        if self.input_dim is not None:
            n = checks.integer(self.input_dim, type(self).__name__, "input_dim")
            self.declared_shape = (None, n)

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in DRAWING}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        own(self, [part for part in self.sublayers() if part._owned])

    # ------------------------------------------------------------ parts and weights

    def sublayers(self) -> list[Any]:
        """The layers that this one is made of: its attributes, and lists of them."""
        found: list[Any] = []
        for name, value in self.__dict__.copy().items():  # another thread may build it
            if isinstance(value, HOLDERS) and name[0] != "_":
                found += layers_in(value)
        return unique(found)

    def walk(self) -> Iterator[Any]:
        """This layer and all layers in it, each once, in order."""
        return iter(unique(self._descend()))

    def _descend(self) -> Iterator[Any]:
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

    def scope(self) -> str:
        """What the paths of its variables begin with: its name, behind those of the layers that it
        was a part of when it was built."""
        owner = self._owner and self._owner()
        if owner is None:
            return self.name
        return f"{owner.scope()}/{self.name.removeprefix(f'{owner.name}/')}"

    def states_kept(self) -> list[State]:
        """What this layer and the layers in it carry from one call to the next."""
        return [
            p for layer in self.walk() for p in layer._parameters.values() if isinstance(p, State)
        ]

    @property
    def rng(self) -> np.random.Generator:
        """The layer's own generator: a draw here moves no other layer's."""
        if self._rng is None:
            self._rng = random.generator(getattr(self, "seed", None))
        return self._rng

    # ------------------------------------------------------------ configuration

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if not self.trainable:
            config["trainable"] = False
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Build a layer from what `get_config` returned."""
        held = isinstance(config, Mapping) and "trainable" in config
        if held and "trainable" not in defaults_of(cls):
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

    def speak_for(self, part: LayerArrays, but: tuple[str, ...] = ()) -> None:
        """Keep the arguments of a layer that this one has made as they are, as it is this one's
        configuration that says them."""
        spoken = [n for n in defaults_of(type(part)) if n not in (*but, "dtype")]
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
        if isinstance(part, LayerArrays) and part is not before.get(name) and shape and y:
            part.build(y)  # an activation
            couples = self.time_local and not part.time_local
            if part.arrays() or couples or self.compute_output_shape(shape) != y:
                self.__dict__.clear()
                self.__dict__.update(before)
                raise self._refusal(name, value)

    # ------------------------------------------------------------ views, replicas, copies

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
        if isinstance(value, (LayerArrays, list, tuple)):  # a union of types takes twice as long
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
        own(self, layers_in(value))
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
        if own is not None and not isinstance(own, Described | Managed):
            return object.__getattribute__(self, name)  # a property's own error, once more
        names = defaults_of(type(self)) if self._made and own is None else {}
        if name in names:
            return self._arguments.get(name, names[name])
        public = not name.startswith("_")
        if public and (instead := explain_attribute(self, name)):
            raise AttributeError(f"{type(self).__name__} has no {name}: {instead}")
        if public and name in OF_A_PASS:
            raise AttributeError(f"{type(self).__name__} has no {name!r}: {OF_A_PASS[name]}")
        state = NOT_BUILT if public and not self.built else ""
        own = is_foreign(type(self)) and sum("build" in vars(c) for c in type(self).__mro__) > 2
        if public and not state and own:
            state = OTHER_BUILD
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
            if isinstance(value, LayerArrays | list | tuple):
                twin.__dict__[name] = counterpart(value, memo)
        return twin

    def add_gradients(self, twin: LayerArrays) -> None:
        """Add the gradients of a replica to this layer's."""
        for mine, other in zip(self.arrays(), twin.arrays(), strict=True):
            if mine.gradient is not None:
                mine.gradient += other.gradient

    def astype(self, dtype) -> Any:
        """A copy of the layer that computes in another dtype, with the same values."""
        dtype = float_dtype(dtype)
        twin = copy.deepcopy(self)
        for layer in twin.walk():
            if layer.dtype is not None and layer.dtype.kind != "f":
                continue  # an input of integers stays one
            layer.__dict__["dtype"] = dtype
            if layer is twin or layer._arguments.get("dtype") is not None:
                layer._arguments["dtype"] = dtype.name
            for p in layer._parameters.values():
                p.astype(dtype)
        return twin


def own(owner: LayerArrays, parts: Iterable[LayerArrays]) -> None:
    """Let parts know what they are parts of, which their paths say. One that was built before, by
    itself or as a part of a layer that is still there, keeps the path that it has."""
    for part in parts:
        known = part._owner and part._owner()
        if known is None and (part._owned or not part.built):
            part.__dict__ |= {"_owner": weakref.ref(owner), "_owned": True}


DRAWING = "_drawn", "_within", "_owner", "_ends", "_begun"  # what copies and files do without
OF_A_PASS = {
    "training": "it is a fact of a pass and not of the layer, ctx.training in forward(x, ctx)",
    "mask": "it belongs to a pass and not to the layer, ctx.mask in forward(x, ctx)",
}
OTHER_BUILD = "; if it is made by the build of a base class, call super().build(input_shape)"
NOT_BUILT = " yet: it is not built; call it on data or build(input_shape) first"
HOLDERS = LayerArrays, list, tuple  # the types of attributes that hold layers


def layers_in(value: Any) -> list[Any]:
    """A layer, or the layers in a list."""
    return [
        v
        for v in (value if isinstance(value, list | tuple) else [value])
        if isinstance(v, LayerArrays)
    ]


def counterpart(value: Any, memo: dict[int, Any]) -> Any:
    """A layer's replica, a parameter's twin, lists of them; anything else is itself."""
    if isinstance(value, LayerArrays):
        return value.replica(memo)
    if isinstance(value, list | tuple):
        make = getattr(value, "_make", type(value))  # a named tuple's
        return make(counterpart(v, memo) for v in value)
    return memo.get(id(value), value) if isinstance(value, Parameter) else value


def is_buffer(p: Parameter) -> bool:
    return p.gradient is None


def unique(items: Iterable) -> list:
    return list({id(item): item for item in items}.values())
