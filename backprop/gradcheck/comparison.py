"""<gradient, u> against the slope of φ along u, and both with what rounding does to them.

What rounding explains in <gradient, u>, where r is how far the gradient moves by it, is

    allowance = 4 max|<r, u>| + 1000 eps max|gradient · u| + …

and the bound holds this beside what `slopes` does not know:

    |slope - <gradient, u>| > bound     fail
                            ≤ bound     pass, where the bound is small against Σ|gradient · u|
                                        inconclusive, where it says nothing
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backprop.gradcheck import slopes
from backprop.gradcheck.entry import Entry, undecided
from backprop.gradcheck.measured import Measured
from backprop.gradcheck.noise import EPS
from backprop.gradcheck.probe import Direction
from backprop.gradcheck.rounding import Rounding


class Comparison:
    """Backward and differences at a point, along any direction.

    Attributes
    ----------
    here : Measured
    rounding : Rounding
        Of this point, or of another: then the round-off of the gradients here is not known.
    start : float
        The first step, from where the series settled before.
    """

    def __init__(self, here: Measured, rounding: Rounding, start: float = slopes.LARGEST):
        self.here, self.rounding, self.start = here, rounding, start

    def along(self, direction: Direction, start: float | None = None) -> Entry:
        """The verdict along one direction."""
        slots = [s for s, u in zip(self.here.probe.slots, direction, strict=True) if u is not None]
        name, shape = (slots[0].name, slots[0].shape) if len(slots) == 1 else ("all", ())
        known: dict[float, float] = {}

        def phi(h: float) -> float:
            if h not in known:
                known[h] = self.here.phi(direction, h)
            return known[h]

        def measured() -> tuple[slopes.Expected, slopes.Slope]:
            expected = self.expected(direction)
            return expected, slopes.slope(phi, self.here.base, expected, start or self.start)

        expected, found = measured()
        if not found.agreed and not self.rounding.measured:
            self.rounding.measure()
            if self.rounding.trouble:
                return undecided(name, shape, self.rounding.trouble)
            expected, found = measured()
        if found.settled and start is None:
            self.start = min(slopes.LARGEST, 16 * found.step)
        size = max(expected.size, abs(found.value))
        difference = abs(found.value - expected.slope)
        if difference <= found.bound and replace(expected, size=size).decisive(found.bound):
            verdict, reason = "pass", ""
        elif difference > found.bound and found.cause != "nan":
            verdict = "fail"
            reason = f"backward says {expected.slope:.6g}, differences say {found.value:.6g}"
        else:
            verdict, reason = "inconclusive", f"undecided because of {found.why}"
        numbers = expected.slope, found.value, found.bound, size, found.jump, len(known)
        return Entry(name, shape, verdict, reason, *numbers)

    def expected(self, direction: Direction) -> slopes.Expected:
        """What the slope should be, by the backward pass, and what rounding does to it."""
        slope = size = roundoff = top = squares = 0.0
        moves = self.rounding.moves_at(self.here)
        for g, u, moved in zip(self.here.gradients, direction, moves, strict=True):
            if u is None:
                continue
            for c in moved:
                product = (c * u).ravel()
                far = max(abs(float(product.sum())), float(np.sqrt(product @ product)))
                roundoff = max(roundoff, far)
            terms = (g * u).ravel()
            slope += float(terms.sum())
            squares += float(terms @ terms)
            np.abs(terms, out=terms)
            size += float(terms.sum())
            top = max(top, float(terms.max(initial=0)))
        natural = self.here.natural
        return slopes.Expected(
            slope=slope,
            size=size,
            terms=natural,
            allowance=4 * roundoff
            + EPS**2 * natural  # below, numbers run out of digits
            + 1e3 * EPS * top
            + 16 * EPS * float(np.sqrt(squares)),
            noise=self.rounding.sigma,
        )

    @property
    def spent(self) -> int:
        """Forward passes so far, without those that the whole check shares."""
        return self.here.probe.passes.forward - self.rounding.spent
