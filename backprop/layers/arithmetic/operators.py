"""What operators between symbolic arrays stand for: a layer, called on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backprop.layer import Layer
from backprop.layers.arithmetic.constants import (
    Absolute,
    AddConstant,
    DivideBy,
    DivideInto,
    MultiplyBy,
    PowerOf,
    RaiseTo,
    SubtractFrom,
    constant,
)
from backprop.layers.arithmetic.slices import Slice, written
from backprop.layers.merging import Add, Divide, Multiply, Subtract
from backprop.symbols import OPERATORS, Symbol

Make = Callable[..., Layer]


def minus(value: Any) -> Layer:
    return AddConstant(-constant(value, "x - c", "c"))


def operator(both: Make, before: Make, behind: Make) -> Callable[[Any, Any], Any]:
    """An operator of two symbolic arrays, of one before a constant, and of one behind it."""

    def operate(a: Any, b: Any) -> Any:
        if isinstance(a, Symbol) and isinstance(b, Symbol):
            return both()([a, b])
        return before(b)(a) if isinstance(a, Symbol) else behind(a)(b)

    return operate


def no_power() -> Layer:
    raise TypeError(
        "x ** y has a symbolic array for x or for y, and a number for the other: write a layer of "
        "your own for both"
    )


OPERATORS |= {
    "add": operator(Add, AddConstant, AddConstant),
    "subtract": operator(Subtract, minus, SubtractFrom),
    "multiply": operator(Multiply, MultiplyBy, MultiplyBy),
    "divide": operator(Divide, DivideBy, DivideInto),
    "power": operator(no_power, RaiseTo, PowerOf),
    "negative": lambda a: MultiplyBy(-1)(a),
    "absolute": lambda a: Absolute()(a),
    "getitem": lambda a, index: Slice(written(index))(a),
}
