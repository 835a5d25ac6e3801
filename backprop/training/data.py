"""Data for training: arrays, memory maps, sparse matrices, data frames or any iterable, as batches.

Everything that can be wrong with data is found here, before the first step: what reaches a layer is
a numeric array of the model's dtype and shape. Data that are never in memory as a whole (memory
maps, iterables) are checked batch by batch, as they are read. The order of an epoch is a pure
function of (seed, epoch), so a run can stop and go on in the middle of an epoch.
"""

from __future__ import annotations

import inspect
import itertools
import warnings
import weakref
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any

import numpy as np

from backprop.checks import integer, one_of
from backprop.layer import Array
from backprop.nest import as_tuple, each, row_count, shapes
from backprop.old_arguments import levels_up
from backprop.training.reader import Reader, is_array, is_sparse
from backprop.training.workers import in_advance

Batch = tuple[Any, Any, Any]  # x, y, sample_weight


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


def place(epoch: int, steps: int | None, total: int) -> tuple[int, int, int]:
    """Which pass over the data an epoch belongs to, and where it begins and ends there.

    Epochs of `steps` batches go on through the data. Where a pass ends within an epoch, the epoch
    ends too, as in Keras.

    Examples
    --------
    >>> [place(epoch, 2, total=5) for epoch in range(4)]
    [(0, 0, 2), (0, 2, 4), (0, 4, 5), (1, 0, 2)]
    """
    if steps is None:
        return epoch, 0, total
    epochs = -(-total // steps)
    begin = epoch % epochs * steps
    return epoch // epochs, begin, min(begin + steps, total)


def warn_if_short(count: int, steps: int | None) -> None:
    if steps is not None and count < steps:
        warnings.warn(
            f"the data ended after {count} of {steps} steps; "
            "give an iterable that yields steps_per_epoch * epochs batches",
            stacklevel=3,
        )


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

    def go_on(self, epochs: int, given: int) -> None:
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
        self.weight = reader.weight(sample_weight, self.n)
        self.class_weight = reader.class_weight(class_weight)
        if self.class_weight is not None and self.weight is not None:
            raise two_weights()
        if batch_size is not None:
            self.batch_size = integer(batch_size, who, "batch_size")
        self.shuffle = shuffle
        self.seed = seed
        self.who = who
        arrays = (*as_tuple(self.x), *as_tuple(self.y))
        self.late = any(is_sparse(a) or isinstance(a, np.memmap) for a in arrays)

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
        whole = not any(isinstance(a, np.memmap) for a in as_tuple(self.y))
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
        places = {place(epoch, steps, self.steps)[1:] for epoch in epochs}
        for begin, end in sorted(places):
            for i in (begin, end - 1):
                yield i, min(self.batch_size, self.n - i * self.batch_size)

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
        if any(isinstance(a, np.memmap) for a in as_tuple(self.x)):
            x = self.reader.x(each(in_memory, x), whole=False)
        x = self.reader.dense(x)
        if any(isinstance(a, np.memmap) for a in as_tuple(self.y)):
            y = self.reader.y(each(in_memory, y), whole=False)
            if self.reader.model.built:
                self.reader.check(x, y)
                if isinstance(self.class_weight, dict):
                    y, w = self.reader.weigh(y, self.class_weight)
        return x, y, w


class IterableData:
    """Batches from any iterable: `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)` each.

    Something with `__len__` and `__getitem__` is read by index, and shuffling changes the order of
    its batches, unless its `keeps_order` is True. Anything else is read in its own order; an
    iterator goes on from epoch to epoch. Methods `on_epoch_begin` and `on_epoch_end` of the
    iterable are called.
    """

    def __init__(
        self,
        reader: Reader,
        source: Any,
        *,
        class_weight: Any = None,
        shuffle: Any = False,
        seed: int = 0,
        targets: bool = True,
    ):
        self.reader = reader
        self.source = source
        self.class_weight = reader.class_weight(class_weight)
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' counts the classes in all of y, and an iterable of "
                "batches is read as it goes: give a weight for each class, such as {0: 1.0, 1: 5.0}"
            )
        self.shuffle = shuffle != "batch" and bool(shuffle)
        self.seed = seed
        self.targets = targets
        self.steps = self._length = length(source)
        self.own_order = getattr(source, "keeps_order", False)
        by_number = self.steps is not None and hasattr(source, "__getitem__")
        self.indexed = by_number and not self.own_order
        self.once = isinstance(source, Iterator)
        self.workers = workers_of(source)
        self.endless = self.steps is None and self.workers is not None
        self._rest: Any = None  # an iterator: of the present pass
        self._peeked: list[Any] = []  # read and not yet given out
        self.given = 0  # batches of the present pass
        self._new = is_new(source)

    def first(self) -> Batch:
        """The first batch, which is not lost for training."""
        if self.endless:  # and no worker begins before the run does
            return self.read(self.source[0], 0)
        if not self.more():
            raise ValueError("x yielded no batch: there is nothing to read")
        return self.read(self.source[0] if self.indexed else self._peeked[0], 0)

    def check(self, batch: Batch) -> Batch:
        """A batch as it is trained on, with the weights of its classes. Raises unless it fits; each
        is checked as it is read."""
        x, y, w = batch
        self.reader.check(x, y)
        if self.class_weight is None:
            return batch
        if w is not None:
            raise two_weights()
        assert isinstance(self.class_weight, dict)
        return x, *self.reader.weigh(y, self.class_weight)

    def ended(self) -> str:
        """Why there can be no further epoch; nothing where there can."""
        if self.indexed:
            return "" if length(self.source) else "it has no batches any more"
        if not self.once or self.more():
            return ""
        return (
            "an iterator is read once; give a list of batches, or an iterator that yields "
            "steps_per_epoch * epochs batches"
        )

    def sizes(self, epochs: range, steps: int | None = None) -> Iterator[tuple[int, int]]:
        """Number and rows of the batches, as far as they can be known without reading any."""
        for i, batch in enumerate(self.source if isinstance(self.source, list | tuple) else ()):
            x, inputs = unpack_x_y_sample_weight(batch)[0], self.reader.inputs
            x = inputs.ordered(x, f"batch {i + 1} of x")[0] if inputs.several else x
            yield i, x.shape[0] if is_array(x) else len(x)

    def more(self) -> bool:
        """Whether the present pass has another batch."""
        if self.indexed:
            return bool(length(self.source))
        if not self._peeked:
            if self._rest is None:
                self._rest = self._opened()
            self._peeked = list(itertools.islice(self._rest, 1))
        return bool(self._peeked)

    def batches(self, epoch: int, start: int = 0, steps: int | None = None) -> Iterator[Batch]:
        """The batches of an epoch, from number `start` on."""
        call(self.source, "on_epoch_begin")
        begun(self.source)
        count = start
        read = self._indexed if self.indexed else self._in_order
        for i, batch in read(epoch, start, steps):
            batch = self.read(batch, i)
            with located(f"batch {i + 1} of x"):
                batch = self.check(batch)
            count += 1
            yield batch
        warn_if_short(count, steps)
        call(self.source, "on_epoch_end")

    def go_on(self, epochs: int, given: int) -> None:
        """Be where a run has stopped. A source that this process has not read is told of the epochs
        that are done; one that has an order of its own is read up to the batch that is next."""
        if self._new:
            for _ in range(epochs):
                call(self.source, "on_epoch_begin")
                call(self.source, "on_epoch_end")
        if self.endless:
            self.given = given
        elif self.once and not self._new:
            warnings.warn(
                "x is an iterator that was read before, so the run goes on with what it yields "
                "next, which need not be what came next in the run: give a new one",
                stacklevel=5,
            )
        elif not self.indexed:
            while self.given < given and self.more():
                self._peeked.pop()
                self.given += 1

    def close(self) -> None:
        """End the workers that make batches, where there are any, and with them the pass."""
        if self._rest is not None and (self.indexed or self.endless or self.own_order):
            self._rest.close()
            self._begin_anew()

    def _opened(self) -> Iterator[Any]:
        """The batches of a pass in their own order."""
        if self.endless:
            return (batch for _, batch in self._fetched(itertools.count(self.given)))
        return iter(self.source)

    def _fetched(self, numbers: Iterable[int]) -> Iterator[tuple[int, Any]]:
        """Batches by their numbers, made by workers where the source asks for them."""
        if not self.workers:
            return ((i, self.source[i]) for i in numbers)
        return in_advance(self.source.__getitem__, numbers, **self.workers)

    def _indexed(self, epoch: int, start: int, steps: int | None) -> Iterator[tuple[int, Any]]:
        self._rest = self._fetched(self._numbers(epoch, start, steps))
        yield from self._rest

    def _numbers(self, epoch: int, start: int, steps: int | None) -> Iterator[int]:
        """The numbers of an epoch's batches, of a source that is read by them."""
        count = self._present_length(steps)
        number, begin, end = place(epoch, steps, count)
        order = range(count)
        if self.shuffle:
            order = np.random.default_rng([self.seed, number]).permutation(count).tolist()
        if steps is None:
            end = min(end, self.steps or 0)
        for i in order[begin + start : end]:
            if i >= self._present_length(steps):
                return
            yield i

    def _present_length(self, steps: int | None) -> int:
        """The number of batches now. A data set may change it; an epoch has as many as there were
        when the run began, as in Keras, or what is left of them."""
        count = length(self.source) or 0
        if count != self._length:
            self._length = count
            reads = f"; an epoch reads {min(count, self.steps or 0)} of them"
            warnings.warn(
                f"the data have {count} batches now and had {self.steps} when the run began"
                f"{reads if steps is None else ''}",
                stacklevel=3,
            )
        return count

    def _in_order(self, epoch: int, start: int, steps: int | None) -> Iterator[tuple[int, Any]]:
        self._go_to(epoch, start, steps)
        for _ in range(start, steps) if steps is not None else itertools.count():
            if not self.more():
                self._begin_anew()
                return
            batch = self._peeked.pop()
            self.given += 1
            yield self.given - 1, batch

    def _go_to(self, epoch: int, start: int, steps: int | None) -> None:
        """Forward, or back to the beginning and forward, to the first batch that is wanted."""
        if self.once:
            at = self.given + start
        elif steps is not None and self.steps:
            at = place(epoch, steps, self.steps)[1] + start
        else:
            # epochs of an unknown number of batches go on where the one before stopped
            at = (self.given if steps is not None and epoch and self.more() else 0) + start
        if at < self.given:
            self._begin_anew()
        while self.given < at and self.more():
            self._peeked.pop()
            self.given += 1

    def _begin_anew(self) -> None:
        self._rest, self._peeked, self.given = None, [], 0

    def read(self, batch: Any, number: int) -> Batch:
        with located(f"batch {number + 1} of x"):
            x, y, w = unpack_x_y_sample_weight(batch)
            rows = None if self.reader.outputs.several else rows_in(y)
            x = self.reader.dense(self.reader.x(x, whole=False, rows=rows))
            if not self.targets:
                return x, None, None
            y = self.reader.y(y, whole=False, rows=row_count(x))
            n = row_count(x)
            if n == 0:
                raise ValueError(f"x has no rows: its shape is {shapes(x)}")
            if y is None and not self.reader.any_targets:
                raise ValueError("y is missing: yield (x, y) or (x, y, sample_weight)")
            w = self.reader.weight(w, self.reader.rows(x, y))
        return x, y, w


Data = ArrayData | IterableData


@contextmanager
def located(where: str) -> Iterator[None]:
    """Errors within say where they are: in which data, in which batch."""
    try:
        yield
    except (ValueError, TypeError) as error:
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(f"{where}: {error}") from error


def length(source: Any) -> int | None:
    """Number of batches, None where it is unknown."""
    try:
        return len(source)
    except (TypeError, NotImplementedError):  # a loader of a stream has a __len__ that raises
        return getattr(source, "num_batches", None)


def workers_of(source: Any) -> dict[str, Any] | None:
    """How many workers make batches, and how, where the source is a `utils.PyDataset`, which says
    so; empty for none."""
    if not hasattr(source, "use_multiprocessing"):
        return None
    workers, processes = source.workers, source.use_multiprocessing
    if workers <= (0 if processes else 1):
        return {}
    return {"workers": workers, "processes": processes, "ahead": source.max_queue_size}


def is_new(source: Any) -> bool:
    """Whether no run of this process has read a source yet, as far as that can be known."""
    if isinstance(source, Generator):
        return inspect.getgeneratorstate(source) == inspect.GEN_CREATED
    return _begun.get(id(source)) is not source


def begun(source: Any) -> None:
    """Remember that a source is read."""
    with suppress(TypeError):  # such as a list: it cannot be referred to weakly, and has no state
        _begun[id(source)] = source


_begun: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()


def call(source: Any, hook: str) -> None:
    if hasattr(source, hook):
        getattr(source, hook)()


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
    return np.asarray(a) if isinstance(a, np.memmap) else a


def joined(batches: list) -> Any:
    """The outputs of batches, one behind the other."""
    if len(batches) == 1:
        return batches[0]
    if type(batches[0]) is tuple:
        return tuple([np.concatenate(part) for part in zip(*batches, strict=True)])
    return np.concatenate(batches)


def rows_in(y: Any) -> int | None:
    """How many rows targets have, None where that cannot be told."""
    if hasattr(y, "shape"):
        return y.shape[0] if y.shape else None
    return len(y) if isinstance(y, list | tuple) else None


def two_weights() -> ValueError:
    return ValueError(
        "give class_weight or sample_weight, not both: multiply them into one sample_weight"
    )


def unpack_x_y_sample_weight(data: Any) -> Batch:
    """`x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)` → the three; None for what is missing."""
    if not isinstance(data, list | tuple):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise ValueError(
            f"a batch is x, (x,), (x, y) or (x, y, sample_weight), got {len(data)} entries"
        )
    x, y, w = (*data, None, None)[:3]
    return x, y, w


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """The three as `fit` takes them in a batch, without trailing Nones."""
    if y is None:
        return (x,) if isinstance(x, list | tuple) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)
