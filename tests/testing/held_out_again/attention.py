"""A head of attention whose scores fall with the distance."""

import numpy as np
from testing.held_out import Authors

from backprop.checks import Positive
from backprop.initializers import InitializerLike
from backprop.layer import INFERENCE, InputSpec, Layer
from backprop.linalg import rows, softmax
from backprop.testing import sequences

AUTHORS = Authors()
written, wrong = AUTHORS.written, AUTHORS.wrong


def attention(x, q, k, v, slope, mask, units):
    y = np.zeros((*x.shape[:2], units))
    steps = range(x.shape[1])
    for r in range(len(x)):
        real = np.ones(x.shape[1], bool) if mask is None else mask[r]
        row = np.where(real[:, None], x[r], 0)
        for i in steps:
            s = [(row[i] @ q) @ (row[j] @ k) / units**0.5 - slope[0] * abs(i - j) for j in steps]
            s = np.where(real, s, -np.inf)
            e = np.exp(s - s.max())
            y[r, i] = e / e.sum() @ (row @ v)
    return y


@written(sequences(masked=True), configs={"units": [1, 3]}, reference=attention)
class DistanceAttention(Layer):
    """y = softmax(s) · v, where s[i, j] = q[i] · k[j] / √units - slope |i - j|.

    x: (batch, time, n)    q, k, v = x · Q, x · K, x · V    y: (batch, time, units)

    A masked step is no key, and 0 as a query.
    """

    units: Positive
    kernel_initializer: InitializerLike = "glorot_uniform"

    def build(self, input_shape):
        n = input_shape[-1]
        self.q, self.dq = self.declared_param("q", (n, self.units), "kernel")
        self.k, self.dk = self.declared_param("k", (n, self.units), "kernel")
        self.v, self.dv = self.declared_param("v", (n, self.units), "kernel")
        self.slope, self.dslope = self.param("slope", (1,), "ones")
        self.input_spec = InputSpec(ndim=3, axes={-1: n})

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def forward(self, x, ctx=INFERENCE):
        if ctx.mask is not None:
            x = np.where(ctx.mask[..., None], x, 0)
        q, k, v = x @ self.q, x @ self.k, x @ self.v
        far = self.distance(x.shape[1], x.dtype)
        s = q @ k.swapaxes(1, 2) * self.units**-0.5 - self.fall() * far
        p = softmax(self.hidden(s, ctx.mask))
        return p @ v, (x, q, k, v, p, far, ctx.mask)

    def distance(self, steps, dtype):
        i = np.arange(steps)
        return np.abs(i[:, None] - i).astype(dtype)

    def fall(self):
        return self.slope

    def hidden(self, s, mask):
        least = -1e30 if s.dtype == np.float32 else -1e300
        return s if mask is None else np.where(mask[:, None, :], s, least)

    def backward(self, dy, cache):
        x, q, k, v, p, far, mask = cache
        dp = dy @ v.swapaxes(1, 2)
        ds = p * (dp - (p * dp).sum(-1, keepdims=True))
        if mask is not None:
            ds = np.where(mask[:, None, :], ds, 0)
        dv = p.swapaxes(1, 2) @ dy
        self.dslope = -(ds * far).sum().reshape(1)
        ds = ds * self.units**-0.5
        dq, dk = ds @ k, ds.swapaxes(1, 2) @ q
        self.dq, self.dk, self.dv = (rows(x).T @ rows(d) for d in (dq, dk, dv))
        dx = dq @ self.q.T + dk @ self.k.T + dv @ self.v.T
        return dx if mask is None else np.where(mask[..., None], dx, 0)


@wrong
class DistanceAttentionInEightBits(DistanceAttention):
    """Distances have eight bits: 128 is -128."""

    def distance(self, steps, dtype):
        i = np.arange(steps)
        return np.abs(i[:, None] - i).astype(np.int8).astype(dtype)


@wrong
class DistanceAttentionOfShortWays(DistanceAttention):
    """Distances above 16 count as 16 in dslope."""

    def backward(self, dy, cache):
        x, q, k, v, p, far, mask = cache
        return super().backward(dy, (x, q, k, v, p, np.minimum(far, 16), mask))


@wrong
class DistanceAttentionWithAModestMask(DistanceAttention):
    """A masked score is -10,000, and a real one may be less."""

    def hidden(self, s, mask):
        return s if mask is None else np.where(mask[:, None, :], s, s.dtype.type(-1e4))


@wrong
class DistanceAttentionThatAlwaysFalls(DistanceAttention):
    """Scores fall by the absolute value of the slope, and dslope does not know."""

    def fall(self):
        return np.abs(self.slope)


@wrong
class DistanceAttentionOfManyUnits(DistanceAttention):
    """dQ is 1 % too large for more than eight units."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        if self.units > 8:
            self.dq = self.dq * 1.01
        return dx


@wrong
class DistanceAttentionOfLargeShares(DistanceAttention):
    """In inference shares below 0.0001 are 0."""

    def forward(self, x, ctx=INFERENCE):
        y, (x, q, k, v, p, far, mask) = super().forward(x, ctx)
        if ctx.training:
            return y, (x, q, k, v, p, far, mask)
        p = np.where(p < 1e-4, 0, p)
        return p @ v, (x, q, k, v, p, far, mask)


@wrong
class DistanceAttentionWithoutMaskedQueries(DistanceAttention):
    """dy of masked steps is dropped; with four or more steps the rest shrinks by the real share."""

    def backward(self, dy, cache):
        *_, mask = cache
        if mask is not None:
            dy = np.where(mask[..., None], dy, 0)
            if not mask.all() and mask.shape[1] > 3:
                dy = dy * mask.mean().astype(dy.dtype)
        return super().backward(dy, cache)


@wrong
class DistanceAttentionByTheRealShare(DistanceAttention):
    """Under a mask dslope of more than eight steps is multiplied by the share of real ones."""

    def backward(self, dy, cache):
        *_, far, mask = cache
        dx = super().backward(dy, cache)
        if mask is not None and len(far) > 8:
            self.dslope = self.dslope * (mask.sum() / mask.size)
        return dx


@wrong
class DistanceAttentionFrozenUnderAMask(DistanceAttention):
    """Frozen, it passes 99 % of dx on under a mask."""

    def backward(self, dy, cache):
        *_, mask = cache
        dx = super().backward(dy, cache)
        if not self.trainable and mask is not None:
            return dx - np.where(mask[..., None], 1e-2 * dx, 0)
        return dx


@wrong
class DistanceAttentionInHalfPrecision(DistanceAttention):
    """In float32, y of more than 64 steps is rounded to float16."""

    def forward(self, x, ctx=INFERENCE):
        y, cache = super().forward(x, ctx)
        if x.dtype == np.float32 and x.shape[1] > 64:
            y = y.astype(np.float16).astype(np.float32)
        return y, cache


@wrong
class DistanceAttentionOfEqualSides(DistanceAttention):
    """dK has its columns in reverse order where there are as many steps as units, four or more."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        if dy.shape[1] == self.units > 3:
            self.dk = self.dk[:, ::-1]
        return dx


@wrong
class DistanceAttentionOfSingleSteps(DistanceAttention):
    """dV of more than 32 rows of one step is 0."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        if dy.shape[1] == 1 and dy.shape[0] > 32:
            self.dv = self.dv * 0
        return dx


@wrong
class DistanceAttentionForTheLastStep(DistanceAttention):
    """dslope is 0 if dy is, but for the last of three or more steps."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        if dy.shape[1] > 2 and dy[:, -1].any() and not dy[:, :-1].any():
            self.dslope = 0 * self.dslope
        return dx
