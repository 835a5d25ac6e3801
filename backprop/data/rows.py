"""Batches of rows that are read as they are wanted."""

from __future__ import annotations

import copy
from collections.abc import Generator, Iterator
from contextlib import closing
from functools import partial
from typing import Any, Self

import numpy as np

from backprop.checks import fraction, index as index_of, integer, one_of
from backprop.data.columns import Columns
from backprop.data.table import Table
from backprop.data.windows import Windows
from backprop.training.batches import EpochBatches
from backprop.training.workers import in_advance

Array = np.ndarray
BUFFER = 2**26  # bytes of a window, unless a user says how many rows it has
BLOCKS = 64  # in a window: from so many places its rows come


class RowDataset(EpochBatches):
    """Batches of the rows of a table, for data that are larger than memory.

    `fit` shuffles: the blocks of the table are read in another order in each epoch, as many of them
    as make up `buffer_size` rows, and the rows of such a window are mixed. The order is a function
    of the run's seed and the epoch. With ``shuffle=False``, in `evaluate`, `predict` and validation
    the rows come in their own order.

    Parameters
    ----------
    table : Table
        What is read.
    x : str, list of str or dict
        The column of the inputs. A list of columns stands side by side in one array, a dict has the
        columns of several inputs by their names.
    y, sample_weight : str, list of str or dict, optional
        Those of the targets and of the weights of rows.
    batch_size : int, default 32
    buffer_size : int, optional
        How many rows are mixed with each other and read at once; at least one block. Default: as
        many as take 64 MiB. A window is in memory, and with `prefetch` a second one.
    prefetch : bool, default True
        A thread reads the next window while a model is trained on the present one. The batches are
        the same.

    Attributes
    ----------
    count : int
        How many rows there are.

    Raises
    ------
    ValueError
        A column is missing, or has no rows; others see the formats.

    Notes
    -----
    A window of k blocks of b rows out of n mixes rows from k places: rows that lie in one block
    stay within one window, and so within k b rows of each other. Where `buffer_size` is n or more,
    each epoch is a uniformly drawn order of all rows. Data that are sorted, by class say, want many
    blocks in a window, or to be shuffled once when they are written.

    The order depends on `buffer_size` and on the blocks and neither on `batch_size` nor `prefetch`.
    A pickled copy reads the same, in another process too.

    Examples
    --------
    >>> import numpy as np
    >>> import backprop as bp
    >>> class Squares(bp.data.Table):
    ...     columns = {"n": (np.dtype("f8"), ()), "square": (np.dtype("f8"), ())}
    ...     rows = 10
    ...
    ...     def read(self, first, last):
    ...         n = np.arange(first, last, dtype=float)
    ...         return {"n": n, "square": n**2}
    >>> data = bp.data.RowDataset(Squares(), x=["n"], y="square", batch_size=4)
    >>> data
    RowDataset of 10 rows, x (1,) float64, y () float64
    >>> [y.tolist() for x, y in data]
    [[0.0, 1.0, 4.0, 9.0], [16.0, 25.0, 36.0, 49.0], [64.0, 81.0]]
    >>> shuffled = [y.tolist() for x, y in data.batches(epoch=3, seed=0)]
    >>> shuffled[1:] == [y.tolist() for x, y in data.batches(epoch=3, start=1, seed=0)]
    True
    """

    def __init__(
        self,
        table: Table,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        batch_size: int = 32,
        buffer_size: int | None = None,
        prefetch: bool = True,
    ):
        who = type(self).__name__
        self.batch_size = integer(batch_size, who, "batch_size")
        self.prefetch = one_of(prefetch, (True, False), who, "prefetch")
        self.columns = Columns(table, x, y, sample_weight, who)
        if not table.rows:
            raise ValueError(f"{who} found no rows")
        if buffer_size is None:
            buffer_size = max(BUFFER // max(self.columns.row_bytes, 1), self.batch_size)
        self.buffer_size = integer(buffer_size, who, "buffer_size")
        self.table = table
        self.range = 0, table.rows  # those of the table's rows that are in this data set

    @property
    def count(self) -> int:  # type: ignore[override] - it follows from the range
        first, last = self.range
        return last - first

    def __repr__(self) -> str:
        shown = [f"{type(self).__name__} of {self.count:,} rows"]
        for name, role in zip(("x", "y", "sample_weight"), self.columns.roles, strict=True):
            named = (
                {f"{name}[{k!r}]": i for k, i in role.items()}
                if isinstance(role, dict)
                else {name: role}
            )
            for label, i in named.items():
                if i is not None:
                    shape, dtype, _ = self.columns.arrays[i]
                    shown.append(f"{label} {shape} {dtype}")
        return ", ".join(shown)

    # ------------------------------------------------------------------ parts of the rows

    def shard(self, num_shards: int, index: int) -> Self:
        """Part i of k: of n rows those from ⌊i n / k⌋ to before ⌊(i + 1) n / k⌋.

        Each rank of a job reads its own with ``MPI(data="sharded")``; one that has no row takes
        part all the same.
        """
        who = f"{type(self).__name__}.shard()"
        num_shards = integer(num_shards, who, "num_shards")
        index = integer(index, who, "index", 0, num_shards - 1)
        first, n = self.range[0], self.count
        return self._of(first + index * n // num_shards, first + (index + 1) * n // num_shards)

    def split(self, validation_split: float) -> tuple[Self, Self]:
        """The rows without the last `validation_split` of them, and those."""
        who = f"{type(self).__name__}.split()"
        share = fraction(validation_split, who, "validation_split")
        first, last = self.range
        at = first + int(np.floor(self.count * (1 - share)))
        if not first < at < last:
            raise ValueError(
                f"{who} of {validation_split} leaves {at - first} of {self.count} rows, and "
                f"{last - at} behind: both must have some"
            )
        return self._of(first, at), self._of(at, last)

    def _of(self, first: int, last: int) -> Self:
        other = copy.copy(self)
        other.range = first, last
        return other

    # ------------------------------------------------------------------ reading

    def __getitem__(self, index: int) -> Any:
        """Batch number `index` of the rows in their own order."""
        who, count = type(self).__name__, len(self)
        number = index_of(index, who, "the number of a batch")
        if not -count <= number < count:
            raise IndexError(f"{who} has {count} batches, and none of number {number}")
        at = number % count * self.batch_size + self.range[0]
        return self._rows(at, min(at + self.batch_size, self.range[1]))

    def first(self) -> Any:
        """The first batch; of a part without rows one row of all."""
        return self[0] if self.count else self._rows(0, 1)

    def _rows(self, first: int, last: int) -> Any:
        return self.columns.packed(self.columns.read([(first, last)]))

    def __iter__(self) -> Iterator[Any]:
        return self.batches()

    def batches(
        self, epoch: int = 0, start: int = 0, seed: int | None = None
    ) -> Generator[Any, None, None]:
        """The batches of a pass from number `start` on, for loops of one's own.

        Parameters
        ----------
        epoch : int, default 0
            Which pass it is.
        start : int, default 0
            The number of the first batch; none before it is made.
        seed : int, optional
            Shuffles. Default: the rows come in their own order.

        Yields
        ------
        (x,), (x, y) or (x, y, sample_weight)

        Raises
        ------
        ValueError
            An argument is no integer, or a negative one.
        """
        who = f"{type(self).__name__}.batches()"
        epoch = integer(epoch, who, "epoch", least=0)
        start = integer(start, who, "start", least=0)
        if seed is not None:
            seed = integer(seed, who, "seed", least=0)
        return self._batches(epoch, start, seed)

    def _batches(self, epoch: int, start: int, seed: int | None) -> Generator[Any, None, None]:
        windows = Windows(self._edges(), self.buffer_size, seed, epoch)
        place = start * self.batch_size
        parts: list[list[Array]] = []
        missing = self.batch_size
        with closing(self._read(windows, place)) as read:
            for number, window in read:
                n = window.rows
                at = max(place - int(windows.starts[number]), 0)
                while at < n:
                    end = min(at + missing, n)
                    parts.append(window.take(at, end))
                    missing, at = missing - (end - at), end
                    if not missing:
                        yield self._joined(parts)
                        parts, missing = [], self.batch_size
        if parts:
            yield self._joined(parts)

    def _edges(self) -> Array:
        first, last = self.range
        edges = self.table.edges(max(self.buffer_size // BLOCKS, 1))
        return np.unique(np.append(edges.clip(first, last), (first, last)))

    def _read(self, windows: Windows, place: int) -> Generator[tuple[int, Window], None, None]:
        """The windows from the one on in which a row lies."""
        get, numbers = partial(self._window, windows), range(windows.at(place), len(windows))
        if self.prefetch:
            yield from in_advance(get, numbers, ahead=1)
        else:
            for number in numbers:
                yield number, get(number)

    def _window(self, windows: Windows, number: int) -> Window:
        return Window(self.columns.read(windows.ranges(number)), windows.mixed(number))

    def _joined(self, parts: list[list[Array]]) -> Any:
        if len(parts) == 1:
            return self.columns.packed(parts[0])
        return self.columns.packed([np.concatenate(p) for p in zip(*parts, strict=True)])


class Window:
    """Rows in memory, and the order in which they are handed out."""

    def __init__(self, arrays: list[Array], order: Array | None):
        self.arrays, self.order = arrays, order

    @property
    def rows(self) -> int:
        return len(self.arrays[0])

    def take(self, first: int, last: int) -> list[Array]:
        """The rows of each array between two places of the order."""
        if self.order is None:
            return [a[first:last].copy() for a in self.arrays]  # a view would keep the window
        rows = self.order[first:last]
        return [a[rows] for a in self.arrays]
