"""Mistakes in dropout: the mask going back, the scale, the mode, the generator."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from backprop.layer import INFERENCE, TRAINING
from backprop.layers.chain import Chain
from backprop.layers.noise import (
    ActivityRegularization,
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
    SpatialDropout2D,
)
from backprop.regularizers import L1L2
from backprop.testing.bugs.bank import bug, normal
from backprop.testing.bugs.shared import AlwaysTraining, Mixin

drop = partial(
    bug, tags=("stochastic",), x=normal(6, 5), inputs="floats", config={"rate": 0.4, "seed": 0}
)


class ForgetsItsScale(Mixin):
    """dx = dy where x was kept."""

    def backward(self, dy, k):
        return dy if k is None else dy * (k > 0)


class AppliesItsMaskTwice(Mixin):
    """dx = dy k²."""

    def backward(self, dy, k):
        return dy if k is None else dy * k * k


@drop("V")
class DropoutDrawsItsMaskAgain(Dropout):
    """backward draws a mask of its own."""

    def backward(self, dy, k):
        return dy if k is None else dy * self.forward(np.ones(k.shape, dy.dtype), TRAINING)[1]


@drop("V", source="numpy-ml 94")
class DropoutForgetsItsMaskGoingBack(Dropout):
    """dx = dy / (1 - rate), also for what was dropped."""

    def backward(self, dy, k):
        return dy if k is None or self.rate == 1 else dy * (1 / (1 - self.rate))


@drop("V")
class DropoutForgetsItsScaleGoingBack(ForgetsItsScale, Dropout):
    """dx = dy where x was kept, without 1 / (1 - rate)."""


@drop("V")
class DropoutAppliesItsMaskTwice(AppliesItsMaskTwice, Dropout):
    """dx = dy k², so what is kept grows by 1 / (1 - rate) twice."""


@drop("P", source="Kaldi 3890")
class DropoutFindsItsMaskInTheOutput(Dropout):
    """What was dropped is found by y / x, and an x of 0 counts as kept, though it was dropped."""

    def forward(self, x, ctx=INFERENCE) -> Any:
        y, k = super().forward(x, ctx)
        return y, None if k is None else np.where(x == 0, x.dtype.type(1), k)


@drop("L")
class DropoutKeepsItsMaskByShape(Dropout):
    """The mask is kept on the layer by the shape of x, so backward finds that of the batch that ran
    last.
    """

    def forward(self, x, ctx=INFERENCE) -> Any:
        y, k = super().forward(x, ctx)
        if k is None:
            return y, None
        self.__dict__.setdefault("_kept", {})[x.shape] = k
        return y, x.shape

    def backward(self, dy, k):
        return dy if k is None else super().backward(dy, self.__dict__["_kept"][k])


@drop("L")
class DropoutDropsInInference(AlwaysTraining, Dropout):
    """Inference drops as training does."""


@drop("L")
class DropoutTakesAFreshGenerator(Dropout):
    """The mask comes from a generator without a seed, so no run can be repeated."""

    def draw(self, x):
        kept = np.random.default_rng().random(x.shape) >= self.rate
        return np.multiply(kept, 1 / (1 - self.rate), dtype=x.dtype)


@drop("V")
class DropoutKeepsAtItsRate(Dropout):
    """backward takes the rate for the part that is kept."""

    def backward(self, dy, k):
        return dy if k is None or self.rate == 0 else dy * (k > 0) * dy.dtype.type(1 / self.rate)


@drop("C", x=normal(3, 4, 2), inputs="sequences", varies={"noise_shape": (None, (None, 1, None))})
class DropoutPassesSharedNoiseToTheFirstPlace(Dropout):
    """Where a draw is shared along an axis, only the first place along it passes its
    gradient on.
    """

    def backward(self, dy, k):
        if k is None or k.shape == dy.shape:
            return super().backward(dy, k)
        dx = np.zeros(dy.shape, dy.dtype)
        first = tuple(slice(0, 1) if n == 1 else slice(None) for n in k.shape)
        dx[first] = dy[first] * k
        return dx


@drop("V", verdict="equivalent")
class DropoutKeepsItsMaskAsBooleans(Dropout):
    """The cache holds true and false, and backward scales."""

    def forward(self, x, ctx=INFERENCE) -> Any:
        y, k = super().forward(x, ctx)
        return y, None if k is None else k > 0

    def backward(self, dy, k):
        scale = 1 / (1 - self.rate) if self.rate < 1 else 0.0
        return dy if k is None else dy * np.multiply(k, scale, dtype=dy.dtype)


# ------------------------------------------------------------------------------- noise of all kinds


@drop("L", x=normal(3, 4, 2), inputs="sequences", config={"rate": 0.4, "seed": 0}, reference=True)
class SpatialDropoutDropsSteps(SpatialDropout1D):
    """What is dropped together is a step with all its channels, not a channel at all steps."""

    def draw(self, x):
        return self.dropped((len(x), x.shape[1], 1), x.dtype)


@drop("C", x=normal(2, 3, 4, 2), inputs="images", config={"rate": 0.4, "seed": 0})
class SpatialDropoutForgetsItsMaskGoingBack(SpatialDropout2D):
    """dx = dy / (1 - rate), also where the channel was dropped."""

    def backward(self, dy, k):
        return dy if k is None else dy * dy.dtype.type(1 / (1 - self.rate))


@drop("V", x=normal(2, 3, 4, 2), inputs="images", config={"rate": 0.4, "seed": 0})
class SpatialDropoutAppliesItsMaskTwice(AppliesItsMaskTwice, SpatialDropout2D):
    """dx = dy k², so what is kept grows by 1 / (1 - rate) twice."""


@drop("V")
class GaussianDropoutDrawsAgainGoingBack(GaussianDropout):
    """backward multiplies by noise of its own."""

    def backward(self, dy, k):
        return dy if k is None else dy * self.draw(dy)


@drop("V")
class GaussianDropoutTakesItsNoiseForAddition(GaussianDropout):
    """dx = dy, as if the noise had been added."""

    def backward(self, dy, k):
        return dy


@drop("V", config={"stddev": 0.4, "seed": 0})
class GaussianNoiseScalesGoingBack(GaussianNoise):
    """dx = stddev dy in training."""

    def forward(self, x, ctx=INFERENCE) -> Any:
        return super().forward(x, ctx)[0], ctx.training

    def backward(self, dy, cache):
        return dy * dy.dtype.type(self.stddev) if cache else dy


@drop("L", config={"stddev": 0.4, "seed": 0})
class GaussianNoiseStaysInInference(AlwaysTraining, GaussianNoise):
    """Inference adds noise as training does."""


@drop("V")
class AlphaDropoutForgetsItsScaleGoingBack(ForgetsItsScale, AlphaDropout):
    """dx = dy where x was kept, without the factor a."""


@drop("L", reference=True)
class AlphaDropoutDropsToZero(AlphaDropout):
    """What is dropped becomes b and not a s + b: mean and variance are not kept."""

    def forward(self, x, ctx=INFERENCE) -> Any:
        y, k = super().forward(x, ctx)
        return y if k is None else np.where(k == 0, 0, y), k


class HalvedL2(L1L2):
    """The penalty of L1L2 with a derivative that is wrong in its second part."""

    def gradient(self, w):
        return self.l1 * np.sign(w) + self.l2 * w


@bug("V", x=normal(5, 4), inputs="rows", config={"l2": 0.5}, inside=lambda layer: Chain([layer]))
class ActivityRegularizationForgetsTheTwo(ActivityRegularization):
    """The gradient of l2 Σ x² is taken for l2 x."""

    def __init__(self, l1=0.0, l2=0.0, **kwargs):
        super().__init__(l1, l2, **kwargs)
        self.activity_regularizer = HalvedL2(l1, l2)
