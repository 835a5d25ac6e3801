"""Batches from any iterable, in its own order or by number."""

from __future__ import annotations

import inspect
import itertools
import warnings
import weakref
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np

from backprop.nest import row_count, shapes
from backprop.training.batches import (
    Batch,
    EpochBatches,
    located,
    place,
    rows_in,
    sizes_at_ends,
    two_weights,
    unpack_x_y_sample_weight,
    warn_if_short,
)
from backprop.training.reader import Reader, is_array
from backprop.training.workers import in_advance


class IterableData:
    """Batches from any iterable: `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)` each.

    Something with `__len__` and `__getitem__` is read by index, and shuffling changes the order of
    its batches, unless its `keeps_order` is True; then `passes`, if it has that, counts how often
    it was gone through, and decides the order of the next pass. `EpochBatches` are asked for an
    epoch's, from any one on. Anything else is read in its own order; an iterator goes on from epoch
    to epoch. Methods `on_epoch_begin` and `on_epoch_end` of the iterable are called.
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
        self.by_epoch = isinstance(source, EpochBatches)
        self.indexed = self.by_epoch or (by_number and not self.own_order)
        self.once = isinstance(source, Iterator)
        self.workers = workers_of(source)
        self.endless = self.steps is None and self.workers is not None
        self._rest: Any = None  # an iterator: of the present pass
        self._peeked: list[Any] = []  # read and not yet given out
        self.given = 0  # batches of the present pass
        self._new = is_new(source)
        self._passes: int | None = getattr(source, "passes", None)  # before this run

    def first(self) -> Batch:
        """The first batch, which is not lost for training."""
        if self.by_epoch:
            return self.read(self.source.first(), 0)
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
        if self.by_epoch:
            yield from sizes_at_ends(epochs, steps, self.source.count, self.source.batch_size)
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
            with suppress(StopIteration):
                # by next alone: of an iterator that begins anew at iter() that would be the first
                self._peeked = [next(self._rest)]
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

    def go_on(self, epochs: int, given: int, steps: int | None = None) -> None:
        """Be where a run has stopped, behind so many epochs of `steps` batches. A source that this
        process has not read is told of the epochs that are done, or of the passes if it counts
        them; one that has an order of its own is read up to the batch that is next."""
        if self._new:
            for _ in range(epochs):
                call(self.source, "on_epoch_begin")
                call(self.source, "on_epoch_end")
            if self.own_order and self._passes is not None and self.steps:
                self.close()  # the pass that was begun for the first batch
                self.source.passes = self._passes + place(epochs, steps, self.steps)[0]
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
        if self.by_epoch:
            number, begin, end = place(epoch, steps, self._present_length(steps))
            self._rest = self.source.batches(
                number, begin + start, self.seed if self.shuffle else None
            )
            # closed by `close`, also where the epoch ends before the pass
            yield from enumerate(itertools.islice(self._rest, end - begin - start), begin + start)
            self._rest.close()
            return
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
