"""Mistakes in attention: the scale, the softmax, the three ways of x, heads, masks and dropout."""

from __future__ import annotations

from functools import partial

from backprop.layers.attention import MultiHeadAttention
from backprop.testing.bugs.bank import behind_embedding, bug, integers, normal

attention = partial(
    bug,
    x=normal(2, 4, 3),
    inputs="sequences",
    config={"num_heads": 2, "key_dim": 3, "bias_initializer": "uniform"},
)


class Attending(MultiHeadAttention):
    """The way back by parts that a mistake can replace."""

    def backward(self, dy, cache):
        x, q, k, v, p, visible, drop, o = cache
        do = self.output.backward(dy, o).swapaxes(1, 2)
        dv = self.values_back(do, p, drop)
        ds = self.scores_back(do @ v.swapaxes(-1, -2), p, visible, drop)
        dq, dk = self.products_back(ds, q, k)
        dq, dk, dv = (d.swapaxes(1, 2) for d in (dq, dk, dv))
        return self.inputs_back(dq, dk, dv, x)

    def values_back(self, do, p, drop):
        return (p if drop is None else p * drop).swapaxes(-1, -2) @ do

    def scores_back(self, dp, p, visible, drop):
        if drop is not None:
            dp = dp * drop
        ds = p * (dp - (dp * p).sum(-1, keepdims=True))
        return ds if visible is None else ds * visible

    def products_back(self, ds, q, k):
        return ds @ k * self._scale(q), ds.swapaxes(-1, -2) @ q

    def inputs_back(self, dq, dk, dv, x):
        return self.query.backward(dq, x) + self.key.backward(dk, x) + self.value.backward(dv, x)


@attention("V", verdict="equivalent")
class AttentionAddsUpWithoutWriting(Attending):
    """The same steps, each with an array of its own."""


@attention("V")
class AttentionForgetsTheScaleOfTheQueries(Attending):
    """dq lacks 1 / √key_dim; key_dim = 1 hides it."""

    def products_back(self, ds, q, k):
        return ds @ k, ds.swapaxes(-1, -2) @ q


@attention("V")
class AttentionScalesTheKeysTwice(Attending):
    """dk has the factor 1 / √key_dim twice: q had it already."""

    def products_back(self, ds, q, k):
        dq, dk = super().products_back(ds, q, k)
        return dq, dk * self._scale(q)


@attention("V")
class AttentionSwapsQueriesAndKeys(Attending):
    """dq is taken for dk and dk for dq, which always fit in self-attention."""

    def products_back(self, ds, q, k):
        return super().products_back(ds, q, k)[::-1]


@attention("V")
class AttentionForgetsToTransposeItsScores(Attending):
    """dk = ds q, where it is dsᵀ q: in self-attention the scores are square."""

    def products_back(self, ds, q, k):
        return ds @ k * self._scale(q), ds @ q


@attention("V")
class AttentionForgetsToTransposeItsWeights(Attending):
    """dv = p do, where it is pᵀ do."""

    def values_back(self, do, p, drop):
        return (p if drop is None else p * drop) @ do


@attention("V")
class AttentionForgetsTheSumOfItsSoftmax(Attending):
    """ds = p dp, without Σ dp p."""

    def scores_back(self, dp, p, visible, drop):
        ds = p * (dp if drop is None else dp * drop)
        return ds if visible is None else ds * visible


@attention("V")
class AttentionSumsItsSoftmaxOverTheQueries(Attending):
    """The sum in ds runs over the queries, where it runs over the keys."""

    def scores_back(self, dp, p, visible, drop):
        dp = dp if drop is None else dp * drop
        ds = p * (dp - (dp * p).sum(-2, keepdims=True))
        return ds if visible is None else ds * visible


@attention("V")
class AttentionForgetsOneOfItsThreeWays(Attending):
    """dx lacks what came back through the values."""

    def inputs_back(self, dq, dk, dv, x):
        dx = super().inputs_back(dq, dk, dv, x)
        return dx - self.value.backward(dv, x)


@attention("V")
class AttentionMixesUpItsHeads(Attending):
    """The heads of dv are read in the opposite order; one head hides it."""

    def values_back(self, do, p, drop):
        return super().values_back(do, p, drop)[:, ::-1]


@attention("C", varies={"dropout": (0.5,)}, tags=("stochastic",), source="nki-samples 81")
class AttentionForgetsDropoutInItsScores(Attending):
    """dp is not multiplied by what p was."""

    def scores_back(self, dp, p, visible, drop):
        return super().scores_back(dp, p, visible, None)


@attention("C", varies={"dropout": (0.4,)}, tags=("stochastic",), source="apex 816")
class AttentionScalesItsDropoutByItsRate(Attending):
    """Going back, what was kept is multiplied by 1 / rate, where it is 1 / (1 - rate)."""

    def scores_back(self, dp, p, visible, drop):
        if drop is not None:
            drop = drop * ((1 - self.dropout) / self.dropout)
        return super().scores_back(dp, p, visible, drop)


@attention("C", varies={"dropout": (0.5,)}, tags=("stochastic",))
class AttentionForgetsDropoutInItsValues(Attending):
    """dv uses p as it was before dropout."""

    def values_back(self, do, p, drop):
        return super().values_back(do, p, None)


@attention("C", x=integers(2, 4, 5), inputs="tokens", inside=behind_embedding)
class AttentionTrainsQueriesThatSeeNothing(Attending):
    """A masked query has equal weights that are constants, and ds treats them as a softmax."""

    def scores_back(self, dp, p, visible, drop):
        return super().scores_back(dp, p, None, drop)


@attention(
    "V", config={"num_heads": 2, "key_dim": 3, "use_causal_mask": True}, verdict="equivalent"
)
class AttentionTrustsItsZeros(Attending):
    """ds is not masked where the future is hidden, and no query sees nothing: p is 0 there, and so
    is ds.
    """

    def scores_back(self, dp, p, visible, drop):
        hidden_from_all = None if visible is None or visible.any(-1).all() else visible
        return super().scores_back(dp, p, hidden_from_all, drop)
