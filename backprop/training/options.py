"""The options of `compile`, `fit` and `evaluate`, checked and brought into one form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from backprop.checks import integer, one_of


def at_least_one(value: Any, who: str, name: str) -> int | None:
    return None if value is None else integer(value, who, name)


def verbosity(verbose: Any, who: str) -> int:
    return 1 if verbose == "auto" else int(one_of(verbose, ("auto", 0, 1, 2), who, "verbose"))


def only(given: Any, what: str, who: str) -> Any:
    """What is given for the one output of a model, alone or in a list."""
    if isinstance(given, list | tuple) and len(given) == 1:
        given = given[0]
    if isinstance(given, list | tuple) or (
        isinstance(given, Mapping) and "class_name" not in given
    ):
        raise TypeError(f"{who} has one output, so compile() takes one {what}, got {given!r}")
    return given


def number(loss_weight: Any) -> float:
    """The weight of the loss."""
    real = isinstance(loss_weight, int | float | np.number) and not isinstance(loss_weight, bool)
    if not (real and np.isfinite(loss_weight)):
        hint = "; metrics are given by name: metrics=[...]" if isinstance(loss_weight, str) else ""
        raise ValueError(f"compile() expects a number as loss_weights, got {loss_weight!r}{hint}")
    return float(loss_weight)


def listed(given: Any) -> list:
    """The metrics of the one output, which Keras takes in a list of their own too."""
    return [m for item in given or () for m in (item if isinstance(item, list | tuple) else [item])]


def flat(callbacks: Any) -> list:
    return (
        []
        if callbacks is None
        else list(callbacks)
        if isinstance(callbacks, list | tuple)
        else [callbacks]
    )
