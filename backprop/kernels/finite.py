"""Whether there is NaN or infinity in a vector."""

from __future__ import annotations

import functools
import math

import numpy as np

from backprop.kernels.switch import kernel

Array = np.ndarray

SMALL = 1 << 15  # numbers that are multiplied with zeros, which stay in a cache


@functools.lru_cache(maxsize=16)
def zeros(n: int, dtype: str) -> Array:
    return np.zeros(n, dtype)


@kernel
def times_zero(g: Array) -> float:
    """Σ 0 g: 0 where every number is finite, else NaN, as 0 NaN and 0 ∞ are.

    g: (n,)

    The loop reads g once. Here a product with zeros reads two vectors, so a large g is read for
    ⟨g, g⟩ instead, and number by number where that is not finite.
    """
    if g.size <= SMALL:
        try:
            return float(g.dot(zeros(g.size, g.dtype.char)))
        except (FloatingPointError, RuntimeWarning):  # of 0 ∞, where such are errors
            return math.nan
    with np.errstate(over="ignore", invalid="ignore"):
        finite = math.isfinite(g.dot(g)) or np.isfinite(g).all()
    return 0.0 if finite else math.nan
