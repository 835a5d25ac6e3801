"""Points at which a rule could have an exception, and a quick look at each.

A mistake at exactly 1/4, at a prediction that is its target or beyond a thousand is met by no
number that is drawn. So a case is carried to some eighty places that authors think of: grids, far
scales, both sides of a kink, slices of zeros, equal numbers, parameters that are 0 or 1. There the
slope in one direction is compared with a plain difference, for the price of three passes; what does
not agree is suspected, no more: `gradcheck` decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from backprop.gradcheck.point import allowed, signs
from backprop.nest import as_tuple, each
from backprop.testing.case import Case, Subject
from backprop.testing.made_numbers import bounds_of
from backprop.testing.results import Results

Array = np.ndarray

STEP, FINER = 1e-5, 1e-7  # of a difference, as a share of numbers that are larger than 1
CLOSE = 1e-7  # of all terms of a slope: what a difference of such a step may be off
ROUNDED = 3e-15  # of all terms of φ, and of 1, by rounding; a slope is off by it over the step
SCATTERS = 8  # times what slopes next to a point differ by among each other
KINKED = 1e-3  # of all terms of a slope: sides that differ by more have a kink between them
GAP = 1e-6  # of all terms of φ: what differs by more is another y
BESIDE, BESIDE_ZERO = 2.0**-46, 1e-200  # how far the neighbours of a point are, as a share of it

GRIDS = (4, 8, 16, 10)
SCALES = (-310, -100, -20, -13, -9, -7, -5, -4, -3, -2, 1, 2, 3, 4, 5, 6, 7)
TRIFLES = (5e-3, 5e-4, 5e-5, 5e-6, 5e-7)


# -------------------------------------------------------------------------------------- places


def special_inputs(case: Case) -> Iterator[tuple[str, Case]]:
    """The case at other numbers, and what they are. Where the author gave bounds they hold; where
    nobody knows what x is like, as of an array that is given, nothing is put in its place."""
    found = {id(a): bounds_of(a) for a in case.floats}
    known = {key: bounds for key, bounds in found.items() if bounds is not None}
    if known and len(known) == len(found):
        for what, f in changes(case):
            yield what, case.changed(lambda x, f=f: f(x, *known[id(x)]))
    yield from exact_predictions(case)


def changes(case: Case) -> Iterator[tuple[str, Any]]:
    """What is done to each input, by (x, low, high), and in words."""
    rng = case.rng(30)

    def free(f: Any) -> Any:
        return lambda x, low, high: f(x) if low is None and high is None else x

    def held(f: Any) -> Any:
        return lambda x, low, high: x if low is None and high is None else f(x)

    def within(f: Any) -> Any:
        return lambda x, low, high: inside(f(x), x, low, high)

    for q in GRIDS:
        yield f"in steps of 1/{q}", within(lambda x, q=q: np.round(q * x) / q)
    yield "whole", within(lambda x: np.round(4 * x))
    for c in (0.0, -0.0, 1.0, -1.0, 0.5, 2.0):
        yield f"{c:g} everywhere", within(lambda x, c=c: np.full_like(x, c))
    for k in SCALES:
        yield f"of size 1e{k}", free(lambda x, k=k: x * 10.0**k)
    for low, high in ((1.0, 30.0), (3.0, 16.0), (5.0, 10.0)):
        yield (
            f"from {low:g} to {high:g}, evenly and of both signs",
            free(lambda x, low=low, high=high: spread(x, low, high)),
        )
    for e in TRIFLES:
        off = rng.choice([-1.0, 1.0])
        yield (
            f"{e:g} beside multiples of 1/2",
            within(lambda x, e=e, off=off: np.round(2 * x) / 2 + beside(x, e, off)),
        )
    yield "positive", free(np.abs)
    yield "negative", free(lambda x: -np.abs(x))
    yield "in ascending order", free(lambda x: np.sort(x, -1))
    yield "in descending order", free(lambda x: -np.sort(-x, -1))
    yield "1 at one place of each row, and 0 elsewhere", free(one_hot)
    most = max(a.ndim for a in case.floats)
    for axis in range(most):
        at = rng.random()
        yield f"0 in a slice along axis {axis}", free(lambda x, a=axis, at=at: sliced(x, a, at))
        yield f"equal along axis {axis}", within(lambda x, a=axis: levelled(x, a))
        yield f"equal in two slices along axis {axis}", within(lambda x, a=axis: twice(x, a))


def inside(wanted: Array, x: Array, low: float | None, high: float | None) -> Array:
    """What is wanted, where the bounds leave room for it and for a step to both sides."""
    low = -np.inf if low is None else low + 1e-3
    high = np.inf if high is None else high - 1e-3
    return np.where((wanted > low) & (wanted < high), wanted, x)


def spread(x: Array, low: float, high: float) -> Array:
    """Sizes from low to high that are evenly far apart on a scale of logarithms, in the order of
    those of x, whose signs stay."""
    n = max(x.size, 1)
    ranks = np.argsort(np.argsort(np.abs(x), axis=None)).reshape(x.shape)
    return np.copysign(low * (high / low) ** ((ranks + 0.5) / n), x)


def beside(x: Array, e: float, sign: float) -> Array:
    """A trifle to both sides, no two of which are equal."""
    places = np.arange(x.size).reshape(x.shape)
    return sign * e * (1 + 0.3 * (places * 0.618 % 1)) * np.where(places % 2, -1.0, 1.0)


def one_hot(x: Array) -> Array:
    if not x.ndim or not x.size:
        return x
    return np.where(np.arange(x.shape[-1]) == np.argmax(x, -1)[..., None], 1.0, 0.0)


def sliced(x: Array, axis: int, at: float) -> Array:
    if axis >= x.ndim or not x.size:
        return x
    x = x.copy()
    np.moveaxis(x, axis, 0)[int(at * x.shape[axis])] = 0.0
    return x


def levelled(x: Array, axis: int) -> Array:
    if axis >= x.ndim or not x.size:
        return x
    return np.broadcast_to(np.take(x, [0], axis), x.shape).copy()


def twice(x: Array, axis: int) -> Array:
    if axis >= x.ndim or not x.size:
        return x
    x = x.copy()
    along = np.moveaxis(x, axis, 0)
    along[-1] = along[0]
    return x


def exact_predictions(case: Case) -> Iterator[tuple[str, Case]]:
    """Of a loss, predictions that are their targets, where both are numbers of one kind."""
    t = case.y_true
    if t is None or t.shape != case.x.shape or t.dtype.kind != "f":
        return
    bounds, x = bounds_of(case.x), case.x
    if bounds is None or not t.size:
        return
    rng = case.rng(31)
    for share in (0.3, 1.0):
        there = inside(np.where(rng.random(x.shape) < share, t, x), x, *bounds)
        yield "the target" if share == 1 else "the target at some places", case.with_x(there)
    if bounds == (None, None):
        far = rng.choice([-1.0, 1.0], x.shape)
        for k in (1, 2, 3, 4, 6):
            yield f"1e{k} and more from the target", case.with_x(t + far * 10.0**k + x)
    whole = np.round(2 * t) / 2
    if bounds == (None, None) and not np.array_equal(t, whole):
        for what, there in special_inputs(replace(case, y_true=None)):
            if what.startswith(("in steps", "whole", "5e")):
                yield f"{what}, as the target is", replace(there, y_true=whole)


def special_parameters(subject: Subject) -> Iterator[str]:
    """The subject at other values of a parameter, one after the other, and what they are; as
    it was in the end."""
    for p in subject.parameters:
        value = p.value.copy()
        changed = {
            "0": np.zeros_like(value),
            "1": np.ones_like(value),
            "0.5 everywhere": np.full_like(value, 0.5),
            "in steps of 1/4": np.round(4 * value) / 4,
            "of size 1e-4": 1e-4 * value,
            "of size 1e-10": 1e-10 * value,
            "of size 1e3": 1e3 * value,
            "negative": -np.abs(value),
        }
        for what, wanted in changed.items() if value.size else ():
            p.value[...] = allowed(p, wanted)
            if np.array_equal(p.value, wanted):
                yield f"{p.name} is {what}"
        p.value[...] = value


# --------------------------------------------------------------------------------------- looks


def off_lattice(case: Case) -> Case:
    """The case with what is a multiple of 1/2 a little beside it: kinks are there, and have a law
    of their own."""

    def moved(x: Array) -> Array:
        return np.where(np.mod(2 * x, 1) == 0, x + beside(x, 5e-3, 1.0), x)

    return case.changed(moved)


class Look:
    """φ(h) = <v, F(point + h u)> around a case, and what backward says of its slope at 0.

    Inputs and parameters move together; each by a share of its size, but for what is small.
    """

    def __init__(self, subject: Subject, case: Case, step: float = STEP):
        self.subject, self.case, self.step = subject, case, step
        rng = case.rng(32)
        self.values = [p.value.copy() for p in subject.parameters]
        self.u_x = each(lambda x: along(x, rng) if x.dtype.kind == "f" else None, case.x)
        self.u_p = [along(value, rng) for value in self.values]
        y, cache = subject.forward(case)
        self.v = case.dy(y, 33)
        phi = self.value(y)
        found = subject.reversed(subject.backward(self.v, cache))
        self.names, self.terms = list(found), self.products(found)
        self.slope = float(sum(t.sum() for t in self.terms))
        self.size = float(sum(np.abs(t).sum() for t in self.terms))
        self.phi, self.scale = phi
        self.finite = bool(np.isfinite(self.slope) and np.isfinite(self.phi))
        if self.finite:
            self.plus, self.minus = self.at(step), self.at(-step)
            self.finite = bool(np.isfinite(self.plus) and np.isfinite(self.minus))

    def products(self, found: Results) -> list[Array]:
        """Each gradient times the direction."""
        return [np.asarray(u * a) for u, a in zip(self.directions, found.values(), strict=True)]

    @property
    def directions(self) -> list[Array]:
        return [*(u for u in as_tuple(self.u_x) if u is not None), *self.u_p]

    def value(self, y: Any) -> tuple[float, float]:
        """φ, with what the pass that made y adds to the loss, and the sum of the sizes of its
        terms, at least 1: where a loss is 0 it is the sum of what is not."""
        terms = [
            np.asarray(v * a)
            for v, a in zip(as_tuple(self.v), as_tuple(y), strict=True)
            if a is not None and np.asarray(a).dtype.kind == "f"
        ]
        if not self.case.is_loss:
            terms += [np.asarray(p) for p in self.subject.penalties or ()]
        size = float(sum(np.abs(t).sum() for t in terms))
        return float(sum(t.sum() for t in terms)), max(size, 1.0)

    def moved(self, h: float) -> Case:
        """The case a step along; parameters are moved too."""
        for p, value, u in zip(self.subject.parameters, self.values, self.u_p, strict=True):
            p.value[...] = value + h * u
        x = as_tuple(self.case.x)
        found = [a if u is None else a + h * u for a, u in zip(x, as_tuple(self.u_x), strict=True)]
        return self.case.with_x(tuple(found) if type(self.case.x) is tuple else found[0])

    def back(self) -> None:
        for p, value in zip(self.subject.parameters, self.values, strict=True):
            p.value[...] = value

    def at(self, h: float) -> float:
        try:
            return self.value(self.subject.forward(self.moved(h))[0])[0]
        finally:
            self.back()

    def next_to(self, steps: int) -> tuple[float, float]:
        """φ, and what backward says of its slope, at a number next to each: to its left or right,
        so many steps away."""

        def near(a: Array, u: Array) -> Array:
            u = u / scale_of(a)
            return np.where(a == 0, steps * BESIDE_ZERO * u, a * (1 + steps * BESIDE * np.abs(u)))

        x = as_tuple(self.case.x)
        found = [a if u is None else near(a, u) for a, u in zip(x, as_tuple(self.u_x), strict=True)]
        at = self.case.with_x(tuple(found) if type(self.case.x) is tuple else found[0])
        for p, value, u in zip(self.subject.parameters, self.values, self.u_p, strict=True):
            p.value[...] = near(value, u)
        try:
            y, cache = self.subject.forward(at)
            back = self.subject.reversed(self.subject.backward(self.v, cache))
            return self.value(y)[0], float(sum(t.sum() for t in self.products(back)))
        finally:
            self.back()

    def agrees(self, slope: float) -> bool:
        """Whether a slope is that of the difference."""
        wanted = (self.plus - self.minus) / (2 * self.step)
        return abs(wanted - slope) <= CLOSE * self.share + ROUNDED / self.step * self.scale

    def is_rounding(self, moves: Mapping[str, float]) -> bool:
        """Whether what rounding moves each gradient by explains that the slope is another one."""
        spread = sum(
            8 * moves[name] * float(np.abs(u).sum())
            for name, u in zip(self.names, self.directions, strict=True)
        )
        return abs((self.plus - self.minus) / (2 * self.step) - self.slope) <= spread

    @property
    def share(self) -> float:
        """The size of a slope's terms, as backward says or as the difference needs at least."""
        return max(self.size, abs(self.plus - self.minus) / (2 * self.step))

    @property
    def sides(self) -> tuple[float, float]:
        """The slopes to the left and to the right, the lower first."""
        left, right = (self.phi - self.minus) / self.step, (self.plus - self.phi) / self.step
        return (left, right) if left < right else (right, left)

    @property
    def kinked(self) -> bool:
        """Whether there is a kink, or a jump, within a step."""
        low, high = self.sides
        return high - low > KINKED * self.share + 4 * ROUNDED / self.step * self.scale

    @property
    def looks_wrong(self) -> bool:
        """Whether backward disagrees with the difference, and not by a slope between those of the
        two sides of a kink."""
        if not self.finite or self.agrees(self.slope):
            return False
        (low, high), slack = self.sides, 1e-4 * self.share
        return not (self.kinked and low - slack <= self.slope <= high + slack)

    def is_alone(self) -> bool:
        """Whether backward says otherwise on both sides, and what differences say: then the point
        is wrong, and no kink. Nor is it a cliff, which y falls down between the two: a tie of large
        scores in a softmax has no width. Slopes that rounding makes differ by as much from one
        neighbour to the next as from the point say nothing."""
        (before, left), (behind, right) = (self.next_to(sign) for sign in (-1, 1))
        falls = abs(behind - before) > GAP * self.scale
        if falls or not (self.agrees(left) and self.agrees(right)):
            return False
        slopes = [left, right, *(self.next_to(steps)[1] for steps in (-5, -3, 3, 5))]
        off = min(abs(self.slope - left), abs(self.slope - right))
        return off > SCATTERS * (max(slopes) - min(slopes))

    @property
    def is_a_hole(self) -> bool:
        """Whether y is another one than on both sides, where it is the same: no jump is like
        that."""
        low, high = self.sides
        if not self.finite or high - low < self.share / KINKED or low * high > 0:
            return False
        near = [self.next_to(sign)[0] for sign in (-1, 1)]
        # what y changes by from there to a whole step is next to nothing beside the gap
        changes = max(abs(near[0] - near[1]), abs(self.plus - near[1]), abs(self.minus - near[0]))
        return max(changes / KINKED, GAP * self.scale) < abs(self.phi - near[0])


def along(value: Array, rng: np.random.Generator) -> Array:
    """A direction, in units of the largest of the numbers that is moved, or of 1."""
    return signs(value.shape, rng) * scale_of(value)


def scale_of(value: Array) -> float:
    return max(1.0, float(np.max(np.abs(value), initial=0.0)))
