"""Batches of one's own, under Keras' name."""

from __future__ import annotations

import warnings
from typing import Any


class PyDataset:
    """Batches that are made when they are wanted: `ds[i]` is number i of `len(ds)`.

    A subclass writes `__len__` and `__getitem__`. Any class that has both will do, so that nothing
    but the name comes from here.

    Parameters
    ----------
    workers, use_multiprocessing, max_queue_size
        Keras'. A batch is made where it is read, one after the other: other values than the
        defaults do nothing, and a warning says so.

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
    >>> len(model.fit(Halves(), epochs=2, verbose=0).history["loss"])
    2
    """

    def __init__(
        self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10
    ):
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size
        asked = self.workers > 1 or self.use_multiprocessing or self.max_queue_size != 10
        if asked:
            warnings.warn(
                f"{type(self).__name__}: workers, use_multiprocessing and max_queue_size do "
                "nothing: a batch is made where it is read",
                stacklevel=2,
            )

    def __getitem__(self, index: int) -> Any:
        """The batch of this number: `(x,)`, `(x, y)` or `(x, y, sample_weight)`."""
        raise NotImplementedError(
            f"{type(self).__name__} needs __getitem__(self, index), which returns the batch (x, y) "
            "of this number, and __len__(self), the number of batches"
        )

    @property
    def num_batches(self) -> int:
        return len(self)  # type: ignore[arg-type] - a subclass has it

    def on_epoch_begin(self) -> None:
        """Called before the first batch of an epoch."""

    def on_epoch_end(self) -> None:
        """Called behind the last one."""


Sequence = PyDataset
