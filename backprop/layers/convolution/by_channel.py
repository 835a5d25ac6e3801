"""The sums of convolutions with a kernel for each channel, place by place.

    correlate          z[n, i, c] = Σ_u x[n, i*s + u*d, c] K[u, c]
    input_gradient     dx[n, i*s + u*d, c] += dz[n, i, c] K[u, c], over all (i, u)
    kernel_gradient    dK[u, c] = Σ_ni x[n, i*s + u*d, c] dz[n, i, c]

    x: (N, sizes ..., C)    K: (size ..., C)    z: (N, counts ..., C)

Matrices of one column would be slow, so this goes through the window place by place, with some
images at a time that stay in a core's cache for all places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import TypeVar

import numpy as np

from backprop.kernels.switch import kernels
from backprop.kernels.windows import depthwise, depthwise_input, depthwise_kernel
from backprop.layers.convolution.finish import Finish
from backprop.layers.convolution.images import images
from backprop.layers.windows import Windows
from backprop.linalg import rows_of
from backprop.parallel import blocks, share
from backprop.tuning import DEPTHWISE_BLOCK, DEPTHWISE_PRODUCTS

Array = np.ndarray
Result = TypeVar("Result")


def suits(K: Array, windows: Windows) -> bool:
    """Whether there is a kernel for each channel alone: (size ..., C)."""
    return K.ndim == len(windows.size) + 1


def pays(x: Array, K: Array, windows: Windows) -> bool:
    """Whether this is faster than any other way: where its loops are compiled."""
    return suits(K, windows) and x.ndim <= 4 and kernels() == "numba"


def correlate(x: Array, K: Array, z: Array, windows: Windows, finish: Finish) -> None:
    """z from x and K, written to `z`; `finish` is given each number of it once."""
    seen = images(windows, x.shape[1:-1])
    x, K, sums = seen.pixels(x), seen.kernel(K), seen.sums(z)

    def work(part: slice) -> None:
        for at in few(z, part):
            depthwise(x[at], K, sums[at], *seen.place)
            finish(z[at])

    in_parts(work, z, K)


def input_gradient(dz: Array, K: Array, windows: Windows, sizes: tuple[int, ...]) -> Array:
    """dx from dz and K; `sizes` are those of x."""
    dx = np.empty((len(dz), *sizes, dz.shape[-1]), dz.dtype)
    seen = images(windows, sizes)
    dz, K, pixels = seen.sums(dz), seen.kernel(K), seen.pixels(dx)

    def work(part: slice) -> None:
        for at in few(dz, part):
            depthwise_input(dz[at], K, pixels[at], *seen.place)

    in_parts(work, dz, K)
    return dx


def kernel_gradient(x: Array, dz: Array, windows: Windows, dK: Array) -> None:
    """dK from x and dz, written to `dK`."""
    seen = images(windows, x.shape[1:-1])
    x, dz = seen.pixels(x), seen.sums(dz)

    def work(part: slice) -> Array:
        total, term = np.zeros((2, *seen.kernel(dK).shape), dK.dtype)
        for at in few(dz, part):
            depthwise_kernel(x[at], dz[at], term, *seen.place)
            total += term
        return total

    dK[...] = np.sum(in_parts(work, dz, dK), 0).reshape(dK.shape)


def few(z: Array, part: slice) -> Iterator[slice]:
    """The images, so many at a time that their z has about `DEPTHWISE_BLOCK` numbers."""
    return blocks(part, rows_of(z, DEPTHWISE_BLOCK))


def in_parts(work: Callable[[slice], Result], z: Array, K: Array) -> list[Result]:
    """What `work` makes of the images: a part for each thread, if the loops are compiled. NumPy's
    passes are too short, and would wait for Python's lock more often than they work."""
    if kernels() == "numpy":
        return [work(slice(0, len(z)))]
    products = z[:1].size * prod(K.shape[:-1])
    return share(work, len(z), DEPTHWISE_PRODUCTS // max(products, 1) + 1)
