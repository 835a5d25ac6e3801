"""The float32 backward pass is held to the float64 one, at the same numbers.

Differences of float32 say little: what they lose to rounding is more than most mistakes make. So
the derivative is certified in float64, and float32 has to agree with it in units of its last place:

    |g32 - g64| ≤ 64 eps32 max|g64| + 8 (eps32 / eps64) r + 4 r32 + a

where r is how far g64 itself moves when all numbers are moved by a unit in the last place, and
gives room to gradients that are what is left of a cancellation. Where that does not do, r32 is how
far g32 moves, there or at most places, when all numbers are moved by some units of float32:
s (1 - s) near s = 1 has few digits left there, and what it lacks is of the size
a = 8 eps32 Σ|v y| max|θ|. What an ill-conditioned constant costs y, as a share of it, it costs the
gradient too. A term is added only where those before it do not do. What float32
computes is float32: a float64 that leaks out of a forward or backward pass fails as well. A layer
that asks its generator for numbers of x.dtype is another function in float32, and not compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np

from backprop.gradcheck.comparison import Comparison
from backprop.gradcheck.entry import Entry, Shape, place_of, wrong_outright
from backprop.gradcheck.measured import Measured, drew_otherwise, measured
from backprop.gradcheck.noise import EPS
from backprop.gradcheck.passes import Refused, raises
from backprop.gradcheck.places import Run, Slot
from backprop.gradcheck.point import computes_in_float32, shaken, single
from backprop.gradcheck.probe import Array, Probe, largest

EPS32 = float(np.finfo(np.float32).eps)
LARGEST32 = float(np.finfo(np.float32).max)
NEARLY = 2.0**-20  # of the largest number: what may have passed it on its way, LAPACK says nothing
UNITS = 64
ZERO = 1e-5  # a gradient below this share of the function's size may be what rounding left
SHAKES, WIDTH = 8, 64  # runs in float32, with numbers moved by so many units in the last place
SMALL = 1 / 16  # a number below it may be rounded as this one is: a unit and its likes beside 1
OTHER_DRAWS = (
    "a draw in x.dtype gives other numbers in float32 than in float64, so the two are not "
    "compared; draw in one of them, and cast"
)
MOVES = 2  # further points, for what disagrees: a kink may lie within rounding of one


def in_float32(certified: list[Entry], compare: Comparison) -> tuple[list[Entry], list[str]]:
    """What the backward pass in float32 says against the certified one in float64, as one entry
    or as those that are wrong; and why that is not compared."""
    here, probe = compare.here, compare.probe
    if not computes_in_float32(probe.subject):
        return [], ["float32: the subject computes in float64"]
    if not all(e.verdict == "pass" for e in certified):
        return [], ["float32: float64 comes first, and did not pass"]
    if any((single(p) != p).any() or largest(p) > LARGEST32 for p in here.point):
        return [], ["float32: it does not hold these numbers"]
    twin, wrong = probe.in_dtype(np.float32), []
    try:
        for wide in points(here):
            found = held_to(wide, twin, compare)
            if isinstance(found, str):
                return [], [f"float32: {found}"]
            wrong = [e for e in found if e.verdict != "pass"]
            if found and not wrong:
                least = max(found, key=lambda e: e.difference / e.bound)
                return [replace(least, name="all, in float32", shape=(), evaluations=1)], []
    except (Refused, ArithmeticError, np.linalg.LinAlgError) as error:
        said = error if isinstance(error, Refused) else raises(error)
        return [], [f"float32: the subject {said} there"]
    return wrong, []


def points(here: Measured) -> Iterator[Measured]:
    """The point, and further ones for what disagrees there."""
    yield here
    for _ in range(MOVES):
        near = [p.astype(np.float64) for p in shaken(here.point, here.probe.slots, 1e-3, here.rng)]
        yield measured(here.probe, here.probe.run(near), here.v, here.rng)


def held_to(wide: Measured, twin: Probe, compare: Comparison) -> list[Entry] | str:
    """An entry for each gradient in float32, at a point; or why float32 is elsewhere."""
    here = compare.here
    with overflows() as overflown:
        run = twin.run([p.astype(np.float32) for p in wide.point])
        narrow = twin.reverse(run, here.v)
    most = max(map(largest, wide.gradients), default=0.0)
    finite = np.isfinite([largest(g) for g in narrow]).all()
    if not most <= LARGEST32 or (not finite and (overflown or most > NEARLY * LARGEST32)):
        return "it does not hold the numbers that come up"
    scale = float(np.abs(wide.run.y).max(initial=0))
    if not np.abs(run.y - wide.run.y).max(initial=0) <= 1e-2 * scale + 1e-6:
        if drew_otherwise(wide, twin):
            return OTHER_DRAWS
        return "the forward pass is another one there"
    moved: dict[float, list[Array]] = {}

    def roundoff(i: int, at: Shape) -> float:
        compare.rounding.measure()
        return 8 * EPS32 / EPS * max(map(largest, compare.rounding.moves[i]), default=0.0)

    def roundoff_in_float32(i: int, at: Shape, least: float = 0.0) -> float:
        if least not in moved:
            moved[least] = moves_in_float32(narrow, wide, twin, least)
        # as that entry moves, or most do; a few that jump are no rounding of this one
        far = max(float(moved[least][i][at]), float(np.median(moved[least][i])))
        # what saturates at 1 is rounded as 1 is, however small the slope that is left of it
        return 4 * far + 8 * EPS32 * here.natural * max(1.0, *map(largest, wide.point))

    def roundoff_of_forward(i: int, at: Shape) -> float:
        # what costs y digits, as an ill-conditioned constant does, costs the gradient as many
        return 4 * float(np.abs(run.y - wide.run.y).max()) / scale * largest(wide.gradients[i])

    def roundoff_of_small(i: int, at: Shape) -> float:
        # what is added to 1 on its way, as in sigmoid, is rounded as 1 is
        return roundoff_in_float32(i, at, SMALL)

    entries = leaks(run, narrow, twin)
    for i, slot in enumerate(wide.probe.slots):
        if narrow[i].dtype == np.float32 and narrow[i].size:
            causes = roundoff, roundoff_in_float32, roundoff_of_forward, roundoff_of_small
            rooms = [partial(f, i) for f in causes]
            entries.append(worst(slot, narrow[i], wide.gradients[i], here.terms, rooms))
    if any(e.verdict != "pass" and e.bound for e in entries) and drew_otherwise(wide, twin):
        return OTHER_DRAWS
    return entries


def leaks(run: Run, narrow: Sequence[Array], twin: Probe) -> list[Entry]:
    """What comes out of a pass in float32 as something else."""
    found: list[Entry] = []
    other = run.y.dtype != np.float32 and getattr(twin.subject, "output_kind", "f") == "f"
    if other and not twin.is_loss and twin.loss is None and not run.penalised:
        found.append(leaked("y", run.shape, "forward", run.y.dtype))
    for slot, g in zip(twin.slots, narrow, strict=True):
        if g.dtype != np.float32:
            found.append(leaked(slot.name, slot.shape, "backward", g.dtype))
    return found


def worst(
    slot: Slot, g32: Array, g64: Array, terms: float, rooms: list[Callable[[Shape], float]]
) -> Entry:
    """The number of a gradient that is furthest off; more room is asked for where it has to be."""
    size = largest(g64)
    bound = UNITS * EPS32 * size + float(np.finfo(np.float32).tiny)
    if size <= ZERO * terms:  # all of it cancelled, and float64 kept no trace of what
        bound += UNITS * EPS32 * terms
    off = np.abs(g32 - g64)
    at = place_of(int(np.argmax(off)), off.shape)  # of a NaN, if there is one
    a, n = float(g32[at]), float(g64[at])
    for room in rooms:
        if not abs(a - n) <= bound:
            bound += room(at)
    verdict, reason = "pass", ""
    if not abs(a - n) <= bound:
        units = abs(a - n) / (EPS32 * size) if size else np.inf
        verdict = "fail"
        reason = (
            f"float32 says {a:.6g} for entry {at} and float64 {n:.6g}: "
            f"{units:.0f} units in the last place, of {UNITS}"
        )
    name = f"{slot.name} (float32)"
    return Entry(name, slot.shape, verdict, reason, a, n, bound, size, method="float32")


@contextmanager
def overflows() -> Iterator[list[str]]:
    """A list that holds something once a number was too large for its dtype."""
    found: list[str] = []
    with np.errstate(over="call", call=lambda error, flag: found.append(error)):
        yield found


def moves_in_float32(
    narrow: Sequence[Array], wide: Measured, twin: Probe, least: float
) -> list[Array]:
    """How far each entry of each gradient moves in float32 when all numbers move by some units in
    the last place, of `least` where they are smaller."""
    far = [np.zeros(g.shape) for g in narrow]
    for _ in range(SHAKES):
        near = shaken(wide.point, wide.probe.slots, WIDTH * EPS32, wide.rng, least)
        v = wide.v * (1 + WIDTH * EPS32 * wide.rng.uniform(-1, 1, wide.v.shape))
        try:
            again = twin.reverse(twin.run(near), v)
        except Refused:
            continue
        for f, g, s in zip(far, again, narrow, strict=True):
            move = np.abs(g.astype(np.float64) - s)
            np.fmax(f, np.where(np.isfinite(move), move, 0.0), out=f)
    # of the move itself, a gradient that is not stiff shows little more than this
    return [
        np.maximum(0.0, f - 2 * WIDTH * EPS32 * largest(g))
        for f, g in zip(far, narrow, strict=True)
    ]


def leaked(name: str, shape: Shape, which: str, dtype: np.dtype) -> Entry:
    reason = f"{which} turns float32 into {dtype}: {name} must be of the input's dtype"
    return wrong_outright(f"{name} (float32)", shape, reason, method="float32")
