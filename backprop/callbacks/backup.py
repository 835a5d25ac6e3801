"""A run that is backed up, and gone on with."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from backprop.arguments import argument
from backprop.atomic import sweep
from backprop.callbacks.across import across, by_main, saving
from backprop.callbacks.callback import BatchLogs, Callback, Logs, lazy
from backprop.callbacks.console import say
from backprop.callbacks.paths import FolderPath, SaveFrequency, check_writable
from backprop.callbacks.state import collect, restore
from backprop.config import Configurable
from backprop.signing import SigningKey, check_key


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

    Weights, or moments of the optimizer, that are NaN or infinite are not backed up, as no run can
    go on from them: the backup of before them stays.

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
    _told = False  # that there is nothing to back up any more
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
        from backprop.run_state import can_go_on, save_checkpoint

        if not can_go_on(self.model):
            if not self._told:
                self._told = True
                say(
                    "BackupAndRestore keeps the last backup, as weights, or what the optimizer "
                    "remembers, are NaN or infinite now"
                )
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
        self._begun = None

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
