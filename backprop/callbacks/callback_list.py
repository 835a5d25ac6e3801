"""`CallbackList` calls the hooks of many callbacks.

Every call gives the callbacks one fresh dictionary of Python floats, sorted by name. The hooks of a
batch are called without any of this where no callback overrides them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from backprop.callbacks.callback import BatchLogs, Callback, Logs, lazy
from backprop.callbacks.history import History
from backprop.callbacks.progbar import ProgbarLogger

# a hook's older name, which its default calls
OLDER_NAMES = {"on_train_batch_begin": "on_batch_begin", "on_train_batch_end": "on_batch_end"}
BATCH_HOOKS = tuple(
    f"on_{run}_batch_{end}" for run in ("train", "test", "predict") for end in ("begin", "end")
)


class CallbackList(Callback):
    """Calls the hooks of many callbacks, in order; those with `runs_last` after the others.

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
                callback.companions = self.callbacks
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

    def _each(self, hook: str, *arguments: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, hook)(*arguments)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._each("on_train_begin", plain(logs))
        self._find_listeners()  # a callback may have given itself a hook

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._each("on_train_end", plain(logs))

    def on_train_interrupt(self, epoch: int, batch: int) -> None:
        self._each("on_train_interrupt", epoch, batch)

    def on_exception(self, error: BaseException) -> None:
        """Every callback has its turn; what they raise are notes of the error that ends the run."""
        for callback in self.callbacks:
            try:
                callback.on_exception(error)
            except BaseException as another:
                error.add_note(
                    f"then {type(callback).__name__}.on_exception raised "
                    f"{type(another).__name__}: {another}"
                )

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._each("on_epoch_begin", epoch, plain(logs))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._each("on_epoch_end", epoch, plain(logs))

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._each("on_test_begin", plain(logs))

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._each("on_test_end", plain(logs))

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._each("on_predict_begin", plain(logs))

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._each("on_predict_end", plain(logs))


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
    for hook, is_lazy in listeners:
        if not ready and not (is_lazy and callable(logs)):
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
