"""`Callback`: the hooks that a run calls.

The order (evaluation and prediction have `test` and `predict` in place of `train`):

    on_train_begin
        on_epoch_begin(0)
            on_train_batch_begin(0)   on_train_batch_end(0, logs)   ...
            on_test_begin
                on_test_batch_begin(0)   on_test_batch_end(0, logs)   ...
            on_test_end(logs)
        on_epoch_end(0, logs)   ...
    on_train_end(logs)

A signal (Ctrl-C, SIGTERM) ends a run after the batch in hand: on_train_interrupt, on_train_end. An
exception ends it where it was: on_exception, and no other hook.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from backprop.callbacks.kinds import check

Logs = dict[str, Any]
BatchLogs = Logs | Callable[[], Logs] | None


def lazy(hook):
    """Decorate a batch hook that accepts, in place of `logs`, a function that computes them.

    Such a hook decides itself whether they are worth computing: a progress bar needs them twenty
    times a second, not at every batch.
    """
    hook.lazy_logs = True
    return hook


class Callback:
    """Base of all callbacks: hooks that do nothing until a subclass overrides them.

    A hook that no callback overrides is never called, so an idle callback costs a run nothing.

    Attributes
    ----------
    params : dict
        ``"epochs"``, ``"steps"`` (batches in an epoch, None if unknown) and ``"verbose"`` of the
        run.
    model : Sequential
        The model that is trained. Setting ``self.model.stop_training = True`` ends the run after
        the batch in hand.

    runs_last : bool or int, default False
        True, on a class, for callbacks that must see what all others have done, wherever they stand
        in the list. `BackupAndRestore` has 2: it sees what these have done too.
    writes_only : bool, default False
        True, on a class, for callbacks that show or write what they are told and decide nothing: on
        several ranks (`backprop.distributed.MPI`) only those of rank 0 are called.
    remembers : tuple of str, or dict of str to callable
        On a class, the names of the attributes that it counts with. They are the state of the
        callback in the state of a run: `get_state` returns them, `set_state` sets them. A dict also
        has a function for each that says whether a value of a file can be one.

    Examples
    --------
    >>> from backprop.callbacks import Callback
    >>> class StopAt(Callback):
    ...     def __init__(self, accuracy):
    ...         self.accuracy = accuracy
    ...
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         if logs["accuracy"] >= self.accuracy:
    ...             self.model.stop_training = True

    One that counts, and goes on counting when an interrupted run goes on:

    >>> class CountBatches(Callback):
    ...     remembers = ("batches",)
    ...
    ...     def on_train_begin(self, logs=None):
    ...         self.batches = 0
    ...
    ...     def on_train_batch_end(self, batch, logs=None):
    ...         self.batches += 1
    """

    # on the class, so that a subclass may leave super().__init__() out
    params: Mapping[str, Any] | None = None
    model: Any = None
    runs_last: bool | int = False
    writes_only: bool = False
    remembers: ClassVar[Iterable[str]] = ()
    companions: Sequence[Callback] = ()  # where it runs last, all that run with it

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"companions": ()}  # a copy runs among others

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Told once, before a run, what the run is."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Told once, before a run, which model it is for."""
        self.model = model

    def get_state(self) -> dict[str, Any]:
        """What it has counted, for the state of a run: `BackupAndRestore` keeps it.

        Numbers, text, None, arrays, and lists and dictionaries of these, by name; nothing for a
        callback that decides anew at each call. Asked for before the first epoch too.
        """
        return {name: getattr(self, name) for name in self.remembers}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `get_state` returned in an interrupted run.

        Called after `on_train_begin`. An epoch that goes on in its middle begins again: its
        `on_epoch_begin` is called a second time.

        Raises
        ------
        ValueError
            If it is not the state of such a callback.
        """
        if state.keys() != set(self.remembers):
            raise ValueError(
                f"{type(self).__name__} remembers {', '.join(self.remembers) or 'nothing'} and was "
                f"given {', '.join(state) or 'nothing'}"
            )
        check(state, self.remembers, type(self).__name__)
        for name, value in state.items():
            setattr(self, name, value)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch, with its `logs`. Not called when the run ends in an exception."""

    def on_train_interrupt(self, epoch: int, batch: int) -> None:
        """A signal ends the run where `batch` batches of an epoch are done, both counted from 0;
        `on_train_end` comes next."""

    def on_exception(self, error: BaseException) -> None:
        """An exception ends a run of `fit`, `evaluate` or `predict`: put back what was only
        borrowed from the model, close what is open. The exception goes on after it."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch; `epoch` counts from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch and its validation; `logs` has the loss, the metrics, and both with
        ``val_`` in front.

        What a callback adds to `logs`, the callbacks after it and the history see too.
        """

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of `fit`; `batch` counts from 0 in each epoch."""
        self.on_batch_begin(batch, logs=logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of `fit`; `logs` has the means over the epoch so far."""
        self.on_batch_end(batch, logs=logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before an evaluation, within `fit` too."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After an evaluation; `logs` has its results."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of an evaluation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of an evaluation."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before a prediction."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After a prediction."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of a prediction."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of a prediction; ``logs["outputs"]`` is its result."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """An older name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """An older name of `on_train_batch_end`."""
