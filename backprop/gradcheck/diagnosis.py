"""What a wrong gradient looks like, where that is sure enough; silence rather than a guess.

For a gradient that failed, every entry is differenced, output by output: the Jacobian

    J[j, i] = dy_j / dθ_i      numeric = v J      analytic = what backward says

and the two are compared as pictures of each other: one may be the other times a constant, turned
over, moved by one, or a part of the sum. What the forward pass couples (J is not 0) and what the
backward pass couples (dθ for dy = e_j is not 0) are two graphs; an edge that only one of them has,
along one axis only, names the path that is lost or the place that leaks. A sentence needs two
entries that tell it from its neighbours, and the first that fits is told.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from backprop.gradcheck.comparison import Comparison
from backprop.gradcheck.entry import Entry
from backprop.gradcheck.measured import Measured
from backprop.gradcheck.places import Slot
from backprop.gradcheck.probe import Array
from backprop.nest import as_tuple, several

STEPS = (2.0**-12, 2.0**-14)
SECONDS = 2.0  # to spend at most
EVALUATIONS = 6000
OUTPUTS = 512  # one-hot backward passes
CLOSE = 1e-5  # of the largest entry: what counts as equal


@dataclass(frozen=True)
class Case:
    """A wrong gradient, entry by entry: that of slot i."""

    here: Measured
    i: int
    jacobian: Array  # (outputs, entries)
    until: float = np.inf  # to look at other inputs

    @property
    def slot(self) -> Slot:
        return self.here.probe.slots[self.i]

    @cached_property
    def analytic(self) -> Array:
        return self.here.gradients[self.i].astype(np.float64)

    @cached_property
    def numeric(self) -> Array:
        return (self.here.v @ self.jacobian).reshape(self.slot.shape)

    @property
    def y_shape(self) -> tuple[int, ...]:
        """That of the output; () for several, which have no axes in common."""
        return () if several(self.here.run.shape) else self.here.run.shape

    @property
    def x_shape(self) -> tuple[int, ...]:
        """That of the input in question, or of the first."""
        return self.slot.shape if self.is_input else as_tuple(self.here.probe.x)[0].shape

    @property
    def is_input(self) -> bool:
        return self.slot.parameter is None

    def backward(self, v: Array) -> Array:
        """The answer to another upstream gradient."""
        return self.here.probe.reverse(self.here.run, v)[self.i]

    def like(self, other: Array) -> bool:
        """Whether the analytic gradient is `other`, which is not the numeric one."""
        return (
            same(self.analytic, other) and not same(other, self.numeric) and informative(other) >= 2
        )


@np.errstate(all="ignore")  # a step may leave a function's domain
def diagnose(failed: Sequence[Entry], compare: Comparison) -> str | None:
    """A sentence about the first failed gradient that looks like something, or None."""
    here = compare.here
    until = time.monotonic() + SECONDS
    for entry in failed:
        if entry.method != "differences" or not np.isfinite(entry.analytic):
            continue
        try:
            i = here.probe.index(entry.name)
        except ValueError:
            continue
        if 2 * len(STEPS) * here.probe.slots[i].size > EVALUATIONS:
            continue
        jacobian = by_differences(i, here, until)
        if jacobian is None:
            return None
        case = Case(here, i, jacobian, until)
        if not agreed(case, compare):
            continue
        for likeness in LIKENESSES:
            said = likeness(case)
            if said:
                return f"{entry.name}: {said}"
    return None


def agreed(case: Case, compare: Comparison) -> bool:
    """Whether the Jacobian has the slopes that differences settle at, along a direction: its steps
    are too large for a function of a small scale."""
    u = case.here.drawn(case.i)
    entry = compare.along(case.here.alone(case.i, u))
    seen = float((case.numeric * u).sum())
    return abs(seen - entry.numeric) <= max(
        entry.bound, CLOSE * float(np.abs(case.numeric * u).sum())
    )


def by_differences(i: int, here: Measured, until: float) -> Array | None:
    """The Jacobian of slot i; None if that takes too long."""
    probe, slot = here.probe, here.probe.slots[i]
    if here.run.y.size * slot.size > 4_000_000:
        return None
    jacobian = np.zeros((here.run.y.size, slot.size))
    for k in range(slot.size) if slot.still is None else np.flatnonzero(~slot.still):
        if time.monotonic() > until:
            return None
        u = np.zeros(slot.size)
        u[k] = 1.0
        direction = here.alone(i, u.reshape(slot.shape))
        d = [
            (
                probe.outputs(here.point, direction, h, here.run)
                - probe.outputs(here.point, direction, -h, here.run)
            )
            / (2 * h)
            for h in STEPS
        ]
        jacobian[:, k] = d[1] + (d[1] - d[0]) / 15
    return jacobian if np.isfinite(jacobian).all() else None


def same(a: Array, b: Array, close: float = CLOSE) -> bool:
    top = max(float(np.abs(a).max(initial=0)), float(np.abs(b).max(initial=0)))
    return bool(np.abs(a - b).max(initial=0) <= close * top)


def informative(a: Array) -> int:
    """How many entries are clearly not 0."""
    a = np.abs(a)
    return int((a > 1e-3 * a.max(initial=0)).sum())


# ------------------------------------------------------------------------------- one gradient


def upstream_lost(case: Case) -> str | None:
    """The answer to twice the upstream gradient must be twice the answer."""
    run, v = case.here.run, case.here.v
    if case.here.probe.loss is not None or v.size == 0:
        return None
    twice = case.backward(2 * v)
    zero = case.backward(0 * v) if run.penalised else 0.0
    g, twice = case.analytic - zero, twice - zero
    if informative(g) < 1 or same(twice, 2 * g):
        return None
    if same(twice, g):
        return "does not depend on the upstream gradient"
    if same(twice, 4 * g):
        return "goes with the square of the upstream gradient"
    return "is not linear in the upstream gradient"


def left_at_zero(case: Case) -> str | None:
    if not case.analytic.any() and informative(case.numeric) >= 1:
        return "backward leaves it 0: it is never set, or its path is lost"
    return None


def single_precision(case: Case) -> str | None:
    """Right, but for the digits that float32 does not have."""
    g = case.analytic
    if same(g, case.numeric, 1e-6) and np.array_equal(g, g.astype(np.float32)):
        return "right up to rounding, but of float32: some of it is computed in single precision"
    return None


def constant_factor(case: Case) -> str | None:
    """A constant ratio, and what it would stand for where that is only one thing."""
    n, g = case.numeric, case.analytic
    top = np.abs(n) > 1e-3 * np.abs(n).max(initial=0)
    if top.sum() < max(1, min(2, n.size)):  # where all of it is 0 there is no ratio
        return None
    ratio = float(np.median(g[top] / n[top]))
    if not ratio or not same(g, ratio * n, 1e-7 if abs(ratio - 1) < 1e-4 else CLOSE):
        return None
    if np.isclose(ratio, -1, atol=1e-4):
        return "the sign is wrong"
    if abs(ratio - 1) < 1e-4:
        return f"all of it is off by {ratio - 1:.2g} of its size"
    sign = "the sign is wrong, and " if ratio < 0 else ""
    size = abs(ratio)
    if abs(size - 2) < 1e-4:
        return f"{sign}a factor 2 too many"
    if abs(size - 0.5) < 1e-4:
        return f"{sign}missing a factor 2"
    said = f"{sign}it is {ratio:.5g} times what it should be"
    for value, story in ((size, "were missing"), (1 / size, "stood there once too often")):
        whole = round(value)
        if whole > 2 and abs(value - whole) <= 1e-4 * whole:
            known = [f"N, the {whole} samples of the batch"] * (whole == case.x_shape[0])
            known += [f"n, {words}" for words in lengths(case).get(whole, [])[:2]]
            if len(known) == 1:
                letter = known[0][0]
                return f"{said}, as if 1/{letter} {story} ({letter} for {known[0][3:]})"
    return said


def lengths(case: Case) -> dict[int, list[str]]:
    """What a sum or mean may go over, besides the batch, by its length."""
    found: dict[int, list[str]] = {}
    for shape, name in ((case.x_shape, "input"), (case.y_shape, "output")):
        for axis, n in enumerate(shape[1:], start=1):
            words = f"the {n} places along axis {axis}"
            if words not in found.setdefault(n, []):
                found[n].append(words)
        for total, words in (
            (int(np.prod(shape[1:])), f"the numbers in a sample of the {name}"),
            (int(np.prod(shape)), f"all numbers of the {name}"),
        ):
            if total not in found:
                found[total] = [words]
    return found


def turned(case: Case) -> str | None:
    """Transposed, reshaped, flipped, moved by one."""
    n = case.numeric
    axes = tuple(range(n.ndim))
    for order in itertools.permutations(axes) if 2 <= n.ndim <= 4 else ():
        if order == axes:
            continue
        t = n.transpose(order)
        if t.shape == n.shape and case.like(t):
            swapped = [a for a, b in zip(axes, order, strict=True) if a != b]
            if len(swapped) == 2:
                return f"transposed: axes {swapped[0]} and {swapped[1]} are swapped"
            return "transposed: its axes are in another order"
        if t.shape != n.shape and case.like(t.reshape(n.shape)):
            return "reshaped where it should be transposed"
    for k in range(1, n.ndim + 1):
        for some in itertools.combinations(axes, k):
            if case.like(np.flip(n, some)):
                if k == 1 and n.shape[some[0]] == 2:
                    return f"what stands in the two places along axis {some[0]} is swapped"
                return f"turned round along axis {' and '.join(map(str, some))}"
    for axis in axes:
        for by in (1, -1):
            rolled = np.roll(n, by, axis)
            dropped = rolled.copy()
            edge = [slice(None)] * n.ndim
            edge[axis] = slice(0, 1) if by == 1 else slice(-1, None)
            dropped[tuple(edge)] = 0
            if n.shape[axis] > 2 and (case.like(rolled) or case.like(dropped)):
                return f"shifted by one along axis {axis}"
    return None


def of_another_input(case: Case) -> str | None:
    """What belongs to another input of the same shape."""
    for j, slot in enumerate(case.here.probe.slots if case.is_input else ()):
        if j == case.i or slot.parameter is not None or slot.shape != case.slot.shape:
            continue
        other = by_differences(j, case.here, case.until)
        if other is not None and case.like((case.here.v @ other).reshape(slot.shape)):
            return f"it is the gradient of {slot.name}: are they returned in another order?"
    return None


def part_of_a_sum(case: Case) -> str | None:
    """A parameter's gradient is a sum over all outputs; one that lacks some of it."""
    if case.is_input or len(case.y_shape) < 2 or case.here.v.size != int(np.prod(case.y_shape)):
        return None
    terms = (case.here.v[:, None] * case.jacobian).reshape(*case.y_shape, *case.slot.shape)
    for axis in range(len(case.y_shape) - 1):
        over = tuple(a for a in range(len(case.y_shape)) if a != axis)
        by_place = terms.sum(axis=over)
        name = "the batch" if axis == 0 else f"axis {axis} of the output"
        if len(by_place) < 2:
            continue
        for place, word in ((0, "first"), (-1, "last")):
            if case.like(by_place[place]):
                return f"not summed over {name}: only the {word} counts"
    return None


def couplings_lost(case: Case) -> str | None:
    """Who moves whom: the forward pass' graph against the backward pass'."""
    m = case.here.v.size
    if not case.is_input or not case.y_shape or m != int(np.prod(case.y_shape)) or m > OUTPUTS:
        return None
    back = np.array([case.backward(one).ravel() for one in np.eye(m)])
    forward, backward = edges(case.jacobian), edges(back)
    xs = np.indices(case.x_shape).reshape(len(case.x_shape), 1, -1)
    ys = np.indices(case.y_shape).reshape(len(case.y_shape), -1, 1)
    for axis in range(min(len(case.x_shape), len(case.y_shape))):
        if case.x_shape[axis] != case.y_shape[axis] or case.x_shape[axis] < 2:
            continue
        across = xs[axis] != ys[axis]
        there, said = int((forward & across).sum()), int((backward & across).sum())
        same_place = same(
            back[~np.broadcast_to(across, back.shape)],
            case.jacobian[~np.broadcast_to(across, back.shape)],
        )
        if said >= 2 and not there:
            return "samples leak into each other" if axis == 0 else f"leaks along axis {axis}"
        if there >= 2 and not said:
            if axis == 0:
                return "the path through the other samples of the batch is lost"
            last = axis == len(case.x_shape) - 1
            if last and same_place:
                return "only the diagonal counts: what couples the last axis is lost"
            ahead = int((forward & (xs[axis] > ys[axis])).sum())
            if not last and ahead == 0:
                return f"the recurrent path is lost: nothing flows back along axis {axis}"
            return f"the coupling along axis {axis} is lost"
    return None


def edges(jacobian: Array) -> Array:
    return np.abs(jacobian) > 1e-7 * np.abs(jacobian).max(initial=0)


def mean_forgotten(case: Case) -> str | None:
    """An error that is constant along an axis is a mean that was forgotten."""
    e = case.analytic - case.numeric
    top = float(np.abs(e).max(initial=0))
    if not case.is_input or not top:
        return None
    for axis in range(e.ndim):
        if e.shape[axis] < 3:
            continue
        spread = float(np.abs(e - e.mean(axis, keepdims=True)).max())
        varied = float(np.abs(e - e.mean()).max())
        others = e.size // e.shape[axis]
        if spread <= CLOSE * top and others >= 2 and varied > 1e-2 * top:
            return f"off by a constant along axis {axis}: the path through the mean over it is lost"
    return None


def few_entries(case: Case) -> str | None:
    """Some entries only."""
    wrong = np.abs(case.analytic - case.numeric) > CLOSE * np.abs(case.numeric).max(initial=0)
    count = int(wrong.sum())
    if wrong.size >= 8 and 0 < count <= max(1, wrong.size // 8):
        at = ", ".join(str(tuple(map(int, k))) for k in np.argwhere(wrong)[:3])
        which = f"entry {at} is" if count == 1 else f"{count} entries are"
        more = "" if count == 1 else f": {at}{', ...' if count > 3 else ''}"
        return f"of {wrong.size} entries only {which} wrong{more}"
    return None


LIKENESSES = (
    left_at_zero,
    upstream_lost,
    single_precision,
    constant_factor,
    of_another_input,
    turned,
    part_of_a_sum,
    couplings_lost,
    mean_forgotten,
    few_entries,
)
