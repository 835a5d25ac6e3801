"""The sums that convolutions consist of, for any number of axes.

    correlate          z[n, i, k] = Σ_uc x[n, i*s + u*d, c] K[u, c, k]
    input_gradient     dx[n, i*s + u*d, c] += Σ_k dz[n, i, k] K[u, c, k], over all (i, u)
    kernel_gradient    dK[u, c, k] = Σ_ni x[n, i*s + u*d, c] dz[n, i, k]

    x: (N, sizes ..., C)    K: (size ..., C / groups, filters)    z: (N, counts ..., filters)

i is a window, u a place in it, s the stride and d the dilation: one number for each axis. With the
pixels of each window laid out as a row of P, all three are matrix products:

    z = P · K        dP = dz Kᵀ        dK = Pᵀ dz

The functions that end in `_by_channel` have a kernel for each channel, K: (size ..., C), and sum
over u alone. Matrices of one column would be slow, so they go through the window place by place.
"""

from __future__ import annotations

from math import prod

import numpy as np

from backprop.layers.windows import Windows
from backprop.linalg import rows, sum_rows

Array = np.ndarray


def correlate(x: Array, kernel: Array, windows: Windows, groups: int = 1) -> Array:
    """z from x and K."""
    z = patches(x, windows, groups) @ by_group(kernel, groups)
    counts = windows.counts(x.shape[1:-1])
    return z.swapaxes(0, 1).reshape(len(x), *counts, kernel.shape[-1])


def input_gradient(
    dz: Array, kernel: Array, windows: Windows, sizes: tuple[int, ...], groups: int = 1
) -> Array:
    """dx from dz and K; `sizes` are those of x."""
    n, *counts, _ = dz.shape
    *_, c, filters = kernel.shape
    dz = rows_by_group(dz, groups)
    padded = windows.pad(np.zeros((n, *sizes, groups, c), dz.dtype))
    # one place at a time: dP as a whole would be many times as large as dz, and leave the cache
    transposed = kernel.reshape(-1, c, groups, filters // groups).transpose(0, 2, 3, 1)
    for pixel, weights in zip(windows.pixels(padded), transposed, strict=True):
        pixel += (dz @ weights).swapaxes(0, 1).reshape(n, *counts, groups, c)
    return windows.crop(padded, sizes).reshape(n, *sizes, groups * c)


def kernel_gradient(x: Array, dz: Array, windows: Windows, out: Array, groups: int = 1) -> None:
    """dK from x and dz, written to `out`."""
    p = patches(x, windows, groups)
    np.matmul(p.swapaxes(1, 2), rows_by_group(dz, groups), out=by_group(out, groups))


def correlate_by_channel(x: Array, kernel: Array, windows: Windows) -> Array:
    """z from x and K: (size ..., C)."""
    z = np.zeros((len(x), *windows.counts(x.shape[1:-1]), x.shape[-1]), x.dtype)
    weights = along_rows(kernel, z.shape[-2])
    for pixel, weight in zip(windows.pixels(windows.pad(x)), weights, strict=True):
        z += pixel * weight
    return z


def input_gradient_by_channel(
    dz: Array, kernel: Array, windows: Windows, sizes: tuple[int, ...]
) -> Array:
    """dx from dz and K: (size ..., C)."""
    padded = windows.pad(np.zeros((len(dz), *sizes, dz.shape[-1]), dz.dtype))
    weights = along_rows(kernel, dz.shape[-2])
    for pixel, weight in zip(windows.pixels(padded), weights, strict=True):
        pixel += dz * weight
    return windows.crop(padded, sizes)


def kernel_gradient_by_channel(x: Array, dz: Array, windows: Windows, out: Array) -> None:
    """dK: (size ..., C) from x and dz, written to `out`."""
    for pixel, gradient in zip(windows.pixels(windows.pad(x)), rows(out), strict=True):
        gradient[...] = sum_rows(pixel * dz)


def patches(x: Array, windows: Windows, groups: int) -> Array:
    """P by groups: (groups, rows, places * C / groups), one row for each window."""
    c = x.shape[-1] // groups
    p = windows.patches(windows.pad(x.reshape(*x.shape[:-1], groups, c)))
    count = prod(p.shape[: 1 + len(windows.size)])
    return p.reshape(count, groups, prod(windows.size) * c).swapaxes(0, 1)


def by_group(kernel: Array, groups: int) -> Array:
    """(size ..., C / groups, filters) → (groups, places * C / groups, filters / groups): a view."""
    return kernel.reshape(-1, groups, kernel.shape[-1] // groups).swapaxes(0, 1)


def rows_by_group(z: Array, groups: int) -> Array:
    """(..., filters) → (groups, rows, filters / groups)."""
    return z.reshape(-1, groups, z.shape[-1] // groups).swapaxes(0, 1)


def along_rows(kernel: Array, n: int) -> Array:
    """(size ..., C) → (places, n, C): the same weights for each of the n pixels of a row, so that
    NumPy multiplies a row in one go and not pixel by pixel.
    """
    return np.repeat(rows(kernel)[:, None], n, axis=1)
