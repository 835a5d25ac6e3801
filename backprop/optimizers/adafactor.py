"""Steps scaled by gradients' squares, which are remembered by rows and columns of a matrix."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from backprop.arguments import argument
from backprop.optimizers.hyperparameters import Hyperparameter
from backprop.optimizers.optimizer import Optimizer, norm
from backprop.optimizers.slots import Array, Entry


class Adafactor(Optimizer):
    """w ← w - a u / max(1, rms u / clip_threshold), u = g / sqrt(v), a = rho max(epsilon_2, rms w).

        w, g, u, v: (..., n, k)    r: (..., n)    c: (..., k)

        r ← b r + (1 - b) mean_k(g² + epsilon_1)        c ← b c + (1 - b) mean_n(g² + epsilon_1)
        v = r cᵀ / mean(r)
        rho = min(learning_rate, 1 / sqrt(t))           b = 1 - t^beta_2_decay

    with t = 1, 2, 3 ... and rms the root of the mean square. The squares of a matrix are nearly the
    product of a column and a row, so their means are all that is needed. A vector has v itself, v ←
    b v + (1 - b) (g² + epsilon_1).

    Parameters
    ----------
    learning_rate : float or schedule, default 0.001
        Relative to the size of w, and at most 1 / sqrt(t).
    beta_2_decay : float or schedule, default -0.8
        How fast the means become long; negative.
    epsilon_1 : float or schedule, default 1e-30
        Positive: what a gradient of 0 counts as.
    epsilon_2 : float or schedule, default 1e-3
        The least size of w that steps are relative to.
    clip_threshold : float or schedule, default 1.0
        The largest rms of u.
    relative_step : bool, default True
        Keras' argument. There as here the learning rate is held below 1 / sqrt(t) either way.
    **kwargs
        Those of `Optimizer`: weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema,
        ema_momentum, ema_overwrite_frequency, gradient_accumulation_steps, name.

    Notes
    -----
    Shazeer and Stern, "Adafactor: adaptive learning rates with sublinear memory cost", 2018,
    algorithms 4 and 5. As in Keras, v is kept too, though it follows from r and c: files have it.

    Examples
    --------
    >>> w = np.ones((2, 2))
    >>> Adafactor(learning_rate=0.1).apply([np.array([[1.0, -2.0], [10.0, -20.0]])], [w])
    >>> w.round(3)
    array([[0.9, 1.1],
           [0.9, 1.1]])
    """

    learning_rate: Any = argument(default=0.001)
    beta_2_decay: Any = Hyperparameter("(-inf, 0]", default=-0.8)
    epsilon_1: Any = Hyperparameter("(0, inf)", default=1e-30)
    epsilon_2: Any = Hyperparameter("[0, inf)", default=1e-3)
    clip_threshold: Any = Hyperparameter("(0, inf)", default=1.0)
    relative_step: bool = True
    _: KW_ONLY

    by_parameter = True

    squares = ("r", "c", "velocity")

    def slots(self) -> list[tuple[str, ...]]:
        return [("r", "c", "velocity")]

    def slot_shape(self, slot: str, entry: Entry) -> tuple[int, ...]:
        shape = entry.shape
        if slot == "velocity":
            return shape
        if len(shape) < 2:
            return ()  # as in Keras, where a number stands in the place of r and c
        return shape[:-1] if slot == "r" else (*shape[:-2], shape[-1])

    def begin(self, lr: float) -> None:
        t = self.updates + 1
        self._rho = min(lr, 1 / math.sqrt(t))
        self._b = 1 - t**self.beta_2_decay

    def update(self, w: Array, g: Array, lr: float, *work: Array) -> None:
        r, c, v, u = work
        b = self._b
        np.multiply(g, g, out=u)
        u += self.epsilon_1
        if w.ndim > 1:
            for mean, axis in ((r, -1), (c, -2)):
                mean *= b
                mean += (1 - b) * u.mean(axis)
            shares = r / r.mean(-1, keepdims=True)
            np.multiply(shares[..., None], c[..., None, :], out=v)
        else:
            v *= b
            u *= 1 - b
            v += u
        np.sqrt(v, out=u)
        np.divide(g, u, out=u)
        a = self._rho * max(self.epsilon_2, rms(w))
        u *= a / max(1, rms(u) / self.clip_threshold)
        w -= u


def rms(x: Array) -> float:
    """The root of the mean square."""
    return norm(x) / math.sqrt(x.size)
