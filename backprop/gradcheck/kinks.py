"""Where a function has two slopes, the backward pass may say either, or one in between.

Each entry y_j of the output has, along a direction u, a slope to the right and one to the left of
the point,

    r_j = lim (y_j(h) - y_j(0)) / h        l_j = lim (y_j(0) - y_j(-h)) / h        h ↓ 0

extrapolated from two steps. Where they agree, the backward pass must agree with both. Where they
differ there is a kink, and what backward makes of dy = e_j must lie between them. Output by output,
because a sum over outputs hides what one of them does: a pooling that pays every pixel that ties is
within the sum of the brackets.

Several kinks that meet in one output may have a slope that is outside of both and still right:
relu(a) - relu(b) along (1, -1) has the slopes 1 and 1, and 0 by relu'(0) = 0. So a slope outside
the bracket is compared with the slopes that backward gives at generic points very near, where there
are no kinks and the check has been passed: it must lie between the least and the greatest. Where
an output depends on a single number, 0 is accepted as well: it is what the sum of two rectifiers,
relu(x) - alpha relu(-x), has at 0, and what Keras' PReLU says there.

Where three numbers tie, their middle has one slope along each direction and none as a function:
s(u) + s(w) is not s(u + w). Outputs of which that shows are judged as those at a kink, where it is
not just a stiff function that looks so: very near it has one slope again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from backprop.gradcheck.entry import Entry
from backprop.gradcheck.measured import Measured
from backprop.gradcheck.noise import EPS
from backprop.gradcheck.passes import Refused
from backprop.gradcheck.places import Direction, paired
from backprop.gradcheck.probe import Array, largest
from backprop.gradcheck.slopes import FINEST

Steps = tuple[float, float]
STEPS: Steps = (2.0**-14, 2.0**-16)
FINER: tuple[Steps, ...] = ((2.0**-22, 2.0**-24), (2.0**-28, 2.0**-30))  # where some do not settle
LOST = 2.0**-40  # of the largest number: in a step below, its rounding is all that is seen
OUTPUTS = 8  # with a kink, that get a backward pass of their own
NEARBY = 16  # generic points beside the kink, and more of them before one is accused:
MORE = (NEARBY, 4 * NEARBY, 64 * NEARBY)  # the last where many kinks meet, some in thin wedges
WEDGE = 2.0**-6  # of what others are apart: numbers that nearly tie
MANY = 1e-2  # of the slopes nearby: by how much they differ at a tie
OTHERS = 16  # further directions, which tell ties from what has one slope
AWAY = 2.0**-20
NEARER = 2.0**-12  # from there: what still has other slopes on all sides is no curve
CLOSE = 1e-5  # of its size: how well a one-sided slope is known
CLOSER = 1 / 64  # from one step to the next where backward is about to be accused
SMALLEST = 2.0**-100  # where neither the numbers nor rounding set an end
STRAY = 1e-6  # of all slopes together, for the sum over the outputs without a kink


@dataclass(frozen=True)
class Bracket:
    """What was seen at a kink.

    Attributes
    ----------
    kinked : int
        Outputs with a kink.
    violation : str
        How the backward pass left its bracket; empty if it did not.
    unsettled : int
        Outputs whose one-sided slopes did not converge: a root at 0, a step.
    ties : int
        Outputs of numbers that tie, where backward is beside all slopes nearby, as of the hue of a
        grey pixel, and those with a kink beside such ones: no function of one direction tells.
    jumps : float
        By how much the slopes on the two sides differ at the outputs with a kink, all together:
        more of a disagreement they do not explain. Infinite where numbers tie.
    difference, bound : float
        Of the outputs without a kink: between backward and differences; NaN where these had settled
        by accident.
    step : float
        The smaller of the two, as a share of the size of the numbers that it moved.
    """

    kinked: int
    violation: str
    unsettled: int
    ties: int
    jumps: float
    difference: float
    bound: float
    step: float

    @property
    def off(self) -> str:
        """How the outputs without a kink disagree."""
        return f"backward is off by {self.difference:.6g}, where there is no kink"

    def passing(self, entry: Entry, reason: str = "") -> Entry:
        """The entry, which passes by the slopes on both sides."""
        return replace(
            entry,
            verdict="pass",
            reason=reason,
            method="kinks",
            bound=self.bound,
            seen=0.0,
            step=self.step,
            analytic=self.difference,
            numeric=0.0,
        )

    def failing(self, entry: Entry, where: str = "") -> Entry:
        """The entry, which fails by how the backward pass left the bracket."""
        reason = where + self.violation
        return replace(entry, verdict="fail", reason=reason, method="kinks", step=self.step)


class Sides:
    """The slopes r and l of every output along a direction, and how well they are known."""

    def __init__(self, here: Measured, direction: Direction, steps: Steps = STEPS):
        run = here.run
        self.here, self.direction, self.steps = here, direction, steps
        self.nearer: dict[float, tuple[Array, Array]] = {}
        self.hulls: dict[tuple[int, int], Hull] = {}
        right, left = zip(*[self.at(h) for h in steps], strict=True)
        finite = np.isfinite([*right, *left]).all(0)
        self.r, drift_r = limit(right)
        self.l, drift_l = limit(left)
        self.size = np.abs(self.r) + np.abs(self.l)
        moved = zip(here.point, direction, strict=True)
        self.top = max(largest(np.where(u, p, 0.0)) for p, u in moved if u is not None)
        # of y, or where that is what is left of a cancellation, of what it is made of; and of the
        # numbers that are moved: a step is another one than was asked for
        made_of = np.maximum(np.abs(run.y), typical(run.y))
        self.rounding = (16 * EPS * made_of + EPS * self.top * self.size) / steps[-1]
        self.drift = np.maximum(drift_r, drift_l)
        # a slope that goes to 0 with the step, as that of x² at 0, is one of size 0
        going = np.maximum(*[np.abs(fine) / np.abs(coarse) for coarse, fine in (right, left)]) < 0.3
        differ = ~going & (np.abs(self.r - self.l) > 1e-3 * self.size + self.rounding)
        self.settled = finite & (going | (self.drift <= 1e-2 * self.size + self.rounding))
        self.jumps = np.maximum(0.0, np.abs(self.r - self.l) - self.rounding)
        self.kinked, self.smooth = self.settled & differ, self.settled & ~differ

    def at(self, h: float) -> tuple[Array, Array]:
        """The slopes on both sides over a step."""
        if h not in self.nearer:
            run, point, probe = self.here.run, self.here.point, self.here.probe
            right = (probe.outputs(point, self.direction, h, run) - run.y) / h
            left = (run.y - probe.outputs(point, self.direction, -h, run)) / h
            self.nearer[h] = right, left
        return self.nearer[h]

    @cached_property
    def bent(self) -> Array:
        """Outputs that have a slope along the direction which is not linear in it, as the middle of
        three equal numbers: it goes up as far as down, and is no kink along any direction."""
        here, bent = self.here, np.zeros(self.r.shape, bool)
        for _ in range(OTHERS):
            other = [None if u is None else here.drawn(i) for i, u in enumerate(self.direction)]
            both = [
                None if u is None else u + w for u, w in zip(self.direction, other, strict=True)
            ]
            (w, drift_w), (sum_, drift) = self.along(other), self.along(both)
            known = self.rounding + 4 * (self.drift + drift_w + drift)
            size = np.abs(self.r) + np.abs(w) + np.abs(sum_)
            bent |= np.abs(self.r + w - sum_) > 1e-3 * size + known
        return self.smooth & bent

    def along(self, direction: Direction) -> tuple[Array, Array]:
        """The slopes to the right along another direction, and how far they moved."""
        run, point, probe = self.here.run, self.here.point, self.here.probe
        return limit([(probe.outputs(point, direction, h, run) - run.y) / h for h in self.steps])

    def hold(self, w: Array, a: float, low: float, high: float) -> bool:
        """Whether smaller steps, as far as rounding lets `a` be told apart, see the slope of <w, y>
        between these as well. A function may change on a scale that is far below the steps."""
        if not np.isfinite(a):
            return True
        off, top = max(low - a, a - high), self.top
        if self.here.natural < max(SMALLEST, FINEST * top) * abs(a):  # no step is as small as that
            return False
        some = np.flatnonzero(w)
        w, size = w[some], float(np.abs(w[some]) @ self.size[some])
        noise = self.steps[-1] * float(np.abs(w) @ self.rounding[some]) + EPS * top * (
            size + abs(a)
        )
        h = self.steps[-1] * CLOSER
        while h > max(SMALLEST, 8 * noise / off):
            for side in self.at(h):
                if not low - noise / h <= w @ side[some] <= high + noise / h:
                    return False
            h *= CLOSER
        return True

    def between(self, j: int) -> tuple[float, float]:
        """What the slope of output j must lie between."""
        r, l = self.r[j], self.l[j]
        known = CLOSE * self.size[j] + self.rounding[j] + 1e-3 * self.drift[j]
        return float(min(l, r) - known), float(max(l, r) + known)


def bracket(here: Measured, direction: Direction) -> Bracket:
    """Judge the backward pass at a point with kinks, along a direction; with smaller steps where
    numbers that nearly tie do not let all outputs settle."""
    sides = Sides(here, direction)
    first = judged(sides)
    if not first.unsettled or first.violation:
        return first
    told = [steps for steps in FINER if steps[-1] >= LOST * sides.top]
    finer = (judged(Sides(here, direction, steps)) for steps in told)
    return next((found for found in finer if not found.unsettled), first)


def judged(sides: Sides) -> Bracket:
    here, direction = sides.here, sides.direction
    probe, run, v = here.probe, here.run, here.v

    def backward(weights: Array) -> float:
        """The slope along the direction that backward gives for an upstream gradient."""
        return paired(probe.reverse(run, weights), direction)

    # a penalty's gradient comes whatever dy is
    offset = backward(np.zeros_like(v)) if run.penalised else 0.0
    outputs = slice(v.size - run.penalised)
    smooth = sides.smooth

    def compared(some: Array) -> tuple[float, float, float]:
        """By how much backward is off for some outputs, what explains it, and what was seen."""
        seen = float((v * (sides.r + sides.l) / 2)[outputs][some[outputs]].sum())
        off = abs(backward(np.where(some, v, 0.0)) - offset - seen)
        known = STRAY * sides.size + sides.rounding + 1e-3 * sides.drift
        # a kink along which both sides are as good as one, by accident: what ties has one direction
        known += np.abs(sides.r - sides.l)
        return off, float((np.abs(v) * known)[some].sum()), seen

    difference, bound, seen = compared(smooth)
    kinked, tied = sides.kinked, np.zeros_like(smooth)
    if difference > bound:
        tied = sides.bent
        smooth, kinked = smooth & ~tied, kinked | tied
        difference, bound, seen = compared(smooth)
    if difference > bound and not sides.hold(
        np.where(smooth, v, 0.0)[outputs], seen + difference, seen - bound, seen + bound
    ):
        difference = np.nan
    candidates = np.flatnonzero(kinked[outputs])
    chosen = here.rng.choice(candidates, min(OUTPUTS, candidates.size), replace=False)
    unsettled, ties, violation = int((~sides.settled).sum()), 0, ""
    for j in chosen:
        a = backward(unit(j, v)) - offset
        said = outside(j, a, sides, here, direction, room=float(tied[j]))
        doubtful = bool(said) and not tied[j] and sides.bent.any()
        if doubtful and not outside(j, a, sides, here, direction, room=1.0):
            ties += 1  # what ties may as well be clipped, and have two slopes for that
            continue
        if said and sides.hold(unit(j, v), a, *sides.between(j)):
            violation = said
            break
        least, low, high = nearest(j, sides, here, direction) if tied[j] else (0.0, a, a)
        unsettled += bool(said) or high - low < least
        ties += not low <= a <= high
    return Bracket(
        kinked=int(kinked.sum()),
        violation=violation,
        unsettled=unsettled,
        ties=ties,
        jumps=np.inf if ties or tied.any() else float((np.abs(v) * sides.jumps)[kinked].sum()),
        difference=difference,
        bound=bound,
        step=here.share(sides.steps[-1], direction),
    )


def nearest(j: int, sides: Sides, here: Measured, direction: Direction) -> tuple[float, ...]:
    """How far the slopes of output j differ very near if numbers tie there, and between which they
    are: what is only stiff has fewer slopes the nearer one looks."""
    near = hull(here, unit(j, here.v), direction, sides.between(j), NEARER * AWAY)
    return MANY * max(abs(near.low), abs(near.high)), near.low, near.high


def outside(
    j: int, a: float, sides: Sides, here: Measured, direction: Direction, room: float
) -> str:
    """How `a`, the slope by backward of output j, leaves its bracket by more than a share of the
    slopes nearby; empty if it does not."""
    low, high = sides.between(j)
    if low <= a <= high:
        return ""
    for points in MORE:
        if (j, points) not in sides.hulls:  # it is asked for with room and without
            one = unit(j, here.v)
            sides.hulls[j, points] = hull(here, one, direction, (low, high), points=points)
        near = sides.hulls[j, points]
        low, high = near.low, near.high
        more = room * (high - low)
        if low - more <= a <= high + more or (a == 0 and near.pointwise):
            return ""  # or each of the kinks that meet in this one number has slope 0
        if points > NEARBY and not near.many:
            break
    return (
        f"at a kink backward says {a:.6g} for output {here.run.where(j)}, and the "
        f"slopes on its sides are {sides.l[j]:.6g} and {sides.r[j]:.6g}"
    )


def typical(y: Array) -> float:
    """The median size of numbers that are not 0."""
    sizes = np.abs(y[y != 0])
    return float(np.median(sizes)) if sizes.size else 0.0


def unit(j: int, v: Array) -> Array:
    """e_j, of the shape of v."""
    one = np.zeros_like(v)
    one[j] = 1.0
    return one


def limit(slopes: Sequence[Array]) -> tuple[Array, Array]:
    """The slope at h = 0 from those at two steps, and how far they moved."""
    coarse, fine = slopes
    with np.errstate(all="ignore"):
        return (4 * fine - coarse) / 3, np.abs(fine - coarse)


def beside(shape: tuple[int, ...], tying: bool, rng: np.random.Generator) -> Array:
    """Numbers from -1 to 1; or such that many nearly tie, as pieces may be thin wedges there."""
    moves = rng.uniform(-1, 1, shape)
    if tying:
        moves = (np.round(2 * moves) + WEDGE * rng.uniform(-1, 1, shape)) / 2
    return moves


class Hull(NamedTuple):
    """The least and the greatest slope of an output very near, whether it depends on a single
    number, and whether it has more than the two slopes of one kink."""

    low: float
    high: float
    pointwise: bool
    many: bool


def hull(
    here: Measured,
    one: Array,
    direction: Direction,
    known: tuple[float, float],
    away: float = AWAY,
    points: int = 4 * NEARBY,
) -> Hull:
    """The slopes of an output at generic points very near."""
    probe, point, rng = here.probe, here.point, here.rng
    found: list[float] = []
    support: list[Array] = [np.zeros(p.shape, bool) for p in point]
    for k in range(points):
        moves = [away * beside(p.shape, k % 2 > 0, rng) * np.maximum(np.abs(p), 1) for p in point]
        try:
            near = probe.run([p + move for p, move in zip(point, moves, strict=True)])
            gradients = probe.reverse(near, one)
            if near.penalised:  # a penalty's gradient comes whatever dy is
                none = probe.reverse(near, np.zeros_like(one))
                gradients = [g - n for g, n in zip(gradients, none, strict=True)]
        except Refused:
            continue
        for g, u, s in zip(gradients, direction, support, strict=True):
            if u is not None:
                s |= g != 0
        found.append(paired(gradients, direction))
    if not found:
        return Hull(*known, pointwise=False, many=False)
    low, high = min(found), max(found)
    margin = 1e-4 * (abs(low) + abs(high))
    many = len(np.unique(np.round(found, 6))) > 2
    if many:  # not all sides may have been seen
        margin += (high - low) / 2
    pointwise = sum(int(s.sum()) for s in support) <= 1
    return Hull(min(known[0], low - margin), max(known[1], high + margin), pointwise, many)
