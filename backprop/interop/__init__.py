"""Bridges to other libraries: Keras' files, and estimators for scikit-learn.

    from backprop.interop import BackpropClassifier

`BackpropClassifier`, `BackpropRegressor` and `BackpropTransformer` need the extra ``sklearn``,
which is imported when one of them is first asked for.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

HOMES = {  # each name, and the file or folder here that has it
    "BackpropClassifier": "estimators",
    "BackpropRegressor": "estimators",
    "BackpropTransformer": "estimators",
}

__all__ = list(HOMES)


def __getattr__(name: str) -> Any:
    if name in HOMES:
        found = getattr(importlib.import_module(f"{__name__}.{HOMES[name]}"), name)
        globals()[name] = found
        return found
    from backprop.absent import refuse

    raise refuse(__name__, name, sys._getframe(1))


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
