"""The maths that layers share. Each function returns an array of its own, of its input's dtype."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from backprop.parallel import share
from backprop.tuning import (
    CLIPPED_NUMBERS,
    KEPT_VECTOR,
    RECTIFIED_NUMBERS,
    SHARED_PRODUCTS,
    SHORT_ROW,
)

Array = np.ndarray


def rows(x: Array) -> Array:
    """All leading axes as one: (..., n) → (rows, n). A view where memory allows."""
    return x if x.ndim == 2 else x.reshape(-1, x.shape[-1])


def rows_of(x: Array, numbers: int) -> int:
    """How many entries along x's first axis hold about so many numbers; one at least."""
    return max(numbers * len(x) // max(x.size, 1), 1)


def sum_rows(x: Array, out: Array | None = None) -> Array:
    """Σ over all axes but the last: (..., n) → (n,)."""
    if x.ndim != 2:
        x = rows(x)
    if out is None or out.dtype is x.dtype:  # a product with ones is twice as fast as sum(0)
        return ones(x.shape[0], x.dtype).dot(x, out)
    product(ones(x.shape[0], x.dtype), x, out)
    return out


def and_sum(dz: Array, dbias: Array | None = None) -> Array:
    """dz, once dbias = Σ_rows dz is set where there is a bias."""
    if dbias is not None:
        sum_rows(dz, out=dbias)
    return dz


def ones(n: int, dtype) -> Array:
    """A vector of ones to multiply with; a short one is the same read-only array every time."""
    return short_ones(n, dtype) if n <= KEPT_VECTOR else np.ones(n, dtype)


@lru_cache(maxsize=256)
def short_ones(n: int, dtype) -> Array:
    return constant(np.ones(n, dtype))


@lru_cache(maxsize=64)
def zeros(shape: tuple[int, ...], dtype) -> Array:
    """A read-only array of zeros, the same one every time: for small shapes."""
    return constant(np.zeros(shape, dtype))


def multiples(n: int, k: int) -> Array:
    """0, k, 2k ... : where n rows of k entries begin; short ones are the same read-only array every
    time."""
    return short_multiples(n, k) if n <= KEPT_VECTOR else np.arange(0, n * k, k)


@lru_cache(maxsize=64)
def short_multiples(n: int, k: int) -> Array:
    return constant(np.arange(n) * k)


def constant(x: Array) -> Array:
    x.flags.writeable = False
    return x


def mean(x: Array, axis: int | tuple[int, ...] = -1) -> Array:
    """The mean over `axis`, which stays as an axis of length one."""
    return x.mean(axis, keepdims=True)


def sum_last(x: Array) -> Array:
    """Σ over the last axis, by a product with ones: (..., k) → (...)."""
    if x.shape[-1] == 1:
        return x[..., 0]
    if x.ndim > 2:  # of more axes NumPy makes a product for each row
        *places, k = x.shape
        return x.reshape(math.prod(places), k).dot(ones(k, x.dtype)).reshape(places)
    return x.dot(ones(x.shape[-1], x.dtype))


def positive(x: Array, out: Array | None = None) -> Array:
    """max(x, 0), in the faster of two spellings for its size, and by all threads if it is long."""
    if x.size < CLIPPED_NUMBERS:
        return np.maximum(x, zeros(x.shape, x.dtype), out=out)
    if x.size < 2 * RECTIFIED_NUMBERS:
        return x.clip(0, np.inf, out=out)
    y = np.empty_like(x) if out is None else out
    least = rows_of(x, RECTIFIED_NUMBERS)
    share(lambda part: x[part].clip(0, np.inf, out=y[part]), len(x), least, follow=True)
    return y


def max_last(x: Array) -> Array:
    """The maximum over the last axis: (..., k) → (..., 1).

    NumPy reduces row by row; where rows are short, the columns of a copy are faster.
    """
    if not 0 < x.shape[-1] <= SHORT_ROW:
        return x.max(-1, keepdims=True, initial=-np.inf)
    return np.ascontiguousarray(rows(x).T).max(0).reshape(*x.shape[:-1], 1)


def softmax(z: Array, axis: int | tuple[int, ...] = -1, out: Array | None = None) -> Array:
    """exp(z) / Σ exp(z) along `axis`; `out` may be z."""
    # the largest exponent is 0: nothing overflows
    if z.ndim == 2 and 0 < z.shape[1] <= SHORT_ROW and axis in (-1, 1):
        t = np.ascontiguousarray(z.T)
        t = t - np.maximum.reduce(t, axis=0)
        np.exp(t, out=t)
        t /= ones(t.shape[0], t.dtype).dot(t)
        if out is None:
            return np.ascontiguousarray(t.T)
        out[...] = t.T
        return out
    last = axis in (-1, z.ndim - 1)
    top = max_last(z) if last else z.max(axis, keepdims=True, initial=-np.inf)
    p = np.subtract(z, top, out=out)
    np.exp(p, out=p)
    p /= sum_last(p)[..., None] if last else p.sum(axis, keepdims=True)
    return p


def softmax_backward(dy: Array, y: Array, axis: int | tuple[int, ...] = -1) -> Array:
    """y (dy - Σ y dy) along `axis`: dL/dz for y = softmax(z).

    The mean of dy is subtracted twice. Where one y is nearly 1, its dy is nearly all of the mean,
    and the first subtraction leaves what was rounded in it, however large dy is beside the result.
    The second takes that out, and all of dL/dz is as near as y and dy are.
    """

    def mean(d):
        last = axis in (-1, d.ndim - 1)
        return np.vecdot(y, d)[..., None] if last else (y * d).sum(axis, keepdims=True)

    d = dy - mean(dy)
    d -= mean(d)
    d *= y
    return d


def log_softmax(z: Array, axis: int | tuple[int, ...] = -1) -> Array:
    """z - log Σ exp(z) along `axis`."""
    # the maximum first, so that large z do not swallow the logarithm's digits
    z = z - z.max(axis, keepdims=True, initial=-np.inf)
    z -= np.log(np.exp(z).sum(axis, keepdims=True))
    return z


def sigmoid(z: Array, out: Array | None = None) -> Array:
    """1 / (1 + exp(-z)) as e / (1 + e) with e = exp(z), which is as near far below 0 as elsewhere.

    From z = 40 on it is 1 in every digit, and e need not grow further.
    """
    e = np.exp(z.clip(-np.inf, 40, out=out), out=out)
    e /= 1 + e
    return e


def unbroadcast(d: Array, shape: tuple[int, ...]) -> Array:
    """Sum a gradient over the axes along which its array of `shape` was broadcast."""
    if d.shape == tuple(shape):
        return d
    d = d.sum(axis=tuple(range(d.ndim - len(shape))))
    stretched = tuple(i for i, n in enumerate(shape) if n == 1 and d.shape[i] != 1)
    return d.sum(axis=stretched, keepdims=True) if stretched else d


def total(arrays: Sequence[Array]) -> Array:
    """Σ of arrays, which may be broadcast: an array of its own."""
    if len(arrays) == 1:
        return arrays[0].copy()
    found = arrays[0] + arrays[1]
    for array in arrays[2:]:
        if array.shape == found.shape:
            found += array
        else:
            found = found + array
    return found


def of_length_one(x: Array, axes: int | tuple[int, ...], shortest: float) -> tuple[Array, tuple]:
    """y = x / |x| along `axes`, and what the way back needs; what is shorter than `shortest` is
    divided by that."""
    length = np.sqrt((x * x).sum(axes, keepdims=True))
    r = 1 / np.maximum(length, x.dtype.type(shortest))
    y = x * r
    return y, (y, r, length >= shortest, axes)


def of_length_one_backward(dy: Array, cache: tuple) -> Array:
    """r (dy - y Σ dy y), r = 1 / |x|; where x is shorter than what it was divided by, r dy."""
    y, r, divided, axes = cache
    along = (dy * y).sum(axes, keepdims=True)
    return r * (dy - y * (along * divided))


def product_of_rows(x, dy: Array, out: Array) -> None:
    """out = xᵀ dy, summed over all rows: a kernel's gradient. `x` may be a SciPy sparse matrix."""
    if type(x) is np.ndarray and x.dtype is dy.dtype is out.dtype:
        if x.ndim != 2:
            x, dy = rows(x), rows(dy)
        multiply(x.T, dy, out)  # the others do the same, with more questions asked
    elif isinstance(x, np.ndarray):
        product(rows(x).T, rows(dy), out)
    else:
        out[...] = x.T @ dy


def affine(x, kernel: Array) -> Array:
    """z = x kernel over the last axis: (..., n) → (..., units), fresh. A matrix x may be sparse."""
    if x.ndim == 2:
        return multiply(x, kernel)
    return multiply(rows(x), kernel).reshape(*x.shape[:-1], kernel.shape[1])


def gradients_of_affine(x, dz: Array, dkernel: Array, dbias: Array | None = None) -> None:
    """dkernel = xᵀ dz and dbias = Σ_rows dz, where there is a bias, for z = x kernel + bias."""
    product_of_rows(x, and_sum(dz, dbias), out=dkernel)


def multiply(a: Array, b: Array, out: Array | None = None) -> Array:
    """a b for matrices. Where BLAS is held to one thread, a large product is shared out by the rows
    of a. `a` may be a SciPy sparse matrix if `out` is None; `out` must have the dtype of both."""
    if a.size * b.shape[1] < SHARED_PRODUCTS or not isinstance(a, np.ndarray):
        return a.dot(b) if out is None else a.dot(b, out)
    c = np.empty((len(a), b.shape[1]), np.result_type(a, b)) if out is None else out
    rows_worth_a_thread = SHARED_PRODUCTS // (2 * b.size) + 1
    share(lambda part: np.matmul(a[part], b, out=c[part]), len(a), rows_worth_a_thread, follow=True)
    return c


def product(a: Array, b: Array, out: Array) -> None:
    """out = a b. `dot` takes half a microsecond less than `matmul`, but no out of another dtype."""
    try:
        a.dot(b, out)
    except ValueError:
        np.matmul(a, b, out=out, casting="same_kind")
