"""Activations within the loop over time, written over what they are applied to.

    value(z, out)          out = f(z); returns what going back needs besides f(z)
    slope(y, out)          out = f'(z) where it follows from y = f(z), else 1
    rest(d, kept)          d, which has been multiplied by the slope, becomes the gradient of z

z: any shape. The sigmoid and tanh of a gate are a few passes over memory that is in the cache
anyway, and their slopes can be had for many steps at once; every other activation runs as the layer
that it is, step by step.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.layer import Array, Layer
from backprop.layers.activations import Sigmoid, Tanh
from backprop.linalg import sigmoid


class BySlope:
    """What goes back by its slope alone."""

    def rest(self, d: Array, kept: None) -> None:
        pass


class InPlaceTanh(BySlope):
    """y = tanh(z), and f'(z) = 1 - y²."""

    def value(self, z: Array, out: Array) -> None:
        np.tanh(z, out=out)

    def slope(self, y: Array, out: Array) -> None:
        np.multiply(y, y, out=out)
        np.subtract(1, out, out=out)


class InPlaceSigmoid(BySlope):
    """y = (1 + tanh(z / 2)) / 2, and f'(z) = y (1 - y)."""

    def value(self, z: Array, out: Array) -> None:
        if z.dtype == np.float64:
            out[...] = sigmoid(z)  # by exp, which is as exact far below 0 as elsewhere
            return
        np.multiply(z, 0.5, out=out)
        np.tanh(out, out=out)
        out *= 0.5
        out += 0.5

    def slope(self, y: Array, out: Array) -> None:
        np.subtract(1, y, out=out)
        out *= y


class InPlaceLayer:
    """Any activation, by its layer, which wants the units along the last axis; here they are along
    `axis`."""

    def __init__(self, layer: Layer, axis: int):
        self.layer = layer
        self.axis = axis

    def value(self, z: Array, out: Array) -> Any:
        y, kept = self.layer.forward(np.array(z.swapaxes(self.axis, -1), order="C"))
        out[...] = y.swapaxes(self.axis, -1)
        return kept

    def slope(self, y: Array, out: Array) -> None:
        out[...] = 1

    def rest(self, d: Array, kept: Any) -> None:
        d[...] = self.layer.backward(d.swapaxes(self.axis, -1), kept).swapaxes(self.axis, -1)


InPlace = InPlaceTanh | InPlaceSigmoid | InPlaceLayer


def in_place(layer: Layer, axis: int) -> InPlace:
    """The fast form of an activation where there is one."""
    if type(layer).finish is Tanh.finish:  # and not that of a subclass with a forward of its own
        return InPlaceTanh()
    is_sigmoid = type(layer).finish is Sigmoid.finish
    return InPlaceSigmoid() if is_sigmoid else InPlaceLayer(layer, axis)
