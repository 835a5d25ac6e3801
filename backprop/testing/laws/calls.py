"""Laws of calls: two threads do not meet, and the fortieth call is like the first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from backprop.layer import Layer
from backprop.parameters import Parameter
from backprop.testing.case import Broken, Case, Results, Subject, copies, must_agree, named
from backprop.testing.interleave import interleaved, places_in
from backprop.testing.laws.law import needs

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
    must_not_meet(case, whole(case.subject(), case), whole(case.subject(), other), "another layer")
    subject = case.subject()
    if "stateful" in case.tags:
        return
    if subject.buffers or "stochastic" in case.tags:  # which passes in training do share
        case, other = (replace(at, training=False) for at in (case, other))
    beside = Subject(other, layer=subject.layer)
    must_not_meet(case, ahead(subject, case), ahead(beside, other), "the same layer")
    if not subject.layer.takes_targets:
        beside = Subject(other, layer=subject.layer.replica())
        must_not_meet(case, whole(subject, case), whole(beside, other), "a replica")


def must_not_meet(
    case: Case, one: Callable[[], Results], two: Callable[[], Results], which: str
) -> None:
    """Raise if either of two computations is another one while the other runs."""
    wanted, its_wanted = one(), two()  # also so that what is compiled or imported is there
    places = places_in(one)
    rng = case.rng(12)
    stops = [int(rng.choice(steps)) for steps in places]
    most = max(LEAST_STOPS, min(STOPS, ENOUGH // max(sum(map(len, places)), 1)))
    if len(stops) > most:
        stops = rng.choice(stops, most, replace=False).tolist()
    got, others = interleaved(one, two, stops)
    must_agree(got, wanted, f"while another thread runs {which}", SAME_BITS)
    for found in others:
        must_agree(found, its_wanted, f"of {which}, on another thread", SAME_BITS)


def whole(subject: Subject, at: Case) -> Callable[[], Results]:
    """A pass forward and back."""
    return lambda: subject.results(at)


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
