"""What holds for every layer, one function a law.

A law takes a `Case` and returns if it holds for it, else raises `Broken` with what was seen. The
first line of its docstring states the law, the rest says which mistake it catches. `docs/laws.md`
has a section on each.

Values are compared in float64, and up to a billionth of the largest number, unless a law says
otherwise: two orders of one sum differ by much less, a mistake by much more.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from backprop.gradcheck import gradcheck
from backprop.layer import Context, show_shape
from backprop.layers.containers import Chain
from backprop.losses.loss import Loss
from backprop.models import Sequential
from backprop.testing.case import (
    Broken,
    Case,
    DoesNotApply,
    OfOneInput,
    Subject,
    Undecided,
    farthest,
    largest,
    must_agree,
)
from backprop.testing.poison import poisoned
from backprop.testing.probes import (
    DRAW_ALIKE,
    LAYOUTS,
    asked_for,
    extremes,
    fits,
    names,
    penalises,
    rounding,
    takes_dvalues,
    twins,
    wrong_inputs,
)

Array = np.ndarray
Law = Callable[[Case], None]

EPS32 = float(np.finfo(np.float32).eps)
ULPS = 64  # of float32, that a correct layer may be off; they stay below 7, mistakes begin at 1,000


def needs(
    *, tag: str | None = None, reference: bool = False, **without: str
) -> Callable[[Law], Law]:
    """Say when a law applies: only with a tag, only with a reference, not with the tags named by
    keyword."""

    def decorate(law: Law) -> Law:
        law.needs = (tag, reference, without)  # type: ignore[attr-defined]
        return law

    return decorate


def why_not(law: Law, tags: Iterable[str], reference: Any) -> str | None:
    """Why a law does not apply to what has these tags, or None if it does."""
    tag, wants_reference, without = getattr(law, "needs", (None, False, {}))
    if tag is not None and tag not in tags:
        return f"for layers with the tag {tag!r}"
    if wants_reference and reference is None:
        return "no reference= was given"
    return next((f"tag {t!r}: {reason}" for t, reason in without.items() if t in tags), None)


# -------------------------------------------------------------------------------- derivatives


def gradients_match_finite_differences(case: Case) -> None:
    """Every gradient is the derivative of the forward pass, as far as differences can tell.

    The law that most mistakes in a derivation break: a factor, a sign, a transposed product, a sum
    over the wrong axis, a path that was forgotten. `gradcheck` certifies dx and all parameters in
    float64, in training and in inference, under the mask and the weights of the case. A `piecewise`
    layer is checked beside its kinks, which have a law of their own.
    """
    x = case.x
    if "piecewise" in case.tags and x.dtype.kind == "f":
        # off the multiples of 1/2, by a little
        x = x + 0.02 * (case.rng(3).uniform(0.5, 1.0, x.shape) * (0.5 - np.mod(2 * x, 1)))
    certify(case.with_x(x))


@needs(tag="piecewise")
def slopes_at_kinks_are_subgradients(case: Case) -> None:
    """At a kink, the derivative lies between the slopes on its two sides, output by output.

    At ties and thresholds differences see two slopes. An implementation may choose one, or one in
    between, but a max-pooling that pays dy to all that tie, or a threshold that is slightly off,
    leaves the interval. `gradcheck` looks at both sides, at multiples of 1/2.
    """
    if case.x.dtype.kind != "f":
        raise DoesNotApply("integers have no slope")
    x = np.round(2 * case.x) / 2
    if case.x.min(initial=0.0) >= 0 and case.x.max(initial=0.0) <= 1:
        x = case.x  # rounded, probabilities would reach 0 and 1, where they may not go further
    certify(case.with_x(x))


def certify(case: Case) -> None:
    """Raise unless the gradients of a case are right."""
    if not case.x.size:
        raise DoesNotApply("an empty input has no gradients")
    layer = OfOneInput(case.subject().layer, case)
    report = gradcheck(layer, case.x, seed=case.seed, training=case.training, lattice=False)
    if report.verdict.lower() == "fail":
        looks, table = getattr(report, "diagnosis", None), str(report)
        raise Broken(f"{table}\nlooks like: {looks}" if looks and looks not in table else table)
    if report.verdict.lower() == "inconclusive":
        raise Undecided(str(report))


def float32_agrees_with_float64(case: Case) -> None:
    """float32 gives what float64 gives at the same numbers, up to some units in the last place.

    Catches what is exact in theory and wrong in float32: a difference of large sums, an epsilon
    that vanishes, a detour through float16. How far rounding may go is measured on the layer
    itself, by moving all its numbers by a unit in the last place.
    """
    narrow, wide = case.subject(np.float32), case.subject()
    if "stochastic" in case.tags:
        case = replace(case, training=False)  # a generator draws other numbers in another dtype
    if case.x.dtype.kind == "f":
        case = case.with_x(case.x.astype(np.float32).astype(np.float64))
    narrow.adopt(wide)
    wide.adopt(narrow)
    dy = case.dy(wide.forward(case)[0]).astype(np.float32)
    wanted = wide.results(case, dy.astype(np.float64))
    got = narrow.results(case, dy)
    scatter = rounding(narrow, case, dy, got)
    for name, w in wanted.items():
        # what is small because large numbers cancelled in it is as inexact as they are
        terms = largest(case.x) if name == "y" else largest(dy)
        allowed = EPS32 * (ULPS * largest(w) + 8 * terms) + 8 * scatter[name]
        if found := farthest(got[name], w, allowed):
            unit = EPS32 * max(largest(w), 1e-30)
            raise Broken(
                f"in float32, {name} is {found}: {largest(got[name] - w) / unit:.0f} units in the "
                f"last place, of which rounding explains {allowed / unit:.0f}"
            )


@needs(reference=True)
def agrees_with_the_reference(case: Case) -> None:
    """The forward pass gives what a naive one gives.

    Differences only tell that backward belongs to forward; where both are wrong in the same way
    they agree. The reference is called with x (a loss' with y_true and y_pred) and, by name,
    whatever else its signature asks for.
    """
    assert case.reference is not None
    subject = case.subject()
    y = np.array(subject.forward()[0])
    known: dict[str, Any] = {p.name: p.value.copy() for p in subject.layer.arrays()}
    known |= dict(case.config)
    known |= {
        "mask": case.mask,
        "training": case.training,
        "sample_weight": case.sample_weight,
        "layer": subject.layer,
    }
    x = subject.cast(case.x)
    subject.rewind()
    given = [case.y_true, x] if case.is_loss else [x]
    wanted = np.asarray(case.reference(*given, **asked_for(case.reference, len(given), known)))
    if y.shape != wanted.shape:
        raise Broken(f"y has shape {y.shape} and the reference's {wanted.shape}")
    if found := farthest(y, wanted, TOLERANCE_OF_A_LOOP * (1 + largest(wanted))):
        raise Broken(f"y is {found}, as the reference says")


TOLERANCE_OF_A_LOOP = 1e-8


# -------------------------------------------------------------------------------- shapes and dtypes


def shape_and_dtype_are_as_declared(case: Case) -> None:
    """y has the shape that `compute_output_shape` says, dx that of x, and all of them x's dtype.

    Catches the float64 that leaks in through a NumPy scalar, an output shape that was forgotten or
    is wrong for one padding, and a mask that does not fit y.
    """
    for dtype in (np.float32, np.float64):
        for training in (True, False):
            subject, at = case.subject(dtype), replace(case, training=training)
            y, cache = subject.forward(at)
            mode = f"given {dtype.__name__} in {'training' if training else 'inference'}"
            if not case.is_loss:
                declared = tuple(subject.layer.compute_output_shape((None, *case.x.shape[1:])))
                if not fits(np.shape(y), declared):
                    raise Broken(
                        f"{mode}, y has shape {np.shape(y)} where compute_output_shape says "
                        f"{show_shape(declared)}"
                    )
                check_mask_shape(subject, at, np.shape(y), mode)
            elif np.shape(y) and getattr(subject.layer, "reduction", None) not in ("none", None):
                raise Broken(f"{mode}, the value has shape {np.shape(y)} where it is one number")
            must_be(y, dtype, "y", mode)
            dx = subject.backward(case.dy(y), cache)
            if case.x.dtype.kind == "f":
                must_be(dx, dtype, "dx", mode)
            if np.shape(dx) != case.x.shape:
                raise Broken(f"{mode}, dx has shape {np.shape(dx)} where x has {case.x.shape}")
            for p in subject.layer.arrays():
                must_be(p.value, dtype, p.path, mode)


def must_be(a: Any, dtype: type, name: str, mode: str) -> None:
    if getattr(a, "dtype", None) != dtype:
        raise Broken(f"{mode}, {name} is {getattr(a, 'dtype', type(a).__name__)}")


def check_mask_shape(subject: Subject, case: Case, shape: tuple, mode: str) -> None:
    mask = subject.layer.compute_mask(subject.cast(case.x), case.mask)
    if mask is not None and np.shape(mask) != shape[: np.ndim(mask)]:
        raise Broken(f"{mode}, compute_mask gives shape {np.shape(mask)} for y of {shape}")


def a_batch_of_one_and_of_none_works(case: Case) -> None:
    """One row is a batch, and so is none: shapes stay right, sums over no rows are 0, nothing
    becomes NaN.

    Catches a mean over an empty axis, a squeeze that eats the batch, and statistics that a last,
    empty batch turns into NaN.
    """
    if "stateful" in case.tags:
        raise DoesNotApply("it is built for one size of batch")
    subject = case.subject()
    for n in (1, 0):
        small = case.take(slice(0, n))
        y, cache = subject.forward(small)
        dx = subject.backward(case.dy(y), cache)
        if not case.is_loss:
            declared = tuple(subject.layer.compute_output_shape((None, *case.x.shape[1:])))
            if not fits(np.shape(y), (n, *declared[1:])):
                raise Broken(f"for {n} rows y has shape {np.shape(y)} and not {(n, *declared[1:])}")
        if np.shape(dx) != small.x.shape:
            raise Broken(f"for {n} rows dx has shape {np.shape(dx)} and not {small.x.shape}")
        for name, a in {"y": y, "dx": dx, **subject.gradients()}.items():
            if not np.isfinite(a).all():
                raise Broken(f"for {n} rows {name} is not finite")
            if n == 0 and name.startswith("d") and np.any(a):
                raise Broken(f"{name} is not 0, where there are no rows")
        for p in subject.buffers:
            if not np.isfinite(p.value).all():
                raise Broken(f"{n} rows left {p.path} not finite")


@needs(integer_input="integers are not cast")
def extreme_input_gives_finite_results(case: Case) -> None:
    """Where x is 0, all equal or as large as 10,000, y and all gradients are finite.

    Catches exp that overflows, 0 / 0 of a norm or a variance, log 0, and infinity times 0 in a
    backward pass. Numbers in [0, 1] are taken for probabilities, and positive ones stay so.
    """
    if case.x.dtype.kind != "f" or not case.x.size:
        raise DoesNotApply("there are no numbers to be extreme")
    subject = case.subject(np.float32)
    for what, x in extremes(case):
        there = case.with_x(x)
        y, cache = subject.forward(there)
        dx = subject.backward(case.dy(y), cache)
        for name, a in {"y": y, "dx": dx, **subject.gradients()}.items():
            if not np.isfinite(a).all():
                wrong = np.asarray(a)[~np.isfinite(a)].flat[0]
                raise Broken(f"where x is {what}, {name} holds {wrong}, in float32")


def a_wrong_rank_or_width_raises_a_clear_error(case: Case) -> None:
    """An input of another rank or width than the layer was built for works wholly, or raises an
    error that names the layer.

    Catches the shape that NumPy broadcasts in silence, and the error that says only that two arrays
    do not fit. The layer stands in a chain, as in a model: what a chain says about where it
    happened is welcome.
    """
    subject = case.subject(np.float32)
    if case.is_loss:
        wrong_targets(subject, case)
        return
    chain = Chain([subject.layer], dtype=None)
    chain.build(case.batch_shape)
    x = subject.cast(case.x)
    for what, wrong in wrong_inputs(x):
        subject.rewind()
        where = (
            f"built for {show_shape(x.shape[1:])} and given {show_shape(wrong.shape[1:])}, {what},"
        )
        try:
            y = chain(wrong)
        except Exception as error:
            if not isinstance(error, ValueError | TypeError):
                raise Broken(
                    f"{where} it raises {type(error).__name__}, where a ValueError should say what "
                    "is wrong"
                ) from error
            if not names(subject.layer, error):
                raise Broken(
                    f"{where} it raises an error that does not say where: {error}"
                ) from error
            continue
        declared = tuple(subject.layer.compute_output_shape((None, *wrong.shape[1:])))
        if not fits(y.shape, declared):
            raise Broken(
                f"{where} it raises nothing: y has shape {y.shape}, compute_output_shape says "
                f"{show_shape(declared)}; set self.input_spec in build"
            )
        wrong_backward(subject, case, wrong, where)


def wrong_backward(subject: Subject, case: Case, wrong: Array, where: str) -> None:
    try:
        y, cache = subject.layer.forward(wrong, Context(False))
        dx = subject.backward(case.dy(y), cache)
    except (ValueError, TypeError) as error:
        if not names(subject.layer, error):
            raise Broken(
                f"{where} it raises nothing before backward: {error}; set self.input_spec in build"
            ) from error
        return
    if dx.shape != wrong.shape:
        raise Broken(f"{where} dx has shape {dx.shape}; set self.input_spec in build")


def wrong_targets(subject: Subject, case: Case) -> None:
    y_true = case.y_true
    assert y_true is not None
    wrong = [("one row more", np.concatenate([y_true, y_true[:1]]))]
    if y_true.ndim > 1:
        wrong.append(("one column more", np.concatenate([y_true, y_true[..., :1]], -1)))
    for what, t in wrong:
        where = f"given {what} in y_true, {t.shape} for {case.x.shape},"
        name = type(subject.layer).__name__
        try:
            subject.layer(t, subject.cast(case.x))
        except Exception as error:
            if isinstance(error, ValueError | TypeError) and name in str(error):
                continue
            raise Broken(
                f"{where} it raises {type(error).__name__} that does not name {name}: {error}"
            ) from error
        raise Broken(f"{where} it raises nothing")


# -------------------------------------------------------------------------------- the backward pass


def backward_is_linear_in_dy(case: Case) -> None:
    """backward(a u + b v) = a backward(u) + b backward(v), whatever the size of a and b.

    The chain rule is linear. Catches an upstream gradient that is squared, clipped, normalised or
    ignored: mistakes that a check with dy = 1 cannot see. Penalties on activity add what does not
    depend on dy.
    """
    subject = case.subject()
    if isinstance(subject.layer, Loss) and not takes_dvalues(subject.layer):
        raise DoesNotApply("the loss' backward takes no upstream gradient")
    y, cache = subject.forward()

    def backward(dy: Array) -> dict[str, Array]:
        return subject.reversed(subject.backward(dy.astype(np.asarray(y).dtype), cache))

    u, v = case.dy(y, 7), case.dy(y, 8)
    rest = backward(np.zeros_like(u))
    if not penalises(subject.layer):
        for name, a in rest.items():
            if np.any(a):
                raise Broken(f"dy = 0 gives {name} with {largest(a):.6g} in it")
    of_u, of_v = backward(u), backward(v)
    for a, b in ((1.0, 2.0**20), (-3.0, 2.0**-20)):
        got = backward(a * u + b * v)
        for name, g in got.items():
            part_u, part_v = a * (of_u[name] - rest[name]), b * (of_v[name] - rest[name])
            scale = (
                largest(part_u) + largest(part_v) + largest(of_u[name]) + (abs(a) + abs(b)) * 1e-3
            )
            if found := farthest(g - rest[name], part_u + part_v, 1e-10 * scale):
                raise Broken(f"{name} of {a:g} u + {b:g} v is {found}, as {name} of u and of v say")


def backward_sets_and_can_be_repeated(case: Case) -> None:
    """backward sets every entry of every gradient, and doing it again with the same cache gives the
    same.

    Catches `+=` on a gradient, one that is left as it was, and a cache that the first pass used up.
    """
    subject = case.subject()
    y, cache = subject.forward()
    dy = case.dy(y)
    first = subject.reversed(subject.backward(dy, cache))
    subject.poison_gradients()
    second = subject.reversed(subject.backward(dy, cache))
    for name, a in second.items():
        if np.isnan(a).any() and not np.isnan(first[name]).any():
            kind = "adds to" if np.isnan(a).all() else "leaves a part of"
            raise Broken(
                f"backward {kind} {name}, where it has to set it: what was there before shows"
            )
    must_agree(second, first, "the second time")


def params_only_backward_agrees(case: Case) -> None:
    """`backward_params` sets the gradients that `backward` sets.

    Catches the shortcut for a model's first layer that was changed in only one of the two places.
    """
    subject = case.subject()
    if not subject.parameters:
        raise DoesNotApply("it has no parameters")
    y, cache = subject.forward()
    dy = case.dy(y)
    subject.backward(dy, cache)
    wanted = subject.gradients()
    subject.poison_gradients()
    subject.layer.backward_params(dy, cache)
    must_agree(subject.gradients(), wanted, "by backward_params")


def inputs_are_untouched(case: Case) -> None:
    """x, dy, the mask, targets, weights and the parameters are read and never written.

    Catches `dy *= ...`. The arrays are read-only, so that NumPy raises on the guilty line.
    """

    def locked(a: Array | None) -> Array | None:
        if a is None:
            return None
        a = a.copy()
        a.flags.writeable = False
        return a

    subject = case.subject()
    x = locked(subject.cast(case.x))
    assert x is not None
    at = replace(
        case,
        x=x,
        mask=locked(case.mask),
        y_true=locked(case.y_true),
        sample_weight=locked(case.sample_weight),
    )
    values = [p.value.copy() for p in subject.parameters]
    y, cache = subject.forward(at)
    dy = case.dy(y)
    before = dy.copy()
    dy.flags.writeable = False
    subject.backward(dy, cache)
    for p, value in zip(subject.parameters, values, strict=True):
        if not np.array_equal(p.value, value, equal_nan=True):
            raise Broken(f"running it changed its parameter {p.path}")
    must_agree({"dy": dy, "x": x}, {"dy": before, "x": subject.cast(case.x)}, "after the pass", 0.0)


def kept_results_never_change(case: Case) -> None:
    """What forward and backward returned stays what it was, whatever runs afterwards.

    Catches a buffer that is kept on the layer and filled again, and a result that is a view of the
    parameters.
    """
    subject = case.subject()
    y, cache = subject.forward()
    dx = subject.backward(case.dy(y), cache)
    kept, copies = (
        {"y": np.asarray(y), "dx": np.asarray(dx)},
        {"y": np.array(y), "dx": np.array(dx)},
    )
    other = case.other()
    for later in (other.take(slice(0, len(case.x))), other):
        y_later, cache_later = subject.forward(later)
        subject.backward(case.dy(y_later, 9), cache_later)
    must_agree(kept, copies, "after another pass", 0.0)
    for p in subject.layer.arrays():
        p.value += 1
    must_agree(kept, copies, "after the parameters were changed", 0.0)


def two_forwards_do_not_interfere(case: Case) -> None:
    """A second forward pass before the first is reversed changes nothing about the first.

    Catches what forward keeps on the layer and backward reads: a cache that is stale as soon as a
    layer is used twice.
    """
    wanted = case.subject().results()
    subject, other = case.subject(), case.other()
    y, cache = subject.forward()
    dy = case.dy(y)
    y_other, cache_other = subject.forward(other)
    first = subject.reversed(subject.backward(dy, cache))
    must_agree({"y": np.asarray(y), **first}, wanted, "after a second forward pass")
    other_wanted = case.subject().results(other)
    second = subject.reversed(subject.backward(case.dy(y_other), cache_other))
    must_agree({"y": np.asarray(y_other), **second}, other_wanted, "reversed second")


# -------------------------------------------------------------------------------- memory


def uninitialised_memory_is_never_read(case: Case) -> None:
    """The result is the same whatever lies in the memory that `np.empty` returns.

    Catches `np.empty` where some entries are never written: they are 0 on most days and anything on
    others.
    """
    subject = case.subject()
    wanted = subject.results()
    modules = {cls.__module__ for part in subject.layer.walk() for cls in type(part).__mro__}
    for value in (np.nan, -12345.678):
        with np.errstate(all="ignore"), poisoned(value, modules):
            y, cache = subject.forward()
            dx = subject.backward(case.dy(y), cache)
        got = {"y": np.array(y), **subject.reversed(dx)}
        must_agree(got, wanted, f"where np.empty is full of {value:g}")


def memory_layout_does_not_matter(case: Case) -> None:
    """x and dy may be transposed, reversed, sliced or broadcast views: the result is the same.

    Catches code that reads memory in order: a reshape in place, a flat iterator, a buffer handed on
    as it lies.
    """
    subject = case.subject()
    x = subject.cast(case.x)
    y, cache = subject.forward()
    dy = case.dy(y)
    wanted = {"y": np.array(y), **subject.reversed(subject.backward(dy, cache))}
    for name, layout in LAYOUTS.items():
        at = replace(case, x=layout(x), y_true=None if case.y_true is None else layout(case.y_true))
        y, cache = subject.forward(at)
        got = {"y": np.array(y), **subject.reversed(subject.backward(layout(dy), cache))}
        must_agree(got, wanted, f"with x and dy {name}")
    one = np.broadcast_to(dy.dtype.type(0.75), dy.shape)
    _, cache = subject.forward()
    wanted = subject.reversed(subject.backward(one.copy(), cache))
    must_agree(
        subject.reversed(subject.backward(one, cache)),
        wanted,
        "with a dy that is one number broadcast",
    )


# -------------------------------------------------------------------------------- rows, randomness,
# modes


@needs(couples_rows="rows may depend on each other")
def rows_are_independent(case: Case) -> None:
    """A row of y depends on its row of x alone, and a row of dx on its row of dy.

    Catches a sum or a mean over all axes where one over the last was meant: samples leak into each
    other. A layer that couples its rows on purpose, such as batch normalization, says so by the tag
    `couples_rows`.
    """
    n = len(case.x)
    if "stateful" in case.tags and n < 2:
        raise DoesNotApply("one row")
    subject = case.subject()
    if penalises(subject.layer):
        raise DoesNotApply("its penalty on activity is a mean over the batch")
    if case.is_loss:
        loss_rows(subject, case)
        return
    y, cache = subject.forward()
    y = np.array(y)
    dy = case.dy(y)
    last = np.arange(n) == n - 1
    if case.x.dtype.kind == "f" and n > 1:
        moved = case.x.copy()
        moved[-1] = 0.75 * moved[-1] + 0.25 * case.x.mean()
        there = np.asarray(subject.forward(case.with_x(moved))[0])
        must_agree({"y": there[~last]}, {"y": y[~last]}, "when another row of x changes")
        lone = dy.copy()
        lone[~last] = 0
        dx = np.asarray(subject.backward(lone, cache))
        if np.any(dx[~last]):
            raise Broken("dy of one row gives dx in others")
    if ("stochastic" in case.tags and case.training) or "stateful" in case.tags:
        return  # a row on its own draws other numbers, or has another state
    whole = subject.reversed(subject.backward(dy, cache)) | {"y": y}
    parts = []
    for i in range(n):
        y_i, cache_i = subject.forward(case.take(slice(i, i + 1)))
        got = subject.reversed(subject.backward(dy[i : i + 1], cache_i)) | {"y": np.asarray(y_i)}
        same = {name: whole[name][i : i + 1] for name in ("y", "dx") if name in whole}
        must_agree({name: got[name] for name in same}, same, f"of row {i} on its own")
        parts.append(got)
    for name in parts[0].keys() - {"y", "dx"}:
        total = {name: np.sum([part[name] for part in parts], axis=0)}
        must_agree({name: whole[name]}, total, "of all rows, compared with the sum over rows,")


def loss_rows(subject: Subject, case: Case) -> None:
    """Each row of dy_pred is that of the row on its own, over the number of rows where the loss is
    a mean."""
    reduction = getattr(subject.layer, "reduction", None)
    mean = reduction in ("mean", "sum_over_batch_size")
    if reduction == "mean_with_sample_weight" or (mean and case.mask is not None):
        raise DoesNotApply("the weights of all rows divide each")
    if mean and getattr(subject.layer, "ignore_class", None) is not None:
        raise DoesNotApply("the number of labels that count divides each row")
    n = len(case.x)
    value, cache = subject.forward()
    whole = subject.backward(np.ones_like(value), cache)
    total = 0.0
    for i in range(n):
        v, c = subject.forward(case.take(slice(i, i + 1)))
        share = 1 / n if mean else 1
        dx = subject.backward(np.ones_like(v), c) * share
        must_agree({"dy_pred": whole[i : i + 1]}, {"dy_pred": dx}, f"of row {i} on its own")
        total = total + np.sum(v) * share
    must_agree(
        {"value": np.asarray(np.sum(value))},
        {"value": np.asarray(total)},
        "summed over single rows",
    )


@needs(stateful="it remembers the batch before")
def inference_is_deterministic(case: Case) -> None:
    """In inference the same x gives the same y: nothing is drawn, and no buffer moves.

    Catches dropout that is on in inference, statistics that predicting changes, and everything that
    is kept from call to call.
    """
    subject, case = case.subject(), replace(case, training=False)
    y = np.array(subject.forward(case)[0])
    states = [g.state for g in subject.generators]
    buffers = [p.value.copy() for p in subject.buffers]
    subject.forward(case.other(), rewind=False)
    again = np.asarray(subject.forward(case, rewind=False)[0])
    must_agree({"y": again}, {"y": y}, "the second time", 1e-14)
    if any(repr(g.state) != repr(s) for g, s in zip(subject.generators, states, strict=True)):
        raise Broken("inference draws from the layer's generator")
    for p, value in zip(subject.buffers, buffers, strict=True):
        if not np.array_equal(p.value, value, equal_nan=True):
            raise Broken(f"inference moves {p.path}")


def same_seed_same_result(case: Case) -> None:
    """Built after the same seed, two layers have the same weights and draw the same numbers, and
    each pass draws new ones.

    Catches draws from `np.random`, from the clock or from anything else that `set_random_seed` does
    not reach, and a (`stochastic`) layer that draws once and for all.
    """
    case = replace(case, training=True)
    one, two = (Subject(case, generic=False) for _ in range(2))
    for p, q in zip(one.layer.arrays(), two.layer.arrays(), strict=True):
        must_agree({p.path: q.value}, {p.path: p.value}, "built again after the same seed", 0.0)
    for _ in range(2):
        y, again = (np.asarray(s.forward(rewind=False)[0]) for s in (one, two))
        must_agree({"y": again}, {"y": y}, "built again after the same seed", 1e-14)
    if "stochastic" in case.tags and case.x.size and "stateful" not in case.tags:
        many = case.take(np.arange(16) % len(case.x))
        first = np.array(one.forward(many, rewind=False)[0])
        if not first.any():
            raise DoesNotApply("y is 0, whatever is drawn")
        if all(np.array_equal(first, one.forward(many, rewind=False)[0]) for _ in range(200)):
            raise Broken(
                "200 passes in training give the same y, where a stochastic layer draws anew"
            )


# -------------------------------------------------------------------------------- life with others


def survives_copy_pickle_config_and_save(case: Case) -> None:
    """A copy, an unpickled one, one from its configuration and one from a saved file compute the
    same.

    Catches an argument that the constructor does not keep, a view that a copy leaves behind, and
    state that no weight holds. The configuration goes through JSON, the file through
    `Sequential.save`.
    """
    subject = case.subject(np.float32)
    for training in (False, True):
        at = replace(case, training=training)
        subject.rewind()
        found = list(twins(subject, case))
        wanted = np.array(subject.forward(at, rewind=False)[0])
        for how, twin in found:
            if training and how not in DRAW_ALIKE:
                continue
            y = np.asarray(Subject(case, np.float32, layer=twin).forward(at, rewind=False)[0])
            must_agree(
                {"y": y},
                {"y": wanted},
                f"of {how}, in {'training' if training else 'inference'}",
                1e-6,
            )


def parameters_stay_views(case: Case) -> None:
    """Inside a model, the layer computes with the model's vector of values and writes into its
    vector of gradients.

    Catches a parameter that is bound anew behind the contract's back, and a transposed or reshaped
    copy of one that was made in `build` or in the first pass and is stale once an optimizer has
    moved the vector.
    """
    subject = case.subject()
    if not subject.parameters:
        raise DoesNotApply("it has no parameters")
    subject.rewind()
    model = Sequential([copy.deepcopy(subject.layer)], dtype="float64")
    model.build(case.batch_shape)
    inside = Subject(case, layer=model)
    inside.results()  # what a first pass keeps is stale from here on
    values = model.parameters.values
    values += case.rng(11).uniform(0.1, 0.2, values.shape)
    new = iter([p.value.copy() for p in model.arrays()])
    for p in subject.layer.arrays():
        p.value[...] = next(new)
    wanted = subject.results()
    y, cache = inside.forward()
    model.parameters.gradients[:] = np.nan
    dx = inside.backward(case.dy(y), cache)
    must_agree(
        {"y": np.asarray(y)}, {"y": wanted["y"]}, "after the model's vector of values was changed"
    )
    gradients = [g.ravel() for name, g in wanted.items() if name not in ("y", "dx")]
    must_agree(
        {"dx": np.asarray(dx)}, {k: v for k, v in wanted.items() if k == "dx"}, "inside a model"
    )
    must_agree(
        {"the model's vector of gradients": model.parameters.gradients},
        {"the model's vector of gradients": np.concatenate(gradients)},
        "inside a model",
    )


def a_replica_shares_values_and_owns_gradients(case: Case) -> None:
    """`replica()` computes the same with the same memory for values, and writes into gradients of
    its own.

    Two replicas on two threads must not meet. Catches arrays that were not made by `self.param` and
    caches kept on the layer.
    """
    subject = case.subject()
    if isinstance(subject.layer, Loss):
        raise DoesNotApply("losses have no replicas")
    twin = subject.layer.replica()
    wanted = subject.results()
    subject.poison_gradients()
    still = replace(case, training=False) if "stochastic" in case.tags else case
    subject.rewind()
    y, cache = twin.forward(subject.cast(case.x), Context(still.training, case.mask, penalties=[]))
    dx = twin.backward(case.dy(y), cache)
    if not all(np.isnan(p.gradient).all() for p in subject.parameters):
        raise Broken("the backward pass of a replica writes into the layer's own gradients")
    for mine, other in zip(subject.layer.arrays(), twin.arrays(), strict=True):
        if mine.size and not np.shares_memory(mine.value, other.value):
            raise Broken(f"the replica has a {mine.path} of its own, where it is to share it")
    if still is not case:
        return
    got = {"y": np.asarray(y), "dx": np.asarray(dx)}
    must_agree(
        {k: v for k, v in got.items() if k in wanted},
        {k: v for k, v in wanted.items() if k in got},
        "of a replica",
    )
    subject.poison_gradients(0.0)
    subject.layer.add_gradients(twin)
    must_agree(
        subject.gradients(),
        {k: v for k, v in wanted.items() if k not in got},
        "added from a replica",
    )


V1: tuple[Law, ...] = (
    gradients_match_finite_differences,
    slopes_at_kinks_are_subgradients,
    float32_agrees_with_float64,
    agrees_with_the_reference,
    shape_and_dtype_are_as_declared,
    a_batch_of_one_and_of_none_works,
    extreme_input_gives_finite_results,
    a_wrong_rank_or_width_raises_a_clear_error,
    backward_is_linear_in_dy,
    backward_sets_and_can_be_repeated,
    params_only_backward_agrees,
    inputs_are_untouched,
    kept_results_never_change,
    two_forwards_do_not_interfere,
    uninitialised_memory_is_never_read,
    memory_layout_does_not_matter,
    rows_are_independent,
    inference_is_deterministic,
    same_seed_same_result,
    survives_copy_pickle_config_and_save,
    parameters_stay_views,
    a_replica_shares_values_and_owns_gradients,
)
