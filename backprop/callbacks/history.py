"""`History`: the logs of every epoch, by name; what `fit` returns."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from math import nan
from typing import Any

from backprop.callbacks.callback import Callback, Logs
from backprop.html import curve, paragraphs, table
from backprop.spelling import printable


class History(Callback):
    """Records the logs of every epoch. `fit` adds one to every run and returns it.

    Attributes
    ----------
    history : dict of str to list of float
        One value an epoch: ``history.history["val_loss"][-1]``.
    epoch : list of int
        The epochs of the last run, from 0; with those before an interruption, where
        `BackupAndRestore` went on from them.
    params : dict
        ``"epochs"``, ``"steps"`` and ``"verbose"`` of the run.

    Examples
    --------
    >>> from backprop.callbacks import CallbackList, History
    >>> run = CallbackList(History())
    >>> for epoch in range(3):
    ...     run.on_epoch_end(epoch, {"loss": 1 / (epoch + 1)})
    >>> [round(loss, 2) for loss in run.history.history["loss"]]
    [1.0, 0.5, 0.33]
    """

    remembers = ("history", "epoch")

    def __init__(self):
        self.history: dict[str, list] = {}
        self.epoch: list[int] = []

    def set_state(self, state: Mapping[str, Any]) -> None:
        history = state.get("history")
        if not isinstance(history, dict) or not all(isinstance(v, list) for v in history.values()):
            raise ValueError(f"a history is a list of values by name, got {reprlib.repr(history)}")
        # files of before the epochs were among it have the history alone
        epochs = state.get("epoch", [*range(max(map(len, history.values()), default=0))])
        if not isinstance(epochs, list) or not all(type(n) is int and n >= 0 for n in epochs):
            raise ValueError(f"the epochs of a history are numbers, got {reprlib.repr(epochs)}")
        super().set_state({"history": history, "epoch": epochs})

    def __repr__(self) -> str:
        """How far it has come: ``<History of 5 epochs: loss 0.9000 → 0.2500>``."""
        n = max(map(len, self.history.values()), default=0)
        ends = [
            f"{printable(name)} {number(values[0])} → {number(values[-1])}"
            for name, values in self.history.items()
            if values
        ]
        said = f": {', '.join(ends)}" if ends else ""
        return f"<History of {n} epoch{'' if n == 1 else 's'}{said}>"

    def _repr_html_(self) -> str:
        """The first, the last, the least and the most of each and its curve, as a notebook shows
        it."""
        rows = []
        for name, values in self.history.items():
            numbers = [float(v) if hasattr(v, "__float__") else nan for v in values]
            known = [(v, i) for i, v in enumerate(numbers, 1) if v == v] or [(nan, 0)]
            extremes = min(known), max(known, key=lambda pair: pair[0])
            ends = [number(v) for v in (values[0], values[-1])] if values else ["", ""]
            far = [f"{number(v)} (epoch {i})" if i else "" for v, i in extremes]
            rows.append([name, *ends, *far, curve(numbers)])
        n = max(map(len, self.history.values()), default=0)
        title = paragraphs([f"History of {n} epoch{'' if n == 1 else 's'}"])
        return title + table(["", "first", "last", "least", "most", ""], rows)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
        if self.model is not None:
            self.model.history = self


def number(value: Any) -> str:
    """A value of a log in a few digits; what is no number as it is."""
    if isinstance(value, str | bytes) or not hasattr(value, "__float__"):
        return reprlib.repr(value)
    return f"{float(value):.4g}"
