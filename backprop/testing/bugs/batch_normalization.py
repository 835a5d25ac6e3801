"""Mistakes in batch normalization: paths through statistics, epsilon, modes, masks, momentum."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from backprop.layer import INFERENCE
from backprop.layers.normalization import (
    BatchNormalization,
)
from backprop.linalg import rows, sum_rows
from backprop.testing.bugs.bank import behind_embedding, integers, normal
from backprop.testing.bugs.normalization_paths import (
    GAMMA,
    BatchByPaths,
    ForgetsEpsilon,
    ForgetsTheWeight,
    MeanIsConstant,
    VarianceIsConstant,
    batch,
    count,
)
from backprop.testing.bugs.shared import Spoiling


@batch("V", source="Knet 288")
class BatchNormForgetsGamma(ForgetsTheWeight, BatchByPaths):
    """dx lacks the factor gamma; at gamma = 1, where training starts, nothing shows."""


@batch("V")
class BatchNormTakesTheMeanForAConstant(MeanIsConstant, BatchByPaths):
    """The path through the batch's mean is left out."""


@batch("V")
class BatchNormTakesTheVarianceForAConstant(VarianceIsConstant, BatchByPaths):
    """The path through the batch's variance is left out."""


@batch("V")
class BatchNormTakesItsStatisticsForConstants(MeanIsConstant, VarianceIsConstant, BatchByPaths):
    """Both paths through the batch's statistics are left out."""


@batch("V")
class BatchNormCountsTheMeanTwice(BatchByPaths):
    """The path through the mean is subtracted a second time, divided by m once more."""

    def of_mean(self, dxhat, p):
        return (1 + p) * super().of_mean(dxhat, p)


@batch("T", source="Chainer 4190")
class BatchNormForgetsEpsilonGoingBack(ForgetsEpsilon, BatchByPaths):
    """r = 1 / sqrt(var) in dx, where it is 1 / sqrt(var + epsilon)."""


@batch("T")
class BatchNormAddsEpsilonOutsideOfTheRoot(BatchByPaths):
    """r = 1 / (sqrt(var) + epsilon) in dx."""

    def root(self, r):
        return 1 / (np.sqrt(np.maximum(1 / (r * r) - self.epsilon, 0)) + self.epsilon)


@batch("V", source="PyTorch 1381")
class BatchNormCountsOneRowLess(BatchByPaths):
    """dx divides by m - 1, the unbiased variance's number, where forward divided by m; 1 / 0 with
    one row.
    """

    def through(self, dxhat, xhat, p):
        m = dxhat.size // max(dxhat.shape[-1], 1)
        p = None if p is None else p * np.divide(m, m - 1, dtype=dxhat.dtype)
        return super().through(dxhat, xhat, p)


@batch("C")
class BatchNormSumsOverTheBatchOnly(BatchByPaths):
    """With images the sums in dx run over the samples and not over the pixels."""

    def averaged(self, a, p):
        return a.sum(0) / max(len(a), 1)


@batch("C", source="PyTorch/XLA 913, cudnn.torch 244")
class BatchNormReversesInferenceAsIfItWereTraining(BatchByPaths):
    """In inference the statistics are constants, and dx treats them as the batch's."""

    def through(self, dxhat, xhat, p):
        return super().through(dxhat, xhat, 1 / count(xhat) if p is None else p)


@batch("V", x=normal(6, 3), source="OneFlow 6149")
class BatchNormSwapsTheGradientsOfGammaAndBeta(Spoiling, BatchNormalization):
    """dgamma is stored as dbeta, and dbeta as dgamma."""

    def spoil(self, dy, cache):
        self.dgamma, self.dbeta = self.dbeta.copy(), self.dgamma.copy()


@batch("C", x=integers(3, 4, 5), inputs="tokens", inside=behind_embedding)
class BatchNormCountsMaskedRowsGoingBack(BatchByPaths):
    """Forward leaves masked rows out of its statistics, dx spreads over all rows."""

    def through(self, dxhat, xhat, p):
        return super().through(dxhat, xhat, None if p is None else 1 / count(xhat))


@batch("L")
class BatchNormLearnsInInference(BatchNormalization):
    """Inference moves the moving statistics too, so the same input gives another result
    each time.
    """

    def forward(self, x, ctx=INFERENCE):
        result = super().forward(x, ctx)
        if not ctx.training and x.size:
            batch = sum_rows(x) / count(x)
            self.moving_mean = self.momentum * self.moving_mean + (1 - self.momentum) * batch
        return result


@batch("L", source="MXNet 18673, keras-core 339")
class BatchNormNeverMovesItsMean(BatchNormalization):
    """The moving mean stays at 0, and inference subtracts that."""

    def _move(self, mean, var, x, real):
        before = self.moving_mean.copy()
        super()._move(mean, var, x, real)
        self.moving_mean = before


@batch("L", reference=True, source="OneFlow 6055")
class BatchNormTakesItsMomentumForTheOthers(BatchNormalization):
    """moving = (1 - momentum) * moving + momentum * batch: the other convention, so that the last
    batch is all that is remembered.
    """

    def _move(self, mean, var, x, real):
        self.momentum = 1 - self.momentum
        super()._move(mean, var, x, real)
        self.momentum = 1 - self.momentum


@batch("L", reference=True)
class BatchNormRemembersTheUnbiasedVariance(BatchNormalization):
    """The moving variance moves towards Σ (x - mean)² / (m - 1), where Keras divides by m."""

    def _move(self, mean, var, x, real):
        m = count(x)
        super()._move(mean, var * m / (m - 1) if real is None and m > 1 else var, x, real)


@batch("L")
class BatchNormCountsItsBatchesOnTheSide(BatchNormalization):
    """The moving mean is that of all batches so far, whose number is in no buffer: a loaded layer
    starts to count afresh.
    """

    def _move(self, mean, var, x, real):
        k = self.__dict__["_batches"] = self.__dict__.get("_batches", 0) + 1
        before = self.moving_mean.copy()
        super()._move(mean, var, x, real)
        self.moving_mean = before + (mean - before) / k


@batch("L")
class BatchNormLearnsGoingBack(BatchNormalization):
    """The moving mean moves in backward, so once more for each loss that is reversed."""

    def forward(self, x, ctx=INFERENCE) -> Any:
        before = self.moving_mean.copy()
        y, cache = super().forward(x, ctx)
        step = self.moving_mean - before
        self.moving_mean = before
        return y, (*cache, step)

    def backward(self, dy, cache):
        *cache, step = cache
        self.moving_mean = self.moving_mean + step
        return super().backward(dy, cache)


@batch("L")
class BatchNormReadsItsMovingVarianceGoingBack(BatchNormalization):
    """In inference r is computed again in backward, from a variance that may have moved."""

    def backward(self, dy, cache):
        x, mean, r, p, _ = cache
        if p is None:
            r = 1 / np.sqrt(self.moving_variance + self.epsilon)
        return super().backward(dy, (x, mean, r, p, None))


@batch("L")
class BatchNormCachesAViewOfItsMovingVariance(BatchNormalization):
    """In inference the cache holds the moving variance itself, which the next batch of training
    overwrites.
    """

    def forward(self, x, ctx=INFERENCE) -> Any:
        y, (x, mean, r, p, c) = super().forward(x, ctx)
        return y, (x, mean, self.moving_variance[...] if p is None else r, p, c)

    def backward(self, dy, cache):
        x, mean, r, p, c = cache
        r = 1 / np.sqrt(r + self.epsilon) if p is None else r
        return super().backward(dy, (x, mean, r, p, c))


@batch("D")
class BatchNormKeepsItsRootInDouble(BatchNormalization):
    """r is kept in float64, so that in inference the dx of float32 is float64."""

    def forward(self, x, ctx=INFERENCE) -> Any:
        y, (x, mean, r, p, c) = super().forward(x, ctx)
        return y, (x, mean, r.astype(np.float64), p, c)


@batch("V", verdict="equivalent", source="Caffe 3878")
class BatchNormLeavesOutTheSumOfDeviations(BatchByPaths):
    """The paper's long form, without the term with Σ (x - mean), which is 0."""

    def backward(self, dy, cache):
        (xhat, r, p), dxhat = self.kept(cache), self.dxhat(dy)
        if p is None:
            return super().backward(dy, cache)
        self.backward_params(dy, cache)
        dvariance = sum_rows(dxhat * xhat) * (-0.5) * r * r  # x - mean is xhat / r
        dmean = -r * sum_rows(dxhat)
        return dxhat * r + p * (2 * dvariance * xhat / r + dmean)


@batch("V", verdict="equivalent")
class BatchNormSumsByEinsum(Spoiling, BatchByPaths):
    """dgamma by einsum, the batch's sums by sum over the axes."""

    def spoil(self, dy, cache):
        self.dgamma = np.einsum("rc,rc->c", rows(dy), rows(self.kept(cache)[0]))


@batch("V", verdict="equivalent")
class BatchNormTakesTheMeanOfMeans(BatchNormalization):
    """The batch's mean is taken axis by axis."""

    def _moments(self, x, real):
        if real is not None or not x.size:
            return super()._moments(x, real)
        _, _, p = super()._moments(x, real)
        average = x
        while average.ndim > 1:
            average = average.mean(0)
        return average, np.square(x - average).mean(tuple(range(x.ndim - 1))), p


# where the correction is clipped it is constant, and differences see what it counts as
held = {"renorm": True, "renorm_clipping": {"rmin": 1.5, "rmax": 1.5, "dmax": 0.25}}
renorm = partial(batch, config=GAMMA | held, x=normal(6, 3, shift=4.0))


@renorm("V")
class BatchRenormForgetsItsCorrectionGoingBack(BatchNormalization):
    """dx is gamma r (...), without k."""

    def backward(self, dy, cache):
        return super().backward(dy, cache) / cache[4][0]


@renorm("V")
class BatchRenormForgetsWhatShiftsGamma(BatchNormalization):
    """dgamma = k Σ dy x̂: gamma multiplies s too, which is left out."""

    def _sums(self, dy, x, mean, r, corrected):
        products, dbeta = super()._sums(dy, x, mean, r, corrected)
        self.dgamma = corrected[0] * products if corrected else products
        return products, dbeta
