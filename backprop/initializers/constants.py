"""Initial values that nothing draws: numbers, the identity, an array, what a function makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import numpy as np

from backprop import checks
from backprop.arguments import Convert
from backprop.checks import Number, where
from backprop.initializers.initializer import Initializer, accepting_rng, float_or, real

Array = np.ndarray


class Zeros(Initializer):
    """w = 0.

    Examples
    --------
    >>> Zeros()((2,))
    array([0., 0.], dtype=float32)
    """

    def __call__(
        self, shape: Sequence[int], dtype=None, rng: np.random.Generator | None = None
    ) -> Array:
        return np.zeros(shape, float_or(dtype))


class Ones(Initializer):
    """w = 1.

    Examples
    --------
    >>> Ones()((2,), dtype="float64")
    array([1., 1.])
    """

    def __call__(
        self, shape: Sequence[int], dtype=None, rng: np.random.Generator | None = None
    ) -> Array:
        return np.ones(shape, float_or(dtype))


def filling(value: Any, who: str, name: str) -> Any:
    """A number as it is, or an array of some."""
    return value if checks.is_real(value) else checks.array(value, who, name)


class Constant(Initializer):
    """w = value.

    Parameters
    ----------
    value : float or array_like, default 0.0
        An array must broadcast to the shape that is asked for.

    Examples
    --------
    >>> Constant(3)((2,))
    array([3., 3.], dtype=float32)
    """

    value: Annotated[Any, Convert(filling)] = 0.0

    def __call__(
        self, shape: Sequence[int], dtype=None, rng: np.random.Generator | None = None
    ) -> Array:
        return np.full(shape, self.value, float_or(dtype))


class Identity(Initializer):
    """w[i, j] = gain where i = j, else 0. For matrices only; they need not be square.

    Parameters
    ----------
    gain : float, default 1.0

    Raises
    ------
    ValueError
        When the shape does not have two axes.

    Examples
    --------
    >>> Identity(gain=2)((2, 3))
    array([[2., 0., 0.],
           [0., 2., 0.]], dtype=float32)
    """

    gain: Number = 1.0

    def __call__(
        self, shape: Sequence[int], dtype=None, rng: np.random.Generator | None = None
    ) -> Array:
        if len(shape) != 2:
            raise ValueError(
                f"{self!r} makes matrices and was asked for shape {tuple(shape)}; "
                "use another initializer there"
            )
        w = np.eye(*shape, dtype=float_or(dtype))
        w *= self.gain
        return w


def entries(value: Any, who: str, name: str) -> Array:
    """An array of numbers in the dtype that it has."""
    try:
        found = np.asarray(value)
    except ValueError:
        found = None
    if found is None or found.dtype.kind not in "biuf":
        raise ValueError(f"{who} expects {name} to be an array of numbers, got {value!r}")
    return found


class Values(Initializer):
    """w = value, whose shape must be exactly the one asked for; what `get` makes of an array."""

    value: Annotated[Any, Convert(entries)]

    def __call__(
        self, shape: Sequence[int], dtype=None, rng: np.random.Generator | None = None
    ) -> Array:
        if tuple(shape) != self.value.shape:
            raise ValueError(
                f"an array of shape {self.value.shape} was given as initializer "
                f"and shape {tuple(shape)} is needed"
            )
        return real(self.value, self, dtype).copy()


class FromFunction(Initializer):
    """w = fn(shape, dtype), for a function of the user's; what `get` makes of it.

    Parameters
    ----------
    fn : callable
        ``fn(shape, dtype=None)``; where it also has an argument `rng`, it is given the generator.
    """

    fn: Annotated[Callable, where(callable, "{name} to be a function")]

    def __call__(
        self, shape: Sequence[int], dtype=None, rng: np.random.Generator | None = None
    ) -> Array:
        w = real(accepting_rng(self.fn)(shape, dtype=dtype, rng=rng), self.fn, dtype)
        if w.shape != tuple(shape):
            raise ValueError(
                f"the initializer {self.fn!r} was asked for shape {tuple(shape)} "
                f"and returned {w.shape}"
            )
        return w.copy()
