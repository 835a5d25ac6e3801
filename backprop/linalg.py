"""The maths that layers share. Each function returns an array of its own, of its input's dtype."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def rows(x: Array) -> Array:
    """All leading axes as one: (..., n) → (rows, n). A view where memory allows."""
    return x if x.ndim == 2 else x.reshape(-1, x.shape[-1])


def sum_rows(x: Array) -> Array:
    """Σ over all axes but the last: (..., n) → (n,)."""
    x = rows(x)  # a product with ones is twice as fast as sum(0)
    return np.ones(x.shape[0], x.dtype) @ x


def mean(x: Array, axis: int | tuple[int, ...] = -1) -> Array:
    """The mean over `axis`, which stays as an axis of length one."""
    return x.mean(axis, keepdims=True)


def sum_last(x: Array) -> Array:
    """Σ over the last axis, by a product with ones: (..., k) → (...)."""
    return x[..., 0] if x.shape[-1] == 1 else x @ np.ones(x.shape[-1], x.dtype)


def max_last(x: Array) -> Array:
    """The maximum over the last axis: (..., k) → (..., 1).

    NumPy reduces row by row; where rows are short, the columns of a copy are faster.
    """
    if not 0 < x.shape[-1] <= 64:
        return x.max(-1, keepdims=True, initial=-np.inf)
    return np.ascontiguousarray(rows(x).T).max(0).reshape(*x.shape[:-1], 1)


def softmax(z: Array, axis: int | tuple[int, ...] = -1) -> Array:
    """exp(z) / Σ exp(z) along `axis`."""
    # the largest exponent is 0: nothing overflows
    if axis in (-1, z.ndim - 1):
        p = np.exp(z - max_last(z))
        p /= sum_last(p)[..., None]
    else:
        p = np.exp(z - z.max(axis, keepdims=True, initial=-np.inf))
        p /= p.sum(axis, keepdims=True)
    return p


def log_softmax(z: Array, axis: int | tuple[int, ...] = -1) -> Array:
    """z - log Σ exp(z) along `axis`."""
    # the maximum first, so that large z do not swallow the logarithm's digits
    z = z - z.max(axis, keepdims=True, initial=-np.inf)
    z -= np.log(np.exp(z).sum(axis, keepdims=True))
    return z


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(-z)), without overflow.

    In float32 as a tanh, which does not branch. Far below 0 that has only absolute accuracy, so in
    float64, where gradients are certified, e = exp(-|z|) keeps the relative one.
    """
    if z.dtype == np.float64:
        return np.exp(np.minimum(z, 0)) / (1 + np.exp(-np.abs(z)))
    s = np.tanh(0.5 * z)
    s *= 0.5
    s += 0.5
    return s


def unbroadcast(d: Array, shape: tuple[int, ...]) -> Array:
    """Sum a gradient over the axes along which its array of `shape` was broadcast."""
    if d.shape == tuple(shape):
        return d
    d = d.sum(axis=tuple(range(d.ndim - len(shape))))
    stretched = tuple(i for i, n in enumerate(shape) if n == 1 and d.shape[i] != 1)
    return d.sum(axis=stretched, keepdims=True) if stretched else d


def product_of_rows(x, dy: Array, out: Array) -> None:
    """out = xᵀ dy, summed over all rows: a kernel's gradient. `x` may be a SciPy sparse matrix."""
    if isinstance(x, np.ndarray):
        np.matmul(rows(x).T, rows(dy), out=out)
    else:
        out[...] = x.T @ dy
