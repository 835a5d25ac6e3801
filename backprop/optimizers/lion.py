"""Lion: steps of one size in every direction, w ← w - lr * sign(...)."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any

from backprop.arguments import argument
from backprop.kernels import updates
from backprop.kernels.updates import NOTHING, Around
from backprop.optimizers.hyperparameters import Hyperparameter
from backprop.optimizers.optimizer import Optimizer
from backprop.optimizers.slots import Array


class Lion(Optimizer):
    """w ← w - lr * sign(beta_1 m + (1 - beta_1) g), then m ← beta_2 m + (1 - beta_2) g.

    It wants a learning rate 3 to 10 times smaller than Adam, and a weight decay as much larger.

    Parameters
    ----------
    learning_rate : float or schedule, default 0.001
    beta_1 : float or schedule, default 0.9
        More than 0, at most 1.
    beta_2 : float or schedule, default 0.99
        From 0 to 1.
    **kwargs
        Those of `Optimizer`: weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema,
        ema_momentum, ema_overwrite_frequency, gradient_accumulation_steps, name.

    Notes
    -----
    Chen et al., "Symbolic discovery of optimization algorithms", 2023, algorithm 2.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.array([1.0, 1.0])
    >>> Lion(learning_rate=0.1).apply([np.array([0.001, -1000.0])], [w])
    >>> w.round(4)
    array([0.9, 1.1])
    """

    learning_rate: Any = argument(default=0.001)
    beta_1: Any = Hyperparameter("(0, 1]", default=0.9)
    beta_2: Any = Hyperparameter("[0, 1]", default=0.99)
    _: KW_ONLY

    scratch = 2

    def slots(self) -> list[tuple[str, ...]]:
        return [("momentum",)]

    def update(self, w: Array, g: Array, lr: float, *work: Array, around: Around = NOTHING) -> None:
        m, s, t = work
        updates.lion(w, g, m, s, t, self.beta_1, self.beta_2, lr, *around)
