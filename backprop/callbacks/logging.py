"""Callbacks that write logs down, stop at a NaN, or call a function."""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Annotated, Any, ClassVar

import numpy as np

from backprop.arguments import Convert
from backprop.atomic import named_as, replacing, sync
from backprop.callbacks.callback import Callback, Logs
from backprop.callbacks.console import say
from backprop.callbacks.kinds import count, each, text
from backprop.callbacks.monitor import validated
from backprop.checks import as_path
from backprop.config import Configurable
from backprop.spelling import nearest


def one_character(separator: Any, who: str, name: str) -> str:
    if not isinstance(separator, str) or len(separator) != 1:
        raise ValueError(f"{who} expects a separator of one character and got {separator!r}")
    return separator


def at_once(path: str, flags: int) -> int:
    """Open a file; a pipe that nobody reads is an error and is not waited for."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666)


class CSVLogger(Configurable, Callback):
    """Write the logs of every epoch into a CSV file, one row an epoch; each row is on disk at once.

    The columns are ``epoch`` and the logs of the first epoch, sorted by name; where a validation is
    to come in a later one, by `validation_freq`, each has a ``val_`` column too. What comes for the
    first time later, or in a run that is appended, is a new column: the file is written again, as a
    whole. What is missing in an epoch stands there as ``NA``.

    Parameters
    ----------
    filename : str or path
        Missing folders are made.
    separator : str, default ","
    append : bool, default False
        Whether an existing file is continued, with its columns, or overwritten with the first row.

    Raises
    ------
    ValueError
        If `separator` is not one character; before training, if the file to append to is none of a
        `CSVLogger` with this separator.
    OSError
        Before training, if the file cannot be written.

    Warns
    -----
    UserWarning
        At the end of a run that was appended, if columns of the file got no value in it.

    Examples
    --------
    >>> from backprop.callbacks import CSVLogger
    >>> CSVLogger("run/log.csv", append=True)
    CSVLogger('run/log.csv', append=True)
    """

    writes_only = True
    remembers: ClassVar = {"missing": each(text), "rows": count}

    filename: Annotated[str | os.PathLike, Convert(as_path, none=True)]
    separator: Annotated[str, Convert(one_character, none=True)] = ","
    append: bool = False

    _begun = False  # whether the file has these rows and no others

    def __post_init__(self):
        self.keys: list[str] | None = None
        self.rows = 0  # of the file, that are of this run or of what it was appended to
        self.missing: list[str] = []  # columns of the file that no epoch of this run had

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._path = os.path.realpath(self.filename)  # a run may change its folder
        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        with open(self._path, "a", opener=at_once):  # an error now, not after an epoch of training
            pass
        # what is there is overwritten with the first row, when it is known whether the run goes on
        self.keys, self.rows, self.missing, self._begun = None, 0, [], False
        if self.append and os.path.getsize(self._path):
            self.keys, rows = self._read()
            self.rows, self.missing, self._begun = len(rows), list(self.keys), True
            self._end_last_line()

    def set_state(self, state: Mapping[str, Any]) -> None:
        super().set_state(state)
        self._begun = False  # there may be rows of epochs that are done again
        if self.rows:
            self.keys, rows = self._read()
            if len(rows) < self.rows:
                raise ValueError(
                    f"{self.filename!r} had {self.rows} rows at the last backup and has "
                    f"{len(rows)}: put the file back, or delete the backup"
                )

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        new = sorted(logs.keys() - set(self.keys or ()))
        if not self._begun or new:
            kept = self._read()[1][: self.rows] if self.rows else []
            self.keys = self._first_columns(logs) if self.keys is None else self.keys + new
            self._rewrite(kept)
            self._begun = True
        assert self.keys is not None
        self._write("a", [[epoch, *(cell(logs.get(key, "NA")) for key in self.keys)]])
        self.rows += 1
        self.missing = [key for key in self.missing if key not in logs]

    def _first_columns(self, logs: Logs) -> list[str]:
        trainer = getattr(self.model, "trainer", None)
        keys = sorted(logs)
        if validated(logs) or not getattr(trainer, "validates", True):
            return keys
        return keys + [f"val_{key}" for key in keys]

    def _read(self) -> tuple[list[str], list[list[str]]]:
        """The columns of the file behind the first, and its rows."""
        import csv

        with open(self._path, newline="") as file:
            header, *rows = [*csv.reader(file, delimiter=self.separator)] or [[]]
        if header[:1] != ["epoch"] or len(set(header)) != len(header):
            raise ValueError(
                f"CSVLogger cannot go on with {self.filename!r}: its first row is "
                f"{self.separator.join(header)!r}, where the columns epoch, loss ... separated by "
                f"{self.separator!r} were expected; choose another file, or append=False"
            )
        return header[1:], [row for row in rows if row]

    def _rewrite(self, rows: list[list[str]]) -> None:
        """Write the columns and these rows; what the rows lack of the columns is missing there."""
        assert self.keys is not None
        width = 1 + len(self.keys)
        table = [["epoch", *self.keys], *(row + ["NA"] * (width - len(row)) for row in rows)]
        if not os.path.isfile(self._path):  # a pipe, a terminal: nothing can take its place
            self._write("w", table)
            return
        # beside the file, then in its place: a crash leaves the one or the other
        with replacing(self._path) as file:
            text = io.TextIOWrapper(file, newline="")
            self._rows_to(text, table)
            text.detach()

    def _write(self, mode: str, rows: list[list[Any]]) -> None:
        # opened for each row: nothing is left open when the run ends in an exception
        path = Path(self._path)
        with (
            named_as(path, "the rows of the epochs before are in the file"),
            open(path, mode, newline="") as file,
        ):
            self._rows_to(file, rows)
            file.flush()
            sync(file.fileno())

    def _rows_to(self, file: IO[str], rows: list[list[Any]]) -> None:
        import csv

        csv.writer(file, delimiter=self.separator).writerows(rows)

    def _end_last_line(self) -> None:
        with open(self._path, "rb+") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) not in (b"\n", b"\r"):
                file.write(b"\r\n")

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.missing:
            warnings.warn(
                f"CSVLogger: this run had no value for {', '.join(self.missing)}, of which "
                f"{self.filename!r} has columns; NA stands there",
                stacklevel=2,
            )


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

    raise_error: bool = False

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
        Functions for any other method of `Callback`, by its name: hooks, or `get_state` and
        `set_state` for what the functions count.

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
        known = [name for name in vars(Callback) if name.startswith(("on_", "set_", "get_"))]
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
