"""`SwapEMAWeights`: evaluate and save the moving averages of the weights while training goes on."""

from __future__ import annotations

from typing import Any

from backprop.callbacks.callback import Callback, Logs
from backprop.config import Configurable


class SwapEMAWeights(Configurable, Callback):
    """Put the optimizer's moving averages in the place of the weights while a model is evaluated.

    The optimizer keeps them with ``use_ema=True``. Training goes on with its own weights; in the
    end of a `fit` the model has the averages in any case.

    Parameters
    ----------
    swap_on_epoch : bool, default False
        Have the averages in place at the end of each epoch too, for the callbacks that come after
        this one: a `ModelCheckpoint` then saves them.

    Raises
    ------
    ValueError
        When a run begins, if the optimizer keeps no averages.

    Examples
    --------
    >>> from backprop.callbacks import SwapEMAWeights
    >>> SwapEMAWeights()
    SwapEMAWeights()
    """

    remembers = ("kept",)

    swap_on_epoch: bool = False

    _kept = None  # parameters, and the values that train

    @property
    def kept(self) -> list[Any] | None:
        """The values that train, while the averages are in their place."""
        return None if self._kept is None else [value for _, value in self._kept]

    @kept.setter
    def kept(self, values: list[Any] | None) -> None:
        if values is None:
            self._kept = None
            return
        trained = [p for p in self.model.parameters.parameters if p.trainable]
        if [p.shape for p in trained] != [value.shape for value in values]:
            raise ValueError("the values that train are not of the shapes of this model's")
        self._kept = list(zip(trained, values, strict=True))

    def _swap_in(self) -> None:
        optimizer = self.model.optimizer
        if not getattr(optimizer, "use_ema", False):
            raise ValueError(
                "SwapEMAWeights needs an optimizer with use_ema=True, "
                f"and the model has {optimizer!r}"
            )
        if self._kept is None:
            parameters = self.model.parameters
            self._kept = [(p, p.value.copy()) for p in parameters.parameters if p.trainable]
            optimizer.finalize_variable_values(parameters)

    def _swap_out(self) -> None:
        for parameter, value in self._kept or ():
            parameter.value[...] = value
        self._kept = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._kept = None  # of a run that ended otherwise, perhaps of another model
        self._swap_in()  # an error now, and not after an epoch of training
        self._swap_out()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._swap_out()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.swap_on_epoch:
            self._swap_in()

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._kept = None  # the end of a run has made the averages the weights

    def on_exception(self, error: BaseException) -> None:
        self._swap_out()

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._swap_in()

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._swap_out()

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._swap_in()

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._swap_out()
