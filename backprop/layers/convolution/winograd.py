"""Winograd's F(m, r): m sums over windows of r pixels from m + r - 1 products, not from m r.

They are a product of polynomials, turned round. The product of a polynomial of m coefficients with
one of r has m + r - 1, which follow from its values at as many points; at ∞ a polynomial is worth
its highest coefficient. With a row of powers for each point,

    V = vander(points, m + r - 1)        A = vander(points, m)        G = vander(points, r)

G k ⊙ A e are the values of the product of k and e, and V⁻¹ (G k ⊙ A e) its coefficients. The
transpose of this, as a map of e, is the correlation with k:

    z = Aᵀ (G k ⊙ D d)        D = V⁻ᵀ        d: m + r - 1 pixels of x, m further for each tile

The row of V⁻ᵀ for the point t has the denominator Π (t - s) over all other points s. That of G is
divided by it instead, and D has multiples of 1/16, which are exact. With two axes
U = G K Gᵀ and V = D d Dᵀ. The sums over channels are a matrix product for each of the values, with
a row for each tile. All of it is linear, so the gradients take the same steps backwards:

    M = V U        dU = Vᵀ dM, dK = Gᵀ dU G        dV = dM Uᵀ
    z = Aᵀ M A     dM = A dz Aᵀ                    dx += Dᵀ dV D

With a kernel for each channel, M = V ⊙ U.

Windows that lie two pixels apart are two sums, of the even taps over the even pixels and of the odd
ones over the odd: the matrices of both stand below each other (`toom_cook`). How A, D and their
transposes are applied to all tiles is in `tiles`. Backward computes V again: that takes less time
than to write and read it, and V is one and a half to eight times as large as x.

The values between are larger than those of the plain sum, and float32 loses more bits: one to four
with 3 x 3, up to five with 5 x 5, seven with 5 x 5 x 5 (`benchmarks/convolution.py`). An infinity
or NaN reaches all outputs of its tiles. float64 never comes here.

Sources: A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural Networks", 2015; for the
points, B. Barabasz, A. Anderson, K. Soodhalter and D. Gregg, "Error Analysis and Improving the
Accuracy of Winograd Convolution for Deep Neural Networks", 2020.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod

import numpy as np

from backprop.layers.convolution import by_channel
from backprop.layers.convolution.finish import Finish, leave
from backprop.layers.convolution.tiles import AnySide, Tiles
from backprop.layers.convolution.toom_cook import SIZES, outputs_of, values_of
from backprop.layers.windows import Windows
from backprop.parallel import share
from backprop.tuning import WINOGRAD_CHANNELS, WINOGRAD_GAIN, WINOGRAD_NUMBERS

Array = np.ndarray
Shape = tuple[int, ...]


def suits(x: Array, kernel: Array, windows: Windows) -> bool:
    """Whether these are windows of float32, of enough channels, where this way saves enough
    products, and there are enough of them."""
    fits = x.dtype == kernel.dtype == np.float32
    return fits and saves(x.shape, kernel.shape, windows, by_channel.suits(kernel, windows))


@lru_cache(maxsize=256)
def saves(x: Shape, kernel: Shape, windows: Windows, alone: bool) -> bool:
    """The same of arrays of these shapes, with a kernel for each channel `alone` or not."""
    channels, filters = x[-1], kernel[-1]
    if not alone and min(kernel[-2:]) < WINOGRAD_CHANNELS:
        return False
    counts = windows.counts(x[1:-1])
    if max(windows.dilation) > 1 or min(counts) < 1 or any(r not in SIZES for r in windows.size):
        return False
    axes = list(zip(counts, windows.size, windows.strides, strict=True))
    outputs = [outputs_of(*axis) for axis in axes]
    values = prod(values_of(*axis, m) for axis, m in zip(axes, outputs, strict=True))
    if WINOGRAD_GAIN * values > prod(counts) * prod(windows.size):
        return False
    tiles = x[0] * prod(-(-count // m) for count, m in zip(counts, outputs, strict=True))
    many = alone or tiles >= max(channels, filters)  # else U outweighs V
    return many and x[0] * values * (channels + filters) >= WINOGRAD_NUMBERS


def correlate(x: Array, kernel: Array, z: Array, windows: Windows, finish: Finish = leave) -> None:
    """z[n, i] = Σ_u x[n, i s + u] · kernel[u], for pixels i and u along one axis or several.

    x: (N, sizes ..., C)    z: (N, counts ..., filters), written
    kernel: (size ..., C, filters), or (size ..., C) with one for each channel
    """
    x = np.ascontiguousarray(x)
    tiles = Tiles(x, z, windows, by_channel.suits(kernel, windows))
    u = transform_kernel(kernel, tiles)

    def work(part: slice) -> None:
        for images, block in tiles.blocks(part):
            block.x.take(x, images)
            multiply(block.x, u, block.z)
            block.z.give(z, images, finish)

    with np.errstate(invalid="ignore"):  # 0 * ∞, where x has an infinity
        share(work, len(x), WINOGRAD_NUMBERS // tiles.numbers + 1)


def gradients(
    x: Array, dz: Array, kernel: Array, dkernel: Array, dx: Array | None, windows: Windows
) -> None:
    """dkernel and, unless it is None, dx of `correlate`; written to the arrays."""
    x, dz, alone = (
        np.ascontiguousarray(x),
        np.ascontiguousarray(dz),
        by_channel.suits(kernel, windows),
    )
    tiles = Tiles(x, dz, windows, alone)
    u = transform_kernel(kernel, tiles)
    ut = u if alone else u.swapaxes(1, 2)
    if dx is not None and max(windows.strides) > 1:
        dx[...] = 0  # the last pixels may be in no window

    def work(part: slice) -> Array:
        total, more = None, np.empty_like(u)
        for images, block in tiles.blocks(part):
            block.x.take(x, images)
            block.z.take(dz, images)
            if total is None:
                total = multiply_values(block.x, block.z, np.empty_like(u))
            else:
                total += multiply_values(block.x, block.z, more)
            if dx is not None:
                multiply(block.z, ut, block.x)
                block.x.give(dx, images)
        return np.zeros_like(u) if total is None else total

    with np.errstate(invalid="ignore"):
        du, *others = share(work, len(x), WINOGRAD_NUMBERS // tiles.numbers + 1)
    for more in others:
        du += more
    dkernel[...] = transform_kernel_backward(du, tiles).reshape(kernel.shape)


def transform_kernel(kernel: Array, tiles: Tiles) -> Array:
    """U = G K Gᵀ: (size ..., C, filters) → (values, C, filters)."""
    g, rest = tiles.g, kernel.shape[len(tiles.matrices) :]
    return (g @ kernel.reshape(g.shape[1], -1)).reshape(len(g), *rest)


def transform_kernel_backward(du: Array, tiles: Tiles) -> Array:
    """dK = Gᵀ dU G, the places of the window as one axis."""
    return tiles.g.T @ du.reshape(len(du), -1)


def multiply(v: AnySide, u: Array, m: AnySide) -> None:
    """M = V U for each value, or V ⊙ U."""
    if u.ndim == 2:  # rows as long as all images, for NumPy multiplies each by itself
        u = np.repeat(u[:, None, None], v.values.shape[2], axis=2)
        np.multiply(v.values, u, out=m.values)
    else:
        np.matmul(v.rows, u, out=m.rows)


def multiply_values(v: AnySide, dm: AnySide, out: Array) -> Array:
    """dU, written to `out`; V is lost."""
    if out.ndim == 2:
        np.multiply(v.values, dm.values, out=v.values)
        return v.values.sum(1).sum(1, out=out)
    return np.matmul(v.rows.swapaxes(1, 2), dm.rows, out=out)
