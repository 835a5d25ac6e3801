"""Whether two libraries do the same work: the losses of the first steps, the first gradients."""

from __future__ import annotations

import numpy as np

from shared.peers import Peer
from shared.rows import Array, Row

First = tuple[list[float], list[Array]]  # what `Variant.first` returns

SMALL = 1e-4  # of the norm of all gradients: one below it is compared as if it had this norm


def compare(found: First, ours: First) -> tuple[float, float]:
    """The largest relative difference of the losses, and of a gradient (by its norm).

    A gradient that is 0 but for rounding, as that of attention's key bias, which softmax takes away
    again, has no digits to compare: a small one's difference is taken relative to `SMALL`.
    """
    (losses, gradients), (our_losses, our_gradients) = found, ours
    apart = (abs(a - b) / abs(b) for a, b in zip(losses, our_losses, strict=True))
    loss = max(apart, default=0.0)
    norms = [float(np.linalg.norm(g)) for g in our_gradients]
    least = SMALL * float(np.linalg.norm(norms))
    far = [
        float(np.linalg.norm(a - b)) / max(norm, least)
        for a, b, norm in zip(gradients, our_gradients, norms, strict=True)
    ]
    return loss, max(far)


def allowed(row: Row, peer: Peer) -> tuple[float, float]:
    """What the two differences must be below."""
    return max(row.loss_tolerance, peer.tolerance), row.gradient_tolerance
