"""Larger sequences, images and volumes: entries repeated, or interpolated."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from backprop.checks import per_axis
from backprop.counts import Count, no_products
from backprop.layer import INFERENCE, Shape
from backprop.layers.interpolation import Method, along, weights
from backprop.layers.resizing.shared import Resizing
from backprop.layers.windows import DataFormat, shape_back, shape_last
from backprop.promises import short_for


class UpSampling(Resizing):
    """y = x with its entries repeated along each axis."""

    def resized(self, sizes):
        return tuple(None if n is None else n * f for n, f in zip(sizes, self.size, strict=True))

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        y = np.empty(self._blocks(x.shape), x.dtype)
        y[...] = x.reshape(self._blocks(x.shape, ones=True))
        return y.reshape(self.compute_output_shape(x.shape)), x.shape

    def backward(self, dy, shape):
        first = 2 if self.data_format == "channels_last" else 3
        copies = tuple(range(first, first + 2 * self.places, 2))
        return dy.reshape(self._blocks(shape)).sum(copies)

    def resized_mask(self, real):
        return real.repeat(self.size[0], axis=1)

    def _blocks(self, shape: Shape, ones: bool = False) -> Shape:
        """The shape of y with the copies of an entry on an axis of their own, behind each axis."""
        n, *sizes, channels = shape_last(shape, self.data_format)
        blocks = [m for n, f in zip(sizes, self.size, strict=True) for m in (n, 1 if ones else f)]
        return shape_back((n, *blocks, channels), self.data_format)


class UpSampling1D(UpSampling):
    """y[n, t, c] = x[n, t // size, c].

        x: (N, T, C)    y: (N, T * size, C)

    Each step moves all of its copies, so it receives the sum of theirs:

        dx[n, t, c] = Σ_r dy[n, t * size + r, c]    over r = 0 ... size - 1

    Parameters
    ----------
    size : int, default 2
        Number of copies of each step.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import UpSampling1D
    >>> UpSampling1D(3)(np.array([[[1.0], [2.0]]]))[0, :, 0]
    array([1., 1., 1., 2., 2., 2.], dtype=float32)
    """

    size: Annotated[Any, per_axis(1)] = 2

    data_format = "channels_last"
    places = 1


class UpSampling2D(UpSampling):
    """y[n, a, b, c] = x at (a / f, b / g), the nearest pixel or a mean of the four around it.

        x: (N, H, W, C)    f, g: size    y: (N, H*f, W*g, C)

    nearest: each pixel moves all of its copies, so it receives the sum of theirs:

        y[n, a, b, c] = x[n, a // f, b // g, c]
        dx[n, i, j, c] = Σ_rs dy[n, i*f + r, j*g + s, c]

    bilinear: one axis after the other. Pixels are areas and not points, so pixel a = i*f + r of y
    lies at i + t with t = (r + 1/2) / f - 1/2, between pixel i and the next one (the one before,
    where t < 0), which takes part with the share |t|. At the border the last pixel stands in for
    the missing one. Each pixel of y pays the two in the shares in which it is made of them:

        y[a] = (1 - |t|) x[i] + |t| x[i ± 1]
        dx[i] += (1 - |t|) dy[a]        dx[i ± 1] += |t| dy[a]

    The others take more pixels around it. All of them are products with the shares R of an axis
    (`interpolation.weights`), y = R_h x R_wᵀ, so that dx = R_hᵀ dy R_w.

    Parameters
    ----------
    size : int or two ints, default 2
        How much higher and wider y is.
    data_format : {"channels_last", "channels_first"}, optional
        Default: last.
    interpolation : {"nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"}
        Default: nearest.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import UpSampling2D
    >>> x = np.array([1.0, 5.0]).reshape(1, 1, 2, 1)
    >>> UpSampling2D()(x)[0, :, :, 0]
    array([[1., 1., 5., 5.],
           [1., 1., 5., 5.]], dtype=float32)
    >>> UpSampling2D((1, 2), interpolation="bilinear")(x)[0, :, :, 0]
    array([[1., 2., 4., 5.]], dtype=float32)
    """

    size: Annotated[Any, per_axis(2)] = (2, 2)
    data_format: DataFormat = None
    interpolation: Method = "nearest"

    @short_for("forward")
    def multiply_adds(self, input_shape) -> Count:
        return 0 if self.interpolation == "nearest" else None

    def forward(self, x, ctx=INFERENCE):
        if self.interpolation == "nearest":
            return super().forward(x, ctx)
        y = x
        for axis, shares in self._shares(x.shape):
            y = along(axis, shares, y)
        return y, x.shape

    def backward(self, dy, shape):
        if self.interpolation == "nearest":
            return super().backward(dy, shape)
        for axis, shares in self._shares(shape):
            dy = along(axis, shares.T, dy)
        return dy

    def _shares(self, shape):
        """For height and width: the axis and R."""
        first = 1 if self.data_format == "channels_last" else 2
        return [
            (axis, weights(shape[axis], shape[axis] * factor, self.interpolation))
            for axis, factor in enumerate(self.size, first)
        ]


class UpSampling3D(UpSampling):
    """y[n, a, b, d, c] = x[n, a // e, b // f, d // g, c].

        x: (N, D, H, W, C)    e, f, g: size    y: (N, D*e, H*f, W*g, C)

    Each place moves all of its copies, so it receives the sum of theirs:

        dx[n, h, i, j, c] = Σ_qrs dy[n, h*e + q, i*f + r, j*g + s, c]

    Parameters
    ----------
    size : int or three ints, default 2
        Number of copies along each axis.
    data_format, **kwargs : as in `UpSampling2D`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import UpSampling3D
    >>> UpSampling3D((1, 2, 3))(np.ones((5, 4, 4, 4, 2))).shape
    (5, 4, 8, 12, 2)
    """

    size: Annotated[Any, per_axis(3)] = (2, 2, 2)
    data_format: DataFormat = None

    places = 3
