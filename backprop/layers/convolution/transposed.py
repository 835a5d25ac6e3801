"""Transposed convolutions: each pixel of x paints one window of y."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from backprop.arguments import argument
from backprop.checks import Positive, integer
from backprop.counts import Count, times
from backprop.layers.convolution.border import Convolutional
from backprop.layers.convolution.products import correlate, input_gradient, kernel_gradient
from backprop.layers.kernels import KernelAndBias
from backprop.layers.windows import DataFormat, Shape, Sizes, Windows, shape_last
from backprop.masks import between
from backprop.promises import short_for

Array = np.ndarray


@dataclass(frozen=True)
class WindowsOfOutput(Windows):
    """Windows over the y of a transposed convolution: one for each pixel of x.

    n pixels of x make (n - 1) * stride + tail pixels of y. Where a window spans more than the tail,
    the margin takes the rest, the larger half behind the image.
    """

    tail: tuple[int, ...] = ()

    @property
    def anchored(self) -> bool:
        return True

    def counts(self, sizes: Shape) -> Shape:
        return tuple(
            None if m is None else (m - tail) // s + 1
            for m, s, tail in zip(sizes, self.strides, self.tail, strict=True)
        )

    def mask(self, real: Array) -> Array:
        """Which steps of y are real, of sequences x with the mask `real`: (N, T) → (N, steps of y).

        Each real step of x makes `tail` of them where it is the last, and else a stride.
        """
        (length,), (stride,), (tail,) = self.sizes(real.shape[1:]), self.strides, self.tail
        last = between(real)
        last[:, :-1] &= ~last[:, 1:]
        y = np.zeros((len(real), length + stride), bool)
        for r in range(max(stride, tail)):
            made = real & ((r < stride) & ~last | (r < tail) & last)
            part = y[:, r::stride][:, : real.shape[1]]
            part |= made[:, : part.shape[1]]
        return y[:, :length]

    def aligned(self, real: Array) -> tuple[Array, None]:
        return real, None  # there is a window for each step

    def sizes(self, counts: Shape) -> Shape:
        """The inverse of `counts`."""
        return tuple(
            None if n is None else (n - 1) * s + tail
            for n, s, tail in zip(counts, self.strides, self.tail, strict=True)
        )


def tail_of(span: int, stride: int, padding: str, output_padding: int | None) -> int:
    """Pixels of y for the last pixel of x, as Keras counts them."""
    if output_padding is None:
        return stride if padding == "same" else max(span, stride)
    return (span % 2 if padding == "same" else span) + output_padding


class ConvTranspose(Convolutional, KernelAndBias):
    """z[n, i*s + u*d] += x[n, i] · kernel[u]ᵀ for each (i, u), along any number of axes.

        x: (N, counts ..., C)    kernel: (size ..., filters, C)    z: (N, sizes ..., filters)

    That is `input_gradient` of the convolution that takes z to x, so its own dx is that
    convolution. `Conv2DTranspose` has the parameters.
    """

    filters: Positive
    kernel_size: Sizes
    strides: Sizes = 1
    padding: str = "valid"
    output_padding: Any = None
    data_format: DataFormat = None
    dilation_rate: Sizes = 1

    def __post_init__(self):
        self.output_padding = self._standard_output_padding(self.output_padding)
        extra = self.output_padding or (None,) * self.axes
        tail = tuple(
            tail_of(span, s, self.padding, more)
            for span, s, more in zip(self.windows.spans, self.strides, extra, strict=True)
        )
        self.windows = WindowsOfOutput(
            self.kernel_size, self.strides, self.padding, self.dilation_rate, tail
        )

    def build_kernels(self, channels):
        shape = *self.kernel_size, self.filters, channels
        self.kernel, self.dkernel = self.declared_param("kernel", shape)

    def sizes_of_z(self, sizes):
        return self.windows.sizes(sizes)

    def channels_of_z(self, channels):
        return self.filters

    @short_for("forward", "linear")
    def multiply_adds(self, input_shape) -> Count:
        places = shape_last(input_shape, self.data_format)[1:-1]
        return times(*places, self.kernel.size)

    def linear(self, x, ctx, finish):
        z = input_gradient(x, self.kernel, self.windows, self.windows.sizes(x.shape[1:-1]))
        finish(z)
        return z, x

    def linear_backward(self, dz, cache, dx):
        x = cache
        kernel_gradient(dz, x, self.windows, self.dkernel)
        if dx:
            return correlate(dz, self.kernel, self.windows)

    def _standard_output_padding(self, given: Any) -> tuple[int, ...] | None:
        who, name = type(self).__name__, "output_padding"
        if given is None:
            return None
        values = tuple(given) if isinstance(given, tuple | list) else (given,) * self.axes
        if len(values) != self.axes:
            raise ValueError(
                f"{who} expects {name} to be an integer or {self.axes} of them, got {given!r}"
            )
        values = tuple(integer(v, who, name, least=0) for v in values)
        if any(v >= s for v, s in zip(values, self.strides, strict=True)):
            raise ValueError(
                f"{who} expects {name} to be less than strides, got {name}={given!r} and "
                f"strides={self.strides}"
            )
        return values

    def _too_small(self, given):
        return given.format("an output without pixels for") + "; take a larger output_padding"


class Conv1DTranspose(ConvTranspose):
    """y = activation(z + bias), where z[n, i*s + u*d] += x[n, i] · kernel[u]ᵀ for each (i, u).

        x: (N, T, C)    kernel: (k, filters, C)    bias: (filters,)    y: (N, I, filters)

    Each step of x is spread over a window of z. It moves what it was spread over, so with
    dz = dL/dz behind the activation

        dx[n, i] = Σ_u dz[n, i*s + u*d] · kernel[u]
        dkernel[u] = Σ_ni dz[n, i*s + u*d]ᵀ x[n, i]        dbias = Σ_rows dz

    Parameters
    ----------
    filters : int
    kernel_size, strides, dilation_rate : int
        In steps. At most one of strides and dilation_rate may be above 1.
    padding : {"valid", "same"}, default "valid"
    output_padding : int, optional
    **kwargs
        All others as of `Conv2DTranspose`, in the same order, and so are the errors.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Conv1DTranspose
    >>> x = np.array([1.0, 10.0]).reshape(1, 2, 1)
    >>> Conv1DTranspose(1, 3, strides=2, kernel_initializer="ones")(x).ravel()
    array([ 1.,  1., 11., 10., 10.], dtype=float32)
    """

    axes = 1


class Conv2DTranspose(ConvTranspose):
    """y = activation(z + bias), where z[n, i*s + u*d] += x[n, i] · kernel[u]ᵀ for each (i, u).

        x: (N, H, W, C)    kernel: (h, w, filters, C)    bias: (filters,)    y: (N, I, J, filters)

    i and u stand for two numbers each, a pixel and a place in the window. Each pixel of x is spread
    over a window of z, which is the backward pass of the convolution that takes z to x. It moves
    what it was spread over, so with dz = dL/dz behind the activation dx is that convolution:

        dx[n, i] = Σ_u dz[n, i*s + u*d] · kernel[u]
        dkernel[u] = Σ_ni dz[n, i*s + u*d]ᵀ x[n, i]        dbias = Σ_rows dz

    Parameters
    ----------
    filters, kernel_size, data_format, dilation_rate : as in `Conv2D`
    strides : int or two ints, default 1
        Pixels of y from one window to the next.
    padding : {"valid", "same"}, default "valid"
        Of H pixels "same" makes H * stride, "valid" all that windows reach: (H - 1) * stride + h,
        or H * stride where that is more.
    output_padding : int or two ints, optional
        Sets the size of y, and must be less than the stride: (H - 1) * stride + h + output_padding
        pixels with "valid", and with "same" (H - 1) * stride + output_padding, and 1 more if h is
        odd.
    activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer
    bias_regularizer, activity_regularizer, kernel_constraint, bias_constraint, **kwargs
        As in `Conv2D`.

    Raises
    ------
    ValueError
        Where a number is not a positive integer, strides and dilation_rate are both above 1,
        output_padding is not below strides, or y would have no pixels.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Conv2DTranspose
    >>> x = np.array([[1.0, 10.0]]).reshape(1, 1, 2, 1)
    >>> Conv2DTranspose(1, (1, 3), strides=(1, 2), kernel_initializer="ones")(x)[0, :, :, 0]
    array([[ 1.,  1., 11., 10., 10.]], dtype=float32)
    """

    strides: Sizes = (1, 1)
    dilation_rate: Sizes = (1, 1)

    axes = 2


class Conv3DTranspose(ConvTranspose):
    """y = activation(z + bias), where z[n, i*s + u*d] += x[n, i] · kernel[u]ᵀ for each (i, u).

        x: (N, D, H, W, C)    kernel: (d, h, w, filters, C)    bias: (filters,)
        y: (N, I, J, K, filters)

    i and u stand for three numbers each, a voxel and a place in the window. Each voxel of x is
    spread over a window of z, and it moves what it was spread over, so with dz = dL/dz behind the
    activation

        dx[n, i] = Σ_u dz[n, i*s + u*d] · kernel[u]
        dkernel[u] = Σ_ni dz[n, i*s + u*d]ᵀ x[n, i]        dbias = Σ_rows dz

    Parameters
    ----------
    filters : int
    kernel_size, strides, dilation_rate : int or three ints
        Depth, height and width, in voxels. At most one of strides and dilation_rate may be above 1.
    padding : {"valid", "same"}, default "valid"
    data_format : {"channels_last", "channels_first"}, optional
    output_padding : int or three ints, optional
        Here it stands behind `data_format`, as in Keras.
    activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer
    bias_regularizer, activity_regularizer, kernel_constraint, bias_constraint, **kwargs
        As in `Conv2DTranspose`, and so are the errors.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Conv3DTranspose
    >>> x = np.array([1.0, 10.0]).reshape(1, 1, 1, 2, 1)
    >>> Conv3DTranspose(1, (1, 1, 3), strides=2, kernel_initializer="ones")(x)[0, 0, 0, :, 0]
    array([ 1.,  1., 11., 10., 10.], dtype=float32)
    """

    strides: Sizes = (1, 1, 1)
    output_padding: Any = argument(default=None, after="data_format")  # the place it has in Keras
    dilation_rate: Sizes = (1, 1, 1)

    axes = 3
