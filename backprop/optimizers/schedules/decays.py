"""Rates that fall: by a power, in steps, along a polynomial or a hyperbola."""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import pairwise

from backprop.optimizers.schedules.schedule import (
    Above,
    FromZero,
    LearningRateSchedule,
    Number,
    Numbers,
    of_steps,
)


class Decay(LearningRateSchedule):
    """What falls by a rate in so many steps, evenly or once at their end."""

    initial_learning_rate: FromZero
    decay_steps: Above
    decay_rate: FromZero
    staircase: bool = False
    name: str | None = "Decay"

    def elapsed(self, step: int) -> float:
        """How many times the rate has come to bear."""
        p = step / self.decay_steps
        return math.floor(p) if self.staircase else p


class ExponentialDecay(Decay):
    """initial_learning_rate * decay_rate ** (step / decay_steps).

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : int
        Steps in which the value is multiplied by `decay_rate` once.
    decay_rate : float
    staircase : bool, default False
        Round the exponent down, so that the value falls once every `decay_steps`.
    name : str, default "ExponentialDecay"

    Raises
    ------
    ValueError
        If `decay_steps` is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.optimizers.schedules import ExponentialDecay
    >>> decay = ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5)
    >>> [round(decay(step), 4) for step in (0, 5, 10, 20)]
    [0.1, 0.0707, 0.05, 0.025]
    >>> decay(np.array([0, 10, 20]))
    array([0.1  , 0.05 , 0.025])
    """

    name = "ExponentialDecay"

    @of_steps
    def __call__(self, step: int) -> float:
        return float(self.initial_learning_rate * self.decay_rate ** self.elapsed(step))


class PiecewiseConstantDecay(LearningRateSchedule):
    """values[i], where boundaries[i - 1] < step <= boundaries[i].

    Parameters
    ----------
    boundaries : list of int
        Increasing. A boundary is the last step of its value.
    values : list of float
        One more than boundaries.
    name : str, default "PiecewiseConstant"

    Raises
    ------
    ValueError
        If the lengths do not fit, or the boundaries do not increase.

    Examples
    --------
    >>> steps = PiecewiseConstantDecay([100, 200], [1.0, 0.5, 0.1])
    >>> [steps(step) for step in (0, 100, 101, 200, 201)]
    [1.0, 1.0, 0.5, 0.5, 0.1]
    """

    boundaries: Numbers
    values: Numbers
    name: str | None = "PiecewiseConstant"

    def __post_init__(self):
        boundaries, values = self.boundaries, self.values
        if len(values) != len(boundaries) + 1:
            raise ValueError(
                "PiecewiseConstantDecay expects one value more than boundaries, got "
                f"{len(values)} values and {len(boundaries)} boundaries"
            )
        if any(a >= b for a, b in pairwise(boundaries)):
            raise ValueError(
                f"PiecewiseConstantDecay expects boundaries that increase, got {boundaries}"
            )

    @of_steps
    def __call__(self, step: int) -> float:
        return self.values[bisect_left(self.boundaries, step)]


class PolynomialDecay(LearningRateSchedule):
    """(initial_learning_rate - end_learning_rate) * (1 - p) ** power + end_learning_rate.

    p = min(step / decay_steps, 1); with `cycle`, decay_steps is stretched instead, to its first
    multiple that is not below the step.

    Parameters
    ----------
    initial_learning_rate, decay_steps, name : as in `ExponentialDecay`, and so are the errors
    end_learning_rate : float, default 0.0001
    power : float, default 1.0
    cycle : bool, default False
        Rise again after `decay_steps`, rather than stay at `end_learning_rate`.

    Examples
    --------
    >>> linear = PolynomialDecay(1.0, decay_steps=10, end_learning_rate=0.0)
    >>> [linear(step) for step in (0, 5, 10, 15)]
    [1.0, 0.5, 0.0, 0.0]
    """

    initial_learning_rate: FromZero
    decay_steps: Above
    end_learning_rate: FromZero = 0.0001
    power: Number = 1.0
    cycle: bool = False
    name: str | None = "PolynomialDecay"

    @of_steps
    def __call__(self, step: int) -> float:
        p = step / self.decay_steps
        if self.cycle:
            p /= max(math.ceil(p), 1)
        p = min(p, 1.0)
        span = self.initial_learning_rate - self.end_learning_rate
        return float(span * (1 - p) ** self.power + self.end_learning_rate)


class InverseTimeDecay(Decay):
    """initial_learning_rate / (1 + decay_rate * step / decay_steps).

    Parameters
    ----------
    initial_learning_rate, decay_steps, decay_rate, name
        As in `ExponentialDecay`, and so are the errors.
    staircase : bool, default False
        Round step / decay_steps down.

    Examples
    --------
    >>> decay = InverseTimeDecay(1.0, decay_steps=10, decay_rate=1.0)
    >>> [decay(step) for step in (0, 10, 30)]
    [1.0, 0.5, 0.25]
    """

    name = "InverseTimeDecay"

    @of_steps
    def __call__(self, step: int) -> float:
        return float(self.initial_learning_rate / (1 + self.decay_rate * self.elapsed(step)))
