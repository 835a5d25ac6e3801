"""Activations that multiply x by a gate between 0 and 1, made from x itself."""

from __future__ import annotations

import numpy as np

from backprop.counts import no_products
from backprop.input_spec import show_shape
from backprop.kernels.smooth import gelu, gelu_by_tanh
from backprop.layer import INFERENCE, Layer
from backprop.layers.activations.elementwise import (
    FromInput,
    FromOutput,
    KeepsSlope,
    curve,
    step,
)
from backprop.layers.activations.sigmoids import hard_sigmoid
from backprop.linalg import sigmoid
from backprop.masks import mixes
from backprop.promises import short_for

LOW = 1e4  # exp(-LOW) is 0: what is below gives no more than it, and 0 times infinity is no number


class SiLU(FromOutput):
    """y = x s, where s = sigmoid(x).

        x, y: (...)

    By the product rule with s' = s (1 - s); s and y are kept:

        dx = (s + y (1 - s)) dy

    References
    ----------
    Elfwing, Uchibe, Doya: Sigmoid-weighted linear units, 2018; Ramachandran, Zoph, Le: Searching
    for activation functions, 2017 (swish).

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import SiLU
    >>> SiLU()(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.2689,  0.    ,  0.7311], dtype=float32)
    """

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        s = sigmoid(x)
        y = x.clip(-LOW, np.inf) * s
        return y, (s, y)

    def slope(self, cache):
        s, y = cache
        slope = y.clip(-1, 100)  # beyond, s is 1 in every digit
        slope *= 1 - s
        slope += s
        return slope


class HardSiLU(FromInput):
    """y = x h, where h = min(max(x / 6 + 1/2, 0), 1).

        x, y: (...)

    By the product rule with h' = 1/6 between the kinks:

        dx = (h + x / 6 [-3 < x < 3]) dy

    The slope is 0 at x = -3 and 1 at x = 3.

    References
    ----------
    Howard et al.: Searching for MobileNetV3, 2019, section 5.2.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import HardSiLU
    >>> HardSiLU()(np.array([-4.0, 1.5, 4.0]))
    array([-0.   ,  1.125,  4.   ], dtype=float32)
    """

    def value(self, x):
        return x.clip(-3, np.inf) * hard_sigmoid(x)

    def slope(self, x):
        s = step(np.abs(x) < 3, 1 / 6, 0.0, x.dtype)
        s *= x.clip(-3, 3)
        s += hard_sigmoid(x)
        return s


class GELU(KeepsSlope):
    """y = x Φ(x), where Φ is the normal distribution's cumulative function and φ = Φ' its density.

        x, y: (...)

        dx = (Φ(x) + x φ(x)) dy

    With the tail q = Φ(-|x|), which is what is computed, y = max(x, 0) - |x| q: nothing cancels, so
    that also the small values on the left keep their relative accuracy. With `approximate`,

        Φ(x) ≈ h = (1 + tanh u) / 2 = sigmoid(2u),    2u = sqrt(8/π) (x + 0.044715 x³)
        dx = (h + x h (1 - h) · 2u'(x)) dy,    2u'(x) = sqrt(8/π) (1 + 0.134145 x²)

    Parameters
    ----------
    approximate : bool, default False
        Use the tanh.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    References
    ----------
    Hendrycks, Gimpel: Gaussian error linear units, 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import GELU
    >>> GELU()(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.1587,  0.    ,  0.8413], dtype=float32)
    """

    approximate: bool = False

    changeable = ("approximate",)

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        return curve(self._kernel, x, ctx)

    @short_for("forward", "backward")
    def finish(self, z, ctx=INFERENCE, bias=None):
        return curve(self._kernel, z, ctx, bias)

    @property
    def _kernel(self):
        return gelu_by_tanh if self.approximate else gelu


class Mish(KeepsSlope):
    """y = x t, where t = tanh(log(1 + exp(x))).

        x, y: (...)

    With n = exp(x) and w = n (n + 2) it is t = w / (w + 2): one exponential instead of three
    functions. Then

        t'(x) = 4 n (n + 1) / (w + 2)²        dx = (t + x t'(x)) dy

    References
    ----------
    Misra: Mish, a self regularized non-monotonic activation function, 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Mish
    >>> Mish()(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.3034,  0.    ,  0.8651], dtype=float32)
    """

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        c = x.clip(-LOW, 20)  # beyond, t is 0 or 1 in every digit, and w² must not overflow
        n = np.exp(c)
        w = n * (n + 2)
        r = 1 / (w + 2)
        t = w * r
        return np.maximum(x, c) * t, t + 4 * c * n * (n + 1) * r * r if ctx.backward else None


class GLU(Layer):
    """y = a s, where s = sigmoid(b), and a and b are the halves of x along `axis`.

        x: (..., 2n, ...)    a, b, y: (..., n, ...)

    By the product rule with s' = s (1 - s), each half receives its part; s and y are kept:

        da = s dy        db = y (1 - s) dy

    Parameters
    ----------
    axis : int, default -1
        The axis that is halved.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        Where the axis does not exist, its length is odd, or it is that of the rows.

    References
    ----------
    Dauphin, Fan, Auli, Grangier: Language modeling with gated convolutional networks, 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import GLU
    >>> GLU()(np.array([[2.0, 4.0, 0.0, 0.0]]))
    array([[1., 2.]], dtype=float32)
    """

    axis: int = -1

    def build(self, input_shape):
        self.compute_output_shape(input_shape)
        if self.axis in (0, -len(input_shape)):
            raise ValueError(
                f"{self!r} halves axis {self.axis}, along which are the rows of inputs of shape "
                f"{show_shape(input_shape)}: give a single one as x[np.newaxis]"
            )
        self.time_local = self.axis in (-1, len(input_shape) - 1)

    def check_input(self, shape):
        super().check_input(shape)
        self.compute_output_shape(shape)

    def compute_output_shape(self, input_shape):
        n = len(input_shape)
        length = input_shape[self.axis] if -n <= self.axis < n else 1
        if length is not None and length % 2:
            raise ValueError(
                f"{self!r} halves axis {self.axis} and needs an even length there; "
                f"it got {show_shape(input_shape[1:] or input_shape)}"
            )
        y = list(input_shape)
        y[self.axis] = None if length is None else length // 2
        return tuple(y)

    def obeys_mask(self, x, mask):
        return not mixes(self.axis, x.ndim, mask)

    def compute_mask(self, x, mask=None):
        return mask if mask is None or self.obeys_mask(x, mask) else None

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        a, b = np.split(x, 2, self.axis)
        s = sigmoid(b)
        y = a * s
        return y, (s, y)

    def backward(self, dy, cache):
        s, y = cache
        return np.concatenate((s * dy, y * (1 - s) * dy), self.axis)
