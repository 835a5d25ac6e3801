"""Arrays in files of others, `.npz` and idx: shapes, dtypes and sizes are checked before they are
read."""

from __future__ import annotations

import errno
import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from backprop.datasets.pickles import read_pickle
from backprop.npy import read_npy_head
from backprop.spelling import excerpt, printable

Array = np.ndarray

PIECE = 1 << 20  # bytes that are read at once
LENGTHS = 26  # where the head of a zip file's member says how long its name is, and what follows
DESCRIPTOR = 24  # bytes that may stand behind a member
ARRAYS = 4096  # that a file may hold: each costs time, however small it is
LIMIT = 1 << 30  # bytes that an array may have, unpacked: ten times what the largest of these has


class Expected(NamedTuple):
    """What an array must be: kinds of its dtype, as NumPy names them, and its shape; None is any
    length. Of kind "O" are lists of words."""

    kinds: str
    shape: tuple[int | None, ...]

    def check(self, dtype: np.dtype, shape: tuple[int, ...], what: str) -> None:
        fits = len(shape) == len(self.shape) and all(
            want in (None, have) for have, want in zip(shape, self.shape, strict=True)
        )
        if dtype.kind not in self.kinds or not fits:
            wanted = ", ".join("n" if n is None else str(n) for n in self.shape)
            raise ValueError(
                f"{what} should have the shape ({wanted}) and a dtype of kind "
                f"{' or '.join(self.kinds)}, and has the shape {shape} and dtype {dtype}"
            )
        size = math.prod(shape) * dtype.itemsize
        if size > LIMIT:
            raise ValueError(f"{what} is not read: it says that it has {size:,} bytes")


def read_npz(path: Path, expected: dict[str, Expected]) -> dict[str, Array]:
    """Some arrays of an `.npz` file, each as expected.

    Raises
    ------
    ValueError
        If the file is damaged, misses one of them, or has another in its place.
    """
    with zipped(path) as archive:
        members = {info.filename: info for info in archive.infolist()}
        found = {}
        for name, wanted in expected.items():
            info = members.get(f"{name}.npy")
            if info is None:
                known = ", ".join(map(printable, members))
                raise ValueError(f"{path} has no array {name!r}; it has {known}")
            with archive.open(info) as file:
                found[name] = read_npy(file, info.file_size, wanted, f"{name} of {path}")
    return found


def read_any(path: Path, kinds: str) -> dict[str, Array]:
    """All arrays of an `.npz` file, or the one of a `.npy` file as "array"; of kinds of dtypes, as
    NumPy names them.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is damaged, holds something else, or would take more memory than it may: unpacked, the
        arrays of a compressed file have at most `LIMIT` bytes together.
    """
    size = path.stat().st_size
    if path.suffix == ".npy":
        with path.open("rb") as file:
            return {"array": of_kinds(file, size, kinds, str(path))}
    found: dict[str, Array] = {}
    with zipped(path) as archive:
        members = archive.infolist()
        most = max(size, LIMIT)
        if sum(info.file_size for info in members) > most:
            raise ValueError(f"{path} is not read: unpacked it would have more than {most:,} bytes")
        if not is_complete(archive):
            raise ValueError(f"{path} is damaged: its directory does not list all that is in it")
        for info in members:
            name = info.filename.removesuffix(".npy")
            if name in found or name == info.filename:
                raise ValueError(
                    f"{path} holds {printable(info.filename)} twice, or no array in it"
                )
            with archive.open(info) as file:
                what = f"{printable(name)} of {path}"
                found[name] = of_kinds(file, info.file_size, kinds, what)
    return found


def is_complete(archive: Any) -> bool:
    """Whether the members that the directory of a zip file lists are all that stands before it."""
    end = 0
    for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
        if not 0 <= info.header_offset - end <= DESCRIPTOR:
            return False
        archive.fp.seek(info.header_offset + LENGTHS)
        name, extra = struct.unpack("<HH", archive.fp.read(4))
        end = info.header_offset + LENGTHS + 4 + name + extra + info.compress_size
    return 0 <= archive.start_dir - end <= DESCRIPTOR


def of_kinds(file: IO[bytes], size: int, kinds: str, what: str) -> Array:
    """The array of a `.npy` file of `size` bytes, of one of the kinds of dtypes."""
    data = some(file, size + 1)
    dtype, shape, begin, fortran = npy_head(data, what)
    if dtype.kind not in kinds or dtype.names or not dtype.itemsize:
        why = "objects of Python" if dtype.hasobject else f"dtype {dtype}"
        raise ValueError(f"{what} holds {why}, where numbers or text were expected")
    return npy_values(data, dtype, shape, begin, fortran, what)


@contextmanager
def zipped(path: Path) -> Iterator[Any]:
    """A zip file to read; damage, and more members than a file of data has, are a ValueError."""
    import zipfile  # here, as importing the package should not pay for it
    import zlib

    try:
        with zipfile.ZipFile(path) as archive:
            if len(archive.filelist) > ARRAYS:
                raise ValueError(
                    f"{path} is not read: it holds {len(archive.filelist):,} arrays, and may hold "
                    f"{ARRAYS:,}"
                )
            yield archive
    except (
        *(zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, struct.error),
        UnicodeDecodeError,  # of a member's name
    ) as error:
        raise ValueError(f"{path} is no .npz file that can be read: {excerpt(error)}") from error
    except ValueError as error:
        raise ValueError(excerpt(error, longest=1000)) from error
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # a place before the file's beginning
            raise
        raise ValueError(f"{path} is no .npz file that can be read: {excerpt(error)}") from error


def read_npy(file: IO[bytes], size: int, expected: Expected, what: str) -> Array:
    """The array of a `.npy` file of `size` bytes; one of objects is a pickle, which is not run."""
    if size > LIMIT:
        raise ValueError(f"{what} is not read: it says that it has {size:,} bytes")
    data = some(file, size + 1)
    dtype, shape, begin, fortran = npy_head(data, what)
    expected.check(dtype, shape, what)
    if dtype.kind == "O":
        array = read_pickle(bytes(data[begin:]), what)
        if not isinstance(array, np.ndarray):
            raise ValueError(f"{what} should hold an array, and holds {type(array).__name__}")
        expected.check(array.dtype, array.shape, what)
        return array
    return npy_values(data, dtype, shape, begin, fortran, what)


def npy_head(data: bytearray, what: str) -> tuple[np.dtype, tuple[int, ...], int, bool]:
    try:
        return read_npy_head(data)
    except ValueError as error:
        raise ValueError(f"{what} is damaged: {error}") from error


def npy_values(
    data: bytearray, dtype: np.dtype, shape: tuple[int, ...], begin: int, fortran: bool, what: str
) -> Array:
    if min(shape, default=0) < 0 or len(data) - begin != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{what} is damaged: its values are not as many as its shape {shape} says")
    # a copy, as an array over bytes could not be written to
    values = np.frombuffer(data, dtype, math.prod(shape), begin)
    return values.reshape(shape, order="F" if fortran else "C").copy()


def read_idx(path: Path, expected: Expected) -> Array:
    """The array of bytes in an idx file, packed by gzip or not.

    Such a file is two zeros, 8 for bytes, the number of axes, the length of each as four bytes with
    the highest first, and the values.

    Raises
    ------
    ValueError
        If it is none, or its array is not as expected.
    """
    axes = len(expected.shape)
    with unpacked(path) as file:
        head = some(file, 4 + 4 * axes)
        if head[:4] != bytes((0, 0, 8, axes)) or len(head) < 4 + 4 * axes:
            raise ValueError(
                f"{path} is no idx file of bytes along {axes} axes: it begins otherwise"
            )
        shape = struct.unpack_from(f">{axes}I", head, 4)
        expected.check(np.dtype(np.uint8), shape, str(path))
        size = math.prod(shape)
        data = some(file, size + 1)
    if len(data) != size:
        raise ValueError(f"{path} is damaged: its values are not as many as its shape {shape} says")
    return np.frombuffer(data, np.uint8).reshape(shape)


def whole(path: Path) -> bytes:
    """What a file holds, unpacked where it is packed by gzip, within bounds."""
    with unpacked(path) as file:
        data = some(file, LIMIT + 1)
    if len(data) > LIMIT:
        raise ValueError(f"{path} is not read: it has more than {LIMIT:,} bytes")
    return bytes(data)


@contextmanager
def unpacked(path: Path) -> Iterator[IO[bytes]]:
    """A file to read, unpacked where it is packed by gzip; damage is a ValueError."""
    import gzip
    import zlib

    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        file: Any = gzip.GzipFile(fileobj=raw) if packed else raw
        try:
            yield file
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"{path} is damaged: {error}") from error


def some(file: IO[bytes], most: int) -> bytearray:
    """What is left in a file, up to so many bytes; never more memory than there are."""
    data = bytearray()
    while len(data) < most:
        more = file.read(min(most - len(data), PIECE))
        if not more:
            break
        data += more
    return data


def same_lengths(what: Path, *arrays: Array) -> None:
    """Raise unless there is a label for each sample."""
    if len({len(a) for a in arrays}) > 1:
        raise ValueError(f"{what} has {len(arrays[0])} samples and {len(arrays[1])} labels")
