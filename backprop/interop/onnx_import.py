"""A graph of ONNX as a model that can be trained."""

from __future__ import annotations

import importlib
import os
import re
from typing import Any

import numpy as np

from backprop import layers as L
from backprop.archive import describing, existing, faults_named, known_path
from backprop.bounds import at_most
from backprop.interop import (  # noqa: F401 - they fill the table
    onnx_from_images,
    onnx_from_masks,
    onnx_from_plain,
    onnx_from_sequences,
    onnx_from_shapes,
    onnx_from_sizes,
)
from backprop.interop.drawing import as_is
from backprop.interop.onnx_building import Builder
from backprop.interop.onnx_export import package
from backprop.interop.onnx_from_masks import check_masks
from backprop.interop.onnx_reading import File, checked, contents_of
from backprop.registry import FAMILIES

NAME = re.compile(r"[^A-Za-z0-9_.\-]+")
MORE = 2**20  # numbers that are too few to count
LONGEST = 100  # letters of a name that is taken over


def from_onnx(path: str | os.PathLike) -> Any:
    """A model that computes what a file of ONNX says, whose weights can be trained.

    Parameters
    ----------
    path : path
        Of a file of `to_onnx`, or of another program. Nobody needs to trust it.

    Returns
    -------
    Model
        Kernels, biases, tables and statistics are weights of its layers; other constants, such as
        those of arithmetic, are arguments. Images have their channels where the file has them.

    Raises
    ------
    FileNotFoundError
    OSError
        The file cannot be read.
    ModelFileError
        It is damaged or made up, keeps arrays in other files, or has an operator, or a use of one,
        for which there is no layer: the error names it. A ValueError.
    ImportError
        onnx is not installed: ``pip install "backprop[onnx]"``.

    Examples
    --------
    >>> from backprop.interop import from_onnx, to_onnx
    >>> import backprop as bp
    >>> model = bp.Sequential([bp.Input((3,)), bp.layers.Dense(2, "relu")])
    >>> to_onnx(model, "m.onnx")  # doctest: +SKIP
    >>> from_onnx("m.onnx").layers  # doctest: +SKIP
    [InputLayer([3]), Dense(2), ReLU()]
    """
    onnx = package()
    path = existing(known_path(path, (".onnx",)))
    with faults_named(path, "ONNX"), describing(path):
        file = checked(onnx, contents_of(path))
        # two layers may share an array, and many a small one
        with at_most(2 * file.numbers() + MORE):
            return model_of(file)


def model_of(file: File) -> Any:
    builder = Builder(file)
    doors, taken = [], set()
    for name, (shape, dtype) in file.inputs.items():
        if dtype.kind not in "fiu" or (dtype.kind == "f" and dtype != np.float32):
            raise ValueError(f"its input {name!r} is of {dtype}, and float32 and integers are read")
        door = L.Input(shape[1:], dtype=dtype.name, name=good_name(name, taken))
        doors.append(door)
        builder.arrays[name] = as_is(door)
    builder.read_all()
    outputs = []
    for name in file.outputs:
        found = builder.arrays[name]
        if isinstance(found, np.ndarray) or found is None:
            raise ValueError(f"its output {name!r} is a constant")
        outputs.append(builder.plain(found))
    check_masks(builder, outputs)
    importlib.import_module("backprop.models")  # it stands above, and its registry enters itself
    name = good_name(file.name or "model", set())
    kind: Any = FAMILIES["models"].classes["Model"]
    return kind(doors, outputs if len(outputs) > 1 else outputs[0], name=name)


def good_name(name: str, taken: set[str]) -> str:
    """A name that a layer can have, and none of these is; from now on it is one of them."""
    name = NAME.sub("_", name)[:LONGEST].strip("_.") or "input"
    k, found = 0, name
    while found in taken:
        k += 1
        found = f"{name}_{k}"
    taken.add(found)
    return found
