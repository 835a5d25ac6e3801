"""Laws of the values: float32 gives what float64 gives, a naive forward pass agrees, and what is
finite stays so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from backprop.gradcheck.point import allowed
from backprop.nest import as_tuple, each
from backprop.testing.case import Case, Subject
from backprop.testing.exceptions import spread
from backprop.testing.laws.law import asks_for_bounds, needs
from backprop.testing.made_numbers import bounds_of
from backprop.testing.probes import asked_for, extremes, lapack_moved, rounding
from backprop.testing.results import (
    Broken,
    DoesNotApply,
    Results,
    farthest,
    largest,
    named,
    parts,
)

Array = np.ndarray

EPS32 = float(np.finfo(np.float32).eps)
ULPS = 64  # of float32, that a correct layer may be off; they stay below 7, mistakes begin at 1,000
POINTS, NEARBY = 5, 1e-3  # where else rounding is looked at, and how far away, relatively
SATURATED = 4.0  # what is larger may leave a 1 of which float32 does not know how far it is from 1
SATURATES = 2.0  # larger numbers may have no slope at all
UNITS = 256  # by which numbers are moved there
STAIRS = 16  # by which they are moved at the point itself, where steps may be that near
NEARLY_EQUAL = 0.1  # by how far two may be apart of whose mean the rounding shows, at any offset
STEEP = 64.0  # times a unit of x: what y moves by more is not held to float64's moves
CHAOS = 0.01  # of a result: what these units move by more has too few digits left to be compared
TOLERANCE_OF_A_LOOP = 1e-8
OFFSET = 1000.0  # of numbers whose squares leave no digit of their differences in float32
FAR = 1e4  # times a number that is drawn; a naive mask of -1e9 has to be below all scores yet
NAIVE = 20.0  # what a reference makes of larger numbers may be infinite, as exp is soon
LARGEST32, TINY = (float(x) for x in (np.finfo(np.float32).max, np.finfo(np.float32).tiny))


@asks_for_bounds
def float32_agrees_with_float64(case: Case) -> None:
    """float32 gives what float64 gives at the same numbers, up to some units in the last place.

    Catches what is exact in theory and wrong in float32: a difference of large sums, an epsilon
    that vanishes, a detour through float16. How far rounding may go is measured on the layer
    itself, by moving all its numbers by a unit in the last place; for the y of numbers that are not
    large, and of others around 1,000, of whose squares no digit tells how they differ, on the layer
    in float64.
    """
    narrow, wide = case.subject(np.float32), case.subject()
    if "stochastic" in case.tags:
        case = replace(case, training=False)  # a generator draws other numbers in another dtype
    narrow.adopt(wide)
    wide.adopt(narrow)
    if not case.empty and case.floats and max(map(largest, case.floats)) < SATURATED:
        for offset in (0.0, OFFSET) if unbounded(case) else (0.0,):
            must_keep_digits(narrow, wide, case, offset)
    case = case.changed(of_float32)
    dy = each(lambda d: d.astype(np.float32), case.dy(wide.forward(case)[0]))
    wanted = wide.results(case, each(lambda d: d.astype(np.float64), dy))
    if any(largest(w) > LARGEST32 for w in wanted.values()):
        raise DoesNotApply("float32 has no numbers that are as large")
    got = narrow.results(case, dy)
    scatter = rounding(narrow, case, dy, got)
    given = max(largest(a) for a in as_tuple(case.x) if a is not None)
    factor = max([1.0, *[largest(p.value) for p in wide.parameters]])
    upstream = max(map(largest, as_tuple(dy)))
    nearby: dict[str, tuple[float, float]] = {}
    for name, w in wanted.items():
        # what is small because large numbers cancelled in it is as inexact as they are
        power = 0 if name.startswith("dx") else 1
        power += type(case.x) is tuple  # several inputs may be factors of each other
        terms = given if name.startswith("y") else upstream * max(given, 1.0) ** power
        allowed = EPS32 * (ULPS * largest(w) + 8 * factor * terms) + 8 * scatter[name]
        if farthest(got[name], w, allowed):
            nearby = nearby or rounding_nearby(narrow, case, dy, got)
            moves, share = nearby[name]
            allowed += moves / 8
            if share > CHAOS:
                continue
        if farthest(got[name], w, allowed):
            # the place on a staircase is off by more than a unit where it is what a difference left
            allowed += rounding(narrow, case, dy, got, STAIRS)[name]
        if found := farthest(got[name], w, allowed):
            unit = EPS32 * max(largest(w), 1e-30)
            raise Broken(
                f"in float32, {name} is {found}: {largest(got[name] - w) / unit:.0f} units in the "
                f"last place, of which rounding explains {allowed / unit:.0f}"
            )


def of_float32(x: Array) -> Array:
    """The numbers of float32 nearest to some, in float64."""
    return x.astype(np.float32).astype(np.float64)


def must_keep_digits(narrow: Subject, wide: Subject, case: Case, offset: float) -> None:
    """Raise if y loses more digits of numbers around an offset in float32 than a right layer does,
    of which float64 tells how it moves where they do by units of float32. Gradients are factors of
    such numbers, and may lose more."""
    case = case.changed(lambda x: of_float32(x + offset))
    given = max(map(largest, case.floats))
    factor = max([1.0, *[largest(p.value) for p in wide.parameters]])
    with np.errstate(all="ignore"):
        got = named("y", narrow.forward(case)[0])
        scatter, wanted = moved_by_float32(wide, case)
        for name in got:
            w = wanted[name]
            if not np.isfinite(w).all() or not np.isfinite(got[name]).all():
                continue
            allowed = EPS32 * (ULPS * largest(w) + 8 * factor * given) + 16 * scatter[name]
            found = farthest(got[name], w, allowed)
            if found and not is_steep(wide, case, name, STEEP * EPS32 * max(1.0, given)):
                raise Broken(
                    f"in float32, {name} is {found} where x is around {offset:g}: units in the "
                    f"last place move it by {scatter[name]:.2g}, digits are lost on the way"
                )


def is_steep(wide: Subject, case: Case, name: str, most: float) -> bool:
    """Whether units of float32 move a result by more than that here or nearby: then steps on the
    way, or constants, may count for more than x does. Numbers that are nearly equal are made so
    too: what is left of two, less their mean, over its size, does not move, but is as inexact as
    the mean."""

    def away(k: int) -> Case:
        rng = case.rng(60 + k)
        return case.changed(lambda x: x + 0.25 * k * rng.uniform(-1, 1, x.shape))

    def level(axis: int | None) -> Case:
        def moved(x: Array) -> Array:
            if (axis is not None and axis >= x.ndim) or not x.size:
                return x
            return x + np.clip(x.mean(axis, keepdims=True) - x, -NEARLY_EQUAL, NEARLY_EQUAL)

        return case.changed(moved)

    rank = max(x.ndim for x in case.floats)
    nearby = (*map(away, range(POINTS)), *map(level, (None, *range(rank))))
    return any(moved_by_float32(wide, near)[0][name] > most for near in nearby)


def moved_by_float32(wide: Subject, case: Case) -> tuple[dict[str, float], Results]:
    """How far units of float32 move each result in float64, and the results. A number of x that is
    small moves by the unit of 1, as it may be added to that on its way."""
    units = int(EPS32 / np.finfo(np.float64).eps)
    dy = each(lambda d: d.astype(np.float64), case.dy(wide.forward(case)[0]))
    found = wide.results(case, dy)
    with lapack_moved(wide.dtype, case.rng(42), units):
        scatter = rounding(wide, case, dy, found, units)
    for k in range(4):
        rng = case.rng(50 + k)
        near = case.changed(
            lambda x, rng=rng: x + EPS32 * np.maximum(np.abs(x), 1) * rng.uniform(-1, 1, x.shape)
        )
        for name, y in named("y", wide.forward(near)[0]).items():
            scatter[name] = max(scatter[name], largest(y - found[name]))
    return scatter, found


def rounding_nearby(
    narrow: Subject, case: Case, dy: Any, got: Results
) -> dict[str, tuple[float, float]]:
    """How far rounding moves each result at points nearby, at two of them at least, and as a share
    of the result there and here.

    Where a slope happens to be 0, a number moved by a unit in the last place does not show what the
    steps behind it do, nor does a small one that a larger is added to, or a large one that a
    squashing function makes 1: of those some are looked at where they are of size 1.
    """

    def moved(x: Array, k: int, rng: np.random.Generator) -> Array:
        size = largest(x)
        if k % 2 and size > SATURATES:
            return np.clip(x, -1, 1) * rng.uniform(0.5, 1, x.shape)
        # the units of what is small are none of what it is added to
        far = 0.5 if k % 2 and size < 0.5 else NEARBY * size
        return x + far * rng.uniform(-1, 1, x.shape)

    found = []
    for k in range(POINTS):
        rng = case.rng(20 + k)
        near = case.changed(lambda x, rng=rng, k=k: moved(x, k, rng))
        with np.errstate(all="ignore"):
            there = narrow.results(near, dy)
            with lapack_moved(narrow.dtype, rng, UNITS):
                moves = rounding(narrow, near, dy, there, UNITS)
        sizes = {name: max(largest(a), largest(got[name]), TINY) for name, a in there.items()}
        found.append({name: (moves[name], moves[name] / sizes[name]) for name in sizes})
    # what jumps at one of them is no rounding
    at = {name: [one[name] for one in found] for name in got}
    return {
        name: (sorted(moves for moves, _ in of)[-2], sorted(share for _, share in of)[-2])
        for name, of in at.items()
    }


@asks_for_bounds
@needs(reference=True)
def agrees_with_the_reference(case: Case) -> None:
    """The forward pass gives what a naive one gives.

    Differences only tell that backward belongs to forward; where both are wrong in the same way
    they agree. The reference is called with x (a loss' with y_true and y_pred) and, by name,
    whatever else its signature asks for, as it was before the pass. If it returns y and a dict of
    buffers, these are what the pass has to leave behind: which way a moving average moves only a
    second opinion knows. Numbers of both signs are tried as all negative too: a margin of zeros
    then beats every one of them. So are numbers and parameters far out, where limits lie that
    no number reaches which is drawn.
    """
    compare_with_reference(case)
    if any((x < 0).any() and (x > 0).any() for x in case.floats):
        compare_with_reference(case.changed(lambda x: -np.abs(x)))
    if case.empty or "stateful" in case.tags:
        return
    free = unbounded(case)
    if free:
        compare_with_reference(case.changed(lambda x: FAR * x))
        compare_with_reference(case.changed(lambda x: -FAR * np.abs(x)))
    compare_with_reference(case.changed(beyond) if free else case, far=True)


def unbounded(case: Case) -> bool:
    """Whether its inputs may be any numbers: nothing else was said of them."""
    return bool(case.floats) and all(bounds_of(x) == (None, None) for x in case.floats)


def beyond(a: Array) -> Array:
    """Numbers from 1 to 30, of both signs."""
    return spread(a, 1.0, 30.0)


def compare_with_reference(case: Case, far: bool = False) -> None:
    """Raise unless the forward pass gives what the reference does; with `far`, where the parameters
    are far out."""
    assert case.reference is not None
    subject = case.subject()
    if far:
        for p in subject.parameters:
            p.value[...] = allowed(p, beyond(p.value))
        if not subject.parameters or not subject.computable():
            return
    known: dict[str, Any] = {p.name: p.value.copy() for p in subject.arrays}
    y = each(np.array, subject.forward()[0])
    left = {p.name: p.value.copy() for p in subject.buffers}
    known |= dict(case.config)
    known |= {
        "mask": case.mask,
        "training": case.training,
        "sample_weight": case.sample_weight,
        "layer": subject.layer,
    }
    x = subject.cast(case.x)
    subject.rewind()
    reference, large = case.reference, far or any(largest(x) > NAIVE for x in case.floats)

    def compare(x: Any) -> None:
        given = [case.y_true, x] if case.is_loss else list(as_tuple(x))
        with np.errstate(all="ignore"):
            answer = reference(*given, **asked_for(reference, len(given), known))
        must_be_as_the_reference_says(answer, y, left, large)

    try:
        compare(x)
    except (Broken, ArithmeticError) as error:
        if not large:
            raise
        # a naive formula may overflow, or cancel, where a good one does not: not in more digits
        try:
            compare(each(lambda a: a.astype(np.longdouble) if a.dtype.kind == "f" else a, x))
        except ArithmeticError as same:
            raise DoesNotApply(f"the reference says {same} at this x") from error
        except Exception:  # whatever it says to numbers that it does not expect
            raise error from None


def must_be_as_the_reference_says(answer: Any, y: Any, left: Results, large: bool) -> None:
    """Raise unless y and the buffers that were left are what the reference answers."""
    pair = isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], dict)
    wanted, buffers = answer if pair else (answer, {})
    said = parts("y", tuple(wanted) if type(y) is tuple else wanted)
    for name, a in parts("y", y).items():
        if name not in said:
            raise Broken(f"there is a {name}, and the reference returns {len(said)} outputs")
        must_be_as_said(name, a, said[name], large)
    for name, value in buffers.items():
        if name not in left:
            raise TypeError(
                f"the reference returns a buffer {name!r}, and the layer has "
                f"{', '.join(left) or 'none'}"
            )
        must_be_as_said(f"after the pass, {name}", left[name], value, large)


def must_be_as_said(name: str, got: Array, wanted: Any, large: bool) -> None:
    """Raise unless a result is what the reference says, but for what x is too large for."""
    wanted = np.asarray(wanted)
    if got.shape != wanted.shape:
        raise Broken(f"{name} has shape {got.shape} and the reference's {wanted.shape}")
    allowed = TOLERANCE_OF_A_LOOP * (1 + largest(wanted))
    if large and wanted.dtype.kind == "f":
        wanted = np.where(np.isfinite(got) & ~np.isfinite(wanted), got, wanted)
    if found := farthest(got, wanted, allowed):
        raise Broken(f"{name} is {found}, as the reference says")


@needs(integer_input="integers are not cast")
def extreme_input_gives_finite_results(case: Case) -> None:
    """Where x is 0, all equal or as large as 10,000, y and all gradients are finite.

    Catches exp that overflows, 0 / 0 of a norm or a variance, log 0, and infinity times 0 in a
    backward pass. Numbers in [0, 1] are taken for probabilities, and positive ones stay so.
    """
    if not case.floats or case.empty:
        raise DoesNotApply("there are no numbers to be extreme")
    with np.errstate(all="ignore"):  # what overflows is looked at, and need not warn as well
        must_be_finite(case)


def must_be_finite(case: Case) -> None:
    subject = case.subject(np.float32)
    for what, there in extremes(case):
        try:
            y, cache = subject.forward(there)
            dx = subject.of_inputs(subject.backward(case.dy(y), cache))
        except np.linalg.LinAlgError:  # of a singular matrix, which is as good an answer
            continue
        for name, a in (named("y", y) | dx | subject.gradients()).items():
            wrong = np.asarray(a)[~np.isfinite(a)]
            if wrong.size and not (np.isinf(wrong).all() and too_large(case, there, name, a)):
                wrong = wrong.flat[0]
                raise Broken(f"where x is {what}, {name} holds {wrong}, in float32")


def too_large(case: Case, there: Case, name: str, a: Array) -> bool:
    """Whether a result is infinite only where its number, in float64, has no place in float32."""
    wide = case.subject().results(there)[name]
    infinite = np.isinf(a)
    return bool(np.isfinite(wide).all() and (np.abs(wide[infinite]) > LARGEST32).all())
