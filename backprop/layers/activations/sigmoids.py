"""Activations that saturate on both sides: sigmoid, tanh and their cheap and sparse relatives."""

from __future__ import annotations

import numpy as np

from backprop.counts import no_products
from backprop.kernels import activations as fast
from backprop.layer import INFERENCE
from backprop.layers.activations.elementwise import (
    FromInput,
    FromOutput,
    bounded,
    by_kernels,
    negative,
    step,
)
from backprop.linalg import sigmoid


class Sigmoid(FromOutput):
    """y = 1 / (1 + exp(-x)).

        x, y: (...)

        dx = y (1 - y) dy

    A y close to 0 is as near as any other. Close to 1 it is rounded to the last place of 1, and so
    is 1 - y.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Sigmoid
    >>> Sigmoid()(np.array([-1.0, 0.0, 1.0])).round(4)
    array([0.2689, 0.5   , 0.7311], dtype=float32)
    """

    def value(self, x):
        return sigmoid(x)

    def slope(self, y):
        return y * (1 - y)

    multiply_adds = no_products

    forward, finish, backward, backward_finish = by_kernels(fast.sigmoid, fast.sigmoid_backward)


class HardSigmoid(FromOutput):
    """y = min(max(x / 6 + 1/2, 0), 1).

        x, y: (...)

        dx = dy / 6 [-3 < x < 3]

    At both kinks the slope is 0.

    References
    ----------
    Courbariaux, Bengio, David: BinaryConnect, 2015; with the slope 1/6 of Howard et al.: Searching
    for MobileNetV3, 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import HardSigmoid
    >>> HardSigmoid()(np.array([-4.0, 0.0, 1.5]))
    array([0.  , 0.5 , 0.75], dtype=float32)
    """

    def value(self, x):
        return hard_sigmoid(x)

    def slope(self, y):
        return step((y > 0) & (y < 1), 1 / 6, 0.0, y.dtype)


class LogSigmoid(FromOutput):
    """y = log(sigmoid(x)) = min(x, 0) - log(1 + exp(-|x|)).

        x, y: (...)

    As exp(y) = sigmoid(x), the derivative 1 - sigmoid(x) is 1 - exp(y):

        dx = (1 - exp(y)) dy

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import LogSigmoid
    >>> LogSigmoid()(np.array([-1.0, 1.0])).round(4)
    array([-1.3133, -0.3133], dtype=float32)
    """

    def value(self, x):
        y = negative(x)
        y -= np.log1p(np.exp(-np.abs(x)))  # the exponent is never positive: nothing overflows
        return y

    def slope(self, y):
        return -np.expm1(y)


class Tanh(FromOutput):
    """y = tanh(x).

        x, y: (...)

        dx = (1 - y²) dy

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Tanh
    >>> Tanh()(np.array([-1.0, 0.0])).round(4)
    array([-0.7616,  0.    ], dtype=float32)
    """

    def value(self, x):
        return np.tanh(x)

    def slope(self, y):
        return 1 - y * y

    multiply_adds = no_products

    forward, finish, backward, backward_finish = by_kernels(fast.tanh, fast.tanh_backward)


class HardTanh(FromInput):
    """y = min(max(x, -1), 1).

        x, y: (...)

        dx = dy [-1 ≤ x ≤ 1]

    At both kinks the slope is 1.

    References
    ----------
    Collobert: Large scale machine learning, 2004.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import HardTanh
    >>> HardTanh()(np.array([-2.0, 0.5, 3.0]))
    array([-1. ,  0.5,  1. ], dtype=float32)
    """

    def value(self, x):
        return x.clip(-1, 1)

    def slope(self, x):
        return np.abs(x) <= 1


class Softsign(FromOutput):
    """y = x r, where r = 1 / (1 + |x|).

        x, y: (...)

    The derivative is r - |x| r² = r²; r is kept:

        dx = r² dy

    References
    ----------
    Bergstra, Desjardins, Lamblin, Bengio: Quadratic polynomials learn better image features, 2009.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Softsign
    >>> Softsign()(np.array([-1.0, 0.0, 3.0]))
    array([-0.5 ,  0.  ,  0.75], dtype=float32)
    """

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        c = bounded(x)  # infinity over infinity is no number
        d = np.abs(c)
        d += 1
        return c / d, 1 / d if ctx.backward else None

    def slope(self, r):
        return r * r


class SparseSigmoid(FromOutput):
    """y = (min(max(x, -1), 1) + 1) / 2.

        x, y: (...)

        dx = dy / 2 [-1 < x < 1]

    At both kinks the slope is 0. It is the derivative of `SparsePlus`, as the sigmoid is that of
    softplus.

    References
    ----------
    Blondel, Martins, Niculae: Learning with Fenchel-Young losses, 2020, section 6.2.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import SparseSigmoid
    >>> SparseSigmoid()(np.array([-2.0, 0.5, 2.0]))
    array([0.  , 0.75, 1.  ], dtype=float32)
    """

    def value(self, x):
        return sparse_sigmoid(x)

    def slope(self, y):
        return step((y > 0) & (y < 1), 0.5, 0.0, y.dtype)


def hard_sigmoid(x):
    """(x + 3) / 6 within [0, 1]; no digit is lost close to -3."""
    y = (x + 3).clip(0, 6)
    y /= 6
    return y


def sparse_sigmoid(x):
    """(x + 1) / 2 within [0, 1]; clipped first, so that both kinks are exactly at -1 and 1."""
    y = x.clip(-1, 1)
    y += 1
    y *= 0.5
    return y
