"""The transforms of convolutions.

Sums go over numbers that lie beside each other: along the rows of a tile over whole rows of the
image, along its columns over all tiles of a row. For that, the pixels of a row lie in phases: those
at the same place of each `step` stand together, so that what all tiles see at one place of theirs
is one piece. In t they are (values of a, step, pixels of a phase, C).
"""

import numpy as np

from backprop.kernels.compiled.compiler import (
    Array4,
    Array5,
    Cube,
    Flag,
    Integer,
    Matrix,
    given,
    helper,
    loop,
)
from backprop.kernels.compiled.pointers import place, read, write

MOST = 8  # terms of a sum


@helper
def one(w, at, x, y, z, n):
    w0 = read(w, 0)
    u0 = read(w, MOST + 0)
    a0 = read(at, 0)
    for c in range(n):
        x0 = read(x, a0 + c)
        write(y, c, w0 * x0)
        write(z, c, u0 * x0)


@helper
def two(w, at, x, y, z, n):
    w0, w1 = read(w, 0), read(w, 1)
    u0, u1 = read(w, MOST + 0), read(w, MOST + 1)
    a0, a1 = read(at, 0), read(at, 1)
    for c in range(n):
        x0 = read(x, a0 + c)
        x1 = read(x, a1 + c)
        write(y, c, w0 * x0 + w1 * x1)
        write(z, c, u0 * x0 + u1 * x1)


@helper
def three(w, at, x, y, z, n):
    w0, w1, w2 = read(w, 0), read(w, 1), read(w, 2)
    u0, u1, u2 = read(w, MOST + 0), read(w, MOST + 1), read(w, MOST + 2)
    a0, a1, a2 = read(at, 0), read(at, 1), read(at, 2)
    for c in range(n):
        x0 = read(x, a0 + c)
        x1 = read(x, a1 + c)
        x2 = read(x, a2 + c)
        write(y, c, w0 * x0 + w1 * x1 + w2 * x2)
        write(z, c, u0 * x0 + u1 * x1 + u2 * x2)


@helper
def four(w, at, x, y, z, n):
    w0, w1, w2, w3 = read(w, 0), read(w, 1), read(w, 2), read(w, 3)
    u0, u1, u2, u3 = read(w, MOST + 0), read(w, MOST + 1), read(w, MOST + 2), read(w, MOST + 3)
    a0, a1, a2, a3 = read(at, 0), read(at, 1), read(at, 2), read(at, 3)
    for c in range(n):
        x0 = read(x, a0 + c)
        x1 = read(x, a1 + c)
        x2 = read(x, a2 + c)
        x3 = read(x, a3 + c)
        write(y, c, w0 * x0 + w1 * x1 + w2 * x2 + w3 * x3)
        write(z, c, u0 * x0 + u1 * x1 + u2 * x2 + u3 * x3)


@helper
def five(w, at, x, y, z, n):
    w0, w1, w2, w3 = read(w, 0), read(w, 1), read(w, 2), read(w, 3)
    u0, u1, u2, u3 = read(w, MOST + 0), read(w, MOST + 1), read(w, MOST + 2), read(w, MOST + 3)
    a0, a1, a2, a3 = read(at, 0), read(at, 1), read(at, 2), read(at, 3)
    w4 = read(w, 4)
    u4 = read(w, MOST + 4)
    a4 = read(at, 4)
    for c in range(n):
        x0 = read(x, a0 + c)
        x1 = read(x, a1 + c)
        x2 = read(x, a2 + c)
        x3 = read(x, a3 + c)
        x4 = read(x, a4 + c)
        s = w0 * x0 + w1 * x1 + w2 * x2 + w3 * x3
        write(y, c, s + w4 * x4)
        s = u0 * x0 + u1 * x1 + u2 * x2 + u3 * x3
        write(z, c, s + u4 * x4)


@helper
def six(w, at, x, y, z, n):
    w0, w1, w2, w3 = read(w, 0), read(w, 1), read(w, 2), read(w, 3)
    u0, u1, u2, u3 = read(w, MOST + 0), read(w, MOST + 1), read(w, MOST + 2), read(w, MOST + 3)
    a0, a1, a2, a3 = read(at, 0), read(at, 1), read(at, 2), read(at, 3)
    w4, w5 = read(w, 4), read(w, 5)
    u4, u5 = read(w, MOST + 4), read(w, MOST + 5)
    a4, a5 = read(at, 4), read(at, 5)
    for c in range(n):
        x0 = read(x, a0 + c)
        x1 = read(x, a1 + c)
        x2 = read(x, a2 + c)
        x3 = read(x, a3 + c)
        x4 = read(x, a4 + c)
        x5 = read(x, a5 + c)
        s = w0 * x0 + w1 * x1 + w2 * x2 + w3 * x3
        write(y, c, s + w4 * x4 + w5 * x5)
        s = u0 * x0 + u1 * x1 + u2 * x2 + u3 * x3
        write(z, c, s + u4 * x4 + u5 * x5)


@helper
def seven(w, at, x, y, z, n):
    w0, w1, w2, w3 = read(w, 0), read(w, 1), read(w, 2), read(w, 3)
    u0, u1, u2, u3 = read(w, MOST + 0), read(w, MOST + 1), read(w, MOST + 2), read(w, MOST + 3)
    a0, a1, a2, a3 = read(at, 0), read(at, 1), read(at, 2), read(at, 3)
    w4, w5, w6 = read(w, 4), read(w, 5), read(w, 6)
    u4, u5, u6 = read(w, MOST + 4), read(w, MOST + 5), read(w, MOST + 6)
    a4, a5, a6 = read(at, 4), read(at, 5), read(at, 6)
    for c in range(n):
        x0 = read(x, a0 + c)
        x1 = read(x, a1 + c)
        x2 = read(x, a2 + c)
        x3 = read(x, a3 + c)
        x4 = read(x, a4 + c)
        x5 = read(x, a5 + c)
        x6 = read(x, a6 + c)
        s = w0 * x0 + w1 * x1 + w2 * x2 + w3 * x3
        write(y, c, s + w4 * x4 + w5 * x5 + w6 * x6)
        s = u0 * x0 + u1 * x1 + u2 * x2 + u3 * x3
        write(z, c, s + u4 * x4 + u5 * x5 + u6 * x6)


@helper
def eight(w, at, x, y, z, n):
    w0, w1, w2, w3 = read(w, 0), read(w, 1), read(w, 2), read(w, 3)
    u0, u1, u2, u3 = read(w, MOST + 0), read(w, MOST + 1), read(w, MOST + 2), read(w, MOST + 3)
    a0, a1, a2, a3 = read(at, 0), read(at, 1), read(at, 2), read(at, 3)
    w4, w5, w6, w7 = read(w, 4), read(w, 5), read(w, 6), read(w, 7)
    u4, u5, u6, u7 = read(w, MOST + 4), read(w, MOST + 5), read(w, MOST + 6), read(w, MOST + 7)
    a4, a5, a6, a7 = read(at, 4), read(at, 5), read(at, 6), read(at, 7)
    for c in range(n):
        x0 = read(x, a0 + c)
        x1 = read(x, a1 + c)
        x2 = read(x, a2 + c)
        x3 = read(x, a3 + c)
        x4 = read(x, a4 + c)
        x5 = read(x, a5 + c)
        x6 = read(x, a6 + c)
        x7 = read(x, a7 + c)
        s = w0 * x0 + w1 * x1 + w2 * x2 + w3 * x3
        write(y, c, s + w4 * x4 + w5 * x5 + w6 * x6 + w7 * x7)
        s = u0 * x0 + u1 * x1 + u2 * x2 + u3 * x3
        write(z, c, s + u4 * x4 + u5 * x5 + u6 * x6 + u7 * x7)


@helper
def mix(k, w, at, x, y, z, n):
    """y[c] ← Σ_i w[i] x[at[i] + c] and z[c] ← Σ_i w[MOST + i] x[at[i] + c] for c < n, of k terms: a
    loop for each number of them, as an inner one would be all that is vectorised."""
    if k == 0:
        fill(y, n)
        fill(z, n)
    elif k == 1:
        one(w, at, x, y, z, n)
    elif k == 2:
        two(w, at, x, y, z, n)
    elif k == 3:
        three(w, at, x, y, z, n)
    elif k == 4:
        four(w, at, x, y, z, n)
    elif k == 5:
        five(w, at, x, y, z, n)
    elif k == 6:
        six(w, at, x, y, z, n)
    elif k == 7:
        seven(w, at, x, y, z, n)
    elif k == 8:
        eight(w, at, x, y, z, n)


@helper
def two_sums(m, count, low, high, places, start, x, y, z, n, w, at):
    """y and z by the row m of a matrix and the one behind it, of `count` each: sums of the terms
    from low to high that have a weight, with their places in x behind `start`."""
    k = 0
    for i in range(low, high):
        if read(m, i) != 0 or read(m, count + i) != 0:
            write(w, k, read(m, i))
            write(w, MOST + k, read(m, count + i))
            write(at, k, start + read(places, i))
            k += 1
    mix(k, w, at, x, y, z, n)


@helper
def even(m):
    """With a row of zeros below, if the number of rows is odd."""
    out = np.zeros((len(m) + len(m) % 2, m.shape[1]), m.dtype)
    out[: len(m)] = m
    return out


@helper
def fill(y, n):
    """y ← 0"""
    for c in range(n):
        write(y, c, 0)


@helper
def put(x, add, y, n):
    """y ← x, or y + x if `add`."""
    if add:
        for c in range(n):
            write(y, c, read(y, c) + read(x, c))
    else:
        for c in range(n):
            write(y, c, read(x, c))


@helper
def in_phases(count, step, length, c):
    """Where so many pixels lie, in phases of that length."""
    places = np.empty(count, np.int64)
    for q in range(count):
        places[q] = (q % step * length + q // step) * c
    return places


@loop(
    given(Array4),
    given(Matrix),
    given(Matrix),
    Cube,
    Array5,
    Integer,
    Integer,
    Integer,
    Integer,
)
def tile_values(x, a, b, t, v, first_row, first_column, row_step, column_step):
    n, height, width, c = x.shape
    (values, down), (others, along) = a.shape, b.shape
    a, b = even(a), even(b)
    rows, columns = v.shape[2:4]
    start = max(first_column, 0)
    stop = max(min(first_column + t.shape[1], width), start)
    line, all_tiles, size = t.shape[1] * c, columns * c, (stop - start) * c
    one = n * rows * all_tiles
    below = np.arange(down) * (width * c)
    behind = in_phases(t.shape[1], column_step, t.shape[1] // column_step, c)
    row, spare = np.empty(2 * size, x.dtype), np.empty(all_tiles, x.dtype)
    w, at = np.empty(2 * MOST, x.dtype), np.empty(MOST, np.int64)
    t[:] = 0
    for image in range(n):
        for r in range(rows):
            top = first_row + r * row_step
            low, high = min(max(-top, 0), down), max(min(down, height - top), 0)
            first = ((image * height + top) * width + start) * c
            for i in range(0, values, 2):
                two_sums(
                    place(a, i * down), down, low, high, place(below, 0), first,
                    place(x, 0), place(row, 0), place(row, size), size, place(w, 0), place(at, 0),
                )  # fmt: skip
                for k in range(i, min(i + 2, values)):
                    for q in range(start, stop):
                        here = (k - i) * size + (q - start) * c
                        to = k * line + behind[q - first_column]
                        put(place(row, here), False, place(t, to), c)
            for i in range(values):
                for j in range(0, others, 2):
                    to = (i * others + j) * one + (image * rows + r) * all_tiles
                    y = place(v, to)
                    z = place(v, to + one) if j + 1 < others else place(spare, 0)
                    two_sums(
                        place(b, j * along), along, 0, along, place(behind, 0), i * line,
                        place(t, 0), y, z, all_tiles, place(w, 0), place(at, 0),
                    )  # fmt: skip


@loop(
    given(Array5),
    given(Matrix),
    given(Matrix),
    Cube,
    Array4,
    Integer,
    Integer,
    Integer,
    Integer,
    Flag,
)
def tile_pixels(v, a, b, t, x, first_row, first_column, row_step, column_step, above):
    n, height, width, c = x.shape
    (values, down), (others, along) = a.shape, b.shape
    aT, bT = even(a.T), even(b.T)
    rows, columns = v.shape[2:4]
    start = max(first_column, 0)
    stop = min(first_column + (columns - 1) * column_step + along, width)
    line, all_tiles, phase = t.shape[1] * c, columns * c, t.shape[1] // column_step * c
    one = n * rows * all_tiles
    below, over = np.arange(values) * line, np.arange(others) * one
    behind = in_phases(t.shape[1], column_step, t.shape[1] // column_step, c)
    row, over_next = np.empty(2 * line, x.dtype), np.empty((along + 1) * all_tiles, x.dtype)
    w, at = np.empty(2 * MOST, x.dtype), np.empty(MOST, np.int64)
    t[:] = 0
    for image in range(n):
        for r in range(rows):
            for i in range(values):
                first = i * others * one + (image * rows + r) * all_tiles
                for s in range(column_step):  # pixels that no tile is the first to reach
                    to = i * line + s * phase + all_tiles
                    fill(place(t, to), phase - all_tiles)
                for q in range(0, along, 2):
                    y, z = place(over_next, q * all_tiles), place(over_next, (q + 1) * all_tiles)
                    if q < column_step:
                        y = place(t, i * line + behind[q])
                    if q + 1 < column_step:
                        z = place(t, i * line + behind[q + 1])
                    two_sums(
                        place(bT, q * others), others, 0, others, place(over, 0), first,
                        place(v, 0), y, z, all_tiles, place(w, 0), place(at, 0),
                    )  # fmt: skip
                for q in range(column_step, along):
                    to = i * line + behind[q]
                    put(place(over_next, q * all_tiles), True, place(t, to), all_tiles)
            for p in range(0, down, 2):
                two_sums(
                    place(aT, p * values), values, 0, values, place(below, 0), 0,
                    place(t, 0), place(row, 0), place(row, line), line, place(w, 0), place(at, 0),
                )  # fmt: skip
                for k in range(p, min(p + 2, down)):
                    line_of_x = first_row + r * row_step + k
                    add = (above or r > 0) and k < down - row_step
                    if 0 <= line_of_x < height:
                        for q in range(start, stop):
                            here = (k - p) * line + behind[q - first_column]
                            to = ((image * height + line_of_x) * width + q) * c
                            put(place(row, here), add, place(x, to), c)
