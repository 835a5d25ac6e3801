"""Mistakes that values near 1 hide: parameters of the other sign and size, and special dy."""

from __future__ import annotations

from functools import partial

import numpy as np

from backprop.layers.activations import PReLU
from backprop.layers.dense import Dense
from backprop.layers.normalization import LayerNormalization, RMSNormalization
from backprop.layers.reshaping import Flatten
from backprop.testing.bugs.bank import bug, normal
from backprop.testing.bugs.shared import Mixin

dense = partial(bug, x=normal(5, 4), inputs="rows", config={"units": 3})
floats = partial(bug, x=normal(4, 5), inputs="floats")


class ThroughAnotherScale(Mixin):
    """dx is that of another scale; its own gradients are right."""

    def backward(self, dy, cache):
        super().backward(dy, cache)
        parameters = [p for p in self.arrays() if p.gradient is not None]
        kept = [p.gradient.copy() for p in parameters]
        dx = super().backward(dy * self.factor(), cache)
        for p, gradient in zip(parameters, kept, strict=True):
            p.gradient[...] = gradient
        return dx


@floats("P")
class LayerNormTakesGammaWithoutItsSign(ThroughAnotherScale, LayerNormalization):
    """dx takes the magnitude of gamma, which starts at 1."""

    def factor(self):
        return np.where(self.gamma < 0, -1.0, 1.0).astype(self.gamma.dtype)


@floats("P")
class RmsNormTakesItsScaleWithoutItsSign(ThroughAnotherScale, RMSNormalization):
    """dx takes the magnitude of the scale, which starts at 1."""

    def factor(self):
        return np.where(self.scale < 0, -1.0, 1.0).astype(self.scale.dtype)


@floats("P")
class LayerNormClipsGammaOnTheWayBack(ThroughAnotherScale, LayerNormalization):
    """dx takes gamma up to 2 and no further."""

    def factor(self):
        return np.clip(self.gamma, -2, 2) / np.where(self.gamma == 0, 1, self.gamma)


@floats("P")
class LayerNormForgetsATinyGamma(ThroughAnotherScale, LayerNormalization):
    """dx takes a gamma below 0.01 for 0."""

    def factor(self):
        return (np.abs(self.gamma) > 0.01).astype(self.gamma.dtype)


@floats("P")
class RmsNormLearnsNothingAtZero(RMSNormalization):
    """dscale is 0 where the scale is 0, as if y were divided by it."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        self.dscale = np.where(self.scale == 0, 0, self.dscale)
        return dx


@dense("P")
class DenseClipsItsKernelOnTheWayBack(Dense):
    """dx takes a kernel that is clipped at 2."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        return dx - dy @ (self.kernel - np.clip(self.kernel, -2, 2)).T


@floats("P", config={"alpha_initializer": "ones"}, tags=("piecewise",))
class PreluTakesAlphaWithoutItsSign(PReLU):
    """dx at a negative x is |alpha| dy."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        return np.where(dx * dy < 0, -dx, dx)


class Shortcut(Mixin):
    """The way back is right but where `meets(dy)`."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        return self.instead(dy, dx) if dy.size and self.meets(dy) else dx


@dense("L")
class DenseStopsAtARowOfZeros(Shortcut, Dense):
    """Rows behind the first whose dy is all 0, as of a masked step, get no dx."""

    def meets(self, dy):
        return not dy.any(-1).all()

    def instead(self, dy, dx):
        real = np.logical_and.accumulate(dy.any(-1))
        return np.where(real[..., None], dx, 0)


@dense("L")
class DenseTakesTheSumForAConstant(Shortcut, Dense):
    """dbias of a dy that is one number everywhere is that number."""

    def meets(self, dy):
        return (dy == dy.flat[0]).all()

    def instead(self, dy, dx):
        self.dbias = np.full_like(self.dbias, dy.flat[0])
        return dx


@floats("L")
class FlattenDropsALoneNumber(Shortcut, Flatten):  # type: ignore[override] - the cache's name
    """dx of a dy with one number in it is 0."""

    def meets(self, dy):
        return dy.size > 1 and np.count_nonzero(dy) == 1

    def instead(self, dy, dx):
        return 0 * dx


@floats("L")
class LayerNormScalesABroadcastInPlace(Shortcut, LayerNormalization):
    """dy that is broadcast over the rows is written to, though it is the caller's."""

    def meets(self, dy):
        return dy.ndim > 1 and dy.strides[0] == 0

    def instead(self, dy, dx):
        dy *= self.gamma
        return dx


@dense("L")
class DenseTakesOneRowOfABroadcast(Shortcut, Dense):
    """dbias of a dy that is broadcast over the rows is one row of it, and not their sum."""

    def meets(self, dy):
        return len(dy) > 1 and dy.strides[0] == 0

    def instead(self, dy, dx):
        self.dbias = dy.reshape(-1, dy.shape[-1])[0].copy()
        return dx


@floats("L")
class RmsNormFlushesATinyGradient(Shortcut, RMSNormalization):
    """dx below 1e-20 is taken for 0, as losses that are scaled down make it."""

    def meets(self, dy):
        return np.abs(dy).max() < 1e-20

    def instead(self, dy, dx):
        return 0 * dx
