"""Sums over calls of a layer that runs several times in one pass."""

from __future__ import annotations

import numpy as np

from backprop.layer import Layer


class Sums:
    """The gradients of a layer, added up over its calls: each `backward` sets those of one."""

    def __init__(self, layer: Layer):
        trained = [p for p in layer.arrays() if p.gradient is not None]
        self.totals = [(p, np.zeros_like(p.gradient)) for p in trained]

    def add(self) -> None:
        """Those that a call has set."""
        for p, total in self.totals:
            total += p.gradient

    def put(self) -> None:
        """Set each gradient to its sum."""
        for p, total in self.totals:
            p.gradient[...] = total
