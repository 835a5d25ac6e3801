"""Laws of shapes and dtypes: what was declared, a batch of any size, and clear errors for what does
not fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import cycle
from typing import Any

import numpy as np

from backprop.input_spec import show_shape
from backprop.layer import PREDICT, Context
from backprop.layers import Graph
from backprop.layers.chain import Chain
from backprop.nest import any_rows, as_tuple, each, several, shapes
from backprop.promises import declared_shape, kept
from backprop.testing.case import Case, Subject, present
from backprop.testing.probes import fits, graph_of, names, wrong_inputs
from backprop.testing.results import (
    Broken,
    DoesNotApply,
    copies,
    largest,
    must_agree,
    named,
    parts,
)

Array = np.ndarray

NEXT = 1 - 2.0**-28  # moves numbers by a sixteenth of what float32 tells apart


def shape_and_dtype_are_as_declared(case: Case) -> None:
    """y has the shape that `compute_output_shape` says, dx that of x, and all of them x's dtype,
    with all its digits; integers count by their numbers, whatever their dtype.

    Catches the float64 that leaks in through a NumPy scalar, a detour through float32 that float64
    does not show, an output shape that was forgotten or is wrong for one padding, and a mask that
    does not fit y.
    """
    for dtype in (np.float32, np.float64):
        for training in (True, False):
            subject, at = case.subject(dtype), replace(case, training=training)
            y, cache = subject.forward(at)
            mode = f"given {dtype.__name__} in {'training' if training else 'inference'}"
            if not case.is_loss:
                must_be_as_promised(subject, at, (y, cache), mode)
                declared = declared_shape(subject.layer, case.sample_shape)
                if found := misfit(y, declared):
                    raise Broken("{}, {} where compute_output_shape says {}".format(mode, *found))
                check_mask_shape(subject, at, shapes(y), mode)
            elif np.shape(y) and getattr(subject.layer, "reduction", None) not in ("none", None):
                raise Broken(f"{mode}, the value has shape {np.shape(y)} where it is one number")
            kinds = as_tuple(getattr(subject.layer, "output_kind", "f"))
            for (name, a), kind in zip(parts("y", y).items(), cycle(kinds), strict=False):
                if kind == "f":
                    must_be(a, dtype, name, mode)
                elif np.asarray(a).dtype.kind != kind:
                    raise Broken(f"{mode}, {name} is {a.dtype} where output_kind says {kind!r}")
            dx = subject.backward(case.dy(y), cache)
            for name, a in subject.of_inputs(dx).items():
                must_be(a, dtype, name, mode)
            must_be_of_shape(dx, case.x, f"{mode},")
            for p in subject.arrays:
                must_be(p.value, dtype, p.path, mode)
            if dtype is np.float64 and not (training and "stochastic" in case.tags):
                has_all_digits(subject, at, mode)
    must_take_all_integers(case)
    must_know_unknown_lengths(case)
    must_take_some_masks(case)


def must_take_some_masks(case: Case) -> None:
    """Raise unless a layer whose inputs all have masks takes the mask of each alone."""
    masks = case.mask if type(case.mask) is tuple else ()
    if sum(m is not None for m in masks) < 2:
        return
    for k, mask in enumerate(masks):
        if mask is None:
            continue
        alone = tuple([m if i == k else None for i, m in enumerate(masks)])
        try:
            case.subject().forward(replace(case, mask=alone))
        except Exception as error:
            raise Broken(
                f"where input {k} alone has a mask, it raises {type(error).__name__}: {error}"
            ) from error


def must_know_unknown_lengths(case: Case) -> None:
    """Raise if `compute_output_shape` stumbles over an axis of any length, as of Input((None, n)),
    where it may say that it must be known: the last one, of features, is."""
    if case.is_loss or type(case.x) is tuple:
        return
    shape = case.sample_shape
    for axis in range(1, len(shape) - 1):
        free = (*shape[:axis], None, *shape[axis + 1 :])
        try:
            case.subject().layer.compute_output_shape(free)
        except (TypeError, AttributeError, IndexError) as error:
            raise Broken(
                f"compute_output_shape({show_shape(free)}) raises {type(error).__name__}: {error}"
            ) from error
        except Exception:  # that it must be known
            continue


def must_take_all_integers(case: Case) -> None:
    """Raise unless the same integers in another dtype, as those of images and labels are, give the
    same: of eight bits they wrap round where they are multiplied or subtracted."""
    of_x = [a for a in as_tuple(case.x) if a is not None and a.dtype.kind in "iu"]
    labels = case.y_true is not None and case.y_true.dtype.kind in "iu"
    whole = [*of_x, *([case.y_true] if labels else [])]
    if not whole or not all(a.size for a in whole):
        return
    subject = case.subject()
    y, cache = subject.forward()
    dy = case.dy(y)
    wanted = copies(named("y", y)) | subject.reversed(subject.backward(dy, cache))
    low, high = min(a.min() for a in whole), max(a.max() for a in whole)
    for dtype in (np.int32, np.uint8):
        if low < np.iinfo(dtype).min or high > np.iinfo(dtype).max:
            continue

        def narrow(a: Any, dtype: Any = dtype) -> Any:
            return a.astype(dtype) if a.dtype.kind in "iu" else a

        at = replace(case, x=each(narrow, case.x))
        if labels:
            at = replace(at, y_true=narrow(case.y_true))
        y, cache = subject.forward(at)
        got = copies(named("y", y)) | subject.reversed(subject.backward(dy, cache))
        must_agree(got, wanted, f"of the same integers in {np.dtype(dtype)}")


def must_be_as_promised(subject: Subject, case: Case, result: Any, mode: str) -> None:
    """Raise unless y is what a container would accept, with what it says about it."""
    try:
        kept(subject.layer, subject.given(subject.cast(case.x), case.x), result)
    except (TypeError, ValueError) as error:
        raise Broken(f"{mode}, {error}") from None


def has_all_digits(subject: Subject, case: Case, mode: str) -> None:
    """Raise if a result is made of numbers of float32, and does not move where x, dy and the
    parameters are moved by less than such numbers tell apart.

    A number may be one of float32 by chance: 2.5¹⁰ is. It is another one nearby, as one that went
    through float32 is not, but for one in sixteen. What is the same everywhere, such as a count, is
    whole.
    """
    y, cache = subject.forward(case)
    dy = case.dy(y)
    y = copies(named("y", y))
    gradients = subject.reversed(subject.backward(dy, cache))
    if not any(map(largest, gradients.values())):
        return  # a y of steps moves nowhere
    found = gradients | y
    # what is left of a cancellation has few digits, and is next to nothing
    least = 1e-9 * max((largest(a) for a in found.values()), default=0.0)
    few = [name for name, a in found.items() if largest(a) > least and rounded_to_float32(a)]
    if not few:
        return
    values = [p.value.copy() for p in subject.parameters]
    for p in subject.parameters:
        p.value *= NEXT
    near = subject.results(
        case.changed(lambda x: x.astype(np.float64) * NEXT), each(lambda d: d * NEXT, dy)
    )
    for p, value in zip(subject.parameters, values, strict=True):
        p.value[...] = value
    for name in few:
        there = found[name][found[name] % 1 != 0]
        if there.size and np.mean(near[name][found[name] % 1 != 0] != there) < 0.5:
            raise Broken(
                f"{mode}, {name} has no more digits than float32: look for a constant or a cast "
                "of that dtype"
            )


def misfit(y: Any, declared: Any, rows: int | None = None) -> tuple[str, Any] | None:
    """What y is and what was declared, where they differ: of an output, or of their number."""
    wanted = tuple(declared) if several(declared) else (declared,)
    got = parts("y", y)
    if len(got) != len(wanted):
        return f"there are {len(got)} outputs", len(wanted)
    for (name, a), shape in zip(got.items(), wanted, strict=True):
        shape = tuple(shape) if rows is None else (rows, *shape[1:])
        if not fits(np.shape(a), shape):
            return f"{name} has shape {np.shape(a)}", show_shape(shape)
    return None


def must_be_of_shape(dx: Any, x: Any, where: str) -> None:
    """Raise unless dx has the shape of x, or each the shape of its input."""
    wanted = parts("x", x)
    for name, d in parts("dx", dx).items():
        of = name.removeprefix("d")
        if np.shape(d) != np.shape(wanted[of]):
            shape = np.shape(wanted[of])
            raise Broken(f"{where} {name} has shape {np.shape(d)} where {of} has {shape}")


def must_be(a: Any, dtype: type, name: str, mode: str) -> None:
    found = getattr(a, "dtype", None)
    if found == dtype:
        return
    advice = ""
    if found is not None and name.startswith(("y", "dx")):
        advice = f": {name}.astype({'x' if name.startswith('y') else 'dy'}.dtype) is of that dtype"
    if found is not None and found.kind in "iub" and name.startswith("y"):
        advice += "; where whole numbers are meant, say output_kind = 'i' in the class"
    raise Broken(f"{mode}, {name} is {found or type(a).__name__}{advice}")


def rounded_to_float32(a: Array) -> bool:
    """Whether all numbers are exact in float32, and some of them not by being simple, such as 0,
    1 and 3.5: of numbers of float64 that are drawn, one in 500 million is."""
    a = a[np.isfinite(a) & (np.abs(a) < 1e30)]
    single = a.astype(np.float32)
    return bool((single == a).all() and (single.view(np.uint32) & 0xFF).any())


def check_mask_shape(subject: Subject, case: Case, shape: Any, mode: str) -> None:
    mask = subject.layer.compute_mask(subject.cast(case.x), case.mask)
    found = mask if type(mask) is tuple else (mask,)
    if several(shape) and mask is not None and len(found) != len(shape):
        raise Broken(f"{mode}, compute_mask gives {len(found)} for {len(shape)} outputs")
    for m, of in zip(found, shape if several(shape) else (shape,), strict=False):
        if m is not None and np.shape(m) != of[: np.ndim(m)]:
            raise Broken(f"{mode}, compute_mask gives shape {np.shape(m)} for y of {of}")


def a_batch_of_one_and_of_none_works(case: Case) -> None:
    """One row is a batch, and so is none: shapes stay right, sums over no rows are 0, nothing
    becomes NaN.

    Catches a mean over an empty axis, a squeeze that eats the batch, and statistics that a last,
    empty batch turns into NaN, or moves at all.
    """
    if "stateful" in case.tags:
        raise DoesNotApply("it is built for one size of batch")
    subject = case.subject()
    whole = all(np.isfinite(a).all() for a in subject.results().values())
    for n in (1, 0):
        small = case.take(slice(0, n))
        y, cache = subject.forward(small)
        dx = subject.backward(case.dy(y), cache)
        if not case.is_loss:
            declared = declared_shape(subject.layer, case.sample_shape)
            if found := misfit(y, declared, n):
                raise Broken("for {} rows {} and not {}".format(n, *found))
        must_be_of_shape(dx, small.x, f"for {n} rows")
        for name, a in (named("y", y) | named("dx", dx) | subject.gradients()).items():
            if (whole or not n) and not np.isfinite(a).all():
                raise Broken(f"for {n} rows {name} is not finite")
            if n == 0 and name.startswith("d") and np.any(a):
                raise Broken(f"{name} is not 0, where there are no rows")
        start = subject.buffers_at_start()
        for name, left in subject.buffers_now().items():
            if not np.isfinite(left).all():
                raise Broken(f"{n} rows left {name} not finite")
            if n == 0 and not np.array_equal(left, start[name]) and is_of_rows(subject, name):
                raise Broken(f"a pass of no rows moves {name}")


def is_of_rows(subject: Subject, name: str) -> bool:
    """Whether another batch moves a buffer to another place: one that weights alone move goes on
    where there are no rows."""
    places = []
    for at in (subject.case, subject.case.other()):
        subject.forward(at)
        places.append(subject.buffers_now()[name])
    return not np.array_equal(*places)


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
    run = within_a_model(subject.layer, case)
    x = subject.cast(case.x)
    for what, wrong in wrong_inputs(x):
        subject.rewind()
        where = f"built for {samples(x)} and given {samples(wrong)}, {what},"
        try:
            y = run(wrong)
            declared = subject.layer.compute_output_shape(any_rows(shapes(wrong)))
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
        if found := misfit(y, declared):
            raise Broken(
                "{} it raises nothing: {}, compute_output_shape says {}; set self.input_spec in "
                "build".format(where, *found)
            )
        wrong_backward(subject, case, wrong, where)


def samples(x: Any) -> str:
    """The shape of a sample, or of one of each input."""
    return ", ".join(show_shape(a.shape[1:]) for a in as_tuple(x) if a is not None)


def within_a_model(layer: Any, case: Case) -> Callable[[Any], Any]:
    """A function from x to y that checks x and says where an error happened, as a model does."""
    if type(case.x) is tuple:
        graph = graph_of(Graph, layer, case)
        graph._tried = frozenset({False})  # y is compared with what was declared here

        def run(x: Any) -> Any:
            layer.check_input(shapes(x))
            return graph.forward(graph.cast(present(x, x)), PREDICT)[0]

        return run
    chain = Chain([layer], dtype=None)
    chain.build(case.batch_shape)
    chain._tried = frozenset({False})

    def run_one(x: Any) -> Any:
        chain.check_input(x.shape)
        return chain.forward(chain.cast(x), PREDICT)[0]

    return run_one


def wrong_backward(subject: Subject, case: Case, wrong: Any, where: str) -> None:
    try:
        y, cache = subject.layer.forward(wrong, Context(False))
        dx = subject.backward(case.dy(y), cache)
    except (ValueError, TypeError) as error:
        if not names(subject.layer, error):
            raise Broken(
                f"{where} it raises nothing before backward: {error}; set self.input_spec in build"
            ) from error
        return
    for (name, d), a in zip(parts("dx", dx).items(), as_tuple(wrong), strict=False):
        if d.shape != a.shape:
            raise Broken(f"{where} {name} has shape {d.shape}; set self.input_spec in build")


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
    if y_true.ndim == 1 and case.rows > 1 and case.x.ndim <= 2:
        must_take_a_column_as_it_is(subject, case, y_true)


def must_take_a_column_as_it_is(subject: Subject, case: Case, y_true: Array) -> None:
    """Raise if targets in a column of one number a row, where they are accepted, give another loss:
    NumPy makes a table of a column and a row."""
    x = subject.cast(case.x)
    try:
        got = subject.layer(y_true[:, None], x)
    except (ValueError, TypeError):
        return
    wanted = subject.layer(y_true, x)
    must_agree(named("the loss", got), named("the loss", wanted), "given y_true as a column", 1e-6)
