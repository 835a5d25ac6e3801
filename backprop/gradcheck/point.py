"""The point at which a check looks, and the directions in which it moves.

Numbers are rounded to float32, so that float32 and float64 see the same ones. Parameters and
buffers leave gamma = 1, bias = 0, variance = 1, where mistakes hide. No entry of a direction is
small, so that a wrong entry anywhere shows. What stands for a mask is no number, and stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from backprop.gradcheck.probe import Array, Probe
from backprop.layers import Chain, InputLayer


def leave_special_values(probe: Probe, rng: np.random.Generator) -> None:
    """Move parameters and buffers: at gamma = 1, bias = 0, variance = 1 mistakes hide."""
    for p in probe.parameters:
        rms = float(np.sqrt(np.mean(p.value**2))) if p.size else 0.0
        p.value += signs(p.shape, rng, 0.1, 0.5) * (rms or 1.0)
    # upwards only: a variance stays one
    probe.set_buffers(
        [
            b * (1 + 0.5 * rng.random(b.shape)) + 0.25 * rng.random(b.shape)
            if b.dtype.kind == "f"
            else b
            for _, b in probe.buffers
        ]
    )


def signs(
    shape: Sequence[int], rng: np.random.Generator, least: float = 0.5, most: float = 1.5
) -> Array:
    """A direction in which no entry is small: ±1 times 0.5 to 1.5."""
    u = rng.random(shape, np.float32)  # half the time of float64, and as good
    u -= 0.5
    u *= 2 * (most - least)
    u += np.copysign(np.float32(least), u)
    return u.astype(np.float64)


def standing_still(probe: Probe) -> list[Array | None]:
    """Which entries of each slot stand for a mask; None where none does.

    They are not moved: what happens when a step turns from a padded into a real one is no slope.
    """
    found: list[Array | None] = [None] * len(probe.slots)
    x, mask = probe.x, mask_of(probe.layer, probe.x)
    for i, slot in enumerate(probe.slots):
        if slot.parameter is None and mask is not None and not mask.all():
            wide = ~mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim))
            found[i] = np.broadcast_to(wide, x.shape)
    return found


def mask_of(layer: Any, x: Array) -> Array | None:
    """The mask that a layer, or the first of a chain, makes of x."""
    if isinstance(layer, Chain):
        first = next((part for part in layer.layers if not isinstance(part, InputLayer)), None)
        return None if first is None else mask_of(first, x)
    if layer.sublayers() or not getattr(layer, "changes_mask", False):
        return None
    mask = layer.compute_mask(x, None)
    return None if mask is None else np.asarray(mask, bool)


def single(a: Array) -> Array:
    """The same numbers as float32 holds them, in float64; as they are where float32 cannot."""
    if a.dtype.kind != "f":
        return a
    rounded = a.astype(np.float32).astype(np.float64)
    return rounded if np.isfinite(rounded).all() else a.astype(np.float64)


def narrow(subject: Any) -> bool:
    """Whether the subject computes in float32."""
    return subject.dtype is None or np.dtype(subject.dtype) == np.float32


def of_loss(loss: Any, x: Any, y: Any) -> tuple[Array, Array, Array | None]:
    """(y_pred, y_true, sample_weight) of what was given for a loss."""
    if y is not None or not isinstance(x, tuple | list) or len(x) not in (2, 3):
        raise ValueError(
            f"gradcheck() of a loss expects (y_true, y_pred) or (y_true, y_pred, sample_weight) "
            f"as x and no y: gradcheck({loss!r}, (y_true, y_pred))"
        )
    weight = np.asarray(x[2]) if len(x) == 3 and x[2] is not None else None
    return np.asarray(x[1], np.float64), np.asarray(x[0]), weight
