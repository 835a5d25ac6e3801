"""Mistakes of attention between sequences: what comes back to query, value and key, to the scores
that are an output, whose mask hides what, and scores without projections."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from backprop.layer import INFERENCE, InputSpec, Layer
from backprop.layers.attention import AdditiveAttention, Attention, MultiHeadAttention
from backprop.layers.chain import Chain
from backprop.layers.containers import Container
from backprop.layers.dense import Dense
from backprop.layers.embedding import Embedding
from backprop.layers.graph import Graph
from backprop.layers.inputs import Input
from backprop.layers.transformer import TransformerDecoder
from backprop.nest import several
from backprop.testing.bugs.bank import bug, integers, normal


class Between(Container):
    """A layer of several inputs on what `of` makes of one array."""

    def __init__(self, layer, of, **kwargs):
        super().__init__(**kwargs)
        self.layer, self.of = layer, of

    def build(self, input_shape):
        x = Input(batch_shape=(None, *input_shape[1:]))
        for part in (self.layer, *self.of):
            part.adopt_dtype(self.dtype)
        made = [part(x) for part in self.of]
        y = self.layer(*made) if len(self.layer.call_inputs) > 1 else self.layer(made)
        self.graph = Graph(x, Heavier(dtype=self.dtype)(*y) if type(y) is tuple else y)
        self.build_part(self.graph, 0, input_shape)
        self.input_spec = InputSpec(ndim=len(input_shape), axes={-1: input_shape[-1]})

    def parts(self) -> tuple[str, list[Layer]]:
        return "part", [self.graph]

    def compute_output_shape(self, input_shape):
        made = tuple([part.compute_output_shape(input_shape) for part in self.of])
        y = self.layer.compute_output_shape(made)
        return y[0] if several(y) else y

    def propagate(self, x, ctx):
        return self.graph.propagate(x, ctx)

    def backward(self, dy, cache):
        return self.graph.backward(dy, cache)


class Heavier(Layer):
    """y plus the sum of the squares of p: two outputs as one."""

    call_inputs = ("y", "p")

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def compute_mask(self, x, mask=None):
        return None if mask is None else mask[0]

    def forward(self, x, ctx=INFERENCE):
        y, p = x
        return y + (p * p).sum((1, 3))[..., None], p

    def backward(self, dy, p) -> Any:
        return dy, 2 * p * dy.sum(-1)[:, None, :, None]


def of_two(layer):
    """A query, and a value that is its own key."""
    return Between(layer, [Dense(3), Dense(3, "tanh")])


def of_three(layer):
    """A query, a value and a key."""
    return Between(layer, [Dense(3), Dense(3, "tanh"), Dense(3, "sigmoid")])


def of_padded(layer):
    """The same, each with the mask of words in which 0 is padding."""
    return Chain([Embedding(5, 3, mask_zero=True), of_two(layer)])


heads = {"num_heads": 2, "key_dim": 3, "bias_initializer": "uniform"}
between = partial(bug, x=normal(2, 4, 3), inputs="sequences", config=heads, inside=of_two)
with_scores = partial(between, config=heads | {"return_attention_scores": True})


@between("V", verdict="equivalent")
class AttentionProjectsEachArrayAnew(MultiHeadAttention):
    """What is projected twice, as key and value, may be projected one after the other."""

    def ways(self, x):
        query, *rest = super().ways(x)
        return [query, *((array, names) for array, names in rest)]


@between("V")
class AttentionSwapsKeysAndValues(MultiHeadAttention):
    """dk is taken for dv and dv for dk, which fit where a key is as large as a value."""

    def backward_attend(self, do, dp, q, k, v, found, into):
        dq, dk, dv = into
        super().backward_attend(do, dp, q, k, v, found, (dq, dv, dk))


@between("V")
class AttentionForgetsThatAValueIsItsKey(MultiHeadAttention):
    """Without a key, dvalue lacks what came back through the keys."""

    def backward_project(self, dz, x, joined):
        dx = super().backward_project(dz, x, joined)
        if joined.names[0] != "key":
            return dx
        keys = self.key.matrix.shape[1]
        return dx - (dz[:, :keys] @ self.key.matrix.T).reshape(x.shape)


@between("V", inside=of_three)
class AttentionDropsItsValueWhereThereIsAKey(MultiHeadAttention):
    """With a key, dvalue is 0."""

    def placed(self, dx, x):
        query, value, *key = super().placed(dx, x)
        return query, np.zeros_like(value) if key else value, *key


@between("V", inside=of_three)
class AttentionTakesItsKeyForItsValue(MultiHeadAttention):
    """dkey and dvalue change places, which fits where both have as many features."""

    def placed(self, dx, x):
        query, value, key = super().placed(dx, x)
        return query, key, value


@between("V")
class AttentionGivesItsQueryEverything(MultiHeadAttention):
    """The query receives the sum of all, as in self-attention."""

    def placed(self, dx, x):
        query, value = super().placed(dx, x)
        return query + value, value


@with_scores("V")
class AttentionForgetsItsScores(MultiHeadAttention):
    """What came back to the scores is dropped."""

    def backward_attend(self, do, dp, q, k, v, found, into):
        super().backward_attend(do, None, q, k, v, found, into)


@with_scores("V")
class AttentionTakesItsScoresForItsSums(MultiHeadAttention):
    """What came back to the scores is not put through the softmax: ds, where it is dp."""

    def backward_attend(self, do, dp, q, k, v, found, into):
        super().backward_attend(do, None, q, k, v, found, into)
        ds = dp.reshape(found.p.shape)
        into[0][...] += ds @ k
        into[1][...] += ds.swapaxes(-1, -2) @ q


@with_scores("C", varies={"dropout": (0.5,)}, tags=("stochastic",))
class AttentionDropsOutItsScores(MultiHeadAttention):
    """What came back to the scores is multiplied by dropout, which they were given without."""

    def backward_attend(self, do, dp, q, k, v, found, into):
        drop = 1.0 if found.drop is None else found.drop
        dp = (dp.reshape(found.p.shape) * drop).reshape(dp.shape)
        super().backward_attend(do, dp, q, k, v, found, into)


padded = partial(between, x=integers(5, 2, 4), inputs="tokens", inside=of_padded)


@padded("C", reference=True)
class AttentionHidesNoKey(MultiHeadAttention):
    """The query's mask hides queries and the value's hides nothing."""

    def real(self, x, mask):
        return super().real(x, mask)[0], None


@padded("C")
class AttentionForgetsThatMasksHidKeys(MultiHeadAttention):
    """A query that sees nothing takes all keys evenly, and passes its gradient to their scores."""

    def backward_attend(self, do, dp, q, k, v, found, into):
        super().backward_attend(do, dp, q, k, v, found._replace(blind=None), into)


# ---------------------------------------------------------------------------- without projections

plain = partial(between, config={"use_scale": True})
additive = partial(between, config={})
concat = partial(between, config={"use_scale": True, "score_mode": "concat"})


@plain("V")
class ScoresForgetThatAValueIsItsKey(Attention):
    """Without a key, dvalue lacks what came back through the scores."""

    def backward_score(self, ds, cache):
        dq, dk = super().backward_score(ds, cache)
        return dq, np.zeros_like(dk)


@plain("V")
class ScoresForgetTheirScale(Attention):
    """dquery and dkey lack the scale; as it begins as 1, only a trained one shows it."""

    def backward_score(self, ds, cache):
        q, k, s = cache
        self.dscale = (ds * s).sum()
        return ds @ k, ds.swapaxes(-1, -2) @ q


@plain("V")
class ScoresAverageTheirScale(Attention):
    """dscale is the mean over all pairs, where it is the sum."""

    def backward_score(self, ds, cache):
        found = super().backward_score(ds, cache)
        self.dscale = self.dscale / max(ds.size, 1)
        return found


@concat("V")
class ScoresForgetTheSlopeOfTheirTanh(Attention):
    """da = c ds, without 1 - h²."""

    def backward_score(self, ds, cache):
        q, k, s, h = cache
        return super().backward_score(ds, (q, k, s, np.zeros_like(h)))


@concat("V")
class ScoresForgetTheirWeightOnTheWayBack(Attention):
    """dconcat_score_weight is that of a weight of 1, times the weight."""

    def backward_score(self, ds, cache):
        found = super().backward_score(ds, cache)
        self.dconcat_score_weight = self.dconcat_score_weight * (1 + self.concat_score_weight)
        return found


@additive("V")
class AdditiveScoresSumOverTheOthers(AdditiveAttention):
    """dquery is summed over the queries and dkey over the keys, which fits where there are as many
    of both."""

    def backward_score(self, ds, cache):
        return super().backward_score(ds, cache)[::-1]


@additive("V")
class AdditiveScoresForgetTheirScale(AdditiveAttention):
    """da lacks the scale of each feature."""

    def backward_score(self, ds, cache):
        dq, dk = super().backward_score(ds, cache)
        return dq / self.scale, dk / self.scale


@partial(plain, x=integers(5, 2, 4), inputs="tokens", inside=of_padded)("C")
class MaskedQueriesPassTheirGradientOn(Attention):
    """y is 0 at a masked query, and going back dy is not."""

    def backward(self, dy, cache):
        *known, _ = cache
        return super().backward(dy, (*known, None))


# ------------------------------------------------------------------------------------- the decoder

decoder = partial(
    between, x=normal(2, 4, 4), config={"intermediate_dim": 4, "num_heads": 1}, inside=of_two
)


@decoder("V")
class DecoderForgetsItsEncoder(TransformerDecoder):
    """Nothing comes back to what the encoder gave."""

    def backward(self, dy, cache):
        dx, dencoded = super().backward(dy, cache)
        return dx, np.zeros_like(dencoded)


@decoder("V")
class DecoderSwapsItsInputs(TransformerDecoder):
    """What came back to x goes to the encoder, and the other way round."""

    def backward(self, dy, cache):
        return super().backward(dy, cache)[::-1]
