"""Mistakes in lookups, where one row is taken many times, and in what ends up masked."""

from __future__ import annotations

from functools import partial

import numpy as np

from backprop.layer import INFERENCE
from backprop.layers.embedding import Embedding, Masking, ReversibleEmbedding, Unembedding
from backprop.linalg import rows
from backprop.testing.bugs.bank import Layers, bug, given, normal

lookup = partial(
    bug,
    x=given([[1, 2, 0], [3, 1, 1]], int),
    inputs="tokens",
    config={"input_dim": 5, "output_dim": 3},
)
once = partial(lookup, x=given([[1, 2], [3, 4]], int))  # no token twice


@once("C", source="autograd 39, PyTorch 1528, tt-metal 6232")
class EmbeddingAddsDuplicatesOnce(Embedding):
    """dembeddings[x] += dy adds once where a token stands twice."""

    def backward_params(self, dy, cache):
        self.dembeddings[...] = 0
        self.dembeddings[cache[0].ravel()] += rows(dy)


@lookup("V")
class EmbeddingLetsTheLastDuplicateWin(Embedding):
    """dembeddings[x] = dy: of a token's places only the last one counts."""

    def backward_params(self, dy, cache):
        self.dembeddings[...] = 0
        self.dembeddings[cache[0].ravel()] = rows(dy)


@lookup("C", x=given([[1, 2, 3], [3, 1, 1]], int), varies={"mask_zero": (False, True)})
class EmbeddingNeverTrainsItsPadding(Embedding):
    """With mask_zero the row of token 0 gets no gradient, though y holds it."""

    def backward_params(self, dy, cache):
        super().backward_params(dy, cache)
        self.dembeddings[0] = 0


@lookup("V")
class EmbeddingAveragesOverDuplicates(Embedding):
    """Each row's gradient is divided by how often its token stands there."""

    def backward_params(self, dy, cache):
        super().backward_params(dy, cache)
        count = np.bincount(cache[0].ravel(), minlength=self.input_dim)
        self.dembeddings /= np.maximum(count, 1)[:, None].astype(dy.dtype)


@lookup("V")
class EmbeddingSortsItsTokensButNotTheirGradients(Embedding):
    """dy is added up in the order of the sorted tokens without being sorted along."""

    def backward_params(self, dy, cache):
        ids, shape = cache
        super().backward_params(dy, (np.sort(ids, axis=None).reshape(ids.shape), shape))


@lookup("L", x=given([[1, 2, 0], [3, 4, 1]], int))
class EmbeddingLeavesTheRowsOfOtherBatches(Embedding):
    """Rows whose token is absent keep the gradient of the batch before."""

    def backward_params(self, dy, cache):
        before = self.dembeddings.copy()
        super().backward_params(dy, cache)
        absent = np.setdiff1d(np.arange(self.input_dim), cache[0])
        self.dembeddings[absent] = before[absent]


# a value that neither numbers nor lattices hold, so that no step is masked where differences would
# see the jump
masking = partial(bug, x=normal(3, 4, 2), inputs="sequences", config={"mask_value": 0.3})


@masking("V", verdict="equivalent")
class MaskingMultiplies(Masking):
    """dx = dy times 0 or 1, where dy is finite."""

    def backward(self, dy, cache):
        return dy * cache


@masking("P", inputs="holes")
class MaskingDropsSingleNumbers(Masking):
    """dx is 0 wherever a number equals mask_value, where all of the step's must."""

    def forward(self, x, ctx=INFERENCE):
        y, real = super().forward(x)
        return y, (x != self.mask_value) & real


@masking("V")
class MaskingPassesNothingButWhatItMasked(Masking):
    """The mask is taken the wrong way round going back."""

    def backward(self, dy, cache):
        return np.where(cache, dy.dtype.type(0), dy)


def capped():
    return ReversibleEmbedding(5, 3, logit_soft_cap=1.0)


unembedding = partial(
    bug,
    x=normal(4, 3),
    inputs="rows",
    options={"min_side": 3, "max_side": 3},
    config={"layer": Layers(capped)},
)


@unembedding("V")
class UnembeddingForgetsItsSoftCap(Unembedding):
    """dz = dy: the slope of the soft cap is left out."""

    def _set_gradients(self, dy, cache):
        return super()._set_gradients(dy, (cache[0], None))


@unembedding("V")
class UnembeddingTakesTheSlopeOfTanhForItsSoftCap(Unembedding):
    """dz = dy (1 - y²), where y is c tanh(z / c) and its slope 1 - (y / c)²."""

    def _set_gradients(self, dy, cache):
        x, y = cache
        return super()._set_gradients(dy, (x, 2 * y))


@unembedding("L")
class UnembeddingAddsToTheTablesGradient(Unembedding):
    """dembeddings is added to what the look-up has left there, which a network adds once more."""

    def _set_gradients(self, dy, cache):
        before = self.layer.dembeddings.copy()
        dz = super()._set_gradients(dy, cache)
        self.layer.dembeddings += before
        return dz
