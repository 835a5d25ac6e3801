"""TransformerBlock."""

import copy
import pickle

import numpy as np
import pytest
from finite_differences import assert_gradients
from inputs import normal
from keras_parity import close, keras_in
from passes import assert_gradients_alone

import backprop as bp
from backprop.layer import INFERENCE, TRAINING, Context
from backprop.layers import (
    Dense,
    Embedding,
    GroupQueryAttention,
    LayerNormalization,
    MultiHeadAttention,
    TransformerBlock,
    transformer,
)
from backprop.models import Sequential, load_model


def drawn(layer, x):
    layer.build((None, *x.shape[1:]))
    layer.set_weights([0.5 * normal(*w.shape, seed=i) for i, w in enumerate(layer.weights)])
    return layer


@pytest.mark.parametrize("normalize_first", [False, True])
def test_it_is_its_parts(normalize_first):
    x = normal(2, 3, 4)
    block = drawn(
        TransformerBlock(
            5, 2, activation="tanh", normalize_first=normalize_first, use_causal_mask=True,
            dtype="float64",
        ),
        x,
    )  # fmt: skip
    attention = MultiHeadAttention(2, 2, use_causal_mask=True, dtype="float64")
    hidden, out = Dense(5, "tanh", dtype="float64"), Dense(4, dtype="float64")
    norms = [LayerNormalization(epsilon=1e-5, dtype="float64") for _ in range(2)]
    parts = [attention, hidden, out, *norms]
    for part in parts:
        part.build((None, 3, 5 if part is out else 4))
    order = [norms[0], attention, norms[1], hidden, out] if normalize_first else [
        attention, norms[0], hidden, out, norms[1]
    ]  # fmt: skip
    weights = iter(block.get_weights())
    for part in order:
        part.set_weights([next(weights) for _ in part.weights])

    if normalize_first:
        h = x + attention(norms[0](x))
        wanted = h + out(hidden(norms[1](h)))
    else:
        h = norms[0](x + attention(x))
        wanted = norms[1](h + out(hidden(h)))
    np.testing.assert_allclose(block(x), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("normalize_first", [False, True])
def test_it_is_the_block_that_keras_layers_make(normalize_first):
    x = normal(2, 5, 4).astype("float32")
    with keras_in("float32") as keras:
        block = drawn(TransformerBlock(6, 2, activation="relu", normalize_first=normalize_first), x)
        attention = keras.layers.MultiHeadAttention(2, 2)
        hidden, out = keras.layers.Dense(6, "relu"), keras.layers.Dense(4)
        norms = [keras.layers.LayerNormalization(epsilon=1e-5) for _ in range(2)]
        if normalize_first:
            h = x + attention(norms[0](x), norms[0](x))
            out(hidden(norms[1](h)))
            order = [norms[0], attention, norms[1], hidden, out]
        else:
            h = norms[0](x + attention(x, x))
            norms[1](h + out(hidden(h)))
            order = [attention, norms[0], hidden, out, norms[1]]
        weights = iter(block.get_weights())
        for part in order:
            part.set_weights([next(weights) for _ in part.weights])
        if normalize_first:
            normed = norms[0](x)
            h = x + np.asarray(attention(normed, normed))
            wanted = h + np.asarray(out(hidden(norms[1](h))))
        else:
            h = norms[0](x + np.asarray(attention(x, x)))
            wanted = norms[1](np.asarray(h) + np.asarray(out(hidden(h))))

    np.testing.assert_allclose(block(x), wanted, **(close("float32") | {"atol": 1e-5}))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"normalize_first": True, "dropout": 0.3},
        {"num_key_value_heads": 1, "use_causal_mask": True, "rotary": True, "use_bias": False},
        {"sliding_window": 2, "kernel_initializer": "he_normal", "activation": "gelu"},
    ],
)
def test_gradients(options):
    block = TransformerBlock(5, 2, **({"activation": "tanh"} | options))
    assert_gradients(block, normal(3, 4, 4))


def test_options_reach_the_parts():
    block = TransformerBlock(
        5, 2, 0.25, num_key_value_heads=1, sliding_window=3, use_bias=False, rotary=True
    )
    block.build((None, 4, 4))

    assert isinstance(block.attention, GroupQueryAttention)
    assert block.attention.dropout == 0.25
    assert block.attention.sliding_window == 3
    assert block.attention.rotary is not None
    assert not any(p.name == "bias" for p in block.arrays())
    assert block.count_params() == 4 * 4 + 2 * (4 * 2) + 4 * 4 + 2 * 4 * 5 + 2 * 2 * 4


def test_dropout_is_for_training_only():
    x = normal(2, 4, 4).astype("float32")
    block = TransformerBlock(5, 2, dropout=0.5)

    np.testing.assert_array_equal(block(x), block(x))
    assert (block(x, training=True) != block(x)).any()


def test_a_step_sees_no_masked_key():
    tokens = np.array([[3, 1, 4, 0, 0]])
    chain = Sequential([Embedding(5, 4, mask_zero=True), TransformerBlock(6, 2)], dtype="float64")
    whole, short = chain(tokens), chain(tokens[:, :3])

    np.testing.assert_allclose(whole[:, :3], short, rtol=1e-12)


@pytest.mark.parametrize("kv", [None, 2])
def test_it_learns_to_look_back(kv):
    """The token three steps before, which nothing but attention can fetch."""
    bp.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 6, (512, 12))
    targets = np.roll(tokens, 3, axis=1)
    targets[:, :3] = 0
    block = TransformerBlock(
        32, 4, normalize_first=True, use_causal_mask=True, num_key_value_heads=kv
    )
    model = Sequential(
        [
            bp.Input((12,), dtype="int32"),
            Embedding(6, 16),
            bp.layers.PositionEmbedding(12),
            block,
            Dense(6),
        ]
    )
    loss = bp.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(bp.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    history = model.fit(tokens, targets, epochs=25, verbose=0)

    assert history.history["accuracy"][-1] > 0.95


def test_a_saved_model_loads(tmp_path):
    model = Sequential([TransformerBlock(5, 2, activation="gelu", rotary=True, dropout=0.1)])
    x = normal(2, 3, 4)
    y = model(x)
    model.save(tmp_path / "block.npz")
    loaded = load_model(tmp_path / "block.npz")

    np.testing.assert_array_equal(loaded(x), y)
    assert repr(loaded.layers[0]) == (
        "TransformerBlock(5, 2, dropout=0.1, activation='gelu', rotary=True)"
    )


def test_the_gradients_alone_are_the_same():
    x = normal(2, 3, 4)
    block = drawn(TransformerBlock(5, 2, dtype="float64"), x)

    assert_gradients_alone(block, x, TRAINING)


# ---------------------------------------------------------------------------------- two threads


@pytest.fixture
def forks(monkeypatch):
    """Every batch is run in halves."""
    monkeypatch.setattr(transformer, "FORK_SIZE", 1)
    monkeypatch.setattr(transformer, "pays", lambda: True)


def outcome(block, x, ctx, dy):
    y, cache = block.forward(x, ctx)
    dx = block.backward(dy, cache)
    return cache, [y, dx, *(p.gradient.copy() for p in block.arrays())]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("rows", [2, 5])
def test_halves_are_the_whole(rows, masked, request):
    x, dy = normal(rows, 3, 4), normal(rows, 3, 4, seed=1)
    mask = normal(rows, 3, seed=2) > -0.5 if masked else None
    block = drawn(TransformerBlock(5, 2, activation="tanh", dtype="float64"), x)
    ctx = Context(training=True, mask=mask)
    _, whole = outcome(block, x, ctx, dy)
    request.getfixturevalue("forks")
    cache, halves = outcome(block, x, ctx, dy)
    _, again = outcome(block, x, ctx, dy)

    assert isinstance(cache, transformer.Halves)
    for a, b, c in zip(whole, halves, again, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-12, atol=1e-13)
        np.testing.assert_array_equal(b, c)  # gradients are set, and not added


@pytest.mark.parametrize("change", ["training", "astype", "copy", "pickle"])
def test_halves_follow_the_weights(forks, change):
    x = normal(4, 3, 4).astype("float32")
    model = Sequential([bp.Input((3, 4)), TransformerBlock(5, 2, activation="tanh"), Dense(1)])
    model.compile(bp.optimizers.SGD(0.1), "mse")
    model.train_on_batch(x, x[..., :1])
    if change == "training":
        model.fit(x, x[..., :1], epochs=2, verbose=0)
    elif change == "astype":
        model = model.astype("float64")
    elif change == "copy":
        model = copy.deepcopy(model)
    else:
        model = pickle.loads(pickle.dumps(model))
    for p in model.parameters.parameters:
        p.value[...] += 0.3 * normal(*p.shape)

    for row in range(4):
        np.testing.assert_allclose(model(x)[row], model(x[row : row + 1])[0], rtol=1e-5, atol=1e-6)


def test_dropout_and_penalties_are_not_split(forks):
    x = normal(4, 3, 4)
    drops = drawn(TransformerBlock(5, 2, dropout=0.5, dtype="float64"), x)
    plain = drawn(TransformerBlock(5, 2, dtype="float64"), x)

    assert not isinstance(drops.forward(x, TRAINING)[1], transformer.Halves)
    assert (drops.divides_batches, plain.divides_batches) == (False, True)
    assert isinstance(drops.forward(x, INFERENCE)[1], transformer.Halves)
    assert not isinstance(plain.forward(x, Context(penalties=[]))[1], transformer.Halves)
    assert not isinstance(plain.forward(x[:1], TRAINING)[1], transformer.Halves)


def test_a_small_batch_stays_on_one_thread():
    x = normal(4, 3, 4)

    block = drawn(TransformerBlock(5, 2, dtype="float64"), x)
    assert not isinstance(block.forward(x)[1], transformer.Halves)


# ---------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TransformerBlock(0, 2), "intermediate_dim to be a positive integer, got 0"),
        (lambda: TransformerBlock(4, 0), "num_heads to be a positive integer, got 0"),
        (lambda: TransformerBlock(4, 2, 1.5), "dropout to be a number from 0 to 1, got 1.5"),
        (lambda: TransformerBlock(4, 2, layer_norm_epsilon=-1), "layer_norm_epsilon to be a fin"),
        (lambda: TransformerBlock(4, 3, num_key_value_heads=2), "divide num_heads, got 2 and 3"),
        (lambda: TransformerBlock(4, 3)(normal(1, 2, 4)), "a multiple of 3 of them and got 4"),
        (lambda: TransformerBlock(4, 2)(normal(2, 4)), "expects inputs of"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_block_that_cannot_be_built_stays_unbuilt():
    block = TransformerBlock(4, 2, num_key_value_heads=1, rotary=True)
    with pytest.raises(ValueError, match="an even number"):
        block.build((None, 3, 6))  # heads of 3 features
    block.build((None, 3, 8))

    assert block(normal(1, 3, 8)).shape == (1, 3, 8)


def test_the_attention_within_a_block_is_asked_for_its_scores():
    block, x = drawn(TransformerBlock(4, 2), normal(1, 3, 4)), normal(1, 3, 4)

    p = block.attention.scores(x)
    causal = block.attention(x, use_causal_mask=True, return_attention_scores=True)[1]

    assert np.allclose(p.sum(-1), 1) and np.all(p > 0) and causal[0, 0, 0, 1] == 0
    assert not block.attention.return_attention_scores
    with pytest.raises(AttributeError, match="fixed"):  # the layer itself is the block's as before
        block.attention.return_attention_scores = True
