"""Mistakes in losses of regions, of embeddings and of networks that say how sure they are."""

from __future__ import annotations

from functools import partial

import numpy as np

from backprop.linalg import sigmoid
from backprop.losses.axes import through_mean
from backprop.losses.circle import Circle
from backprop.losses.overlap import Dice, Tversky
from backprop.losses.uncertainty import GaussianNLL, Quantile
from backprop.testing.bugs.bank import bug, given, normal, uniform
from backprop.testing.bugs.shared import RecallingLoss

regions = partial(
    bug,
    x=uniform(3, 4),
    y_true=given([[0, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 1]]),
    inputs="targets",
    pair=("binary", "probabilities"),
    tags=("couples_rows",),
)
embedded = partial(
    bug,
    x=normal(5, 3),
    y_true=given([0, 1, 0, 1, 2], int),
    inputs="embedded",
    pair=("labels", "numbers"),
    config={"gamma": 1.0},
    tags=("piecewise", "couples_rows"),
)
spread = partial(bug, x=normal(4, 6), y_true=normal(4, 3, seed=1), inputs="twofold")
pinball = partial(
    bug, x=normal(4, 3), y_true=normal(4, 3, seed=1), inputs="targets", tags=("piecewise",)
)


@regions("V")
class DiceForgetsThatItsSumsMove(RecallingLoss, Dice):
    """dp = -2 t / D: the denominator, which every prediction adds to, is taken for a constant."""

    def recalled(self, t, r, D, real):
        return t, np.zeros_like(r), D, real


@regions("V")
class DiceForgetsTheTwoGoingBack(Dice):
    """The gradient is that of 1 - Σ t p / D."""

    def gradient(self, dvalues, cache):
        return super().gradient(dvalues / 2, cache)


@regions("C", config={"axis": -1}, tags=())
class DicePaysEachSampleWithTheWholeBatch(Dice):
    """Where there is a value for each sample, the denominators of all go into each gradient."""

    def gradient(self, dvalues, cache):
        t, r, D, real = cache
        return super().gradient(dvalues, (t, r, np.full_like(D, D.mean()), real))


@regions("P")
class DicePaysWhatIsMasked(RecallingLoss, Dice):
    """A masked prediction, which is in no sum, gets a gradient."""

    def recalled(self, t, r, D, real):
        return t, r, D, None


@regions("C", varies={"alpha": (0.5, 0.2), "beta": (0.5, 1.5)})
class TverskyTakesItsWeightsForHalves(Tversky):
    """The gradient is that of alpha = beta = 1/2, whatever they are."""

    def gradient(self, dvalues, cache):
        return Tversky().gradient(dvalues, cache)


@embedded("V")
class CircleMovesOneOfEachPair(Circle):
    """dy_pred = -du y_pred: the other embedding of a pair, duᵀ, stays where it is."""

    def gradient(self, dvalues, cache):
        return -self.through_sums(dvalues, cache) @ cache[0]


@embedded("V")
class CircleTakesItsWeightsForConstants(Circle):
    """The first factors of a and b are not derived: a' = gamma (m + u), b' = -gamma (1 + m - u)."""

    def through_sums(self, dvalues, cache):
        _, u, both, of_a, of_b = cache
        m = self.margin
        pull = of_a * np.maximum(m + u, 0) - of_b * np.maximum(1 + m - u, 0)
        return pull * (u > 0) * (self.gamma * sigmoid(both) * dvalues)[:, None]


@embedded("V")
class CircleForgetsItsOuterSlope(Circle):
    """The slope sigmoid(A + B) of the logarithm around the sums is taken for 1."""

    def gradient(self, dvalues, cache):
        p, u, both, of_a, of_b = cache
        return super().gradient(dvalues, (p, u, np.where(np.isfinite(both), 40, both), of_a, of_b))


@spread("V")
class GaussianForgetsTheVarianceOfTheMean(GaussianNLL):
    """dmean = d, as of a squared error, where it is d / v."""

    def gradient(self, dvalues, cache):
        d, *_ = cache
        dmean = through_mean(dvalues, d) * d
        return np.concatenate([dmean, super().gradient(dvalues, cache)[..., d.shape[-1] :]], -1)


@spread("V")
class GaussianForgetsWhatAVarianceCosts(GaussianNLL):
    """ds = -½ d² / v: without the half of log v, so that it grows for ever."""

    def gradient(self, dvalues, cache):
        d, _, free = cache
        dy = super().gradient(dvalues, cache)
        dy[..., d.shape[-1] :] -= 0.5 * through_mean(dvalues, d) * free
        return dy


@spread("C", varies={"spread": ("log_variance", "variance")}, config={"eps": 0.25})
class GaussianTakesVariancesForLogarithms(GaussianNLL):
    """ds of a variance lacks 1 / v, the slope of the logarithm."""

    def values(self, y_true, y_pred):
        values, (d, pull, free) = super().values(y_true, y_pred)
        return values, (d, pull, np.sign(free))


@pinball("V", config={"quantile": 0.2})
class PinballIsTurnedRound(Quantile):
    """The slopes of too low and too high are exchanged going back."""

    def gradient(self, dvalues, cache):
        return super().gradient(dvalues, cache * (1 - abs(cache)) / np.maximum(abs(cache), 1e-9))


@pinball("C", varies={"quantile": (0.5, 0.2)})
class PinballIsAlwaysTheMedian(Quantile):
    """The gradient is half the sign of the error, whatever the quantile."""

    def gradient(self, dvalues, cache):
        return super().gradient(dvalues, np.sign(cache) / 2)
