"""Steps divided by the root of accumulated squared gradients: RMSprop, Adagrad, Adadelta."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any

from backprop.arguments import argument
from backprop.checks import NumberFromZero
from backprop.kernels import updates
from backprop.kernels.updates import NOTHING, Around
from backprop.optimizers.hyperparameters import Flag, Hyperparameter, scheduled
from backprop.optimizers.optimizer import Optimizer
from backprop.optimizers.slots import Array


class RMSprop(Optimizer):
    """w ← w - lr * g / sqrt(v + epsilon), v ← rho v + (1 - rho) g².

    With `centered`, v is a variance: a ← rho a + (1 - rho) g, and v - a² takes the place of v. With
    `momentum`, the steps d = lr * g / sqrt(...) are added up: b ← momentum * b + d, w ← w - b.

    Parameters
    ----------
    learning_rate : float or schedule, default 0.001
    rho : float or schedule, default 0.9
        From 0 to 1.
    momentum : float or schedule, default 0.0
        From 0 to 1.
    epsilon : float or schedule, default 1e-7
        As in Keras, under the root.
    centered : bool, default False
    **kwargs
        Those of `Optimizer`: weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema,
        ema_momentum, ema_overwrite_frequency, gradient_accumulation_steps, name.

    Notes
    -----
    Tieleman and Hinton, "Lecture 6.5: rmsprop", Coursera, 2012; Graves, "Generating sequences with
    recurrent neural networks", 2013, eqs. 38 to 41, for the centered one.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.array([1.0, 1.0])
    >>> RMSprop(learning_rate=0.1, rho=0.75).apply([np.array([2.0, -4.0])], [w])
    >>> w.round(4)
    array([0.8, 1.2])
    """

    learning_rate: Any = argument(default=0.001)
    rho: Any = Hyperparameter("[0, 1]", default=0.9)
    momentum: Any = Hyperparameter("[0, 1]", default=0.0)
    epsilon: Any = Hyperparameter("[0, inf)", default=1e-7)
    centered: Any = Flag(default=False)
    _: KW_ONLY

    _centered = False

    squares = ("velocity",)

    def slots(self) -> list[tuple[str, ...]]:
        b = [("momentum",)] if scheduled(self, "momentum") or self.momentum else []
        return [("velocity",), *b, *([("average_gradient",)] if self.centered else [])]

    def update(self, w: Array, g: Array, lr: float, *work: Array, around: Around = NOTHING) -> None:
        v, *more, t = work
        a = more.pop() if self._centered else None
        b = more.pop() if more else None
        updates.rmsprop(w, g, v, b, a, t, self.rho, self.momentum, self.epsilon, lr, *around)


class Adagrad(Optimizer):
    """w ← w - lr * g / sqrt(a + epsilon), a ← a + g².

    Parameters
    ----------
    learning_rate : float or schedule, default 0.001
    initial_accumulator_value : float, default 0.1
        What a starts from; not negative.
    epsilon : float or schedule, default 1e-7
        As in Keras, under the root.
    **kwargs
        Those of `Optimizer`.

    Notes
    -----
    Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning and stochastic
    optimization", 2011, with a diagonal matrix.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.array([1.0, 1.0])
    >>> optimizer = Adagrad(learning_rate=0.1, initial_accumulator_value=0.0)
    >>> optimizer.apply([np.array([2.0, -4.0])], [w])
    >>> w.round(4)
    array([0.9, 1.1])
    """

    learning_rate: Any = argument(default=0.001)
    initial_accumulator_value: NumberFromZero = 0.1
    epsilon: Any = Hyperparameter("[0, inf)", default=1e-7)
    _: KW_ONLY

    squares = ("accumulator",)

    def slots(self) -> list[tuple[str, ...]]:
        return [("accumulator",)]

    def initial(self, slot: str) -> float:
        return self.initial_accumulator_value if slot == "accumulator" else 0.0

    def update(self, w: Array, g: Array, lr: float, *work: Array, around: Around = NOTHING) -> None:
        a, t = work
        updates.adagrad(w, g, a, t, self.epsilon, lr, *around)


class Adadelta(Optimizer):
    """w ← w - lr * d, d = g sqrt((s + epsilon) / (v + epsilon)): steps in the units of w.

        v ← rho v + (1 - rho) g²        s ← rho s + (1 - rho) d²

    s enters d as it was before the step.

    Parameters
    ----------
    learning_rate : float or schedule, default 0.001
        1 in the paper; the default is Keras'.
    rho : float or schedule, default 0.95
        From 0 to 1.
    epsilon : float or schedule, default 1e-7
    **kwargs
        Those of `Optimizer`.

    Notes
    -----
    Zeiler, "ADADELTA: an adaptive learning rate method", 2012, algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.array([1.0, 1.0])
    >>> Adadelta(learning_rate=1.0, epsilon=0.01).apply([np.array([2.0, -4.0])], [w])
    >>> w.round(3)
    array([0.564, 1.444])
    """

    learning_rate: Any = argument(default=0.001)
    rho: Any = Hyperparameter("[0, 1]", default=0.95)
    epsilon: Any = Hyperparameter("[0, inf)", default=1e-7)
    _: KW_ONLY

    scratch = 2

    squares = ("accumulated_grad", "accumulated_delta_var")

    def slots(self) -> list[tuple[str, ...]]:
        return [("accumulated_grad", "accumulated_delta_var")]

    def update(self, w: Array, g: Array, lr: float, *work: Array, around: Around = NOTHING) -> None:
        v, s, d, t = work
        updates.adadelta(w, g, v, s, d, t, self.rho, self.epsilon, lr, *around)
