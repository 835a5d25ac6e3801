"""Normalization of each channel over all rows of a batch."""

from __future__ import annotations

from math import gcd
from typing import Any

import numpy as np

from backprop.arguments import argument
from backprop.checks import Fraction, Index
from backprop.initializers import InitializerLike
from backprop.layer import INFERENCE, InputSpec
from backprop.layers.normalization.shared import Scaled, axes_of, stretched
from backprop.linalg import rows_of, sum_rows
from backprop.parallel import blocks, share
from backprop.tuning import NORMALIZATION_BLOCK, NORMALIZATION_ROW


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

    A channel without any real row in the batch leaves them where they are.

    Parameters
    ----------
    axis : int, default -1
        The axis of the channels.
    momentum : float, default 0.99
        From 0 to 1.
    epsilon : float, default 1e-3
        Added to the variance.
    center, scale, beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer
    beta_constraint, gamma_constraint
        As in `LayerNormalization`.
    moving_mean_initializer, moving_variance_initializer : str or Initializer
        Defaults: zeros and ones.
    renorm, renorm_clipping, renorm_momentum, synchronized
        Of Keras, and not offered: anything but the defaults is an error.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

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

    axis: Index = -1
    momentum: Fraction = 0.99
    moving_mean_initializer: InitializerLike = argument(default="zeros", after="gamma_initializer")
    moving_variance_initializer: InitializerLike = argument(
        default="ones", after="moving_mean_initializer"
    )
    renorm: bool = argument(default=False, after="gamma_constraint")
    renorm_clipping: Any = argument(default=None, after="renorm")
    renorm_momentum: float = argument(default=0.99, after="renorm_clipping")
    synchronized: bool = argument(default=False, after="renorm_momentum")

    changeable = ("momentum",)

    def __post_init__(self):
        renormalizes = self.renorm or self.renorm_clipping is not None
        if renormalizes or self.renorm_momentum != 0.99 or self.synchronized:
            raise ValueError(
                "BatchNormalization does not offer batch renormalization (renorm, renorm_clipping) "
                "or synchronized statistics; leave these arguments out"
            )

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
            mean, var, p = self._moments(x, real)
        else:
            mean, var, p = self.moving_mean.copy(), self.moving_variance, None
        r = 1 / np.sqrt(var + self.epsilon)
        a = self.gamma * r if self.scale else r
        y = affine(x, mean, a, self.beta if self.center else None)
        if real is not None:  # backward multiplies a masked row by 0
            x = np.where(real | np.isfinite(x), x, mean)
        return y.swapaxes(self.axis, -1), (x, mean, r, p)

    def backward(self, dy, cache):
        x, mean, r, p = cache
        dy = np.ascontiguousarray(dy.swapaxes(self.axis, -1))
        dgamma, dbeta = self._sums(dy, x, mean, r)
        a = self.gamma * r if self.scale else r
        if p is None:
            dx = dy * a
        elif np.ndim(p) == 0:
            dx = affine(x, mean, -p * a * r * dgamma, -p * a * dbeta, dy, a)
        else:
            dx = a * (dy - p * (dbeta + (x - mean) * (r * dgamma)))
        return dx.swapaxes(self.axis, -1)

    def backward_params(self, dy, cache):
        self._sums(np.ascontiguousarray(dy.swapaxes(self.axis, -1)), *cache[:3])

    def _sums(self, dy, x, mean, r):
        """dgamma and dbeta: what dx needs of all rows, and the gradients where they are trained."""
        products, dbeta = sums(dy, x, mean)
        dgamma = products * r
        if self.scale:
            self.dgamma = dgamma
        if self.center:
            self.dbeta = dbeta
        return dgamma, dbeta

    def _moments(self, x, real):
        """Mean, variance and p of a batch, whose statistics move the moving ones."""
        keep, move = self.momentum, 1 - self.momentum
        if real is None:
            mean, var = moments(x)
            p = 1 / max(x.size // x.shape[-1], 1)
        else:  # whatever stands in a masked row does not count, be it infinite
            m = sum_rows(real.astype(x.dtype))
            keep, move = np.where(m > 0, keep, 1), np.where(m > 0, move, 0)
            m = np.maximum(m, 1)
            mean = sum_rows(np.where(real, x, 0)) / m
            var = sum_rows(np.where(real, x - mean, 0) ** 2) / m
            p = real / m
        if x.size:
            self.moving_mean = keep * self.moving_mean + move * mean
            self.moving_variance = keep * self.moving_variance + move * var
        return mean, var, p


# Images have more numbers than fit into a cache, and to read them takes longer than what is made of
# them. So they are walked over in blocks, each of which is there for all operations on it, and
# nothing is kept but x. A row of 64 channels is too short for NumPy to be fast along it; as all
# rows are treated alike, some of them are taken as one.


def tiles(x):
    """(..., n) as (rows, k n), k rows side by side, and k; a view."""
    n = x.shape[-1]
    k = gcd(x.size // max(n, 1), 1 << max(NORMALIZATION_ROW // max(n, 1), 1).bit_length() - 1)
    return x.reshape(-1 if x.size else 0, k * n), k


def walk(work, t):
    """[work(slice of t's rows, memory of that size) for each], a block of numbers at a time."""
    step = rows_of(t, NORMALIZATION_BLOCK)

    def some(part):
        room = np.empty((min(step, len(t)), t.shape[1]), t.dtype)
        return [work(at, room[: at.stop - at.start]) for at in blocks(part, step)]

    return [found for part in share(some, len(t), step, follow=True) for found in part]


def folded(sums, n):
    """Sums of blocks over tiles, as sums over rows: (blocks, k n) → (n,)."""
    return sums.reshape(sums.size // n, n).sum(0)


def moments(x):
    """Mean and variance of each channel over all m rows.

    x is read once. Each block b gives the sum of its m_b rows, and the squares around its own mean:

        Σ (x - mean)² = Σ_b (Σ (x - mean_b)² + m_b (mean_b - mean)²)

    Source: T. Chan, G. Golub and R. LeVeque, "Algorithms for Computing the Sample Variance", 1983.
    """
    (t, k), n = tiles(x), x.shape[-1]
    m = max(x.size // n, 1)

    def work(at, room):
        total = sum_rows(t[at])
        d = np.subtract(t[at], total / len(room), out=room)
        return len(room), total, sum_rows(np.multiply(d, d, out=d))

    found = walk(work, t)
    counts = np.array([count for count, *_ in found], x.dtype).reshape(-1, 1, 1)
    both = np.array([both for _, *both in found], x.dtype).reshape(-1, 2, k, n)
    totals, squares = both[:, 0], both[:, 1]
    mean = totals.sum((0, 1)) / m
    return mean, (squares + counts * (totals / counts - mean) ** 2).sum((0, 1)) / m


def sums(dy, x, mean):
    """Σ dy (x - mean) and Σ dy over all rows."""
    t, k = tiles(dy)
    z, wide = tiles(x)[0], np.tile(mean, k)

    def work(at, room):
        d = np.subtract(z[at], wide, out=room)
        return sum_rows(np.multiply(t[at], d, out=d)), sum_rows(t[at])

    found = np.array(walk(work, t), x.dtype).reshape(-1, 2, t.shape[1])
    return folded(found[:, 0], x.shape[-1]), folded(found[:, 1], x.shape[-1])


def affine(x, mean, a, c=None, z: Any = None, b: Any = None):
    """(x - mean) * a, + c, + z * b, by channel."""
    t, k = tiles(x)
    y, mean, a = np.empty(t.shape, t.dtype), np.tile(mean, k), np.tile(a, k)
    c = None if c is None else np.tile(c, k)
    z, b = (None, None) if z is None else (z.reshape(t.shape), np.tile(b, k))

    def work(at, room):
        here = np.subtract(t[at], mean, out=y[at])
        here *= a
        if c is not None:
            here += c
        if z is not None:
            here += np.multiply(z[at], b, out=room)

    walk(work, t)
    return y.reshape(x.shape)
