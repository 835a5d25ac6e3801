"""Layers made of layers: what all of them share, and the chain. Those that fork: `branches.py`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from backprop.arguments import defaults_of
from backprop.checks import integer
from backprop.defaults import floatx
from backprop.input_spec import show_shape
from backprop.layer import INFERENCE, Array, Context, Layer, Shape
from backprop.layer_arrays import NOT_BUILT
from backprop.masks import cleaned, only_real
from backprop.parameters import Parameter
from backprop.promises import came_back, declared_shape


class InputLayer(Layer):
    """y = x: says what a model's input looks like, and computes nothing.

    Made by `Input`. A `Sequential` reads the shape from it and does not count it among its layers.
    """

    fixed = ("shape", "batch_size", "dtype", "batch_shape", "input_shape")

    def __init__(
        self,
        shape=None,
        batch_size=None,
        dtype=None,
        batch_shape=None,
        name=None,
        *,
        input_shape=None,
    ):
        super().__init__(name=name)
        shape = input_shape if shape is None else shape  # Keras 2's name of it
        if batch_shape is not None:
            batch_size, *shape = batch_shape
        if shape is None:
            raise ValueError("Input expects a shape, such as Input(shape=(784,))")
        shape = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
        for n in shape:
            if n is not None:
                integer(n, "Input", "every axis of its shape", 0)
        self.batch_shape = (batch_size, *shape)
        self.declared_shape = self.batch_shape
        known = np.dtype(floatx() if dtype is None else dtype)
        self.__dict__["dtype"] = known
        self.integer_input = known.kind in "iub"

    @property
    def shape(self) -> Shape:
        """With the batch axis."""
        return self.batch_shape

    def forward(self, x, ctx=INFERENCE):
        return x, None

    def backward(self, dy, cache):
        return dy


def Input(
    shape=None, batch_size=None, dtype=None, batch_shape=None, name=None, **others
) -> InputLayer:
    """Declare the shape of a model's input, as the first entry of a `Sequential`.

    Parameters
    ----------
    shape : tuple of int or None
        Without the batch axis.
    batch_size : int, optional
        Shown in the summary; any batch size is accepted.
    dtype : str, optional
        ``"int32"`` and the like say that the model takes integers.
    batch_shape : tuple, optional
        Shape with the batch axis, instead of `shape`.
    name : str, optional
    **others
        Keras' further arguments mean nothing here, and the error says what to do instead.

    Examples
    --------
    >>> import backprop as bp
    >>> bp.Sequential([bp.Input((3,)), bp.layers.Dense(2)]).output_shape
    (None, 2)
    """
    return InputLayer(shape, batch_size, dtype, batch_shape, name, **others)


class Container(Layer):
    """A layer made of layers, which runs them by `propagate` and says where one of them fails."""

    @property
    def _settled(self) -> bool:
        return True  # it took note of its layers when it was made

    def compute_mask(self, x, mask):
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
            self.changes_mask = any(each.changes_mask for each in self.parts()[1])
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
        given = f"dy {show_shape(np.shape(dy)[1:])} {getattr(dy, 'dtype', type(dy).__name__)}"
        return self.located(error, index, given, "the backward pass of ")

    def parts(self) -> tuple[str, list[Layer]]:
        """The layers, and what each is called in a message."""
        return "layer", self.sublayers()


class Chain(Container):
    """y = fₖ(… f₂(f₁(x))): layers one behind the other.

        x: (N, ...)    y: (N, ...), as fₖ has it

    By the chain rule dL/dx of a layer is dL/dy of the one before it, so `backward` walks the
    layers in reverse and hands each its cache. A layer that stands in two places has
    one set of values; its gradient is the sum over the places.

    Parameters
    ----------
    layers : list of Layer, optional
        An `Input` at the front declares the input's shape.
    **kwargs
        `trainable`, `dtype`, `name` of every `Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Chain, Dense, ReLU
    >>> Chain([Dense(8), ReLU(), Dense(2)])(np.ones((5, 3))).shape
    (5, 2)
    """

    def __init__(self, layers: Iterable[Layer] | None = None, **kwargs):
        super().__init__(**kwargs)
        self.__dict__["layers"] = []
        self._steps: list[Layer] = []  # what runs: the layers, and penalties on their activity
        self._places: list[int] = []  # of each step, the index of its layer
        self._again: list[
            list[Parameter]
        ] = []  # of each step, the parameters that stand in another one too
        self._first = 0
        self._shapes: list[Shape] = []  # of each step, that of its input
        self._entries: list[Layer] = []  # the layers and the Input, as configuration keeps them
        if layers is not None and not isinstance(layers, list | tuple):
            raise TypeError(
                f"{type(self).__name__} expects a list of layers, got {type(layers).__name__}"
            )
        for layer in layers or ():
            self.append(layer)

    @property
    def layers(self) -> list[Layer]:
        """The layers, without the `Input`: a list to read."""
        return Layers(self.__dict__["layers"])

    @layers.setter
    def layers(self, layers: Any) -> None:
        raise AttributeError(f"the layers of {self.name} {Layers.advice}")

    def append(self, layer: Layer) -> None:
        """Put a layer at the end. A chain that was built is built again; its layers keep values."""
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
            self._claim_name(layer)
            if not self.layers and self.declared_shape is None:
                self.declared_shape = layer.declared_shape
            self.__dict__["layers"].append(layer)
            if not self.trainable:
                layer.trainable = False
        self._entries.append(layer)
        if "layers" in defaults_of(type(self)):
            self._arguments["layers"] = self._entries
        self.built = False

    def _claim_name(self, layer: Layer) -> None:
        taken = {other.name for other in self.layers if other is not layer}
        if layer.name not in taken:
            return
        if layer._name is not None and "name" in layer._arguments:
            raise ValueError(
                f"{type(self).__name__} already has a layer named {layer.name!r}; names are unique"
            )
        layer._name = None
        k = 1
        while f"{layer.name}_{k}" in taken:
            k += 1
        layer._name = f"{layer.name}_{k}"

    def build(self, input_shape):
        steps: list[Layer] = []
        places, shapes = [], []
        shape = tuple(input_shape)
        for i, layer in enumerate(self.layers):
            given, shape = shape, self.build_part(layer, i, shape)
            penalty = layer.activity_regularizer
            found = [layer] if penalty is None else [layer, ActivityPenalty(penalty)]
            steps += found
            places += [i] * len(found)
            shapes += [given] if penalty is None else [given, shape]
        self._steps, self._places, self._again = steps, places, repeated(steps)
        self._shapes, self._tried, self._reversed = shapes, frozenset(), False
        self._first = next(
            (i for i, s in enumerate(steps) if s.arrays() or isinstance(s, ActivityPenalty)),
            len(steps),
        )

    @property
    def integer_input(self) -> bool:
        # integers that an Input declares are kept for a later layer that takes them, not for Dense
        declared = any(entry.integer_input for entry in self._entries[:1])
        return any(layer.integer_input for layer in (self.layers if declared else self.layers[:1]))

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
        shape = tuple(input_shape)
        for i, layer in enumerate(self.layers):
            try:
                shape = tuple(layer.compute_output_shape(shape))
            except Exception as error:
                raise self.located(error, i, show_shape(shape[1:])) from error
        return shape

    def propagate(self, x, ctx):
        if not self.built:
            raise ValueError(f"{self.name} cannot run{NOT_BUILT}")
        caches = []
        i = 0
        tried = ctx.training in self._tried
        try:
            if tried and ctx.backward and ctx.mask is None and not self.changes_mask:
                for step in self._steps:
                    x, cache = step.forward(x, ctx)
                    caches.append(cache)
                return x, caches, None
            x = cleaned(x, ctx.mask)  # and wherever a mask comes up
            for i, step in enumerate(self._steps):  # noqa: B007 - the handler says where
                x, cache, mask = step.propagate(x, ctx) if tried else step.try_out(x, ctx)
                if mask is not ctx.mask:
                    ctx = ctx.with_mask(mask)
                    x = cleaned(x, ctx.mask)
                if ctx.backward:
                    caches.append(cache)
                cache = None  # in inference nothing outlives its layer
        except Exception as error:
            i = max(i, len(caches))
            raise self.located(
                error, self._places[i], f"{show_shape(x.shape[1:])} {x.dtype}"
            ) from error
        if not tried:
            self._tried |= {ctx.training}
        return x, caches, ctx.mask

    def backward(self, dy, caches):
        return self._reverse(dy, caches, True, False)

    def backward_params(self, dy, caches):
        self._reverse(dy, caches, False, False)

    @property
    def ends_in_softmax(self):
        return bool(self._steps) and self._steps[-1].ends_in_softmax

    def backward_logits(self, dz, caches, *, dx=True):
        return self._reverse(dz, caches, dx, True)

    def _reverse(self, dy, caches, dx: bool, logits: bool) -> Any:
        """Walk back, to the first step where dL/dx is wanted, else to the first with parameters."""
        again: list[tuple[Parameter, Array]] = []
        first = 0 if dx else self._first
        known, i = self._reversed, 0
        try:
            for i in range(len(self._steps) - 1, first - 1, -1):
                step: Any = self._steps[i]
                wanted = dx or i > first
                if logits:
                    found = step.backward_logits(dy, caches[i], dx=wanted)
                    logits = False
                elif wanted:
                    found = step.backward(dy, caches[i])
                else:
                    found = step.backward_params(dy, caches[i])
                if wanted:
                    dy = found if known else came_back(step, found, self._shapes[i])
                if self._again[i]:
                    again += [(p, p.gradient.copy()) for p in self._again[i]]
        except Exception as error:
            raise self.located_back(error, self._places[i], dy) from error
        if not known:
            self._reversed = True
        if again:
            add_up(again)
        return dy

    @property
    def can_step(self):
        return self.built and all(step.can_step for step in self._steps)

    def step(self, x, memory):
        after = []
        for step, before in zip(self._steps, memory or [None] * len(self._steps), strict=True):
            x, found = step.step(x, before)
            after.append(found)
        return x, after

    def parts(self):
        return "layer", self.layers

    def _argument(self, name, value):
        return super()._argument(name, [] if name == "layers" and value is None else value)


class Layers(list):
    """The layers of a chain, to read: a change of the list would not change the chain."""

    advice = (
        "are changed by add() and pop(), or make a new model: Sequential([*model.layers[:-1], new])"
    )

    def _refuse(self, *args, **kwargs):
        raise TypeError(f"the layers of a model {self.advice}")

    append = extend = insert = pop = remove = clear = reverse = _refuse
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    sort: Any = _refuse

    def __reduce__(self):
        return list, (list(self),)


def repeated(steps: list[Layer]) -> list[list[Parameter]]:
    """For each step, the parameters with a gradient that stand in another step too."""
    trained = [[p for p in step.arrays() if p.gradient is not None] for step in steps]
    count = Counter(id(p) for parameters in trained for p in parameters)
    return [[p for p in parameters if count[id(p)] > 1] for parameters in trained]


def add_up(places: list[tuple[Parameter, Array]]) -> None:
    """Set each gradient to the sum of those that it had in its places."""
    begun = set()
    for p, gradient in places:
        if id(p) in begun:
            p.gradient += gradient
        else:
            p.gradient[...] = gradient
            begun.add(id(p))


ACTIVATION_BY_NAME = "an activation or a function becomes a layer by Activation('relu')"


def advice_for(item: Any) -> str:
    if isinstance(item, type) and issubclass(item, Layer):
        return f"that is a class; an object of it is {item.__name__}(...)"
    return getattr(item, "advice_to_containers", ACTIVATION_BY_NAME)


def show_item(item: Any) -> str:
    return f"{type(item).__name__} {item!r}"


class ActivityPenalty(Layer):
    """y = x, and the loss grows by penalty(x) / batch size.

        dx = dy + penalty'(x) / batch size

    Under a mask x counts as 0 at masked steps, where dx is dy.

    A container puts it behind a layer that has an `activity_regularizer`.
    """

    time_local = True

    def __init__(self, regularizer, **kwargs):
        super().__init__(**kwargs)
        self.regularizer = regularizer

    def forward(self, x, ctx=INFERENCE):
        counted = only_real(x, ctx.mask)
        if ctx.penalties is not None and len(x):
            ctx.penalties.append(self.regularizer(counted) / len(x))
        return x, (counted, ctx.mask)

    def backward(self, dy, cache):
        counted, mask = cache
        slope = only_real(self.regularizer.gradient(counted), mask)
        return dy + slope / max(len(counted), 1)


def as_layer(item) -> Layer:
    """A layer, or a list of layers as a `Chain`; a chain too where an activity is penalised."""
    if isinstance(item, Layer):
        return item if item.activity_regularizer is None else Chain([item])
    return Chain(item)
