"""Layers that merge several arrays into one.

`shared` says how many arrays there may be and which shapes meet, `elementwise` merges number by
number, `concatenate` one behind the other, and `dot` by products of matrices. `functions` makes
such a layer and calls it.
"""

from __future__ import annotations

from backprop.layers.merging.concatenate import Concatenate
from backprop.layers.merging.dot import Dot
from backprop.layers.merging.elementwise import (
    Add,
    Average,
    Divide,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
)
from backprop.layers.merging.functions import (
    add,
    average,
    concatenate,
    dot,
    maximum,
    minimum,
    multiply,
    subtract,
)
from backprop.layers.merging.matmul import Matmul

__all__ = [
    "Add",
    "Average",
    "Concatenate",
    "Divide",
    "Dot",
    "Matmul",
    "Maximum",
    "Minimum",
    "Multiply",
    "Subtract",
    "add",
    "average",
    "concatenate",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]
