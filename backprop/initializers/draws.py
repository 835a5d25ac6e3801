"""Initial values drawn from a distribution that knows nothing of the array's fans."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np

from backprop import random
from backprop.arguments import Convert
from backprop.checks import Number, NumberFromZero
from backprop.initializers.initializer import Initializer, float_or

Array = np.ndarray


# standard deviation of a standard normal variable that is cut off at two of its standard deviations
TRUNCATED_STDDEV = 0.87962566103423978


def seed_of(value: Any, who: str, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{who} expects {name} to be an integer or None, got {value!r}")
    if value < 0:
        raise ValueError(f"{who} expects a {name} that is not negative, got {value!r}")
    return value  # type: ignore[return-value] - one of NumPy stays what it is


Seed = Annotated[int | None, Convert(seed_of)]


class RandomInitializer(Initializer, kw_only=True, by_position=True):
    """w[i] ~ a distribution; the base of the initializers that draw.

    Parameters
    ----------
    seed : int, optional
        With it every call makes the same draw. Without it, draws come from the generator that is
        handed in.
    """

    seed: Seed = None

    def generator(self, rng: np.random.Generator | None) -> np.random.Generator:
        return random.generator(rng if self.seed is None else int(self.seed))

    def __call__(
        self, shape: Sequence[int], dtype=None, rng: np.random.Generator | None = None
    ) -> Array:
        return self.draw(tuple(shape), self.generator(rng)).astype(float_or(dtype), copy=False)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """A fresh float64 array of the given shape."""
        raise TypeError(
            f"{type(self).__name__} has no draw(self, shape, rng): write one that returns an array"
        )


class RandomNormal(RandomInitializer):
    """w[i] ~ N(mean, stddev²).

    Parameters
    ----------
    mean : float, default 0.0
    stddev : float, default 0.05
    seed : int, optional
        With it every call makes the same draw.

    Examples
    --------
    >>> RandomNormal(stddev=0.1, seed=0)((3,)).round(4)
    array([ 0.0126, -0.0132,  0.064 ], dtype=float32)
    """

    mean: Number = 0.0
    stddev: NumberFromZero = 0.05

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return rng.normal(self.mean, self.stddev, shape)


class RandomUniform(RandomInitializer):
    """w[i] ~ U[minval, maxval).

    Parameters
    ----------
    minval, maxval : float, default -0.05 and 0.05
    seed : int, optional
        With it every call makes the same draw.

    Examples
    --------
    >>> RandomUniform(0, 1, seed=0)((3,)).round(4)
    array([0.637 , 0.2698, 0.041 ], dtype=float32)
    """

    minval: Number = -0.05
    maxval: Number = 0.05

    def __post_init__(self):
        if self.minval > self.maxval:
            raise ValueError(
                f"{type(self).__name__} expects minval to be at most maxval, got {self.minval!r} "
                f"and {self.maxval!r}"
            )

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return rng.uniform(self.minval, self.maxval, shape)


class TruncatedNormal(RandomInitializer):
    """w[i] ~ N(mean, stddev²), drawn again while it is more than two stddev from the mean.

    The numbers' own standard deviation is therefore 0.8796 stddev.

    Parameters
    ----------
    mean : float, default 0.0
    stddev : float, default 0.05
        Before the truncation.
    seed : int, optional
        With it every call makes the same draw.

    Examples
    --------
    >>> bool(abs(TruncatedNormal(stddev=1.0, seed=0)((1000,))).max() < 2)
    True
    """

    mean: Number = 0.0
    stddev: NumberFromZero = 0.05

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        w = random.within_two(shape, rng)
        w *= self.stddev
        w += self.mean
        return w


class Orthogonal(RandomInitializer):
    """w = gain * Q, where QR = A and A[i, j] ~ N(0, 1).

        w: (..., n), of which all leading axes count as one: (m, n)

    Columns are orthonormal where m >= n, rows where m < n. Turning signs so that R's diagonal is
    positive makes Q uniform over the orthogonal matrices; QR alone does not.

    Parameters
    ----------
    gain : float, default 1.0
    seed : int, optional
        With it every call makes the same draw.

    Raises
    ------
    ValueError
        When the shape has fewer than two axes.

    References
    ----------
    Saxe, McClelland and Ganguli, Exact solutions to the nonlinear dynamics of learning in deep
    linear neural networks, 2014. Mezzadri, How to generate random matrices from the classical
    compact groups, 2007, for the signs.

    Examples
    --------
    >>> w = Orthogonal(seed=0)((4, 2), dtype="float64")
    >>> abs((w.T @ w).round(6))
    array([[1., 0.],
           [0., 1.]])
    """

    gain: Number = 1.0

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        if len(shape) < 2:
            raise ValueError(f"{self!r} needs at least two axes and was asked for shape {shape}")
        m, n = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(rng.standard_normal((max(m, n), min(m, n))))
        q *= np.where(np.diagonal(r) < 0, -self.gain, self.gain)
        return np.ascontiguousarray(q if m >= n else q.T).reshape(shape)
