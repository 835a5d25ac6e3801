"""From symbolic arrays to the steps of a graph: who is in it, in which order, and reads what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from backprop.layers.chain import ActivityPenalty
from backprop.layers.containers import Names
from backprop.layers.inputs import AsFloat, InputLayer
from backprop.layers.slots import Places
from backprop.nest import as_tuple, each, leaves, packed
from backprop.symbols import Call, Symbol


class Wired(NamedTuple):
    """A layer at its place in a graph: what it reads and writes, and what its call said of
    training."""

    layer: Any
    reads: Places
    writes: Places
    training: bool | None


class Wiring(NamedTuple):
    """What a graph is made of. Its arrays have numbers: the inputs', then those of each call.

    Attributes
    ----------
    inputs, outputs : nested lists and dicts of int
        The numbers of the arrays that go in and come out, as they were given.
    calls : list of Wired
        In an order in which each reads what is there.
    layers : list of Layer
        The `InputLayer` of each input and the layers of the calls, in Keras' order: those that are
        farther from the outputs come first.
    doors : list of InputLayer
        In the order of the inputs.
    shapes : list of tuple
        Of each array, with the batch axis.
    """

    inputs: Any
    outputs: Any
    calls: list[Wired]
    layers: list[Any]
    doors: list[Any]
    shapes: list[tuple]


def wired(who: str, inputs: Any, outputs: Any) -> Wiring:
    """Follow the calls back from the outputs to the inputs; raise unless all is there."""
    ends, goals = symbols_in(who, "inputs", inputs), symbols_in(who, "outputs", outputs)
    calls, first_met = calls_between(who, ends, goals)
    used = {symbol for call in calls for symbol in call.reads} | set(goals)
    for symbol in ends:
        if symbol not in used:
            raise ValueError(
                f"{who} has an input that is not used: no output depends on {symbol!r}. Leave it "
                "out, or connect it"
            )
    number = {symbol: i for i, symbol in enumerate(ends)}
    shapes = [symbol.shape for symbol in ends]
    found = []
    for call in calls:
        for symbol in as_tuple(call.outputs):
            number.setdefault(symbol, len(shapes))
            shapes.append(symbol.shape)
        reads, writes = (each(number.__getitem__, s) for s in (call.inputs, call.outputs))
        found.append(Wired(call.layer, reads, writes, call.training))
    doors = {symbol: door(symbol) for symbol in ends}
    layers = in_order(calls, first_met, doors)
    names = Names()
    for layer in sorted(layers, key=lambda layer: layer._within is None):
        names.claim(who, layer)
    return Wiring(
        packed(inputs, map(number.__getitem__, ends)),
        packed(outputs, map(number.__getitem__, goals)),
        found,
        layers,
        list(doors.values()),
        shapes,
    )


def symbols_in(who: str, name: str, structure: Any) -> list[Symbol]:
    """The symbolic arrays in lists and dicts."""
    found = leaves(structure)
    for item in found:
        if not isinstance(item, Symbol):
            raise TypeError(
                f"{who} expects {name} to be what Input() or the call of a layer returned, or "
                f"lists and dicts of such, and got {item!r}"
            )
    if not found:
        raise ValueError(
            f"{who} expects {name}, at least one: what Input() or the call of a layer returned, "
            f"and got {structure!r}"
        )
    twice = [symbol for i, symbol in enumerate(found) if symbol in found[:i]]
    if name == "inputs" and twice:
        raise ValueError(
            f"{who} was given the input {twice[0]!r} twice: give it once, and call as many layers "
            "on it as you like"
        )
    return found


def door(symbol: Symbol) -> InputLayer:
    """The layer that an input of a graph is: its own, or a new one for what another layer puts out
    elsewhere."""
    if isinstance(symbol.layer, InputLayer):
        return symbol.layer
    return InputLayer(batch_shape=symbol.shape, dtype=symbol.dtype)


def calls_between(
    who: str, ends: list[Symbol], goals: list[Symbol]
) -> tuple[list[Call], dict[Any, int]]:
    """The calls between inputs and outputs, each behind those that it needs; and when each layer,
    or input, was first met on the way back."""
    stops, done = set(ends), set()
    found: list[Call] = []
    first_met: dict[Any, int] = {}
    for goal in goals:
        way: list[tuple[Symbol, bool]] = [(goal, False)]
        while way:
            symbol, behind = way.pop()
            call = symbol.call
            if behind:
                found.append(call)
                continue
            if symbol in stops:
                first_met.setdefault(symbol, len(first_met))
                continue
            if call in done:
                continue
            if not call.reads:
                twin = any(end.name == symbol.name for end in ends)
                raise ValueError(
                    f"{who} is not connected: {goal!r} depends on {symbol!r}, which is none of the "
                    f"inputs {ends!r}{', though one has this name' * twin}. Make it one, or take "
                    "outputs that depend on these"
                )
            done.add(call)
            first_met.setdefault(call.layer, len(first_met))
            way.append((symbol, True))
            way += [(read, False) for read in reversed(call.reads)]
    return found, first_met


def in_order(calls: list[Call], first_met: dict[Any, int], doors: dict[Symbol, Any]) -> list[Any]:
    """The layers as Keras orders them, and with them their weights: by how far they are from the
    outputs, and then by when a walk back met them first."""
    far: dict[Any, int] = {}  # of a layer or an input
    far_call: dict[Call, int] = {}
    for call in reversed(calls):
        depth = max(far_call.get(call, 0), far.get(call.layer, 0))
        far[call.layer] = depth
        for symbol in call.reads:
            if symbol in doors:
                far[symbol] = max(far.get(symbol, 0), depth + 1)
            else:
                far_call[symbol.call] = max(far_call.get(symbol.call, 0), depth + 1)
    for symbol in doors:
        far.setdefault(symbol, 0)
    ordered = sorted(far, key=lambda met: (-far[met], first_met[met]))
    return [doors[met] if isinstance(met, Symbol) else met for met in ordered]


class Step(NamedTuple):
    """A step of a pass: `Wired`, and what is known of it beforehand.

    Attributes
    ----------
    place : int
        Of the layer, or of that which it helps, among those of the graph.
    over : tuple of int
        The arrays that nothing reads after this step.
    below : bool
        Whether a gradient is to be set in a step that this one reads from.
    learns : bool
        Whether the layer itself has gradients.
    may_be_unused : bool
        Whether it must be reversed though nothing came back to one of several outputs, or to any as
        the layer adds to the loss.
    """

    layer: Any
    reads: Places
    writes: Places
    training: bool | None
    place: int
    over: tuple[int, ...] = ()
    below: bool = False
    learns: bool = False
    may_be_unused: bool = False


def steps_of(wiring: Wiring) -> tuple[list[Step], int, tuple[int, ...], set[int]]:
    """The steps, how many arrays they read and write, which of these come out, and which are
    integers."""
    steps, size, out, integers = with_helpers(wiring)
    last = {place: i for i, step in enumerate(steps) for place in as_tuple(step.reads)}
    active: set[int] = set()
    found = []
    for i, step in enumerate(steps):
        touched = {*as_tuple(step.reads), *as_tuple(step.writes)} - {None, *out}
        learns = any(p.gradient is not None for p in step.layer.arrays())
        below = not active.isdisjoint(as_tuple(step.reads))
        if learns or below:
            active.update(as_tuple(step.writes))
        found.append(
            step._replace(
                over=tuple(place for place in touched if last.get(place, i) == i),
                below=below,
                learns=learns,
                may_be_unused=type(step.writes) is tuple
                or any(layer.penalises for layer in step.layer.walk()),
            )
        )
    return found, size, out, integers


def with_helpers(wiring: Wiring) -> tuple[list[Step], int, tuple[int, ...], set[int]]:
    """The calls as steps, with a penalty on an activity behind its layer, and with floating point
    numbers where an array of integers that is looked up goes to other layers too. Also how many
    arrays there are then, which come out, and which are integers."""
    looked_up = arrays_looked_up(wiring)
    integers = looked_up & set(leaves(wiring.inputs))
    index = {id(layer): i for i, layer in enumerate(wiring.layers)}
    steps: list[Step] = []
    shapes = wiring.shapes
    penalised, as_float = {}, {}  # the number of an array → that of what stands for it
    for layer, reads, writes, training in wiring.calls:
        given = [penalised.get(place, place) for place in as_tuple(reads)]
        passes = writes in looked_up and not layer.arrays()
        if passes and not integers.isdisjoint(given):
            integers.add(writes)
        kinds = as_tuple(layer.output_kind)
        kinds = kinds if len(kinds) == len(as_tuple(writes)) else kinds * len(as_tuple(writes))
        integers |= {p for p, kind in zip(as_tuple(writes), kinds, strict=True) if kind == "i"}
        for k, (place, taken) in enumerate(zip(given, taken_by(layer, reads), strict=False)):
            if place in integers and not (taken or passes):
                if place not in as_float:
                    as_float[place] = len(shapes)
                    helper = AsFloat(dtype=layer.dtype)
                    steps.append(Step(helper, place, len(shapes), None, index[id(layer)]))
                    shapes.append(shapes[place])
                given[k] = as_float[place]
        known = given[0] if type(reads) is int else tuple(given)
        steps.append(Step(layer, known, writes, training, index[id(layer)]))
        for place in as_tuple(writes) if layer.activity_regularizer is not None else ():
            helper = ActivityPenalty(layer.activity_regularizer, dtype=layer.dtype)
            penalised[place] = len(shapes)
            steps.append(Step(helper, place, len(shapes), None, index[id(layer)]))
            shapes.append(shapes[place])
    out = tuple(penalised.get(place, place) for place in leaves(wiring.outputs))
    return steps, len(shapes), out, integers


def arrays_looked_up(wiring: Wiring) -> set[Any]:
    """The arrays that a layer takes as integers, or that become such by layers without weights."""
    found: set[Any] = set()
    for layer, reads, writes, _ in reversed(wiring.calls):
        passes = writes in found and not layer.arrays()
        for place, taken in zip(as_tuple(reads), taken_by(layer, reads), strict=False):
            if taken or passes:
                found.add(place)
    return found - {None}


def taken_by(layer: Any, reads: Places) -> tuple[bool, ...]:
    """Of each array that a layer reads, whether it takes integers there."""
    flags = layer.integer_input
    return flags if isinstance(flags, tuple) else (flags,) * len(as_tuple(reads))


# ---------------------------------------------------------------------- drawn once more


def drawn_again(
    wiring: Wiring,
    twins: Mapping[int, Any] | None = None,
    begin: list[Symbol] | None = None,
    call: Callable[..., Any] | None = None,
) -> tuple[list[Symbol], list[Symbol]]:
    """The symbolic arrays of the ends, for a graph that came from a file or is a copy.

    Parameters
    ----------
    wiring : Wiring
    twins : dict, optional
        By the identity of a layer, the one that stands for it.
    begin : list of Symbol, optional
        What goes in. Default: what the doors stand for.
    call : callable, optional
        (layer, x, training) → y.
    """
    twins = {id(layer): layer for layer in wiring.layers} if twins is None else twins
    begin = [twins[id(layer)].symbol() for layer in wiring.doors] if begin is None else begin
    known = dict(zip(leaves(wiring.inputs), begin, strict=True))
    for layer, reads, writes, training in wiring.calls:
        y = (call or connected)(twins[id(layer)], each(known.__getitem__, reads), training)
        known |= dict(zip(as_tuple(writes), as_tuple(y), strict=True))
    return begin, [known[place] for place in leaves(wiring.outputs)]


def connected(layer: Any, x: Any, training: bool | None) -> Any:
    """The call of a layer on symbolic arrays."""
    return layer._connect(x, None, training, {})


def replayed(who: str, layers: list[Any], config: Mapping[str, Any]) -> tuple[Any, Any]:
    """The symbolic arrays of the ends, from layers and the calls that a configuration lists."""
    known: list[Symbol] = []
    for number in leaves(config["inputs"]):
        if not isinstance(layers[number], InputLayer):
            raise ValueError(
                f"a configuration of {who} has {layers[number]!r} as an input, where an InputLayer "
                "belongs"
            )
    for number in leaves(config["inputs"]):
        known.append(layers[number].symbol())
    doors = list(known)
    for number, reads, writes, training in config["calls"]:
        places = tuple(reads) if isinstance(reads, list | tuple) else reads
        y = as_tuple(connected(layers[number], each(known.__getitem__, places), training))
        count = len(leaves(writes))
        if len(y) < count:
            raise ValueError(
                f"a configuration of {who} says that {layers[number]!r} puts out "
                f"{count} arrays, and it puts out {len(y)}"
            )
        known += y[:count]  # a file of Keras does not say how many there are that nobody reads
    ends = [known[place] for place in leaves(config["outputs"])]
    return packed(config["inputs"], doors), packed(config["outputs"], ends)


def check_calls(who: str, config: Mapping[str, Any]) -> None:
    """Raise unless each call that a configuration lists reads what is there by then; nothing has
    been made so far."""
    count, size = len(config["layers"]), 0
    doors = leaves(config["inputs"])
    for number in doors:
        check_number(who, number, "layer", count)
    if len(set(doors)) < len(doors):
        raise ValueError(f"a configuration of {who} has one input twice: {doors}")
    size = len(doors)
    for entry in config["calls"]:
        if not isinstance(entry, list | tuple) or len(entry) != 4:
            raise ValueError(
                f"a configuration of {who} lists calls as [layer, reads, writes, training] and has "
                f"{entry!r}"
            )
        number, reads, writes, training = entry
        check_number(who, number, "layer", count)
        if number in doors:
            raise ValueError(f"a configuration of {who} calls layer {number}, which is an input")
        for place in leaves(reads):
            if place is not None or not isinstance(reads, list | tuple):
                check_number(who, place, "array", size)
        made = leaves(writes)
        if made != list(range(size, size + len(made))) or training not in (None, True, False):
            raise ValueError(
                f"a configuration of {who} has a call {entry!r}, where the arrays that it writes "
                f"are the next ones, from {size} on, and training is true, false or null"
            )
        size += len(made)
    for place in leaves(config["outputs"]):
        check_number(who, place, "array", size)


def check_number(who: str, number: Any, what: str, count: int) -> None:
    if type(number) is not int or not 0 <= number < count:
        raise ValueError(
            f"a configuration of {who} speaks of {what} {number!r} where there are {count} so far: "
            "each call reads what the inputs are or earlier calls gave"
        )
