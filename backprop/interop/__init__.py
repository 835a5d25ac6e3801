"""Bridges to other libraries: Keras' files, and estimators for scikit-learn.

    from backprop.interop import BackpropClassifier

`BackpropClassifier`, `BackpropRegressor` and `BackpropTransformer` need the extra ``sklearn``,
which is imported when one of them is first asked for.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backprop.interop.estimators import (
        BackpropClassifier,
        BackpropRegressor,
        BackpropTransformer,
    )

__all__ = ["BackpropClassifier", "BackpropRegressor", "BackpropTransformer"]

HOMES = dict.fromkeys(__all__, "estimators")  # the file or folder here that has a name


def __getattr__(name: str) -> Any:
    if name in HOMES:
        found = getattr(importlib.import_module(f"{__name__}.{HOMES[name]}"), name)
        globals()[name] = found
        return found
    from backprop.absent import refuse

    raise refuse(__name__, name, sys._getframe(1))


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
