"""Layers that tell a sequence's steps where they are, by adding a vector for each place."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from backprop.checks import NumberAboveZero, Positive
from backprop.constraints import ConstraintLike
from backprop.counts import no_products
from backprop.initializers import InitializerLike
from backprop.layer import INFERENCE, InputSpec, Layer
from backprop.linalg import constant
from backprop.regularizers import RegularizerLike


class Positions(Layer):
    """y[n, t] = x[n, t] + e[t]: a subclass says what e is, by `encoding`.

    x, y: (N, T, d)    e: (T, d)
    """

    input_spec = InputSpec(ndim=3)

    def encoding(self, start: int, x) -> Any:
        """e of the steps of x, the first of which is number `start`: (T, d)."""
        raise TypeError(f"{type(self).__name__} has no encoding(self, start, x): write one")

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        return x + self.encoding(0, x), None

    def backward(self, dy, cache):
        return dy

    @property
    def can_step(self):
        return True

    def step(self, x, memory):
        start = memory or 0
        return x + self.encoding(start, x), start + x.shape[1]


class SinePositionEncoding(Positions):
    """y[n, t] = x[n, t] + e[t], where e holds sines and cosines of ever longer waves.

        x, y: (N, T, d)    e: (T, d)

        e[t, 2i] = sin a        e[t, 2i + 1] = cos a        a = t / max_wavelength^(2i/d)

    e is a constant, so dx = dy.

    Parameters
    ----------
    max_wavelength : float, default 10000
        The longest wave has about 2π times so many steps.
    **kwargs
        `activity_regularizer`, `trainable`, `dtype`, `name` of every `Layer`.

    Notes
    -----
    e is that of keras_hub.layers.SinePositionEncoding, which returns e alone; there, the model adds
    it to x. A chain has no other place for the sum than the layer.

    References
    ----------
    Vaswani et al.: Attention is all you need, 2017, section 3.5.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import SinePositionEncoding
    >>> SinePositionEncoding()(np.zeros((1, 2, 4))).round(4)
    array([[[0.    , 1.    , 0.    , 1.    ],
            [0.8415, 0.5403, 0.01  , 1.    ]]], dtype=float32)
    """

    max_wavelength: NumberAboveZero = 10000

    changeable = ("max_wavelength",)

    def encoding(self, start, x):
        return waves(start, x.shape[1], x.shape[2], self.max_wavelength, x.dtype)


class PositionEmbedding(Positions):
    """y[n, t] = x[n, t] + embeddings[t]: each place has a vector that is learnt.

        x, y: (N, T, d)    embeddings: (sequence_length, d), T at most sequence_length

    A vector is added to every sequence at its place, so it collects their dy, and the vectors of
    places behind the last step nothing:

        dx = dy        dembeddings[t] = Σ_n dy[n, t], 0 for t ≥ T

    Parameters
    ----------
    sequence_length : int
        The number of places.
    initializer : str or Initializer, default "glorot_uniform"
    embeddings_regularizer : str or Regularizer, optional
    embeddings_constraint : str or Constraint, optional
    **kwargs
        `activity_regularizer`, `trainable`, `dtype`, `name` of every `Layer`.

    Raises
    ------
    ValueError
        For a sequence that is longer than `sequence_length`.

    Notes
    -----
    embeddings are those of keras_hub.layers.PositionEmbedding, which returns them alone; there, the
    model adds them to x. A chain has no other place for the sum than the layer.

    References
    ----------
    Gehring et al.: Convolutional sequence to sequence learning, 2017, section 3.1.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import PositionEmbedding
    >>> PositionEmbedding(8, initializer="ones")(np.zeros((1, 2, 3)))
    array([[[1., 1., 1.],
            [1., 1., 1.]]], dtype=float32)
    """

    sequence_length: Positive
    initializer: InitializerLike = "glorot_uniform"
    embeddings_regularizer: RegularizerLike = None
    embeddings_constraint: ConstraintLike = None

    def build(self, input_shape):
        self.embeddings, self.dembeddings = self.param(
            "embeddings",
            (self.sequence_length, input_shape[-1]),
            self.initializer,
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
        )
        self.input_spec = InputSpec(ndim=3, axes={-1: input_shape[-1]})

    def check_input(self, shape):
        super().check_input(shape)
        if shape[1] is not None:
            self._check_length(shape[1])

    def encoding(self, start, x):
        stop = start + x.shape[1]
        self._check_length(stop)
        return self.embeddings[start:stop]

    def backward_params(self, dy, cache):
        steps = dy.shape[1]
        np.sum(dy, axis=0, out=self.dembeddings[:steps])
        self.dembeddings[steps:] = 0

    def backward(self, dy, cache):
        self.backward_params(dy, cache)
        return dy

    def _check_length(self, steps):
        if steps > self.sequence_length:
            raise ValueError(
                f"{self!r} has learnt {self.sequence_length} places and got a sequence of {steps} "
                "steps; give it a larger sequence_length, or cut the sequence"
            )


@lru_cache(maxsize=16)
def waves(start: int, steps: int, d: int, max_wavelength: float, dtype) -> Any:
    """Sines and cosines of the steps start, start + 1, ...: (steps, d), computed in float64."""
    t, i = np.arange(start, start + steps)[:, None], np.arange(d)
    a = t * float(max_wavelength) ** (-2 * (i // 2) / max(d, 1))
    return constant(np.where(i % 2, np.cos(a), np.sin(a)).astype(dtype))
