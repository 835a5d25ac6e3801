"""w[i] = class_weight[class of i]: weights of classes as weights of samples, or of their steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from backprop.layer import Array

ClassWeight = dict[int, float] | str | None


def read_class_weight(given: Any) -> ClassWeight:
    """A mapping of class numbers to weights, ``"balanced"`` or None; anything else is an error.

    Examples
    --------
    >>> read_class_weight({0.0: 1, np.int64(1): 5.0})
    {0: 1.0, 1: 5.0}
    """
    if given is None or (isinstance(given, str) and given == "balanced"):
        return given
    if not isinstance(given, Mapping):
        advice = "" if isinstance(given, str) else "; write dict(enumerate(class_weight))"
        raise TypeError(
            "class_weight expects a weight for each class, such as {0: 1.0, 1: 5.0}, or "
            f"'balanced', got {given!r}{advice}"
        )
    return {class_number(label): weight_of(label, weight) for label, weight in given.items()}


def class_number(label: Any) -> int:
    if not isinstance(label, int | float | np.number | np.bool_) or label != np.rint(label):
        raise ValueError(
            "class_weight expects class numbers as keys, as they stand in y, got "
            f"{label!r}; of names make numbers: np.unique(y, return_inverse=True)"
        )
    return int(label)


def weight_of(label: Any, weight: Any) -> float:
    if not isinstance(weight, int | float | np.number) or not np.isfinite(weight):
        raise ValueError(f"class_weight expects a number for class {label}, got {weight!r}")
    return float(weight)


def balanced(numbers: Array) -> dict[int, float]:
    """n / (k n_c) for each of the k classes that occur, n_c times each: as scikit-learn has it.

    Examples
    --------
    >>> balanced(np.array([0, 0, 0, 2]))
    {0: 0.6666666666666666, 2: 2.0}
    """
    found, counts = np.unique(numbers, return_counts=True)
    weights = numbers.size / (len(found) * counts)
    return dict(zip(found.tolist(), weights.tolist(), strict=True))


def sample_weights(
    numbers: Array, known: list[int] | None, class_weight: dict[int, float], dtype: Any
) -> Array:
    """A weight for each class number; classes that are not named weigh 1.

    Parameters
    ----------
    numbers : ndarray of int
    known : list of int, optional
        The classes that there are: another one in `class_weight` is an error.
    class_weight : dict of int to float
    dtype
        Of the weights.
    """
    weights = np.ones(numbers.shape, dtype)
    for label, weight in class_weight.items():
        if known is not None and label not in known:
            raise ValueError(
                f"class_weight names class {label}, and the classes here are "
                f"{', '.join(map(str, known)) if len(known) < 9 else f'0 to {max(known)}'}"
            )
        weights[numbers == label] = weight
    return weights
