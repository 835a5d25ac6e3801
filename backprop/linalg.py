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


def softmax(z: Array, axis: int | tuple[int, ...] = -1) -> Array:
    """exp(z) / Σ exp(z) along `axis`."""
    # the largest exponent is 0: nothing overflows
    p = np.exp(z - z.max(axis, keepdims=True, initial=-np.inf))
    p /= p.sum(axis, keepdims=True)
    return p


def logsumexp(z: Array, axis: int | tuple[int, ...] = -1) -> Array:
    """log Σ exp(z) along `axis`, which stays as an axis of length one."""
    top = z.max(axis, keepdims=True, initial=-np.inf)
    return top + np.log(np.exp(z - top).sum(axis, keepdims=True))


def log_softmax(z: Array, axis: int | tuple[int, ...] = -1) -> Array:
    """z - log Σ exp(z) along `axis`."""
    # the maximum first, so that large z do not swallow the logarithm's digits
    z = z - z.max(axis, keepdims=True, initial=-np.inf)
    z -= np.log(np.exp(z).sum(axis, keepdims=True))
    return z


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(-z)), as a tanh: it neither overflows nor branches."""
    s = np.tanh(0.5 * z)
    s *= 0.5
    s += 0.5
    return s


def one_hot(labels: Array, classes: int, dtype=np.float32) -> Array:
    """Rows of the identity: integers (...) → (..., classes)."""
    return np.eye(classes, dtype=dtype)[labels]


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
