"""Mistakes at numbers that are large, tiny, equal or whole, and at parameters of another sign.

Parameters that begin at 1 and inputs between -3 and 3 show none of them.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from backprop.layer import INFERENCE
from backprop.layers.activations.gated import GELU, SiLU
from backprop.layers.activations.rectifiers import Linear, PReLU, ReLU6
from backprop.layers.activations.sigmoids import LogSigmoid, Sigmoid, Softsign, Tanh
from backprop.layers.activations.smooth import Softplus
from backprop.layers.activations.softmax import LogSoftmax, Softmax
from backprop.layers.merging import Multiply
from backprop.layers.noise import Dropout
from backprop.layers.recurrent import GRU, SimpleRNN
from backprop.linalg import sigmoid, unbroadcast
from backprop.losses.classification import CategoricalCrossentropy
from backprop.losses.regression import LogCosh, MeanSquaredError
from backprop.testing.bugs.attention import Attending
from backprop.testing.bugs.bank import bug, each_of, normal
from backprop.testing.bugs.elementwise import FromX
from backprop.testing.bugs.losses import logits, regression
from backprop.testing.bugs.normalization_paths import BatchByPaths, LayerByPaths
from backprop.testing.bugs.recurrent import SpoilingStep
from backprop.testing.bugs.shared import Mixin

numbers = partial(bug, x=normal(4, 5), inputs="floats")
lattice = partial(numbers, tags=("piecewise",))
row = partial(bug, x=normal(4, 5), inputs="floats")
dense = partial(bug, x=normal(5, 4), inputs="rows", config={"units": 3})
recurrent = partial(bug, x=normal(3, 4, 3), inputs="sequences", config={"units": 2})


# ------------------------------------------------------------------------------- signs of gamma


class PositiveGamma(Mixin):
    """dx̂ = |gamma| dy."""

    def weight(self):
        return np.abs(super().weight())


@row("P", tags=("couples_rows",))
class BatchNormTakesItsGammaForPositive(PositiveGamma, BatchByPaths):
    """dx̂ = |gamma| dy, which is right as long as no gamma has become negative."""


@row("P")
class LayerNormTakesTheMeanOfItsGammas(LayerByPaths):
    """One gamma, the mean of all, weighs every column going back: at the start they are equal."""

    def weight(self):
        return np.full_like(super().weight(), self.gamma.mean())


@row("P", tags=("piecewise",))
class PreluFindsItsSidesByTheSignOfY(PReLU):
    """Where y is negative the slope is alpha: the wrong side where alpha is negative itself."""

    def backward(self, dy, cache):
        y = np.where(cache > 0, cache, self.alpha * cache)
        self.dalpha = unbroadcast(dy * np.where(y < 0, cache, 0), self.alpha.shape)
        return dy * np.where(y < 0, self.alpha, dy.dtype.type(1))

    def backward_params(self, dy, cache):
        self.backward(dy, cache)


@row("P", tags=("piecewise",), verdict="equivalent")
class PreluFindsItsSidesByTheSignOfX(PReLU):
    """The side is chosen by the sign of x, where the layer adds up two parts."""

    def backward(self, dy, cache):
        self.backward_params(dy, cache)
        return np.where(cache > 0, dy, dy * self.alpha * (cache < 0))


# ------------------------------------------------------------------------------- tails and tiny x


@numbers("P", verdict="equivalent")
class SoftplusIsStraightFarToTheRight(FromX, Softplus):
    """The slope is 1 for x > 40, which it is to the last digit."""

    def slope_at(self, x):
        return np.where(x > 40, 1, sigmoid(x)).astype(x.dtype)


@numbers("P")
class SoftplusHasNoTail(FromX, Softplus):
    """The slope is 0 for x < -5, where it is up to 0.007."""

    def slope_at(self, x):
        return sigmoid(x) * (x >= -5)


@numbers("P")
class GeluHasNoTail(GELU):
    """The slope is 0 for x < -3, where it goes down to -0.012."""

    def forward(self, x, ctx=INFERENCE):
        y, slope = super().forward(x, ctx)
        return y, None if slope is None else slope * (x >= -3)


@numbers("P")
class SiluIsLinearFarToTheRight(FromX, SiLU):
    """The slope is 1 for x > 5, where it is up to 1.03."""

    def slope_at(self, x):
        s = sigmoid(x)
        return np.where(x > 5, 1, s * (1 + x * (1 - s))).astype(x.dtype)


@numbers("P")
class LogSigmoidIsFlatFarToTheLeft(FromX, LogSigmoid):
    """The slope is 0 for x < -30, where it is 1."""

    def slope_at(self, x):
        return sigmoid(-x) * (x >= -30)


@numbers("P")
class SoftsignIsFlatBeyondAHundred(FromX, Softsign):
    """The slope is 0 for |x| > 100, and 1e-4 there."""

    def slope_at(self, x):
        return np.where(np.abs(x) > 100, 0, 1 / (1 + np.abs(x)) ** 2).astype(x.dtype)


@numbers("P")
class LinearIsClippedBeyondFifty(FromX, Linear):
    """dx is 0 where |x| is larger than 50, which forward did not clip."""

    def slope_at(self, x):
        return np.abs(x) <= 50


@numbers("P")
class LinearTakesTinyNumbersForMissing(FromX, Linear):
    """dx is 0 where |x| is below 1e-6."""

    def slope_at(self, x):
        return np.abs(x) >= 1e-6


# --------------------------------------------------------------------------- whole numbers, equals


@lattice("P")
class TanhIsFlatAtWholeNumbers(FromX, Tanh):
    """At 1 and -1 the slope is 0, as of a function that is clipped there."""

    def slope_at(self, x):
        return (1 - np.tanh(x) ** 2) * (np.abs(x) != 1)


@lattice("P")
class SigmoidHasSlopeOneAtZero(FromX, Sigmoid):
    """At x = 0 the slope is 1, where it is a quarter."""

    def slope_at(self, x):
        s = sigmoid(x)
        return np.where(x == 0, 1, s * (1 - s)).astype(x.dtype)


@lattice("P", x=normal(4, 5, scale=4))
class Relu6AddsBothSlopesAtSix(ReLU6):
    """At y = 6 the slope is 2: both the part below and that above are counted."""

    def slope(self, y):
        return super().slope(y) + 2 * (y == 6)


@bug("P", x=normal(4, 5), inputs="rows")
class SoftmaxOfEqualNumbersIsAShortcut(Softmax):
    """Where all of a row is equal, dx is dy / n, without the mean that is taken off."""

    def backward(self, dy, cache):
        flat = (np.ptp(cache, axis=-1, keepdims=True) == 0) & (cache.shape[-1] > 1)
        return np.where(flat, cache * dy, super().backward(dy, cache))


@bug("P", x=each_of(normal(4, 3), normal(4, 3, seed=1)), inputs="two", tags=("symmetric",))
class MultiplyGivesNothingWhereItIsZero(Multiply):
    """Where the product is 0 both dx are 0, though only one factor is."""

    def forward(self, x, ctx=INFERENCE) -> tuple[np.ndarray, Any]:
        y, cache = super().forward(x, ctx)
        return y, (cache, y != 0)

    def backward(self, dy, cache):
        return super().backward(dy * cache[1], cache[0])


@regression("P", inputs="exact")
class SquaredErrorPushesWhatIsExact(MeanSquaredError):
    """Where a prediction is exact its gradient is that of an error of 1."""

    def gradient(self, dvalues, cache):
        return super().gradient(dvalues, np.where(cache == 0, 1, cache).astype(cache.dtype))


# ------------------------------------------------------------------- what saturates, what vanishes


@bug("P", x=normal(4, 5), inputs="wide")
class SoftmaxDropsSmallProbabilities(Softmax):
    """Probabilities below a ten-thousandth are 0 going back."""

    def backward(self, dy, cache):
        return super().backward(dy, np.where(cache < 1e-4, 0, cache).astype(cache.dtype))


@bug("P", x=normal(4, 5), inputs="wide")
class LogSoftmaxForgetsWhoIsSure(LogSoftmax):
    """A row with a probability above 0.99 gets nothing."""

    def backward(self, dy, cache):
        sure = np.exp(cache).max(-1, keepdims=True, initial=0) > 0.99
        return np.where(sure & (cache.shape[-1] > 1), 0, super().backward(dy, cache))


@logits("P")
class CrossentropyForgetsWhoIsSure(CategoricalCrossentropy):
    """A sample whose label has a probability above 0.9 gets no gradient."""

    def gradient(self, dvalues, cache):
        t, e, s, _ = cache
        sure = (t * e).sum(-1) > 0.9 * s
        return super().gradient(dvalues * ~sure, cache)


@regression("P")
class SquaredErrorClipsLargeErrors(MeanSquaredError):
    """Going back no error is larger than 5."""

    def gradient(self, dvalues, cache):
        return super().gradient(dvalues, np.clip(cache, -5, 5))


@regression("P")
class LogCoshIsFlatNearZero(LogCosh):
    """An error below a tenth has no gradient."""

    def gradient(self, dvalues, cache):
        dy_pred = super().gradient(dvalues, cache)
        return dy_pred * (np.abs(dy_pred) > 0.1 * np.abs(dvalues[..., None]) / dy_pred.shape[-1])


@bug(
    "P",
    x=normal(2, 4, 3),
    inputs="sequences",
    config={"num_heads": 1, "key_dim": 3},
)
class AttentionDropsSmallWeights(Attending):
    """Weights below a hundredth pass nothing to the values."""

    def values_back(self, do, p, drop):
        return super().values_back(do, np.where(p < 0.01, 0, p), drop)


@recurrent("P")
class RnnFlushesWhatIsSmall(SpoilingStep, SimpleRNN):
    """dh₋ below a hundredth is taken for 0."""

    def spoil(self, before, dz, tape):
        before[0][np.abs(before[0]) < 0.01] = 0


@recurrent("P")
class GruClipsWhatComesBack(SpoilingStep, GRU):
    """dh₋ is held within ±2: a clip that no one asked for."""

    def spoil(self, before, dz, tape):
        np.clip(before[0], -2, 2, out=before[0])


@bug("P", x=normal(4, 5), inputs="rows", config={"rate": 0.5, "seed": 0}, tags=("stochastic",))
class DropoutKeepsARowThatIsAllDropped(Dropout):
    """A row of which all is dropped passes dy on."""

    def backward(self, dy, k):
        dx = super().backward(dy, k)
        if k is None:
            return dx
        lost = ~super().backward(np.ones_like(dy), k).any(-1, keepdims=True)
        return np.where(lost, dy, dx)
