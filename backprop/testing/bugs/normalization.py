"""Mistakes in normalization: paths that x takes through the statistics, epsilon, modes, masks."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from backprop.initializers import RandomUniform
from backprop.layer import INFERENCE
from backprop.layers.dense import Dense
from backprop.layers.normalization import (
    BatchNormalization,
    GroupNormalization,
    LayerNormalization,
    RMSNormalization,
    SpectralNormalization,
    UnitNormalization,
)
from backprop.linalg import mean, rows, sum_rows
from backprop.testing.bugs.bank import Layers, behind_embedding, bug, integers, normal
from backprop.testing.bugs.shared import ForgetsItsMask, Mixin, Spoiling

GAMMA = {"gamma_initializer": RandomUniform(0.5, 1.5, seed=0)}  # at gamma = 1 much is invisible

batch = partial(bug, x=normal(6, 3), inputs="floats", config=GAMMA, tags=("couples_rows",))
row = partial(bug, x=normal(4, 5), inputs="floats", config=GAMMA)


class ByPaths(Mixin):
    """dx = r (dx̂ - ⟨dx̂⟩ - x̂ ⟨dx̂ x̂⟩), by parts that a mistake can replace.

    ⟨⟩ is `averaged`, the path through the mean `of_mean`, that through the variance `of_variance`;
    dx̂ is the `weight` gamma times dy, r the `root`. `kept` finds x̂, r and p in the cache.
    """

    def backward(self, dy, cache):
        super().backward(dy, cache)  # for the gradients of gamma and beta
        xhat, r, p = self.kept(cache)
        return (self.root(r) * self.through(self.dxhat(dy), xhat, p)).reshape(dy.shape)

    def kept(self, cache):
        return cache

    def dxhat(self, dy):
        return self.weight() * dy

    def weight(self):
        return self.gamma

    def root(self, r):
        return r

    def through(self, dxhat, xhat, p):
        return dxhat - self.of_mean(dxhat, p) - xhat * self.of_variance(dxhat * xhat, p)

    def of_mean(self, dxhat, p):
        return self.averaged(dxhat, p)

    def of_variance(self, product, p):
        return self.averaged(product, p)


class BatchByPaths(ByPaths, BatchNormalization):
    """A batch, whose statistics are constants in inference: p is None."""

    def kept(self, cache):
        x, mean, r, p, _ = cache
        return (x - mean) * r, r, p

    def through(self, dxhat, xhat, p):
        return dxhat if p is None else super().through(dxhat, xhat, p)

    def averaged(self, a, p):
        return p * sum_rows(a)


class RowByPaths(ByPaths):
    """Along axes of each sample."""

    def weight(self):
        return self.gamma.reshape(self.shape)

    def averaged(self, a, p):
        return mean(a, self.axes)


class LayerByPaths(RowByPaths, LayerNormalization):
    """A row with its mean and its variance."""


class RmsByPaths(RowByPaths, RMSNormalization):
    """A row with its mean square."""

    def weight(self):
        return self.scale.reshape(self.shape)

    def of_mean(self, dxhat, p):
        return 0


class GroupByPaths(ByPaths, GroupNormalization):
    """The channels of a group at all places."""

    def dxhat(self, dy):
        return self._grouped(super().dxhat(dy))

    def averaged(self, a, p):
        return mean(a, (1, 3))


class MeanIsConstant(Mixin):
    """Without the path through the mean."""

    def of_mean(self, dxhat, p):
        return 0


class VarianceIsConstant(Mixin):
    """Without the path through the variance or the mean square."""

    def of_variance(self, product, p):
        return 0


class ForgetsEpsilon(Mixin):
    """r is 1 / sqrt(var) going back; 1 / r² is var + epsilon."""

    def root(self, r):
        return 1 / np.sqrt(np.maximum(1 / (r * r) - self.epsilon, 1e-6))


class ForgetsTheWeight(Mixin):
    """dx̂ = dy, without gamma."""

    def dxhat(self, dy):
        return dy


class ScalesTooLate(ForgetsTheWeight):
    """gamma multiplies what the paths have left of dy."""

    def root(self, r):
        return self.weight() * r


def count(x):
    """The rows of x, one at least."""
    return max(x.size // max(x.shape[-1], 1), 1)


# ----------------------------------------------------------------------------- BatchNormalization


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


# ----------------------------------------------------------------------------- LayerNormalization


@row("V")
class LayerNormScalesByGammaTooLate(ScalesTooLate, LayerByPaths):
    """gamma multiplies what the means have left of dy, where it multiplies dy itself; gamma = 1
    hides it.
    """


@row("V")
class LayerNormTakesTheMeanForAConstant(MeanIsConstant, LayerByPaths):
    """The path through the row's mean is left out."""


@row("V")
class LayerNormTakesTheVarianceForAConstant(VarianceIsConstant, LayerByPaths):
    """The path through the row's variance is left out."""


@row("V")
class LayerNormAveragesOverTheBatchGoingBack(LayerByPaths):
    """The means in dx run down the batch, where they run along the row: samples leak."""

    def averaged(self, a, p):
        return mean(a, 0)


@row("T")
class LayerNormForgetsEpsilonGoingBack(ForgetsEpsilon, LayerByPaths):
    """r = 1 / sqrt(var) in dx."""


@row("C", varies={"rms_scaling": (False, True)})
class LayerNormReversesRmsScalingAsIfItWereCentred(LayerByPaths):
    """With rms_scaling the mean is not taken away, and dx has its path all the same."""


@row("V")
class LayerNormGradientOfGammaLacksTheDeviation(Spoiling, LayerNormalization):
    """dgamma = Σ dy (x - mean), where it is Σ dy (x - mean) r."""

    def spoil(self, dy, cache):
        xhat, r, _ = cache
        self.dgamma = self._sum(dy * (xhat / r))


@row("C", x=normal(3, 4, 4), inputs="images", config=GAMMA, varies={"axis": (-1, (1, 2))})
class LayerNormTransposesTheGradientOfGamma(Spoiling, LayerNormalization):
    """Over two axes dgamma is stored transposed, which fits where they are of one length."""

    def spoil(self, dy, cache):
        self.dgamma = self.dgamma.T.copy()


# ----------------------------------------------------------------- the normalizations without beta


@row("V", config={})
class RmsNormTakesItsRootForAConstant(VarianceIsConstant, RmsByPaths):
    """dx = r dx̂: the path through the mean square is left out."""


@row("V", config={})
class RmsNormScalesTooLate(ScalesTooLate, RmsByPaths):
    """scale multiplies what the mean has left of dy; scale = 1, where training starts, hides it."""


unit = partial(  # at 0 y jumps
    bug,
    x=normal(4, 5),
    inputs="floats",
    options={"min_side": 2},
    tags=("piecewise",),
)


@unit("V")
class UnitNormTakesTheLengthForAConstant(UnitNormalization):
    """dx = dy / |x|: along x, where y does not move, something is left."""

    def backward(self, dy, cache):
        (_, r, *_), _ = cache
        return r * dy


@unit("V")
class UnitNormProjectsByX(UnitNormalization):
    """dx = r (dy - x Σ dy y), with x in the place of y."""

    def backward(self, dy, cache):
        (y, r, *_), _ = cache
        return r * (dy - y / r * (dy * y).sum(self.axes, keepdims=True))


# ----------------------------------------------------------------------------- GroupNormalization

group = partial(
    bug, x=normal(4, 6), inputs="halves", config=GAMMA | {"groups": 2}, varies={"axis": (-1,)}
)


@group("V")
class GroupNormAveragesOverAllGroups(GroupByPaths):
    """The means in dx run over all channels of a sample, where they run over those of a group."""

    def averaged(self, a, p):
        return mean(a, (1, 2, 3))


@group("V")
class GroupNormInterleavesItsGroups(GroupByPaths):
    """Going back every second channel makes a group, where forward takes neighbours."""

    def of_mean(self, dxhat, p):
        n, places, groups, k = dxhat.shape
        return mean(dxhat.reshape(n, places, k, groups).swapaxes(2, 3), (1, 3))


@group("C")
class GroupNormForgetsThePlaces(GroupByPaths):
    """With images the means in dx run over the channels of a pixel and not over the pixels."""

    def averaged(self, a, p):
        return mean(a, 3)


# ------------------------------------------------------------------------- masks along the time

masked = partial(
    bug, x=integers(3, 4, 5), inputs="tokens", inside=behind_embedding, config={"axis": (1, 2)}
)
one_group = partial(masked, config=GAMMA | {"groups": 1})


@one_group("C")
class GroupNormCountsMaskedPlacesGoingBack(ForgetsItsMask, GroupNormalization):
    """Forward leaves masked places out of its means, dx spreads over all places."""


@one_group("C")
class GroupNormForgetsMaskedPlacesGoingBack(GroupByPaths):
    """Masked places are normalised with the mean of the others, which their dy does not reach."""

    def averaged(self, a, p):
        return p * (a * (p > 0)).sum((1, 3), keepdims=True)


@masked("C")
class LayerNormCountsMaskedStepsGoingBack(ForgetsItsMask, LayerNormalization):
    """Along the time forward leaves masked steps out of its means, dx spreads over all steps."""


@masked("C")
class RmsNormCountsMaskedStepsGoingBack(ForgetsItsMask, RMSNormalization):
    """Along the time forward leaves masked steps out of its mean, dx spreads over all steps."""


@masked("C")
class UnitNormPaysMaskedSteps(ForgetsItsMask, UnitNormalization):
    """Along the time a masked step, which forward takes as 0, receives r dy."""


# -------------------------------------------------------------------------- SpectralNormalization


def steep():
    """A dense layer whose kernel has one singular value far above the others."""
    return Dense(3, "tanh", kernel_initializer="ones")


spectral = partial(
    bug,
    x=normal(5, 4),
    inputs="rows",
    config={"layer": Layers(steep)},
)


@spectral("V")
class SpectralNormTakesSigmaForAConstant(SpectralNormalization):
    """dW = dV / σ: the path through σ is left out."""

    def _through_sigma(self, cache):
        d = self.layer.dkernel
        d /= cache[-1]


@spectral("V")
class SpectralNormForgetsSigmaGoingBack(SpectralNormalization):
    """dW = dV, the gradient of the divided kernel."""

    def _through_sigma(self, cache):
        pass


@spectral("L", reference=True)
class SpectralNormDividesByTheFrobeniusNorm(SpectralNormalization):
    """σ is the root of the sum of all squares, the largest singular value's upper bound."""

    def _singular(self, w, training):
        v, u, _ = super()._singular(w, training)
        return v, u, np.sqrt((w * w).sum())
