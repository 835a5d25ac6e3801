"""Axes: how shapes meet, and the last axis as the one that a sample's mean runs along."""

from __future__ import annotations

import numpy as np

from backprop.linalg import sum_last

Array = np.ndarray


def same_rank(a: Array, b: Array) -> tuple[Array, Array]:
    """Keras' rule where only one has a last axis of length 1: a vector gains it, else it goes."""
    if a.ndim == b.ndim + 1 and a.shape[-1] == 1:
        return (a, b[:, None]) if b.ndim == 1 else (a[..., 0], b)
    if b.ndim == a.ndim + 1 and b.shape[-1] == 1:
        return (a[:, None], b) if a.ndim == 1 else (a, b[..., 0])
    return a, b


def leading(w: Array, shape: tuple[int, ...]) -> Array:
    """`w` with axes of length 1 appended, where its axes are the first ones of `shape`."""
    missing = len(shape) - w.ndim
    return w.reshape(w.shape + (1,) * missing) if missing > 0 and w.shape == shape[: w.ndim] else w


def agree(a: tuple[int | None, ...], b: tuple[int | None, ...]) -> bool:
    return len(a) == len(b) and all(
        m == n or m is None or n is None for m, n in zip(a, b, strict=True)
    )


def mean_last(x: Array) -> Array:
    """The mean over the last axis: (..., k) → (...)."""
    return sum_last(x) / x.shape[-1]


def through_mean(dvalues: Array, x: Array) -> Array:
    """What each element of a mean over the last axis of `x` gets of dvalues: (...) → (..., 1)."""
    return (dvalues / x.shape[-1])[..., None]


def last(x: Array, axis: int) -> Array:
    """A view with `axis` moved to the end."""
    return x if axis in (-1, x.ndim - 1) else np.moveaxis(x, axis, -1)


def unlast(x: Array, axis: int) -> Array:
    """A view with the last axis moved back to `axis`."""
    return x if axis in (-1, x.ndim - 1) else np.moveaxis(x, -1, axis)
