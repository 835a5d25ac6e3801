"""`History`: the logs of every epoch, by name; what `fit` returns."""

from __future__ import annotations

from backprop.callbacks.callback import Callback, Logs


class History(Callback):
    """Records the logs of every epoch. `fit` adds one to every run and returns it.

    Attributes
    ----------
    history : dict of str to list of float
        One value an epoch: ``history.history["val_loss"][-1]``.
    epoch : list of int
        The epochs of the last run, from 0; those before an interruption are not among them.
    params : dict
        ``"epochs"``, ``"steps"`` and ``"verbose"`` of the run.

    Examples
    --------
    >>> from backprop.callbacks import CallbackList, History
    >>> run = CallbackList(History())
    >>> for epoch in range(3):
    ...     run.on_epoch_end(epoch, {"loss": 1 / (epoch + 1)})
    >>> [round(loss, 2) for loss in run.history.history["loss"]]
    [1.0, 0.5, 0.33]
    """

    remembers = ("history",)

    def __init__(self):
        self.history: dict[str, list] = {}
        self.epoch: list[int] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
        if self.model is not None:
            self.model.history = self
