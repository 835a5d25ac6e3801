"""The sums of convolutions with a kernel for each channel, place by place.

    correlate          z[n, i, c] = Σ_u x[n, i*s + u*d, c] K[u, c]
    input_gradient     dx[n, i*s + u*d, c] += dz[n, i, c] K[u, c], over all (i, u)
    kernel_gradient    dK[u, c] = Σ_ni x[n, i*s + u*d, c] dz[n, i, c]

    x: (N, sizes ..., C)    K: (size ..., C)    z: (N, counts ..., C)

Matrices of one column would be slow, so this goes through the window place by place, with some
images at a time that stay in a core's cache for all places. The passes are too short for several
threads, which would wait for Python's lock more often than they work.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from backprop.layers.convolution.finish import Finish
from backprop.layers.windows import Windows
from backprop.linalg import rows, rows_of, sum_rows
from backprop.parallel import blocks
from backprop.tuning import DEPTHWISE_BLOCK

Array = np.ndarray


def suits(K: Array, windows: Windows) -> bool:
    """Whether there is a kernel for each channel alone: (size ..., C)."""
    return K.ndim == len(windows.size) + 1


def correlate(x: Array, K: Array, z: Array, windows: Windows, finish: Finish) -> None:
    """z from x and K, written to `z`; `finish` is given each number of it once."""
    weights = along_rows(K, z.shape[-2])
    for images in few(z):
        total = z[images]
        total[...] = 0
        term = np.empty_like(total)
        for pixel, weight in zip(windows.pixels(windows.pad(x[images])), weights, strict=True):
            total += np.multiply(pixel, weight, out=term)
        finish(total)


def input_gradient(dz: Array, K: Array, windows: Windows, sizes: tuple[int, ...]) -> Array:
    """dx from dz and K; `sizes` are those of x."""
    dx = np.empty((len(dz), *sizes, dz.shape[-1]), dz.dtype)
    weights = along_rows(K, dz.shape[-2])
    for images in few(dz):
        d = dz[images]
        padded = np.zeros((len(d), *windows.padded(sizes), d.shape[-1]), d.dtype)
        term = np.empty_like(d)
        for pixel, weight in zip(windows.pixels(padded), weights, strict=True):
            pixel += np.multiply(d, weight, out=term)
        dx[images] = windows.crop(padded, sizes)
    return dx


def kernel_gradient(x: Array, dz: Array, windows: Windows, dK: Array) -> None:
    """dK from x and dz, written to `dK`."""
    width = dz.shape[-2] * dz.shape[-1]  # a row of pixels: the longer, the faster its sums
    total = np.zeros((prod(windows.size), width), dK.dtype)
    for images in few(dz):
        d = dz[images]
        term = np.empty_like(d)
        for place, pixel in enumerate(windows.pixels(windows.pad(x[images]))):
            total[place] += sum_rows(np.multiply(pixel, d, out=term).reshape(-1, width))
    rows(dK)[...] = total.reshape(len(total), dz.shape[-2], -1).sum(1)


def few(z: Array) -> Iterator[slice]:
    """The images, so many at a time that their z has about `DEPTHWISE_BLOCK` numbers."""
    return blocks(slice(0, len(z)), rows_of(z, DEPTHWISE_BLOCK))


def along_rows(K: Array, n: int) -> Array:
    """(size ..., C) → (places, n, C): the same weights for each of the n pixels of a row, so that
    NumPy multiplies a row in one go and not pixel by pixel.
    """
    return np.repeat(rows(K)[:, None], n, axis=1)
