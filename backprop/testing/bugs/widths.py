"""Mistakes at one size alone: nine columns, seven rows, the eleventh step.

One size more or less, and nothing is wrong.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from backprop.layers.activations.sigmoids import Tanh
from backprop.layers.activations.softmax import Softmax
from backprop.layers.convolution import Conv1D, Conv2D
from backprop.layers.dense import Dense
from backprop.layers.embedding import Embedding
from backprop.layers.normalization import LayerNormalization
from backprop.layers.pooling import AveragePooling1D, MaxPooling1D, MaxPooling2D
from backprop.layers.recurrent import GRU
from backprop.losses.regression import MeanSquaredError
from backprop.testing.bugs.bank import bug, given, integers, normal
from backprop.testing.bugs.linear import Spoilt
from backprop.testing.bugs.losses import regression
from backprop.testing.bugs.shared import Mixin, Spoiling

images = partial(bug, "C", x=normal(2, 5, 5, 2), inputs="images", options={"min_side": 3})
sequences = partial(bug, "C", x=normal(2, 5, 3), inputs="sequences")
floats = partial(bug, "C", x=normal(4, 5), inputs="floats")
dense = partial(bug, "C", x=normal(5, 4), inputs="rows", config={"units": 3})
pooled = {"pool_size": 3, "strides": 1}


class ForgetsTheLast(Mixin):
    """Where x has `size` places along `axis`, the last one gets nothing."""

    axis, size = -1, 9

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        if dx.ndim > abs(self.axis + (self.axis >= 0)) and dx.shape[self.axis] == self.size:
            dx = dx.copy()
            np.moveaxis(dx, self.axis, 0)[-1] = 0
        return dx


@images(config=pooled, tags=("piecewise",))
class MaxPoolForgetsTheLastOfNineColumns(ForgetsTheLast, MaxPooling2D):
    """Where an image is nine columns wide, the last one gets nothing."""

    axis = 2


@images(config=pooled, tags=("piecewise",))
class MaxPoolForgetsTheLastOfSevenRows(ForgetsTheLast, MaxPooling2D):
    """Where an image is seven rows high, the last one gets nothing."""

    axis, size = 1, 7


@sequences(config={"pool_size": 3, "padding": "same"}, options={"steps": (2, 33)})
class AveragePoolForgetsTheLastOfSeventeenSteps(ForgetsTheLast, AveragePooling1D):
    """Of seventeen steps the last one gets nothing."""

    axis, size = 1, 17


@sequences(config={"pool_size": 3, "padding": "same"}, tags=("piecewise",))
class MaxPoolForgetsTheLastOfEightSteps(ForgetsTheLast, MaxPooling1D):
    """Of eight steps the last one gets nothing."""

    axis, size = 1, 8


@images(config={"filters": 2, "kernel_size": 3})
class ConvForgetsTheLastOfFifteenColumns(ForgetsTheLast, Conv2D):
    """Where an image is fifteen columns wide, the last one gets nothing."""

    axis, size = 2, 15


@sequences(config={"filters": 2, "kernel_size": 2, "padding": "same"})
class ConvForgetsTheLastOfElevenChannels(ForgetsTheLast, Conv1D):
    """Of eleven channels the last one gets nothing."""

    size = 11


@floats()
class TanhForgetsTheLastOfThirteenNumbers(ForgetsTheLast, Tanh):
    """Of thirteen numbers in a row the last one gets nothing."""

    size = 13


@floats()
class SoftmaxForgetsTheLastOfTenClasses(ForgetsTheLast, Softmax):
    """Of ten classes the last one gets nothing."""

    size = 10


@floats()
class LayerNormForgetsTheLastOfTwentyThree(ForgetsTheLast, LayerNormalization):
    """Of 23 numbers in a row the last one gets nothing."""

    size = 23


@floats()
class TanhForgetsTheLastOfThirtyRows(ForgetsTheLast, Tanh):
    """In a batch of thirty rows the last one gets nothing."""

    axis, size = 0, 30


@dense()
class DenseForgetsARowOfSixteen(Spoilt):
    """Of a batch of sixteen rows the last one counts for nothing in dkernel."""

    def spoil(self, x, dz):
        if len(x) == 16:
            self.dkernel = x[:-1].T @ dz[:-1]


@dense()
class DenseForgetsARowOfFive(Spoilt):
    """Of a batch of five rows the last one counts for nothing in dkernel."""

    def spoil(self, x, dz):
        if len(x) == 5:
            self.dkernel = x[:-1].T @ dz[:-1]


@dense()
class DenseForgetsARowOfElevenWhereOnlyParametersAreAsked(Dense):
    """backward_params leaves the last of eleven rows out."""

    def backward_params(self, dy, cache):
        x, a = cache
        if len(x) == 11:
            dy = np.concatenate([dy[:-1], np.zeros_like(dy[-1:])])
        super().backward_params(dy, (x, a))


@regression("C")
class SquaredErrorForgetsTheLastOfTwelveRows(MeanSquaredError):
    """Of twelve rows the last one gets nothing."""

    def gradient(self, dvalues, cache):
        dy_pred = super().gradient(dvalues, cache)
        if len(dy_pred) == 12:
            dy_pred = np.concatenate([dy_pred[:-1], np.zeros_like(dy_pred[-1:])])
        return dy_pred


@sequences(config={"units": 2})
class GruForgetsTheLastOfTenSteps(ForgetsTheLast, GRU):
    """Of ten steps the last one gets nothing."""

    axis, size = 1, 10


# -------------------------------------------------------------------------------------- tokens

lookup = partial(
    bug,
    "C",
    x=integers(1000, 4, 6),
    inputs="thousand",
    config={"input_dim": 1000, "output_dim": 2},
)


@lookup()
class EmbeddingForgetsTheLastOfAThousand(Spoiling, Embedding):
    """The last row of the table gets no gradient."""

    def spoil(self, dy, cache):
        self.dembeddings[-1] = 0


@lookup()
class EmbeddingForgetsToken512(Spoiling, Embedding):
    """Token 512 gets no gradient."""

    def spoil(self, dy, cache):
        self.dembeddings[512] = 0


@lookup(x=given([[0, 1], [2, 0]], int))
class EmbeddingForgetsItsFirstRow(Spoiling, Embedding):
    """Token 0 gets no gradient, where it stands for no padding."""

    def spoil(self, dy, cache):
        self.dembeddings[0] = 0
