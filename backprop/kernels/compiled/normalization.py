"""Statistics of channels and of rows, and what is normalised with them.

Sums over many rows are made of sums over few, in the arrays' own dtype, that are added up in double
precision: so no digit is lost, however many rows there are. Where rows are short, several of them
lie side by side in a tile, so that the loop along it is long.
"""

import numpy as np

from backprop.kernels.compiled.compiler import (
    Flag,
    Matrix,
    Number,
    Vector,
    given,
    helper,
    inlined,
    loop,
    optional,
)

f32 = np.float32

TILE = 128  # numbers of a tile, if a row has not more
BLOCK = 1 << 13  # numbers that are read twice, from the core's own cache
LEAST = 16  # tiles of a block


@helper
def beside(n):
    """Rows of n numbers that a tile has."""
    return max(TILE // max(n, 1), 1)


@helper
def rows_of(n):
    """Rows of a block."""
    k = beside(n)
    return max(BLOCK // max(k * n, 1), LEAST) * k


@helper
def repeated(v, k):
    wide = np.empty(k * v.size, v.dtype)
    for i in range(k):
        wide[i * v.size : (i + 1) * v.size] = v
    return wide


@helper
def fold(wide, sums):
    """Add what a tile has for each row to sums, in double precision; the tile is 0 then."""
    for i in range(0, wide.size, sums.size):
        part = wide[i : i + sums.size]
        for j in range(sums.size):
            sums[j] += part[j]
    wide[:] = 0


@helper
def add_rows(x, s):
    """s += Σ x over rows, four at a time."""
    even = len(x) // 4 * 4
    for i in range(0, even, 4):
        p, q, r, t = x[i], x[i + 1], x[i + 2], x[i + 3]
        for j in range(s.size):
            s[j] += (p[j] + q[j]) + (r[j] + t[j])
    for i in range(even, len(x)):
        p = x[i]
        for j in range(s.size):
            s[j] += p[j]


@helper
def add_squares(x, mean, s):
    """s += Σ (x - mean)² over rows."""
    even = len(x) // 4 * 4
    for i in range(0, even, 4):
        p, q, r, t = x[i], x[i + 1], x[i + 2], x[i + 3]
        for j in range(s.size):
            a, b, c, d = p[j] - mean[j], q[j] - mean[j], r[j] - mean[j], t[j] - mean[j]
            s[j] += (a * a + b * b) + (c * c + d * d)
    for i in range(even, len(x)):
        p = x[i]
        for j in range(s.size):
            a = p[j] - mean[j]
            s[j] += a * a


@helper
def add_products(dy, x, mean, along, total):
    """along += Σ dy (x - mean), total += Σ dy over rows."""
    even = len(x) // 2 * 2
    for i in range(0, even, 2):
        p, q, c, d = x[i], x[i + 1], dy[i], dy[i + 1]
        for j in range(mean.size):
            along[j] += c[j] * (p[j] - mean[j]) + d[j] * (q[j] - mean[j])
            total[j] += c[j] + d[j]
    for i in range(even, len(x)):
        p, c = x[i], dy[i]
        for j in range(mean.size):
            along[j] += c[j] * (p[j] - mean[j])
            total[j] += c[j]


@helper
def in_tiles(x, k):
    """Rows as tiles of k rows, and the rows that are left over as they are."""
    n = x.shape[1]
    tiles = len(x) // k
    flat = x.reshape(-1)
    cut = tiles * k * n
    return flat[:cut].reshape((tiles, k * n)), flat[cut:].reshape((len(x) - tiles * k, n))


@loop(given(Matrix), Vector, Vector)
def moments(x, mean, squares):
    m, n = x.shape
    k = beside(n)
    step = rows_of(n)
    wide = np.zeros(k * n, x.dtype)
    narrow = np.zeros(n, x.dtype)
    total, around = np.zeros(n), np.zeros(n)
    here, spread = np.empty(n), np.empty(n)
    for start in range(0, m, step):
        block = x[start : min(start + step, m)]
        tiles, rest = in_tiles(block, k)
        here[:] = 0
        add_rows(tiles, wide)
        fold(wide, here)
        add_rows(rest, narrow)
        fold(narrow, here)
        for j in range(n):
            mean[j] = here[j] / len(block)
        spread[:] = 0
        add_squares(tiles, repeated(mean, k), wide)
        fold(wide, spread)
        add_squares(rest, mean, narrow)
        fold(narrow, spread)
        for j in range(n):  # those around the mean of all rows so far, of which `start` were there
            around[j] += spread[j]
            if start:
                apart = here[j] / len(block) - total[j] / start
                around[j] += apart * apart * (start * len(block) / (start + len(block)))
            total[j] += here[j]
    for j in range(n):
        mean[j] = total[j] / max(m, 1)
        squares[j] = around[j]


@loop(given(Matrix), given(Matrix), given(Vector), Vector, Vector)
def products(dy, x, mean, along, total):
    m, n = x.shape
    k = beside(n)
    step = rows_of(n)
    wide = repeated(mean, k)
    a, t = np.zeros(k * n, x.dtype), np.zeros(k * n, x.dtype)
    b, u = np.zeros(n, x.dtype), np.zeros(n, x.dtype)
    alongs, totals = np.zeros(n), np.zeros(n)
    for start in range(0, m, step):
        tiles, rest = in_tiles(x[start : min(start + step, m)], k)
        dtiles, drest = in_tiles(dy[start : min(start + step, m)], k)
        add_products(dtiles, tiles, wide, a, t)
        add_products(drest, rest, mean, b, u)
        fold(a, alongs)
        fold(b, alongs)
        fold(t, totals)
        fold(u, totals)
    for j in range(n):
        along[j] = alongs[j]
        total[j] = totals[j]


@helper
def set_affine(x, mean, a, c, y):
    for i in range(len(x)):
        row, out = x[i], y[i]
        for j in range(mean.size):
            out[j] = (row[j] - mean[j]) * a[j] + c[j]


@loop(given(Matrix), given(Vector), given(Vector), given(Vector), Matrix)
def affine(x, mean, a, c, y):
    k = beside(x.shape[1])
    tiles, rest = in_tiles(x, k)
    out, over = in_tiles(y, k)
    set_affine(tiles, repeated(mean, k), repeated(a, k), repeated(c, k), out)
    set_affine(rest, mean, a, c, over)


@helper
def set_affine_of_both(dy, x, mean, a, c, b, dx):
    for i in range(len(x)):
        d, row, out = dy[i], x[i], dx[i]
        for j in range(mean.size):
            out[j] = (d[j] - c[j] - (row[j] - mean[j]) * a[j]) * b[j]


@loop(
    given(Matrix), given(Matrix), given(Vector), given(Vector), given(Vector), given(Vector), Matrix
)
def affine_of_both(dy, x, mean, a, c, b, dx):
    k = beside(x.shape[1])
    dtiles, drest = in_tiles(dy, k)
    tiles, rest = in_tiles(x, k)
    out, over = in_tiles(dx, k)
    wide = repeated(mean, k), repeated(a, k), repeated(c, k), repeated(b, k)
    set_affine_of_both(dtiles, tiles, wide[0], wide[1], wide[2], wide[3], out)
    set_affine_of_both(drest, rest, mean, a, c, b, over)


@inlined
def inverse_root(v):
    """1 / sqrt(v), not by the processor's estimate of it, which makes NaN of an infinity."""
    return f32(1) / np.sqrt(v)


@loop(given(Matrix), given(Vector), optional(given(Vector)), Number, Flag, Matrix, Matrix, Matrix)
def rows_normalized(x, gamma, beta, epsilon, centred, xhat, r, y):
    m, n = x.shape
    share = x.dtype.type(1) / x.dtype.type(max(n, 1))
    for i in range(m):
        row, h, out = x[i], xhat[i], y[i]
        mean = x.dtype.type(0)
        if centred:
            for j in range(n):
                mean += row[j]
            mean *= share
        square = x.dtype.type(0)
        for j in range(n):
            d = row[j] - mean
            square += d * d
        root = inverse_root(square * share + epsilon)
        r[i, 0] = root
        for j in range(n):
            h[j] = (row[j] - mean) * root
        if beta is None:
            for j in range(n):
                out[j] = h[j] * gamma[j]
        else:
            for j in range(n):
                out[j] = h[j] * gamma[j] + beta[j]


@loop(given(Matrix), given(Matrix), given(Matrix), given(Vector), Flag, Matrix, Vector, Vector)
def rows_normalized_backward(dy, xhat, r, gamma, centred, dx, dgamma, dbeta):
    m, n = dy.shape
    share = dy.dtype.type(1) / dy.dtype.type(max(n, 1))
    products, totals = np.zeros(n), np.zeros(n)
    p, t = np.zeros(n, dy.dtype), np.zeros(n, dy.dtype)
    for i in range(m):
        d, h, out = dy[i], xhat[i], dx[i]
        mean, slope = dy.dtype.type(0), dy.dtype.type(0)
        for j in range(n):
            g = d[j] * gamma[j]
            mean += g
            slope += g * h[j]
            out[j] = g  # rounded here, so that a row of one number leaves exactly 0
            p[j] += d[j] * h[j]
            t[j] += d[j]
        mean = mean * share if centred else dy.dtype.type(0)
        slope *= share
        root = r[i, 0]
        for j in range(n):
            out[j] = (out[j] - mean - h[j] * slope) * root
        if i % LEAST == LEAST - 1 or i == m - 1:
            fold(p, products)
            fold(t, totals)
    for j in range(n):
        dgamma[j] = products[j]
        dbeta[j] = totals[j]
