"""Zeros around a sequence, an image or a volume, and borders cut off: one undoes the other, and
one's way back is the other's way forth."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import Any

import numpy as np

from backprop.checks import integer
from backprop.counts import no_products
from backprop.input_spec import show_shape
from backprop.layer import INFERENCE, Array, Shape
from backprop.layers.resizing.shared import Resizing
from backprop.layers.windows import (
    DataFormat,
    channels_back,
    channels_last,
    shape_back,
    shape_last,
)
from backprop.masks import between, only_real

Sides = tuple[tuple[int, int], ...]  # for each axis: before, behind


class Margins(Resizing):
    """What zero padding and cropping have in common: two numbers for each axis."""

    def inside(self, sizes: Shape) -> tuple[slice, ...]:
        """The place of the smaller array, whose lengths are `sizes`, in the larger one."""
        inner = [slice(b, b + n) for n, (b, _) in zip(sizes, self.sides, strict=True)]
        every = slice(None)
        return shape_back((every, *inner, every), self.data_format)

    def cut(self, x: Array, sizes: Shape) -> Array:
        """x without its margins: a view."""
        return x[self.inside(sizes)]

    def put(self, x: Array, shape: Shape) -> Array:
        """x with its margins, which are 0, in an array of this shape."""
        y = np.zeros(shape, x.dtype)
        y[self.inside(shape_last(x.shape, self.data_format)[1:-1])] = x
        return y


class ZeroPadding(Margins, kw_only=True, by_position=True):
    """y = x between zeros.

    Under a mask of the steps of a sequence the zeros are next to its real steps, as they are
    without the padding: masked steps are 0, and as many of them are real as there are zeros.
    """

    padding: Any = 1
    data_format: DataFormat = None

    def __post_init__(self):
        self.sides = two_sides(self.padding, self.places, type(self).__name__, "padding")
        self.padding = self.sides if self.places > 1 else self.sides[0]

    def resized(self, sizes):
        return tuple(
            None if n is None else n + sum(side) for n, side in zip(sizes, self.sides, strict=True)
        )

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        real = None
        if ctx.mask is not None and self.places == 1:
            turned = channels_last(x, self.data_format)
            real = self.real_steps(turned, ctx.mask)
            x = channels_back(only_real(turned, real), self.data_format)
        return self.put(x, self.compute_output_shape(x.shape)), (x.shape, real)

    def backward(self, dy, cache):
        shape, real = cache
        dx = self.cut(dy, shape_last(shape, self.data_format)[1:-1])
        dx = only_real(channels_last(dx, self.data_format), real)
        return channels_back(dx, self.data_format)

    def resized_mask(self, real):
        ((before, behind),) = self.sides
        inside = between(real)
        y, hole = np.zeros((2, len(real), before + real.shape[1] + behind), bool)
        for k in range(before + behind + 1):
            y[:, k : k + real.shape[1]] |= inside
        hole[:, before : before + real.shape[1]] = inside & ~real
        return y & ~hole


class Cropping(Margins, kw_only=True, by_position=True):
    """y = x without its borders.

    Under a mask of the steps of a sequence the borders are those of its real steps, as they are
    without the padding: they become masked.
    """

    cropping: Any = 1
    data_format: DataFormat = None

    def __post_init__(self):
        self.sides = two_sides(self.cropping, self.places, type(self).__name__, "cropping")
        self.cropping = self.sides if self.places > 1 else self.sides[0]

    def resized(self, sizes):
        left = tuple(
            None if n is None else n - sum(side) for n, side in zip(sizes, self.sides, strict=True)
        )
        if any(n is not None and n < 1 for n in left):
            raise ValueError(
                f"{self!r} leaves nothing of {show_shape(sizes)} along an axis; crop less"
            )
        return left

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        sizes = shape_last(x.shape, self.data_format)[1:-1]
        return self.cut(x, self.resized(sizes)), x.shape

    def backward(self, dy, shape):
        return self.put(dy, shape)

    def resized_mask(self, real):
        ((before, behind),) = self.sides
        inside = between(real)
        left = slice(before, real.shape[1] - behind)
        return real[:, left] & inside[:, : -before - behind or None] & inside[:, before + behind :]


class ZeroPadding1D(ZeroPadding):
    """y[n, before + t, c] = x[n, t, c], and 0 in front of it and behind it.

        x: (N, T, C)    y: (N, before + T + behind, C)

    Every entry of x is one entry of y, and what else y has does not depend on x:

        dx[n, t, c] = dy[n, before + t, c]

    Under a mask the zeros stand beside the real steps of a sequence, as without its padding, and
    dx is 0 at masked steps.

    Parameters
    ----------
    padding : int or two ints, default 1
        Zeros on both ends, or (before, behind).
    data_format : {"channels_last", "channels_first"}, optional
        Default: last.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import ZeroPadding1D
    >>> ZeroPadding1D((1, 2))(np.array([[[3.0], [4.0]]]))[0, :, 0]
    array([0., 3., 4., 0., 0.], dtype=float32)
    """

    padding: Any = 1

    places = 1


class ZeroPadding2D(ZeroPadding):
    """y[n, top + i, left + j, c] = x[n, i, j, c], and 0 around it.

        x: (N, H, W, C)    y: (N, top + H + bottom, left + W + right, C)

    Every entry of x is one entry of y, and what else y has does not depend on x:

        dx[n, i, j, c] = dy[n, top + i, left + j, c]

    Parameters
    ----------
    padding : int, two ints or two pairs, default 1
        Zeros on all sides; (height, width); or ((top, bottom), (left, right)).
    data_format, **kwargs : as in `ZeroPadding1D`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import ZeroPadding2D
    >>> ZeroPadding2D(((0, 1), (1, 0)))(np.ones((1, 2, 2, 1)))[0, :, :, 0]
    array([[0., 1., 1.],
           [0., 1., 1.],
           [0., 0., 0.]], dtype=float32)
    """

    padding: Any = (1, 1)


class ZeroPadding3D(ZeroPadding):
    """y[n, a + h, b + i, e + j, c] = x[n, h, i, j, c], and 0 around it.

        x: (N, D, H, W, C)    y: (N, D', H', W', C), each axis longer by its two numbers

    With a, b and e zeros in front of the axes. Every entry of x is one entry of y, and what else y
    has does not depend on x:

        dx[n, h, i, j, c] = dy[n, a + h, b + i, e + j, c]

    Parameters
    ----------
    padding : int, three ints or three pairs, default 1
        Zeros on all sides; (depth, height, width); or a pair (before, behind) for each of them.
    data_format, **kwargs : as in `ZeroPadding1D`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import ZeroPadding3D
    >>> ZeroPadding3D((1, 0, 2))(np.ones((5, 4, 4, 4, 2))).shape
    (5, 6, 4, 8, 2)
    """

    padding: Any = ((1, 1), (1, 1), (1, 1))

    places = 3


class Cropping1D(Cropping):
    """y[n, t, c] = x[n, before + t, c].

        x: (N, T, C)    y: (N, T - before - behind, C)

    What was cut off has no influence:

        dx[n, before + t, c] = dy[n, t, c], and 0 at both ends

    Under a mask as many real steps become masked at both ends of a sequence, as without its padding
    they would be cut off.

    Parameters
    ----------
    cropping : int or two ints, default 1
        Steps cut off on both ends, or (before, behind); where none is left it is a ValueError.
    data_format : {"channels_last", "channels_first"}, default "channels_last"
        Where the channels stand; an addition to Keras' arguments, by keyword alone.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Cropping1D
    >>> Cropping1D((1, 2))(np.arange(5.0).reshape(1, 5, 1))[0, :, 0]
    array([1., 2.], dtype=float32)
    """

    cropping: Any = (1, 1)
    _: KW_ONLY
    data_format: DataFormat = None

    places = 1


class Cropping2D(Cropping):
    """y[n, i, j, c] = x[n, top + i, left + j, c].

        x: (N, H, W, C)    y: (N, H - top - bottom, W - left - right, C)

    What was cut off has no influence:

        dx[n, top + i, left + j, c] = dy[n, i, j, c], and 0 around it

    Parameters
    ----------
    cropping : int, two ints or two pairs, default 0
        Pixels cut off on all sides; (height, width); or ((top, bottom), (left, right)).
    data_format, **kwargs
        As in `ZeroPadding2D`. Nothing left of the image is an error as in `Cropping1D`.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Cropping2D
    >>> Cropping2D(((0, 1), (1, 0)))(np.arange(9.0).reshape(1, 3, 3, 1))[0, :, :, 0]
    array([[1., 2.],
           [4., 5.]], dtype=float32)
    """

    cropping: Any = ((0, 0), (0, 0))


class Cropping3D(Cropping):
    """y[n, h, i, j, c] = x[n, a + h, b + i, e + j, c].

        x: (N, D, H, W, C)    y: (N, D', H', W', C), each axis shorter by its two numbers

    With a, b and e pixels cut off in front of the axes. What was cut off has no influence:

        dx[n, a + h, b + i, e + j, c] = dy[n, h, i, j, c], and 0 around it

    Parameters
    ----------
    cropping : int, three ints or three pairs, default 1
        Cut off on all sides; (depth, height, width); or a pair (before, behind) for each of them.
    data_format, **kwargs : as in `Cropping2D`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Cropping3D
    >>> Cropping3D((1, 0, 2))(np.ones((5, 6, 4, 8, 2))).shape
    (5, 4, 4, 4, 2)
    """

    cropping: Any = ((1, 1), (1, 1), (1, 1))

    places = 3


def two_sides(value: Any, places: int, who: str, name: str) -> Sides:
    """What a user may write → (before, behind) for each axis: one number for all; along one axis a
    pair; along several one entry for each, a number or a pair."""
    entries = [value] if places == 1 else listed(value, places)
    pairs = [listed(entry, 2) for entry in entries]
    if len(pairs) != places or any(len(pair) != 2 for pair in pairs):
        wanted = (
            "an integer or a pair of them"
            if places == 1
            else f"an integer, or {places} entries that are integers or pairs of them"
        )
        raise ValueError(f"{who} expects {name} to be {wanted}, got {value!r}")
    return tuple((integer(a, who, name, 0), integer(b, who, name, 0)) for a, b in pairs)


def listed(value: Any, times: int) -> list[Any]:
    """What a user wrote as a list; one number stands for several, what is no sequence for none."""
    if isinstance(value, int | np.integer):
        return [value] * times
    several = isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim)
    return list(value) if several else []
