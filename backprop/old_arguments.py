"""Arguments of older scripts that Keras still takes: renamed, ignored, or of one value alone.

A class names its own, beside its arguments:

    legacy = (Renamed("alpha", "negative_slope"),)

They hold for the classes that extend it too, unless one has an argument of that name. They are no
arguments: signature, configuration and `repr` know nothing of them. What Keras refuses is not here
but in `backprop.absent`, which also says what to write in the place of these.
"""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from backprop.absent import advice
from backprop.arguments import parameters_of, writes_its_own

LIBRARY = __name__.partition(".")[0]


@dataclass(frozen=True)
class Renamed:
    """It is called otherwise now; a warning says so."""

    name: str
    now: str


@dataclass(frozen=True)
class Ignored:
    """It is left out. A warning says what to write instead, unless the value is one of those that
    mean nothing anyway."""

    name: str
    quiet: tuple = ()


@dataclass(frozen=True)
class Only:
    """It may be one of some values, for which nothing need be done; others are refused."""

    name: str
    values: tuple


Legacy = tuple[Renamed | Ignored | Only, ...]

# of layers that Keras trains by kernels of low rank, or of few bits
NO_LORA: Legacy = (Only("lora_rank", (None,)), Only("lora_alpha", (None,)))
NOT_QUANTIZED: Legacy = (*NO_LORA, Only("quantization_config", (None,)))


def today(cls: type, kwargs: dict[str, Any], warn: bool = True) -> dict[str, Any]:
    """What a call gives by name, as the class takes it now.

    Raises
    ------
    TypeError
        An argument is given by both of its names.
    """
    rules = legacy_of(cls)
    if rules.keys().isdisjoint(kwargs):
        return kwargs
    found = {}
    for name, value in kwargs.items():
        rule, told = rules.get(name), ""
        if isinstance(rule, Renamed):
            if rule.now in kwargs:
                raise TypeError(f"{cls.__name__}() got {rule.now} twice, as {name} as well")
            found[rule.now] = value
            told = f"{cls.__name__}(): {name} is called {rule.now}"
        elif isinstance(rule, Ignored):
            if not is_one_of(value, rule.quiet):
                instead = advised(cls, name, parameters_of(cls))
                told = f"{cls.__name__}() ignores {name}={value!r}: {instead}"
        elif rule is None or not is_one_of(value, rule.values):
            found[name] = value
        if told and warn:
            warnings.warn(told, stacklevel=levels_up())
    return found


def is_one_of(value: Any, values: Iterable[Any]) -> bool:
    return any(type(value) is type(v) and value == v for v in values)


def levels_up() -> int:
    """How far it is from who asks to the line of the user's that the library is called on."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back and frame.f_globals["__name__"].partition(".")[0] == LIBRARY:
        level, frame = level + 1, frame.f_back
    return level


@functools.cache
def legacy_of(cls: type) -> dict[str, Renamed | Ignored | Only]:
    """What holds for a class, by the names. A constructor that somebody wrote without `**kwargs`
    takes no more than it says."""
    found = {}
    for c in reversed(cls.__mro__):
        if writes_its_own(c) and not hands_on(c):
            found = {}
        found = found | {rule.name: rule for rule in vars(c).get("legacy", ())}
    return {name: rule for name, rule in found.items() if name not in parameters_of(cls)}


def hands_on(cls: type) -> bool:
    written = inspect.signature(vars(cls)["__init__"]).parameters.values()
    return any(p.kind is p.VAR_KEYWORD for p in written)


def advised(cls: type, name: str, known: Iterable[str]) -> str | None:
    """What to write in the place of an argument that a class has not."""
    found = (advice(f"{c.__name__}()").get(name, "") for c in cls.__mro__)
    return next((a for a in found if any(k in a for k in known)), advice("arguments").get(name))
