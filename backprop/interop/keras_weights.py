"""Weights in Keras' HDF5 layout: where each array lies, written and read.

Keras walks over a model and gives each layer a group, with its arrays as ``vars/0``, ``vars/1`` ...
A layer in a list is named after its class and its number there, one that is an attribute after the
attribute:

    layers/dense/vars/0                         the kernel of the first Dense
    layers/dense_1/vars/1                       the bias of the second
    layers/bidirectional/forward_layer/cell/vars/0
    optimizer/vars/0                            iterations, then what the optimizer remembers

Every shape is that of the model before a byte of it is read.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from backprop.interop.hdf5 import Found, hdf5
from backprop.interop.keras_assets import IDF, kept
from backprop.interop.keras_configs import name_in_keras
from backprop.run_state import optimizer_of
from backprop.spelling import snake_case

Array = np.ndarray
OPTIMIZER = "optimizer/vars/"
OLD_LAYERS = "_layer_checkpoint_dependencies"  # where Keras 2.13 had "layers"
GATED = ("SimpleRNN", "LSTM", "GRU", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")

ROWS = "layers", "cells"  # lists of layers
# the attributes that hold layers, and what they are called there
WITHIN = {name: name for name in ("cell", "forward_layer", "backward_layer", "layer")}
HEADS = {name: f"_{name}_dense" for name in ("query", "key", "value", "gate", "output")}
ATTRIBUTES = {
    "MultiHeadAttention": {
        ours: theirs if ours == "gate" else theirs[1:] for ours, theirs in HEADS.items()
    },
    "GroupQueryAttention": HEADS,
}
CLASSES = {"GroupQueryAttention": "GroupedQueryAttention"}  # offered under another name


class Place:
    """A layer's group in the file.

    Attributes
    ----------
    path : str
        Of the group that holds ``vars``.
    name : str
        The layer's name, which Keras keeps as an attribute.
    arrays : list of Parameter
        What ``vars/0``, ``vars/1`` ... are.
    named : dict of str to ndarray
        What else lies in the group, by the place.
    """

    def __init__(self, path: str, name: str, arrays: list, named: Mapping[str, Array]):
        self.path, self.name, self.arrays, self.named = path, name, arrays, named

    def dataset(self, i: int) -> str:
        return f"{self.path}/vars/{i}".lstrip("/")


def places(layer: Any, path: str = "") -> Iterator[Place]:
    """The groups of a layer and of the layers in it."""
    kind = type(layer).__name__
    own = layer.own_arrays()
    if kind in GATED:
        yield Place(path, layer.name, [], {})
        yield Place(f"{path}/cell".lstrip("/"), f"{layer.name}_cell", own, {})
        return
    yield Place(path, layer.name, own, kept(layer))
    for at, inner in parts(layer):
        yield from places(inner, f"{path}/{at}".lstrip("/"))


def parts(layer: Any) -> Iterator[tuple[str, Any]]:
    """The layers directly in a layer, by their places in its group."""
    for row in ROWS:
        count: Counter[str] = Counter()
        for inner in getattr(layer, row, ()):
            name = snake_case(name_of_class(inner))
            yield f"{row}/{name}" + (f"_{count[name]}" if count[name] else ""), inner
            count[name] += 1
    if not any(hasattr(layer, row) for row in ROWS):
        for ours, theirs in ATTRIBUTES.get(type(layer).__name__, WITHIN).items():
            if ours in layer.__dict__:
                yield theirs, getattr(layer, ours)


def name_of_class(layer: Any) -> str:
    """The class of Keras whose name its layers bear."""
    name = name_in_keras(type(layer))
    return CLASSES.get(name, name)


def write(model: Any, file: Any) -> None:
    """Put the weights of a model, and what its optimizer remembers, into an open HDF5 file."""
    for place in places(model):
        group = file.create_group(f"{place.path}/vars".lstrip("/"))
        group.attrs["name"] = place.name
        for i, p in enumerate(place.arrays):
            group.create_dataset(str(i), data=p.value)
        for at, value in place.named.items():
            file.create_dataset(f"{place.path}/{at}".lstrip("/"), data=value)
    if model.optimizer is not None:
        optimizer = optimizer_of(model)
        optimizer = optimizer if optimizer.built else as_it_begins(model)
        group = file.create_group("optimizer/vars")
        group.attrs["name"] = optimizer.name
        known = zip(optimizer.variables, of_trained(optimizer), strict=True)
        for i, variable in enumerate(variable for variable, trained in known if trained):
            group.create_dataset(str(i), data=variable)


def as_it_begins(model: Any) -> Any:
    """An optimizer like the model's, before its first step: Keras misses the zeros of one that has
    taken none."""
    found = type(model.optimizer).from_config(model.optimizer.get_config())
    found.build(model.parameters)
    return found


def of_trained(optimizer: Any) -> list[bool]:
    """Of an optimizer's variables in order, which are not of frozen weights: Keras' optimizer
    knows of no others."""
    order = optimizer._order()
    own = len(optimizer.variables) - len(order)  # such as iterations
    return [True] * own + [entry.trainable for _, entry in order]


def as_bytes(model: Any) -> bytes:
    """What `write` writes, as the contents of a file."""
    buffer = io.BytesIO()
    with hdf5().File(buffer, "w") as file:
        write(model, file)
    return buffer.getvalue()


def take_up(optimizer: Any, found: Found) -> None:
    """Put what an optimizer remembered into one that is built."""
    known = {at: d for at, d in found.datasets.items() if at.startswith(OPTIMIZER)}
    variables = {str(i): variable for i, variable in enumerate(optimizer.variables)}
    if len(known) <= len(variables) - len(optimizer._order()) and is_new(known):
        return
    trained = [i for i, kept in zip(variables, of_trained(optimizer), strict=True) if kept]
    numbers = trained if len(known) == len(trained) else variables
    given = {f"{OPTIMIZER}{j}": i for j, i in enumerate(numbers)}
    if known.keys() != given.keys():
        raise ValueError(
            f"{type(optimizer).__name__} has {len(trained)} variables and was given {len(known)}"
        )
    taken = {i: known[at][()] for at, i in given.items()}
    optimizer.load_own_variables(variables | taken)


def is_new(known: Mapping[str, Any]) -> bool:
    """Whether an optimizer of Keras has not taken a step, so that it knows its rate alone."""
    count = known.get(f"{OPTIMIZER}0")
    return count is not None and count.shape == () and int(count[()]) == 0


def weights_in(found: Found) -> dict[str, Any]:
    """The other datasets: those of the layers, where Keras 3 has them."""
    return {
        at.replace(OLD_LAYERS, "layers"): dataset
        for at, dataset in found.datasets.items()
        if not at.startswith("optimizer/")
        and "seed_generator/" not in at
        and not at.endswith(f"/{IDF}")
    }


def pairs(
    model: Any, found: Mapping[str, Any], skipped: Collection[Any] = ()
) -> tuple[list[tuple[Any, Any]], list[str]]:
    """The model's arrays, apart from some, with their datasets, and what has no partner, as
    text."""
    matched, strangers = [], []
    known = set()
    for place in places(model):
        for i, p in enumerate(place.arrays):
            at = place.dataset(i)
            known.add(at)
            if p in skipped:
                continue
            dataset = found.get(at)
            if dataset is not None and dataset.shape == p.shape:
                matched.append((p, dataset))
            else:
                there = "nothing" if dataset is None else dataset.shape
                strangers.append(f"{p.path} {p.shape}, in the file {there} at {at!r}")
    strangers += [
        f"{at!r} {d.shape}, not in {model.name}" for at, d in found.items() if at not in known
    ]
    return matched, strangers


def take(matched: list[tuple[Any, Any]]) -> None:
    """Read the datasets, then put all of them into the model."""
    with np.errstate(over="ignore", invalid="ignore"):  # float32 may be too small for a number
        values = [dataset[()].astype(p.value.dtype) for p, dataset in matched]
    for (p, _), value in zip(matched, values, strict=True):
        p.value[...] = value
