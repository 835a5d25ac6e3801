"""The exponential, and the linear units that bend into one on the left."""

from __future__ import annotations

import numpy as np

from backprop.checks import NumberAboveZero, NumberFromZero
from backprop.layers.activations.elementwise import (
    FromInput,
    FromOutput,
    negative,
    step,
)
from backprop.linalg import positive


class Exponential(FromOutput):
    """y = exp(x).

        x, y: (...)

        dx = y dy

    Where exp(x) is above the largest number (x > 88.7 in float32, x > 709.7 in float64), y is
    infinite, as the mathematics has it, without a warning.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Exponential
    >>> Exponential()(np.array([0.0, 1.0])).round(4)
    array([1.    , 2.7183], dtype=float32)
    """

    def value(self, x):
        with np.errstate(over="ignore"):
            return np.exp(x)

    def slope(self, y):
        return y


class ELU(FromInput):
    """y = x for x > 0, alpha (exp(x) - 1) for x ≤ 0.

        x, y: (...)

        dx = dy [x > 0] + alpha exp(x) dy [x ≤ 0]

    The slope on the left is y + alpha too, but far left that sum has lost all digits of exp(x).

    Parameters
    ----------
    alpha : float, default 1.0
        At least 0, else a ValueError; -alpha is the limit on the left.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    References
    ----------
    Clevert, Unterthiner, Hochreiter: Fast and accurate deep network learning by exponential linear
    units, 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import ELU
    >>> ELU()(np.array([-1.0, 2.0])).round(4)
    array([-0.6321,  2.    ], dtype=float32)
    """

    alpha: NumberFromZero = 1.0

    changeable = ("alpha",)

    def value(self, x):
        y = np.expm1(negative(x))
        y *= self.alpha
        y += positive(x)
        return y

    def slope(self, x):
        s = np.exp(negative(x))
        return s if self.alpha == 1 else s * step(x > 0, 1.0, self.alpha, x.dtype)


class SELU(FromInput):
    """y = λ x for x > 0, λ α (exp(x) - 1) for x ≤ 0, with λ = 1.0507… and α = 1.6733….

        x, y: (...)

        dx = λ dy [x > 0] + λ α exp(x) dy [x ≤ 0]

    The two numbers make mean 0 and variance 1 a fixed point of a layer whose weights have variance
    1 / n: use it with the `lecun_normal` initializer.

    References
    ----------
    Klambauer, Unterthiner, Mayr, Hochreiter: Self-normalizing neural networks, 2017, equation 14.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import SELU
    >>> SELU()(np.array([-1.0, 2.0])).round(4)
    array([-1.1113,  2.1014], dtype=float32)
    """

    scale = 1.0507009873554805
    alpha = 1.6732632423543772

    def value(self, x):
        y = np.expm1(negative(x))
        y *= self.alpha
        y += positive(x)
        y *= self.scale
        return y

    def slope(self, x):
        s = np.exp(negative(x))
        s *= step(x > 0, self.scale, self.scale * self.alpha, x.dtype)
        return s


class CELU(FromInput):
    """y = x for x > 0, alpha (exp(x / alpha) - 1) for x ≤ 0.

        x, y: (...)

    The derivative is exp(x / alpha) on the left, which is 1 at 0 for every alpha:

        dx = exp(min(x, 0) / alpha) dy

    Parameters
    ----------
    alpha : float, default 1.0
        Above 0, else a ValueError; -alpha is the limit on the left.
    **kwargs : as in `ELU`

    References
    ----------
    Barron: Continuously differentiable exponential linear units, 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import CELU
    >>> CELU(2.0)(np.array([-1.0, 2.0])).round(4)
    array([-0.7869,  2.    ], dtype=float32)
    """

    alpha: NumberAboveZero = 1.0

    changeable = ("alpha",)

    def value(self, x):
        y = negative(x)
        y /= self.alpha
        y = np.expm1(y)
        y *= self.alpha
        y += positive(x)
        return y

    def slope(self, x):
        return np.exp(negative(x) / self.alpha)
