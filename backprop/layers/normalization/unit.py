"""Rows of length 1."""

from __future__ import annotations

from backprop.checks import Axes
from backprop.counts import no_products
from backprop.layer import INFERENCE, InputSpec, Layer
from backprop.layers.normalization.shared import axes_of
from backprop.linalg import of_length_one, of_length_one_backward
from backprop.masks import mixes, only_real

SHORTEST = 1e-12  # a row below this length is divided by it, as in Keras: 0 stays 0


class UnitNormalization(Layer):
    """y = x * r, where r = 1 / |x| and |x| = sqrt(Σ x²), by row.

        x, y: (..., n)    r: (..., 1)

    x reaches y directly and through its length, whose slope is x / |x| = y:

        dx = r * (dy - y Σ dy y)

    Where a row goes along the time, under a mask, x counts as 0 at a masked step: y and dx are 0
    there.

    A row shorter than 1e-12 is multiplied by 1e12, which is a constant: dx = 1e12 dy.

    Parameters
    ----------
    axis : int or tuple of int, default -1
        The axes of a row; one that the input has not is a ValueError.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import UnitNormalization
    >>> UnitNormalization()(np.array([[3.0, 4.0], [0.0, -2.0]]))
    array([[ 0.6,  0.8],
           [ 0. , -1. ]], dtype=float32)
    """

    axis: Axes = -1

    def build(self, input_shape):
        self.axes = tuple(axes_of(self, self.axis, input_shape))
        self.input_spec = InputSpec(ndim=len(input_shape))

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        mask = ctx.mask
        if mask is not None and not mixes(self.axes, x.ndim, mask):
            mask = None
        y, cache = of_length_one(only_real(x, mask), self.axes, SHORTEST)
        return y, (cache, mask)

    def backward(self, dy, cache):
        cache, mask = cache
        return only_real(of_length_one_backward(dy, cache), mask)
