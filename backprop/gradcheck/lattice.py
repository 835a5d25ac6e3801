"""A second look at a layer, at multiples of 1/2, where kinks, ties and roots are.

Generic numbers never meet the kink of a rectifier or two pixels that tie, and a mistake that shows
there alone is not seen at them. So inputs and parameters are rounded to multiples of 1/2, with a
sample of zeros. Where all of them, moved together, agree with the backward pass as well as rounding
allows, there was no kink. Otherwise each is looked at by itself, and at a kink the two sides decide
(`kinks`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from backprop.gradcheck.comparison import Comparison
from backprop.gradcheck.entry import Entry, not_finite, wrong_outright
from backprop.gradcheck.kinks import bracket
from backprop.gradcheck.measured import Measured, measured
from backprop.gradcheck.passes import Refused
from backprop.gradcheck.places import Direction, Run
from backprop.gradcheck.poles import has_slope
from backprop.gradcheck.probe import Array, Probe, mask_of

NAME = "all, at lattice points"


def at_lattice_points(compare: Comparison, values: str) -> tuple[list[Entry], list[str]]:
    """All inputs at multiples of 1/2 as one entry, and parameters too unless their own values were
    asked for; and what was not checked there.

    Rounding is taken to be that of the generic point.
    """
    probe, before = compare.probe, compare.spent
    moving = [slot.parameter is None or values == "random" for slot in probe.slots]
    if not any(moving):
        return [], []
    if probe.composite:
        return [], ["lattice points: kinks of several layers would meet there"]
    if mask_of(probe.layer, probe.x) is not None:
        return [], ["lattice points: some numbers stand for a mask"]
    if probe.is_loss and np.asarray(probe.y).dtype.kind == "f":
        probe = probe.with_targets(lattice_of(np.asarray(probe.y)))  # so that some are met exactly
    try:
        run = finite_run(probe, compare.here.point, moving)
        if run is None:
            return [], ["lattice points: the forward pass is not finite there"]
        there = measured(probe, run, compare.here.v, compare.here.rng)
        entry, skipped = judged(Comparison(there, compare.rounding, compare.reach))
    except Refused as error:
        return [], [f"lattice points: the subject {error} there"]
    if entry is None:
        return [], skipped
    return [replace(entry, name=NAME, shape=(), evaluations=compare.spent - before)], skipped


def finite_run(probe: Probe, generic: Sequence[Array], moving: Sequence[bool]) -> Run | None:
    """At multiples of 1/2, and a sample of zeros where there are others; without it where the
    function has no value there."""
    for zeros in (True, False):
        point = [lattice_of(p) if m else p for p, m in zip(generic, moving, strict=True)]
        for p, slot in zip(point, probe.slots, strict=True):
            if zeros and slot.parameter is None and len(p) > 1:
                p[-1] = 0.0
        try:
            run = probe.run(point)
        except Refused:
            if zeros:
                continue
            raise
        if np.isfinite(run.y).all():
            return run
    return None


def judged(compare: Comparison) -> tuple[Entry | None, list[str]]:
    """The worst of all gradients, and what cannot be told."""
    here, slots = compare.here, compare.probe.slots
    direction = [here.drawn(i) for i in range(len(slots))]
    if not all(np.isfinite(g).all() for g in here.gradients):
        return where_not_finite(here, direction)
    if len(direction) > 1:
        together = compare.along(direction)
        if together.verdict == "pass" and not together.jump:
            return together, []
    tried: list[Entry] = []
    skipped: list[str] = []
    for i, slot in enumerate(slots):
        found: Entry | None = compare.along(here.alone(i, direction[i]))
        if found.verdict != "pass":
            found = by_both_sides(i, direction[i], found, here)
        if found is None:
            skipped.append(f"{slot.name} at lattice points: no telling there")
        else:
            tried.append(found)
    if not tried:
        return None, skipped
    wrong = next((e for e in tried if e.verdict != "pass"), None)
    return wrong or max(tried, key=lambda e: e.bound / (e.size or 1)), skipped


def by_both_sides(i: int, u: Array, found: Entry, here: Measured) -> Entry | None:
    """The verdict of the two sides, where differences alone do not agree; None if they do not
    tell."""
    name = here.probe.slots[i].name
    # what ties may get adds up, along a direction of one sign, to more than any of them gets
    for way in (u, np.abs(u)):
        seen = bracket(here, here.alone(i, way))
        if seen.violation:
            return seen.failing(found, f"{name}: ")
        if not seen.difference <= seen.bound:
            if seen.difference > 100 * seen.bound and (found.verdict == "fail" or seen.unsettled):
                return replace(found, verdict="fail", reason=f"{name}: {seen.off}")
            return None
        if seen.unsettled or seen.ties:
            return None
    return seen.passing(found)


def where_not_finite(here: Measured, direction: Direction) -> tuple[Entry | None, list[str]]:
    """A gradient that is NaN: a mistake where the function has slopes."""
    unsettled = bracket(here, direction).unsettled
    for i, slot in enumerate(() if unsettled else here.probe.slots):
        bad = not_finite(here.gradients[i])
        if bad and has_slope(i, here):
            reason = f"{slot.name}: {bad}, where slopes are finite"
            return wrong_outright("", (), reason), []
    return None, ["lattice points: the slope is infinite there"]


def lattice_of(p: Array) -> Array:
    """Multiples of 1/2; of half their size for numbers that are all small."""
    rms = float(np.sqrt(np.mean(p * p))) if p.size else 0.0
    unit = 0.5 if rms >= 0.5 or not rms else rms / 2
    return np.round(p / unit) * unit
