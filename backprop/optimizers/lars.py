"""Momentum's steps, with a learning rate for each parameter that fits its size."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from backprop.arguments import argument
from backprop.optimizers.hyperparameters import Hyperparameter
from backprop.optimizers.optimizer import Optimizer, norm
from backprop.optimizers.slots import Array


class LARS(Optimizer):
    """v ← momentum v + lr r g, w ← w - v, where r = trust_coefficient |w| / |g|.

    |·| is the norm of the whole parameter. A step changes it by the part lr trust_coefficient of
    its size, however long its gradient is, which keeps large batches with large rates stable. r
    counts as 1 where |w| or |g| is 0, and for parameters of fewer than two axes: biases and scales
    begin at 0 or 1, and that is no measure of how far they may go.

    Parameters
    ----------
    learning_rate : float or schedule, default 1.0
        Of biases and scales it is the rate of plain momentum.
    momentum : float or schedule, default 0.9
        From 0 to 1.
    trust_coefficient : float or schedule, default 0.001
        Which part of its size a parameter moves by in a step of learning rate 1.
    **kwargs
        Those of `Optimizer`: weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema,
        ema_momentum, ema_overwrite_frequency, gradient_accumulation_steps, name.

    Notes
    -----
    You, Gitman and Ginsburg, "Large batch training of convolutional networks", 2017, algorithm 1.
    There weight decay is β w, a part of g, and r = trust_coefficient |w| / (|g| + β |w|). Here it
    is decoupled, as in all optimizers; a `kernel_regularizer` of ``L2(β / 2)`` adds β w to g, and
    then r has |g + β w|, which is at most |g| + β |w|.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.array([[3.0, 4.0]])
    >>> LARS(trust_coefficient=0.1).apply([np.array([[0.0, 100.0]])], [w])
    >>> w  # a tenth of |w| = 5
    array([[3. , 3.5]])
    """

    by_parameter = True

    learning_rate: Any = argument(default=1.0)
    momentum: Any = Hyperparameter("[0, 1]", default=0.9)
    trust_coefficient: Any = Hyperparameter("(0, inf)", default=0.001)
    _: KW_ONLY

    def slots(self) -> list[tuple[str, ...]]:
        return [("momentum",)]

    def update(self, w: Array, g: Array, lr: float, *work: Array) -> None:
        v, step = work
        if w.ndim > 1:
            size, length = norm(w), norm(g)
            if size and length:
                lr *= self.trust_coefficient * size / length
        np.multiply(g, lr, out=step)
        v *= self.momentum
        v += step
        w -= v
