"""The dot product of two arrays, row by row of the batch."""

from __future__ import annotations

from math import prod
from typing import Annotated, Any

import numpy as np

from backprop.arguments import Convert
from backprop.checks import integer
from backprop.counts import Count, times
from backprop.defaults import epsilon
from backprop.layer import INFERENCE, Array
from backprop.layers.merging.shared import Merging
from backprop.linalg import of_length_one, of_length_one_backward
from backprop.masks import both, only_real
from backprop.nest import shapes
from backprop.promises import short_for


def axis_or_two(value: Any, who: str, name: str) -> int | tuple[int, ...]:
    if isinstance(value, list | tuple) and len(value) == 2:
        return tuple(integer(axis, who, name, least=-64) for axis in value)
    return integer(value, who, name, least=-64)


class Dot(Merging):
    """y[n, i…, j…] = Σ_k a[n, i…, k] b[n, j…, k], k along an axis of each.

        a: (N, i…, K)    b: (N, j…, K), K wherever `axes` says    y: (N, i…, j…), (N, 1) if no i, j

    With the other axes of each array as one it is a matrix product for each row of the batch,
    y = a bᵀ, so

        da = dy b        db = dyᵀ a

    With `normalize`, a and b are divided by their lengths along k, so that y is the cosine of the
    angle between them: with r = 1 / |a|, u = r a and du = dy v, where v is what becomes of b,

        da = r (du - u Σ_k du u)        (db likewise)

    A vector shorter than 1e-7 is divided by 1e-7, which is a constant.

    Masked steps count as 0 in a sum along the time, and receive nothing. Of y a number is real
    where its step i of a and its step j of b are. So (N, T, K) and (N, J, K) have the scores of an
    attention, whose mask is (N, T, J): a `Softmax` behind them leaves out the masked j.

    Parameters
    ----------
    axes : int or pair of int
        The axis k, of both or of each; not the batch.
    normalize : bool, default False
        Cosine similarity.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        If it is not called on a list of two, or their lengths along k differ.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Dot
    >>> Dot(axes=1)([np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]])])
    array([[11.]], dtype=float32)
    >>> Dot(axes=-1, normalize=True)([np.array([[1.0, 0.0]]), np.array([[3.0, 4.0]])])
    array([[0.6]], dtype=float32)
    """

    makes_masks = False
    axes: Annotated[Any, Convert(axis_or_two)]
    normalize: bool = False

    least = most = 2

    def along(self, ndims: list[int]) -> list[int]:
        """The axis k of each array, counted from the front."""
        axes = self.axes if isinstance(self.axes, tuple) else (self.axes, self.axes)
        if any(not -n <= k < n or k % n == 0 for k, n in zip(axes, ndims, strict=True)):
            raise ValueError(
                f"{self!r} sums along an axis of each array beside the batch, and got arrays with "
                f"{ndims[0]} and {ndims[1]} axes, the batch among them"
            )
        return [k % n for k, n in zip(axes, ndims, strict=True)]

    def compute_output_shape(self, input_shape):
        shapes = self.shapes_in(input_shape)
        along = self.along([len(shape) for shape in shapes])
        summed = [shape[k] for shape, k in zip(shapes, along, strict=True)]
        if None not in summed and summed[0] != summed[1]:
            raise self.refused(
                shapes,
                f"they have {summed[0]} along axis {along[0]} and {summed[1]} along "
                f"axis {along[1]}",
            )
        a, b = ((*shape[1:k], *shape[k + 1 :]) for shape, k in zip(shapes, along, strict=True))
        return (shapes[0][0], *((*a, *b) or (1,)))

    def compute_mask(self, x, mask=None):
        if mask is None:
            return None
        a, b = (without(m, k) for m, k in zip(mask, self.along([v.ndim for v in x]), strict=True))
        if b is not None:  # behind all axes of a
            b = b.reshape(b.shape[:1] + (1,) * (x[0].ndim - 2) + b.shape[1:])
        found = both(a, b)
        if found is None:
            return None
        y = self.compute_output_shape(shapes(x))
        return np.broadcast_to(found, y[: found.ndim])

    @short_for("forward")
    def multiply_adds(self, input_shape) -> Count:
        a, b = self.shapes_in(input_shape)
        i, k = self.along([len(a), len(b)])
        free = (*a[1:i], *a[i + 1 :], *b[1:k], *b[k + 1 :])
        return times(*free, b[k] if a[i] is None else a[i])

    def forward(self, x, ctx=INFERENCE):
        along = self.along([v.ndim for v in x])
        masks = ctx.mask or (None, None)
        (a, of_a), (b, of_b) = map(self.vectors, x, along, masks)
        free = (*of_a[0][1:-1], *of_b[0][1:-1]) or (1,)
        return np.matmul(a, b.swapaxes(1, 2)).reshape(len(a), *free), (a, b, of_a, of_b)

    def backward(self, dy, cache) -> Any:
        a, b, of_a, of_b = cache
        dy = dy.reshape(len(a), a.shape[1], b.shape[1])
        da, db = np.matmul(dy, b), np.matmul(dy.swapaxes(1, 2), a)
        return vectors_backward(da, of_a), vectors_backward(db, of_b)

    def vectors(self, a: Array, k: int, mask: Array | None) -> tuple[Array, tuple]:
        """a as (N, i, K), its axis k last and the others as one, and what the way back needs."""
        mask = None if mask is None or k >= mask.ndim else mask
        a, unit = only_real(a, mask), None
        if self.normalize:
            a, unit = of_length_one(a, k, epsilon())
        a = np.moveaxis(a, k, -1)
        return a.reshape(len(a), prod(a.shape[1:-1]), a.shape[-1]), (a.shape, k, unit, mask)


def vectors_backward(d: Array, cache: tuple) -> Array:
    """d, (N, i, K), as the gradient of what `Dot.vectors` was given."""
    shape, k, unit, mask = cache
    d = np.moveaxis(d.reshape(shape), -1, k)
    return only_real(d if unit is None else of_length_one_backward(d, unit), mask)


def without(mask: Array | None, axis: int) -> Array | None:
    """What is left of a mask when the numbers along an axis are summed: where there is a real one.
    The mask ends with the time, as behind a pooling of all steps."""
    if mask is None or axis >= mask.ndim:
        return mask
    return np.any(mask, axis) if mask.ndim > 2 else None
