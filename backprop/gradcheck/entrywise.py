"""Every entry of every gradient, differenced one by one.

    g_i = d<v, y> / dθ_i      by D(h), extrapolated twice over h = 2^-9, 2^-11, 2^-13

Entries that this does not tell, as the function changes on a smaller scale there, are differenced
with smaller steps: one by one where they are few.

An input's entries are moved many at a time where the layer treats samples one by one: k copies of
the batch, each with another entry moved, are one forward pass. Whether it does is tried out: a
batch of two different halves must give the two results side by side.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from backprop.gradcheck import slopes
from backprop.gradcheck.comparison import Comparison
from backprop.gradcheck.entry import Entry, apart, place_of
from backprop.gradcheck.measured import Measured
from backprop.gradcheck.noise import EPS
from backprop.gradcheck.passes import Refused
from backprop.gradcheck.probe import Array
from backprop.gradcheck.rounding import Rounding
from backprop.nest import several

STEPS = (2.0**-9, 2.0**-11, 2.0**-13)
SCALES = (1.0, 2.0**-6, 2.0**-12)  # of these steps, where many entries need smaller ones
AGAIN = 64  # entries that are differenced by themselves
MANY = f"undecided because of more than {AGAIN} entries that need steps of their own"
NUMBERS = 2_000_000  # in one stacked batch


def entry_by_entry(i: int, entry: Entry, compare: Comparison) -> Entry:
    """Difference each entry of a gradient, and let the worst stand for it."""
    passes = compare.probe.passes
    before = passes.forward
    numeric, error = differences(i, compare.rounding)
    why = look_again(i, numeric, error, compare)
    found = worst(i, numeric, error, compare.rounding, why)
    return replace(found, evaluations=entry.evaluations + passes.forward - before)


def look_again(i: int, numeric: Array, error: Array, compare: Comparison) -> str:
    """Difference those that disagree, or are not known well, with steps of their own, the worst
    first, until one fails by them as well; what does not settle, or is too much to look at, has no
    bound. Why the first does not is said."""
    why = ""
    g = compare.gradients[i].ravel()
    bound = bounds(i, error, compare.rounding).ravel()
    unsure = too_coarse(numeric, bound.reshape(numeric.shape), compare.here).ravel()
    numeric, error = numeric.reshape(-1), error.reshape(-1)  # views
    ratio = np.abs(g - numeric) / bound
    wrong = np.flatnonzero(~(ratio <= 1) | unsure)
    wrong = wrong[np.argsort(-ratio[wrong])]
    for k in wrong[:AGAIN]:
        one = np.zeros(g.size)
        one[k] = 1.0
        alone = compare.along(compare.here.alone(i, one.reshape(compare.gradients[i].shape)))
        told = alone.verdict != "inconclusive"
        numeric[k], error[k] = alone.numeric, alone.bound if told else np.inf
        if alone.verdict == "fail":
            return ""
        why = why or ("" if told else alone.reason)
    error[wrong[AGAIN:]] = np.inf
    return why


def too_coarse(numeric: Array, bound: Array, here: Measured) -> Array:
    """Which entries are known too badly for a verdict."""
    most = float(np.abs(numeric[np.isfinite(numeric)]).max(initial=0))
    return bound > max(slopes.PRECISION * 10 * most, slopes.ZERO * here.natural)


def bounds(i: int, error: Array, rounding: Rounding) -> Array:
    """How far each entry of the backward pass may be from the numeric gradient, of this error."""
    g, moves = rounding.here.gradients[i], rounding.moves[i]
    roundoff = np.max([np.abs(c) for c in moves], axis=0) if moves else np.zeros(g.shape)
    size = float(np.abs(g).max(initial=0))
    return np.maximum(error + (4 * roundoff + 1e3 * EPS * size).reshape(error.shape), 1e-300)


def differences(i: int, rounding: Rounding) -> tuple[Array, Array]:
    """The numeric gradient of slot i, and the error of each of its entries."""
    rounding.measure()
    here, slot = rounding.here, rounding.here.probe.slots[i]
    moving = np.ones(slot.shape, bool) if slot.still is None else ~slot.still
    # what stands still is no number, so there is nothing to compare
    numeric, error = here.gradients[i].copy(), np.zeros(slot.shape)
    which = np.flatnonzero(moving)
    for scale in SCALES:
        found, off = by_table(i, which, scale, rounding)
        better = np.ones(which.size, bool) if scale == 1 else off < error.flat[which]
        numeric.flat[which[better]], error.flat[which[better]] = found[better], off[better]
        which = np.flatnonzero(moving & too_coarse(numeric, error, here))
        if len(which) <= AGAIN:
            break
    return numeric, error


def by_table(i: int, which: Array, scale: float, rounding: Rounding) -> tuple[Array, Array]:
    """The slope along some entries, and its error, by the steps above times a scale."""
    tables: list[list[Array]] = []
    row: list[Array] = []
    for h in STEPS:
        d = central(i, which, scale * h, rounding.here)
        row = slopes.extrapolated(d, row)  # type: ignore[arg-type] - as good for arrays
        tables.append(row)
    remainder = np.abs(tables[-1][-1] - tables[-2][-1])
    noise = slopes.SAFETY * rounding.sigma / (scale * STEPS[-1])
    return tables[-1][-1], 4 * remainder + noise


def central(i: int, which: Array, h: float, here: Measured) -> Array:
    """D(h) along some entries."""
    d = np.empty(which.size)
    k = stacked_at_once(i, here)
    if k > 1:
        for start in range(0, which.size, k):
            some = which[start : start + k]
            up, down = stacked(i, some, h, here), stacked(i, some, -h, here)
            d[start : start + k] = (up - down) / (2 * h)
        return d
    point = [p.copy() for p in here.point]
    moving = point[i].reshape(-1)
    for at, j in enumerate(which):
        centre = moving[j]
        values = []
        for step in (h, -h):
            moving[j] = centre + step
            values.append(float(here.v @ outputs(point, here)))
        moving[j] = centre
        d[at] = (values[0] - values[1]) / (2 * h)
    return d


def stacked(i: int, which: Array, h: float, here: Measured) -> Array:
    """φ with entry which[k] of x moved by h, for each k, in one forward pass."""
    x = here.point[i]
    copies = np.repeat(x[None], len(which), 0)
    copies.reshape(len(which), -1)[np.arange(len(which)), which] += h
    y = outputs(instead(i, copies.reshape(-1, *x.shape[1:]), here), here, len(which))
    return y.reshape(len(which), -1) @ here.v


def instead(i: int, x: Array, here: Measured) -> list[Array]:
    """The point with x in slot i."""
    point = list(here.point)
    point[i] = x
    return point


def outputs(point: list[Array], here: Measured, copies: int = 1) -> Array:
    """F at a point of so many batches; NaN where it is refused."""
    try:
        return here.probe.run(point).y
    except Refused:
        return np.full(copies * here.run.y.size, np.nan)


def stacked_at_once(i: int, here: Measured) -> int:
    """How many copies of the batch one forward pass may take: 1 where samples are not alone."""
    probe, slot, run = here.probe, here.probe.slots[i], here.run
    x = here.point[i]
    alone = slot.parameter is None and not probe.is_loss and probe.loss is None
    if type(probe.x) is tuple or several(run.shape):
        return 1
    if not alone or run.penalised or probe.mask is not None or not run.shape:
        return 1
    k = max(1, min(slot.size, NUMBERS // max(x.size, run.y.size)))
    other = x[::-1] + 0.25
    together = outputs(instead(i, np.concatenate([x, other]), here), here, 2)
    apart = np.concatenate([run.y, outputs(instead(i, other, here), here)])
    same = together.shape == apart.shape and np.allclose(together, apart, 1e-12, 1e-13)
    return k if same else 1


def worst(i: int, numeric: Array, error: Array, rounding: Rounding, why: str) -> Entry:
    """The entry that is furthest off, against its bound; `why` some have none."""
    here = rounding.here
    slot, g = here.probe.slots[i], here.gradients[i]
    size = float(np.abs(g).max(initial=0))
    bound = bounds(i, error, rounding)
    lost = np.isfinite(g) & ~np.isfinite(numeric)  # steps left the function's domain
    off = np.where(lost, 0, np.abs(g - numeric))
    ratio = np.where(np.isfinite(off), off / bound, np.inf)
    at = place_of(int(np.argmax(ratio)), ratio.shape)
    a, n, b = float(g[at]), float(numeric[at]), float(bound[at])
    coarse = too_coarse(np.where(lost, np.nan, np.maximum(np.abs(numeric), size)), bound, here)
    if not off[at] <= b:
        count = int((~(off <= bound)).sum())
        verdict = "fail"
        reason = f"{count} of {g.size} entries are wrong; entry {at}: {apart(a, n)}"
    elif lost.any():
        verdict = "inconclusive"
        reason = f"undecided in {int(lost.sum())} of {g.size} entries: y is not finite a step away"
    elif coarse.any():
        verdict = "inconclusive"
        reason = f"{why or MANY}, in {int(coarse.sum())} of {g.size} entries"
    else:
        verdict, reason = "pass", ""
    step = here.share(STEPS[-1], here.alone(i, np.ones(slot.shape)))
    numbers = a, n, b, size
    return Entry(slot.name, slot.shape, verdict, reason, *numbers, method="every entry", step=step)
