"""The options of `compile`, `fit` and `evaluate`, checked and brought into one form."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from backprop.checks import integer, one_of
from backprop.training.data import is_array_like, unpack_x_y_sample_weight


def at_least_one(value: Any, who: str, name: str) -> int | None:
    return None if value is None else integer(value, who, name)


def validation_arrays(given: Any, without_y: bool = False) -> tuple:
    """`(x, y, sample_weight)`, or an iterable of batches as x, and no others."""
    batches = isinstance(given, list) and any(isinstance(item, tuple) for item in given[:1])
    if isinstance(given, list | tuple) and not batches:
        x, y, w = unpack_x_y_sample_weight(given)
        if y is not None or without_y:
            return x, y, w
    elif without_y or batches or not is_array_like(given):
        return given, None, None
    raise ValueError(
        "expected (x, y), (x, y, sample_weight) or an iterable of such batches; y is missing"
    )


def verbosity(verbose: Any, who: str) -> int:
    return 1 if verbose == "auto" else int(one_of(verbose, ("auto", 0, 1, 2), who, "verbose"))


def check_frequency(freq: Any) -> None:
    """Raise unless it is what `due` takes."""
    for n in freq if isinstance(freq, list | tuple | set) else [freq]:
        integer(n, "fit()", "validation_freq")


def only(given: Any, what: str) -> Any:
    """What is given for the one output of a Sequential, alone or in a list."""
    if isinstance(given, list | tuple) and len(given) == 1:
        given = given[0]
    if isinstance(given, list | tuple) or (
        isinstance(given, Mapping) and "class_name" not in given
    ):
        raise TypeError(
            f"a Sequential has one output, so compile() takes one {what}, got {given!r}"
        )
    return given


def number(loss_weight: Any) -> float:
    """The weight of the loss."""
    if not isinstance(loss_weight, int | float | np.number):
        raise ValueError(f"compile() expects a number as loss_weights, got {loss_weight!r}")
    return float(loss_weight)


def listed(given: Any) -> list:
    """The metrics of the one output, which Keras takes in a list of their own too."""
    return [m for item in given or () for m in (item if isinstance(item, list | tuple) else [item])]


def warn_of_unused(steps: Any, batch_size: Any, freq: Any) -> None:
    """Say that arguments of `fit` for a validation do nothing without one."""
    given = {"steps": steps, "batch_size": batch_size, "freq": None if freq == 1 else freq}
    for name, value in given.items():
        if value is not None:
            warnings.warn(
                f"validation_{name}={value!r} does nothing: give fit() validation_data or "
                "validation_split",
                stacklevel=5,
            )


def flat(callbacks: Any) -> list:
    return (
        []
        if callbacks is None
        else list(callbacks)
        if isinstance(callbacks, list | tuple)
        else [callbacks]
    )


def due(epoch: int, freq: int | list[int]) -> bool:
    """Whether an epoch ends with a validation: every `freq`-th, or those of a list, from 1."""
    return (epoch + 1) in freq if isinstance(freq, list | tuple | set) else (epoch + 1) % freq == 0
