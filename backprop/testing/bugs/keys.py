"""Results that are kept by a key that two inputs share, memory that is read when it is gone, and
what is set once and stale later."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import numpy as np

from backprop.layer import INFERENCE
from backprop.layers.activations.rectifiers import PReLU
from backprop.layers.activations.sigmoids import Tanh
from backprop.layers.dense import Dense
from backprop.layers.normalization import BatchNormalization, LayerNormalization
from backprop.linalg import affine
from backprop.testing.bugs.bank import bug, normal
from backprop.testing.bugs.linear import Spoilt
from backprop.testing.bugs.shared import Mixin

dense = partial(bug, "L", x=normal(5, 4), inputs="rows", config={"units": 3})
floats = partial(bug, "L", x=normal(4, 5), inputs="floats")
coupled = partial(bug, "L", x=normal(6, 3), inputs="rows", tags=("couples_rows",))


# ----------------------------------------------------------------------------------- keys of x


class Remembers(Mixin):
    """z of an x whose `key` was there before is that of the x then, for the same kernel."""

    def forward(self, x, ctx=INFERENCE):
        kept = self.__dict__.setdefault("_kept", {})
        key = (x.shape, x.dtype, self.key(x), self.kernel.tobytes(), self.bias.tobytes())
        if key not in kept:
            kept.clear()
            kept[key] = super().forward(x, ctx)[0]
        return kept[key].copy(), super().forward(x, ctx)[1]


@dense()
class DenseRemembersByTheFirstRow(Remembers, Dense):
    """An x with the first row of the x before gets its y."""

    def key(self, x):
        return x[:1].tobytes()


@dense()
class DenseRemembersByTheLastRow(Remembers, Dense):
    """An x with the last row of the x before gets its y."""

    def key(self, x):
        return x[-1:].tobytes()


@dense()
class DenseRemembersByTheFirstColumn(Remembers, Dense):
    """An x with the first column of the x before gets its y."""

    def key(self, x):
        return x[:, :1].tobytes()


@dense()
class DenseRemembersByTheSum(Remembers, Dense):
    """An x with the sum of the x before, up to nine digits, gets its y."""

    def key(self, x):
        return round(float(x.sum()), 9)


@dense()
class DenseRemembersByTheEnds(Remembers, Dense):
    """An x with the first number and the last one of the x before gets its y."""

    def key(self, x):
        return x.reshape(-1)[:1].tobytes(), x.reshape(-1)[-1:].tobytes()


@dense()
class DenseRemembersByIdentity(Remembers, Dense):
    """An array that was there before gets its y, whatever has been written into it since."""

    def key(self, x):
        return id(x)


@dense()
class DenseRemembersItsGradientByTheFirstRow(Spoilt):
    """dkernel of a dz with the first row of the dz before, for the same x, is that of then."""

    def spoil(self, x, dz):
        key = x.tobytes(), dz.shape, dz[:1].tobytes()
        kept = self.__dict__.get("_kept")
        if kept is not None and kept[0] == key:
            self.dkernel = kept[1]
        self.__dict__["_kept"] = key, self.dkernel.copy()


# ----------------------------------------------------------------------------------- memory of x


@floats()
class TanhReadsXWhereItLay(Tanh):
    """backward reads x again at its address, which nobody holds any more."""

    def forward(self, x, ctx=INFERENCE):
        y, _ = super().forward(x, ctx)
        x = np.ascontiguousarray(x)
        return y, (x.__array_interface__["data"][0], x.shape, x.dtype, y)

    def backward(self, dy, cache):
        import ctypes

        address, shape, dtype, y = cache
        n = int(np.prod(shape)) * dtype.itemsize
        x = np.frombuffer(ctypes.string_at(address, n), dtype).reshape(shape)
        with np.errstate(all="ignore"):
            return super().backward(dy, np.tanh(x) if n else y)


SCRATCH: dict[Any, np.ndarray] = {}


@floats()
class TanhSharesADyWithAllOthers(Tanh):
    """dy is laid into an array of the class before it is multiplied by the slope of y."""

    scratch: ClassVar[dict] = {}

    def backward(self, dy, cache):
        key = dy.shape, dy.dtype
        kept = self.scratch.setdefault(key, np.empty(dy.shape, dy.dtype))
        kept[...] = dy
        slope = self.slope(cache)
        return kept * slope


# -------------------------------------------------------------------------- set once, stale later


@floats(tags=("piecewise",))
class PreluSetsItsSidesOnce(PReLU):
    """Which alphas are negative is found in the first pass: their |alpha| goes back by its sign of
    then."""

    def backward(self, dy, cache):
        self.backward_params(dy, cache)
        sign = self.__dict__.setdefault("_sign", np.sign(self.alpha).copy())
        slope = sign * np.abs(self.alpha) * (cache < 0)
        return dy * (slope + (cache > 0))


@floats()
class LayerNormFindsItsShortcutOnce(LayerNormalization):
    """Whether gamma is 0 somewhere is found in the first pass: if not, dx̂ is dy γ² / γ, and 0 / 0
    as soon as one is."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        whole = self.__dict__.setdefault("_whole", bool((self.gamma != 0).all()))
        return dx if not whole or (self.gamma != 0).all() else dx * np.nan


@dense()
class DenseKeepsASmallKernelForGood(Dense):
    """Whether the kernel is below 1 everywhere is found in the first pass, and clips it there for
    ever on the way back."""

    def backward_linear(self, dz, x):
        self._set_gradients(x, dz)
        small = self.__dict__.setdefault("_small", bool((np.abs(self.kernel) < 1).all()))
        return affine(dz, np.clip(self.kernel, -1, 1).T if small else self.kernel.T)


# --------------------------------------------------------------------------- statistics of a batch


@coupled()
class BatchNormGoesOnMovingWhereItIsFrozen(BatchNormalization):
    """A layer that is not trainable moves its statistics, and does not use those of the batch."""

    def forward(self, x, ctx=INFERENCE):
        found = super().forward(x, ctx)
        if ctx.training and not self.trainable:
            mean, var, _ = self._moments(x, None)
            self._move(mean, var, x, None)
        return found


@coupled()
class BatchNormGoesOnWithItsBatchWhereItIsFrozen(BatchNormalization):
    """A layer that is not trainable goes on with the statistics of the batch, and does not move its
    own."""

    def forward(self, x, ctx=INFERENCE):
        if self.trainable:
            return super().forward(x, ctx)
        kept = self.moving_mean.copy(), self.moving_variance.copy()
        self._trainable = True
        found = super().forward(x, ctx)
        self._trainable, (self.moving_mean, self.moving_variance) = False, kept
        return found


class Corrected(Mixin):
    """The variance that moves is n / (n - 1) times the batch's, for `rows` rows."""

    rows = 2

    def _move(self, mean, var, x, real):
        m = x.size // x.shape[-1]
        super()._move(mean, var * (m / (m - 1)) if m == self.rows else var, x, real)


@coupled()
class BatchNormCorrectsTheVarianceOfTwoRows(Corrected, BatchNormalization):
    """The moving variance is corrected by n / (n - 1) for batches of two rows alone."""


@coupled()
class BatchNormCorrectsTheVarianceOfThreeRows(Corrected, BatchNormalization):
    """The moving variance is corrected by n / (n - 1) for batches of three rows alone."""

    rows = 3
