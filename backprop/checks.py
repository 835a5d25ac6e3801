"""Checks of arguments at the border, so that every constructor refuses the same things with the
same words; and the types of declared arguments that are checked so."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import numpy as np

from backprop.arguments import Convert
from backprop.spelling import snake_case


def integer(value: Any, who: str, name: str, least: int = 1) -> int:
    """`value` as an int of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        kind = {0: "an integer that is not negative", 1: "a positive integer"}.get(
            least, f"an integer of at least {least}"
        )
        raise ValueError(f"{who} expects {name} to be {kind}, got {value!r}")
    return int(value)


def integers(value: Any, length: int, who: str, name: str) -> tuple[int, ...]:
    """One positive integer for all axes, or one for each: always a tuple."""
    values = (value,) * length if isinstance(value, int | np.integer) else value
    if not isinstance(values, Iterable) or len(values := tuple(values)) != length:
        raise ValueError(
            f"{who} expects {name} to be an integer or {length} of them, got {value!r}"
        )
    return tuple(integer(v, who, name) for v in values)


def index(value: Any, who: str, name: str) -> int:
    """`value` as an int, which may be negative: it counts from the end then."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{who} expects {name} to be an integer, got {value!r}") from None


def fraction(value: Any, who: str, name: str) -> float:
    """`value` as a float in [0, 1]."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float | np.number)
        or not 0 <= value <= 1
    ):
        raise ValueError(f"{who} expects {name} to be a number from 0 to 1, got {value!r}")
    return float(value)


def number(value: Any, who: str, name: str, least: float = -np.inf, above: bool = False) -> float:
    """`value` as a finite float of at least `least`, or above it."""
    good = (
        isinstance(value, int | float | np.number)
        and not isinstance(value, bool)
        and np.isfinite(value)
    )
    if not good or value < least or (above and value == least):
        bound = "" if least == -np.inf else f" {'above' if above else 'of at least'} {least:g}"
        raise ValueError(f"{who} expects {name} to be a finite number{bound}, got {value!r}")
    return float(value)


def one_of(value: Any, choices: tuple, who: str, name: str) -> Any:
    """`value`, if it is one of the choices."""
    if isinstance(value, np.ndarray) or value not in choices:
        raise ValueError(
            f"{who} expects {name} to be one of {', '.join(map(repr, choices))}, got {value!r}"
        )
    return value


Index = Annotated[int, Convert(index)]
Positive = Annotated[int, Convert(integer)]
NotNegative = Annotated[int, Convert(integer, least=0)]
Number = Annotated[float, Convert(number)]
NumberFromZero = Annotated[float, Convert(number, least=0)]
NumberAboveZero = Annotated[float, Convert(number, least=0, above=True)]
Fraction = Annotated[float, Convert(fraction)]
# a name, which is that of the class in snake case where none is given
Name = Annotated[Any, Convert(lambda value, who, name: value or snake_case(who), none=True)]


def choice(*choices: Any) -> Convert:
    """In a type: one of these values, ``Annotated[str, choice("valid", "same")]``."""

    def check(value, who, name):
        return one_of(value, choices, who, name)

    return Convert(check, none=None in choices)


def per_axis(length: int) -> Convert:
    """In a type: one positive integer for all axes, or one for each."""
    return Convert(lambda value, who, name: integers(value, length, who, name))


def where(test: Callable[[Any], Any], expected: str) -> Convert:
    """In a type: values that pass a test, ``where(lambda v: v > 0, "a positive {name}")``."""

    def check(value, who, name):
        try:
            passed = test(value)
        except TypeError:  # a text has no size
            passed = False
        if not passed:
            raise ValueError(f"{who} expects {expected.format(name=name)}, got {value!r}")
        return value

    return Convert(check)
