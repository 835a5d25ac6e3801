"""Models saved while they are trained."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from string import Formatter
from typing import Any, ClassVar

from backprop.arguments import argument
from backprop.atomic import sweep
from backprop.callbacks.across import by_main, saving
from backprop.callbacks.callback import BatchLogs, Logs, lazy
from backprop.callbacks.kinds import anything, count, number, optional
from backprop.callbacks.monitor import Comparable, MonitorCallback
from backprop.callbacks.paths import FilePath, SaveFrequency, check_writable, fields_of, is_plain
from backprop.checks import NotNegative, Positive
from backprop.construction import named
from backprop.signing import SigningKey, check_key
from backprop.spelling import nearest


class ModelCheckpoint(MonitorCallback):
    """Save the model, or its weights, every epoch, every few batches, or whenever it is the best so
    far.

    Parameters
    ----------
    filepath : str or path
        May have fields in braces, filled with ``epoch`` (from 1), ``batch`` (from 1; where
        `save_freq` is a number) and the logs: ``"m-{epoch:02d}-{val_loss:.2f}.npz"``. Missing
        folders are made. A relative path is one of the folder in which the run began.
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
    TypeError
        If `filepath` is no path, or `key` no `SigningKey`.
    ValueError
        If `mode` or `save_freq` is neither of the above; if `filepath` does not end in ``.npz`` or
        another ending of files of models (of weights with `save_weights_only`), is no pattern that
        a number or a text of the logs could fill, or has no field where `max_to_keep` is given.
    IsADirectoryError, NotADirectoryError, OSError
        If `filepath` is a folder, lies in what is a file, or is a name that the system cannot have;
        of a name with fields in training. In training, if the file cannot be written; the error
        names it, and the one that was there before is whole.
    KeyError
        When a run begins, for a field that is nearly the name of a log; in training, for any that
        the logs lack.

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

    remembers: ClassVar = {
        "_batches": count,
        "_kept": anything,  # see `set_state`
        "_postponed": optional(count),
        "best": optional(number),
    }
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

    _home = ""  # the folder in which a run began: relative paths are of it
    _epoch = 0
    _batches = 0  # since the last time
    _postponed = None  # the batch that was to be compared, from 1

    def __post_init__(self):
        from backprop.archive import MODEL_FILES, SAFETENSORS, WEIGHT_FILES, known_path

        # errors now, and not after an epoch of training
        check_key(self.key)
        endings = WEIGHT_FILES if self.save_weights_only else MODEL_FILES
        if self.key is not None:  # a format without a place for a signature
            endings = tuple(e for e in endings if e != SAFETENSORS)
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
        self._home = os.getcwd()  # a run may change its folder
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
        place = os.path.join(self._home, path)
        if os.path.isdir(place):
            raise IsADirectoryError(
                f"ModelCheckpoint cannot save the model as {path!r}: that is a folder; name a file"
            )
        os.makedirs(os.path.dirname(place), exist_ok=True)
        save = self.model.save_weights if self.save_weights_only else self.model.save
        save(place, **({} if self.key is None else {"key": self.key}))
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
                os.remove(os.path.join(self._home, name.format(**self._kept[0])))
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
