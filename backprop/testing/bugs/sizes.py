"""Mistakes that begin at a size: the thirty-third row, the ninth step, the third of equal tokens.

A batch of five rows of four numbers shows none of them.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from backprop.layers.activations.sigmoids import Sigmoid, Tanh
from backprop.layers.activations.softmax import Softmax
from backprop.layers.attention import PositionEmbedding
from backprop.layers.convolution import Conv1D
from backprop.layers.dense import Dense
from backprop.layers.embedding import Embedding
from backprop.layers.pooling import MaxPooling1D
from backprop.layers.recurrent import GRU
from backprop.linalg import rows
from backprop.losses.regression import MeanSquaredError
from backprop.testing.bugs.attention import Attending
from backprop.testing.bugs.bank import bug, given, integers, normal
from backprop.testing.bugs.linear import Spoilt
from backprop.testing.bugs.losses import regression
from backprop.testing.bugs.normalization_paths import BatchByPaths, GroupByPaths, LayerByPaths
from backprop.testing.bugs.recurrent import SpoilingStep
from backprop.testing.bugs.shared import Mixin, Spoiling

dense = partial(bug, x=normal(40, 12), inputs="rows", config={"units": 3})
floats = partial(bug, x=normal(20, 20), inputs="floats")
sequences = partial(bug, x=normal(2, 12, 3), inputs="sequences")
recurrent = partial(sequences, config={"units": 2})


class Reaching(Mixin):
    """What is further away than `reach` is 0 going back."""

    reach = 8

    def within(self, a, axis):
        """a, in which what lies behind `reach` along an axis is 0."""
        a = a.copy()
        np.moveaxis(a, axis, 0)[self.reach :] = 0
        return a


# -------------------------------------------------------------------------------- rows of a batch


@dense("C")
class DenseBlocksOfRowsOverwriteEachOther(Spoilt):
    """dkernel is found in blocks of 32 rows, and each of them sets it anew."""

    def spoil(self, x, dz):
        for start in range(0, len(x), 32):
            self.dkernel = x[start : start + 32].T @ dz[start : start + 32]


@dense("C", verdict="equivalent")
class DenseAddsUpBlocksOfRows(Spoilt):
    """dkernel is summed up over blocks of 32 rows."""

    def spoil(self, x, dz):
        total = np.zeros_like(self.kernel)
        for start in range(0, len(x), 32):
            total += x[start : start + 32].T @ dz[start : start + 32]
        self.dkernel = total


@dense("C")
class DenseForgetsARowWhereOnlyParametersAreAsked(Dense):
    """backward_params leaves out the last of more than 16 rows."""

    def backward_params(self, dy, cache):
        x, a = cache
        if len(x) > 16:
            dy = np.concatenate([dy[:-1], np.zeros_like(dy[-1:])])
        super().backward_params(dy, (x, a))


@bug("C", x=normal(40, 3), inputs="rows", options={"batch": (30, 40)}, tags=("couples_rows",))
class BatchNormCountsThirtyTwoRowsAtMost(BatchByPaths):
    """Sums over the batch are divided by 32 where there are more rows."""

    def averaged(self, a, p):
        n = len(rows(a))
        return super().averaged(a, p) * a.dtype.type(max(n, 1) / max(min(n, 32), 1))


@regression("C", x=normal(70, 3), y_true=normal(70, 3, seed=1))
class SquaredErrorForgetsRowsBehindThe32nd(Reaching, MeanSquaredError):
    """dy_pred of the rows from the 33rd on is 0."""

    reach = 32

    def gradient(self, dvalues, cache):
        return self.within(super().gradient(dvalues, cache), 0)


@recurrent("C", x=normal(40, 3, 2))
class GruLosesTheStateOfTheRowsBehindThe32nd(SpoilingStep, GRU):
    """dh₋ of the rows from the 33rd on is 0."""

    def spoil(self, before, dz, tape):
        before[0][..., 32:] = 0


# ---------------------------------------------------------------------------- columns and channels


@dense("C")
class DenseForgetsTheColumnsBehindItsLastEight(Dense):
    """x wider than 8 is taken in eights, and dx of the columns behind the last of them is 0."""

    def backward_linear(self, dz, x):
        dx = super().backward_linear(dz, x)
        whole = dx.shape[-1] // 8 * 8 or dx.shape[-1]
        dx[..., whole:] = 0
        return dx


@dense("T")
class DenseHasOneEntryOffInALargeKernel(Spoilt):
    """Of 32 entries and more the last is a ten-thousandth too large."""

    def spoil(self, x, dz):
        if self.dkernel.size >= 32:
            self.dkernel[-1, -1] *= self.dkernel.dtype.type(1.0001)


@dense("C", x=normal(5, 3))
class DenseMakesASquareKernelsGradientSymmetric(Spoilt):
    """dkernel of a square kernel is replaced by the mean of it and its transpose."""

    def spoil(self, x, dz):
        if self.dkernel.shape[0] == self.dkernel.shape[1]:
            self.dkernel = (self.dkernel + self.dkernel.T) / 2


@dense("C", x=normal(4, 4), options={"min_side": 3, "max_side": 4, "batch": (3, 4)})
class DenseTakesASquareBatchForItsTranspose(Spoilt):
    """Where there are as many rows as columns, dkernel is x dz in place of xᵀ dz."""

    def spoil(self, x, dz):
        if x.shape[0] == x.shape[1]:
            self.dkernel = x @ dz


@floats("C")
class LayerNormAveragesSixteenColumns(LayerByPaths):
    """The means that dx needs are those of the first 16 columns."""

    def averaged(self, a, p):
        return a[..., :16].mean(-1, keepdims=True)


@bug("C", x=normal(2, 6, 6, 3), inputs="images", config={"groups": 1})
class GroupNormAveragesSixtyFourNumbers(GroupByPaths):
    """The means that dx needs are those of the first 24 pixels of a group."""

    def averaged(self, a, p):
        return a[:, :24].mean((1, 3), keepdims=True)


@floats("C", x=normal(5, 12))
class SoftmaxSumsEightClasses(Softmax):
    """Σ y dy runs over the first eight classes alone."""

    def backward(self, dy, cache):
        return cache * (dy - (cache * dy)[..., :8].sum(-1, keepdims=True))


# -------------------------------------------------------------------------------- steps and places


@sequences("C", config={"num_heads": 1, "key_dim": 2})
class AttentionForgetsKeysBehindTheEighth(Reaching, Attending):
    """Keys from the ninth on get no gradient from the scores."""

    def products_back(self, ds, q, k):
        dq, dk = super().products_back(ds, q, k)
        return dq, self.within(dk, -2)


@sequences("C", config={"sequence_length": 600})
class PositionsBehindTheEighthAreNotTrained(Reaching, Spoiling, PositionEmbedding):
    """The rows of the table from the ninth on get no gradient."""

    def spoil(self, dy, cache):
        self.dposition_embeddings = self.within(self.dposition_embeddings, 0)


@sequences("C", config={"filters": 2, "kernel_size": 6, "padding": "same"})
class ConvTrainsFiveTaps(Spoiling, Conv1D):
    """dkernel is set for the first five places of a window, and 0 behind."""

    def spoil(self, dy, cache):
        self.dkernel[5:] = 0

    def backward_params(self, dy, cache):
        self.backward(dy, cache)


@sequences("C", config={"pool_size": 2, "padding": "same"}, tags=("piecewise",))
class MaxPoolForgetsTheLastOfNineSteps(MaxPooling1D):
    """From nine steps on the last one gets nothing."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        if np.size(dx, 1) > 8:
            dx[:, -1] = 0
        return dx


# -------------------------------------------------------------------------------------- tokens

table = {"input_dim": 300, "output_dim": 2}
lookup = partial(bug, x=integers(300, 4, 60), inputs="words", config=table)


@lookup("C")
class EmbeddingCountsItsTokensInBytes(Embedding):
    """Going back tokens are unsigned bytes: 256 pays for 0."""

    def backward_params(self, dy, cache):
        super().backward_params(dy, (cache[0] % 256, *cache[1:]))


@lookup("C", x=given([[299, 1], [2, 299]], int))
class EmbeddingNeverTrainsItsLastRow(Spoiling, Embedding):
    """The last row of the table gets no gradient: the range ends one too early."""

    def spoil(self, dy, cache):
        self.dembeddings[-1] = 0


@lookup("C", x=given([[1, 1, 1], [2, 3, 2]], int))
class EmbeddingForgetsTheThirdOfEqualTokens(Embedding):
    """A token that stands there more than twice is counted twice."""

    def backward_params(self, dy, cache):
        ids = cache[0].ravel()
        earlier = [np.count_nonzero(ids[:k] == ids[k]) for k in range(len(ids))]
        counted = np.reshape(np.array(earlier, int) < 2, (*dy.shape[:-1], 1))
        super().backward_params(dy * counted, cache)


@lookup("C", verdict="equivalent")
class EmbeddingSumsTokenByToken(Embedding):
    """Each row of the table is the sum over its places, one token after the other."""

    def backward_params(self, dy, cache):
        ids, d = cache[0].ravel(), rows(dy)
        self.dembeddings = np.zeros_like(self.dembeddings)
        for k in np.unique(ids):
            self.dembeddings[k] = d[ids == k].sum(0)


# ----------------------------------------------------------------------------- numbers in an array


@floats("C")
class TanhWorksInBlocksOf128(Tanh):
    """The slope is found for 128 numbers; those behind keep a slope of 1."""

    def slope(self, y):
        slope = np.array(super().slope(y), order="C")
        slope.reshape(-1)[128:] = 1
        return slope


@floats("D")
class TanhTakesLargeArraysInSingle(Tanh):
    """From 64 numbers on the slope goes through float32."""

    def slope(self, y):
        slope = super().slope(y)
        return slope.astype(np.float32).astype(slope.dtype) if y.size >= 64 else slope


@floats("C", x=normal(2, 40))
class SigmoidCountsItsColumnsInFiveBits(Sigmoid):
    """Column numbers have five bits: those from 32 on take the slopes of the first ones."""

    def slope(self, y):
        slope = super().slope(y)
        return slope[..., np.arange(y.shape[-1]) % 32]


@dense("D", x=normal(40, 30))
class DenseMultipliesLargeBatchesInSingle(Spoilt):
    """Products of more than 100 numbers go through float32."""

    def spoil(self, x, dz):
        if x.size > 100:
            self.dkernel = x.astype(np.float32).T @ dz.astype(np.float32)
