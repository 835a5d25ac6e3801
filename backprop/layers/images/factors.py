"""How much images are changed: the bounds of draws, as arguments give them."""

from __future__ import annotations

from math import isfinite
from typing import Annotated, Any

import numpy as np

from backprop.arguments import Convert
from backprop.checks import is_real as is_number


def bounds(
    factor, who: str, name: str, least: float = -1.0, most: float = 1.0, above: bool = False
) -> tuple[float, float]:
    """A pair of numbers in order; f is (-f, f), or (`least`, f) where -f is less than that.
    `above` leaves `least` itself out of what may be given."""
    pair = (factor, factor) if is_number(factor) else factor
    low, high = pair_of(pair, who, name, f"a number or a pair of them, got {factor!r}")
    if low < least or (above and low == least) or high > most:
        raise ValueError(
            f"{who} expects {name} to lie {'above' if above else 'between'} {least:g} and "
            f"{'up to ' if above else ''}{most:g}, got {factor!r}"
        )
    return (max(-abs(low), least), abs(high)) if is_number(factor) else (low, high)


def pair_of(value, who: str, name: str, wanted: str) -> tuple[float, float]:
    several = isinstance(value, list | tuple) and len(value) == 2
    if not several or not all(is_number(v) and isfinite(v) for v in value):
        raise ValueError(f"{who} expects {name} to be {wanted}")
    low, high = sorted(map(float, value))
    return low, high


def range_of(value_range, who: str, name: str) -> tuple[float, float]:
    return pair_of(value_range, who, name, f"a pair of numbers, got {value_range!r}")


def uniform(rng: np.random.Generator, within: tuple[float, float], shape: Any) -> np.ndarray:
    low, high = within
    return rng.uniform(low, high, shape)


def some_of(rng: np.random.Generator, factor: tuple[float, float], n: int) -> np.ndarray:
    """Which of n images are changed, of whom `factor` are to be on average: (n,)."""
    return rng.random(n) < uniform(rng, factor, n)


Bounds = Annotated[Any, Convert(bounds)]  # from -1 to 1; f is (-f, f)
FromZero = Annotated[Any, Convert(bounds, least=0.0)]  # from 0 to 1; f is (0, f)
ValueRange = Annotated[Any, Convert(range_of)]
