"""Stochastic gradient descent: w ← w - lr * g, with or without momentum."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any

from backprop.arguments import argument
from backprop.kernels import updates
from backprop.kernels.updates import NOTHING, Around
from backprop.optimizers.hyperparameters import Hyperparameter, scheduled
from backprop.optimizers.optimizer import Optimizer
from backprop.optimizers.slots import Array, Numbers


class SGD(Optimizer):
    """w ← w - lr * g; with momentum v ← momentum * v - lr * g, w ← w + v.

    With `nesterov`, the value steps ahead by the momentum that it will have:

        v ← momentum * v - lr * g        w ← w + momentum * v - lr * g

    Parameters
    ----------
    learning_rate : float or schedule, default 0.01
    momentum : float or schedule, default 0.0
        From 0 to 1.
    nesterov : bool, default False
    **kwargs
        Those of `Optimizer`: weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema,
        ema_momentum, ema_overwrite_frequency, gradient_accumulation_steps, name.

    Notes
    -----
    Sutskever, Martens, Dahl and Hinton, "On the importance of initialization and momentum in deep
    learning", 2013, eqs. 1 to 4. As in Keras, v holds the learning rate of each of its steps, and w
    is the value that Nesterov's gradient is taken at.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.array([1.0])
    >>> optimizer = SGD(learning_rate=0.1, momentum=0.9)
    >>> for _ in range(2):
    ...     optimizer.apply([np.array([1.0])], [w])
    >>> w.round(4)
    array([0.71])
    """

    learning_rate: Any = argument(default=0.01)
    momentum: Any = Hyperparameter("[0, 1]", default=0.0)
    nesterov: bool = False
    _: KW_ONLY

    changeable = ("nesterov",)

    def __post_init__(self):
        self._numbers = Numbers(2)

    def slots(self) -> list[tuple[str, ...]]:
        return [("momentum",)] if scheduled(self, "momentum") or self.momentum else []

    def begin(self, lr: float) -> None:
        self._numbers.set(lr, self.momentum)

    def update(self, w: Array, g: Array, lr: float, *work: Array, around: Around = NOTHING) -> None:
        rate, momentum = self._numbers.of(w.dtype)
        *v, t = work
        updates.sgd(w, g, v[0] if v else None, t, rate, momentum, self.nesterov, *around)
