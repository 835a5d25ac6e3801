"""Layers that fork: branches side by side, and the shortcut."""

from __future__ import annotations

import reprlib
from typing import Any

from backprop.checks import one_of, sequence
from backprop.construction import named
from backprop.counts import Count, plus
from backprop.input_spec import show_shape
from backprop.layer import Array, Layer
from backprop.layer_arrays import NOT_BUILT
from backprop.layers.activations import Linear, build_activation, layer_of
from backprop.layers.chain import add_up, as_layer, repeated
from backprop.layers.containers import Container
from backprop.layers.merging import Add, Average, Concatenate, Maximum, Minimum, Multiply
from backprop.linalg import total
from backprop.parameters import Parameter
from backprop.promises import came_back, short_for

JOINS = {
    "concat": Concatenate,
    "add": Add,
    "multiply": Multiply,
    "average": Average,
    "maximum": Maximum,
    "minimum": Minimum,
}


def branch_of(item: Any, who: str, name: str = "branches") -> Layer:
    """A layer, or a chain of the layers in a list."""
    if not isinstance(item, Layer | list | tuple):
        raise TypeError(
            f"{who} expects {name} to be layers, or lists of layers, got {reprlib.repr(item)}"
        )
    return named(as_layer, item, who, name)


class Parallel(Container):
    """y = join(f₁(x), f₂(x), …): branches side by side on one input.

        x: (N, ...)    bᵢ = fᵢ(x): of one shape, for concat but for `axis`

    Each branch passes back its own dbᵢ, and x receives the sum:

        concat      dbᵢ = dy at the branch's place along `axis`
        add         dbᵢ = dy
        average     dbᵢ = dy / number of branches
        multiply    dbᵢ = dy Π_{j≠i} bⱼ
        maximum     dbᵢ = dy where bᵢ is the largest
        minimum     dbᵢ = dy where bᵢ is the smallest

    The arithmetic is that of the layers `Concatenate`, `Add` and so on, with their masks: a step is
    real where every branch that has a mask says so, and steps that are joined one behind the other
    keep the masks of their branches.

    Parameters
    ----------
    branches : list of Layer or of lists of Layer
    join : {"concat", "add", "multiply", "average", "maximum", "minimum"}, default "concat"
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
        who = type(self).__name__
        self.branches = [branch_of(branch, who) for branch in sequence(branches, who, "branches")]
        if not self.branches:
            raise ValueError(f"{who} expects branches to have at least one branch")
        self.integer_input = any(branch.integer_input for branch in self.branches)
        self.join = one_of(join, tuple(JOINS), who, "join")
        self.axis = axis
        self._merging = Concatenate(axis) if join == "concat" else JOINS[join]()
        self._again: list[list[Parameter]] = []  # of each branch: what stands in another one too

    def build(self, input_shape):
        for i, branch in enumerate(self.branches):
            self.build_part(branch, i, tuple(input_shape))
        self._again, self._tried, self._reversed = repeated(self.branches), frozenset(), False
        ndim = len(self.compute_output_shape(input_shape))
        along_time = self.join == "concat" and self.axis % ndim < ndim - 1
        self.changes_mask = self.changes_mask or along_time

    def parts(self):
        return "branch", self.branches

    def check_input(self, shape):
        for branch in self.branches:
            branch.check_input(shape)

    def compute_output_shape(self, input_shape):
        shapes = [tuple(branch.compute_output_shape(input_shape)) for branch in self.branches]
        concat = self.join == "concat"
        try:
            if concat or len(set(shapes)) == 1:  # branches are not stretched to each other
                return self._merging.compute_output_shape(tuple(shapes))
            refused = None
        except ValueError as error:
            refused = error
        along = (
            f" along axis {self.axis}, which is to be one of theirs and not the batch"
            if concat
            else ""
        )
        raise ValueError(
            f"{type(self).__name__} cannot {self.join} branches of shapes "
            + " and ".join(show_shape(shape[1:]) for shape in shapes)
            + along
        ) from refused

    @short_for("propagate")
    def multiply_adds(self, input_shape) -> Count:
        return plus(branch.multiply_adds(input_shape) for branch in self.branches)

    def propagate(self, x, ctx) -> Any:
        if not self.built:
            raise ValueError(f"{self.name} cannot run{NOT_BUILT}")
        outputs, caches, masks = [], [], []
        tried = ctx.training in self._tried
        for i, branch in enumerate(self.branches):
            try:
                b, cache, mask = branch.propagate(x, ctx) if tried else branch.try_out(x, ctx)
            except Exception as error:
                raise self.located(error, i, f"{show_shape(x.shape[1:])} {x.dtype}") from error
            outputs.append(b)
            caches.append(cache if ctx.backward else None)
            masks.append(mask)
        if not tried:
            self._tried |= {ctx.training}
        some = tuple(masks) if any(mask is not None for mask in masks) else None
        merged: Any = tuple(outputs)
        y, joined, mask = self._merging.propagate(merged, ctx.with_mask(some))
        return y, (caches, joined), mask

    @property
    def can_step(self):
        in_place = self.join != "concat" or self.axis == -1  # and not along the time
        return in_place and all(branch.can_step for branch in self.branches)

    def step(self, x, memory) -> Any:
        before = memory or [None] * len(self.branches)
        found = [b.step(x, m) for b, m in zip(self.branches, before, strict=True)]
        y, _ = self._merging.forward(tuple([y for y, _ in found]))
        return y, [m for _, m in found]

    def backward(self, dy, cache) -> Any:
        return total(self._reverse(dy, cache, Layer.backward.__name__))

    def backward_params(self, dy, cache):
        self._reverse(dy, cache, Layer.backward_params.__name__)

    def _reverse(self, dy, cache, call: str) -> list[Any]:
        """What each branch's method `call` returns for its own dbᵢ."""
        caches, joined = cache
        passed: list[Any] = []
        again: list[tuple[Parameter, Array]] = []
        dbs = self._merging.backward(dy, joined)
        for i, (branch, db) in enumerate(zip(self.branches, dbs, strict=True)):
            try:
                dx = getattr(branch, call)(db, caches[i])
                if call == Layer.backward.__name__:
                    passed.append(dx if self._reversed else came_back(branch, dx, self.build_shape))
            except Exception as error:
                raise self.located_back(error, i, db) from error
            again += [(p, p.gradient.copy()) for p in self._again[i]]
        if passed and not self._reversed:
            self._reversed = True
        add_up(again)
        return passed


class Residual(Parallel):
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

    decides = ("branches", "join", "axis")

    def __init__(self, layers, shortcut=None, activation=None, **kwargs):
        own = branch_of(layers, "Residual", "layers")
        short = Linear() if shortcut is None else branch_of(shortcut, "Residual", "shortcut")
        super().__init__([own, short], "add", **kwargs)
        self.activation = layer_of("linear" if activation is None else activation)

    def build(self, input_shape):
        super().build(input_shape)
        build_activation(self.activation, self.compute_output_shape(input_shape))

    @short_for("propagate")
    def multiply_adds(self, input_shape) -> Count:
        return plus(branch.multiply_adds(input_shape) for branch in self.branches)

    def propagate(self, x, ctx):
        z, branches, mask = super().propagate(x, ctx)
        y, a, mask = self.activation.propagate(z, ctx.with_mask(mask))
        return y, (branches, a), mask

    @property
    def can_step(self):
        return super().can_step and self.activation.time_local

    def step(self, x, memory):
        z, memory = super().step(x, memory)
        return self.activation.step(z, None)[0], memory

    def _reverse(self, dy, cache, call):
        branches, a = cache
        return super()._reverse(self.activation.backward(dy, a), branches, call)
