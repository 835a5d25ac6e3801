"""Laws of initializers: what they draw is what they declare, and a seed decides it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from backprop.initializers import Initializer
from backprop.testing.laws.law import needs
from backprop.testing.laws.shapes import rounded_to_float32
from backprop.testing.objects.trial import (
    Array,
    Kind,
    Trial,
    an_argument_that_is_set_counts,
    anew,
    check,
    collect,
    listing,
    must_be,
    twins,
)
from backprop.testing.report import LawReport
from backprop.testing.results import Broken, DoesNotApply

SHAPES = ((300, 200), (40, 50, 60), (3, 3, 64, 64))
SMALL = ((4, 5), (3,), (), (2, 3, 4), (0, 3), (1, 1), (2, 2, 3, 4))
UNLIKELY = 6.0  # deviations: an honest draw is so far off once in half a billion


def draw(made: Any, shape: tuple[int, ...], seed: int, dtype: Any = np.float64) -> Array:
    """Numbers for a seed."""
    return made(shape, dtype=dtype, rng=np.random.default_rng(seed))


def number(said: Any, shape: tuple[int, ...]) -> float | None:
    """What was declared, for a shape."""
    found: Any = said(shape) if callable(said) else said
    return found


def numbers_are_as_declared(trial: Trial) -> None:
    """Mean and deviation are those that were declared, and no number is out of bounds.

    Catches a variance taken for a deviation, fan_in for fan_out, a limit that is 1.7 times too
    small, a normal distribution cut off and not rescaled. What is allowed is six standard errors.
    """
    shape = trial.shape
    said = {name: number(trial.given[name], shape) for name in ("mean", "std", "low", "high")}
    if all(value is None for value in said.values()):
        raise DoesNotApply("nothing was declared: mean=, std=, low=, high=")
    w = draw(trial.make(), shape, trial.seed)
    std = float(w.std()) if said["std"] is None else said["std"]
    error = UNLIKELY * std / math.sqrt(w.size)
    if said["mean"] is not None and not abs(w.mean() - said["mean"]) <= error + 1e-12:
        raise Broken(f"the mean is {w.mean():.6g}, where {said['mean']:.6g} was declared")
    # of a normal distribution; of those with shorter tails it is less
    error = UNLIKELY * std / math.sqrt(2 * w.size)
    if said["std"] is not None and not abs(w.std() - said["std"]) <= error + 1e-12:
        raise Broken(f"the deviation is {w.std():.6g}, where {said['std']:.6g} was declared")
    if said["low"] is not None and w.min() < said["low"]:
        raise Broken(f"{w.min():.6g} is below {said['low']:.6g}")
    if said["high"] is not None and w.max() > said["high"]:
        raise Broken(f"{w.max():.6g} is above {said['high']:.6g}")


def array_is_as_asked_for(trial: Trial) -> None:
    """What comes out is an array of its own, of the shape and dtype that were asked for, which can
    be written to.

    Catches a float64 array for a float32 model, one array that two parameters would share, and
    numbers that are made in float32 where float64 is asked for.
    """
    made = trial.make()
    for shape in trial.given["small"]:
        for dtype in ("float32", np.float64):
            w, again = draw(made, shape, 1, dtype), draw(made, shape, 2, dtype)
            if not isinstance(w, np.ndarray) or w.shape != tuple(shape) or w.dtype != dtype:
                raise Broken(f"asked for {np.dtype(dtype)} {shape}, it made {described(w)}")
            if w.size and np.shares_memory(w, again):
                raise Broken("two calls return the same memory")
            if not w.flags.writeable:
                raise Broken("what it made cannot be written to")
            if not np.isfinite(w).all():
                raise Broken(f"of shape {shape} it made numbers that are not finite")
            if dtype is np.float64 and "constant" not in trial.tags and rounded_to_float32(w):
                raise Broken("asked for float64, it made numbers that have the digits of float32")


def described(w: Any) -> str:
    if isinstance(w, np.ndarray):
        return f"{w.dtype} {w.shape}"
    return f"a {type(w).__name__}, which is no array: np.asarray(..., dtype) makes one of any shape"


def float32_begins_where_float64_does(trial: Trial) -> None:
    """For one seed, a float32 array holds the numbers of the float64 one, rounded.

    Catches a generator that is asked for float32 itself, which draws other numbers.
    """
    made, shape = trial.make(), trial.given["small"][0]
    wide, narrow = (draw(made, shape, trial.seed, dtype) for dtype in (np.float64, np.float32))
    must_be(narrow, wide, "in float32, what it made", 1e-5, 1e-6)


def the_seed_decides(trial: Trial) -> None:
    """The same generator makes the same array, and another one, or none, another array.

    Catches a draw from `np.random` or from the clock, one that is drawn once and for all, and a
    fixed seed where no generator is given.
    """
    made, shape = trial.make(), trial.given["small"][0]
    w = draw(made, shape, trial.seed)
    draw(made, shape, trial.seed + 1)
    must_be(draw(made, shape, trial.seed), w, "with the same generator, what it made", 0.0)
    must_be(draw(trial.make(), shape, trial.seed), w, "of another one like it, what it made", 0.0)
    if "constant" not in trial.tags and w.size > 1:
        if np.array_equal(draw(made, shape, trial.seed + 1), w):
            raise Broken("with another generator it makes the same")
        rng = np.random.default_rng(trial.seed)
        if np.array_equal(made(shape, rng=rng), made(shape, rng=rng)):
            raise Broken("the next array from one generator is the same again")
        try:
            one, two = trial.make()(shape), trial.make()(shape)
        except Exception:
            return  # it asks for a generator
        if np.array_equal(one, two):
            raise Broken("without a generator, two objects make the same")


@needs(constant="it draws nothing")
def no_two_places_share_a_number(trial: Trial) -> None:
    """Numbers are drawn for every entry: rows, columns and halves of an array differ.

    Catches one row that is drawn and repeated, units that start alike and stay alike, and half of a
    large array that is the other one, mirrored.
    """
    made = trial.make()
    w = draw(made, trial.shape, trial.seed)
    for axis in range(w.ndim):
        a = np.moveaxis(w, axis, 0)
        if len(a) > 1 and any(np.array_equal(a[0], one) for one in a[1:]):
            raise Broken(f"along axis {axis}, one part of the array is another once more")
    small = draw(made, trial.given["small"][0], trial.seed)
    if again(w) > 0.01 and not again(small):  # some draw from a few numbers by intention
        raise Broken(f"{again(w):.1%} of the numbers are others once more, up to their sign")


def again(w: Array) -> float:
    """The share of numbers that others have too, up to the sign, without 0 and the largest."""
    sizes = np.abs(w)
    sizes = sizes[(w != 0) & (sizes < sizes.max(initial=0))]
    return 1 - len(np.unique(sizes)) / max(len(sizes), 1)


def survives_copies(trial: Trial) -> None:
    """A copy, an unpickled one and one from its configuration make the same.

    Catches an argument that the configuration does not hold. It goes through JSON.
    """
    made, shape = trial.make(), trial.given["small"][0]
    wanted = draw(made, shape, trial.seed)
    for how, twin in [*twins(made), *anew(made, "initializers"), ("a clone", made.clone())]:
        must_be(draw(twin, shape, trial.seed), wanted, f"of {how}, what it made", 1e-12)


@needs(reference=True)
def agrees_with_the_reference(trial: Trial) -> None:
    """What it makes is what a naive function of shape and generator makes.

    The only law that knows more than the moments of a distribution.
    """
    shape = trial.given["small"][0]
    assert trial.reference is not None
    wanted = trial.reference(shape, np.random.default_rng(trial.seed))
    must_be(draw(trial.make(), shape, trial.seed), wanted, "what it made", 1e-6)


def computed(made: Any, trial: Trial) -> list[Array]:
    return [draw(made, trial.given["small"][0], trial.seed)]


INITIALIZER = Kind(
    "initializer",
    "initializers",
    Initializer,
    (
        numbers_are_as_declared,
        array_is_as_asked_for,
        float32_begins_where_float64_does,
        the_seed_decides,
        no_two_places_share_a_number,
        survives_copies,
        an_argument_that_is_set_counts,
        agrees_with_the_reference,
    ),
    {"constant": "it draws nothing"},
    dict.fromkeys(("mean", "std", "low", "high")) | {"shapes": SHAPES, "small": SMALL},
    computed,
)


@listing(INITIALIZER)
def check_initializer(initializer: Any, *, seed: int = 0, **options: Any) -> LawReport:
    """Check every law for an initializer.

    Parameters
    ----------
    initializer : Initializer, class or function
        An object without a seed of its own, or what makes one.
    mean, std, low, high : float or function of the shape, optional
        What is declared of the numbers.
    shapes : sequence of tuples of int, optional
        Of arrays large enough for statistics.
    small : sequence of tuples of int, optional
        Of arrays for everything else. Default: of no axis to four, one of them empty.
    reference : function, optional
        (shape, rng) → the array, written naively.
    tags : iterable of str
        ``"constant"``: it draws nothing.
    expected_failures, laws, profile, seed
        As in `check_layer`; `laws` are names, by default all. An option that is misspelt is an
        error.

    Returns
    -------
    LawReport

    Examples
    --------
    >>> from backprop.initializers import RandomUniform
    >>> from backprop.testing import check_initializer
    >>> bool(check_initializer(RandomUniform(-1, 1), mean=0, std=1 / 3**0.5, low=-1, high=1))
    True
    """
    return check(INITIALIZER, initializer, seed, options)


@listing(INITIALIZER)
def initializer_laws(initializer: Any, **options: Any) -> Any:
    """`check_initializer` as a pytest function with one id a law, as `layer_laws` is one."""
    return collect(INITIALIZER, initializer, options)
