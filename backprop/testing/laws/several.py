"""Laws of several inputs and outputs, and of what a layer adds to the loss."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from backprop.nest import each
from backprop.testing.case import Case, OfInputs, Subject
from backprop.testing.laws.gradients import certified, off_kinks
from backprop.testing.probes import moves_of, penalises
from backprop.testing.results import (
    TOLERANCE,
    Broken,
    DoesNotApply,
    NotSeen,
    Results,
    copies,
    farthest,
    largest,
    must_agree,
    named,
)

Array = np.ndarray


def every_input_counts(case: Case) -> None:
    """In some case each input moves y, or what is added to the loss.

    Catches the input that was forgotten, or read from the wrong place: the dx that belongs to it is
    0, and differences agree. A single step, or flags that are all alike, may hide an input: so one
    case that shows all of them is enough.
    """
    places, subject = float_places(case), case.subject()
    y, unseen = seen(subject, case), []
    for i in places:
        x = (*case.x[:i], 0.5 * case.x[i] + 0.25, *case.x[i + 1 :])
        there = seen(subject, case.with_x(x))
        if all(np.array_equal(there[name], a, equal_nan=True) for name, a in y.items()):
            unseen.append(subject.layer.input_name(i))
    if unseen:
        raise NotSeen(f"neither y nor the loss depends on {', nor on '.join(unseen)}")


def the_order_of_inputs_counts(case: Case) -> None:
    """Exchanging two inputs of one shape gives another y, or another addition to the loss, in some
    case; or, of a `symmetric` layer, the same of both and dx exchanged in every case.

    Catches a layer that takes its inputs for a set, and one that says so and prefers one of them.
    Where numbers tie it may.
    """
    if "stochastic" in case.tags:
        case = replace(case, training=False)  # draws come for one input after the other
    subject, found = case.subject(), False
    pairs = [(i, j) for i, j in alike_in_shape(case) if (case.x[i] != case.x[j]).all()]
    if not pairs:
        raise DoesNotApply("some numbers of its inputs tie")
    y, dx = there_and_back(subject, case)
    moved = moves_of(subject, case, case.dy(subject.forward(case)[0]))
    for i, j in pairs:
        exchanged = replace(case, x=exchange(case.x, i, j), mask=exchange(case.mask, i, j))
        y_there, dx_there = there_and_back(subject, exchanged)
        if "symmetric" in case.tags:
            when = f"after inputs {i} and {j} are exchanged"
            got = y_there | subject.of_inputs(exchange(dx_there, i, j))
            wanted = y | subject.of_inputs(dx)
            allowed = lambda wanted=wanted: dict.fromkeys(wanted, 0.0) | moved()  # noqa: E731
            must_agree(got, wanted, when, moved=allowed)
        found |= not alike(y_there, y)
    if not found and "symmetric" not in case.tags:
        raise NotSeen("y is the same when inputs are exchanged: say so by the tag 'symmetric'")


def an_input_used_twice_gets_the_sum(case: Case) -> None:
    """Where one array is two of the inputs, its gradient is the sum of both dx.

    As in `Dot(1)([a, a])`. Catches an input that is written to while the other is still to be read,
    and one that is known by its identity.
    """
    i, j = alike_in_shape(case)[0]
    case = off_kinks(case)
    a, subject = case.x[i], case.subject()
    one, two = (case.with_x(with_two(case.x, (i, j), (a, b))) for b in (a, a.copy()))
    must_agree(subject.results(one), subject.results(two), "where two inputs are one array")
    certified(UsedTwice(subject.layer, one, (i, j)), a, one)


def outputs_pass_back_what_is_theirs(case: Case) -> None:
    """backward of dy for one output and zeros for the others adds up, over outputs, to that of all.

    An output that nobody uses has zeros as its dy, in an array that may not be written to. Catches
    what multiplies them, writes over one of them, or sets a gradient once for each.
    """
    subject = case.subject()
    y, cache = subject.forward()
    if type(y) is not tuple:
        raise DoesNotApply("it has one output")
    dy = case.dy(y)
    nothing = each(lambda d: np.broadcast_to(np.zeros((), d.dtype), d.shape), dy)

    def backward(dy: Any) -> Results:
        return subject.reversed(subject.backward(dy, cache))

    whole, rest = backward(dy), backward(nothing)
    total = rest
    for k, d in enumerate(dy):
        part = backward((*nothing[:k], d, *nothing[k + 1 :]))
        total = {name: total[name] + part[name] - rest[name] for name in total}
    what = "of all outputs, compared with the sum over outputs"
    must_agree(whole, total, what, moved=moves_of(subject, case, dy))


def an_addition_to_the_loss_is_asked_for(case: Case) -> None:
    """A layer adds numbers to `ctx.penalties`, says so by `penalises`, and computes the same where
    nobody asks for them.

    Catches an addition that no trainer asks for, as it asks those that say so; one for each sample,
    or that grows with the batch, so that its weight beside the loss is another; and a forward pass
    that fails in inference, where `ctx.penalties` is None.
    """
    subject = case.subject()
    if case.is_loss:
        raise DoesNotApply("a loss is the loss")
    for training in (True, False):
        at, mode = replace(case, training=training), "training" if training else "inference"
        y, cache = subject.forward(at)
        wanted = copies(named("y", y)) | subject.reversed(subject.backward(case.dy(y), cache))
        if not penalises(subject.layer):
            if not subject.penalties:
                raise DoesNotApply("it adds nothing to the loss")
            raise Broken(
                f"in {mode}, it adds to the loss, and no trainer asks it to: set penalises = True"
            )
        for number in subject.penalties or ():
            if np.ndim(number) or not np.isfinite(number):
                raise Broken(f"in {mode}, it adds {number!r} to the loss, and not a number")
        added = np.asarray(sum(map(float, subject.penalties or ())))
        drawn = {"stochastic"} if training else set()
        if not ({"couples_rows", "stateful"} | drawn) & case.tags and case.rows:
            subject.forward(at.take(np.tile(np.arange(case.rows), 2)))
            twice = np.asarray(sum(map(float, subject.penalties or ())))
            what = "what is added to the loss"
            must_agree({what: twice}, {what: added}, f"in {mode}, of a batch that is given twice")
        y, cache = subject.forward(at, asked=False)
        got = named("y", y) | subject.reversed(subject.backward(case.dy(y), cache))
        must_agree(got, wanted, f"in {mode}, where ctx.penalties is None")


# ------------------------------------------------------------------------------- several inputs


class UsedTwice(OfInputs):
    """f(x) = layer(x, x): a case's layer as a function of an array that is two of its inputs."""

    def __init__(self, inner: Any, case: Case, places: tuple[int, int]):
        super().__init__(inner, case)
        self.places, self.several_inputs, self.integer_input = places, False, False

    def compute_output_shape(self, input_shape):
        return self.inner.compute_output_shape(self.case.sample_shape)

    def forward(self, x, ctx=None):
        return super().forward(with_two(self.case.x, self.places, (x, x)), ctx)

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        return sum(dx[k] for k in self.places if dx[k] is not None)


def with_two(x: tuple, places: tuple[int, int], two: tuple[Array, Array]) -> tuple:
    """Several inputs, with others at two places."""
    found = list(x)
    for k, a in zip(places, two, strict=True):
        found[k] = a
    return tuple(found)


def float_places(case: Case) -> list[int]:
    """Which of several inputs hold numbers."""
    if type(case.x) is not tuple:
        raise DoesNotApply("it has one input")
    return [k for k, a in enumerate(case.x) if a is not None and a.dtype.kind == "f" and a.size]


def alike_in_shape(case: Case) -> list[tuple[int, int]]:
    """Pairs of inputs of one shape."""
    pairs = combinations(float_places(case), 2)
    found = [(i, j) for i, j in pairs if case.x[i].shape == case.x[j].shape]
    if not found:
        raise DoesNotApply("it has no two inputs of one shape")
    return found


def exchange(items: Any, i: int, j: int) -> Any:
    """Several arrays or masks, the i-th and the j-th of which have changed their places."""
    if items is None:
        return None
    return with_two(items, (i, j), (items[j], items[i]))


def there_and_back(subject: Subject, case: Case) -> tuple[Results, Any]:
    """y and what is added to the loss by name, and dx as it is."""
    y, cache = subject.forward(case)
    added = np.asarray(sum(map(float, subject.penalties or ())))
    ahead = copies(named("y", y)) | {"what is added to the loss": added}
    return ahead, each(np.array, subject.backward(case.dy(y), cache))


def seen(subject: Subject, case: Case) -> Results:
    """y, and what is added to the loss."""
    y, _ = subject.forward(case)
    return copies(named("y", y) | named("penalties", tuple(subject.penalties or ())))


def alike(one: Results, two: Results) -> bool:
    return all(not farthest(one[k], two[k], TOLERANCE * (largest(two[k]) + 1)) for k in two)
