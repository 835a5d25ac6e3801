"""Numbers for inputs that depend on nothing but what is asked for, and are known again."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Annotated

import numpy as np

from backprop.arguments import Convert, checked
from backprop.checks import NotNegative, Number, sizes

Array = np.ndarray


@checked
def numbers(
    shape: Annotated[tuple[int, ...], Convert(sizes)],
    kind: str = "generic",
    seed: NotNegative = 0,
    low: Number | None = None,
    high: Number | None = None,
) -> Array:
    """An array in float64 that depends on nothing but the arguments.

    Parameters
    ----------
    shape : tuple of int
    kind : str
        ``"generic"`` numbers are all different and far from anything special. Those of a
        ``"lattice"`` are multiples of 1/2: there are kinks, ties and zeros among them. Of another
        scale are ``"large"`` ones, up to some hundreds, ``"tiny"`` ones, and ``"columns"``, each
        column of the last axis of its own, from a thousandth to a thousand. ``"constant"`` is one
        number everywhere; those that are ``"repeated"`` stand in several places.
    seed : int, default 0
    low, high : float, optional
        Bounds; a lattice reaches them. Default: none, and the numbers are of size 1.

    Examples
    --------
    >>> from backprop.testing import numbers
    >>> numbers((2, 3), "lattice", seed=1)
    array([[ 0.5,  1. ,  0.5],
           [-1.5,  1. ,  0.5]])
    """
    rng = np.random.default_rng(seed)
    if low is not None and high is not None:
        if low > high:
            raise ValueError(f"numbers() expects low <= high, got {low}, {high}")
        x = low + (high - low) * rng.uniform(0.02, 0.98, shape)
    elif low is not None or high is not None:
        away = 0.02 + rng.exponential(1.0, shape)
        # one of the two is a number
        x = low + away if low is not None else high - away  # type: ignore[operator]
    else:
        x = rng.standard_normal(shape)
    if kind not in KINDS_OF_NUMBERS:
        raise ValueError(f"numbers() expects a kind of {', '.join(KINDS_OF_NUMBERS)}, got {kind!r}")
    x = np.asarray(KINDS_OF_NUMBERS[kind](np.asarray(x), rng))
    x = x if low is None and high is None else np.clip(x, low, high)
    key = id(x)
    made = weakref.ref(x, lambda _: MADE.pop(key, None))
    MADE[key] = made, (shape, kind, seed, low, high)
    return x


# the arrays that `numbers` has made, by identity, and what it was asked for
MADE: dict[int, tuple[weakref.ref[Array], tuple]] = {}


def call_for(a: Array) -> str | None:
    """The call of `numbers` that makes an array, if it did and nobody has changed it since."""
    found = MADE.get(id(a))
    if found is None or found[0]() is not a or not np.array_equal(a, numbers(*found[1])):
        return None
    shape, kind, seed, *bounds = found[1]
    named = zip(("low", "high"), bounds, strict=True)
    said = [f"{name}={bound!r}" for name, bound in named if bound is not None]
    return f"numbers({', '.join([repr(shape), repr(kind), repr(seed), *said])})"


def bounds_of(a: Array) -> tuple[float | None, float | None] | None:
    """Between what an array of `numbers` was asked to lie; None of any other array, of which
    nothing is known."""
    found = MADE.get(id(a))
    return found[1][3:] if found is not None and found[0]() is a else None


def in_columns(x: Array, rng: np.random.Generator) -> Array:
    """Each column of the last axis times a size of its own."""
    return x * 10.0 ** rng.uniform(-3, 3, x.shape[-1:])


def repeated(x: Array, rng: np.random.Generator) -> Array:
    """The numbers of the first few places, everywhere."""
    few = x.reshape(-1)[: 1 + x.size // 3]
    return few[rng.integers(0, len(few), x.shape)] if x.size else x


KINDS_OF_NUMBERS: dict[str, Callable[[Array, np.random.Generator], Array]] = {
    "generic": lambda x, rng: x,
    "lattice": lambda x, rng: np.round(2 * x) / 2,
    "large": lambda x, rng: x * 10.0 ** rng.uniform(1, 2),
    "tiny": lambda x, rng: x * 10.0 ** rng.uniform(-6, -3),
    "columns": in_columns,
    "constant": lambda x, rng: np.full_like(x, x.flat[0]) if x.size else x,
    "repeated": repeated,
}
