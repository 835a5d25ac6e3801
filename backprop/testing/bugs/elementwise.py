"""Mistakes in activations that work number by number, most of them at kinks and in tails."""

from __future__ import annotations

from functools import partial

import numpy as np

from backprop.initializers import Constant
from backprop.kernels.smooth import gelu, gelu_by_tanh
from backprop.layer import INFERENCE
from backprop.layers.activations.elementwise import curve, negative, step
from backprop.layers.activations.exponentials import CELU, ELU, SELU, Exponential
from backprop.layers.activations.gated import GELU, GLU, HardSiLU, Mish, SiLU
from backprop.layers.activations.rectifiers import LeakyReLU, PReLU, ReLU, ReLU6
from backprop.layers.activations.shrinking import SoftShrink, Threshold
from backprop.layers.activations.sigmoids import (
    HardSigmoid,
    HardTanh,
    LogSigmoid,
    Sigmoid,
    Softsign,
    Tanh,
)
from backprop.layers.activations.smooth import Softplus, Squareplus
from backprop.linalg import sigmoid, unbroadcast
from backprop.testing.bugs.bank import bug, given, normal
from backprop.testing.bugs.shared import Mixin, PassesOn

elementwise = partial(bug, x=normal(4, 5, scale=2), inputs="floats", tags=("piecewise",))


class FromX(Mixin):
    """The slope is found from x by `slope_at`, where the layer finds it from y."""

    def forward(self, x, ctx=INFERENCE):
        return super().forward(x, ctx)[0], x

    def backward(self, dy, cache):
        return dy * self.slope_at(cache)


class PassesWhatItReplaced(Mixin):
    """The slope is 1."""

    def slope(self, x):
        return np.ones_like(x)


class ForgetsAlpha(Mixin):
    """The slope on the left is y + 1."""

    def slope(self, x):
        return negative(self.value(x)) + 1


# -------------------------------------------------------------------------------------- rectifiers


@elementwise("V")
class ReluMultipliesByTheSign(FromX, ReLU):
    """The slope is sign(x), where it is 1 or 0."""

    def slope_at(self, x):
        return np.sign(x)


@elementwise("P", x=given([[-1.5, -0.25, 0.5, 2.0], [1.0, -2.0, 0.75, 0.3]]))
class ReluThresholdIsSlightlyOff(ReLU):
    """The slope is 1 from 0.01 on, where it is from 0 on."""

    def slope(self, kept):
        return kept > 0.01


@elementwise("P")
class ReluFindsItsSlopeByDividing(ReLU):
    """The slope is y / x: 0 / 0 at x = 0."""

    def forward(self, x, ctx=INFERENCE):
        y = self.value(x)
        return y, (x, y)

    def backward(self, dy, cache):
        x, y = cache
        return dy * (y / x)


@elementwise("V")
class ReluPassesEverythingOn(PassesOn, ReLU):
    """dx = dy: a rectifier that trains as if it were not there."""


@elementwise("V", verdict="equivalent")
class ReluTakesTheSignOfY(ReLU):
    """The slope is sign(y), and y is never negative."""

    def slope(self, kept):
        return np.sign(kept)


@elementwise("P", verdict="choice")
class ReluHasSlopeOneAtZero(FromX, ReLU):
    """At x = 0 the slope is 1: as good a subgradient as the documented 0."""

    def slope_at(self, x):
        return x >= 0


@elementwise("V")
class LeakySlopeIsOnTheWrongSide(LeakyReLU):
    """The slope is s for x ≥ 0 and 1 below."""

    def slope(self, x):
        return step(x < 0, 1.0, self.negative_slope, x.dtype)


@elementwise("P")
class LeakySlopeAtZeroIsThatOfBothSides(LeakyReLU):
    """The slope at x = 0 is 1 + s, which lies outside of [s, 1]: both masks hold 0."""

    def slope(self, x):
        return step(x >= 0, 1.0, 0.0, x.dtype) + step(x <= 0, self.negative_slope, 0.0, x.dtype)


@elementwise("P", verdict="choice")
class LeakyReluHasSlopeZeroAtZero(LeakyReLU):
    """The slope at x = 0 is 0, as of the two rectifiers whose sum it is: Keras' PReLU has just
    that.
    """

    def slope(self, x):
        return step(x > 0, 1.0, 0.0, x.dtype) + step(x < 0, self.negative_slope, 0.0, x.dtype)


prelu = partial(elementwise, config={"alpha_initializer": Constant(0.25)})


@prelu("V")
class PreluCountsTheFirstSampleOnly(PReLU):
    """dalpha is not summed over the batch."""

    def backward_params(self, dy, cache):
        super().backward_params(dy[:1], cache[:1])


@prelu("V")
class PreluSlopeGradientUsesPositiveNumbersToo(PReLU):
    """dalpha = Σ dy x, where only negative x count."""

    def backward_params(self, dy, cache):
        self.dalpha = unbroadcast(dy * cache, self.alpha.shape)


@prelu("C", inputs="images", varies={"shared_axes": (None, [1, 2])})
class PreluAveragesAlongSharedAxes(PReLU):
    """dalpha is the mean along a shared axis, where it is the sum."""

    def backward_params(self, dy, cache):
        super().backward_params(dy, cache)
        shared = [n for n, m in zip(cache.shape[1:], self.alpha.shape, strict=True) if m == 1]
        self.dalpha /= max(int(np.prod(shared)), 1)


@elementwise("V", x=normal(4, 5, scale=6), inputs="wide")
class Relu6PassesWhatItClipped(ReLU6):
    """The slope is 1 above 6 too."""

    def slope(self, y):
        return y > 0


@elementwise("V")
class HardTanhPassesWhatItClipped(PassesWhatItReplaced, HardTanh):
    """The slope is 1 everywhere."""


# ----------------------------------------------------------------------------------- exponentials


@elementwise("V", spared=("extreme_input_gives_finite_results",))  # exp(10,000) is infinite
class ExponentialIgnoresTheUpstreamGradient(Exponential):
    """dx = y, which a check that starts from ones cannot tell from y dy."""

    def backward(self, dy, cache):
        return cache.copy()


@elementwise("V", config={"alpha": 2.0})
class EluForgetsAlpha(ForgetsAlpha, ELU):
    """The slope on the left is y + 1, where it is y + alpha; alpha = 1 hides it."""


@elementwise("V")
class EluTakesTheExponentialOfY(ELU):
    """The slope on the left is alpha exp(y), where it is alpha exp(x): the derivative at the wrong
    variable.
    """

    def slope(self, x):
        s = np.exp(negative(self.value(x)))
        return np.where(x > 0, s.dtype.type(1), s.dtype.type(self.alpha) * s)


@elementwise("V", config={"alpha": 2.0})
class CeluForgetsTheInnerDerivative(ForgetsAlpha, CELU):
    """The slope on the left has the factor 1 / alpha of the exponent left out, and is y + 1."""


@elementwise("T")
class SeluRoundsItsConstantsGoingBack(SELU):
    """The slope uses 1.0507 and 1.6733; the value has all digits."""

    def slope(self, x):
        s = negative(self.value(x))
        s += step(x > 0, 1.0507, 1.0507 * 1.6733, x.dtype)
        return s


# --------------------------------------------------------------------------------------- sigmoids


@elementwise("V")
class TanhForgetsTheSquare(Tanh):
    """The slope is 1 - y, where it is 1 - y²."""

    def slope(self, y):
        return 1 - y


@elementwise("V")
class TanhTakesTanhTwice(Tanh):
    """The slope is 1 - tanh(y)²: the derivative at y, where it is at x."""

    def slope(self, y):
        t = np.tanh(y)
        return 1 - t * t


@elementwise("V", verdict="equivalent")
class TanhFactorsItsSlope(Tanh):
    """The slope is (1 - y) (1 + y)."""

    def slope(self, y):
        return (1 - y) * (1 + y)


@elementwise("V")
class SigmoidSlopeIsTakenFromX(FromX, Sigmoid):
    """The slope is x (1 - x), where it is y (1 - y)."""

    def slope_at(self, x):
        return x * (1 - x)


@elementwise("P", source="snntorch 427, candle 1722")
class SigmoidOverflowsGoingBack(FromX, Sigmoid):
    """The slope is exp(-x) / (1 + exp(-x))², and infinity over infinity for large negative x."""

    def slope_at(self, x):
        e = np.exp(-x)
        return e / ((1 + e) * (1 + e))


@elementwise("V")
class HardSigmoidHasItsFormerSlope(HardSigmoid):
    """The slope is 0.2, which belongs to another hard sigmoid, where this one has 1/6."""

    def slope(self, y):
        return step((y > 0) & (y < 1), 0.2, 0.0, y.dtype)


@elementwise("V")
class SoftsignForgetsTheSquare(Softsign):
    """The slope is r = 1 / (1 + |x|), where it is r²."""

    def slope(self, r):
        return r


@elementwise("V", verdict="equivalent")
class LogSigmoidWithoutExpm1(LogSigmoid):
    """The slope is 1 - exp(y): less accurate where it is tiny, by one unit in the last
    place of 1.
    """

    def slope(self, y):
        return 1 - np.exp(y)


# ------------------------------------------------------------------------------ smooth and gated


@elementwise("P", source="burn 5373, tt-metal 56397")
class SoftplusOverflowsGoingBack(FromX, Softplus):
    """The slope is exp(x) / (1 + exp(x)), and infinity over infinity for large x."""

    def slope_at(self, x):
        e = np.exp(x)
        return e / (1 + e)


@elementwise("V")
class SquareplusForgetsItsParameter(Squareplus):
    """The slope is that of b = 1, whatever b is."""

    def forward(self, x, ctx=INFERENCE):
        y, _ = super().forward(x, ctx)
        c = x.clip(-1e15, 1e15)
        return y, (1 + c / np.sqrt(c * c + 1)) / 2


@elementwise("V")
class SiluForgetsTheSecondTerm(SiLU):
    """The slope is s, without x s' of the product rule."""

    def slope(self, cache):
        s, _ = cache
        return s


@elementwise("V", x=normal(4, 5, scale=4), inputs="wide")
class HardSiluDoesNotCutItsSecondTerm(HardSiLU):
    """The slope has x / 6 outside of the kinks too."""

    def slope(self, x):
        return super().slope(x) + x * step(np.abs(x) >= 3, 1 / 6, 0.0, x.dtype)


@elementwise("T")
class GeluUsesTheApproximationGoingBack(GELU):
    """The value is exact, the slope is that of the tanh form: off by a thousandth."""

    def forward(self, x, ctx=INFERENCE):
        return curve(gelu, x, ctx)[0], curve(gelu_by_tanh, x, ctx)[1]


@elementwise("V")
class MishForgetsTheInnerDerivative(Mish):
    """The slope is tanh(softplus(x)), without the term x t'(x)."""

    def forward(self, x, ctx=INFERENCE):
        y, _ = super().forward(x, ctx)
        n = np.exp(x.clip(-1e4, 20))
        w = n * (n + 2)
        return y, w / (w + 2)


@elementwise("V", x=normal(4, 6), inputs="halves")
class GluSwapsItsHalves(GLU):
    """dx holds [db, da], where it is [da, db]."""

    def backward(self, dy, cache):
        return np.concatenate(np.split(super().backward(dy, cache), 2, self.axis)[::-1], self.axis)


@elementwise("V", x=normal(4, 6), inputs="halves")
class GluLeavesTheSigmoidOutOfItsGate(GLU):
    """db = a dy, without the gate's own slope s (1 - s)."""

    def forward(self, x, ctx=INFERENCE):
        a, b = np.split(x, 2, self.axis)
        s = sigmoid(b)
        return a * s, (s, a)

    def backward(self, dy, cache):
        s, a = cache
        return np.concatenate((s * dy, a * dy), self.axis)


# -------------------------------------------------------------------------------------- shrinking


@elementwise("V")
class SoftShrinkComparesTheWrongVariable(SoftShrink):
    """The slope is 1 where |y| > threshold, where it is 1 for |x| > threshold."""

    def slope(self, y):
        return np.abs(y) > self.threshold


@elementwise("V", config={"threshold": 0.5, "default_value": -1.0})
class ThresholdPassesWhatItReplaced(PassesWhatItReplaced, Threshold):
    """The slope is 1 everywhere, also where a constant stands in place of x."""


# --------------------------------------------------------------------------------------- upstream


@elementwise("L")
class TanhSquaresTheUpstreamGradient(Tanh):
    """dx = slope dy², which a check with dy = 1 cannot see."""

    def backward(self, dy, cache):
        return dy * dy * self.slope(cache)


@elementwise("L")
class TanhClipsTheUpstreamGradient(Tanh):
    """dy is held within ±5, so dx is not linear in dy; small gradients hide it."""

    def backward(self, dy, cache):
        return super().backward(dy.clip(-5, 5), cache)


@elementwise("L")
class ReluDropsNegativeUpstreamGradients(ReLU):
    """dy below 0 is set to 0, as guided backpropagation does."""

    def backward(self, dy, cache):
        return super().backward(np.maximum(dy, 0), cache)
