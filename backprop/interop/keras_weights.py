"""Weights in Keras' HDF5 layout: where each array lies, written and read.

Keras walks over a model and gives each layer a group, with its arrays as ``vars/0``, ``vars/1`` ...
A layer in a list is named after its class and its number there, one that is an attribute after the
attribute:

    layers/dense/vars/0                         the kernel of the first Dense
    layers/dense_1/vars/1                       the bias of the second
    layers/bidirectional/forward_layer/cell/vars/0
    optimizer/vars/0                            iterations, then what the optimizer remembers

A file is read without trust: no links, no external or virtual data, nothing compressed, and every
shape is that of the model before a byte of it is read.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from backprop.interop.keras_configs import name_in_keras
from backprop.spelling import snake_case

Array = np.ndarray
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


def hdf5() -> Any:
    """The package h5py, which the extra `interop` brings."""
    try:
        import h5py
    except ImportError as error:
        raise ImportError(
            'Keras\' files are read and written by h5py: pip install "backprop[interop]"'
        ) from error
    return h5py


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
    """

    def __init__(self, path: str, name: str, arrays: list):
        self.path, self.name, self.arrays = path, name, arrays

    def dataset(self, i: int) -> str:
        return f"{self.path}/vars/{i}".lstrip("/")


def places(layer: Any, path: str = "") -> Iterator[Place]:
    """The groups of a layer and of the layers in it."""
    kind = type(layer).__name__
    own = layer.own_arrays()
    if kind in GATED:
        yield Place(path, layer.name, [])
        yield Place(f"{path}/cell".lstrip("/"), f"{layer.name}_cell", own)
        return
    yield Place(path, layer.name, own)
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
    optimizer = model.optimizer
    for place in places(model):
        group = file.create_group(f"{place.path}/vars".lstrip("/"))
        group.attrs["name"] = place.name
        for i, p in enumerate(place.arrays):
            group.create_dataset(str(i), data=p.value)
    if optimizer is not None and optimizer.built:
        group = file.create_group("optimizer/vars")
        group.attrs["name"] = optimizer.name
        for i, variable in enumerate(optimizer.variables):
            group.create_dataset(str(i), data=variable)


def as_bytes(model: Any) -> bytes:
    """What `write` writes, as the contents of a file."""
    buffer = io.BytesIO()
    with hdf5().File(buffer, "w") as file:
        write(model, file)
    return buffer.getvalue()


class Found:
    """The arrays of an HDF5 file, by path; checked, and not yet read."""

    def __init__(self, file: Any):
        self.datasets: dict[str, Any] = {}
        self._collect(file, "")

    def _collect(self, group: Any, path: str) -> None:
        h5py = hdf5()
        for name in group:
            at = f"{path}/{name}".lstrip("/")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"{at!r} is a link, which no file of Keras has")
            item = group[name]
            if isinstance(item, h5py.Group):
                if at.count("/") > 64:
                    raise ValueError("its groups are nested too deeply")
                self._collect(item, at)
            else:
                check_dataset(item, at)
                self.datasets[at] = item

    def optimizer(self) -> dict[str, Array]:
        """What the optimizer remembered: "0", "1" ..."""
        prefix = "optimizer/vars/"
        return {
            at.removeprefix(prefix): d[()]
            for at, d in self.datasets.items()
            if at.startswith(prefix)
        }

    def weights(self) -> dict[str, Any]:
        """The other datasets: those of the layers."""
        return {
            at: d
            for at, d in self.datasets.items()
            if not at.startswith("optimizer/") and "seed_generator/" not in at
        }


def check_dataset(item: Any, at: str) -> None:
    """Raise unless a dataset lies in the file as it is: numbers, and as many as its shape says."""
    if not isinstance(item, hdf5().Dataset):
        raise ValueError(f"{at!r} is no array")
    if item.shape is None or item.dtype.kind not in "fiub" or item.dtype.names:
        raise ValueError(f"its array {at!r} is of dtype {item.dtype}")
    if item.external or item.is_virtual:
        raise ValueError(f"its array {at!r} lies in another file, which is not opened")
    if item.id.get_storage_size() != item.size * item.dtype.itemsize:
        raise ValueError(
            f"its array {at!r} of shape {item.shape} is compressed or not whole: Keras writes "
            "arrays as they are"
        )


def pairs(model: Any, found: Mapping[str, Any]) -> tuple[list[tuple[Any, Any]], list[str]]:
    """The model's arrays with their datasets, and what has no partner, as text."""
    matched, strangers = [], []
    known = set()
    for place in places(model):
        for i, p in enumerate(place.arrays):
            at = place.dataset(i)
            known.add(at)
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
    values = [dataset[()].astype(p.value.dtype) for p, dataset in matched]
    for (p, _), value in zip(matched, values, strict=True):
        p.value[...] = value
