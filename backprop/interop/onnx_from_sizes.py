"""Sizes that a graph of ONNX reckons with: of an array's shape, for what it reshapes and fills.

The size of the batch is open, and so is what `Input` leaves open; all others are numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backprop.interop.onnx_building import Builder, reads
from backprop.interop.onnx_reading import Node

MOST = 64  # sizes at once


@dataclass(frozen=True)
class Sizes:
    """Whole numbers of which some are the open sizes of an array.

    Attributes
    ----------
    values : tuple of int or (int,)
        A number, or (i,) for the open size of axis i.
    """

    values: tuple[Any, ...]

    def picked(self, places: Sequence[int]) -> Sizes:
        if any(not -len(self.values) <= i < len(self.values) for i in places):
            raise ValueError(f"it picks size {list(places)} of {len(self.values)}")
        return Sizes(tuple(self.values[i] for i in places))

    def as_target(self, shape: Sequence[int | None]) -> list[int]:
        """What an array of this shape is reshaped to: the batch stays, and one size may be open."""
        return [
            0 if i == 0 and v == (0,) else -1 if v == (i,) else number(v)
            for i, v in enumerate(self.values)
        ]


def number(value: Any) -> int:
    if isinstance(value, tuple):
        raise ValueError("it reckons with a size that is open")
    return value


@dataclass(frozen=True)
class Zeros:
    """An array of zeros, such as the first state of a recurrent operator."""


def joined(r: Builder, given: Sequence[Any]) -> Any:
    """Constants, and sizes, one behind the other."""
    if all(isinstance(x, np.ndarray) for x in given):
        if sum(x.size for x in given) > MOST:
            raise r.refused("it joins constants")
        return np.concatenate(given, r.node.get("axis", 0))
    values: list[Any] = []
    for x in given:
        values += x.values if isinstance(x, Sizes) else r.numbers(x, "sizes")
    if len(values) > MOST:
        raise r.refused(f"it joins {len(values)} sizes")
    return Sizes(tuple(values))


def part_of(r: Builder, x: Sizes, *given: Any) -> Sizes:
    starts, ends = (r.numbers(g, "ends") for g in given[:2])
    if len(starts) != 1 or len(ends) != 1 or len(given) > 3:
        raise r.refused("it cuts sizes along other axes than the one they have")
    return Sizes(x.values[starts[0] : ends[0]])


@reads("Shape")
def shape(r: Builder, node: Node, x: Any) -> Sizes:
    x = r.known(x)
    values = [(x.order[i],) if n is None else n for i, n in enumerate(x.shape)]
    return Sizes(tuple(values[node.get("start", 0) : node.get("end", None)]))


@reads("ConstantOfShape")
def filled(r: Builder, node: Node, sizes: Any) -> Zeros:
    value = node.get("value")
    if value is not None and np.any(value):
        raise r.refused("it fills an array with other numbers than zeros")
    return Zeros()


@reads("Expand")
def expanded(r: Builder, node: Node, x: Any, sizes: Any) -> Any:
    if isinstance(x, np.ndarray) and not np.any(x):
        return Zeros()
    raise r.refused("of it zeros are read")
