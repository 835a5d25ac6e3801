"""Rotary positions: pairs of features turned by an angle that grows with the step."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from backprop.checks import NumberAboveZero
from backprop.counts import no_products
from backprop.input_spec import show_shape
from backprop.layer import INFERENCE, InputSpec, Layer
from backprop.linalg import constant


class RotaryEmbedding(Layer):
    """y = R(t) x: at step t each pair of features (x[i], x[i + n/2]) is turned by the angle a.

        x, y: (N, T, n) or (N, T, heads, n), n even    a: (T, n/2)

        a[t, i] = t / scaling_factor / max_wavelength^(2i/n)

        y[i] = x[i] cos a - x[i + n/2] sin a        y[i + n/2] = x[i + n/2] cos a + x[i] sin a

    A rotation's inverse is its transpose, so dx is dy turned back, R(t)ᵀ dy: the same with -a.

    The product of a query turned by R(t) and a key turned by R(s) depends on t - s alone, as
    R(t)ᵀ R(s) = R(s - t). Attention with ``rotary=True`` turns its queries and keys by this layer.

    Parameters
    ----------
    max_wavelength : float, default 10000
        The slowest pair needs about 2π times so many steps for a turn.
    scaling_factor : float, default 1.0
        What the steps are divided by: 4 stretches what was learnt to four times the length.
    sequence_axis, feature_axis : int
        Defaults: 1 and -1.
    **kwargs
        `activity_regularizer`, `trainable`, `dtype`, `name` of every `Layer`.

    Raises
    ------
    ValueError
        Where the number of features is odd, or the two axes are one.

    Notes
    -----
    Arguments and numbers are those of keras_hub.layers.RotaryEmbedding.

    References
    ----------
    Su et al.: RoFormer: Enhanced transformer with rotary position embedding, 2021, section 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import RotaryEmbedding
    >>> RotaryEmbedding()(np.array([[[1.0, 0.0], [1.0, 0.0]]])).round(4)  # by 0, and by 1
    array([[[1.    , 0.    ],
            [0.5403, 0.8415]]], dtype=float32)
    """

    max_wavelength: NumberAboveZero = 10000
    scaling_factor: NumberAboveZero = 1.0
    sequence_axis: int = 1
    feature_axis: int = -1

    changeable = ("max_wavelength", "scaling_factor")

    def build(self, input_shape):
        ndim = len(input_shape)
        axes = [self.sequence_axis, self.feature_axis]
        if not all(-ndim <= a < ndim and a % ndim for a in axes) or not (axes[0] - axes[1]) % ndim:
            raise ValueError(
                f"{self!r} expects inputs with the axes {axes[0]} for the time and {axes[1]} for "
                f"the features, beside the batch, and got {show_shape(input_shape[1:])}"
            )
        n = input_shape[self.feature_axis]
        if n is None or n % 2:
            raise ValueError(
                f"{self!r} turns pairs of features, so it expects an even number of them, and got "
                f"{n}"
            )
        self.input_spec = InputSpec(ndim=ndim, axes={self.feature_axis: n})

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        return self.turn(x), None

    def backward(self, dy, cache):
        return self.turn(dy, back=True)

    @property
    def can_step(self):
        return self.sequence_axis == 1

    def step(self, x, memory):
        start = memory or 0
        return self.turn(x, start), start + x.shape[self.sequence_axis]

    def turn(self, x, start: int = 0, back: bool = False):
        """R(start), R(start + 1), ... along the time of x, or their transposes."""
        x = np.moveaxis(x, (self.sequence_axis, self.feature_axis), (-2, -1))
        y = np.empty(x.shape, x.dtype)
        cos, sin = self.angles(x.shape, start, x.dtype)
        turned(x, cos, sin, back, y)
        return np.moveaxis(y, (-2, -1), (self.sequence_axis, self.feature_axis))

    def angles(self, shape, start: int, dtype) -> Any:
        """cos a and sin a for an array of `shape` (..., T, n)."""
        steps, n = shape[-2:]
        return cosines(steps, n, start, self.max_wavelength, self.scaling_factor, dtype)


def turned(x, cos, sin, back: bool, out) -> None:
    """Write R(t) x into `out`, or R(t)ᵀ x; x: (..., T, n)."""
    half = x.shape[-1] // 2
    first, second = x[..., :half], x[..., half:]
    if back:
        sin = -sin
    out[..., :half] = first * cos - second * sin
    out[..., half:] = second * cos + first * sin


@lru_cache(maxsize=16)
def cosines(steps: int, n: int, start: int, max_wavelength: float, scaling: float, dtype) -> Any:
    """Of the angles of steps start, start + 1, ...; computed in float64."""
    t = np.arange(start, start + steps) / scaling
    a = t[:, None] * float(max_wavelength) ** (-2 * np.arange(n // 2) / max(n, 1))
    return constant(np.cos(a).astype(dtype)), constant(np.sin(a).astype(dtype))
