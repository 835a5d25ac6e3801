"""The layers that ``+ - * / ** % @`` and slices of symbolic arrays stand for.

`constants` is arithmetic with a number or an array, `slices` cuts parts out, and `operators` says
which layer an operator makes; two symbolic arrays are merged by the layers of `merging`.
"""

from __future__ import annotations

from backprop.layers.arithmetic import operators as operators
from backprop.layers.arithmetic.constants import (
    Absolute,
    AddConstant,
    DivideBy,
    DivideInto,
    Identity,
    MatmulConstant,
    MultiplyBy,
    PowerOf,
    RaiseTo,
    Remainder,
    SubtractFrom,
)
from backprop.layers.arithmetic.slices import Slice

__all__ = [
    "Absolute",
    "AddConstant",
    "DivideBy",
    "DivideInto",
    "Identity",
    "MatmulConstant",
    "MultiplyBy",
    "PowerOf",
    "RaiseTo",
    "Remainder",
    "Slice",
    "SubtractFrom",
]
