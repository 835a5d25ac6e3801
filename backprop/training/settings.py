"""What is changed of a model and its optimizer while a run goes on: a callback may thaw a layer, or
lower the rate of a dropout, and a run that goes on has to know.

A file holds what differs from the beginning of the run, and no more: what the user sets otherwise
for the run that goes on stays as it is set.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from typing import Any

LARGEST = 2**16  # of whole numbers: rates, factors and how often something is done
STATE = ("learning_rate", "name", "dtype", "seed", "trainable")  # which files hold by themselves

Settings = tuple[list[bool], list[dict[str, Any]]]


def is_plain(value: Any) -> bool:
    """Whether a value is a number, True, False or None, as a file holds it."""
    if isinstance(value, int):
        return abs(value) <= LARGEST
    return value is None or type(value) is float


def settings(model: Any) -> Settings:
    """Which layers are trained, and the plain arguments of each, and of the optimizer."""
    layers = list(model.walk())
    owners = [*layers, model.trainer.optimizer]
    return [layer.trainable for layer in layers], [arguments(owner) for owner in owners]


def arguments(owner: Any) -> dict[str, Any]:
    found = owner._arguments.items()
    return {name: value for name, value in found if name not in STATE and is_plain(value)}


def changed(before: Settings | None, model: Any) -> dict[str, Any]:
    """What differs now, for JSON: nothing without a run, or where layers have come or gone."""
    now = settings(model)
    if before is None or [*map(len, before)] != [*map(len, now)]:
        return {}
    found: dict[str, Any] = {}
    if now[0] != before[0]:
        found["trainable"] = now[0]
    for i, (old, new) in enumerate(zip(before[1], now[1], strict=True)):
        if other := {n: v for n, v in new.items() if n not in old or differs(old[n], v)}:
            found.setdefault("arguments", {})[str(i)] = other
    return found


def differs(a: Any, b: Any) -> bool:
    return type(a) is not type(b) or a != b


def apply(model: Any, found: Any) -> Callable[[], None]:
    """Make the changes of a file; returns a function that takes them back.

    Raises
    ------
    ValueError
        If they are none of such a model; nothing has changed then.
    """
    layers = list(model.walk())
    owners = [*layers, model.trainer.optimizer]
    trainable, given = check(found, len(layers))
    flags, before = [layer.trainable for layer in layers], [dict(o._arguments) for o in owners]

    def undo() -> None:
        for layer, flag in zip(layers, flags, strict=True):
            if layer.trainable is not flag:
                layer.trainable = flag
        for owner, old in zip(owners, before, strict=True):
            for name in owner._arguments.keys() & old.keys():
                if owner._arguments[name] is not old[name] and name not in STATE:
                    setattr(owner, name, old[name])

    try:
        for layer, flag in zip(layers, trainable or flags, strict=True):
            if layer.trainable is not flag:
                layer.trainable = flag
        for i, values in given.items():
            for name, value in values.items():
                if name not in owners[i].get_config() or name in STATE:
                    raise ValueError(f"{owners[i]!r} has no {name} to be changed")
                if differs(getattr(owners[i], name), value):
                    setattr(owners[i], name, value)
    except Exception as error:
        undo()
        raise ValueError(f"what was changed in its run cannot be changed here: {error}") from error
    return undo


def check(found: Any, layers: int) -> tuple[list[bool] | None, dict[int, dict[str, Any]]]:
    """The changes of a file, which may hold anything."""
    wrong = ValueError(f"what was changed in its run is {reprlib.repr(found)}")
    if not isinstance(found, Mapping) or not found.keys() <= {"trainable", "arguments"}:
        raise wrong
    trainable, given = found.get("trainable"), found.get("arguments", {})
    if trainable is not None and not (
        isinstance(trainable, list)
        and len(trainable) == layers
        and all(type(flag) is bool for flag in trainable)
    ):
        raise wrong
    numbers = {str(i): i for i in range(layers + 1)}
    if not isinstance(given, Mapping) or not all(
        number in numbers and isinstance(values, Mapping) and all(map(is_plain, values.values()))
        for number, values in given.items()
    ):
        raise wrong
    return trainable, {numbers[number]: dict(values) for number, values in given.items()}
