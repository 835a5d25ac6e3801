"""Every entry of every gradient, differenced one by one.

    g_i = d<v, y> / dθ_i      by D(h), extrapolated twice over h = 2^-9, 2^-11, 2^-13

An input's entries are moved many at a time where the layer treats samples one by one: k copies of
the batch, each with another entry moved, are one forward pass. Whether it does is tried out: a
batch of two different halves must give the two results side by side.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from backprop.gradcheck import slopes
from backprop.gradcheck.probe import Array
from backprop.gradcheck.report import Entry

if TYPE_CHECKING:
    from backprop.gradcheck.engine import Check

STEPS = (2.0**-9, 2.0**-11, 2.0**-13)
NUMBERS = 2_000_000  # in one stacked batch
EPS = float(np.finfo(np.float64).eps)


def every_entry(check: Check) -> None:
    """Difference each entry, and let the worst of a gradient stand for it."""
    for i, entry in enumerate(check.entries[: len(check.probe.slots)]):
        before = check.probe.evaluations
        numeric, error = differences(check, i)
        found = worst(check, i, numeric, error)
        spent = entry.evaluations + check.probe.evaluations - before
        check.entries[i] = replace(found, evaluations=spent)


def differences(check: Check, i: int) -> tuple[Array, Array]:
    """The numeric gradient, and the error of each of its entries."""
    check.rounding.measure()
    shape = check.probe.slots[i].shape
    tables: list[list[Array]] = []
    row: list[Array] = []
    for h in STEPS:
        d = central(check, i, h)
        # written for numbers, and as good for arrays of them
        row = slopes.extrapolated(d, row)  # type: ignore[arg-type]
        tables.append(row)
    remainder = np.abs(tables[-1][-1] - tables[-2][-1])
    error = 4 * remainder + slopes.SAFETY * check.sigma / STEPS[-1]
    numeric, error = tables[-1][-1].reshape(shape), error.reshape(shape)
    still = check.still[i]
    if still is not None:  # no numbers, so there is nothing to compare
        numeric[still], error[still] = check.gradients[i][still], 0.0
    return numeric, error


def central(check: Check, i: int, h: float) -> Array:
    """D(h) for each entry."""
    probe, slot = check.probe, check.probe.slots[i]
    n = slot.size
    d = np.empty(n)
    k = stacked_at_once(check, i)
    if k > 1:
        for start in range(0, n, k):
            which = np.arange(start, min(start + k, n))
            d[which] = (stacked(check, i, which, h) - stacked(check, i, which, -h)) / (2 * h)
        return d
    point = [p.copy() for p in check.point]
    moving = point[i].reshape(-1)
    for j in range(n):
        here = moving[j]
        values = []
        for step in (h, -h):
            moving[j] = here + step
            values.append(float(check.v @ probe.run(point).y))
        moving[j] = here
        d[j] = (values[0] - values[1]) / (2 * h)
    return d


def stacked(check: Check, i: int, which: Array, h: float) -> Array:
    """φ with entry which[k] of x moved by h, for each k, in one forward pass."""
    x = check.point[i]
    copies = np.repeat(x[None], len(which), 0)
    copies.reshape(len(which), -1)[np.arange(len(which)), which] += h
    y = forward(check, i, copies.reshape(-1, *x.shape[1:]))
    return y.reshape(len(which), -1) @ check.v


def forward(check: Check, i: int, x: Array) -> Array:
    point = list(check.point)
    point[i] = x
    return check.probe.run(point).y


def stacked_at_once(check: Check, i: int) -> int:
    """How many copies of the batch one forward pass may take: 1 where samples are not alone."""
    probe, slot = check.probe, check.probe.slots[i]
    x = check.point[i]
    alone = slot.parameter is None and not probe.is_loss and probe.loss is None
    if not alone or check.run.penalised or probe.mask is not None or not check.run.shape:
        return 1
    k = max(1, min(slot.size, NUMBERS // max(x.size, check.run.y.size)))
    other = x[::-1] + 0.25
    try:
        together = forward(check, i, np.concatenate([x, other]))
        apart = np.concatenate([check.run.y, forward(check, i, other)])
    except ValueError:
        return 1
    same = together.shape == apart.shape and np.allclose(together, apart, 1e-12, 1e-13)
    return k if same else 1


def worst(check: Check, i: int, numeric: Array, error: Array) -> Entry:
    slot, g = check.probe.slots[i], check.gradients[i]
    moves = check.roundoff[i]
    roundoff = np.max([np.abs(c) for c in moves], axis=0) if moves else np.zeros(g.shape)
    size = float(np.abs(g).max(initial=0))
    bound = error + 4 * roundoff + 1e3 * EPS * size
    off = np.abs(g - numeric)
    ratio = np.where(np.isfinite(off), off / np.maximum(bound, 1e-300), np.inf)
    at = np.unravel_index(int(np.argmax(ratio)), ratio.shape) if ratio.shape else ()
    a, n, b = float(g[at]), float(numeric[at]), float(bound[at])
    place = tuple(map(int, at))
    coarse = bound > np.maximum(
        slopes.PRECISION * 10 * max(size, np.abs(numeric).max()), slopes.ZERO * check.natural
    )
    if not abs(a - n) <= b:
        count = int((~(off <= bound)).sum())
        verdict = "fail"
        reason = (
            f"{count} of {g.size} entries are wrong; entry {place}: backward says {a:.6g}, "
            f"differences say {n:.6g}"
        )
    elif coarse.any():
        verdict = "inconclusive"
        reason = f"undecided because of {int(coarse.sum())} entries with a kink very near"
    else:
        verdict, reason = "pass", ""
    return Entry(slot.name, slot.shape, verdict, reason, a, n, b, size, method="every entry")
