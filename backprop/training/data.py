"""Data for training: arrays, memory maps, sparse matrices, data frames or any iterable, as batches.

Everything that can be wrong with data is found here, before the first step: what reaches a layer is
a numeric array of the model's dtype and shape. Data that are never in memory as a whole (memory
maps, iterables) are checked batch by batch, as they are read. The order of an epoch is a pure
function of (seed, epoch), so a run can stop and go on in the middle of an epoch.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from backprop.checks import integer
from backprop.layer import Array, show_shape
from backprop.training.reader import Reader, is_array, is_sparse

Batch = tuple[Any, Any, Any]  # x, y, sample_weight


def is_array_like(x: Any) -> bool:
    """Whether `x` holds samples, not batches: arrays, frames, sparse matrices, lists of numbers."""
    if is_array(x):
        return True
    return isinstance(x, list | tuple) and not any(is_batch(item) for item in x[:1])


def is_batch(item: Any) -> bool:
    """Whether an item of a list is a batch: an array, or an array and its targets."""
    if isinstance(item, tuple):
        return not all(np.isscalar(v) for v in item)
    items = item if isinstance(item, list) else [item]
    return any(is_array(v) and not np.isscalar(v) for v in items)


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
    shuffle : bool
    seed : int
        With the epoch's number it decides the order.
    class_weight : mapping of int to float, optional
    """

    once = False  # whether it can be read but once

    def __init__(
        self,
        reader: Reader,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        who: str = "fit()",
        batch_size: int | None = None,
        shuffle: bool = False,
        seed: int = 0,
        class_weight: Mapping[int, float] | None = None,
    ):
        self.reader = reader
        self.x = reader.x(x)
        self.y = reader.y(y)
        self.n = self.x.shape[0]
        if self.y is not None and len(self.y) != self.n:
            raise ValueError(
                f"x has {self.n} rows and y has {len(self.y)}; they must have a row for each sample"
            )
        self.weight = reader.weight(sample_weight, self.n)
        if class_weight is not None:
            self.weight = class_weights(self.y, class_weight, self.weight, reader.model.dtype)
        self.batch_size = integer(32 if batch_size is None else batch_size, who, "batch_size")
        self.shuffle = shuffle
        self.seed = seed
        self.who = who
        self.late = is_sparse(self.x) or any(isinstance(a, np.memmap) for a in (self.x, self.y))

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
        rest.__dict__ |= self.__dict__ | {"shuffle": False, "n": self.n - at}
        for name in ("x", "y", "weight"):
            array = getattr(self, name)
            setattr(rest, name, None if array is None else array[at:])
            setattr(self, name, None if array is None else array[:at])
        self.n = at
        return rest

    def order(self, number: int) -> Array:
        """The order of the samples in a pass over them."""
        return np.random.default_rng([self.seed, number]).permutation(self.n)

    def first(self) -> Batch:
        """The first samples, as a batch."""
        if self.n == 0:
            raise ValueError(f"{self.who} got no rows: x has shape {self.x.shape}")
        return self._read(slice(0, self.batch_size))

    def check(self) -> None:
        """Raise unless the targets fit the loss, all of them where they are in memory."""
        x, y, _ = self.first()
        self.reader.check(x, y if isinstance(self.y, np.memmap) else self.y)

    def ended(self) -> bool:
        """Whether there can be no further epoch."""
        return False

    def batches(self, epoch: int, start: int = 0, steps: int | None = None) -> Iterator[Batch]:
        """The batches of an epoch, from number `start` on."""
        number, begin, end = place(epoch, steps, self.steps)
        order = self.order(number) if self.shuffle else None
        for i in range(begin + start, end):
            rows = slice(i * self.batch_size, (i + 1) * self.batch_size)
            yield self._read(rows if order is None else order[rows])
        warn_if_short(end - begin, steps)

    def _read(self, rows: Any) -> Batch:
        x, y, w = self.x[rows], self.y, self.weight
        if y is self.x:  # an autoencoder's: gathered once
            y = x
        elif y is not None:
            y = y[rows]
        batch = x, y, None if w is None else w[rows]
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
        if isinstance(self.x, np.memmap):
            x = self.reader.x(np.asarray(x), whole=False)
        x = self.reader.dense(x)
        if isinstance(self.y, np.memmap):
            y = self.reader.y(np.asarray(y), whole=False)
            if self.reader.model.built:
                self.reader.check(x, y)
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
        class_weight: Mapping[int, float] | None = None,
        shuffle: bool = False,
        seed: int = 0,
        targets: bool = True,
    ):
        self.reader = reader
        self.source = source
        self.class_weight = class_weight
        self.shuffle = shuffle
        self.seed = seed
        self.targets = targets
        self.steps = length(source)
        own_order = getattr(source, "keeps_order", False)
        self.indexed = self.steps is not None and hasattr(source, "__getitem__") and not own_order
        self.once = isinstance(source, Iterator)
        self._rest: Any = None  # an iterator: of the present pass
        self._peeked: list[Any] = []  # read and not yet given out
        self._given = 0  # batches of the present pass

    def first(self) -> Batch:
        """The first batch, which is not lost for training."""
        if not self.more():
            raise ValueError("x yielded no batch: there is nothing to read")
        return self.read(self.source[0] if self.indexed else self._peeked[0], 0)

    def check(self) -> None:
        """Raise unless the first batch fits; the others are checked as they are read."""
        self.reader.check(*self.first()[:2])

    def ended(self) -> bool:
        """Whether there can be no further epoch: an iterator is read once."""
        return self.once and not self.more()

    def more(self) -> bool:
        """Whether the present pass has another batch."""
        if self.indexed:
            return bool(self.steps)
        if not self._peeked:
            if self._rest is None:
                self._rest = iter(self.source)
            self._peeked = list(itertools.islice(self._rest, 1))
        return bool(self._peeked)

    def batches(self, epoch: int, start: int = 0, steps: int | None = None) -> Iterator[Batch]:
        """The batches of an epoch, from number `start` on."""
        call(self.source, "on_epoch_begin")
        count = start
        read = self._indexed if self.indexed else self._in_order
        for i, batch in read(epoch, start, steps):
            batch = self.read(batch, i)
            with located(f"batch {i + 1} of x"):
                self.reader.check(*batch[:2])
            count += 1
            yield batch
        warn_if_short(count, steps)
        call(self.source, "on_epoch_end")

    def _indexed(self, epoch: int, start: int, steps: int | None) -> Iterator[tuple[int, Any]]:
        assert self.steps is not None
        number, begin, end = place(epoch, steps, self.steps)
        order = range(self.steps)
        if self.shuffle:
            order = np.random.default_rng([self.seed, number]).permutation(self.steps).tolist()
        for i in order[begin + start : end]:
            yield i, self.source[i]

    def _in_order(self, epoch: int, start: int, steps: int | None) -> Iterator[tuple[int, Any]]:
        self._go_to(epoch, start, steps)
        for _ in range(start, steps) if steps is not None else itertools.count():
            if not self.more():
                self._begin_anew()
                return
            batch = self._peeked.pop()
            self._given += 1
            yield self._given - 1, batch

    def _go_to(self, epoch: int, start: int, steps: int | None) -> None:
        """Forward, or back to the beginning and forward, to the first batch that is wanted."""
        if self.once:
            at = self._given + start
        elif steps is not None and self.steps:
            at = place(epoch, steps, self.steps)[1] + start
        else:
            # epochs of an unknown number of batches go on where the one before stopped
            at = (self._given if steps is not None and epoch and self.more() else 0) + start
        if at < self._given:
            self._begin_anew()
        while self._given < at and self.more():
            self._peeked.pop()
            self._given += 1

    def _begin_anew(self) -> None:
        self._rest, self._peeked, self._given = None, [], 0

    def read(self, batch: Any, number: int) -> Batch:
        with located(f"batch {number + 1} of x"):
            x, y, w = unpack_x_y_sample_weight(batch)
            x = self.reader.dense(self.reader.x(x, whole=False))
            if not self.targets:
                return x, None, None
            y, n = self.reader.y(y, whole=False), x.shape[0]
            if n == 0:
                raise ValueError(f"x has no rows: its shape is {x.shape}")
            if y is None:
                raise ValueError("y is missing: yield (x, y) or (x, y, sample_weight)")
            if len(y) != n:
                raise ValueError(
                    f"x has {n} rows and y has {len(y)}; they must have a row for each sample"
                )
            w = self.reader.weight(w, n)
            if self.class_weight is not None:
                w = class_weights(y, self.class_weight, w, self.reader.model.dtype)
        return x, y, w


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
        return None


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
    shuffle: bool = False,
    seed: int = 0,
    targets: bool = True,
) -> ArrayData | IterableData:
    """What `fit`, `evaluate` and `predict` were given, as batches."""
    if x is None:
        raise ValueError(f"{who} needs x: an array or an iterable of batches")
    check_class_weight(class_weight)
    if (
        isinstance(x, list | tuple) and y is not None
    ):  # then they are no batches, which bring their y
        x = x[0] if len(x) == 1 and is_array(x[0]) and np.ndim(x[0]) > 1 else x
    if is_array_like(x) or (isinstance(x, list | tuple) and y is not None):
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
    if isinstance(x, Mapping | str | bytes) or not (
        isinstance(x, Iterable) or hasattr(x, "__getitem__")
    ):
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
        raise ValueError(
            f"{who} got batch_size={batch_size!r} and x is an iterable of batches, which have a "
            "size already: leave batch_size out"
        )
    return IterableData(
        reader, x, class_weight=class_weight, shuffle=shuffle, seed=seed, targets=targets
    )


def check_class_weight(class_weight: Any) -> None:
    """Raise unless it is a mapping of class numbers to weights."""
    if class_weight is None:
        return
    if not isinstance(class_weight, Mapping):
        raise TypeError(
            "class_weight expects a weight for each class, such as {0: 1.0, 1: 5.0}, "
            f"got {class_weight!r}"
        )
    for label, weight in class_weight.items():
        if not isinstance(label, int | np.integer) or label < 0:
            raise ValueError(f"class_weight expects class numbers from 0 as keys, got {label!r}")
        if not isinstance(weight, int | float | np.number) or not np.isfinite(weight):
            raise ValueError(f"class_weight expects a number for class {label}, got {weight!r}")


def class_weights(
    y: Array | None,
    class_weight: Mapping[int, float],
    sample_weight: Array | None,
    dtype: Any = None,
) -> Array:
    """A weight per sample from a weight per class; classes that are not named weigh 1."""
    if y is None:
        raise ValueError("class_weight needs y")
    if sample_weight is not None:
        raise ValueError(
            "give class_weight or sample_weight, not both: multiply them into one sample_weight"
        )
    if y.ndim > 2:
        raise ValueError(
            f"class_weight needs one class per sample, got y of shape {show_shape(y.shape)}"
        )
    one_hot = y.ndim == 2 and y.shape[1] > 1
    labels = y.argmax(-1) if one_hot else np.round(y.reshape(len(y))).astype(np.int64)
    weights = np.ones(len(y), dtype or np.float32)
    for label, weight in class_weight.items():
        weights[labels == label] = weight
    return weights


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
