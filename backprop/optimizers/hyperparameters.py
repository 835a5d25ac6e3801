"""Hyper-parameters of an optimizer: each a number, or a function of the step.

    class SGD(Optimizer):
        momentum: Any = Hyperparameter("[0, 1]", default=0.0)

Reading ``optimizer.momentum`` gives the number at the present step; assigning takes a number or a
function, checks it, and is seen by `get_config` and `repr`. A function is not replaced by a number:
who sets a rate would undo a schedule that somebody else has chosen.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import numpy as np

from backprop import checks
from backprop.arguments import Argument, Convert
from backprop.optimizers import schedules
from backprop.optimizers.readings import Rate, reading
from backprop.optimizers.slots import ACCUMULATOR


def spells_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


class Hyperparameter(Argument):
    """A number within an interval, or a schedule.

    Parameters
    ----------
    interval : str
        Where a number may be: ``"[0, 1)"``.
    optional : bool, default False
        Whether None is allowed.
    **more
        Those of `Argument`.
    """

    def __init__(self, interval: str = "(-inf, inf)", optional: bool = False, **more: Any):
        super().__init__(**more)
        self.interval = interval
        self.optional = optional
        self.limits = "finite" if interval == "(-inf, inf)" else f"in {interval}"
        self.low, self.high = (float(end) for end in interval[1:-1].split(","))

    def __set_name__(self, owner: type, name: str) -> None:
        super().__set_name__(owner, name)
        self.slot = f"_{name}"

    def now(self, optimizer: Any, owner: type | None = None) -> Any:
        """The number at the present step, or None; of a class, the description itself."""
        if optimizer is None:
            return self
        try:
            value = optimizer.__dict__[self.slot]
        except KeyError:
            raise AttributeError(f"{type(optimizer).__name__} has no {self.name}") from None
        if type(value) is float or value is None:
            return value
        return self.at_step(value(optimizer._steps), type(optimizer).__name__)

    __get__ = now  # and no call more: a step reads half a dozen

    def __set__(self, optimizer: Any, value: Any) -> None:
        value = self.checked(value, type(optimizer).__name__)
        if callable(optimizer.__dict__.get(self.slot)) and not callable(value):
            raise TypeError(
                f"{optimizer!r} has a schedule for its {self.name}, which {value!r} would discard; "
                "assign another schedule, or make the optimizer with a number"
            )
        optimizer._arguments[self.name] = value
        optimizer.__dict__[self.slot] = of_step(value)
        optimizer._refit()

    def checked(self, value: Any, who: str) -> Any:
        # a function of the user's own, as a config names it
        if isinstance(value, str) and not spells_number(value):
            value = schedules.registry.lookup(value)
        elif isinstance(value, Mapping):
            value = schedules.deserialize(value)
        if (callable(value) and not isinstance(value, type)) or (value is None and self.optional):
            return value
        if isinstance(value, np.ndarray) and value.ndim == 0:
            value = value[()]
        if not checks.is_real(value):
            none = ", None" if self.optional else ""
            raise TypeError(
                f"{who} expects {self.name} to be a number, a LearningRateSchedule{none} or a "
                f"function of the step, got {value!r}"
            )
        value = float(value)
        if not self.holds(value):
            raise ValueError(f"{who} expects {self.name} to be {self.limits}, got {value!r}")
        return value

    def at_step(self, found: Any, who: str) -> float:
        """What a function of the step has found, as a number."""
        try:
            number = float(found)
        except (TypeError, ValueError):
            number = np.nan
        if not self.holds(number):
            raise ValueError(
                f"{who} expects {self.name} to be a number {self.limits}, and its schedule gave "
                f"{found!r}"
            )
        return number

    def holds(self, value: float) -> bool:
        above = self.low <= value if self.interval[0] == "[" else self.low < value
        below = value <= self.high if self.interval[-1] == "]" else value < self.high
        return above and below


class LearningRate(Hyperparameter):
    """A hyper-parameter that is read as a `Rate`."""

    def __get__(self, optimizer: Any, owner: type | None = None) -> Any:
        if optimizer is None:
            return self
        return reading(Rate, self.now(optimizer), optimizer, self.name)


class Clip(Hyperparameter):
    """The bound of one way to clip gradients, of which an optimizer has at most one.

    Parameters
    ----------
    interval : str
    others : str
        Names of the other ways.
    """

    def __init__(self, interval: str, *others: str, default: Any):
        super().__init__(interval, optional=True, default=default)
        self.others = others

    def __set__(self, optimizer: Any, value: Any) -> None:
        taken = [name for name in self.others if optimizer.__dict__.get(f"_{name}") is not None]
        if value is not None and taken:
            who, *names = type(optimizer).__name__, *sorted((self.name, *self.others))
            raise ValueError(
                f"{who} expects at most one of {', '.join(names)}, and got {self.name}={value!r} "
                f"beside {taken[0]}={getattr(optimizer, taken[0])!r}; set that to None first"
            )
        super().__set__(optimizer, value)
        optimizer._clips = value is not None or bool(taken)


class Flag(Argument):
    """An option that is on or off, and that slots may depend on.

    A step reads ``optimizer._name``, which costs no call.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        super().__set_name__(owner, name)
        self.slot = f"_{name}"

    def __get__(self, optimizer: Any, owner: type | None = None) -> Any:
        return self if optimizer is None else optimizer.__dict__.get(self.slot, False)

    def __set__(self, optimizer: Any, value: Any) -> None:
        optimizer.__dict__[self.slot] = checks.flag(value, type(optimizer).__name__, self.name)
        optimizer._refit()


def accumulates(optimizer: Any) -> int | None:
    return optimizer._accumulates


def accumulate_over(optimizer: Any, steps: int | None) -> None:
    if steps is not None:
        checks.integer(steps, type(optimizer).__name__, "gradient_accumulation_steps", least=2)
    iterations = optimizer.updates
    optimizer.__dict__["_accumulates"] = steps
    optimizer.iterations = iterations  # what was gathered for the next one is left out
    if optimizer._slots is not None:
        optimizer._slots.clear(ACCUMULATOR)
    optimizer._refit()


def no_scale(value: Any, who: str, name: str) -> None:
    raise ValueError(
        f"{who} got {name}={value!r}: scaling the loss is for half precision, and backprop "
        "computes in float32 and float64; leave it out"
    )


HalfPrecision = Annotated[None, Convert(no_scale)]


def scheduled(optimizer: Any, name: str) -> bool:
    """Whether a hyper-parameter is a function of the step."""
    return callable(optimizer.__dict__[f"_{name}"])


def of_step(value: Any) -> Any:
    """A number as it is; a function without arguments, as Keras takes them, as one of the step."""
    if not callable(value) or isinstance(value, schedules.LearningRateSchedule):
        return value
    try:
        inspect.signature(value).bind(0)
    except TypeError:
        return WithoutStep(value)  # type: ignore[arg-type] - here it is a function
    except ValueError:  # some builtins have no signature
        pass
    return value


class WithoutStep:
    """A function that is called without the step. A class, so that it can be pickled and copied."""

    def __init__(self, function: Callable[[], float]):
        self.function = function

    def __call__(self, step: int) -> float:
        return self.function()
