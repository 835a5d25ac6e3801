"""What is read: rows of named columns, in any range."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from backprop.data.files import DataFile, rows_named

Array = np.ndarray
Column = tuple[np.dtype, tuple[int, ...]]  # dtype and shape of a row


class Table:
    """Rows of named columns. A format of one's own is a subclass that sets both attributes and
    writes `read`.

    Attributes
    ----------
    columns : dict of str to (dtype, tuple of int)
        Of each column the dtype and the shape of a row.
    rows : int
        How many there are.
    """

    columns: dict[str, Column]
    rows: int

    def read(self, first: int, last: int) -> dict[str, Array]:
        """The rows from `first` to before `last` of each column. Several threads may call it."""
        raise NotImplementedError

    def parts(self, ranges: list[tuple[int, int]]) -> Iterator[dict[str, Array]]:
        """Several ranges of rows, in order: what `read` returns of each, or of each part of it."""
        for first, last in ranges:
            yield self.read(first, last)

    def edges(self, block: int) -> Array:
        """Where blocks of about so many rows begin, and where the last one ends: at the places
        between which reading is cheap."""
        return np.append(np.arange(0, self.rows, block), self.rows)


class FileTable(Table):
    """A table in files, one behind the other.

    A subclass writes `look`, `opened`, `read_file` and, where it knows better, `edges_in`. Files
    without rows are left out.

    Parameters
    ----------
    files : list of DataFile
    names : sequence of str
        The columns that are wanted.
    """

    def __init__(self, files: list[DataFile], names: Sequence[str]):
        self.names = tuple(dict.fromkeys(names))
        self.files: list[DataFile] = []
        self.seen: list[Any] = []  # what a format has to know of each file
        counts = []
        for file in files:
            with file.reading():
                columns, count, seen = self.look(file)
            if not counts:
                self.columns = columns
            if not count:
                continue
            for name, found in columns.items():
                if found != self.columns[name]:
                    raise ValueError(
                        f"the files of a data set have the same columns: {name!r} has "
                        f"{described(self.columns[name])} in {self.files[0].path} and "
                        f"{described(found)} in {file.path}"
                    )
            counts.append(count)
            self.files.append(file)
            self.seen.append(seen)
        self.starts = np.cumsum([0, *counts])
        self.rows = int(self.starts[-1])

    def look(self, file: DataFile) -> tuple[dict[str, Column], int, Any]:
        """The columns of a file, its number of rows, and what else is worth knowing; little of it
        is read."""
        raise NotImplementedError

    def opened(self, number: int) -> AbstractContextManager[Any]:
        """One of the files, open for a block."""
        raise NotImplementedError

    def read_file(self, handle: Any, number: int, first: int, last: int) -> dict[str, Array]:
        """These rows of one of the files, which is open."""
        raise NotImplementedError

    def edges_in(self, number: int, rows: int, block: int) -> Array:
        """Where blocks of a file begin."""
        return np.arange(0, rows, block)

    def edges(self, block: int) -> Array:
        counts = np.diff(self.starts).tolist()
        found = [self.starts[i] + self.edges_in(i, rows, block) for i, rows in enumerate(counts)]
        return np.append(np.concatenate(found), self.rows)

    def read(self, first: int, last: int) -> dict[str, Array]:
        parts = list(self.parts([(first, last)]))
        return {name: np.concatenate([part[name] for part in parts]) for name in self.names}

    def parts(self, ranges: list[tuple[int, int]]) -> Iterator[dict[str, Array]]:
        """Several ranges of rows, in order; a file is opened once for all that is read of it."""
        for number, inside in itertools.groupby(self._pieces(ranges), key=lambda piece: piece[0]):
            file = self.files[number]
            with file.reading() as what, self.opened(number) as handle:
                for _, first, last in inside:
                    what.append(rows_named(first, last))
                    found = self.read_file(handle, number, first, last)
                    if len(found[self.names[0]]) != last - first:
                        raise OSError("there are not as many as the file says")
                    yield found

    def _pieces(self, ranges: list[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
        """The number of a file and a range of its rows, for all of it."""
        for first, last in ranges:
            number = int(np.searchsorted(self.starts, first, "right")) - 1
            while first < last:
                start, end = int(self.starts[number]), min(int(self.starts[number + 1]), last)
                yield number, first - start, end - start
                first, number = end, number + 1


def described(column: Column) -> str:
    dtype, shape = column
    return f"rows of shape {shape} and dtype {dtype}"
