"""Layers that take a sequence and give one: a gated convolution, and a moving average."""

import numpy as np
from testing.held_out import Authors

from backprop.checks import Positive
from backprop.initializers import InitializerLike
from backprop.layer import INFERENCE, InputSpec, Layer
from backprop.linalg import rows, sigmoid, sum_rows
from backprop.testing import sequences

AUTHORS = Authors()
written, wrong = AUTHORS.written, AUTHORS.wrong


def gated_conv(x, kernel, bias, size, filters):
    n, steps, _ = x.shape
    y = np.zeros((n, steps, filters))
    for r in range(n):
        for t in range(steps):
            z = bias.astype(float).copy()
            for k in range(size):
                if (j := t + k - size + 1) >= 0:
                    z = z + x[r, j] @ kernel[k]
            y[r, t] = z[:filters] / (1 + np.exp(-z[filters:]))
    return y


@written(sequences(), configs={"filters": [1, 2], "size": [1, 2, 3]}, reference=gated_conv)
class GatedConv(Layer):
    """y[t] = a[t] sigmoid(b[t]), where (a, b)[t] = Σ_k x[t + k - (size - 1)] · K[k] + c: causal.

    x: (batch, time, n)    K: (size, n, 2 filters)    c: (2 filters,)    y: (batch, time, filters)
    """

    filters: Positive
    size: Positive = 3
    kernel_initializer: InitializerLike = "glorot_uniform"

    def build(self, input_shape):
        n = input_shape[-1]
        self.kernel, self.dkernel = self.declared_param("kernel", (self.size, n, 2 * self.filters))
        self.bias, self.dbias = self.param("bias", (2 * self.filters,), "zeros")
        self.input_spec = InputSpec(ndim=3, axes={-1: n})

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def obeys_mask(self, x, mask):
        return False

    def compute_mask(self, x, mask=None):
        return None

    def forward(self, x, ctx=INFERENCE):
        n, steps, width = x.shape
        padded = np.zeros((n, steps + self.size - 1, width), x.dtype)
        padded[:, self.size - 1 :] = x
        z = np.zeros((n, steps, 2 * self.filters), x.dtype)
        z += self.bias
        for k in range(self.size):
            z += padded[:, k : k + steps] @ self.kernel[k]
        a, s = z[..., : self.filters], sigmoid(z[..., self.filters :])
        return a * s, (padded, a, s)

    def backward(self, dy, cache):
        padded, a, s = cache
        steps = dy.shape[1]
        dz = np.concatenate([dy * s, dy * a * s * (1 - s)], axis=-1)
        self.dbias = sum_rows(dz)
        dpadded = np.zeros_like(padded)
        dkernel = np.zeros_like(self.kernel)
        for k in range(self.size):
            dkernel[k] = rows(padded[:, k : k + steps]).T @ rows(dz)
            dpadded[:, k : k + steps] += dz @ self.kernel[k].T
        self.dkernel = dkernel
        return dpadded[:, self.size - 1 :]


@wrong
class GatedConvWithFlatGates(GatedConv):
    """A gate above 0.999 is taken to have no slope."""

    def backward(self, dy, cache):
        padded, a, s = cache
        return super().backward(dy, (padded, np.where(s > 0.999, 0, a), s))


@wrong
class GatedConvOfFiveTaps(GatedConv):
    """The kernel's taps from the sixth on are not trained."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        if self.size >= 6:
            self.dkernel[5:] = 0
        return dx


@wrong
class GatedConvWithOneScratch(GatedConv):
    """All passes over one shape share the padded input that their caches hold."""

    def build(self, input_shape):
        super().build(input_shape)
        self._scratch = {}

    def forward(self, x, ctx=INFERENCE):
        y, (padded, a, s) = super().forward(x, ctx)
        shared = self._scratch.setdefault((padded.shape, padded.dtype), np.empty_like(padded))
        shared[...] = padded
        return y, (shared, a, s)


@wrong
class GatedConvThatClaimsItsMask(GatedConv):
    """It says that it obeys a mask, and hands it on, and convolves padding."""

    def obeys_mask(self, x, mask):
        return True

    def compute_mask(self, x, mask=None):
        return mask


@wrong
class GatedConvOfASingleBias(GatedConv):
    """dc is rounded to float32."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        self.dbias = self.dbias.astype(np.float32).astype(dy.dtype)
        return dx


@wrong
class GatedConvBackInTime(GatedConv):
    """Going back, a is reversed in time where there are twice as many features as filters."""

    def forward(self, x, ctx=INFERENCE):
        y, (padded, a, s) = super().forward(x, ctx)
        if x.shape[-1] == 2 * self.filters and x.shape[1] > 1:
            return y, (padded, a[:, ::-1], s)
        return y, (padded, a, s)


@wrong
class GatedConvOf128Steps(GatedConv):
    """Of more than 128 steps only the first 128 count in dK and dc."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        if dy.shape[1] > 128:
            d = dy.copy()
            d[:, 128:] = 0
            super().backward(d, cache)
        return dx


@wrong
class GatedConvInHalfPrecision(GatedConv):
    """In float32, dK of more than 64 steps is rounded to float16."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        if dy.dtype == np.float32 and dy.shape[1] > 64:
            self.dkernel = self.dkernel.astype(np.float16).astype(np.float32)
        return dx


@wrong
class GatedConvWithExchangedHalves(GatedConv):
    """With more than eight filters and three taps, dK of the last tap has a and b exchanged."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        if self.filters > 8 and self.size > 3:
            last, f = self.dkernel[-1], self.filters
            self.dkernel[-1] = np.concatenate([last[:, f:], last[:, :f]], 1)
        return dx


@wrong
class GatedConvFrozenByHalf(GatedConv):
    """Frozen, it passes half of dx on from the ninth step on."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        if not self.trainable and dy.shape[1] > 8:
            dx[:, 8:] *= 0.5
        return dx


@wrong
class GatedConvThatCentresItsBias(GatedConv):
    """In training the mean of the gates' bias is taken off it in place."""

    def forward(self, x, ctx=INFERENCE):
        if ctx.training:
            b = self.bias[self.filters :]
            b -= b.mean()
        return super().forward(x, ctx)


def smooth(x, w):
    a = 1 / (1 + np.exp(-w))
    y = np.zeros(x.shape)
    h = 0
    for t in range(x.shape[1]):
        h = a * h + (1 - a) * x[:, t]
        y[:, t] = h
    return y


@written(sequences(), reference=smooth)
class Smooth(Layer):
    """y[t] = a y[t-1] + (1 - a) x[t], where y[-1] = 0 and a = sigmoid(w), one for each feature.

    x, y: (batch, time, n)    w: (n,)
    """

    def build(self, input_shape):
        n = input_shape[-1]
        self.w, self.dw = self.param("w", (n,), "zeros")
        self.input_spec = InputSpec(ndim=3, axes={-1: n})

    def obeys_mask(self, x, mask):
        return False

    def compute_mask(self, x, mask=None):
        return None

    def forward(self, x, ctx=INFERENCE):
        y, _, a = self.run(x, np.zeros((len(x), x.shape[2]), x.dtype))
        return y, (x, y, a)

    @property
    def can_step(self):
        return True

    def step(self, x, memory):
        h = np.zeros((len(x), x.shape[2]), x.dtype) if memory is None else memory
        y, h, _ = self.run(x, h)
        return y, h

    def backward(self, dy, cache):
        x, y, a = cache
        dx = np.zeros_like(x)
        da = np.zeros_like(self.w)
        d = np.zeros((len(x), x.shape[2]), x.dtype)
        for t in range(x.shape[1] - 1, -1, -1):
            d = d + dy[:, t]
            before = y[:, t - 1] if t else 0
            da += (d * (before - x[:, t])).sum(0)
            dx[:, t] = (1 - a) * d
            d = a * d
        self.dw = da * a * (1 - a)
        return dx

    def share(self, dtype):
        return sigmoid(self.w)

    def run(self, x, h):
        a = self.share(x.dtype)
        y = np.zeros_like(x)
        for t in range(x.shape[1]):
            h = a * h + (1 - a) * x[:, t]
            y[:, t] = h
        return y, h, a


@wrong
class SmoothWithoutAMemory(Smooth):
    """`step` begins anew when it is given more than one step."""

    def step(self, x, memory):
        return super().step(x, memory if x.shape[1] == 1 else None)


@wrong
class SmoothInTheMemory(Smooth):
    """`step` writes the new state into the memory that it was given."""

    def step(self, x, memory):
        y, h = super().step(x, memory)
        if memory is not None:
            memory[...] = h
            return y, memory
        return y, h


@wrong
class SmoothOfTheLast32Steps(Smooth):
    """dw of more than 32 steps counts dy of the last 32 alone."""

    def backward(self, dy, cache):
        x, _, _ = cache
        dx = super().backward(dy, cache)
        if x.shape[1] > 32:
            late = np.concatenate([np.zeros_like(dy[:, :-32]), dy[:, -32:]], 1)
            super().backward(late, cache)
        return dx


@wrong
class SmoothHeldBelowOne(Smooth):
    """a stops at 0.999, and dw does not know."""

    def share(self, dtype):
        return np.minimum(sigmoid(self.w), 0.999).astype(dtype)


@wrong
class SmoothThatReusesItsOutput(Smooth):
    """y is written over by the next pass over the same shape."""

    def build(self, input_shape):
        super().build(input_shape)
        self._outputs = {}

    def run(self, x, h):
        y, h, a = super().run(x, h)
        if len(self._outputs) >= 50:
            self._outputs.clear()
        out = self._outputs.setdefault((x.shape, x.dtype.char), np.empty_like(y))
        out[...] = y
        return out, h, a


@wrong
class SmoothThatClaimsItsMask(Smooth):
    """It says that it obeys a mask, and hands it on, and averages padding."""

    def obeys_mask(self, x, mask):
        return True

    def compute_mask(self, x, mask=None):
        return mask


@wrong
class SmoothWithSteepEnds(Smooth):
    """dw is 1 % too large where |w| is above 5."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        self.dw = self.dw * np.where(np.abs(self.w) > 5, 1.01, 1)
        return dx


@wrong
class SmoothOfTheFirstRow(Smooth):
    """dw of a single feature counts the first row alone where there are as many rows as steps."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        x, y, a = cache
        if x.shape[2] == 1 and x.shape[0] == x.shape[1] > 1:
            super().backward(dy[:1], (x[:1], y[:1], a))
        return dx
