"""Winograd's F(2x2, 3x3): 16 products for four pixels of z, where the sum over windows takes 36.

Two neighbouring outputs of a kernel of three are a product of polynomials, which is known from its
values at 0, 1, -1 and infinity. B, G and A take to these values and back, along rows and columns:

    z = Aᵀ (Σ_c (G K Gᵀ) ⊙ (Bᵀ d B)) A        d: 4 x 4 pixels of x, every two pixels; z: 2 x 2

          1   0  -1   0            1    0    0          1   1   1   0
    Bᵀ =  0   1   1   0      G =  1/2  1/2  1/2   Aᵀ =  0   1  -1  -1
          0  -1   1   0           1/2 -1/2  1/2
          0   1   0  -1            0    0    1

With U = G K Gᵀ and V = Bᵀ d B, the sums over channels are 16 matrix products M = V U, one for each
of the 4 x 4 values, with a row for each tile. All of it is linear, so the gradients take the same
steps backwards:

    dM = A dz Aᵀ        dU = Vᵀ dM, dK = Gᵀ dU G        dV = dM Uᵀ, dx += B dV Bᵀ

The transforms add pixels at even and odd places to their neighbours, and are fast where long
stretches of memory meet. So a block of images lies in memory in the order (parity of the row, half
the row, parity of the column, half the column, image, channel), and V and M as (4, 4, rows of
tiles, columns of tiles, image, channel). It is walked through by rows of tiles, so few that V and M
stay in the cache from one step to the next. Backward computes V again: that takes less time than to
write and read it, and V is four times as large as x.

The values between are up to four times as large as those of the plain sum, so float32 loses up to
two bits more (`benchmarks/convolution.py`), and an infinity or NaN reaches all pixels of its tiles.
float64 never comes here.

Source: A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural Networks", 2015.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from math import prod

import numpy as np

from backprop.parallel import blocks, share

Array = np.ndarray
Before = tuple[int, int]  # zeros in front of the first row and the first column

G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])

LONG = 512  # images * channels of a block
NUMBERS = 1 << 16  # of each of the 16 values, in V and M together
TILES = 128  # rows of a product; with fewer, adding up dU takes as long as the product
WORK = 1 << 24  # products of the plain sum that are worth a thread


def correlate(
    x: Array, kernel: Array, z: Array, before: Before, finish: Callable[[Array], None] | None = None
) -> None:
    """z[n, i, j] = Σ_uv x[n, i + u, j + v] · kernel[u, v], followed by finish(z), block by block.

        x: (N, H, W, C)    kernel: (3, 3, C, filters)    z: (N, I, J, filters), written

    The first row and column of z see `before` zeros in front of the image.
    """
    u, tiles = transform_kernel(kernel), Tiles(x, z)

    def work(part: slice) -> None:
        room = Room(x.dtype)
        for images in tiles.blocks(part):
            d = tiles.load(x[images], before, room)
            for rows in tiles.steps():
                v = transform(under(d, rows), room)
                m = room("m", *v.shape[:-1], z.shape[-1])
                np.matmul(by_value(v), u, out=by_value(m))
                join(outputs(m, room), z[images, 2 * rows.start : 2 * rows.stop])
            if finish is not None:
                finish(z[images])

    share(work, len(x), tiles.least)


def gradients(
    x: Array, dz: Array, kernel: Array, dkernel: Array, dx: Array | None, before: Before
) -> None:
    """dkernel and, unless it is None, dx of `correlate`; written to the arrays."""
    u, tiles = transform_kernel(kernel), Tiles(x, dz)
    ut = np.ascontiguousarray(u.swapaxes(1, 2))

    def work(part: slice) -> Array:
        room, du, some = Room(x.dtype), np.zeros_like(u), np.empty_like(u)
        for images in tiles.blocks(part):
            d = tiles.load(x[images], before, room)
            dd = None if dx is None else room("dd", *d.shape)
            if dd is not None:
                dd[...] = 0
            for rows in tiles.steps():
                v = transform(under(d, rows), room)
                dy = room("y", 2, rows.stop - rows.start, 2, *v.shape[3:5], dz.shape[-1])
                split(dz[images, 2 * rows.start : 2 * rows.stop], dy)
                dm = outputs_backward(dy, room)
                du += np.matmul(by_value(v).swapaxes(1, 2), by_value(dm), out=some)
                if dd is not None:
                    np.matmul(by_value(dm), ut, out=by_value(v))
                    transform_backward(v, under(dd, rows), room)
            if dd is not None and dx is not None:
                join(dd, dx[images], before)
        return du

    dkernel[...] = transform_kernel_backward(np.sum(share(work, len(x), tiles.least), 0))


class Room:
    """Arrays by name, over memory that is used again for each block and step."""

    def __init__(self, dtype):
        self.dtype, self.memory = dtype, {}

    def __call__(self, name: str, *shape: int) -> Array:
        size = prod(shape)
        if name not in self.memory or self.memory[name].size < size:
            self.memory[name] = np.empty(size, self.dtype)
        return self.memory[name][:size].reshape(shape)


class Tiles:
    """How many there are, and how they are walked through."""

    def __init__(self, x: Array, z: Array):
        channels, filters = x.shape[-1], z.shape[-1]
        self.rows, self.columns = (-(-count // 2) for count in z.shape[1:-1])
        at_once = max(NUMBERS // (channels + filters), TILES)
        small = at_once // max(self.rows * self.columns, 1)  # images that are not worth a step each
        self.images = max(LONG // min(channels, filters), small, 1)
        self.step = max(at_once // max(self.images * self.columns, 1), 1)
        self.least = WORK // max(9 * channels * filters * prod(z.shape[1:-1]), 1) + 1

    def blocks(self, part: slice) -> Iterator[slice]:
        """The images of a part of the batch, some at a time."""
        return blocks(part, self.images)

    def steps(self) -> Iterator[slice]:
        """The rows of tiles, some at a time."""
        return blocks(slice(0, self.rows), self.step)

    def load(self, x: Array, before: Before, room: Room) -> Array:
        """The pixels of all tiles, with zeros around the image."""
        d = room("d", 2, self.rows + 1, 2, self.columns + 1, len(x), x.shape[-1])
        split(x, d, before)
        return d


def split(x: Array, d: Array, before: Before = (0, 0)) -> None:
    """d[p, i, q, j] = x[:, 2i + p, 2j + q], moved by `before`, and 0 around x."""
    if d.size > x.size:
        d[...] = 0
    for (p, rows, h), (q, columns, w) in product(*map(halves, before, x.shape[1:3])):
        d[p, rows, q, columns] = x[:, h, w].transpose(1, 2, 0, 3)


def join(d: Array, x: Array, before: Before = (0, 0)) -> None:
    """The inverse of `split`: writes x."""
    for (p, rows, h), (q, columns, w) in product(*map(halves, before, x.shape[1:3])):
        x[:, h, w] = d[p, rows, q, columns].transpose(2, 0, 1, 3)


def halves(before: int, n: int) -> Iterator[tuple[int, slice, slice]]:
    """For both parities of a place: where in d, and where along an axis of n pixels of x."""
    for p in (0, 1):
        first = -((p - before) // 2)  # the least i with a pixel of x at 2i + p
        start = 2 * first + p - before
        yield p, slice(first, first + len(range(start, n, 2))), slice(start, None, 2)


def under(d: Array, rows: slice) -> Array:
    """The pixels under some rows of tiles: a tile reaches two pixels into the next."""
    return d[:, rows.start : rows.stop + 1]


def by_value(v: Array) -> Array:
    """(4, 4, rows, columns, images, channels) → (16, tiles, channels): a view."""
    return v.reshape(16, -1, v.shape[-1])


def transform_kernel(kernel: Array) -> Array:
    """U = G K Gᵀ: (3, 3, C, filters) → (16, C, filters)."""
    g = G.astype(kernel.dtype)
    u = np.tensordot(g, np.tensordot(g, kernel, (1, 1)), (1, 1))
    return u.reshape(16, *kernel.shape[2:])


def transform_kernel_backward(du: Array) -> Array:
    """dK = Gᵀ dU G."""
    g = G.astype(du.dtype)
    du = du.reshape(4, 4, *du.shape[1:])
    return np.tensordot(g, np.tensordot(g, du, (0, 1)), (0, 1))


def transform(d: Array, room: Room) -> Array:
    """V = Bᵀ d B: (2, rows + 1, 2, columns + 1, ...) → (4, 4, rows, columns, ...)."""
    rows, columns, *rest = d.shape[1] - 1, d.shape[3] - 1, *d.shape[4:]
    t, v = room("t", 4, rows, *d.shape[2:]), room("v", 4, 4, rows, columns, *rest)
    values(four(d[0], d[1], 0), t)
    values(four(t[:, :, 0], t[:, :, 1], 2), v.swapaxes(0, 1))
    return v


def transform_backward(dv: Array, dd: Array, room: Room) -> None:
    """dd += B dV Bᵀ."""
    dt = room("t", 4, dv.shape[2], *dd.shape[2:])
    dt[...] = 0
    values_backward(dv.swapaxes(0, 1), four(dt[:, :, 0], dt[:, :, 1], 2), room)
    values_backward(dt, four(dd[0], dd[1], 0), room)


def outputs(m: Array, room: Room) -> Array:
    """Aᵀ M A: (4, 4, rows, columns, ...) → (2, rows, 2, columns, ...)."""
    s, y = room("s", 2, *m.shape[1:]), room("y", 2, m.shape[2], 2, *m.shape[3:])
    pair(m, s)
    pair(s.swapaxes(0, 1), np.moveaxis(y, 2, 0))
    return y


def outputs_backward(dy: Array, room: Room) -> Array:
    """dM = A dz Aᵀ."""
    rest = dy.shape[1], *dy.shape[3:]
    ds, dm = room("s", 2, 4, *rest), room("m", 4, 4, *rest)
    pair_backward(np.moveaxis(dy, 2, 0), ds.swapaxes(0, 1))
    pair_backward(ds, dm)
    return dm


def four(even: Array, odd: Array, axis: int) -> tuple[Array, Array, Array, Array]:
    """The four pixels of each tile along an axis: views, which overlap."""
    here, after = ((*(slice(None),) * axis, part) for part in (slice(-1), slice(1, None)))
    return even[here], odd[here], even[after], odd[after]


def values(d: tuple[Array, ...], v: Array) -> None:
    """v = Bᵀ d along one axis."""
    np.subtract(d[0], d[2], out=v[0])
    np.add(d[1], d[2], out=v[1])
    np.subtract(d[2], d[1], out=v[2])
    np.subtract(d[1], d[3], out=v[3])


def values_backward(dv: Array, dd: tuple[Array, ...], room: Room) -> None:
    """dd += B dv along one axis."""
    d0, d1, d2, d3 = dd
    d0 += dv[0]
    d3 -= dv[3]
    sums = np.subtract(dv[1], dv[2], out=room("sums", *dv.shape[1:]))
    sums += dv[3]
    d1 += sums
    np.add(dv[1], dv[2], out=sums)
    sums -= dv[0]
    d2 += sums


def pair(m: Array, y: Array) -> None:
    """y = Aᵀ m along one axis."""
    np.add(m[1], m[2], out=y[0])
    y[0] += m[0]
    np.subtract(m[1], m[2], out=y[1])
    y[1] -= m[3]


def pair_backward(dy: Array, dm: Array) -> None:
    """dm = A dy along one axis."""
    np.copyto(dm[0], dy[0])
    np.add(dy[0], dy[1], out=dm[1])
    np.subtract(dy[0], dy[1], out=dm[2])
    np.negative(dy[1], out=dm[3])
