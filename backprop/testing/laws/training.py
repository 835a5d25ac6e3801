"""Laws of what training runs in the place of forward and backward: short ways, frozen layers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from backprop.context import Context
from backprop.layer import Layer
from backprop.linalg import softmax, softmax_backward, sum_rows
from backprop.losses.loss import Loss
from backprop.testing.case import Case, OfInputs, Subject
from backprop.testing.laws.gradients import certified
from backprop.testing.laws.padding import must_ignore_padding
from backprop.testing.probes import moves_of
from backprop.testing.results import Broken, DoesNotApply, Results, copies, must_agree, named

SEVERAL_STEPS = 3  # half of the least number that are taken in three parts


def short_ways_agree(case: Case) -> None:
    """`backward_logits`, `finish`, `backward_finish`, a loss' `after_softmax` and, where a layer
    says that it can go step by step, `step` do what `forward` and `backward` do.

    Training and `generate` take them where they can, so that a mistake there is one that no check
    of `backward` sees. Catches one that was changed in only one of the two places, and `time_local`
    said of a layer whose steps meet.
    """
    tried = [way(case) for way in (without_softmax, by_finish, after_softmax, by_steps)]
    if not any(tried):
        raise DoesNotApply("it has no short ways")


def without_softmax(case: Case) -> bool:
    """backward_logits of y (dy - Σ y dy) is backward of dy; whether there is one."""
    subject = case.subject()
    if subject.layer.takes_targets or subject.layer.ends_in_softmax is not True:
        return False
    y, cache = subject.forward()
    dy = case.dy(y)
    wanted = subject.reversed(subject.backward(dy, cache))
    dz = softmax_backward(dy, y)
    for dx in (True, False):
        subject.poison_gradients()
        found = subject.layer.backward_logits(dz, cache, dx=dx)
        got = subject.reversed(found) if dx else subject.gradients()
        wanted_here, what = {name: wanted[name] for name in got}, f"by backward_logits(dx={dx})"
        must_agree(got, wanted_here, what, moved=moves_of(subject, case, dy))
    return True


def by_finish(case: Case) -> bool:
    """`finish` is `forward` of z + bias, and `backward_finish` its way back; whether there is one
    that is not the default."""
    subject = case.subject()
    layer = subject.layer
    if layer.takes_targets or not own_finish(layer) or not isinstance(case.x, np.ndarray):
        return False
    for bias in (None, case.rng(13).uniform(-1, 1, case.x.shape[-1:])):
        z = subject.cast(case.x)
        summed = z if bias is None else z + bias
        ctx = Context(case.training, case.mask)
        subject.rewind()
        y, cache = layer.forward(summed, ctx)
        dy = case.dy(y)
        dz = np.array(layer.backward(dy, cache))
        wanted = {"y": np.array(y), "dz": dz, "dbias": sum_rows(dz)}
        subject.rewind()
        y, cache = layer.finish(z.copy(), ctx, bias)
        got = {"y": np.array(y)}
        dbias = None if bias is None else np.full(bias.shape, np.nan)
        got["dz"] = np.array(layer.backward_finish(dy, cache, dbias))
        got |= {} if dbias is None else {"dbias": dbias}
        must_agree(got, {name: wanted[name] for name in got}, "by finish and backward_finish")
    return True


def own_finish(layer: Layer) -> bool:
    cls = type(layer)
    return cls.finish is not Layer.finish or cls.backward_finish is not Layer.backward_finish


def after_softmax(case: Case) -> bool:
    """A loss after a softmax has its value, and the dz of both ways back; whether there is one."""
    subject = case.subject()
    loss = subject.layer
    short = loss.after_softmax() if loss.takes_targets else None
    if short is None or case.empty:
        return False
    q = softmax(subject.cast(case.x), axis := getattr(loss, "axis", -1))
    value, cache = loss.forward(case.y_true, q, case.sample_weight)
    wanted = {"the loss": np.asarray(value)}
    wanted["dz"] = softmax_backward(np.asarray(loss.backward(cache)), q, axis)
    value, cache = short.forward(case.y_true, q, case.sample_weight)
    got = {"the loss": np.asarray(value), "dz": np.array(short.backward(cache))}
    must_agree(got, wanted, "by after_softmax")
    return True


def by_steps(case: Case) -> bool:
    """`step` after `step` gives y of the whole sequence, and leaves a memory as it was; whether
    there is one."""
    x, subject = case.x, case.subject()
    if subject.layer.takes_targets or not subject.layer.can_step:
        return False
    if not isinstance(x, np.ndarray) or x.ndim < (2 if x.dtype.kind in "iu" else 3) or not x.size:
        return False
    # of several steps each, which what counts its calls takes for one
    more = np.concatenate([x, x[:, ::-1]] * max(1, SEVERAL_STEPS // x.shape[1]), 1)
    whole = replace(case, mask=None, training=False)
    try:
        subject = whole.with_x(more).subject()
        subject.forward()
        x, whole = more, subject.case
    except ValueError:  # longer than it may be
        subject = whole.subject()
    wanted = copies(named("y", subject.forward(whole)[0]))
    subject.rewind()
    parts = [p for p in np.split(subject.cast(x), [1, 1 + x.shape[1] // 2], 1) if p.shape[1]]
    memory, found = None, []
    for part in parts:
        subject.layer.step(part[:, ::-1], memory)  # which it can be continued by in another way
        y, memory = subject.layer.step(part, memory)
        found.append(np.array(y))
    got = named("y", np.concatenate(found, 1))
    must_agree(got, wanted, "step by step", moved=moves_of(subject, whole, case.dy(got["y"])))
    return True


def what_weighs_nothing_does_not_count(case: Case) -> None:
    """Of a loss, rows of weight 0 and rows under a mask have no gradient and no say, and weights of
    1 change nothing but a common factor; of a layer, what stands at masked steps moves nothing.

    Catches a weight that value or gradient alone sees, one that is squared, padding that is
    multiplied by 0 where it holds an infinity, and a mask that forward and backward leave out
    alike, so that differences agree.
    """
    if not case.is_loss:
        must_ignore_padding(case)
        return
    if "couples_rows" in case.tags:
        raise DoesNotApply("a row counts for others")
    if case.rows < 2:
        raise DoesNotApply("for losses of two rows and more")
    loss = case.subject().layer
    x, y_true = case.subject().cast(case.x), case.y_true
    real = np.arange(case.rows) % 2 == 0
    plain = value_and_dy(loss, y_true, x)
    for how, given in (
        ("with weights of 1", (np.ones(case.rows), None)),
        ("under a mask that hides nothing", (None, np.ones(case.rows, bool))),
    ):
        must_be_a_share(value_and_dy(loss, y_true, x, *given), plain, how)
    other = np.where(leading(real, x), x, x[::-1] if case.rows % 2 == 0 else np.roll(x, 1, 0))
    weights = np.where(real, case.rng(14).uniform(0.5, 2, case.rows), 0.0)
    for how, given in (("of weight 0", (weights, None)), ("under the mask", (None, real))):
        wanted = value_and_dy(loss, y_true, x, *given)
        must_agree(value_and_dy(loss, y_true, other, *given), wanted, f"with other rows {how}")
        if np.any(wanted["dy"][~real]):
            raise Broken(f"rows {how} have a gradient")
    wild = np.where(leading(real, x), x, np.nan)
    must_agree(value_and_dy(loss, y_true, wild, None, real), wanted, "with NaN under the mask")
    # by their sum or by the number of rows: what counts is how they are to each other
    one = value_and_dy(loss, y_true, x, weights)["dy"]
    for c in (2.0, 100.0):
        more = value_and_dy(loss, y_true, x, c * weights)["dy"]
        if not any(np.allclose(more, factor * one, 1e-9, 1e-12) for factor in (1.0, c)):
            raise Broken(
                f"weights that are {c:g} times as large give neither the same gradient nor {c:g} "
                "times that"
            )


def must_be_a_share(got: Results, plain: Results, how: str) -> None:
    """Raise unless loss and gradient are the same share of what they are without weights: a mean
    over the weights of rows is divided by these, however many values a row has."""
    if not np.any(plain["dy"]):
        return
    share = np.vdot(got["dy"], plain["dy"]) / np.vdot(plain["dy"], plain["dy"])
    shared = {name: share * a for name, a in plain.items()}
    must_agree(got, shared, f"{how}, {share:.6g} times that without")


def value_and_dy(
    loss: Loss, y_true: Any, y_pred: Any, weights: Any = None, mask: Any = None
) -> Results:
    value, cache = loss.forward(y_true, y_pred, weights, mask)
    return {"the loss": np.array(value), "dy": np.array(loss.backward(cache))}


def leading(rows: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A flag for each row, to be broadcast along all of it."""
    return rows.reshape(-1, *[1] * (x.ndim - 1))


def a_frozen_layer_passes_gradients_on(case: Case) -> None:
    """A layer that is not trainable has the dx that it would have otherwise.

    Freezing is a matter of the optimizer's. Catches a frozen layer whose dx is 0, so that nothing
    before it learns. One that computes something else when it is frozen, as batch normalization
    does, goes back by that.
    """
    if not case.floats or case.is_loss:
        raise DoesNotApply("there is no dx")
    subject = case.subject()
    subject.layer.trainable = False
    y, got = ahead_and_back(subject, case)
    if not got:
        raise DoesNotApply("there is no dx")
    different = None
    for training in (case.training, not case.training):
        its_y, wanted = ahead_and_back(case.subject(), replace(case, training=training))
        if alike(its_y, y):
            try:
                must_agree(got, wanted, "of a frozen one")
                return
            except Broken as error:  # y of a row of zeros may be the same in both, and dx is not
                different = different or error
    if different:
        raise different
    certified(OfInputs(subject.layer, case), case.x, case)


def ahead_and_back(subject: Subject, at: Case) -> tuple[Results, Results]:
    """y, and dx of each input."""
    y, cache = subject.forward(at)
    dx = subject.backward(at.dy(y), cache)
    return copies(named("y", y)), copies(subject.of_inputs(dx))


def a_frozen_layer_is_frozen_throughout(case: Case) -> None:
    """A layer that, not being trainable, computes in training what it does in inference moves no
    buffer then, and one whose buffers stay computes that.

    Catches moving statistics that go on moving under a frozen normalization, and one that goes on
    with the statistics of the batch. A layer that takes no notice of being frozen keeps the law.
    """
    subject = case.subject()
    if not subject.buffers or {"stateful", "stochastic"} & case.tags or case.empty:
        raise DoesNotApply("it has no buffers that training alone decides on")
    moving, inference = replace(case, training=True), replace(case, training=False)
    y, y_still = (copies(named("y", subject.forward(at)[0])) for at in (inference, moving))
    start, left = subject.buffers_at_start(), subject.buffers_now()
    if alike(y, y_still) or alike(left, start):
        raise DoesNotApply("training and inference do not differ in both")
    subject.layer.trainable = False
    frozen = copies(named("y", subject.forward(moving)[0]))
    as_inference, stays = alike(frozen, y), alike(subject.buffers_now(), start)
    if as_inference and not stays:
        raise Broken("training moves buffers of a frozen one, which computes as in inference")
    if stays and not as_inference:
        raise Broken("a frozen one, whose buffers stay, does not compute as in inference")


def alike(one: Results, other: Results) -> bool:
    return all(np.allclose(a, other[name], 1e-12, 1e-12, equal_nan=True) for name, a in one.items())
