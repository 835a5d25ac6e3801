"""Callbacks that save: ModelCheckpoint keeps models, BackupAndRestore keeps a run."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from typing import Annotated, Any

from backprop.arguments import Convert, argument
from backprop.callbacks.callback import BatchLogs, Callback, Logs, lazy
from backprop.callbacks.console import say
from backprop.callbacks.monitor import MonitorCallback
from backprop.callbacks.state import collect, restore
from backprop.config import Configurable
from backprop.spelling import nearest


def save_frequency(value: Any, who: str, name: str) -> str | int:
    if value == "epoch":
        return value
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(
            f"{who} expects save_freq='epoch' or a number of batches and got {value!r}"
        )
    return value


def path(given: Any, who: str, name: str, kind: str) -> str:
    """A path as text; of a file or a folder that is named."""
    given = os.fspath(given)
    if not given:
        raise ValueError(f"{who} expects the path of a {kind} and got an empty one")
    return given


SaveFrequency = Annotated[str | int, Convert(save_frequency, none=True)]
FilePath = Annotated[str | os.PathLike, Convert(path, none=True, kind="file")]
FolderPath = Annotated[str | os.PathLike, Convert(path, none=True, kind="folder")]


class ModelCheckpoint(MonitorCallback):
    """Save the model, or its weights, every epoch, every few batches, or whenever it is the best so
    far.

    Parameters
    ----------
    filepath : str or path
        May have fields in braces, filled with ``epoch`` (from 1), ``batch`` (from 1; where
        `save_freq` is a number) and the logs: ``"m-{epoch:02d}-{val_loss:.2f}.npz"``. Missing
        folders are made.
    monitor : str, default "val_loss"
        For ``save_best_only``.
    verbose : {0, 1}, default 0
        1 prints a line when something is saved, or was not good enough.
    save_best_only : bool, default False
    save_weights_only : bool, default False
        Call ``model.save_weights`` in place of ``model.save``.
    mode : {"auto", "min", "max"}, default "auto"
        Whether less or more is better; ``"auto"`` knows it for the loss and the library's metrics.
    save_freq : "epoch" or int, default "epoch"
        A number counts batches. What the logs say in the middle of an epoch are means over a part
        of it; where they lack `monitor`, as they lack all of the validation, what is due is
        compared at the end of the epoch instead.
    initial_value_threshold : float, optional
        A value that has to be beaten before anything is saved as the best.

    Raises
    ------
    ValueError
        If `mode` or `save_freq` is neither of the above, or `filepath` does not end in ``.npz``.
    KeyError
        In training, if `filepath` names a field that the logs lack.
    IsADirectoryError
        In training, if there is a folder where the file should be.

    Warns
    -----
    UserWarning
        Once in a run, if the logs have no `monitor`: every model is saved then, until there is one
        that is the best. Once, if it is compared at another time than `save_freq` says.

    Examples
    --------
    >>> from backprop.callbacks import ModelCheckpoint
    >>> ModelCheckpoint("best.npz", monitor="val_accuracy", save_best_only=True)
    ModelCheckpoint('best.npz', monitor='val_accuracy', save_best_only=True)
    """

    remembers = ("_batches", "_postponed", "best")
    fixed = ("initial_value_threshold",)
    decides = ("baseline", "min_delta")

    filepath: FilePath
    monitor: str = argument(default="val_loss")
    verbose: int = 0
    save_best_only: bool = False
    save_weights_only: bool = False
    mode: str = argument(default="auto")
    save_freq: SaveFrequency = "epoch"
    initial_value_threshold: float | None = None

    _epoch = 0
    _batches = 0  # since the last time
    _postponed = None  # the batch that was to be compared, from 1

    def __post_init__(self):
        from backprop.archive import MODEL_FILES, WEIGHT_FILES, known_path

        # an error now, and not after an epoch of training
        known_path(self.filepath, WEIGHT_FILES if self.save_weights_only else MODEL_FILES)
        self.best = self.initial_value_threshold

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._postponed = None
        if self.save_best_only:
            super().on_train_begin(logs)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        if self.save_freq == "epoch":
            self._save(epoch, logs)
        elif self._postponed is not None:
            self._save(epoch, {"batch": self._postponed} | logs)
            self._postponed = None

    @lazy
    def on_train_batch_end(self, batch: int, logs: BatchLogs = None) -> None:
        self._batches += 1
        if self._batches != self.save_freq:
            return
        self._batches = 0
        logs = (logs() if callable(logs) else logs) or {}
        if self.save_best_only and self.monitor not in logs:
            self._postponed = batch + 1
            self.warn_once(
                f"{self.monitor!r}, which the logs of a batch lack: what is due after "
                f"{self.save_freq} batches is compared at the end of the epoch instead. There is "
                f"{', '.join(logs) or 'nothing'}"
            )
        else:
            self._save(self._epoch, {"batch": batch + 1} | logs)

    def _save(self, epoch: int, logs: Logs) -> None:
        saving(self, lambda: self._write(epoch, logs))

    def _write(self, epoch: int, logs: Logs) -> None:
        if self.save_best_only and self.is_due_later(logs):
            return
        path = self.path(epoch, logs)
        if not self._wanted(epoch, logs, path):
            return
        if os.path.isdir(path):
            raise IsADirectoryError(
                f"ModelCheckpoint cannot save the model as {path!r}: that is a folder; name a file"
            )
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)

    def path(self, epoch: int, logs: Logs) -> str:
        """The file's name after an epoch (from 0) with these logs."""
        fields = {"epoch": epoch + 1} | logs
        try:
            return os.fspath(self.filepath).format(**fields)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"ModelCheckpoint cannot make a name of {self.filepath!r}: {error}; there is "
                f"{', '.join(f'{name}={value!r}' for name, value in fields.items())}"
            ) from None
        except (KeyError, IndexError) as error:
            name = error.args[0] if isinstance(error, KeyError) else ""
            raise KeyError(
                f"ModelCheckpoint cannot fill {{{name}}} in {self.filepath!r}"
                f"{nearest(name, fields)}; there is {', '.join(fields)}"
            ) from None

    def _wanted(self, epoch: int, logs: Logs, path: str) -> bool:
        if not self.save_best_only:
            self._report(epoch, f"saving model to {path}")
            return True
        value = self.monitored(logs)
        if value is None:  # nothing to compare: rather too many files than none, but not the best's
            return self.best is None
        best = "None" if self.best is None else f"{self.best:.5f}"
        if not self.is_improvement(value, self.best):
            self._report(epoch, f"{self.monitor} did not improve from {best}")
            return False
        self._report(
            epoch, f"{self.monitor} improved from {best} to {value:.5f}, saving model to {path}"
        )
        self.best = value
        return True

    def _report(self, epoch: int, message: str) -> None:
        if self.verbose:
            self.say(f"Epoch {epoch + 1}: {message}")


class BackupAndRestore(Configurable, Callback):
    """Back up a run, and go on with it where it was interrupted.

    It is called after all other callbacks, wherever it stands in the list, so that a backup has
    what they did at an epoch's end.

    Start the same script again: `fit` goes on after the last backup and ends with the weights that
    it would have had without the interruption, bit for bit. A run that ends deletes its backup. One
    that is ended by Ctrl-C or SIGTERM is backed up where it stops, and keeps the backup.

    The model, the optimizer, the generators, the position, the history and what the other callbacks
    have counted are backed up: the best value of a `ModelCheckpoint`, the patience and the best
    weights of an `EarlyStopping`, the rows of a `CSVLogger`. A callback of one's own takes part by
    `Callback.remembers`, or by its methods `get_state` and `set_state`.

    Parameters
    ----------
    backup_dir : str or path
        A folder for this run alone; it is made if missing.
    save_freq : "epoch" or int, default "epoch"
        When to back up: after every epoch, or after that many batches.
    double_checkpoint : bool, default False
        Keep the backup before the last one too, and go back to it if the last one cannot be read.
    delete_checkpoint : bool, default True
        Whether the backup is deleted at the end of the run.

    Raises
    ------
    ValueError
        If `backup_dir` is empty or `save_freq` neither of the above; at the start of a run, if the
        backup is of another model, or of callbacks that watch something else, or cannot be read.
    TypeError
        At the start of a run, if the state of a callback cannot be written.

    Warns
    -----
    UserWarning
        At the start of a run that goes on, if callbacks that count are gone or new.

    Examples
    --------
    >>> from backprop.callbacks import BackupAndRestore
    >>> BackupAndRestore("backup", save_freq=100)
    BackupAndRestore('backup', save_freq=100)
    """

    runs_last = 2

    backup_dir: FolderPath
    save_freq: SaveFrequency = "epoch"
    double_checkpoint: bool = False
    delete_checkpoint: bool = True

    _epoch = 0
    _batches = 0  # since the last time
    _interrupted = False

    def __post_init__(self):
        self._latest = os.path.join(self.backup_dir, "latest.npz")
        self._previous = os.path.join(self.backup_dir, "previous.npz")

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._batches, self._interrupted = 0, False
        collect(self.companions)  # what cannot be written is an error now
        stopped = self.model.stop_training
        self._restore()
        if self.model.stop_training and not stopped:  # by a callback that had ended the run before
            self.model.trainer.epoch = (self.params or {}).get("epochs", self.model.trainer.epoch)
            self.model.trainer.step = 0

    def _restore(self) -> None:
        if self._exists(self._latest):
            try:
                self._load(self._latest)
                return
            except (OSError, ValueError) as error:
                if not self._exists(self._previous):
                    raise
                say(f"BackupAndRestore tries the backup before the last, as {error}")
        # the last one is damaged, or the machine stopped between putting it aside and writing the
        # next
        if self._exists(self._previous):
            self._load(self._previous)

    def _exists(self, path: str) -> bool:
        ranks = across(self)
        return (
            os.path.exists(path) if ranks is None else ranks.on_main(lambda: os.path.exists(path))
        )

    def _load(self, path: str) -> None:
        from backprop.archive import read
        from backprop.run_state import load_checkpoint

        steps = (self.params or {}).get("steps")
        take = partial(restore, self.companions)
        ranks = across(self)
        if ranks is None:
            load_checkpoint(self.model, path, take, steps)
            return

        def read_once(*given: Any) -> Any:
            return ranks.on_main(lambda: read(*given))

        ranks.restoring(lambda: load_checkpoint(self.model, path, take, steps, read_once))

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch + 1, 0)

    @lazy
    def on_train_batch_end(self, batch: int, logs: BatchLogs = None) -> None:
        self._batches += 1
        if self._batches == self.save_freq:
            self._batches = 0
            self._save(self._epoch, batch + 1)

    def _save(self, epoch: int, batch: int) -> None:
        saving(self, lambda: self._write(epoch, batch))

    def _write(self, epoch: int, batch: int) -> None:
        from backprop.run_state import save_checkpoint

        os.makedirs(self.backup_dir, exist_ok=True)
        if self.double_checkpoint and os.path.exists(self._latest):
            os.replace(self._latest, self._previous)
        save_checkpoint(self.model, self._latest, epoch, batch, collect(self.companions))

    def on_train_interrupt(self, epoch: int, batch: int) -> None:
        self._save(epoch, batch)
        self._interrupted = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self._interrupted or not self.delete_checkpoint:
            return
        saving(self, self._delete)

    def _delete(self) -> None:
        for path in (self._latest, self._previous):
            if os.path.exists(path):
                os.remove(path)
        with suppress(OSError):  # it was never made, or somebody else's files are in it
            os.rmdir(self.backup_dir)


def across(callback: Callback) -> Any:
    """The ranks on which the run of a callback's model is; None in a run of one process."""
    return getattr(getattr(callback.model, "trainer", None), "across", None)


def saving(callback: Callback, work: Any) -> None:
    """Save or delete something: on several ranks the first of them does."""
    ranks = across(callback)
    if ranks is None:
        work()
    else:
        ranks.saving(work)
