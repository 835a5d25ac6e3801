"""Data for training: arrays, memory maps, sparse matrices, data frames or any iterable, as batches.

Everything that can be wrong with data is found here, before the first step: what reaches a layer is
a numeric array of the model's dtype and shape. Data that are never in memory as a whole (memory
maps, iterables) are checked batch by batch, as they are read. The order of an epoch is a pure
function of (seed, epoch), so a run can stop and go on in the middle of an epoch.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from backprop.checks import integer, one_of
from backprop.layer import Array
from backprop.nest import as_tuple, each, row_count, shapes
from backprop.old_arguments import levels_up
from backprop.training.batches import (
    Batch,
    place,
    rows_in,
    sizes_at_ends,
    two_weights,
    warn_if_short,
)
from backprop.training.iterables import IterableData
from backprop.training.reader import Reader, is_array, is_mapped, is_sparse


def is_array_like(x: Any) -> bool:
    """Whether `x` holds samples, not batches: arrays, frames, sparse matrices, lists of numbers or
    of arrays."""
    if is_array(x):
        return True
    return isinstance(x, list | tuple) and not any(is_batch(item) for item in x[:1])


def holds_samples(x: Any, reader: Reader) -> bool:
    """Whether `x` holds the samples of a model, and not batches, which are tuples where a list may
    be one of several inputs."""
    if reader.inputs.several and isinstance(x, list | tuple):
        return not isinstance(x, list) or not any(isinstance(item, tuple) for item in x[:1])
    return is_array_like(x)


def is_batch(item: Any) -> bool:
    """Whether an item of a list is a batch: (x,), (x, y) or (x, y, sample_weight)."""
    if isinstance(item, tuple):
        return not all(np.isscalar(v) for v in item)
    return isinstance(item, list) and any(is_array(v) and not np.isscalar(v) for v in item)


class ArrayData:
    """Samples in memory (or in a memory map), cut into batches.

    Parameters
    ----------
    reader : Reader
    x, y, sample_weight : array-like
        Of one length.
    who : str, default "fit()"
        For error messages.
    batch_size : int, default 32
    shuffle : bool or "batch"
        ``"batch"`` shuffles the rows within each batch, and leaves the batches where they are.
    seed : int
        With the epoch's number it decides the order.
    class_weight : mapping of int to float, or "balanced", optional
        Becomes weights of samples in `check`, so it never reaches rows that were split off before.
    """

    once = False  # whether it can be read but once
    given = 0  # its order is a function of the epoch

    def go_on(self, epochs: int, given: int, steps: int | None = None) -> None:
        """Nothing depends on what was read before."""

    def close(self) -> None:
        """Nothing is open: the arrays are in memory."""

    def __init__(
        self,
        reader: Reader,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        who: str = "fit()",
        batch_size: int | None = None,
        shuffle: Any = False,
        seed: int = 0,
        class_weight: Any = None,
    ):
        self.reader = reader
        self.x = reader.x(x, rows=None if reader.outputs.several else rows_in(y))
        self.y = reader.y(y, rows=row_count(self.x))
        self.n = reader.rows(self.x, self.y)
        self.weight = reader.weight(sample_weight, self.n, whole=True)
        self.class_weight = reader.class_weight(class_weight)
        if self.class_weight is not None and self.weight is not None:
            raise two_weights()
        if batch_size is not None:
            self.batch_size = integer(batch_size, who, "batch_size")
        self.shuffle = shuffle
        self.seed = seed
        self.who = who
        arrays = (*as_tuple(self.x), *as_tuple(self.y), *as_tuple(self.weight))
        self.late = any(is_sparse(a) or is_mapped(a) for a in arrays)

    @cached_property
    def batch_size(self) -> int:
        return self.reader.fixed_rows or 32

    @property
    def steps(self) -> int:
        return -(-self.n // self.batch_size)

    def split(self, fraction: float) -> ArrayData:
        """Take the last `fraction` of the samples away, before any shuffling, and return them."""
        at = int(np.floor(self.n * (1 - fraction)))
        if not 0 < at < self.n:
            raise ValueError(
                f"validation_split={fraction} of {self.n} samples leaves {at} to train on and "
                f"{self.n - at} to validate on"
            )
        rest = object.__new__(ArrayData)
        rest.__dict__ |= self.__dict__ | {"shuffle": False, "n": self.n - at, "class_weight": None}
        for name in ("x", "y", "weight"):
            arrays = getattr(self, name)
            setattr(rest, name, rows_of(arrays, slice(at, None)))
            setattr(self, name, rows_of(arrays, slice(at)))
        self.n = at
        return rest

    def order(self, number: int) -> Array:
        """The order of the samples in a pass over them."""
        rng = np.random.default_rng([self.seed, number])
        if self.shuffle != "batch":
            return rng.permutation(self.n)
        rows = np.arange(self.n)
        for i in range(0, self.n, self.batch_size):
            rng.shuffle(rows[i : i + self.batch_size])
        return rows

    def first(self) -> Batch:
        """The first samples, as a batch."""
        if self.n == 0:
            raise ValueError(f"{self.who} got no rows: x has shape {shapes(self.x)}")
        return self.read(slice(0, self.batch_size))

    def check(self, batch: Batch) -> Batch:
        """The first batch as it is trained on. Raises unless the targets fit the loss, all of them
        where they are in memory; then the classes' weights become weights of samples."""
        x, y, _ = batch
        whole = not some_mapped(self.y)
        self.reader.check(x, self.y if whole else y)
        if self.class_weight is None:
            return batch
        if isinstance(self.class_weight, str):
            self.class_weight = self.reader.balanced(self.y)
        if whole:
            self.y, self.weight = self.reader.weigh(self.y, self.class_weight)
            self.class_weight = None
        return self.first()

    def ended(self) -> str:
        """Why there can be no further epoch; nothing where there can."""
        return ""

    def sizes(self, epochs: range, steps: int | None = None) -> Iterator[tuple[int, int]]:
        """Number and rows of the batches that these epochs would read first and last in a pass."""
        return sizes_at_ends(epochs, steps, self.n, self.batch_size)

    def batches(self, epoch: int, start: int = 0, steps: int | None = None) -> Iterator[Batch]:
        """The batches of an epoch, from number `start` on."""
        return map(self.read, self.rows(epoch, start, steps))

    def rows(self, epoch: int, start: int = 0, steps: int | None = None) -> Iterator[Any]:
        """The rows of each of these batches: a slice, or an array of numbers."""
        number, begin, end = place(epoch, steps, self.steps)
        order = self.order(number) if self.shuffle else None
        for i in range(begin + start, end):
            rows = slice(i * self.batch_size, min((i + 1) * self.batch_size, self.n))
            yield rows if order is None else order[rows]
        warn_if_short(end - begin, steps)

    def read(self, rows: Any) -> Batch:
        x = rows_of(self.x, rows)
        # an autoencoder's targets are gathered once
        y = x if self.y is self.x else rows_of(self.y, rows)
        batch = x, y, rows_of(self.weight, rows)
        if not self.late:
            return batch
        try:
            return self._late(*batch)
        except ValueError as error:  # row numbers in it count from the batch's first
            these = np.arange(self.n)[rows].tolist()
            shown = f"{these[:9]} and more" if len(these) > 9 else these
            raise ValueError(f"in a batch of rows {shown}: {error}") from error

    def _late(self, x: Any, y: Any, w: Array | None) -> Batch:
        """Do to a batch what is not done to all data at once: check and cast a memory map, make
        sparse rows dense."""
        if some_mapped(self.x):
            x = self.reader.x(each(in_memory, x), whole=False)
        x = self.reader.dense(x)
        if some_mapped(self.weight):
            w = self.reader.weight(each(in_memory, w), row_count(x))
        if some_mapped(self.y):
            y = self.reader.y(each(in_memory, y), whole=False)
            if self.reader.model.built:
                self.reader.check(x, y)
                if isinstance(self.class_weight, dict):
                    y, w = self.reader.weigh(y, self.class_weight)
        return x, y, w


Data = ArrayData | IterableData


def as_data(
    reader: Reader,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    who: str = "fit()",
    class_weight: Any = None,
    batch_size: int | None = None,
    size_name: str = "batch_size",
    shuffle: Any = False,
    seed: int = 0,
    targets: bool = True,
) -> Data:
    """What `fit`, `evaluate` and `predict` were given, as batches."""
    if x is None:
        raise ValueError(f"{who} needs x: an array or an iterable of batches")
    shuffle = one_of(shuffle, (True, False, "batch"), who, "shuffle")
    # beside y a list holds no batches, which bring their own; a dict holds several inputs
    listed = isinstance(x, list | tuple) and y is not None
    if listed or holds_samples(x, reader) or isinstance(x, Mapping):
        return ArrayData(
            reader,
            x,
            y,
            sample_weight,
            who=who,
            class_weight=class_weight,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
        )
    if isinstance(x, str | bytes) or not (isinstance(x, Iterable) or hasattr(x, "__getitem__")):
        raise TypeError(
            f"{who} expects x to be an array, a sparse matrix, a data frame or an iterable of "
            f"batches, got {type(x).__name__}"
        )
    for name, given in (("y", y), ("sample_weight", sample_weight)):
        if given is not None:
            raise ValueError(
                f"{name} must come with the batches when x is an iterable: "
                "yield (x, y, sample_weight)"
            )
    if batch_size is not None:
        integer(batch_size, who, size_name)
        warnings.warn(
            f"{who} ignores {size_name}={batch_size!r}: x is an iterable of batches, which have a "
            "size already",
            stacklevel=levels_up(),
        )
    return IterableData(
        reader, x, class_weight=class_weight, shuffle=shuffle, seed=seed, targets=targets
    )


def rows_of(arrays: Any, rows: Any) -> Any:
    """Some rows of an array, or of each of several; None stays None."""
    if arrays is None:
        return None
    return each(lambda a: a[rows], arrays) if type(arrays) is tuple else arrays[rows]


def in_memory(a: Any) -> Any:
    """What was read of a memory map, as an array like others."""
    return np.asarray(a) if is_mapped(a) else a


def some_mapped(x: Any) -> bool:
    """Whether an array is a memory map, or one of several is."""
    return any(is_mapped(a) for a in as_tuple(x))


def joined(batches: list) -> Any:
    """The outputs of batches, one behind the other."""
    if len(batches) == 1:
        return batches[0]
    if type(batches[0]) is tuple:
        return tuple([np.concatenate(part) for part in zip(*batches, strict=True)])
    return np.concatenate(batches)
