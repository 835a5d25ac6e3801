"""The parameters of an estimator, checked when it is fitted, as scikit-learn has it."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from backprop import checks
from backprop.interop.estimators.networks import OF_OWN, asked_for
from backprop.models.base import BaseModel
from backprop.optimizers import Optimizer

FLAGS = ("standardize", "shuffle", "warm_start", "nesterovs_momentum", "early_stopping")


def sizes_of(e: Any) -> list[int]:
    """`hidden_layer_sizes` as a list."""
    given = e.hidden_layer_sizes
    given = [given] if np.isscalar(given) else given
    who = type(e).__name__
    return [checks.integer(n, who, "hidden_layer_sizes") for n in given]


def check(e: Any) -> None:
    """Raise unless every parameter is what it may be.

    Raises
    ------
    ValueError, TypeError
        With the name of the parameter, what it may be and what it is.
    """
    who = type(e).__name__
    sizes_of(e)
    for name in FLAGS:
        checks.flag(getattr(e, name), who, name)
    for name in ("max_iter", "max_fun"):
        checks.integer(getattr(e, name), who, name)
    for name in ("alpha", "tol", "power_t"):
        checks.number(getattr(e, name), who, name, least=0)
    for name in ("learning_rate_init", "epsilon"):
        checks.number(getattr(e, name), who, name, least=0, above=True)
    for name in ("beta_1", "beta_2", "dropout", "validation_fraction"):
        below_one(e, who, name)
    if not 0 <= checks.number(e.momentum, who, "momentum") <= 1:
        raise ValueError(f"{who} expects momentum from 0 to 1, got {e.momentum!r}")
    if e.n_iter_no_change != np.inf:
        checks.integer(e.n_iter_no_change, who, "n_iter_no_change")
    if not (isinstance(e.batch_size, str) and e.batch_size == "auto"):
        checks.integer(e.batch_size, who, "batch_size")
    checks.one_of(e.learning_rate, ("constant", "invscaling", "adaptive"), who, "learning_rate")
    if e.learning_rate != "constant" and e.solver != "sgd":
        raise ValueError(
            f"{who}: learning_rate={e.learning_rate!r} is for solver='sgd', got solver="
            f"{e.solver!r}; a rate that falls with another is a schedule: "
            "solver=optimizers.Adam(optimizers.schedules.CosineDecay(...))"
        )
    if not isinstance(e.solver, str | Optimizer):
        raise TypeError(f"{who} expects solver to be a name or an Optimizer, got {e.solver!r}")
    check_builder(e, who)


def below_one(e: Any, who: str, name: str) -> None:
    value = checks.number(getattr(e, name), who, name)
    if not 0 <= value < 1:
        raise ValueError(f"{who} expects {name} from 0 to below 1, got {value!r}")


def check_builder(e: Any, who: str) -> None:
    """Raise for parameters that would be ignored beside `model`, or without it."""
    if e.model is None:
        if e.model_params:
            raise ValueError(f"{who}: model_params are arguments of model=, which is None")
        return
    asked = asked_for(e.model) if not isinstance(e.model, BaseModel) and callable(e.model) else ()
    defaults = inspect.signature(type(e)).parameters
    for name in OF_OWN:
        if name not in asked and repr(getattr(e, name)) != repr(defaults[name].default):
            raise ValueError(
                f"{who}: {name}={getattr(e, name)!r} is for the network of hidden_layer_sizes, and "
                f"model= makes another: let it take an argument {name}, or leave it out"
            )
