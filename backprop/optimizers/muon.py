"""Momentum made orthogonal, for matrices; Adam for everything else."""

from __future__ import annotations

import math
import re
from dataclasses import KW_ONLY
from typing import Annotated, Any

import numpy as np

from backprop import checks
from backprop.arguments import Convert, argument
from backprop.checks import NotNegative
from backprop.kernels.updates import follow, follow_squares
from backprop.optimizers.hyperparameters import Hyperparameter
from backprop.optimizers.optimizer import Optimizer, norm
from backprop.optimizers.slots import Array, Block, Entry


def patterns(value: Any, who: str, name: str) -> list[str]:
    """Regular expressions, none for None."""
    try:
        found = [] if value is None else checks.sequence(value, who, name)
        return [re.compile(pattern).pattern for pattern in found]
    except (TypeError, ValueError, re.error):
        raise ValueError(
            f"{who} expects {name} to be a list of regular expressions, got {value!r}"
        ) from None


Patterns = Annotated[Any, Convert(patterns, none=True)]


class Muon(Optimizer):
    """w ← w - lr rms_rate sqrt(max(n, k)) O, O ≈ U Vᵀ where momentum is U S Vᵀ; matrices only.

        w, g, m, O: (n, k)

        m ← momentum m + g        O ← orthogonal(momentum m + g), or of m without `nesterov`

    All directions in which the momentum moves a matrix are moved alike, so that none that is rarely
    seen is lost beside those of large gradients. `orthogonal` is Newton and Schulz' iteration,
    which needs no singular values: x ← a x + (b A + c A²) x with A = x xᵀ, from x / |x|, brings all
    of them near 1 in a few steps. O's elements have a mean square of 1 / max(n, k), so that with
    `rms_rate` the steps are as long as Adam's.

    Everything that is no matrix, and what is excluded, gets Adam's step with decoupled decay.

    Parameters
    ----------
    learning_rate : float or schedule, default 0.001
    adam_beta_1, adam_beta_2, epsilon : float or schedule, default 0.9, 0.999 and 1e-7
        Of Adam's steps.
    adam_weight_decay, weight_decay : float or schedule or None, default 0.004
        Of what gets Adam's steps, and of the matrices.
    exclude_layers : list of str, optional
        Regular expressions: a matrix in whose path (``"output/kernel"``) one is found gets Adam's
        steps. The last layer should be among them.
    exclude_embeddings : bool, default True
        Whether those in whose path there is "embedding" get Adam's steps.
    muon_a, muon_b, muon_c : float, default 3.4445, -4.775 and 2.0315
        Of the iteration.
    adam_lr_ratio : float or schedule, default 1
        The learning rate of Adam's steps, as a part of the other.
    momentum : float or schedule, default 0.95
        From 0 to 1.
    ns_steps : int, default 5
        Steps of the iteration.
    nesterov : bool, default True
        Whether the gradient counts once more.
    rms_rate : float or schedule or None, default 0.2
        None leaves out both it and the root beside it.
    **kwargs
        Those of `Optimizer`: clipnorm, clipvalue, global_clipnorm, use_ema, ema_momentum,
        ema_overwrite_frequency, gradient_accumulation_steps, name.

    Notes
    -----
    Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024; Liu et al.,
    "Muon is scalable for LLM training", 2025, for `rms_rate`.

    Examples
    --------
    >>> w = np.zeros((2, 2))
    >>> optimizer = Muon(learning_rate=0.1, rms_rate=None)
    >>> optimizer.apply([np.diag([1.0, 100.0])], [w])  # 100 times as steep, and no longer a step
    >>> w.round(1) + 0.0
    array([[-0.1,  0. ],
           [ 0. , -0.1]])
    """

    learning_rate: Any = argument(default=0.001)
    adam_beta_1: Any = Hyperparameter("[0, 1)", default=0.9)
    adam_beta_2: Any = Hyperparameter("[0, 1)", default=0.999)
    adam_weight_decay: Any = Hyperparameter("[0, inf)", optional=True, default=0.004)
    epsilon: Any = Hyperparameter("[0, inf)", default=1e-7)
    weight_decay: Any = Hyperparameter("[0, inf)", optional=True, default=0.004)
    _: KW_ONLY
    exclude_layers: Patterns = None
    exclude_embeddings: bool = True
    muon_a: Any = Hyperparameter(default=3.4445)
    muon_b: Any = Hyperparameter(default=-4.775)
    muon_c: Any = Hyperparameter(default=2.0315)
    adam_lr_ratio: Any = Hyperparameter("[0, inf)", default=1)
    momentum: Any = Hyperparameter("[0, 1]", default=0.95)
    ns_steps: NotNegative = 5
    nesterov: bool = True
    rms_rate: Any = Hyperparameter("[0, inf)", optional=True, default=0.2)

    by_parameter = True

    squares = ("velocity",)

    def slots(self) -> list[tuple[str, ...]]:
        return [("momentum", "velocity")]

    def slot_shape(self, slot: str, entry: Entry) -> tuple[int, ...] | None:
        return entry.shape if slot == "momentum" or self.by_adam(entry) else None

    def by_adam(self, entry: Entry) -> bool:
        """Whether a parameter gets Adam's steps."""
        return (
            len(entry.shape) != 2
            or (self.exclude_embeddings and "embedding" in entry.full_path.lower())
            or any(re.search(pattern, entry.full_path) for pattern in self.exclude_layers)
        )

    def _decay_rate(self, lr: float) -> tuple[float, float]:
        return lr * (self.weight_decay or 0.0), lr * (self.adam_weight_decay or 0.0)

    def _decay(self, block: Block, rate: Any) -> None:
        rate = rate[len(block.work) > 2]  # who has a velocity has Adam's
        if rate:
            super()._decay(block, rate)

    def update(self, w: Array, g: Array, lr: float, *work: Array) -> None:
        m, *v, t = work
        if v:
            self.adam(w, g, lr * self.adam_lr_ratio, m, v[0], t)
            return
        momentum, rate = self.momentum, self.rms_rate
        m *= momentum
        m += g
        direction = m
        if self.nesterov:
            direction = np.multiply(m, momentum, out=t)
            t += g
        step = self.orthogonal(direction)
        step *= lr if rate is None else lr * rate * math.sqrt(max(w.shape))
        w -= step

    def adam(self, w: Array, g: Array, lr: float, m: Array, v: Array, t: Array) -> None:
        b1, b2, k = self.adam_beta_1, self.adam_beta_2, self.updates + 1
        follow(m, g, b1, t)
        follow_squares(v, g, b2, t)
        np.sqrt(v, out=t)
        t += self.epsilon
        np.divide(m, t, out=t)
        t *= lr * math.sqrt(1 - b2**k) / (1 - b1**k)
        w -= t

    def orthogonal(self, x: Array) -> Array:
        """A matrix with the directions of x and singular values near 1."""
        a, b, c = self.muon_a, self.muon_b, self.muon_c
        tall = x.shape[0] > x.shape[1]
        x = (x.T if tall else x) / (norm(x) + 1e-7)
        for _ in range(self.ns_steps):
            A = x @ x.T
            B = A @ A.T  # A is symmetric, and so BLAS computes half of its square
            B *= c
            A *= b
            B += A
            step = B @ x
            x *= a
            x += step
        return x.T if tall else x
