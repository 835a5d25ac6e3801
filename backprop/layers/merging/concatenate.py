"""Arrays one behind the other."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from backprop.counts import no_products
from backprop.layer import INFERENCE
from backprop.layers.merging.shared import Merging
from backprop.masks import beside, everywhere


class Concatenate(Merging):
    """y = x₁, x₂, … one behind the other along an axis.

        xᵢ: (N, ..., nᵢ, ...), alike but for nᵢ    y: (N, ..., Σ nᵢ, ...)

    Every number of xᵢ is one of y, so dxᵢ is dy at the place of xᵢ.

    Steps that are joined along the time keep their masks. Else a step of y is real where it is real
    in all arrays that have a mask.

    Parameters
    ----------
    axis : int, default -1
        Not the batch, along which layers leave rows as they are.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        If it is not called on a list, on an empty one, along the batch or an axis that is not
        there, or shapes differ along another axis.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Concatenate
    >>> Concatenate()([np.array([[1.0, 2.0]]), np.array([[3.0]])])
    array([[1., 2., 3.]], dtype=float32)
    """

    makes_masks = False
    axis: int = -1

    def build(self, input_shape):
        super().build(input_shape)
        ndim = len(input_shape[0])
        self.time_local = ndim > 2 and self.axis % ndim > 1

    def compute_output_shape(self, input_shape):
        shapes = self.shapes_in(input_shape)
        ndim = len(shapes[0])
        if any(len(shape) != ndim for shape in shapes):
            raise self.refused(shapes, "give them as many axes, such as by Reshape")
        if not -ndim <= self.axis < ndim or self.axis % ndim == 0:
            raise self.refused(shapes, f"axis={self.axis} is not one of theirs beside the batch")
        y = [shapes[0][0]]
        for axis, lengths in enumerate(zip(*shapes, strict=True)):
            known = set(lengths) - {None}
            if axis == self.axis % ndim:
                y.append(sum(lengths) if len(known) and None not in lengths else None)
            elif axis:
                if len(known) > 1:
                    raise self.refused(shapes, f"they may differ along axis {self.axis} alone")
                y.append(next(iter(known), None))
        return tuple(y)

    def compute_mask(self, x, mask=None):
        if mask is None:
            return None
        axis = self.axis % x[0].ndim
        ndim = max(0 if m is None else m.ndim for m in mask)
        if axis >= ndim:
            return everywhere(mask, [a.shape[:axis] for a in x])
        parts = [
            np.ones(a.shape[:ndim], bool)
            if m is None
            else np.broadcast_to(beside(m, ndim), a.shape[:ndim])
            for a, m in zip(x, mask, strict=True)
        ]
        return np.concatenate(parts, axis)

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        return np.concatenate(x, self.axis), [a.shape[self.axis] for a in x]

    def backward(self, dy, lengths) -> Any:
        before = (slice(None),) * (self.axis % dy.ndim)
        ends = pairwise(accumulate(lengths, initial=0))
        return tuple([dy[(*before, slice(begin, end))] for begin, end in ends])
