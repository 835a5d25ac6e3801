"""Depthwise convolutions: each channel by itself, with kernels of its own."""

from __future__ import annotations

import numpy as np

from backprop.checks import Positive
from backprop.counts import Count, times
from backprop.layers.convolution.border import Convolutional
from backprop.layers.convolution.products import correlate, gradients
from backprop.layers.kernels import DepthwiseAndBias
from backprop.layers.windows import DataFormat, Sizes
from backprop.promises import short_for

Array = np.ndarray


class DepthwiseConv(Convolutional, DepthwiseAndBias):
    """z[n, i, (c, m)] = Σ_u x[n, i*s + u*d, c] kernel[u, c, m], along any number of axes.

        x: (N, sizes ..., C)    kernel: (size ..., C, M)    z: (N, counts ..., C*M)

    `DepthwiseConv2D` has the derivative and the parameters.
    """

    kernel_size: Sizes
    strides: Sizes = 1
    padding: str = "valid"
    depth_multiplier: Positive = 1
    data_format: DataFormat = None
    dilation_rate: Sizes = 1

    def build_kernels(self, channels):
        shape = *self.kernel_size, channels, self.depth_multiplier
        self.kernel, self.dkernel = self.declared_param("kernel", shape, "depthwise")

    def channels_of_z(self, channels):
        return channels and channels * self.depth_multiplier

    @short_for("forward", "linear")
    def multiply_adds(self, input_shape) -> Count:
        return times(*self.places_of_z(input_shape), self.kernel.size)

    def linear(self, x, ctx, finish):
        copies = repeated(x, self.depth_multiplier)
        return correlate(copies, merged(self.kernel), self.windows, finish=finish), x

    def linear_backward(self, dz, cache, dx):
        x, m = cache, self.depth_multiplier
        kernel, dkernel = merged(self.kernel), merged(self.dkernel)
        dcopies = gradients(repeated(x, m), dz, kernel, self.windows, dkernel, dx)
        return None if dcopies is None else summed(dcopies, m)


def repeated(x: Array, m: int) -> Array:
    """Each channel m times, side by side: (..., C) → (..., C*m)."""
    return x if m == 1 else np.repeat(x, m, axis=-1)


def summed(dcopies: Array, m: int) -> Array:
    """The gradient of `repeated`: (..., C*m) → (..., C)."""
    *leading, channels = dcopies.shape
    return dcopies if m == 1 else dcopies.reshape(*leading, channels // m, m).sum(-1)


def merged(kernel: Array) -> Array:
    """(..., C, M) → (..., C*M): a view."""
    return kernel.reshape(*kernel.shape[:-2], -1)


class DepthwiseConv1D(DepthwiseConv):
    """y = activation(z + bias), where z[n, i, (c, m)] = Σ_u x[n, i*s + u*d, c] kernel[u, c, m].

        x: (N, T, C)    kernel: (k, C, M)    bias: (C*M,)    y: (N, I, C*M)

    No sum over channels, so each channel of y leads back to one of x. With dz = dL/dz behind the
    activation,

        dkernel[u, c, m] = Σ_ni x[n, i*s + u*d, c] dz[n, i, (c, m)]        dbias = Σ_rows dz
        dx[n, i*s + u*d, c] += Σ_m dz[n, i, (c, m)] kernel[u, c, m], for each (i, u)

    Parameters
    ----------
    kernel_size, strides, dilation_rate : int
        In steps. At most one of strides and dilation_rate may be above 1.
    padding : {"valid", "same"}, default "valid"
    depth_multiplier : int, default 1
        M, the number of kernels for each channel.
    **kwargs
        All others as of `DepthwiseConv2D`, in the same order, and so are the errors.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import DepthwiseConv1D
    >>> x = np.array([[[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]]])
    >>> DepthwiseConv1D(2, depthwise_initializer="ones")(x)
    array([[[ 3., 30.],
            [ 6., 60.]]], dtype=float32)
    """

    axes = 1


class DepthwiseConv2D(DepthwiseConv):
    """y = activation(z + bias), where z[n, i, (c, m)] = Σ_u x[n, i*s + u*d, c] kernel[u, c, m].

        x: (N, H, W, C)    kernel: (h, w, C, M)    bias: (C*M,)    y: (N, I, J, C*M)

    i and u stand for two numbers each, a window and a place in it. No sum over channels, so each
    channel of y leads back to one of x. With dz = dL/dz behind the activation,

        dkernel[u, c, m] = Σ_ni x[n, i*s + u*d, c] dz[n, i, (c, m)]        dbias = Σ_rows dz
        dx[n, i*s + u*d, c] += Σ_m dz[n, i, (c, m)] kernel[u, c, m], for each (i, u)

    Parameters
    ----------
    kernel_size, strides, padding, data_format, dilation_rate : as in `Conv2D`
    depth_multiplier : int, default 1
        M, the number of kernels for each channel.
    activation, use_bias, depthwise_initializer, bias_initializer, depthwise_regularizer
    bias_regularizer, activity_regularizer, depthwise_constraint, bias_constraint, **kwargs
        As in `Conv2D`, and so are the errors, where the kernel's have its name.

    Notes
    -----
    In float32, without compiled kernels, windows of two to five pixels go by Winograd's method, as
    those of `Conv2D`.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import DepthwiseConv2D
    >>> x = np.array([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]]).reshape(1, 1, 3, 2)
    >>> DepthwiseConv2D((1, 2), depthwise_initializer="ones")(x)[0, 0]
    array([[ 3., 30.],
           [ 6., 60.]], dtype=float32)
    """

    strides: Sizes = (1, 1)
    dilation_rate: Sizes = (1, 1)

    axes = 2
