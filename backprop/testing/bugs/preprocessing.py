"""Mistakes in the layers that bring data to a common scale."""

from __future__ import annotations

from functools import partial

import numpy as np

from backprop.layers.preprocessing import Normalization, Rescaling
from backprop.testing.bugs.bank import bug, normal
from backprop.testing.bugs.shared import PassesOn

known = partial(bug, x=normal(4, 3), inputs="floats", config={"mean": 1.5, "variance": 4.0})


@known("V")
class NormalizationDividesByTheVarianceGoingBack(Normalization):
    """dx = dy / variance, where it is dy / sqrt(variance)."""

    def backward(self, dy, s):
        return super().backward(super().backward(dy, s), s)


@known("C", varies={"invert": (False, True)})
class NormalizationReversesItsInverseAsItself(Normalization):
    """With `invert` x is multiplied by the deviation, and dy divided by it all the same."""

    def backward(self, dy, s):
        return dy / s


@known("L", reference=True)
class NormalizationForgetsTheRoot(Normalization):
    """y = (x - mean) / variance, forwards and back."""

    def _beside(self, value, x):
        beside = super()._beside(value, x)
        return beside if value is self.mean else np.square(beside)


rescaled = partial(known, config={"scale": 0.5, "offset": 1.0})


@rescaled("V")
class RescalingForgetsItsScaleGoingBack(PassesOn, Rescaling):
    """dx = dy, without the factor of forward."""


@rescaled("D")
class RescalingScalesInDouble(Rescaling):
    """The factor is an array of float64, and so is all that it touches."""

    def forward(self, x, ctx=None):
        return x * np.atleast_1d(self.scale) + self.offset, None
