"""``.safetensors``: weights under names, as Hugging Face and the users of PyTorch pass them on.

    8 bytes       the length of the header, little-endian
    header        JSON: {"dense/kernel": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
                  "__metadata__": {"format": "backprop", ...}}
    the rest      the numbers of each array, little-endian, one array behind the other

The format is so small that it is read and written here, without a package for it. Nothing in a file
is trusted: the length of the header, names, dtypes, shapes and places are held to the file's size
before memory is taken for an array, and every byte belongs to one array. The format has no
checksums; a file that is written here has one among its metadata, which is compared.
"""

from __future__ import annotations

import json
import math
import os
import sys
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from backprop.archive import faults_named, raw
from backprop.atomic import replacing
from backprop.spelling import nearest

Array = np.ndarray
Names = Mapping[str, Any]
METADATA = "__metadata__"
FORMAT = "backprop"
VERSION = 1
LONGEST = 2**24  # bytes of a header: a hundred thousand arrays
MOST_AXES = 32
BFLOAT16 = "BF16"  # the upper half of a float32, which NumPy has no dtype for
DTYPES = {
    **{"F64": "<f8", "F32": "<f4", "F16": "<f2", BFLOAT16: "<u2"},
    **{"I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1"},
    **{"U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1"},
}
WRITTEN = {np.dtype(dtype): name for name, dtype in DTYPES.items() if name != BFLOAT16}


# ---------------------------------------------------------------------------------- the format


def write(path: Any, arrays: Mapping[str, Array]) -> None:
    """Write arrays under names; where anything fails, what was there before is still there."""
    little = {
        name: np.asarray(a, a.dtype.newbyteorder("<"), order="C") for name, a in arrays.items()
    }
    # those of larger numbers first, so that each begins at a multiple of its numbers' size
    ordered = sorted(little.items(), key=lambda item: -item[1].itemsize)
    entries, at = {}, 0
    for name, a in ordered:
        places = [at, at + a.nbytes]
        entries[name] = {
            "dtype": WRITTEN[a.dtype],
            "shape": list(a.shape),
            "data_offsets": places,
        }
        at += a.nbytes
    total = checksum(entries, (raw(a) for _, a in ordered))
    metadata = {"format": FORMAT, "version": str(VERSION), "crc32": total}
    text = json.dumps({METADATA: metadata, **entries}).encode()
    text += b" " * (-len(text) % 8)
    head = len(text).to_bytes(8, "little") + text

    def is_whole(file: BinaryIO) -> bool:
        parts = (head, *(raw(a) for _, a in ordered))
        return all(file.read(len(part)) == part for part in parts) and not file.read(1)

    with replacing(path, is_whole) as file:
        file.write(head)
        for _, a in ordered:
            file.write(raw(a))


def checksum(entries: Mapping[str, Any], contents: Iterable[Any]) -> str:
    """Of the numbers of all arrays, and of what the header says of them."""
    total = zlib.crc32(json.dumps(entries, sort_keys=True).encode())
    for part in contents:
        total = zlib.crc32(part, total)
    return f"{total:08x}"


def read(path: str | os.PathLike) -> dict[str, Array]:
    """The arrays of a file by their names.

    Raises
    ------
    OSError
        The file cannot be read.
    ModelFileError
        It is damaged, made up, or no file of this format.
    """
    with faults_named(path, "safetensors"), open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        entries, metadata, start = header_of(file, size)
        sizes = {name: check_entry(name, entry) for name, entry in entries.items()}
        check_places(entries, size - start)
        given = checked_version(metadata)
        bare = {}
        ordered = sorted(entries, key=lambda name: entries[name]["data_offsets"])
        file.seek(start)
        for name in ordered:
            bare[name] = np.empty(sizes[name], np.uint8)
            if file.readinto(bare[name].data) != sizes[name]:
                raise ValueError(f"its array {name!r} is cut off")
        if given is not None and given != checksum(entries, (bare[name] for name in ordered)):
            raise ValueError("its arrays are damaged: the checksum does not agree")
        return {name: numbers_of(bare.pop(name), entry) for name, entry in entries.items()}


def header_of(file: BinaryIO, size: int) -> tuple[dict[str, Any], dict[str, str], int]:
    """What a file says of its arrays, its metadata, and where the numbers begin."""
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if size < 10 or length > size - 8:
        raise ValueError(f"its header would have {length:,} bytes, and the file has {size:,}")
    if length > LONGEST:
        raise ValueError(f"its header has {length:,} bytes, and at most {LONGEST:,} are taken")
    text = file.read(length)
    if text[:1] != b"{":
        raise ValueError("it is no file of safetensors")
    header = json.loads(text.decode(), object_pairs_hook=each_once)
    metadata = header.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError(f"its {METADATA} are no texts under names")
    return header, metadata, 8 + length


def each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("its header has a name twice")
    return found


def check_entry(name: str, entry: Any) -> int:
    """How many bytes an array has; an error unless its entry describes one."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"its header describes array {name!r} as {entry!r}")
    dtype, shape, places = (entry[key] for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ValueError(
            f"its array {name!r} has dtype {dtype!r}, and {', '.join(DTYPES)} are read"
        )
    if not is_sizes(shape) or len(shape) > MOST_AXES:
        raise ValueError(f"its array {name!r} has shape {shape!r}")
    if not is_sizes(places) or len(places) != 2:
        raise ValueError(f"its array {name!r} lies at {places!r}")
    size = math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize
    if places[1] - places[0] != size:
        raise ValueError(
            f"its array {name!r} has {places[1] - places[0]} bytes and its shape {shape} of "
            f"{dtype} needs {size}"
        )
    return size


def is_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int and 0 <= n <= sys.maxsize for n in value)


def check_places(entries: Mapping[str, Any], size: int) -> None:
    """Raise unless the arrays fill the rest of the file, each byte belonging to one."""
    at = 0
    for begin, end in sorted(entry["data_offsets"] for entry in entries.values()):
        if begin != at:
            raise ValueError(f"its arrays overlap or leave a gap at byte {min(at, begin)}")
        at = end
    if at != size:
        raise ValueError(f"its arrays have {at:,} bytes, and {size:,} are there")


def checked_version(metadata: Mapping[str, str]) -> str | None:
    """The checksum that a file of this library names; None of other files."""
    if metadata.get("format") != FORMAT and not {"crc32", "version"} <= metadata.keys():
        return None
    version = metadata.get("version", "")
    if not (version.isascii() and version.isdigit() and 0 < len(version) < 10) or version == "0":
        raise ValueError(f"it has format version {version!r}, which there is not")
    if int(version) > VERSION:
        raise ValueError(
            f"it has format version {version}, of a newer backprop, and this one reads versions up "
            f"to {VERSION}: upgrade backprop"
        )
    return metadata.get("crc32", "")


def numbers_of(data: Array, entry: Mapping[str, Any]) -> Array:
    """An array from its bytes; of bfloat16, as float32, which holds each of its numbers."""
    array = data.view(DTYPES[entry["dtype"]]).reshape(entry["shape"])
    if entry["dtype"] == BFLOAT16:
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array


# --------------------------------------------------------------------------------- of a model


def weight_paths(model: Any) -> dict[str, Any]:
    """The weights of a model by names that no two have: ``"bidirectional/forward_lstm/kernel"``,
    the layers in which a weight stands, and what it is there."""
    found: dict[str, Any] = {}
    own = set(map(id, model.arrays()))

    def collect(layer: Any, path: str) -> None:
        for p in layer.own_arrays():
            if id(p) in own:  # shared ones once, where they are first
                own.discard(id(p))
                found[free(f"{path}{p.name}", found)] = p
        for part in layer.sublayers():
            # some names have that of the owner in front already
            name = part.name.removeprefix(f"{layer.name}/")
            collect(part, f"{path}{name}/")

    collect(model, "")
    return found


def free(name: str, taken: Mapping[str, Any]) -> str:
    """A name, with a number behind its layer's where it is taken."""
    path, _, last = name.rpartition("/")
    k, found = 0, name
    while found in taken:
        k += 1
        found = f"{path}_{k}/{last}"
    return found


def write_weights(model: Any, path: Path, names: Names | None = None) -> None:
    """Write the weights of a model, under their paths or the names that a mapping gives."""
    arrays, own_arrays = {}, weight_paths(model)
    for own, (name, axes) in in_file(model, own_arrays, names).items():
        p = own_arrays[own]
        if p.value.dtype not in WRITTEN:
            raise TypeError(f"{own} of dtype {p.value.dtype} has no place in a .safetensors file")
        arrays[name] = p.value if axes is None else p.value.transpose(axes)
    write(path, arrays)


def load_weights(
    model: Any, path: Path, skip_mismatch: bool = False, names: Names | None = None
) -> list[str]:
    """Put the weights of a file into a model; what was left out, as text.

    Nothing changes unless all of it fits, or `skip_mismatch` leaves out what does not.
    """
    wanted = weight_paths(model)
    places = in_file(model, wanted, names)
    found = read(path)
    pairs, left_out = [], []
    for own, p in wanted.items():
        name, axes = places[own]
        a = found.pop(name, None)
        there = "nothing" if a is None else f"{a.shape} of {a.dtype}"
        if a is not None and axes is not None and a.ndim == len(axes):
            a = a.transpose(np.argsort(axes))
        if a is not None and a.shape == p.shape and a.dtype.kind == p.value.dtype.kind:
            pairs.append((p, a))
        else:
            left_out.append(f"{own} {p.shape}, in the file {there} at {name!r}")
    left_out += [f"{name!r} {a.shape}, not in {model.name}" for name, a in found.items()]
    with faults_named(path):
        if left_out and not skip_mismatch:
            raise ValueError(f"its weights are not those of {model.name}: {'; '.join(left_out)}")
    with np.errstate(over="ignore"):  # float64 that float32 cannot hold is infinite there
        values = [a.astype(p.value.dtype) for p, a in pairs]
    for (p, _), value in zip(pairs, values, strict=True):
        p.value[...] = value
    return left_out


def in_file(
    model: Any, wanted: Mapping[str, Any], names: Names | None
) -> dict[str, tuple[str, Sequence[int] | None]]:
    """The name of each weight in a file, and the order in which its axes stand there."""
    found: dict[str, Any] = {own: (own, None) for own in wanted}
    if names is not None and not isinstance(names, Mapping):
        raise TypeError(
            "names expects a mapping from the path of a weight to its name in the file, got "
            f"{type(names).__name__}"
        )
    for own, given in (names or {}).items():
        if own not in wanted:
            raise ValueError(
                f"names has {own!r}, which is no weight of {model.name}{nearest(own, wanted)}: it "
                f"has {', '.join(wanted)}"
            )
        name, axes = given if isinstance(given, tuple) and len(given) == 2 else (given, None)
        n = len(wanted[own].shape)
        if not isinstance(name, str) or not (axes is None or is_order(axes, n)):
            raise ValueError(
                f"names expects of {own!r} its name in the file, or that and the order of its axes "
                f"there, ('weight', {tuple(reversed(range(n)))}), and got {given!r}"
            )
        found[own] = (name, axes)
    counts = Counter([METADATA, *(name for name, _ in found.values())])
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise ValueError(f"{twice[0]!r} can be the name of one weight in a file, and not of two")
    return found


def is_order(axes: Any, n: int) -> bool:
    whole = isinstance(axes, tuple | list) and all(type(i) is int for i in axes)
    return whole and sorted(axes) == list(range(n))
