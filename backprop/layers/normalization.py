"""Normalization layers: mean 0 and variance 1, then a scale and a shift that are learned."""

from __future__ import annotations

import operator
from math import prod
from typing import Any

import numpy as np

from backprop.checks import fraction
from backprop.layer import INFERENCE, InputSpec, Layer, show_shape
from backprop.linalg import mean, sum_rows


class BatchNormalization(Layer):
    """y = gamma * x̂ + beta, where x̂ = (x - mean) * r and r = 1 / sqrt(var + epsilon), by channel.

        x, x̂, y: (..., n)    mean, var, r, gamma, beta: (n,)

    In training, mean and var are those of the batch: mean = Σ p x and var = Σ p (x - mean)² over
    all m rows, with p = 1/m. Under a mask, p = 1/(number of real rows) at a real row and 0 at a
    masked one. So every row reaches every other row's y, through the mean and through the variance.
    With dy = dL/dy, and all sums over rows:

        dgamma = Σ dy x̂        dbeta = Σ dy        dx = gamma r (dy - p (dbeta + x̂ dgamma))

    In inference, and where the layer is not trainable, mean and var are the moving ones, which are
    constants: p = 0 above. Each batch of training moves them, the variance like the mean:

        moving_mean = momentum * moving_mean + (1 - momentum) * mean

    Parameters
    ----------
    axis : int, default -1
        The axis of the channels.
    momentum : float, default 0.99
        From 0 to 1.
    epsilon : float, default 1e-3
        Added to the variance.
    center, scale : bool, default True
        Whether there is a beta, a gamma.
    beta_initializer, gamma_initializer : str or Initializer
        Defaults: zeros and ones.
    moving_mean_initializer, moving_variance_initializer : str or Initializer
        Defaults: zeros and ones.
    beta_regularizer, gamma_regularizer : str or Regularizer, optional
    beta_constraint, gamma_constraint : str or Constraint, optional
    renorm, renorm_clipping, renorm_momentum, synchronized
        Of Keras, and not offered: anything but the defaults is an error.
    **kwargs
        `trainable`, `dtype`, `name` of every `Layer`.

    Raises
    ------
    ValueError
        Where the input has no such axis, or has another length there than the layer was built for.

    References
    ----------
    Ioffe, Szegedy: Batch normalization: accelerating deep network training by reducing internal
    covariate shift, 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import BatchNormalization
    >>> norm = BatchNormalization(epsilon=0.0, momentum=0.5)
    >>> norm(np.array([[1.0], [3.0]]), training=True)
    array([[-1.],
           [ 1.]], dtype=float32)
    >>> norm.moving_mean
    array([1.], dtype=float32)
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
        renorm: bool = False,
        renorm_clipping=None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if renorm or renorm_clipping is not None or synchronized:
            raise ValueError(
                "BatchNormalization does not offer batch renormalization (renorm, renorm_clipping) "
                "or synchronized statistics; leave these arguments out"
            )
        self.axis = operator.index(axis)
        self.momentum = fraction(momentum, "BatchNormalization", "momentum")
        self.epsilon = not_negative(epsilon, "BatchNormalization", "epsilon")
        self.center = center
        self.scale = scale
        self.beta_initializer = beta_initializer
        self.gamma_initializer = gamma_initializer
        self.moving_mean_initializer = moving_mean_initializer
        self.moving_variance_initializer = moving_variance_initializer
        self.beta_regularizer = beta_regularizer
        self.gamma_regularizer = gamma_regularizer
        self.beta_constraint = beta_constraint
        self.gamma_constraint = gamma_constraint

    def build(self, input_shape):
        n = input_shape[axes_of(self, self.axis, input_shape)[0]]
        if self.scale:
            self.gamma, self.dgamma = self.param(
                "gamma",
                (n,),
                self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
            )
        if self.center:
            self.beta, self.dbeta = self.param(
                "beta",
                (n,),
                self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
            )
        self.moving_mean = self.buffer("moving_mean", (n,), self.moving_mean_initializer)
        self.moving_variance = self.buffer(
            "moving_variance", (n,), self.moving_variance_initializer
        )
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: n})

    def forward(self, x, ctx=INFERENCE):
        real = None if ctx.mask is None else stretched(ctx.mask, x.shape).swapaxes(self.axis, -1)
        x = x.swapaxes(self.axis, -1)
        if ctx.training and self.trainable:
            xhat, var, p = self._centred(x, real)
        else:
            xhat, var, p = x - self.moving_mean, self.moving_variance, None
        r = 1 / np.sqrt(var + self.epsilon)
        xhat *= r
        y = self.gamma * xhat if self.scale else xhat
        y = y + self.beta if self.center else y
        return y.swapaxes(self.axis, -1), (xhat, r, p)

    def backward(self, dy, cache):
        xhat, r, p = cache
        dy = dy.swapaxes(self.axis, -1)
        dgamma, dbeta = sum_rows(dy * xhat), sum_rows(dy)
        if self.scale:
            self.dgamma = dgamma
            r = self.gamma * r
        if self.center:
            self.dbeta = dbeta
        dx = r * (dy if p is None else dy - p * (dbeta + xhat * dgamma))
        return dx.swapaxes(self.axis, -1)

    def _centred(self, x, real):
        """x - mean, var and p of a batch, whose statistics move the moving ones."""

        def total(v):  # whatever stands in a masked row does not count, be it infinite
            return sum_rows(v if real is None else np.where(real, v, 0))

        m = max(x.size // x.shape[-1], 1) if real is None else np.maximum(total(np.ones_like(x)), 1)
        mean = total(x) / m
        xhat = x - mean
        var = total(xhat * xhat) / m
        if x.size:
            self.moving_mean = self.momentum * self.moving_mean + (1 - self.momentum) * mean
            self.moving_variance = self.momentum * self.moving_variance + (1 - self.momentum) * var
        return xhat, var, (1 if real is None else real) / m


class LayerNormalization(Layer):
    """y = gamma * x̂ + beta, where x̂ = (x - mean) * r and r = 1 / sqrt(var + epsilon), by row.

        x, x̂, y: (..., n)    mean, var, r: (..., 1)    gamma, beta: (n,)

    x reaches y directly, through the mean and through the variance. With dx̂ = gamma * dy
    and ⟨·⟩ the mean over the n entries of a row, the three paths add up to

        dgamma = Σ dy x̂        dbeta = Σ dy        dx = r * (dx̂ - ⟨dx̂⟩ - x̂ ⟨dx̂ x̂⟩)

    With `rms_scaling` the mean is left in, x̂ = x * r, and there is no beta. r is the same, so only
    the second path is gone:

        dx = r * (dx̂ - (x̂ - ⟨x̂⟩) ⟨dx̂ x̂⟩)

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
    **kwargs
        `trainable`, `dtype`, `name` of every `Layer`.

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

    def __init__(
        self,
        axis: Any = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
        *,
        rms_scaling: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.axis = (
            tuple(map(operator.index, axis))
            if isinstance(axis, list | tuple)
            else operator.index(axis)
        )
        self.epsilon = not_negative(epsilon, "LayerNormalization", "epsilon")
        self.rms_scaling = rms_scaling
        self.center = center and not rms_scaling
        self.scale = scale or rms_scaling
        self.beta_initializer = beta_initializer
        self.gamma_initializer = gamma_initializer
        self.beta_regularizer = beta_regularizer
        self.gamma_regularizer = gamma_regularizer
        self.beta_constraint = beta_constraint
        self.gamma_constraint = gamma_constraint

    def build(self, input_shape):
        axes = axes_of(self, self.axis, input_shape)
        shape = tuple(input_shape[axis] for axis in axes)
        if self.scale:
            self.gamma, self.dgamma = self.param(
                "gamma",
                shape,
                self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
            )
        if self.center:
            self.beta, self.dbeta = self.param(
                "beta",
                shape,
                self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
            )
        self.axes = tuple(axes)
        self.shape = tuple(
            n if i in axes else 1 for i, n in enumerate(input_shape)
        )  # of gamma beside x
        self.input_spec = InputSpec(ndim=len(input_shape), axes=dict(zip(axes, shape, strict=True)))

    def forward(self, x, ctx=INFERENCE):
        centred = x - mean(x, self.axes)
        r = 1 / np.sqrt(mean(centred * centred, self.axes) + self.epsilon)
        xhat = (x if self.rms_scaling else centred) * r
        y = self.gamma.reshape(self.shape) * xhat if self.scale else xhat
        y = y + self.beta.reshape(self.shape) if self.center else y
        return y, (xhat, r)

    def backward(self, dy, cache):
        xhat, r = cache
        dxhat = dy
        if self.scale:
            self.dgamma = self._sum(dy * xhat)
            dxhat = self.gamma.reshape(self.shape) * dy
        if self.center:
            self.dbeta = self._sum(dy)
        slope = mean(dxhat * xhat, self.axes)
        if self.rms_scaling:
            return r * (dxhat - (xhat - mean(xhat, self.axes)) * slope)
        return r * (dxhat - mean(dxhat, self.axes) - xhat * slope)

    def _sum(self, v):
        """Σ over all axes but those of a row."""
        shape = [v.shape[axis] for axis in self.axes]
        others = [i for i in range(v.ndim) if i not in self.axes]
        return sum_rows(v.transpose(*others, *self.axes).reshape(-1, prod(shape))).reshape(shape)


def axes_of(layer: Layer, axis, shape) -> list[int]:
    """The axis or axes, counted from the front and in order."""
    ndim = len(shape)
    wanted = axis if isinstance(axis, tuple) else (axis,)
    axes = sorted({a % ndim for a in wanted})
    if not all(-ndim <= a < ndim for a in wanted) or len(axes) < len(wanted) or 0 in axes:
        raise ValueError(
            f"{layer!r} expects inputs with its axes {axis}, each once and beside the batch, and "
            f"got {show_shape(shape[1:])}"
        )
    return axes


def not_negative(value, who: str, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not value >= 0:
        raise ValueError(f"{who} expects {name} to be a number that is not negative, got {value!r}")
    return float(value)


def stretched(mask, shape):
    """A mask of the leading axes over all entries of an array of `shape`: a view."""
    return np.broadcast_to(mask.reshape(mask.shape + (1,) * (len(shape) - mask.ndim)), shape)
