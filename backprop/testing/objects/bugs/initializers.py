"""Mistakes in initializers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from backprop.initializers import (
    GlorotUniform,
    HeNormal,
    Identity,
    Initializer,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
)
from backprop.testing.objects.bugs.bank import Elsewhere, planted


def he(shape: tuple[int, ...]) -> float:
    return math.sqrt(2 / (math.prod(shape[:-2]) * shape[-2]))


def glorot(shape: tuple[int, ...]) -> float:
    return math.sqrt(2 / (math.prod(shape[:-2]) * (shape[-2] + shape[-1])))


@planted({"stddev": 2.0}, mean=0.0, std=2.0)
class NormalTakesTheVariance(RandomNormal):
    """The deviation is taken for a variance."""

    def __call__(self, shape, dtype=None, rng=None):
        return super().__call__(shape, dtype, rng) / math.sqrt(self.stddev)


@planted(mean=0.0, std=he)
class HeNormalTakesFanOut(HeNormal):
    """The variance is 2 / fan_out."""

    def __call__(self, shape, dtype=None, rng=None):
        w = super().__call__(shape, dtype, rng)
        return w * np.sqrt(shape[-2] / shape[-1]).astype(w.dtype) if len(shape) > 1 else w


@planted(mean=0.0, std=glorot)
class GlorotForgetsTheRootOfThree(GlorotUniform):
    """The limit is the deviation that was wanted."""

    def __call__(self, shape, dtype=None, rng=None):
        w = super().__call__(shape, dtype, rng)
        return w / w.dtype.type(math.sqrt(3))


@planted({"stddev": 1.0}, mean=0.0, low=-2.0, high=2.0)
class TruncatedKeepsItsTails(TruncatedNormal):
    """Numbers beyond two deviations stay."""

    def __call__(self, shape, dtype=None, rng=None):
        return RandomNormal(self.mean, self.stddev)(shape, dtype, rng)


@planted({"minval": -1.0, "maxval": 1.0}, mean=0.0, std=1 / math.sqrt(3))
class UniformIsPositive(RandomUniform):
    """Numbers are drawn from 0 to the upper limit."""

    def __call__(self, shape, dtype=None, rng=None):
        return np.abs(super().__call__(shape, dtype, rng))


@planted()
class NormalDrawsFromTheClock(RandomNormal):
    """A generator of its own draws, which the one that is given does not reach."""

    def __call__(self, shape, dtype=None, rng=None):
        return np.asarray(
            np.random.default_rng(None).standard_normal(shape), np.dtype(dtype or np.float32)
        )


@planted()
class NormalIsDrawnOnce(RandomNormal):
    """An array is kept by its shape, and returned again."""

    def __call__(self, shape, dtype=None, rng=None):
        kept = self.__dict__.setdefault("kept", {})
        key = tuple(shape), np.dtype(dtype or np.float32).name
        if key not in kept:
            kept[key] = super().__call__(shape, dtype, rng)
        return kept[key]


@planted()
class NormalIsFloat64(RandomNormal):
    """float64 is made whatever is asked for."""

    def __call__(self, shape, dtype=None, rng=None):
        return super().__call__(shape, np.float64, rng)


@planted()
class NormalAsksForFloat32(Initializer):
    """The generator draws in the dtype itself, and float32 begins elsewhere than float64."""

    def __call__(self, shape, dtype=None, rng: Any = None):
        return np.asarray(rng.standard_normal(shape, np.dtype(dtype or np.float32)))


@planted()
class NormalRepeatsARow(RandomNormal):
    """One row is drawn for all units."""

    def __call__(self, shape, dtype=None, rng=None):
        w = super().__call__(shape, dtype, rng)
        if len(shape) > 1:
            w[...] = w[:1].copy()
        return w


@planted()
class NormalForgetsItsDeviation(RandomNormal):
    """The deviation is not in the configuration."""

    def __init__(self, stddev=0.5, **kwargs):
        super().__init__(**kwargs)
        self.__dict__["stddev"] = stddev

    def get_config(self):
        return {k: v for k, v in super().get_config().items() if k != "stddev"}

    def __copy__(self):
        return type(self)(0.25)


@planted(
    tags=["constant"],
    small=[(3, 4), (2, 2)],
    shapes=[(3, 4)],
    reference=lambda shape, rng: np.eye(*shape),
)
class IdentityIsBesideTheDiagonal(Identity):
    """The ones are one place too far to the right."""

    def __call__(self, shape, dtype=None, rng=None):
        return np.eye(*shape, k=1, dtype=dtype or np.float32)


@planted()
class NormalIsMirrored(RandomNormal):
    """Of more than a thousand numbers half are drawn; the others are these, with the other sign."""

    def __call__(self, shape, dtype=None, rng=None):
        w = super().__call__(shape, dtype, rng)
        flat, half = w.reshape(-1), w.size // 2
        if half > 500:
            flat[half : 2 * half] = -flat[:half]
        return w


@planted()
class NormalHasASeedOfItsOwn(RandomNormal):
    """Where no generator is given, it draws from one of seed 0."""

    def __call__(self, shape, dtype=None, rng=None):
        return super().__call__(shape, dtype, np.random.default_rng(0) if rng is None else rng)


@planted()
class NormalHasTheDigitsOfFloat32(RandomNormal):
    """The numbers are made in float32, also where float64 is asked for."""

    def __call__(self, shape, dtype=None, rng=None):
        return super().__call__(shape, np.float32, rng).astype(dtype or np.float32)


@planted()
class NormalKeepsItsFirstDeviation(Elsewhere, Initializer):
    """The deviation is computed when it is made, and a variance that is set later has none."""

    variance: float = 4.0

    def __post_init__(self):
        self.std = math.sqrt(self.variance)

    def __call__(self, shape, dtype=None, rng=None):
        return RandomNormal(stddev=self.std)(shape, dtype, rng)
