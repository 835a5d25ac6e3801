"""Runs saved to a file, and gone on with: all that `fit` needs to go on as if nothing had been."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from backprop import archive
from backprop.callbacks import Callback, CallbackList
from backprop.callbacks.state import collect, restore
from backprop.run_checks import position
from backprop.run_state import save_checkpoint, set_model_state, set_run_state
from backprop.signing import SigningKey
from backprop.training.data import Data
from backprop.training.guarded import Guarded
from backprop.training.settings import Settings, apply, changed, settings
from backprop.training.turns import Turn
from backprop.training.validation import Validation


class Resumable(Guarded):
    """A loop whose state can be written down at every step."""

    given: Sequence[int] | None = None  # batches read, of a run that goes on
    ended = False  # whether a callback had ended it before
    _run: CallbackList | None = None  # the one that goes on now
    _data: Sequence[Data] = ()  # that it reads: to train on, and to validate on
    _restored: tuple[Any, ...] | None = None  # for the next run: the file, and what was in it
    _settings: Settings | None = None  # with which the run began
    _measures = 0  # evaluations that have borrowed the sums of the loss and the metrics

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self._turn = Turn()

    def save_state(self, path: Any, *, key: SigningKey | None = None) -> None:
        """Write the state of the run to one file, from which it goes on bit for bit.

        The weights and states of the model, the optimizer, the generators, the position, the sums
        of the loss and the metrics, how far the data are read, and what the callbacks of the run
        have counted; after a run, its history. What was there before stays whole until the new file
        is on the disk, and has been read back.

        Parameters
        ----------
        path : path
            Ends in ``.npz``.
        key : SigningKey, optional
            Signs the file.

        Raises
        ------
        OSError
            The file cannot be written. The error names it, and what was there before is whole.
        ValueError
            The model is not built, or `path` has another ending.
        RuntimeError
            It is called within an evaluation, or while another thread trains the model.
        TypeError
            The state of a callback cannot be written.

        Notes
        -----
        In a run it is called by a callback, after a batch or an epoch. One that saves at the ends
        of epochs says ``runs_last = True``, so that all others have counted the epoch.
        `BackupAndRestore` does all this by itself. In a run on several ranks all of them call it,
        as each has a part of the state, and rank 0 writes.

        Examples
        --------
        >>> import os, tempfile
        >>> import numpy as np
        >>> import backprop as bp
        >>> x = np.random.default_rng(0).normal(size=(40, 3))
        >>> def compiled():
        ...     bp.utils.set_random_seed(0)
        ...     model = bp.Sequential([bp.Input((3,)), bp.layers.Dense(1)])
        ...     model.compile("adam", "mse")
        ...     return model
        >>> model, other = compiled(), compiled()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "run.npz")
        ...     _ = model.fit(x, x[:, :1], epochs=2, verbose=0)
        ...     model.trainer.save_state(path)
        ...     other.trainer.restore_state(path)
        (2, 0)
        >>> other.fit(x, x[:, :1], epochs=5, verbose=0).epoch
        [0, 1, 2, 3, 4]
        """
        if not self.model.built:
            raise ValueError(f"{self.model.name} is not built yet, so there is no state to save")
        if self._turn.elsewhere or self._measures:
            where = "an evaluation" if self._measures else "a step of another thread"
            raise RuntimeError(
                f"save_state() would find {self.model.name} in the middle of {where}: call it from "
                "a callback, after a batch or an epoch"
            )
        history = [self.model.history] if self.model.history is not None else []
        callbacks = history if self._run is None else self._run.callbacks

        def write() -> None:
            save_checkpoint(self.model, path, self.epoch, self.step, collect(callbacks), key)

        if self.across is None:
            write()
        else:
            self.across.saving(write)

    def restore_state(self, path: Any, *, key: SigningKey | None = None) -> tuple[int, int]:
        """Put a saved state into the model; the next `fit` goes on from there.

        It takes the arguments of the run: the data, the batch size, and callbacks of the same
        classes, to which it gives what theirs had counted. `initial_epoch` does not count then.

        Parameters
        ----------
        path : path
            What `save_state` or `BackupAndRestore` has written.
        key : SigningKey, optional
            The file must have been signed with it.

        Returns
        -------
        (int, int)
            The epoch, from 0, and how many of its batches are done.

        Raises
        ------
        OSError
            The file cannot be read.
        ModelFileError
            It is damaged, not signed with the key, or of another model; nothing has changed then.
            In the next `fit`, if it is of other metrics or callbacks, or had failed.
        RuntimeError
            It is called in a run.

        Warns
        -----
        UserWarning
            In the next `fit`, once, if the run was saved on another machine, another build of
            NumPy, another kernel of BLAS, other kernels or another number of threads or of ranks:
            its end may have other last digits.

        Notes
        -----
        Of a run on several ranks all of them call it, and each reads the file.
        """
        header, arrays = archive.read(path, ("checkpoint",), key)
        with self._turn.held("restore_state()", self.model.name), archive.describing(path):
            epoch, step, seed, _ = position(header, None)
            set_model_state(self.model, header, arrays)
            self.epoch, self.step, self.seed = epoch, step, seed
            self._restored = path, header, arrays
        return epoch, step

    def restored_from(self) -> str:
        """What the next run goes on from, as text that tells it from others."""
        return "none" if self._restored is None else str(self._restored[1]["run"])

    def take_restored(self, callbacks: Sequence[Callback]) -> bool:
        """Give the callbacks of a run that begins, and the loss and the metrics, what they had
        counted, if a state was restored."""
        restored, self._restored = self._restored, None
        if restored is None:
            return False
        path, header, arrays = restored
        run = self._run
        steps = run.params.get("steps") if run is not None and run.params else None
        take = partial(restore, callbacks)

        def put() -> None:
            with archive.faults_named(path):
                set_run_state(self.model, header, arrays, take, steps)

        if self.across is None:
            put()
        else:
            self.across.restoring(put)
        return True

    @contextmanager
    def _runs(
        self, run: CallbackList, data: Data, validation: Validation | None, initial_epoch: int
    ) -> Iterator[None]:
        """A run from its beginning, or from where a state says that is restored before it or by a
        callback, to its end."""
        self.model.stop_training = self.ended = self._goes_on = False
        self.told, self._settings = None, settings(self.model)
        self._run, self.given = run, None
        self._data = [data] if validation is None else [data, validation.data]
        if self._restored is None:
            self.epoch, self.step = initial_epoch, 0
        try:
            run.on_train_begin()
            if self.given is None:
                self.take_restored(run.callbacks)
            self._restored = None  # a backup goes before it
            params = run.params or {}
            epochs = params["epochs"]
            if self.ended:
                self.epoch, self.step = epochs, 0
            data.seed = self.seed
            if self.given is not None and self.epoch < epochs:
                self._read_on(validation, range(initial_epoch, self.epoch), params["steps"])
            yield
        finally:
            self._run, self._data = None, ()

    def _read_on(self, validation: Validation | None, done: range, steps: int | None) -> None:
        """Have the data go on where they were read to; no further than epochs of so many steps
        reach, whatever a file says."""
        train = self._data[0]
        given, also = self.given or (0, 0)
        if steps is not None:
            given = min(given, len(done) * steps + self.step)
        # the epoch goes on from its own step
        train.go_on(len(done), max(given - self.step, 0), steps)
        if validation is not None:
            rounds = sum(map(validation.is_due, done))
            if validation.steps is not None:
                also = min(also, rounds * validation.steps)
            validation.data.go_on(rounds, also)

    def changed(self) -> dict[str, Any]:
        """What callbacks have changed of the model and the optimizer since the run began."""
        return changed(self._settings, self.model)

    def change(self, found: Any) -> Callable[[], None]:
        """Change the same again; returns a function that takes it back."""
        return apply(self.model, found)

    def batches_given(self) -> list[int]:
        """How far the data of the run are read."""
        return ([data.given for data in self._data] + [0, 0])[:2]

    @contextmanager
    def own_tracking(self) -> Iterator[None]:
        self._measures += 1
        try:
            with super().own_tracking():
                yield
        finally:
            self._measures -= 1
