"""What is read: rows of named columns, in any range."""

from __future__ import annotations

from collections.abc import Sequence
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

    def edges(self, block: int) -> Array:
        """Where blocks of about so many rows begin, and where the last one ends: at the places
        between which reading is cheap."""
        return np.append(np.arange(0, self.rows, block), self.rows)


class FileTable(Table):
    """A table in files, one behind the other.

    A subclass writes `look`, `read_file` and, where it knows better, `edges_in`. Files without rows
    are left out.

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
            with file.reading("what is in it"):
                columns, count, seen = self.look(file)
            if count or file is files[0]:
                self.columns = self.columns if any(counts) else columns
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

    def read_file(self, number: int, first: int, last: int) -> dict[str, Array]:
        """These rows of one of the files."""
        raise NotImplementedError

    def edges_in(self, number: int, rows: int, block: int) -> Array:
        """Where blocks of a file begin."""
        return np.arange(0, rows, block)

    def edges(self, block: int) -> Array:
        counts = np.diff(self.starts).tolist()
        inside = [self.edges_in(i, rows, block) for i, rows in enumerate(counts)]
        found = [start + edges for start, edges in zip(self.starts, inside, strict=False)]
        return np.append(np.concatenate(found), self.rows)

    def read(self, first: int, last: int) -> dict[str, Array]:
        parts = []
        number = int(np.searchsorted(self.starts, first, "right")) - 1
        while first < last:
            start, end = int(self.starts[number]), min(int(self.starts[number + 1]), last)
            parts.append(self.checked(number, first - start, end - start))
            first, number = end, number + 1
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in self.names}

    def checked(self, number: int, first: int, last: int) -> dict[str, Array]:
        """These rows of a file: all of them, and as they were announced."""
        file, what = self.files[number], rows_named(first, last)
        with file.reading(what):
            part = self.read_file(number, first, last)
        for name, found in part.items():
            dtype, shape = self.columns[name]
            if found.shape != (last - first, *shape) or found.dtype != dtype:
                raise ValueError(
                    f"{file.path}: {what} of {name!r} were to be {described(self.columns[name])}, "
                    f"and an array of shape {found.shape} and dtype {found.dtype} is there"
                )
        return part


def described(column: Column) -> str:
    dtype, shape = column
    return f"rows of shape {shape} and dtype {dtype}"
