"""<gradient, u> against the slope of φ along u, and both with what rounding does to them.

What rounding explains in <gradient, u>, where r is how far the gradient moves by it, is

    allowance = 4 max|<r, u>| + 1000 eps max|gradient · u| + …

and the bound holds this beside what `slopes` does not know:

    |slope - <gradient, u>| > bound     fail, where the differences have settled
                            ≤ bound     pass, where the bound is small against Σ|gradient · u|

and all else is inconclusive. Numbers of very different sizes may need steps of very different
sizes: 1e-13 is one for a row of zeros that is divided by its norm, and moves nothing else. Where
that is so, small numbers and large ones are looked at apart, and the slopes and bounds added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from backprop.gradcheck import slopes
from backprop.gradcheck.entry import Entry, apart, undecided
from backprop.gradcheck.measured import Measured
from backprop.gradcheck.noise import EPS
from backprop.gradcheck.places import Direction, paired
from backprop.gradcheck.probe import Array, largest
from backprop.gradcheck.rounding import Rounding

SMALL = 2.0**-20  # of the largest number moved: what is looked at apart
AGAIN = 4  # times the step at which one direction agreed: where the next begins
SETTLING = 16  # the same of one that settled and did not agree, which takes some steps more
BLOCK = 2**15  # numbers of a product that is never as large as a gradient
ILL = 1e-2  # of a gradient: the most that an ill-conditioned constant is taken to cost it
STAIRS = 64  # eps of what φ is made of: what moves by no less, or not at all, moves in such steps
FINE_STAIRS = -1.9 * 2.0**-10, -1.3 * 2.0**-10, 1.3 * 2.0**-10, 1.9 * 2.0**-10
# of each number: steps that are wider than stairs
LOSES = "a function that loses too many digits"


class Comparison:
    """Backward and differences at a point, along any direction.

    Attributes
    ----------
    here : Measured
    probe, gradients
        Its own.
    rounding : Rounding
        Of this point, or of another: then the round-off of the gradients here is not known.
    reach : float
        The first step, as a share of the scale on which φ changes: from where one settled before.
    """

    def __init__(self, here: Measured, rounding: Rounding, reach: float = np.inf):
        self.here, self.rounding, self.reach = here, rounding, reach
        self.probe, self.gradients = here.probe, here.gradients

    def along(self, direction: Direction, start: float | None = None, closer: bool = True) -> Entry:
        """The verdict along one direction; not `closer` where a disagreement is known to hold."""
        found = self.as_one(direction, start, closer)
        parts = self.apart(direction) if found.verdict == "inconclusive" else None
        if parts is None:
            return found
        return added([self.along(part, start, closer) for part in parts])

    def apart(self, direction: Direction) -> list[Direction] | None:
        """What moves small numbers, and what moves large ones; None where a step does for both."""
        top = self.expected(direction).top
        small = [np.abs(p) <= SMALL * top for p in self.here.point]
        moved = [u for u in zip(small, direction, strict=True) if u[1] is not None]
        if not any((s & (u != 0)).any() for s, u in moved):
            return None
        if not any((~s & (u != 0)).any() for s, u in moved):
            return None
        return [
            [
                None if u is None else np.where(s == which, u, 0.0)
                for s, u in zip(small, direction, strict=True)
            ]
            for which in (True, False)
        ]

    def as_one(self, direction: Direction, start: float | None, closer: bool) -> Entry:
        """The verdict along one direction, with steps of one size for all that it moves."""
        slots = [s for s, u in zip(self.probe.slots, direction, strict=True) if u is not None]
        name, shape = (slots[0].name, slots[0].shape) if len(slots) == 1 else ("all", ())
        known: dict[float, float] = {}

        def phi(h: float) -> float:
            if h not in known:
                known[h] = self.here.phi(direction, h)
            return known[h]

        def against(expected: slopes.Expected) -> slopes.Slope:
            from_near = closer and self.rounding.measured
            reached = slopes.power_of_2(min(slopes.LARGEST, self.reach * expected.scale))
            first = start or reached or slopes.LARGEST
            return slopes.slope(phi, self.here.base, expected, first, from_near)

        expected = self.expected(direction)
        if not np.isfinite(expected.noise + expected.entry):
            return undecided(name, shape, "numbers that are too large to be squared")
        found = against(expected)
        if not found.agreed and not self.rounding.measured:
            self.rounding.measure()
            if self.rounding.trouble:
                return undecided(name, shape, self.rounding.trouble)
            expected = self.expected(direction)
            found = against(expected)
        # a slope of 0 agrees with a function that stands still between two stairs
        stair = 0.0 if found.agreed and found.value else self.stair(known, found)
        if stair > slopes.SAFETY * expected.noise:
            expected = replace(expected, noise=stair)
            found = against(expected)
        if found.settled and start is None and expected.size > found.bound:
            began = found.step * (AGAIN if found.agreed else SETTLING)
            self.reach = began / expected.scale
        size = max(expected.size, abs(found.value))
        difference = abs(found.value - expected.slope)
        if found.bound < difference < ILL * size:
            found = replace(found, bound=found.bound + 4 * self.rounding.share() * size)
            if difference > found.bound and self.rounding.blind:
                found = replace(found, settled=False, cause=LOSES)
        if closer and found.settled and difference > found.bound:
            coarse = self.in_stairs(phi, direction, expected, found)
            found = replace(found, settled=False, cause=coarse) if coarse else found
        if difference <= found.bound and replace(expected, size=size).decisive(found.bound):
            verdict, reason = "pass", ""
        elif difference > found.bound and found.settled:
            verdict = "fail"
            reason = apart(expected.slope, found.value)
        else:
            verdict, reason = "inconclusive", f"undecided because of {found.why}"
        step = self.here.share(found.step, direction)
        numbers = expected.slope, found.value, found.bound, size, found.jump, len(known)
        return Entry(name, shape, verdict, reason, *numbers, seen=found.seen, step=step)

    def in_stairs(
        self,
        phi: Callable[[float], float],
        direction: Direction,
        expected: slopes.Expected,
        found: slopes.Slope,
    ) -> str:
        """What a disagreement is due to, if to outputs that move in stairs wider than the last
        step; empty otherwise.

        A part that does, as log(1 + p) for small p, is missing at small steps and there at large
        ones. Such stairs are as high as rounding, unless what follows makes them higher: then
        float32 keeps no digit of these outputs, or they stand still at other points as well.
        """
        difference, here = abs(found.value - expected.slope), self.here
        hidden = difference <= STAIRS * EPS * here.natural / found.step
        if hidden or self.rounding.without_digits.any():
            far = abs(slopes.at_large(phi, expected) - expected.slope)
            if far < min(difference / 4, ILL * expected.size):
                return "rounding"

        def y(h: float, along: Direction = direction) -> Array:
            return here.probe.outputs(here.point, along, h, here.run)

        def explain(some: Array) -> bool:
            """Whether backward is right about all outputs but these."""
            others = here.probe.reverse(here.run, np.where(some, 0.0, here.v))
            return abs(found.value - paired(others, direction)) <= found.bound

        step = found.step
        still = (y(step) == here.run.y) & (y(-step) == here.run.y)
        if not still.any() or not explain(still):
            return ""
        own = [None if u is None else p for p, u in zip(here.point, direction, strict=True)]
        others = np.zeros(still.shape, int)
        for share in FINE_STAIRS if expected.top else ():  # zeros have no size of their own
            there = y(share, own)
            others += (there != here.run.y) & (there == y(share + step / expected.top, own))
        fine = still & (others >= 2)  # of stairs, and not at the point alone
        return LOSES if explain(fine | still & self.rounding.without_digits) else ""

    def stair(self, known: dict[float, float], found: slopes.Slope) -> float:
        """The step in which φ moves where it does as 1 - cos x at 1e-8, which is a multiple of eps;
        0 where it does not."""
        moves = np.abs(np.array([*known.values()]) - self.here.base)
        up = moves[moves > 0]
        if not up.size and not found.agreed:
            return EPS * self.here.natural
        least = float(up.min(initial=np.inf))
        flat = up.size < moves.size and np.isfinite(moves).all()
        return least if flat and least <= STAIRS * EPS * self.here.natural else 0.0

    def expected(self, direction: Direction) -> slopes.Expected:
        """What the slope should be, by the backward pass, and what rounding does to it."""
        slope = size = roundoff = top = squares = furthest = grains = 0.0
        moves, count = self.rounding.moves_at(self.here), 0
        steps = zip(self.here.point, self.gradients, direction, moves, strict=True)
        for p, g, u, moved in steps:
            if u is None:
                continue
            for c in moved:
                product = (c * u).ravel()
                far = max(abs(float(product.sum())), float(np.sqrt(product @ product)))
                roundoff = max(roundoff, far)
            for some, of_some, along in in_blocks(p, g, u):
                held, terms = of_some * some, of_some * along
                grains += float(held @ held)
                furthest = max(furthest, largest(np.where(along, some, 0.0)))
                slope += float(terms.sum())
                squares += float(terms @ terms)
                np.abs(terms, out=terms)
                size += float(terms.sum())
                top = max(top, float(terms.max()))
                count += terms.size
        natural = self.here.natural
        return slopes.Expected(
            slope=slope,
            size=size,
            terms=natural,
            allowance=4 * roundoff
            + EPS**2 * natural / max(1.0, furthest)  # below, numbers run out of digits
            + 1e3 * EPS * top
            + 16 * EPS * float(np.sqrt(squares)),
            noise=self.rounding.sigma,
            spread=self.here.spread,
            scale=natural / np.sqrt(squares) if squares else np.inf,
            top=furthest,
            grain=EPS * float(np.sqrt(grains)) / 4,
            entry=float(np.sqrt(squares / count)) if count else 0.0,
            guess=1.0 if self.rounding.measured else slopes.GUESS,
        )

    @property
    def spent(self) -> int:
        """Forward passes so far, without those that the whole check shares."""
        return self.probe.passes.forward - self.rounding.spent


def in_blocks(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """The numbers of some arrays side by side, as many at a time as a processor keeps near."""
    flat = [a.ravel() for a in arrays]
    for start in range(0, flat[0].size, BLOCK):
        yield tuple(a[start : start + BLOCK] for a in flat)


def added(parts: list[Entry]) -> Entry:
    """The verdict on a sum of directions that were looked at one by one."""
    worst = next((e for v in ("fail", "inconclusive") for e in parts if e.verdict == v), parts[0])
    return replace(
        worst,
        analytic=sum(e.analytic for e in parts),
        numeric=sum(e.numeric for e in parts),
        bound=sum(e.bound for e in parts),
        seen=sum(e.seen for e in parts),
        size=sum(e.size for e in parts),
        jump=max(e.jump for e in parts),
        evaluations=sum(e.evaluations for e in parts),
    )
