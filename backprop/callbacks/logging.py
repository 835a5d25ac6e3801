"""Callbacks that write logs down, stop at a NaN, or call a function."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from backprop.callbacks.callback import Callback, Logs
from backprop.callbacks.console import say
from backprop.config import Configurable, nearest


class CSVLogger(Configurable, Callback):
    """Write the logs of every epoch into a CSV file, one row an epoch; each row is on disk at once.

    The columns are ``epoch`` and the logs of the first epoch, sorted. If those have no validation
    results (they may come later, with ``validation_freq``), each gets a ``val_`` column too. What
    is missing in an epoch is written as ``NA``.

    Parameters
    ----------
    filename : str or path
        Missing folders are made.
    separator : str, default ","
    append : bool, default False
        Whether an existing file is continued, with its columns, or overwritten.

    Raises
    ------
    ValueError
        If `separator` is not one character.
    OSError
        Before training, if the file cannot be written.

    Examples
    --------
    >>> from backprop.callbacks import CSVLogger
    >>> CSVLogger("run/log.csv", append=True)
    CSVLogger('run/log.csv', append=True)
    """

    def __init__(self, filename: str | os.PathLike, separator: str = ",", append: bool = False):
        if not isinstance(separator, str) or len(separator) != 1:
            raise ValueError(
                f"CSVLogger expects a separator of one character and got {separator!r}"
            )
        self.filename = os.fspath(filename)
        self.separator = separator
        self.append = append
        self.keys: list[str] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        import csv

        self._path = os.path.abspath(self.filename)  # a run may change its folder
        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        self.keys, self._fresh = None, True
        with open(self._path, "a" if self.append else "w", newline=""):
            pass
        if self.append:
            with open(self._path, newline="") as file:
                header = next(csv.reader(file, delimiter=self.separator), None)
            self._fresh = header is None
            if header and header[0] == "epoch":
                self.keys = header[1:]

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        import csv

        logs = logs or {}
        if self.keys is None:
            self.keys = sorted(logs)
            if not any(key.startswith("val_") for key in self.keys):
                self.keys += [f"val_{key}" for key in self.keys]
        # opened for each row: nothing is left open when the run ends in an exception
        with open(self._path, "a", newline="") as file:
            writer = csv.writer(file, delimiter=self.separator)
            if self._fresh:
                writer.writerow(["epoch", *self.keys])
                self._fresh = False
            writer.writerow([epoch, *(cell(logs.get(key, "NA")) for key in self.keys)])


def cell(value: Any) -> Any:
    """What stands for a value in a CSV file; that of a sequence is ``"[1, 2]"``."""
    if (
        isinstance(value, str)
        or not isinstance(value, Iterable)
        or (isinstance(value, np.ndarray) and value.ndim == 0)
    ):
        return value
    return f'"[{", ".join(map(str, value))}]"'


class TerminateOnNaN(Configurable, Callback):
    """Stop at the first batch after which the loss is NaN or infinite.

    Parameters
    ----------
    raise_error : bool, default False
        Raise instead, so that no ``on_train_end`` is called and no backup is deleted.

    Raises
    ------
    RuntimeError
        In training, with ``raise_error=True``.

    Examples
    --------
    >>> from backprop.callbacks import TerminateOnNaN
    >>> TerminateOnNaN().on_train_batch_end(7, {"loss": 0.5})
    """

    def __init__(self, raise_error: bool = False):
        self.raise_error = raise_error

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        if self.raise_error:
            raise RuntimeError(
                f"the loss is {loss} after batch {batch}. Common reasons: a learning rate that is "
                "too high, NaN in the data, logits given to a loss that expects probabilities"
            )
        verbose = (self.params or {}).get("verbose")
        say(f"Batch {batch}: Invalid loss, terminating training", after_bar=verbose in (1, "auto"))
        self.model.stop_training = True


class LambdaCallback(Callback):
    """A callback made of functions.

    Parameters
    ----------
    on_epoch_begin, on_epoch_end : callable, optional
        Called as ``f(epoch, logs)``.
    on_train_begin, on_train_end : callable, optional
        Called as ``f(logs)``.
    on_train_batch_begin, on_train_batch_end : callable, optional
        Called as ``f(batch, logs=logs)``.
    **kwargs
        Functions for any other hook of `Callback`, by its name.

    Raises
    ------
    TypeError
        If a name is no hook, or its value no function.

    Examples
    --------
    >>> from backprop.callbacks import LambdaCallback
    >>> report = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"]))
    >>> report.on_epoch_end(3, {"loss": 0.25})
    3 0.25
    """

    def __init__(
        self,
        on_epoch_begin: Callable | None = None,
        on_epoch_end: Callable | None = None,
        on_train_begin: Callable | None = None,
        on_train_end: Callable | None = None,
        on_train_batch_begin: Callable | None = None,
        on_train_batch_end: Callable | None = None,
        **kwargs: Callable,
    ):
        hooks = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        } | kwargs
        known = [name for name in vars(Callback) if name.startswith(("on_", "set_"))]
        for name, function in hooks.items():
            if name not in known:
                raise TypeError(
                    f"LambdaCallback() has no hook {name!r}{nearest(name, known)}; "
                    f"hooks: {', '.join(known)}"
                )
            if function is None:
                continue
            if not callable(function):
                raise TypeError(
                    f"LambdaCallback expects a function for {name} and got {function!r}"
                )
            setattr(self, name, function)
