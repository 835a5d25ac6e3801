"""What all poolings over boxes of pixels have in common: they go axis by axis."""

from __future__ import annotations

from math import prod

import numpy as np

from backprop.layer import INFERENCE, Layer, Shape
from backprop.layers.pooling.axes import Along, along_axis, largest, pay, spread, total
from backprop.layers.windows import shape_last

Axes = list[tuple[int, Along]]  # the number of each axis, and the windows along it


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
        raise NotImplementedError

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
    """y = the largest pixel of each window, axis by axis."""

    def forward(self, x, ctx=INFERENCE):
        y, winners = x, []
        for axis, along in reversed(self.axes(x.shape)):
            y, winner = largest(y, axis, along, keep=ctx.backward)
            winners.append((axis, along, winner))
        return y, winners

    def backward(self, dy, cache):
        for axis, along, winner in reversed(cache):
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
