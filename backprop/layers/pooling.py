"""Pooling layers: the largest or the mean of the pixels in a window, or in the whole image."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from backprop.checks import integers
from backprop.layer import INFERENCE, InputSpec, Layer, show_shape
from backprop.layers.windows import (
    Windows,
    channels_back,
    channels_last,
    shape_back,
    shape_last,
    standard_format,
    standard_padding,
)
from backprop.linalg import mean


class Pooling2D(Layer):
    """What the poolings over windows have in common: the windows."""

    def __init__(
        self,
        pool_size,
        strides=None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        who = type(self).__name__
        self.pool_size = integers(pool_size, 2, who, "pool_size")
        self.strides = integers(self.pool_size if strides is None else strides, 2, who, "strides")
        self.padding = standard_padding(padding, who)
        self.data_format = standard_format(data_format, who)
        self.windows = Windows(self.pool_size, self.strides, self.padding)
        self.input_spec = InputSpec(ndim=4)

    def build(self, input_shape):
        self.check_input(input_shape)

    def compute_output_shape(self, input_shape):
        n, *sizes, channels = shape_last(input_shape, self.data_format)
        counts = self.windows.counts(tuple(sizes))
        if any(count is not None and count < 1 for count in counts):
            raise ValueError(
                f"{self!r} has a window larger than its input of {show_shape(input_shape[1:])}; "
                "take padding='same' or a smaller pool_size"
            )
        return shape_back((n, *counts, channels), self.data_format)

    def check_input(self, shape):
        super().check_input(shape)
        self.compute_output_shape(shape)

    def compute_mask(self, x, mask):
        return None  # the axes of y are not those of x


class MaxPooling2D(Pooling2D):
    """y[n, i, j, c] = max of x[n, i*s + u, j*s + v, c] over the window's (u, v).

        x: (N, H, W, C)    y: (N, I, J, C)

    Only the pixel that won a window moves its y, so it alone receives that dy; among equals the
    first one wins:

        dx[n, i*s + u, j*s + v, c] += dy[n, i, j, c]    where (u, v) won window (i, j)

    Parameters
    ----------
    pool_size : int or two ints, default 2
        Height and width of the window in pixels.
    strides : int or two ints, optional
        Pixels from one window to the next. Default: `pool_size`.
    padding : {"valid", "same"}, default "valid"
        "same" lets windows reach over the border, so that y has ceil(H / stride) rows.
    data_format : {"channels_last", "channels_first"}, optional
        Default: last.
    name : str, optional
    **kwargs
        `trainable`, `dtype` of every `Layer`.

    Raises
    ------
    ValueError
        Where the window is larger than the image.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import MaxPooling2D
    >>> MaxPooling2D()(np.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0]
    array([[ 5.,  7.],
           [13., 15.]], dtype=float32)
    """

    def __init__(
        self,
        pool_size: Any = (2, 2),
        strides=None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs,
    ):
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)

    def forward(self, x, ctx=INFERENCE):
        x = channels_last(x, self.data_format)
        pixels = self.windows.pixels(self.windows.pad(x, -np.inf))
        y = next(pixels).copy()
        winner = np.zeros(y.shape, np.min_scalar_type(self.pool_size[0] * self.pool_size[1]))
        for k, pixel in enumerate(pixels, start=1):
            np.copyto(winner, k, where=pixel > y)
            np.maximum(y, pixel, out=y)
        return channels_back(y, self.data_format), (winner, x.shape)

    def backward(self, dy, cache):
        winner, shape = cache
        dy = channels_last(dy, self.data_format)
        padded = self.windows.pad(np.zeros(shape, dy.dtype))
        for k, dpixel in enumerate(self.windows.pixels(padded)):
            dpixel += dy * (winner == k)
        return channels_back(self.windows.crop(padded, shape[1:3]), self.data_format)


class AveragePooling2D(Pooling2D):
    """y[n, i, j, c] = Σ_uv x[n, i*s + u, j*s + v, c] / m[i, j], over the window's (u, v).

        x: (N, H, W, C)    m: (I, J, 1)    y: (N, I, J, C)

    m counts those of the window's pixels that lie in the image, and each of them moves y by 1 / m:

        dx[n, i*s + u, j*s + v, c] += dy[n, i, j, c] / m[i, j]

    Parameters
    ----------
    pool_size : int or two ints
        Height and width of the window in pixels.
    strides : int or two ints, optional
        Pixels from one window to the next. Default: `pool_size`.
    padding : {"valid", "same"}, default "valid"
        "same" lets windows reach over the border, so that y has ceil(H / stride) rows.
    data_format : {"channels_last", "channels_first"}, optional
        Default: last.
    name : str, optional
    **kwargs
        `trainable`, `dtype` of every `Layer`.

    Raises
    ------
    ValueError
        Where the window is larger than the image.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import AveragePooling2D
    >>> AveragePooling2D(2)(np.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]], dtype=float32)
    """

    def forward(self, x, ctx=INFERENCE):
        x = channels_last(x, self.data_format)
        y = self._sum(x)
        y /= self._m(x.shape, x.dtype)
        return channels_back(y, self.data_format), x.shape

    def backward(self, dy, shape):
        dy = channels_last(dy, self.data_format) / self._m(shape, dy.dtype)
        padded = self.windows.pad(np.zeros(shape, dy.dtype))
        for dpixel in self.windows.pixels(padded):
            dpixel += dy
        return channels_back(self.windows.crop(padded, shape[1:3]), self.data_format)

    def _sum(self, x):
        pixels = self.windows.pixels(self.windows.pad(x))
        y = next(pixels).copy()
        for pixel in pixels:
            y += pixel
        return y

    def _m(self, shape, dtype):
        return self._sum(np.ones((1, *shape[1:3], 1), dtype))


class GlobalPooling(Layer):
    """What the poolings over a whole image or sequence have in common: the axes that they end."""

    places = 2  # the number of axes between batch and channels

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.data_format = standard_format(data_format, type(self).__name__)
        self.keepdims = keepdims
        self.input_spec = InputSpec(ndim=self.places + 2)

    def compute_output_shape(self, input_shape):
        n, *_, channels = shape_last(input_shape, self.data_format)
        ones = (1,) * self.places if self.keepdims else ()
        return shape_back((n, *ones, channels), self.data_format)

    def compute_mask(self, x, mask):
        return None  # y has no time axis any more

    def _flat(self, x):
        """x with all its places on one axis: (N, places, C)."""
        x = channels_last(x, self.data_format)
        return x.reshape(len(x), prod(x.shape[1:-1]), x.shape[-1])

    def _unflat(self, dx, shape):
        """Of `_flat`'s shape → the input's shape, which is `shape`."""
        return channels_back(dx.reshape(shape_last(shape, self.data_format)), self.data_format)


class GlobalAveragePooling1D(GlobalPooling):
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
    **kwargs
        `trainable`, `dtype`, `name` of every `Layer`.

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

    def forward(self, x, ctx=INFERENCE):
        flat = self._flat(x)
        if ctx.mask is None:
            y, share = mean(flat, 1), 1 / flat.shape[1]
        else:
            w = ctx.mask[:, :, None].astype(x.dtype)
            share = w / np.maximum(w.sum(1, keepdims=True), 1)
            y = np.sum(
                flat * share, axis=1, where=ctx.mask[:, :, None]
            )  # whatever stands at a masked step
        return y.reshape(self.compute_output_shape(x.shape)), (share, x.shape)

    def backward(self, dy, cache):
        share, shape = cache
        n, steps, channels = shape_last(shape, self.data_format)
        dx = np.empty((n, steps, channels), dy.dtype)
        np.multiply(dy.reshape(n, 1, channels), share, out=dx)
        return self._unflat(dx, shape)


class GlobalAveragePooling2D(GlobalPooling):
    """y[n, c] = mean of x[n, i, j, c] over all pixels (i, j).

        x: (N, H, W, C)    y: (N, C)

    Each of the H*W pixels moves y by the same share:

        dx[n, i, j, c] = dy[n, c] / (H*W)

    Parameters
    ----------
    data_format : {"channels_last", "channels_first"}, optional
        Default: last.
    keepdims : bool, default False
        Keep the axes of the pixels, with length 1.
    **kwargs
        `trainable`, `dtype`, `name` of every `Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import GlobalAveragePooling2D
    >>> GlobalAveragePooling2D()(np.arange(8.0).reshape(1, 2, 2, 2))
    array([[3., 4.]], dtype=float32)
    """

    def forward(self, x, ctx=INFERENCE):
        return mean(self._flat(x), 1).reshape(self.compute_output_shape(x.shape)), x.shape

    def backward(self, dy, shape):
        n, h, w, channels = shape_last(shape, self.data_format)
        dx = np.empty((n, h * w, channels), dy.dtype)
        np.divide(dy.reshape(n, 1, channels), h * w, out=dx)
        return self._unflat(dx, shape)


class GlobalMaxPooling2D(GlobalPooling):
    """y[n, c] = max of x[n, i, j, c] over all pixels (i, j).

        x: (N, H, W, C)    y: (N, C)

    Only the pixel that won moves y, so it alone receives dy; among equals the first one wins:

        dx[n, i, j, c] = dy[n, c]    where (i, j) won, else 0

    Parameters
    ----------
    data_format : {"channels_last", "channels_first"}, optional
        Default: last.
    keepdims : bool, default False
        Keep the axes of the pixels, with length 1.
    **kwargs
        `trainable`, `dtype`, `name` of every `Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import GlobalMaxPooling2D
    >>> GlobalMaxPooling2D()(np.arange(8.0).reshape(1, 2, 2, 2))
    array([[6., 7.]], dtype=float32)
    """

    def forward(self, x, ctx=INFERENCE):
        flat = self._flat(x)
        winner = flat.argmax(1, keepdims=True)
        y = np.take_along_axis(flat, winner, 1)
        return y.reshape(self.compute_output_shape(x.shape)), (winner, x.shape)

    def backward(self, dy, cache):
        winner, shape = cache
        n, h, w, channels = shape_last(shape, self.data_format)
        dx = np.zeros((n, h * w, channels), dy.dtype)
        np.put_along_axis(dx, winner, dy.reshape(n, 1, channels), 1)
        return self._unflat(dx, shape)


MaxPool2D = MaxPooling2D
AvgPool2D = AveragePooling2D
GlobalAvgPool1D = GlobalAveragePooling1D
GlobalAvgPool2D = GlobalAveragePooling2D
GlobalMaxPool2D = GlobalMaxPooling2D
