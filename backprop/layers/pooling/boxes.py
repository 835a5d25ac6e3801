"""What all poolings over boxes of pixels have in common: they go axis by axis."""

from __future__ import annotations

from itertools import chain
from math import prod

import numpy as np

from backprop.layer import INFERENCE, Array, Layer, Shape
from backprop.layers.pooling.axes import Along, along_axis, largest, pay, spread, total
from backprop.layers.windows import shape_last
from backprop.linalg import rows_of
from backprop.parallel import blocks, share

Axes = list[tuple[int, Along]]  # the number of each axis, and the windows along it


BLOCK = 1 << 19  # numbers at a time, so that the second axis finds the first one's in the cache


class OverAxes(Layer):
    """What poolings have in common whose windows are boxes: what they do with each axis."""

    places = 2  # the number of axes between batch and channels
    data_format = "channels_last"
    _laid: tuple[Shape, Axes] | None = None  # the windows for the lengths that it was built for

    def build(self, input_shape):
        self.check_input(input_shape)
        sizes = shape_last(input_shape, self.data_format)[1:-1]
        if None not in sizes:
            self._laid = sizes, self._numbered(sizes)

    def lay(self, sizes: Shape) -> list[Along]:
        """The windows along each axis of an image of these lengths; for a subclass to say."""
        raise TypeError(f"{type(self).__name__} has no lay(self, sizes): write one")

    def axes(self, shape: Shape) -> Axes:
        """The windows in an input of this shape."""
        sizes = shape_last(shape, self.data_format)[1:-1]
        if self._laid is not None and self._laid[0] == sizes:
            return self._laid[1]
        return self._numbered(sizes)

    def _numbered(self, sizes: Shape) -> Axes:
        return list(enumerate(self.lay(sizes), 1 if self.data_format == "channels_last" else 2))

    def check_input(self, shape):
        super().check_input(shape)
        self.compute_output_shape(shape)

    def compute_mask(self, x, mask):
        return None  # the axes of y are not those of x


class MaxOverAxes(OverAxes):
    """y = the largest pixel of each window, axis by axis, with some images at a time."""

    def forward(self, x, ctx=INFERENCE):
        axes = self.axes(x.shape)[::-1]

        def work(part: slice) -> list:
            pieces = list(blocks(part, rows_of(x, BLOCK))) or [part]  # an empty batch has a y too
            return [(at, *self.pool(x[at], axes, ctx.backward)) for at in pieces]

        pieces = chain.from_iterable(share(work, len(x), rows_of(x, BLOCK), follow=True))
        images, ys, winners = zip(*pieces, strict=True)
        y = ys[0] if len(ys) == 1 else np.concatenate(ys)
        return y, (x.shape, list(zip(images, winners, strict=True)))

    def backward(self, dy, cache):
        shape, pieces = cache
        dx = np.empty(shape, dy.dtype)

        def work(part: slice) -> None:
            for images, winners in pieces[part]:
                dx[images] = self.pay(dy[images], winners)

        share(work, len(pieces), follow=True)
        return dx

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

    def forward(self, x, ctx=INFERENCE):
        axes = self.axes(x.shape)
        y = x
        for axis, along in reversed(axes):
            y = total(y, axis, along)
        y /= self._m(axes, y.ndim, y.dtype)
        return y, axes

    def backward(self, dy, axes):
        dy = dy / self._m(axes, dy.ndim, dy.dtype)
        for axis, along in axes:
            dy = spread(dy, axis, along)
        return dy

    def _m(self, axes: Axes, ndim: int, dtype):
        """The number of pixels in each window: of one axis' times of the other's."""
        lengths = [along_axis(along.lengths, axis, ndim) for axis, along in axes]
        if all((length == length.flat[0]).all() for length in lengths):
            return dtype.type(prod(int(length.flat[0]) for length in lengths))
        return np.asarray(prod(lengths), dtype)
