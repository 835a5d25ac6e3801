"""What a batch is, where an epoch lies in the data, and what may be read from anywhere in it."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

Batch = tuple[Any, Any, Any]  # x, y, sample_weight


class EpochBatches:
    """Batches in an order that is a function of the seed and the epoch, read from any one on.

    `fit` asks for the passes by their numbers, and reads no batch before the one at which a run
    goes on. Without a seed the order is that of the data: `evaluate`, `predict` and validation read
    so.

    Attributes
    ----------
    count : int
        How many rows there are in all.
    batch_size : int
        How many are in each batch; the last one may be smaller.
    """

    count: int
    batch_size: int

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)

    def first(self) -> Any:
        """Rows like those to come, at little cost: the first batch where there is one."""
        raise NotImplementedError

    def batches(
        self, epoch: int = 0, start: int = 0, seed: int | None = None
    ) -> Generator[Any, None, None]:
        """The batches of a pass from number `start` on."""
        raise NotImplementedError


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
    epochs = -(-total // steps) or 1
    begin = epoch % epochs * steps
    return epoch // epochs, begin, min(begin + steps, total)


def sizes_at_ends(
    epochs: range, steps: int | None, n: int, batch_size: int
) -> Iterator[tuple[int, int]]:
    """Number and rows of the batches of n rows that these epochs read first and last in a pass."""
    total = -(-n // batch_size)
    for begin, end in sorted({place(epoch, steps, total)[1:] for epoch in epochs}):
        for i in (begin, end - 1):
            yield i, min(batch_size, n - i * batch_size)


def warn_if_short(count: int, steps: int | None) -> None:
    if steps is not None and count < steps:
        warnings.warn(
            f"the data ended after {count} of {steps} steps; "
            "give an iterable that yields steps_per_epoch * epochs batches",
            stacklevel=3,
        )


@contextmanager
def located(where: str) -> Iterator[None]:
    """Errors within say where they are: in which data, in which batch."""
    try:
        yield
    except (ValueError, TypeError) as error:
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(f"{where}: {error}") from error


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


def rows_in(y: Any) -> int | None:
    """How many rows targets have, None where that cannot be told."""
    if hasattr(y, "shape"):
        return y.shape[0] if y.shape else None
    return len(y) if isinstance(y, list | tuple) else None
