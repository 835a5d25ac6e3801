"""What activations that work number by number share, and the fast forms of their pieces.

A random mask costs a mispredicted branch in every second element, so nothing here selects: pieces
are cut out with `clip` and masks are multiplied. `benchmarks/activations.py` shows the gains.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.layer import INFERENCE, Array, Context, Layer
from backprop.linalg import rows_of, zeros
from backprop.parallel import blocks, share
from backprop.tuning import CLIPPED_NUMBERS, RECTIFIED_NUMBERS


class FromOutput(Layer):
    """y = f(x) for each number by itself, with a slope that follows from y.

        x, y: (...)

    Each y depends on its own x alone, so that the Jacobian is diagonal:

        dx = f'(x) dy

    A subclass writes `value(x)` → y and `slope(y)` → f'(x). Nothing but y is kept, and y lives on
    in the next layer's cache anyway.
    """

    time_local = True

    def value(self, x: Array, /) -> Array:
        """y, a fresh array."""
        raise TypeError(f"{type(self).__name__} has no value(self, x): write one that returns y")

    def slope(self, kept: Array, /) -> Array:
        """f'(x), from what `forward` kept; numbers or a mask."""
        raise TypeError(
            f"{type(self).__name__} has no slope(self, kept): write one that returns dy/dx"
        )

    def forward(self, x: Array, ctx: Context = INFERENCE) -> tuple[Array, Any]:
        y = self.value(x)
        return y, y

    def backward(self, dy: Array, cache: Any) -> Array:
        return dy * self.slope(cache)


class FromInput(FromOutput):
    """y = f(x) for each number by itself, with a slope that must be found from x, which is kept."""

    def forward(self, x: Array, ctx: Context = INFERENCE) -> tuple[Array, Any]:
        return self.value(x), x


class KeepsSlope(Layer):
    """y = f(x) for each number by itself, where y and f'(x) share their work: the slope is kept.

    So dx = f'(x) dy is one product, and `forward` leaves the slope out where none is asked for.
    """

    time_local = True

    def backward(self, dy: Array, cache: Any) -> Array:
        return dy * cache


def positive(x: Array, out: Array | None = None) -> Array:
    """max(x, 0), in the faster of two spellings for its size."""
    if x.size < CLIPPED_NUMBERS:
        return np.maximum(x, zeros(x.shape, x.dtype), out=out)
    return x.clip(0, np.inf, out=out)


def gated_by(y: Array, dy: Array) -> Array:
    """dy where y is above 0, and 0 elsewhere."""
    if dy.size < RECTIFIED_NUMBERS:
        dx = np.greater(y, zeros((), y.dtype)).astype(dy.dtype)
        dx *= dy
        return dx
    dx = np.empty_like(dy)

    def work(part: slice) -> None:
        for at in blocks(part, rows_of(dy, RECTIFIED_NUMBERS)):
            np.multiply(dy[at], np.greater(y[at], 0), out=dx[at])

    share(work, len(dy), rows_of(dy, RECTIFIED_NUMBERS), follow=True)
    return dx


def negative(x: Array) -> Array:
    """min(x, 0)."""
    return x.clip(-np.inf, 0)


def above(x: Array, t: float) -> Array:
    """x where it exceeds t, 0 elsewhere, where -∞ counts as t: 0 times infinity is no number."""
    y = x.clip(t, np.inf)
    y *= x > t
    return y


def bounded(x: Array) -> Array:
    """x with the largest finite numbers for infinities."""
    top = np.finfo(x.dtype).max
    return x.clip(-top, top)


def step(mask: Array, high: float, low: float, dtype: np.dtype) -> Array:
    """`high` where the mask is true, `low` elsewhere; `np.where` is slow on a random mask."""
    s = mask.astype(dtype)
    s *= high - low
    if low:
        s += low
    return s


def number(value: Any, who: str, name: str, least: float = -np.inf, above: bool = False) -> float:
    """`value` as a finite float of at least `least`, or above it."""
    good = (
        isinstance(value, int | float | np.number)
        and not isinstance(value, bool)
        and np.isfinite(value)
    )
    if not good or value < least or (above and value == least):
        bound = "" if least == -np.inf else f" {'above' if above else 'of at least'} {least:g}"
        raise ValueError(f"{who} expects {name} to be a finite number{bound}, got {value!r}")
    return float(value)
