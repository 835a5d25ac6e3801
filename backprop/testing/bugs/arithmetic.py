"""Mistakes in arithmetic with constants, and in slices."""

from __future__ import annotations

from functools import partial

import numpy as np

from backprop.layers.arithmetic.constants import (
    Absolute,
    AddConstant,
    DivideBy,
    DivideInto,
    MultiplyBy,
    PowerOf,
    RaiseTo,
    SubtractFrom,
)
from backprop.layers.arithmetic.slices import Slice
from backprop.layers.chain import Chain
from backprop.layers.dense import Dense
from backprop.testing.bugs.bank import bug, normal
from backprop.testing.bugs.shared import PassesOn


def behind_sigmoid(layer):
    """The layer, given numbers above 0."""
    return Chain([Dense(3, activation="sigmoid"), layer])


row = partial(bug, x=normal(4, 3), inputs="rows", options={"min_side": 3, "max_side": 3})
numbers = partial(bug, x=normal(4, 3), inputs="floats")
divided = partial(
    row,
    config={"value": 3.0},
    inside=behind_sigmoid,
    spared=("extreme_input_gives_finite_results",),  # where the sigmoid is 0
)
steps = partial(bug, x=normal(3, 4, 2), inputs="sequences", options={"steps": (2, 4)})


@row(
    "C",
    config={"value": [[1.0], [2.0]]},
    inputs="sequences",
    x=normal(3, 1, 2),
    options={"steps": 1},
)
class AddConstantForgetsToSumWhatWasStretched(AddConstant):
    """An x that is stretched to the constant receives the gradient of the first place."""

    def backward(self, dy, cache):
        shape, _ = cache
        return dy[tuple(slice(0, n) for n in shape)]


@numbers("V", config={"value": 1.0})
class SubtractFromForgetsTheSign(PassesOn, SubtractFrom):
    """dx = dy, where it is -dy."""


@row("V", config={"value": [2.0, -0.5, 3.0]})
class MultiplyByPassesOn(PassesOn, MultiplyBy):
    """dx = dy, without the constant."""


@numbers("V", config={"value": 4.0})
class DivideByMultipliesGoingBack(DivideBy):
    """dx = c dy, where it is dy / c."""

    def reverse(self, dy, c):
        return c * dy


@divided("V")
class DivideIntoDividesOnce(DivideInto):
    """dx = -dy y, without the second division by x."""

    def reverse(self, dy, cache):
        _, y = cache
        return -dy * y


@divided("V")
class DivideIntoForgetsTheSign(DivideInto):
    """dx = dy y / x, where it is the opposite."""

    def reverse(self, dy, cache):
        return -super().reverse(dy, cache)


@numbers("V", config={"value": 3})
class RaiseToKeepsTheExponent(RaiseTo):
    """dx = dy c xᶜ, where the exponent is c - 1."""

    def reverse(self, dy, cache):
        x, c = cache
        return dy * c * x**c


@numbers("V", config={"value": 3})
class RaiseToForgetsTheFactor(RaiseTo):
    """dx = dy xᶜ⁻¹, without c."""

    def reverse(self, dy, cache):
        return super().reverse(dy, cache) / self.value


@numbers("P", config={"value": 2})
class RaiseToDividesByX(RaiseTo):
    """The slope is found as c y / x: 0 / 0 where x is 0."""

    def reverse(self, dy, cache):
        x, c = cache
        return dy * c * (x**c / x)


@row(
    "V",
    config={"value": 2.0},
    spared=("extreme_input_gives_finite_results",),  # 2 to the 10,000 is too large
)
class PowerOfTakesTheBaseForE(PowerOf):
    """dx = dy y, without ln c."""

    def reverse(self, dy, cache):
        return dy * cache[0]


@numbers("V", tags=("piecewise",))
class AbsolutePassesOn(Absolute):
    """dx = dy, also where x is negative."""

    def backward(self, dy, x):
        return dy


@numbers("P", tags=("piecewise",))
class AbsoluteFindsItsSignByDividing(Absolute):
    """The sign is x / |x|: 0 / 0 where x is 0."""

    def backward(self, dy, x):
        return dy * (x / np.abs(x))


@steps("V", config={"index": ":, -1"})
class SlicePutsDyIntoTheFirstPlaces(Slice):
    """dy is put where the first step is, whichever was cut out."""

    def backward(self, dy, shape):
        dx = np.zeros(shape, dy.dtype)
        dx[:, 0] = dy
        return dx


@steps("C", config={"index": ":, ::-1"})
class SliceForgetsToTurnRound(Slice):
    """Of steps that are taken backwards, dy is put back forwards."""

    def backward(self, dy, shape):
        return dy[:, : shape[1]].copy()


@steps("V", config={"index": ":, 1:"})
class SliceSpreadsOverAllPlaces(Slice):
    """What was not cut out receives the mean of dy, where it receives 0."""

    def backward(self, dy, shape):
        dx = np.full(shape, dy.mean(), dy.dtype)
        dx[self.index] = dy
        return dx
