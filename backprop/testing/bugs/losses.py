"""Mistakes in losses: factors, reductions, clips, weights, and the derivative of softmax."""

from __future__ import annotations

from functools import partial

import numpy as np

from backprop.losses.axes import last, through_mean, unlast
from backprop.losses.classification import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
    as_row,
)
from backprop.losses.focal import (
    BinaryFocalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
)
from backprop.losses.hinge import CategoricalHinge, Hinge, SquaredHinge
from backprop.losses.loss import EPSILON
from backprop.losses.probabilistic import KLDivergence, Poisson
from backprop.losses.regression import (
    CosineSimilarity,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
)
from backprop.testing.bugs.bank import bug, given, integers, normal, one_hot, probabilities, uniform
from backprop.testing.bugs.shared import Mixin, RecallingLoss

regression = partial(bug, x=normal(4, 3), y_true=normal(4, 3, seed=1), inputs="targets")
positive = partial(
    regression, pair=("positive", "positive"), x=uniform(4, 3), y_true=uniform(4, 3, seed=1)
)
binary = partial(
    regression,
    pair=("binary", "probabilities"),
    x=uniform(5, 1),
    y_true=given([[0], [1], [1], [0], [1]]),
)
classes = partial(
    regression, pair=("one_hot", "distributions"), x=probabilities(4, 3), y_true=one_hot(4, 3)
)
logits = partial(classes, pair=("one_hot", "numbers"), x=normal(4, 3), config={"from_logits": True})


# ------------------------------------------------------------------------------------- regression


@regression("V", source="dlib 1169")
class SquaredErrorForgetsTheTwo(MeanSquaredError):
    """dy_pred = d / k, where it is 2 d / k."""

    def gradient(self, dvalues, cache):
        return through_mean(dvalues, cache) * cache


@regression("V")
class SquaredErrorIsNotDividedByItsElements(MeanSquaredError):
    """dy_pred = 2 d: the mean over the last axis is taken for a sum."""

    def gradient(self, dvalues, cache):
        return 2 * dvalues[..., None] * cache


@regression("V")
class SquaredErrorIsDividedByTheBatchAgain(MeanSquaredError):
    """dvalues holds 1 / N already."""

    def gradient(self, dvalues, cache):
        return super().gradient(dvalues, cache) / max(len(cache), 1)


@regression("V")
class SquaredErrorHasTheOppositeSign(MeanSquaredError):
    """d = y_true - y_pred going back, which climbs."""

    def gradient(self, dvalues, cache):
        return -super().gradient(dvalues, cache)


@regression("C")
class SquaredErrorForgetsTheWeightsGoingBack(MeanSquaredError):
    """The value is weighted by sample_weight, the gradient is not."""

    def weigh(self, values, sample_weight, mask):
        values, w, total = super().weigh(values, sample_weight, mask)
        return values, np.ones_like(w), total


@regression("P", inputs="exact", tags=("piecewise",))
class AbsoluteErrorDividesByItself(MeanAbsoluteError):
    """sign(d) as d / |d|: 0 / 0 where the prediction is exact."""

    def gradient(self, dvalues, cache):
        return through_mean(dvalues, cache) * (cache / np.abs(cache))


@regression("V", x=uniform(4, 3, low=1, high=2), y_true=uniform(4, 3, low=1, high=2, seed=1))
class PercentageErrorForgetsTheScale(MeanAbsolutePercentageError):
    """dy_pred = 100 sign(d) / k, without 1 / |y_true|."""

    def gradient(self, dvalues, cache):
        d, _ = cache
        return through_mean(100 * dvalues, d) * np.sign(d)


@positive("V")
class LogarithmicErrorForgetsTheInnerDerivative(MeanSquaredLogarithmicError):
    """dy_pred = 2 d / k, without 1 / (1 + y_pred)."""

    def gradient(self, dvalues, cache):
        d, y_pred = cache
        return through_mean(2 * dvalues, d) * d * (y_pred > EPSILON)


@regression("V", x=normal(4, 3, scale=3))
class HuberGoesOnAsAParabola(Huber):
    """The slope is d beyond delta too."""

    def values(self, y_true, y_pred):
        return super().values(y_true, y_pred)[0], y_pred - y_true


@regression("C", varies={"delta": (1.0, 0.5, 2.0)}, x=normal(4, 3, scale=3))
class HuberForgetsItsDelta(Huber):
    """The slope is held within ±1, whatever delta is."""

    def values(self, y_true, y_pred):
        return super().values(y_true, y_pred)[0], (y_pred - y_true).clip(-1, 1)


@regression("P")
class LogCoshDividesHyperbolicFunctions(LogCosh):
    """tanh as sinh / cosh: infinity over infinity for large errors."""

    def gradient(self, dvalues, cache):
        return through_mean(dvalues, cache) * (np.sinh(cache) / np.cosh(cache))


@regression("V")
class CosineForgetsTheNorm(RecallingLoss, CosineSimilarity):
    """dp̂ is passed on as if y_pred had length 1."""

    def recalled(self, t, p, norm, cosine):
        return t, p, np.ones_like(norm), cosine


@regression("V")
class CosineKeepsWhatLiesAlong(RecallingLoss, CosineSimilarity):
    """The part of dp̂ along p̂ is not taken away."""

    def recalled(self, t, p, norm, cosine):
        return t, p, norm, np.zeros_like(cosine)


@regression("P", source="PyTorch 2421, autograd 151")
class CosineDividesByAZeroNorm(CosineSimilarity):
    """Going back, the norm of y_pred is not held above 1e-7: NaN for a vector of zeros."""

    def values(self, y_true, y_pred):
        values, (t, _, _, cosine) = super().values(y_true, y_pred)
        x = last(y_pred, self.axis)
        norm = np.sqrt(np.vecdot(x, x))[..., None]
        return values, (t, x / norm, norm, cosine)


# ---------------------------------------------------------------------------------- cross-entropy


class ForgetsTheSmoothing(Mixin):
    """The cache begins with y_true, where it is to begin with labels that were smoothed."""

    def values(self, y_true, y_pred):
        value, (_, *rest) = super().values(y_true, y_pred)
        return value, (last(y_true, self.axis), *rest)


@binary("P")
class BinaryCrossentropyClipsOnlyGoingForth(BinaryCrossentropy):
    """The value sees p held within [1e-7, 1 - 1e-7], the gradient the p that came: 1 / 0 at 0 and
    1.
    """

    def values(self, y_true, y_pred):
        value, (t, p, _) = super().values(y_true, y_pred)
        return value, (t, last(y_pred, self.axis), np.ones_like(p))


@binary("C", varies={"label_smoothing": (0.0, 0.2)})
class BinaryCrossentropyForgetsTheSmoothingGoingBack(ForgetsTheSmoothing, BinaryCrossentropy):
    """The gradient sees the labels as they came."""


@binary("V", x=normal(5, 1), pair=("binary", "numbers"), config={"from_logits": True})
class BinaryCrossentropyDerivesTheSigmoidTwice(BinaryCrossentropy):
    """The slope p (1 - p) of the sigmoid, which has cancelled, is multiplied in once more."""

    def gradient(self, dvalues, cache):
        dy = super().gradient(dvalues, cache)
        p = 1 / (1 + np.exp(-cache[1].clip(-50, 50)))
        return dy * p * (1 - p) if self.from_logits else dy


@classes("V")
class CrossentropyForgetsItsNormalisation(CategoricalCrossentropy):
    """dy_pred = -t / q, without what the division by the sum passes on."""

    def gradient(self, dvalues, cache):
        t, q, s, p = cache
        return unlast(-t / p * (p == q) * (dvalues / s)[..., None], self.axis)


@logits("V")
class CrossentropyAveragesOverTheClasses(CategoricalCrossentropy):
    """dy_pred = (q - t) / k: the mean over the elements, where it is over samples."""

    def gradient(self, dvalues, cache):
        return super().gradient(dvalues, cache) / cache[0].shape[-1]


@logits("C", x=normal(4, 3), varies={"label_smoothing": (0.0, 0.1)})
class CrossentropyForgetsTheSmoothingGoingBack(ForgetsTheSmoothing, CategoricalCrossentropy):
    """The gradient is q - y_true, where the labels were smoothed."""


sparse = partial(classes, pair=("labels", "distributions"), y_true=integers(3, 4))
sparse_logits = partial(
    sparse, pair=("labels", "numbers"), x=normal(4, 3), config={"from_logits": True}
)


@sparse("V")
class SparseCrossentropyTakesProbabilitiesForLogits(SparseCategoricalCrossentropy):
    """dy_pred = q - δ although the softmax stands in the layer before, which then derives it a
    second time.
    """

    def gradient(self, dvalues, cache):
        q, s, at, *_, shape = cache
        d = dvalues.reshape(-1)
        dy = (q / s[:, None] if self.from_logits else q) * d[:, None]
        as_row(dy)[at] -= d
        return unlast(dy.reshape(shape), self.axis)


@sparse_logits("V")
class SparseCrossentropyWritesToWholeColumns(SparseCategoricalCrossentropy):
    """-δ lands in the label's column of every sample, as by dy[:, labels] where dy[rows, labels] is
    meant.
    """

    def gradient(self, dvalues, cache):
        q, s, at, *_, shape = cache
        d = dvalues.reshape(-1)
        marks = np.zeros_like(q)
        as_row(marks)[at] = d
        return unlast((q * (d / s)[:, None] - marks.sum(0)).reshape(shape), self.axis)


@sparse_logits(
    "C", y_true=given([0, 2, 1, 2], int), varies={"ignore_class": (None, 0)}, source="Paddle 28622"
)
class SparseCrossentropyTrainsWhatItIgnores(SparseCategoricalCrossentropy):
    """Samples of ignore_class cost nothing and still get a gradient."""

    def forward(self, y_true, y_pred, sample_weight=None, mask=None):
        value, (cache, dvalues, *rest) = super().forward(y_true, y_pred, sample_weight, mask)
        return value, (cache, np.where(dvalues == 0, dvalues.max(initial=0), dvalues), *rest)


@logits("V", verdict="equivalent")
class CrossentropyTakesSoftmaxThenLabels(CategoricalCrossentropy):
    """dy_pred = (softmax Σ t - t) dvalues, each factor by itself."""

    def gradient(self, dvalues, cache):
        t, e, s, total = cache
        softmax = e / s[..., None]
        return unlast((softmax * total[..., None] - t) * dvalues[..., None], self.axis)


@binary("V")
class BinaryFocalForgetsThatItsFactorMoves(RecallingLoss, BinaryFocalCrossentropy):
    """The factor f^gamma is taken for a constant."""

    def recalled(self, t, p, q, c, f):
        return t, p, q, np.zeros_like(c), f


@classes("V")
class CategoricalFocalForgetsAlphaGoingBack(RecallingLoss, CategoricalFocalCrossentropy):
    """The value is weighted by alpha, the gradient is not."""

    def recalled(self, t, *rest):
        return t / np.asarray(self.alpha, t.dtype), *rest


@sparse("V")
class GeneralizedCrossentropyIsOffByOnePower(CategoricalGeneralizedCrossEntropy):
    """dy_pred = -p^q, where it is -p^(q - 1)."""

    def gradient(self, dvalues, cache):
        p, at, shape = cache
        dy_pred = np.zeros((p.size, shape[-1]), p.dtype)
        dy_pred[at] = -(np.maximum(p, EPSILON) ** self.q) * dvalues.reshape(-1)
        return dy_pred.reshape(shape)


# ---------------------------------------------------------------------------- hinge, distributions


margin = partial(
    regression,
    pair=("signs", "numbers"),
    x=normal(5, 2),
    y_true=given([[1, -1], [-1, 1], [1, 1], [-1, -1], [1, -1]]),
)


@margin("V")
class HingePullsBeyondItsMargin(RecallingLoss, Hinge):
    """dy_pred = -t / k also where the margin is kept."""

    def recalled(self, t, m):
        return t, np.ones_like(m)


@margin("V")
class SquaredHingeForgetsTheTwo(SquaredHinge):
    """dy_pred = -t m / k, where it is -2 t m / k."""

    def gradient(self, dvalues, cache):
        return super().gradient(dvalues / 2, cache)


scores = partial(regression, y_true=one_hot(4, 3), pair=("one_hot", "numbers"))


@scores("V")
class CategoricalHingeForgetsTheRightClass(CategoricalHinge):
    """Only the best wrong class is pushed down; the right one is not pulled up."""

    def gradient(self, dvalues, cache):
        t, wrong, values = cache
        first = np.arange(t.shape[-1]) == wrong.argmax(-1)[..., None]
        return ((1 - t) * first) * (dvalues * (values > 0))[..., None]


@scores("P", inputs="tied", options={"classes": (3, 5)}, tags=("piecewise",))
class CategoricalHingePaysAllTies(CategoricalHinge):
    """Every wrong class with the best score is pushed down in full, where their slopes add up to
    one.
    """

    def gradient(self, dvalues, cache):
        t, wrong, values = cache
        best = wrong == wrong.max(-1, keepdims=True)
        return ((1 - t) * best - t) * (dvalues * (values > 0))[..., None]


@classes("P", y_true=probabilities(4, 3, seed=1), pair=("probabilities", "positive"))
class DivergenceClipsOnlyGoingForth(RecallingLoss, KLDivergence):
    """The gradient is -t / p also where p was clipped, and the value no longer moves."""

    def recalled(self, ratio, inside):
        return ratio, np.ones_like(inside)


@classes("V", y_true=probabilities(4, 3, seed=1), pair=("probabilities", "distributions"))
class DivergenceForgetsTheTarget(KLDivergence):
    """dy_pred = -1 / p, where it is -t / p."""

    def values(self, y_true, y_pred):
        values, (_, inside) = super().values(y_true, y_pred)
        return values, (1 / y_pred.clip(EPSILON, 1), inside)


@positive("T")
class PoissonForgetsEpsilonGoingBack(Poisson):
    """dy_pred = 1 - y_true / y_pred, where the value has y_pred + 1e-7."""

    def values(self, y_true, y_pred):
        values, _ = super().values(y_true, y_pred)
        return values, (y_true, np.maximum(y_pred, np.finfo(y_pred.dtype).tiny))


@regression("C", varies={"reduction": ("sum_over_batch_size", "sum", "none")})
class LossDividesByTheBatchWhateverItsReduction(MeanSquaredError):
    """The gradient is that of the mean, also where the reduction is a sum or none."""

    def forward(self, y_true, y_pred, sample_weight=None, mask=None):
        value, (cache, dvalues, *rest) = super().forward(y_true, y_pred, sample_weight, mask)
        if self.reduction in ("sum", "none", None):
            dvalues = dvalues / max(dvalues.size, 1)
        return value, (cache, dvalues, *rest)
