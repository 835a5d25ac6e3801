"""What all poolings over boxes of pixels have in common: they go axis by axis."""

from __future__ import annotations

from itertools import chain
from math import prod
from typing import NamedTuple

import numpy as np

from backprop.counts import no_products
from backprop.layer import INFERENCE, Array, Context, Shape
from backprop.layers.pooling.axes import Along, along_axis, largest, pay, spread, total
from backprop.layers.pooling.shared import Pooling
from backprop.layers.windows import beside_steps, in_order, put_back
from backprop.linalg import rows_of
from backprop.masks import only_real
from backprop.parallel import blocks, share
from backprop.tuning import POOLING_BLOCK

Axes = list[tuple[int, Along]]  # the number of each axis, and the windows along it


class Steps(NamedTuple):
    """The real steps of sequences, beside x.

    Attributes
    ----------
    real, moved : ndarray of bool
        As they lie in x, and in the order in which windows go over them.
    order : ndarray, (N, T), optional
        That order.
    axis : int
        Of the steps.
    """

    real: Array
    moved: Array
    order: Array | None
    axis: int

    def enter(self, x: Array, fill: float) -> Array:
        """x with `fill` at masked steps, as the windows want it."""
        return in_order(np.where(self.real, x, x.dtype.type(fill)), self.order, self.axis)

    def leave(self, dx: Array) -> Array:
        """The way back of `enter`."""
        return only_real(put_back(dx, self.order, self.axis), self.real)


class OverAxes(Pooling):
    """What poolings have in common whose windows are boxes: what they do with each axis.

    Under a mask of the steps of a sequence a window sees its real steps alone. Where it has none,
    y is 0, and nothing moves it. Windows lie as they do without the padding: a sequence moves
    forward by what the padding in front of it exceeds a number of strides. Images have no steps: a
    mask ends there.
    """

    _laid = None  # the windows for the lengths that it was built for

    def build(self, input_shape):
        sizes = self.sizes(input_shape)
        if None not in sizes:
            self._laid = sizes, self._numbered(sizes)

    def lay(self, sizes: Shape) -> list[Along]:
        """The windows along each axis of an image of these lengths; for a subclass to say."""
        raise TypeError(f"{type(self).__name__} has no lay(self, sizes): write one")

    def axes(self, shape: Shape) -> Axes:
        """The windows in an input of this shape."""
        sizes = self.sizes(shape)
        if self._laid is not None and self._laid[0] == sizes:
            return self._laid[1]
        return self._numbered(sizes)

    def _numbered(self, sizes: Shape) -> Axes:
        return list(enumerate(self.lay(sizes), self.first_axis))

    def check_input(self, shape):
        super().check_input(shape)
        self.compute_output_shape(shape)

    def obeys_mask(self, x, mask):
        return mask.ndim == 1

    def steps(self, x: Array, ctx: Context) -> Steps | None:
        """Which steps of a sequence are real, and how the windows want them; None without a
        mask."""
        if ctx.mask is None or self.places > 1:
            return None
        axis = self.first_axis
        real = self.real_steps(x.swapaxes(1, axis), ctx.mask)
        moved, order = self.aligned(real)
        return Steps(beside_steps(real, axis), beside_steps(moved, axis), order, axis)

    def aligned(self, real: Array) -> tuple[Array, Array | None]:
        """As `Windows.aligned`."""
        return real, None

    def among(self, steps: Steps, axes: Axes) -> Array:
        """How many real steps each window has, beside y."""
        ((axis, along),) = axes
        return total(steps.moved.astype(np.intp), axis, along)


class MaxOverAxes(OverAxes):
    """y = the largest pixel of each window, axis by axis, with some images at a time."""

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        axes, steps = self.axes(x.shape)[::-1], self.steps(x, ctx)
        if steps is not None:
            x = steps.enter(x, -np.inf)

        def work(part: slice) -> list:
            # an empty batch has a y too
            pieces = list(blocks(part, rows_of(x, POOLING_BLOCK))) or [part]
            return [(at, *self.pool(x[at], axes, ctx.backward)) for at in pieces]

        pieces = chain.from_iterable(share(work, len(x), rows_of(x, POOLING_BLOCK), follow=True))
        images, ys, winners = zip(*pieces, strict=True)
        y = ys[0] if len(ys) == 1 else np.concatenate(ys)
        if steps is not None:
            y = only_real(y, self.among(steps, axes) > 0)
        return y, (x.shape, list(zip(images, winners, strict=True)), steps)

    def backward(self, dy, cache):
        shape, pieces, steps = cache
        dx = np.empty(shape, dy.dtype)

        def work(part: slice) -> None:
            for images, winners in pieces[part]:
                dx[images] = self.pay(dy[images], winners)

        share(work, len(pieces), follow=True)
        return dx if steps is None else steps.leave(dx)

    def pool(self, x: Array, axes: Axes, keep: bool) -> tuple[Array, list]:
        """y of some images, and the winners along each axis."""
        winners = []
        for axis, along in axes:
            x, winner = largest(x, axis, along, keep)
            winners.append((axis, along, winner))
        return x, winners

    def pay(self, dy: Array, winners: list) -> Array:
        """dx of some images."""
        for axis, along, winner in reversed(winners):
            dy = pay(dy, axis, along, winner)
        return dy


class MeanOverAxes(OverAxes):
    """y = the mean of each window's pixels: their sum, axis by axis, divided by their number."""

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        axes, steps = self.axes(x.shape), self.steps(x, ctx)
        y = x if steps is None else steps.enter(x, 0)
        for axis, along in reversed(axes):
            y = total(y, axis, along)
        m = self._m(axes, y.ndim, y.dtype)
        if steps is not None:
            m = np.maximum(self.among(steps, axes), 1).astype(y.dtype)
        y /= m
        return y, (axes, m, steps)

    def backward(self, dy, cache):
        axes, m, steps = cache
        dy = dy / m
        for axis, along in axes:
            dy = spread(dy, axis, along)
        return dy if steps is None else steps.leave(dy)

    def _m(self, axes: Axes, ndim: int, dtype):
        """The number of pixels in each window: of one axis' times of the other's."""
        lengths = [along_axis(along.lengths, axis, ndim) for axis, along in axes]
        if all((length == length.flat[0]).all() for length in lengths):
            return dtype.type(prod(int(length.flat[0]) for length in lengths))
        return np.asarray(prod(lengths), dtype)
