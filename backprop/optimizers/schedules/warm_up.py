"""A rate that rises on a line before another schedule begins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from backprop.arguments import Convert
from backprop.checks import NotNegative
from backprop.optimizers.schedules.schedule import (
    FromZero,
    LearningRateSchedule,
    from_zero,
    of_steps,
)
from backprop.registry import FAMILIES


def after_warm_up(value: Any, who: str, name: str) -> Any:
    if isinstance(value, Mapping):
        value = FAMILIES["optimizers.schedules"].deserialize(value)
    return value if callable(value) else from_zero(value, who, name)


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
    >>> from backprop.optimizers.schedules import ExponentialDecay, WarmUp
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
