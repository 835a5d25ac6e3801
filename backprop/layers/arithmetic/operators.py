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
    MatmulConstant,
    MultiplyBy,
    PowerOf,
    RaiseTo,
    Remainder,
    SubtractFrom,
    constant,
)
from backprop.layers.arithmetic.slices import Slice, written
from backprop.layers.merging import Add, Divide, Matmul, Multiply, Subtract
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


def matrix_first(value: Any) -> Layer:
    return MatmulConstant(value, first=True)


def by_a_number() -> Layer:
    raise TypeError(
        "x % y has a symbolic array for x and a number, or an array of such, for y: write a layer "
        "of your own for others"
    )


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
    "remainder": operator(by_a_number, Remainder, lambda value: by_a_number()),
    "matmul": operator(Matmul, MatmulConstant, matrix_first),
    "negative": lambda a: MultiplyBy(-1)(a),
    "absolute": lambda a: Absolute()(a),
    "getitem": lambda a, index: Slice(written(index))(a),
}
