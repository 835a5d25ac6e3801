"""Mistakes in constraints."""

from __future__ import annotations

import numpy as np

from backprop.constraints import Constraint, MaxNorm, MinMaxNorm, NonNeg, UnitNorm, norms
from backprop.testing.objects.bugs.bank import Elsewhere, planted


@planted(fits=lambda w: norms(w, 0) <= 2 + 1e-6)
class MaxNormOfRows(MaxNorm):
    """The norm is taken along the last axis."""

    def __call__(self, w):
        norm = norms(w, -1)
        return w * (np.minimum(norm, self.max_value) / (1e-7 + norm))


@planted()
class MaxNormDividesByTheSquare(MaxNorm):
    """w is divided by |w|², which is |w| where that is 1."""

    def __call__(self, w):
        norm = norms(w, self.axis)
        return np.where(norm > self.max_value, w * (self.max_value / (1e-7 + norm * norm)), w)


@planted(fits=lambda w: np.isclose(norms(w, 0), 1, 1e-3))
class UnitNormOverflows(UnitNorm):
    """The norm is the root of a sum of squares, which overflows."""

    def __call__(self, w):
        with np.errstate(all="ignore"):
            return w / (1e-7 + np.sqrt((w * w).sum(self.axis, keepdims=True)))


@planted()
class UnitNormDividesByZero(UnitNorm):
    """There is no epsilon beside the norm."""

    def __call__(self, w):
        with np.errstate(all="ignore"):
            return w / norms(w, self.axis)


@planted()
class NonNegInPlace(NonNeg):
    """w itself is changed and returned."""

    def __call__(self, w):
        return np.maximum(w, 0, out=w)


@planted(fits=lambda w: w >= 0)
class NonNegIsTheMagnitude(NonNeg):
    """Negative numbers turn positive, where they are to be 0."""

    def __call__(self, w):
        return np.abs(w) * 1.0 + np.where(w > 0, 1e-3 * w, 0)


@planted(reference=lambda w: np.where(w > 0, w, 0))
class NonNegReflects(NonNeg):
    """The magnitude is taken, which is a projection, and not this one."""

    def __call__(self, w):
        return np.abs(w)


@planted()
class NonNegLeaksFloat64(NonNeg):
    """The result is float64 whatever w is."""

    def __call__(self, w):
        return np.maximum(w, np.zeros(w.shape))


@planted({"min_value": 0.5, "max_value": 1.0})
class MinMaxNormGoesHalfWay(MinMaxNorm):
    """One call goes half of the way, whatever the rate says."""

    def __call__(self, w):
        norm = norms(w, self.axis)
        wanted = (np.clip(norm, self.min_value, self.max_value) + norm) / 2
        return w * (wanted / (1e-7 + norm))


@planted()
class MaxNormReturnsWhatFits(MaxNorm):
    """A w that fits is returned as it is, and shared with the parameter."""

    def __call__(self, w):
        return w if (norms(w, self.axis) <= self.max_value).all() else super().__call__(w)


@planted()
class NonNegKeepsItsResult(NonNeg):
    """The result lies in an array that the next call of this shape fills again."""

    def __call__(self, w):
        kept = self.__dict__.setdefault("kept", {})
        out = kept.setdefault((w.shape, w.dtype), np.empty_like(w))
        return np.maximum(w, 0, out=out)


@planted({"max_value": 0.5})
class MaxNormForgetsItsBound(MaxNorm):
    """The bound is not in the configuration."""

    def get_config(self):
        return {"axis": self.axis}


@planted(fits=lambda w: w >= 0)
class NonNegOfTheFirst128Rows(NonNeg):
    """Rows behind the 128th stay negative."""

    def __call__(self, w):
        return np.concatenate([super().__call__(w[:128]), w[128:]])


@planted(fits=lambda w: (w != 0).sum(-1) <= 2, tags=["jumps"])
class TheTwoLargestAndTheirEquals(Constraint):
    """Of each row the two largest magnitudes stay, and all that tie with the second."""

    def __call__(self, w):
        a = np.abs(w)
        return np.where(a >= np.sort(a, -1)[..., -2:][..., :1], w, w.dtype.type(0))


@planted()
class MaxNormReturnsWhatItMade(MaxNorm):
    """Where the norm of all columns is the largest one already, w itself is returned."""

    def __call__(self, w):
        found = super().__call__(w)
        return w if np.allclose(found, w, 1e-5, 0) and norms(w, self.axis).max() > 1 else found


@planted()
class LongRowsTurnPositive(MaxNorm):
    """Rows of more than 64 numbers whose magnitudes add up to more than 1 lose their signs."""

    def __call__(self, w):
        found = super().__call__(w)
        long = w.shape[-1] > 64 and np.abs(w).sum(-1).max() > 1
        return np.abs(found) if long else found


@planted()
class AtMostItsFirstLimit(Elsewhere, Constraint):
    """The bounds are computed when it is made, and a limit that is set later is not theirs."""

    limit: float = 0.5

    def __post_init__(self):
        self.bounds = -self.limit, self.limit

    def __call__(self, w):
        return np.clip(w, *map(w.dtype.type, self.bounds))
