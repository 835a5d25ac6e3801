"""A threshold that is learnt."""

import numpy as np
from testing.held_out import Authors

from backprop.layer import INFERENCE, InputSpec, Layer
from backprop.linalg import sum_rows
from backprop.testing import shapes

AUTHORS = Authors()
written, wrong = AUTHORS.written, AUTHORS.wrong


def shrink(x, t):
    return np.maximum(x - abs(t), 0) - np.maximum(-x - abs(t), 0)


@written(
    shapes(min_dims=1, max_dims=3),
    configs={"start": [0.3, 1.0]},
    reference=shrink,
    tags=("piecewise",),
)
class Shrink(Layer):
    """y = sign(x) max(|x| - |t|, 0), with a threshold t for each feature.

    x, y: (..., n)    t: (n,)

    dx = dy where |x| > |t|, and dt = -sign(t) Σ sign(x) dx.
    """

    start: float = 0.3

    def build(self, input_shape):
        n = input_shape[-1]
        self.t, self.dt = self.param("t", (n,), "ones")
        self.t[...] = self.start
        self.input_spec = InputSpec(min_ndim=2, axes={-1: n})

    def forward(self, x, ctx=INFERENCE):
        t = np.abs(self.t)
        over = np.abs(x) >= t
        return np.where(over, x - np.sign(x) * t, 0), (np.sign(x), over, np.sign(self.t))

    def backward(self, dy, cache):
        sign, over, sign_t = cache
        d = np.where(over, dy, 0)
        self.dt = -sign_t * sum_rows(d * sign)
        return d


@wrong
class ShrinkOfSignedThresholds(Shrink):
    """t does not count by its absolute value."""

    def forward(self, x, ctx=INFERENCE):
        over = np.abs(x) >= self.t
        y = np.where(over, x - np.sign(x) * self.t, 0)
        return y, (np.sign(x), over, np.ones_like(self.t))


@wrong
class ShrinkThatIsSteepAtItsKnee(Shrink):
    """At |x| = |t| the slope is 2."""

    def forward(self, x, ctx=INFERENCE):
        y, (sign, over, sign_t) = super().forward(x, ctx)
        knee = np.abs(x) == np.abs(self.t)
        return y, (sign, over * (1 + knee).astype(x.dtype), sign_t)

    def backward(self, dy, cache):
        sign, slope, sign_t = cache
        d = dy * slope
        self.dt = -sign_t * sum_rows(d * sign)
        return d


@wrong
class ShrinkOfManyFeatures(Shrink):
    """dt of more than 16 features counts positive x alone."""

    def backward(self, dy, cache):
        sign, _, sign_t = cache
        d = super().backward(dy, cache)
        if d.shape[-1] > 16:
            self.dt = -sign_t * sum_rows(d * np.maximum(sign, 0))
        return d


@wrong
class ShrinkWithAWideZero(Shrink):
    """Going back, what is over the threshold is over 1.0001 |t|."""

    def forward(self, x, ctx=INFERENCE):
        y, (sign, _, sign_t) = super().forward(x, ctx)
        return y, (sign, np.abs(x) > 1.0001 * np.abs(self.t), sign_t)


@wrong
class ShrinkOfTheFirstSign(Shrink):
    """dt takes the sign that t had when the layer was built."""

    def build(self, input_shape):
        super().build(input_shape)
        self._first = self.t.copy()

    def backward(self, dy, cache):
        sign, over, _ = cache
        return super().backward(dy, (sign, over, np.sign(self._first)))


@wrong
class ShrinkInBlocks(Shrink):
    """dt of a batch of more than 256 counts whole blocks of 256 alone."""

    def backward(self, dy, cache):
        sign, _, sign_t = cache
        d = super().backward(dy, cache)
        if len(d) > 256:
            self.dt = -sign_t * sum_rows((d * sign)[: len(d) // 256 * 256])
        return d


@wrong
class ShrinkInTheOrderOfMemory(Shrink):
    """dx of a dy in Fortran's order takes its numbers as they lie in memory."""

    def backward(self, dy, cache):
        d = super().backward(dy, cache)
        if dy.flags.f_contiguous and not dy.flags.c_contiguous:
            d = np.where(cache[1], dy.ravel(order="K").reshape(dy.shape), 0)
        return d


@wrong
class ShrinkThatWritesItsThreshold(Shrink):
    """t is made positive in place."""

    def forward(self, x, ctx=INFERENCE):
        np.abs(self.t, out=self.t)
        return super().forward(x, ctx)
