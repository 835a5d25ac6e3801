"""Normalization of each row by its root mean square."""

from __future__ import annotations

from math import prod

import numpy as np

from backprop.checks import Axes
from backprop.counts import no_products
from backprop.layer import INFERENCE, InputSpec, Layer
from backprop.layers.normalization.shared import (
    Epsilon,
    are_last,
    average,
    axes_of,
    normalized,
    normalized_backward,
    paid_back,
    shares,
)
from backprop.linalg import sum_rows
from backprop.masks import cleaned


class RMSNormalization(Layer):
    """y = scale * x̂, where x̂ = x * r and r = 1 / sqrt(⟨x²⟩ + epsilon), by row.

        x, x̂, y: (..., n)    r: (..., 1)    scale: (n,)

    No mean is taken away, so x reaches y directly and through r. With dx̂ = scale * dy and ⟨·⟩ the
    mean over the n entries of a row

        dscale = Σ dy x̂        dx = r * (dx̂ - x̂ ⟨dx̂ x̂⟩)

    Where a row goes along the time, under a mask, ⟨x²⟩ is Σ p x², with p = 1/(number of the row's
    real entries) at a real step and 0 at a masked one, and in dx p Σ stands for ⟨·⟩.

    Parameters
    ----------
    axis : int or tuple of int, default -1
        The axes of a row; `scale` has their lengths as shape.
    epsilon : float, default 1e-6
        Added to the mean square.
    **kwargs
        As in `LayerNormalization`, and so are the errors.

    References
    ----------
    Zhang, Sennrich: Root mean square layer normalization, 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import RMSNormalization
    >>> RMSNormalization(epsilon=0.0)(np.array([[3.0, -3.0], [0.0, 0.5]])).round(3)
    array([[ 1.   , -1.   ],
           [ 0.   ,  1.414]], dtype=float32)
    """

    axis: Axes = -1
    epsilon: Epsilon = 1e-6

    changeable = ("epsilon",)

    def build(self, input_shape):
        self.axes = tuple(axes_of(self, self.axis, input_shape))
        shape = tuple(input_shape[axis] for axis in self.axes)
        self.time_local = self.axes == (len(input_shape) - 1,)
        self.by_rows = are_last(self.axes, len(input_shape))
        self.scale, self.dscale = self.param("scale", shape, "ones")
        self.shape = tuple(n if i in self.axes else 1 for i, n in enumerate(input_shape))
        self.input_spec = InputSpec(
            ndim=len(input_shape), axes=dict(zip(self.axes, shape, strict=True))
        )

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        p = shares(x, ctx, self.axes)
        if p is None and self.by_rows:
            scale = self.scale.reshape(-1)
            y, xhat, r = normalized(x, self.axes, scale, None, self.epsilon, centred=False)
            return y, (xhat, r, None)
        if p is not None:  # p = 0 would not hide what is infinite
            x = cleaned(x, ctx.mask)
        r = 1 / np.sqrt(average(x * x, p, self.axes) + self.epsilon)
        xhat = x * r
        return xhat * self.scale.reshape(self.shape), (xhat, r, p)

    def backward(self, dy, cache):
        xhat, r, p = cache
        if p is None and self.by_rows:
            scale = self.scale.reshape(-1)
            dx, dscale, _ = normalized_backward(dy, xhat, r, scale, centred=False)
            self.dscale = dscale.reshape(self.scale.shape)
            return dx
        self.dscale = self._sum(dy * xhat)
        dxhat = dy * self.scale.reshape(self.shape)
        return r * (dxhat - xhat * paid_back(dxhat * xhat, p, self.axes))

    def _sum(self, v):
        """Σ over all axes but those of a row."""
        shape = [v.shape[axis] for axis in self.axes]
        others = [i for i in range(v.ndim) if i not in self.axes]
        return sum_rows(v.transpose(*others, *self.axes).reshape(-1, prod(shape))).reshape(shape)
