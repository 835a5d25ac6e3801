"""φ'(0) by central differences, extrapolated to h = 0, with a bound on the error.

    D(h) = (φ(h) - φ(-h)) / 2h = φ'(0) + a h² + b h⁴ + …

Each further step is a quarter of the one before, so that a column of Romberg's table removes one
more power of h²:

    R[0] = D(h)      R[j] = R[j-1] + (R[j-1] - R'[j-1]) / (16ʲ - 1)      R' of the step before

Two things keep R from φ'(0), and each is bounded: what is left of the series, by how far the last
entry moves from one step to the next; the rounding of φ, by its measured noise σ:

    bound = 4 |R - R'| + 8 σ / h + allowance

where the allowance is what rounding does to the backward pass. Steps go on until the remainder is
below the rounding, or until smaller steps make it worse. R[j] is made of the last j + 1 steps, so
where larger ones reached over a kink that R is taken which moved least.

A function may change on a scale that is much smaller than the steps, as x / max(|x|, 1e-12) does at
0, and look straight at all of them. So steps begin no larger than the scale that the backward pass
itself claims, size of φ / size of its slope; and a series that settled at another slope is looked
at again with smaller steps, as far as rounding lets the two slopes be told apart. A smaller step
that contradicts it is nearer to the truth, and the series begins anew there. Steps stay above what
the numbers themselves can hold.

One thing shortens this. A slope that agrees with the backward pass to within rounding alone, of
some eleven digits, does not do so by accident, so a check ends at the first agreement: after one
evaluation, (φ(h) - φ(0)) / h, where φ is straight, as it is along any parameter of a linear layer.
A disagreement never ends it early, and what was clearly off does not agree when rounding has grown
as large. Where larger steps were clearly off, a difference on its way to another slope may pass by
accident: then the end of the row has to agree, or the next step too.

Many numbers that are moved together hide one: an error of 1e-4 in one of 32 is 3e-6 of the slope.
So what agreed at a small step, with a bound above 1e-7 of what a single entry adds, is looked at
from a larger step too, where rounding hides less.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

LARGEST = 2.0**-6
SPAN = 2.0**-80  # from the largest to the smallest step
COARSEST, FINEST = 2.0**-26, 2.0**-36  # of the largest number moved: the least first and last step
EXACT = 2.0**-28  # of the same: above, x + h u is as good as exact for numbers of float32
SCATTERED = 1e-2  # of what the rounding of the numbers that are moved would do, if it is seen
UNSEEN = 64  # times what φ is and scatters by: what rounding a number would do if it were seen
SURE = 16  # times the bound: a disagreement that is not one of steps, if a much smaller sees it too
CLOSER = 1 / 64  # from one step to the next where a settled series is looked at again
NEAR = 2.0**-10  # below, a jump of the slopes that stays is a kink at the point
LATE = 2**12  # how much larger the bound of a series may be that does not agree early
GUESS = 8  # times the least rounding there can be: what needs no measurement
CLEARLY = 4  # times what rounding explains: a disagreement that more of it does not undo
SAFETY = 8  # deviations of the noise
FURTHER = 256  # times the step that agreed: a larger one, from which a series can settle
FINE = 1e-7  # of one entry: a bound that needs no larger step
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
    seen : float
        The least disagreement that would have been called one: a series that does not agree early
        ends at smaller steps, with a larger bound. 0 where it has ended, and `bound` is that.
    """

    value: float
    bound: float
    step: float
    settled: bool
    cause: str
    jump: float
    agreed: bool
    seen: float = 0.0

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
    spread : float
        By how much φ moves where every output moves by its own size, at random.
    scale : float
        Over which step φ changes by its own size, if `slope` is right.
    top : float
        The largest of the numbers that are moved.
    grain : float
        Deviation of φ by the rounding of these numbers, where steps are not exact.
    entry : float
        Root mean square of gradient · u: the share of a single entry.
    guess : float
        By how much rounding may be more than is said here: 1 where it was measured.
    """

    slope: float
    size: float
    terms: float
    allowance: float
    noise: float
    spread: float = np.inf
    scale: float = np.inf
    top: float = 1.0
    grain: float = 0.0
    entry: float = 0.0
    guess: float = 1.0

    def first(self, start: float) -> float:
        """The first step, where `start` would do for a function of ordinary scale."""
        claimed = power_of_2(self.scale) if self.scale < start else start
        return max(claimed, power_of_2(COARSEST * self.top))

    def smallest(self, start: float) -> float:
        """The last step of a series that begins at `start`."""
        return FINEST * self.top if self.top else SPAN * start

    def beyond(self, last: float) -> bool:
        """Whether the function may change on a scale below the last step, so that no step tells.

        Then rounding the numbers once moves φ by as much, and so it scatters.
        """
        more = self.grain > UNSEEN * max(self.noise, self.spread)  # than φ ever moves by
        scatters = self.noise > SCATTERED * min(self.grain, self.spread)
        return bool((self.scale < last or more) and scatters)

    def telling(self, off: float, start: float) -> float:
        """The smallest step at which rounding is below an eighth of `off`."""
        h = 8 * SAFETY * self.noise / off
        if h < EXACT * self.top:
            h = 8 * SAFETY * float(np.hypot(self.noise, self.grain)) / off
        return max(2 * power_of_2(h), SPAN * start)

    def rounding(self, h: float) -> float:
        """What rounding explains in a difference quotient."""
        noise = self.noise if h >= EXACT * self.top else float(np.hypot(self.noise, self.grain))
        return SAFETY * noise / h

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


def least_moved(rows: list[list[float]], left: float) -> tuple[float, float, float]:
    """What the table says, what may be left of the series, and by how much its end moved.

    The end of a row is made of all steps, its j-th column of the last j + 1. So where steps reached
    over a kink that smaller ones do not, the columns settle first.
    """
    *earlier, before, row = rows
    moved = abs(row[-1] - before[-1])
    # either of two moves may be small by accident, both are not
    found = [(max(moved, left / 64 if np.isfinite(left) else 0.0), row[-1])]
    for now, once, first in zip(row, before, earlier[-1] if earlier else [], strict=False):
        found.append((max(abs(now - once), abs(once - first) / 64), now))
    remainder, value = min(found)
    return value, remainder, moved


def power_of_2(h: float) -> float:
    """The largest that is not above h; steps that are one move most numbers exactly."""
    return float(2.0 ** np.floor(np.log2(h))) if h > 0 else 0.0


def slope(
    phi: Callable[[float], float],
    base: float,
    expected: Expected,
    start: float = LARGEST,
    closer: bool = True,
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
        The first h, for a function of ordinary scale.
    closer : bool
        Whether what settled elsewhere is looked at from nearer.
    """
    first = expected.first(start)
    last = expected.smallest(first)
    found = series(phi, base, expected, first, last)
    if expected.beyond(last):
        return replace(found, settled=found.agreed)
    if found.agreed:
        return from_further(phi, base, expected, found)
    while closer and abs(found.value - expected.slope) > found.bound:
        # at the smallest step that could tell the two slopes apart, they must be as they were
        closest = expected.telling(abs(found.value - expected.slope), first)
        if closest >= found.step:
            break
        if holds(phi, closest, found, expected):
            sure = abs(found.value - expected.slope) > SURE * found.bound
            return replace(found, settled=found.settled or sure)
        h = CLOSER * found.step
        while h > closest and holds(phi, h, found, expected):
            h *= CLOSER
        nearer = series(phi, base, expected, h, last)
        if not np.isfinite(nearer.bound):
            return replace(found, settled=False, cause="curvature")
        found = nearer
    return found


def from_further(
    phi: Callable[[float], float], base: float, expected: Expected, found: Slope
) -> Slope:
    """What agreed, as larger steps see it, where rounding would hide an error in a single entry.

    They are tried while they agree as well. What they contradict is wrong, if they have settled.
    """
    most = expected.first(LARGEST)
    while found.agreed and found.bound > FINE * expected.entry and found.step < most:
        again = series(phi, base, expected, min(most, FURTHER * found.step), found.step)
        better = again.agreed and again.step > found.step
        if not better and (again.agreed or not again.settled):
            break
        found = again
    return found


def at_large(phi: Callable[[float], float], expected: Expected) -> float:
    """What the two largest steps say, which step over stairs."""
    h = expected.first(LARGEST)
    large, small = ((phi(step) - phi(-step)) / (2 * step) for step in (h, h / 4))
    return extrapolated(small, [large])[-1]


def holds(phi: Callable[[float], float], h: float, found: Slope, expected: Expected) -> bool:
    """Whether a step h sees the slope that was found, or does with the next larger one."""
    near = found.bound + expected.rounding(h)
    d = (phi(h) - phi(-h)) / (2 * h)
    if abs(d - found.value) <= near:
        return True
    larger = (phi(4 * h) - phi(-4 * h)) / (8 * h)
    return bool(abs(extrapolated(d, [larger])[-1] - found.value) <= near)


def stays(
    phi: Callable[[float], float], base: float, jump: float, h: float, expected: Expected
) -> bool:
    """Whether a jump of the slopes that was seen over a step h is one at the point: the smallest
    step that tells sees it too. One beside the point is passed by smaller steps."""
    least = expected.telling(jump, h)
    if least >= h:
        return True
    second = (phi(least) - base - (base - phi(-least))) / least
    return not abs(second) < jump / 2


def series(
    phi: Callable[[float], float], base: float, expected: Expected, first: float, last: float
) -> Slope:
    """Romberg's table from the step `first` down to `last` at most."""
    rows: list[list[float]] = []  # of the table, the last three
    seconds: list[float] = []  # S(h) = (φ(h) - 2 φ(0) + φ(-h)) / h, the jump of the slopes at h = 0
    best = Slope(np.nan, np.inf, first, False, "nan", 0.0, False)
    h, calm, left, jumped, off = first, 0, np.inf, np.inf, np.inf
    likely: Slope | None = None  # what agreed, and may do so by accident

    def agreed(slope: float, near: float) -> Slope | None:
        """A slope that is the backward pass', up to rounding, and was not clearly off by as much
        before, when there was less rounding to hide it."""
        nonlocal off
        away = abs(slope - expected.slope)
        bound = near if away <= near else expected.guess * near
        if away <= min(bound, off / 2) and bound <= off and expected.decisive(bound):
            return Slope(slope, bound, h, True, "rounding", 0.0, True, LATE * bound)
        if away > CLEARLY * bound:
            off = away
        return None

    while h >= last:
        rounding = expected.rounding(h)
        up = phi(h)
        if np.isfinite(up):
            one_sided = (up - base) / h
            near = 2 * rounding + expected.allowance
            # where larger steps were clearly off, one on its way elsewhere may pass it by accident
            if not np.isfinite(off) and (found := agreed(one_sided, near)):
                return found
            far = FAR * max(abs(one_sided), abs(expected.slope))
            if h == first and abs(one_sided - expected.slope) > far:
                h /= 16
                continue
        down = phi(-h)
        if not (np.isfinite(up) and np.isfinite(down)):  # a step out of the function's domain
            rows, seconds, h = [], [], h / 16
            continue
        row = extrapolated((up - down) / (2 * h), rows[-1] if rows else [])
        rows = [*rows[-2:], row]
        seconds.append((up - base - (base - down)) / h)
        near = rounding + expected.allowance
        nearest = min(row, key=lambda r: abs(r - expected.slope))
        if likely and abs(nearest - expected.slope) <= CLEARLY * near:
            return likely
        found = agreed(nearest, near)
        if found and (not np.isfinite(off) or abs(row[-1] - expected.slope) <= near):
            return found
        likely = found
        if len(rows) > 1:
            value, remainder, left = least_moved(rows, left)
            jump = abs(4 * seconds[-1] - seconds[-2]) / 3
            kinked = jump > 100 * rounding and abs(jump - jumped) <= 1e-2 * jump
            jumped = jump
            error = remainder + rounding + jump
            calm = calm + 1 if remainder + jump <= 4 * rounding else 0
            # what a smaller step contradicts had settled by accident
            moved = abs(value - best.value)
            if error < best.bound or moved > 4 * best.bound + rounding:
                cause = max((jump, "a kink"), (remainder, "curvature"), (rounding, "rounding"))[1]
                best = Slope(value, error, h, calm >= 1, cause, jump, False)
            elif calm >= 2:
                best = replace(best, bound=max(best.bound, moved), settled=True)
            elif kinked and remainder <= 4 * rounding:  # but for a jump that stays, it is calm
                best = replace(best, settled=True)
            if calm >= 2 or rounding > best.bound:
                break
            if kinked and h < NEAR and stays(phi, base, jump, h, expected):
                break
        h /= 4
    bound = 4 * best.bound + expected.rounding(best.step) + expected.allowance
    return Slope(best.value, bound, best.step, best.settled, best.cause, best.jump, False)
