"""φ'(0) by central differences, extrapolated to h = 0, with a bound on the error.

    D(h) = (φ(h) - φ(-h)) / 2h = φ'(0) + a h² + b h⁴ + …

Each further step is a quarter of the one before, so that a column of Romberg's table removes one
more power of h²:

    R[0] = D(h)      R[j] = R[j-1] + (R[j-1] - R'[j-1]) / (16ʲ - 1)      R' of the step before

Two things keep R from φ'(0), and each is bounded: what is left of the series, by how far the last
entry moves from one step to the next; the rounding of φ, by its measured noise σ:

    bound = 4 |R - R'| + 8 σ / h + allowance

where the allowance is what rounding does to the backward pass. Steps go on until the remainder is
below the rounding, or until smaller steps make it worse.

One thing shortens this. A slope that agrees with the backward pass to within rounding alone, of
some eleven digits, does not do so by accident, so a check ends at the first agreement: after one
evaluation, (φ(h) - φ(0)) / h, where φ is straight, as it is along any parameter of a linear layer.
A disagreement never ends it early.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

LARGEST, SMALLEST = 2.0**-6, 2.0**-28
NEAR = 2.0**-10  # below, a jump of the slopes that stays is a kink at the point
SAFETY = 8  # deviations of the noise
PRECISION = 1e-5  # a bound above this share of the gradient's size decides nothing
FAR = 1 / 16  # of a slope: what a first step is off by where it is too long
ZERO = 1e-9  # a gradient below this share of the function's size is zero


@dataclass(frozen=True)
class Slope:
    """What differences say about φ'(0), and how well they know.

    Attributes
    ----------
    value : float
    bound : float
        The largest difference from the backward pass that the errors of both explain.
    step : float
        The last h.
    settled : bool
        Whether the series converged, so that a disagreement is the backward pass' fault.
    cause : str
        What the bound mostly consists of: "rounding", "curvature", "a kink", "nan".
    jump : float
        By how much the slopes on the two sides differ.
    agreed : bool
        Whether it is the backward pass' slope, to within rounding.
    """

    value: float
    bound: float
    step: float
    settled: bool
    cause: str
    jump: float
    agreed: bool

    @property
    def why(self) -> str:
        """The cause of a bound that is too large, in words."""
        if self.cause == "a kink":
            return f"a kink: the slopes on its two sides differ by {self.jump:.2g}"
        if self.cause == "curvature":
            return "curvature: the slope changes too much with the step"
        if self.cause == "nan":
            return "steps that leave the function's domain"
        return self.cause


@dataclass(frozen=True)
class Expected:
    """What a slope is compared with.

    Attributes
    ----------
    slope : float
        <gradient, u> by the backward pass.
    size : float
        Σ |gradient · u|.
    terms : float
        Size of the terms that φ sums up.
    allowance : float
        What rounding explains in `slope`.
    noise : float
        Deviation of φ.
    """

    slope: float
    size: float
    terms: float
    allowance: float
    noise: float

    def decisive(self, bound: float) -> bool:
        """Whether a bound is small enough to tell right from wrong."""
        zero = self.size <= bound <= ZERO * self.terms
        return bool(zero or bound <= PRECISION * self.size)


def extrapolated(d: float, before: list[float]) -> list[float]:
    """The next row of Romberg's table, for steps that shrink by 4."""
    row = [d]
    for j, r in enumerate(before[:5], start=1):
        row.append(row[-1] + (row[-1] - r) / (16.0**j - 1))
    return row


def slope(
    phi: Callable[[float], float], base: float, expected: Expected, start: float = LARGEST
) -> Slope:
    """φ'(0) with its bound; compare the module's docstring.

    Parameters
    ----------
    phi : function of h
    base : float
        φ(0).
    expected : Expected
        Where the backward pass' slope is met to within rounding, no more is spent.
    start : float
        The first h.
    """
    row: list[float] = []
    seconds: list[float] = []  # S(h) = (φ(h) - 2 φ(0) + φ(-h)) / h, the jump of the slopes at h = 0
    best = Slope(np.nan, np.inf, start, False, "nan", 0.0, False)
    h, calm, left, jumped = start, 0, np.inf, np.inf

    while h >= SMALLEST:
        rounding = SAFETY * expected.noise / h
        up = phi(h)
        if np.isfinite(up):
            one_sided = (up - base) / h
            near = 2 * rounding + expected.allowance
            if abs(one_sided - expected.slope) <= near and expected.decisive(near):
                return Slope(one_sided, near, h, True, "rounding", 0.0, True)
            far = FAR * max(abs(one_sided), abs(expected.slope))
            if h == LARGEST and abs(one_sided - expected.slope) > far:
                h /= 16
                continue
        down = phi(-h)
        if not (np.isfinite(up) and np.isfinite(down)):  # a step out of the function's domain
            row, seconds, h = [], [], h / 4
            continue
        before, row = row, extrapolated((up - down) / (2 * h), row)
        seconds.append((up - base - (base - down)) / h)
        near = rounding + expected.allowance
        if abs(row[-1] - expected.slope) <= near and expected.decisive(near):
            return Slope(row[-1], near, h, True, "rounding", 0.0, True)
        if before:
            # either may be small by accident, both are not
            moved = abs(row[-1] - before[-1])
            remainder, left = max(moved, left / 64 if np.isfinite(left) else 0.0), moved
            jump = abs(4 * seconds[-1] - seconds[-2]) / 3
            error = remainder + rounding + jump
            calm = calm + 1 if remainder + jump <= 4 * rounding else 0
            if error < best.bound or calm >= 2:
                cause = max((jump, "a kink"), (remainder, "curvature"), (rounding, "rounding"))[1]
                best = Slope(row[-1], error, h, calm >= 1, cause, jump, False)
            kinked = jump > 100 * rounding and abs(jump - jumped) <= 1e-2 * jump
            jumped = jump
            if calm >= 2 or rounding > best.bound or (kinked and h < NEAR):
                break
        h /= 4
    bound = 4 * best.bound + SAFETY * expected.noise / best.step + expected.allowance
    return Slope(best.value, bound, best.step, best.settled, best.cause, best.jump, False)
