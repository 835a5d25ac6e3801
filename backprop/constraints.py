"""Projections of parameters: w = project(w) after each step of the optimizer.

The norms are those of the vectors along `axis`: 0 for a Dense kernel (in, out), whose columns lead
to one unit each; (0, 1, 2) for a Conv2D kernel (h, w, in, out). The snake-case names
(`constraints.max_norm`) are the classes themselves, as in Keras.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np

from backprop.absent import face
from backprop.arguments import Convert
from backprop.checks import Axes, Fraction, where
from backprop.config import Configurable, Registry

Array = np.ndarray

EPSILON = 1e-7  # Keras', added to each norm before dividing by it


class Constraint(Configurable):
    """w = project(w): the base of all constraints.

    A subclass writes `__call__(self, w)`, which returns a new array and leaves `w` alone.

    Examples
    --------
    >>> import numpy as np
    >>> class AtMostOne(Constraint):
    ...     def __call__(self, w):
    ...         return np.minimum(w, 1)
    >>> AtMostOne()(np.array([0.5, 2.0]))
    array([0.5, 1. ])
    """

    def __call__(self, w: Array) -> Array:
        """The projection of `w`: a new array of its shape and dtype."""
        return w.copy()


def norms(w: Array, axis: int | Sequence[int] | None) -> Array:
    """sqrt(Σ w²) along `axis`, which stays. Scaled by the largest entry: no square overflows."""
    axis = tuple(axis) if isinstance(axis, Sequence) else axis
    top = np.abs(w).max(axis, keepdims=True, initial=0)
    top[top == 0] = 1
    scaled = w / top
    scaled *= scaled
    return top * np.sqrt(scaled.sum(axis, keepdims=True))


Bound = Annotated[float, where(lambda v: v >= 0, "{name} not to be negative")]


class MaxNorm(Constraint):
    """w = w * min(|w|, max_value) / |w|, with |w| the norm along `axis`.

    Parameters
    ----------
    max_value : float, default 2
        The longest that a vector may be.
    axis : int or sequence of int, default 0

    References
    ----------
    Srivastava et al., Dropout: a simple way to prevent neural networks from overfitting, 2014,
    section 5.1.

    Examples
    --------
    >>> import numpy as np
    >>> MaxNorm(1.0)(np.array([[3.0, 0.3], [4.0, 0.4]])).round(4)
    array([[0.6, 0.3],
           [0.8, 0.4]])
    """

    max_value: Bound = 2
    axis: Axes | None = 0

    def __call__(self, w: Array) -> Array:
        norm = norms(w, self.axis)
        return w * (np.minimum(norm, self.max_value) / (EPSILON + norm))


class NonNeg(Constraint):
    """w = max(w, 0).

    Examples
    --------
    >>> import numpy as np
    >>> NonNeg()(np.array([-1.0, 2.0]))
    array([0., 2.])
    """

    def __call__(self, w: Array) -> Array:
        return np.maximum(w, 0)


class UnitNorm(Constraint):
    """w = w / |w|, with |w| the norm along `axis`.

    Parameters
    ----------
    axis : int or sequence of int, default 0

    Examples
    --------
    >>> import numpy as np
    >>> UnitNorm()(np.array([[3.0], [4.0]])).round(4)
    array([[0.6],
           [0.8]])
    """

    axis: Axes | None = 0

    def __call__(self, w: Array) -> Array:
        return w / (EPSILON + norms(w, self.axis))


class MinMaxNorm(Constraint):
    """w = w * (rate * clip(|w|, min_value, max_value) + (1 - rate) * |w|) / |w|, |w| along `axis`.

    Parameters
    ----------
    min_value, max_value : float, default 0.0 and 1.0
        The shortest and longest that a vector may be.
    rate : float, default 1.0
        From 0 to 1: how much of the way to the allowed range one call goes.
    axis : int or sequence of int, default 0

    Examples
    --------
    >>> import numpy as np
    >>> MinMaxNorm(0.5, 1.0)(np.array([[0.1, 0.7, 5.0]])).round(4)
    array([[0.5, 0.7, 1. ]])
    """

    min_value: Bound = 0.0
    max_value: Bound = 1.0
    rate: Fraction = 1.0
    axis: Axes | None = 0

    def __post_init__(self):
        if self.min_value > self.max_value:
            raise ValueError(
                f"MinMaxNorm expects min_value <= max_value, got {self.min_value!r} and "
                f"{self.max_value!r}"
            )

    def __call__(self, w: Array) -> Array:
        norm = norms(w, self.axis)
        wanted = self.rate * np.clip(norm, self.min_value, self.max_value) + (1 - self.rate) * norm
        return w * (wanted / (EPSILON + norm))


# ---------------------------------------------------------------------------- names

max_norm, non_neg, unit_norm, min_max_norm = MaxNorm, NonNeg, UnitNorm, MinMaxNorm

registry = Registry(
    "constraints", [MaxNorm, NonNeg, UnitNorm, MinMaxNorm], base=Constraint, inputs=(1,)
)


def get(identifier: Any) -> Any:
    """The constraint for a name, a config, a class, an object or a function; None stays None.

    Parameters
    ----------
    identifier : str, mapping, type, Constraint or callable
        A function takes the array and returns a new one.

    Raises
    ------
    ValueError
        For a name that is not known.
    TypeError
        For what is no constraint.

    Examples
    --------
    >>> get("non_neg")
    NonNeg()
    """
    found = registry.get(identifier)
    if found is None or callable(found):
        return found
    raise TypeError(
        f"a constraint is a name, a Constraint or a function of an array; got {identifier!r}"
    )


ConstraintLike = Annotated[Any, Convert(lambda value, who, name: get(value))]


serialize, deserialize = registry.functions("constraint")


__getattr__ = face(__name__, ())[0]
