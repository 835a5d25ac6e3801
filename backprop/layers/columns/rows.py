"""Numbers of categories as rows of 0 and 1, or of counts.

    numbers: (..., T) of int    rows: (..., depth)

What `output_mode` says of a row: "one_hot" has one for each number, the others one for the numbers
along the last axis, "multi_hot" says which of them are there, "count" how often.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray

MODES = "int", "one_hot", "multi_hot", "count"


def row_shape(shape: tuple, output_mode: str, depth: int | None) -> tuple:
    """The shape of y. An axis of length one is the one that a row of "one_hot" replaces.

    Examples
    --------
    >>> row_shape((None, 1), "one_hot", 5), row_shape((None, 3), "one_hot", 5)
    ((None, 5), (None, 3, 5))
    >>> row_shape((None, 3), "count", 5), row_shape((), "count", 5)
    ((None, 5), (5,))
    """
    if output_mode == "int":
        return tuple(shape)
    if output_mode == "one_hot":
        return (*(shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape), depth)
    return (*shape[:-1], depth)


class Rows:
    """Rows of which row i is made of numbers[ends[i]:ends[i + 1]]; those below 0 are left out.

    `weights` are counted instead of 1. Two forms are made of them, as SciPy's arrays name these,
    neither by way of the other.
    """

    def __init__(
        self,
        numbers: Array,
        ends: Array,
        output_mode: str,
        depth: int,
        dtype: Any = np.int64,
        weights: Array | None = None,
    ):
        self.numbers, self.ends, self.weights = numbers, ends, weights
        self.shape = len(ends) - 1, depth
        self.ones = output_mode in ("one_hot", "multi_hot")
        self.dtype = dtype

    def tocsr(self) -> Any:
        """A CSR array, without duplicates."""
        from scipy.sparse import csr_array  # here, because it takes longer to import than NumPy

        kept = self.numbers >= 0
        before = np.concatenate([[0], np.cumsum(kept)])
        ids = self.numbers[kept]
        values = np.ones(len(ids), np.int64) if self.weights is None else self.weights[kept]
        y = csr_array((values, ids, before[self.ends]), shape=self.shape)
        y.sum_duplicates()
        if self.ones:
            y.data[:] = 1
        return y.astype(self.dtype)

    def toarray(self) -> Array:
        n, depth = self.shape
        places = self.numbers + np.repeat(np.arange(n) * depth, np.diff(self.ends))
        weights = self.weights
        if self.numbers.min(initial=0) < 0:
            kept = self.numbers >= 0
            places, weights = places[kept], None if weights is None else weights[kept]
        if self.ones:
            y = np.zeros(n * depth, self.dtype)
            y[places] = 1
        else:
            y = np.bincount(places, weights, n * depth).astype(self.dtype)
        return y.reshape(n, depth)


def row_ends(shape: tuple, output_mode: str) -> Array:
    """Where the rows of numbers of this shape end, as `Rows` takes them."""
    length = 1 if output_mode == "one_hot" or not shape else shape[-1]
    return np.arange(math.prod(row_shape(shape, output_mode, 1)) + 1) * length


def encoded(
    numbers: Array, output_mode: str, depth: int, dtype: Any, weights: Array | None = None
) -> Any:
    """Numbers as they are, or as `Rows`."""
    if output_mode == "int":
        return numbers
    ends = row_ends(numbers.shape, output_mode)
    weights = None if weights is None else np.broadcast_to(weights, numbers.shape).ravel()
    return Rows(numbers.ravel(), ends, output_mode, depth, dtype, weights)
