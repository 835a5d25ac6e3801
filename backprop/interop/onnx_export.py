"""A model as an ONNX graph."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from backprop.archive import known_path
from backprop.atomic import replacing
from backprop.checks import integer
from backprop.interop import (  # noqa: F401 - they fill the table
    onnx_activations,
    onnx_images,
    onnx_normalization,
    onnx_plain,
    onnx_sequences,
)
from backprop.interop.onnx_plain import chain, graph
from backprop.interop.onnx_writing import NotInOnnx, Value, Writer
from backprop.layers.graph import Graph
from backprop.nest import as_tuple

OLDEST = 17  # the first with LayerNormalization
NEWEST = 22
MOST_BYTES = 2**31 - 2**20  # of a protocol buffer


def to_onnx(model: Any, path: str | os.PathLike | None = None, *, opset: int = OLDEST) -> Any:
    """A model's prediction as a graph of ONNX, which other programs run.

    Parameters
    ----------
    model : Sequential or Model
        Built.
    path : path, optional
        Ends in ``.onnx``: the file to write, as a whole or not at all.
    opset : int, default 17
        The version of the operators, from 17 to 22.

    Returns
    -------
    onnx.ModelProto
        Checked by `onnx.checker`. Its inputs and outputs have the shapes and, as far as they are
        no Python keywords or the like, the names that the model has; the batch is free. All numbers
        are float32, whichever dtype the model has; what is looked up is int32, or what `Input`
        says.

    Raises
    ------
    ValueError
        The model is not built, or something in it has no words in ONNX: the error names the layer
        and why. Nothing was written then.
    ImportError
        onnx is not installed: ``pip install "backprop[onnx]"``.
    OSError
        The file cannot be written.

    Notes
    -----
    Masks go along where layers make them, and where a recurrent layer takes them they become
    lengths: what is real has to stand in front, and padding behind it.

    Examples
    --------
    >>> import backprop as bp
    >>> from backprop.interop import to_onnx
    >>> model = bp.Sequential([bp.Input((3,)), bp.layers.Dense(2, "relu")])
    >>> to_onnx(model)  # doctest: +SKIP
    ir_version: 8 ...
    """
    onnx = package()
    opset = integer(opset, "to_onnx()", "opset", least=OLDEST)
    if opset > NEWEST:
        raise ValueError(f"to_onnx() expects opset to be from {OLDEST} to {NEWEST}, got {opset}")
    if path is not None:
        path = known_path(path, (".onnx",))
    if not getattr(model, "built", False):
        raise ValueError(f"{getattr(model, 'name', model)!r} is not built yet: give it an Input")
    made = written(model, Writer(opset))
    if made.ByteSize() > MOST_BYTES:
        raise ValueError("its weights take more than 2 GiB, which a file of ONNX cannot hold")
    onnx.checker.check_model(made, full_check=True)
    if path is not None:
        contents = made.SerializeToString(deterministic=True)
        with replacing(path, lambda file: file.read() == contents) as file:
            file.write(contents)
    return made


def package() -> Any:
    """The package onnx, which the extra `onnx` brings."""
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    except ImportError as error:
        raise ImportError(
            'files of ONNX are read and written by onnx: pip install "backprop[onnx]"'
        ) from error
    return onnx


def written(model: Any, w: Writer) -> Any:
    """The protocol buffer of a model."""
    helper = w.onnx.helper
    given, named = inputs_of(model, w)
    found = as_tuple((graph if isinstance(model, Graph) else chain)(w, model, given))
    outputs = []
    for name, y in zip(output_names(model, len(found)), found, strict=True):
        name = name if name not in {v.name for v in named} else f"{name}_output"
        w.nodes.append(helper.make_node("Identity", [w.plain(w.as_float(y))], [name]))
        outputs.append(helper.make_tensor_value_info(name, w.onnx.TensorProto.FLOAT, sizes(y)))
    g = helper.make_graph(w.nodes, model.name, named, outputs, w.constants)
    made = helper.make_model(
        g,
        opset_imports=[helper.make_opsetid("", w.opset)],
        producer_name="backprop",
    )
    made.ir_version = IR[w.opset]
    return made


IR = {17: 8, 18: 8, 19: 9, 20: 9, 21: 10, 22: 10}  # the file format that each came with


def inputs_of(model: Any, w: Writer) -> tuple[Any, list[Any]]:
    """The values that go in, and what the graph says of them."""
    values, infos = [], []
    for name, shape, dtype in doors_of(model):
        value = Value(name, tuple(shape), integer=dtype.kind in "iub")
        kind = w.onnx.helper.np_dtype_to_tensor_dtype(dtype)
        infos.append(w.onnx.helper.make_tensor_value_info(name, kind, sizes(value)))
        values.append(value)
    return tuple(values) if len(values) > 1 else values[0], infos


def doors_of(model: Any) -> list[tuple[str, Any, np.dtype]]:
    if isinstance(model, Graph):
        doors = [(door.name, door.batch_shape, door.dtype) for door in model._wiring.doors]
    else:
        entry = next(iter(model._entries), None)
        dtype = getattr(entry, "dtype", None) if type(entry).__name__ == "InputLayer" else None
        doors = [("input", model.input_shape, dtype)]
    found = []
    for name, shape, dtype in doors:
        dtype = np.dtype(np.float32 if dtype is None else dtype)
        if dtype.kind == "U":
            raise NotInOnnx(f"the input {name!r} of {model.name} is of strings")
        if model.integer_input is True and not isinstance(model, Graph) and dtype.kind == "f":
            dtype = np.dtype(np.int32)
        found.append((name, shape, dtype if dtype.kind in "iu" else np.dtype(np.float32)))
    return found


def output_names(model: Any, count: int) -> list[str]:
    names: list[str] = list(getattr(model, "output_names", ()))
    if len(names) == count and len(set(names)) == count:
        return names
    return ["output"] if count == 1 else [f"output_{i}" for i in range(count)]


def sizes(x: Value) -> list[Any]:
    """Its sizes, where the batch and what is open have names."""
    names = ["batch", *(f"size_{i}" for i in range(1, x.ndim))]
    return [name if n is None else n for n, name in zip(x.shape, names, strict=True)]


__all__ = ["Path", "to_onnx"]
