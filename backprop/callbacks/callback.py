"""`Callback` has the hooks that a run calls; `CallbackList` calls those of many callbacks.

The order (evaluation and prediction have `test` and `predict` in place of `train`):

    on_train_begin
        on_epoch_begin(0)
            on_train_batch_begin(0)   on_train_batch_end(0, logs)   ...
            on_test_begin
                on_test_batch_begin(0)   on_test_batch_end(0, logs)   ...
            on_test_end(logs)
        on_epoch_end(0, logs)   ...
    on_train_end(logs)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from backprop.callbacks.history import History

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
    remembers : tuple of str
        On a class, the names of the attributes that it counts with. They are the state of the
        callback in the state of a run: `get_state` returns them, `set_state` sets them.

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
    remembers: tuple[str, ...] = ()
    companions: CallbackList | None = None  # where it runs last, the list that it runs in

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"companions": None}  # a copy runs in another list

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
        for name, value in state.items():
            setattr(self, name, value)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch, with its `logs`. Not called when the run ends in an exception."""

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


# a hook's older name, which its default calls
OLDER_NAMES = {"on_train_batch_begin": "on_batch_begin", "on_train_batch_end": "on_batch_end"}
BATCH_HOOKS = tuple(
    f"on_{run}_batch_{end}" for run in ("train", "test", "predict") for end in ("begin", "end")
)


class CallbackList(Callback):
    """Calls the hooks of many callbacks, in order; those with `runs_last` after the others.

    Every call gives the callbacks one fresh dictionary of Python floats, sorted by name. The hooks
    of a batch are called without any of this where no callback overrides them.

    Parameters
    ----------
    callbacks : Callback or (nested) list of Callback, optional
    add_history, add_progbar : bool, default False
        Append a `History`, a `ProgbarLogger`, unless there is one among `callbacks`.
    model : Sequential, optional
    **params
        What the callbacks find in ``self.params``.

    Raises
    ------
    TypeError
        If a callback is not one; a class in place of an object is named as such.

    Examples
    --------
    >>> from backprop.callbacks import CallbackList, LambdaCallback
    >>> report = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs))
    >>> hooks = CallbackList([report], epochs=2)
    >>> hooks.on_epoch_end(0, {"loss": 0.5, "accuracy": 0.9})
    0 {'accuracy': 0.9, 'loss': 0.5}
    >>> hooks.listens_to("on_train_batch_end")
    False
    """

    def __init__(
        self,
        callbacks=None,
        add_history: bool = False,
        add_progbar: bool = False,
        model=None,
        **params,
    ):
        from backprop.callbacks.history import History
        from backprop.callbacks.progbar import ProgbarLogger

        self.callbacks: list[Callback] = flatten(callbacks)
        if add_history and self.history is None:
            self.callbacks.append(History())
        if add_progbar and not any(isinstance(c, ProgbarLogger) for c in self.callbacks):
            self.callbacks.append(ProgbarLogger())
        self._arrange()
        if model is not None:
            self.set_model(model)
        self.set_params(params)

    @property
    def history(self) -> History | None:
        """The first `History` of the list."""
        from backprop.callbacks.history import History

        return next((c for c in self.callbacks if isinstance(c, History)), None)

    def append(self, callback: Callback) -> None:
        """Add a callback to the end of the list."""
        self.callbacks += flatten(callback)
        if self.model is not None:
            callback.set_model(self.model)
        if self.params:
            callback.set_params(self.params)
        self._arrange()

    def set_params(self, params: Mapping[str, Any]) -> None:
        self.params = params
        if params:
            for callback in self.callbacks:
                callback.set_params(params)

    def set_model(self, model: Any) -> None:
        self.model = model
        if self.history is not None:
            model.history = self.history
        for callback in self.callbacks:
            callback.set_model(model)

    def listens_to(self, hook: str) -> bool:
        """Whether any callback overrides a batch hook, such as ``"on_train_batch_end"``."""
        return bool(self._listeners[hook])

    def _arrange(self) -> None:
        self.callbacks.sort(key=lambda callback: callback.runs_last)  # else the order stays
        for callback in self.callbacks:
            if callback.runs_last:
                callback.companions = self
        self._find_listeners()

    def _find_listeners(self) -> None:
        self._listeners = {
            name: tuple(
                (hook, getattr(hook, "lazy_logs", False))
                for c in self.callbacks
                if (hook := overridden(c, name)) is not None
            )
            for name in BATCH_HOOKS
        }
        self._train_batch_begin = self._listeners["on_train_batch_begin"]
        self._train_batch_end = self._listeners["on_train_batch_end"]
        self._test_batch_begin = self._listeners["on_test_batch_begin"]
        self._test_batch_end = self._listeners["on_test_batch_end"]
        self._predict_batch_begin = self._listeners["on_predict_batch_begin"]
        self._predict_batch_end = self._listeners["on_predict_batch_end"]

    # ------------------------------------------------------------------ batches: the hot path

    @lazy
    def on_train_batch_begin(self, batch: int, logs: BatchLogs = None) -> None:
        if self._train_batch_begin:
            tell(self._train_batch_begin, batch, logs)

    @lazy
    def on_train_batch_end(self, batch: int, logs: BatchLogs = None) -> None:
        """`logs` may be a function that computes them; it is called at most once, and only for a
        callback that wants them."""
        if self._train_batch_end:
            tell(self._train_batch_end, batch, logs)

    @lazy
    def on_test_batch_begin(self, batch: int, logs: BatchLogs = None) -> None:
        if self._test_batch_begin:
            tell(self._test_batch_begin, batch, logs)

    @lazy
    def on_test_batch_end(self, batch: int, logs: BatchLogs = None) -> None:
        if self._test_batch_end:
            tell(self._test_batch_end, batch, logs)

    @lazy
    def on_predict_batch_begin(self, batch: int, logs: BatchLogs = None) -> None:
        if self._predict_batch_begin:
            tell(self._predict_batch_begin, batch, logs)

    @lazy
    def on_predict_batch_end(self, batch: int, logs: BatchLogs = None) -> None:
        if self._predict_batch_end:
            tell(self._predict_batch_end, batch, logs)

    on_batch_begin, on_batch_end = on_train_batch_begin, on_train_batch_end

    # ------------------------------------------------------------------ everything else

    def on_train_begin(self, logs: Logs | None = None) -> None:
        logs = plain(logs)
        for callback in self.callbacks:
            callback.on_train_begin(logs)
        self._find_listeners()  # a callback may have given itself a hook

    def on_train_end(self, logs: Logs | None = None) -> None:
        logs = plain(logs)
        for callback in self.callbacks:
            callback.on_train_end(logs)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        logs = plain(logs)
        for callback in self.callbacks:
            callback.on_epoch_begin(epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = plain(logs)
        for callback in self.callbacks:
            callback.on_epoch_end(epoch, logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        logs = plain(logs)
        for callback in self.callbacks:
            callback.on_test_begin(logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        logs = plain(logs)
        for callback in self.callbacks:
            callback.on_test_end(logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        logs = plain(logs)
        for callback in self.callbacks:
            callback.on_predict_begin(logs)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        logs = plain(logs)
        for callback in self.callbacks:
            callback.on_predict_end(logs)


def flatten(callbacks: Any) -> list[Callback]:
    """One callback, none, or lists of lists of them, as a flat list."""
    if callbacks is None:
        return []
    if type(callbacks) is CallbackList:
        return list(callbacks.callbacks)
    if isinstance(callbacks, list | tuple):
        return [c for item in callbacks for c in flatten(item)]
    if isinstance(callbacks, type):
        raise TypeError(
            f"callbacks expects objects and got the class {callbacks.__name__}; "
            f"write {callbacks.__name__}()"
        )
    if not isinstance(callbacks, Callback):
        raise TypeError(
            "callbacks expects objects of subclasses of backprop.callbacks.Callback "
            f"and got {callbacks!r}; wrap a function in LambdaCallback(on_epoch_end=...)"
        )
    return [callbacks]


def overridden(callback: Callback, name: str) -> Callable | None:
    """The hook of a callback, or None if it is the one that does nothing."""
    for hook_name in filter(None, (name, OLDER_NAMES.get(name))):
        hook = getattr(callback, hook_name)
        if getattr(hook, "__func__", hook) is not getattr(Callback, hook_name):
            return hook
    return None


def tell(listeners: tuple[tuple[Callable, bool], ...], batch: int, logs: BatchLogs) -> None:
    """Call the hooks of one batch."""
    ready = False
    for hook, lazy in listeners:
        if not ready and not (lazy and callable(logs)):
            logs = plain(logs() if callable(logs) else logs)
            ready = True
        hook(batch, logs=logs)


def plain(logs: Mapping[str, Any] | None) -> Logs:
    """`logs` as a new dictionary of Python floats, sorted by name; arrays are left as they are."""
    flat: Logs = {}
    for name, value in sorted((logs or {}).items()):
        if type(value) is float:
            flat[name] = value
        elif isinstance(value, Mapping):
            flat |= plain(value)
        elif isinstance(value, int | np.number | np.bool_) or (
            isinstance(value, np.ndarray) and value.ndim == 0
        ):
            flat[name] = float(value)
        else:
            flat[name] = value
    return flat
