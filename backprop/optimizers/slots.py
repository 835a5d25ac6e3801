"""The vectors that an optimizer keeps (moments, averages), aligned with the parameters.

Each name has one flat vector over *all* parameters, trainable or not, in the model's order.
Freezing layers changes which stretches of it are worked on, never where a parameter's part is.

An elementwise optimizer works on whole stretches. One that looks at each parameter, at its norm or
its rows, works on stretches of a single parameter, in its shape; then a slot may have another shape
than the parameter, or some parameters none.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from types import EllipsisType
from typing import Any

import numpy as np

from backprop.kernels.switch import SWITCH, kernels
from backprop.kernels.updates import after, before, shrink
from backprop.parallel import blocks
from backprop.parameters import Parameter
from backprop.tuning import UPDATE_BLOCK
from backprop.variable import plain
from backprop.vector import Segment

Array = np.ndarray

AVERAGE, ACCUMULATOR = "average", "gradient_accumulator"  # slots of the base class


class Variable:
    """An array that is optimized like a `Parameter`: for those who keep their own arrays.

    Attributes
    ----------
    given : ndarray
        What the user has, and knows the array by: `value`, or a `backprop.Variable` of it.
    value : ndarray
    """

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
        self.given = value
        self.value = plain(value)
        self.name, self.full_path = getattr(value, "name", ""), getattr(value, "path", "")

    @property
    def constraint(self) -> Any:
        return getattr(self.given, "constraint", None)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def size(self) -> int:
        return self.value.size


Entry = Parameter | Variable


def given(entry: Entry) -> Array:
    """The array that a user has of an entry."""
    return entry.value if isinstance(entry, Parameter) else entry.given


Shape = tuple[int, ...]
Place = tuple[np.dtype, slice, Shape]


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
    slots : dict of ndarray
        What belongs to `values` of each vector, by its name.
    blocks : list of Block
        What `update` is called on, one after the other.
    """

    def __init__(
        self,
        values: Array,
        gradients: Array | None,
        entries: Sequence[Entry],
        parts: Sequence[slice | EllipsisType],
        slots: dict[str, Array],
    ):
        self.values = values
        self.gradients = gradients
        self.entries = entries
        self.parts = parts
        self.constrained: list[Entry] = []
        self.blocks: list[Block] = []
        self.slots = slots

    def cut(
        self,
        names: Sequence[str],
        decayed: Sequence[slice | EllipsisType],
        spare: Callable[[Array], list[Array]],
        whole: bool = False,
        joins: bool = False,
    ) -> None:
        """Make the blocks: with which slots, which parts are under weight decay, what makes arrays
        for intermediate results of the shape of another, whether it is to be a single block, and
        whether `update` takes `around`."""
        w = self.values
        places: list[Any] = [...]
        one_pass = joins and kernels() == "numba"  # which reads nothing twice
        if w.ndim == 1 and w.size > UPDATE_BLOCK and not (whole or one_pass):
            places = list(blocks(slice(0, w.size), UPDATE_BLOCK))
        ts = spare(w[places[0]])
        self.blocks = [Block(self, here, names, decayed, ts, joins) for here in places]


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
    joins : bool
        Whether `update` takes `around`: does itself, in the same pass, what is done around it.
    """

    def __init__(
        self,
        stretch: Stretch,
        here: Any,
        names: Sequence[str],
        decayed: Sequence[slice | EllipsisType],
        scratch: list[Array],
        joins: bool,
    ):
        self.here = here
        self.joins = joins
        # kernels take vectors
        self.flat = joins and stretch.values.flags.c_contiguous and stretch.values.ndim != 1
        self.is_whole = here is ... and not self.flat
        self.values = self.part_of(stretch.values)
        slots = [self.part_of(stretch.slots[name]) for name in names if name in stretch.slots]
        if here is not ...:  # all blocks have one scratch; the last one is shorter
            self.work = [*slots, *(t[: self.values.size] for t in scratch)]
        else:
            self.work = [*slots, *map(self.part_of, scratch)]
        average = stretch.slots.get(AVERAGE)
        self.average = None if average is None else self.part_of(average)
        if here is ...:
            self.decayed = list(decayed)
        else:
            self.decayed = [d for d in (within(part, here) for part in decayed) if d is not None]
        self.decays_alike = self.decayed == [...]

    def part_of(self, x: Array) -> Array:
        """What belongs to the block of an array that is aligned with the stretch."""
        if self.flat:
            x = x.reshape(-1)
        return x if self.here is ... else x[self.here]

    def change(
        self,
        optimizer: Any,
        g: Array,
        lr: float,
        rate: float,
        factor: float,
        limit: float,
        ema: float,
    ) -> None:
        """An update from a whole stretch's gradient, and what is done around it: see
        `backprop.kernels.updates`."""
        w, work = self.values, self.work
        if not self.is_whole:
            g = self.part_of(g)
        if rate and not (self.joins and self.decays_alike):
            optimizer._decay(self, rate)
            rate = 0.0
        if self.joins:
            around = (factor, limit, rate, self.average, ema)
            optimizer.update(w, g, lr, *work, around=around)
        else:
            optimizer.update(w, before(w, g, work[-1], factor, limit, rate), lr, *work)
            self.move_average(ema)

    def decay(self, rate: float) -> None:
        """w ← w - rate w, where it is not excluded."""
        for part in self.decayed:
            shrink(self.values[part], self.work[-1][part], rate)

    def move_average(self, ema: float) -> None:
        after(self.values, self.work[-1], self.average, ema)


def within(part: Any, here: slice) -> Any:
    """The index, within a block, of what it has of a part; None where that is nothing."""
    if part is ...:
        return part
    a, b = max(part.start, here.start) - here.start, min(part.stop, here.stop) - here.start
    return slice(a, b) if a < b else None


def takes_around(update: Callable) -> bool:
    """Whether an `update` clips, decays and averages in its own pass."""
    return "around" in inspect.signature(update).parameters


class Numbers:
    """A few numbers as kernels take them: as they are where those are compiled, else as arrays
    without axes of either dtype. As factors NumPy takes such arrays in half the time that it takes
    to convert Python's floats."""

    def __init__(self, count: int):
        self._numbers = (0.0,) * count
        # arrays of either dtype, and what they hold
        self._arrays = {c: [np.zeros((), c) for _ in range(count)] for c in ("f", "d")}
        self._held = dict.fromkeys(self._arrays, self._numbers)

    def set(self, *numbers: float) -> None:
        if numbers != self._numbers:
            self._numbers = numbers

    def of(self, dtype: np.dtype) -> Any:
        if SWITCH.runs == "numba":
            return self._numbers
        arrays, held = self._arrays[dtype.char], self._held[dtype.char]
        if held is not self._numbers:
            for i, number in enumerate(self._numbers):
                if number != held[i]:
                    arrays[i][()] = number
            self._held[dtype.char] = self._numbers
        return arrays


class Slots:
    """One flat vector for each name, aligned with a list of parameters.

    Parameters
    ----------
    entries : list of Parameter or Variable
    initial : mapping of str to float
        The names, and what their vectors are filled with.
    shape : function
        The shape of what a name has for a parameter; None where it has nothing.
    """

    def __init__(
        self,
        entries: Iterable[Entry],
        initial: Mapping[str, float],
        shape: Callable[[str, Entry], Shape | None],
    ):
        self.entries = list(entries)
        self.ids = {id(entry) for entry in self.entries}
        self.places: dict[str, dict[int, Place]] = {}
        self.vectors: dict[str, dict[np.dtype, Array]] = {}
        self._spare: dict[tuple[np.dtype, int], Array] = {}
        for name, fill in initial.items():
            sizes: dict[np.dtype, int] = {}
            self.places[name] = places = {}
            for entry in self.entries:
                wanted = shape(name, entry)
                if wanted is not None:
                    dtype = entry.value.dtype
                    start = sizes.get(dtype, 0)
                    sizes[dtype] = start + math.prod(wanted)
                    places[id(entry)] = dtype, slice(start, sizes[dtype]), wanted
            self.vectors[name] = {d: np.full(size, fill, d) for d, size in sizes.items()}

    def knows(self, entry: Entry) -> bool:
        return id(entry) in self.ids

    def has(self, name: str, entry: Entry) -> bool:
        return id(entry) in self.places[name]

    def of(self, name: str, entry: Entry) -> Array:
        """The part of one parameter, in the shape that it has: a view."""
        dtype, here, shape = self.places[name][id(entry)]
        return self.vectors[name][dtype][here].reshape(shape)

    def parts(self, name: str) -> list[Array]:
        """All parts of a vector, in the order of the parameters."""
        return [self.of(name, entry) for entry in self.entries if self.has(name, entry)]

    def whole(self, name: str) -> Array:
        """A copy of one vector, in the order of the parameters."""
        parts = [part.ravel() for part in self.parts(name)]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def load(self, name: str, vector: Array) -> None:
        """Put back what `whole` returned."""
        offset = 0
        for part in self.parts(name):
            part[...] = vector[offset : offset + part.size].reshape(part.shape)
            offset += part.size

    def clear(self, name: str) -> None:
        """Fill a vector, if there is one, with zeros."""
        for vector in self.vectors.get(name, {}).values():
            vector[...] = 0

    def take_over(self, other: Slots) -> None:
        """Copy the parts of the parameters that both know."""
        for name in self.vectors.keys() & other.vectors.keys():
            for entry in self.entries:
                if self.has(name, entry) and other.has(name, entry):
                    self.of(name, entry)[...] = other.of(name, entry)

    def spare(self, like: Array, count: int) -> list[Array]:
        """Arrays of the shape of another for what is forgotten after an update: all are given the
        same memory."""
        return [self._memory(like.dtype, i, like.size).reshape(like.shape) for i in range(count)]

    def _memory(self, dtype: np.dtype, i: int, size: int) -> Array:
        found = self._spare.get((dtype, i))
        if found is None or found.size < size:
            found = self._spare[dtype, i] = np.empty(size, dtype)
        return found[:size]

    def single(self, entry: Entry, gradient: Array | None = None) -> Stretch:
        """One parameter alone, in its shape."""
        slots = {name: self.of(name, entry) for name in self.vectors if self.has(name, entry)}
        return Stretch(entry.value, gradient, [entry], [...], slots)

    def stretch(self, segment: Segment) -> Stretch:
        """A model's stretch of trainable values; of vectors that have the parameters' shapes."""
        ends = np.cumsum([0, *(p.size for p in segment.parameters)]).tolist()
        parts = [slice(a, b) for a, b in pairwise(ends)]
        slots = {}
        for name, vectors in self.vectors.items():
            dtype, first, _ = self.places[name][id(segment.parameters[0])]
            slots[name] = vectors[dtype][first.start : first.start + segment.size]
        return Stretch(segment.values, segment.gradients, segment.parameters, parts, slots)
