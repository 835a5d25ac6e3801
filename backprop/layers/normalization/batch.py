"""Normalization of each channel over all rows of a batch."""

from __future__ import annotations

import operator
from math import gcd
from typing import Any

import numpy as np

from backprop.checks import fraction
from backprop.layer import INFERENCE, InputSpec
from backprop.layers.normalization.shared import Scaled, axes_of, not_negative, stretched
from backprop.linalg import sum_rows


class BatchNormalization(Scaled):
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
        self.scale_and_shift((n,))
        self.moving_mean = self.buffer("moving_mean", (n,), self.moving_mean_initializer)
        self.moving_variance = self.buffer(
            "moving_variance", (n,), self.moving_variance_initializer
        )
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: n})

    def forward(self, x, ctx=INFERENCE):
        real = None if ctx.mask is None else stretched(ctx.mask, x.shape).swapaxes(self.axis, -1)
        x = np.ascontiguousarray(x.swapaxes(self.axis, -1))
        if ctx.training and self.trainable:
            d, var, p = self._centred(x, real)
        else:
            d, var, p = x - self.moving_mean, self.moving_variance, None
        r = 1 / np.sqrt(var + self.epsilon)
        y = weighted(d, self.gamma * r if self.scale else r, self.beta if self.center else None)
        return y.swapaxes(self.axis, -1), (d, r, p)

    def backward(self, dy, cache):
        d, r, p = cache
        dy = np.ascontiguousarray(dy.swapaxes(self.axis, -1))
        dgamma, dbeta = self._sums(dy, d, r)
        a = self.gamma * r if self.scale else r
        if p is None:
            dx = dy * a
        elif np.ndim(p) == 0:
            dx = weighted(dy, a, -p * a * dbeta, d, -p * a * r * dgamma)
        else:
            dx = a * (dy - p * (dbeta + d * (r * dgamma)))
        return dx.swapaxes(self.axis, -1)

    def backward_params(self, dy, cache):
        self._sums(np.ascontiguousarray(dy.swapaxes(self.axis, -1)), *cache[:2])

    def _sums(self, dy, d, r):
        """dgamma and dbeta: what dx needs of all rows, and the gradients where they are trained."""
        products, dbeta = sums(dy, d)
        dgamma = products * r
        if self.scale:
            self.dgamma = dgamma
        if self.center:
            self.dbeta = dbeta
        return dgamma, dbeta

    def _centred(self, x, real):
        """d = x - mean, var and p of a batch, whose statistics move the moving ones."""
        if real is None:
            m = max(x.size // x.shape[-1], 1)
            d, mean, var = centred(x, m)
            p = 1 / m
        else:  # whatever stands in a masked row does not count, be it infinite
            m = np.maximum(sum_rows(real.astype(x.dtype)), 1)
            mean = sum_rows(np.where(real, x, 0)) / m
            d, p = x - mean, real / m
            var = sum_rows(np.where(real, d, 0) ** 2) / m
        if x.size:
            self.moving_mean = self.momentum * self.moving_mean + (1 - self.momentum) * mean
            self.moving_variance = self.momentum * self.moving_variance + (1 - self.momentum) * var
        return d, var, p


# Images have more numbers than fit into a cache, and a pass over them costs more than what is
# computed in it. So they are walked over in blocks that stay in the cache for all operations on
# them, and backward is left with x - mean alone: x̂ is never formed, its r goes into the factors. A
# row of 64 channels is too short for NumPy to be fast along it; as all rows are treated alike, some
# of them are taken as one.

BLOCK = 1 << 17  # numbers at a time: 512 KB of float32
LONG = 1 << 13  # numbers in a row that is long enough


def tiles(x):
    """(..., n) as (rows, k n), k rows side by side, and k; a view."""
    n = x.shape[-1]
    k = gcd(x.size // max(n, 1), 1 << max(LONG // max(n, 1), 1).bit_length() - 1)
    return x.reshape(-1 if x.size else 0, k * n), k


def blocks(t):
    """Slices of the rows of t, of about BLOCK numbers, and memory of that size."""
    step = max(BLOCK // max(t.shape[1], 1), 1)
    room = np.empty((min(step, len(t)), t.shape[1]), t.dtype)
    for i in range(0, len(t), step):
        yield slice(i, i + step), room[: len(t) - i]


def folded(sums, k):
    """Sums over tiles, as sums over rows."""
    return sums if k == 1 else sum_rows(sums.reshape(k, -1))


def centred(x, m):
    """x - mean, and mean and variance of each channel over all m rows."""
    t, k = tiles(x)
    mean = folded(sum_rows(t), k) / m
    d, squares, wide = np.empty(t.shape, t.dtype), np.zeros(t.shape[1], t.dtype), np.tile(mean, k)
    for at, square in blocks(t):
        here = np.subtract(t[at], wide, out=d[at])
        squares += sum_rows(np.multiply(here, here, out=square))
    return d.reshape(x.shape), mean, folded(squares, k) / m


def sums(x, z):
    """Σ x z and Σ x over all rows."""
    t, k = tiles(x)
    products, plain, z = *np.zeros((2, t.shape[1]), t.dtype), z.reshape(t.shape)
    for at, product in blocks(t):
        products += sum_rows(np.multiply(t[at], z[at], out=product))
        plain += sum_rows(t[at])
    return folded(products, k), folded(plain, k)


def weighted(x, a, c=None, z: Any = None, b: Any = None):
    """x * a, + z * b, + c, by channel."""
    t, k = tiles(x)
    y, a = np.empty(t.shape, t.dtype), np.tile(a, k)
    z, b = (None, None) if z is None else (z.reshape(t.shape), np.tile(b, k))
    c = None if c is None else np.tile(c, k)
    for at, product in blocks(t):
        here = np.multiply(t[at], a, out=y[at])
        if z is not None:
            here += np.multiply(z[at], b, out=product)
        if c is not None:
            here += c
    return y.reshape(x.shape)
