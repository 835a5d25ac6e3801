"""Bridges to other libraries: Keras' own files, ``.safetensors``, and ONNX.

Files of Keras and ``.safetensors`` are read and written by `backprop.saving`; here are the bridges
that are called by name. Each asks for the package of the other library when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backprop.interop.onnx_export import to_onnx
    from backprop.interop.onnx_import import from_onnx

__all__ = ["from_onnx", "to_onnx"]

HOMES = {"from_onnx": "onnx_import", "to_onnx": "onnx_export"}


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        from backprop.absent import explain

        raise AttributeError(explain(__name__, name, __all__))
    found = getattr(importlib.import_module(f"{__name__}.{HOMES[name]}"), name)
    globals()[name] = found
    return found
