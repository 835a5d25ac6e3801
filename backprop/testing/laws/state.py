"""Laws of state: seeds and modes decide what is drawn, and only training moves a buffer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from backprop.context import Context
from backprop.gradcheck.probe import built_in
from backprop.layer import Layer
from backprop.nest import as_tuple, each
from backprop.testing.case import Case, Subject
from backprop.testing.laws.law import needs
from backprop.testing.probes import anew, extremes, moves_of, reconfigured
from backprop.testing.results import (
    Broken,
    DoesNotApply,
    NotSeen,
    Results,
    copies,
    must_agree,
    named,
)

Array = np.ndarray

ALIKE, ALIKE_ROWS = 8, 70  # passes in training, of rows that are alike
DIFFER = 40  # of 200 passes, in which a row that shares its draws with another was another one
PASSES = 200  # of which some drop a number even at small rates


@needs(stateful="it remembers the batch before")
def inference_is_deterministic(case: Case) -> None:
    """In inference the same x gives the same y, also where no backward pass follows, and nothing
    is drawn.

    Catches dropout that is on in inference, everything that is kept from call to call, and a way of
    its own for `predict` that gives something else or writes into x. Another batch runs in between.
    """
    subject, case = case.subject(), replace(case, training=False)
    y = copies(named("y", subject.forward(case)[0]))
    states = [g.state for g in subject.generators]
    subject.forward(case.other(), rewind=False)
    again = named("y", subject.forward(case, rewind=False)[0])
    must_agree(again, y, "the second time", 1e-14)
    if not case.is_loss:
        must_predict_alike(subject, case, y)
    if any(repr(g.state) != repr(s) for g, s in zip(subject.generators, states, strict=True)):
        raise Broken("inference draws from the layer's generator")


def must_predict_alike(subject: Subject, case: Case, wanted: Results) -> None:
    """Raise unless a pass that nobody will reverse gives the same, in memory of its own."""
    x = subject.given(each(np.array, subject.cast(case.x)), case.x)
    before = copies(named("x", x))
    ctx = Context(mask=subject.given(case.mask, case.x), backward=False)
    y = named("y", subject.layer.forward(x, ctx)[0])
    how = "where no backward pass follows (ctx.backward is False)"
    must_agree(y, wanted, how, moved=moves_of(subject, case, case.dy(subject.forward(case)[0])))
    must_agree(named("x", x), before, f"after a pass {how}", 0.0)
    first = copies(y)
    other = case.other().take(slice(0, case.rows))
    subject.layer.forward(
        subject.given(subject.cast(other.x), other.x),
        Context(mask=subject.given(other.mask, other.x), backward=False),
    )
    must_agree(y, first, f"after another pass {how}", 0.0)


def same_seed_same_result(case: Case) -> None:
    """Built after the same seed, two layers have the same weights and draw the same numbers, and
    each pass draws new ones.

    Catches draws from `np.random`, from the clock or from anything else that `set_random_seed` does
    not reach, a (`stochastic`) layer that draws once and for all, or does where it has a seed of
    its own, or the same for all rows, and two parameters that begin with the same random numbers.
    """
    case = replace(case, training=True)
    one, two = (Subject(case, generic=False) for _ in range(2))
    for p, q in zip(one.arrays, two.arrays, strict=True):
        must_agree({p.path: q.value}, {p.path: p.value}, "built again after the same seed", 0.0)
    must_begin_apart(one)
    for _ in range(2):
        y, again = (named("y", s.forward(rewind=False)[0]) for s in (one, two))
        must_agree(again, y, "built again after the same seed", 1e-14)
    if "stochastic" in case.tags and not case.empty and "stateful" not in case.tags:
        case = case.take(np.arange(16) % case.rows)
        must_draw(one, case)
        if not {"couples_rows", "shared_draws"} & case.tags:
            must_draw_for_each_row(one, case)
        if getattr(one.layer, "seed", 0) is None:
            twin = built_in(anew(one.layer, {"seed": 1}), case.batch_shape, one.dtype)
            must_draw(Subject(case, layer=twin), case)


def must_begin_apart(subject: Subject) -> None:
    """Raise if two parameters begin with the same numbers, no two of which are equal."""
    seen: dict[bytes, str] = {}
    for p in subject.parameters:
        if p.size > 1 and len(np.unique(p.value)) == p.size:
            key = np.ascontiguousarray(p.value).tobytes()
            if key in seen:
                raise Broken(f"{p.path} begins with the numbers of {seen[key]}")
            seen[key] = p.path


def must_draw(subject: Subject, case: Case) -> None:
    """Raise unless passes in training differ, if not at this configuration, at one next to it."""
    if draws(subject, case):
        return
    if not flat(subject.forward(case)[0]).any():
        raise DoesNotApply("y is 0, whatever is drawn")
    for twin in reconfigured(subject.layer):
        try:
            twin = built_in(twin, case.batch_shape, subject.dtype)
            if draws(Subject(case, layer=twin), case):
                return
        except Exception:  # an argument that this input does not go with
            continue
    found = f"{PASSES} passes in training give the same y, where a stochastic layer draws anew"
    still, moving = (flat(subject.forward(replace(case, training=t))[0]) for t in (False, True))
    if np.array_equal(still, moving):
        raise NotSeen(f"{found}, and it is that of inference")
    raise Broken(found)


def must_draw_for_each_row(subject: Subject, case: Case) -> None:
    """Raise if rows that are alike get the same draws, in passes that differ."""
    alike = case.take(np.zeros(ALIKE_ROWS, int))
    seen = []
    for _ in range(ALIKE):
        y = subject.forward(alike, rewind=False)[0]
        if type(y) is tuple or np.shape(y)[:1] != (ALIKE_ROWS,):
            return
        seen.append(np.reshape(y, (ALIKE_ROWS, -1)).copy())
    passes = any(not np.array_equal(seen[0], y, equal_nan=True) for y in seen)
    if passes and all(np.array_equal(y[1:], y[:-1], equal_nan=True) for y in seen):
        raise Broken(
            "all rows of a batch get the same draws; if that is meant, say so by the tag "
            "'shared_draws'"
        )
    must_draw_apart(subject, alike, np.concatenate(seen, 1), seen[0])


def must_draw_apart(subject: Subject, alike: Case, seen: Array, once: Array) -> None:
    """Raise if two rows that are alike go on getting the same draws, which are not always those
    of `once`, as they did in what was seen."""
    _, first, of = np.unique(seen, axis=0, return_index=True, return_inverse=True)
    pairs = [(first[k], row) for row, k in enumerate(of.ravel()) if row != first[k]]
    moved = dict.fromkeys(pairs, 0)
    for _ in range(PASSES if pairs else 0):
        y = np.reshape(subject.forward(alike, rewind=False)[0], (ALIKE_ROWS, -1))
        pairs = [(i, j) for i, j in pairs if np.array_equal(y[i], y[j], equal_nan=True)]
        if not pairs:
            return
        for i, j in pairs:
            moved[i, j] += not np.array_equal(y[i], once[i], equal_nan=True)
    for i, j in pairs:
        if moved[i, j] >= DIFFER:
            raise Broken(f"of {ALIKE_ROWS} rows that are alike, {i} and {j} get the same draws")


def draws(subject: Subject, case: Case) -> bool:
    """Whether passes in training differ."""
    first = flat(subject.forward(case, rewind=False)[0])
    others = (flat(subject.forward(case, rewind=False)[0]) for _ in range(PASSES))
    return not all(np.array_equal(first, other) for other in others)


def flat(y: Any) -> Array:
    """All outputs as one vector."""
    return np.concatenate([np.ravel(a) for a in as_tuple(y)])


# -------------------------------------------------------------------------------- buffers


def only_training_moves_buffers(case: Case) -> None:
    """A forward pass in training may move a buffer; inference and the backward pass leave every bit
    of it.

    Catches statistics that predicting changes, and an update that stands in backward: it would run
    once for each loss that is reversed, and never in a pass that nobody reverses. What a `stateful`
    layer carries on does move in inference.
    """
    subject = with_buffers(case)
    start = subject.buffers_at_start()
    for training in (True, False):
        mode = "training" if training else "inference"
        y, cache = subject.forward(replace(case, training=training))
        left, dy = subject.buffers_now(), case.dy(y)
        if not training and "stateful" not in case.tags:
            must_be_still(left, start, "inference moves")
        for _ in range(2):
            subject.backward(dy, cache)
            must_be_still(subject.buffers_now(), left, f"the backward pass of {mode} moves")
        subject.layer.backward_params(dy, cache)
        must_be_still(subject.buffers_now(), left, f"backward_params after {mode} moves")


def training_moves_buffers_alike(case: Case) -> None:
    """A pass in training moves every buffer, and from the same start always to the same place.

    Catches a moving average that does not move, and one that depends on more than buffers, input
    and seed: a count of batches that is a plain attribute is lost with the file. Where to it moves
    a law cannot know: that takes a `reference`. A layer whose buffers are constants, such as a
    table of positions, says so by the tag `constant_buffers`, and then they may not move at all.
    """
    subject, case = with_buffers(case), replace(case, training=True)
    start = subject.buffers_at_start()
    subject.forward(case)
    if "constant_buffers" in case.tags:
        must_be_still(subject.buffers_now(), start, "training moves")
        return
    moved = subject.buffers_now()
    for other in (case.other(), replace(case, training=False), case.other()):
        subject.forward(other, rewind=False)
    subject.forward(case)
    must_agree(subject.buffers_now(), moved, "from the same start, after other passes", 1e-14)
    names = zip(start, subject.buffers, strict=True)
    still = {name for name, p in names if p.layer.trainable and p.size}
    for tried in inputs_that_move(case):
        if not still:
            return
        with np.errstate(all="ignore"):  # where x is extreme, only the buffers matter
            subject.forward(tried)
        still -= {name for name, b in subject.buffers_now().items() if not same(b, start[name])}
    if still and not any(moves(twin, case) for twin in reconfigured(subject.layer)):
        raise Broken(
            f"no pass in training moves {', '.join(sorted(still))}; if it is a constant, say so by "
            "the tag 'constant_buffers'"
        )


def moves(layer: Layer, case: Case) -> bool:
    """Whether a pass in training moves all buffers of a layer, which is not built."""
    try:
        subject = Subject(case, layer=built_in(layer, case.batch_shape, np.dtype(np.float64)))
        still = subject.buffers_at_start()
        for tried in inputs_that_move(case):
            subject.forward(tried)
            now = subject.buffers_now()
            still = {name: b for name, b in still.items() if same(b, now[name])}
    except Exception:  # an argument that this input does not go with
        return False
    return not still


def inputs_that_move(case: Case) -> Iterator[Case]:
    """Inputs of which one moves a buffer unless nothing does: an average that is 0 already is not
    moved by zeros, nor by rows that cancel, nor by padding."""
    case = replace(case, mask=None)
    yield case
    yield case.other()
    if "stateful" not in case.tags:
        for row in range(case.rows):
            yield case.take(slice(row, row + 1))
    if case.floats:
        for _, there in extremes(case):
            yield there


def moving_a_buffer_changes_no_gradient(case: Case) -> None:
    """A backward pass belongs to its own forward pass, however buffers have moved since.

    Catches a backward pass that reads a moving statistic itself, or finds a view of it in the
    cache: between forward and backward of one batch another may train, which overwrites it.
    """
    for training in (False, True):
        at = replace(case, training=training)
        wanted, subject = with_buffers(case).results(at), case.subject()
        y, cache = subject.forward(at)
        subject.forward(replace(case.other(), training=True), rewind=False)
        got = named("y", y) | subject.reversed(subject.backward(case.dy(y), cache))
        mode = "training" if training else "inference"
        must_agree(got, wanted, f"in {mode}, after another batch has moved the buffers")


def with_buffers(case: Case) -> Subject:
    """A subject whose layer has buffers, with something to move them by."""
    subject = case.subject()
    if not subject.buffers:
        raise DoesNotApply("it has no buffers")
    if case.empty:
        raise DoesNotApply("an empty input moves nothing")
    return subject


def same(a: Array, b: Array) -> bool:
    return np.array_equal(a, b, equal_nan=True)


def must_be_still(now: Results, before: Results, who: str) -> None:
    """Raise if a buffer is not what it was, to the last bit."""
    for name, value in now.items():
        if not same(value, before[name]):
            raise Broken(f"{who} {name}")
