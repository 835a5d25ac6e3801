"""Mistakes of precision: float64 that leaks into float32, float32 that hides in float64."""

from __future__ import annotations

from functools import partial

import numpy as np

from backprop.layer import INFERENCE
from backprop.layers.activations.gated import GELU
from backprop.layers.activations.rectifiers import LeakyReLU
from backprop.layers.activations.sigmoids import Sigmoid, Tanh
from backprop.layers.activations.softmax import LogSoftmax
from backprop.layers.noise import Dropout
from backprop.layers.normalization import LayerNormalization
from backprop.layers.pooling import AveragePooling2D
from backprop.losses.classification import CategoricalCrossentropy
from backprop.losses.regression import MeanSquaredError
from backprop.testing.bugs.bank import bug, normal
from backprop.testing.bugs.linear import Spoilt
from backprop.testing.bugs.losses import logits
from backprop.testing.bugs.normalization_paths import LayerByPaths

floats = partial(bug, x=normal(4, 5), inputs="floats")


@floats("D", source="Chainer 684")
class LeakyReluMakesDoublesOfItsMask(LeakyReLU):
    """The slope is made by np.where of two Python numbers, which is float64 whatever x is."""

    def slope(self, x):
        return np.where(x >= 0, 1.0, self.negative_slope)


@floats("D")
class GeluScalesByADouble(GELU):
    """dx is multiplied by a NumPy scalar of float64, which, other than a Python number, widens
    float32.
    """

    def backward(self, dy, cache):
        return np.float64(1.0) * (dy * cache)


@floats("D", config={"rate": 0.4, "seed": 0}, tags=("stochastic",))
class DropoutDrawsDoubles(Dropout):
    """The mask is float64, and so become y and dx."""

    def draw(self, x):
        return (self.rng.random(x.shape) >= self.rate) / (1 - self.rate)


@bug("D", x=normal(2, 4, 4, 2), inputs="images", options={"min_side": 2}, config={"pool_size": 2})
class AveragePoolCountsInDoubles(AveragePooling2D):
    """The number of pixels in a window is float64, and so becomes dx."""

    def backward(self, dy, cache):
        return super().backward(dy * np.ones((1, 1, 1, 1)), cache)


@bug("D", x=normal(4, 3), y_true=normal(4, 3, seed=1), inputs="targets")
class SquaredErrorAnswersInDoubles(MeanSquaredError):
    """dy_pred is float64 whatever y_pred is."""

    def backward(self, cache, dvalues=None):
        return super().backward(cache, dvalues).astype(np.float64)


@bug("T", x=normal(5, 4), inputs="rows", config={"units": 3})
class DenseSumsItsGradientInSinglePrecision(Spoilt):
    """dkernel is computed in float32 in a model of float64."""

    def spoil(self, x, dz):
        self.dkernel = x.astype(np.float32).T @ dz.astype(np.float32)


@floats("T")
class TanhPassesBackInSinglePrecision(Tanh):
    """dx is rounded to float32 on the way, though its dtype says float64."""

    def backward(self, dy, cache):
        return super().backward(dy, cache).astype(np.float32).astype(dy.dtype)


@floats("D")
class SigmoidComputesInHalfPrecision(Sigmoid):
    """The slope goes through float16; a float32 check with its usual tolerance lets it pass."""

    def slope(self, y):
        return super().slope(y).astype(np.float16).astype(y.dtype)


@floats("D")
class LayerNormComputesInSinglePrecision(LayerNormalization):
    """Forward and backward both run in float32, whatever the layer's dtype is."""

    def forward(self, x, ctx=INFERENCE):
        y, (xhat, r, p) = super().forward(x.astype(np.float32), ctx)
        return y.astype(np.float32).astype(x.dtype), (xhat.astype(x.dtype), r.astype(x.dtype), p)


@bug("D", x=normal(4, 5), inputs="rows")
class LogSoftmaxTakesTheLogarithmOfSoftmax(LogSoftmax):
    """y = log(softmax(x)), whose softmax is 0 where log-softmax is -200."""

    def forward(self, x, ctx=INFERENCE):
        e = np.exp(x - x.max(self.axis, keepdims=True, initial=-np.inf))
        y = np.log(e / e.sum(self.axis, keepdims=True))
        return y, y


@logits("P")
class CrossentropyExponentiatesItsLogits(CategoricalCrossentropy):
    """exp(y_pred) is taken without subtracting the maximum, and overflows."""

    def values(self, y_true, y_pred):
        e, total = np.exp(y_pred), y_true.sum(-1)
        s = e.sum(-1)
        return total * np.log(s) - np.vecdot(y_true, y_pred), (y_true, e, s, total)


@floats("D")
class LayerNormAveragesInDoubles(LayerByPaths):
    """dx is float64, because its means are taken in float64."""

    def averaged(self, a, p):
        return a.mean(self.axes, keepdims=True, dtype=np.float64)
