"""The sums that convolutions consist of, for any number of axes.

    correlate          z[n, i, k] = Σ_uc x[n, i*s + u*d, c] K[u, c, k]
    input_gradient     dx[n, i*s + u*d, c] += Σ_k dz[n, i, k] K[u, c, k], over all (i, u)
    kernel_gradient    dK[u, c, k] = Σ_ni x[n, i*s + u*d, c] dz[n, i, k]

    x: (N, sizes ..., C)    K: (size ..., C / groups, filters)    z: (N, counts ..., filters)

i is a window, u a place in it, s the stride and d the dilation: one number for each axis. With the
pixels of each window laid out as a row of P, all three are matrix products:

    z = P · K        dP = dz Kᵀ        dK = Pᵀ dz

P is many times as large as x, so it is made for some images at a time, few enough that it does not
leave the cache between the copy and the product; and each thread takes a part of the batch. Where
the stride is 1, dx is itself a correlation, of dz with the kernel turned round.

Small windows need half of these products or fewer, the more axes the fewer: in float32 they go to
`winograd`.

The functions that end in `_by_channel` have a kernel for each channel, K: (size ..., C), and sum
over u alone. Matrices of one column would be slow, so they go through the window place by place,
with some images at a time that stay in a core's cache for all places. The passes are too short for
several threads, which would wait for Python's lock more often than they work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod

import numpy as np

from backprop.layers.convolution import winograd
from backprop.layers.windows import Windows
from backprop.linalg import rows, rows_of, sum_rows
from backprop.parallel import blocks, share
from backprop.tuning import (
    CONVOLVED_PRODUCTS,
    DEPTHWISE_BLOCK,
    NARROW_CHANNELS,
    P_BLOCK,
    P_KEPT,
    WINOGRAD_CHANNELS,
)

Array = np.ndarray


def correlate(
    x: Array,
    kernel: Array,
    windows: Windows,
    groups: int = 1,
    finish: Callable[[Array], None] | None = None,
    kept: Array | None = None,
) -> Array:
    """z from x and K. What `finish` may do is said in `winograd.correlate`.

    P is written to `kept`, where `room_to_keep` gave some.
    """
    sizes = x.shape[1:-1]
    z = np.empty((len(x), *windows.counts(sizes), kernel.shape[-1]), x.dtype)
    if suits_winograd(x, kernel, windows, groups):
        winograd.correlate(x, kernel, z, windows, finish)
        return z

    def work(part: slice) -> None:
        for images in images_of(part, z, kernel):
            out = None if kept is None else kept[images]
            p = patches(x[images], windows, groups, out)
            np.matmul(p, by_group(kernel, groups), out=rows_by_group(z[images], groups))
            if finish is not None:
                finish(z[images])

    share(work, len(z), worth_a_thread(z, kernel))
    return z


def room_to_keep(x: Array, kernel: Array, windows: Windows, groups: int) -> Array | None:
    """Memory for P, (N, windows ..., places * C), if it is worth to keep it for `gradients`."""
    shape = len(x), *windows.counts(x.shape[1:-1]), prod(kernel.shape[:-1])
    suits = groups == 1 and x.shape[-1] > NARROW_CHANNELS and prod(windows.size) > 1
    if not suits or prod(shape) > P_KEPT * x.size or suits_winograd(x, kernel, windows, groups):
        return None
    return np.empty(shape, x.dtype)


def gradients(
    x: Array,
    dz: Array,
    kernel: Array,
    windows: Windows,
    out: Array,
    groups: int,
    dx: bool,
    kept: Array | None = None,
) -> Array | None:
    """dK, written to `out`, and dx if it is wanted; `kept` is what `correlate` wrote there."""
    if suits_winograd(x, kernel, windows, groups):
        found = np.empty_like(x) if dx else None
        winograd.gradients(x, dz, kernel, out, found, windows)
        return found
    kernel_gradient(x, dz, windows, out, groups, kept)
    return input_gradient(dz, kernel, windows, x.shape[1:-1], groups) if dx else None


def input_gradient(
    dz: Array, kernel: Array, windows: Windows, sizes: tuple[int, ...], groups: int = 1
) -> Array:
    """dx from dz and K; `sizes` are those of x."""
    if max(windows.strides) == 1:
        return correlate_turned(dz, kernel, windows, sizes, groups)
    *_, c, filters = kernel.shape
    dx = np.empty((len(dz), *sizes, groups * c), dz.dtype)
    transposed = kernel.reshape(-1, c, groups, filters // groups).transpose(2, 3, 0, 1)
    transposed = transposed.reshape(groups, filters // groups, -1)  # (groups, filters, places * C)

    def work(part: slice) -> None:
        for images in images_of(part, dz, kernel):
            d = dz[images]
            n, *counts, _ = d.shape
            dp = (rows_by_group(d, groups) @ transposed).reshape(groups, n, *counts, -1, c)
            padded = np.zeros((n, *windows.padded(sizes), groups, c), d.dtype)
            for place, pixel in enumerate(windows.pixels(padded)):
                pixel += np.moveaxis(dp[..., place, :], 0, -2)
            dx[images] = windows.crop(padded, sizes).reshape(n, *sizes, groups * c)

    share(work, len(dz), worth_a_thread(dz, kernel))
    return dx


def correlate_turned(
    dz: Array, kernel: Array, windows: Windows, sizes: tuple[int, ...], groups: int
) -> Array:
    """dx[p] = Σ_u dz[p - u*d] · K[u]ᵀ, which is `input_gradient` for a stride of 1."""
    *size, c, filters = kernel.shape
    turned = np.flip(kernel, tuple(range(len(size)))).reshape(*size, c, groups, filters // groups)
    turned = np.moveaxis(turned, -1, -3).swapaxes(-1, -2).reshape(*size, filters // groups, -1)
    margins = [(0, 0)]
    for n, count, span, (first, _) in zip(
        sizes, dz.shape[1:-1], windows.spans, windows.margins(sizes), strict=True
    ):
        margins.append((span - 1 - first, n + first - count))
    dz = np.pad(dz, [*margins, (0, 0)])
    return correlate(
        dz, turned, Windows(tuple(size), windows.strides, "valid", windows.dilation), groups
    )


def kernel_gradient(
    x: Array, dz: Array, windows: Windows, out: Array, groups: int = 1, kept: Array | None = None
) -> None:
    """dK from x, or P where it was kept, and dz; written to `out`."""
    shape = by_group(out, groups).shape

    def work(part: slice) -> Array:
        total = np.zeros(shape, out.dtype)
        for images in images_of(part, dz, out):
            p = patches(x[images], windows, groups) if kept is None else rows(kept[images])[None]
            total += p.swapaxes(1, 2) @ rows_by_group(dz[images], groups)
        return total

    by_group(out, groups)[...] = np.sum(share(work, len(dz), worth_a_thread(dz, out)), 0)


def suits_winograd(x: Array, kernel: Array, windows: Windows, groups: int = 1) -> bool:
    """Whether these are windows of float32, of enough channels, that `winograd` takes."""
    channels = kernel.shape[len(windows.size) :]
    return (
        x.dtype == kernel.dtype == np.float32
        and groups == 1
        and (len(channels) == 1 or min(channels) >= WINOGRAD_CHANNELS)
        and winograd.suits(x, kernel, windows)
    )


def images_of(part: slice, z: Array, kernel: Array) -> Iterator[slice]:
    """The images of a part of the batch, as many at a time as make `P_BLOCK` numbers of P."""
    numbers = prod(z.shape[1:-1]) * prod(kernel.shape[:-1])
    return blocks(part, max(P_BLOCK // max(numbers, 1), 1))


def few(z: Array) -> Iterator[slice]:
    """The images, so many at a time that their z has about `DEPTHWISE_BLOCK` numbers."""
    return blocks(slice(0, len(z)), rows_of(z, DEPTHWISE_BLOCK))


def worth_a_thread(z: Array, kernel: Array) -> int:
    """So many images make `CONVOLVED_PRODUCTS` products."""
    return CONVOLVED_PRODUCTS // max(prod(z.shape[1:-1]) * kernel.size, 1) + 1


def correlate_by_channel(
    x: Array, kernel: Array, windows: Windows, finish: Callable[[Array], None] | None = None
) -> Array:
    """z from x and K: (size ..., C)."""
    sizes = x.shape[1:-1]
    z = np.empty((len(x), *windows.counts(sizes), x.shape[-1]), x.dtype)
    if suits_winograd(x, kernel, windows):
        winograd.correlate(x, kernel, z, windows, finish)
        return z
    weights = along_rows(kernel, z.shape[-2])
    for images in few(z):
        total = z[images]
        total[...] = 0
        term = np.empty_like(total)
        for pixel, weight in zip(windows.pixels(windows.pad(x[images])), weights, strict=True):
            total += np.multiply(pixel, weight, out=term)
        if finish is not None:
            finish(total)
    return z


def gradients_by_channel(
    x: Array, dz: Array, kernel: Array, windows: Windows, out: Array, dx: bool
) -> Array | None:
    """dK: (size ..., C), written to `out`, and dx if it is wanted."""
    if suits_winograd(x, kernel, windows):
        found = np.empty_like(x) if dx else None
        winograd.gradients(x, dz, kernel, out, found, windows)
        return found
    kernel_gradient_by_channel(x, dz, windows, out)
    return input_gradient_by_channel(dz, kernel, windows, x.shape[1:-1]) if dx else None


def input_gradient_by_channel(
    dz: Array, kernel: Array, windows: Windows, sizes: tuple[int, ...]
) -> Array:
    """dx from dz and K: (size ..., C)."""
    dx = np.empty((len(dz), *sizes, dz.shape[-1]), dz.dtype)
    weights = along_rows(kernel, dz.shape[-2])
    for images in few(dz):
        d = dz[images]
        padded = np.zeros((len(d), *windows.padded(sizes), d.shape[-1]), d.dtype)
        term = np.empty_like(d)
        for pixel, weight in zip(windows.pixels(padded), weights, strict=True):
            pixel += np.multiply(d, weight, out=term)
        dx[images] = windows.crop(padded, sizes)
    return dx


def kernel_gradient_by_channel(x: Array, dz: Array, windows: Windows, out: Array) -> None:
    """dK: (size ..., C) from x and dz, written to `out`."""
    width = dz.shape[-2] * dz.shape[-1]  # a row of pixels: the longer, the faster its sums
    total = np.zeros((prod(windows.size), width), out.dtype)
    for images in few(dz):
        d = dz[images]
        term = np.empty_like(d)
        for place, pixel in enumerate(windows.pixels(windows.pad(x[images]))):
            total[place] += sum_rows(np.multiply(pixel, d, out=term).reshape(-1, width))
    rows(out)[...] = total.reshape(len(total), dz.shape[-2], -1).sum(1)


def patches(x: Array, windows: Windows, groups: int, out: Array | None = None) -> Array:
    """P by groups: (groups, rows, places * C / groups), one row for each window; for one group it
    may be written to `out`, (N, windows ..., places * C)."""
    c = x.shape[-1] // groups
    if groups == 1 and c <= NARROW_CHANNELS:
        return patches_by_place(x, windows)
    if out is not None:
        p = windows.patches(windows.pad(x))
        np.copyto(out.reshape(p.shape), p)
        return rows(out)[None]
    p = windows.patches(windows.pad(x.reshape(*x.shape[:-1], groups, c)))
    count = prod(p.shape[: 1 + len(windows.size)])
    return p.reshape(count, groups, prod(windows.size) * c).swapaxes(0, 1)


def patches_by_place(x: Array, windows: Windows) -> Array:
    """P of an image of few channels, a row of whose window is a few numbers and slow to copy. So
    Pᵀ is written, place by place and channel by channel, in stretches as long as a row of z."""
    counts = windows.counts(x.shape[1:-1])
    p = np.empty((prod(windows.size), x.shape[-1], len(x), *counts), x.dtype)
    for place, pixel in zip(p, windows.pixels(windows.pad(x)), strict=True):
        place[...] = np.moveaxis(pixel, -1, 0)
    return p.reshape(1, len(p) * x.shape[-1], len(x) * prod(counts)).swapaxes(1, 2)


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
