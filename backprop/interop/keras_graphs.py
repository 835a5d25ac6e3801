"""Graphs, ours and Keras': the same calls, in two spellings.

Here a graph is a list of layers and a list of calls, whose arrays have numbers. In Keras each layer
keeps the calls of it, and an array is found by what made it: the layer's name, the how manieth of
its calls, and the place among what came out.

    ours      calls: [layer, reads, writes, training]
    Keras'    inbound_nodes of a layer: {"args": [array ...], "kwargs": {name: array or option}}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from backprop.layers.recurrent.time import FromStates
from backprop.nest import as_tuple, each, is_nest, keys, leaves, matched, packed
from backprop.registry import FAMILIES

Arguments = list[tuple[list, dict]]  # of each call of a layer: by position, by name

GRAPHS = "Functional", "Model"
MOST = 4096  # calls of a layer, and arrays of a call: a file that speaks of more lies
OPERATIONS = "keras.src.ops.numpy"
# by the class of ours: Keras' operation, and whether the constant comes first
CONSTANTS = {
    "AddConstant": ("Add", False),
    "SubtractFrom": ("Subtract", True),
    "MultiplyBy": ("Multiply", False),
    "DivideBy": ("TrueDivide", False),
    "DivideInto": ("TrueDivide", True),
    "RaiseTo": ("Power", False),
    "PowerOf": ("Power", True),
}
BOTH = {"Divide": "TrueDivide"}  # of two arrays, what is no layer in Keras
ALONE = {"Absolute": "Absolute"}  # of one
OPERATORS_OF_KERAS = {
    *(name for name, _ in CONSTANTS.values()),
    *BOTH.values(),
    *ALONE.values(),
    *("Negative", "GetItem"),
}


# --------------------------------------------------------------------------------- ours → Keras'


def functional(graph: Any, config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a graph as Keras has it.

    Parameters
    ----------
    graph : Graph
    config : mapping
        Its own, with the layers as Keras has them.
    """
    wiring, count = graph._wiring, Counter()
    nodes: dict[int, list] = {id(layer): [] for layer in wiring.layers}
    into = leaves(wiring.inputs)
    history = {place: [door.name, 0, 0] for place, door in zip(into, wiring.doors, strict=True)}
    made_by_graph = set()
    for layer, reads, writes, training in wiring.calls:
        for i, place in enumerate(as_tuple(writes)):
            history[place] = [layer.name, count[id(layer)], i]
            if is_graph(layer):
                made_by_graph.add(place)
        count[id(layer)] += 1
        tensors = each(lambda at: tensor(history[at], wiring.shapes[at], config["dtype"]), reads)
        nodes[id(layer)].append(node(layer, tensors, training))
    layers = [
        entry | {"name": layer.name, "inbound_nodes": nodes[id(layer)]}
        for entry, layer in zip(config["layers"], wiring.layers, strict=True)
    ]

    def end(place: int) -> list:
        name, number, i = history[place]  # Keras counts a model's own drawing as its first call
        return [name, number + (place in made_by_graph), i]

    return {
        "name": graph.name,
        "trainable": config.get("trainable", True),
        "layers": layers,
        "input_layers": packed(wiring.inputs, map(end, into)),
        "output_layers": packed(wiring.outputs, map(end, leaves(wiring.outputs))),
    }


def is_graph(layer: Any) -> bool:
    return hasattr(layer, "_wiring")


def tensor(history: list, shape: tuple, dtype: str) -> dict[str, Any]:
    config = {"shape": list(shape), "dtype": dtype, "keras_history": history}
    return {"class_name": "__keras_tensor__", "config": config}


def node(layer: Any, tensors: Any, training: bool | None) -> dict[str, Any]:
    """The arguments of a call, as Keras' layer of the same name takes them."""
    options: dict[str, Any] = {} if training is None else {"training": training}
    options |= {name: True for name in layer.call_options if getattr(layer, name)}
    given = as_tuple(tensors)
    args: list[Any] = [given[0]]
    if is_graph(layer):
        args = [packed(layer._wiring.inputs, given)]
    elif isinstance(layer, FromStates):
        if given[1:]:
            options["initial_state"] = list(given[1:])
    elif type(layer).__name__ in BOTH:
        args = list(given)
    elif len(layer.call_inputs) > 1:
        if len(given) == 1:  # keys and values are the queries
            given *= 2
        named = zip(layer.call_inputs[1:], given[1:], strict=False)
        options |= {name: t for name, t in named if t is not None}
    elif layer.several_inputs:
        args = [list(given)]
    elif type(layer).__name__ in CONSTANTS:
        args.insert(0 if CONSTANTS[type(layer).__name__][1] else 1, as_number(layer.value))
    elif type(layer).__name__ == "Slice":
        args = [given[0], [written(part) for part in layer.index]]
    return {"args": args, "kwargs": options}


def operation(name: str, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Keras' operation for a layer that is none there; None for a layer."""
    if name in CONSTANTS:
        known = CONSTANTS[name][0]
    elif name == "Slice":
        known = "GetItem"
    else:
        known = BOTH.get(name) or ALONE.get(name)
    if known is None:
        return None
    return {
        "module": OPERATIONS,
        "class_name": known,
        "config": {"name": config.get("name")},
        "registered_name": known,
    }


def as_number(value: Any) -> Any:
    """A constant as Keras writes it."""
    if not isinstance(value, np.ndarray):
        return value
    config = {"value": value.tolist(), "dtype": value.dtype.name}
    return {"class_name": "__numpy__", "config": config}


def written(part: Any) -> Any:
    if part is ...:
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(part, slice):
        ends = {"start": part.start, "stop": part.stop, "step": part.step}
        return {"class_name": "__slice__", "config": ends}
    return part


# --------------------------------------------------------------------------------- Keras' → ours


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


def graph_of(config: Mapping[str, Any], translate: Callable[[Any], Any]) -> dict[str, Any]:
    """The configuration of a graph of Keras as ours has it.

    Parameters
    ----------
    config : mapping
        Keras'.
    translate : callable
        The configuration of a layer of Keras → of ours.

    Raises
    ------
    ValueError
        For a call of what is not there, a cycle, or arguments that are not known here.
    """
    goals = list(ends_in(config.get("output_layers"), "output_layers"))
    entries, given = entries_of(config, {name for name, *_ in goals})
    names = [entry["name"] for entry in entries]
    layers: list[dict[str, Any]] = []
    waiting: list[Call] = []
    for i, entry in enumerate(entries):
        plain, arguments = without_operations(entry, given[i])
        layers.append(translate(plain))
        if not isinstance(layers[i], dict) or not isinstance(layers[i].get("config"), Mapping):
            raise ValueError(f"{names[i]!r} of its graph is no layer")
        waiting += [
            called(layers[i], i, names[i], number, *call) for number, call in enumerate(arguments)
        ]
    inner = {name for name, layer in zip(names, layers, strict=True) if "calls" in layer["config"]}
    doors = [end(leaf, ()) for leaf in ends_in(config.get("input_layers"), "input_layers")]
    goals = [end(leaf, inner) for leaf in goals]
    known = {array: i for i, array in enumerate(doors)}
    calls = numbered(in_turn(waiting, doors), known, used_of(waiting, goals))
    for array in (*doors, *goals):
        if array not in known or array.layer not in names:
            raise ValueError(f"its graph has an end {array}, which no call gives")
    return {
        "name": config.get("name"),
        "trainable": config.get("trainable") is not False,
        "layers": layers,
        "calls": calls,
        "inputs": repacked(config["input_layers"], [names.index(door.layer) for door in doors]),
        "outputs": repacked(config["output_layers"], [known[goal] for goal in goals]),
    }


def entries_of(
    config: Mapping[str, Any], goals: set[str]
) -> tuple[list[Mapping[str, Any]], list[Arguments]]:
    """The layers with the arguments of their calls, but what makes masks alone."""
    entries = listed(config.get("layers"), "layers")
    names = [entry.get("name") if isinstance(entry, Mapping) else None for entry in entries]
    if len({str(name) for name in names}) < len(names) or not all(
        isinstance(name, str) for name in names
    ):
        raise ValueError(f"the layers of its graph are not named one by one: {names}")
    given = [arguments_of(entry) for entry in entries]
    left_out = masks_in(entries, given, goals)
    kept = [i for i, name in enumerate(names) if name not in left_out]
    return [entries[i] for i in kept], [given[i] for i in kept]


def listed(value: Any, what: str) -> list:
    if not isinstance(value, list):
        raise ValueError(f"{what} of its graph are no list")
    return value


def in_turn(waiting: list[Call], doors: list[Array]) -> Iterator[Call]:
    """The calls in an order in which each reads what is there."""
    there = {(door.layer, door.call) for door in doors}
    lacking = {
        i: len({(a.layer, a.call) for a in call.given} - there) for i, call in enumerate(waiting)
    }
    readers: dict[tuple[str, int], list[int]] = {}
    for i, call in enumerate(waiting):
        for made in {(a.layer, a.call) for a in call.given} - there:
            readers.setdefault(made, []).append(i)
    ready = [i for i, count in lacking.items() if count == 0][::-1]
    done = 0
    while ready:
        call = waiting[ready.pop()]
        done += 1
        yield call
        for i in readers.get((call.name, call.number), ()):
            lacking[i] -= 1
            if lacking[i] == 0:
                ready.append(i)
    if done < len(waiting):
        stuck = next(waiting[i].name for i, count in lacking.items() if count)
        raise ValueError(
            f"its graph has a cycle, or a part that is not connected: {stuck!r} reads what is not "
            "there before it"
        )


def used_of(waiting: list[Call], goals: list[Array]) -> Counter[tuple[str, int]]:
    """Of how many arrays of each call somebody knows."""
    found: Counter[tuple[str, int]] = Counter()
    for array in (*goals, *(array for call in waiting for array in call.given)):
        made = array.layer, array.call
        found[made] = max(found[made], array.place + 1)
    return found


def numbered(
    calls: Iterator[Call], known: dict[Array, int], used: Mapping[tuple[str, int], int]
) -> list[list[Any]]:
    """The calls with numbers for arrays, which `known` is given."""
    found: list[list[Any]] = []
    size = len(known)
    for call in calls:
        for array in call.given:
            if array not in known:
                raise ValueError(f"{call.name!r} reads {array}, which is not there before it")
        reads = each(known.__getitem__, call.reads)
        count = max(1, used[call.name, call.number])
        writes = list(range(size, size + count))
        for i, place in enumerate(writes):
            known[Array(call.name, call.number, i)] = place
        size += count
        alone = count == 1
        found.append([call.layer, reads, writes[0] if alone else writes, call.training])
    return found


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


def arrays_in(value: Any) -> Any:
    """An argument of a call with an `Array` for each of Keras."""
    if isinstance(value, Mapping):
        if value.get("class_name") == "__keras_tensor__":
            return array_of(value["config"]["keras_history"])
        return {k: arrays_in(v) for k, v in value.items()}
    return [arrays_in(v) for v in value] if isinstance(value, list | tuple) else value


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


# --------------------------------------------------------------------------------- operators


def arguments_of(entry: Mapping[str, Any]) -> Arguments:
    """Of each call of a layer, what it is given by position and by name."""
    found = []
    for one in listed(entry.get("inbound_nodes"), f"the calls of {entry['name']!r}"):
        if not isinstance(one, Mapping) or not isinstance(one.get("args"), list):
            raise ValueError(f"{entry['name']!r} has a call {one!r}, which is not of Keras 3")
        found.append((list(one["args"]), dict(one.get("kwargs") or {})))
    return found


def is_operation(entry: Mapping[str, Any]) -> bool:
    return str(entry.get("module")).startswith("keras.src.ops")


def masks_in(entries: list, given: list[Arguments], goals: set[str]) -> set[str]:
    """The operations that make nothing but masks, which go from layer to layer by themselves here;
    calls lose the masks that these make."""
    operations = {entry["name"] for entry in entries if is_operation(entry)}
    for calls in given:
        for _, kwargs in calls:
            mask = arrays_in(kwargs.get("mask"))
            if isinstance(mask, Array) and mask.layer in operations:
                del kwargs["mask"]
    found: set[str] = set()
    while True:
        read = set(goals)
        for entry, calls in zip(entries, given, strict=True):
            if entry["name"] not in found:
                read |= {a.layer for call in calls for a in leaves(arrays_in(call)) if is_array(a)}
        if found == operations - read:
            return found
        found = operations - read


def is_array(value: Any) -> bool:
    return isinstance(value, Array)


def without_operations(
    entry: Mapping[str, Any], arguments: list[tuple[list, dict]]
) -> tuple[dict[str, Any], list[tuple[list, dict]]]:
    """A layer with the arguments of its calls; in place of an operation the layer that it stands
    for."""
    module = str(entry.get("module"))
    if not is_operation(entry):
        return dict(entry), arguments
    kind = str(entry.get("class_name"))
    name = (entry.get("config") or {}).get("name") or entry.get("name")
    if module != OPERATIONS or kind not in OPERATORS_OF_KERAS or len(arguments) != 1:
        raise ValueError(
            f"it has an operation {kind} of {module.removeprefix('keras.src.')}: here only layers "
            "and + - * / ** abs and slices of symbolic arrays are offered"
        )
    args = arguments[0][0]
    layer, config = standing_for(kind, args)
    both = [a for a in args if is_tensor(a)]
    several = len(both) > 1
    return (
        {"module": "keras.layers", "class_name": layer, "config": {"name": name} | config},
        [([both], {}) if several else (both[:1], {})],
    )


def is_tensor(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("class_name") == "__keras_tensor__"


def standing_for(kind: str, args: list) -> tuple[str, dict[str, Any]]:
    """The layer, and its arguments, that stands for an operation of Keras on these."""
    if kind == "GetItem":
        parts = args[1] if isinstance(args[1], list) else [args[1]]
        return "Slice", {"index": ", ".join(map(as_text, parts))}
    if kind == "Negative":
        return "MultiplyBy", {"value": -1}
    if kind in ALONE.values():
        return next(ours for ours, theirs in ALONE.items() if theirs == kind), {}
    if len(args) != 2 or not any(map(is_tensor, args)):
        raise ValueError(f"its operation {kind} is given {args!r}")
    if all(map(is_tensor, args)):
        if kind == "Power":
            raise ValueError("it has a power of two arrays, which is not offered here")
        return next((ours for ours, theirs in BOTH.items() if theirs == kind), kind), {}
    first = not is_tensor(args[0])
    value = args[0] if first else args[1]
    if kind == "Subtract" and not first:
        return "AddConstant", {"value": negative(value)}
    commutes = kind in ("Add", "Multiply")
    ours = next(o for o, found in CONSTANTS.items() if found == (kind, first and not commutes))
    return ours, {"value": value}


def negative(value: Any) -> Any:
    if isinstance(value, Mapping):
        config = dict(value["config"])
        return {**value, "config": config | {"value": (-np.asarray(config["value"])).tolist()}}
    if not isinstance(value, int | float):
        raise ValueError(f"it subtracts {value!r}, where a number was expected")
    return -value


def as_text(part: Any) -> str:
    """A part of a slice as it is written in Python."""
    if isinstance(part, Mapping):
        if part.get("class_name") == "__ellipsis__":
            return "..."
        ends = part.get("config") or {}
        step = [] if ends.get("step") is None else [ends["step"]]
        found = [ends.get("start"), ends.get("stop"), *step]
        return ":".join("" if n is None else str(int(n)) for n in found)
    if part is not None and type(part) is not int:
        raise ValueError(f"it takes a slice at {part!r}, which is not offered here")
    return str(part)
