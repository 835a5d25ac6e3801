"""Layers that give the same entries another shape; backward puts dy's entries back."""

from __future__ import annotations

from math import prod
from typing import Annotated, Any

import numpy as np

from backprop.arguments import Convert
from backprop.checks import Positive, integer, sequence
from backprop.counts import no_products
from backprop.input_spec import show_shape
from backprop.layer import INFERENCE, InputSpec, Layer
from backprop.layers.windows import DataFormat, channels_back, channels_last, shape_last


def keeps_steps(x, shape, mask) -> bool:
    """Whether the entries of a step of x are one step of y, so that they have the same mask."""
    return x.shape[: mask.ndim] == tuple(shape[: mask.ndim])


class Flatten(Layer):
    """y[n] = all entries of x[n] in one row, the last axis fastest.

        x: (N, a, b, ...)    y: (N, a*b*...)

    Every entry of x is one entry of y, so dx is dy in the shape of x.

    Parameters
    ----------
    data_format : {"channels_last", "channels_first"}, optional
        With "channels_first", axis 1 is put last before, so that y is the same for both formats.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Flatten
    >>> Flatten()(np.zeros((5, 28, 28))).shape
    (5, 784)
    """

    makes_masks = False
    data_format: DataFormat = None

    input_spec = InputSpec(min_ndim=1)

    def compute_output_shape(self, input_shape):
        sizes = input_shape[1:]
        return (input_shape[0], None if None in sizes else prod(sizes))

    def obeys_mask(self, x, mask):
        return keeps_steps(x, self.compute_output_shape(x.shape), mask)

    def compute_mask(self, x, mask=None):
        return mask if mask is None or self.obeys_mask(x, mask) else None

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        turned = channels_last(x, self.data_format) if x.ndim > 2 else x
        return turned.reshape(len(x), prod(x.shape[1:])), x.shape

    def backward(self, dy, shape):
        if self.data_format == "channels_last" or len(shape) < 3:
            return dy.reshape(shape)
        return channels_back(dy.reshape(shape_last(shape, self.data_format)), self.data_format)


def sizes(value: Any, who: str, name: str) -> tuple[int, ...]:
    one = isinstance(value, int | np.integer)
    found = [value] if one else sequence(value, who, name, "a tuple of integers")
    if found.count(-1) > 1:
        raise ValueError(f"{who} expects at most one -1 in {name}, got {value!r}")
    return tuple(-1 if n == -1 else integer(n, who, name) for n in found)


class Reshape(Layer):
    """y[n] = the entries of x[n] in another shape, in the same order.

        x: (N, ...)    y: (N, *target_shape)

    Every entry of x is one entry of y, so dx is dy in the shape of x.

    Parameters
    ----------
    target_shape : tuple of int
        Shape of one sample of y; one entry may be -1, and is worked out.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        Where the shape has more than one -1, or another number of entries than the input.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Reshape
    >>> Reshape((-1, 2))(np.zeros((5, 6))).shape
    (5, 3, 2)
    """

    makes_masks = False
    target_shape: Annotated[Any, Convert(sizes)]

    def build(self, input_shape):
        self.compute_output_shape(input_shape)

    def compute_output_shape(self, input_shape):
        n, *sizes = input_shape
        known = prod(k for k in self.target_shape if k != -1)
        if None in sizes:
            return (n, *(None if k == -1 else k for k in self.target_shape))
        entries = prod(sizes)
        if entries % known if -1 in self.target_shape else entries != known:
            raise ValueError(f"{self!r} got {show_shape(sizes)}, which has {entries} entries")
        return (n, *(entries // known if k == -1 else k for k in self.target_shape))

    def check_input(self, shape):
        super().check_input(shape)
        self.compute_output_shape(shape)

    def obeys_mask(self, x, mask):
        return keeps_steps(x, self.compute_output_shape(x.shape), mask)

    def compute_mask(self, x, mask=None):
        return mask if mask is None or self.obeys_mask(x, mask) else None

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        return x.reshape(self.compute_output_shape(x.shape)), x.shape

    def backward(self, dy, shape):
        return dy.reshape(shape)


def permutation(value: Any, who: str, name: str) -> tuple[int, ...]:
    found = tuple(sequence(value, who, name, "a tuple of axes"))
    if {*map(str, found)} != {*map(str, range(1, len(found) + 1))}:
        raise ValueError(
            f"{who} expects {name} to be the axes 1 to {len(found)} in some order, got {found}"
        )
    return found


class Permute(Layer):
    """y[n] = x[n] with its axes in another order.

        x: (N, a₁, a₂, ...)    y: (N, a_dims[0], a_dims[1], ...)

    Every entry of x is one entry of y, so dx is dy with the axes put back.

    Parameters
    ----------
    dims : tuple of int
        The axes of x in the order of y, counted from 1, as the batch is axis 0.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        Where `dims` is not an order of 1, 2, ..., or the input has another number of axes.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Permute
    >>> Permute((2, 1))(np.zeros((5, 3, 4))).shape
    (5, 4, 3)
    """

    makes_masks = False
    dims: Annotated[Any, Convert(permutation)]

    def __post_init__(self):
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *(input_shape[axis] for axis in self.dims))

    def obeys_mask(self, x, mask):
        return sorted(self.dims[: mask.ndim - 1]) == list(range(1, mask.ndim))

    def compute_mask(self, x, mask=None):
        if mask is None or not self.obeys_mask(x, mask):
            return None
        return mask.transpose(0, *self.dims[: mask.ndim - 1])

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        return x.transpose(0, *self.dims), None

    def backward(self, dy, cache):
        return dy.transpose(np.argsort((0, *self.dims)))


class RepeatVector(Layer):
    """y[:, t] = x for t = 1 ... n.

        x: (N, f)    y: (N, n, f)

    x moves all n copies, so it receives the sum of theirs:

        dx = Σ_t dy[:, t]

    Parameters
    ----------
    n : int
        Number of copies.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import RepeatVector
    >>> RepeatVector(3)(np.zeros((5, 4))).shape
    (5, 3, 4)
    """

    makes_masks = False
    n: Positive

    input_spec = InputSpec(ndim=2)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.n, input_shape[1])

    def obeys_mask(self, x, mask):
        return mask.ndim == 1

    def compute_mask(self, x, mask=None):
        return mask if mask is None or mask.ndim == 1 else None  # the time axis is a new one

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        return np.repeat(x[:, None], self.n, axis=1), None

    def backward(self, dy, cache):
        return dy.sum(1)
