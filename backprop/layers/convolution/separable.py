"""Separable convolutions: each channel by itself, then all channels pixel by pixel."""

from __future__ import annotations

from backprop.checks import Positive
from backprop.counts import Count, times
from backprop.layers.convolution.border import Convolutional
from backprop.layers.convolution.depthwise import merged, repeated, summed
from backprop.layers.convolution.products import correlate, gradients
from backprop.layers.kernels import DepthwisePointwiseAndBias
from backprop.layers.windows import DataFormat, Sizes
from backprop.linalg import product_of_rows
from backprop.promises import short_for


class SeparableConv(Convolutional, DepthwisePointwiseAndBias):
    """z = h · pointwise, h[n, i, (c, m)] = Σ_u x[n, i*s + u*d, c] depthwise[u, c, m].

        x: (N, sizes ..., C)    depthwise: (size ..., C, M)    pointwise: (1 ..., C*M, filters)
        h: (N, counts ..., C*M)    z: (N, counts ..., filters)

    `SeparableConv2D` has the derivative and the parameters.
    """

    filters: Positive
    kernel_size: Sizes
    strides: Sizes = 1
    padding: str = "valid"
    data_format: DataFormat = None
    dilation_rate: Sizes = 1
    depth_multiplier: Positive = 1

    def build_kernels(self, channels):
        m = self.depth_multiplier
        self.depthwise_kernel, self.ddepthwise_kernel = self.declared_param(
            "depthwise_kernel", (*self.kernel_size, channels, m), "depthwise"
        )
        self.pointwise_kernel, self.dpointwise_kernel = self.declared_param(
            "pointwise_kernel",
            (*(1,) * self.axes, channels and channels * m, self.filters),
            "pointwise",
        )

    def channels_of_z(self, channels):
        return self.filters

    @short_for("forward", "linear")
    def multiply_adds(self, input_shape) -> Count:
        weights = self.depthwise_kernel.size + self.pointwise_kernel.size
        return times(*self.places_of_z(input_shape), weights)

    def linear(self, x, ctx, finish):
        copies = repeated(x, self.depth_multiplier)
        h = correlate(copies, merged(self.depthwise_kernel), self.windows)
        z = h @ self._pointwise(self.pointwise_kernel)
        finish(z)
        return z, (x, h)

    def linear_backward(self, dz, cache, dx):
        (x, h), m = cache, self.depth_multiplier
        product_of_rows(h, dz, out=self._pointwise(self.dpointwise_kernel))
        dh = dz @ self._pointwise(self.pointwise_kernel).T
        kernel, dkernel = merged(self.depthwise_kernel), merged(self.ddepthwise_kernel)
        dcopies = gradients(repeated(x, m), dh, kernel, self.windows, dkernel, dx)
        return None if dcopies is None else summed(dcopies, m)

    def _pointwise(self, kernel):
        """(1 ..., C*M, filters) → (C*M, filters): a view."""
        return kernel.reshape(kernel.shape[-2:])


class SeparableConv1D(SeparableConv):
    """y = activation(h · point + bias), h[n, i, (c, m)] = Σ_u x[n, i*s + u*d, c] depth[u, c, m].

        x: (N, T, C)    depth: (k, C, M)    h: (N, I, C*M)    point: (1, C*M, filters)
        bias: (filters,)    y: (N, I, filters)

    A `DepthwiseConv1D` and behind it a dense layer at each step. With dz = dL/dz behind the
    activation, the chain rule goes through h:

        dpoint = hᵀ dz        dh = dz · pointᵀ        dbias = Σ_rows dz
        ddepth[u, c, m] = Σ_ni x[n, i*s + u*d, c] dh[n, i, (c, m)]
        dx[n, i*s + u*d, c] += Σ_m dh[n, i, (c, m)] depth[u, c, m], for each (i, u)

    Parameters
    ----------
    filters : int
    kernel_size, strides, dilation_rate : int
        In steps. At most one of strides and dilation_rate may be above 1.
    padding : {"valid", "same"}, default "valid"
    **kwargs
        All others as of `SeparableConv2D`, in the same order, and so are the errors.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import SeparableConv1D
    >>> x = np.array([[[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]]])
    >>> SeparableConv1D(1, 2, depthwise_initializer="ones", pointwise_initializer="ones")(x)
    array([[[33.],
            [66.]]], dtype=float32)
    """

    axes = 1


class SeparableConv2D(SeparableConv):
    """y = activation(h · point + bias), h[n, i, (c, m)] = Σ_u x[n, i*s + u*d, c] depth[u, c, m].

        x: (N, H, W, C)    depth: (h, w, C, M)    h: (N, I, J, C*M)
        point: (1, 1, C*M, filters)    bias: (filters,)    y: (N, I, J, filters)

    i and u stand for two numbers each, a window and a place in it: a `DepthwiseConv2D`, and behind
    it a dense layer at each pixel. With dz = dL/dz behind the activation, the chain rule goes
    through h:

        dpoint = hᵀ dz        dh = dz · pointᵀ        dbias = Σ_rows dz
        ddepth[u, c, m] = Σ_ni x[n, i*s + u*d, c] dh[n, i, (c, m)]
        dx[n, i*s + u*d, c] += Σ_m dh[n, i, (c, m)] depth[u, c, m], for each (i, u)

    Parameters
    ----------
    filters, kernel_size, strides, padding, data_format, dilation_rate : as in `Conv2D`
    depth_multiplier : int, default 1
        M, the number of depthwise kernels for each channel.
    activation, use_bias, depthwise_initializer, pointwise_initializer, bias_initializer
    depthwise_regularizer, pointwise_regularizer, bias_regularizer, activity_regularizer
    depthwise_constraint, pointwise_constraint, bias_constraint, **kwargs
        As in `Conv2D`, and so are the errors, where each of the kernels has those of its name.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import SeparableConv2D
    >>> x = np.array([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]]).reshape(1, 1, 3, 2)
    >>> ones = {"depthwise_initializer": "ones", "pointwise_initializer": "ones"}
    >>> SeparableConv2D(1, (1, 2), **ones)(x)[0, 0]
    array([[33.],
           [66.]], dtype=float32)
    """

    strides: Sizes = (1, 1)
    dilation_rate: Sizes = (1, 1)

    axes = 2
