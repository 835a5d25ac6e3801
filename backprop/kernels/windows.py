"""Windows over images side by side, the way back, and sums over them for each channel alone.

    x: (N, sizes ..., C)    P: (N, counts ..., size ..., C), of each window i the pixels u

    P[n, i, u] = x[n, first + i*stride + u*dilation]

A pixel outside of x is 0. Where the windows lie is told by the last arguments of all kernels here:
`first` for each axis, then `stride` for each, then `dilation` for each. The loops are for two axes.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np
from numpy.lib.stride_tricks import as_strided

from backprop.kernels.convolution import meeting
from backprop.kernels.switch import kernel
from backprop.linalg import rows, sum_rows

Array = np.ndarray
Sizes = tuple[int, ...]


@kernel
def gather(x: Array, P: Array, *place: int) -> None:
    """P ← the windows of x"""
    axes = len(place) // 3
    P[...] = windows(padded(x, P.shape[1:-1], place), P.shape, place[axes:])


@kernel
def scatter(P: Array, x: Array, *place: int) -> None:
    """x[n, first + i*stride + u*dilation] ← Σ_iu P[n, i, u], the transpose of `gather`

    A pixel that no window sees is 0."""
    axes = len(place) // 3
    around = np.zeros((len(x), *covered(P.shape[1:-1], place), x.shape[-1]), x.dtype)
    pixels = windows(around, P.shape, place[axes:])
    for u in np.ndindex(P.shape[1 + axes : -1]):
        pixel = pixels[(slice(None),) * (1 + axes) + u]
        pixel += P[(slice(None),) * (1 + axes) + u]
    inside, there = within(x, place[:axes], around.shape[1:-1])
    x[...] = 0
    x[:, *there] = around[:, *inside]


@kernel
def depthwise(x: Array, K: Array, z: Array, *place: int) -> None:
    """z[n, i, c] ← Σ_u x[n, first + i*stride + u*dilation, c] K[u, c]

    x: (N, sizes ..., C)    K: (size ..., C)    z: (N, counts ..., C)
    """
    term = np.empty_like(z)
    z[...] = 0
    for pixel, weight in zip(places(x, K, z, place), along_rows(K, z.shape[-2]), strict=True):
        z += np.multiply(pixel, weight, out=term)


@kernel
def depthwise_kernel(x: Array, dz: Array, dK: Array, *place: int) -> None:
    """dK[u, c] ← Σ_ni x[n, first + i*stride + u*dilation, c] dz[n, i, c]"""
    *count, columns, channels = dz.shape
    by_row = prod(count), columns * channels  # the longer a row, the faster are sums of rows
    term = np.empty_like(dz)
    for pixel, total in zip(places(x, dK, dz, place), rows(dK), strict=True):
        np.multiply(pixel, dz, out=term)
        total[...] = sum_rows(term.reshape(by_row)).reshape(columns, channels).sum(0)


@kernel
def depthwise_input(dz: Array, K: Array, dx: Array, *place: int) -> None:
    """dx[n, first + i*stride + u*dilation, c] ← Σ_iu dz[n, i, c] K[u, c]

    A pixel that no window sees is 0."""
    axes = len(place) // 3
    around = np.zeros(
        (len(dx), *covered((*dz.shape[1:-1], *K.shape[:-1]), place), dx.shape[-1]), dx.dtype
    )
    term = np.empty_like(dz)
    for pixel, weight in zip(
        pixels_of(around, K, dz, place), along_rows(K, dz.shape[-2]), strict=True
    ):
        pixel += np.multiply(dz, weight, out=term)
    inside, there = within(dx, place[:axes], around.shape[1:-1])
    dx[...] = 0
    dx[:, *there] = around[:, *inside]


def covered(counts_and_size: Sizes, place: Sizes) -> Sizes:
    """Pixels along each axis from the first that a window sees to the last."""
    axes = len(place) // 3
    each = zip(
        counts_and_size[:axes],
        counts_and_size[axes:],
        place[axes : 2 * axes],
        place[2 * axes :],
        strict=True,
    )
    return tuple(
        max((n - 1) * stride + (size - 1) * apart + 1, 0) for n, size, stride, apart in each
    )


def padded(x: Array, counts_and_size: Sizes, place: Sizes) -> Array:
    """x from the first pixel that a window sees on, with zeros where it has none."""
    first, sizes = place[: len(place) // 3], covered(counts_and_size, place)
    if not any(first) and all(n <= size for n, size in zip(sizes, x.shape[1:-1], strict=True)):
        return x
    around = np.zeros((len(x), *sizes, x.shape[-1]), x.dtype)
    inside, there = within(x, first, sizes)
    around[:, *inside] = x[:, *there]
    return around


def within(x: Array, first: Sizes, sizes: Sizes) -> tuple[list[slice], list[slice]]:
    """Of `sizes` pixels, the first of which are `first`, those in x; and where they are there."""
    each = zip(x.shape[1:-1], first, sizes, strict=True)
    both = [meeting(n, at, 1, size) for n, at, size in each]
    return [inside for inside, _ in both], [there for _, there in both]


def windows(x: Array, shape: Sizes, apart: Sizes) -> Array:
    """Those of an x that holds all of them, so many strides and dilations apart: a view."""
    image, *pixel, number = x.strides
    steps = [step * n for step, n in zip(pixel * 2, apart, strict=True)]
    return as_strided(x, shape, (image, *steps, number))


def pixels_of(x: Array, K: Array, z: Array, place: Sizes) -> Iterator[Array]:
    """For each place in a window of an x that holds all of them: that pixel of every window, a
    view."""
    axes = len(place) // 3
    seen = windows(x, (*z.shape[:-1], *K.shape), place[axes:])
    return (seen[(slice(None),) * (1 + axes) + u] for u in np.ndindex(K.shape[:-1]))


def places(x: Array, K: Array, z: Array, place: Sizes) -> Iterator[Array]:
    """For each place in a window of x: that pixel of every window."""
    return pixels_of(padded(x, (*z.shape[1:-1], *K.shape[:-1]), place), K, z, place)


def along_rows(K: Array, n: int) -> Array:
    """(size ..., C) → (places, n, C): the same weights for each of the n pixels of a row, so that
    NumPy multiplies a row in one go and not pixel by pixel.
    """
    return np.repeat(rows(K)[:, None], n, axis=1)
