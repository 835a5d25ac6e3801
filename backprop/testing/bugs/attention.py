"""Mistakes in attention: the scale, the softmax, the three ways of x, heads and their groups,
masks, dropout, the gate, and positions."""

from __future__ import annotations

from functools import partial

import numpy as np

from backprop.layers.attention import (
    AttentionInHeads,
    GroupQueryAttention,
    MultiHeadAttention,
    PositionEmbedding,
    RotaryEmbedding,
)
from backprop.layers.chain import Chain
from backprop.layers.dense import Dense
from backprop.testing.bugs.bank import behind_embedding, bug, integers, normal

attention = partial(
    bug,
    x=normal(2, 4, 3),
    inputs="sequences",
    config={"num_heads": 2, "key_dim": 3, "bias_initializer": "uniform"},
)


class ByParts(AttentionInHeads):
    """The way back by parts that a mistake can replace."""

    def backward_attend(self, do, dp, q, k, v, found, into):
        dq, dk, dv = into
        p, do = found.p, self.by_head(do)
        dv[...] = self.values_back(do, p, found.drop).sum(2, keepdims=True)
        ds = self.scores_back(do @ v.swapaxes(-1, -2), p, found.blind, found.drop)
        dq[...], each = self.products_back(ds, q, k)
        dk[...] = self.keys_back(each)

    def values_back(self, do, p, drop):
        return (p if drop is None else p * drop).swapaxes(-1, -2) @ do

    def scores_back(self, dp, p, blind, drop):
        ds = self.softmax_back(dp if drop is None else dp * drop, p, dp)
        return ds if blind is None else ds * ~blind

    def softmax_back(self, dp, p, undropped):
        return p * (dp - (dp * p).sum(-1, keepdims=True))

    def products_back(self, ds, q, k):
        return ds @ k, ds.swapaxes(-1, -2) @ q

    def keys_back(self, each):
        return each.sum(2, keepdims=True)


class Attending(ByParts, MultiHeadAttention):
    """The same parts in as many groups as heads."""


@attention("V", verdict="equivalent")
class AttentionAddsUpWithoutWriting(Attending):
    """The same steps, each with an array of its own."""


@attention("V")
class AttentionForgetsTheScaleOfTheQueries(Attending):
    """dq lacks 1 / √key_dim; key_dim = 1 hides it."""

    def products_back(self, ds, q, k):
        dq, dk = super().products_back(ds, q, k)
        return dq * self.key_dim**0.5, dk


@attention("V")
class AttentionScalesTheKeysTwice(Attending):
    """dk has the factor 1 / √key_dim twice: q had it already."""

    def products_back(self, ds, q, k):
        dq, dk = super().products_back(ds, q, k)
        return dq, dk * self.key_dim**-0.5


@attention("V")
class AttentionSwapsQueriesAndKeys(Attending):
    """dq is taken for dk and dk for dq, which always fit in self-attention."""

    def products_back(self, ds, q, k):
        return super().products_back(ds, q, k)[::-1]


@attention("V")
class AttentionForgetsToTransposeItsScores(Attending):
    """dk = ds q, where it is dsᵀ q: in self-attention the scores are square."""

    def products_back(self, ds, q, k):
        return ds @ k, ds @ q


@attention("V")
class AttentionForgetsToTransposeItsWeights(Attending):
    """dv = p do, where it is pᵀ do."""

    def values_back(self, do, p, drop):
        return (p if drop is None else p * drop) @ do


@attention("V")
class AttentionForgetsTheSumOfItsSoftmax(Attending):
    """ds = p dp, without Σ dp p."""

    def softmax_back(self, dp, p, undropped):
        return p * dp


@attention("V")
class AttentionSumsItsSoftmaxOverTheQueries(Attending):
    """The sum in ds runs over the queries, where it runs over the keys."""

    def softmax_back(self, dp, p, undropped):
        return p * (dp - (dp * p).sum(-2, keepdims=True))


@attention("V")
class AttentionForgetsOneOfItsThreeWays(Attending):
    """dx lacks what came back through the values."""

    def backward_project(self, dz, x, joined):
        dx = super().backward_project(dz, x, joined)
        values = self.value.matrix.shape[1]
        return dx - (dz[:, -values:] @ self.value.matrix.T).reshape(x.shape)


@attention("V")
class AttentionMixesUpItsHeads(Attending):
    """The heads of dv are read in the opposite order; one head hides it."""

    def values_back(self, do, p, drop):
        return super().values_back(do, p, drop)[:, ::-1]


@attention("C", varies={"dropout": (0.5,)}, tags=("stochastic",), source="nki-samples 81")
class AttentionForgetsDropoutInItsScores(Attending):
    """dp is not multiplied by what p was."""

    def scores_back(self, dp, p, blind, drop):
        return super().scores_back(dp, p, blind, None)


@attention("C", varies={"dropout": (0.4,)}, tags=("stochastic",), source="apex 816")
class AttentionScalesItsDropoutByItsRate(Attending):
    """Going back, what was kept is multiplied by 1 / rate, where it is 1 / (1 - rate)."""

    def scores_back(self, dp, p, blind, drop):
        if drop is not None:
            drop = drop * ((1 - self.dropout) / self.dropout)
        return super().scores_back(dp, p, blind, drop)


@attention("C", varies={"dropout": (0.5,)}, tags=("stochastic",))
class AttentionForgetsDropoutInItsValues(Attending):
    """dv uses p as it was before dropout."""

    def values_back(self, do, p, drop):
        return super().values_back(do, p, None)


@attention("C", x=integers(2, 4, 5), inputs="tokens", inside=behind_embedding)
class AttentionTrainsQueriesThatSeeNothing(Attending):
    """A masked query has equal weights that are constants, and ds treats them as a softmax."""

    def scores_back(self, dp, p, blind, drop):
        return super().scores_back(dp, p, None, drop)


@attention(
    "V", config={"num_heads": 2, "key_dim": 3, "use_causal_mask": True}, verdict="equivalent"
)
class AttentionMasksItsZeros(Attending):
    """ds is masked where the future is hidden: p is 0 there, and so is ds already."""

    def scores_back(self, dp, p, blind, drop):
        return np.where(p > 0, super().scores_back(dp, p, blind, drop), 0)


# ------------------------------------------------------------------------- the sum of the softmax


@attention("C", varies={"dropout": (0.5,)}, tags=("stochastic",))
class AttentionSumsItsSoftmaxWithoutDropout(Attending):
    """The slope of the softmax is Σ dp p with dp as it was before dropout."""

    def softmax_back(self, dp, p, undropped):
        return p * (dp - (undropped * p).sum(-1, keepdims=True))


class Summing(Attending):
    """The way back whose sum over the keys is one over the features: Σ dp p = Σ do o."""

    def backward_attend(self, do, dp, q, k, v, found, into):
        dq, dk, dv = into
        p, do, o = found.p, self.by_head(do), self.by_head(self.seen(found))
        dv[...] = self.values_back(do, p, found.drop)
        dp = do @ v.swapaxes(-1, -2)
        ds = p * ((dp if found.drop is None else dp * found.drop) - (do * o).sum(-1, keepdims=True))
        blind = found.blind
        dq[...], dk[...] = self.products_back(ds if blind is None else ds * ~blind, q, k)

    def seen(self, found):
        return found.o


@attention("V", verdict="equivalent")
class AttentionSumsOverItsFeatures(Summing):
    """Σ_keys dp p = Σ_features do o."""


@attention("V")
class AttentionDividesItsOutputAgain(Summing):
    """Σ do o takes the mean over the keys, where o is their sum with the weights p."""

    def seen(self, found):
        return found.o / found.p.shape[-1]


# ------------------------------------------------------------------------------------------- gate

gated = partial(attention, config={"num_heads": 2, "key_dim": 3, "use_gate": True})


@gated("V")
class GateForgetsItsSlope(MultiHeadAttention):
    """The gate passes do o on as it is, without σ' = g (1 - g)."""

    def backward(self, dy, cache):
        x, [source], q, k, v, gate, found, o = cache
        do = self.output.backward(dy, o)
        dz = np.empty((x.shape[0] * x.shape[1], source[1].w.shape[1]), dy.dtype)
        d = self.columns(dz, x.shape, source[1].names)
        d["gate"][...] = do * found.o
        self.backward_attend(do * gate, None, q, k, v, found, (d["query"], d["key"], d["value"]))
        return self.backward_project(dz, *source)


@gated("V")
class GateUsesItsOwnProduct(MultiHeadAttention):
    """dgate takes o behind the gate, where it is o before it."""

    def backward(self, dy, cache):
        *before, found, o = cache
        return super().backward(dy, (*before, found._replace(o=o), o))


# ----------------------------------------------------------------------------------------- groups

grouped = partial(
    bug,
    x=normal(2, 3, 4),
    inputs="sequences",
    config={"head_dim": 2, "num_query_heads": 4, "num_key_value_heads": 2},
)


class Grouped(ByParts, GroupQueryAttention):
    """The same parts in fewer groups."""


@grouped("V", verdict="equivalent")
class GroupsAddUp(Grouped):
    """A key's gradient is the sum over its queries."""


@grouped("V")
class GroupsForgetToAddUp(Grouped):
    """A key takes the gradient of the first of its queries; as many keys as queries hide it."""

    def keys_back(self, each):
        return each[:, :, :1]


@grouped("V")
class GroupsAverage(Grouped):
    """A key takes the mean over its queries, where it is the sum."""

    def keys_back(self, each):
        return each.mean(2, keepdims=True)


@grouped("V")
class GroupsAreInterleaved(GroupQueryAttention):
    """Going back, query h belongs to group h mod groups; forward it was ⌊h / queries⌋."""

    def backward_attend(self, do, dp, q, k, v, found, into):
        n, steps, heads, size = do.shape
        queries = heads // self.groups
        do = do.reshape(n, steps, queries, self.groups, size).swapaxes(2, 3)
        do = do.reshape(n, steps, heads, size)
        super().backward_attend(do, dp, q, k, v, found, into)


# -------------------------------------------------------------------------------------- positions

places = partial(bug, x=normal(2, 3, 4), inputs="sequences", config={"sequence_length": 5})


@places("V")
class PositionsAverageOverTheBatch(PositionEmbedding):
    """A place takes the mean over the sequences, where it is the sum; a batch of one hides it."""

    def backward_params(self, dy, cache):
        super().backward_params(dy, cache)
        self.dembeddings = self.dembeddings / max(len(dy), 1)


@places("L")
class PositionsBehindTheLastStepKeepTheirGradient(PositionEmbedding):
    """Places that a shorter sequence does not reach keep the gradient of an earlier one."""

    def backward_params(self, dy, cache):
        np.sum(dy, axis=0, out=self.dembeddings[: dy.shape[1]])


@places("V")
class PositionsGoToTheLastPlaces(PositionEmbedding):
    """The gradient of a sequence that is shorter than the places is put at their end."""

    def backward_params(self, dy, cache):
        super().backward_params(dy, cache)
        self.dembeddings = self.dembeddings[::-1].copy()


def behind_pairs(layer):
    """The layer behind one that makes two pairs of features of any number of them."""
    return Chain([Dense(4), layer])


turning = partial(bug, x=normal(2, 3, 4), inputs="sequences", config={}, inside=behind_pairs)


@turning("V")
class RotaryTurnsOnAndNotBack(RotaryEmbedding):
    """dx is dy turned by the same angle, where it is turned back; a single step hides it."""

    def backward(self, dy, cache):
        return self.turn(dy)


@turning("V")
class RotaryPairsNeighbours(RotaryEmbedding):
    """Going back, the pairs are (2i, 2i + 1), where they were (i, i + n/2); n = 2 hides it."""

    def backward(self, dy, cache):
        half = dy.shape[-1] // 2
        order = np.arange(2 * half).reshape(half, 2).T.ravel()
        dx = np.empty_like(dy)
        dx[..., order] = self.turn(dy[..., order], back=True)
        return dx
