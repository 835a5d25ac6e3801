"""Stretches of a signal that overlap, and sums of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from backprop.checks import array

Array = np.ndarray


def frames(x: Array, length: int, step: int) -> Array:
    """A frame every `step` samples: (..., T) → (..., frames, length), a view."""
    return sliding_window_view(x, length, axis=-1)[..., ::step, :]


def overlapped(d: Array, step: int, samples: int) -> Array:
    """What the samples of a signal receive from its `frames`: (..., frames, length) → (..., T).

    Every `step` samples of all frames lie beside each other, so that is one sum for each.
    """
    count, length = d.shape[-2:]
    parts = -(-length // step)
    blocks = max(count - 1 + parts, -(-samples // step))
    out = np.zeros((*d.shape[:-2], blocks, step), d.dtype)
    for i in range(parts):
        part = d[..., i * step : (i + 1) * step]
        out[..., i : i + count, : part.shape[-1]] += part
    return np.ascontiguousarray(out.reshape(*d.shape[:-2], blocks * step)[..., :samples])


def window_of(window: Any, length: int, periodic: bool, who: str) -> Array:
    """The window of this name, or the one that was given, in float64."""
    if window is None:
        return np.ones(length)
    if isinstance(window, str):
        from scipy.signal import get_window  # here, because it takes longer to import than NumPy

        return np.asarray(get_window(window, length, periodic))
    found = array(window, who, "window")
    if found.shape != (length,):
        raise ValueError(
            f"{who} expects a window of {length} numbers, one for each sample of a frame, got "
            f"shape {found.shape}"
        )
    return found
