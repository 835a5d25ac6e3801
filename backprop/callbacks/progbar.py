"""A progress bar with the rate and the time left, on a terminal, in a notebook, and in a pipe.

    Epoch 3/10
    12/45 ━━━━━─────────────── 2s 3ms/step - accuracy: 0.9312 - loss: 0.2410      time left
    45/45 ━━━━━━━━━━━━━━━━━━━━ 3s 3ms/step - accuracy: 0.9512 - loss: 0.1603      time taken

A terminal gets one line that is rewritten, a notebook a table with a bar that moves (`cell`); a
pipe or a file gets one line an epoch:

    Epoch 3/10 - 45/45 - 3s - 3ms/step - accuracy: 0.9512 - loss: 0.1603

and so does the logger ``"backprop"`` after `config.disable_interactive_logging()`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from math import inf
from time import perf_counter
from typing import Any

import numpy as np

from backprop.callbacks.callback import BatchLogs, Callback, Logs, lazy
from backprop.callbacks.cell import Cell, cell_of
from backprop.callbacks.console import (
    NOTEBOOK_INTERVAL,
    can_show,
    columns,
    is_live,
    is_notebook,
    is_terminal,
    write,
)
from backprop.checks import integer
from backprop.spelling import printable

NARROWEST_BAR = 5  # columns; on a terminal without room for them the bar is left out


class Progbar:
    """One progress bar, on stdout.

    Parameters
    ----------
    target : int or None
        Number of steps, None if unknown.
    width : int, default 20
        Of the bar, in columns; less where the terminal is narrow.
    verbose : {0, 1, 2, "auto"}, default 1
        0 is silent, 1 (and ``"auto"``) draws a bar, 2 prints one line at the end.
    interval : float, default 0.05
        Seconds between two drawings, at least.
    stateful_metrics, stateless_metrics : iterable of str, optional
        Values shown as they come, or values averaged over the steps. By default all are averaged;
        name those that are not in the one, or those alone that are in the other.
    unit_name : str, default "step"

    Raises
    ------
    ValueError
        If both kinds of metrics are named.

    Examples
    --------
    >>> from backprop.callbacks import Progbar
    >>> bar = Progbar(3, verbose=2)
    >>> for step in range(3):
    ...     bar.update(step + 1, [("loss", 3.0 - step)])  # doctest: +ELLIPSIS
    3/3 - 0s - ...us/step - loss: 2.0000
    """

    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int | str = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ):
        if stateful_metrics is not None and stateless_metrics is not None:
            raise ValueError("Progbar expects stateful_metrics or stateless_metrics, not both")
        self.target = None if target is None else integer(target, "Progbar", "target", least=0)
        self.width = integer(width, "Progbar", "width")
        self.verbose = 1 if verbose == "auto" else verbose
        self.interval = interval
        self.stateful_metrics = set(stateful_metrics or ())
        self.stateless_metrics = None if stateless_metrics is None else set(stateless_metrics)
        self.unit_name = unit_name
        self.label = ""  # stands first where there is one line alone
        self.seen = 0
        self.skipped = 0  # steps that were done before, in a run that goes on in an epoch's middle

        self._stream = sys.stdout
        terminal, notebook = is_terminal(self._stream), is_notebook(self._stream)
        self._live = self.verbose == 1 and is_live(self._stream)
        self._cell = cell_of() if self._live and notebook else None
        self._terminal = terminal and not notebook
        if notebook:
            self.interval = max(interval, NOTEBOOK_INTERVAL)
        self._done, self._left = "━─" if can_show(self._stream, "━─") else "=."
        self._values: dict[str, tuple[float, float]] = {}  # sum, weight
        self._drawn = 0  # columns of the line on the screen
        self._start = self._last = perf_counter()
        self._due = self._start + self.interval if self._live else inf

    def tick(self, current: int) -> bool:
        """Note that `current` steps are done; whether it is time to draw them."""
        self.seen = current
        self._last = now = perf_counter()
        return now >= self._due

    def update(
        self,
        current: int,
        values: Iterable[tuple[str, Any]] | None = None,
        finalize: bool | None = None,
    ) -> None:
        """Show that `current` steps are done.

        Parameters
        ----------
        current : int
        values : iterable of (str, value), optional
            Those of the last step.
        finalize : bool, optional
            Whether this ends the bar. Default: whether `current` has reached the target.
        """
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        for name, value in values or ():
            self._record(name, value, max(current - self.seen, 1), finalize)
        # the steps are over when the bar is ended, be it after a validation that took longer than
        # they did
        due = self.tick(current) if current != self.seen else perf_counter() >= self._due
        if self.verbose == 0 or not (due or finalize):
            return
        if self._live:
            self._draw(finalize)
            self._due = perf_counter() + self.interval
        elif finalize:
            self._write(f"{self.label}{self.label and ' - '}{self._said(True)}\n")

    def _said(self, finalize: bool) -> str:
        return " - ".join((self._counted(), *self._times(finalize), *self._shown()))

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """Show that `n` more steps are done."""
        self.update(self.seen + n, values)

    def _record(self, name: str, value: Any, weight: float, finalize: bool) -> None:
        value = value if isinstance(value, float) else float(np.mean(value))
        averaged = (
            name not in self.stateful_metrics
            if self.stateless_metrics is None
            else name in self.stateless_metrics
        )
        if not averaged:
            self._values[name] = (value, 1)
            return
        total, weights = self._values.get(name, (0.0, 0))
        self._values[name] = (total + value * weight, weights + weight)

    def _draw(self, finalize: bool) -> None:
        if self._cell is not None:
            self._drawn = 0 if finalize else 1
            if finalize:
                self._cell.finish(self.label, self._said(True))
            else:
                self._cell.draw(self.label, self.seen, self.target, self._said(False))
            return
        head, info = self._counted(), " ".join(self._times(finalize))
        info = " - ".join((info, *self._shown()))
        limit = columns(self._stream) if self._terminal else None
        room = self.width
        if limit is not None:  # the last column stays free: some terminals would start a new line
            room = min(room, limit - 1 - len(head) - len(info) - 2)
        line = (
            f"{head} {self._bar(room)} {info}"
            if self.target and room >= NARROWEST_BAR
            else f"{head} {info}"
        )
        # the last line is not rewritten, so it may take the rows that it needs
        if limit is not None and len(line) > limit - 1 and not finalize:
            line = line[: max(limit - 4, 0)] + "..."
        self._write("\r" + line.ljust(self._drawn) + ("\n" if finalize else ""))
        self._drawn = len(line)

    def stop(self) -> None:
        """End the bar where it is: what is written next has lines of its own."""
        if self._cell is not None:
            self._cell.stop()
        else:
            self._write("\n")

    def _bar(self, width: int) -> str:
        done = min(width, width * self.seen // self.target) if self.target else 0
        return self._done * done + self._left * (width - done)

    def _counted(self) -> str:
        if not self.target:
            return f"{self.seen:7d}/Unknown"
        return f"{self.seen:{len(str(self.target))}d}/{self.target}"

    def _times(self, finalize: bool) -> tuple[str, str]:
        """Time left, or taken in the end, and time per step."""
        steps = self.seen - self.skipped
        per_step = (self._last - self._start) / steps if steps else 0.0
        if self.target and not finalize:
            time = clock(per_step * max(self.target - self.seen, 0))
        else:
            time = f"{perf_counter() - self._start:.0f}s"
        return time, f"{duration(per_step)}/{self.unit_name}"

    def _shown(self) -> list[str]:
        return [
            f"{printable(name)}: {number(total / weight)}"
            for name, (total, weight) in self._values.items()
        ]

    def _write(self, text: str) -> None:
        write(self._stream, text)


def number(value: float) -> str:
    return f"{value:.4f}" if abs(value) > 1e-3 else f"{value:.4e}"


def duration(seconds: float) -> str:
    if seconds >= 1 or seconds == 0:
        return f"{seconds:.0f}s"
    return f"{seconds * 1e3:.0f}ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f}us"


def clock(seconds: float) -> str:
    """``5s``, ``1:05``, ``2:01:05``."""
    minutes, s = divmod(int(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02d}:{s:02d}" if hours else f"{m}:{s:02d}" if m else f"{s}s"


class ProgbarLogger(Callback):
    """Shows the progress of `fit`, `evaluate` and `predict`. Added to a run unless it has
    ``verbose=0``.

    The validation within `fit` is silent; its results stand at the end of the epoch's line.

    Examples
    --------
    >>> from backprop.callbacks import CallbackList
    >>> run = CallbackList(add_progbar=True, epochs=2, steps=45, verbose=2)
    >>> run.on_epoch_begin(0)
    >>> run.on_epoch_end(0, {"loss": 0.25})  # doctest: +ELLIPSIS
    Epoch 1/2 - 45/45 - 0s - .../step - loss: 0.2500
    """

    writes_only = True

    def __init__(self):
        self.verbose = 1
        self.epochs: int | None = 1
        self.target: int | None = None
        self._in_fit = False
        self._bar: Progbar | None = None
        self._cell: Cell | None = None  # of a notebook, in which a run's bars follow each other

    def set_params(self, params: Mapping[str, Any]) -> None:
        super().set_params(params)
        verbose = params.get("verbose", 1)
        self.verbose = 1 if verbose == "auto" else verbose
        self.epochs = params.get("epochs")
        self.target = params.get("steps")

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._in_fit, self._cell = True, None

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._in_fit = False

    def on_train_interrupt(self, epoch: int, batch: int) -> None:
        self._stop()

    def on_exception(self, error: BaseException) -> None:
        self._stop()
        self._in_fit = False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        bar = self._begin()
        if self.epochs and self.epochs > 1:
            bar.label = f"Epoch {epoch + 1}/{self.epochs}"
        if bar._live and bar.label and bar._cell is None:
            bar._write(bar.label + "\n")

    def on_test_begin(self, logs: Logs | None = None) -> None:
        if not self._in_fit:
            self._begin()

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._begin()

    @lazy
    def on_train_batch_end(self, batch: int, logs: BatchLogs = None) -> None:
        bar = self._bar or self._begin()
        if bar.seen == 0:
            bar.skipped = batch
        if bar.tick(batch + 1):
            bar.update(batch + 1, items(logs), finalize=False)

    @lazy
    def on_test_batch_end(self, batch: int, logs: BatchLogs = None) -> None:
        if not self._in_fit:
            self.on_train_batch_end(batch, logs)

    @lazy
    def on_predict_batch_end(self, batch: int, logs: BatchLogs = None) -> None:
        self.on_train_batch_end(batch)  # its logs are the outputs

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._end(logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        if not self._in_fit:
            self._end(logs)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._end(None)

    def _stop(self) -> None:
        if self._bar is not None and self._bar._drawn:
            self._bar.stop()
        self._bar = None

    def _begin(self) -> Progbar:
        self._bar = bar = Progbar(self.target, verbose=self.verbose, stateless_metrics=())
        if bar._cell is not None and self._in_fit:
            self._cell = bar._cell = self._cell or bar._cell
        return bar

    def _end(self, logs: Logs | None) -> None:
        bar = self._bar or self._begin()
        if bar.target is None:
            self.target = bar.target = bar.seen  # the next epoch knows how long it is
        bar.update(bar.seen or bar.target, items(logs), finalize=True)
        self._bar = None


def items(logs: BatchLogs) -> list[tuple[str, Any]]:
    if callable(logs):
        logs = logs()
    return sorted((logs or {}).items())
