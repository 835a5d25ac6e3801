"""Mistakes at upstream gradients that a random dy never is: zeros, equal, one-hot, broadcast.

Masks and losses send rows of zeros, means send one number, sums send views without memory of
their own.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from backprop.layers.activations.sigmoids import Sigmoid
from backprop.layers.activations.softmax import Softmax
from backprop.layers.convolution import Conv1D
from backprop.layers.dense import Dense
from backprop.layers.normalization import LayerNormalization
from backprop.layers.recurrent import GRU, LSTM
from backprop.linalg import affine, rows
from backprop.losses.regression import MeanAbsoluteError, MeanSquaredError
from backprop.testing.bugs.bank import bug, normal
from backprop.testing.bugs.linear import Spoilt
from backprop.testing.bugs.losses import regression
from backprop.testing.bugs.shared import Mixin

dense = partial(bug, x=normal(5, 4), inputs="rows", config={"units": 3})
steps = partial(bug, x=normal(3, 4, 3), inputs="sequences")


class ChangesDy(Mixin):
    """What is reversed is `received(dy)`."""

    def backward(self, dy, cache):
        return super().backward(self.received(dy), cache)

    def backward_params(self, dy, cache):
        super().backward_params(self.received(dy), cache)


# ------------------------------------------------------------------------------------------ zeros


@dense("P")
class DensePutsTheRowsThatCountInFront(Dense):
    """Rows with dy = 0 are left out, and dx of the others stands in the first rows."""

    def backward_linear(self, dz, x):
        self._set_gradients(x, dz)
        counts = np.any(rows(dz), axis=-1)
        dx = np.zeros((len(counts), x.shape[-1]), dz.dtype)
        dx[: counts.sum()] = affine(rows(dz)[counts], self.kernel.T)
        return dx.reshape(x.shape)


@dense("P", verdict="equivalent")
class DenseLeavesOutRowsOfZeros(Dense):
    """Rows with dz = 0 are left out, and dx of the others is put back where they stood."""

    def backward_linear(self, dz, x):
        counts = np.any(rows(dz), axis=-1)
        self._set_gradients(rows(x)[counts], rows(dz)[counts])
        dx = np.zeros((len(counts), x.shape[-1]), dz.dtype)
        dx[counts] = affine(rows(dz)[counts], self.kernel.T)
        return dx.reshape(x.shape)


@steps("P", config={"units": 2, "return_sequences": True})
class LstmTakesAStepWithoutAnErrorForTheEnd(ChangesDy, LSTM):
    """Steps before the last one at which dy is 0 for all of the batch get nothing."""

    def received(self, dy):
        quiet = ~dy.any((0, 2))
        if not quiet.any():
            return dy
        last = len(quiet) - 1 - quiet[::-1].argmax()
        return np.where(np.arange(len(quiet))[:, None] < last, 0, dy).astype(dy.dtype)


@steps("P", config={"units": 2, "return_sequences": True})
class GruDropsSamplesThatEndWithoutAnError(ChangesDy, GRU):
    """A sample with dy = 0 at the last step is taken for padding, and gets nothing."""

    def received(self, dy):
        return dy * dy[:, -1:].any(-1, keepdims=True) if dy.shape[1] else dy


@steps("P", config={"filters": 2, "kernel_size": 2, "padding": "same"})
class ConvSkipsPlacesOfWhichOneChannelIsZero(ChangesDy, Conv1D):
    """A place at which one channel's dy is 0 is left out, with all of its channels."""

    def received(self, dy):
        return dy * dy.all(-1, keepdims=True)


@regression("C")
class AbsoluteErrorForgetsRowsOfSmallWeight(MeanAbsoluteError):
    """Rows that weigh less than three quarters of the heaviest are taken for masked."""

    def gradient(self, dvalues, cache):
        least = 0.75 * np.abs(dvalues).max(initial=0)
        return super().gradient(dvalues * (np.abs(dvalues) >= least), cache)


# --------------------------------------------------------------------------------- equal, one-hot


@dense("P")
class DenseGathersWhereOneUnitCounts(Dense):
    """Where every row of dz has one number other than 0, dx is a column of the kernel, without that
    number.
    """

    def backward_linear(self, dz, x):
        dx = super().backward_linear(dz, x)
        lone = rows(dz).shape[1] > 1 and (np.count_nonzero(rows(dz), -1) == 1).all()
        return dx / dz.sum(-1, keepdims=True) if lone and dz.size else dx


@bug("P", x=normal(4, 5), inputs="floats")
class LayerNormTakesAnEvenGradientForNothing(LayerNormalization):
    """A row of equal dy passes nothing to x: so it is while all gammas are equal."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        even = dy.max(-1, keepdims=True) == dy.min(-1, keepdims=True)
        return dx * ~even if dy.size else dx


@regression("C")
class SquaredErrorSharesItsWeightsEvenly(MeanSquaredError):
    """Each row is weighed by the mean of all dvalues: right where no weights are given."""

    def gradient(self, dvalues, cache):
        mean = dvalues.mean() if dvalues.size else 0
        return super().gradient(np.full_like(dvalues, mean), cache)


@regression("C")
class SquaredErrorHoldsItsWeightsBelowOne(MeanSquaredError):
    """No row weighs more than 1 going back."""

    def gradient(self, dvalues, cache):
        return super().gradient(np.minimum(dvalues, 1).astype(dvalues.dtype), cache)


# ------------------------------------------------------------------------------------ broadcast


@dense("L", verdict="equivalent")
class DenseSumsXWhereAGradientIsBroadcast(Spoilt):
    """A dz that repeats one row in memory multiplies the sum of x."""

    def spoil(self, x, dz):
        if len(dz) > 1 and dz.strides[0] == 0:
            self.dkernel = np.outer(x.sum(0), dz[0])


@dense("L")
class DenseReadsOneUnitOfABroadcastGradient(Dense):
    """A dz that repeats one column in memory is taken for one unit's."""

    def backward_linear(self, dz, x):
        dx = super().backward_linear(dz, x)
        if dz.shape[-1] > 1 and dz.strides[-1] == 0 and dz.strides[0]:
            return affine(dz[..., :1], self.kernel.T[:1])
        return dx


@bug("L", x=normal(4, 5), inputs="floats")
class SigmoidTakesABroadcastGradientForOne(Sigmoid):
    """A dy that repeats along its last axis in memory is taken for ones."""

    def backward(self, dy, cache):
        if dy.size > 1 and dy.strides[-1] == 0 and dy.shape[-1] > 1:
            return self.slope(cache)
        return super().backward(dy, cache)


@bug("L", x=normal(4, 5), inputs="floats")
class SoftmaxWritesIntoAGradientThatItMayWriteTo(Softmax):
    """dy is scaled in place wherever it is not locked, and nobody else has it then."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        if dy.flags.writeable:
            dy *= cache
        return dx


# ------------------------------------------------------------------------------------- tiny, huge


@dense("L")
class DenseTakesATinyGradientForZero(ChangesDy, Dense):
    """dy below 1e-7 is 0, as where gradients vanish."""

    def received(self, dy):
        return np.where(np.abs(dy) < 1e-7, 0, dy).astype(dy.dtype)


@dense("L")
class DenseHoldsAHugeGradient(ChangesDy, Dense):
    """dy is held within ±1e7."""

    def received(self, dy):
        return np.clip(dy, -1e7, 1e7)
