"""A second look at a layer, at multiples of 1/2, where kinks, ties and roots are.

Generic numbers never meet the kink of a rectifier or two pixels that tie, and a mistake that shows
there alone is not seen at them. So inputs and parameters are rounded to multiples of 1/2, with a
sample of zeros. Where all of them, moved together, agree with the backward pass as well as rounding
allows, there was no kink. Otherwise each is looked at by itself, and at a kink the two sides decide
(`kinks`).
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from backprop.gradcheck.kinks import bracket
from backprop.gradcheck.point import mask_of
from backprop.gradcheck.probe import Array, Point, Run
from backprop.gradcheck.report import Entry

if TYPE_CHECKING:
    from backprop.gradcheck.engine import Check

NAME = "all, at lattice points"


def visit(check: Check) -> None:
    """Check all inputs and parameters at multiples of 1/2, as one entry."""
    probe = check.probe
    if check.composite:
        check.skipped.append("lattice points: kinks of several layers would meet there")
        return
    if mask_of(probe.layer, probe.x) is not None:
        check.skipped.append("lattice points: some numbers stand for a mask")
        return
    y, spent = probe.y, check.spent
    if probe.is_loss and np.asarray(y).dtype.kind == "f":
        probe.y = lattice_of(np.asarray(y))  # so that predictions may be exact
    try:
        found = point_and_run(check)
        if found is None:
            check.skipped.append("lattice points: the forward pass is not finite there")
            return
        entry = judge(there(check, *found))
    finally:
        probe.y = y
    if entry is not None:
        spent = check.spent - spent
        check.entries.append(replace(entry, name=NAME, shape=(), evaluations=spent))


def there(check: Check, point: Point, run: Run) -> Check:
    """The same check at another point; rounding is still that of the generic one."""
    other = copy.copy(check)
    other.point = point
    other.look(run)
    other.roundoff = [[] for _ in point]
    return other


def point_and_run(check: Check) -> tuple[Point, Run] | None:
    """Multiples of 1/2, and a sample of zeros where there are others; without it where the
    function has no value there."""
    for zeros in (True, False):
        point = [lattice_of(p) for p in check.point]
        for p, slot in zip(point, check.probe.slots, strict=True):
            if zeros and slot.parameter is None and len(p) > 1:
                p[-1] = 0.0
        run = check.probe.run(point)
        if np.isfinite(run.y).all():
            return point, run
    return None


def judge(check: Check) -> Entry | None:
    """The worst of all gradients, at a lattice point."""
    direction: list[Array | None] = [check.signs(i) for i in range(len(check.point))]
    if not all(np.isfinite(g).all() for g in check.gradients):
        return not_finite(check, direction)
    if len(direction) > 1:
        together = check.compare(direction)
        if together.verdict == "pass" and not together.jump:
            return together
    tried: list[Entry] = []
    for i, slot in enumerate(check.probe.slots):
        alone: list[Array | None] = [None] * len(direction)
        alone[i] = direction[i]
        found: Entry | None = check.compare(alone)
        if found.verdict != "pass":
            found = at_kink(check, i, direction[i], found)
            if found is None:
                check.skipped.append(f"{slot.name} at lattice points: no telling there")
                continue
        tried.append(found)
    if not tried:
        return None
    worst = next((e for e in tried if e.verdict != "pass"), None)
    return worst or max(tried, key=lambda e: e.bound / (e.size or 1))


def at_kink(check: Check, i: int, u: Any, found: Entry) -> Entry | None:
    """The verdict of the two sides, where differences alone do not agree."""
    name = check.probe.slots[i].name
    # what ties may get adds up, along a direction of one sign, to more than any of them gets
    for way in (u, np.abs(u)):
        direction: list[Array | None] = [None] * len(check.point)
        direction[i] = way
        seen = bracket(check.probe, check.point, check.run, check.v, direction, check.rng)
        if seen.violation:
            reason = f"{name}: {seen.violation}"
            return replace(found, verdict="fail", reason=reason, method="kinks")
        if seen.unsettled:
            return None
        if seen.difference > seen.bound:
            if seen.difference > 100 * seen.bound and found.verdict == "fail":
                return replace(found, reason=f"{name}: {found.reason}")
            return None
    return replace(
        found,
        verdict="pass",
        reason="",
        method="kinks",
        analytic=seen.difference,
        numeric=0.0,
        bound=seen.bound,
    )


def not_finite(check: Check, direction: list[Array | None]) -> Entry | None:
    """A gradient that is NaN where the function has slopes."""
    seen = bracket(check.probe, check.point, check.run, check.v, direction, check.rng)
    i, bad = next((i, g) for i, g in enumerate(check.gradients) if not np.isfinite(g).all())
    slot = check.probe.slots[i]
    if seen.unsettled:
        check.skipped.append("lattice points: the slope is infinite there")
        return None
    at = tuple(map(int, np.argwhere(~np.isfinite(bad))[0]))
    reason = f"{slot.name}: backward gives {bad[at]} for entry {at}, where there is a slope"
    return Entry("", (), "fail", reason, np.nan, np.nan, 0.0, 0.0)


def lattice_of(p: Array) -> Array:
    """Multiples of 1/2; of half their size for numbers that are all small."""
    rms = float(np.sqrt(np.mean(p * p))) if p.size else 0.0
    unit = 0.5 if rms >= 0.5 or not rms else rms / 2
    return np.round(p / unit) * unit
