"""What a run is measured on between its epochs, and after which of them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

from backprop.checks import fraction, integer
from backprop.training.batches import located, unpack_x_y_sample_weight
from backprop.training.data import ArrayData, Data, as_data, is_array_like
from backprop.training.reader import Reader


@dataclass
class Validation:
    """Data that no step trains on.

    Parameters
    ----------
    data : ArrayData or IterableData
    steps : int, optional
        Batches of a validation. Default: all.
    freq : int or list of int, default 1
        After how many epochs, or after which, counted from 1.
    """

    data: Data
    steps: int | None = None
    freq: Any = 1

    def is_due(self, epoch: int) -> bool:
        """Whether an epoch, counted from 0, ends with a validation."""
        if isinstance(self.freq, list | tuple | set):
            return epoch + 1 in self.freq
        return (epoch + 1) % self.freq == 0

    def check(self, epochs: range) -> None:
        """Raise unless `freq` is what it should be, and the data last for all epochs."""
        for n in self.freq if isinstance(self.freq, list | tuple | set) else [self.freq]:
            integer(n, "fit()", "validation_freq")
        rounds = sum(map(self.is_due, epochs))
        if self.data.once and rounds > 1 and self.steps is None:
            raise ValueError(
                "validation_data is an iterator, which can be read once, and is wanted "
                f"{rounds} times: give arrays or a list of batches, or validation_steps"
            )


def read_validation(
    reader: Reader,
    train: Data,
    given: Any,
    share: float,
    batch_size: int | None,
    own_batch_size: int | None,
    steps: int | None,
    freq: Any,
) -> Validation | None:
    """The validation that the arguments of `fit` ask for; a `share` is taken off the data to train
    on."""
    if given is not None:
        with located("validation_data"):
            x, y, w = validation_arrays(given, reader.any_targets)
            size = own_batch_size or (batch_size if y is not None else None)
            told = {"batch_size": size, "size_name": "validation_batch_size"}
            return Validation(as_data(reader, x, y, w, **told), steps, freq)
    share = fraction(share, "fit()", "validation_split")
    if not share:
        warn_of_unused(steps, own_batch_size, freq)
        return None
    if not isinstance(train, ArrayData):
        raise ValueError(
            "validation_split needs arrays: an iterable of batches cannot be split, give "
            "validation_data"
        )
    rest = train.split(share)
    rest.reader = reader
    rest.batch_size = own_batch_size or rest.batch_size
    return Validation(rest, steps, freq)


def validation_arrays(given: Any, without_y: bool = False) -> tuple:
    """`(x, y, sample_weight)`, or an iterable of batches as x, and no others."""
    batches = isinstance(given, list) and any(isinstance(item, tuple) for item in given[:1])
    if isinstance(given, list | tuple) and not batches:
        x, y, w = unpack_x_y_sample_weight(given)
        if y is not None or without_y:
            return x, y, w
    elif without_y or batches or not is_array_like(given):
        return given, None, None
    raise ValueError(
        "expected (x, y), (x, y, sample_weight) or an iterable of such batches; y is missing"
    )


def warn_of_unused(steps: Any, batch_size: Any, freq: Any) -> None:
    """Say that arguments of `fit` for a validation do nothing without one."""
    given = {"steps": steps, "batch_size": batch_size, "freq": None if freq == 1 else freq}
    for name, value in given.items():
        if value is not None:
            warnings.warn(
                f"validation_{name}={value!r} does nothing: give fit() validation_data or "
                "validation_split",
                stacklevel=5,
            )
