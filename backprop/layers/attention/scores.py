"""The scores of queries and keys: which of them count, and their exponentials.

The heads lie in groups, each of which shares one key and one value, so that the arrays have five
axes: (N, groups, queries of a group, T, S).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from backprop.layer import Array
from backprop.linalg import constant, sum_last

SAFE = 30.0  # scores between -SAFE and SAFE have exponentials that can be summed as they are


class Attended(NamedTuple):
    """What one pass of attention leaves behind.

    Attributes
    ----------
    o : ndarray, (N, T, heads, value_dim)
    e, total : ndarray, (N, groups, queries, T, S) and (N, groups, queries, T, 1)
        p = e / total.
    drop : ndarray, optional
        What dropout multiplied p by.
    blind : ndarray, optional
        1 where a query sees no key, else 0: it broadcasts to total.
    """

    o: Array
    e: Array
    total: Array
    drop: Array | None
    blind: Array | None


def exponentials(s):
    """e = exp(s), up to a factor for each row, and Σ e along it, which is 0 only where all of a row
    is -inf.

    The factor that is always right is exp(-max s) of the row; where no sum can overflow or
    vanish it is left out, which is both faster and nearer.
    """
    if not s.size or s.max() <= SAFE:
        e = np.exp(s)
        total = sum_keys(e)
        if total.min(where=total > 0, initial=1.0) >= math.exp(-SAFE) and not lost(total, s):
            return e, total
    least = np.finfo(s.dtype).min  # where all is -inf, -inf is not subtracted from itself
    e = np.exp(s - s.max(-1, keepdims=True, initial=least))
    return e, sum_keys(e)


def lost(total, s):
    """Whether a sum is 0 by underflow."""
    zero = total == 0
    return zero.any() and np.isfinite(s[np.broadcast_to(zero, s.shape)]).any()


def sum_keys(e):
    """Σ over the last axis, which stays."""
    return sum_last(e.reshape(math.prod(e.shape[:-1]), e.shape[-1])).reshape(*e.shape[:-1], 1)


def sum_into(out, a, b) -> None:
    """out = Σ a b over the queries of a group; (N, groups, 1, S, k)."""
    if a.shape[2] == 1:
        np.matmul(a, b, out=out)
    else:
        np.sum(a @ b, axis=2, keepdims=True, out=out)


# ------------------------------------------------------------------------------ what a query sees


@lru_cache(maxsize=16)
def band(steps: int, keys: int, start: int, causal: bool, window: int | None, dtype) -> Any:
    """-inf where a key is after a query or too far from it, else 0: (1, 1, 1, T, S). The queries
    are those of the steps from `start` on."""
    i, j = np.ogrid[start : start + steps, :keys]
    far = np.zeros((steps, keys), bool)
    if causal:
        far |= j > i
    if window is not None:
        far |= abs(i - j) >= window
    return constant(np.where(far, -np.inf, 0).astype(dtype)[None, None, None])


def pairs_seen(of_query, of_keys, pairs) -> Array | None:
    """Where query and key are real and the pair is allowed, of those that are given: it broadcasts
    to (N, groups, queries, T, S)."""
    seen = None if of_query is None else of_query[:, None, None, :, None]
    if of_keys is not None:
        of_keys = of_keys[:, None, None, None, :]
        seen = of_keys if seen is None else seen & of_keys
    if pairs is not None:
        seen = pairs if seen is None else seen & pairs
    return seen


def blinded(unseen: Array) -> Array | None:
    """1 where a query sees no key, else 0; None where each sees one. `unseen` is -inf or 0."""
    blind = np.isneginf(unseen).all(-1, keepdims=True)
    return blind.astype(unseen.dtype) if blind.any() else None
