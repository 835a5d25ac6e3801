"""Adam's steps, each as long as a part of the weights that it changes."""

from __future__ import annotations

import math

import numpy as np

from backprop.kernels.updates import follow, follow_squares
from backprop.optimizers.adam import Moments
from backprop.optimizers.optimizer import norm
from backprop.optimizers.slots import Array


class Lamb(Moments):
    """w ← w - lr |w| / |u| u, u = m̂ / (sqrt(v̂) + epsilon): |·| is the norm of the whole parameter.

        m ← beta_1 m + (1 - beta_1) g        m̂ = m / (1 - beta_1^t)
        v ← beta_2 v + (1 - beta_2) g²       v̂ = v / (1 - beta_2^t)

    with t = 1, 2, 3 ... A step changes every parameter by the same part lr of its size, which keeps
    large batches with large rates stable. |w| / |u| counts as 1 where one of the two is 0.

    Parameters
    ----------
    learning_rate : float or schedule, default 0.001
    beta_1, beta_2 : float or schedule, default 0.9 and 0.999
        From 0 to less than 1.
    epsilon : float or schedule, default 1e-7
    **kwargs
        Those of `Optimizer`: weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema,
        ema_momentum, ema_overwrite_frequency, gradient_accumulation_steps, name.

    Notes
    -----
    You et al., "Large batch optimization for deep learning: training BERT in 76 minutes", 2020,
    algorithm 2. As in Keras, weight decay is decoupled and no part of u.

    Examples
    --------
    >>> w = np.array([3.0, 4.0])
    >>> Lamb(learning_rate=0.1).apply([np.array([1.0, -100.0])], [w])
    >>> w.round(4)  # |w| = 5, |u| = sqrt(2)
    array([2.6464, 4.3536])
    """

    by_parameter = True

    def update(self, w: Array, g: Array, lr: float, *work: Array) -> None:
        m, v, u = work
        b1, b2, t = self.beta_1, self.beta_2, self.updates + 1
        follow(m, g, b1, u)
        follow_squares(v, g, b2, u)
        np.sqrt(v, out=u)
        u *= 1 / math.sqrt(1 - b2**t)
        u += self.epsilon
        np.divide(m, u, out=u)
        u *= 1 / (1 - b1**t)
        size, length = norm(w), norm(u)
        u *= lr * size / length if size and length else lr
        w -= u
