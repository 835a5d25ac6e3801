"""Mistakes that show in a layer's life: frozen, copied, in its fortieth call, on two threads.

One forward and one backward pass of a fresh layer are right.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import numpy as np

from backprop.layer import INFERENCE
from backprop.layers.activations.rectifiers import LeakyReLU
from backprop.layers.dense import Dense
from backprop.layers.normalization import BatchNormalization
from backprop.testing.bugs.bank import bug, normal
from backprop.testing.bugs.linear import Spoilt
from backprop.testing.bugs.normalization_paths import BatchByPaths

dense = partial(bug, x=normal(5, 4), inputs="rows", config={"units": 3})
floats = partial(bug, x=normal(4, 5), inputs="floats")


# --------------------------------------------------------------------------------------- frozen


@floats("L", tags=("couples_rows",))
class BatchNormIsReversedAsInTrainingWhenItIsFrozen(BatchByPaths):
    """A frozen layer's statistics are constants, and dx is found as if they moved with x."""

    def through(self, dxhat, xhat, p):
        n = max(len(xhat), 1)
        if self.trainable or p is not None:
            return super().through(dxhat, xhat, p)
        return super().through(dxhat, xhat, xhat.dtype.type(1 / n))


# --------------------------------------------------------------------------- modes and short ways


@dense("L")
class DensePassesHalfBackInInference(Dense):
    """Behind a forward pass in inference dx is half of what it is: saliency is dimmed."""

    def forward(self, x, ctx=INFERENCE):
        y, cache = super().forward(x, ctx)
        return y, (cache, ctx.training)

    def backward(self, dy, cache):
        return super().backward(dy, cache[0]) * (1 if cache[1] else 0.5)

    def backward_params(self, dy, cache):
        super().backward_params(dy, cache[0])


# ---------------------------------------------------------------------------------------- copies


@floats("L", config={"negative_slope": 0.5}, tags=("piecewise",))
class LeakyReluFromAConfigurationGoesBackByTheDefault(LeakyReLU):
    """One from a configuration has the given slope in forward, and the default one going back."""

    @classmethod
    def from_config(cls, config, custom_objects=None):
        made = super().from_config(config, custom_objects)
        made.__dict__["_back"] = 0.3
        return made

    def backward(self, dy, cache):
        back = self.__dict__.get("_back", self.negative_slope)
        return np.where(cache >= 0, dy, dy * dy.dtype.type(back))


# ----------------------------------------------------------------------------------------- order


@dense("L")
class DenseWarmsUp(Spoilt):
    """The first backward pass of a layer's life leaves its bias alone."""

    def spoil(self, x, dz):
        if not self.__dict__.get("_warm"):
            self.dbias = np.zeros_like(self.dbias)
        self.__dict__["_warm"] = True


@dense("L")
class DenseKnowsItsInputByItsSum(Dense):
    """x is kept by its shape and its sum, and a batch in another order gets the old one's."""

    def forward(self, x, ctx=INFERENCE):
        y, (x, a) = super().forward(x, ctx)
        known = self.__dict__.setdefault("_known", {})
        return y, (known.setdefault((x.shape, x.dtype.char, round(float(x.sum()), 9)), x), a)


@floats("L", tags=("couples_rows",))
class BatchNormReversesWithItsLastShare(BatchNormalization):
    """The number of rows is that of the forward pass that ran last."""

    def forward(self, x, ctx=INFERENCE):
        y, cache = super().forward(x, ctx)
        self.__dict__["_p"] = cache[3]
        return y, cache

    def backward(self, dy, cache):
        x, mean, r, _, corrected = cache
        return super().backward(dy, (x, mean, r, self.__dict__["_p"], corrected))


# -------------------------------------------------------------------------------------- threads


@dense("L", verdict="equivalent")
class DenseTakesATableThatAllThreadsShare(Dense):
    """Zeros of one shape are made once for all layers of the class, and only read."""

    shared: ClassVar[dict] = {}

    def backward_linear(self, dz, x):
        dx = super().backward_linear(dz, x)
        key = dx.shape, dx.dtype.char
        return dx + self.shared.setdefault(key, np.zeros(dx.shape, dx.dtype))
