"""Which entries of a gradient are wrong: bisection.

Along a direction u the error of the gradient, e, shows as <e, u>, and of any part S of the entries
as <e, u restricted to S>. One slope is measured for half of the entries; what the other half owes
is the difference, so that a level of the tree costs one slope, and k wrong ones among n entries
about k log2(n / k) + log2(n) of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backprop.gradcheck.comparison import Comparison
from backprop.gradcheck.entry import place_of
from backprop.gradcheck.probe import Array


@dataclass(frozen=True)
class WrongEntry:
    """An entry of a gradient, as backward and as differences have it."""

    index: tuple[int, ...]
    analytic: float
    numeric: float
    bound: float

    def __str__(self) -> str:
        return f"{self.index}: backward says {self.analytic:.6g}, differences {self.numeric:.6g}"


class Located(list[WrongEntry]):
    """The wrong entries that were found.

    Attributes
    ----------
    name : str
    evaluations : int
        Forward passes spent.
    complete : bool
        Whether the search ended before it ran into its limits.
    """

    def __init__(self, name: str):
        super().__init__()
        self.name, self.evaluations, self.complete = name, 0, True

    def __str__(self) -> str:
        count = f"{len(self)} wrong {'entry' if len(self) == 1 else 'entries'} of {self.name}"
        more = "" if self.complete else ", and there are more"
        lines = [f"{count}{more} ({self.evaluations} forward passes)"]
        return "\n".join([*lines, *map(str, self)])


@np.errstate(all="ignore")  # a step may leave a function's domain
def locate(i: int, compare: Comparison, limit: int, evaluations: int) -> Located:
    """Find wrong entries of gradient i; see `Report.locate`."""
    here, passes = compare.here, compare.probe.passes
    slot, before = here.probe.slots[i], passes.forward
    found = Located(slot.name)
    g = here.gradients[i].ravel()
    bad = np.flatnonzero(~np.isfinite(g))
    if bad.size:
        for k in bad[:limit]:
            found.append(WrongEntry(place_of(k, slot.shape), float(g[k]), np.nan, 0.0))
        found.complete = bad.size <= limit
        return found
    # entries of one size, so that their errors cannot hide behind each other's round-off
    u = here.rng.choice([-1.0, 1.0], g.size) * here.rng.uniform(0.5, 1.5, g.size)

    def owes(entries: Array, closer: bool = False) -> tuple[float, float, bool]:
        """The error of a part, its bound, and whether the differences know."""
        part = np.zeros(g.size)
        part[entries] = u[entries]
        entry = compare.along(here.alone(i, part.reshape(slot.shape)), closer=closer)
        error = entry.numeric - entry.analytic
        known = entry.verdict != "inconclusive" or abs(error) <= entry.bound
        return error, entry.bound, known

    everything = np.arange(g.size) if slot.still is None else np.flatnonzero(~slot.still)
    pending = [(everything, *owes(everything, closer=True))]
    while pending:
        entries, error, bound, known = pending.pop()
        if known and abs(error) <= bound:
            continue
        if len(found) >= limit or passes.forward - before >= evaluations:
            found.complete = False
            break
        if entries.size == 1:
            k = int(entries[0])
            # the one that the others left is measured itself
            error, bound, known = owes(entries, closer=True)
            if known and abs(error) > bound:
                numeric = float(g[k] + error / u[k])
                found.append(WrongEntry(place_of(k, slot.shape), float(g[k]), numeric, bound))
            continue
        half = entries.size // 2
        left, right = entries[:half], entries[half:]
        on_left = owes(left)
        if known and on_left[2]:
            pending.append((right, error - on_left[0], bound + on_left[1], True))
        else:
            pending.append((right, *owes(right)))
        pending.append((left, *on_left))
    found.evaluations = passes.forward - before
    return found
