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

GAMMA = {"gamma_initializer": RandomUniform(0.5, 1.5, seed=0)}  # at gamma = 1 much is invisible

batch = partial(bug, x=normal(6, 3), inputs="floats", config=GAMMA, tags=("couples_rows",))
row = partial(bug, x=normal(4, 5), inputs="floats", config=GAMMA)


class Reversed(BatchNormalization):
    """dx by parts that a mistake can replace: `through(dy, xhat, p)` is what r multiplies."""

    def backward(self, dy, cache):
        x, mean, r, p = cache
        xhat, dy = (x - mean) * r, dy.swapaxes(self.axis, -1)
        if self.scale:
            self.dgamma = sum_rows(dy * xhat)
        if self.center:
            self.dbeta = sum_rows(dy)
        dxhat = self.gamma * dy if self.scale else dy
        return (self.outer(r) * self.through(dxhat, xhat, p)).swapaxes(self.axis, -1)

    def outer(self, r):
        return r

    def through(self, dxhat, xhat, p):
        if p is None:
            return dxhat
        return dxhat - p * (sum_rows(dxhat) + xhat * sum_rows(dxhat * xhat))


# ----------------------------------------------------------------------------- BatchNormalization


@batch("V", source="Knet 288")
class BatchNormForgetsGamma(BatchNormalization):
    """dx lacks the factor gamma; at gamma = 1, where training starts, nothing shows."""

    def backward(self, dy, cache):
        gamma = self.gamma if self.scale else 1
        return super().backward(dy, cache) / np.expand_dims(
            np.broadcast_to(gamma, cache[0].shape[-1:]),
            tuple(range(1, dy.ndim - self.axis % dy.ndim)),
        )


@batch("V")
class BatchNormTakesTheMeanForAConstant(Reversed):
    """The path through the batch's mean is left out."""

    def through(self, dxhat, xhat, p):
        return dxhat if p is None else dxhat - p * (xhat * sum_rows(dxhat * xhat))


@batch("V")
class BatchNormTakesTheVarianceForAConstant(Reversed):
    """The path through the batch's variance is left out."""

    def through(self, dxhat, xhat, p):
        return dxhat if p is None else dxhat - p * sum_rows(dxhat)


@batch("V")
class BatchNormTakesItsStatisticsForConstants(Reversed):
    """Both paths through the batch's statistics are left out."""

    def through(self, dxhat, xhat, p):
        return dxhat


@batch("V")
class BatchNormCountsTheMeanTwice(Reversed):
    """The path through the mean is subtracted a second time, divided by m once more."""

    def through(self, dxhat, xhat, p):
        through = super().through(dxhat, xhat, p)
        return through if p is None else through - p * p * sum_rows(dxhat)


@batch("T", source="Chainer 4190")
class BatchNormForgetsEpsilonGoingBack(Reversed):
    """r = 1 / sqrt(var) in dx, where it is 1 / sqrt(var + epsilon)."""

    def outer(self, r):
        return 1 / np.sqrt(np.maximum(1 / (r * r) - self.epsilon, 1e-6))


@batch("T")
class BatchNormAddsEpsilonOutsideOfTheRoot(Reversed):
    """r = 1 / (sqrt(var) + epsilon) in dx."""

    def outer(self, r):
        return 1 / (np.sqrt(np.maximum(1 / (r * r) - self.epsilon, 0)) + self.epsilon)


@batch("V", source="PyTorch 1381")
class BatchNormCountsOneRowLess(Reversed):
    """dx divides by m - 1, the unbiased variance's number, where forward divided by m; 1 / 0 with
    one row.
    """

    def through(self, dxhat, xhat, p):
        if p is None:
            return dxhat
        m = xhat.size // max(xhat.shape[-1], 1)
        return super().through(dxhat, xhat, p * np.divide(m, m - 1, dtype=dxhat.dtype))


@batch("C")
class BatchNormSumsOverTheBatchOnly(Reversed):
    """With images the sums in dx run over the samples and not over the pixels."""

    def through(self, dxhat, xhat, p):
        if p is None or dxhat.ndim == 2:
            return super().through(dxhat, xhat, p)
        n = max(len(dxhat), 1)
        return dxhat - (dxhat.sum(0) + xhat * (dxhat * xhat).sum(0)) / n


@batch("C", source="PyTorch/XLA 913, cudnn.torch 244")
class BatchNormReversesInferenceAsIfItWereTraining(Reversed):
    """In inference the statistics are constants, and dx treats them as the batch's."""

    def through(self, dxhat, xhat, p):
        return super().through(
            dxhat, xhat, 1 / max(xhat.size // max(xhat.shape[-1], 1), 1) if p is None else p
        )


@batch("V", x=normal(6, 3), source="OneFlow 6149")
class BatchNormSwapsTheGradientsOfGammaAndBeta(BatchNormalization):
    """dgamma is stored as dbeta, and dbeta as dgamma."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        if self.scale and self.center:
            self.dgamma, self.dbeta = self.dbeta.copy(), self.dgamma.copy()
        return dx


@batch("C", x=integers(3, 4, 5), inputs="tokens", inside=behind_embedding)
class BatchNormCountsMaskedRowsGoingBack(Reversed):
    """Forward leaves masked rows out of its statistics, dx spreads over all rows."""

    def through(self, dxhat, xhat, p):
        m = xhat.size // max(xhat.shape[-1], 1)
        return super().through(dxhat, xhat, p if p is None else 1 / max(m, 1))


@batch("L")
class BatchNormLearnsInInference(BatchNormalization):
    """Inference moves the moving statistics too, so the same input gives another result
    each time.
    """

    def forward(self, x, ctx=INFERENCE):
        result = super().forward(x, ctx)
        if not ctx.training and x.size:
            v = x.swapaxes(self.axis, -1)
            m = v.size // v.shape[-1]
            self.moving_mean = self.momentum * self.moving_mean + (1 - self.momentum) * (
                sum_rows(v) / m
            )
        return result


@batch("L", source="MXNet 18673, keras-core 339")
class BatchNormNeverMovesItsMean(BatchNormalization):
    """The moving mean stays at 0, and inference subtracts that."""

    def _moments(self, x, real):
        before = self.moving_mean.copy()
        result = super()._moments(x, real)
        self.moving_mean = before
        return result


@batch("L", reference=True, source="OneFlow 6055")
class BatchNormTakesItsMomentumForTheOthers(BatchNormalization):
    """moving = (1 - momentum) * moving + momentum * batch: the other convention, so that the last
    batch is all that is remembered.
    """

    def _moments(self, x, real):
        self.momentum = 1 - self.momentum
        result = super()._moments(x, real)
        self.momentum = 1 - self.momentum
        return result


@batch("L", reference=True)
class BatchNormRemembersTheUnbiasedVariance(BatchNormalization):
    """The moving variance moves towards Σ (x - mean)² / (m - 1), where Keras divides by m."""

    def _moments(self, x, real):
        m = x.size // max(x.shape[-1], 1)
        before = self.momentum * self.moving_variance
        result = super()._moments(x, real)
        if real is None and m > 1:
            self.moving_variance = before + (self.moving_variance - before) * m / (m - 1)
        return result


@batch("L")
class BatchNormCountsItsBatchesOnTheSide(BatchNormalization):
    """The moving mean is that of all batches so far, whose number is in no buffer: a loaded layer
    starts to count afresh.
    """

    def _moments(self, x, real):
        k = self.__dict__["_batches"] = self.__dict__.get("_batches", 0) + 1
        before = self.moving_mean.copy()
        result = super()._moments(x, real)
        step = (self.moving_mean - self.momentum * before) / (1 - self.momentum) - before
        self.moving_mean = before + step / k
        return result


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
        x, mean, r, p = cache
        if p is None:
            r = 1 / np.sqrt(self.moving_variance + self.epsilon)
        return super().backward(dy, (x, mean, r, p))


@batch("L")
class BatchNormCachesAViewOfItsMovingVariance(BatchNormalization):
    """In inference the cache holds the moving variance itself, which the next batch of training
    overwrites.
    """

    def forward(self, x, ctx=INFERENCE) -> Any:
        y, (x, mean, r, p) = super().forward(x, ctx)
        return y, (x, mean, self.moving_variance[...] if p is None else r, p)

    def backward(self, dy, cache):
        x, mean, r, p = cache
        r = 1 / np.sqrt(r + self.epsilon) if p is None else r
        return super().backward(dy, (x, mean, r, p))


@batch("D")
class BatchNormKeepsItsRootInDouble(BatchNormalization):
    """r is kept in float64, so that in inference the dx of float32 is float64."""

    def forward(self, x, ctx=INFERENCE) -> Any:
        y, (x, mean, r, p) = super().forward(x, ctx)
        return y, (x, mean, r.astype(np.float64), p)


@batch("V", verdict="equivalent", source="Caffe 3878")
class BatchNormLeavesOutTheSumOfDeviations(BatchNormalization):
    """The paper's long form, without the term with Σ (x - mean), which is 0."""

    def backward(self, dy, cache):
        x, mean, r, p = cache
        if p is None:
            return super().backward(dy, cache)
        xhat, dy = (x - mean) * r, dy.swapaxes(self.axis, -1)
        if self.scale:
            self.dgamma = sum_rows(dy * xhat)
        if self.center:
            self.dbeta = sum_rows(dy)
        dxhat = self.gamma * dy if self.scale else dy
        dvariance = sum_rows(dxhat * xhat) * (-0.5) * r * r  # x - mean is xhat / r
        dmean = -r * sum_rows(dxhat)
        return (dxhat * r + p * (2 * dvariance * xhat / r + dmean)).swapaxes(self.axis, -1)


@batch("V", verdict="equivalent")
class BatchNormSumsByEinsum(Reversed):
    """dgamma by einsum, the batch's sums by sum over the axes."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        if self.scale:
            x, mean, r, _ = cache
            xhat = (x - mean) * r
            self.dgamma = np.einsum("rc,rc->c", rows(dy.swapaxes(self.axis, -1)), rows(xhat))
        return dx


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


# ----------------------------------------------------------------------------- LayerNormalization


class ReversedRow(LayerNormalization):
    """dx by parts that a mistake can replace."""

    def backward(self, dy, cache):
        xhat, r, _ = cache
        if self.scale:
            self.dgamma = self._sum(dy * xhat)
        if self.center:
            self.dbeta = self._sum(dy)
        gamma = self.gamma.reshape(self.shape) if self.scale else dy.dtype.type(1)
        return self.through(dy, gamma, xhat, r)

    def through(self, dy, gamma, xhat, r):
        dxhat = gamma * dy
        average = 0 if self.rms_scaling else mean(dxhat, self.axes)
        along = xhat - mean(xhat, self.axes) if self.rms_scaling else xhat
        return r * (dxhat - average - along * mean(dxhat * xhat, self.axes))


@row("V")
class LayerNormScalesByGammaTooLate(ReversedRow):
    """gamma multiplies what the means have left of dy, where it multiplies dy itself; gamma = 1
    hides it.
    """

    def through(self, dy, gamma, xhat, r):
        return gamma * super().through(dy, dy.dtype.type(1), xhat, r)


@row("V")
class LayerNormTakesTheMeanForAConstant(ReversedRow):
    """The path through the row's mean is left out."""

    def through(self, dy, gamma, xhat, r):
        dxhat = gamma * dy
        return r * (dxhat - xhat * mean(dxhat * xhat, self.axes))


@row("V")
class LayerNormTakesTheVarianceForAConstant(ReversedRow):
    """The path through the row's variance is left out."""

    def through(self, dy, gamma, xhat, r):
        dxhat = gamma * dy
        return r * (dxhat - mean(dxhat, self.axes))


@row("V")
class LayerNormAveragesOverTheBatchGoingBack(ReversedRow):
    """The means in dx run down the batch, where they run along the row: samples leak."""

    def through(self, dy, gamma, xhat, r):
        dxhat = gamma * dy
        return r * (dxhat - mean(dxhat, 0) - xhat * mean(dxhat * xhat, 0))


@row("T")
class LayerNormForgetsEpsilonGoingBack(ReversedRow):
    """r = 1 / sqrt(var) in dx."""

    def through(self, dy, gamma, xhat, r):
        return super().through(
            dy, gamma, xhat, 1 / np.sqrt(np.maximum(1 / (r * r) - self.epsilon, 1e-6))
        )


@row("C", varies={"rms_scaling": (False, True)})
class LayerNormReversesRmsScalingAsIfItWereCentred(LayerNormalization):
    """With rms_scaling the mean is not taken away, and dx has its path all the same."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        if self.rms_scaling:
            xhat, r, _ = cache
            dxhat = self.gamma.reshape(self.shape) * dy
            return r * (dxhat - mean(dxhat, self.axes) - xhat * mean(dxhat * xhat, self.axes))
        return dx


@row("V")
class LayerNormGradientOfGammaLacksTheDeviation(ReversedRow):
    """dgamma = Σ dy (x - mean), where it is Σ dy (x - mean) r."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        xhat, r, _ = cache
        if self.scale:
            self.dgamma = self._sum(dy * (xhat / r))
        return dx


@row("C", x=normal(3, 4, 4), inputs="images", config=GAMMA, varies={"axis": (-1, (1, 2))})
class LayerNormTransposesTheGradientOfGamma(LayerNormalization):
    """Over two axes dgamma is stored transposed, which fits where they are of one length."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        if self.scale and self.dgamma.ndim == 2:
            self.dgamma = self.dgamma.T.copy()
        return dx


# ----------------------------------------------------------------- the normalizations without beta


@row("V", config={})
class RmsNormTakesItsRootForAConstant(RMSNormalization):
    """dx = r dx̂: the path through the mean square is left out."""

    def backward(self, dy, cache):
        super().backward(dy, cache)
        return cache[1] * dy * self.scale.reshape(self.shape)


@row("V", config={})
class RmsNormScalesTooLate(RMSNormalization):
    """scale multiplies what the mean has left of dy; scale = 1, where training starts, hides it."""

    def backward(self, dy, cache):
        super().backward(dy, cache)
        xhat, r, _ = cache
        return self.scale.reshape(self.shape) * r * (dy - xhat * mean(dy * xhat, self.axes))


unit = partial(  # at 0 y jumps
    bug,
    x=normal(4, 5),
    inputs="floats",
    options={"min_side": 2},
    tags=("piecewise",),
    spared=("slopes_at_kinks_are_subgradients",),
)


@unit("V")
class UnitNormTakesTheLengthForAConstant(UnitNormalization):
    """dx = dy / |x|: along x, where y does not move, something is left."""

    def backward(self, dy, cache):
        return cache[1] * dy


@unit("V")
class UnitNormProjectsByX(UnitNormalization):
    """dx = r (dy - x Σ dy y), with x in the place of y."""

    def backward(self, dy, cache):
        y, r, *_ = cache
        return r * (dy - y / r * (dy * y).sum(self.axes, keepdims=True))


# ----------------------------------------------------------------------------- GroupNormalization

group = partial(
    bug, x=normal(4, 6), inputs="halves", config=GAMMA | {"groups": 2}, varies={"axis": (-1,)}
)


class Centring(GroupNormalization):
    """dx = r (dxhat - mean dxhat - xhat mean(dxhat xhat)), whose means a mistake can replace."""

    def backward(self, dy, cache):
        super().backward(dy, cache)
        xhat, r, _ = cache
        dxhat = self._grouped(self.gamma * dy)
        dx = r * (dxhat - self.mean_of_dxhat(dxhat) - xhat * self.mean_of_both(dxhat * xhat))
        return dx.reshape(dy.shape)

    def mean_of_dxhat(self, dxhat):
        return self.mean_of_both(dxhat)

    def mean_of_both(self, a):
        return mean(a, (1, 3))


@group("V")
class GroupNormAveragesOverAllGroups(Centring):
    """The means in dx run over all channels of a sample, where they run over those of a group."""

    def mean_of_both(self, a):
        return mean(a, (1, 2, 3))


@group("V")
class GroupNormInterleavesItsGroups(Centring):
    """Going back every second channel makes a group, where forward takes neighbours."""

    def mean_of_dxhat(self, dxhat):
        n, places, groups, k = dxhat.shape
        return mean(dxhat.reshape(n, places, k, groups).swapaxes(2, 3), (1, 3))


@group("C")
class GroupNormForgetsThePlaces(Centring):
    """With images the means in dx run over the channels of a pixel and not over the pixels."""

    def mean_of_both(self, a):
        return mean(a, 3)


# ------------------------------------------------------------------------- masks along the time

masked = partial(
    bug, x=integers(3, 4, 5), inputs="tokens", inside=behind_embedding, config={"axis": (1, 2)}
)


class CountsAllGoingBack:
    """dx as if no mask had left anything out of the means."""

    def backward(self, dy, cache):
        xhat, r, _ = cache
        return super().backward(dy, (xhat, r, None))  # type: ignore[misc]


@masked("C", config=GAMMA | {"groups": 1})
class GroupNormCountsMaskedPlacesGoingBack(CountsAllGoingBack, GroupNormalization):
    """Forward leaves masked places out of its means, dx spreads over all places."""


@masked("C", config=GAMMA | {"groups": 1})
class GroupNormForgetsMaskedPlacesGoingBack(GroupNormalization):
    """Masked places are normalised with the mean of the others, which their dy does not reach."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        xhat, r, p = cache
        if p is None:
            return dx
        dxhat = self._grouped(self.gamma * dy)
        real = dxhat * (p > 0)
        along = p * (real * xhat).sum((1, 3), keepdims=True)
        return (r * (dxhat - p * real.sum((1, 3), keepdims=True) - xhat * along)).reshape(dy.shape)


@masked("C")
class LayerNormCountsMaskedStepsGoingBack(CountsAllGoingBack, LayerNormalization):
    """Along the time forward leaves masked steps out of its means, dx spreads over all steps."""


@masked("C")
class RmsNormCountsMaskedStepsGoingBack(CountsAllGoingBack, RMSNormalization):
    """Along the time forward leaves masked steps out of its mean, dx spreads over all steps."""


@masked("C")
class UnitNormPaysMaskedSteps(UnitNormalization):
    """Along the time a masked step, which forward takes as 0, receives r dy."""

    def backward(self, dy, cache):
        y, r, divided, _ = cache
        return super().backward(dy, (y, r, divided, None))


# -------------------------------------------------------------------------- SpectralNormalization


def steep():
    """A dense layer whose kernel has one singular value far above the others: one pass settles u,
    so that its gradient is exact."""
    return Dense(3, "tanh", kernel_initializer="ones")


spectral = partial(
    bug,
    x=normal(5, 4),
    inputs="rows",
    config={"layer": Layers(steep), "power_iterations": 12},
    spared=("training_moves_buffers_alike",),
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
