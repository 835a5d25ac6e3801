"""Which bridge carries which layer: read from the tables of the bridges, for the documentation."""

from __future__ import annotations

from backprop.interop import onnx_export
from backprop.interop.onnx_writing import EMITTERS
from backprop.layers import registry

__all__ = ["carried", "onnx_export"]


def carried() -> list[str]:
    """The layers that a file of ONNX can hold, by name.

    Examples
    --------
    >>> from backprop.interop.onnx_table import carried
    >>> "Dense" in carried(), "Sparsemax" in carried()
    (True, False)
    """
    return sorted(name for name, cls in registry.classes.items() if cls in EMITTERS)
