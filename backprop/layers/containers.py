"""Layers made of layers: a chain, a shortcut, branches side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from backprop.checks import one_of
from backprop.layer import INFERENCE, NOT_BUILT, Array, Context, Layer, show_shape
from backprop.layers.activations import layer_of
from backprop.parameters import Parameter


class InputLayer(Layer):
    """y = x: says what a model's input looks like, and computes nothing.

    Made by `Input`. A `Sequential` reads the shape from it and does not count it among its layers.
    """

    def __init__(self, shape=None, batch_size=None, dtype=None, batch_shape=None, name=None):
        super().__init__(name=name)
        if batch_shape is not None:
            batch_size, *shape = batch_shape
        if shape is None:
            raise ValueError("Input expects a shape, such as Input(shape=(784,))")
        shape = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
        self.batch_shape = (batch_size, *shape)
        self.declared_shape = self.batch_shape
        self.dtype = None
        self.integer_input = dtype is not None and np.dtype(dtype).kind in "iub"

    def forward(self, x, ctx=INFERENCE):
        return x, None

    def backward(self, dy, cache):
        return dy


def Input(shape=None, batch_size=None, dtype=None, batch_shape=None, name=None) -> InputLayer:
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

    Examples
    --------
    >>> import backprop as bp
    >>> bp.Sequential([bp.Input((3,)), bp.layers.Dense(2)]).output_shape
    (None, 2)
    """
    return InputLayer(shape, batch_size, dtype, batch_shape, name)


class Chain(Layer):
    """y = fₖ(… f₂(f₁(x))): layers one behind the other.

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
        self.layers: list[Layer] = []
        self._steps: list[Layer] = []  # what runs: the layers, and penalties on their activity
        self._places: list[int] = []  # of each step, the index of its layer
        self._again: list[list[Parameter]] = []  # of each step, the parameters that stand in another one too
        self._first = 0
        self._entries: list[Layer] = []  # the layers and the Input, as configuration keeps them
        if layers is not None and not isinstance(layers, list | tuple):
            raise TypeError(f"{type(self).__name__} expects a list of layers, got {type(layers).__name__}")
        for layer in layers or ():
            self.append(layer)

    def append(self, layer: Layer) -> None:
        """Put a layer at the end. A chain that was built has to be built again; its layers keep their values."""
        if not isinstance(layer, Layer):
            raise TypeError(
                f"{type(self).__name__} is made of layers and got {show_item(layer)}; an activation or a function "
                "becomes a layer by Activation('relu')"
            )
        if isinstance(layer, InputLayer):
            if self._entries:
                raise ValueError(f"Input goes to the front of {type(self).__name__}, before any other layer")
            self.declared_shape = layer.declared_shape
            self.integer_input = layer.integer_input
        else:
            self._claim_name(layer)
            if not self.layers and self.declared_shape is None:
                self.declared_shape = layer.declared_shape
            self.layers.append(layer)
            if not self.trainable:
                layer.trainable = False
        self._entries.append(layer)
        self._arguments["layers"] = self._entries
        self.built = False

    def _claim_name(self, layer: Layer) -> None:
        taken = {other.name for other in self.layers if other is not layer}
        if layer.name not in taken:
            return
        if layer._name is not None and "name" in layer._arguments:
            raise ValueError(f"{type(self).__name__} already has a layer named {layer.name!r}; names are unique")
        layer._name = None
        k = 1
        while f"{layer.name}_{k}" in taken:
            k += 1
        layer._name = f"{layer.name}_{k}"

    def build(self, input_shape):
        self._adopt_input()
        steps: list[Layer] = []
        places = []
        shape = tuple(input_shape)
        for i, layer in enumerate(self.layers):
            try:
                layer.adopt_dtype(self.dtype)
                layer.build(shape)
                layer.take_seeds()
                if self.dtype is not None and layer.dtype not in (None, self.dtype):
                    raise ValueError(
                        f"its dtype is {layer.dtype} inside {type(self).__name__} of {self.dtype}: choose one dtype for "
                        "the whole model"
                    )
                shape = tuple(layer.compute_output_shape(shape))
            except Exception as error:
                raise self.located(error, i, show_shape(shape[1:])) from error
            penalty = layer.activity_regularizer
            found = [layer] if penalty is None else [layer, ActivityPenalty(penalty)]
            steps += found
            places += [i] * len(found)
        self._steps, self._places, self._again = steps, places, repeated(steps)
        self._first = next((i for i, s in enumerate(steps) if s.arrays() or isinstance(s, ActivityPenalty)), len(steps))
        self.changes_mask = any(step.changes_mask for step in steps)

    def _adopt_input(self) -> None:
        if self.layers:
            self.integer_input = self.integer_input or self.layers[0].integer_input

    def check_input(self, shape):
        if self._steps:
            self._steps[0].check_input(shape)

    def compute_output_shape(self, input_shape):
        shape = tuple(input_shape)
        for i, layer in enumerate(self.layers):
            try:
                shape = tuple(layer.compute_output_shape(shape))
            except Exception as error:
                raise self.located(error, i, show_shape(shape[1:])) from error
        return shape

    def compute_mask(self, x, mask):
        if not self.changes_mask:
            return mask
        return self.propagate(x, Context(mask=mask, backward=False))[2]

    def propagate(self, x, ctx):
        if not self.built:
            raise ValueError(f"{self.name} cannot run{NOT_BUILT}")
        caches = []
        i = 0
        try:
            for i, step in enumerate(self._steps):
                if ctx.mask is None and not step.changes_mask:
                    x, cache = step.forward(x, ctx)
                else:
                    x, cache, mask = step.propagate(x, ctx)
                    ctx = ctx.with_mask(mask)
                if ctx.backward:
                    caches.append(cache)
                cache = None  # in inference nothing outlives its layer
        except Exception as error:
            raise self.located(error, self._places[i], f"{show_shape(x.shape[1:])} {x.dtype}") from error
        return x, caches, ctx.mask

    def forward(self, x, ctx=INFERENCE):
        y, caches, _ = self.propagate(x, ctx)
        return y, caches

    def backward(self, dy, caches):
        return self._reverse(dy, caches, 0, Layer.backward.__name__)

    def backward_params(self, dy, caches):
        if self._first < len(self._steps):
            self._reverse(dy, caches, self._first, Layer.backward_params.__name__)

    def _reverse(self, dy, caches, first: int, last_call: str):
        """Walk back to the step `first`, which is reversed by its method `last_call`."""
        again: list[tuple[Parameter, Array]] = []
        for i in range(len(self._steps) - 1, first - 1, -1):
            step = self._steps[i]
            dy = (step.backward if i > first else getattr(step, last_call))(dy, caches[i])
            if self._again[i]:
                again += [(p, p.gradient.copy()) for p in self._again[i]]
        add_up(again)
        return dy

    def located(self, error: Exception, index: int, given: str) -> Exception:
        """The same error, saying in which layer it happened."""
        return located(error, f"in layer {index} of {self.name}: {self.layers[index]!r}, given {given}")

    def get_config(self):
        return {"layers": []} | super().get_config()


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


def located(error: Exception, where: str) -> Exception:
    """The same error, saying where it happened."""
    if type(error) in (ValueError, TypeError, IndexError, MemoryError):
        return type(error)(f"{where}: {error}")
    error.add_note(where)
    return error


def show_item(item: Any) -> str:
    return f"{type(item).__name__} {item!r}"


class ActivityPenalty(Layer):
    """y = x, and the loss grows by penalty(x) / batch size.

        dx = dy + penalty'(x) / batch size

    A container puts it behind a layer that has an `activity_regularizer`.
    """

    def __init__(self, regularizer, **kwargs):
        super().__init__(**kwargs)
        self.regularizer = regularizer

    def forward(self, x, ctx=INFERENCE):
        if ctx.penalties is not None and len(x):
            ctx.penalties.append(self.regularizer(x) / len(x))
        return x, x

    def backward(self, dy, x):
        return dy + self.regularizer.gradient(x) / max(len(x), 1)


class Residual(Layer):
    """y = activation(f(x) + shortcut(x)).

        x: (N, ...)    f(x), shortcut(x), y: of one shape

    x reaches y on both ways, so their gradients add up:

        dx = f'(dy) + shortcut'(dy)

    Parameters
    ----------
    layers : Layer or list of Layer
        f.
    shortcut : Layer or list of Layer, optional
        Default: the identity, for which f must keep the shape.
    activation : str, function or Layer, optional
        Behind the sum. Default: none.

    References
    ----------
    He, Zhang, Ren, Sun: Deep residual learning for image recognition, 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Dense, Residual
    >>> Residual([Dense(4, kernel_initializer="zeros")])(np.ones((1, 4)))
    array([[1., 1., 1., 1.]], dtype=float32)
    """

    def __init__(self, layers, shortcut=None, activation=None, **kwargs):
        super().__init__(**kwargs)
        self.branch = as_layer(layers)
        self.shortcut = None if shortcut is None else as_layer(shortcut)
        self.activation = layer_of(activation or "linear")
        self._parallel = Parallel([self.branch, self.shortcut or InputLayer(())], join="add")

    def build(self, input_shape):
        self._parallel.adopt_dtype(self.dtype)
        self._parallel.build(input_shape)
        self.activation.build(self._parallel.compute_output_shape(input_shape))
        self.changes_mask = self._parallel.changes_mask

    def compute_output_shape(self, input_shape):
        return self.branch.compute_output_shape(input_shape)

    def compute_mask(self, x, mask):
        return self._parallel.compute_mask(x, mask)

    def forward(self, x, ctx=INFERENCE):
        z, branches = self._parallel.forward(x, ctx)
        y, a = self.activation.forward(z, ctx)
        return y, (branches, a)

    def backward(self, dy, cache):
        branches, a = cache
        return self._parallel.backward(self.activation.backward(dy, a), branches)


JOINS = ("concat", "add", "multiply", "average", "maximum")


class Parallel(Layer):
    """y = join(f₁(x), f₂(x), …): branches side by side on one input.

        x: (N, ...)    bᵢ = fᵢ(x): of one shape, for concat but for `axis`

    Each branch passes back its own dbᵢ, and x receives the sum:

        concat      dbᵢ = dy at the branch's place along `axis`
        add         dbᵢ = dy                    average    dbᵢ = dy / number of branches
        multiply    dbᵢ = dy Π_{j≠i} bⱼ         maximum    dbᵢ = dy where bᵢ is the first that attains y

    Parameters
    ----------
    branches : list of Layer or of lists of Layer
    join : {"concat", "add", "multiply", "average", "maximum"}, default "concat"
    axis : int, default -1
        For concat; not the batch axis.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Activation, Parallel
    >>> Parallel([Activation("relu"), Activation("linear")])(np.array([[-1.0, 2.0]]))
    array([[ 0.,  2., -1.,  2.]], dtype=float32)
    """

    def __init__(self, branches, join: str = "concat", axis: int = -1, **kwargs):
        super().__init__(**kwargs)
        self.branches = [as_layer(branch) for branch in branches]
        if not self.branches:
            raise ValueError("Parallel expects at least one branch")
        self.join = one_of(join, JOINS, "Parallel", "join")
        self.axis = axis
        self._again: list[list[Parameter]] = []  # of each branch, the parameters that stand in another one too

    def build(self, input_shape):
        for i, branch in enumerate(self.branches):
            branch.adopt_dtype(self.dtype)
            try:
                branch.build(tuple(input_shape))
            except Exception as error:
                raise self._located(error, i, show_shape(input_shape[1:])) from error
            branch.take_seeds()
        self._again = repeated(self.branches)
        self.changes_mask = any(branch.changes_mask for branch in self.branches)
        self.integer_input = any(branch.integer_input for branch in self.branches)
        self.compute_output_shape(input_shape)

    def check_input(self, shape):
        for branch in self.branches:
            branch.check_input(shape)

    def compute_output_shape(self, input_shape):
        shapes = [tuple(branch.compute_output_shape(input_shape)) for branch in self.branches]
        y = list(shapes[0])
        if self.join == "concat" and all(len(shape) == len(y) for shape in shapes):
            if not -len(y) <= self.axis < len(y) or self.axis % len(y) == 0:
                raise ValueError(
                    f"{type(self).__name__} joins along an axis of its branches, and not the batch; their shape is "
                    f"{show_shape(y)}, and axis={self.axis}"
                )
            axis = self.axis % len(y)
            sizes = [shape[axis] for shape in shapes]
            y[axis] = None if None in sizes else sum(sizes)  # type: ignore[arg-type]
            shapes = [(*shape[:axis], y[axis], *shape[axis + 1 :]) for shape in shapes]
        if any(shape != tuple(y) for shape in shapes):
            raise ValueError(
                f"{type(self).__name__} cannot {self.join} branches of shapes "
                + " and ".join(show_shape(b.compute_output_shape(input_shape)[1:]) for b in self.branches)
            )
        return tuple(y)

    def compute_mask(self, x, mask):
        """A step is real where every branch that still has a mask says so."""
        masks = [branch.compute_mask(x, mask) for branch in self.branches]
        known = [m for m in masks if m is not None]
        return np.logical_and.reduce(known) if known else None

    def forward(self, x, ctx=INFERENCE):
        if not self.built:
            raise ValueError(f"{self.name} cannot run{NOT_BUILT}")
        outputs, caches = [], []
        for i, branch in enumerate(self.branches):
            try:
                b, cache = branch.forward(x, ctx)
            except Exception as error:
                raise self._located(error, i, f"{show_shape(x.shape[1:])} {x.dtype}") from error
            outputs.append(b)
            caches.append(cache if ctx.backward else None)
        y, cache = getattr(self, f"_{self.join}")(outputs)
        return y, (caches, cache)

    def backward(self, dy, cache):
        caches, joined = cache
        dx: Any = None
        again: list[tuple[Parameter, Array]] = []
        for i, (branch, branch_cache) in enumerate(zip(self.branches, caches, strict=True)):
            db = branch.backward(getattr(self, f"_{self.join}_backward")(dy, joined, i), branch_cache)
            dx = db if dx is None else dx + db
            again += [(p, p.gradient.copy()) for p in self._again[i]]
        add_up(again)
        return dx

    def _located(self, error: Exception, i: int, given: str) -> Exception:
        return located(error, f"in branch {i} of {self.name}: {self.branches[i]!r}, given {given}")

    def _concat(self, outputs: list[Array]):
        ends = np.cumsum([b.shape[self.axis] for b in outputs])
        return np.concatenate(outputs, self.axis), ends

    def _concat_backward(self, dy, ends, i):
        place = [slice(None)] * dy.ndim
        place[self.axis] = slice(ends[i - 1] if i else 0, ends[i])
        return dy[tuple(place)]

    def _add(self, outputs):
        return sum(outputs[1:], start=outputs[0].copy()), None

    def _add_backward(self, dy, _, i):
        return dy

    def _average(self, outputs):
        return self._add(outputs)[0] / len(outputs), len(outputs)

    def _average_backward(self, dy, n, i):
        return dy / n

    def _multiply(self, outputs):
        return np.multiply.reduce(outputs), outputs

    def _multiply_backward(self, dy, outputs, i):
        return np.multiply.reduce([dy, *outputs[:i], *outputs[i + 1 :]])

    def _maximum(self, outputs):
        stacked = np.stack(outputs)
        winner = stacked.argmax(0)
        return np.take_along_axis(stacked, winner[None], 0)[0], winner

    def _maximum_backward(self, dy, winner, i):
        return dy * (winner == i)


def as_layer(item) -> Layer:
    """A layer, or a list of layers as a `Chain`; a chain too where there is an activity to penalise."""
    if isinstance(item, Layer):
        return item if item.activity_regularizer is None else Chain([item])
    return Chain(item)
