"""`SwapEMAWeights`: evaluate and save the moving averages of the weights while training goes on."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from backprop.callbacks.callback import Callback, Logs
from backprop.callbacks.kinds import array, each, optional
from backprop.config import Configurable

# who has put the averages of an optimizer in the place of the weights: one at a time
_holders: weakref.WeakKeyDictionary[Any, weakref.ref] = weakref.WeakKeyDictionary()


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

    remembers: ClassVar = {"kept": optional(each(array))}

    swap_on_epoch: bool = False

    _kept = None  # parameters, and the values that train
    _brought: Sequence[bool] = ()  # of evaluations that go on, whether it put the averages there

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
        if [p.shape for p in trained] != [np.shape(value) for value in values]:
            raise ValueError("the values that train are not of the shapes of this model's")
        self._hold(list(zip(trained, values, strict=True)))

    def _hold(self, kept: list[Any]) -> None:
        self._kept = kept
        _holders[self.model.optimizer] = weakref.ref(self)

    def _swap_in(self) -> bool:
        """Put the averages in place, and say whether they were not there, by this callback or
        another."""
        optimizer = self.model.optimizer
        if not getattr(optimizer, "use_ema", False):
            raise ValueError(
                "SwapEMAWeights needs an optimizer with use_ema=True, "
                f"and the model has {optimizer!r}"
            )
        holder = _holders.get(optimizer, lambda: None)()
        if holder is not None and holder._kept is not None:
            return False
        parameters = self.model.parameters
        self._hold([(p, p.value.copy()) for p in parameters.parameters if p.trainable])
        optimizer.finalize_variable_values(parameters)
        return True

    def _swap_out(self) -> None:
        for parameter, value in self._kept or ():
            parameter.value[...] = value
        self._kept = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._kept, self._brought = None, ()  # of a run that ended otherwise, perhaps of another
        if self._swap_in():  # an error now, and not after an epoch of training
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
        self._brought = ()

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._brought = *self._brought, self._swap_in()

    def on_test_end(self, logs: Logs | None = None) -> None:
        *self._brought, brought = self._brought or (False,)
        if brought:
            self._swap_out()

    on_predict_begin, on_predict_end = on_test_begin, on_test_end
