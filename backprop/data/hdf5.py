"""Rows of HDF5 files, through h5py."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from backprop.data.columns import names_in
from backprop.data.files import DataFile, find, not_numeric, numeric, row_count_of
from backprop.data.rows import RowDataset
from backprop.data.table import Array, Column, FileTable


class HDF5Dataset(RowDataset):
    """Batches of rows of HDF5 files: a column is an HDF5 dataset.

    Parameters
    ----------
    path : path or list of paths
        A file, a folder of files ``*.h5``, ``*.hdf5`` and ``*.hdf``, or a list of files. Several
        follow each other, those of a folder by the numbers in their names.
    x : str, list of str or dict
        The dataset of the inputs, such as ``"train/images"`` for one in a group. A list of
        datasets, each (n,) or (n, k), stands side by side in one array, a dict has those of several
        inputs by their names.
    y, sample_weight : str, list of str or dict, optional
        Those of the targets and of the weights of rows.
    batch_size, buffer_size, prefetch
        As `RowDataset` has them. Blocks are made of whole chunks.

    Raises
    ------
    ImportError
        Without h5py: ``pip install "backprop[data]"``.
    FileNotFoundError
        There is no such file, or none in the folder. In a run: it is gone.
    OSError
        A file is damaged, or is no HDF5.
    RuntimeError
        In a run: a file has changed since the data set was made.
    ValueError
        A dataset is missing, has another number of rows than others, or is another in another file.
    TypeError
        It holds strings, ragged rows or anything else but real numbers.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> import backprop as bp
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "train.h5")
    >>> import h5py
    >>> with h5py.File(path, "w") as file:
    ...     file["images"] = np.zeros((100, 8, 8), "float32")
    ...     file["labels"] = np.arange(100) % 10
    >>> data = bp.data.HDF5Dataset(path, x="images", y="labels", batch_size=64)
    >>> data
    HDF5Dataset of 100 rows, x (8, 8) float32, y () int64
    >>> [x.shape for x, y in data]
    [(64, 8, 8), (36, 8, 8)]
    >>> folder.cleanup()
    """

    def __init__(
        self,
        path: Any,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        batch_size: int = 32,
        buffer_size: int | None = None,
        prefetch: bool = True,
    ):
        who = type(self).__name__
        names = names_in(who, x=x, y=y, sample_weight=sample_weight)
        h5py()
        files = find(path, who, "path", (".h5", ".hdf5", ".hdf"), (OSError, RuntimeError, KeyError))
        super().__init__(
            HDF5Table(files, names),
            *(x, y, sample_weight),
            batch_size=batch_size,
            buffer_size=buffer_size,
            prefetch=prefetch,
        )


class HDF5Table(FileTable):
    """HDF5 datasets as columns."""

    def look(self, file: DataFile) -> tuple[dict[str, Column], int, int]:
        """The datasets, their rows, and how many of these the largest chunk holds."""
        columns: dict[str, Column] = {}
        counts: dict[str, int] = {}
        chunk = 1
        with h5py().File(file.path, "r") as found:
            for name in self.names:
                dataset = found.get(name)
                if not isinstance(dataset, h5py().Dataset):
                    raise ValueError(f"{file.path} has no dataset {name!r}: {listed(found)}")
                columns[name] = self.column(dataset, file.path, name)
                counts[name] = dataset.shape[0]
                chunk = max(chunk, dataset.chunks[0] if dataset.chunks else 1)
        return columns, row_count_of(file.path, counts), chunk

    def column(self, dataset: Any, path: str, name: str) -> Column:
        try:
            dtype = dataset.dtype
        except (TypeError, ValueError) as error:  # it is none that NumPy has
            raise OSError(str(error)) from error
        if h5py().check_string_dtype(dtype) is not None:
            raise not_numeric(path, name, "strings")
        if h5py().check_vlen_dtype(dtype) is not None:
            raise not_numeric(path, name, "ragged rows")
        if not dataset.shape:
            raise ValueError(f"{path}: {name!r} has no rows: it is a single number, or empty")
        return numeric(dtype, path, name), dataset.shape[1:]

    def opened(self, number: int) -> Any:
        return h5py().File(self.files[number].path, "r")

    def read_file(self, handle: Any, number: int, first: int, last: int) -> dict[str, Array]:
        return {
            name: handle[name][first:last].astype(self.columns[name][0], copy=False)
            for name in self.names
        }

    def edges_in(self, number: int, rows: int, block: int) -> Array:
        chunk = self.seen[number]
        return np.arange(0, rows, math.ceil(block / chunk) * chunk)


def listed(found: Any) -> str:
    """The datasets of a file, for an error."""
    names: list[str] = []
    found.visititems(lambda name, item: names.append(name) if hasattr(item, "shape") else None)
    shown = ", ".join(map(repr, names[:20])) or "it has none"
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown


def h5py() -> Any:
    """The package, which the extra `data` brings."""
    try:
        import h5py
    except ImportError as error:
        raise ImportError('HDF5 is read by h5py: pip install "backprop[data]"') from error
    return h5py
