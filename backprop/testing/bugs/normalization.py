"""Mistakes in normalization of rows and groups: paths through the statistics, epsilon, masks."""

from __future__ import annotations

from functools import partial

import numpy as np

from backprop.layers.dense import Dense
from backprop.layers.normalization import (
    GroupNormalization,
    LayerNormalization,
    RMSNormalization,
    SpectralNormalization,
    UnitNormalization,
)
from backprop.linalg import mean
from backprop.testing.bugs.bank import Layers, behind_embedding, bug, integers, normal
from backprop.testing.bugs.normalization_paths import (
    GAMMA,
    ForgetsEpsilon,
    GroupByPaths,
    LayerByPaths,
    MeanIsConstant,
    RmsByPaths,
    ScalesTooLate,
    VarianceIsConstant,
    row,
)
from backprop.testing.bugs.shared import ForgetsItsMask, Spoiling

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
