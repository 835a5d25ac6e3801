"""What callbacks have counted, as JSON and arrays: a part of the state of a run.

`collect` asks every callback for its state, `restore` gives each its own back. A callback is known
by its class, and by its place among those of its class: the first `EarlyStopping` of a list is
given what the first one of the interrupted run had counted, wherever others stand.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from backprop.callbacks.callback import Callback

Array = np.ndarray
Key = tuple[str, int]  # a class, and which one of that class

ARRAY = "__array__"


def collect(callbacks: Iterable[Callback]) -> tuple[list[dict[str, Any]], dict[str, Array]]:
    """The states of all callbacks that have one, for JSON, and the arrays that they refer to.

    Raises
    ------
    TypeError
        If a state holds something else than numbers, text, None, arrays, and lists and
        dictionaries of these.
    """
    arrays: dict[str, Array] = {}
    states = []
    for (name, _), (_, state) in remembering(callbacks).items():
        states.append({"class": name, "state": pack(state, name, arrays)})
    return states, arrays


def restore(
    callbacks: Iterable[Callback], states: Any, arrays: Mapping[str, Array], begun: bool = True
) -> Callable[[], None]:
    """Give each callback what `collect` took from it; returns a function that takes it back.

    Where the run had not `begun`, no callback can have counted anything: none is missed.

    Raises
    ------
    ValueError
        If the states are damaged, or one is not of its callback; then no callback is changed.

    Warns
    -----
    UserWarning
        If there is a state without its callback, or a callback without its state in a run that
        had begun.
    """
    try:
        given = numbered((entry["class"], unpack(entry["state"], arrays)) for entry in states)
    except (KeyError, TypeError) as error:
        raise ValueError(f"its states of the callbacks are damaged: {error!r}") from error
    mine = remembering(callbacks)
    before = [(callback, state) for callback, state in mine.values()]

    def undo() -> None:
        for callback, state in before:
            callback.set_state(state)

    for key in mine.keys() & given.keys():
        callback = mine[key][0]
        try:
            callback.set_state(given[key])
        except Exception as error:  # what a state from a file lacks may raise anything
            undo()
            why = error if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            raise ValueError(f"the backup is not one of {callback!r}: {why}") from error
    report(sorted(given.keys() - mine.keys()), sorted(mine.keys() - given.keys()) if begun else [])
    return undo


def remembering(callbacks: Iterable[Callback]) -> dict[Key, tuple[Callback, dict[str, Any]]]:
    """The callbacks that have a state, and the state."""
    pairs = ((callback, dict(callback.get_state())) for callback in callbacks)
    return numbered((type(c).__name__, (c, state)) for c, state in pairs if state)


def numbered(entries: Iterable[tuple[str, Any]]) -> dict[Key, Any]:
    found: dict[Key, Any] = {}
    counts: dict[str, int] = {}
    for name, entry in entries:
        found[name, counts.get(name, 0)] = entry
        counts[name] = counts.get(name, 0) + 1
    return found


def report(lost: list[Key], new: list[Key]) -> None:
    """Warn where the callbacks are not those of the interrupted run."""
    said = [f"{shown(key)} is gone, and what it had counted with it" for key in lost]
    said += [f"{shown(key)} is new, and begins to count now" for key in new]
    if said:
        warnings.warn(
            f"the callbacks are not those of the interrupted run: {'; '.join(said)}", stacklevel=2
        )


def shown(key: Key) -> str:
    name, number = key
    return name if number == 0 else f"{name} number {number + 1}"


def pack(value: Any, where: str, arrays: dict[str, Array]) -> Any:
    """A value for JSON; an array becomes a reference to its place in `arrays`."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray):
        name = f"callbacks/{len(arrays)}"
        arrays[name] = value
        return {ARRAY: name}
    if isinstance(value, list | tuple):
        return [pack(v, f"{where}[{i}]", arrays) for i, v in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(k, str) and k != ARRAY for k in value):
        return {k: pack(v, f"{where}.{k}", arrays) for k, v in value.items()}
    raise TypeError(
        f"the state of a callback holds numbers, text, None, arrays, and lists and dictionaries of "
        f"these, and {where} is {value!r} ({type(value).__name__})"
    )


def unpack(value: Any, arrays: Mapping[str, Array]) -> Any:
    """What `pack` was given, with lists in the place of tuples."""
    if isinstance(value, list):
        return [unpack(v, arrays) for v in value]
    if isinstance(value, Mapping):
        if set(value) == {ARRAY}:
            return arrays[value[ARRAY]]
        return {k: unpack(v, arrays) for k, v in value.items()}
    return value
