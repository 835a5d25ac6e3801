"""The float32 backward pass is held to the float64 one, at the same numbers.

Differences of float32 say little: what they lose to rounding is more than most mistakes make. So
the derivative is certified in float64, and float32 has to agree with it in units of its last place:

    |g32 - g64| ≤ 64 eps32 max|g64| + 8 (eps32 / eps64) r + 4 r32 + a

where r is how far g64 itself moves when all numbers are moved by a unit in the last place, and
gives room to gradients that are what is left of a cancellation. Where that does not do, r32 is how
far g32 moves, there or at most places, when all numbers are moved by some units of float32:
s (1 - s) near s = 1 has few digits left there, and what it lacks is of the size
a = 8 eps32 Σ|v y| max|θ|. A term is added only where those before it do not do. What float32
computes is float32: a float64 that leaks out of a forward or backward pass fails as well.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from backprop.gradcheck.probe import Array, Probe, largest
from backprop.gradcheck.report import Entry

if TYPE_CHECKING:
    from backprop.gradcheck.engine import Check

EPS32, EPS64 = float(np.finfo(np.float32).eps), float(np.finfo(np.float64).eps)
UNITS = 64
ZERO = 1e-5  # a gradient below this share of the function's size may be what rounding left
SHAKES, WIDTH = 8, 64  # runs in float32, with numbers moved by so many units in the last place
MOVES = 2  # further points, for what disagrees: a kink may lie within rounding of one


def hold(check: Check) -> None:
    """Compare the backward pass in float32 with the certified one in float64."""
    if not check.narrow:
        check.skipped.append("float32: the subject computes in float64")
        return
    if not all(e.verdict == "pass" for e in check.entries):
        check.skipped.append("float32: float64 comes first, and did not pass")
        return
    wide = check.probe
    twin = Probe(
        check.subject, wide.x, check.y, dtype=np.float32, deadline=wide.deadline, **check.options
    )
    twin.set_buffers([value for _, value in wide.buffers])
    if wide.is_loss:
        twin.x = wide.x.astype(np.float32)
    for (mine, _), (_, state) in zip(twin.generators, wide.generators, strict=True):
        mine.state = state
    twin.generators = [
        (mine, state)
        for (mine, _), (_, state) in zip(twin.generators, wide.generators, strict=True)
    ]
    point = check.point
    found: list[Entry] = []
    for attempt in range(1 + MOVES):
        if attempt:
            point = check.shaken(1e-3)
        found = compare(check, twin, [p.astype(np.float64, copy=False) for p in point], attempt > 0)
        if all(e.verdict == "pass" for e in found):
            break
    check.others += twin.evaluations
    check.others_reversed += twin.reversals
    check.entries += [e for e in found if e.verdict != "pass"] or found


def compare(check: Check, twin: Probe, point: list[Array], again: bool) -> list[Entry]:
    """The worst of all gradients in float32, as one entry, or an entry for each that is wrong."""
    wide = check.probe
    gradients = check.gradients
    run64 = check.run
    if again:
        run64 = wide.run(point)
        gradients = wide.reverse(run64, check.v)
    run = twin.run([p.astype(np.float32) for p in point])
    scale = float(np.abs(run64.y).max(initial=0))
    if not np.abs(run.y - run64.y).max(initial=0) <= 1e-2 * scale + 1e-6:
        check.skipped.append("float32: the forward pass is another one there")
        return []
    said = twin.reverse(run, check.v)
    entries: list[Entry] = []
    shaken: list[Array] | None = None
    # what saturates at 1 is rounded as 1 is, however small the slope that is left of it
    natural = check.natural
    absolute = 8 * EPS32 * natural * max(1.0, *map(largest, point))
    if run.y.dtype != np.float32 and not twin.is_loss and twin.loss is None and not run.penalised:
        entries.append(leak("y", run.shape, "forward", run.y.dtype))
    for i, slot in enumerate(wide.slots):
        g64, g32 = gradients[i], said[i]
        name = f"{slot.name} (float32)"
        if g32.dtype != np.float32:
            entries.append(leak(slot.name, slot.shape, "backward", g32.dtype))
            continue
        size = largest(g64)
        bound = UNITS * EPS32 * size + float(np.finfo(np.float32).tiny)
        if size <= ZERO * check.terms:  # all of it cancelled, and float64 kept no trace of what
            bound += UNITS * EPS32 * check.terms
        off = g32 - g64
        np.abs(off, out=off)
        at = np.unravel_index(int(np.argmax(off)), off.shape)  # of a NaN, if there is one
        a, n = float(g32[at]), float(g64[at])
        if not abs(a - n) <= bound:
            check.rounding.measure()
            bound += 8 * EPS32 / EPS64 * max(map(largest, check.roundoff[i]), default=0.0)
        if not abs(a - n) <= bound:
            if shaken is None:
                shaken = shake(check, twin, point, said)
            # as that entry moves, or most do; a few that jump are no rounding of this one
            bound += 4 * max(float(shaken[i][at]), float(np.median(shaken[i]))) + absolute
        good = abs(a - n) <= bound
        units = abs(a - n) / (EPS32 * size) if size else np.inf
        reason = (
            ""
            if good
            else (
                f"float32 says {a:.6g} for entry {tuple(map(int, at))} and float64 {n:.6g}: "
                f"{units:.0f} units in the last place, of {UNITS}"
            )
        )
        entries.append(
            Entry(
                name,
                slot.shape,
                "pass" if good else "fail",
                reason,
                a,
                n,
                bound,
                size,
                method="float32",
            )
        )
    wrong = [e for e in entries if e.verdict != "pass"]
    if wrong or not entries:
        return wrong
    worst = max(entries, key=lambda e: e.difference / e.bound)
    return [replace(worst, name="all, in float32", shape=(), evaluations=1)]


def shake(check: Check, twin: Probe, point: list[Array], said: list[Array]) -> list[Array]:
    """How far each entry of each gradient moves in float32 when all numbers move by some units in
    the last place."""
    far = [np.zeros(g.shape) for g in said]
    for _ in range(SHAKES):
        near = check.shaken(WIDTH * EPS32, point)
        for f, g, s in zip(far, twin.reverse(twin.run(near), check.v), said, strict=True):
            move = np.abs(g.astype(np.float64) - s)
            np.fmax(f, np.where(np.isfinite(move), move, 0.0), out=f)
    # of the move itself, a gradient that is not stiff shows little more than this
    return [
        np.maximum(0.0, f - 2 * WIDTH * EPS32 * largest(g)) for f, g in zip(far, said, strict=True)
    ]


def leak(name: str, shape: tuple[int, ...], which: str, dtype: np.dtype) -> Entry:
    reason = f"{which} turns float32 into {dtype}: {name} must be of the input's dtype"
    return Entry(
        f"{name} (float32)", shape, "fail", reason, np.nan, np.nan, 0.0, 0.0, method="float32"
    )
