"""Checks of arguments at the border, so that every constructor refuses the same things with the
same words; and the types of declared arguments that are checked so."""

from __future__ import annotations

import numbers
import os
import reprlib
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeGuard

import numpy as np

from backprop.arguments import Convert, of_kinds
from backprop.spelling import snake_case

MOST = 2**63 - 1  # that an array can count
HUGE = 2**1023  # beyond what floats hold


def integer(value: Any, who: str, name: str, least: int = 1, most: int = MOST) -> int:
    """`value` as an int of at least `least` and at most `most`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        kind = {0: "an integer that is not negative", 1: "a positive integer"}.get(
            least, f"an integer of at least {least}"
        )
        raise ValueError(f"{who} expects {name} to be {kind}, got {value!r}")
    if value > most:
        raise ValueError(f"{who} expects {name} to be at most {most:,}, got {value}")
    return int(value)


def sequence(value: Any, who: str, name: str, expected: str = "a list or a tuple") -> list[Any]:
    """The entries of a list, a tuple, a range or an array."""
    if isinstance(value, np.ndarray) and value.ndim:
        value = value.tolist()
    if not isinstance(value, list | tuple | range):
        raise ValueError(f"{who} expects {name} to be {expected}, got {value!r}")
    return list(value)


def integers(value: Any, length: int, who: str, name: str) -> tuple[int, ...]:
    """One positive integer for all axes, or one for each: always a tuple."""
    expected = f"an integer or {length} of them"
    one = isinstance(value, int | np.integer)
    values = [value] * length if one else sequence(value, who, name, expected)
    if len(values) != length:
        raise ValueError(f"{who} expects {name} to be {expected}, got {value!r}")
    return tuple(integer(v, who, name) for v in values)


def sizes(value: Any, who: str, name: str) -> tuple[int, ...]:
    """A shape, as a tuple of integers that are not negative."""
    found = sequence(value, who, name)
    return tuple(integer(n, who, f"each of {name}", least=0) for n in found)


def index(value: Any, who: str, name: str) -> int:
    """`value` as an int, which may be negative: it counts from the end then."""
    return of_kinds(value, who, name, [int])


def axes(value: Any, who: str, name: str) -> int | tuple[int, ...]:
    """An axis, or several of them as a tuple."""
    if isinstance(value, np.ndarray) and value.ndim:
        value = value.tolist()
    if isinstance(value, list | tuple):
        return tuple(index(a, who, f"each of {name}") for a in value)
    return index(value, who, name)


def flag(value: Any, who: str, name: str) -> bool:
    """`value` as True or False."""
    return value if type(value) is bool else of_kinds(value, who, name, [bool])


def fraction(value: Any, who: str, name: str) -> float:
    """`value` as a float in [0, 1]."""
    if not is_real(value) or not 0 <= value <= 1:
        raise ValueError(f"{who} expects {name} to be a number from 0 to 1, got {value!r}")
    return float(value)


def number(value: Any, who: str, name: str, least: float = -np.inf, above: bool = False) -> float:
    """`value` as a finite float of at least `least`, or above it."""
    if (
        not is_real(value)
        or not -np.inf < value < np.inf
        or value < least
        or (above and value == least)
    ):
        bound = "" if least == -np.inf else f" {'above' if above else 'of at least'} {least:g}"
        raise ValueError(f"{who} expects {name} to be a finite number{bound}, got {value!r}")
    return float(value)


def is_real(value: Any) -> TypeGuard[float]:
    """Whether a value is a number that a float can be."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return real and (not isinstance(value, int) or abs(value) < HUGE)


def array(value: Any, who: str, name: str, finite: bool = False) -> np.ndarray:
    """`value` as an array of float64."""
    try:
        found = np.asarray(value)
        if found.dtype.kind not in "biufO":
            raise TypeError
        found = found.astype(np.float64, copy=False)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{who} expects {name} to be numbers, got {value!r}") from None
    if finite and not np.isfinite(found).all():
        raise ValueError(f"{who} expects {name} to be finite, got {value!r}")
    return found


def array_like(value: Any, who: str, name: str) -> Any:
    """`value` as an array of whatever dtype; what NumPy has no shape for is an error."""
    try:
        return np.asarray(value)
    except ValueError:
        raise ValueError(
            f"{who} expects {name} to be an array, or lists of one length in each other, got "
            f"{reprlib.repr(value)}"
        ) from None


def real(value: Any, who: str, name: str) -> np.ndarray:
    """`value` as an array of real numbers or truth values, in the dtype that it has."""
    found = array_like(value, who, name)
    if found.dtype.kind not in "fiub":
        got = f"dtype {found.dtype}" if isinstance(value, np.ndarray) else reprlib.repr(value)
        raise TypeError(f"{who} expects {name} to be real numbers, got {got}")
    return found


def axis_of(axis: Any, ndim: int, who: str, name: str = "axis") -> int:
    """`axis` as an int that is one of so many axes, from the end where it is negative."""
    found = index(axis, who, name)
    if not -ndim <= found < ndim:
        raise ValueError(f"{who} expects {name} to be one of {ndim} axes, got {axis!r}")
    return found


def text(value: Any, who: str, name: str) -> str:
    return value if type(value) is str else of_kinds(value, who, name, [str])


def names(value: Any, who: str, name: str) -> list[str]:
    """The texts of a list or a tuple."""
    found = sequence(value, who, name, "a list of names")
    if not all(isinstance(one, str) for one in found):
        raise ValueError(f"{who} expects {name} to be a list of names, got {value!r}")
    return found


def mapping(value: Any, who: str, name: str) -> Mapping[str, Any]:
    """`value`, if it says something under names."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{who} expects {name} to be a dict, got {reprlib.repr(value)}")
    return value


def as_path(value: Any, who: str, name: str) -> str:
    """A path as text."""
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{who} expects {name} to be a path, got {value!r}")
    found = os.fsdecode(value)
    if "\0" in found:
        raise ValueError(f"{who} expects {name} to be a path without null bytes, got {value!r}")
    return found


def one_of(value: Any, choices: tuple, who: str, name: str) -> Any:
    """`value`, if it is one of the choices."""
    if isinstance(value, np.ndarray) or value not in choices:
        raise ValueError(
            f"{who} expects {name} to be one of {', '.join(map(repr, choices))}, got {value!r}"
        )
    return value


def name_of(value: Any, who: str, name: str) -> str:
    return (None if value is None else of_kinds(value, who, name, [str])) or snake_case(who)


ArrayLike = Annotated[Any, Convert(array_like)]
Axes = Annotated[Any, Convert(axes)]
Axis = Annotated[int, Convert(index)]
Names = Annotated[Any, Convert(names)]
PathLike = Annotated[Any, Convert(as_path)]
Settings = Annotated[Any, Convert(mapping)]
Text = Annotated[str, Convert(text)]
Positive = Annotated[int, Convert(integer)]
NotNegative = Annotated[int, Convert(integer, least=0)]
Number = Annotated[float, Convert(number)]
NumberFromZero = Annotated[float, Convert(number, least=0)]
NumberAboveZero = Annotated[float, Convert(number, least=0, above=True)]
Numbers = Annotated[Any, Convert(array, finite=True)]
Fraction = Annotated[float, Convert(fraction)]
# a name, which is that of the class in snake case where none is given
Name = Annotated[Any, Convert(name_of, none=True)]


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
            beyond = isinstance(value, int) and abs(value) >= HUGE
            passed = not isinstance(value, np.ndarray) and not beyond and test(value)
        except TypeError:  # a text has no size
            passed = False
        if not passed:
            raise ValueError(f"{who} expects {expected.format(name=name)}, got {value!r}")
        return value

    return Convert(check)
