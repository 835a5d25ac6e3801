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
from typing import Any

from backprop.interop.keras_calls import (
    Arguments,
    Array,
    Call,
    arguments_of,
    arrays_in,
    called,
    end,
    ends_in,
    is_array,
    listed,
    repacked,
)
from backprop.interop.keras_operators import (
    BOTH,
    CONSTANTS,
    as_number,
    is_operation,
    without_operations,
    written,
)
from backprop.layers.recurrent.time import FromStates
from backprop.nest import as_tuple, each, leaves, packed

GRAPHS = "Functional", "Model"
ARRAYS = 2**16  # of a graph: a file that speaks of more lies


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
        if len(given) == 1 and "value" in layer.call_inputs:  # keys and values are the queries
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


# --------------------------------------------------------------------------------- Keras' → ours


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
    places = {name: i for i, name in enumerate(names)}
    calls = numbered(in_turn(waiting, doors), known, used_of(waiting, goals))
    for array in (*doors, *goals):
        if array not in known or array.layer not in places:
            raise ValueError(f"its graph has an end {array}, which no call gives")
    return {
        "name": config.get("name"),
        "trainable": config.get("trainable") is not False,
        "layers": layers,
        "calls": calls,
        "inputs": repacked(config["input_layers"], [places[door.layer] for door in doors]),
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


def masks_in(entries: list, given: list[Arguments], goals: set[str]) -> set[str]:
    """The operations that make nothing but masks, which go from layer to layer by themselves here;
    calls lose the masks that these make."""
    operations = {entry["name"] for entry in entries if is_operation(entry)}
    for calls in given:
        for _, kwargs in calls:
            mask = arrays_in(kwargs.get("mask"))
            if isinstance(mask, Array) and mask.layer in operations:
                del kwargs["mask"]
    reads = {
        entry["name"]: {a.layer for call in calls for a in leaves(arrays_in(call)) if is_array(a)}
        for entry, calls in zip(entries, given, strict=True)
    }
    waiting, needed = [*goals, *(reads.keys() - operations)], set()
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += reads.get(name, ())
    return operations - needed


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
        if size + count > ARRAYS:
            raise ValueError(f"its graph speaks of more than {ARRAYS:,} arrays")
        writes = list(range(size, size + count))
        for i, place in enumerate(writes):
            known[Array(call.name, call.number, i)] = place
        size += count
        alone = count == 1
        found.append([call.layer, reads, writes[0] if alone else writes, call.training])
    return found
