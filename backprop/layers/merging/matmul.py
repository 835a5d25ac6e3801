"""The product of two stacks of matrices: what ``a @ b`` stands for."""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.counts import Count, times
from backprop.layer import INFERENCE
from backprop.layers.merging.shared import Merging
from backprop.linalg import unbroadcast
from backprop.masks import only_real
from backprop.promises import short_for


class Matmul(Merging):
    """y = a b, matrix by matrix.

        a: (N, ..., I, K)    b: (N, ..., K, J)    y: (N, ..., I, J)

    The matrices lie along the last two axes, and what stands before is alike in both, or 1. With
    y[i, j] = Σ_k a[i, k] b[k, j], a[i, k] goes to row i of y with the weights b[k, :], and b[k, j]
    to column j with the weights a[:, k]:

        da = dy bᵀ        db = aᵀ dy

    Where a matrix serves several times, it receives the sum over these.

    Between sequences, (N, I, K) and (N, K, J), the masked steps of b count as 0, and y has the mask
    of a. Else there are steps before the matrices, and one is real where it is so in both.

    Parameters
    ----------
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        If it is not called on a list of two, they do not have as many axes, three at least, or
        their lengths do not meet.

    Examples
    --------
    >>> import numpy as np
    >>> import backprop as bp
    >>> a, b = np.array([[[1.0, 2.0]]]), np.array([[[3.0], [4.0]]])
    >>> bp.layers.Matmul()([a, b])
    array([[[11.]]], dtype=float32)
    >>> (bp.Input((1, 2)) @ bp.Input((2, 5))).shape
    (None, 1, 5)
    """

    makes_masks = False
    least = most = 2

    def compute_output_shape(self, input_shape):
        a, b = shapes = self.shapes_in(input_shape)
        if len(a) != len(b) or len(a) < 3:
            raise self.refused(shapes, "each has a matrix for each row, and as many axes before it")
        if None not in (a[-1], b[-2]) and a[-1] != b[-2]:
            raise self.refused(shapes, f"the first has {a[-1]} columns, the second {b[-2]} rows")
        lengths = [set(pair) - {1} for pair in zip(a[1:-2], b[1:-2], strict=True)]
        if any(len(long - {None}) > 1 for long in lengths):
            raise self.refused(shapes, "before the matrices, lengths are equal or 1")
        before = [None if None in long else max(long, default=1) for long in lengths]
        return (a[0], *before, a[-2], b[-1])

    def compute_mask(self, x, mask=None):
        if mask is None or x[0].ndim == 3:
            return mask and mask[0]
        y: Any = self.compute_output_shape((x[0].shape, x[1].shape))
        found = [np.broadcast_to(m, y[: m.ndim]) for m in mask if m is not None]
        return np.logical_and.reduce(found)

    def obeys_mask(self, x, mask):
        return all(m is None or m.ndim <= max(x[0].ndim - 2, 2) for m in mask)

    @short_for("forward")
    def multiply_adds(self, input_shape) -> Count:
        a, b = self.shapes_in(input_shape)
        y = self.compute_output_shape(input_shape)
        return times(*y[1:], b[-2] if a[-1] is None else a[-1])

    def forward(self, x, ctx=INFERENCE):
        a, b = x
        mask = None if ctx.mask is None or b.ndim > 3 else ctx.mask[1]
        b = only_real(b, mask)
        return np.matmul(a, b), (a, b, mask)

    def backward(self, dy, cache) -> Any:
        a, b, mask = cache
        da = np.matmul(dy, b.swapaxes(-1, -2))
        db = np.matmul(a.swapaxes(-1, -2), dy)
        return unbroadcast(da, a.shape), only_real(unbroadcast(db, b.shape), mask)
