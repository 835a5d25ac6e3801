"""Convolutions: each window of x gives one pixel of y."""

from __future__ import annotations

from backprop.checks import Positive
from backprop.counts import Count, times
from backprop.input_spec import show_shape
from backprop.layers.convolution.border import Convolutional
from backprop.layers.convolution.products import correlate_for_backward, gradients
from backprop.layers.kernels import KernelAndBias
from backprop.layers.windows import DataFormat, Sizes
from backprop.old_arguments import NO_LORA
from backprop.promises import short_for


class Conv(Convolutional, KernelAndBias):
    """z[n, i] = Σ_u x[n, i*s + u*d] · kernel[u], along any number of axes.

        x: (N, sizes ..., C)    kernel: (size ..., C/groups, filters)    z: (N, counts ..., filters)

    With the pixels of window i as the row (n, i) of P, this is one matrix product, and so are its
    gradients; a pixel of x receives from every window that it lies in:

        P[(n, i), (u, c)] = x[n, i*s + u*d, c]        z = P · kernel
        dkernel = Pᵀ dz        dP = dz kernelᵀ        dx[n, i*s + u*d] += dP[(n, i), u]

    The example is that line by line; `products` computes the same faster. `Conv2D` has the
    parameters.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Conv2D
    >>> from backprop.linalg import rows
    >>> x = np.random.default_rng(0).standard_normal((2, 7, 6, 5))
    >>> layer = Conv2D(4, 3, strides=2, use_bias=False, dtype="float64")
    >>> layer.build(x.shape)
    >>> z, cache = layer.forward(x)
    >>> dz = np.cos(z)
    >>> dx = layer.backward(dz, cache)

    >>> P, kernel = layer.windows.patches(x).reshape(-1, 3 * 3 * 5), layer.kernel.reshape(-1, 4)
    >>> dP, expected_dx = rows(dz) @ kernel.T, np.zeros_like(x)
    >>> for u, pixel in enumerate(layer.windows.pixels(expected_dx)):
    ...     pixel += dP.reshape(2, 3, 2, 3 * 3, 5)[..., u, :]
    >>> np.allclose(rows(z), P @ kernel), np.allclose(rows(layer.dkernel), P.T @ rows(dz))
    (True, True)
    >>> np.allclose(dx, expected_dx)
    True
    """

    filters: Positive
    kernel_size: Sizes
    strides: Sizes = 1
    padding: str = "valid"
    data_format: DataFormat = None
    dilation_rate: Sizes = 1
    groups: Positive = 1

    legacy = NO_LORA

    def __post_init__(self):
        if self.filters % self.groups:
            raise ValueError(
                f"{type(self).__name__} expects filters to be a multiple of groups, got "
                f"filters={self.filters} and groups={self.groups}"
            )

    def build_kernels(self, channels):
        per_group = channels and channels // self.groups
        shape = *self.kernel_size, per_group, self.filters
        self.kernel, self.dkernel = self.declared_param("kernel", shape)

    def check_input(self, shape):
        super().check_input(shape)
        channels = shape[-1 if self.data_format == "channels_last" else 1]
        if channels is not None and channels % self.groups:
            raise ValueError(
                f"{self!r} expects a number of channels that its groups divide and got {channels} "
                f"in an input of {show_shape(shape[1:])}"
            )

    def channels_of_z(self, channels):
        return self.filters

    @short_for("forward", "linear")
    def multiply_adds(self, input_shape) -> Count:
        return times(*self.places_of_z(input_shape), self.kernel.size)

    def linear(self, x, ctx, finish):
        z, kept = correlate_for_backward(
            x, self.kernel, self.windows, self.groups, finish, ctx.backward
        )
        return z, (x, kept)

    def linear_backward(self, dz, cache, dx):
        x, kept = cache
        return gradients(x, dz, self.kernel, self.windows, self.dkernel, dx, self.groups, kept)


class Conv1D(Conv):
    """y[n, i] = activation(Σ_u x[n, i*s + u*d] · kernel[u] + bias).

        x: (N, T, C)    kernel: (k, C/groups, filters)    bias: (filters,)    y: (N, I, filters)

    With dz = dL/dz behind the activation,

        dkernel[u] = Σ_ni x[n, i*s + u*d]ᵀ dz[n, i]        dbias = Σ_ni dz[n, i]

    and a step of x receives from every window that it lies in:

        dx[n, i*s + u*d] += dz[n, i] · kernel[u]ᵀ

    With ``padding="causal"`` no window reaches past its own step: y[n, i] depends on x[n, :i*s + 1]
    alone. The zeros that this takes are put in front of the sequence, and y has ceil(T / stride)
    steps.

    Under a mask x counts as 0 at masked steps, and dx is 0 there. Of y those steps are real that
    there are without the padding around a sequence.

    Parameters
    ----------
    filters : int
    kernel_size, strides, dilation_rate : int
        In steps. At most one of strides and dilation_rate may be above 1.
    padding : {"valid", "same", "causal"}, default "valid"
    **kwargs
        All others as of `Conv2D`, in the same order, and so are the errors.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Conv1D
    >>> x = np.array([1.0, 2.0, 4.0, 8.0]).reshape(1, 4, 1)
    >>> Conv1D(1, 2, kernel_initializer="ones")(x).ravel()
    array([ 3.,  6., 12.], dtype=float32)
    >>> Conv1D(1, 2, padding="causal", kernel_initializer="ones")(x).ravel()
    array([ 1.,  3.,  6., 12.], dtype=float32)
    """

    axes = 1
    paddings = ("valid", "same", "causal")


class Conv2D(Conv):
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
        Pixels from one place in the window to the next. Not together with strides above 1.
    groups : int, default 1
    activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer
    bias_regularizer, activity_regularizer, kernel_constraint, bias_constraint, **kwargs
        As in `Dense`.

    Raises
    ------
    ValueError
        Where a number is not a positive integer, strides and dilation_rate are both above 1, the
        groups do not divide the channels or the filters, or the window is larger than the image.

    Notes
    -----
    In float32, windows of two to five pixels take fewer products, by Winograd's method, where there
    are enough of them and of channels. Its rounding errors reach 5e-6 of the largest output for
    3 x 3, 2e-5 for 5 x 5 and 5e-5 for 5 x 5 x 5 (`benchmarks/convolution.py`), and an infinity or
    NaN in x reaches outputs up to three pixels beyond its windows. In float64 the sums are as they
    stand above.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Conv2D
    >>> image = np.arange(9.0).reshape(1, 3, 3, 1)
    >>> Conv2D(1, 2, kernel_initializer="ones")(image)[0, :, :, 0]
    array([[ 8., 12.],
           [20., 24.]], dtype=float32)
    """

    strides: Sizes = (1, 1)
    dilation_rate: Sizes = (1, 1)

    axes = 2


class Conv3D(Conv):
    """y[n, i] = activation(Σ_u x[n, i*s + u*d] · kernel[u] + bias), i and u of three numbers each.

        x: (N, D, H, W, C)    kernel: (d, h, w, C/groups, filters)    bias: (filters,)
        y: (N, I, J, K, filters)

    With dz = dL/dz behind the activation,

        dkernel[u] = Σ_ni x[n, i*s + u*d]ᵀ dz[n, i]        dbias = Σ_ni dz[n, i]

    and a voxel of x receives from every window that it lies in:

        dx[n, i*s + u*d] += dz[n, i] · kernel[u]ᵀ

    Parameters
    ----------
    filters : int
    kernel_size, strides, dilation_rate : int or three ints
        Depth, height and width, in voxels. At most one of strides and dilation_rate may be above 1.
    padding, data_format, groups
    activation, use_bias, kernel_initializer, bias_initializer, kernel_regularizer
    bias_regularizer, activity_regularizer, kernel_constraint, bias_constraint, **kwargs
        As in `Conv2D`, and so are the errors.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Conv3D
    >>> volume = np.ones((1, 2, 3, 3, 1))
    >>> Conv3D(1, (2, 1, 3), kernel_initializer="ones")(volume).reshape(1, 3)
    array([[6., 6., 6.]], dtype=float32)
    """

    strides: Sizes = (1, 1, 1)
    dilation_rate: Sizes = (1, 1, 1)

    axes = 3
