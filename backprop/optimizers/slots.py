"""The vectors that an optimizer keeps (moments, averages), aligned with the parameters.

Each name has one flat vector over *all* parameters, trainable or not, in the model's order.
Freezing layers changes which stretches of it are worked on, never where a parameter's part is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from types import EllipsisType
from typing import Any

import numpy as np

from backprop.parallel import blocks
from backprop.parameters import Parameter
from backprop.tuning import UPDATE_BLOCK
from backprop.vector import Segment

Array = np.ndarray

AVERAGE, ACCUMULATOR = "average", "gradient_accumulator"  # slots of the base class


class Variable:
    """A plain array that is optimized like a `Parameter`: for those who keep their own arrays."""

    name = path = ""
    constraint = None
    trainable = True

    def __init__(self, value: Array):
        if not isinstance(value, np.ndarray) or value.dtype not in (np.float32, np.float64):
            kind = f"dtype {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
            raise TypeError(
                "an optimizer changes arrays in place: it expects NumPy arrays of dtype float32 or "
                f"float64, or a ParameterVector, and got {kind}"
            )
        if not value.flags.writeable:
            raise ValueError("an optimizer changes arrays in place, and got one that is read-only")
        self.value = value

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def size(self) -> int:
        return self.value.size


Entry = Parameter | Variable


class Stretch:
    """The values that one call of `update` works on, and what belongs to them.

    Attributes
    ----------
    values, gradients : ndarray
        Usually a whole model's vectors; a single array of any shape where arrays came in a list.
    entries : list of Parameter or Variable
        Whose values they are.
    parts : list
        For each entry the index of its part in `values`.
    blocks : list of Block
        What `update` is called on, one after the other or side by side.
    """

    def __init__(
        self,
        values: Array,
        gradients: Array | None,
        entries: Sequence[Entry],
        parts: Sequence[slice | EllipsisType],
        slots: Slots,
    ):
        self.values = values
        self.gradients = gradients
        self.entries = entries
        self.parts = parts
        self.constrained: list[Entry] = []
        self.blocks: list[Block] = []
        dtype, first = slots.places[id(entries[0])]
        here = slice(first.start, first.start + values.size)
        self.slots = {
            name: vectors[dtype][here].reshape(values.shape)
            for name, vectors in slots.vectors.items()
        }

    def cut(
        self, names: Sequence[str], decayed: Sequence[slice | EllipsisType], scratch: int
    ) -> None:
        """Make the blocks: with which slots, which parts are under weight decay, and how many
        arrays for intermediate results."""
        w = self.values
        places: list[Any] = [...]
        if w.ndim == 1 and w.size > UPDATE_BLOCK:
            places = list(blocks(slice(0, w.size), UPDATE_BLOCK))
        ts = [np.empty(w[places[0]].shape, w.dtype) for _ in range(scratch)]
        self.blocks = [Block(self, here, names, decayed, ts) for here in places]


class Block:
    """A part of a stretch that is small enough to stay in a core's cache through an update.

    Attributes
    ----------
    here : slice or ...
        Its place in the stretch.
    values : ndarray
    work : list of ndarray
        What `update` is given besides values and gradient: the slots, then scratch.
    average : ndarray or None
        The moving average, where there is one.
    decayed : list
        Indices of what is under weight decay.
    """

    def __init__(
        self,
        stretch: Stretch,
        here: Any,
        names: Sequence[str],
        decayed: Sequence[slice | EllipsisType],
        scratch: list[Array],
    ):
        self.here = here
        self.values = stretch.values[here]
        slots = [stretch.slots[name][here] for name in names]
        cut = ... if here is ... else slice(0, self.values.size)
        self.work = [*slots, *(t[cut] for t in scratch)]
        average = stretch.slots.get(AVERAGE)
        self.average = None if average is None else average[here]
        if here is ...:
            self.decayed = list(decayed)
        else:
            self.decayed = [d for d in (within(part, here) for part in decayed) if d is not None]


def within(part: Any, here: slice) -> Any:
    """The index, within a block, of what it has of a part; None where that is nothing."""
    if part is ...:
        return part
    a, b = max(part.start, here.start) - here.start, min(part.stop, here.stop) - here.start
    return slice(a, b) if a < b else None


class Numbers:
    """A few numbers as arrays without axes, in both dtypes: as factors NumPy takes such arrays in
    half the time that it takes to convert Python's floats."""

    def __init__(self, count: int):
        self._single = [np.zeros((), np.float32) for _ in range(count)]
        self._double = [np.zeros((), np.float64) for _ in range(count)]
        self._numbers = [0.0] * count

    def set(self, *numbers: float) -> None:
        for i, number in enumerate(numbers):
            if number != self._numbers[i]:
                self._numbers[i] = self._single[i][()] = self._double[i][()] = number

    def of(self, dtype: np.dtype) -> list[Array]:
        return self._single if dtype.char == "f" else self._double


class Slots:
    """One flat vector for each name, aligned with a list of parameters.

    Parameters
    ----------
    entries : list of Parameter or Variable
    initial : mapping of str to float
        The names, and what their vectors are filled with.
    """

    def __init__(self, entries: Iterable[Entry], initial: Mapping[str, float]):
        self.entries = list(entries)
        self.places: dict[int, tuple[np.dtype, slice]] = {}
        sizes: dict[np.dtype, int] = {}
        for entry in self.entries:
            dtype = entry.value.dtype
            start = sizes.get(dtype, 0)
            sizes[dtype] = start + entry.size
            self.places[id(entry)] = dtype, slice(start, sizes[dtype])
        self.vectors = {
            name: {dtype: np.full(size, fill, dtype) for dtype, size in sizes.items()}
            for name, fill in initial.items()
        }

    def of(self, name: str, entry: Entry) -> Array:
        """The part of one parameter, in its shape: a view."""
        dtype, here = self.places[id(entry)]
        return self.vectors[name][dtype][here].reshape(entry.shape)

    def whole(self, name: str) -> Array:
        """A copy of one vector, in the order of the parameters."""
        parts = [self.of(name, entry).ravel() for entry in self.entries]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def load(self, name: str, vector: Array) -> None:
        """Put back what `whole` returned."""
        offset = 0
        for entry in self.entries:
            part = self.of(name, entry)
            part[...] = vector[offset : offset + entry.size].reshape(entry.shape)
            offset += entry.size

    def clear(self, name: str) -> None:
        """Fill a vector, if there is one, with zeros."""
        for vector in self.vectors.get(name, {}).values():
            vector[...] = 0

    def take_over(self, other: Slots) -> None:
        """Copy the parts of the parameters that both know."""
        for entry in self.entries:
            if id(entry) in other.places:
                for name in self.vectors.keys() & other.vectors.keys():
                    self.of(name, entry)[...] = other.of(name, entry)

    def single(self, entry: Entry) -> Stretch:
        return Stretch(entry.value, None, [entry], [...], self)

    def stretch(self, segment: Segment) -> Stretch:
        """A model's stretch of trainable values."""
        ends = np.cumsum([0, *(p.size for p in segment.parameters)]).tolist()
        parts = [slice(a, b) for a, b in pairwise(ends)]
        return Stretch(segment.values, segment.gradients, segment.parameters, parts, self)
