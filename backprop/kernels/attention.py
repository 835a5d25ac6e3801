"""The softmax of attention's scores, over the keys that each query sees, and its way back.

The heads lie in groups, each of which shares one key and one value, so that the scores have five
axes: (N, groups, queries of a group, T, S).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from backprop.kernels.switch import kernel
from backprop.linalg import constant, sum_last

Array = np.ndarray

SAFE = 30.0  # scores between -SAFE and SAFE have exponentials that can be summed as they are


@kernel
def softmax_of_seen(s: Array, seen: Array, first: int, last: int, even: float) -> bool:
    """s ← softmax(s) over the keys that a query sees, 0 at the others; where it sees none, `even`
    at all of them. Returns whether there is such a query.

    s: (N, groups, queries, T, S)    seen: the same, of bools, or 1 for any of the first four

    Query t sees of the keys t + first, ..., t + last - 1 those that are `seen`.
    """
    steps, keys = s.shape[-2:]
    beyond = outside(steps, keys, first, last)
    if beyond is not None:
        np.copyto(s, -np.inf, where=beyond)
    if not seen.all():
        np.copyto(s, -np.inf, where=~seen)
    e, total = exponentials(s)
    none = blind(seen, steps, keys, first, last)
    if none is not None:
        total += none
    np.divide(e, total, out=s)
    if none is not None:
        np.copyto(s, even, where=none)
    return none is not None and math.prod(s.shape[:-1]) > 0


@kernel
def softmax_of_seen_backward(d: Array, p: Array) -> None:
    """d ← p (d - Σ p d): dL/dp → dL/ds for p = softmax(s)

    d, p: (rows, S)

    The mean is subtracted twice: see `linalg.softmax_backward`.
    """
    d -= np.vecdot(p, d)[:, None]
    d -= np.vecdot(p, d)[:, None]
    d *= p


# ------------------------------------------------------------------------------ what a query sees


@lru_cache(maxsize=16)
def outside(steps: int, keys: int, first: int, last: int) -> Array | None:
    """Where key r is not one of t + first, ..., t + last - 1: (T, S), or None if there is no such
    place."""
    t, r = np.ogrid[:steps, :keys]
    far = (r < t + first) | (r >= t + last)
    return constant(far) if far.any() else None


def blind(seen: Array, steps: int, keys: int, first: int, last: int) -> Array | None:
    """Which queries see no key: (N, groups, queries, T, 1), or 1 for some of these; None where each
    sees one."""
    beyond = outside(steps, keys, first, last)
    some: Array = seen if beyond is None else seen & ~beyond
    none = ~np.any(some, axis=-1, keepdims=True)
    return none if none.any() else None


# ----------------------------------------------------------------------------------- exponentials


def exponentials(s: Array) -> tuple[Array, Array]:
    """e = exp(s), up to a factor for each row, and Σ e along it, which is 0 only where all of a row
    is -inf.

    The factor that is always right is exp(-max s) of the row; where no sum can overflow or
    vanish it is left out, which is both faster and nearer.
    """
    if not s.size or s.max() <= SAFE:
        e = np.exp(s)
        total = sum_last(e)[..., None]
        if total.min(where=total > 0, initial=1.0) >= math.exp(-SAFE) and not lost(total, s):
            return e, total
    least = np.finfo(s.dtype).min  # where all is -inf, -inf is not subtracted from itself
    e = np.exp(s - s.max(-1, keepdims=True, initial=least))
    return e, sum_last(e)[..., None]


def lost(total: Array, s: Array) -> bool:
    """Whether a sum is 0 by underflow."""
    zero = total == 0
    return bool(zero.any() and np.isfinite(s[np.broadcast_to(zero, s.shape)]).any())
