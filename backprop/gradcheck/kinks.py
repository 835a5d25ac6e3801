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
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backprop.gradcheck.probe import Array, Point, Probe, Run

STEPS = (2.0**-14, 2.0**-16)
OUTPUTS = 8  # with a kink, that get a backward pass of their own
NEARBY = 16  # generic points beside the kink
AWAY = 2.0**-20
CLOSE = 1e-5  # of its size: how well a one-sided slope is known
STRAY = 1e-6  # of all slopes together, for the sum over the outputs without a kink


@dataclass(frozen=True)
class Bracket:
    """What was seen at a kink.

    Attributes
    ----------
    kinked, judged : int
        Outputs with a kink, and those of them that were looked at one by one.
    violation : str
        How the backward pass left its bracket; empty if it did not.
    unsettled : int
        Outputs whose one-sided slopes did not converge: a root at 0, a step.
    difference, bound : float
        Of the outputs without a kink: between backward and differences.
    """

    kinked: int
    judged: int
    violation: str
    unsettled: int
    difference: float
    bound: float


def bracket(
    probe: Probe,
    point: Point,
    run: Run,
    v: Array,
    direction: Sequence[Array | None],
    rng: np.random.Generator,
) -> Bracket:
    """Judge the backward pass at a point with kinks, along a direction."""

    def along(gradients: list[Array]) -> float:
        return sum(
            float((g * u).sum()) for g, u in zip(gradients, direction, strict=True) if u is not None
        )

    def slope(run: Run, weights: Array, offset: float) -> float:
        return along(probe.reverse(run, weights)) - offset

    right, left = [], []
    for h in STEPS:
        right.append((probe.run(point, direction, h).y - run.y) / h)
        left.append((run.y - probe.run(point, direction, -h).y) / h)
    finite = np.isfinite([*right, *left]).all(0)
    r, drift_r = limit(right)
    l, drift_l = limit(left)
    size = np.abs(r) + np.abs(l)
    rounding = 16 * np.finfo(np.float64).eps * np.abs(run.y) / STEPS[-1]
    settled = finite & (np.maximum(drift_r, drift_l) <= 1e-2 * size + rounding)
    kinked = settled & (np.abs(r - l) > 1e-3 * size + rounding)
    smooth = settled & ~kinked

    # a penalty's gradient comes whatever dy is
    offset = along(probe.reverse(run, np.zeros_like(v))) if run.penalised else 0.0
    known = CLOSE * size + rounding + 1e-3 * np.maximum(drift_r, drift_l)
    penalty = 1 if run.penalised else 0
    seen = float((v * (r + l) / 2)[: v.size - penalty][smooth[: v.size - penalty]].sum())
    said = slope(run, np.where(smooth, v, 0.0), offset)
    difference = abs(said - seen)
    bound = STRAY * float((np.abs(v) * size)[smooth].sum()) + float(
        (np.abs(v) * (rounding + 1e-3 * np.maximum(drift_r, drift_l)))[smooth].sum()
    )
    # a kink along which both sides are as good as one, by accident: what ties has one direction
    bound += float((np.abs(v) * np.abs(r - l))[smooth].sum())
    candidates = np.flatnonzero(kinked[: v.size - penalty])
    chosen = rng.choice(candidates, min(OUTPUTS, candidates.size), replace=False)
    violation = ""
    for j in chosen:
        one = np.zeros_like(v)
        one[j] = 1.0
        a = slope(run, one, offset)
        low, high = min(l[j], r[j]) - known[j], max(l[j], r[j]) + known[j]
        if low <= a <= high:
            continue
        low, high, pointwise = hull(probe, point, one, direction, (float(low), float(high)), rng)
        if a == 0 and pointwise:  # each of the kinks that meet in this one number has slope 0
            continue
        if not low <= a <= high:
            where = tuple(map(int, np.unravel_index(j, run.shape))) if run.shape else ""
            violation = (
                f"at a kink backward says {a:.6g} for output {where}, and the slopes on its sides "
                f"are {l[j]:.6g} and {r[j]:.6g}"
            )
            break
    return Bracket(
        int(kinked.sum()), len(chosen), violation, int((~settled).sum()), difference, bound
    )


def limit(slopes: list[Array]) -> tuple[Array, Array]:
    """The slope at h = 0 from those at two steps, and how far they moved."""
    coarse, fine = slopes
    with np.errstate(all="ignore"):
        return (4 * fine - coarse) / 3, np.abs(fine - coarse)


def hull(
    probe: Probe,
    point: Point,
    one: Array,
    direction: Sequence[Array | None],
    known: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[float, float, bool]:
    """The least and the greatest slope of an output at generic points very near, and whether it
    depends on a single number."""
    found: list[float] = []
    support: list[Array] = [np.zeros(p.shape, bool) for p in point]
    for _ in range(NEARBY):
        away = [AWAY * rng.uniform(-1, 1, p.shape) * np.maximum(np.abs(p), 1) for p in point]
        near = probe.run([p + a for p, a in zip(point, away, strict=True)])
        gradients = probe.reverse(near, one)
        if near.penalised:  # a penalty's gradient comes whatever dy is
            none = probe.reverse(near, np.zeros_like(one))
            gradients = [g - n for g, n in zip(gradients, none, strict=True)]
        slope = 0.0
        for g, u, s in zip(gradients, direction, support, strict=True):
            if u is not None:
                slope += float((g * u).sum())
                s |= g != 0
        found.append(slope)
    low, high = min(found), max(found)
    margin = 1e-4 * (abs(low) + abs(high))
    if len(np.unique(np.round(found, 6))) > 4:  # so many kinks that not all sides were seen
        margin += (high - low) / 2
    pointwise = sum(int(s.sum()) for s in support) <= 1
    return min(known[0], low - margin), max(known[1], high + margin), pointwise
