"""Bridges to other libraries: Keras, PyTorch, ``.safetensors``, ONNX and scikit-learn's estimators.

    from backprop.interop import BackpropClassifier, to_onnx

Files of Keras and ``.safetensors`` are read and written by `backprop.saving`; here is what is
called by name. Each asks for the package of the other library when it is first used.
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
    from backprop.interop.live.keras_models import from_keras, to_keras
    from backprop.interop.live.torch_export import to_torch
    from backprop.interop.live.torch_import import from_torch
    from backprop.interop.onnx_export import to_onnx
    from backprop.interop.onnx_import import from_onnx

__all__ = [
    "BackpropClassifier",
    "BackpropRegressor",
    "BackpropTransformer",
    "from_keras",
    "from_onnx",
    "from_torch",
    "to_keras",
    "to_onnx",
    "to_torch",
]

HOMES = {
    "from_keras": "live.keras_models",
    "from_onnx": "onnx_import",
    "from_torch": "live.torch_import",
    "to_keras": "live.keras_models",
    "to_onnx": "onnx_export",
    "to_torch": "live.torch_export",
}


def __getattr__(name: str) -> Any:
    if name in __all__:
        home = HOMES.get(name, "estimators")
        found = getattr(importlib.import_module(f"{__name__}.{home}"), name)
        globals()[name] = found
        return found
    from backprop.absent import refuse

    raise refuse(__name__, name, sys._getframe(1))


def __dir__() -> list[str]:
    return sorted(__all__)
