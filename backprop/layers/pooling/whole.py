"""Pooling over a whole sequence, image or volume: its largest place, or the mean."""

from __future__ import annotations

from math import prod

import numpy as np

from backprop.counts import no_products
from backprop.input_spec import show_shape
from backprop.layer import INFERENCE, Array, Context
from backprop.layers.pooling.shared import Pooling
from backprop.layers.windows import DataFormat, shape_back, shape_last
from backprop.linalg import ones, sum_last
from backprop.masks import beside, fits, only_real


class GlobalPooling(Pooling):
    """What the poolings over all places have in common: the axes that they end, and a mask with
    them. Places that it hides, of the first axes or of all, are left out."""

    data_format: DataFormat = None
    keepdims: bool = False

    def check_input(self, shape):
        super().check_input(shape)
        if 0 in self.sizes(shape):
            raise ValueError(
                f"{self!r} expects at least one place along each axis and got "
                f"{show_shape(shape[1:])}"
            )

    def compute_output_shape(self, input_shape):
        n, *_, channels = shape_last(input_shape, self.data_format)
        ones = (1,) * self.places if self.keepdims else ()
        return shape_back((n, *ones, channels), self.data_format)

    def real(self, x: Array, ctx: Context) -> Array | None:
        """True at a real place: (N, P, 1), or with channels first (N, 1, P); None without a
        mask."""
        if ctx.mask is None:
            return None
        shape = shape_last(x.shape, self.data_format)[:-1]
        n, *sizes = shape
        if not fits(ctx.mask.shape, shape[: ctx.mask.ndim]):
            raise ValueError(
                f"{self!r} expects a mask of shape {shape}, batch and places, or of its first "
                f"axes, got {ctx.mask.shape}"
            )
        real = np.broadcast_to(beside(ctx.mask, len(shape)), shape).reshape(n, prod(sizes))
        return np.expand_dims(real, 3 - self.first_axis)

    def _flat(self, shape) -> tuple[int, ...]:
        """The shape with all places on one axis, which is `first_axis`."""
        n, *sizes, channels = shape_last(shape, self.data_format)
        return shape_back((n, prod(sizes), channels), self.data_format)

    def _flat_dy(self, dy, shape):
        """dy with an axis of length 1 where x has its places."""
        n, *_, channels = shape_last(shape, self.data_format)
        return dy.reshape(shape_back((n, 1, channels), self.data_format))


def sum_places(x, axis: int):
    """Σ over the places: (N, P, C) or, with axis 2, (N, C, P) → (N, C)."""
    # a product with ones is several times faster than sum(1): benchmarks/embedding.py
    return np.matmul(ones(x.shape[1], x.dtype), x) if axis == 1 else sum_last(x)


class GlobalAverage(GlobalPooling):
    """y = the mean over all places, or over those that are real."""

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        flat, real = x.reshape(self._flat(x.shape)), self.real(x, ctx)
        if real is None:
            share = 1 / flat.shape[self.first_axis]
            y = sum_places(flat, self.first_axis) * share
        else:
            w = real.astype(x.dtype)
            share = w / np.maximum(w.sum(self.first_axis, keepdims=True), 1)
            y = np.sum(only_real(flat, real) * share, axis=self.first_axis)
        return y.reshape(self.compute_output_shape(x.shape)), (share, x.shape)

    def backward(self, dy, cache):
        share, shape = cache
        dx = np.empty(self._flat(shape), dy.dtype)
        np.multiply(self._flat_dy(dy, shape), share, out=dx)
        return dx.reshape(shape)


class GlobalMax(GlobalPooling):
    """y = the largest of all places."""

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        flat, real = x.reshape(self._flat(x.shape)), self.real(x, ctx)
        if real is not None:
            flat = np.where(real, flat, x.dtype.type(-np.inf))
        winner = flat.argmax(self.first_axis, keepdims=True)
        y = np.take_along_axis(flat, winner, self.first_axis)
        if real is not None:
            y = only_real(y, np.asarray(real.any(self.first_axis, keepdims=True)))
        return y.reshape(self.compute_output_shape(x.shape)), (winner, x.shape, real)

    def backward(self, dy, cache):
        winner, shape, real = cache
        dx = np.zeros(self._flat(shape), dy.dtype)
        np.put_along_axis(dx, winner, self._flat_dy(dy, shape), self.first_axis)
        return only_real(dx, real).reshape(shape)


class GlobalAveragePooling1D(GlobalAverage):
    """y[n, c] = Σ_t w[n, t] x[n, t, c] / Σ_t w[n, t].

        x: (N, T, C)    w: (N, T), 1 at a real step and 0 at a masked one    y: (N, C)

    Each step moves y by its share of the weight; a sequence without any real step gives y = 0:

        dx[n, t, c] = dy[n, c] w[n, t] / Σ_t w[n, t]

    Parameters
    ----------
    data_format : {"channels_last", "channels_first"}, optional
        Default: last.
    keepdims : bool, default False
        Keep the axis of the steps, with length 1.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        Where the sequence has no step.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import GlobalAveragePooling1D
    >>> x = np.array([[[1.0], [3.0], [8.0]]])
    >>> GlobalAveragePooling1D()(x)
    array([[4.]], dtype=float32)
    >>> GlobalAveragePooling1D()(x, mask=np.array([[True, True, False]]))
    array([[2.]], dtype=float32)
    """

    places = 1

    def backward(self, dy, cache):
        share, shape = cache
        dy = self._flat_dy(dy, shape)
        return np.broadcast_to(dy * share, shape)  # without a mask a view, the same for all steps


class GlobalAveragePooling2D(GlobalAverage):
    """y[n, c] = mean of x[n, i, j, c] over all pixels (i, j).

        x: (N, H, W, C)    y: (N, C)

    Each of the H*W pixels moves y by the same share:

        dx[n, i, j, c] = dy[n, c] / (H*W)

    Parameters
    ----------
    data_format, keepdims, **kwargs : as in `GlobalAveragePooling1D`, where pixels stand for steps

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import GlobalAveragePooling2D
    >>> GlobalAveragePooling2D()(np.arange(8.0).reshape(1, 2, 2, 2))
    array([[3., 4.]], dtype=float32)
    """


class GlobalAveragePooling3D(GlobalAverage):
    """y[n, c] = mean of x[n, h, i, j, c] over all places (h, i, j).

        x: (N, D, H, W, C)    y: (N, C)

    Each of the D*H*W places moves y by the same share:

        dx[n, h, i, j, c] = dy[n, c] / (D*H*W)

    Parameters
    ----------
    data_format, keepdims, **kwargs : as in `GlobalAveragePooling1D`, where places stand for steps

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import GlobalAveragePooling3D
    >>> GlobalAveragePooling3D()(np.arange(16.0).reshape(1, 2, 2, 2, 2))
    array([[7., 8.]], dtype=float32)
    """

    places = 3


class GlobalMaxPooling1D(GlobalMax):
    """y[n, c] = max of x[n, t, c] over all steps t.

        x: (N, T, C)    y: (N, C)

    Only the step that won moves y, so it alone receives dy; among equals the first one wins:

        dx[n, t, c] = dy[n, c]    where t won, else 0

    Under a mask a real step wins; a sequence without any gives y = 0, which nothing moves. (In
    Keras a mask is not looked at.)

    Parameters
    ----------
    data_format, keepdims, **kwargs
        As in `GlobalAveragePooling1D`, which has an error too where there is no step.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import GlobalMaxPooling1D
    >>> GlobalMaxPooling1D()(np.array([[[1.0, 5.0], [3.0, 2.0]]]))
    array([[3., 5.]], dtype=float32)
    """

    places = 1


class GlobalMaxPooling2D(GlobalMax):
    """y[n, c] = max of x[n, i, j, c] over all pixels (i, j).

        x: (N, H, W, C)    y: (N, C)

    Only the pixel that won moves y, so it alone receives dy; among equals the first one wins:

        dx[n, i, j, c] = dy[n, c]    where (i, j) won, else 0

    Parameters
    ----------
    data_format, keepdims, **kwargs : as in `GlobalAveragePooling2D`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import GlobalMaxPooling2D
    >>> GlobalMaxPooling2D()(np.arange(8.0).reshape(1, 2, 2, 2))
    array([[6., 7.]], dtype=float32)
    """


class GlobalMaxPooling3D(GlobalMax):
    """y[n, c] = max of x[n, h, i, j, c] over all places (h, i, j).

        x: (N, D, H, W, C)    y: (N, C)

    Only the place that won moves y, so it alone receives dy; among equals the first one wins:

        dx[n, h, i, j, c] = dy[n, c]    where (h, i, j) won, else 0

    Parameters
    ----------
    data_format, keepdims, **kwargs : as in `GlobalAveragePooling3D`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import GlobalMaxPooling3D
    >>> GlobalMaxPooling3D()(np.arange(16.0).reshape(1, 2, 2, 2, 2))
    array([[14., 15.]], dtype=float32)
    """

    places = 3
