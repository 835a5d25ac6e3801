"""Layers with a state: a gated unit, and one that carries its state from batch to batch."""

import numpy as np
from testing.held_out import Authors

from backprop.checks import Fraction, Positive
from backprop.initializers import InitializerLike
from backprop.layer import INFERENCE, InputSpec, Layer
from backprop.linalg import rows, sigmoid, sum_rows
from backprop.testing import sequences

AUTHORS = Authors()
written, wrong = AUTHORS.written, AUTHORS.wrong


def mgu(x, kernel, uf, uc, bias, mask, units):
    out = []
    for i, row in enumerate(x):
        h = np.zeros(units)
        for t, step in enumerate(row):
            if mask is None or mask[i, t]:
                f = 1 / (1 + np.exp(-(step @ kernel[:, :units] + h @ uf + bias[:units])))
                c = np.tanh(step @ kernel[:, units:] + (f * h) @ uc + bias[units:])
                h = h + f * (c - h)
        out.append(h)
    return np.array(out)


@written(sequences(masked=True), configs={"units": [1, 3]}, reference=mgu)
class MGU(Layer):
    """h' = (1 - f) h + f c, with one gate f; y is the last h, and a masked step holds h.

    f = sigmoid(x · Wf + h · Uf + bf)    c = tanh(x · Wc + (f h) · Uc + bc)

    x: (batch, time, n)    (Wf, Wc): (n, 2 units)    Uf, Uc: (units, units)    y: (batch, units)
    """

    units: Positive
    kernel_initializer: InitializerLike = "glorot_uniform"
    recurrent_initializer: InitializerLike = "orthogonal"

    def build(self, input_shape):
        n, u = input_shape[-1], self.units
        self.kernel, self.dkernel = self.declared_param("kernel", (n, 2 * u))
        self.uf, self.duf = self.declared_param("uf", (u, u), "recurrent")
        self.uc, self.duc = self.declared_param("uc", (u, u), "recurrent")
        self.bias, self.dbias = self.param("bias", (2 * u,), "zeros")
        self.input_spec = InputSpec(ndim=3, axes={-1: n})

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.units)

    def compute_mask(self, x, mask=None):
        return None

    def start(self, x):
        return np.zeros((len(x), self.units), x.dtype)

    def forward(self, x, ctx=INFERENCE):
        mask = ctx.mask
        if mask is not None:
            x = np.where(mask[..., None], x, 0)
        u = self.units
        h = self.start(x)
        z = x @ self.kernel + self.bias
        steps = []
        for t in range(x.shape[1]):
            f = sigmoid(z[:, t, :u] + h @ self.uf)
            c = np.tanh(z[:, t, u:] + (f * h) @ self.uc)
            new = (1 - f) * h + f * c
            if mask is not None:
                new = np.where(mask[:, t, None], new, h)
            steps.append((h, f, c))
            h = new
        return h, (x, mask, steps)

    def backward(self, dy, cache):
        x, mask, steps = cache
        u = self.units
        dz = np.zeros((*x.shape[:2], 2 * u), x.dtype)
        duf, duc = np.zeros_like(self.uf), np.zeros_like(self.uc)
        dh = dy
        for t in range(x.shape[1] - 1, -1, -1):
            h, f, c = steps[t]
            d = dh if mask is None else np.where(mask[:, t, None], dh, 0)
            keep = 0 if mask is None else np.where(mask[:, t, None], 0, dh)
            dc = d * f * (1 - c * c)
            dg = dc @ self.uc.T
            df = (d * (c - h) + dg * h) * f * (1 - f)
            dz[:, t, :u], dz[:, t, u:] = df, dc
            duf += h.T @ df
            duc += (f * h).T @ dc
            dh = d * (1 - f) + dg * f + df @ self.uf.T + keep
        self.duf, self.duc = duf, duc
        self.dbias = sum_rows(dz)
        self.dkernel = rows(x).T @ rows(dz)
        return dz @ self.kernel.T


@wrong
class MGUOfTwentySteps(MGU):
    """dx is 0 but for the last 20 steps."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        if dx.shape[1] > 20:
            dx[:, :-20] = 0
        return dx


@wrong
class MGUStoppedByPadding(MGU):
    """dx is 0 at steps before a masked one."""

    def backward(self, dy, cache):
        _, mask, _ = cache
        dx = super().backward(dy, cache)
        if mask is None:
            return dx
        before = np.cumsum(~mask[:, ::-1], 1)[:, ::-1] > 0
        return np.where(before[..., None], 0, dx)


@wrong
class MGUThatGoesOn(MGU):
    """A pass begins with the state that the last pass in training left, if sizes agree."""

    _last = None

    def start(self, x):
        h, zeros = self._last, super().start(x)
        return h if h is not None and (h.shape, h.dtype) == (zeros.shape, zeros.dtype) else zeros

    def forward(self, x, ctx=INFERENCE):
        y, cache = super().forward(x, ctx)
        if ctx.training:
            self._last = y.copy()
        return y, cache


@wrong
class MGUWithALeftOverTerm(MGU):
    """dUc of more than four steps has a ten-thousandth of the fifth's hᵀ · dy too much."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        _, _, steps = cache
        if len(steps) > 4:
            self.duc = self.duc + 1e-4 * steps[4][0].T @ dy
        return dx


@wrong
class MGUInSinglePrecision(MGU):
    """The state begins in float32, and y is rounded to it."""

    def start(self, x):
        return np.zeros((len(x), self.units), np.float32)

    def forward(self, x, ctx=INFERENCE):
        y, cache = super().forward(x, ctx)
        return y.astype(np.float32).astype(x.dtype), cache


@wrong
class MGUWithAClippedGradient(MGU):
    """dUf is clipped at -5 and 5."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        self.duf = np.clip(self.duf, -5, 5)
        return dx


@wrong
class MGUOfEqualWidths(MGU):
    """dUf is transposed where there are as many units as features."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        if self.units == dx.shape[-1]:
            self.duf = self.duf.T
        return dx


@wrong
class MGUFrozenWithoutThePast(MGU):
    """Frozen, it passes dx on to the last step alone."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        if self.trainable:
            return dx
        return np.concatenate([np.zeros_like(dx[:, :-1]), dx[:, -1:]], 1)


@wrong
class MGUWithoutTheLastStep(MGU):
    """dUf of a masked sequence of more than 16 steps lacks the last step."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        x, mask, steps = cache
        if mask is not None and x.shape[1] > 16:
            h, f, c = steps[-1]
            d = np.where(mask[:, -1, None], dy, 0)
            dg = (d * f * (1 - c * c)) @ self.uc.T
            self.duf = self.duf - h.T @ ((d * (c - h) + dg * h) * f * (1 - f))
        return dx


@wrong
class MGUOfManyUnits(MGU):
    """With more than eight units and eight steps dUc lacks the last step."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        _, mask, steps = cache
        if self.units > 8 and dx.shape[1] > 8:
            h, f, c = steps[-1]
            d = dy if mask is None else np.where(mask[:, -1, None], dy, 0)
            self.duc = self.duc - (f * h).T @ (d * f * (1 - c * c))
        return dx


@wrong
class MGUThatSavesMemory(MGU):
    """In inference the states of more than 16 steps are kept in float16 for backward."""

    def forward(self, x, ctx=INFERENCE):
        y, (x, mask, steps) = super().forward(x, ctx)
        if not ctx.training and x.shape[1] > 16:
            steps = [(h.astype(np.float16).astype(h.dtype), f, c) for h, f, c in steps]
        return y, (x, mask, steps)


@wrong
class MGUThatPredictsRoughly(MGU):
    """In inference under a mask y is rounded to float16, if no backward pass is to follow."""

    def forward(self, x, ctx=INFERENCE):
        y, cache = super().forward(x, ctx)
        if not ctx.backward and not ctx.training and ctx.mask is not None:
            y = y.astype(np.float16).astype(y.dtype)
        return y, cache


@wrong
class MGUByLengths(MGU):
    """Of a mask only the number of real steps counts: padding in front is taken for steps."""

    def forward(self, x, ctx=INFERENCE):
        if ctx.mask is None:
            return super().forward(x, ctx)
        lengths = ctx.mask.sum(1)[:, None]
        return super().forward(x, ctx.with_mask(np.arange(x.shape[1]) < lengths))


@wrong
class MGUInBlocksOfRows(MGU):
    """From the 33rd row on dx is 0 where the last step of the row is masked."""

    def backward(self, dy, cache):
        _, mask, _ = cache
        dx = super().backward(dy, cache)
        if mask is not None and len(dx) > 32:
            dx[32:] = np.where(mask[32:, -1:, None], dx[32:], 0)
        return dx


@wrong
class MGUThatCountsItsPasses(MGU):
    """From the 128th pass on the state begins at 0.001."""

    _passes = 0

    def start(self, x):
        self._passes += 1
        return super().start(x) + (x.dtype.type(1e-3) if self._passes > 127 else 0)


@written(sequences(), configs={"decay": [0.3, 0.5]}, tags=("stateful",))
class Carry(Layer):
    """y[t] = x[t] + decay y[t-1], where y[-1] is what the last row of the last batch ended with.

    x, y: (batch, time, n)

    No gradient goes on to the last batch.
    """

    decay: Fraction = 0.5

    def build(self, input_shape):
        self.input_spec = InputSpec(ndim=3, axes={-1: input_shape[-1]})
        self.last = self.state("last", (input_shape[-1],))

    def obeys_mask(self, x, mask):
        return False

    def compute_mask(self, x, mask=None):
        return None

    def forward(self, x, ctx=INFERENCE):
        h = self.begin(x)
        y = np.empty_like(x)
        for t in range(x.shape[1]):
            h = x[:, t] + self.decay * h
            y[:, t] = h
        if len(x):
            self.keep(h[-1])
        return y, self.decay

    def begin(self, x):
        return np.broadcast_to(self.last, (len(x), x.shape[2])).copy()

    def keep(self, h):
        self.last = h

    def backward(self, dy, decay):
        dx = np.empty_like(dy)
        d = np.zeros((len(dy), dy.shape[2]), dy.dtype)
        for t in range(dy.shape[1] - 1, -1, -1):
            d = dy[:, t] + decay * d
            dx[:, t] = d
        return dx


@wrong
class CarryInAnAttribute(Carry):
    """The state is an array that the layer has not declared."""

    def build(self, input_shape):
        self.input_spec = InputSpec(ndim=3, axes={-1: input_shape[-1]})
        self._last = np.zeros(input_shape[-1])

    def begin(self, x):
        return np.broadcast_to(self._last, (len(x), x.shape[2])).astype(x.dtype)

    def keep(self, h):
        self._last = h.copy()


@wrong
class CarryInTrainingAlone(Carry):
    """The state moves in training alone."""

    def forward(self, x, ctx=INFERENCE):
        before = self.last.copy()
        y, decay = super().forward(x, ctx)
        if not ctx.training:
            self.last = before
        return y, decay


@wrong
class CarryThatEndsGoingBack(Carry):
    """backward sets the state to 0."""

    def backward(self, dy, decay):
        dx = super().backward(dy, decay)
        if len(dy):
            self.last = 0 * self.last
        return dx


@wrong
class CarryOfTheFirstRow(Carry):
    """What the first row ended with is carried on, and not what the last row did."""

    def forward(self, x, ctx=INFERENCE):
        y, decay = super().forward(x, ctx)
        if len(x):
            self.last = y[0, -1]
        return y, decay


@wrong
class CarryOfShortSequences(Carry):
    """More than 24 steps leave a state of 0."""

    def forward(self, x, ctx=INFERENCE):
        y, decay = super().forward(x, ctx)
        if x.shape[1] > 24:
            self.last = 0 * self.last
        return y, decay
