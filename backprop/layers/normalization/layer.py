"""Normalization of each row by itself."""

from __future__ import annotations

from math import prod

import numpy as np

from backprop.checks import Axes
from backprop.counts import no_products
from backprop.layer import INFERENCE, InputSpec, Layer
from backprop.layers.normalization.shared import (
    Scaled,
    are_last,
    average,
    axes_of,
    normalized,
    normalized_backward,
    paid_back,
    shares,
)
from backprop.linalg import ones, sum_rows
from backprop.masks import cleaned


class OfRootMeanSquares(Layer, kw_only=True):
    """An argument that is given by keyword alone."""

    rms_scaling: bool = False


class LayerNormalization(Scaled, OfRootMeanSquares):
    """y = gamma * x̂ + beta, where x̂ = (x - mean) * r and r = 1 / sqrt(var + epsilon), by row.

        x, x̂, y: (..., n)    mean, var, r: (..., 1)    gamma, beta: (n,)

    x reaches y directly, through the mean and through the variance. With dx̂ = gamma * dy
    and ⟨·⟩ the mean over the n entries of a row, the three paths add up to

        dgamma = Σ dy x̂        dbeta = Σ dy        dx = r * (dx̂ - ⟨dx̂⟩ - x̂ ⟨dx̂ x̂⟩)

    With `rms_scaling` the mean is left in, x̂ = x * r, and there is no beta. r is the same, so only
    the second path is gone:

        dx = r * (dx̂ - (x̂ - ⟨x̂⟩) ⟨dx̂ x̂⟩)

    Where a row goes along the time, under a mask, the means of x are Σ p x, with p = 1/(number of
    the row's real entries) at a real step and 0 at a masked one, which is normalised and does not
    count. In dx, p Σ stands for ⟨·⟩ then, but for that of x̂.

    Parameters
    ----------
    axis : int or tuple of int, default -1
        The axes of a row; gamma and beta have their lengths as shape.
    epsilon : float, default 1e-3
        Added to the variance.
    center, scale : bool, default True
        Whether there is a beta, a gamma.
    beta_initializer, gamma_initializer : str or Initializer
        Defaults: zeros and ones.
    beta_regularizer, gamma_regularizer : str or Regularizer, optional
    beta_constraint, gamma_constraint : str or Constraint, optional
    rms_scaling : bool, default False
        As in Keras: divide by the standard deviation without taking the mean away.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        Where the input has no such axis, or has another length there than the layer was built for.

    References
    ----------
    Ba, Kiros, Hinton: Layer normalization, 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import LayerNormalization
    >>> LayerNormalization(epsilon=0.0)(np.array([[1.0, 3.0], [0.0, 8.0]]))
    array([[-1.,  1.],
           [-1.,  1.]], dtype=float32)
    """

    axis: Axes = -1

    def __post_init__(self):
        self.center = self.center and not self.rms_scaling
        self.scale = self.scale or self.rms_scaling

    def build(self, input_shape):
        axes = axes_of(self, self.axis, input_shape)
        shape = tuple(input_shape[axis] for axis in axes)
        self.scale_and_shift(shape)
        self.axes = tuple(axes)
        self.time_local = self.axes == (len(input_shape) - 1,)
        self.by_rows = are_last(self.axes, len(input_shape)) and not self.rms_scaling
        self.shape = tuple(
            n if i in axes else 1 for i, n in enumerate(input_shape)
        )  # of gamma beside x
        self.input_spec = InputSpec(ndim=len(input_shape), axes=dict(zip(axes, shape, strict=True)))

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        p = shares(x, ctx, self.axes)
        if p is None and self.by_rows:
            beta = self.beta.reshape(-1) if self.center else None
            y, xhat, r = normalized(x, self.axes, self._gamma(x.dtype), beta, self.epsilon)
            return y, (xhat, r, None)
        if p is not None:  # p = 0 would not hide what is infinite
            x = cleaned(x, ctx.mask)
        centred = x - average(x, p, self.axes)
        r = 1 / np.sqrt(average(centred * centred, p, self.axes) + self.epsilon)
        xhat = np.multiply(x if self.rms_scaling else centred, r, out=centred)
        y = xhat * self._gamma(x.dtype).reshape(self.shape)
        if self.center:
            y += self.beta.reshape(self.shape)
        return y, (xhat, r, p)

    def backward(self, dy, cache):
        xhat, r, p = cache
        if p is None and self.by_rows:
            dx, dgamma, dbeta = normalized_backward(dy, xhat, r, self._gamma(dy.dtype))
        else:
            dx, dgamma, dbeta = self._backward(dy, xhat, r, p)
        if self.scale:
            self.dgamma = dgamma.reshape(self.gamma.shape)
        if self.center:
            self.dbeta = dbeta.reshape(self.beta.shape)
        return dx

    def _backward(self, dy, xhat, r, p):
        """dx, dgamma and dbeta where rows do not lie one behind the other, or under a mask."""
        dxhat = dy * self._gamma(dy.dtype).reshape(self.shape)
        slope = paid_back(dxhat * xhat, p, self.axes)
        if self.rms_scaling:
            dx = dxhat - (xhat - average(xhat, p, self.axes)) * slope
        else:
            dx = dxhat - paid_back(dxhat, p, self.axes) - xhat * slope
        return dx * r, self._sum(dy * xhat), self._sum(dy)

    def _gamma(self, dtype):
        """gamma, or ones for it, as a vector."""
        return self.gamma.reshape(-1) if self.scale else ones(prod(self.shape), dtype)

    def _sum(self, v):
        """Σ over all axes but those of a row."""
        shape = [v.shape[axis] for axis in self.axes]
        others = [i for i in range(v.ndim) if i not in self.axes]
        return sum_rows(v.transpose(*others, *self.axes).reshape(-1, prod(shape))).reshape(shape)
