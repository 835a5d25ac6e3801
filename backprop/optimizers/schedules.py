"""Learning rates, and any other hyper-parameters, as functions of the step.

A schedule is called with the number of steps that were taken so far, and returns a float:

    schedule(step) -> float,    step = 0, 1, 2 ...

Of an array of steps, as one draws a curve, it returns the array of their values.

Every optimizer accepts one (or any function of the step) wherever it accepts a number. Names,
arguments and defaults are Keras'; `OneCycle` and `WarmUp` are additions.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from itertools import pairwise
from typing import Annotated, Any

import numpy as np

from backprop import checks
from backprop.arguments import Convert
from backprop.checks import Fraction, NotNegative, choice, is_real, sequence
from backprop.config import Configurable, Registry


def number(value: Any, who: str, name: str) -> float:
    """`value` as a finite float."""
    if not is_real(value):
        raise TypeError(f"{who} expects {name} to be a number, got {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{who} expects {name} to be finite, got {value!r}")
    return float(value)


def above_zero(value: Any, who: str, name: str) -> float:
    """`value` as a positive float."""
    value = number(value, who, name)
    if value <= 0:
        raise ValueError(f"{who} expects {name} to be positive, got {value!r}")
    return value


def from_zero(value: Any, who: str, name: str) -> float:
    """`value` as a float that is not negative."""
    value = number(value, who, name)
    if value < 0:
        raise ValueError(f"{who} expects {name} not to be negative, got {value!r}")
    return value


def numbers(values: Any, who: str, name: str) -> list[float]:
    return [number(v, who, f"each of {name}") for v in sequence(values, who, name)]


def after_warm_up(value: Any, who: str, name: str) -> Any:
    if isinstance(value, Mapping):
        value = deserialize(value)
    return value if callable(value) else from_zero(value, who, name)


Number = Annotated[float, Convert(number)]
FromZero = Annotated[float, Convert(from_zero)]
Above = Annotated[float, Convert(above_zero)]
Numbers = Annotated[Sequence[float], Convert(numbers)]


def of_steps(value: Callable[[Any, Any], float]) -> Callable[..., Any]:
    """`__call__` of a schedule, from what it is at one step."""

    @wraps(value)
    def call(self: Any, step: Any) -> Any:
        if isinstance(step, int | float) or not np.ndim(step):
            return value(self, step)
        steps = np.asarray(step)
        values = [value(self, one) for one in steps.ravel().tolist()]
        return np.array(values, float).reshape(steps.shape)

    return call


class LearningRateSchedule(Configurable):
    """schedule(step) → float: the base class of schedules.

    Subclass it, declare the arguments, and write ``__call__(self, step)``. Such a schedule can be
    saved with the optimizer that uses it.

    Examples
    --------
    >>> class Halving(LearningRateSchedule):
    ...     initial_learning_rate: float
    ...     every: int
    ...
    ...     def __call__(self, step):
    ...         return self.initial_learning_rate * 0.5 ** (step // self.every)
    >>> Halving(0.8, every=100)(250)
    0.2
    """

    def __call__(self, step: int) -> float:
        """The value after `step` steps."""
        raise TypeError(
            f"{type(self).__name__} has no __call__(self, step): write one that returns a float"
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


class CosineDecay(LearningRateSchedule):
    """top * ((1 - alpha) * (1 + cos(π p)) / 2 + alpha), after a linear warm-up.

        step < warmup_steps:  the line from initial_learning_rate to warmup_target
        afterwards:           top = warmup_target, p = min((step - warmup_steps) / decay_steps, 1)

    Without a `warmup_target` there is no warm-up, and top = initial_learning_rate.

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : int
        Steps of the decay, those of the warm-up not counted.
    alpha : float, default 0.0
        What the value ends at, as a fraction of the top.
    name : str, default "CosineDecay"
    warmup_target : float, optional
    warmup_steps : int, default 0

    Raises
    ------
    ValueError
        If `decay_steps` is not positive or `warmup_steps` negative.

    Notes
    -----
    Loshchilov and Hutter, "SGDR: Stochastic gradient descent with warm restarts", 2017, eq. 5
    (without the restarts).

    Examples
    --------
    >>> decay = CosineDecay(0.0, decay_steps=10, warmup_target=0.1, warmup_steps=4)
    >>> [round(decay(step), 4) for step in (0, 2, 4, 9, 14)]
    [0.0, 0.05, 0.1, 0.05, 0.0]
    """

    initial_learning_rate: FromZero
    decay_steps: Above
    alpha: FromZero = 0.0
    name: str | None = "CosineDecay"
    warmup_target: FromZero | None = None
    warmup_steps: NotNegative = 0

    @of_steps
    def __call__(self, step: int) -> float:
        start, top = self.initial_learning_rate, self.warmup_target
        if top is None:
            top = start
        elif step < self.warmup_steps:
            return float(start + (top - start) * step / self.warmup_steps)
        else:
            step -= self.warmup_steps
        return float(top * cosine(min(step / self.decay_steps, 1.0), self.alpha))


class CosineDecayRestarts(LearningRateSchedule):
    """initial_learning_rate * ((1 - alpha) * m_mul ** i * (1 + cos(π p)) / 2 + alpha) in cycle i.

    Cycle i lasts first_decay_steps * t_mul ** i steps, and p goes from 0 to 1 in each.

    Parameters
    ----------
    initial_learning_rate : float
    first_decay_steps : int
        Steps of the first cycle.
    t_mul : float, default 2.0
        How much longer each cycle is than the one before; at least 1.
    m_mul : float, default 1.0
        How much higher each cycle starts than the one before.
    alpha : float, default 0.0
        What the value falls to, as a fraction of `initial_learning_rate`.
    name : str, default "SGDRDecay"

    Raises
    ------
    ValueError
        If `first_decay_steps` is not positive or `t_mul` less than 1.

    Notes
    -----
    Loshchilov and Hutter, "SGDR: Stochastic gradient descent with warm restarts", 2017, eq. 5.

    Examples
    --------
    >>> restarts = CosineDecayRestarts(1.0, first_decay_steps=10, m_mul=0.5)
    >>> [round(restarts(step), 4) for step in (0, 5, 10, 20, 30)]
    [1.0, 0.5, 0.5, 0.25, 0.25]
    """

    initial_learning_rate: FromZero
    first_decay_steps: Above
    t_mul: Above = 2.0
    m_mul: FromZero = 1.0
    alpha: FromZero = 0.0
    name: str | None = "SGDRDecay"

    def __post_init__(self):
        if self.t_mul < 1:
            raise ValueError(
                f"CosineDecayRestarts expects t_mul to be at least 1, got {self.t_mul!r}: cycles "
                "that get ever shorter would end after finitely many steps"
            )

    @of_steps
    def __call__(self, step: int) -> float:
        i, p = self.cycle(step / self.first_decay_steps)
        height = (1 - self.alpha) * self.m_mul**i * cosine(p) + self.alpha
        return float(self.initial_learning_rate * height)

    def cycle(self, elapsed: float) -> tuple[int, float]:
        """Which cycle it is, and the part of it that is over; time in lengths of the first one."""
        if self.t_mul == 1:
            return math.floor(elapsed), elapsed % 1.0
        # cycle i begins at (t_mul**i - 1) / (t_mul - 1). At the very step of a restart the value
        # jumps, so that a rounding error must not decide whether it has come
        i = math.floor(math.log1p(elapsed * (self.t_mul - 1)) / math.log(self.t_mul))
        i += elapsed >= self.begin(i + 1) * (1 - 1e-12)
        return i, (elapsed - self.begin(i)) / self.t_mul**i

    def begin(self, i: int) -> float:
        return (self.t_mul**i - 1) / (self.t_mul - 1)


class OneCycle(LearningRateSchedule):
    """Up from max / initial_divisor to max, then down to max / (initial_divisor * final_divisor).

    Both ways are half cosines (or lines): with p the part of a way that is over,

        value = to + (from - to) * (1 + cos(π p)) / 2        or    from + (to - from) * p

    Parameters
    ----------
    max_learning_rate : float
        The highest value.
    total_steps : int
        Steps of the whole cycle; the value then stays where it ended.
    warmup_fraction : float, default 0.3
        Part of the steps in which the value rises.
    initial_divisor : float, default 25.0
    final_divisor : float, default 1e4
    anneal : {"cos", "linear"}, default "cos"
    name : str, default "OneCycle"

    Raises
    ------
    ValueError
        For fewer than 2 steps, a fraction outside [0, 1], a divisor that is not positive, or an
        unknown `anneal`.

    Notes
    -----
    Smith and Topin, "Super-convergence: very fast training of neural networks using large learning
    rates", 2019. The divisors and the cosine are those of fast.ai; the numbers are those of
    PyTorch's ``OneCycleLR`` with the same arguments.

    The paper moves the momentum against the learning rate. Any hyper-parameter may be a schedule,
    and a cycle may start above its middle: ``OneCycle(0.85, n, initial_divisor=0.85 / 0.95,
    final_divisor=1.0)`` goes from 0.95 to 0.85 and back.

    Examples
    --------
    >>> cycle = OneCycle(1.0, total_steps=11, warmup_fraction=4 / 11, final_divisor=4.0)
    >>> [round(cycle(step), 3) for step in (0, 3, 10, 99)]
    [0.04, 1.0, 0.01, 0.01]
    """

    max_learning_rate: FromZero
    total_steps: Annotated[int, Convert(checks.integer, least=2)]
    warmup_fraction: Fraction = 0.3
    initial_divisor: Above = 25.0
    final_divisor: Above = 1e4
    anneal: Annotated[str, choice("cos", "linear")] = "cos"
    name: str | None = "OneCycle"

    @of_steps
    def __call__(self, step: int) -> float:
        top, last = self.max_learning_rate, self.total_steps - 1
        peak = self.warmup_fraction * self.total_steps - 1
        start = top / self.initial_divisor
        if step < peak:
            return self.between(start, top, step / peak)
        p = (min(step, last) - peak) / (last - peak) if last > peak else 0.0
        return self.between(top, start / self.final_divisor, p)

    def between(self, start: float, end: float, p: float) -> float:
        left = cosine(p) if self.anneal == "cos" else 1 - p
        return float(end + (start - end) * left)


class WarmUp(LearningRateSchedule):
    """A line from initial_learning_rate to the first value of a schedule, then that schedule.

        step < warmup_steps:  the line from initial_learning_rate to schedule(0)
        afterwards:           schedule(step - warmup_steps)

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        What comes after the warm-up.
    warmup_steps : int
    initial_learning_rate : float, default 0.0
    name : str, default "WarmUp"

    Raises
    ------
    ValueError
        If `warmup_steps` is negative.
    TypeError
        If `learning_rate` is neither a number nor a function.

    Notes
    -----
    Goyal et al., "Accurate, large minibatch SGD", 2017, section 2.2.

    Examples
    --------
    >>> warm = WarmUp(ExponentialDecay(0.8, 10, 0.5), warmup_steps=4)
    >>> [round(warm(step), 4) for step in (0, 1, 4, 14)]
    [0.0, 0.2, 0.8, 0.4]
    """

    learning_rate: Annotated[Any, Convert(after_warm_up)]
    warmup_steps: NotNegative
    initial_learning_rate: FromZero = 0.0
    name: str | None = "WarmUp"

    @of_steps
    def __call__(self, step: int) -> float:
        if step >= self.warmup_steps:
            return self.after(step - self.warmup_steps)
        start = self.initial_learning_rate
        return float(start + (self.after(0) - start) * step / self.warmup_steps)

    def after(self, step: int) -> float:
        rate = self.learning_rate
        # what is no function was checked to be a float when it was made
        return float(rate(step)) if callable(rate) else rate  # type: ignore[arg-type]


def cosine(p: float, alpha: float = 0.0) -> float:
    """From 1 at p = 0 to `alpha` at p = 1, along half a cosine."""
    return (1 - alpha) * 0.5 * (1 + math.cos(math.pi * p)) + alpha


# ----------------------------------------------------------------------------------------------
# names

registry = Registry(
    "optimizers.schedules",
    [
        ExponentialDecay,
        PiecewiseConstantDecay,
        PolynomialDecay,
        InverseTimeDecay,
        CosineDecay,
        CosineDecayRestarts,
        OneCycle,
        WarmUp,
    ],
    base=LearningRateSchedule,
    inputs=(0, 1),
)


serialize, deserialize = registry.functions("learning_rate_schedule")
