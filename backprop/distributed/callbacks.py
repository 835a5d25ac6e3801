"""Callbacks on several ranks: all hear the same, and rank 0's alone write."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any

from backprop.callbacks import CallbackList
from backprop.callbacks.callback import BatchLogs, Callback, lazy
from backprop.callbacks.callback_list import BATCH_HOOKS, overridden
from backprop.callbacks.console import say
from backprop.distributed.agreement import check_callbacks, check_together
from backprop.training.interrupts import STOPPING, Signals


class Muted(Callback):
    """In the place of a callback that only writes, on a rank that does not: it has a state where
    that one has, and makes nothing of it."""

    def __init__(self, callback: Callback):
        self.runs_last = callback.runs_last
        self.state = dict(callback.get_state())

    def get_state(self) -> dict[str, Any]:
        return self.state

    def set_state(self, state: Mapping[str, Any]) -> None:
        self.state = dict(state)


def muted(callback: Callback) -> Callback:
    """A callback under the name by which the state of a run knows it."""
    return type(type(callback).__name__, (Muted,), {})(callback)


def decides(callback: Callback) -> bool:
    """Whether a callback may stop the run, or save its state, behind a batch."""
    if callback.writes_only or getattr(callback, "save_freq", None) == "epoch":
        return False
    return any(overridden(callback, hook) for hook in BATCH_HOOKS)


class SharedCallbacks(CallbackList):
    """The callbacks of a run on several ranks, which agree on whether to stop: behind each batch
    where callbacks may decide so there, and else at the end of an epoch."""

    def __init__(self, ranks: Any, callbacks: Any, **options: Any):
        self.ranks, self.decide = ranks, True
        super().__init__(callbacks, **options)
        check_callbacks(ranks, self.callbacks)
        if not ranks.is_main:
            self.callbacks = [muted(c) if c.writes_only else c for c in self.callbacks]
            self._arrange()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        super().on_epoch_begin(epoch, logs)
        self._find_who_decides()
        self.ranks.agree()

    def on_test_begin(self, logs: Any = None) -> None:
        super().on_test_begin(logs)
        self._find_who_decides()

    def _find_who_decides(self) -> None:
        decide = self.ranks.trainer.on_nonfinite.policy != "warn"
        decide = decide or any(map(decides, self.callbacks))
        self.decide = not self.ranks.all(not decide)

    @lazy
    def on_train_batch_end(self, batch: int, logs: BatchLogs = None) -> None:
        super().on_train_batch_end(batch, logs)
        self._after_a_batch()

    @lazy
    def on_test_batch_end(self, batch: int, logs: BatchLogs = None) -> None:
        super().on_test_batch_end(batch, logs)
        self._after_a_batch()

    def _after_a_batch(self) -> None:
        if self.decide:
            self.ranks.agree()
        else:
            self.ranks.settle()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        check_together(self.ranks)
        super().on_epoch_end(epoch, logs)
        self.ranks.agree()


class SharedSignals(Signals):
    """What a rank was sent; it has come when all have agreed on it."""

    heard: int | None = None

    def hear(self, number: int, model: Any) -> None:
        again, self.heard = self.heard is not None, number
        if again:
            self.came = number
            self.leave()
        if number == signal.SIGINT:
            say(STOPPING)
