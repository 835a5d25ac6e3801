"""Which rows of each batch a rank has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from backprop.nest import row_count
from backprop.training.batches import Batch
from backprop.training.data import ArrayData, Data, rows_of


def part_of(n: int, rank: int, size: int) -> slice:
    """The rows of n that a rank has: as many as any other, or one more.

    Examples
    --------
    >>> [part_of(10, rank, 4) for rank in range(4)]
    [slice(0, 2, None), slice(2, 5, None), slice(5, 7, None), slice(7, 10, None)]
    """
    return slice(rank * n // size, (rank + 1) * n // size)


class Shared:
    """Data for a run on several ranks: what the trainer asks of data, and all else as it was.

    A rank without a row of a batch is given one that does not count, and `Ranks.idle` says so.
    """

    def __init__(self, ranks: Any, data: Data, generators: Any = None):
        self.ranks, self.data, self.generators = ranks, data, generators

    def __getattr__(self, name: str) -> Any:
        return getattr(self.data, name)

    @property
    def seed(self) -> int:
        return self.data.seed

    @seed.setter
    def seed(self, seed: int) -> None:
        self.data.seed = seed

    def batches(self, epoch: int, start: int = 0, steps: int | None = None) -> Iterator[Batch]:
        """This rank's rows of the batches of an epoch, from number `start` on."""
        for step, batch in enumerate(self.own(epoch, start, steps), start=start):
            if self.generators is not None:
                self.generators.set(epoch, step)
            yield batch

    def own(self, epoch: int, start: int, steps: int | None) -> Iterator[Batch]:
        raise NotImplementedError


class SharedRows(Shared):
    """Data that every rank has, of which each takes its rows of every batch."""

    def own(self, epoch: int, start: int, steps: int | None) -> Iterator[Batch]:
        data = self.data
        if isinstance(data, ArrayData):
            for rows in data.rows(epoch, start, steps):
                yield data.read(self._share(rows))
        else:
            for batch in self._alike(data.batches(epoch, start, steps)):
                rows = self._share(slice(0, row_count(batch[0])))
                yield rows_of(batch[0], rows), rows_of(batch[1], rows), rows_of(batch[2], rows)

    def _alike(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Batches that every rank reads for itself, of which each has as many, of as many rows."""
        ranks, number = self.ranks, 0
        while True:
            batch = next(batches, None)
            n = 0 if batch is None else row_count(batch[0])
            most = np.array([n, -n], np.int64)
            ranks.comm.Allreduce(ranks.mpi.IN_PLACE, most, ranks.mpi.MAX)
            if most[0] != -most[1]:
                found = ranks.comm.allgather(n)
                told = ", ".join(f"{n or 'none'} on rank {rank}" for rank, n in enumerate(found))
                raise ValueError(
                    f"every rank takes its rows of the same batches, and batch {number} has rows: "
                    f"{told}. Give all ranks the same, or data='sharded' where each has its own"
                )
            if batch is None:
                return
            number += 1
            yield batch

    def _share(self, rows: Any) -> Any:
        ranks = self.ranks
        first = rows.start if isinstance(rows, slice) else 0
        n = rows.stop - first if isinstance(rows, slice) else len(rows)
        own = part_of(n, ranks.rank, ranks.size)
        ranks.rows, ranks.idle = n, own.start == own.stop
        if ranks.idle:
            own = slice(0, 1)
        return slice(first + own.start, first + own.stop) if isinstance(rows, slice) else rows[own]


class ShardedData(Shared):
    """Data of which every rank has its own: a batch is that of all ranks together.

    An epoch has as many batches as the rank with the most; those that have no more wait.
    """

    def own(self, epoch: int, start: int, steps: int | None) -> Iterator[Batch]:
        ranks, batches = self.ranks, self.data.batches(epoch, start, steps)
        spare = None
        while True:
            batch = next(batches, None)
            n = 0 if batch is None else row_count(batch[0])
            ranks.rows = int(ranks.sum(np.array([n], np.int64))[0])
            ranks.idle = batch is None
            if not ranks.rows:
                return
            if batch is None:
                if spare is None:
                    spare = self.data.first()
                batch = spare
            elif spare is None:
                spare = tuple(rows_of(arrays, slice(0, 1)) for arrays in batch)
            yield batch

    def ended(self) -> str:
        """Why there can be no further epoch on any rank; nothing where there can."""
        found = self.ranks.comm.allgather(self.data.ended())
        return next(iter(found)) if all(found) else ""
