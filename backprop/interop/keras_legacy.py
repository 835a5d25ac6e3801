"""Weights in the HDF5 layout of Keras 2, ``.h5``, which Keras 3 calls legacy: read only.

A group for each layer of the model, its names in order in an attribute; each names its arrays in
turn, those that are trained first. A list of names that is too long for one attribute goes on in
several:

    layer_names = ["conv", "dense"]             or layer_names0, layer_names1 ...
    dense           weight_names = ["dense/kernel:0", "dense/bias:0"]
    dense/dense/kernel:0                        the array

Where the whole model was saved, all this is in the group ``model_weights``. Layers meet the model's
in their order, or by their names.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

from backprop.interop.hdf5 import Found

MODEL, LAYERS, WEIGHTS, LOOSE = (
    "model_weights",
    "layer_names",
    "weight_names",
    "top_level_model_weights",
)

Pairs = list[tuple[Any, Any]]  # a Parameter and its dataset


class Layers:
    """The layers that a file speaks of.

    Attributes
    ----------
    arrays : dict of str to list of (str, Dataset)
        The arrays of each layer with their names, in order; layers without any too.
    """

    def __init__(self, found: Found):
        root = root_of(found)
        if root is None:
            raise ValueError("it is no file of weights of Keras 2")
        self._found = found
        self.arrays = {
            name: list(self._arrays(f"{root}/{name}".lstrip("/")))
            for name in names_of(found, root, LAYERS)
        }
        loose = f"{root}/{LOOSE}".lstrip("/")
        if loose in found.groups and names_of(found, loose, WEIGHTS):
            raise ValueError("it holds weights of the model itself and of no layer")

    def _arrays(self, at: str) -> Iterator[tuple[str, Any]]:
        if at not in self._found.groups:
            raise ValueError(f"it names a layer {at!r} and has none")
        for name in names_of(self._found, at, WEIGHTS):
            if f"{at}/{name}" not in self._found.datasets:
                raise ValueError(f"it names an array {at}/{name} and has none")
            yield name, self._found.datasets[f"{at}/{name}"]


def root_of(found: Found) -> str | None:
    """The group that holds the layers; None where the file has another layout."""
    for at in ("", MODEL):
        attributes = found.groups[at].attrs if at in found.groups else ()
        if LAYERS in attributes or f"{LAYERS}0" in attributes:
            return at
    return None


def names_of(found: Found, at: str, attribute: str) -> list[str]:
    """The names in an attribute of a group, or in several that go on with it."""
    names = found.texts(at, attribute)
    if names is None:
        names = []
        for i in count():
            more = found.texts(at, f"{attribute}{i}")
            if more is None:
                break
            names += more
    if len(set(names)) < len(names):
        raise ValueError(f"{attribute} of {at!r} names one thing twice")
    return names


def in_order(model: Any, layers: Layers, skip_mismatch: bool) -> tuple[Pairs, list[str]]:
    """The model's arrays with those of the file, layer for layer; what does not fit, as text."""
    own = [layer for layer in model.layers if layer.arrays()]
    given = {name: arrays for name, arrays in layers.arrays.items() if arrays}
    if len(own) != len(given):
        raise ValueError(
            f"{model.name} has {len(own)} layers with weights ({names(own)}), and the file has "
            f"{len(given)} ({', '.join(given)}): load_weights(by_name=True) takes those of the "
            "same name"
        )
    found: Pairs = []
    left_out: list[str] = []
    for layer, (name, arrays) in zip(own, given.items(), strict=True):
        if len(arrays) != len(layer.arrays()):
            raise ValueError(miscounted(layer, name, arrays))
        join(layer, name, arrays, found, left_out)
    return found, checked(left_out, skip_mismatch)


def by_name(model: Any, layers: Layers, skip_mismatch: bool) -> tuple[Pairs, list[str]]:
    """The same for the layers whose names the file knows."""
    found: Pairs = []
    left_out: list[str] = []
    for layer in model.layers:
        arrays = layers.arrays.get(layer.name)
        if arrays is None:
            continue
        if len(arrays) != len(layer.arrays()):
            left_out.append(miscounted(layer, layer.name, arrays))
        else:
            join(layer, layer.name, arrays, found, left_out)
    return found, checked(left_out, skip_mismatch)


def names(layers: list[Any]) -> str:
    return ", ".join(layer.name for layer in layers)


def miscounted(layer: Any, name: str, arrays: list) -> str:
    return (
        f"{layer.name} has {len(layer.arrays())} weights, and {name!r} in the file has "
        f"{len(arrays)}"
    )


def checked(left_out: list[str], skip_mismatch: bool) -> list[str]:
    if left_out and not skip_mismatch:
        raise ValueError("; ".join(left_out))
    return left_out


def join(layer: Any, name: str, arrays: list, found: Pairs, left_out: list[str]) -> None:
    """Add the pairs of one layer, and what of it does not fit."""
    for p, (path, dataset) in zip(ordered(layer, arrays), arrays, strict=True):
        if dataset.shape == p.shape:
            found.append((p, dataset))
        else:
            left_out.append(f"{p.path} {p.shape}, in the file {dataset.shape} at {name}/{path}")


def ordered(layer: Any, arrays: list[tuple[str, Any]]) -> list[Any]:
    """A layer's arrays as the file has them: what is trained first, as it was when it was saved.

    A file does not say what was frozen then: the names of its arrays do, where they are the
    layer's.
    """
    own = layer.arrays()
    orders = [
        sorted(own, key=lambda p: not p.trainable),
        sorted(own, key=lambda p: p.gradient is None),
        own,
    ]
    wanted = [last_name(name) for name, _ in arrays]
    agreeing = (order for order in orders if [p.name for p in order] == wanted)
    return next(agreeing, orders[0])


def last_name(path: str) -> str:
    """``"dense/kernel:0"`` → ``"kernel"``"""
    return path.rpartition("/")[2].partition(":")[0]
