"""Convolution layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.checks import integer, integers
from backprop.layer import INFERENCE, InputSpec, Layer, show_shape
from backprop.layers.activations import layer_of
from backprop.layers.windows import (
    Windows,
    channels_back,
    channels_last,
    shape_back,
    shape_last,
    standard_format,
    standard_padding,
)
from backprop.linalg import sum_rows


class Conv2D(Layer):
    """y[n, i, j] = activation(Σ_uv x[n, i*s + u*d, j*s + v*d] · kernel[u, v] + bias).

        x: (N, H, W, C)    kernel: (h, w, C/groups, filters)    bias: (filters,)
        y: (N, I, J, filters)

    Each window's pixels laid out as one row make it a single matrix product. With the rows in P,
    z = P · kernel + bias, and dz = dL/dz behind the activation,

        dkernel = Pᵀ dz        dbias = Σ_rows dz        dP = dz kernelᵀ

    and a pixel of x receives dP from every window that it lies in:

        dx[n, i*s + u*d, j*s + v*d] += dP[n, i, j, u, v]

    With groups, the channels of x and the filters fall into that many parts, which do not meet.

    Parameters
    ----------
    filters : int
        Number of channels of y; a multiple of `groups`.
    kernel_size : int or two ints
        Height and width of the window in pixels.
    strides : int or two ints, default 1
        Pixels from one window to the next.
    padding : {"valid", "same"}, default "valid"
        "same" adds zeros around the image so that y has ceil(H / stride) rows; of an odd number the
        larger half goes to the bottom and the right.
    data_format : {"channels_last", "channels_first"}, optional
        Where the channels of x and y are. Default: last.
    dilation_rate : int or two ints, default 1
        Pixels from one place in the window to the next.
    groups : int, default 1
    activation : str, function or Layer, optional
        Default: none.
    use_bias : bool, default True
    kernel_initializer, bias_initializer : str or Initializer
        Defaults: Glorot uniform and zeros.
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
    activity_regularizer : str or Regularizer, optional
        Penalty on y.
    kernel_constraint, bias_constraint : str or Constraint, optional
    **kwargs
        `trainable`, `dtype`, `name` of every `Layer`.

    Raises
    ------
    ValueError
        Where a number is not a positive integer, the groups do not divide the channels or the
        filters, or the window is larger than the image.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Conv2D
    >>> image = np.arange(9.0).reshape(1, 3, 3, 1)
    >>> Conv2D(1, 2, kernel_initializer="ones")(image)[0, :, :, 0]
    array([[ 8., 12.],
           [20., 24.]], dtype=float32)
    """

    def __init__(
        self,
        filters: int,
        kernel_size,
        strides: Any = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = (1, 1),
        groups: int = 1,
        activation=None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.filters = integer(filters, "Conv2D", "filters")
        self.kernel_size = integers(kernel_size, 2, "Conv2D", "kernel_size")
        self.strides = integers(strides, 2, "Conv2D", "strides")
        self.padding = standard_padding(padding, "Conv2D")
        self.data_format = standard_format(data_format, "Conv2D")
        self.dilation_rate = integers(dilation_rate, 2, "Conv2D", "dilation_rate")
        self.groups = integer(groups, "Conv2D", "groups")
        if self.filters % self.groups:
            raise ValueError(
                f"Conv2D expects filters to be a multiple of groups, got filters={filters} and "
                f"groups={groups}"
            )
        self.activation = layer_of(activation or "linear")
        self.use_bias = use_bias
        self.kernel_initializer = kernel_initializer
        self.bias_initializer = bias_initializer
        self.kernel_regularizer = kernel_regularizer
        self.bias_regularizer = bias_regularizer
        self.kernel_constraint = kernel_constraint
        self.bias_constraint = bias_constraint
        self.windows = Windows(self.kernel_size, self.strides, self.padding, self.dilation_rate)
        self.input_spec = InputSpec(ndim=4)

    def build(self, input_shape):
        self.check_input(input_shape)
        channels = shape_last(input_shape, self.data_format)[-1]
        if channels is not None and channels % self.groups:
            raise ValueError(
                f"{self!r} expects a number of channels that its groups divide and got {channels} "
                f"in an input of {show_shape(input_shape[1:])}"
            )
        self.kernel, self.dkernel = self.param(
            "kernel",
            (*self.kernel_size, channels and channels // self.groups, self.filters),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        if self.use_bias:
            self.bias, self.dbias = self.param(
                "bias",
                (self.filters,),
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.activation.build(self._shape_of_z(input_shape))
        axis = -1 if self.data_format == "channels_last" else 1
        self.input_spec = InputSpec(ndim=4, axes={axis: channels})

    def compute_output_shape(self, input_shape):
        return self.activation.compute_output_shape(self._shape_of_z(input_shape))

    def check_input(self, shape):
        super().check_input(shape)
        self._shape_of_z(shape)

    def compute_mask(self, x, mask):
        return None  # the axes of y are not those of x

    def forward(self, x, ctx=INFERENCE):
        x = channels_last(x, self.data_format)
        z = self._patches(x) @ self._by_group(self.kernel)
        z = z.swapaxes(0, 1).reshape(len(x), *self.windows.counts(x.shape[1:3]), self.filters)
        if self.use_bias:
            z += self.bias
        y, a = self.activation.forward(channels_back(z, self.data_format), ctx)
        return y, (x, a)

    def backward_params(self, dy, cache):
        self._set_gradients(dy, cache)

    def backward(self, dy, cache):
        x = cache[0]
        dz = self._set_gradients(dy, cache)
        dpatches = (dz @ self._by_group(self.kernel).swapaxes(1, 2)).swapaxes(0, 1)
        counts = self.windows.counts(x.shape[1:3])
        h, w, c, _ = self.kernel.shape
        dpixels = dpatches.reshape(len(x), *counts, self.groups, h * w, c)
        padded = self.windows.pad(np.zeros_like(self._split(x)))
        for k, pixel in enumerate(self.windows.pixels(padded)):
            pixel += dpixels[..., k, :]
        dx = self.windows.crop(padded, x.shape[1:3]).reshape(x.shape)
        return channels_back(dx, self.data_format)

    def _set_gradients(self, dy, cache):
        """Set dkernel and dbias, and return dz by groups: (groups, rows, filters / groups)."""
        x, a = cache
        dz = channels_last(self.activation.backward(dy, a), self.data_format)
        if self.use_bias:
            self.dbias = sum_rows(dz)
        dz = dz.reshape(-1, self.groups, self.filters // self.groups).swapaxes(0, 1)
        np.matmul(self._patches(x).swapaxes(1, 2), dz, out=self._by_group(self.dkernel))
        return dz

    def _patches(self, x):
        """P by groups: (groups, rows, h * w * C / groups), one row for each window."""
        patches = self.windows.patches(self.windows.pad(self._split(x)))
        count = patches.shape[0] * patches.shape[1] * patches.shape[2]
        return patches.reshape(count, self.groups, self.kernel[..., 0].size).swapaxes(0, 1)

    def _split(self, x):
        """(N, H, W, C) → (N, H, W, groups, C / groups): a view."""
        return x.reshape(*x.shape[:3], self.groups, self.kernel.shape[2])

    def _by_group(self, kernel):
        """(h, w, C / groups, filters) → (groups, h * w * C / groups, filters / groups): a view."""
        return kernel.reshape(-1, self.groups, self.filters // self.groups).swapaxes(0, 1)

    def _shape_of_z(self, input_shape):
        n, *sizes, _ = shape_last(input_shape, self.data_format)
        counts = self.windows.counts(tuple(sizes))
        if any(count is not None and count < 1 for count in counts):
            raise ValueError(
                f"{self!r} has a window larger than its input of {show_shape(input_shape[1:])}; "
                "take padding='same' or a smaller kernel_size"
            )
        return shape_back((n, *counts, self.filters), self.data_format)

    def advice(self, shape) -> str:
        return "; add the axis of the channels: x[..., None]" if len(shape) == 3 else ""


Convolution2D = Conv2D
