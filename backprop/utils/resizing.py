"""Images of one size from images of another, as TensorFlow resizes them and so Keras' data sets.

It is what `layers.Resizing` does, with three ways more, and where TensorFlow rounds, as it does.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from backprop.layers import interpolation

Array = np.ndarray


def gaussian(d: Array) -> Array:
    """Of standard deviation 1/2, up to 3/2."""
    return np.where(d < 1.5, np.exp(-2 * d * d), 0.0)


def mitchell(d: Array) -> Array:
    """The cubic of Mitchell and Netravali (1988), with B = C = 1/3."""
    near, far = (7 * d - 12) * d * d + 16 / 3, ((-7 / 3 * d + 12) * d - 20) * d + 32 / 3
    return np.where(d < 1, near, np.where(d < 2, far, 0.0)) / 6


KERNELS = interpolation.KERNELS | {"gaussian": gaussian, "mitchellcubic": mitchell}
METHODS = (*interpolation.METHODS, "area", "gaussian", "mitchellcubic")
PLACES = 1024  # between two pixels: TensorFlow has a table of so many values of Keys' kernel


def resize(x: Array, size: tuple[int, int], method: str) -> Array:
    """An image of another size.

    Parameters
    ----------
    x : ndarray, (height, width, channels)
    size : (int, int)
        Height and width.
    method : {"bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", \
"mitchellcubic"}

    Returns
    -------
    ndarray of float32

    Examples
    --------
    >>> import numpy as np
    >>> resize(np.array([[[0.0], [4.0]]]), (1, 4), "bilinear").ravel()
    array([0., 1., 3., 4.], dtype=float32)
    """
    x = np.asarray(x, np.float32)
    for axis, rows in enumerate(size):
        x = along(axis, sparse(x.shape[axis], rows, method), x)
    return np.ascontiguousarray(x)


@lru_cache(maxsize=64)
def sparse(n: int, m: int, method: str) -> Any:
    """R, kept for the images of the same size: of a photograph's pixels few come near those of a
    small image."""
    from scipy.sparse import csr_array

    return csr_array(weights(n, m, method).astype(np.float32))


def along(axis: int, r: Any, x: Array) -> Array:
    """R x along an axis."""
    x = np.moveaxis(x, axis, 0)
    y = r @ x.reshape(len(x), -1)
    return np.moveaxis(y.reshape(len(y), *x.shape[1:]), 0, axis)


def weights(n: int, m: int, method: str) -> Array:
    """R: (m, n), by which m pixels are made of n, as in `interpolation.weights`.

    area weighs a pixel by the share of it that a new one covers.
    """
    scale = n / m
    if method == "nearest":
        place = (np.arange(m, dtype=np.float32) + np.float32(0.5)) * np.float32(scale)
        return (np.minimum(np.floor(place), n - 1)[:, None] == np.arange(n)).astype(np.float64)
    if method == "area":
        begin, pixel = np.arange(m)[:, None] * scale, np.arange(n)
        covered = np.minimum(pixel + 1, begin + scale) - np.maximum(pixel, begin)
        return np.maximum(covered, 0) / scale
    place = (np.arange(m) + 0.5) * scale - 0.5
    if method == "bicubic":
        place = np.rint(place * PLACES) / PLACES
    r = KERNELS[method](np.abs(place[:, None] - np.arange(n)))
    return r / r.sum(1, keepdims=True)


def cropped(x: Array, size: tuple[int, int]) -> Array:
    """The largest part in the middle that has the ratio of a size."""
    (height, width), (high, wide) = x.shape[:2], size
    kept_height = max(min(height, int(width * high / wide)), 1)
    kept_width = max(min(width, int(height * wide / high)), 1)
    top, left = (height - kept_height) // 2, (width - kept_width) // 2
    return x[top : top + kept_height, left : left + kept_width]


def padded(x: Array, size: tuple[int, int], method: str) -> Array:
    """The image as large as it fits into a size, in the middle of black."""
    shape = np.array(x.shape[:2], np.float32)
    inner = shape / np.max(shape / np.array(size, np.float32))  # as TensorFlow rounds
    small = resize(x, (int(inner[0]), int(inner[1])), method)
    y = np.zeros((*size, x.shape[2]), np.float32)
    top, left = (max(0, int((m - n) / 2)) for m, n in zip(size, inner, strict=True))
    y[top : top + small.shape[0], left : left + small.shape[1]] = small
    return y
