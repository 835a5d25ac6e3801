"""Laws of memory: whose array is whose, nothing of one call is left for the next, and how numbers
lie does not matter."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from backprop.gradcheck.point import allowed
from backprop.nest import as_tuple, each
from backprop.testing.case import Case, Subject
from backprop.testing.poison import poisoned
from backprop.testing.probes import LAYOUTS, moves_of
from backprop.testing.results import Broken, Results, copies, must_agree, named

Array = np.ndarray


def inputs_are_untouched(case: Case) -> None:
    """x, dy, the mask, targets, weights and the parameters are read and never written, and what
    belongs to the whole process stays as it is.

    Catches `dy *= ...`. The arrays are read-only, so that NumPy raises on the guilty line. Catches
    `np.random.seed`, `np.seterr` and their like too, which change what others draw and see.
    """

    def lock(a: Array) -> Array:
        a = a.copy()
        a.flags.writeable = False
        return a

    def locked(a: Any) -> Any:
        return None if a is None else each(lock, a)

    subject = case.subject()
    x = locked(subject.cast(case.x))
    at = replace(
        case,
        x=x,
        mask=locked(case.mask),
        y_true=locked(case.y_true),
        sample_weight=locked(case.sample_weight),
    )
    values = [p.value.copy() for p in subject.parameters]
    with process_is_left_alone():
        y, cache = subject.forward(at)
        dy = locked(case.dy(y))
        subject.backward(dy, cache)
    parameters_must_be(subject, values)
    must_leave_other_parameters(subject, at)
    before = named("dy", case.dy(y)) | named("x", subject.cast(case.x))
    must_agree(named("dy", dy) | named("x", x), before, "after the pass", 0.0)


def parameters_must_be(subject: Subject, values: list[Array]) -> None:
    for p, value in zip(subject.parameters, values, strict=True):
        if not np.array_equal(p.value, value, equal_nan=True):
            raise Broken(f"running it changed its parameter {p.path}")


def must_leave_other_parameters(subject: Subject, at: Case) -> None:
    """The same of parameters that no pass has seen: what one makes positive stays so in the
    next."""
    rng, values = at.rng(41), []
    for p in subject.parameters:
        wanted = rng.uniform(0.2, 1.0, p.shape) * rng.choice([-1.0, 1.0], p.shape)
        p.value[...] = allowed(p, wanted)
        values.append(p.value.copy())
    try:
        with np.errstate(all="ignore"):
            y, cache = subject.forward(at)
            subject.backward(at.dy(y), cache)
    except Exception:  # whatever it says to values that nobody chose
        return
    parameters_must_be(subject, values)


@contextmanager
def process_is_left_alone() -> Iterator[None]:
    """Raise if what all code shares is another one after a pass. It is moved before, as the pass of
    an earlier case may have left its own there."""
    kept = np.random.get_state(), random.getstate()
    np.random.random(3)
    random.random()
    try:
        with np.printoptions(precision=11):
            before = of_the_process()
            yield
            for what, state in of_the_process().items():
                if state != before[what]:
                    raise Broken(f"a pass changes {what}, which all code shares")
    finally:
        np.random.set_state(kept[0])
        random.setstate(kept[1])


def of_the_process() -> dict[str, Any]:
    state = np.random.get_state(legacy=False)
    return {
        "the state of np.random": repr(state),
        "the state of random": random.getstate(),
        "NumPy's error handling (np.seterr)": np.geterr(),
        "NumPy's print options": np.get_printoptions(),
    }


def kept_results_never_change(case: Case) -> None:
    """What forward and backward returned stays what it was, whatever runs afterwards.

    Catches a buffer that is kept on the layer and filled again, and a result that is a view of the
    parameters.
    """
    subject = case.subject()
    y, cache = subject.forward()
    dx = subject.backward(case.dy(y), cache)
    kept = named("y", y) | named("dx", dx)
    before = copies(kept)
    other = case.other()
    for later in (other.take(slice(0, case.rows)), other):
        y_later, cache_later = subject.forward(later)
        subject.backward(case.dy(y_later, 9), cache_later)
    must_agree(kept, before, "after another pass", 0.0)
    for p in subject.arrays:
        p.value += 1
    must_agree(kept, before, "after the parameters were changed", 0.0)


def two_forwards_do_not_interfere(case: Case) -> None:
    """A second forward pass before the first is reversed changes nothing about the first, nor the
    first about the second.

    Catches what forward keeps on the layer and backward reads: a cache that is stale as soon as a
    layer is used twice. The second input has other numbers and the same shape, so that what is kept
    by shape is stale too; then one row more. Once it comes in the other mode and without
    the mask, and is reversed first.
    """
    if "stochastic" in case.tags:
        case = replace(case, training=True)  # what is drawn must not meet either
    wanted = case.subject().results()
    longer = case.other()
    same = longer.take(slice(0, case.rows))
    turned = replace(same, training=not case.training, mask=None)
    for other, how, in_order in (
        (same, "of the same shape", True),
        (turned, f"of the same shape in {'inference' if case.training else 'training'}", False),
        (longer, "of one row more", True),
    ):
        subject, alone = case.subject(), case.subject()
        y, cache = subject.forward()
        alone.resume(subject)  # the second draws on and finds buffers as the first left them
        other_wanted = alone.results(other)
        y_other, cache_other = subject.forward(other, rewind=False)
        passes = [
            ("first", y, case, cache, wanted),
            ("second", y_other, other, cache_other, other_wanted),
        ]
        for which, result, its, kept, right in passes if in_order else reversed(passes):
            got = subject.reversed(subject.backward(its.dy(result), kept))
            when = f"in the {which} of two passes, the second {how}"
            must_agree(named("y", result) | got, right, when)


def uninitialised_memory_is_never_read(case: Case) -> None:
    """The result is the same whatever lies in the memory that `np.empty` returns.

    Catches `np.empty` where some entries are never written: they are 0 on most days and anything on
    others; and a backward pass that reads x where it lay.
    """
    subject = case.subject()
    wanted = subject.results()
    modules = {cls.__module__ for part in subject.layer.walk() for cls in type(part).__mro__}
    for value in (np.nan, -12345.678):
        with np.errstate(all="ignore"), poisoned(value, modules):
            y, cache = subject.forward()
            dx = subject.backward(case.dy(y), cache)
        got = copies(named("y", y)) | subject.reversed(dx)
        must_agree(got, wanted, f"where np.empty is full of {value:g}")
    must_agree(with_x_gone(subject, case), wanted, "where nobody but the cache holds x any more")


def with_x_gone(subject: Subject, case: Case) -> Results:
    """What a pass computes whose x is given up before it is reversed, and its memory full of other
    numbers; what is in the cache is there."""
    y, cache = subject.forward(replace(case, x=each(np.array, case.x)))
    dy = case.dy(y)
    junk = [np.full_like(a, -7) for a in as_tuple(case.x) if a is not None for _ in range(16)]
    found = copies(named("y", y)) | subject.reversed(subject.backward(dy, cache))
    del junk
    return found


def memory_layout_does_not_matter(case: Case) -> None:
    """x and dy may be transposed, reversed, sliced or broadcast views: the result is the same.

    Catches code that reads memory in order: a reshape in place, a flat iterator, a buffer handed on
    as it lies.
    """
    subject = case.subject()
    x = subject.cast(case.x)
    y, cache = subject.forward()
    dy = case.dy(y)
    wanted = copies(named("y", y)) | subject.reversed(subject.backward(dy, cache))
    for name, layout in LAYOUTS.items():
        y_true = None if case.y_true is None else layout(case.y_true)
        at = replace(case, x=each(layout, x), y_true=y_true)
        y, cache = subject.forward(at)
        dx = subject.backward(each(layout, dy), cache)
        got = copies(named("y", y)) | subject.reversed(dx)
        moved = moves_of(subject, case, dy)  # another layout may be summed in another order
        must_agree(got, wanted, f"with x and dy {name}", moved=moved)
    x = each(lambda a: np.broadcast_to(a[:1], a.shape), x)
    broadcast, copied = replace(case, x=x), replace(case, x=each(np.array, x))
    with np.errstate(all="ignore"):
        wanted, got = subject.results(copied, dy), subject.results(broadcast, dy)
    must_agree(
        got, wanted, "of an x that is one row broadcast", moved=moves_of(subject, copied, dy)
    )
    one = each(lambda d: np.broadcast_to(d.dtype.type(0.75), d.shape), dy)
    _, cache = subject.forward()
    wanted = subject.reversed(subject.backward(each(np.copy, one), cache))
    must_agree(
        subject.reversed(subject.backward(one, cache)),
        wanted,
        "with a dy that is one number broadcast",
        moved=moves_of(subject, case, one),
    )
