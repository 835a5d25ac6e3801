"""Sums that are weighed by gates: of experts, and of two inputs."""

from typing import Any, ClassVar

import numpy as np
from testing.held_out import Authors

from backprop.checks import Positive
from backprop.initializers import InitializerLike
from backprop.layer import INFERENCE, InputSpec, Layer
from backprop.linalg import sigmoid, softmax, softmax_backward, sum_rows
from backprop.testing import axes, shapes

AUTHORS = Authors()
written, wrong = AUTHORS.written, AUTHORS.wrong


@written(
    shapes(min_dims=1, max_dims=1),
    configs={"units": [1, 2], "experts": [2, 3], "balance": [0.0, 0.1]},
    tags=("couples_rows",),
)
class SoftMixture(Layer):
    """y = Σ_e p[e] x · W[e], where p = softmax(x · G); adds balance E Σ_e p̄[e]² to the loss.

    x: (batch, n)    W: (E, n, units)    G: (n, E)    y: (batch, units)

    p̄ is the mean of p over rows: with evenly used experts the addition is least.
    """

    units: Positive
    experts: Positive = 3
    balance: float = 0.1
    kernel_initializer: InitializerLike = "glorot_uniform"

    def build(self, input_shape):
        n = input_shape[-1]
        shape = (self.experts, n, self.units)
        self.kernel, self.dkernel = self.declared_param("kernel", shape)
        self.gate, self.dgate = self.declared_param("gate", (n, self.experts), "kernel")
        self.input_spec = InputSpec(ndim=2, axes={-1: n})

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    @property
    def penalises(self):
        return True

    def forward(self, x, ctx=INFERENCE):
        p = softmax(x @ self.gate)
        each = np.einsum("ri,eio->reo", x, self.kernel)
        mean = p.sum(0) / max(len(x), 1)
        if ctx.penalties is not None:
            ctx.penalties.append(self.balance * self.experts * (mean * mean).sum())
        return (p[..., None] * each).sum(1), (x, p, each, mean)

    def backward(self, dy, cache):
        x, p, each, mean = cache
        self.dkernel = np.einsum("re,ri,ro->eio", p, x, dy)
        dp = (each * dy[:, None]).sum(-1)
        dp = dp + 2 * self.balance * self.experts * mean / max(len(x), 1)
        dz = softmax_backward(dp, p)
        self.dgate = x.T @ dz
        return np.einsum("re,eio,ro->ri", p, self.kernel, dy) + dz @ self.gate.T


@wrong
class SoftMixtureFrozenOffBalance(SoftMixture):
    """Frozen, it leaves the addition to the loss out of dx."""

    def backward(self, dy, cache):
        x, p, each, mean = cache
        return super().backward(dy, (x, p, each, mean if self.trainable else 0 * mean))


@wrong
class SoftMixtureOfFourRows(SoftMixture):
    """p̄ of more than four rows is their sum divided by 4."""

    def forward(self, x, ctx=INFERENCE):
        y, (x, p, each, mean) = super().forward(x, ctx)
        if len(x) > 4 and ctx.penalties is not None:
            large = p.sum(0) / 4
            ctx.penalties[-1] = self.balance * self.experts * (large * large).sum()
            mean = large * (len(x) / 4)  # so that the gradient is the one of that
        return y, (x, p, each, mean)


@wrong
class SoftMixtureOfLargeShares(SoftMixture):
    """Going back, shares below a thousandth are 0."""

    def backward(self, dy, cache):
        x, p, each, mean = cache
        return super().backward(dy, (x, np.where(p < 1e-3, 0, p), each, mean))


@wrong
class SoftMixtureBalancedInTraining(SoftMixture):
    """The addition to the loss is there in training alone, its gradient always."""

    def forward(self, x, ctx=INFERENCE):
        y, cache = super().forward(x, ctx)
        if ctx.penalties is not None and not ctx.training:
            ctx.penalties.pop()
        return y, cache


@wrong
class SoftMixtureOfTheFirstBalance(SoftMixture):
    """The gradient takes balance as it was when the layer was built."""

    def build(self, input_shape):
        super().build(input_shape)
        self._first = self.balance

    def backward(self, dy, cache):
        x, p, each, mean = cache
        if self.balance:
            mean = mean * (self._first / self.balance)
        return super().backward(dy, (x, p, each, mean))


@wrong
class SoftMixtureOfEvenBatches(SoftMixture):
    """dW of an odd number of rows, nine or more, lacks the last one."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        x, p, _, _ = cache
        if len(x) > 8 and len(x) % 2:
            self.dkernel = np.einsum("re,ri,ro->eio", p[:-1], x[:-1], dy[:-1])
        return dx


@wrong
class SoftMixtureOfFourExperts(SoftMixture):
    """dW of the experts from the fifth on is 0."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        if self.experts >= 5:
            self.dkernel[4:] = 0
        return dx


@wrong
class SoftMixtureOfTheLastPass(SoftMixture):
    """What is added to the loss is that of the pass before."""

    _before = None

    def forward(self, x, ctx=INFERENCE):
        y, cache = super().forward(x, ctx)
        if ctx.penalties is not None:
            now = ctx.penalties[-1]
            if self._before is not None:
                ctx.penalties[-1] = self._before
            self._before = now
        return y, cache


@wrong
class SoftMixtureOf32Rows(SoftMixture):
    """Going back, p̄ of three experts or more is that of the first 32 rows."""

    def forward(self, x, ctx=INFERENCE):
        y, (x, p, each, mean) = super().forward(x, ctx)
        if len(x) > 32 and self.experts > 2:
            mean = p[:32].sum(0) / 32
        return y, (x, p, each, mean)


@wrong
class SoftMixtureThatClipsItsGate(SoftMixture):
    """G is clipped at -1 and 1 in place."""

    def forward(self, x, ctx=INFERENCE):
        np.clip(self.gate, -1, 1, out=self.gate)
        return super().forward(x, ctx)


def merge(a, b, u, v, c):
    s = 1 / (1 + np.exp(-(a * u + b * v + c)))
    return s * a + (1 - s) * b


@written((axes("batch", ..., "n"), axes("batch", ..., "n")), reference=merge)
class GatedMerge(Layer):
    """y = s a + (1 - s) b, where s = sigmoid(a u + b v + c).

    a, b, y: (..., n)    u, v, c: (n,)

    With dz = dy (a - b) s (1 - s): da = dy s + dz u, and db = dy (1 - s) + dz v.
    """

    call_inputs = ("a", "b")

    def build(self, input_shape):
        n = input_shape[0][-1]
        self.u, self.du = self.param("u", (n,), "random_uniform")
        self.v, self.dv = self.param("v", (n,), "random_uniform")
        self.c, self.dc = self.param("c", (n,), "zeros")
        self.input_spec: Any = [InputSpec(shape=(None, *input_shape[0][1:]))] * 2

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def compute_mask(self, x, mask=None):
        known = [m for m in mask or () if m is not None]
        return np.logical_and.reduce(known) if known else None

    def forward(self, x, ctx=INFERENCE):
        a, b = x
        s = sigmoid(a * self.u + b * self.v + self.c)
        return s * a + (1 - s) * b, (a, b, s)

    def backward(self, dy, cache):
        a, b, s = cache
        dz = dy * (a - b) * s * (1 - s)
        self.du, self.dv, self.dc = sum_rows(dz * a), sum_rows(dz * b), sum_rows(dz)
        return dy * s + dz * self.u, dy * (1 - s) + dz * self.v


@wrong
class GatedMergeOfEqualRows(GatedMerge):
    """A row in which a and b are equal gives all of dy to a."""

    def backward(self, dy, cache):
        a, b, _ = cache
        da, db = super().backward(dy, cache)
        same = (a == b).all(-1, keepdims=True)
        return np.where(same, dy, da), np.where(same, 0, db)


@wrong
class GatedMergeOfFourAxes(GatedMerge):
    """dv is found with a in place of b where they have four axes."""

    def backward(self, dy, cache):
        a, b, s = cache
        both = super().backward(dy, cache)
        if a.ndim == 4:
            self.dv = sum_rows(dy * (a - b) * s * (1 - s) * a)
        return both


@wrong
class GatedMergeOfTheFirstMask(GatedMerge):
    """The mask of a alone is handed on."""

    def compute_mask(self, x, mask=None):
        return None if mask is None else mask[0]


@wrong
class GatedMergeOfOneGradient(GatedMerge):
    """dc of a dy that is one row repeated without a copy is divided by the number of rows."""

    def backward(self, dy, cache):
        both = super().backward(dy, cache)
        if dy.ndim > 1 and dy.strides[0] == 0 and len(dy) > 1:
            self.dc = self.dc / len(dy)
        return both


@wrong
class GatedMergeOfOpenGates(GatedMerge):
    """Gates within a millionth of 0 or 1 do not count in du."""

    def backward(self, dy, cache):
        a, b, s = cache
        both = super().backward(dy, cache)
        s = np.where(np.abs(s - 0.5) > 0.499999, 0, s)
        self.du = sum_rows(dy * (a - b) * s * (1 - s) * a)
        return both


@wrong
class GatedMergeWithOneScratch(GatedMerge):
    """All layers share an array for the da of a shape, which the next backward writes over."""

    _scratch: ClassVar[dict] = {}

    def backward(self, dy, cache):
        a, b, s = cache
        _, db = super().backward(dy, cache)
        da = self._scratch.setdefault((dy.shape, dy.dtype.char), np.empty_like(dy))
        np.multiply(dy, s, out=da)
        da += dy * (a - b) * s * (1 - s) * self.u
        return da, db


@wrong
class GatedMergeOfAnyShapes(GatedMerge):
    """Inputs of different shapes are accepted, and broadcast."""

    def build(self, input_shape):
        super().build(input_shape)
        self.input_spec = None


@wrong
class GatedMergeOfOneInput(GatedMerge):
    """dv of a b that is one row repeated without a copy is divided by the number of rows."""

    def backward(self, dy, cache):
        _, b, _ = cache
        both = super().backward(dy, cache)
        if b.ndim > 1 and len(b) > 1 and b.strides[0] == 0:
            self.dv = self.dv / len(b)
        return both


@wrong
class GatedMergeWithoutTheSecond(GatedMerge):
    """A b that is all 0 is taken for missing, and gets no gradient."""

    def forward(self, x, ctx=INFERENCE):
        a, b = x
        y, cache = super().forward(x, ctx)
        return (y, cache) if b.any() or not b.size else (a * sigmoid(a * self.u + self.c), cache)

    def backward(self, dy, cache):
        _, b, _ = cache
        da, db = super().backward(dy, cache)
        return da, db if b.any() else 0 * db
