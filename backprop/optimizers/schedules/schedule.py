"""What a schedule is, and the numbers that schedules take."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Annotated, Any

import numpy as np

from backprop.arguments import Convert
from backprop.checks import is_real, sequence
from backprop.config import Configurable


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
