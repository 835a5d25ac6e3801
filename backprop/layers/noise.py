"""Layers that disturb what passes through them in training, and do nothing otherwise."""

from __future__ import annotations

import numpy as np

from backprop.checks import fraction, integer
from backprop.layer import INFERENCE, Layer, show_shape


class Dropout(Layer):
    """y = x * k, where k = 1 / (1 - rate) with probability 1 - rate, else 0: so the mean of y is x.

        x, y: (N, ...)    k: (N, ...), or noise_shape

    In training each entry draws its own k, which is a constant to the derivative:

        dx = dy * k

    In inference y = x.

    Parameters
    ----------
    rate : float
        Probability that an entry is dropped, from 0 to 1.
    noise_shape : tuple of int or None, optional
        Shape of k, where entries are to be dropped together: 1 along an axis that shares one draw,
        None for the input's length.
    seed : int, optional
        Of the layer's generator. Default: from `utils.set_random_seed`.
    **kwargs
        `trainable`, `dtype`, `name` of every `Layer`.

    Raises
    ------
    ValueError
        Where `rate` is not from 0 to 1, or `noise_shape` does not fit the input.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov: Dropout: a simple way to prevent
    neural networks from overfitting, 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Dropout
    >>> drop = Dropout(0.5, seed=0)
    >>> drop(np.ones((1, 4)), training=True)
    array([[2., 2., 2., 0.]], dtype=float32)
    >>> drop(np.ones((1, 4)))
    array([[1., 1., 1., 1.]], dtype=float32)
    """

    def __init__(self, rate: float, noise_shape=None, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self.rate = fraction(rate, "Dropout", "rate")
        self.noise_shape = (
            None
            if noise_shape is None
            else tuple(
                None if n is None else integer(n, "Dropout", "noise_shape") for n in noise_shape
            )
        )
        self.seed = seed

    def build(self, input_shape):
        self.check_input(input_shape)

    def check_input(self, shape):
        super().check_input(shape)
        noise = shape if self.noise_shape is None else self.noise_shape
        if len(noise) != len(shape) or any(
            None not in (k, n) and k not in (1, n) for k, n in zip(noise, shape, strict=True)
        ):
            raise ValueError(
                f"{self!r} expects noise_shape to be, along each axis, 1, None or the input's "
                f"length, and got an input of {show_shape(shape[1:])}"
            )

    def forward(self, x, ctx=INFERENCE):
        if not ctx.training or self.rate == 0:
            return x, None
        shape = x.shape
        if self.noise_shape is not None:
            shape = tuple(
                n if k is None else k for k, n in zip(self.noise_shape, x.shape, strict=True)
            )
        kept = self.rng.random(shape, np.float32) >= self.rate
        scale = 1 / (1 - self.rate) if self.rate < 1 else 0.0
        k = np.multiply(kept, scale, dtype=x.dtype)
        return x * k, k

    def backward(self, dy, k):
        return dy if k is None else dy * k
