"""Laws of what is a function of one array: regularizers and constraints."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from backprop.constraints import Constraint
from backprop.gradcheck import gradcheck
from backprop.layer import INFERENCE, Layer
from backprop.regularizers import Regularizer
from backprop.testing.laws.law import needs
from backprop.testing.objects.trial import (
    Array,
    Kind,
    Trial,
    an_argument_that_is_set_counts,
    anew,
    check,
    collect,
    layouts,
    listing,
    locked,
    must_be,
    must_be_like,
    twins,
)
from backprop.testing.report import LawReport
from backprop.testing.results import Broken, DoesNotApply

# the long ones for what is done in blocks, or counted in eight bits
SHAPES = (
    *((3,), (2, 3), (5, 1), (1, 1), (2, 1, 3), (2, 2, 3, 2), (1,), (130, 2), (2, 260), (70,)),
    *((4, 2), (3, 3), (3, 130), (2, 600), (600, 2)),
)


class AsLayer(Layer):
    """y = penalty(x), one number, as a layer that `gradcheck` takes."""

    def __init__(self, regularizer: Regularizer):
        super().__init__(dtype=np.float64)
        self.regularizer = regularizer

    def forward(self, x, ctx=INFERENCE):
        return np.array([self.regularizer(x)]), x

    def backward(self, dy, x):
        return dy[0] * self.regularizer.gradient(x)


# ----------------------------------------------------------------------------------- regularizers


def gradient_is_the_slope_of_the_penalty(trial: Trial) -> None:
    """The gradient is the derivative of the penalty, at numbers of any size and of both signs.

    Catches a forgotten 2, a sign, a gradient that is divided by the number of weights where the
    penalty is their sum. `gradcheck` certifies it in float64; at kinks it asks for a slope between
    those of both sides.
    """
    for scale in (None, 1e-6, 1e4):
        report = gradcheck(AsLayer(trial.make()), trial.array(scale=scale), seed=trial.seed)
        if report.verdict == "fail":
            raise Broken(str(report))


@needs(signed="it may be negative")
def penalty_is_a_number_from_zero(trial: Trial) -> None:
    """The penalty is one finite number, and not negative.

    Catches an array of penalties, which a trainer would add to the loss, and a reward.
    """
    value = trial.make()(trial.array())
    if np.ndim(value) or not np.isfinite(value):
        raise Broken(f"the penalty is {value!r}, where it is to be one finite number")
    if value < 0:
        raise Broken(f"the penalty is {float(value):.6g}")


@needs(elsewhere="it is 0 elsewhere")
def nothing_costs_nothing(trial: Trial) -> None:
    """Where all numbers are 0, the penalty is 0 and the gradient finite.

    Catches 0 / 0 of a norm, the slope of a root at 0, and a constant.
    """
    made, zeros = trial.make(), np.zeros(trial.shape)
    must_be(made(zeros), 0.0, "the penalty of zeros", 0.0)
    if not np.isfinite(made.gradient(zeros)).all():
        raise Broken("the gradient at zeros is not finite")


def gradient_is_a_new_array_like_w(trial: Trial) -> None:
    """The gradient has the shape and dtype of w, in memory of its own, wherever w lies.

    Catches float64 that leaks into a float32 model, and w itself returned where the slope is w.
    """
    made = trial.make()
    for dtype in (np.float32, np.float64):
        w = trial.array(dtype=dtype)
        gradient = made.gradient(w)
        must_be_like(gradient, w, "the gradient")
        for how, other in layouts(w):
            must_be(made.gradient(other), gradient, f"the gradient of w {how}", 1e-5)
            must_be(made(other), made(w), f"the penalty of w {how}", 1e-5)


def float32_agrees(trial: Trial) -> None:
    """float32 gives what float64 gives, up to rounding.

    Catches a detour through fewer digits, and sums that overflow.
    """
    made, w = trial.make(), trial.array()
    single = w.astype(np.float32)
    if trial.kind is REGULARIZER:
        must_be(made.gradient(single), made.gradient(w), "in float32, the gradient", 1e-4, 1e-6)
    must_be(made(single), made(w), "in float32, the result", 1e-4, 1e-6)


def w_is_left_alone(trial: Trial) -> None:
    """w is read and never written.

    It is the model's own memory. The array is read-only, so that NumPy raises on the guilty line.
    """
    made, w = trial.make(), locked(trial.array())
    made(w)
    if trial.kind is REGULARIZER:
        made.gradient(w)


def same_again(trial: Trial) -> None:
    """The same w gives the same, whatever came in between, and what was returned stays as it was.

    Catches an array kept for the next call, a count of calls, a norm of the first w.
    """
    made = trial.make()
    w, other = trial.array(), trial.array(1)
    first = results(made, w, trial)
    kept = [np.array(a) for a in first]
    for array in (other, np.concatenate([w, other]), trial.make()(w), 2 * other):
        if np.shape(array):
            results(made, array, trial)
    for a, b in zip(first, kept, strict=True):
        must_be(a, b, "after other calls, what was returned", 0.0)
    for again, b in zip(results(made, w, trial), kept, strict=True):
        must_be(again, b, "the second time, the result", 1e-14)


def survives_copies(trial: Trial) -> None:
    """A copy, an unpickled one and one from its configuration compute the same.

    Catches an argument that the configuration does not hold. It goes through JSON.
    """
    made, w = trial.make(), trial.array()
    wanted = results(made, w, trial)
    family = trial.kind.family
    for how, twin in [*twins(made), *anew(made, family)]:
        for got, right in zip(results(twin, w, trial), wanted, strict=True):
            must_be(got, right, f"of {how}, the result", 1e-12)


@needs(reference=True)
def agrees_with_the_reference(trial: Trial) -> None:
    """The result is that of a naive function of w.

    Where value and gradient are wrong together, differences agree with both.
    """
    w = trial.array()
    assert trial.reference is not None
    must_be(trial.make()(w), trial.reference(w), "the result", 1e-6)


def results(made: Any, w: Array, trial: Trial) -> list[Any]:
    return [made(w), made.gradient(w)] if trial.kind is REGULARIZER else [made(w)]


def computed(made: Any, trial: Trial) -> list[Any]:
    return results(made, trial.array(), trial)


# ------------------------------------------------------------------------------------ constraints


@needs(gradual="it goes a part of the way")
def twice_is_once(trial: Trial) -> None:
    """What came out goes through unchanged: a constraint is a projection.

    Catches a norm that is divided by twice, a bound that what comes out exceeds, the wrong axis in
    one of two places. Up to a share of 1e-5, as Keras adds an epsilon to each norm.
    """
    made = trial.make()
    for scale in (1.0, 0.1, 10.0):
        once = made(away_from_0(trial, scale))
        must_be(made(once), once, "the second time, the result", 1e-5, 0.0)


def what_comes_out_fits(trial: Trial) -> None:
    """What comes out fits, by `fits`, and what fits stays as it is.

    Catches a bound that is not kept, and a constraint that moves what is allowed already. Multiples
    of 1/2 tie: of two that are alike one may have to go.
    """
    fits = trial.given["fits"]
    if fits is None:
        raise DoesNotApply("no fits= was given")
    made = trial.make()
    drawn = [trial.array(scale=scale) for scale in (1.0, 0.1, 10.0)]
    ties = np.sign(drawn[0]) * np.ceil(2 * np.abs(drawn[0])) / 2
    for w in (*drawn, away_from_0(trial, 0.01), ties):
        got = made(w)
        if "gradual" not in trial.tags and not np.all(fits(got)):
            raise Broken("what comes out does not fit")
        if np.all(fits(w)):
            must_be(got, w, "of a w that fits, the result", 1e-5, 0.02)


def away_from_0(trial: Trial, scale: float) -> Array:
    """Numbers of which none is near 0, where the epsilon beside a norm shows."""
    w = trial.array(scale=scale)
    return w + 0.3 * scale * np.sign(w)


@needs(jumps="it jumps")
def it_moves_no_more_than_w(trial: Trial) -> None:
    """Where w grows a little, what comes out moves by as little: it goes to the nearest that fits.

    Catches what overshoots the bound: w that is a little too long, and ends at half of it.
    """
    made, w = trial.make(), away_from_0(trial, 1.0)
    # the sum of a long row is large where its numbers are small
    sizes = np.geomspace(min(0.02, 0.5 / max(w.shape, default=1)), 50, 240)
    before = made(sizes[0] * w)
    for small, large in itertools.pairwise(sizes):
        after = made(large * w)
        moved, allowed = np.abs(after - before).max(), 2 * (large - small) * np.abs(w).max()
        if moved > allowed + 1e-6:
            raise Broken(
                f"from {small:.4g} w to {large:.4g} w, what comes out moves by {moved:.4g}, where "
                f"w moves by {allowed / 2:.4g}"
            )
        before = after


def result_is_a_new_array_like_w(trial: Trial) -> None:
    """The result has the shape and dtype of w, in memory of its own, wherever w lies.

    Catches float64 that leaks into a float32 model, a w that is changed in place, and one that fits
    already and is returned itself.
    """
    made = trial.make()
    for dtype in (np.float32, np.float64):
        w = trial.array(dtype=dtype)
        got = made(w)
        must_be_like(got, w, "the result")
        must_be_like(made(got), got, "of what came out, the result")
        for how, other in layouts(w):
            must_be(made(other), got, f"of w {how}, the result", 1e-5)


def extreme_numbers_stay_finite(trial: Trial) -> None:
    """Of zeros, and of numbers as small as 1e-30 and as large as 1e30, comes something finite.

    Catches 0 / 0, and squares that overflow, whose root then divides all to 0. In float32.
    """
    made = trial.make()
    for scale in (0.0, 1e-30, 1e30):
        w = (np.sign(trial.array()) * scale).astype(np.float32)
        got = made(w)
        if not np.isfinite(got).all():
            raise Broken(f"where w is {scale:g}, the result is not finite")
        fits = trial.given["fits"]
        if scale > 1 and fits is not None and "gradual" not in trial.tags and not np.all(fits(got)):
            raise Broken(f"where w is {scale:g}, what comes out does not fit")


REGULARIZER = Kind(
    "regularizer",
    "regularizers",
    Regularizer,
    (
        gradient_is_the_slope_of_the_penalty,
        penalty_is_a_number_from_zero,
        nothing_costs_nothing,
        gradient_is_a_new_array_like_w,
        float32_agrees,
        w_is_left_alone,
        same_again,
        survives_copies,
        an_argument_that_is_set_counts,
        agrees_with_the_reference,
    ),
    {"signed": "it may be negative", "elsewhere": "it is 0 elsewhere than at 0"},
    {"shapes": SHAPES},
    computed,
)
CONSTRAINT = Kind(
    "constraint",
    "constraints",
    Constraint,
    (
        twice_is_once,
        what_comes_out_fits,
        it_moves_no_more_than_w,
        result_is_a_new_array_like_w,
        extreme_numbers_stay_finite,
        float32_agrees,
        w_is_left_alone,
        same_again,
        survives_copies,
        an_argument_that_is_set_counts,
        agrees_with_the_reference,
    ),
    {
        "gradual": "it goes a part of the way each time",
        "jumps": "a little change of w may be a large one of the result",
    },
    {"shapes": SHAPES, "fits": None},
    computed,
)


@listing(REGULARIZER)
def check_regularizer(regularizer: Any, *, seed: int = 0, **options: Any) -> LawReport:
    """Check every law for a regularizer.

    Parameters
    ----------
    regularizer : Regularizer, class or function
        An object, or what makes one.
    shapes : sequence of tuples of int, optional
        Of w. Default: of one to four axes.
    reference : function, optional
        w → the penalty, written naively.
    tags : iterable of str
        ``"signed"``: it may be negative; ``"elsewhere"``: it is 0 elsewhere than at 0.
    expected_failures, laws, profile, seed
        As in `check_layer`; `laws` are names, by default all. An option that is misspelt is an
        error.

    Returns
    -------
    LawReport
        True in a condition if no law is broken that was not expected to be.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.regularizers import L2
    >>> from backprop.testing import check_regularizer
    >>> bool(check_regularizer(L2(0.5), reference=lambda w: 0.5 * np.sum(w**2)))
    True
    """
    return check(REGULARIZER, regularizer, seed, options)


@listing(CONSTRAINT)
def check_constraint(constraint: Any, *, seed: int = 0, **options: Any) -> LawReport:
    """Check every law for a constraint.

    Parameters
    ----------
    constraint : Constraint, class or function
        An object, or what makes one.
    fits : function, optional
        w → whether it is allowed, one bool or several.
    shapes : sequence of tuples of int, optional
        Of w. Default: of one to four axes.
    reference : function, optional
        w → the projection, written naively.
    tags : iterable of str
        ``"gradual"``: it goes a part of the way each time; ``"jumps"``: a little change of w may be
        a large one of the result.
    expected_failures, laws, profile, seed
        As in `check_layer`; `laws` are names, by default all. An option that is misspelt is an
        error.

    Returns
    -------
    LawReport

    Examples
    --------
    >>> from backprop.constraints import NonNeg
    >>> from backprop.testing import check_constraint
    >>> bool(check_constraint(NonNeg, fits=lambda w: w >= 0))
    True
    """
    return check(CONSTRAINT, constraint, seed, options)


@listing(REGULARIZER)
def regularizer_laws(regularizer: Any, **options: Any) -> Any:
    """`check_regularizer` as a pytest function with one id a law, as `layer_laws` is one."""
    return collect(REGULARIZER, regularizer, options)


@listing(CONSTRAINT)
def constraint_laws(constraint: Any, **options: Any) -> Any:
    """`check_constraint` as a pytest function with one id a law, as `layer_laws` is one."""
    return collect(CONSTRAINT, constraint, options)
