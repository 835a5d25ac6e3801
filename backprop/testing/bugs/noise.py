"""Mistakes in dropout: the mask going back, the scale, the mode, the generator."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from backprop.layer import INFERENCE, TRAINING
from backprop.layers.noise import Dropout
from backprop.testing.bugs.bank import bug, normal

drop = partial(
    bug, tags=("stochastic",), x=normal(6, 5), inputs="floats", config={"rate": 0.4, "seed": 0}
)


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
class DropoutForgetsItsScaleGoingBack(Dropout):
    """dx = dy where x was kept, without 1 / (1 - rate)."""

    def backward(self, dy, k):
        return dy if k is None else dy * (k > 0)


@drop("V")
class DropoutAppliesItsMaskTwice(Dropout):
    """dx = dy k², so what is kept grows by 1 / (1 - rate) twice."""

    def backward(self, dy, k):
        return dy if k is None else dy * k * k


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
class DropoutDropsInInference(Dropout):
    """Inference drops as training does."""

    def forward(self, x, ctx=INFERENCE) -> Any:
        return super().forward(x, TRAINING)


@drop("L")
class DropoutTakesAFreshGenerator(Dropout):
    """The mask comes from a generator without a seed, so no run can be repeated."""

    def forward(self, x, ctx=INFERENCE) -> Any:
        if not ctx.training or self.rate in (0, 1):
            return super().forward(x, ctx)
        kept = np.random.default_rng().random(x.shape) >= self.rate
        k = np.multiply(kept, 1 / (1 - self.rate), dtype=x.dtype)
        return x * k, k


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
