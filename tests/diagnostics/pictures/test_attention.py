"""Who looks at whom."""

import numpy as np
import pytest
from drawn_axes import numbers_of, outside, ticks_of

import backprop as bp
from backprop.diagnostics import attention_weights, plot_attention
from backprop.layers import (
    AdditiveAttention,
    Attention,
    Dense,
    Embedding,
    GroupQueryAttention,
    MultiHeadAttention,
    TransformerBlock,
)

X = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)


def blocks(count=1, **options):
    bp.utils.set_random_seed(0)
    parts = [TransformerBlock(16, 2, name=f"block_{k}", **options) for k in range(count)]
    return bp.Sequential([bp.Input((5, 8)), *parts])


def cross(layer):
    query, value = bp.Input((5, 8)), bp.Input((3, 8))
    y = layer([query, value]) if not isinstance(layer, MultiHeadAttention) else layer(query, value)
    return bp.Model([query, value], y)


def test_the_weights_of_a_block_are_those_of_its_attention():
    model = blocks()

    found = attention_weights(model, X)

    attention = model.layers[0].attention
    query, key = (
        np.einsum("td,dhk->htk", X, part.kernel) for part in (attention.query, attention.key)
    )
    s = query @ key.swapaxes(1, 2) / np.sqrt(attention.key_dim)
    expected = np.exp(s) / np.exp(s).sum(-1, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert np.allclose(found.sum(-1), 1)


def test_a_later_block_sees_what_the_first_put_out():
    model = blocks(2)
    inner = model.activations(X[None], "block_0")["block_0"]

    found = attention_weights(model, X[None], layer="block_1")

    assert np.allclose(found, model.layers[1].attention.scores(inner)[0])
    assert np.array_equal(found, attention_weights(model, X, layer=model.layers[1]))
    inside = model.layers[1].attention
    assert np.array_equal(found, attention_weights(model, X, layer=inside))


def test_a_causal_attention_does_not_look_ahead():
    found = attention_weights(blocks(use_causal_mask=True), X)

    assert np.all(found[:, *np.triu_indices(5, 1)] == 0) and np.all(found[:, 4] > 0)


def test_padding_is_not_looked_at():
    symbols = bp.Input((5,), dtype="int32")
    h = TransformerBlock(16, 2)(Embedding(9, 8, mask_zero=True)(symbols))

    found = attention_weights(bp.Model(symbols, h), np.array([3, 4, 5, 0, 0]))

    assert np.all(found[:, :3, 3:] == 0) and np.allclose(found.sum(-1), 1)


@pytest.mark.parametrize(
    ("layer", "heads"),
    [
        (MultiHeadAttention(4, 2), 4),
        (GroupQueryAttention(2, 4, 2), 4),
        (Attention(), 1),
        (AdditiveAttention(), 1),
    ],
)
def test_every_attention_has_weights(layer, heads):
    if isinstance(layer, GroupQueryAttention):
        query = bp.Input((5, 8))
        value = bp.Input((3, 8))
        model = bp.Model([query, value], layer(query, value))
    else:
        model = cross(layer)

    found = attention_weights(model, (X[None], X[None, :3]))

    assert found.shape == (heads, 5, 3) and np.allclose(found.sum(-1), 1)


def test_the_model_is_left_as_it_was():
    model = blocks()
    before = model(X[None])

    attention_weights(model, X)

    assert "forward" not in model.layers[0].attention.__dict__
    assert np.array_equal(before, model(X[None]))


def test_the_mean_of_all_heads_or_one_of_them_is_drawn():
    model = blocks()
    p = attention_weights(model, X)

    mean, second = plot_attention(model, X), plot_attention(model, X, head=1)

    assert np.allclose(numbers_of(mean.images[0]), p.mean(0))
    assert np.allclose(numbers_of(second.images[0]), p[1])
    name = model.layers[0].attention.name
    assert mean.figure.axes[1].get_ylabel() == f"weight in {name}: mean of 2 heads"
    assert second.figure.axes[1].get_ylabel() == f"weight in {name}: head 1"
    assert (mean.get_xlabel(), mean.get_ylabel()) == ("key (looked at)", "query (looks)")


def test_steps_have_names():
    ax = plot_attention(blocks(), X, tokens=["the", "cat", "sat", "$", "down"])

    assert ticks_of(ax.yaxis) == ticks_of(ax.xaxis) == ["the", "cat", "sat", r"\$", "down"]


def test_keys_have_names_of_their_own():
    model = cross(Attention())
    ax = plot_attention(model, (X[None], X[None, :3]), tokens=[*"abcde"], keys=["x", "y", "z"])
    plain = plot_attention(model, (X[None], X[None, :3]), tokens=[*"abcde"])

    assert ticks_of(ax.yaxis) == [*"abcde"] and ticks_of(ax.xaxis) == ["x", "y", "z"]
    assert ticks_of(plain.xaxis) == ["0", "1", "2"]


@pytest.mark.parametrize("steps", [1, 120])
def test_one_step_and_many_are_drawn(steps):
    model = bp.Sequential([bp.Input((steps, 8)), TransformerBlock(16, 2)])
    names = [f"a token of number {i}" for i in range(steps)]

    ax = plot_attention(model, np.ones((steps, 8)), tokens=names)

    assert len(ticks_of(ax.xaxis)) == min(steps, 24) and outside(ax.figure) == []


WITHOUT = bp.Sequential([bp.Input((5, 8)), Dense(2)])
UNBUILT = bp.Sequential([TransformerBlock(4, 2)])
OTHER = blocks().layers[0]
TWO = cross(Attention())


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda m: attention_weights(WITHOUT, X), ValueError, "finds no attention in"),
        (lambda m: attention_weights(UNBUILT, X), ValueError, "not built"),
        (lambda m: attention_weights(m, X[None].repeat(2, 0)), ValueError, "expects one example"),
        (lambda m: attention_weights(TWO, X), ValueError, "a tuple of 2 arrays, of one row each"),
        (lambda m: attention_weights(TWO, (X, X)), ValueError, r"inputs; got \(5, 8\), \(5, 8\)"),
        (lambda m: attention_weights(m, X, layer="blok_0"), ValueError, "blok_0"),
        (lambda m: attention_weights(m, X, layer=3), TypeError, "a layer of the model or its name"),
        (lambda m: attention_weights(m, X, layer=OTHER), ValueError, "is no part"),
        (lambda m: attention_weights(sum, X), TypeError, "expects a Sequential or a Model"),
        (lambda m: plot_attention(m, X, head=2), ValueError, "a head from 0 to 1"),
        (lambda m: plot_attention(m, X, tokens=["a"]), ValueError, "tokens to name 5 steps, got 1"),
        (lambda m: plot_attention(m, X, keys=["a"]), ValueError, "keys to name 5 steps, got 1"),
    ],
)
def test_what_does_not_fit_is_refused(call, error, match):
    with pytest.raises(error, match=match):
        call(blocks())
