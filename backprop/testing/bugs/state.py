"""Mistakes that one pass does not show.

Writing into what belongs to others, keeping what belongs to the caller, and gradients that are
added, rebound or left unfilled.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import numpy as np

from backprop.layer import INFERENCE
from backprop.layers.activations.exponentials import ELU
from backprop.layers.activations.rectifiers import ReLU
from backprop.layers.activations.sigmoids import Sigmoid, Tanh
from backprop.layers.activations.softmax import Softmax
from backprop.layers.convolution import Conv2D
from backprop.layers.dense import Dense
from backprop.layers.normalization import BatchNormalization, LayerNormalization
from backprop.layers.pooling import MaxPooling2D
from backprop.linalg import affine, gradients_of_affine
from backprop.losses.regression import MeanSquaredError
from backprop.testing.bugs.bank import bug, normal
from backprop.testing.bugs.linear import Spoilt
from backprop.testing.bugs.losses import regression
from backprop.testing.bugs.pooling import Unfilled, pool

floats = partial(bug, x=normal(4, 5), inputs="floats")
dense = partial(bug, x=normal(5, 4), inputs="rows", config={"units": 3, "activation": "tanh"})
conv = partial(bug, x=normal(2, 4, 4, 2), inputs="images", options={"min_side": 2})


# -------------------------------------------------------------------- writing into others' arrays


@floats("L", source="apex 1587, apex 1430")
class TanhWritesIntoItsUpstreamGradient(Tanh):
    """dy is multiplied in place and returned as dx."""

    def backward(self, dy, cache):
        dy *= self.slope(cache)
        return dy


@floats("L", source="MXNet 18203")
class ReluZeroesItsUpstreamGradient(ReLU):
    """dx is right, and dy is overwritten on the way: whoever else needs it finds zeros."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        dy[...] = dx
        return dx


@floats("L")
class ReluRectifiesItsInput(ReLU):
    """x is overwritten by y."""

    def forward(self, x, ctx=INFERENCE):
        return np.maximum(x, 0, out=x), x


@bug("L", x=normal(4, 5), inputs="rows")
class SoftmaxShiftsItsInput(Softmax):
    """The maximum is subtracted from x in place."""

    def forward(self, x, ctx=INFERENCE):
        x -= x.max(self.axis, keepdims=True, initial=-np.inf)
        return super().forward(x, ctx)


@floats("L")
class SigmoidWritesIntoItsCache(Sigmoid):
    """backward turns the cache into the slope, so a second backward starts from there."""

    def backward(self, dy, cache):
        cache *= 1 - cache
        return dy * cache


@regression("L")
class SquaredErrorWritesIntoThePrediction(MeanSquaredError):
    """d = y_pred - y_true is written over y_pred."""

    def values(self, y_true, y_pred):
        y_pred -= y_true
        return np.square(y_pred).mean(-1), y_pred


# -------------------------------------------------------------------- giving away one's own arrays


@floats("L")
class TanhReturnsOneArrayForAllCalls(Tanh):
    """dx is an array that the layer keeps and fills again: what was returned changes under its
    owner.
    """

    def backward(self, dy, cache):
        kept = self.__dict__.get("_dx")
        if kept is None or kept.shape != dy.shape or kept.dtype != dy.dtype:
            kept = self.__dict__["_dx"] = np.empty(dy.shape, dy.dtype)
        return np.multiply(dy, self.slope(cache), out=kept)


@floats("L")
class EluReturnsOneOutputForAllCalls(ELU):
    """y is an array that the layer keeps and fills again."""

    def forward(self, x, ctx=INFERENCE):
        y, _ = super().forward(x, ctx)
        kept = self.__dict__.get("_y")
        if kept is None or kept.shape != y.shape or kept.dtype != y.dtype:
            kept = self.__dict__["_y"] = np.empty(y.shape, y.dtype)
        kept[...] = y
        return kept, kept


@floats("L")
class SigmoidReturnsItsCacheAsGradient(Sigmoid):
    """dx is written over the cached y, which is also what forward returned."""

    def backward(self, dy, cache):
        return np.multiply(dy, cache * (1 - cache), out=cache)


# --------------------------------------------------------------------------------- stale caches


@dense("L")
class DenseKeepsItsInput(Dense):
    """x is kept on the layer, so backward uses that of the forward pass that ran last."""

    def forward(self, x, ctx=INFERENCE):
        self.__dict__["_x"] = x
        return super().forward(x, ctx)

    def backward(self, dy, cache):
        return super().backward(dy, (self.__dict__["_x"], cache[1]))


@bug("L", x=normal(4, 5), inputs="floats")
class LayerNormKeepsItsDeviation(LayerNormalization):
    """1 / deviation is kept on the layer."""

    def forward(self, x, ctx=INFERENCE) -> Any:
        y, (xhat, r, p) = super().forward(x, ctx)
        self.__dict__["_r"] = r
        return y, (xhat, p)

    def backward(self, dy, cache):
        xhat, p = cache
        return super().backward(dy, (xhat, self.__dict__["_r"], p))


@dense("L")
class DenseTransposesItsKernelOnce(Dense):
    """The transposed kernel is kept from the first backward pass on, and training moves on without
    it.
    """

    def backward_linear(self, dz, x):
        self._set_gradients(x, dz)
        return affine(dz, self.__dict__.setdefault("_transposed", self.kernel.T.copy()))


@dense("L")
class DenseKeepsItsInputByShape(Dense):
    """x is kept on the layer by its shape: batches of different sizes do not meet, two of one size
    do.
    """

    def forward(self, x, ctx=INFERENCE):
        y, (_, a) = super().forward(x, ctx)
        self.__dict__.setdefault("_x", {})[x.shape] = x
        return y, (x.shape, a)

    def backward(self, dy, cache):
        shape, a = cache
        return super().backward(dy, (self.__dict__["_x"][shape], a))

    def backward_params(self, dy, cache):
        shape, a = cache
        super().backward_params(dy, (self.__dict__["_x"][shape], a))


@conv("L", config={"filters": 2, "kernel_size": 2})
class ConvKeepsItsColumnsByShape(Conv2D):
    """The copy of x that the windows are cut from is kept by shape and filled again: the next batch
    of that size overwrites what backward needs.
    """

    def forward(self, x, ctx=INFERENCE):
        kept = self.__dict__.setdefault("_columns", {})
        columns = kept.setdefault((x.shape, x.dtype), np.zeros(x.shape, x.dtype))
        columns[...] = x
        return super().forward(columns, ctx)


@floats("L")
class TanhSharesItsCacheWithAllOthers(Tanh):
    """y is kept by shape, for all layers of the class, and backward takes it from there."""

    kept: ClassVar[dict] = {}

    def forward(self, x, ctx=INFERENCE):
        y, _ = super().forward(x, ctx)
        self.kept[x.shape, x.dtype] = y
        return y, (x.shape, x.dtype)

    def backward(self, dy, cache):
        return super().backward(dy, self.kept[cache])


# ------------------------------------------------------------------------------------- gradients


@dense("L")
class DenseAddsToItsKernelGradient(Dense):
    """dkernel += xᵀ dz, where it is to be set; the first pass finds zeros there."""

    def _set_gradients(self, x, dz):
        before = self.dkernel.copy()
        super()._set_gradients(x, dz)
        self.dkernel += before


@floats("L", tags=("couples_rows",))
class BatchNormAddsToItsGradients(BatchNormalization):
    """dgamma and dbeta grow with every backward pass."""

    def backward(self, dy, cache):
        before = self.dgamma.copy(), self.dbeta.copy()
        dx = super().backward(dy, cache)
        self.dgamma += before[0]
        self.dbeta += before[1]
        return dx


@dense("L")
class DenseRebindsItsKernelGradient(Spoilt):
    """dkernel becomes a fresh array, and the model's vector of gradients keeps the old one."""

    def spoil(self, x, dz):
        after = self.dkernel.copy()
        self.dkernel[...] = 0
        self.__dict__["dkernel"] = after


@dense("L")
class DenseRemembersWhereItsGradientWas(Dense):
    """build keeps a second reference to dkernel, which a replica and a model leave behind."""

    def build(self, input_shape):
        super().build(input_shape)
        self.__dict__["_target"] = self.dkernel

    def _set_gradients(self, x, dz):
        gradients_of_affine(x, dz, self.__dict__["_target"], self.dbias)


@dense("L")
class DenseSkipsAZeroGradient(Dense):
    """Where dy is 0 nothing is done, and the gradients of the batch before stay."""

    def backward(self, dy, cache):
        if not dy.any():
            return np.zeros(cache[0].shape, dy.dtype)
        return super().backward(dy, cache)


# ------------------------------------------------------------------------------ unfilled memory


@floats("L")
class ReluFillsOnlyWhatItPasses(ReLU):
    """dx is np.empty, and written only where the slope is 1."""

    def backward(self, dy, cache):
        dx = np.empty(dy.shape, dy.dtype)
        np.copyto(dx, dy, where=np.broadcast_to(self.slope(cache) > 0, dy.shape))
        return dx


@pool("L")
class MaxPoolLeavesTheRestUnfilled(Unfilled, MaxPooling2D):
    """dx is np.empty, and cleared only where windows lie: the last row and column keep what was in
    memory.
    """


@conv("L", config={"filters": 2, "kernel_size": 2, "strides": 3})
class ConvLeavesPixelsBetweenWindowsUnfilled(Conv2D):
    """dx is np.empty, and cleared only where windows lie: what a stride skips keeps what was in
    memory.
    """

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        reached = self.windows.pad(np.zeros(dx.shape, bool))
        for pixel in self.windows.pixels(reached):
            pixel[...] = True
        filled = np.empty(dx.shape, dx.dtype)
        np.copyto(filled, dx, where=self.windows.crop(reached, dx.shape[1:3]))
        return filled


# --------------------------------------------------------------------------- memory order, shapes


@floats("L", source="PyTorch 708, flash-attention 355, torch/nn 345")
class TanhAssumesContiguousMemory(Tanh):
    """dy is read in the order in which it lies in memory."""

    def backward(self, dy, cache):
        return dy.ravel(order="K").reshape(dy.shape) * self.slope(cache)


@floats("L")
class SigmoidAssumesContiguousInput(Sigmoid):
    """x is read in the order in which it lies in memory, and y is laid out the usual way."""

    def forward(self, x, ctx=INFERENCE):
        return super().forward(x.ravel(order="K").reshape(x.shape), ctx)


@bug("C", x=normal(4, 5), inputs="rows")
class SoftmaxNeedsAtLeastOneRow(Softmax):
    """The maximum of all of x is subtracted, and an empty batch has none."""

    def forward(self, x, ctx=INFERENCE):
        e = np.exp(x - x.max())
        y = e / e.sum(self.axis, keepdims=True)
        return y, y


@regression("C")
class LossIsAnArrayOfLengthOne(MeanSquaredError):
    """The value has shape (1,), where it is a number of shape ()."""

    def forward(self, y_true, y_pred, sample_weight=None, mask=None):
        value, cache = super().forward(y_true, y_pred, sample_weight, mask)
        return np.reshape(value, (1,)) if np.ndim(value) == 0 else value, cache

    def backward(self, cache, dvalues=None):
        return super().backward(
            cache, None if dvalues is None else np.reshape(dvalues, np.shape(dvalues)[1:])
        )


@dense("L")
class DensePromisesTheWrongShape(Dense):
    """compute_output_shape says that y has the width of x."""

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)


@floats("L")
class LayerNormBroadcastsAWrongWidth(LayerNormalization):
    """Inputs of width 1 are accepted by a layer that was built for more, and gamma
    stretches them.
    """

    def build(self, input_shape):
        super().build(input_shape)
        self.by_rows = False  # by NumPy's arithmetic, which stretches

    def check_input(self, shape):
        pass


@dense("L")
class DenseForgetsAnArgumentInItsConfig(Dense):
    """get_config leaves the activation out, so a copy made from it has none."""

    def get_config(self):
        config = super().get_config()
        config.pop("activation", None)
        return config


@floats("L")
class TanhCountsItsCalls(Tanh):
    """y depends on how often the layer was called before."""

    def forward(self, x, ctx=INFERENCE):
        calls = self.__dict__["_calls"] = self.__dict__.get("_calls", 0) + 1
        return super().forward(x * x.dtype.type(1 + 0.01 * calls), ctx)

    def backward(self, dy, cache):
        return super().backward(dy, cache) * dy.dtype.type(1 + 0.01 * self.__dict__["_calls"])
