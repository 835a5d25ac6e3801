"""A layer of several inputs and outputs as one of a single row of numbers, for checks that know one
input."""

import numpy as np

from backprop.layer import INFERENCE, Layer
from backprop.nest import as_tuple


class Packed(Layer):
    """y = [y₁ y₂ …] of a layer, flat, for a flat x = [x₁ x₂ …] of inputs of these shapes."""

    def __init__(self, layer, shapes):
        super().__init__()
        self.layer, self.shapes = layer, shapes
        self.build_shape, self.built = (None,), True

    def forward(self, x, ctx=INFERENCE):
        y, cache = self.layer.forward(unpacked(x, self.shapes), ctx)
        shapes = [a.shape for a in as_tuple(y)]
        return packed(y), (cache, shapes)

    def backward(self, dy, cache):
        cache, shapes = cache
        return packed(self.layer.backward(unpacked(dy, shapes), cache))


def packed(arrays):
    return np.concatenate([a.ravel() for a in as_tuple(arrays)])


def unpacked(x, shapes):
    ends = np.cumsum([0, *(np.prod(shape, dtype=int) for shape in shapes)])
    parts = tuple(x[a:b].reshape(s) for a, b, s in zip(ends, ends[1:], shapes, strict=False))
    return parts if len(parts) > 1 else parts[0]
