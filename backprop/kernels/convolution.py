"""The transforms of convolutions: between images, as they lie in memory, and the values of tiles.

    x: (N, H, W, C)    a: (values, pixels) along the rows of a tile, b along its columns
    v: (values of a * values of b, N, rows of tiles, columns of tiles, C)
    t: (values of a, a multiple of column_step that is enough for all columns, C), to work in

The tile (r, c) has its first pixel at `first` + (r, c) * `step`. Outside of x there are zeros.
"""

from __future__ import annotations

import numpy as np

from backprop.kernels.switch import kernel

Array = np.ndarray

MOST_TERMS = 8  # values, or pixels, of a tile along an axis


@kernel
def tile_values(
    x: Array,
    a: Array,
    b: Array,
    t: Array,
    v: Array,
    first_row: int,
    first_column: int,
    row_step: int,
    column_step: int,
) -> None:
    """v[(i, j), n, r, c] ← Σ_pq a[i, p] b[j, q] x[n, r, c, p, q], the pixels of the tile (r, c)"""
    rows, columns = v.shape[2:4]
    for i, j in np.ndindex(len(a), len(b)):
        v[i * len(b) + j] = 0
    for p, q in np.ndindex(a.shape[1], b.shape[1]):
        seen, there = meeting(x.shape[1], first_row + p, row_step, rows)
        seen_too, there_too = meeting(x.shape[2], first_column + q, column_step, columns)
        pixels = x[:, there, there_too]
        for i, j in np.ndindex(len(a), len(b)):
            v[i * len(b) + j][:, seen, seen_too] += a[i, p] * b[j, q] * pixels


@kernel
def tile_pixels(
    v: Array,
    a: Array,
    b: Array,
    t: Array,
    x: Array,
    first_row: int,
    first_column: int,
    row_step: int,
    column_step: int,
    above: bool,
) -> None:
    """x[n, r, c, p, q] ← Σ_ij a[i, p] b[j, q] v[(i, j), n, r, c], the transpose of `tile_values`

    Where tiles overlap they add up. Where others lie `above` the first, it is added to what they
    left in x. Of x nothing else changes.
    """
    rows, columns = v.shape[2:4]
    top = first_row + (a.shape[1] - row_step if above else 0)
    bottom = first_row + (rows - 1) * row_step + a.shape[1]
    right = first_column + (columns - 1) * column_step + b.shape[1]
    x[:, max(top, 0) : max(bottom, 0), max(first_column, 0) : max(right, 0)] = 0
    for p, q in np.ndindex(a.shape[1], b.shape[1]):
        seen, there = meeting(x.shape[1], first_row + p, row_step, rows)
        seen_too, there_too = meeting(x.shape[2], first_column + q, column_step, columns)
        for i, j in np.ndindex(len(a), len(b)):
            x[:, there, there_too] += a[i, p] * b[j, q] * v[i * len(b) + j][:, seen, seen_too]


def meeting(n: int, first: int, step: int, count: int) -> tuple[slice, slice]:
    """Of `count` places, `step` apart from `first` on, those within n; and where they are."""
    start = max(-(first // step), 0)
    stop = max(min(count, -(-(n - first) // step)), start)
    return slice(start, stop), slice(first + start * step, first + stop * step, step)
