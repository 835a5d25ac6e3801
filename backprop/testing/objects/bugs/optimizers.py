"""Mistakes in optimizers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from backprop.optimizers import SGD, Optimizer
from backprop.optimizers.hyperparameters import Hyperparameter
from backprop.testing.objects.bugs.bank import planted


def descent(w: np.ndarray, gradients: list[np.ndarray]) -> Iterator[np.ndarray]:
    for g in gradients:
        w = w - 0.1 * g
        yield w


class Plain(Optimizer):
    """w ← w - lr g, and what a mistake makes of it."""

    learning_rate: Any = 0.1

    def update(self, w, g, lr, *work):
        w -= lr * g


@planted({"learning_rate": 0.1})
class DescentGoesUphill(Plain):
    """The step is along the gradient."""

    def update(self, w, g, lr, *work):
        w += lr * g


@planted({"learning_rate": 0.1}, reference=descent)
class DescentIsTooShort(Plain):
    """The step is 0.9 of what it should be."""

    def update(self, w, g, lr, *work):
        w -= 0.9 * lr * g


@planted({"learning_rate": 0.1})
class DescentDividesByTheNorm(Plain):
    """The gradient is divided by a norm over all that it is given, and by_parameter is not said."""

    def update(self, w, g, lr, *work):
        w -= lr * g / (1 + np.sqrt((g * g).mean()))


@planted({"learning_rate": 0.1})
class MomentumIsLostInAFile(Plain):
    """The momentum is a plain attribute, by its shape, and in no slot."""

    def update(self, w, g, lr, *work):
        kept = self.__dict__.setdefault("kept", {})
        m = kept.setdefault(w.shape, np.zeros(w.shape))
        m *= 0.9
        m += g
        w -= (lr * m).astype(w.dtype)


@planted({"learning_rate": 0.1})
class CountOfStepsIsLostInAFile(Plain):
    """The rate falls with a count that is not `iterations`."""

    calls = 0

    def begin(self, lr):
        self.__dict__["calls"] = self.calls + 1

    def update(self, w, g, lr, *work):
        w -= lr * g / np.sqrt(w.dtype.type(self.calls))


@planted({"learning_rate": 0.1})
class DescentScalesItsGradient(Plain):
    """g is multiplied by the rate in place."""

    def update(self, w, g, lr, *work):
        g *= lr
        w -= g


@planted({"learning_rate": 0.1})
class DescentDividesZeroByZero(Plain):
    """The gradient is divided by its magnitude, without an epsilon."""

    def update(self, w, g, lr, *work):
        with np.errstate(all="ignore"):
            w -= lr * g / np.abs(g)


@planted({"learning_rate": 0.1})
class DescentClipsItsStep(Plain):
    """clipvalue clips the step, and not the gradient."""

    def _clip(self, stretches, gradients):
        limit = self.clipvalue
        if limit:
            return gradients, 1.0, limit / 0.1
        return super()._clip(stretches, gradients)


@planted({"learning_rate": 0.1})
class DescentDecaysUphill(Plain):
    """The decay makes the values larger."""

    def _decay_rate(self, lr):
        return -super()._decay_rate(lr)


@planted({"learning_rate": 0.1})
class DescentAddsWhatItGathers(Plain):
    """Gathered gradients are summed up, where their mean is wanted."""

    def _accumulate(self, stretches, gradients):
        found = super()._accumulate(stretches, gradients)
        return [g * 2 for g in found]


def adam(w: np.ndarray, gradients: list[np.ndarray]) -> Iterator[np.ndarray]:
    m = s = 0.0
    for t, g in enumerate(gradients, 1):
        m, s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g * g
        w = w - 0.01 * math.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(s) + 1e-7)
        yield w


@planted({"learning_rate": 0.01}, reference=adam)
class AdamForgetsToCorrect(Plain):
    """The moments are not corrected for their beginning at 0."""

    def slots(self):
        return [("m",), ("v",)]

    def update(self, w, g, lr, *work):
        m, v = work[:2]
        m[...] = 0.9 * m + 0.1 * g
        v[...] = 0.999 * v + 0.001 * g * g
        w -= lr * m / (np.sqrt(v) + 1e-7)


@planted({"learning_rate": 0.1, "momentum": 0.9})
class SGDForgetsItsMomentumWhenCopied(SGD):
    """A momentum that is assigned behind the configuration's back."""

    def get_config(self):
        return super().get_config() | {"momentum": 0.5}


@planted({"learning_rate": 0.1})
class DescentRoundsItsStep(Plain):
    """The step is computed in float16."""

    def update(self, w, g, lr, *work):
        w -= (lr * g).astype(np.float16).astype(w.dtype)


@planted({"learning_rate": 0.1})
class DescentAveragesWhatWasBefore(Plain):
    """The average moves before the values do."""

    def _overwrite(self, stretches):
        super()._overwrite(stretches)
        for s in stretches:
            for name, slot in s.slots.items():
                if name == "average" or "average" in str(name):
                    slot *= 0.999


def momentum(w: np.ndarray, gradients: list[np.ndarray]) -> Iterator[np.ndarray]:
    m = 0 * w
    for g in gradients:
        m = 0.9 * m + g
        w = w - 0.1 * m
        yield w


@planted({"learning_rate": 0.1}, reference=momentum)
class MomentumChangesAfterTwentySteps(Plain):
    """From the twenty-first step on the momentum is 0.8."""

    def slots(self):
        return [("m",)]

    def update(self, w, g, lr, *work):
        m = work[0]
        m *= 0.9 if self.iterations < 20 else 0.8
        m += g
        w -= lr * m


@planted({"learning_rate": 0.1}, reference=momentum)
class MomentumRestsWithoutAGradient(Plain):
    """A step whose gradient is 0 is left out, where momentum goes on."""

    def slots(self):
        return [("m",)]

    def update(self, w, g, lr, *work):
        if g.any():
            m = work[0]
            m *= 0.9
            m += g
            w -= lr * m


@planted({"learning_rate": 0.1})
class DescentLeavesOutALargeRest(Plain):
    """Numbers behind the 32nd stay as they are."""

    def update(self, w, g, lr, *work):
        flat = w.reshape(-1)
        flat[:32] -= lr * g.reshape(-1)[:32]


@planted({"learning_rate": 0.1})
class DescentKeepsItsFirstRate(Plain):
    """The rate of the first step is that of all, also after `learning_rate` was set."""

    def update(self, w, g, lr, *work):
        w -= self.__dict__.setdefault("first", lr) * g


@planted({"learning_rate": 0.1})
class DescentTakesItsFirstAxis(Plain):
    """An array without an axis has no rows, and g[0] raises."""

    def update(self, w, g, lr, *work):
        w -= lr * g * (1 + 0 * g[0].sum())


@planted({"learning_rate": 0.1}, reference=momentum)
class MomentumChangesAfterTwoHundredSteps(Plain):
    """From the 201st step on the momentum is 0.8."""

    def slots(self):
        return [("m",)]

    def update(self, w, g, lr, *work):
        m = work[0]
        m *= 0.9 if self.iterations < 200 else 0.8
        m += g
        w -= lr * m


def signs(w: np.ndarray, gradients: list[np.ndarray]) -> Iterator[np.ndarray]:
    for g in gradients:
        w = w - 0.1 * np.sign(g)
        yield w


@planted({"learning_rate": 0.1}, reference=signs)
class TinyGradientsHaveNoSign(Plain):
    """A gradient below 1e-9 is taken for 0, and only its sign counts."""

    def update(self, w, g, lr, *work):
        w -= lr * np.sign(g) * (np.abs(g) > 1e-9)


def centred(w: np.ndarray, gradients: list[np.ndarray]) -> Iterator[np.ndarray]:
    for g in gradients:
        w = w - 0.1 * (g - g.mean(-1, keepdims=True) if g.ndim > 1 else g)
        yield w


@planted({"learning_rate": 0.1}, reference=centred, tags=["by_parameter"])
class CentredAlongTheOtherAxisOfASquare(Plain):
    """Of a square matrix the mean is taken along the first axis, and not the last."""

    by_parameter = True

    def update(self, w, g, lr, *work):
        square = w.ndim == 2 and w.shape[0] == w.shape[1] > 2
        mean = g.mean(0 if square else -1, keepdims=True) if g.ndim > 1 else 0
        w -= lr * (g - mean)


@planted({"learning_rate": 0.1})
class MomentumKeepsItsFirstShare(Plain):
    """1 - beta is computed when it is made, and a beta that is set later is one factor alone."""

    beta: Any = Hyperparameter("[0, 1)", default=0.8)

    def __post_init__(self):
        self.share = 1 - self.beta

    def slots(self):
        return [("m",)]

    def update(self, w, g, lr, *work):
        m = work[0]
        m *= self.beta
        m += self.share * g
        w -= lr * m


@planted({"learning_rate": 0.1}, reference=signs)
class SignsOfLargeArraysAreCentred(Plain):
    """Of more than a thousand numbers the sign is that of the difference to their mean."""

    def update(self, w, g, lr, *work):
        w -= lr * np.sign(g - g.mean() if g.size > 1000 else g)
