"""Whether two libraries do the same work: the losses of the first steps, the first gradients."""

from __future__ import annotations

import numpy as np

from shared.rows import Array

First = tuple[list[float], list[Array]]  # what `Variant.first` returns

GRADIENT = 1e-4  # how far, relatively, a first gradient may lie from ours


def compare(found: First, ours: First) -> tuple[float, float]:
    """The largest relative difference of the losses, and of a gradient (by its norm)."""
    (losses, gradients), (our_losses, our_gradients) = found, ours
    loss = max(abs(a - b) / abs(b) for a, b in zip(losses, our_losses, strict=True))
    far = [
        float(np.linalg.norm(a - b) / np.linalg.norm(b))
        for a, b in zip(gradients, our_gradients, strict=True)
    ]
    return loss, max(far)
