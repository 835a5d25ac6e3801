"""f(y_true, y_pred) = what each sample costs: the losses as functions, under Keras' names.

y_true and y_pred are (..., k), or class numbers (...) and (..., k); the result is (...). A function
stands behind its class and takes what the class declares. It makes an object at each call and
returns `Loss.per_sample`: a loop that calls one often should keep the object instead.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

import numpy as np

from backprop.arguments import BY_POSITION, EMPTY, parameters_of
from backprop.losses.loss import Loss
from backprop.spelling import snake_case

Array = np.ndarray
Options = ParamSpec("Options")


def function_of(
    loss: Callable[Options, Loss], arguments: str, values: str, defaults: bool = True
) -> Callable[Concatenate[Any, Any, Options], Array]:
    """A loss as a function of y_true, y_pred and the arguments that are the class' own.

    Parameters
    ----------
    loss : type
    arguments, values : str
        Those of a call, and what it gives: the function's example.
    defaults : bool, default True
        Whether the function has those of the class.
    """
    assert isinstance(loss, type)
    name = snake_case(loss.__name__)
    options = [p.replace(kind=BY_POSITION) for p in options_of(loss).values()]
    if not defaults:
        options = [p.replace(default=EMPTY) for p in options]
    both = [inspect.Parameter(n, BY_POSITION) for n in ("y_true", "y_pred")]
    signature = inspect.Signature([*both, *options], return_annotation=Array)

    def function(*args, **kwargs):
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"{name}() {error}") from None
        y_true, y_pred = given.pop("y_true"), given.pop("y_pred")
        found = loss(**given)
        y_true, y_pred = found.as_arrays(y_true, y_pred)
        found.check_labels(y_true, y_pred.shape)
        return found.per_sample(y_true, y_pred)

    function.__name__ = function.__qualname__ = name
    function.__module__ = loss.__module__
    function.__signature__ = signature
    function.__doc__ = documented(loss, name, arguments, values)
    return function


def options_of(loss: type[Loss]) -> dict[str, inspect.Parameter]:
    """The arguments that not every loss has."""
    shared = parameters_of(Loss)
    return {n: p for n, p in parameters_of(loss).items() if n not in shared}


def documented(loss: type, name: str, arguments: str, values: str) -> str:
    formula = (inspect.getdoc(loss) or "").partition("\n\n")[0].removeprefix("values = ")
    return f"""{formula}

What each sample costs, (n, ...); for the arguments see `{loss.__name__}`.

Examples
--------
>>> from backprop.losses import {name}
>>> {name}({arguments}).round(6).tolist()
{values}
"""
