"""Graphs at random: a recipe is plain data, and either library draws it.

Its arrays have numbers: those of the inputs come first, then those that each node writes. They are
vectors (d,) or sequences (t, d).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

Pick = Callable[[list], Any]  # one of a list: Hypothesis' choice, or a generator's
Shape = tuple[int, ...]

MERGES = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
SHARED = ("Dense", "LayerNormalization", "BatchNormalization", "GRU", "chain", "model")


class Node(NamedTuple):
    """A call: of a layer of this kind, of the layer that another node has made, or an operator."""

    kind: str
    arguments: dict[str, Any]
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    maker: int | None = None


@dataclass
class Recipe:
    shapes: list[Shape]  # of all arrays, without the batch
    inputs: int
    nodes: list[Node] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)

    def used(self) -> list[int]:
        """The inputs on which an output depends."""
        wanted = set(self.outputs)
        for node in reversed(self.nodes):
            if not wanted.isdisjoint(node.writes):
                wanted.update(node.reads)
        return [i for i in range(self.inputs) if i in wanted]


# ---------------------------------------------------------------------- what is drawn


def recipe(pick: Pick) -> Recipe:
    """A graph of up to 12 nodes and three inputs and outputs."""
    shapes: list[Shape] = [pick([(3,), (2,), (3, 2), (2, 3)]) for _ in range(pick([1, 1, 2, 3]))]
    found = Recipe(shapes, len(shapes))
    add(found, "Dense", dense(pick, found))
    for _ in range(pick(list(range(1, 12)))):
        kind = pick([*KINDS, "merge", "merge", "Concatenate"])
        add(found, kind, KINDS[kind](pick, found))
    made = list(range(found.inputs, len(shapes)))
    found.outputs = [made[-1], *(pick(made) for _ in range(pick([0, 0, 1, 2])))]
    return found


def add(found: Recipe, kind: str, drawn: Any) -> None:
    """A node for `(arguments, reads, shapes of what it writes)`; none where there is no place."""
    if drawn is not None:
        arguments, reads, shapes = drawn
        maker = arguments.pop("maker", None)
        writes = tuple(range(len(found.shapes), len(found.shapes) + len(shapes)))
        found.nodes.append(Node(kind, arguments, reads, writes, maker))
        found.shapes += shapes


def any_place(pick: Pick, found: Recipe) -> int:
    """What nobody has read more often than others, so that much of a drawing is connected."""
    read = {i for node in found.nodes for i in node.reads}
    places = list(range(len(found.shapes)))
    return pick([*places, *3 * [i for i in places if i not in read]])


def places(found: Recipe, fits: Callable[[Shape], bool]) -> list[int]:
    return [i for i, shape in enumerate(found.shapes) if fits(shape)]


def dense(pick, found):
    i, units = any_place(pick, found), pick([2, 3])
    arguments = {"units": units, "activation": pick([None, "tanh", "sigmoid", "gelu"])}
    return arguments, (i,), [(*found.shapes[i][:-1], units)]


def of_one_shape(**choices):
    """A layer whose y is of x's shape, with one of the values of each argument."""

    def choose(pick, found):
        i = any_place(pick, found)
        return {name: pick(v) for name, v in choices.items()}, (i,), [found.shapes[i]]

    return choose


def merge(pick, found):
    """Two arrays of one shape, and perhaps one array twice."""
    i = any_place(pick, found)
    j = pick(places(found, lambda shape: shape == found.shapes[i]))
    name = pick(list(MERGES))
    if name in ("Maximum", "Minimum") and i == j:
        name = "Add"  # there is a tie everywhere
    return {"name": name}, (i, j), [found.shapes[i]]


def concatenate(pick, found):
    i = any_place(pick, found)
    *first, d = found.shapes[i]
    j = pick(places(found, lambda shape: list(shape[:-1]) == first))
    return {}, (i, j), [(*first, d + found.shapes[j][-1])]


def flatten(pick, found):
    i = any_place(pick, found)
    return {}, (i,), [(math.prod(found.shapes[i]),)]


def reshape(pick, found):
    i = any_place(pick, found)
    shape = found.shapes[i]
    target = shape[::-1] if len(shape) == 2 else (1, *shape)
    return {"target_shape": target}, (i,), [target]


def gru(pick, found):
    """A layer of two outputs."""
    sequences = places(found, lambda shape: len(shape) == 2)
    if not sequences:
        return None
    i = pick(sequences)
    return {"units": 2}, (i,), [(found.shapes[i][0], 2), (2,)]


def chain(pick, found):
    i = any_place(pick, found)
    return {"units": 2}, (i,), [(*found.shapes[i][:-1], 2)]


def model(pick, found):
    """A model of two outputs; the second is made of the first."""
    i = any_place(pick, found)
    return {"units": 2}, (i,), [(*found.shapes[i][:-1], 2)] * 2


def operator(pick, found):
    """Of two arrays that have a shape in common, or of an array and a number."""
    i = any_place(pick, found)
    j = pick([None, *places(found, lambda shape: shape == found.shapes[i])])
    name = pick(list(OPERATORS))
    return {"name": name}, (i,) if j is None else (i, j), [found.shapes[i]]


def part(pick, found):
    """A slice along the last axis."""
    i = any_place(pick, found)
    *first, d = found.shapes[i]
    start = pick([0, 1]) if d > 1 else 0
    return {"start": start}, (i,), [(*first, d - start)]


def shared(pick, found):
    """A layer that stands elsewhere already, on an array of the shape that it knows."""
    makers = [n for n, node in enumerate(found.nodes) if node.kind in SHARED]
    if not makers:
        return None
    number = pick(makers)
    node = found.nodes[number]
    i = pick(places(found, lambda shape: shape == found.shapes[node.reads[0]]))
    return {"maker": number}, (i,), [found.shapes[place] for place in node.writes]


KINDS: dict[str, Callable] = {
    "Dense": dense,
    "Activation": of_one_shape(activation=["tanh", "gelu", "softmax"]),
    "LayerNormalization": of_one_shape(),
    "BatchNormalization": of_one_shape(),
    "Dropout": of_one_shape(rate=[0.3]),
    "merge": merge,
    "Concatenate": concatenate,
    "Flatten": flatten,
    "Reshape": reshape,
    "GRU": gru,
    "chain": chain,
    "model": model,
    "operator": operator,
    "part": part,
    "shared": shared,
}
OPERATORS = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "rsub": lambda a, b: b - a,
    "mul": lambda a, b: a * b,
}


# ---------------------------------------------------------------------- drawn with a library


class Drawing(NamedTuple):
    """A model, the symbolic arrays of its ends, and by the identity of each model within it those
    of its own."""

    model: Any
    inputs: list[Any]
    outputs: list[Any]
    within: dict[int, tuple[Any, list[Any]]]


def drawn(keras: Any, recipe: Recipe) -> Drawing:
    shapes = recipe.shapes[: recipe.inputs]
    arrays: list[Any] = [keras.Input(shape, name=f"input{i}") for i, shape in enumerate(shapes)]
    layers: list[Any] = []
    within: dict[int, tuple[Any, list[Any]]] = {}
    for number, node in enumerate(recipe.nodes):
        x = [arrays[i] for i in node.reads]
        if node.maker is not None:
            layer = layers[node.maker]
        elif node.kind == "operator":
            layer = partial(operated, node.arguments["name"])
        elif node.kind == "part":
            layer = partial(sliced, node.arguments["start"])
        else:
            layer = layer_of(keras, node, f"node{number}", x[0].shape[1:], within)
        layers.append(layer)
        y = layer(x if len(x) > 1 else x[0])
        arrays += y if isinstance(y, list | tuple) else [y]
    inputs, outputs = ([arrays[i] for i in ends] for ends in (recipe.used(), recipe.outputs))
    model = keras.Model(inputs, outputs if len(outputs) > 1 else outputs[0])
    return Drawing(model, inputs, outputs, within)


def operated(name: str, x: Any) -> Any:
    return OPERATORS[name](*x) if isinstance(x, list) else OPERATORS[name](0.5, x)


def sliced(start: int, x: Any) -> Any:
    return x[..., start:]


def layer_of(keras: Any, node: Node, name: str, shape: Shape, within: dict) -> Any:
    layers, arguments = keras.layers, node.arguments
    if node.kind == "merge":
        return getattr(layers, arguments["name"])(name=name)
    if node.kind == "GRU":
        return layers.GRU(**arguments, return_sequences=True, return_state=True, name=name)
    if node.kind == "chain":
        parts = [layers.Dense(**arguments, activation="tanh"), layers.LayerNormalization()]
        return keras.Sequential([keras.Input(shape), *parts], name=name)
    if node.kind == "model":
        x = keras.Input(shape)
        first = layers.Dense(**arguments, activation="tanh")(x)
        ends = [first, layers.Dense(**arguments)(layers.Add()([first, first]))]
        made = keras.Model(x, ends, name=name)
        within[id(made)] = x, ends
        return made
    return getattr(layers, node.kind)(**arguments, name=name)
