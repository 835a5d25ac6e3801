"""HDF5 read without trust: what there is, checked, before anything is read.

HDF5 can do much that a file of weights has no use for: links to other files, arrays that lie
elsewhere or are compressed, groups that hold themselves. All of it is refused. What is left are
numbers that lie in the file, each once, so that no array takes more memory than the file is large.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import Any

import numpy as np

Array = np.ndarray
DEPTH = 64  # of groups in groups
TEXTS = 2**30  # bytes that a list of names may take
SIGNATURE = b"\x89HDF\r\n\x1a\n"
HEAP = b"GCOL"  # begins each block of a file where texts of any length lie
BLOCK = 4096  # bytes that it has at least
ENTRY = 16  # bytes that stand before a text: its number, who counts on it, its length
# what h5py raises for bytes that nobody wrote on purpose
DAMAGE = (OSError, KeyError, RuntimeError, TypeError, AttributeError, OverflowError, MemoryError)


def hdf5() -> Any:
    """The package h5py, which the extra `interop` brings."""
    try:
        import h5py
    except ImportError as error:
        raise ImportError(
            'Keras\' files are read and written by h5py: pip install "backprop[interop]"'
        ) from error
    return h5py


@contextmanager
def opened(*contents: bytes) -> Iterator[Found]:
    """The groups and arrays of an HDF5 file, whose contents these are, or of several together."""
    found = Found(contents)
    try:
        with ExitStack() as stack:
            for one in contents:
                found.add(stack.enter_context(hdf5().File(io.BytesIO(one), "r")), len(one))
            yield found
    except DAMAGE as error:
        raise ValueError(f"its HDF5 is damaged: {error}") from error


class Found:
    """What is in HDF5 files, by path; checked, and not yet read.

    Attributes
    ----------
    groups : dict of str to Group
        The file's own is ``""``.
    datasets : dict of str to Dataset
    """

    def __init__(self, contents: Iterable[bytes]):
        self.groups: dict[str, Any] = {}
        self.datasets: dict[str, Any] = {}
        self._contents = contents

    def add(self, file: Any, size: int) -> None:
        """Take in what is in an open file of so many bytes."""
        self._seen: set[Any] = set()  # a second name for what has one is a way to be endless
        self._left = size
        self._collect(file["/"], "")

    def _collect(self, item: Any, at: str) -> None:
        h5py = hdf5()
        where = h5py.h5o.get_info(item.id).addr
        if where in self._seen:
            raise ValueError(f"{at!r} is a link to what has another name, which Keras never makes")
        self._seen.add(where)
        if not isinstance(item, h5py.Group):
            check_dataset(item, at)
            self._left -= item.nbytes
            if self._left < 0:
                raise ValueError(f"its array {at!r} and those before it are larger than the file")
            if at in self.datasets:
                raise ValueError(f"its array {at!r} is in two files")
            self.datasets[at] = item
            return
        if at.count("/") > DEPTH:
            raise ValueError("its groups are nested too deeply")
        self.groups[at] = item
        for name in item:
            if not isinstance(item.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"{at}/{name} is a link, which no file of Keras has")
            self._collect(item[name], f"{at}/{name}".lstrip("/"))

    def texts(self, at: str, name: str) -> list[str] | None:
        """The texts that a group has as an attribute; None where it has none of the name."""
        attributes = self.groups[at].attrs
        if name not in attributes:
            return None
        found = attributes.get_id(name)
        if found.shape is None or len(found.shape) != 1:
            raise ValueError(f"{name} of {at!r} is no list")
        if found.shape == (0,):
            return []
        bound = found.shape[0] * max(found.dtype.itemsize, self._longest_text)
        if found.dtype.kind not in "OSU" or bound > TEXTS:
            raise ValueError(f"{name} of {at!r} is no list of names")
        texts = [t.decode() if isinstance(t, bytes) else t for t in attributes[name]]
        if not all(isinstance(t, str) for t in texts):
            raise ValueError(f"{name} of {at!r} is no list of names")
        return texts

    @cached_property
    def _longest_text(self) -> int:
        """How long a text can be that does not lie where it is named: a block of them at most.

        The blocks are gone through once for all lists, and before HDF5 does.
        """
        for one in self._contents:
            check_texts(one)
        return max(longest_block(one) for one in self._contents)


def longest_block(contents: bytes) -> int:
    return min(max([0, *(size for _, size in blocks(contents))]), len(contents))


def blocks(contents: bytes) -> Iterator[tuple[int, int]]:
    """Where each block of texts begins, and the bytes that it says it has."""
    at = contents.find(HEAP)
    while at >= 0:
        yield at, int.from_bytes(contents[at + 8 : at + 16], "little")
        at = contents.find(HEAP, at + 1)


def check_texts(contents: bytes) -> None:
    """Raise where a block of texts is damaged. HDF5 goes through it from one to the next, and goes
    on for ever where one takes no room."""
    # of the lengths that it writes; a head of an older version has them further behind
    lengths = contents[9:11] if contents[8:9] in (b"\2", b"\3") else contents[13:15]
    if not contents.startswith(SIGNATURE) or lengths != b"\x08\x08":
        raise ValueError("it does not begin as the HDF5 files of Keras do")
    for at, size in blocks(contents):
        if contents[at + 4 : at + 5] != b"\1" or size < BLOCK or at + size > len(contents):
            continue  # no block, or one that HDF5 refuses
        place, end = at + ENTRY, at + size
        while end - place >= ENTRY:
            number = int.from_bytes(contents[place : place + 2], "little")
            length = int.from_bytes(contents[place + 8 : place + 16], "little")
            # the one without a number is the room that is left, counted as a whole
            taken = ENTRY + -(-length // 8) * 8 if number else length
            if not ENTRY <= taken <= end - place:
                raise ValueError("its texts are damaged")
            place += taken


def check_dataset(item: Any, at: str) -> None:
    """Raise unless a dataset lies in the file as it is: numbers, and as many as its shape says."""
    if not isinstance(item, hdf5().Dataset):
        raise ValueError(f"{at!r} is no array")
    if item.shape is None or item.dtype.kind not in "fiub" or item.dtype.names:
        raise ValueError(f"its array {at!r} is of dtype {item.dtype}")
    if item.external or item.is_virtual:
        raise ValueError(f"its array {at!r} lies in another file, which is not opened")
    if item.chunks or item.id.get_storage_size() != item.nbytes:
        raise ValueError(
            f"its array {at!r} of shape {item.shape} is compressed or not whole: Keras writes "
            "arrays as they are"
        )
