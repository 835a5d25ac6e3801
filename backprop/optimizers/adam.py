"""Steps along a mean gradient, scaled by how large gradients usually are: Adam and its kin.

    m ← beta_1 m + (1 - beta_1) g        v ← beta_2 v + (1 - beta_2) g²
    w ← w - lr * m / (1 - beta_1^t) / (sqrt(v / (1 - beta_2^t)) + epsilon)

with t = 1, 2, 3 ... Both means start at zero, and the divisions by 1 - beta^t correct for that.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from backprop.arguments import argument
from backprop.kernels import updates
from backprop.kernels.updates import NOTHING, Around
from backprop.optimizers.hyperparameters import Flag, Hyperparameter
from backprop.optimizers.optimizer import Optimizer
from backprop.optimizers.shown import Remembered, number
from backprop.optimizers.slots import Array, Numbers


class Moments(Optimizer):
    """What Adam and its kin share: a mean m of gradients, by beta_1, and one of their squares v, by
    beta_2, whose root, and epsilon, divides the step."""

    learning_rate: Any = argument(default=0.001)
    beta_1: Any = Hyperparameter("[0, 1)", default=0.9)
    beta_2: Any = Hyperparameter("[0, 1)", default=0.999)
    epsilon: Any = Hyperparameter("[0, inf)", default=1e-7)
    _: KW_ONLY

    squares = ("velocity", "velocity_hat", "norm")

    def slots(self) -> list[tuple[str, ...]]:
        return [("momentum", "velocity")]


class Adam(Moments):
    """w ← w - a m / (sqrt(v) + epsilon), a = lr sqrt(1 - beta_2^t) / (1 - beta_1^t).

        m ← beta_1 m + (1 - beta_1) g        v ← beta_2 v + (1 - beta_2) g²

    The slots hold sums instead of means, because a sum needs no multiplication of g:

        M = m / (1 - beta_1) ← beta_1 M + g        V = v / (1 - beta_2) ← beta_2 V + g²

    and the two factors, being numbers, go into a and epsilon: ten passes over memory, not twelve.
    With `amsgrad`, the largest v so far takes the place of v.

    Parameters
    ----------
    learning_rate : float or schedule, default 0.001
    beta_1, beta_2 : float or schedule, default 0.9 and 0.999
        From 0 to less than 1.
    epsilon : float or schedule, default 1e-7
        As in Keras, added to the root before v is corrected: "epsilon hat" of the paper.
    amsgrad : bool, default False
    **kwargs
        Those of `Optimizer`: weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema,
        ema_momentum, ema_overwrite_frequency, gradient_accumulation_steps, name.

    Notes
    -----
    Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1 in the form
    of the end of section 2. Reddi, Kale and Kumar, "On the convergence of Adam and beyond", 2018,
    for amsgrad.

    Examples
    --------
    >>> w = np.array([1.0, 1.0])
    >>> Adam(learning_rate=0.1).apply([np.array([0.001, -1000.0])], [w])
    >>> w.round(3)
    array([0.9, 1.1])
    """

    amsgrad: Any = Flag(default=False, after="epsilon")

    scalars = ("unit_1", "unit_2")  # 1 - beta_1 and 1 - beta_2 at the last step: what M, V count in

    def __post_init__(self):
        self.unit_1 = 1 - self.beta_1
        self.unit_2 = 1 - self.beta_2
        self._numbers = Numbers(4)

    def slots(self) -> list[tuple[str, ...]]:
        return [*super().slots(), *([("velocity_hat",)] if self.amsgrad else [])]

    def unit(self, slot: str) -> float:
        units = {"momentum": self.unit_1, "velocity": self.unit_2, "velocity_hat": self.unit_2}
        return units.get(slot, 1.0)

    def begin(self, lr: float) -> None:
        b1, b2, t = self.beta_1, self.beta_2, self.updates + 1
        if 1 - b1 != self.unit_1 or 1 - b2 != self.unit_2:
            self.count_in(unit_1=1 - b1, unit_2=1 - b2)
        root = math.sqrt(1 - b2)
        rate = lr * (1 - b1) / root * math.sqrt(1 - b2**t) / (1 - b1**t)
        self._numbers.set(b1, b2, self.epsilon / root, rate)

    def update(self, w: Array, g: Array, lr: float, *work: Array, around: Around = NOTHING) -> None:
        m, v, *hat, t = work
        b1, b2, shift, rate = self._numbers.of(w.dtype)
        updates.adam(w, g, m, v, hat[0] if hat else None, t, b1, b2, shift, rate, *around)


class NeededDecay(Hyperparameter):
    """A weight decay that cannot be left out."""

    def checked(self, value: Any, who: str) -> Any:
        if value is None:
            raise ValueError(f"{who} expects a {self.name}, got None; use Adam for none")
        return super().checked(value, who)


class AdamW(Adam):
    """Adam with decoupled weight decay: w ← w - lr * weight_decay * w, then Adam's step.

    Parameters
    ----------
    weight_decay : float or schedule, default 0.004
    learning_rate, beta_1, beta_2, epsilon, amsgrad, **kwargs : as in `Adam`

    Notes
    -----
    Loshchilov and Hutter, "Decoupled weight decay regularization", 2019, algorithm 2, with the
    decay multiplied by the learning rate.

    Examples
    --------
    >>> AdamW(weight_decay=0.01)
    AdamW(weight_decay=0.01)
    """

    learning_rate: Any = argument(default=0.001)
    weight_decay: Any = NeededDecay("[0, inf)", default=0.004)


class Adamax(Moments):
    """w ← w - lr / (1 - beta_1^t) * m / (u + epsilon): Adam with the norm of infinite order.

        m ← beta_1 m + (1 - beta_1) g        u ← max(beta_2 u, |g|)

    Parameters
    ----------
    learning_rate, beta_1, beta_2, epsilon, **kwargs
        As in `Adam`; the paper has no `epsilon`, Keras has.

    Notes
    -----
    Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 2.

    Examples
    --------
    >>> w = np.array([1.0, 1.0])
    >>> Adamax(learning_rate=0.1).apply([np.array([2.0, -2.0])], [w])
    >>> w.round(4)
    array([0.9, 1.1])
    """

    def slots(self) -> list[tuple[str, ...]]:
        return [("momentum", "norm")]

    def update(self, w: Array, g: Array, lr: float, *work: Array, around: Around = NOTHING) -> None:
        m, u, t = work
        b1 = self.beta_1
        rate = lr / (1 - b1 ** (self.updates + 1))
        updates.adamax(w, g, m, u, t, b1, self.beta_2, self.epsilon, rate, *around)


class Nadam(Moments):
    """w ← w - lr * m̂ / (sqrt(v̂) + epsilon): Adam with Nesterov's momentum.

        m ← beta_1 m + (1 - beta_1) g        v ← beta_2 v + (1 - beta_2) g²
        µ_t = beta_1 (1 - 0.96^t / 2)        P_t = µ_1 µ_2 ... µ_t
        m̂ = µ_{t+1} m / (1 - P_{t+1}) + (1 - µ_t) g / (1 - P_t)        v̂ = v / (1 - beta_2^t)

    Parameters
    ----------
    learning_rate, beta_1, beta_2, epsilon, **kwargs : as in `Adam`

    Notes
    -----
    Dozat, "Incorporating Nesterov momentum into Adam", 2016, algorithm 2, with the warming momentum
    µ of Sutskever et al. As in Keras, µ's exponent is t itself.

    Examples
    --------
    >>> w = np.array([1.0, 1.0])
    >>> Nadam(learning_rate=0.1).apply([np.array([2.0, -2.0])], [w])
    >>> w.round(2)
    array([0.89, 1.11])
    """

    scratch = 2
    scalars = ("u_product",)  # P_t

    def __post_init__(self):
        self.u_product = 1.0

    def begin(self, lr: float) -> None:
        b1, t = self.beta_1, self.updates + 1
        mu, mu_next = (b1 * (1 - 0.5 * 0.96**k) for k in (t, t + 1))
        self.u_product *= mu
        self._of_g = (1 - mu) / (1 - self.u_product)
        self._of_m = mu_next / (1 - self.u_product * mu_next)
        self._root = math.sqrt(1 - self.beta_2**t)

    def update(self, w: Array, g: Array, lr: float, *work: Array, around: Around = NOTHING) -> None:
        m, v, s, t = work
        of_g, of_m, root = self._of_g, self._of_m, self._root
        # the root of v̂ and epsilon, both times sqrt(1 - beta_2^t)
        shift, rate = self.epsilon * root, lr * of_g * root
        b1, b2 = self.beta_1, self.beta_2
        updates.nadam(w, g, m, v, s, t, b1, b2, shift, of_m / of_g, rate, *around)

    def _remembered(self) -> list[Remembered]:
        # Keras keeps P_t behind its other variables
        product = [("product", *number(self, "u_product", np.float64))]
        return super()._remembered() + (product if self.built else [])
