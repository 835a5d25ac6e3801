"""Integers that are names to rows of 0 and 1."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from backprop import checks
from backprop.arguments import Convert
from backprop.checks import Positive
from backprop.counts import no_products
from backprop.defaults import floatx
from backprop.layer import INFERENCE
from backprop.layers.columns.column import Column
from backprop.layers.columns.rows import encoded
from backprop.nest import as_tuple, several
from backprop.promises import agree


def mode(value, who, name):
    modes = ("one_hot", "multi_hot", "count")
    binary = isinstance(value, str) and value == "binary"
    return checks.one_of("multi_hot" if binary else value, modes, who, name)


class CategoryEncoding(Column):
    """y[n, k] = 1 if k is among the integers of row n, else 0; with "count", how often it is.

        x: (..., T) of int    count_weights: (..., T), or None    y: (..., num_tokens)

    "one_hot" makes a row of each integer, y: (..., T, num_tokens), or (..., num_tokens) where T is
    1. Weights are counted instead of 1, so that

        dcount_weights[n, t] = dy[n, x[n, t]]

    An integer has no derivative; for the sake of the containers dx is 0, of the shape of x.

    Parameters
    ----------
    num_tokens : int
        How many integers there are: x holds 0 to num_tokens - 1.
    output_mode : {"multi_hot", "one_hot", "count"}
    sparse : bool, default False
        Whether a call by itself gives a SciPy CSR array, which `Dense` multiplies as it is.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        Where an integer is negative or not below `num_tokens`, or weights come with another mode
        than "count".

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import CategoryEncoding
    >>> CategoryEncoding(3)(np.array([[0, 1], [2, 2]]))
    array([[1., 1., 0.],
           [0., 0., 1.]], dtype=float32)
    >>> CategoryEncoding(3, output_mode="count")([[0, 2, 2]], count_weights=[[1.0, 0.5, 2.0]])
    array([[1. , 0. , 2.5]], dtype=float32)
    """

    num_tokens: Positive | None = None
    output_mode: Annotated[str, Convert(mode)] = "multi_hot"
    sparse: bool = False

    call_inputs = ("inputs", "count_weights")
    integer_input = (True, False)
    string_input = False

    def __post_init__(self):
        if self.num_tokens is None:
            raise ValueError(
                "CategoryEncoding expects num_tokens, how many integers there are; where that is "
                "not known, IntegerLookup learns it"
            )

    @property
    def depth(self) -> int:
        assert self.num_tokens is not None
        return self.num_tokens

    def check_input(self, shape):
        if not several(shape):
            return
        ids, weights = shape
        if not agree(weights, ids):
            raise ValueError(
                f"{self!r} expects a weight for each integer, and got count_weights of shape "
                f"{tuple(weights)} for integers of {tuple(ids)}"
            )

    def compute_output_shape(self, input_shape):
        return super().compute_output_shape(input_shape[0] if several(input_shape) else input_shape)

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        return super().forward(x, ctx)[0], x

    def backward(self, dy, cache):
        dx = super().backward(dy, as_tuple(cache)[0].shape)
        if type(cache) is not tuple:
            return dx
        return dx, np.take_along_axis(dy, self._checked(cache[0]), -1)

    def check_values(self, x):
        self._checked(as_tuple(x)[0])

    def rows_of(self, x):
        x, weights = x if type(x) is tuple else (x, None)
        if weights is not None and self.output_mode != "count":
            raise ValueError(
                f"{self!r} takes count_weights with output_mode='count' alone: leave them out"
            )
        dtype = self.dtype or floatx()
        return encoded(self._checked(x), self.output_mode, self.depth, dtype, weights)

    def _checked(self, x):
        """x as integers in their range. One look at the largest suffices: unsigned, -1 is huge."""
        if x.dtype.kind not in "iub" and not (x.dtype.kind == "f" and (x == np.rint(x)).all()):
            raise TypeError(f"{self!r} expects integers and got an array of {x.dtype}")
        ids = x.astype(np.int64, copy=False)
        if ids.view(np.uint64).max(initial=0) >= self.depth:
            raise ValueError(
                f"{self!r} expects integers from 0 to {self.depth - 1} and got {ids.min()} "
                f"to {ids.max()}"
            )
        return ids
