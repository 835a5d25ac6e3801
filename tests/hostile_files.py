"""Files that nobody wrote on purpose: real ones of each format, damaged and edited by chance.

Each is read, and the reader may do one of three things: raise a `ModelFileError` (or, for data and
tables, a ValueError) that names the file, read it, or, where checksums do not cover a change that
was made on purpose, read what it says now. Never another exception, more than a second of work or
more memory than such a file needs; and a model that an error left changed is a failure too.

    python -m tests.hostile_files 20000              so many of each format
    python -m tests.hostile_files 20000 model keras  of some

A failure names its format and its number, from which the same file is made again.
"""

from __future__ import annotations

import copy
import gzip
import io
import json
import random
import signal
import struct
import sys
import tempfile
import tracemalloc
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import backprop as bp
from backprop import archive, run_state
from backprop.archive import ModelFileError
from backprop.npy import npy_head
from backprop.tabular.preparation import Preprocessing
from backprop.tabular.reading import read_csv

ALSO = ("shard.weights.h5",)  # a file that another names
SECONDS = 1.0  # of the processor, for one file
MEMORY = 24 << 20  # bytes at once, whatever the file says; tables and arrays here are small

DEEP: Any = 1
for _ in range(400):
    DEEP = [DEEP]
VALUES = (
    *(None, True, False, 0, 1, -1, 2, 3, 1000, 2**31, 2**40, 2**63, 10**30, -(10**30)),
    *(0.5, -0.5, 1e-300, 1e308, float("nan"), float("inf"), -float("inf")),
    *("", "x", "relu", "../../etc/passwd", "/etc/passwd", "\x1b[31m", "\0", "a" * 10_000),
    *("float16", "int32", "complex64", "object", "same", "causal", "channels_first"),
    *([], {}, [[]], [0], [1, 1], [2, 2], [None], [None, 3], [-1, -1], [10**9, 10**9], ["x"]),
    *([3, 3, 10**12], {"x": 1}, DEEP, [0.1] * 1000),
    {"class_name": "Lambda", "config": {"function": "print"}, "module": "keras.layers"},
    {"class_name": "system", "config": "id", "module": "os", "registered_name": None},
    {"class_name": "__lambda__", "config": {"code": "YQ=="}, "module": "builtins"},
    {"class_name": "function", "config": "exec", "module": "builtins"},
    {"class_name": "__shared__", "config": {"shared_object_id": 0}},
    {"class_name": "__array__", "config": {"value": [1, [2]], "dtype": "object"}},
    {"class_name": "__array__", "config": {"value": 1, "dtype": "float32"}},
    {"class_name": "Dense", "config": {"units": 2}, "module": "layers"},
    {"class_name": "Dense", "config": {"units": 10**12}, "module": "layers"},
    {"class_name": "Adam", "config": {}, "module": "optimizers"},
    {"class_name": 5, "config": [], "module": []},
)
NAMES = ("class_name", "config", "module", "name", "shape", "units", "registered_name", "x", "")


class Format(NamedTuple):
    """A kind of file.

    Attributes
    ----------
    path : Path
        A real one.
    read : callable
        Given a path, reads it; returns the numbers in it.
    edit : callable, optional
        Given the contents and a `random.Random`, edits what the file says, not its bytes.
    kept : callable, optional
        The numbers that an error must not change.
    sums : bool
        Whether checksums cover all of it: damaged bytes never change the numbers that are read.
    error : type or tuple of them
        What a reader raises.
    """

    path: Path
    read: Callable[[Path], Any]
    edit: Callable[[bytes, random.Random], bytes] | None = None
    kept: Callable[[], list] = list
    sums: bool = True
    error: type | tuple[type, ...] = ModelFileError


class Slow(BaseException):
    """A reader that is busy for too long; no handler of errors catches it."""


# ------------------------------------------------------------------------------------- damage


def damaged(contents: bytes, rng: random.Random) -> bytes:
    """Contents with a few bytes changed, moved, lost or added."""
    data = bytearray(contents)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        n = len(data)
        if not n:
            break
        # the ends are where archives keep their directories
        at = min(n - 1, rng.choice((rng.randrange(n), n - 1 - rng.randrange(min(n, 200)))))
        long = rng.choice((1, 4, 16, 256))
        what = rng.randrange(9)
        if what < 3:
            data[at] ^= 1 << rng.randrange(8)
        elif what == 3:
            del data[at:]
        elif what == 4:
            del data[at : at + long]
        elif what == 5:
            data[at:at] = rng.randbytes(long)
        elif what == 6:
            data[at : at + long] = rng.choice((b"\0", b"\xff")) * long
        elif what == 7:
            other = rng.randrange(n)
            part, there = data[at : at + long], data[other : other + long]
            data[at : at + len(there)], data[other : other + len(part)] = there, part
        else:
            form = rng.choice(("<I", "<Q", ">I"))
            number = rng.choice((0, 1, 2**31 - 1, 2**31, 2**32 - 1))
            data[at : at + struct.calcsize(form)] = struct.pack(form, number)
    return bytes(data)


def spots(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a JSON value, as its container and the key there."""
    found, waiting = [], [value]
    while waiting:
        one = waiting.pop()
        inner = one.items() if isinstance(one, dict) else enumerate(one)
        for key, part in inner:
            found.append((one, key))
            if isinstance(part, dict | list):
                waiting.append(part)
    return found


def edited(value: Any, rng: random.Random) -> Any:
    """A JSON value with a few places changed."""
    value = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = spots(value)
        if not places:
            return value
        at, key = rng.choice(places)
        what = rng.randrange(10)
        if what < 5:
            at[key] = copy.deepcopy(rng.choice(VALUES))
        elif what == 5:
            del at[key]
        elif what == 6:
            other, name = rng.choice(places)
            at[key] = copy.deepcopy(other[name])
        elif what == 7 and isinstance(at, dict):
            at[rng.choice(NAMES)] = at.pop(key)
        elif what == 8 and isinstance(at, list):
            at += [copy.deepcopy(at[key]) for _ in range(rng.choice((1, 3, 100)))]
        else:
            at[key] = [at[key]] if rng.random() < 0.5 else {"x": at[key]}
    return value


def as_text(value: Any, rng: random.Random) -> bytes:
    """A value as JSON, now and then with a key that stands there twice."""
    text = json.dumps(value)
    braces = [i for i, c in enumerate(text) if c == "{" and text[i + 1] != "}"]
    if braces and rng.random() < 0.1:
        i = rng.choice(braces) + 1
        text = f'{text[:i]}"{rng.choice(NAMES)}": {json.dumps(rng.choice(VALUES))}, {text[i:]}'
    return text.encode()


def zipped(members: list[tuple[str, bytes]], rng: random.Random) -> bytes:
    """An archive, now and then with a member too many, twice, compressed, or of another name."""
    buffer = io.BytesIO()
    packing = zipfile.ZIP_DEFLATED if rng.random() < 0.03 else zipfile.ZIP_STORED
    if rng.random() < 0.06:
        name, contents = rng.choice(members)
        odd = ("../" + name, "/" + name, name, name.upper(), "a\\" + name, "__reduce__.npy")
        members = [*members, (rng.choice(odd), contents)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that are there twice
        with zipfile.ZipFile(buffer, "w", packing) as file:
            for name, contents in members:
                file.writestr(name, contents)
    return buffer.getvalue()


def members_of(contents: bytes) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(contents)) as file:
        return [(name, file.read(name)) for name in file.namelist()]


def edited_npz(contents: bytes, rng: random.Random) -> bytes:
    """A native file that says something else and has the checksums for it."""
    (first, text), *arrays = members_of(contents)
    head = len(npy_head("|u1", (0,)))
    header = edited(json.loads(text[head:].decode()), rng)
    if arrays and rng.random() < 0.2:
        i = rng.randrange(len(arrays))
        name, array = arrays[i]
        new = odd_array(np.load(io.BytesIO(array)), rng)
        arrays[i] = name, npy_head(new.dtype.str, new.shape) + new.tobytes()
        if isinstance(header.get("manifest"), dict):
            entry = [new.dtype.str, list(new.shape), zlib.crc32(new.tobytes())]
            header["manifest"][name.removesuffix(".npy")] = entry
    text = as_text(header, rng)
    return zipped([(first, npy_head("|u1", (len(text),)) + text), *arrays], rng)


def odd_array(array: np.ndarray, rng: random.Random) -> np.ndarray:
    what = rng.randrange(6)
    if what == 0:
        return array.astype(rng.choice(("f2", ">f4", "f8", "i8", "u1", "?", "c8")), copy=True)
    if what == 1:
        return array.reshape(-1).copy()
    if what == 2:
        return np.zeros((*array.shape, 0), array.dtype)
    if what == 3:
        return np.full_like(array, -1 if array.dtype.kind != "u" else 1)
    if what == 4 and array.dtype.kind == "f":
        return np.full_like(array, rng.choice((np.nan, np.inf, -1e30)))
    return np.concatenate([array.reshape(-1)] * 2)


def edited_keras(contents: bytes, rng: random.Random) -> bytes:
    members = members_of(contents)
    i = rng.choice([i for i, (name, _) in enumerate(members) if name.endswith(".json")] * 1)
    if rng.random() < 0.8:
        i = [name for name, _ in members].index("config.json")
    name, text = members[i]
    members[i] = name, as_text(edited(json.loads(text), rng), rng)
    return zipped(members, rng)


def edited_json(contents: bytes, rng: random.Random) -> bytes:
    return as_text(edited(json.loads(contents), rng), rng)


def edited_safetensors(contents: bytes, rng: random.Random) -> bytes:
    """Another header before the numbers, sometimes without the checksum, so that it is believed."""
    end = 8 + int.from_bytes(contents[:8], "little")
    header = json.loads(contents[8:end])
    if rng.random() < 0.6:
        header["__metadata__"] = {"format": "pt"}
    text = as_text(edited(header, rng), rng)
    length = (
        len(text) if rng.random() < 0.9 else rng.choice((0, 2**24, 2**31, 2**63, len(text) - 1))
    )
    return length.to_bytes(8, "little") + text + contents[end:]


def edited_onnx(contents: bytes, rng: random.Random) -> bytes:
    """Another graph: other operators, names, shapes, attributes and numbers than was written."""
    import onnx

    proto = onnx.ModelProto.FromString(contents)
    graph = proto.graph
    sizes = (0, 1, -1, 2, 3, 7, 1000, 2**31 - 1, 2**40, 2**62, -(2**63))
    ops = (
        "Loop",
        "If",
        "Transpose",
        "Reshape",
        "MatMul",
        "Conv",
        "LSTM",
        "Tile",
        "Relu",
        "",
        "\x1b",
    )
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        what, node = rng.randrange(10), rng.choice(graph.node)
        tensor = rng.choice(graph.initializer)
        if what == 0:
            node.op_type = rng.choice((*ops, rng.choice(graph.node).op_type))
        elif what == 1 and node.input:
            other = rng.choice([*graph.initializer, *graph.input]).name
            node.input[rng.randrange(len(node.input))] = rng.choice((other, "", "x"))
        elif what == 2 and node.attribute:
            a = rng.choice(node.attribute)
            if a.ints:
                a.ints[rng.randrange(len(a.ints))] = rng.choice(sizes)
            a.i, a.f = rng.choice(sizes), rng.choice((0.0, -1.0, 1e30, float("nan")))
            a.s = rng.choice((b"", b"reverse", b"\xff", b"bidirectional"))
        elif what == 3 and tensor.dims:
            tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(sizes)
        elif what == 4:
            tensor.data_type = rng.randrange(24)
        elif what == 5 and tensor.data_type == 7:
            whole = len(tensor.raw_data) // 8 * 8  # an edit may have called other numbers so
            array = np.frombuffer(tensor.raw_data[:whole], "<i8").copy()
            if array.size:
                array[rng.randrange(array.size)] = rng.choice(sizes)
            tensor.raw_data = array.tobytes()
        elif what == 6:
            tensor.data_location = 1
            tensor.external_data.add(key="location", value=rng.choice(("/etc/passwd", "../x")))
        elif what == 7:
            dims = rng.choice([*graph.input, *graph.output]).type.tensor_type.shape.dim
            if dims:
                rng.choice(dims).dim_value = rng.choice(sizes)
        elif what == 8:
            graph.node.remove(node)
            if rng.random() < 0.5:
                graph.node.append(node)
        else:
            node.domain = rng.choice(("com.microsoft", "x", ""))
            proto.opset_import[0].version = rng.choice((0, 1, 9, 17, 99, 2**60))
        if not graph.node or not graph.initializer:
            break
    return proto.SerializeToString()


def edited_npy(contents: bytes, rng: random.Random) -> bytes:
    """An archive of NumPy's with odd heads before its arrays."""
    members = members_of(contents)
    i = rng.randrange(len(members))
    name, array = members[i]
    dtype = rng.choice(("|u1", "<f4", "|O", "<U9", "<i8", "|V7", "M8", [("a", "<i4")]))
    shape = rng.choice(((), (3,), (-1,), (10**12,), (2**62, 4), (2, 28, 28), (0,)))
    members[i] = name, npy_head(dtype, shape) + array[128:]
    return zipped(members, rng)


# -------------------------------------------------------------------------------------- formats


def plain_model(for_keras: bool = False) -> Any:
    layers = bp.layers
    convolution = layers.Conv2D(2, 2)
    bp.utils.set_random_seed(0)
    model = bp.Sequential(
        [
            bp.Input((12, 12, 2)),
            layers.RandomFlip(seed=1),
            layers.Conv2D(3, 3, padding="same", activation="relu", kernel_regularizer="l2"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(2),
            convolution if for_keras else layers.SpectralNormalization(convolution),
            layers.Resizing(6, 6),
            layers.Reshape((12, 6)),
            layers.Bidirectional(layers.LSTM(2, return_sequences=True)),
            layers.LayerNormalization(),
            layers.TimeDistributed(layers.Dense(3)),
            layers.GlobalAveragePooling1D(),
            layers.Dropout(0.2),
            layers.Dense(2, kernel_constraint=bp.constraints.MaxNorm(2.0), activation="softmax"),
        ]
    )
    rate = bp.optimizers.schedules.ExponentialDecay(0.1, 5, 0.9)
    model.compile(bp.optimizers.Adam(rate), "categorical_crossentropy", metrics=["accuracy", "AUC"])
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 12, 12, 2)), np.eye(2)[rng.integers(0, 2, 8)]
    model.fit(x, y, epochs=1, batch_size=4, verbose=0)
    return model


def graph_model() -> Any:
    layers = bp.layers
    bp.utils.set_random_seed(0)
    words, numbers = bp.Input((5,), dtype="int32"), bp.Input((5, 4))
    shared = layers.Dense(4, activation="tanh")
    x = layers.Embedding(20, 4)(words)
    x = layers.Add()([shared(x), shared(numbers)])
    x = layers.MultiHeadAttention(2, 2)(x, x)
    x = layers.Conv1D(3, 2)(x)
    y = layers.Concatenate()([layers.GRU(2)(x), layers.Flatten()(numbers)])
    model = bp.Model([words, numbers], [layers.Dense(1)(y), layers.Dense(2)(y)])
    model.compile("sgd", ["mse", "mae"])
    return model


def small_model() -> Any:
    bp.utils.set_random_seed(0)
    model = bp.Sequential([bp.Input((4,)), bp.layers.Dense(3), bp.layers.Dense(2)])
    model.compile("adam", "mse", metrics=["mae"])
    x = np.random.default_rng(0).normal(size=(8, 4))
    model.fit(x, x[:, :2], batch_size=4, verbose=0)
    return model


def legacy(model: Any, path: Path) -> None:
    """A file in the layout of Keras 2."""
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{p.name}:0" for p in layer.arrays()]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, p in zip(names, layer.arrays(), strict=True):
                group.create_dataset(name, data=p.value)


def formats(folder: Path) -> dict[str, Format]:
    """A real file of each format, in a folder."""
    model, graph, small = plain_model(), graph_model(), small_model()
    model.save(folder / "model.npz")
    graph.save(folder / "graph.npz")
    model.save_weights(folder / "weights.npz")
    model.save_weights(folder / "weights.safetensors")
    run_state.save_checkpoint(small, folder / "run.npz", 3, 1)
    (folder / "model.json").write_text(graph.to_json())
    space = feature_space()
    space.save(folder / "space.npz")
    prepared = bp.Sequential([bp.Input((4,)), bp.layers.Dense(2)])
    table = folder / "table.csv"
    table.write_text("size;colour;day;kind\n1,5;red;2020-01-02;a\n2,5;blue;2020-02-03;b\n" * 1)
    bp.saving.save_model(prepared, folder / "prepared.npz", extra={"preprocessing": preparation()})

    def weights_of(model):
        return lambda: [p.value for p in model.arrays()]

    def load(path):
        return weights_of(bp.models.load_model(path))()

    def into(model):
        def read(path):
            model.load_weights(path)
            return weights_of(model)()

        return read

    def resume(path):
        run_state.load_checkpoint(small, path)
        return weights_of(small)()

    def restore(path):
        small.trainer.restore_state(path)
        return weights_of(small)()

    def from_json(path):
        bp.models.model_from_json(path.read_text("utf-8", "replace"))

    def prepare(path):
        extra = bp.saving.models.read_model(path)[1]
        with archive.describing(path):
            Preprocessing.from_json(extra["preprocessing"])

    def with_space(path):
        bp.utils.FeatureSpace.load(path)

    found = {
        "model": Format(folder / "model.npz", load, edited_npz),
        "graph": Format(folder / "graph.npz", load, edited_npz),
        "weights": Format(folder / "weights.npz", into(model), edited_npz, weights_of(model)),
        "safetensors": Format(
            folder / "weights.safetensors", into(model), edited_safetensors, weights_of(model)
        ),
        "checkpoint": Format(folder / "run.npz", resume, edited_npz, weights_of(small)),
        "state": Format(folder / "run.npz", restore, edited_npz, weights_of(small)),
        "space": Format(folder / "space.npz", with_space, edited_npz),
        "prepared": Format(folder / "prepared.npz", prepare, edited_npz),
        "json": Format(folder / "model.json", from_json, edited_json, sums=False, error=ValueError),
        "csv": Format(table, read_csv, sums=False, error=ValueError),
    }
    found |= data_files(folder) | onnx_files(folder)
    return found | keras_files(folder, load, into, weights_of, graph, small)


def keras_files(folder, load, into, weights_of, graph, small) -> dict[str, Format]:
    try:
        import h5py
    except ImportError:
        return {}
    model = plain_model(for_keras=True)
    model.save(folder / "model.keras")
    graph.save(folder / "graph.keras")
    small.save_weights(folder / "small.weights.h5")
    legacy(small, folder / "old.h5")
    (folder / "shard.weights.h5").write_bytes((folder / "small.weights.h5").read_bytes())
    names = {"weight_map": {"/": ["shard.weights.h5"]}, "metadata": {"total_size": 1}}
    (folder / "several.weights.json").write_text(json.dumps(names))
    with h5py.File(folder / "rows.h5", "w") as file:
        file.create_dataset("x", data=np.ones((40, 3)), chunks=(8, 3), compression="gzip")
        file.create_dataset("y", data=np.arange(40))
    numbers = weights_of(small)
    return {
        "keras": Format(folder / "model.keras", load, edited_keras),
        "keras_graph": Format(folder / "graph.keras", load, edited_keras),
        "h5": Format(folder / "small.weights.h5", into(small), None, numbers, sums=False),
        "legacy": Format(folder / "old.h5", into(small), None, numbers, sums=False),
        "shards": Format(
            folder / "several.weights.json", into(small), edited_json, numbers, sums=False
        ),
        "hdf5_rows": Format(
            folder / "rows.h5",
            lambda path: rows_of(bp.data.HDF5Dataset(path, x="x", y="y", batch_size=8)),
            sums=False,
            error=NOT_ROWS,
        ),
    }


def onnx_files(folder: Path) -> dict[str, Format]:
    try:
        import onnx  # noqa: F401
    except ImportError:
        return {}
    from backprop.interop import from_onnx, to_onnx

    layers = bp.layers
    bp.utils.set_random_seed(0)
    words, image = bp.Input((5,), dtype="int32"), bp.Input((6, 6, 2))
    x = layers.GRU(3)(layers.LSTM(3, return_sequences=True)(layers.Embedding(9, 4)(words)))
    y = layers.BatchNormalization()(layers.Conv2D(3, 3, padding="same")(image))
    y = layers.GlobalAveragePooling2D()(layers.MaxPooling2D()(y))
    z = layers.LayerNormalization()(layers.Concatenate()([x, y]))
    to_onnx(bp.Model([words, image], layers.Dense(2, "gelu")(z)), folder / "graph.onnx")

    def load(path):
        return [p.value for p in from_onnx(path).arrays()]

    return {"onnx": Format(folder / "graph.onnx", load, edited_onnx, sums=False)}


def feature_space() -> Any:
    space = bp.utils.FeatureSpace(
        {
            "size": "float_normalized",
            "colour": "string_categorical",
            "code": bp.utils.FeatureSpace.integer_categorical(num_oov_indices=1),
            "bin": bp.utils.FeatureSpace.float_discretized(3),
        },
        crosses=[("colour", "code")],
        crossing_dim=8,
    )
    space.adapt({"size": [1.0, 2.0], "colour": ["red", "blue"], "code": [3, 4], "bin": [0.1, 0.9]})
    return space


def preparation() -> dict[str, Any]:
    from backprop.tabular.reading import Table

    rows = [
        [str(i), "red" if i % 2 else "blue", f"2020-01-{i + 1:02}", "ab"[i % 2]] for i in range(9)
    ]
    table = Table("t.csv", ["size", "colour", "day", "kind"], rows)
    made = Preprocessing(target="kind", classes=["a", "b"])
    made.learn_columns(table, ["size", "colour", "day"], np.arange(9))
    return made.to_json()


NOT_ROWS = (ValueError, TypeError, OSError)  # what data sets larger than memory raise


def rows_of(data: Any) -> list:
    """The arrays of all batches of a data set; of Parquet no damaged file is tried, since pyarrow
    26 ends the process where the type of a column's chunk is damaged."""
    return [array for number in range(len(data)) for array in data[number]]


def data_files(folder: Path) -> dict[str, Format]:
    from backprop.datasets import arrays, cifar, imdb

    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 255, (5, 28, 28), np.uint8), np.arange(5, dtype=np.uint8)
    expected = {
        "x": arrays.Expected("u", (None, 28, 28)),
        "y": arrays.Expected("ui", (None,)),
    }
    np.savez(folder / "data.npz", x=images, y=labels)
    idx = bytes((0, 0, 8, 3)) + struct.pack(">3I", 5, 28, 28) + images.tobytes()
    (folder / "images.idx").write_bytes(idx)
    np.savez_compressed(folder / "arrays.npz", x=images, y=labels, names=np.array(["a", "é"]))
    np.save(folder / "array.npy", images.astype("f4"))
    np.save(folder / "rows.npy", images.reshape(-1, 28).astype("f4"))
    table = "size;colour\n" + "".join(f"{i},5;red\n" for i in range(9))
    (folder / "packed.csv.gz").write_bytes(gzip.compress(table.encode(), mtime=0))
    (folder / "images.idx.gz").write_bytes(gzip.compress(idx, mtime=0))
    import pickle

    batch = {b"data": rng.integers(0, 255, (3, 3072), np.uint8), b"labels": [1, 2, 3]}
    (folder / "batch").write_bytes(pickle.dumps(batch, protocol=2))
    texts = np.empty(3, object)
    texts[:] = [[1, 2, 3], [4], [5, 6]]
    y = np.arange(3)
    np.savez(folder / "imdb.npz", x_train=texts, y_train=y, x_test=texts, y_test=y)
    (folder / "words.json").write_text(json.dumps({"the": 1, "a": 2, "of": 3}))

    def as_list(found):
        return list(found.values())

    return {
        "npz": Format(
            folder / "data.npz",
            lambda path: as_list(arrays.read_npz(path, expected)),
            edited_npy,
            error=ValueError,
        ),
        "arrays": Format(
            folder / "arrays.npz",
            lambda path: as_list(arrays.read_any(path, "fiubU")),
            edited_npy,
            error=ValueError,
        ),
        "npy": Format(
            folder / "array.npy",
            lambda path: as_list(arrays.read_any(path, "fiubU")),
            sums=False,
            error=ValueError,
        ),
        "npy_rows": Format(
            folder / "rows.npy",
            lambda path: rows_of(bp.data.NpyDataset(x=path, y=path, batch_size=8)),
            sums=False,
            error=NOT_ROWS,
        ),
        "csv_gz": Format(folder / "packed.csv.gz", read_csv, sums=False, error=ValueError),
        "idx": Format(
            folder / "images.idx",
            lambda path: [arrays.read_idx(path, expected["x"])],
            sums=False,
            error=ValueError,
        ),
        "idx_gz": Format(
            folder / "images.idx.gz",
            lambda path: [arrays.read_idx(path, expected["x"])],
            error=ValueError,
        ),
        "pickle": Format(
            folder / "batch",
            lambda path: cifar.read_batch(path, "labels", {"labels": 10}),
            sums=False,
            error=ValueError,
        ),
        "imdb": Format(folder / "imdb.npz", imdb.load_data, edited_npy, error=ValueError),
        "word_index": Format(
            folder / "words.json", imdb.get_word_index, edited_json, sums=False, error=ValueError
        ),
    }


# -------------------------------------------------------------------------------------- trials


def too_long(number, frame):
    raise Slow


def trial(kind: str, of: Format, number: int, folder: Path) -> str:
    """Make file `number` of a format and read it; what is wrong with what came of it, or
    nothing."""
    rng = random.Random(f"{kind} {number}")
    real = of.path.read_bytes()
    edit = of.edit is not None and rng.random() < 0.6
    contents = of.edit(real, rng) if edit and of.edit else damaged(real, rng)
    return "" if contents == real else reading(kind, of, contents, edit, folder)


def reading(kind: str, of: Format, contents: bytes, edit: bool, folder: Path) -> str:
    """What is wrong with how a file of these contents is read, or nothing; whether it was edited,
    so that it may say something else than the real one."""
    path = folder / f"{kind}-hostile{''.join(of.path.suffixes)}"
    path.write_bytes(contents)
    before = [a.copy() for a in of.kept()]
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    tracemalloc.reset_peak()
    start = tracemalloc.get_traced_memory()[0]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a file's layers will do; of coded letters
            found = of.read(path)
    except of.error as error:
        now = of.kept()
        text = str(error)
        if kind != "json" and not any(name in text for name in (path.name, *ALSO)):
            return f"does not name the file: {error}"
        if not all(map(np.array_equal, before, now)):
            return f"an error changed the model: {error}"
        if any(ord(c) < 32 and c not in "\n\t" for c in text):
            return f"control characters in an error: {text!r}"
        if "allow_pickle" in text or "max_header_size" in text:
            return f"advice to read it otherwise: {text}"
        found = None
    except Slow:
        return f"more than {SECONDS} s"
    except BaseException as error:
        where = error.__traceback__
        while where and where.tb_next:
            where = where.tb_next
        at = f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where else ""
        return f"{type(error).__name__}: {str(error)[:300]} ({at})"
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    peak = tracemalloc.get_traced_memory()[1] - start
    if peak > MEMORY + 3 * len(contents):
        return f"{peak:,} bytes of memory"
    if found is not None and not edit and of.sums and not same(found, honest(kind, of)):
        return "read with other numbers than were saved"
    for value, a in zip(before, of.kept(), strict=True):
        a[...] = value
    return ""


HONEST: dict[str, Any] = {}


def honest(kind: str, of: Format) -> Any:
    """The numbers of the file as it was saved."""
    if kind not in HONEST:
        HONEST[kind] = [np.array(a) for a in of.read(of.path)]
    return HONEST[kind]


def same(found: Any, saved: Any) -> bool:
    return len(found) == len(saved) and all(map(np.array_equal, found, saved))


def failures(kind: str, of: Format, numbers: range, folder: Path) -> list[str]:
    """What is wrong with the readings of so many files of a format."""
    previous = signal.signal(signal.SIGVTALRM, too_long)
    tracemalloc.start()
    try:
        if of.sums and of.read(of.path) is not None:
            honest(kind, of)
        found = ((i, trial(kind, of, i, folder)) for i in numbers)
        return [f"{kind} {i}: {text}" for i, text in found if text]
    finally:
        tracemalloc.stop()
        signal.signal(signal.SIGVTALRM, previous)


def main(count: int, kinds: list[str]) -> int:
    bad = 0
    with tempfile.TemporaryDirectory() as name:
        known = formats(Path(name))
        for kind in kinds or known:
            found = failures(kind, known[kind], range(count), Path(name))
            bad += len(found)
            print(f"{kind}: {count} files, {len(found)} failures", flush=True)
            for text in found[:20]:
                print("  ", text)
    return bad


if __name__ == "__main__":
    sys.exit(bool(main(int(sys.argv[1]), sys.argv[2:])))
