"""Windows as `kernels.windows` wants them, over images: a sequence is an image of one row."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from backprop.layers.windows import Windows

Array = np.ndarray


class Images(NamedTuple):
    """Where the windows lie, along two axes or more.

    Attributes
    ----------
    sizes, counts, size : tuple of int
        Of x, of z, and of a window.
    place : tuple of int
        The first pixel of the first window, the strides and the dilation, along all axes each.
    """

    sizes: tuple[int, ...]
    counts: tuple[int, ...]
    size: tuple[int, ...]
    place: tuple[int, ...]

    def pixels(self, x: Array) -> Array:
        """(N, sizes ..., C); of an x that is contiguous a view."""
        return np.ascontiguousarray(x).reshape(len(x), *self.sizes, x.shape[-1])

    def sums(self, z: Array) -> Array:
        """(N, counts ..., filters); of a z that is contiguous a view."""
        return np.ascontiguousarray(z).reshape(len(z), *self.counts, z.shape[-1])

    def kernel(self, K: Array) -> Array:
        """(size ..., C); of a K that is contiguous a view."""
        return np.ascontiguousarray(K).reshape(*self.size, K.shape[-1])

    def windows(self, P: Array, n: int, c: int) -> Array:
        """(n, counts ..., size ..., C); of a P that is contiguous a view."""
        return P.reshape(n, *self.counts, *self.size, c)


@lru_cache(maxsize=256)
def images(windows: Windows, sizes: tuple[int, ...]) -> Images:
    """The windows over an x of these sizes."""
    one = (1,) * (2 - len(sizes))
    first = (-before for before, _ in windows.margins(sizes))
    place = (*(0 for _ in one), *first, *one, *windows.strides, *one, *windows.dilation)
    counts = windows.counts(sizes)
    return Images((*one, *sizes), (*one, *counts), (*one, *windows.size), place)
