"""Laws of calls: two threads do not meet, the fortieth call is like the first, and so is one that
is nearly the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from backprop.gradcheck.point import allowed
from backprop.gradcheck.probe import built_in
from backprop.layer import Layer
from backprop.nest import as_tuple, each
from backprop.parameters import Parameter
from backprop.testing.case import Case, Subject
from backprop.testing.interleave import interleaved, places_in
from backprop.testing.laws.law import needs
from backprop.testing.probes import anew, another, moves_of, settings_of
from backprop.testing.results import Broken, Results, copies, must_agree, named

SAME_BITS = 1e-12  # but for a sum that another place in memory puts in another order
STOPS, LEAST_STOPS, ENOUGH = 64, 8, 20_000  # times that a thread is stopped; of all its steps
CALLS, ALIVE = 40, 3
LOOKS = (20, 38)  # calls with the same input, after which it is looked at what a layer holds


def two_threads_do_not_meet(case: Case) -> None:
    """What one thread computes is the same, whatever another does meanwhile with the same layer,
    with a replica of it, or with another layer of its class.

    Catches a scratch array that belongs to the layer, to the class or to the module. The threads
    need no luck to meet: the first is stopped in the middle of its work, and the second does all of
    its own there. Two backward passes of one layer set the same gradients, as they should: those
    are tried with a replica.
    """
    other = same_shape(case)
    beside = case.subject()
    must_not_meet(case, whole(case.subject(), case), whole(beside, other, 15), "another layer")
    subject = case.subject()
    if "stateful" in case.tags:
        return
    if subject.buffers or "stochastic" in case.tags:  # which passes in training do share
        case, other = (replace(at, training=False) for at in (case, other))
    beside = Subject(other, layer=subject.layer)
    must_not_meet(case, ahead(subject, case), ahead(beside, other), "the same layer")
    if not subject.layer.takes_targets:
        beside = Subject(other, layer=subject.layer.replica())
        must_not_meet(case, whole(subject, case), whole(beside, other, 15), "a replica")


def must_not_meet(
    case: Case, one: Callable[[], Results], two: Callable[[], Results], which: str
) -> None:
    """Raise if either of two computations is another one while the other runs."""
    wanted, its_wanted = one(), two()  # also so that what is compiled or imported is there
    places = places_in(one)
    rng = case.rng(12)
    stops = [steps[rng.integers(len(steps))] for steps in places]
    most = max(LEAST_STOPS, min(STOPS, ENOUGH // max(sum(map(len, places)), 1)))
    if len(stops) > most:
        stops = rng.choice(stops, most, replace=False).tolist()
    got, others = interleaved(one, two, stops)
    must_agree(got, wanted, f"while another thread runs {which}", SAME_BITS)
    for found in others:
        must_agree(found, its_wanted, f"of {which}, on another thread", SAME_BITS)


def whole(subject: Subject, at: Case, stream: int = 1) -> Callable[[], Results]:
    """A pass forward and back, of a dy that the stream decides."""
    return lambda: subject.results(at, at.dy(subject.forward(at)[0], stream))


def ahead(subject: Subject, at: Case) -> Callable[[], Results]:
    """A pass forward."""
    return lambda: copies(named("y", subject.forward(at)[0]))


def same_shape(case: Case) -> Case:
    """Another input of the same shape."""
    return case.other().take(slice(0, case.rows))


@needs(stateful="it remembers the batches before")
def the_fortieth_call_is_like_the_first(case: Case) -> None:
    """After forty passes over inputs of other shapes, in both modes and reversed in any order, a
    layer computes what it did at first, and holds no more than it did.

    Catches what counts its calls, what is found in the first and stale later, what is kept by shape
    and taken for another, and a list that each call adds to. Several caches are alive at a time.
    """
    subject = case.subject()
    first = case.take(slice(0, 1))
    turned = replace(case, training=not case.training)
    inputs = [case, first, same_shape(case), case.other(), turned, replace(first, mask=None)]
    wanted = [subject.results(at) for at in inputs]
    alive: list[tuple[int, Any, Any]] = []
    held = []
    for k in range(CALLS):
        i = k % len(inputs)
        alive.append((i, *subject.forward(inputs[i])))
        if len(alive) > ALIVE:
            i, y, cache = alive.pop(k % ALIVE)
            got = named("y", y) | subject.reversed(subject.backward(inputs[i].dy(y), cache))
            must_agree(got, wanted[i], f"in one of {k + len(inputs)} calls", SAME_BITS)
        if k in LOOKS:
            held.append(sum(map(size_of, subject.layer.walk())))
    must_agree(subject.results(), wanted[0], f"after {CALLS} other calls", SAME_BITS)
    if held[1] > held[0]:
        raise Broken("what it holds on to has grown over calls that had all been there before")


def size_of(a: Any) -> int:
    """How many numbers and other things hang on a layer, and not on those in it."""
    if isinstance(a, Layer):
        return sum(size_of(value) for value in vars(a).values() if not isinstance(value, Layer))
    if isinstance(a, np.ndarray):
        return a.size
    if isinstance(a, dict):
        return sum(map(size_of, a.values())) + len(a)
    if isinstance(a, list | tuple | set | frozenset):
        return sum(size_of(one) for one in a if not isinstance(one, Layer | Parameter)) + len(a)
    return 1


def nothing_is_remembered(case: Case) -> None:
    """A pass computes what it does in a fresh layer, however like the one before it is: where x, dy
    or a parameter differs in one number, or has the same ones in other places, or is the same array
    with other numbers in it.

    Catches a result that is kept by a key which two inputs share, such as their first row, their
    sum or the array itself, what was found out about a parameter in the first pass, such as its
    sign, or in training and is stale in inference. So it does of an argument that is assigned to
    later, as `layer.rate = 0.1`: the configuration says it, and a saved layer would be another one.
    """
    subject = case.subject()
    for name, value in settings_of(subject.layer):
        must_count_when_set(case, name, another(value))
        if type(value) is float and value:
            must_count_when_set(case, name, 2 * value)
    y, _ = subject.forward()
    dy = case.dy(y)
    subject.results(case, dy)
    for what, change in alterations(case.rng(16)):
        at = case.changed(change)
        must_be_as_fresh(subject, at, dy, f"of an x with {what}")
        subject.results(case, dy)
        altered = each(change, dy)
        must_be_as_fresh(subject, case, altered, f"of a dy with {what}")
        subject.results(case, dy)
    in_place(case, dy)
    values = [p.value.copy() for p in subject.parameters]
    turned = replace(case, training=not case.training)
    for p, value in zip(subject.parameters, values, strict=True):
        for k, (what, change) in enumerate((*alterations(case.rng(17)), *TURNS)):
            wanted = change(value)
            p.value[...] = wanted
            if np.array_equal(allowed(p, wanted), wanted):
                for at in (case,) if k else (turned, case):
                    must_be_as_fresh(subject, at, dy, f"after {p.path} was set to {what}")
            p.value[...] = value
            subject.results(case, dy)


# what a parameter becomes, besides what all arrays do
TURNS: tuple[tuple[str, Callable[[np.ndarray], np.ndarray]], ...] = (
    ("other signs", np.negative),
    ("zeros", np.zeros_like),
    ("ones", np.ones_like),
    ("eight times what it was", lambda a: 8 * a),
)


def alterations(
    rng: np.random.Generator,
) -> Iterator[tuple[str, Callable[[np.ndarray], np.ndarray]]]:
    """Ways to make another array that is like the first, and what they leave or change."""

    def one_number(a: np.ndarray, place: float) -> np.ndarray:
        a = a.copy()
        if a.size:
            a.reshape(-1)[int(place * a.size)] += a.dtype.type(0.25)
        return a

    def moved(a: np.ndarray, place: float) -> np.ndarray:
        a = one_number(a, place)
        if a.size:
            a.reshape(-1)[int(place * a.size) - 1] -= a.dtype.type(0.25)
        return a

    def exchanged(a: np.ndarray, place: float) -> np.ndarray:
        a, i = a.copy(), int(place * a.size)
        if a.size:
            flat = a.reshape(-1)
            flat[i], flat[i - 1] = flat[i - 1], flat[i]
        return a

    some, other, third = rng.random(3)
    for place in (0.0, some, 1 - 2.0**-40):
        yield "another number at one place", lambda a, place=place: one_number(a, place)
    yield "the same sum", lambda a: moved(a, other)
    yield "two numbers exchanged", lambda a: exchanged(a, third)


def in_place(case: Case, dy: Any) -> None:
    """The same arrays with other numbers in them are other inputs."""
    subject, at = case.subject(), case.with_x(each(np.array, case.x))
    subject.results(at, dy)
    kept = each(np.array, dy)
    subject.results(at, kept)
    for a, b in zip(as_tuple(at.x), as_tuple(case.other().x), strict=True):
        if a is not None:
            a[...] = b[: len(a)]
    must_be_as_fresh(subject, at, kept, "of the same array with other numbers in it")


def must_count_when_set(case: Case, name: str, other: bool | int | float) -> None:
    """Raise unless a layer to which an argument is assigned computes what one does that was made
    with it; of those that are refused, or decide a parameter's shape, nothing is asked."""
    subject = case.subject()
    layer = subject.layer
    subject.forward()
    try:
        twin = anew(layer, {name: other})
        if not case.is_loss:
            twin = built_in(twin, case.batch_shape, subject.dtype)
        setattr(layer, name, other)
        fresh = Subject(case, subject.dtype, layer=twin)
        if [p.shape for p in fresh.arrays] != [p.shape for p in subject.arrays]:
            return
        for mine, its in zip(fresh.arrays, subject.arrays, strict=True):
            mine.value[...] = its.value
        fresh.state = subject.state
        dy = case.dy(fresh.forward()[0])
    except Exception:  # what a class refuses, and what this input does not go with
        return
    for training in (case.training, not case.training):
        at = replace(case, training=training)
        try:
            wanted = fresh.results(at, dy) | fresh.buffers_now()
        except Exception:
            continue
        if not all(np.isfinite(a).all() for a in wanted.values()):
            continue
        must_agree(
            subject.results(at, dy) | subject.buffers_now(),
            wanted,
            f"after {name} was set to {other!r}",
            moved=lambda at=at, w=wanted: dict.fromkeys(w, 0.0) | moves_of(fresh, at, dy)(),
        )


def must_be_as_fresh(subject: Subject, at: Case, dy: Any, when: str) -> None:
    """Raise unless a layer that has run computes what one with its values does that has not."""
    fresh = Subject(subject.case, subject.dtype, generic=False)
    for mine, its in zip(fresh.parameters, subject.parameters, strict=True):
        mine.value[...] = its.value
    fresh.state = subject.state
    try:
        wanted = fresh.results(at, dy)
    except Exception:  # whatever it says to values that nobody chose
        return
    if all(np.isfinite(a).all() for a in wanted.values()):
        got = subject.results(at, dy)
        must_agree(got, wanted, when, SAME_BITS, moved=moves_of(fresh, at, dy))
