"""The largest curvature of a loss, by power iteration on differences of its gradient.

With g = dL/dw the Hessian H is never made: its product with a vector is a central difference,

    H v = (g(w + ε v) - g(w - ε v)) / 2ε + O(ε²)

and v ← H v / |H v| turns v towards the eigenvector of the largest |λ|. λ = vᵀ H v is known as well
as |H v - λ v| is small: an eigenvalue of H lies no farther from λ than that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from backprop.checks import flag, integer, number
from backprop.inspection.batches import LossOfWeights
from backprop.optimizers import SGD

Array = np.ndarray

WHO = "hessian_top()"


@dataclass(frozen=True)
class Curvature:
    """The largest eigenvalue of the Hessian of a loss, and what it says of the learning rate.

    Attributes
    ----------
    eigenvalue : float
        λ, the largest curvature along any direction: the sharpness.
    error : float
        |H v - λ v|: an eigenvalue of H lies within λ ± error.
    converged : bool
        Whether the error is below `tolerance` times |λ|.
    iterations : int
        Products with H that it took.
    vector : ndarray (n,)
        v, of length 1, over all trained weights in the model's order.
    learning_rate : float or None
        The rate in use, now; None for an optimizer without one.
    largest_rate : float
        Above it gradient descent leaves a valley of this curvature: 2/λ; for `SGD` with momentum β
        2(1 + β)/λ, with Nesterov's (2 + 2β)/((1 + 2β) λ). Infinite where λ ≤ 0.
    of_optimizer : bool
        Whether that limit is the one of the optimizer in use, or that of plain SGD, since for one
        that scales the gradient, as Adam does, the curvature in its own coordinates counts.
    """

    eigenvalue: float
    error: float
    converged: bool
    iterations: int
    vector: Array
    learning_rate: float | None
    largest_rate: float
    of_optimizer: bool

    @property
    def sharpness(self) -> float:
        """Another name of the eigenvalue."""
        return self.eigenvalue

    def __repr__(self) -> str:
        found = f"λ = {self.eigenvalue:.4g} ± {self.error:.1g}"
        if not self.converged:
            found += f", not converged in {self.iterations} iterations"
        who = "the optimizer" if self.of_optimizer else "plain SGD"
        limit = f"the largest stable rate of {who} is {self.largest_rate:.4g}"
        if self.learning_rate is None:
            return f"{found}; {limit}"
        return f"{found}; {limit}, the rate in use {self.learning_rate:.4g}"


def hessian_top(
    model: Any,
    x: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    iterations: int = 100,
    tolerance: float = 1e-3,
    training: bool = False,
    seed: int = 0,
) -> Curvature:
    """The largest curvature of the loss of a batch; see `model.hessian_top`."""
    iterations = integer(iterations, WHO, "iterations")
    tolerance = number(tolerance, WHO, "tolerance", least=0, above=True)
    seed = integer(seed, WHO, "seed", 0)
    loss = LossOfWeights(model, x, y, sample_weight, WHO, flag(training, WHO, "training"))
    w = loss.start
    step = np.finfo(np.float64).eps ** (1 / 3) * max(1.0, float(np.linalg.norm(w)))

    def product(v: Array) -> Array:
        return (loss.gradient(w + step * v) - loss.gradient(w - step * v)) / (2 * step)

    rng = np.random.default_rng(seed)
    start = rng.normal(size=w.size)
    found = power_iteration(product, start, iterations, tolerance)
    used = found[3]
    if found[0] < 0:  # a slope that bends down more than any bends up: look above it
        shift = -found[0]
        top = power_iteration(lambda v: product(v) + shift * v, start, iterations, tolerance, shift)
        found = top[0] - shift, *top[1:]
        used += top[3]
    value, error, vector, _ = found
    return Curvature(
        eigenvalue=value,
        error=error,
        converged=error <= tolerance * max(abs(value), math.sqrt(np.finfo(np.float64).eps)),
        iterations=used,
        vector=vector,
        **rates(model.trainer.optimizer, value),
    )


def power_iteration(
    product: Any, start: Array, iterations: int, tolerance: float, shift: float = 0.0
) -> tuple[float, float, Array, int]:
    """The eigenvalue of the largest size, its error, the vector, and the products that it took; the
    error is small beside the eigenvalue without the shift."""
    v = start / np.linalg.norm(start)
    value, error, used = 0.0, math.inf, 0
    while used < iterations:
        used += 1
        h = product(v)
        value = float(v @ h)
        error = float(np.linalg.norm(h - value * v))
        size = float(np.linalg.norm(h))
        if not math.isfinite(size):
            raise ValueError(
                f"{WHO}: the gradient is not finite beside the weights; look at "
                "model.gradients(x, y)"
            )
        if error <= tolerance * abs(value - shift) or size == 0:
            break
        v = h / size
    return value, error, v, used


def rates(optimizer: Any, curvature: float) -> dict[str, Any]:
    """The rate in use, and the largest that is stable."""
    rate = getattr(optimizer, "learning_rate", None)
    plain = type(optimizer) is SGD
    factor, decay = 2.0, 0.0
    if plain:
        beta = float(optimizer.momentum)
        factor = 2 + 2 * beta
        if optimizer.nesterov:
            factor /= 1 + 2 * beta
        decay = float(optimizer.weight_decay or 0.0)
    curvature += decay  # w ← w - rate · decay · w bends the loss as decay/2 |w|² does
    return {
        "learning_rate": None if rate is None else float(rate),
        "largest_rate": factor / curvature if curvature > 0 else math.inf,
        "of_optimizer": plain,
    }
