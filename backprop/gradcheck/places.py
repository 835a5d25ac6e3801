"""Where a subject is looked at, and what was seen there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backprop.gradcheck.entry import place_of
from backprop.layer import Array
from backprop.nest import several
from backprop.parameters import Parameter

Point = list[Array]  # a value for each slot
Direction = Sequence[Array | None]  # one for each slot; None stands still


@dataclass(frozen=True)
class Slot:
    """What has a gradient: a parameter or the k-th input, and which of its entries stand for a
    mask."""

    name: str
    shape: tuple[int, ...]
    parameter: Parameter | None = None
    still: Array | None = None
    k: int = 0

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Place:
    """point + h · direction. Not added up: parameters may be large."""

    point: Sequence[Array]
    direction: Direction
    h: float


@dataclass(frozen=True)
class Run:
    """One forward pass: y as a vector, its shape or that of each output, and what backward
    needs."""

    y: Array
    shape: tuple[Any, ...]
    cache: Any
    penalised: bool
    place: Place

    def where(self, j: int) -> str:
        """Where the j-th number of y stands, as a message says it."""
        if not several(self.shape):
            return str(place_of(j, self.shape) or "")
        starts = np.cumsum([0, *map(math.prod, self.shape)])
        k = int(np.searchsorted(starts, j, "right")) - 1
        return f"{k} {place_of(j - starts[k], self.shape[k])}"

    def upstream(self, v: Array, dtype: np.dtype) -> Any:
        """v as the dy that backward takes: with several outputs one for each."""
        v = v[: v.size - self.penalised].astype(dtype)
        if not several(self.shape):
            return v.reshape(self.shape)
        parts = np.split(v, np.cumsum([*map(math.prod, self.shape)])[:-1])
        return tuple([p.reshape(shape) for p, shape in zip(parts, self.shape, strict=True)])


def paired(gradients: Sequence[Array], direction: Direction) -> float:
    """<gradients, u>."""
    return sum(
        float((g * u).sum()) for g, u in zip(gradients, direction, strict=True) if u is not None
    )
