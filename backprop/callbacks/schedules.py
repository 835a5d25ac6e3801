"""Learning rates that change between epochs.

LearningRateScheduler:  lr = schedule(epoch, lr)
ReduceLROnPlateau:      lr = max(lr * factor, min_lr)    where `monitor` has stopped improving
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from backprop.arguments import Convert, argument
from backprop.callbacks.callback import Callback, Logs
from backprop.callbacks.console import say
from backprop.callbacks.kinds import count, number, optional
from backprop.callbacks.monitor import MonitorCallback, Patience, Rate, Size
from backprop.checks import NotNegative, where
from backprop.config import Configurable
from backprop.old_arguments import Ignored


def check_settable(callback: Callback) -> None:
    """Raise if the optimizer's rate cannot be set, as where it has a schedule: now, and not after
    an epoch of training."""
    optimizer = callback.model.optimizer
    try:
        optimizer.learning_rate = float(optimizer.learning_rate)
    except TypeError as error:
        raise TypeError(f"{type(callback).__name__} sets the learning rate: {error}") from None


def function_of_epoch(schedule: Any, who: str, name: str) -> Any:
    if not callable(schedule):
        raise TypeError(
            f"{who} expects schedule, a function of (epoch, learning_rate), and got {schedule!r}"
        )
    return schedule


class LearningRateScheduler(Configurable, Callback):
    """Set the learning rate before each epoch; it is logged as ``"learning_rate"``.

    Parameters
    ----------
    schedule : callable
        ``schedule(epoch, learning_rate)`` or ``schedule(epoch)``, with `epoch` from 0, returns the
        new learning rate.
    verbose : {0, 1}, default 0
        1 prints a line each epoch.

    Raises
    ------
    TypeError
        If `schedule` is not callable or returns something that is not a number; before training, if
        the optimizer has a schedule of its own.
    ValueError
        If it returns a number that is not finite, or negative.

    Examples
    --------
    >>> from backprop.callbacks import LearningRateScheduler
    >>> halve = LearningRateScheduler(lambda epoch, lr: lr / 2 if epoch else lr)
    >>> halve.new_rate(0, 0.1), halve.new_rate(1, 0.1)
    (0.1, 0.05)
    """

    remembers: ClassVar = {"begun": optional(count)}

    schedule: Annotated[Callable[..., float], Convert(function_of_epoch, none=True)]
    verbose: NotNegative = 0

    _resumed = False

    def __post_init__(self):
        self.begun: int | None = None  # the epoch that it has set the rate for

    def on_train_begin(self, logs: Logs | None = None) -> None:
        check_settable(self)
        self.begun, self._resumed = None, False

    def set_state(self, state: Mapping[str, Any]) -> None:
        super().set_state(state)
        self._resumed = True

    def new_rate(self, epoch: int, learning_rate: float) -> float:
        """What the schedule makes of a learning rate, checked."""
        arguments = (epoch, learning_rate) if takes_two(self.schedule) else (epoch,)
        rate = self.schedule(*arguments)
        if isinstance(rate, bool) or not isinstance(rate, int | float | np.integer | np.floating):
            raise TypeError(
                f"LearningRateScheduler: the schedule must return a float and returned {rate!r}"
            )
        if not (math.isfinite(rate) and rate >= 0):
            raise ValueError(
                f"LearningRateScheduler: the schedule returned {rate!r} as learning rate"
            )
        return float(rate)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        goes_on = self._resumed and epoch == self.begun
        self.begun, self._resumed = epoch, False
        if goes_on:  # in its middle, with the rate that was set at its beginning
            return
        optimizer = self.model.optimizer
        rate = self.new_rate(epoch, float(optimizer.learning_rate))
        optimizer.learning_rate = rate
        if self.verbose:
            say(f"Epoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate}.")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


def takes_two(function: Callable) -> bool:
    """Whether a function can be called with two arguments."""
    try:
        inspect.signature(function).bind(0, 0.0)
    except TypeError:
        return False
    except ValueError:  # some builtins have no signature
        return True
    return True


Factor = where(lambda v: 0 <= v < 1, "a {name} of at least 0 and less than 1")


class ReduceLROnPlateau(MonitorCallback):
    """Reduce the learning rate when `monitor` has not improved for `patience` epochs.

        lr = max(lr * factor, min_lr)

    The learning rate is logged as ``"learning_rate"``: the one that the epoch was trained with.

    Parameters
    ----------
    monitor : str, default "val_loss"
    factor : float, default 0.1
        Less than 1.
    patience : int, default 10
        Epochs without improvement that are accepted.
    verbose : {0, 1}, default 0
        1 prints a line when the rate is reduced.
    mode : {"auto", "min", "max"}, default "auto"
        Whether less or more is better; ``"auto"`` knows it for the loss and the library's metrics.
    min_delta : float, default 1e-4
        A change that is not larger than this is no improvement.
    cooldown : int, default 0
        Epochs after a reduction in which nothing is counted.
    min_lr : float, default 0

    Raises
    ------
    ValueError
        If `factor` is not less than 1, `patience`, `cooldown` or `min_lr` negative, or `mode`
        unknown; before training, if ``"auto"`` cannot tell.
    TypeError
        Before training, if the optimizer has a schedule of its own.

    Warns
    -----
    UserWarning
        Once in a run, if the logs have no `monitor`.

    Examples
    --------
    >>> from backprop.callbacks import ReduceLROnPlateau
    >>> ReduceLROnPlateau(factor=0.2, patience=5, min_lr=0.001)
    ReduceLROnPlateau(factor=0.2, patience=5, min_lr=0.001)
    """

    remembers: ClassVar = {"best": optional(number), "cooldown_counter": count, "wait": count}

    decides = ("baseline",)
    legacy = (Ignored("epsilon"),)

    monitor: str = argument(default="val_loss")
    factor: Annotated[float, Factor] = 0.1
    patience: Patience = 10
    verbose: NotNegative = 0
    mode: str = argument(default="auto")
    min_delta: Size = argument(default=1e-4)
    cooldown: Patience = 0
    min_lr: Rate = 0.0

    def __post_init__(self):
        self.cooldown_counter = 0
        self.wait = 0

    def in_cooldown(self) -> bool:
        return self.cooldown_counter > 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        super().on_train_begin(logs)
        check_settable(self)
        self.best = None
        self.cooldown_counter = 0
        self.wait = 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = {} if logs is None else logs
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        value = self.monitored(logs)
        if value is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self.is_improvement(value, self.best):
            self.best = value
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience:
                self._reduce(epoch)

    def _reduce(self, epoch: int) -> None:
        optimizer = self.model.optimizer
        rate = float(optimizer.learning_rate)
        # a rate kept in float32 may lie a rounding above the smallest one
        if rate <= np.float32(self.min_lr):
            return
        optimizer.learning_rate = max(rate * self.factor, self.min_lr)
        self.cooldown_counter = self.cooldown
        self.wait = 0
        if self.verbose:
            rate = float(optimizer.learning_rate)
            self.say(f"Epoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {rate}.")
