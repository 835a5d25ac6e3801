"""Statistics of channels and of rows, and what is normalised with them."""

from __future__ import annotations

from math import gcd

import numpy as np

from backprop.kernels.switch import kernel
from backprop.linalg import rows_of, sum_last, sum_rows
from backprop.parallel import blocks
from backprop.tuning import NORMALIZATION_BLOCK, NORMALIZATION_ROW

Array = np.ndarray

# --------------------------------------------------------------------- channels, over all rows
#
# Images have more numbers than fit into a cache, and to read them takes longer than what is made of
# them. So they are walked over in blocks, each of which is there for all operations on it. A row of
# 64 channels is too short for NumPy to be fast along it; as all rows are treated alike, some of
# them are taken as one.


def tiles(x: Array) -> tuple[Array, int]:
    """(m, n) as (rows, k n), k rows side by side, and k; a view."""
    n = x.shape[-1]
    k = gcd(len(x), 1 << max(NORMALIZATION_ROW // max(n, 1), 1).bit_length() - 1)
    return x.reshape(-1 if x.size else 0, k * n), k


def walk(t: Array):
    """(slice of t's rows, memory of that size) for a block of numbers at a time."""
    step = rows_of(t, NORMALIZATION_BLOCK)
    room = np.empty((min(step, len(t)), t.shape[1]), t.dtype)
    for at in blocks(slice(0, len(t)), step):
        yield at, room[: at.stop - at.start]


def folded(sums: list[Array], n: int, dtype) -> Array:
    """Sums of blocks over tiles, as sums over rows: (blocks, k n) → (n,)."""
    found = np.array(sums, dtype)
    return found.reshape(found.size // max(n, 1), n).sum(0)


@kernel
def moments(x: Array, mean: Array, squares: Array) -> None:
    """mean = Σ x / m        squares = Σ (x - mean)²

    x: (m, n)    mean, squares: (n,)

    x is read once. Each block b gives the sum of its m_b rows, and the squares around its own mean:

        Σ (x - mean)² = Σ_b (Σ (x - mean_b)² + m_b (mean_b - mean)²)

    Source: T. Chan, G. Golub and R. LeVeque, "Algorithms for Computing the Sample Variance", 1983.
    """
    (t, k), (m, n) = tiles(x), x.shape
    counts, totals, around = [], [], []
    for at, room in walk(t):
        total = sum_rows(t[at])
        d = np.subtract(t[at], total / len(room), out=room)
        counts.append(len(room))
        totals.append(total)
        around.append(sum_rows(np.multiply(d, d, out=d)))
    mean[...] = folded(totals, n, x.dtype) / max(m, 1)
    count = np.array(counts, x.dtype).reshape(-1, 1, 1)
    apart = np.array(totals, x.dtype).reshape(-1, k, n) / count - mean
    squares[...] = folded(around, n, x.dtype) + (count * apart**2).sum((0, 1))


@kernel
def products(dy: Array, x: Array, mean: Array, along: Array, total: Array) -> None:
    """along = Σ dy (x - mean)        total = Σ dy

    dy, x: (m, n)    mean, along, total: (n,)
    """
    (t, k), n = tiles(dy), x.shape[1]
    z, wide, alongs, totals = x.reshape(t.shape), np.tile(mean, k), [], []
    for at, room in walk(t):
        d = np.subtract(z[at], wide, out=room)
        alongs.append(sum_rows(np.multiply(t[at], d, out=d)))
        totals.append(sum_rows(t[at]))
    along[...] = folded(alongs, n, x.dtype)
    total[...] = folded(totals, n, x.dtype)


@kernel
def affine(x: Array, mean: Array, a: Array, c: Array, y: Array) -> None:
    """y = (x - mean) a + c

    x, y: (m, n)    mean, a, c: (n,)
    """
    t, k = tiles(x)
    y, mean, a, c = y.reshape(t.shape), np.tile(mean, k), np.tile(a, k), np.tile(c, k)
    for at, _ in walk(t):
        here = np.subtract(t[at], mean, out=y[at])
        here *= a
        here += c


@kernel
def affine_of_both(
    dy: Array, x: Array, mean: Array, a: Array, c: Array, b: Array, dx: Array
) -> None:
    """dx = (dy - c - (x - mean) a) b

    dy, x, dx: (m, n)    mean, a, c, b: (n,)

    The differences come first: where they are 0, so is dx.
    """
    t, k = tiles(x)
    z, dx = dy.reshape(t.shape), dx.reshape(t.shape)
    mean, a = np.tile(mean, k), np.tile(a, k)
    c, b = np.tile(c, k), np.tile(b, k)
    for at, room in walk(t):
        here = np.subtract(z[at], c, out=dx[at])
        d = np.subtract(t[at], mean, out=room)
        d *= a
        here -= d
        here *= b


# ---------------------------------------------------------------------------- rows, each by itself


@kernel
def rows_normalized(
    x: Array,
    gamma: Array,
    beta: Array | None,
    epsilon: float,
    centred: bool,
    xhat: Array,
    r: Array,
    y: Array,
) -> None:
    """x̂ = (x - mean) r        r = 1 / sqrt(⟨(x - mean)²⟩ + epsilon)        y = gamma x̂ + beta

    x, x̂, y: (m, n)    r: (m, 1)    gamma, beta: (n,)

    mean is ⟨x⟩ where it is `centred`, else 0.
    """
    share = x.dtype.type(1 / max(x.shape[1], 1))
    if centred:
        x = np.subtract(x, sum_last(x)[:, None] * share, out=xhat)
    r[...] = 1 / np.sqrt(np.vecdot(x, x)[:, None] * share + epsilon)
    np.multiply(x, r, out=xhat)
    np.multiply(xhat, gamma, out=y)
    if beta is not None:
        y += beta


@kernel
def rows_normalized_backward(
    dy: Array,
    xhat: Array,
    r: Array,
    gamma: Array,
    centred: bool,
    dx: Array,
    dgamma: Array,
    dbeta: Array,
) -> None:
    """dx = r (dx̂ - ⟨dx̂⟩ - x̂ ⟨dx̂ x̂⟩), where dx̂ = gamma dy; without ⟨dx̂⟩ where it is not `centred`

    dgamma = Σ dy x̂        dbeta = Σ dy

    dy, x̂, dx: (m, n)    r: (m, 1)    gamma, dgamma, dbeta: (n,)
    """
    share = dy.dtype.type(1 / max(dy.shape[1], 1))
    sum_rows(np.multiply(dy, xhat, out=dx), out=dgamma)
    sum_rows(dy, out=dbeta)
    np.multiply(dy, gamma, out=dx)
    slope = np.vecdot(dx, xhat)[:, None] * share
    if centred:
        dx -= sum_last(dx)[:, None] * share
    dx -= xhat * slope
    dx *= r
