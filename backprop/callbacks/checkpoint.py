"""Callbacks that save: ModelCheckpoint keeps models, BackupAndRestore keeps a run."""

from __future__ import annotations

import os
import re
import reprlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from string import Formatter
from typing import Annotated, Any

from backprop.arguments import Convert, argument
from backprop.atomic import sweep
from backprop.callbacks.callback import BatchLogs, Callback, Logs, lazy
from backprop.callbacks.console import say
from backprop.callbacks.monitor import Comparable, MonitorCallback
from backprop.callbacks.state import collect, restore
from backprop.checks import NotNegative, Positive, as_path
from backprop.config import Configurable
from backprop.construction import named
from backprop.signing import SigningKey, check_key
from backprop.spelling import nearest


def save_frequency(value: Any, who: str, name: str) -> str | int:
    if isinstance(value, str) and value == "epoch":
        return value
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(
            f"{who} expects save_freq='epoch' or a number of batches and got {value!r}"
        )
    return value


def path(given: Any, who: str, name: str, kind: str) -> str:
    """A path as text; of a file or a folder that is named."""
    given = as_path(given, who, name)
    if not given:
        raise ValueError(f"{who} expects {name}, the path of a {kind}, and got an empty one")
    return given


def pattern(given: Any, who: str, name: str) -> str:
    """A path whose fields in braces are names of numbers, with a format that numbers have."""
    found = path(given, who, name, "file")
    try:
        fields = [field for field in Formatter().parse(found) if field[1] is not None]
        for _, field, form, conversion in fields:
            if not str(field).isidentifier() or conversion not in (None, "s", "r", "a"):
                raise ValueError
            number = 1 if field in ("epoch", "batch") else 1.0
            format(number if conversion is None else str(number), form or "")
    except ValueError:
        raise ValueError(
            f"{who} expects {name} to be a path with fields such as {{epoch:02d}} or "
            f"{{val_loss:.2f}}, got {found!r}"
        ) from None
    return found


def check_writable(path: str, who: str, name: str) -> None:
    """Raise where there is a folder in a file's place, or a file in a folder's."""
    if os.path.isdir(path):
        raise IsADirectoryError(f"{who} got {name}={path!r}, which is a folder: name a file")
    above = os.path.dirname(path)
    while above and not os.path.lexists(above):
        above = os.path.dirname(above)
    if above and not os.path.isdir(above):
        raise NotADirectoryError(f"{who} got {name}={path!r}, and {above!r} is a file")


SaveFrequency = Annotated[str | int, Convert(save_frequency, none=True)]
FilePath = Annotated[str | os.PathLike, Convert(pattern, none=True)]
FolderPath = Annotated[str | os.PathLike, Convert(path, none=True, kind="folder")]


def fields_of(pattern: str) -> set[str]:
    """The names of the fields in braces."""
    fields = (field for _, field, *_ in Formatter().parse(pattern) if field is not None)
    return {re.split(r"[.\[]", field)[0] for field in fields}


def is_plain(value: Any) -> bool:
    """Whether a value in a name leads to no other folder."""
    return isinstance(value, int | float) or (
        isinstance(value, str) and not re.search(r"[/\\]|\.\.", value)
    )


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
    max_to_keep : int, optional
        So many files are kept, the last ones that the run has saved: when one more is there, the
        oldest is deleted. `filepath` needs a field then. Default: all.
    key : SigningKey, optional
        Signs the files. It is in no configuration.

    Raises
    ------
    ValueError
        If `mode` or `save_freq` is neither of the above, `filepath` does not end in ``.npz``, or
        has no field where `max_to_keep` is given.
    KeyError
        In training, if `filepath` names a field that the logs lack.
    IsADirectoryError
        In training, if there is a folder where the file should be.
    OSError
        In training, if the file cannot be written; the error names it, and the one that was there
        before is whole.

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

    remembers = ("_batches", "_kept", "_postponed", "best")
    fixed = ("initial_value_threshold",)
    decides = ("baseline", "min_delta")

    filepath: FilePath
    monitor: str = argument(default="val_loss")
    verbose: NotNegative = 0
    save_best_only: bool = False
    save_weights_only: bool = False
    mode: str = argument(default="auto")
    save_freq: SaveFrequency = "epoch"
    initial_value_threshold: Comparable | None = None
    max_to_keep: Positive | None = None
    key: SigningKey | None = argument(default=None)
    unsaved = ("key",)

    _epoch = 0
    _batches = 0  # since the last time
    _postponed = None  # the batch that was to be compared, from 1

    def __post_init__(self):
        from backprop.archive import MODEL_FILES, WEIGHT_FILES, known_path

        # errors now, and not after an epoch of training
        check_key(self.key)
        endings = WEIGHT_FILES if self.save_weights_only else MODEL_FILES
        named(lambda p: known_path(p, endings), self.filepath, "ModelCheckpoint", "filepath")
        if "{" not in os.fspath(self.filepath):
            check_writable(os.fspath(self.filepath), "ModelCheckpoint", "filepath")
        self.best = self.initial_value_threshold
        self._kept: list[Logs] = []  # what is in the names of the files, from the oldest
        if self.max_to_keep is not None and not fields_of(os.fspath(self.filepath)):
            raise ValueError(
                f"ModelCheckpoint keeps {self.max_to_keep} files of different names, and "
                f"{self.filepath!r} is one name: put a field in it, such as {{epoch}}"
            )

    def set_state(self, state: Mapping[str, Any]) -> None:
        kept = state.get("_kept", [])  # files of before it was kept have none
        known = fields_of(os.fspath(self.filepath)) if kept else set()
        # they name files that will be deleted, and a backup may come from anybody
        if not isinstance(kept, list) or not all(
            isinstance(fields, dict)
            and fields.keys() == known
            and all(map(is_plain, fields.values()))
            for fields in kept
        ):
            raise ValueError(
                f"its files that are kept, {reprlib.repr(kept)}, are none of {self.filepath!r}: "
                "keep the name as it was, or delete the backup"
            )
        super().set_state({**state, "_kept": kept})

    def on_train_begin(self, logs: Logs | None = None) -> None:
        folder = Path(os.path.dirname(os.path.realpath(self.filepath)))
        by_main(self, lambda: sweep(folder))
        self._postponed, self._kept = None, []
        self._check_fields()
        if self.save_best_only:
            super().on_train_begin(logs)

    def on_exception(self, error: BaseException) -> None:
        self._batches = 0  # of a run that failed; those of one that ended go on in the next

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
        from backprop.run_state import note_saved

        path = self.path(epoch, logs)
        if not self._wanted(epoch, logs, path):
            return
        if os.path.isdir(path):
            raise IsADirectoryError(
                f"ModelCheckpoint cannot save the model as {path!r}: that is a folder; name a file"
            )
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        save = self.model.save_weights if self.save_weights_only else self.model.save
        save(path, **({} if self.key is None else {"key": self.key}))
        note_saved(self.model, path)
        if self.max_to_keep is not None:
            self._keep({"epoch": epoch + 1} | logs)

    def _keep(self, fields: Logs) -> None:
        """Delete files that are too many beside the one with these fields in its name."""
        name = os.fspath(self.filepath)
        fields = {field: fields[field] for field in sorted(fields_of(name))}
        path = name.format(**fields)
        self._kept = [kept for kept in self._kept if name.format(**kept) != path] + [fields]
        while len(self._kept) > (self.max_to_keep or 0):
            with suppress(FileNotFoundError):  # somebody else has deleted it
                os.remove(name.format(**self._kept[0]))
            del self._kept[0]

    def _check_fields(self) -> None:
        """Raise for a field that is nearly the name of a log; another may come from a callback."""
        names = list(getattr(self.model, "metrics_names", ()))
        known = ["epoch", "batch", "learning_rate", *names, *(f"val_{name}" for name in names)]
        for _, field, _, _ in Formatter().parse(os.fspath(self.filepath)):
            if field is not None and field not in known and nearest(field, known):
                raise KeyError(
                    f"ModelCheckpoint cannot fill {{{field}}} in {self.filepath!r}"
                    f"{nearest(field, known)}; there is {', '.join(known)}"
                )

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
    it would have had without the interruption, bit for bit. The first backup is that of the run's
    beginning; an error in the first epoch deletes it. A run that ends deletes its backup. One that
    is ended by Ctrl-C or SIGTERM is backed up where it stops, and keeps the backup.

    The model, the optimizer, the generators, the position, the history and what the other callbacks
    have counted are backed up: the best value of a `ModelCheckpoint`, the patience and the best
    weights of an `EarlyStopping`, the rows of a `CSVLogger`. A callback of one's own takes part by
    `Callback.remembers`, or by its methods `get_state` and `set_state`.

    Weights that are NaN or infinite are not backed up, as no run can go on from them: the backup of
    before them stays.

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
    key : SigningKey, optional
        Signs the backups; a run goes on from none that was not signed with it. It is in no
        configuration.

    Raises
    ------
    ValueError
        If `backup_dir` is empty or `save_freq` neither of the above; at the start of a run, if the
        backup is of another model, or of callbacks that watch something else, or cannot be read.
    TypeError
        At the start of a run, if the state of a callback cannot be written.
    OSError
        If the backup cannot be written; the error names it, and the one from before is whole.

    Warns
    -----
    UserWarning
        At the start of a run that goes on, if callbacks that count are gone or new; if its last
        digits may differ, as the processor, NumPy, BLAS, the kernels or the number of threads or
        of ranks are others than those of the backup, or the optimizer is `LBFGS`.

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
    key: SigningKey | None = argument(default=None)
    unsaved = ("key",)

    _epoch = 0
    _batches = 0  # since the last time
    _interrupted = False
    _told = False  # that there are no weights to back up any more
    _begun: int | None = None  # the epoch that a run began with, while it has no other backup

    def __post_init__(self):
        check_key(self.key)
        check_writable(os.path.join(self.backup_dir, "x"), "BackupAndRestore", "backup_dir")
        self._latest = os.path.join(self.backup_dir, "latest.npz")
        self._previous = os.path.join(self.backup_dir, "previous.npz")

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._batches, self._interrupted, self._told = 0, False, False
        collect(self.companions)  # what cannot be written is an error now
        by_main(self, lambda: sweep(Path(os.path.realpath(self.backup_dir))))
        trainer = self.model.trainer
        self._begun = None
        if not self._restore() and not trainer.take_restored(self.companions):
            # else a run that is killed before its first backup would not know of what has begun
            self._save(trainer.epoch, trainer.step)
            self._begun = trainer.epoch

    def _restore(self) -> bool:
        """Go on with the last backup, if there is one."""
        if self._exists(self._latest):
            try:
                self._load(self._latest)
                return True
            except (OSError, ValueError) as error:
                if not self._exists(self._previous):
                    raise
                say(f"BackupAndRestore tries the backup before the last, as {error}")
        # the last one is damaged, or the machine stopped between putting it aside and writing the
        # next
        found = self._exists(self._previous)
        if found:
            self._load(self._previous)
        return found

    def _exists(self, path: str) -> bool:
        return by_main(self, lambda: os.path.exists(path))

    def _load(self, path: str) -> None:
        from backprop.archive import read
        from backprop.run_state import load_checkpoint

        steps = (self.params or {}).get("steps")
        take = partial(restore, self.companions)
        ranks = across(self)
        if ranks is None:
            load_checkpoint(self.model, path, take, steps, self.key)
            return

        def read_once(*given: Any) -> Any:
            return ranks.on_main(lambda: read(*given))

        ranks.restoring(lambda: load_checkpoint(self.model, path, take, steps, self.key, read_once))

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
        if saving(self, lambda: self._write(epoch, batch)):
            self._begun = None

    def _write(self, epoch: int, batch: int) -> bool:
        """Whether the backup was written."""
        from backprop.run_state import is_finite, save_checkpoint

        if not is_finite(self.model):
            if not self._told:
                self._told = True
                say("BackupAndRestore keeps the last backup, as weights are NaN or infinite now")
            return False
        os.makedirs(self.backup_dir, exist_ok=True)
        if self.double_checkpoint and os.path.exists(self._latest):
            os.replace(self._latest, self._previous)
        counted = collect(self.companions)
        save_checkpoint(self.model, self._latest, epoch, batch, counted, self.key)
        return True

    def on_train_interrupt(self, epoch: int, batch: int) -> None:
        self._save(epoch, batch)
        self._interrupted = True

    def on_exception(self, error: BaseException) -> None:
        if self._begun is not None and self._begun == self.model.trainer.epoch:
            # there is nothing in it that a run begun anew would not have. On several ranks this may
            # be the only one that fails, so it waits for no other
            self._delete()

    def on_train_end(self, logs: Logs | None = None) -> None:
        if not self._interrupted and self.delete_checkpoint:
            by_main(self, self._delete)

    def _delete(self) -> None:
        for path in (self._previous, self._latest):
            with suppress(FileNotFoundError):  # never made, or another rank's error has deleted it
                os.remove(path)
            if self.model.trainer.saved == path:
                self.model.trainer.saved = None
        with suppress(OSError):  # it was never made, or somebody else's files are in it
            os.rmdir(self.backup_dir)


def across(callback: Callback) -> Any:
    """The ranks on which the run of a callback's model is; None in a run of one process."""
    return getattr(getattr(callback.model, "trainer", None), "across", None)


def by_main(callback: Callback, work: Callable[[], Any]) -> Any:
    """What some work on files finds: on several ranks the first of them does it for all."""
    ranks = across(callback)
    return work() if ranks is None else ranks.on_main(work)


def saving(callback: Callback, work: Callable[[], Any]) -> Any:
    """What saving the state of the run returns: on several ranks the first of them does it."""
    ranks = across(callback)
    return work() if ranks is None else ranks.saving(work)
