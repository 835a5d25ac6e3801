"""One file that holds JSON and arrays: written whole or not at all, read without trust.

The file is an uncompressed ``.npz`` that `numpy.load` opens. Its member ``header`` is JSON text as
bytes, with a manifest of every array: name, dtype, shape and CRC-32. There is one way to write
given contents, and a reader holds the file to it: the members are those of the manifest, their
sizes follow from dtype and shape and add up to no more than the file, the head of each is compared
byte by byte. All of it is settled before memory is taken for an array. So a damaged or made-up
file is a ValueError, and no file can make the reader run code, open a path or take more memory than
the file is large.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import struct
import sys
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from backprop.checks import as_path
from backprop.spelling import nearest, printable

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None

Array = np.ndarray
FORMAT = "backprop"
# the native file first; the others are Keras'
MODEL_FILES = (".npz", ".keras")
WEIGHT_FILES = (".npz", ".weights.h5")
KERAS_2 = (".h5", ".hdf5")
READABLE_WEIGHTS = (*WEIGHT_FILES, ".weights.json", ".keras", *KERAS_2)
VERSION = 1
TEMPORARY = re.compile(r"\.backprop-[0-9a-f]{16}\.tmp")
DAY = 24 * 60 * 60  # seconds
LONGEST = 2_000  # characters of an error that quotes a file
HEADER = "header"
MAGIC = b"\x93NUMPY\x01\x00"
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
    path: str | os.PathLike, kind: str, header: Mapping[str, Any], arrays: Mapping[str, Array]
) -> None:
    """Write a file; where anything fails, what was there before is still there.

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

    Raises
    ------
    TypeError
        Something in the header or an array's dtype cannot be written.
    ValueError
        A name is none that a file could have, or `path` does not end in ``.npz``.
    OSError
        The file cannot be written.
    """
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
    with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in members.items():
            info = zipfile.ZipInfo(f"{name}.npy")  # without the time: same model, same file
            with archive.open(info, "w", force_zip64=True) as member:
                member.write(npy_head(array.dtype.str, array.shape))
                member.write(raw(array))


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of the one at `path` when the block ends; where
    anything fails, what was there before is still there.

    Where `path` is a symbolic link, the file that it leads to is replaced. Nobody can read the new
    one, while it is written, who could not read the old one. What killed writers left in the folder
    is removed first.
    """
    target = Path(os.path.realpath(path))
    sweep(target.parent)
    mode = target.stat().st_mode & 0o777 if target.exists() else None
    with named_as(target), temporary_file(target, 0o666 if mode is None else mode) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
        file.close()
        if mode is not None:
            os.chmod(file.name, mode)
        os.replace(file.name, target)
    sync_folder(target.parent)


@contextmanager
def temporary_file(target: Path, mode: int) -> Iterator[BinaryIO]:
    """A new file beside another, which is gone after the block and locked until then.

    Its name is its own, so that neither a second writer nor what a crash left is in the way. The
    lock tells `sweep` that somebody is writing: it ends with the process that holds it.
    """
    while True:
        temporary = target.with_name(f".backprop-{os.urandom(8).hex()}.tmp")
        try:
            with (
                open(temporary, "xb", opener=lambda name, how: os.open(name, how, mode)) as file,
                locked(file.fileno()),
            ):
                if fcntl is None or os.fstat(file.fileno()).st_nlink:
                    yield file
                    return
                # else it was swept between its making and its lock
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def locked(handle: int) -> Iterator[None]:
    """Hold the lock of an open file, also after it was closed; without locks there is nothing."""
    if fcntl is None:
        yield
        return
    held = os.dup(handle)
    try:
        with suppress(OSError):  # a file system without locks: the age of a file has to do
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def sweep(folder: Path) -> None:
    """Remove temporary files whose writers are gone, or that are a day old."""
    with suppress(OSError):  # a folder that cannot be listed may be written to
        for entry in os.scandir(folder):
            if TEMPORARY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError):  # of somebody else, or swept by another process
                    sweep_one(entry)


def sweep_one(entry: os.DirEntry) -> None:
    if time.time() - entry.stat(follow_symlinks=False).st_mtime > DAY:
        os.unlink(entry.path)
    elif fcntl is not None:
        handle = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # an error while it is written
            os.unlink(entry.path)
        finally:
            os.close(handle)


@contextmanager
def named_as(target: Path) -> Iterator[None]:
    """Let errors of the system name a file, and not the temporary one that is to take its place."""
    try:
        yield
    except OSError as error:
        if error.errno is None or not (
            error.filename is None or TEMPORARY.fullmatch(Path(error.filename).name)
        ):
            raise
        raise OSError(error.errno, error.strerror, str(target)) from error


def raw(array: Array) -> memoryview:
    """The bytes of an array in C order."""
    return array.reshape(-1).view(np.uint8).data


def npy_head(dtype: str, shape: tuple[int, ...]) -> bytes:
    """What stands before the numbers in an .npy file, version 1.0: one spelling for one array."""
    text = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode()
    size = len(MAGIC) + 2 + len(text) + 1
    text += b" " * (-size % 64) + b"\n"
    return MAGIC + struct.pack("<H", len(text)) + text


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


def sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut, where the system can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # a folder cannot be opened on this system
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(handle)


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


def known_path(path: str | os.PathLike, endings: tuple[str, ...]) -> Path:
    """The path, if it has one of the endings."""
    path = Path(as_path(path, "backprop", "filepath"))
    if not path.name.endswith(endings):
        advice = f"name it {path.stem.removesuffix('.weights') + endings[0]!r}"
        if path.suffix in KERAS_2:
            advice += ". Of Keras 2's .h5 files the weights are read, by load_weights()"
        raise ValueError(
            f"backprop writes and reads {' and '.join(endings)} files, got {str(path)!r}: {advice}"
        )
    return path


def read(
    path: str | os.PathLike, kinds: tuple[str, ...]
) -> tuple[dict[str, Any], dict[str, Array]]:
    """The header and the arrays of a file of one of the kinds.

    Raises
    ------
    FileNotFoundError
    OSError
        The file cannot be read.
    ValueError
        `path` does not end in ``.npz``; as `ModelFileError`, if the file is not of this library, is
        damaged, or is of another kind.
    """
    path = existing(npz_path(path))
    with (
        faults_named(path, "backprop"),
        open(path, "rb") as file,
        zipfile.ZipFile(file) as archive,
    ):
        return read_members(archive, kinds, os.fstat(file.fileno()).st_size)


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
    if type(version) is not int or version != VERSION:
        raise ValueError(
            f"it has format version {version!r} and this backprop reads {VERSION}: upgrade it"
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
    return header, {name: read_array(archive, name, *entry) for name, entry in manifest.items()}


def read_header(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> dict[str, Any]:
    size = info.file_size - len(
        npy_head("|u1", (0,))
    )  # the head is as long for any number of bytes
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
        or len(shape) > 32
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
        count = member.readinto(data)  # type: ignore[attr-defined]
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
