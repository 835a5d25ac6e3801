"""The verdict on one input or parameter: along one direction, and along others where in doubt.

A mistake shows along all directions, an accident on one. What is inconclusive is looked at with
other first steps. Where the slopes on the two sides of the point differ, those decide (`kinks`), if
they differ by as much as is to be explained.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backprop.gradcheck import slopes
from backprop.gradcheck.comparison import Comparison
from backprop.gradcheck.entry import Entry, not_finite, undecided, wrong_outright
from backprop.gradcheck.kinks import bracket
from backprop.gradcheck.measured import Measured
from backprop.gradcheck.poles import has_slope

RETRIES = 3  # further directions for what did not pass: a mistake shows along all of them
WIDER = (2.0**-2, 2.0**2, 2.0**-8)  # first steps, where a function that hardly moves is undecided
HIDDEN = "undecided because of rounding"  # a direction that says nothing, for or against
BESIDE = 4  # times the jumps of the slopes: what kinks may explain along another direction
NONE = 1e-3  # of these jumps: along a direction there is no kink
FAINT = 0.05  # a bound that decides of a gradient that is next to nothing against the function


def verdict_on(i: int, compare: Comparison) -> Entry:
    """What is to be said of one gradient, and the forward passes that it took."""
    here, before = compare.here, compare.spent
    slot = here.probe.slots[i]
    bad = not_finite(here.gradients[i])
    if bad and has_slope(i, here):
        return wrong_outright(slot.name, slot.shape, bad)
    if bad:
        return undecided(slot.name, slot.shape, f"a slope that no number holds ({bad})")
    reach = compare.reach
    first = compare.along(here.alone(i))
    if compare.rounding.trouble:
        return first
    entry = None
    if first.verdict == "inconclusive" and first.jump:
        entry = by_both_sides(i, [first], here)
    if entry is None:
        tried = [first]
        if first.verdict != "pass":
            starts = WIDER if first.verdict == "inconclusive" else (None,) * RETRIES
            for start in starts:
                compare.reach = reach  # as the first: a wrong slope settles nearer every time
                tried.append(compare.along(here.alone(i), start))
        entry = taken_together(i, tried, here)
    return replace(entry, evaluations=compare.spent - before)


def taken_together(i: int, tried: list[Entry], here: Measured) -> Entry:
    """What several directions say."""
    failed = [e for e in tried if e.verdict == "fail"]
    passed = [e for e in tried if e.verdict == "pass"]
    if passed and not failed:
        return as_sure(most_exact(passed), tried)
    # jumps of many kinks may cancel where the slopes do not, and three numbers that tie show none
    found = by_both_sides(i, tried, here) if any(e.jump for e in tried) or failed else None
    if found is not None:
        return found
    # a mistake shows along all directions that can tell, an accident on one
    telling = [e for e in tried if not (e.verdict == "inconclusive" and e.reason == HIDDEN)]
    if len(failed) > 1 and 2 * len(failed) > len(telling):
        return most_exact(failed)
    if 2 * len(passed) > len(tried):
        return as_sure(most_exact(passed), tried)
    best = most_exact([e for e in tried if e.verdict != "fail"])
    faint = best.bound <= min(slopes.ZERO * here.natural, FAINT * best.size)
    if not failed and faint and best.difference <= best.bound:
        reason = f"to {best.bound / best.size:.0e} of its size, which rounding hides"
        return as_sure(replace(best, verdict="pass", reason=reason), tried)
    return best


def as_sure(entry: Entry, tried: list[Entry]) -> Entry:
    """What passed, with the error that most of the directions would have shown: one of them alone
    accuses nobody."""
    shown = sorted(max(e.bound, e.seen) for e in tried)
    return replace(entry, seen=max(entry.seen, shown[len(shown) // 2]))


def most_exact(entries: list[Entry]) -> Entry:
    return min(entries, key=lambda e: e.bound)


def by_both_sides(i: int, tried: list[Entry], here: Measured) -> Entry | None:
    """The verdict where there is a kink at the point; None if there is none, or no telling."""
    entry = tried[0]
    for _ in tried:  # what nearly ties agrees along some directions
        seen = bracket(here, here.alone(i))
        if not seen.difference <= seen.bound:
            return None
        if seen.kinked:
            break
    else:
        return None
    failed = [e for e in tried if e.verdict == "fail"]
    if any(e.difference > e.bound + BESIDE * seen.jumps for e in failed):
        return None
    # kinks that steps have passed which see none are beside the point
    none = NONE * seen.jumps if seen.jumps < np.inf else 0.0
    if sum(BESIDE * e.step < seen.step and e.jump < none for e in failed) > 1:
        return None
    if seen.ties and not seen.violation:
        return undecided(entry.name, entry.shape, "numbers that tie, where no slope is right")
    if seen.unsettled:
        return None
    if seen.violation and here.probe.composite:
        return undecided(entry.name, entry.shape, "kinks of several layers that meet here")
    if seen.violation:
        return seen.failing(entry)
    return seen.passing(
        entry, f"{seen.kinked} outputs at a kink, slopes within those on both sides"
    )
