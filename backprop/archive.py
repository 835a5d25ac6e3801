"""One file that holds JSON and arrays: written whole or not at all, read without trust.

The file is an uncompressed ``.npz`` that `numpy.load` opens. Its member ``header`` is JSON text as
bytes, with a manifest of every array: name, dtype, shape and CRC-32. There is one way to write
given contents, and a reader holds the file to it: the members are those of the manifest, their
sizes follow from dtype and shape and add up to no more than the file, the head of each is compared
byte by byte. All of it is settled before memory is taken for an array. So a damaged or made-up
file is a ValueError, and no file can make the reader run code, open a path or take more memory than
the file is large.

Every version of this library reads all formats up to its own, `VERSION`: an older file goes through
the steps of `UPGRADES` from its format on. A file of a newer format is refused, as what it says may
mean something else. What an older reader may overlook, such as one more entry of the header, is
added without a new format; whatever it must not overlook makes one.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from backprop.atomic import replacing
from backprop.checks import as_path
from backprop.npy import AXES, npy_head
from backprop.signing import SigningKey, check_key, opened, seal
from backprop.spelling import nearest, printable

Array = np.ndarray
FORMAT = "backprop"
SAFETENSORS = ".safetensors"
# the native file first; .keras and .h5 are Keras'
MODEL_FILES = (".npz", ".keras")
WEIGHT_FILES = (".npz", ".weights.h5", SAFETENSORS)
KERAS_2 = (".h5", ".hdf5")
READABLE_WEIGHTS = (*WEIGHT_FILES, ".weights.json", ".keras", *KERAS_2)
# the n-th makes a file of format n one of format n + 1: header and arrays, given and returned
UPGRADES: tuple[Callable[[dict[str, Any], dict[str, Array]], tuple[dict, dict]], ...] = ()
VERSION = 1 + len(UPGRADES)
LONGEST = 2_000  # characters of an error that quotes a file
HEADER = "header"
DTYPES = {np.dtype(order + c).str for c in "?bBhHiIqQefdg" for order in "<>"}
UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]|^/|(^|/)\.{0,2}(/|$)")  # in a name: no path could be made
# what zipfile and json raise for bytes that nobody wrote on purpose
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    LookupError,
    struct.error,
    RuntimeError,  # encrypted members, unknown compression, JSON nested too deeply
    OverflowError,
)


class ModelFileError(ValueError):
    """A file is damaged, made up, or not what was asked for; nothing was changed by reading it.

    Its text may quote the file, so it is cut where it is long, and nothing in it steers a terminal.
    """

    def __init__(self, text: str):
        more = " ..." if len(text) > LONGEST else ""
        super().__init__(printable(text[:LONGEST], kept="\n") + more)


def write(
    path: str | os.PathLike,
    kind: str,
    header: Mapping[str, Any],
    arrays: Mapping[str, Array],
    key: SigningKey | None = None,
) -> None:
    """Write a file; where anything fails, what was there before is still there.

    It is read back, and the checksums of all that is in it are compared, before it takes its place.

    Parameters
    ----------
    path : path
        Ends in ``.npz``. Where it is a symbolic link, the file that it leads to is written.
    kind : str
        What the file is: ``"model"``, ``"weights"``, ``"checkpoint"``.
    header : mapping
        JSON can hold it.
    arrays : mapping of str to ndarray
        Of numbers or truth values.
    key : SigningKey, optional
        Signs the file.

    Raises
    ------
    TypeError
        Something in the header or an array's dtype cannot be written.
    ValueError
        A name is none that a file could have, or `path` does not end in ``.npz``.
    OSError
        The file cannot be written, or what was read back is not what was written.
    """
    check_key(key)
    path = npz_path(path)
    arrays = {name: np.asarray(a, order="C") for name, a in arrays.items()}
    for name, a in arrays.items():
        if UNSAFE.search(name) or name == HEADER:
            raise ValueError(f"an array named {name!r} cannot be saved: rename the layer")
        if a.dtype.str not in DTYPES and a.dtype != np.bool_:
            raise TypeError(f"the array {name!r} cannot be saved: it is of dtype {a.dtype}")
    manifest = {
        name: [a.dtype.str, list(a.shape), zlib.crc32(raw(a))] for name, a in arrays.items()
    }
    text = as_json(
        {"format": FORMAT, "version": VERSION, "kind": kind, **header, "manifest": manifest}
    )
    members = {HEADER: np.frombuffer(text.encode(), np.uint8), **arrays}
    with replacing(path, is_whole) as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name, array in members.items():
                info = zipfile.ZipInfo(f"{name}.npy")  # without the time: same model, same file
                with archive.open(info, "w", force_zip64=True) as member:
                    member.write(npy_head(array.dtype.str, array.shape))
                    member.write(raw(array))
        seal(file, key)


def is_whole(file: BinaryIO) -> bool:
    """Whether all that is in a zip file agrees with its checksums."""
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.testzip() is None
    except (ValueError, *DAMAGE):
        return False


def raw(array: Array) -> memoryview:
    """The bytes of an array in C order."""
    return array.reshape(-1).view(np.uint8).data


def as_json(header: Mapping[str, Any]) -> str:
    try:
        return json.dumps(header)
    except (TypeError, ValueError, RecursionError) as error:
        where, value = stranger(header, "")
        raise TypeError(
            f"cannot save {where} = {value!r} ({type(value).__name__}): a file holds numbers, "
            "text, lists, mappings and objects of registered classes"
        ) from error


def stranger(value: Any, where: str) -> tuple[str, Any]:
    """Where in a configuration something stands that JSON cannot hold, and what it is."""
    parts: Any = ()
    if isinstance(value, Mapping):
        parts = value.items()
    elif isinstance(value, list | tuple):
        parts = enumerate(value)
    for key, part in parts:
        try:
            json.dumps({key: part})
        except (TypeError, ValueError, RecursionError):
            at = f"{where}[{key}]" if isinstance(key, int) else f"{where}.{key}".lstrip(".")
            return stranger(part, at)
    return where, value


def existing(path: str | os.PathLike) -> Path:
    """The path, if it is that of a file."""
    path = Path(as_path(path, "backprop", "filepath"))
    if not path.exists():
        near = path.parent.glob(f"*{path.suffix}") if path.parent.is_dir() else ()
        raise FileNotFoundError(
            f"no file {str(path)!r}{nearest(path.name, [p.name for p in near])}"
        )
    if not path.is_file():
        raise OSError(f"{str(path)!r} is a folder or a device, and a file was expected")
    return path


def npz_path(path: str | os.PathLike) -> Path:
    """The path, if it is that of a file of this library."""
    return known_path(path, (".npz",))


def listed(words: Sequence[str]) -> str:
    """``".npz, .weights.h5 and .safetensors"``"""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def known_path(path: str | os.PathLike, endings: tuple[str, ...]) -> Path:
    """The path, if it has one of the endings."""
    path = Path(as_path(path, "backprop", "filepath"))
    if not path.name.endswith(endings):
        advice = f"name it {path.stem.removesuffix('.weights') + endings[0]!r}"
        if path.suffix in KERAS_2:
            advice += ". Of Keras 2's .h5 files the weights are read, by load_weights()"
        raise ValueError(
            f"backprop writes and reads {listed(endings)} files, got {str(path)!r}: {advice}"
        )
    return path


def read(
    path: str | os.PathLike, kinds: tuple[str, ...], key: SigningKey | None = None
) -> tuple[dict[str, Any], dict[str, Array]]:
    """The header and the arrays of a file of one of the kinds, signed with the key if there is one.

    Raises
    ------
    FileNotFoundError
    OSError
        The file cannot be read.
    ValueError
        `path` does not end in ``.npz``; as `ModelFileError`, if the file is not of this library, is
        damaged, is of another kind, or is not signed with the key.
    """
    check_key(key)
    path = existing(npz_path(path))
    with (
        faults_named(path, "backprop"),
        opened(path, key) as file,
        zipfile.ZipFile(file) as archive,
    ):
        return read_members(archive, kinds, file.seek(0, os.SEEK_END))


@contextmanager
def faults_named(path: str | os.PathLike, owner: str = "") -> Iterator[None]:
    """Within the block every fault of a file's contents is a `ModelFileError` that names the file;
    `owner` is whose format it should have."""
    name = repr(str(path))
    try:
        yield
    except ModelFileError:
        raise
    except (*DAMAGE, UnicodeDecodeError) as error:
        raise ModelFileError(f"{name} is damaged or no file of {owner}: {error}") from error
    except ValueError as error:
        raise ModelFileError(f"{name}: {error}") from error
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):
            raise
        # a place before the file's beginning, which only a damaged directory names
        raise ModelFileError(f"{name} is damaged or no file of {owner}: {error}") from error


@contextmanager
def describing(what: str | os.PathLike) -> Iterator[None]:
    """Within the block, where things are made as a file describes them, whatever is raised is a
    `ModelFileError` that names the file."""
    try:
        yield
    except (OSError, ModelFileError):
        raise
    except ValueError as error:
        raise ModelFileError(f"{str(what)!r}: {error}") from error
    except Exception as error:  # constructors that were given anything at all raise anything at all
        raise ModelFileError(
            f"{str(what)!r} describes no model: {type(error).__name__}: {error}"
        ) from error


def read_members(
    archive: zipfile.ZipFile, kinds: tuple[str, ...], file_size: int
) -> tuple[dict[str, Any], dict[str, Array]]:
    infos = {info.filename: info for info in archive.infolist()}
    if len(infos) != len(archive.infolist()):
        raise ValueError("two members have the same name")
    if sum(info.file_size for info in infos.values()) > file_size:
        raise ValueError("its members are larger than the file")
    for info in infos.values():
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            raise ValueError(
                f"its member {info.filename!r} is compressed, so it is no file of backprop"
            )
    header_info = infos.pop(f"{HEADER}.npy", None)
    if header_info is None:
        raise ValueError("it has no header, so it is no file of backprop")
    header = read_header(archive, header_info)
    if header.get("format") != FORMAT:
        raise ValueError("it is no file of backprop")
    version = header.get("version")
    if type(version) is not int or version < 1:
        raise ValueError(f"it has format version {version!r}, which there is not")
    if version > VERSION:
        raise ValueError(
            f"it has format version {version}, of a newer backprop, and this one reads versions up "
            f"to {VERSION}: upgrade backprop"
        )
    if header.get("kind") not in kinds:
        raise ValueError(
            f"it holds a {header.get('kind')!r} and a {' or a '.join(map(repr, kinds))} was "
            "expected"
        )
    manifest = header.pop("manifest", None)
    if not isinstance(manifest, dict) or {f"{name}.npy" for name in manifest} != set(infos):
        raise ValueError("its arrays are not those of its manifest")
    for name, entry in manifest.items():  # all of it, before anything is allocated
        check_entry(name, entry, infos[f"{name}.npy"])
    bad = archive.testzip()
    if bad is not None:
        raise ValueError(
            f"its array {bad.removesuffix('.npy')!r} is damaged: the checksum does not agree"
        )
    arrays = {name: read_array(archive, name, *entry) for name, entry in manifest.items()}
    for upgrade in UPGRADES[version - 1 :]:
        header, arrays = upgrade(header, arrays)
    return header, arrays


def read_header(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> dict[str, Any]:
    # the head is as long for any number of bytes
    size = info.file_size - len(npy_head("|u1", (0,)))
    with archive.open(info) as member:
        head = npy_head("|u1", (max(size, 0),))
        if member.read(len(head)) != head:
            raise ValueError("its header is damaged, or it is no file of backprop")
        # to the end, where the zip's own checksum is compared
        header = json.loads(member.read().decode())
    if not isinstance(header, dict):
        raise ValueError("it is no file of backprop")
    return header


def check_entry(name: str, entry: Any, info: zipfile.ZipInfo) -> None:
    """Raise unless the manifest describes an array of numbers that has the member's size."""
    if UNSAFE.search(name):
        raise ValueError(f"it names an array {name!r}")
    if not isinstance(entry, list) or len(entry) != 3:
        raise ValueError(f"its manifest describes array {name!r} as {entry!r}")
    dtype, shape, crc = entry
    if not isinstance(dtype, str) or (dtype not in DTYPES and dtype != "|b1"):
        raise ValueError(f"its array {name!r} has dtype {dtype!r}")
    if (
        not isinstance(shape, list)
        or len(shape) > AXES
        or not all(type(n) is int and 0 <= n <= sys.maxsize for n in shape)
        or type(crc) is not int
    ):
        raise ValueError(f"its array {name!r} has shape {shape!r}")
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if info.file_size != len(npy_head(dtype, tuple(shape))) + size:
        raise ValueError(
            f"its array {name!r} has {info.file_size} bytes and its shape {shape} needs {size}"
        )


def read_array(
    archive: zipfile.ZipFile, name: str, dtype: str, shape: list[int], crc: int
) -> Array:
    head = npy_head(dtype, tuple(shape))
    with archive.open(f"{name}.npy") as member:
        if member.read(len(head)) != head:
            raise ValueError(f"its array {name!r} is not what its manifest says")
        array = np.empty(tuple(shape), dtype)
        data = raw(array)
        # zipfile promises IO[bytes] and gives a BufferedIOBase
        count = member.readinto(data)  # type: ignore[attr-defined] - it has one
        if count != len(data) or zlib.crc32(data) != crc:
            raise ValueError(f"its array {name!r} is damaged: the checksum does not agree")
    return array


def is_ours(path: str | os.PathLike) -> bool:
    """Whether a file looks like one of this library, so that overwriting it loses no one's data."""
    try:
        with zipfile.ZipFile(path) as archive:
            head = archive.read(f"{HEADER}.npy")
    except (OSError, ValueError, *DAMAGE):
        return False
    return f'"format": "{FORMAT}"'.encode() in head[:400]
