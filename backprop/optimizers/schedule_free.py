"""AdamW without a schedule: an average of all steps takes the place of a falling learning rate."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY
from typing import Any

from backprop.arguments import argument
from backprop.checks import NotNegative
from backprop.kernels import updates
from backprop.kernels.updates import NOTHING, Around
from backprop.optimizers.hyperparameters import Hyperparameter
from backprop.optimizers.optimizer import Optimizer
from backprop.optimizers.slots import Array


class ScheduleFreeAdamW(Optimizer):
    """w = (1 - beta_1) z + beta_1 x, where z takes Adam's steps and x is the mean of all z so far.

        v ← beta_2 v + (1 - beta_2) g²
        z ← z - lr g / (sqrt(v / (1 - beta_2^t)) + epsilon)
        x ← (1 - 1/t) x + z / t
        w ← (1 - beta_1) z + beta_1 x

    with t = 1, 2, 3 ... Gradients are those at w, between the two. x is not kept: it is
    (w - (1 - beta_1) z) / beta_1, so that with z and w as they were before the step

        w ← (1 - 1/t) (w - (1 - beta_1) z) + (1 - beta_1 + beta_1 / t) z_new

    Parameters
    ----------
    learning_rate : float or schedule, default 0.0025
    beta_1 : float or schedule, default 0.9
        Above 0 and less than 1: how near w is to x.
    beta_2 : float or schedule, default 0.999
        From 0 to less than 1.
    epsilon : float or schedule, default 1e-8
    warmup_steps : int, default 0
        The learning rate rises to its value over so many steps.
    **kwargs
        Those of `Optimizer`: weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema,
        ema_momentum, ema_overwrite_frequency, gradient_accumulation_steps, name.

    Notes
    -----
    Defazio et al., "The road less scheduled", 2024, equations 1 to 3 and section 4. As in Keras,
    a model is evaluated, saved and left by `fit` with the weights w; in the slot "momentum" there
    is z.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.array([1.0])
    >>> optimizer = ScheduleFreeAdamW(learning_rate=0.1)
    >>> for _ in range(2):
    ...     optimizer.apply([np.array([3.0])], [w])
    >>> w.round(4)  # z = 0.9, then 0.8, and x = 0.85
    array([0.845])
    """

    learning_rate: Any = argument(default=0.0025)
    beta_1: Any = Hyperparameter("(0, 1)", default=0.9)
    beta_2: Any = Hyperparameter("[0, 1)", default=0.999)
    epsilon: Any = Hyperparameter("[0, inf)", default=1e-8)
    warmup_steps: NotNegative = 0
    _: KW_ONLY

    copies = ("momentum",)

    squares = ("velocity",)

    def slots(self) -> list[tuple[str, ...]]:
        return [("momentum", "velocity")]

    def update(self, w: Array, g: Array, lr: float, *work: Array, around: Around = NOTHING) -> None:
        z, v, s = work
        b1, b2, t = self.beta_1, self.beta_2, self.updates + 1
        if t < self.warmup_steps:
            lr *= t / self.warmup_steps
        of_z, keep, of_new = 1 - b1, 1 - 1 / t, 1 - b1 + b1 / t
        scale = 1 / math.sqrt(1 - b2**t)
        updates.schedule_free(
            w, g, z, v, s, b2, of_z, keep, of_new, scale, self.epsilon, lr, *around
        )
