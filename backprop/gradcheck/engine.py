"""Is a backward pass the derivative of its forward pass? Differences along random directions, with their own error.

For one input or parameter θ and a random direction u, φ(h) = L(θ + h u) has the slope φ'(0) = <dL/dθ, u>. Central differences

    D(h) = (φ(h) - φ(-h)) / 2h = φ'(0) + a h² + b h⁴ + …

at h and h/4 are extrapolated (Richardson), which removes the h² term: R(h) = D(h/4) + (D(h/4) - D(h)) / 15. How far R moves from
one step to the next bounds what is left of the series; the rounding of L bounds the rest. The step at which
the sum of the two is least is believed, and the verdict compares the difference with that sum.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from backprop.gradcheck.report import Entry, Report
from backprop.layer import Array, Context
from backprop.parameters import Parameter

EPS = np.finfo(np.float64).eps
STEPS = tuple(2.0**-k for k in range(6, 27, 2))


def gradcheck(
    subject: Any, x: Any, y: Any = None, *, seed: int = 0, training: bool = True
) -> Report:
    """Certify every gradient of a layer, a container, or a compiled model.

    The check runs on a copy in float64: the subject is not touched. A layer is checked on L = <v, f(x)> with random v, a compiled
    model on its loss for (x, y), penalties included. Draws of dropout are the same in every evaluation.

    Parameters
    ----------
    subject : Layer or Sequential
        A layer that is not built is built for `x`.
    x : array
        An input, with the batch axis.
    y : array, optional
        Targets, for the loss of a compiled model.
    seed : int, default 0
        Of the directions and of v.
    training : bool, default True
        Whether dropout drops and batch normalization takes the batch's statistics.

    Returns
    -------
    Report
        True in a condition if every gradient passed; printing it shows the table.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.gradcheck import gradcheck
    >>> from backprop.layers import Dense
    >>> bool(gradcheck(Dense(3, "tanh"), np.linspace(-1, 1, 8).reshape(2, 4)))
    True
    """
    rng = np.random.default_rng(seed)
    probe = Probe(subject, x, y, rng, training)
    dx = probe.backward()
    entries = []
    for p in probe.parameters:
        entries.append(examine(p.path, p.gradient.copy(), probe.moving(p), rng))  # type: ignore[union-attr]
    if dx is not None:
        entries.append(examine("x", dx, probe.moving_x(), rng))
    skipped = [] if dx is not None else ["x: integers have no gradient"]
    return Report(repr(subject), entries, skipped, probe.evaluations)


class Probe:
    """A subject in float64 as a function L of its input and its parameters."""

    def __init__(self, subject: Any, x: Any, y: Any, rng: np.random.Generator, training: bool):
        layer: Any = copy.deepcopy(subject)
        x = np.asarray(x)
        if layer.built:
            layer = layer.astype(np.float64)
        else:
            layer.dtype = np.dtype(np.float64)
            layer.build((None, *x.shape[1:]))
        self.layer: Any = layer
        self.x = x if layer.integer_input else x.astype(np.float64)
        self.training = training
        self.loss = (
            getattr(getattr(layer, "trainer", None), "loss", None) if y is not None else None
        )
        if y is not None and self.loss is None:
            raise ValueError(f"{subject!r} has no loss for y: compile it, or check it on x alone")
        self.y = y
        self.parameters: list[Parameter] = [p for p in layer.arrays() if p.gradient is not None]
        self.buffers = [(p, p.value.copy()) for p in layer.arrays() if p.gradient is None]
        self.generators = [
            (part, copy.deepcopy(part.rng.bit_generator.state)) for part in layer.walk()
        ]
        self.evaluations = 0
        shape = self._forward(self.x)[0].shape
        self.v = rng.standard_normal(shape)

    def _forward(self, x: Array):
        for p, value in self.buffers:
            p.value[...] = value
        for part, state in self.generators:
            part.rng.bit_generator.state = state
        self.evaluations += 1
        penalties: list = []
        y_pred, cache, mask = self.layer.propagate(x, Context(self.training, penalties=penalties))
        return y_pred, cache, mask, sum(penalties)

    def value(self, x: Array) -> tuple[float, float]:
        """L, and the size of the terms that were summed up to it, which bounds its rounding."""
        y_pred, _, mask, penalty = self._forward(x)
        if self.loss is None:
            terms = self.v * y_pred
            return float(terms.sum()) + penalty, float(np.abs(terms).sum()) + abs(penalty)
        value = (
            float(self.loss.forward(self.y, y_pred, None, mask)[0])
            + penalty
            + sum(self.layer.losses)
        )
        return value, abs(value)

    def backward(self) -> Array | None:
        """Set every gradient of the copy; dL/dx, or None for integers."""
        y_pred, cache, mask, _ = self._forward(self.x)
        if self.loss is None:
            dx = self.layer.backward(self.v, cache)
        else:
            dx = self.layer.backward(
                self.loss.backward(self.loss.forward(self.y, y_pred, None, mask)[1]), cache
            )
            for p in self.parameters:
                if p.regularizer is not None:
                    p.gradient += p.regularizer.gradient(p.value)  # type: ignore[operator]
        return None if self.layer.integer_input else dx

    def moving(self, p: Parameter) -> Callable:
        def phi(h: float, u: Array) -> tuple[float, float]:
            before = p.value.copy()
            p.value[...] += h * u
            try:
                return self.value(self.x)
            finally:
                p.value[...] = before

        return phi

    def moving_x(self) -> Callable:
        return lambda h, u: self.value(self.x + h * u)


def examine(name: str, gradient: Array, phi: Callable, rng: np.random.Generator) -> Entry:
    """Compare <gradient, u> with the slope of phi along one random direction: no entry of u is small."""
    u = rng.choice([-1.0, 1.0], gradient.shape) * rng.uniform(0.5, 1.5, gradient.shape)
    slope, error, passes = extrapolate(lambda h: phi(h, u))
    analytic = float((gradient * u).sum())
    size = float(np.abs(gradient * u).sum())
    bound = 4 * error + 1e3 * EPS * size
    return Entry(name, gradient.shape, analytic, slope, bound, size, passes)


def extrapolate(phi: Callable[[float], tuple[float, float]]) -> tuple[float, float, int]:
    """The slope of phi at 0, a bound on its error, and the number of evaluations."""
    best, best_error, passes = 0.0, np.inf, 0
    before: float | None = None  # D of the step before, and R of the step before
    before_r: float | None = None
    for h in STEPS:
        (up, size), (down, _) = phi(h), phi(-h)
        passes += 2
        d = (up - down) / (2 * h)
        rounding = 8 * EPS * max(size, abs(up), abs(down)) / h
        if before is not None:
            r = d + (d - before) / 15
            if before_r is not None:
                error = abs(r - before_r) + rounding
                if error < best_error:
                    best, best_error = r, error
                elif error > 100 * best_error or rounding > best_error:
                    break  # rounding has taken over: smaller steps only make it worse
            before_r = r
        before = d
    return best, best_error, passes
