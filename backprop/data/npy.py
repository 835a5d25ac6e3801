"""Rows of ``.npy`` files, each a shard of an array."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from backprop.data.columns import need_x
from backprop.data.files import DataFile, find, numeric, row_count_of
from backprop.data.rows import RowDataset
from backprop.data.table import Array, Column, FileTable, Table
from backprop.npy import HEAD, read_npy_head


class NpyDataset(RowDataset):
    """Batches of the rows of ``.npy`` files: the shards of an array follow each other in a folder.

    Parameters
    ----------
    x : path, list of paths or dict
        A folder of shards ``*.npy``, in the order of the numbers in their names, a single file, or
        a list of files; a dict has those of several inputs by their names.
    y, sample_weight : path, list of paths or dict, optional
        Those of the targets and of the weights of rows. They have as many rows as x; where a shard
        ends may differ.
    batch_size, buffer_size, prefetch
        As `RowDataset` has them.

    Raises
    ------
    FileNotFoundError
        There is no such file, or none in the folder. In a run: it is gone.
    OSError
        A file is no ``.npy`` file, or is cut off.
    RuntimeError
        In a run: a file has changed since the data set was made.
    ValueError
        Arrays have different numbers of rows, or shards of one array different rows; or an array
        was saved in Fortran's order, in which no row lies together.
    TypeError
        They hold strings, objects or anything else but real numbers.

    Notes
    -----
    The files are read and not mapped, so that one that is cut off in a run is an error and no
    crash. An array that was mapped, ``np.load(path, mmap_mode="r")``, may be given to `fit` itself.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> import backprop as bp
    >>> folder = tempfile.TemporaryDirectory()
    >>> for name in "xy":
    ...     os.mkdir(os.path.join(folder.name, name))
    ...     for i in range(3):
    ...         np.save(os.path.join(folder.name, name, f"{i}.npy"), np.ones((10, 4)))
    >>> bp.data.NpyDataset(os.path.join(folder.name, "x"), os.path.join(folder.name, "y"))
    NpyDataset of 30 rows, x (4,) float64, y (4,) float64
    >>> folder.cleanup()
    """

    def __init__(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        batch_size: int = 32,
        buffer_size: int | None = None,
        prefetch: bool = True,
    ):
        need_x(type(self).__name__, x)
        arrays: dict[str, Shards] = {}
        roles = [
            self._found(given, name, arrays)
            for name, given in (("x", x), ("y", y), ("sample_weight", sample_weight))
        ]
        super().__init__(
            NpyTable(arrays, type(self).__name__),
            *roles,
            batch_size=batch_size,
            buffer_size=buffer_size,
            prefetch=prefetch,
        )

    def _found(self, given: Any, name: str, arrays: dict[str, Shards]) -> Any:
        """The name of the column, or a dict of such, whose shards are in `arrays` then."""
        if given is None:
            return None
        if isinstance(given, Mapping):
            return {key: self._found(one, f"{name}[{key!r}]", arrays) for key, one in given.items()}
        files = find(given, type(self).__name__, name, (".npy",), (OSError,))
        arrays[name] = Shards(files, [name])
        return name


class Shards(FileTable):
    """The files of one array, which is the only column."""

    def look(self, file: DataFile) -> tuple[dict[str, Column], int, tuple[int, np.dtype]]:
        """The array, its rows, and where they begin in what dtype."""
        stored, shape, begin, fortran = header(file.path)
        name = self.names[0]
        dtype = numeric(stored, file.path, name)
        if not shape:
            raise ValueError(f"{file.path} has no rows: it is a single number")
        if fortran and len(shape) > 1 and max(shape[1:]) > 1:
            raise ValueError(
                f"{file.path} is in Fortran's order, in which no row lies together: save "
                "np.ascontiguousarray(array)"
            )
        size = begin + stored.itemsize * int(np.prod(shape, dtype=object))
        if file.stamp[0] < size:
            raise OSError(f"it has {file.stamp[0]} bytes of {size}, so it was cut off")
        rows, *each = list(shape)
        return {name: (dtype, tuple(each))}, rows, (begin, stored)

    def opened(self, number: int) -> Any:
        return open(self.files[number].path, "rb", buffering=0)

    def read_file(self, handle: Any, number: int, first: int, last: int) -> dict[str, Array]:
        name = self.names[0]
        dtype, shape = self.columns[name]
        begin, stored = self.seen[number]
        found = np.empty((last - first, *shape), stored)
        handle.seek(begin + first * (found.nbytes // len(found)))
        rest: Any = memoryview(found.reshape(-1).view(np.uint8).data)
        while rest:
            count = handle.readinto(rest)
            if not count:
                raise OSError(f"the file ends {len(rest)} bytes too early")
            rest = rest[count:]
        return {name: found.astype(dtype, copy=False)}


def header(path: str) -> tuple[np.dtype, tuple[int, ...], int, bool]:
    """Dtype, shape, where the array begins in the file, and whether it is in Fortran's order."""
    with open(path, "rb", buffering=0) as file:
        start = file.read(HEAD)
    try:
        dtype, shape, begin, fortran = read_npy_head(start)
        if min(shape, default=0) < 0:
            raise ValueError(f"there is no array of shape {shape}")
    except ValueError as error:
        raise OSError(str(error)) from error
    return dtype, shape, begin, fortran


class NpyTable(Table):
    """Arrays in shards, as columns."""

    def __init__(self, arrays: dict[str, Shards], who: str):
        self.arrays = arrays
        self.columns = {name: shards.columns[name] for name, shards in arrays.items()}
        self.rows = row_count_of(who, {name: shards.rows for name, shards in arrays.items()})

    def read(self, first: int, last: int) -> dict[str, Array]:
        return {name: shards.read(first, last)[name] for name, shards in self.arrays.items()}
