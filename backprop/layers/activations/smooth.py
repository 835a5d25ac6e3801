"""Activations near max(x, 0) without its kink."""

from __future__ import annotations

import numpy as np

from backprop.checks import NumberAboveZero
from backprop.counts import no_products
from backprop.layer import INFERENCE
from backprop.layers.activations.elementwise import (
    FromInput,
    FromOutput,
    KeepsSlope,
)
from backprop.layers.activations.sigmoids import sparse_sigmoid
from backprop.linalg import positive


class Softplus(FromOutput):
    """y = log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)).

        x, y: (...)

    As exp(-y) = 1 / (1 + exp(x)), the derivative sigmoid(x) is 1 - exp(-y):

        dx = (1 - exp(-y)) dy

    References
    ----------
    Dugas, Bengio, Bélisle, Nadeau, Garcia: Incorporating second-order functional knowledge, 2000.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Softplus
    >>> Softplus()(np.array([-1.0, 1.0])).round(4)
    array([0.3133, 1.3133], dtype=float32)
    """

    def value(self, x):
        y = np.log1p(np.exp(-np.abs(x)))  # the exponent is never positive: nothing overflows
        y += positive(x)
        return y

    def slope(self, y):
        return -np.expm1(-y)


class Squareplus(KeepsSlope):
    """y = (x + r) / 2, where r = sqrt(x² + b).

        x, y: (...)

    The derivative is (1 + x / r) / 2 = y / r:

        dx = y / r dy

    For x < 0 the sum x + r cancels; as (r - |x|) (r + |x|) = b, it is max(x, 0) + b / 2 / (r + |x|)
    without loss.

    Parameters
    ----------
    b : float, default 4
        How smooth, above 0, else a ValueError; towards 0 it becomes max(x, 0).
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    References
    ----------
    Barron: Squareplus, a softplus-like algebraic rectifier, 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Squareplus
    >>> Squareplus()(np.array([0.0, 1.5]))
    array([1., 2.], dtype=float32)
    """

    b: NumberAboveZero = 4

    changeable = ("b",)

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        c = x.clip(-1e15, 1e15)  # beyond, r is |x| in every digit, and c² must not overflow
        r = np.sqrt(c * c + self.b)
        a = np.abs(x)
        far = np.maximum(r, a)
        bend = self.b / 4 / (0.5 * far + 0.5 * a)
        return positive(x) + bend, positive(c) / r + bend / far if ctx.backward else None


class SparsePlus(FromInput):
    """y = 0 for x ≤ -1, (x + 1)² / 4 for -1 < x < 1, x for x ≥ 1.

        x, y: (...)

    The derivative is the sparse sigmoid, without a jump:

        dx = (min(max(x, -1), 1) + 1) / 2 dy

    References
    ----------
    Blondel, Martins, Niculae: Learning with Fenchel-Young losses, 2020, section 6.2.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import SparsePlus
    >>> SparsePlus()(np.array([-2.0, 0.0, 3.0]))
    array([0.  , 0.25, 3.  ], dtype=float32)
    """

    def value(self, x):
        s = sparse_sigmoid(x)
        s *= s
        s += positive(x - 1)
        return s

    def slope(self, x):
        return sparse_sigmoid(x)
