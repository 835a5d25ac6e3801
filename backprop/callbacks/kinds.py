"""What the state of a callback may hold, by name: a backup may come from anybody."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

Kind = Callable[[Any], bool]
MOST = 2**53  # what is counted


def count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST


def number(value: Any) -> bool:
    """Of any size, NaN too."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def text(value: Any) -> bool:
    return isinstance(value, str)


def array(value: Any) -> bool:
    """Of numbers, or of what is so or not."""
    return isinstance(value, np.ndarray) and value.dtype.kind in "fiub"


def anything(value: Any) -> bool:
    """For what the callback looks at by itself."""
    return True


def optional(kind: Kind) -> Kind:
    return lambda value: value is None or kind(value)


def each(kind: Kind) -> Kind:
    """A list of them."""
    return lambda value: isinstance(value, list) and all(map(kind, value))


def named(kind: Kind) -> Kind:
    """A dictionary of them by name."""
    return lambda value: isinstance(value, dict) and all(map(kind, value.values()))


TABLE = each(each(number))


def check(state: Mapping[str, Any], kinds: Iterable[str], who: str) -> None:
    """Raise unless each value of a state is of its kind, where kinds are said."""
    if isinstance(kinds, Mapping):
        for name, value in state.items():
            if not kinds[name](value):
                raise ValueError(f"{who} cannot have counted {name}={reprlib.repr(value)}")
