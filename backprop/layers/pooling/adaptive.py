"""Adaptive pooling: as many windows as are asked for, whatever the size of the input."""

from __future__ import annotations

from backprop.checks import integers
from backprop.input_spec import show_shape
from backprop.layers.pooling.axes import adaptively
from backprop.layers.pooling.boxes import MaxOverAxes, MeanOverAxes, OverAxes
from backprop.layers.windows import DataFormat, Sizes, shape_back, shape_last


class Adaptive(OverAxes):
    """What the adaptive poolings have in common: where their windows lie."""

    output_size: Sizes
    data_format: DataFormat = None

    def __post_init__(self):
        who = type(self).__name__
        self.output_size = integers(self.output_size, self.places, who, "output_size")

    def compute_output_shape(self, input_shape):
        n, *sizes, channels = shape_last(input_shape, self.data_format)
        if 0 in sizes:
            raise ValueError(
                f"{self!r} expects at least one pixel along each axis and got "
                f"{show_shape(input_shape[1:])}"
            )
        return shape_back((n, *self.output_size, channels), self.data_format)

    def lay(self, sizes):
        return [adaptively(n, count) for n, count in zip(sizes, self.output_size, strict=True)]


class AdaptiveAveragePooling1D(Adaptive, MeanOverAxes):
    """y[n, i, c] = mean of x[n, a, c] over the pixels a of window i.

        x: (N, T, C)    y: (N, O, C)

    Window i reaches from floor(i T / O) to ceil((i + 1) T / O), the last one left out: all pixels
    lie in some window, and where T / O is no integer windows share pixels. With m the number of the
    window's pixels, each of them moves y by 1 / m:

        dx[n, a, c] += dy[n, i, c] / m[i]    for each window i with a in it

    Parameters
    ----------
    output_size : int
        Steps of y.
    data_format : {"channels_last", "channels_first"}, optional
        Default: last.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        Where the sequence has no pixel.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import AdaptiveAveragePooling1D
    >>> AdaptiveAveragePooling1D(2)(np.array([[[1.0], [4.0], [2.5], [3.0], [0.0]]]))[0, :, 0]
    array([2.5      , 1.8333334], dtype=float32)
    """

    places = 1


class AdaptiveAveragePooling2D(Adaptive, MeanOverAxes):
    """y[n, i, j, c] = mean of x[n, a, b, c] over the pixels (a, b) of window (i, j).

        x: (N, H, W, C)    y: (N, O, P, C)

    Window i reaches from floor(i H / O) to ceil((i + 1) H / O), the last one left out, along W
    likewise: all pixels lie in some window, and where H / O and W / P are no integers windows share
    pixels. With m the number of the window's pixels, each of them moves y by 1 / m:

        dx[n, a, b, c] += dy[n, i, j, c] / m[i, j]    for each window (i, j) with (a, b) in it

    Parameters
    ----------
    output_size, data_format, **kwargs
        As in `AdaptiveAveragePooling1D`; one size of y for both axes, or two.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import AdaptiveAveragePooling2D
    >>> AdaptiveAveragePooling2D(2)(np.arange(15.0).reshape(1, 3, 5, 1))[0, :, :, 0]
    array([[ 3.5,  5.5],
           [ 8.5, 10.5]], dtype=float32)
    """


class AdaptiveAveragePooling3D(Adaptive, MeanOverAxes):
    """y[n, i, j, k, c] = mean of x[n, a, b, e, c] over the pixels (a, b, e) of window (i, j, k).

        x: (N, D, H, W, C)    y: (N, O, P, Q, C)

    Window i reaches from floor(i D / O) to ceil((i + 1) D / O), the last one left out, along H and
    W likewise: all pixels lie in some window, and where D / O, H / P and W / Q are no integers
    windows share pixels. With m the number of the window's pixels, each of them moves y by 1 / m:

        dx[n, a, b, e, c] += dy[n, i, j, k, c] / m[i, j, k]    for each window with (a, b, e) in it

    Parameters
    ----------
    output_size, data_format, **kwargs
        As in `AdaptiveAveragePooling1D`; one size of y for all axes, or three.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import AdaptiveAveragePooling3D
    >>> AdaptiveAveragePooling3D(2)(np.arange(12.0).reshape(1, 2, 2, 3, 1)).ravel()
    array([ 0.5,  1.5,  3.5,  4.5,  6.5,  7.5,  9.5, 10.5], dtype=float32)
    """

    places = 3


class AdaptiveMaxPooling1D(Adaptive, MaxOverAxes):
    """y[n, i, c] = max of x[n, a, c] over the pixels a of window i.

        x: (N, T, C)    y: (N, O, C)

    Window i reaches from floor(i T / O) to ceil((i + 1) T / O), the last one left out: all pixels
    lie in some window, and where T / O is no integer windows share pixels. Only the pixel that won
    a window moves its y, so it alone receives that dy, of each window that it won; among equals the
    first one wins:

        dx[n, a, c] += dy[n, i, c]    where a won window i

    Parameters
    ----------
    output_size, data_format, **kwargs : as in `AdaptiveAveragePooling1D`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import AdaptiveMaxPooling1D
    >>> AdaptiveMaxPooling1D(2)(np.array([[[1.0], [4.0], [2.0], [3.0], [0.0]]]))[0, :, 0]
    array([4., 3.], dtype=float32)
    """

    places = 1


class AdaptiveMaxPooling2D(Adaptive, MaxOverAxes):
    """y[n, i, j, c] = max of x[n, a, b, c] over the pixels (a, b) of window (i, j).

        x: (N, H, W, C)    y: (N, O, P, C)

    Window i reaches from floor(i H / O) to ceil((i + 1) H / O), the last one left out, along W
    likewise: all pixels lie in some window, and where H / O and W / P are no integers windows share
    pixels. Only the pixel that won a window moves its y, so it alone receives that dy, of each
    window that it won; among equals the first one wins:

        dx[n, a, b, c] += dy[n, i, j, c]    where (a, b) won window (i, j)

    Parameters
    ----------
    output_size, data_format, **kwargs : as in `AdaptiveAveragePooling2D`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import AdaptiveMaxPooling2D
    >>> AdaptiveMaxPooling2D(2)(np.arange(15.0).reshape(1, 3, 5, 1))[0, :, :, 0]
    array([[ 7.,  9.],
           [12., 14.]], dtype=float32)
    """


class AdaptiveMaxPooling3D(Adaptive, MaxOverAxes):
    """y[n, i, j, k, c] = max of x[n, a, b, e, c] over the pixels (a, b, e) of window (i, j, k).

        x: (N, D, H, W, C)    y: (N, O, P, Q, C)

    Window i reaches from floor(i D / O) to ceil((i + 1) D / O), the last one left out, along H and
    W likewise: all pixels lie in some window, and where D / O, H / P and W / Q are no integers
    windows share pixels. Only the pixel that won a window moves its y, so it alone receives that
    dy, of each window that it won; among equals the first one wins:

        dx[n, a, b, e, c] += dy[n, i, j, k, c]    where (a, b, e) won window (i, j, k)

    Parameters
    ----------
    output_size, data_format, **kwargs : as in `AdaptiveAveragePooling3D`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import AdaptiveMaxPooling3D
    >>> AdaptiveMaxPooling3D(2)(np.arange(12.0).reshape(1, 2, 2, 3, 1)).ravel()
    array([ 1.,  2.,  4.,  5.,  7.,  8., 10., 11.], dtype=float32)
    """

    places = 3
