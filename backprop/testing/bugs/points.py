"""Mistakes at single numbers and beyond far thresholds: at a quarter, at exactly 0, next to a kink.

None of them lies between -3 and 3 but on points that no normal number hits.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from backprop.layer import INFERENCE
from backprop.layers.activations.gated import GLU, SiLU
from backprop.layers.activations.rectifiers import Linear, PReLU, ReLU
from backprop.layers.activations.sigmoids import Sigmoid, Softsign, Tanh
from backprop.layers.activations.smooth import Softplus
from backprop.layers.attention import Attention
from backprop.layers.normalization import LayerNormalization, RMSNormalization
from backprop.linalg import sigmoid
from backprop.losses.classification import BinaryCrossentropy
from backprop.losses.hinge import Hinge, SquaredHinge
from backprop.losses.regression import Huber, LogCosh, MeanSquaredError
from backprop.testing.bugs.attention import Attending
from backprop.testing.bugs.bank import bug, each_of, given, normal, uniform
from backprop.testing.bugs.elementwise import FromX
from backprop.testing.bugs.linear import Spoilt
from backprop.testing.bugs.losses import regression
from backprop.testing.bugs.shared import Spoiling

numbers = partial(bug, "P", x=normal(4, 5), inputs="floats")
kinked = partial(numbers, tags=("piecewise",))
row = partial(bug, "P", x=normal(4, 5), inputs="floats")
dense = partial(bug, "P", x=normal(5, 4), inputs="rows", config={"units": 3})
sequences = partial(bug, "P", x=normal(2, 4, 3), inputs="sequences")
signed = partial(
    regression,
    "P",
    x=normal(4, 3),
    y_true=given(np.resize([1.0, -1.0, -1.0], (4, 3))),
    pair=("signs", "numbers"),
    tags=("piecewise",),
)

# ---------------------------------------------------------------------------------- single numbers


@numbers()
class TanhIsWrongAtQuarters(FromX, Tanh):
    """At odd multiples of a quarter the slope is 0."""

    def slope_at(self, x):
        return (1 - np.tanh(x) ** 2) * (np.mod(4 * x, 2) != 1)


@numbers()
class SigmoidIsWrongAtEighths(FromX, Sigmoid):
    """At odd multiples of an eighth the slope is 1."""

    def slope_at(self, x):
        s = sigmoid(x)
        return np.where(np.mod(8 * x, 2) == 1, 1, s * (1 - s)).astype(x.dtype)


@numbers()
class SoftplusIsWrongAtATenth(FromX, Softplus):
    """At 0.1 and its multiples, as they are written, the slope is 1."""

    def slope_at(self, x):
        tenths = np.round(10 * x) / 10 == x
        return np.where(tenths, 1, sigmoid(x)).astype(x.dtype)


@numbers()
class SoftsignIsWrongAtOne(FromX, Softsign):
    """At 1 the slope is a half."""

    def slope_at(self, x):
        return np.where(x == 1, 0.5, 1 / (1 + np.abs(x)) ** 2).astype(x.dtype)


@numbers()
class TanhIsWrongAtThree(FromX, Tanh):
    """At 3 the slope is 1."""

    def slope_at(self, x):
        return np.where(x == 3, 1, 1 - np.tanh(x) ** 2).astype(x.dtype)


@numbers()
class SiluTakesMinusZeroForNegative(SiLU):
    """At -0 the slope is 0."""

    def forward(self, x, ctx=INFERENCE):
        y, (s, _) = super().forward(x, ctx)
        return y, (np.where((x == 0) & np.signbit(x), 0, s).astype(x.dtype), y)


@numbers()
class TanhJumpsAtAHalf(Tanh):
    """At a half y is 0, and everything else is right."""

    def forward(self, x, ctx=INFERENCE):
        y, cache = super().forward(x, ctx)
        return np.where(x == 0.5, 0, y).astype(x.dtype), cache


# ------------------------------------------------------------------------------ beyond a threshold


class Within(FromX):
    """The slope is 1 within bounds, and 0 outside."""

    low, high = 0.0, np.inf

    def slope_at(self, x):
        return (np.abs(x) >= self.low) & (np.abs(x) <= self.high)


@numbers()
class LinearIsClippedBeyondAThousand(Within, Linear):
    """dx is 0 where |x| is larger than 1,000."""

    high = 1e3


@numbers()
class LinearIsClippedBeyondTenThousand(Within, Linear):
    """dx is 0 where |x| is larger than 10,000."""

    high = 1e4


@numbers()
class LinearIsClippedBeyondAMillion(Within, Linear):
    """dx is 0 where |x| is larger than a million."""

    high = 1e6


@numbers()
class LinearFlushesSubnormalNumbers(FromX, Linear):
    """dx is 0 where x is a subnormal number."""

    def slope_at(self, x):
        return (x == 0) | (np.abs(x) >= np.finfo(x.dtype).tiny)


@numbers()
class LinearLosesNumbersNearZero(FromX, Linear):
    """dx is 0 where |x| is below 1e-12, and not 0."""

    def slope_at(self, x):
        return (x == 0) | (np.abs(x) >= 1e-12)


@numbers()
class SoftplusIsStraightFromTwelveOn(FromX, Softplus):
    """The slope is 1 for x > 12, where it is a hundred-thousandth less."""

    def slope_at(self, x):
        return np.where(x > 12, 1, sigmoid(x)).astype(x.dtype)


@bug("P", x=normal(4, 6), inputs="halves")
class GluTakesAnOpenGateForOpen(GLU):
    """A gate above 0.999 is taken for 1 going back."""

    def backward(self, dy, cache):
        s, y = cache
        return super().backward(dy, (np.where(s > 0.999, 1, s).astype(s.dtype), y))


@bug("P", x=normal(4, 6), inputs="halves")
class GluTakesAClosedGateForClosed(GLU):
    """A gate below a thousandth passes nothing back to its own input."""

    def backward(self, dy, cache):
        s, y = cache
        return super().backward(dy, (s, np.where(s < 0.001, 0, y).astype(y.dtype)))


# ----------------------------------------------------------------------------- a trifle from a kink


@kinked()
class ReluIsWideByAThousandth(FromX, ReLU):
    """The slope is 1 from -0.001 on."""

    def slope_at(self, x):
        return x > -1e-3


@kinked()
class ReluIsWideByAHundredThousandth(FromX, ReLU):
    """The slope is 0 up to 1e-5."""

    def slope_at(self, x):
        return x > 1e-5


@signed()
class HingeIsWideByATrifle(Hinge):
    """A score counts up to a thousandth beyond the margin."""

    def values(self, y_true, y_pred):
        value, (t, m) = super().values(y_true, y_pred)
        return value, (t, np.where(t * y_pred < 1.001, 1, m))


@signed()
class SquaredHingeIsLinearNearItsMargin(SquaredHinge):
    """What a score lacks is at least a thousandth, where it lacks anything."""

    def gradient(self, dvalues, cache):
        t, m = cache
        return super().gradient(dvalues, (t, np.where(m > 0, np.maximum(m, 1e-3), 0)))


@regression("P", tags=("piecewise",))
class HuberTurnsATrifleLate(Huber):
    """Errors are taken for small up to 1.001 deltas."""

    def values(self, y_true, y_pred):
        value, slope = super().values(y_true, y_pred)
        d = y_pred - y_true
        return value, np.where(np.abs(d) < 1.001 * self.delta, d, slope)


# --------------------------------------------------------------------------------- errors of losses


@regression("P")
class SquaredErrorGetsOneWhereItIsExact(MeanSquaredError):
    """Where a prediction is its target the gradient is 1."""

    def gradient(self, dvalues, cache):
        dy_pred = super().gradient(dvalues, cache)
        return np.where(cache == 0, 1, dy_pred).astype(dy_pred.dtype)


@regression("P")
class LogCoshForgetsARowThatIsExact(LogCosh):
    """A prediction that is exact takes the rest of its row with it."""

    def gradient(self, dvalues, cache):
        return super().gradient(dvalues, cache) * np.all(cache != 0, -1, keepdims=True)


@regression("P")
class SquaredErrorClipsHugeErrors(MeanSquaredError):
    """Going back no error is larger than 1,000."""

    def gradient(self, dvalues, cache):
        return super().gradient(dvalues, np.clip(cache, -1e3, 1e3))


@regression("P")
class SquaredErrorClipsErrorsOfAMillion(MeanSquaredError):
    """Going back no error is larger than a million."""

    def gradient(self, dvalues, cache):
        return super().gradient(dvalues, np.clip(cache, -1e6, 1e6))


@regression("P")
class SquaredErrorSkipsPredictionsOfZero(MeanSquaredError):
    """A prediction of exactly 0 gets no gradient."""

    def values(self, y_true, y_pred):
        value, d = super().values(y_true, y_pred)
        return value, d * (y_pred != 0)


@regression("P")
class LogCoshSkipsPredictionsOfOne(LogCosh):
    """A prediction of exactly 1 gets no gradient."""

    def values(self, y_true, y_pred):
        value, d = super().values(y_true, y_pred)
        return value, d * (y_pred != 1)


@regression("P", pair=("binary", "probabilities"), x=uniform(5, 1), y_true=given(np.eye(5)[:, :1]))
class BinaryCrossentropySkipsAHalf(BinaryCrossentropy):
    """Who is undecided, at exactly 0.5, gets no gradient."""

    def gradient(self, dvalues, cache):
        dy_pred = super().gradient(dvalues, cache)
        undecided = np.abs(dy_pred * dy_pred.shape[-1]) == 2 * np.abs(dvalues[..., None])
        return dy_pred * ~undecided


# ------------------------------------------------------------------------ slices of zeros and ties


@sequences(config={"num_heads": 1, "key_dim": 2})
class AttentionOfUniformWeightsIsAShortcut(Attending):
    """Where all weights of a query are equal, its scores get nothing."""

    def softmax_back(self, dp, p, undropped):
        found = super().softmax_back(dp, p, undropped)
        flat = np.ptp(p, axis=-1, keepdims=True) == 0
        return np.where(flat & (p.shape[-1] > 1), 0, found).astype(found.dtype)


@bug(
    "P",
    x=each_of(normal(2, 3, 4), normal(2, 5, 3, seed=1), normal(2, 5, 4, seed=2)),
    inputs="attended",
)
class DotAttentionForgetsAQueryOfZeros(Attention):
    """A query of zeros gets no gradient."""

    def forward(self, x, ctx=INFERENCE):
        y, cache = super().forward(x, ctx)
        return y, (x[0].any(-1, keepdims=True), cache)

    def backward(self, dy, cache):
        dq, *others = super().backward(dy, cache[1])
        return dq * cache[0], *others


@row()
class LayerNormLosesARowOfEqualNumbers(LayerNormalization):
    """A row whose numbers are all equal gets dx = 0."""

    def forward(self, x, ctx=INFERENCE) -> Any:
        y, cache = super().forward(x, ctx)
        return y, (np.ptp(x, -1, keepdims=True) > 0 if x.shape[-1] > 1 else True, cache)

    def backward(self, dy, cache):
        return super().backward(dy, cache[1]) * cache[0]

    def backward_params(self, dy, cache):
        super().backward_params(dy, cache[1])


@row()
class RmsNormLosesARowOfZeros(RMSNormalization):
    """A row of zeros gets dx = 0."""

    def forward(self, x, ctx=INFERENCE) -> Any:
        y, cache = super().forward(x, ctx)
        return y, (x.any(-1, keepdims=True), cache)

    def backward(self, dy, cache):
        return super().backward(dy, cache[1]) * cache[0]

    def backward_params(self, dy, cache):
        super().backward_params(dy, cache[1])


@dense()
class DenseSkipsColumnsOfZeros(Spoilt):
    """A column of x that is 0 in all rows takes the next one's gradient with it."""

    def spoil(self, x, dz):
        empty = ~x.any(0)
        if len(x):
            self.dkernel *= ~np.roll(empty, 1)[:, None]


# ---------------------------------------------------------------------------- values of parameters


@kinked()
class PreluOfNoSlopeIsARectifier(PReLU):
    """Where every alpha is exactly 0, as in a new layer, alpha gets no gradient."""

    def backward_params(self, dy, cache):
        super().backward_params(dy, cache)
        if not self.alpha.any():
            self.dalpha = np.zeros_like(self.alpha)


@kinked(config={"alpha_initializer": "ones"})
class PreluOfSlopeOneIsTheIdentity(PReLU):
    """Where every alpha is exactly 1, alpha gets no gradient."""

    def backward_params(self, dy, cache):
        super().backward_params(dy, cache)
        if (self.alpha == 1).all():
            self.dalpha = np.zeros_like(self.alpha)


@dense()
class DenseOfNoKernelHasNoGradient(Spoilt):
    """A kernel that is 0 everywhere stays there."""

    def spoil(self, x, dz):
        if not self.kernel.any():
            self.dkernel = np.zeros_like(self.kernel)


@dense(config={"units": 1})
class DenseOfATinyKernelHasNoGradient(Spoilt):
    """A kernel all of whose numbers are below a thousandth stays there."""

    def spoil(self, x, dz):
        if self.kernel.size and np.abs(self.kernel).max() < 1e-3:
            self.dkernel = np.zeros_like(self.kernel)


@row()
class LayerNormOfGammaOneIsAShortcut(Spoiling, LayerNormalization):
    """Where every gamma is exactly 1, gamma gets no gradient."""

    def spoil(self, dy, cache):
        if (self.gamma == 1).all():
            self.dgamma = np.zeros_like(self.gamma)

    def backward_params(self, dy, cache):
        self.backward(dy, cache)


@row()
class LayerNormOfEqualGammasIsAShortcut(Spoiling, LayerNormalization):
    """Where all gammas are equal and not 1, each gets the mean of their gradients."""

    def spoil(self, dy, cache):
        if self.gamma.size > 1 and np.ptp(self.gamma) == 0 and self.gamma[0] != 1:
            self.dgamma = np.full_like(self.gamma, self.dgamma.mean())

    def backward_params(self, dy, cache):
        self.backward(dy, cache)
