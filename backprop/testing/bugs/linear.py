"""Mistakes in products with a kernel, and in layers that only move entries."""

from __future__ import annotations

from functools import partial

import numpy as np

from backprop.layer import INFERENCE
from backprop.layers.activations.softmax import Softmax
from backprop.layers.chain import ActivityPenalty
from backprop.layers.dense import Dense
from backprop.layers.einsum import EinsumDense
from backprop.layers.reshaping import Flatten, Permute, RepeatVector
from backprop.linalg import affine, and_sum, product_of_rows, rows, sum_rows
from backprop.regularizers import L2
from backprop.testing.bugs.bank import behind_embedding, bug, integers, normal
from backprop.testing.bugs.shared import PassesOn

dense = partial(bug, x=normal(5, 4), inputs="rows", config={"units": 4, "activation": "tanh"})


class Spoilt(Dense):
    """The gradients are right, until `spoil` changes them; x and dz as rows."""

    def _set_gradients(self, x, dz):
        super()._set_gradients(x, dz)
        self.spoil(rows(x), rows(dz))

    def spoil(self, x, dz):
        raise NotImplementedError  # each mistake spoils something else


@dense("V")
class DenseKernelGradientIsTransposed(Spoilt):
    """dkernel = dzᵀ x, which fits where the kernel is square."""

    def spoil(self, x, dz):
        self.dkernel = dz.T @ x


@dense("V")
class DensePassesBackThroughTheKernelUntransposed(Dense):
    """dx = dz kernel, which fits where the kernel is square."""

    def backward_linear(self, dz, x):
        self._set_gradients(x, dz)
        return affine(dz, self.kernel)


@dense("V", source="diffusers 14341")
class DenseReshapesTheKernelWhereItShouldTranspose(Dense):
    """dx = dz times the kernel in the shape of its transpose: the shapes agree, the
    entries do not.
    """

    def backward_linear(self, dz, x):
        self._set_gradients(x, dz)
        return affine(dz, self.kernel.reshape(self.kernel.shape[::-1]))


@dense("V", source="nd4j 2424, burn 181")
class DenseBiasGradientIsAssignedRowByRow(Spoilt):
    """dbias is set for one row after the other, so the last one stays, where they are to
    be summed.
    """

    def spoil(self, x, dz):
        for row in dz:
            self.dbias = row


@dense("V")
class DenseBiasGradientIsThatOfTheFirstRow(Spoilt):
    """dbias = dz[0], where it is the sum over all rows."""

    def spoil(self, x, dz):
        self.dbias = sum_rows(dz[:1])


@dense("V")
class DenseBiasGradientIsAveraged(Spoilt):
    """dbias is the mean over the rows, where it is their sum; one row hides it."""

    def spoil(self, x, dz):
        self.dbias = sum_rows(dz) / max(len(dz), 1)


@dense("V", x=normal(4, 4))
class DenseBiasGradientIsSummedOverTheUnits(Spoilt):
    """dbias is summed along the wrong axis, which fits where there are as many rows as units."""

    def spoil(self, x, dz):
        self.dbias = dz.sum(1)


@dense("V")
class DenseKernelGradientIsDividedByTheBatch(Spoilt):
    """dkernel / N, though the loss has divided by N already."""

    def spoil(self, x, dz):
        self.dkernel /= max(len(x), 1)


@dense("V")
class DenseKernelGradientHasTheOppositeSign(Spoilt):
    """dkernel = -xᵀ dz."""

    def spoil(self, x, dz):
        self.dkernel = -self.dkernel


@dense("V")
class DenseForgetsTheActivationOnTheWayBack(Dense):
    """dz = dy: the activation's derivative is left out."""

    def backward(self, dy, cache):
        return self.backward_linear(and_sum(dy, self.dbias), cache[0])


@dense("V")
class DenseTakesTheActivationsDerivativeTwice(Dense):
    """dx has the activation's derivative twice: once for the gradients, once more for dx."""

    def backward(self, dy, cache):
        _, a = cache
        self.backward_params(dy, cache)
        dz = self.activation.backward(dy, a)
        return affine(self.activation.backward(dz, a), self.kernel.T)


@dense("T", x=normal(6, 8), config={"units": 16, "activation": "tanh"})
class DenseHasOneEntryOffByAThousandth(Spoilt):
    """One entry of dkernel is 0.1 % too large, as where two threads meet."""

    def spoil(self, x, dz):
        self.dkernel[-1, -1] *= self.dkernel.dtype.type(1.001)


@dense("T")
class DenseInputGradientIsOffByAMillionth(Dense):
    """dx is 1e-6 too large, as by a constant with six digits."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        dx *= 1 + 1e-6
        return dx


@dense("C", inputs="floats", source="FlagGems 5392")
class DenseAssumesTwoAxes(Dense):
    """With more than two axes dkernel counts only the first place along the second axis."""

    def _set_gradients(self, x, dz):
        super()._set_gradients(x, dz)
        if x.ndim > 2:
            product_of_rows(x[:, 0], dz[:, 0], out=self.dkernel)


@dense("C")
class DenseLosesAnAxisOfLengthOne(Spoilt):
    """dz is squeezed before it is summed over the rows, and with one row the sum runs over the
    units.
    """

    def spoil(self, x, dz):
        self.dbias = np.squeeze(dz).sum(0)


@dense("L")
class DenseForgetsTheBiasWhereOnlyParametersAreAsked(Dense):
    """backward_params leaves dbias as it was: a model's first layer trains with the bias of another
    batch.
    """

    def backward_params(self, dy, cache):
        x, a = cache
        product_of_rows(x, self.activation.backward(dy, a), out=self.dkernel)


@dense("V", verdict="equivalent")
class DenseSumsRowsInAnotherOrder(Dense):
    """dkernel by einsum and dbias by sum: other roundings, the same numbers."""

    def _set_gradients(self, x, dz):
        self.dkernel = np.einsum("ri,rj->ij", rows(x), rows(dz))
        self.dbias = rows(dz).sum(0)


einsum = partial(
    bug,
    x=normal(2, 3, 4),
    inputs="sequences",
    options={"steps": (2, 4), "features": (2, 4)},
)


@einsum("V", config={"equation": "abc,dc->abd", "output_shape": (None, 3)})
class EinsumDenseReshapesItsKernelGradient(EinsumDense):
    """dkernel, found as (summed, units), is reshaped to the kernel's order, not transposed."""

    def _set_gradients(self, dz, left, shape):
        product, dz = super()._set_gradients(dz, left, shape)
        dright = np.matmul(left.swapaxes(1, 2), dz)
        self.dkernel = dright.reshape(self.kernel.shape)
        return product, dz


@einsum("V", config={"equation": "abc,cd->ad", "output_shape": 3})
class EinsumDenseSharesWhatItSummedEqually(EinsumDense):
    """An axis that was only summed receives the mean of dx at each place, where it is all of it."""

    def backward(self, dy, cache):
        return super().backward(dy, cache) / cache[1][1]


@einsum("V", config={"equation": "abc,cd->abd", "output_shape": (None, 3), "bias_axes": "d"})
class EinsumDenseSumsItsBiasOverTheBatchAlone(EinsumDense):
    """dbias is summed over the rows of the batch, and of the steps holds the last."""

    def _set_gradients(self, dz, left, shape):
        found = super()._set_gradients(dz, left, shape)
        self.dbias = dz.sum(0)[-1]
        return found


@einsum("V", config={"equation": "abc,bcd->abd", "output_shape": (None, 3)})
class EinsumDenseGivesAllStepsTheKernelOfTheFirst(EinsumDense):
    """dx at each step is found with the first step's kernel, where each has its own."""

    def backward(self, dy, cache):
        left, shape, a = cache
        product, dz = self._set_gradients(self.activation.backward(dy, a), left, shape)
        right = product.right(self.kernel)[:1]
        return product.left_back(np.matmul(dz, right.swapaxes(1, 2)), shape)


repeat = partial(bug, x=normal(3, 4), inputs="rows", config={"n": 3})


@repeat("V")
class RepeatVectorAveragesItsCopies(RepeatVector):
    """dx is the mean over the copies, where it is their sum."""

    def backward(self, dy, cache):
        return dy.mean(1)


@repeat("V")
class RepeatVectorTakesTheFirstCopy(RepeatVector):
    """dx = dy[:, 0]: the other copies are forgotten."""

    def backward(self, dy, cache):
        return dy[:, 0].copy()


@bug("V", x=normal(2, 3, 3, 3), inputs="images", config={"dims": (2, 3, 1)})
class PermuteIsAppliedAgainInsteadOfUndone(Permute):
    """dx is dy permuted once more, which undoes only a swap of two axes."""

    def backward(self, dy, cache):
        return dy.transpose(0, *self.dims)


@bug("V", x=normal(2, 3, 4), inputs="floats")
class FlattenPutsTheEntriesBackInColumnOrder(Flatten):
    """dx is filled with the first axis fastest, where y was read with the last axis fastest."""

    def backward(self, dy, shape):
        return dy.reshape(len(dy), *shape[:0:-1]).transpose(0, *range(len(shape) - 1, 0, -1))


# its gradient holds what does not depend on dy, and divides by the batch
penalty = partial(
    bug,
    x=normal(3, 4),
    inputs="rows",
    config={"regularizer": L2(0.1)},
)


@penalty("V")
class PenaltyOnTheActivityIsForgotten(PassesOn, ActivityPenalty):
    """dx = dy: the penalty counts in the loss and not in the gradient."""


@penalty("V")
class PenaltyOnTheActivityIsNotDividedByTheBatch(ActivityPenalty):
    """The penalty in the loss is divided by N, its gradient is not."""

    def backward(self, dy, cache):
        return dy + self.regularizer.gradient(cache[0])


@penalty("C", x=integers(3, 4, 5), inputs="tokens", inside=behind_embedding)
class PenaltyOnTheActivityPaysMaskedSteps(ActivityPenalty):
    """Masked steps are no part of the penalty in the loss, and have part in its gradient."""

    def forward(self, x, ctx=INFERENCE):
        return x, (x, super().forward(x, ctx)[1][1])

    def backward(self, dy, cache):
        return super().backward(dy, (cache[0], None))


softmax = partial(bug, x=normal(4, 5), inputs="rows")


@softmax("V", source="Apiquet/DeepLearningFrameworkFromScratchCpp 1")
class SoftmaxKeepsOnlyTheDiagonal(Softmax):
    """dx = y (1 - y) dy, the derivative of a sigmoid: what the entries do to each other is left
    out.
    """

    def backward(self, dy, cache):
        return cache * (1 - cache) * dy


@softmax("V", source="Odyssey 2134")
class SoftmaxForgetsTheSum(Softmax):
    """dx = y dy, without Σ y dy."""

    def backward(self, dy, cache):
        return cache * dy


@softmax("V", source="darknet 96")
class SoftmaxCopiesItsGradient(PassesOn, Softmax):
    """dx = dy, which is right only where the loss has fused softmax in."""


@softmax(
    "V", x=normal(2, 3, 3), inputs="sequences", config={"axis": 1}, source="deeplearning4j 345"
)
class SoftmaxSumsAlongAnotherAxisGoingBack(Softmax):
    """Forward runs along `axis`, backward sums along the last one."""

    def backward(self, dy, cache):
        dx = cache * dy
        return dx - cache * dx.sum(-1, keepdims=True)


@softmax("V")
class SoftmaxLetsSamplesLeak(Softmax):
    """The sum runs over the batch too, so that a sample's gradient depends on the others'; one row
    hides it.
    """

    def backward(self, dy, cache):
        dx = cache * dy
        return dx - cache * dx.sum()


@softmax("P")
class SoftmaxDoesNotSubtractTheMaximum(Softmax):
    """exp(x) is taken of x itself, and overflows."""

    def forward(self, x, ctx=None):
        e = np.exp(x)
        y = e / e.sum(self.axis, keepdims=True)
        return y, y
