"""Mistakes beside the pass of training: padding that both passes take for real, a way of its own
for steps and predictions, integers of eight bits, what belongs to the whole process, large arrays.

Forward and backward belong together in each of them, at a fixed small input in float64.
"""

from __future__ import annotations

import random
from functools import partial

import numpy as np

from backprop.layer import INFERENCE
from backprop.layers.activations.rectifiers import ReLU
from backprop.layers.activations.sigmoids import Sigmoid, Tanh
from backprop.layers.attention import PositionEmbedding
from backprop.layers.embedding import Embedding
from backprop.layers.normalization import LayerNormalization
from backprop.layers.pooling import GlobalAveragePooling1D
from backprop.layers.recurrent import GRU, LSTM, SimpleRNN
from backprop.testing.bugs.bank import bug, integers, normal
from backprop.testing.bugs.linear import Spoilt

floats = partial(bug, "L", x=normal(4, 5), inputs="floats")
padded = partial(bug, "L", x=normal(3, 4, 2), inputs="padded")
step_by_step = partial(
    bug,
    "L",
    x=normal(3, 4, 2),
    inputs="sequences",
    config={"units": 2, "return_sequences": True},
)

# ---------------------------------------------------------------------------------------- padding


@padded()
class GlobalAverageCountsPadding(GlobalAveragePooling1D):
    """The mean is that of all steps, of masked ones too, going forth and back."""

    def forward(self, x, ctx=INFERENCE):
        return super().forward(x, ctx.with_mask(None))


@padded(config={"units": 2})
class RecurrentRunsThroughPadding(SimpleRNN):
    """Masked steps move the state, and go back as they came."""

    def forward(self, x, ctx=INFERENCE):
        return super().forward(x, ctx.with_mask(None))


@padded(config={"units": 2})
class GRUHoldsPaddingForBehind(GRU):
    """All sequences are taken to be padded behind: one that begins with padding ends too early."""

    def forward(self, x, ctx=INFERENCE):
        if ctx.mask is not None:
            ctx = ctx.with_mask(-np.sort(-ctx.mask.astype(int), 1) > 0)
        return super().forward(x, ctx)


# ----------------------------------------------------------------------------- steps, predictions


@step_by_step()
class LSTMBeginsAnewAtEachStep(LSTM):
    """step takes no notice of what the step before it returned."""

    def step(self, x, memory):
        return super().step(x, None)


@step_by_step()
class GRUWritesIntoItsMemory(GRU):
    """step writes the new state over the old one, which somebody may continue in another way."""

    def step(self, x, memory):
        y, new = super().step(x, memory)
        for old, state in zip(memory or (), new, strict=False):
            old[...] = state
        return y, memory or new


@bug("L", x=normal(3, 4, 2), inputs="sequences", config={"sequence_length": 300})
class PositionsCountFromEachPart(PositionEmbedding):
    """step begins with the first position for each part of a sequence."""

    def step(self, x, memory):
        return super().step(x, None)


@bug("L", x=normal(3, 4, 2), inputs="sequences", config={"axis": (1, 2)})
class NormalizationIsSaidToBeLocal(LayerNormalization):
    """time_local is said of statistics of all steps."""

    def build(self, input_shape):
        super().build(input_shape)
        self.time_local = True


@floats()
class TanhPredictsInPlace(Tanh):
    """Where no backward pass follows y is written over x."""

    def forward(self, x, ctx=INFERENCE):
        if ctx.backward or not x.flags.writeable:
            return super().forward(x, ctx)
        return np.tanh(x, out=x), None


@floats()
class SigmoidPredictsByAStraightLine(Sigmoid):
    """Where no backward pass follows y is held within 0 and 1 by a line, which is faster."""

    def forward(self, x, ctx=INFERENCE):
        if ctx.backward:
            return super().forward(x, ctx)
        return np.clip(x / 4 + x.dtype.type(0.5), 0, 1), None


@floats()
class ReluPredictsInOneArray(ReLU):
    """Where no backward pass follows y lies in an array that the next prediction fills."""

    def forward(self, x, ctx=INFERENCE):
        if ctx.backward:
            return super().forward(x, ctx)
        kept = self.__dict__.setdefault("kept", {})
        return np.maximum(x, 0, out=kept.setdefault((x.shape, x.dtype), np.empty_like(x))), None


# ---------------------------------------------------------------------------- integers, the process


@bug("D", x=integers(5, 3, 4), inputs="tokens", config={"input_dim": 5, "output_dim": 2})
class EmbeddingCountsFromItsEnd(Embedding):
    """Indices are found by subtracting, and wrap round where x holds integers of eight bits."""

    def _indices(self, x):
        return (x - x.dtype.type(self.input_dim)).astype(np.intp) + self.input_dim


@floats()
class TanhSeedsTheProcess(Tanh):
    """forward seeds np.random, from which others draw."""

    def forward(self, x, ctx=INFERENCE):
        np.random.seed(0)
        return super().forward(x, ctx)


@floats()
class ReluDrawsFromTheProcess(ReLU):
    """backward takes a number from `random`, so that all that is drawn behind it is another."""

    def backward(self, dy, cache):
        random.random()
        return super().backward(dy, cache)


@floats()
class SigmoidSilencesNumPy(Sigmoid):
    """forward turns the warnings of NumPy off, and leaves them so."""

    def forward(self, x, ctx=INFERENCE):
        np.seterr(over="ignore", under="call")
        return super().forward(x, ctx)


# ------------------------------------------------------------------------------------ large arrays


@bug("C", x=normal(5, 4), inputs="rows", config={"units": 3})
class DenseOfAThousandRows(Spoilt):
    """dkernel is the sum over the first thousand rows."""

    def spoil(self, x, dz):
        self.dkernel = x[:1000].T @ dz[:1000]


@floats()
class TanhOfManyNumbers(Tanh):
    """The slope is a thousandth too large where there are 10,000 numbers and more."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        return dx if dy.size < 10_000 else dx * dx.dtype.type(1.001)


@bug("C", x=normal(5, 4), inputs="rows", config={"units": 3})
class DenseOfSquareTiles(Spoilt):
    """dkernel is found in tiles of 32 rows by 32 columns, and the last corner is forgotten."""

    def spoil(self, x, dz):
        if len(x) > 32 and x.shape[1] > 32:
            corner = x[32:, 32:].T @ dz[32:]
            self.dkernel[32:] -= corner
