"""Pooling over windows that slide: the largest pixel of each, or the mean."""

from __future__ import annotations

from typing import Any

from backprop.arguments import argument
from backprop.checks import integers
from backprop.input_spec import show_shape
from backprop.layer import Layer
from backprop.layers.pooling.axes import evenly
from backprop.layers.pooling.boxes import MaxOverAxes, MeanOverAxes, OverAxes
from backprop.layers.windows import DataFormat, Padding, Sizes, Windows, shape_back, shape_last


class NamedByPosition(Layer, kw_only=True, by_position=True):
    """A layer whose name may be given by position, behind its own arguments, as in Keras."""

    name: Any = argument(default=None)


class Windowed(OverAxes, NamedByPosition):
    """What the poolings over windows that slide have in common: the windows."""

    makes_masks = False
    pool_size: Sizes
    strides: Sizes = None
    padding: Padding = "valid"
    data_format: DataFormat = None

    def __post_init__(self):
        who, n = type(self).__name__, self.places
        self.pool_size = integers(self.pool_size, n, who, "pool_size")
        strides = self.pool_size if self.strides is None else self.strides
        self.strides = integers(strides, n, who, "strides")
        self.windows = Windows(self.pool_size, self.strides, self.padding)

    def compute_output_shape(self, input_shape):
        n, *sizes, channels = shape_last(input_shape, self.data_format)
        counts = self.windows.counts(tuple(sizes))
        if any(count is not None and count < 1 for count in counts):
            raise ValueError(
                f"{self!r} has a window larger than its input of {show_shape(input_shape[1:])}; "
                "take padding='same' or a smaller pool_size"
            )
        return shape_back((n, *counts, channels), self.data_format)

    def obeys_mask(self, x, mask):
        return self.places == 1 or mask.ndim == 1

    @property
    def mask_caveat(self):
        return "" if self.places > 1 or self.windows.anchored else self.windows.caveat

    def compute_mask(self, x, mask=None):
        if self.places > 1 or mask is None or mask.ndim == 1:
            return super().compute_mask(x, mask)
        return self.windows.mask(mask)

    def aligned(self, real):
        return self.windows.aligned(real)

    def lay(self, sizes):
        counts, margins = self.windows.counts(sizes), self.windows.margins(sizes)
        return [
            evenly(n, size, stride, count, before)
            for n, size, stride, count, (before, _) in zip(
                sizes, self.pool_size, self.strides, counts, margins, strict=True
            )
        ]


class MaxPooling1D(Windowed, MaxOverAxes):
    """y[n, i, c] = max of x[n, i*s + u, c] over the window's u.

        x: (N, T, C)    y: (N, I, C)

    Only the step that won a window moves its y, so it alone receives that dy; among equals the
    first one wins:

        dx[n, i*s + u, c] += dy[n, i, c]    where u won window i

    Under a mask a real step wins; a window without any is masked, and y = 0 there.

    Parameters
    ----------
    pool_size : int, default 2
        Length of the window in steps.
    strides : int, optional
        Steps from one window to the next. Default: `pool_size`.
    padding : {"valid", "same"}, default "valid"
        "same" lets windows reach over both ends, so that y has ceil(T / stride) steps.
    data_format : {"channels_last", "channels_first"}, optional
        Default: last.
    name : str, optional
    **kwargs : `trainable`, `dtype` of every `Layer`

    Raises
    ------
    ValueError
        Where the window is larger than the sequence.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import MaxPooling1D
    >>> MaxPooling1D()(np.array([[[1.0], [3.0], [2.0], [0.0]]]))[0, :, 0]
    array([3., 2.], dtype=float32)
    """

    pool_size: Sizes = 2

    places = 1


class MaxPooling2D(Windowed, MaxOverAxes):
    """y[n, i, j, c] = max of x[n, i*s + u, j*s + v, c] over the window's (u, v).

        x: (N, H, W, C)    y: (N, I, J, C)

    Only the pixel that won a window moves its y, so it alone receives that dy; among equals the
    first one wins:

        dx[n, i*s + u, j*s + v, c] += dy[n, i, j, c]    where (u, v) won window (i, j)

    Parameters
    ----------
    pool_size, strides, padding, data_format, name, **kwargs
        As in `MaxPooling1D`, the sizes along two axes: an int for both, or two ints.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import MaxPooling2D
    >>> MaxPooling2D()(np.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0]
    array([[ 5.,  7.],
           [13., 15.]], dtype=float32)
    """

    pool_size: Sizes = (2, 2)


class MaxPooling3D(Windowed, MaxOverAxes):
    """y[n, h, i, j, c] = max of x[n, h*s + t, i*s + u, j*s + v, c] over the window's (t, u, v).

        x: (N, D, H, W, C)    y: (N, D', H', W', C)

    Only the place that won a window moves its y, so it alone receives that dy; among equals the
    first one wins:

        dx[n, h*s + t, i*s + u, j*s + v, c] += dy[n, h, i, j, c]    where (t, u, v) won

    Parameters
    ----------
    pool_size, strides, padding, data_format, name, **kwargs
        As in `MaxPooling1D`, the sizes along three axes: an int for all, or three ints.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import MaxPooling3D
    >>> MaxPooling3D()(np.arange(16.0).reshape(1, 2, 2, 4, 1)).ravel()
    array([13., 15.], dtype=float32)
    """

    pool_size: Sizes = (2, 2, 2)

    places = 3


class AveragePooling1D(Windowed, MeanOverAxes):
    """y[n, i, c] = Σ_u x[n, i*s + u, c] / m[i], over the window's u.

        x: (N, T, C)    m: (I, 1)    y: (N, I, C)

    m counts those of the window's steps that lie in the sequence, and each of them moves y by
    1 / m:

        dx[n, i*s + u, c] += dy[n, i, c] / m[i]

    Under a mask the sum runs over the real steps, and m counts these; a window without any is
    masked, and y = 0 there.

    Parameters
    ----------
    pool_size, strides, padding, data_format, name, **kwargs
        As in `MaxPooling1D`; `pool_size` has no default.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import AveragePooling1D
    >>> AveragePooling1D(2)(np.array([[[1.0], [3.0], [2.0], [0.0]]]))[0, :, 0]
    array([2., 1.], dtype=float32)
    """

    places = 1


class AveragePooling2D(Windowed, MeanOverAxes):
    """y[n, i, j, c] = Σ_uv x[n, i*s + u, j*s + v, c] / m[i, j], over the window's (u, v).

        x: (N, H, W, C)    m: (I, J, 1)    y: (N, I, J, C)

    m counts those of the window's pixels that lie in the image, and each of them moves y by 1 / m:

        dx[n, i*s + u, j*s + v, c] += dy[n, i, j, c] / m[i, j]

    Parameters
    ----------
    pool_size, strides, padding, data_format, name, **kwargs
        As in `MaxPooling2D`; `pool_size` has no default.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import AveragePooling2D
    >>> AveragePooling2D(2)(np.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]], dtype=float32)
    """


class AveragePooling3D(Windowed, MeanOverAxes):
    """y[n, h, i, j, c] = Σ_tuv x[n, h*s + t, i*s + u, j*s + v, c] / m[h, i, j], over the window.

        x: (N, D, H, W, C)    m: (D', H', W', 1)    y: (N, D', H', W', C)

    m counts those of the window's places that lie in the volume, and each of them moves y by 1 / m:

        dx[n, h*s + t, i*s + u, j*s + v, c] += dy[n, h, i, j, c] / m[h, i, j]

    Parameters
    ----------
    pool_size, strides, padding, data_format, name, **kwargs
        As in `MaxPooling3D`; `pool_size` has no default.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import AveragePooling3D
    >>> AveragePooling3D(2)(np.arange(16.0).reshape(1, 2, 2, 4, 1)).ravel()
    array([6.5, 8.5], dtype=float32)
    """

    places = 3
