"""Mistakes in regularizers."""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.regularizers import L1, L1L2, L2, OrthogonalRegularizer, Regularizer
from backprop.testing.objects import MATRICES
from backprop.testing.objects.bugs.bank import Elsewhere, planted


@planted()
class L2ForgetsItsTwo(L2):
    """The slope of l2 w² is taken for l2 w."""

    def gradient(self, w):
        return self.l2 * w


@planted()
class L2IsAveragedOnItsWayBack(L2):
    """The gradient is divided by the number of weights, and the penalty is not."""

    def gradient(self, w):
        return 2 * self.l2 * w / max(w.size, 1)


@planted({"l1": 0.1})
class L1IsSmoothed(L1):
    """The slope is w / (|w| + 1e-3), which is sign(w) for large weights alone."""

    def gradient(self, w):
        return (self.l1 * w / (np.abs(w) + 1e-3)).astype(w.dtype)


@planted({"l1": 0.1, "l2": 0.2})
class L1L2ForgetsTheKink(L1L2):
    """The gradient has the part of l2 alone."""

    def gradient(self, w):
        return 2 * self.l2 * w


@planted()
class L2GivesAnArray(L2):
    """The penalty of each weight is returned, and not their sum."""

    def __call__(self, w) -> Any:
        return self.l2 * w * w


@planted()
class L2LeaksFloat64(L2):
    """The gradient is float64 whatever w is."""

    def gradient(self, w):
        return np.float64(2 * self.l2) * w


@planted({"l2": 0.5})
class L2ReturnsW(L2):
    """Where the factor is 1 the gradient is w itself."""

    def gradient(self, w):
        return w


@planted()
class L2ScalesInPlace(L2):
    """The gradient is made in w's own memory, and w put back."""

    def gradient(self, w):
        w *= 2 * self.l2
        found = w.copy()
        w /= 2 * self.l2
        return found


@planted(shapes=MATRICES)
class OrthogonalDividesByZero(OrthogonalRegularizer):
    """A row of zeros is divided by its length."""

    def directions(self, w):
        x = w if self.mode == "rows" else w.T
        length = np.sqrt((x * x).sum(1, keepdims=True))
        with np.errstate(all="ignore"):
            return x / length, length


@planted(shapes=MATRICES)
class OrthogonalForgetsTheLength(OrthogonalRegularizer):
    """The gradient is that with respect to the directions."""

    def gradient(self, w):
        xhat, _ = self.directions(w)
        s = np.sign(xhat @ xhat.T)
        np.fill_diagonal(s, 0)
        d = self.weight(len(xhat)) * (s @ xhat)
        d -= xhat * (d * xhat).sum(1, keepdims=True)
        return d if self.mode == "rows" else np.ascontiguousarray(d.T)


@planted()
class L2KeepsItsFirstSum(L2):
    """The penalty of the first w is returned for every w of its size."""

    def __call__(self, w):
        kept = self.__dict__.setdefault("kept", {})
        return kept.setdefault(w.size, super().__call__(w))


@planted()
class L2GrowsWithItsCalls(L2):
    """The factor is a little larger after each call."""

    calls = 0

    def __call__(self, w):
        self.__dict__["calls"] = self.calls + 1
        return super().__call__(w) * (1 + 1e-14 * self.calls**3)


@planted(reference=lambda w: 0.01 * float((w * w).sum()))
class L2IsHalf(L2):
    """Penalty and gradient are half of what they should be, as in many textbooks."""

    def __call__(self, w):
        return super().__call__(w) / 2

    def gradient(self, w):
        return self.l2 * w


@planted({"scale": 3.0})
class ScaledIsNotKept(Regularizer):
    """An argument is kept behind the configuration's back, which says another."""

    def __init__(self, scale=1.0):
        self.scale, self._arguments = scale, {"scale": 1.0}

    def __call__(self, w):
        return self.scale * float((w * w).sum())

    def gradient(self, w):
        return (2 * self.scale * w).astype(w.dtype)


@planted()
class L2OfTheFirst64Columns(L2):
    """Columns behind the 64th have no gradient."""

    def gradient(self, w):
        g = super().gradient(w)
        g[..., 64:] = 0
        return g


@planted()
class SquareKeepsItsFirstFactor(Elsewhere, Regularizer):
    """Twice the factor is computed when it is made, and the slope keeps it."""

    scale: float = 0.4

    def __post_init__(self):
        self.twice = 2 * self.scale

    def __call__(self, w):
        return self.scale * float((w * w).sum())

    def gradient(self, w):
        return (self.twice * w).astype(w.dtype)


@planted()
class L2OfOneColumnIsFree(L2):
    """Of a matrix with one column the penalty is 0, and the gradient is not."""

    def __call__(self, w):
        return 0.0 if w.ndim == 2 and w.shape[-1] == 1 < len(w) else super().__call__(w)


@planted()
class L2CountsItsColumnsInEightBits(L2):
    """Columns behind the 256th have no gradient."""

    def gradient(self, w):
        g = super().gradient(w)
        g[..., 256:] = 0
        return g
