"""Numbers of images beside their pixels, and the range that pixels lie in."""

from __future__ import annotations

from typing import Any

import numpy as np

Range = tuple[float, float]


def of_images(numbers: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A number for each image, (N,), so that it meets x: (N, 1, 1, 1), in x's dtype."""
    return np.asarray(numbers).reshape(-1, 1, 1, 1).astype(x.dtype, copy=False)


def within(y: np.ndarray, value_range: Range) -> np.ndarray:
    """Where y lies in a range: what clipping leaves as it is, with slope 1, its ends too."""
    low, high = value_range
    return (y >= low) & (y <= high)


def clipped(y: np.ndarray, value_range: Range) -> tuple[np.ndarray, np.ndarray]:
    """y clipped to a range in its own memory, and where it was within."""
    passed = within(y, value_range)
    return y.clip(*value_range, out=y), passed


def as_bytes(x: np.ndarray, value_range: Range) -> np.ndarray:
    """x on the scale on which its range is from 0 to 255."""
    low, high = value_range
    return x if (low, high) == (0, 255) else (x - low) / (high - low) * 255


def from_bytes(x: np.ndarray, value_range: Range) -> np.ndarray:
    """The way back of `as_bytes`."""
    low, high = value_range
    return x if (low, high) == (0, 255) else x / 255 * (high - low) + low


def over(axes, reduce: Any, x):
    """A sum, or the like, over several axes: one after the other, which is faster by far where a
    short axis is the last."""
    for axis in axes:
        x = reduce(x, axis, keepdims=True)
    return x
