"""Passes through a subject: how many there were, and what stands in their way."""

from __future__ import annotations

import time
from dataclasses import dataclass


class OutOfTime(Exception):
    """The time limit has passed."""


class Refused(Exception):
    """The subject raised an error at a point that nobody gave it."""

    def __str__(self) -> str:
        return raises(self.__cause__)


def raises(error: BaseException | None) -> str:
    """What an error is, behind the name of who raised it."""
    said = str(error).partition("\n")[0]
    return f"raises {type(error).__name__}" + (f" ({said})" if said else "")


class NotFinite(Refused):
    """What the subject gives at a point that nobody gave it is not finite."""

    def __str__(self) -> str:
        return "gives something that is not finite"


@dataclass
class Passes:
    """Forward and backward passes spent by a probe and those that were made from it; after the
    deadline, of `time.monotonic()`, a forward pass raises `OutOfTime`."""

    deadline: float | None = None
    forward: int = 0
    backward: int = 0

    def check_time(self) -> None:
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise OutOfTime
