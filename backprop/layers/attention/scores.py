"""The scores of queries and keys: what one pass leaves behind, and which of them count.

The heads lie in groups, each of which shares one key and one value, so that the arrays have five
axes: (N, groups, queries of a group, T, S).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from backprop.layer import Array
from backprop.linalg import constant


class Attended(NamedTuple):
    """What one pass of attention leaves behind.

    Attributes
    ----------
    o : ndarray, (N, T, heads, value_dim)
    p : ndarray, (N, groups, queries, T, S)
        Before dropout.
    drop : ndarray, optional
        What dropout multiplied p by.
    blind : ndarray of bool, optional
        Where a query sees no key: it broadcasts to p.
    """

    o: Array
    p: Array
    drop: Array | None
    blind: Array | None


class Sight(NamedTuple):
    """Which keys a query sees: of t + first, ..., t + last - 1 those that are `seen`.

    Attributes
    ----------
    seen : ndarray of bool, (N, groups, queries, T, S)
        Or 1 for any of the first four.
    first, last : int
    """

    seen: Array
    first: int
    last: int


@lru_cache(maxsize=16)
def all_keys(keys: int) -> Array:
    return constant(np.ones((1, 1, 1, 1, keys), bool))


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


def by_query(p: Array) -> Array:
    """(N, groups, queries, T, S) → (rows, S): a view."""
    return p.reshape(math.prod(p.shape[:-1]), p.shape[-1])


def sum_into(out, a, b) -> None:
    """out = Σ a b over the queries of a group; (N, groups, 1, S, k)."""
    if a.shape[2] == 1:
        np.matmul(a, b, out=out)
    else:
        np.sum(a @ b, axis=2, keepdims=True, out=out)
