"""Ctrl-C and SIGTERM end a run at the next step, not in the middle of one.

The first signal is kept until a batch is done. The run ends there as at its end: callbacks are
told, `BackupAndRestore` writes where it stopped, and then the signal does what it does without a
run: KeyboardInterrupt, or SystemExit. A second signal does it at once. A handler of the user's own
stays in place. Of a run within another, such as one that a callback begins, the inner one ends so,
and the outer one by the exception that comes out of its callback.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from backprop.callbacks.console import say

# the handlers of a plain process
PLAIN = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
STOPPING = "Stopping after this batch; once more stops at once"


class Interrupted(BaseException):
    """A run ends between two batches because of a signal."""


class Signals:
    """What a run was sent."""

    def __init__(self) -> None:
        self.came: int | None = None

    def check(self) -> None:
        """Raise, between two batches, if there was a signal."""
        if self.came is not None:
            raise Interrupted

    def leave(self) -> None:
        """Do what the signal does without a run."""
        if self.came == signal.SIGINT:
            raise KeyboardInterrupt
        if self.came is not None:
            raise SystemExit(128 + self.came)

    def hear(self, number: int, model: Any) -> None:
        """Keep a signal, and tell the model to stop training."""
        again, self.came = self.came is not None, number
        if again:
            self.leave()
        model.stop_training = True
        if number == signal.SIGINT:
            say(STOPPING)

    @contextmanager
    def caught(self, model: Any) -> Iterator[None]:
        """Within the block the first signal is kept."""
        free = []
        if threading.current_thread() is threading.main_thread():  # others cannot set handlers
            found = {n: signal.getsignal(n) for n in PLAIN}
            free = [n for n, h in found.items() if h is PLAIN[n] or isinstance(h, Keeping)]
        keep = Keeping(self, model)
        before = {number: signal.signal(number, keep) for number in free}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class Keeping:
    """The handler of a run; that of a run within it may take its place."""

    def __init__(self, signals: Signals, model: Any):
        self.signals, self.model = signals, model

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.signals.hear(number, self.model)
