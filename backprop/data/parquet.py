"""Rows of Parquet files, through pyarrow."""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.data.columns import names_in
from backprop.data.files import DataFile, find, not_numeric
from backprop.data.rows import RowDataset
from backprop.data.table import Array, Column, FileTable


class ParquetDataset(RowDataset):
    """Batches of rows of Parquet files.

    Parameters
    ----------
    path : path or list of paths
        A file, a folder of files ``*.parquet`` and ``*.pq``, or a list of files. Several follow
        each other, those of a folder by the numbers in their names.
    x : str, list of str or dict
        The column of the inputs: numbers, or lists of numbers, all of one length, which may hold
        lists again. A list of columns stands side by side in one array, a dict has those of several
        inputs by their names.
    y, sample_weight : str, list of str or dict, optional
        Those of the targets and of the weights of rows.
    batch_size, buffer_size, prefetch
        As `RowDataset` has them. A block is a row group.

    Raises
    ------
    ImportError
        Without pyarrow: ``pip install "backprop[data]"``.
    FileNotFoundError
        There is no such file, or none in the folder. In a run: it is gone.
    OSError
        A file is damaged, or is no Parquet.
    RuntimeError
        In a run: a file has changed since the data set was made.
    ValueError
        A column is missing or is another in another file, has nulls, or lists of several lengths.
        Where a file has no statistics, and for lists, this is found when the rows are read.
    TypeError
        It holds strings, dates or anything else but real numbers.

    Notes
    -----
    Folders within a folder are not looked into. A row group is read whole. Writers put a million
    rows into one unless they are told otherwise:
    ``pyarrow.parquet.write_table(table, path, row_group_size=10_000)``, or the same argument of
    ``DataFrame.to_parquet``.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> import backprop as bp
    >>> import pyarrow as pa, pyarrow.parquet as pq
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "train.parquet")
    >>> table = pa.table({"size": [1.0, 2.0], "age": [3, 4], "price": [5.0, 6.0]})
    >>> pq.write_table(table, path)
    >>> bp.data.ParquetDataset(path, x=["size", "age"], y="price")
    ParquetDataset of 2 rows, x (2,) float64, y () float64
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
        faults = (arrow().lib.ArrowException, OSError)
        files = find(path, who, "path", (".parquet", ".pq"), faults)
        super().__init__(
            ParquetTable(files, names),
            *(x, y, sample_weight),
            batch_size=batch_size,
            buffer_size=buffer_size,
            prefetch=prefetch,
        )


class ParquetTable(FileTable):
    """The columns of Parquet files. Of each file it keeps where its row groups begin, and what the
    end of the file says of them, which is long where there are many."""

    def look(self, file: DataFile) -> tuple[dict[str, Column], int, tuple[Array, Any]]:
        columns: dict[str, Column] = {}
        with parquet_file(file.path) as found:
            schema, metadata = found.schema_arrow, found.metadata
            for name in self.names:
                if name not in schema.names:
                    known = ", ".join(map(repr, schema.names[:20]))
                    raise ValueError(f"{file.path} has no column {name!r}: {known}")
            for name in self.names:
                kind, column = schema.field(name).type, None
                if of_any_length(kind):  # the first row has its shape
                    rows = found.iter_batches(1, columns=[name], use_threads=False)
                    column = next((row.column(0) for row in rows), None)
                columns[name] = kind_of(kind, column, file.path, name)
            groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
            starts = np.cumsum([0, *(group.num_rows for group in groups)])
            self.check_statistics(groups, starts, file.path)
        return columns, int(starts[-1]), (starts, metadata)

    def check_statistics(self, groups: list[Any], starts: Array, path: str) -> None:
        """Raise where a file tells that there are nulls in a column of numbers."""
        columns = range(groups[0].num_columns if groups else 0)
        paths = [groups[0].column(i).path_in_schema for i in columns]
        wanted = [i for i, name in enumerate(paths) if name in self.names]
        for group, start in zip(groups, starts, strict=False):
            for i in wanted:
                statistics = group.column(i).statistics
                if statistics is not None and statistics.null_count:
                    raise nulls(path, paths[i], f"in or behind row {start}")

    def opened(self, number: int) -> Any:
        return parquet_file(self.files[number].path, self.seen[number][1])

    def read_file(self, handle: Any, number: int, first: int, last: int) -> dict[str, Array]:
        path, starts = self.files[number].path, self.seen[number][0]
        found: dict[str, list[Array]] = {name: [] for name in self.names}
        groups = np.searchsorted(starts, first, "right") - 1, np.searchsorted(starts, last)
        for group in range(*map(int, groups)):
            begin = int(starts[group])
            table = handle.read_row_group(group, columns=list(self.names), use_threads=False)
            a, b = max(first - begin, 0), min(last - begin, table.num_rows)
            for name in self.names:
                at = begin + a
                for chunk in table.column(name).slice(a, b - a).chunks:
                    found[name].append(values(chunk, self.columns[name], path, name, at))
                    at += len(chunk)
        return {name: np.concatenate(parts) for name, parts in found.items()}

    def edges_in(self, number: int, rows: int, block: int) -> Array:
        return self.seen[number][0][:-1]


def of_any_length(kind: Any) -> bool:
    """Whether there are lists in a column whose length its type leaves open."""
    types = arrow().types
    while isinstance(kind, arrow().BaseExtensionType) or types.is_fixed_size_list(kind):
        fixed = types.is_fixed_size_list(kind)
        kind = kind.value_type if fixed else kind.storage_type
    return types.is_list(kind) or types.is_large_list(kind)


def kind_of(kind: Any, column: Any, path: str, name: str) -> Column:
    """The dtype and the shape of a row; `column` holds the first row, where there is one."""
    types, shape = arrow().types, []
    if isinstance(kind, arrow().BaseExtensionType):
        kind = kind.storage_type
        column = None if column is None else column.storage
    while types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        if column is not None and column.null_count:
            raise nulls(path, name, "first in row 0")
        fixed = types.is_fixed_size_list(kind)
        rows = 0 if column is None else len(column)
        column = None if column is None else column.flatten()
        shape.append(kind.list_size if fixed else len(column) // rows if rows else 0)
        kind = kind.value_type
    if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
        text = types.is_string(kind) or types.is_large_string(kind)
        raise not_numeric(path, name, "strings" if text else f"type {kind}")
    return np.dtype(kind.to_pandas_dtype()), tuple(shape)


def values(chunk: Any, column: Column, path: str, name: str, at: int) -> Array:
    """Rows of a column as an array; the first of them is number `at` of the file."""
    types = arrow().types
    n, shape = len(chunk), column[1]
    if isinstance(chunk.type, arrow().BaseExtensionType):
        chunk = chunk.storage
    each = 1  # entries of a row
    for length in shape:
        refuse_nulls(chunk, path, name, at, each)
        if not types.is_fixed_size_list(chunk.type):
            lengths = np.diff(chunk.offsets.to_numpy())
            if (lengths != length).any():
                wrong = int(np.flatnonzero(lengths != length)[0])
                raise ValueError(
                    f"{path}: {name!r} is ragged: a list in row {at + wrong // each} has "
                    f"{lengths[wrong]} entries, where the first row has {length}"
                )
        chunk = chunk.flatten()
        each *= length
    refuse_nulls(chunk, path, name, at, each)
    return chunk.to_numpy(zero_copy_only=False).reshape(n, *shape)


def refuse_nulls(chunk: Any, path: str, name: str, at: int, each: int) -> None:
    if chunk.null_count:
        first = int(np.flatnonzero(chunk.is_null().to_numpy(zero_copy_only=False))[0])
        raise nulls(path, name, f"first in row {at + first // each}")


def nulls(path: str, name: str, where: str) -> ValueError:
    return ValueError(f"{path}: {name!r} has nulls, {where}: fill or drop such rows first")


def parquet_file(path: str, metadata: Any = None) -> Any:
    import pyarrow.parquet as pq

    return pq.ParquetFile(path, metadata=metadata, memory_map=False, pre_buffer=False)


def arrow() -> Any:
    """The package pyarrow, which the extra `data` brings."""
    try:
        import pyarrow
    except ImportError as error:
        raise ImportError('Parquet is read by pyarrow: pip install "backprop[data]"') from error
    return pyarrow
