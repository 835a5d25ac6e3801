"""Calls in a graph of Keras: who is called, on which arrays, and with what else.

An array has no number there. Its history says where it comes from: the name of a layer, the how
manieth of its calls, and the place among what came out.

    {"class_name": "__keras_tensor__", "config": {"keras_history": ["dense", 0, 0], ...}}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from backprop.nest import as_tuple, is_nest, keys, leaves, matched
from backprop.registry import FAMILIES

Arguments = list[tuple[list, dict]]  # of each call of a layer: by position, by name

MOST = 4096  # calls of a layer, and arrays of a call: a file that speaks of more lies


@dataclass(frozen=True)
class Array:
    """An array of a graph of Keras: what made it, in which of its calls, and at which place."""

    layer: str
    call: int
    place: int


@dataclass
class Call:
    """A call in a graph of Keras, by the number of its layer."""

    layer: int
    name: str
    number: int
    reads: Any
    training: Any

    @property
    def given(self) -> list[Array]:
        return [array for array in as_tuple(self.reads) if array is not None]


def arguments_of(entry: Mapping[str, Any]) -> Arguments:
    """Of each call of a layer, what it is given by position and by name."""
    found = []
    for one in listed(entry.get("inbound_nodes"), f"the calls of {entry['name']!r}"):
        if not isinstance(one, Mapping) or not isinstance(one.get("args"), list):
            raise ValueError(f"{entry['name']!r} has a call {one!r}, which is not of Keras 3")
        found.append((list(one["args"]), dict(one.get("kwargs") or {})))
    return found


def listed(value: Any, what: str) -> list:
    if not isinstance(value, list):
        raise ValueError(f"{what} of its graph are no list")
    return value


def called(layer: dict[str, Any], i: int, name: str, number: int, args: list, kwargs: dict) -> Call:
    """A call, from the arguments of Keras. What a layer here is made with, and a call there is
    given, goes into the layer's configuration."""
    cls = FAMILIES["layers"].classes.get(layer["class_name"])
    inputs: tuple[str, ...] = getattr(cls, "call_inputs", ("inputs",))
    training = kwargs.pop("training", None)
    given = dict(zip(inputs, [None] * len(inputs), strict=True)) | dict(
        zip(inputs, map(arrays_in, args), strict=False)
    )
    if len(args) > len(inputs) or not args:
        raise ValueError(f"{name!r} is called with {len(args)} arguments in its graph")
    for option, value in kwargs.items():
        if option in inputs:
            given[option] = arrays_in(value)
        elif option in getattr(cls, "call_options", ()):
            settle(layer, name, option, value)
        elif value not in (None, False):
            raise ValueError(f"{name!r} is called with {option}={value!r} in its graph")
    return Call(i, name, number, read(layer, name, list(given.values())), training)


def settle(layer: dict[str, Any], name: str, option: str, value: Any) -> None:
    if not isinstance(value, bool) or layer["config"].setdefault(option, value) != value:
        raise ValueError(
            f"{name!r} is called with {option}={value!r} in its graph, and elsewhere otherwise: "
            "two layers are two here"
        )


def read(layer: Mapping[str, Any], name: str, given: list) -> Any:
    """What a call reads: an array, or a tuple of arrays and None."""
    if "calls" in layer["config"]:
        structure = layer["config"]["inputs"]
        doors = [layer["config"]["layers"][i]["config"].get("name") for i in leaves(structure)]
        found = matched(given[0], structure, doors, name, "input")
    else:
        found = [array for part in given for array in (leaves(part) if is_nest(part) else [part])]
        while found[-1:] == [None]:
            found.pop()
    for array in found:
        if array is not None and not isinstance(array, Array):
            raise ValueError(f"{name!r} is called on {array!r} in its graph")
    alone = len(found) == 1 and not is_nest(given[0])
    return found[0] if alone or (len(found) == 1 and "calls" in layer["config"]) else tuple(found)


# --------------------------------------------------------------------------------- histories


def arrays_in(value: Any) -> Any:
    """An argument of a call with an `Array` for each of Keras."""
    if isinstance(value, Mapping):
        if value.get("class_name") == "__keras_tensor__":
            return array_of(value["config"]["keras_history"])
        return {k: arrays_in(v) for k, v in value.items()}
    return [arrays_in(v) for v in value] if isinstance(value, list | tuple) else value


def is_array(value: Any) -> bool:
    return isinstance(value, Array)


def array_of(history: Any) -> Array:
    if not is_history(history):
        raise ValueError(f"its graph speaks of an array {history!r}")
    return Array(*history)


def is_history(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and [type(part) for part in value] == [str, int, int]
        and min(value[1:]) >= 0
        and max(value[1:]) <= MOST
    )


def end(history: Any, inner: Any) -> Array:
    """An input or output; Keras counts a model's own drawing as its first call."""
    found = array_of(history)
    return Array(found.layer, found.call - (found.layer in inner), found.place)


def ends_in(structure: Any, what: str) -> Iterator[Any]:
    """The histories in lists and dicts of them."""
    if is_history(structure):
        yield structure
    elif is_nest(structure) and structure:
        for key in keys(structure):
            yield from ends_in(structure[key], what)
    else:
        raise ValueError(f"{what} of its graph are {structure!r}")


def repacked(structure: Any, values: list) -> Any:
    """The same lists and dicts with a value for each history."""
    return _repacked(structure, iter(values))


def _repacked(structure: Any, values: Iterator) -> Any:
    if is_history(structure):
        return next(values)
    found = [_repacked(structure[key], values) for key in keys(structure)]
    if isinstance(structure, Mapping):
        return dict(zip(keys(structure), found, strict=True))
    return found
