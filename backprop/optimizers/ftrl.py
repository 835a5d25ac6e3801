"""Follow the regularized leader: weights that are exactly zero until they are needed."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any

from backprop.arguments import argument
from backprop.checks import NumberFromZero
from backprop.kernels import updates
from backprop.kernels.updates import NOTHING, Around
from backprop.optimizers.hyperparameters import Hyperparameter
from backprop.optimizers.optimizer import Optimizer
from backprop.optimizers.slots import Array


class Ftrl(Optimizer):
    """w ← (clip(z, -l1, l1) - z) / (n^p / lr + 2 l2 + beta / lr): zero while |z| is at most l1.

        n' = n + g²        z ← z + g + 2 shrinkage w - (n'^p - n^p) / lr * w        n ← n'

    w minimizes the sum of all linear approximations of the loss so far, z w, and of a parabola that
    gets steeper as gradients add up. p is -learning_rate_power, a half as a rule.

    Parameters
    ----------
    learning_rate : float or schedule, default 0.001
        At 0 nothing is changed.
    learning_rate_power : float or schedule, default -0.5
        Not positive; 0 keeps the learning rate as it is.
    initial_accumulator_value : float, default 0.1
        What n starts from; not negative.
    l1_regularization_strength, l2_regularization_strength : float or schedule, default 0.0
        Not negative.
    l2_shrinkage_regularization_strength : float or schedule, default 0.0
        A penalty on w as it is, as by a regularizer, where l2 holds back the steps.
    beta : float or schedule, default 0.0
        The paper's, added to n^p.
    **kwargs
        Those of `Optimizer`: weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema,
        ema_momentum, ema_overwrite_frequency, gradient_accumulation_steps, name.

    Notes
    -----
    McMahan et al., "Ad click prediction: a view from the trenches", 2013, algorithm 1. A weight
    whose denominator is 0 stays where it is; in Keras it becomes NaN.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.array([0.0, 0.0])
    >>> optimizer = Ftrl(1.0, initial_accumulator_value=0.0, l1_regularization_strength=1.0)
    >>> optimizer.apply([np.array([0.5, -4.0])], [w])
    >>> w
    array([0.  , 0.75])
    """

    learning_rate: Any = argument(default=0.001)
    learning_rate_power: Any = Hyperparameter("(-inf, 0]", default=-0.5)
    initial_accumulator_value: NumberFromZero = 0.1
    l1_regularization_strength: Any = Hyperparameter("[0, inf)", default=0.0)
    l2_regularization_strength: Any = Hyperparameter("[0, inf)", default=0.0)
    l2_shrinkage_regularization_strength: Any = Hyperparameter("[0, inf)", default=0.0)
    beta: Any = Hyperparameter("(-inf, inf)", default=0.0)
    _: KW_ONLY

    scratch = 2

    squares = ("accumulator",)

    def slots(self) -> list[tuple[str, ...]]:
        return [("accumulator", "linear")]

    def initial(self, slot: str) -> float:
        return self.initial_accumulator_value if slot == "accumulator" else 0.0

    def update(self, w: Array, g: Array, lr: float, *work: Array, around: Around = NOTHING) -> None:
        n, z, s, t = work
        if not lr:  # as it falls to 0 the parabola holds every weight
            return updates.after(w, t, *around[3:])
        p, l1 = -self.learning_rate_power, self.l1_regularization_strength
        shrinkage = 2 * self.l2_shrinkage_regularization_strength
        steep = 2 * self.l2_regularization_strength + self.beta / lr
        updates.ftrl(w, g, n, z, s, t, p, l1, shrinkage, steep, lr, *around)
