"""Rates that follow half a cosine: once, again and again, or up and down."""

from __future__ import annotations

import math
from typing import Annotated

from backprop import checks
from backprop.arguments import Convert
from backprop.checks import Fraction, NotNegative, choice
from backprop.optimizers.schedules.schedule import Above, FromZero, LearningRateSchedule, of_steps


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


def cosine(p: float, alpha: float = 0.0) -> float:
    """From 1 at p = 0 to `alpha` at p = 1, along half a cosine."""
    return (1 - alpha) * 0.5 * (1 + math.cos(math.pi * p)) + alpha
