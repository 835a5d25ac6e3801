"""The sums of convolutions as matrix products, of P with the pixels of each window as a row.

    correlate          z = P · K
    input_gradient     dP = dz Kᵀ        dx[n, i*s + u*d] += dP[n, i, u], over all (i, u)
    kernel_gradient    dK = Pᵀ dz

    x: (N, sizes ..., C)    K: (size ..., C / groups, filters)    z: (N, counts ..., filters)
    P: (groups, rows, places * C / groups), where P[g, (n, i), (u, c)] = x[n, i*s + u*d, (g, c)]

P is many times as large as x, so it is made for some images at a time, few enough that it does not
leave the cache between the copy and the product; and each thread takes a part of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import TypeVar

import numpy as np

from backprop.kernels.windows import gather, scatter
from backprop.layers.convolution.finish import Finish
from backprop.layers.convolution.images import images
from backprop.layers.windows import Windows
from backprop.linalg import rows
from backprop.parallel import blocks, share
from backprop.tuning import CONVOLVED_PRODUCTS, NARROW_CHANNELS, P_BLOCK, P_KEPT

Array = np.ndarray
Result = TypeVar("Result")


def correlate(
    x: Array,
    K: Array,
    z: Array,
    windows: Windows,
    finish: Finish,
    groups: int,
    keep: bool,
) -> Array | None:
    """z from x and K, written to `z`; `finish` is given each number of it once. Returns P as
    (N, windows ..., places * C), if it is to be kept and that is worth it."""
    kept = room_for_patches(x, K, z) if keep and groups == 1 else None

    def work(part: Iterator[slice]) -> None:
        for at in part:
            P = patches(x[at], windows, groups, None if kept is None else kept[at])
            np.matmul(P, by_group(K, groups), out=by_group(z[at], groups))
            finish(z[at])

    in_blocks(work, z, K)
    return kept


def input_gradient(
    dz: Array, K: Array, windows: Windows, sizes: tuple[int, ...], groups: int
) -> Array:
    """dx from dz and K; `sizes` are those of x."""
    dx = np.empty((len(dz), *sizes, groups * K.shape[-2]), dz.dtype)

    def work(part: Iterator[slice]) -> None:
        for at in part:
            dP = by_group(dz[at], groups) @ by_group(K, groups).swapaxes(1, 2)
            add_up(dP, dx[at], windows, groups)

    in_blocks(work, dz, K)
    return dx


def kernel_gradient(
    x: Array, dz: Array, windows: Windows, dK: Array, groups: int, kept: Array | None
) -> None:
    """dK from x, or from P where `correlate` kept it, and dz; written to `dK`."""
    by_groups = by_group(dK, groups)

    def work(part: Iterator[slice]) -> Array:
        total = np.zeros(by_groups.shape, dK.dtype)
        for at in part:
            P = patches(x[at], windows, groups) if kept is None else rows(kept[at])[None]
            total += P.swapaxes(1, 2) @ by_group(dz[at], groups)
        return total

    by_groups[...] = np.sum(in_blocks(work, dz, dK), 0)


def in_blocks(work: Callable[[Iterator[slice]], Result], z: Array, K: Array) -> list[Result]:
    """What `work` makes of the images: a part of the batch for each thread, some images at a time.

    A block has `P_BLOCK` numbers of P, a thread at least `CONVOLVED_PRODUCTS` products.
    """
    windows, places = prod(z.shape[1:-1]), prod(K.shape[:-1])
    at_once = max(P_BLOCK // max(windows * places, 1), 1)
    least = CONVOLVED_PRODUCTS // max(windows * K.size, 1) + 1
    return share(lambda part: work(blocks(part, at_once)), len(z), least)


def by_group(z: Array, groups: int) -> Array:
    """(..., filters) → (groups, rows, filters / groups): a view."""
    return z.reshape(-1, groups, z.shape[-1] // groups).swapaxes(0, 1)


def patches(x: Array, windows: Windows, groups: int, out: Array | None = None) -> Array:
    """P; for one group it may be written to `out`, (N, windows ..., places * C)."""
    c = x.shape[-1] // groups
    if groups == 1 and c <= NARROW_CHANNELS:
        return patches_by_place(x, windows)
    counts, places = windows.counts(x.shape[1:-1]), prod(windows.size)
    if groups > 1 or places == 1:  # of one place a view
        P = windows.patches(windows.pad(x.reshape(*x.shape[:-1], groups, c)))
        return P.reshape(len(x) * prod(counts), groups, places * c).swapaxes(0, 1)
    P = np.empty((len(x), *counts, places * c), x.dtype) if out is None else out
    seen = images(windows, x.shape[1:-1])
    gather(seen.pixels(x), seen.windows(P, len(x), c), *seen.place)
    return rows(P)[None]


def add_up(dP: Array, dx: Array, windows: Windows, groups: int) -> None:
    """dx of `patches`, written to `dx`: what comes back to a pixel from all windows that see it."""
    n, *sizes, channels = dx.shape
    if groups == 1:
        seen = images(windows, tuple(sizes))
        scatter(seen.windows(dP, n, channels), seen.pixels(dx), *seen.place)
        return
    dP = dP.reshape(groups, n, *windows.counts(tuple(sizes)), -1, channels // groups)
    padded = np.zeros((n, *windows.padded(tuple(sizes)), groups, dP.shape[-1]), dx.dtype)
    for u, pixel in enumerate(windows.pixels(padded)):
        pixel += np.moveaxis(dP[..., u, :], 0, -2)
    dx[...] = windows.crop(padded, tuple(sizes)).reshape(dx.shape)


def patches_by_place(x: Array, windows: Windows) -> Array:
    """P of an image of few channels, a row of whose window is a few numbers and slow to copy. So
    Pᵀ is written, place by place and channel by channel, in stretches as long as a row of z."""
    seen = windows.patches(windows.pad(x))
    axes = 1 + len(windows.size)
    PT = seen.transpose(*range(axes, seen.ndim), *range(axes)).copy()
    return PT.reshape(1, prod(PT.shape[:axes]), prod(PT.shape[axes:])).swapaxes(1, 2)


def room_for_patches(x: Array, K: Array, z: Array) -> Array | None:
    """Memory for P, if it is worth to keep it for `kernel_gradient`."""
    *size, channels, _ = K.shape
    shape = *z.shape[:-1], prod(size) * channels
    worth = channels > NARROW_CHANNELS and prod(size) > 1 and prod(shape) <= P_KEPT * x.size
    return np.empty(shape, x.dtype) if worth else None
