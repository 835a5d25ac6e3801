"""Batches of one's own, and batches that are read as they are wanted, under Keras' names."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from backprop import checks, nest, random
from backprop.absent import explain_attribute
from backprop.training.workers import in_advance

Array = np.ndarray


class PyDataset:
    """Batches that are made when they are wanted: `ds[i]` is number i of `len(ds)`.

    A subclass writes `__len__` and `__getitem__`; one without an end writes `num_batches`, which is
    None, in the place of `__len__`. A subclass whose `__init__` does not call this one has the
    defaults.

    Parameters
    ----------
    workers : int, default 1
        How many threads or processes call `__getitem__` while a model computes. With 1 (or 0) and
        no processes each batch is made where it is read. The batches come in the same order, and
        are the same, if `__getitem__(i)` depends on nothing but `i`.
    use_multiprocessing : bool, default False
        Processes rather than threads: each has a copy of the data set, of the epoch's beginning,
        and is made in the way of `multiprocessing`. It needs a worker or more.
    max_queue_size : int, default 10
        How many batches workers make in advance, at most.

    Raises
    ------
    ValueError
        For numbers that are negative, or no queue.

    Notes
    -----
    Workers begin with an epoch and are gone behind it, also after an error or an interrupt; what
    `__getitem__` raises reaches `fit` with its traceback. `on_epoch_begin` and `on_epoch_end` are
    called in the program itself. A loop over the data set by hand has no workers.

    Examples
    --------
    >>> import numpy as np
    >>> import backprop as bp
    >>> class Halves(bp.utils.PyDataset):
    ...     def __len__(self):
    ...         return 2
    ...
    ...     def __getitem__(self, index):
    ...         return np.full((4, 3), index / 2), np.zeros((4, 1))
    >>> model = bp.Sequential([bp.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> len(model.fit(Halves(workers=2), epochs=2, verbose=0).history["loss"])
    2
    """

    workers = 1
    use_multiprocessing = False
    max_queue_size = 10

    def __init__(
        self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10
    ):
        who = type(self).__name__
        self.workers = checks.integer(workers, who, "workers", 0)
        self.use_multiprocessing = bool(use_multiprocessing)
        self.max_queue_size = checks.integer(max_queue_size, who, "max_queue_size")

    def __getitem__(self, index: int) -> Any:
        """The batch of this number: `(x,)`, `(x, y)` or `(x, y, sample_weight)`."""
        raise NotImplementedError(
            f"{type(self).__name__} needs __getitem__(self, index), which returns the batch (x, y) "
            "of this number, and __len__(self), the number of batches"
        )

    @property
    def num_batches(self) -> int | None:
        """The number of batches; None says that there is no end."""
        if hasattr(self, "__len__"):
            return len(self)  # type: ignore[arg-type] - a subclass has it
        raise NotImplementedError(
            f"{type(self).__name__} needs __len__(self), the number of batches; one without an end "
            "has a property num_batches that is None"
        )

    def __iter__(self) -> Iterator[Any]:
        count = self.num_batches
        numbers = itertools.count() if count is None else range(count)
        return (self[i] for i in numbers)

    def on_epoch_begin(self) -> None:
        """Called before the first batch of an epoch."""

    def on_epoch_end(self) -> None:
        """Called behind the last one."""


Sequence = PyDataset


class Batches:
    """Samples in batches, each of which is read when it is asked for; every pass starts anew.

    A subclass writes `gather`. ``batches[i]`` is number i of the pass to come, ``batches[a:b]`` are
    some of them, as `take` and `skip` give them.

    Parameters
    ----------
    samples : ndarray of int
        A number for each sample, in order.
    batch_size : int or None
        The last batch may be smaller. None yields single samples.
    shuffle : bool
        Draw a new order in every pass.
    seed : int, optional
        Of the orders: pass number n of a given seed is always the same. Default: drawn from what
        `set_random_seed` was given.

    Attributes
    ----------
    count : int
        Number of samples; ``len(batches)`` is the number of batches.
    passes : int
        How many times it was gone through; with `shuffle` it chooses the order of the next pass.
    """

    keeps_order = True  # fit() goes through it as it is: the order of the samples is its own
    ahead = 0

    def __init__(self, samples: Array, batch_size: int | None, shuffle: bool, seed: int | None):
        self.samples = samples
        self.batch_size = batch_size
        self.shuffled = shuffle
        self.seed = random.spawn() if seed is None else np.random.SeedSequence(seed)
        self.passes = 0
        self.part = range(-(-len(samples) // (batch_size or 1)))  # the batches that it is made of
        self.changes: tuple[Callable, ...] = ()
        self.source: Batches | None = None  # of which cache() keeps the batches that were read
        self.kept: dict[int, Any] = {}

    def gather(self, samples: Array) -> Any:
        """The batch of some samples, by their numbers: x, or (x, y)."""
        raise NotImplementedError

    @property
    def count(self) -> int:
        """Number of samples."""
        size = self.batch_size or 1
        return sum(len(self.samples[i * size : (i + 1) * size]) for i in self.part)

    def __len__(self) -> int:
        return len(self.part)

    def cardinality(self) -> int:
        """Number of batches, as `len` says it."""
        return len(self)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self._but(part=self.part[index])
        try:
            number = self.part[index]
        except IndexError:
            raise IndexError(f"there are {len(self)} batches and {index} was asked for") from None
        return self._batch(self.pass_over(), number)

    def take(self, count: int) -> Any:
        """The first so many batches; all of them for -1."""
        return self if count == -1 else self[: checks.integer(count, "take()", "count", 0)]

    def skip(self, count: int) -> Any:
        """The batches behind the first so many."""
        return self[checks.integer(count, "skip()", "count", 0) :]

    def map(self, function: Callable[..., Any]) -> Any:
        """The batches as `function` makes them of each: of ``function(x)``, or ``function(x, y)``.

        Examples
        --------
        >>> import numpy as np
        >>> from backprop import utils
        >>> windows = utils.timeseries_dataset_from_array(np.arange(4), np.arange(4), 2)
        >>> windows.map(lambda x, y: (x / 10, y))[0][0]
        array([[0. , 0.1],
               [0.1, 0.2],
               [0.2, 0.3]])
        """
        return self._but(changes=(*self.changes, function))

    def cache(self) -> Any:
        """The same, each batch made once: later passes are given what the first one kept in memory.

        Behind `map` what it makes is kept, and every pass has the order of the one that was to
        come. The arrays that are kept cannot be written to.
        """
        return self._but(source=self, kept={}, changes=(), ahead=0, shuffled=False)

    def as_numpy_iterator(self) -> Iterator[Any]:
        """A pass over the batches: they are arrays of NumPy."""
        return iter(self)

    def prefetch(self, buffer_size: int) -> Any:
        """The same, of which a thread reads so many batches in advance."""
        return self._but(ahead=checks.integer(buffer_size, "prefetch()", "buffer_size", 0))

    def __iter__(self) -> Iterator[Any]:
        order = self.pass_over()
        self.passes += 1
        if not self.ahead:
            return (self._batch(order, i) for i in self.part)
        read = in_advance(lambda i: self._batch(order, i), self.part, ahead=self.ahead)
        return (batch for _, batch in read)

    def __getattr__(self, name: str) -> Any:
        instead = explain_attribute(self, name)
        what = f"has no {name}: {instead}" if instead else f"has no {name!r}"
        raise AttributeError(f"{type(self).__name__} {what}")

    def pass_over(self) -> Array:
        """The samples in the order of the pass to come."""
        return self.order(self.passes) if self.shuffled else self.samples

    def order(self, n: int) -> Array:
        """The samples in pass number `n`: a pure function of the seed and `n`."""
        key = (*self.seed.spawn_key, n)
        child = np.random.SeedSequence(self.seed.entropy, spawn_key=key)
        return np.random.default_rng(child).permutation(self.samples)

    def _batch(self, order: Array, number: int) -> Any:
        """Batch `number` of the samples in this order; a single sample where there are no
        batches."""
        if self.source is not None:
            batch = self._remembered(self.source, number)
        else:
            size = self.batch_size or 1
            batch = self.gather(order[number * size : (number + 1) * size])
            if self.batch_size is None:
                batch = tuple(a[0] for a in batch) if isinstance(batch, tuple) else batch[0]
        for change in self.changes:
            batch = change(*batch) if isinstance(batch, tuple) else change(batch)
        return batch

    def _remembered(self, source: Batches, number: int) -> Any:
        """Batch `number` of a source that nobody goes through, whose order stays what it is."""
        if number not in self.kept:
            batch = source._batch(source.pass_over(), number)
            kept = (read_only(leaf) for leaf in nest.leaves(batch))
            self.kept[number] = nest.packed(batch, kept)
        return self.kept[number]

    def _but(self, **changed: Any) -> Any:
        """A copy in which something is another."""
        other = copy.copy(self)
        other.__dict__ |= changed
        return other


def read_only(x: Any) -> Any:
    """An array as it is for those who only look at it."""
    if isinstance(x, np.ndarray):
        x = x.view()
        x.flags.writeable = False
    return x


def one_batch(x: Any, y: Any) -> Any:
    """x, or (x, y) where there are targets."""
    return x if y is None else (x, y)


def batch_size_and_seed(
    batch_size: int | None, seed: int | None, who: str
) -> tuple[int | None, int | None]:
    """The two as whole numbers, or None."""
    if batch_size is not None:
        batch_size = checks.integer(batch_size, who, "batch_size")
    if seed is not None:
        seed = checks.integer(seed, who, "seed", least=0)
    return batch_size, seed
