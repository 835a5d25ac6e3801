"""`EarlyStopping`: end a run that has stopped improving."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from backprop.arguments import argument
from backprop.callbacks.callback import Logs
from backprop.callbacks.console import say
from backprop.callbacks.kinds import array, count, each, number, optional
from backprop.callbacks.monitor import Comparable, MonitorCallback, Patience, Size
from backprop.checks import NotNegative


class EarlyStopping(MonitorCallback):
    """Stop when `monitor` has not improved for `patience` epochs.

    Parameters
    ----------
    monitor : str, default "val_loss"
    min_delta : float, default 0
        A change that is not larger than this is no improvement.
    patience : int, default 0
        Epochs without improvement that are accepted.
    verbose : {0, 1}, default 0
        1 prints a line when the run is stopped.
    mode : {"auto", "min", "max"}, default "auto"
        Whether less or more is better; ``"auto"`` knows it for the loss and the library's metrics.
    baseline : float, optional
        A value that the run has to beat: improvements that do not reach it do not renew the
        patience.
    restore_best_weights : bool, default False
        At the end of the run, go back to the weights of the best epoch (whether or not the run was
        stopped).
    start_from_epoch : int, default 0
        Epochs at the start that are not watched.

    Raises
    ------
    ValueError
        If `mode` is unknown, `patience` or `start_from_epoch` negative; before training, if
        ``"auto"`` cannot tell.

    Warns
    -----
    UserWarning
        Once in a run, if the logs have no `monitor`.

    Attributes
    ----------
    stopped_epoch : int
        Epoch, from 0, that stopped the run; 0 if it was not stopped.
    best, best_epoch, best_weights
        The best value, its epoch from 0, and copies of the weights then (None unless they are to be
        restored).

    Examples
    --------
    >>> from backprop.callbacks import EarlyStopping
    >>> EarlyStopping(patience=5, restore_best_weights=True)
    EarlyStopping(patience=5, restore_best_weights=True)
    """

    remembers: ClassVar = {
        "best": optional(number),
        "best_epoch": count,
        "best_weights": optional(each(array)),
        "stopped_epoch": count,
        "wait": count,
    }

    monitor: str = argument(default="val_loss")
    min_delta: Size = argument(default=0)
    patience: Patience = 0
    verbose: NotNegative = 0
    mode: str = argument(default="auto")
    baseline: Comparable | None = argument(default=None)
    restore_best_weights: bool = False
    start_from_epoch: Patience = 0

    def __post_init__(self):
        self._reset()

    def _reset(self) -> None:
        self.wait = 0
        self.stopped_epoch = 0
        self.best = None
        self.best_epoch = 0
        self.best_weights: list[Any] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        super().on_train_begin(logs)
        self._reset()  # one object may serve several runs

    def set_state(self, state: Mapping[str, Any]) -> None:
        kept = state.get("best_weights")
        if kept is not None and each(array)(kept):
            wanted = [np.shape(w) for w in self.model.get_weights()]
            if [np.shape(w) for w in kept] != wanted:
                raise ValueError("its best weights are not of the shapes of this model's")
        super().set_state(state)
        if self.stopped_epoch and self.wait >= self.patience:
            self.model.stop_training = True  # it was stopped, and then interrupted

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self.monitored(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        self.wait += 1
        if self.is_improvement(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()  # copies
            if self.baseline is None or self.is_improvement(value, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch and self.verbose:
            say(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose:
                best = f"the end of the best epoch: {self.best_epoch + 1}."
                say(f"Restoring model weights from {best}")
            self.model.set_weights(self.best_weights)
