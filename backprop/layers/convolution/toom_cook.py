"""The matrices of F(m, r), by the method of Toom and Cook."""

from __future__ import annotations

from functools import cache, reduce
from math import prod
from typing import NamedTuple

import numpy as np

Array = np.ndarray

POINTS = (0, 1, -1, 1 / 2, -2, 2, -1 / 2)  # and ∞
OUTPUTS = 4  # m at most
SIZES = range(2, 6)  # r: more would take more points, and lose more bits


class Matrices(NamedTuple):
    """z = Aᵀ (G k ⊙ D d), as `winograd` derives it."""

    a: Array  # (values, m)
    d: Array  # (values, pixels of x)
    g: Array  # (values, r)

    @property
    def outputs(self) -> int:
        return self.a.shape[1]


def toom_cook(m: int, r: int) -> Matrices:
    """Those of windows that lie next to each other, in float64.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers.convolution.toom_cook import toom_cook
    >>> a, d, g = toom_cook(2, 3)
    >>> x, k = np.array([1, 0, 2, 3]), np.array([1, 2, 4])
    >>> a.T @ (g @ k * (d @ x)), np.correlate(x, k)
    (array([ 9., 16.]), array([ 9, 16]))
    """
    if r == 1:
        return Matrices(np.eye(m), np.eye(m), np.ones((m, 1)))
    points = np.array(POINTS[: m + r - 2])

    def powers(count: int) -> Array:
        return np.vstack([np.vander(points, count, increasing=True), np.eye(count)[-1]])

    denominators = np.array([[prod(t - s for s in points if s != t)] for t in points] + [[1]])
    d = np.linalg.inv(powers(m + r - 1)).T * denominators
    return Matrices(powers(m), d.round(9) + 0.0, powers(r) / denominators)


@cache
def matrices(m: int, r: int, stride: int, dtype: np.dtype) -> Matrices:
    """Those of windows that lie `stride` apart.

    Every `stride`-th tap sees every `stride`-th pixel, as if the windows lay next to each other.
    The values of all these sums stand below each other, and A adds up. The pixels of a tile go up
    to the next one, though no window may see the last.
    """
    a, d, g = [], [], []
    pixels = (m - 1) * stride + max(r, stride)
    for place in range(min(stride, r)):
        taps = range(place, r, stride)
        one = toom_cook(m, len(taps))
        a.append(one.a)
        d.append(np.zeros((len(one.d), pixels)))
        d[-1][:, place : place + stride * len(one.d) : stride] = one.d
        g.append(np.zeros((len(one.g), r)))
        g[-1][:, taps] = one.g
    return Matrices(*(np.ascontiguousarray(np.vstack(x), dtype) for x in (a, d, g)))


@cache
def kernel_matrix(axes: tuple[tuple[int, int, int], ...], dtype: np.dtype) -> Array:
    """G of all axes at once, each of which is (m, r, stride): (values, places of the window)."""
    return reduce(np.kron, (matrices(*axis, dtype).g for axis in axes))


def outputs_of(count: int, r: int, stride: int) -> int:
    """The m for which `count` windows take the fewest values."""
    return min(range(min(OUTPUTS, count), 0, -1), key=lambda m: values_of(count, r, stride, m))


def values_of(count: int, r: int, stride: int, m: int) -> int:
    """How many values `count` windows take, m at a time."""
    taps = [len(range(place, r, stride)) for place in range(min(stride, r))]
    return -(-count // m) * sum(m + n - 1 for n in taps)
