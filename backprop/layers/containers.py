"""What layers made of layers share: they build them, run them, and say where one of them fails."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Generator, Iterable
from typing import Any

import numpy as np

from backprop import regularizers
from backprop.arguments import defaults_of
from backprop.input_spec import show_shape
from backprop.layer import INFERENCE, Context, Layer, Shape
from backprop.layer_arrays import own
from backprop.layers.inputs import AsFloat, InputLayer
from backprop.promises import declared_shape
from backprop.symbols import Symbol


class Container(Layer):
    """A layer made of layers, which runs them by `propagate` and says where one of them fails."""

    @property
    def drawn(self) -> tuple[Any, Any]:
        """Lists and dicts of the inputs and outputs, as a graph has them."""
        return None, None

    @property
    def _settled(self) -> bool:
        return True  # it took note of its layers when it was made

    def compute_mask(self, x, mask=None):
        return (
            self.propagate(x, Context(mask=mask, backward=False))[2] if self.changes_mask else mask
        )

    def forward(self, x, ctx=INFERENCE):
        y, cache, _ = self.propagate(x, ctx)
        return y, cache

    def build_part(self, part: Layer, index: int, shape: Shape) -> Shape:
        """Build one of the layers for a shape of its input; returns that of its output."""
        try:
            part.adopt_dtype(self.dtype)
            part.build(shape)
            part.take_seeds()
            parts = self.parts()[1]
            if index == len(parts) - 1:  # now that all are built
                self.changes_mask = any(each.changes_mask for each in parts)
                self.makes_masks = any(each.changes_mask and each.makes_masks for each in parts)
            if self.dtype is not None and part.dtype not in (None, self.dtype):
                raise ValueError(
                    f"its dtype is {part.dtype} inside {type(self).__name__} of {self.dtype}: "
                    "choose one dtype for the whole model"
                )
            return declared_shape(part, shape)
        except Exception as error:
            raise self.located(error, index, show_shape(shape[1:])) from error

    def located(self, error: Exception, index: int, given: str, way: str = "") -> Exception:
        """The same error, saying in which of the layers it happened."""
        kind, parts = self.parts()
        where = f"in {way}{kind} {index} of {self.name}: {parts[index]!r}, given {given}"
        if type(error) in (ValueError, TypeError, IndexError, MemoryError):
            return type(error)(f"{where}: {error}")
        error.add_note(where)
        return error

    def located_back(self, error: Exception, index: int, dy: Any) -> Exception:
        """The same error, of the backward pass of one of the layers."""
        return self.located(error, index, f"dy {described(dy)}", "the backward pass of ")

    def shapes_within(self, input_shape: Any) -> list[Shape]:
        """The shapes of all arrays of a pass, from x to y."""
        raise NotImplementedError

    def trace(self, x: Any, ctx: Context) -> Generator[tuple[int, Layer, Any], None, tuple]:
        """A pass step by step: the place of a layer, the layer, and what it puts out; returns y and
        its mask. Copies of the layers run, so that a look changes nothing."""
        raise NotImplementedError

    def parts(self) -> tuple[str, list[Layer]]:
        """The layers, and what each is called in a message."""
        return "layer", self.sublayers()


class Listed(Container):
    """A container that shows its layers as a list."""

    fixed_list = "are those that it was made of: make another"
    _ends = None  # its symbolic arrays, once somebody asks for them

    @property
    def layers(self) -> list[Layer]:
        """The layers, in order: a list to read."""
        return Layers(self.__dict__["layers"], self.fixed_list)

    @layers.setter
    def layers(self, layers: Any) -> None:
        raise AttributeError(f"the layers of {self.name} {self.fixed_list}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "activity_regularizer" and name not in defaults_of(type(self)):
            if self._drawn or self.__dict__.get("trainer") is not None:
                raise AttributeError(
                    f"{self.name} has been called or compiled, and a penalty on its output would "
                    "not count any more: give activity_regularizer= to its last layer"
                )
            value = regularizers.get(value)  # that of a part of another container
        super().__setattr__(name, value)

    def parts(self):
        return "layer", self.layers

    def symbols(self) -> tuple[list[Symbol], list[Symbol]]:
        """The symbolic arrays that go in and come out."""
        ends = self._ends or self._draw()
        self.__dict__["_ends"] = ends
        return ends

    def _draw(self) -> tuple[list[Symbol], list[Symbol]]:
        """Call the layers on symbolic arrays, for `symbols`."""
        raise TypeError(f"{self!r} cannot be drawn: make a Model or a Sequential of its layers")


class Row(Listed):
    """A container of a list of layers, each for the output of the one before."""

    fixed_list = (
        "are changed by add() and pop(), or make a new model: Sequential([*model.layers[:-1], new])"
    )

    def take(self, layers: Iterable[Any] | None) -> None:
        """Begin with these layers; called by a constructor."""
        self.__dict__["layers"] = []
        self._entries: list[Layer] = []  # the layers and the Input, as configuration keeps them
        if layers is not None and not isinstance(layers, list | tuple):
            raise TypeError(
                f"{type(self).__name__} expects a list of layers, got {type(layers).__name__}"
            )
        names = Names()
        for layer in layers or ():
            self.append(layer, names)

    def append(self, layer: Any, names: Names | None = None) -> None:
        """Put a layer at the end. A chain that was built is built again; its layers keep values.
        Who puts many has the names of those that are there in `names`."""
        if isinstance(layer, Symbol) and isinstance(layer.layer, InputLayer):
            layer = layer.layer
        if not isinstance(layer, Layer):
            raise TypeError(
                f"{type(self).__name__} is made of layers and got {show_item(layer)}; "
                + advice_for(layer)
            )
        if isinstance(layer, InputLayer):
            if self._entries:
                raise ValueError(
                    f"Input goes to the front of {type(self).__name__}, before any other layer"
                )
            self.declared_shape = layer.declared_shape
        else:
            names = Names(self.layers) if names is None else names
            names.claim(type(self).__name__, layer)
            if not self.layers:
                layer.take_strings([entry.string_input for entry in self._entries])
            if not self.layers and self.declared_shape is None:
                self.declared_shape = layer.declared_shape
            self.__dict__["layers"].append(layer)
            own(self, [layer])
            if not self.trainable:
                layer.trainable = False
        self._entries.append(layer)
        if "layers" in defaults_of(type(self)):
            self._arguments["layers"] = self._entries
        self.built = False

    @property
    def integer_input(self) -> bool:
        # integers that an Input declares are kept for a later layer that takes them, not for Dense
        declared = any(entry.integer_input for entry in self._entries[:1])
        layers = self.__dict__["layers"]
        return any(layer.integer_input for layer in (layers if declared else layers[:1]))

    @property
    def string_input(self) -> bool:
        layers = self.__dict__["layers"]
        return bool(layers) and layers[0].string_input

    @property
    def output_kind(self) -> str:
        return self.layers[-1].output_kind if self.layers else "f"

    def casts(self) -> list[list[Layer]]:
        """For each layer, what makes floating point numbers of integers that come to it, where it
        computes with them. Integers go on through layers without weights to one that takes them."""
        taken: list[bool] = []
        for layer in reversed(self.layers):
            passed = bool(taken) and taken[-1] and not layer.arrays()
            taken.append(bool(layer.integer_input) or passed)
        whole, found = self.integer_input, []
        for layer, takes in zip(self.layers, reversed(taken), strict=True):
            found.append([AsFloat(dtype=layer.dtype)] if whole and not takes else [])
            passes = whole and takes and not layer.integer_input
            whole = layer.output_kind == "i" or passes
        return found

    @property
    def sparse_input(self) -> bool:
        return bool(self.layers) and self.layers[0].sparse_input

    def check_input(self, shape):
        shape = tuple(shape)
        for i, layer in enumerate(self.layers):
            try:
                layer.check_input(shape)
                shape = tuple(layer.compute_output_shape(shape))
            except Exception as error:
                if i == 0:
                    raise
                raise self.located(error, i, show_shape(shape[1:])) from error

    def check_values(self, x):
        if self.layers:
            self.layers[0].check_values(x)

    def compute_output_shape(self, input_shape):
        return self.shapes_within(input_shape)[-1]

    def shapes_within(self, input_shape):
        shapes = [tuple(input_shape)]
        for i, layer in enumerate(self.layers):
            try:
                shapes.append(tuple(layer.compute_output_shape(shapes[-1])))
            except Exception as error:
                raise self.located(error, i, show_shape(shapes[-1][1:])) from error
        return shapes

    def trace(self, x, ctx):
        casts = self.casts()
        for i, layer in enumerate(copy.deepcopy(self.layers)):
            for cast in casts[i]:
                x = cast.forward(x)[0]
            x, _, mask = layer.propagate(x, ctx)
            ctx = ctx.with_mask(mask)
            yield i, layer, x
        return x, ctx.mask

    def _argument(self, name, value):
        return super()._argument(name, [] if name == "layers" and value is None else value)


def described(x: Any) -> str:
    """An array, or several, in a message: shape without the batch, and dtype."""
    if isinstance(x, tuple):
        return " and ".join(map(described, x))
    return f"{show_shape(np.shape(x)[1:])} {getattr(x, 'dtype', type(x).__name__)}"


class Names:
    """The names of layers that stand beside each other: no two have the same.

    Parameters
    ----------
    layers : iterable of Layer, optional
        Those that have theirs.
    """

    def __init__(self, layers: Iterable[Layer] = ()):
        self.taken = {layer.name: layer for layer in layers}
        self.counted: dict[str, int] = {}  # the last number behind each name

    def claim(self, who: str, layer: Layer) -> None:
        """Give a layer another name than those that are taken; one that was chosen is an error."""
        if self.taken.get(layer.name, layer) is not layer:
            if layer._name is not None and "name" in layer._arguments:
                raise ValueError(
                    f"{who} already has a layer named {layer.name!r}; names are unique"
                )
            layer._name = None
            name = layer.name
            k = self.counted.get(name, 0) + 1
            while f"{name}_{k}" in self.taken:
                k += 1
            self.counted[name] = k
            layer._name = f"{name}_{k}"
        self.taken[layer.name] = layer


def take_in(container: Any, layers: Iterable[Layer]) -> None:
    """Let layers know, without holding on to it, the model that they stand in: it can draw them."""
    for layer in layers:
        layer.__dict__["_within"] = weakref.ref(container)


class Layers(list):
    """The layers of a container, to read: a change of the list would not change the container."""

    def __init__(self, layers: Iterable[Layer], advice: str):
        super().__init__(layers)
        self.advice = advice

    def _refuse(self, *args, **kwargs):
        raise TypeError(f"the layers of a model {self.advice}")

    append = extend = insert = pop = remove = clear = reverse = _refuse
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    sort: Any = _refuse

    def __reduce__(self):
        return list, (list(self),)


ACTIVATION_BY_NAME = "an activation or a function becomes a layer by Activation('relu')"


def advice_for(item: Any) -> str:
    if isinstance(item, type) and issubclass(item, Layer):
        return f"that is a class; an object of it is {item.__name__}(...)"
    return getattr(item, "advice_to_containers", ACTIVATION_BY_NAME)


def show_item(item: Any) -> str:
    return f"{type(item).__name__} {item!r}"
