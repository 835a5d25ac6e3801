"""Activations that set what is small to zero, or to something else."""

from __future__ import annotations

import numpy as np

from backprop.checks import Number, NumberFromZero
from backprop.counts import no_products
from backprop.layer import INFERENCE
from backprop.layers.activations.elementwise import (
    FromInput,
    FromOutput,
    above,
    step,
)


class TanhShrink(FromOutput):
    """y = x - t, where t = tanh(x).

        x, y: (...)

    The derivative is 1 - (1 - t²) = t²; t is kept:

        dx = t² dy

    Near 0 the difference is x³ / 3 and cancels. For |x| ≤ 1 it is taken from Lambert's continued
    fraction tanh x = x / (1 + x² / D), D = 3 + x² / (5 + x² / (7 + …)), all of whose terms are
    positive:

        y = x³ / (D + x²)

    and beyond, what x and t add to their values at 1 is added to y at 1.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import TanhShrink
    >>> TanhShrink()(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.2384,  0.    ,  0.2384], dtype=float32)
    """

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        t = np.tanh(x)
        c, top = x.clip(-1, 1), np.tanh(x.dtype.type(1))
        return cubic(c) + (x - c) - (t - t.clip(-top, top)), t

    def slope(self, t):
        return t * t


class Shrink(FromOutput):
    """What sets x to 0 where |x| ≤ t, and passes the gradient on elsewhere."""

    threshold: NumberFromZero = 0.5

    changeable = ("threshold",)

    def slope(self, y):
        return y != 0 if self.threshold else np.full(y.shape, True)  # of y = x, at 0 too


class SoftShrink(Shrink):
    """y = x - min(max(x, -t), t), where t is the threshold: x moved towards 0 by t, but not across.

        x, y: (...)

        dx = dy [|x| > t]

    At both kinks the slope is 0. With t = 0 there are none: y = x and dx = dy.

    Parameters
    ----------
    threshold : float, default 0.5
        t, at least 0, else a ValueError.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    References
    ----------
    Donoho: De-noising by soft-thresholding, 1995.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import SoftShrink
    >>> SoftShrink()(np.array([-1.0, 0.25, 1.0]))
    array([-0.5,  0. ,  0.5], dtype=float32)
    """

    def value(self, x):
        return x - x.clip(-self.threshold, self.threshold)


class HardShrink(Shrink):
    """y = x [|x| > t], where t is the threshold.

        x, y: (...)

        dx = dy [|x| > t]

    The function jumps at -t and t; the slope there is 0. With t = 0, y = x and dx = dy.

    Parameters
    ----------
    threshold : as in `SoftShrink`
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import HardShrink
    >>> HardShrink()(np.array([-1.0, 0.25, 1.0]))
    array([-1.,  0.,  1.], dtype=float32)
    """

    def value(self, x):
        return x * (np.abs(x) > self.threshold)


class Threshold(FromInput):
    """y = x for x > t, default_value for x ≤ t, where t is the threshold.

        x, y: (...)

        dx = dy [x > t]

    The function jumps at t, unless t = default_value; the slope there is 0.

    Parameters
    ----------
    threshold : float
        t, a finite number, else a ValueError.
    default_value : float
        What replaces the values that do not exceed t.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Threshold
    >>> Threshold(1.0, -2.0)(np.array([0.0, 1.0, 3.0]))
    array([-2., -2.,  3.], dtype=float32)
    """

    threshold: Number
    default_value: Number

    changeable = ("threshold", "default_value")

    def value(self, x):
        y = above(x, self.threshold)
        if self.default_value:
            y += step(x > self.threshold, 0.0, self.default_value, x.dtype)
        return y

    def slope(self, x):
        return x > self.threshold


def cubic(x):
    """x - tanh(x) for |x| ≤ 1, with as many terms as its digits need."""
    s = x * x
    d = last = 9 if x.dtype == np.float32 else 17
    for k in range(last - 2, 1, -2):
        d = k + s / d
    return x * s / (d + s)
