"""The arrays of a pass through a graph, by their numbers, and what comes back to them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from backprop.layer import Array, Layer
from backprop.masks import cleaned
from backprop.nest import as_tuple

Places = Any  # numbers of arrays: one, or a tuple of them and None for several


def take(values: list, places: Places) -> Any:
    """The arrays at these places, or at the one."""
    if type(places) is int:
        return values[places]
    return tuple([None if place is None else values[place] for place in places])


def put(values: list, places: Places, y: Any) -> None:
    """Put arrays at their places, or the one at its."""
    if type(places) is int:
        values[places] = y
    else:
        for place, array in zip(places, as_tuple(y), strict=True):
            values[place] = array


def take_masks(masks: list, places: Places) -> Any:
    """The masks of some arrays; None where none of them has one."""
    found = take(masks, places)
    return None if type(found) is tuple and all(mask is None for mask in found) else found


def put_masks(masks: list, places: Places, mask: Any) -> None:
    if mask is not None:
        put(masks, places, mask)


def clean(x: Any, mask: Any) -> Any:
    """Arrays without what is not finite at masked steps."""
    if mask is None:
        return x
    if type(x) is tuple:
        return tuple([cleaned(a, m) for a, m in zip(x, mask, strict=True)])
    return cleaned(x, mask)


class Like(NamedTuple):
    """What an array was like whose gradient may never come: kept instead of the array."""

    shape: tuple[int, ...]
    dtype: np.dtype

    def zeros(self) -> Array:
        """Zeros of that shape, that take no memory."""
        return np.broadcast_to(np.zeros((), self.dtype), self.shape)


def like(a: Array) -> Like:
    return Like(a.shape, a.dtype)


def filled(d: Any, alike: Any) -> Any:
    """What came back, and zeros where nothing did."""
    if type(alike) is not tuple:
        return alike.zeros() if d is None else d
    found = (None,) * len(alike) if d is None else d
    pairs = zip(found, alike, strict=True)
    return tuple([a.zeros() if one is None and a is not None else one for one, a in pairs])


def silence(layer: Layer) -> None:
    """No gradient: nothing of what the layer put out has been used."""
    for p in layer.arrays():
        if p.gradient is not None:
            p.gradient[...] = 0


class Gradients:
    """What came back to each array of a pass: the sum of what those that read it passed back.

    What a layer returned may be an array of another's, such as its own dy; so a sum is a new array.
    """

    def __init__(self, size: int):
        self.found: list[Any] = [None] * size
        self.ours: set[int] = set()

    def add(self, places: Places, dx: Any) -> None:
        if type(places) is int:
            self._add(places, dx)
        else:
            for place, d in zip(places, dx, strict=True):
                if d is not None and place is not None:
                    self._add(place, d)

    def _add(self, place: int, d: Array) -> None:
        before = self.found[place]
        if before is None:
            self.found[place] = d
        elif place in self.ours:
            before += d
        else:
            self.found[place] = before + d
            self.ours.add(place)

    def take(self, places: Places) -> Any:
        """What came back, all of it; None where nothing did. It is not kept any longer."""
        found = take(self.found, places)
        if type(places) is int:
            self.found[places] = None
            return found
        put(self.found, places, (None,) * len(places))
        return None if all(d is None for d in found) else found
