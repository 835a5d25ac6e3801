"""Layers that take a sequence and give what it comes to: a soft maximum, a mean and a variance."""

import numpy as np
from testing.held_out import Authors

from backprop.checks import Positive
from backprop.layer import INFERENCE, InputSpec, Layer
from backprop.testing import sequences

AUTHORS = Authors()
written, wrong = AUTHORS.written, AUTHORS.wrong


def soft_pool(x, mask, r):
    out = []
    for i, row in enumerate(x):
        kept = row if mask is None else row[mask[i]]
        if len(kept):
            top = kept.max(0)
            out.append(top + np.log(np.exp(r * (kept - top)).mean(0)) / r)
        else:
            out.append(np.zeros(x.shape[2]))
    return np.array(out)


@written(sequences(masked=True, allow_empty=True), configs={"r": [1, 2]}, reference=soft_pool)
class SoftPool(Layer):
    """y = log(mean_t exp(r x[t])) / r over real steps, 0 where there is none.

    x: (batch, time, n)    y: (batch, n)

    dx[t] = dy p[t], where p is the softmax of r x over real steps.
    """

    r: Positive = 1
    time_first = False

    def build(self, input_shape):
        self.input_spec = InputSpec(ndim=3, axes={-1: input_shape[-1]})

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[2])

    def compute_mask(self, x, mask=None):
        return None

    def forward(self, x, ctx=INFERENCE):
        real = np.ones(x.shape[:2], bool) if ctx.mask is None else ctx.mask
        real = real[..., None]
        z = np.where(real, self.r * x, -np.inf)
        top = z.max(1, keepdims=True, initial=-np.inf)
        top = np.where(np.isfinite(top), top, 0).astype(x.dtype, copy=False)
        e = np.exp(z - top)
        total = e.sum(1, keepdims=True)
        count = real.sum(1, keepdims=True)
        some = count > 0
        z = top + np.log(np.where(some, total, 1)) - np.log(np.maximum(count, 1)).astype(x.dtype)
        y = np.where(some, z, 0)
        p = e / np.where(some, total, 1)
        return (y[:, 0] / self.r).astype(x.dtype, copy=False), p

    def backward(self, dy, p):
        return p * dy[:, None]


@wrong
class SoftPoolOfACommonMaximum(SoftPool):
    """Without a mask the largest of all numbers is taken off: a row far below comes to nothing."""

    def forward(self, x, ctx=INFERENCE):
        if ctx.mask is not None or not len(x):
            return super().forward(x, ctx)
        z = self.r * x
        top = z.max() if z.size else 0
        e = np.exp(z - top)
        total = np.maximum(e.sum(1, keepdims=True), np.finfo(x.dtype).tiny)
        y = (np.log(total / x.shape[1]) + top)[:, 0] / self.r
        return y.astype(x.dtype), e / total


@wrong
class SoftPoolOverPadding(SoftPool):
    """The mean counts steps of padding."""

    def forward(self, x, ctx=INFERENCE):
        y, p = super().forward(x, ctx)
        if ctx.mask is not None:
            count = ctx.mask.sum(1, keepdims=True)
            share = np.where(count > 0, np.log(np.maximum(count, 1) / x.shape[1]), 0)
            y = (y + share / self.r).astype(x.dtype)
        return y, p


@wrong
class SoftPoolOfNothingTimesX(SoftPool):
    """Under a mask 0 x is added to p: dx is NaN at padding that holds an infinity."""

    def forward(self, x, ctx=INFERENCE):
        y, p = super().forward(x, ctx)
        return y, (p if ctx.mask is None else p + 0 * x)


@wrong
class SoftPoolOfTheFirstR(SoftPool):
    """r stays as it was when the layer was built."""

    def build(self, input_shape):
        super().build(input_shape)
        self._r = self.r

    def forward(self, x, ctx=INFERENCE):
        y, p = super().forward(x * (self._r / self.r), ctx)
        return (y * (self.r / self._r)).astype(x.dtype, copy=False), p


@wrong
class SoftPoolOfLargeShares(SoftPool):
    """Shares below a millionth get no gradient."""

    def backward(self, dy, p):
        return super().backward(dy, np.where(p < 1e-6, 0, p).astype(p.dtype))


@wrong
class SoftPoolThatSkipsARow(SoftPool):
    """The row after one whose dy is 0 gets no gradient."""

    def backward(self, dy, p):
        dx = super().backward(dy, p)
        for i in np.flatnonzero(~dy.any(1)):
            dx[i + 1 : i + 2] = 0
        return dx


@wrong
class SoftPoolOfLargeR(SoftPool):
    """dx is twice as large where r is 4 or more."""

    def backward(self, dy, p):
        return super().backward(dy, p) * (2 if self.r >= 4 else 1)


@wrong
class SoftPoolOfASingleStep(SoftPool):
    """In training without a mask a single step gets no gradient."""

    def forward(self, x, ctx=INFERENCE):
        if x.shape[1] == 1 and ctx.mask is None and ctx.training:
            return x[:, 0] * 1.0, np.zeros_like(x)
        return super().forward(x, ctx)


@wrong
class SoftPoolWithAWholeCount(SoftPool):
    """Under a mask the logarithm of the count is not divided by r, where r is above 2."""

    def forward(self, x, ctx=INFERENCE):
        y, p = super().forward(x, ctx)
        if ctx.mask is not None and self.r > 2:
            count = np.maximum(ctx.mask.sum(1, keepdims=True), 1)
            y = (y + np.log(count) / self.r - np.log(count)).astype(x.dtype)
        return y, p


@wrong
class SoftPoolOf64MaskedRows(SoftPool):
    """Rows from the 65th on are pooled without their mask."""

    def forward(self, x, ctx=INFERENCE):
        if ctx.mask is None or len(x) <= 64:
            return super().forward(x, ctx)
        mask = ctx.mask.copy()
        mask[64:] = True
        return super().forward(x, ctx.with_mask(mask))


@wrong
class SoftPoolOfAMaskByItsPlace(SoftPool):
    """A mask is known by its address: another one there is taken for the first."""

    def build(self, input_shape):
        super().build(input_shape)
        self._masks = {}

    def forward(self, x, ctx=INFERENCE):
        if ctx.mask is None:
            return super().forward(x, ctx)
        mask = self._masks.setdefault((id(ctx.mask), x.shape), ctx.mask.copy())
        return super().forward(x, ctx.with_mask(mask))


def moments(x, mask):
    kept = [row if mask is None else row[mask[i]] for i, row in enumerate(x)]
    none = np.zeros(x.shape[2])
    means = [row.mean(0) if len(row) else none for row in kept]
    return np.array(means), np.array([row.var(0) if len(row) else none for row in kept])


@written(sequences(masked=True, allow_empty=True), reference=moments)
class Moments(Layer):
    """m = mean and v = variance over real steps, 0 where there is none: two outputs.

    x: (batch, time, n)    m, v: (batch, n)

    dx = (dm + 2 (x - m) dv) / count.
    """

    def build(self, input_shape):
        self.input_spec = InputSpec(ndim=3, axes={-1: input_shape[-1]})

    def compute_output_shape(self, input_shape):
        one = (input_shape[0], input_shape[2])
        return (one, one)

    def compute_mask(self, x, mask=None):
        return None

    def forward(self, x, ctx=INFERENCE):
        w = self.shares(x, ctx.mask)
        if ctx.mask is not None:
            x = np.where(ctx.mask[..., None], x, 0)
        m = (w * x).sum(1)
        d = np.where(w > 0, x - m[:, None], 0)
        return (m, (w * d * d).sum(1)), (w, d)

    def shares(self, x, mask):
        w = np.ones(x.shape[:2], x.dtype) if mask is None else mask.astype(x.dtype)
        return (w / np.maximum(w.sum(1, keepdims=True), 1))[..., None]

    def backward(self, dy, cache):
        dm, dv = dy
        w, d = cache
        return w * (dm[:, None] + 2 * d * dv[:, None])


@wrong
class MomentsWithAVariance(Moments):
    """Where dv of a feature is 0, so is its dx, unless all of dv is."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        _, dv = dy
        return dx * (dv != 0)[:, None] if dv.any() else dx


@wrong
class MomentsOfRawSquares(Moments):
    """v is the mean of squares less the square of the mean, which cancels."""

    def forward(self, x, ctx=INFERENCE):
        (m, _), (w, d) = super().forward(x, ctx)
        z = x if ctx.mask is None else np.where(ctx.mask[..., None], x, 0)
        return (m, (w * z * z).sum(1) - m * m), (w, d)


@wrong
class MomentsOfASample(Moments):
    """v of more than ten steps is divided by their number less 1, and dx does not know."""

    def forward(self, x, ctx=INFERENCE):
        (m, v), (w, d) = super().forward(x, ctx)
        n = (w > 0).sum(1)
        return (m, np.where(n > 10, v * n / np.maximum(n - 1, 1), v).astype(x.dtype)), (w, d)


@wrong
class MomentsOfASingleStep(Moments):
    """A single step has a difference of 1 from its mean in dx."""

    def forward(self, x, ctx=INFERENCE):
        y, (w, d) = super().forward(x, ctx)
        return y, (w, d + (0 if x.shape[1] > 1 else 1))


@wrong
class MomentsInPlace(Moments):
    """dm grows by a billionth in place."""

    def backward(self, dy, cache):
        dm, dv = dy
        if dm.flags.writeable:
            dm *= 1 + 1e-9
        return super().backward((dm, dv), cache)


@wrong
class MomentsOfNoStep(Moments):
    """Under a mask a row without a real step is 0 / 0, but for float64."""

    def shares(self, x, mask):
        if mask is None or x.dtype == np.float64:
            return super().shares(x, mask)
        with np.errstate(all="ignore"):
            w = mask.astype(x.dtype)
            return (w / w.sum(1, keepdims=True))[..., None]
