"""What an ONNX file says, checked, before anything is made of it.

Nothing in a file is trusted: no other file is opened for its arrays, an array has as many bytes as
its shape needs, nodes are of ONNX' own operators and name what is there.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from backprop.archive import existing, known_path
from backprop.bounds import LAYERS
from backprop.interop.onnx_export import package

Array = np.ndarray
MOST_BYTES = 2**31
MOST_AXES = 32
MOST_INPUTS = 2**9
MOST_NAMES = 2**16  # that nodes may read
OLDEST, NEWEST = 7, 25  # versions of the operators that are read
# ONNX' numbers of the dtypes that are read
DTYPES = {
    1: "<f4",
    2: "|u1",
    3: "|i1",
    6: "<i4",
    7: "<i8",
    9: "|b1",
    10: "<f2",
    11: "<f8",
}
# the fields in which an array's numbers may stand one by one
FIELDS = {1: "float_data", 11: "double_data", 7: "int64_data"}
# ONNX' numbers of the kinds of attributes, and the fields that they stand in
KINDS = {1: "f", 2: "i", 3: "s", 4: "t", 6: "floats", 7: "ints", 8: "strings"}


class Node:
    """A node of the graph.

    Attributes
    ----------
    op : str
    inputs, outputs : list of str
        "" for what was left out.
    attributes : dict
        Numbers, texts, arrays and lists of them.
    """

    def __init__(self, proto: Any):
        if proto.domain not in ("", "ai.onnx"):
            raise ValueError(f"it has an operator of {proto.domain!r}, and ONNX' own are read")
        self.op: str = proto.op_type
        self.inputs: list[str] = list(proto.input)
        self.outputs: list[str] = list(proto.output)
        self.attributes = {a.name: attribute(self.op, a) for a in proto.attribute}

    def get(self, name: str, default: Any = None) -> Any:
        return self.attributes.get(name, default)


class File:
    """A checked file.

    Attributes
    ----------
    name : str
        Of its graph.
    opset : int
    inputs : dict of str to (tuple, dtype)
        Shape, with None for what is open, and dtype of what goes in.
    outputs : list of str
    nodes : list of Node
        Each behind those that it reads.
    constants : dict of str to ndarray
    readers : dict of str to list of Node
        Those that read an array.
    """

    def __init__(self, proto: Any):
        graph = proto.graph
        self.opset = opset_of(proto)
        made = sum(max(len(node.output), 1) for node in graph.node)
        if made > LAYERS:
            raise ValueError(f"its graph makes {made:,} arrays, more than {LAYERS:,}")
        if proto.functions or graph.sparse_initializer or proto.training_info:
            raise ValueError("it has functions, sparse arrays or steps of training of its own")
        self.name = graph.name
        self.constants = {t.name: array_of(t) for t in graph.initializer}
        self.nodes = [Node(node) for node in graph.node]
        self.inputs = {i.name: kind_of(i) for i in graph.input if i.name not in self.constants}
        if len(self.inputs) > MOST_INPUTS:
            raise ValueError(f"its graph has {len(self.inputs):,} inputs, more than {MOST_INPUTS}")
        self.outputs = [o.name for o in graph.output]
        self.readers: dict[str, list[Node]] = {}
        self._check_names(len(graph.initializer), len(graph.input))

    def _check_names(self, constants: int, inputs: int) -> None:
        made = [name for node in self.nodes for name in node.outputs if name]
        twice = Counter([*self.constants, *self.inputs, *made])
        if max(twice.values(), default=0) > 1 or len(self.constants) != constants:
            raise ValueError("it gives one name to two arrays")
        if len(self.inputs) > inputs or not self.inputs or not self.outputs:
            raise ValueError("its graph has no inputs or no outputs")
        known = {"", *self.constants, *self.inputs}
        for node in self.nodes:
            for name in node.inputs:
                if name not in known:
                    raise ValueError(f"its {node.op} reads {name!r}, which nothing before it makes")
                self.readers.setdefault(name, []).append(node)
            known.update(node.outputs)
        gone = [name for name in self.outputs if name not in known or not name]
        if gone:
            raise ValueError(f"its output {gone[0]!r} is made by nothing")
        if sum(map(len, self.readers.values())) > MOST_NAMES:
            raise ValueError(f"its nodes read more than {MOST_NAMES:,} arrays")

    def numbers(self) -> int:
        """How many numbers its constants have."""
        return sum(a.size for a in self.constants.values()) + sum(
            a.size
            for node in self.nodes
            for a in node.attributes.values()
            if isinstance(a, np.ndarray)
        )


def read(path: str | os.PathLike) -> File:
    """A file, checked."""
    onnx = package()
    path = existing(known_path(path, (".onnx",)))
    return checked(onnx, contents_of(path))


def contents_of(path: Path) -> bytes:
    with open(path, "rb") as file:
        if file.seek(0, os.SEEK_END) > MOST_BYTES:
            raise ValueError("it has more than 2 GiB, which no protocol buffer has")
        file.seek(0)
        return file.read()


def checked(onnx: Any, contents: bytes) -> File:
    from google.protobuf.message import DecodeError  # it comes with onnx

    try:
        proto = onnx.ModelProto.FromString(contents)
    except (DecodeError, RecursionError) as error:
        raise ValueError(f"it is damaged or no file of ONNX: {error}") from error
    return File(proto)


def opset_of(proto: Any) -> int:
    found = [entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")]
    if len(found) != 1 or not OLDEST <= found[0] <= NEWEST:
        raise ValueError(
            f"its operators have version {found}, and versions {OLDEST} to {NEWEST} are read"
        )
    return found[0]


def array_of(tensor: Any) -> Array:
    """The numbers of a tensor, as many as its shape says."""
    name, shape = tensor.name, tuple(tensor.dims)
    if tensor.data_location or tensor.external_data:
        raise ValueError(f"its array {name!r} lies in another file, which is not opened")
    if tensor.data_type not in DTYPES or tensor.HasField("segment"):
        raise ValueError(f"its array {name!r} has dtype number {tensor.data_type}")
    if len(shape) > MOST_AXES or any(n < 0 for n in shape):
        raise ValueError(f"its array {name!r} has shape {shape}")
    dtype = np.dtype(DTYPES[tensor.data_type])
    field = FIELDS.get(tensor.data_type, "int32_data")
    if tensor.HasField("raw_data"):
        data = np.frombuffer(tensor.raw_data, np.uint8)
        count, rest = divmod(data.size, dtype.itemsize)
    else:
        data = getattr(tensor, field)
        count, rest = len(data), 0
    if rest or count != math.prod(shape):
        raise ValueError(f"its array {name!r} of shape {shape} has {count} numbers")
    if tensor.HasField("raw_data"):
        return data.view(dtype).reshape(shape)
    if dtype == np.float16:  # as the bits of integers
        return np.array(data, np.uint16).view(np.float16).reshape(shape)
    return np.array(data).astype(dtype).reshape(shape)


def kind_of(info: Any) -> tuple[tuple[int | None, ...], np.dtype]:
    """Shape and dtype of what goes in."""
    kind = info.type.tensor_type
    if info.type.WhichOneof("value") != "tensor_type" or kind.elem_type not in DTYPES:
        raise ValueError(f"its input {info.name!r} is no array of numbers")
    if not kind.HasField("shape"):
        raise ValueError(f"its input {info.name!r} has no shape")
    shape = tuple(
        (d.dim_value if d.dim_value > 0 else None) if d.HasField("dim_value") else None
        for d in kind.shape.dim
    )
    if not 1 <= len(shape) <= MOST_AXES:
        raise ValueError(f"its input {info.name!r} has {len(shape)} axes")
    return shape, np.dtype(DTYPES[kind.elem_type])


def attribute(op: str, a: Any) -> Any:
    """A number, text, array or list."""
    if a.type not in KINDS or a.ref_attr_name:
        raise ValueError(f"its {op} has {a.name!r}, of a kind that is not read")
    value = getattr(a, KINDS[a.type])
    if a.type == 3:
        return value.decode()
    if a.type == 4:
        return array_of(value)
    if a.type == 8:
        return [text.decode() for text in value]
    return list(value) if a.type > 4 else value
