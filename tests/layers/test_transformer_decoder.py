"""TransformerDecoder."""

import copy
import pickle

import numpy as np
import pytest
from finite_differences import assert_gradients
from inputs import normal
from keras_parity import close, keras_in

import backprop as bp
from backprop.layer import TRAINING, Context
from backprop.layers import (
    Dense,
    Embedding,
    GroupQueryAttention,
    Input,
    LayerNormalization,
    MultiHeadAttention,
    PositionEmbedding,
    TransformerBlock,
    TransformerDecoder,
)
from backprop.models import Model, load_model
from backprop.nest import shapes

X, ENCODED = normal(2, 4, 4), normal(2, 5, 3, seed=1)


def drawn(layer, x=(X, ENCODED)):
    layer.build(shapes(x))
    layer.set_weights([0.5 * normal(*w.shape, seed=i) for i, w in enumerate(layer.weights)])
    return layer


def parts_of(block):
    """The layers with weights, in the order of their use."""
    dense = [layer for layer in block.graph.walk() if isinstance(layer, Dense)]
    norms = [layer for layer in block.graph.walk() if isinstance(layer, LayerNormalization)]
    return block.attention, block.look, *dense, norms


@pytest.mark.parametrize("first", [False, True])
def test_it_is_its_parts(first):
    block = drawn(
        TransformerDecoder(5, 2, activation="tanh", normalize_first=first, dtype="float64")
    )
    attention, look, hidden, out, norms = parts_of(block)

    if first:
        h = X + attention(norms[0](X))
        g = h + look(norms[1](h), ENCODED)
        wanted = g + out(hidden(norms[2](g)))
    else:
        h = norms[0](X + attention(X))
        g = norms[1](h + look(h, ENCODED))
        wanted = norms[2](g + out(hidden(g)))

    np.testing.assert_allclose(block(X, ENCODED), wanted, rtol=1e-12)


@pytest.mark.parametrize("first", [False, True])
def test_it_is_made_of_the_layers_of_keras(first):
    """Those of keras_hub.layers.TransformerDecoder, in its order, with the same weights."""
    block = drawn(TransformerDecoder(5, 2, normalize_first=first))
    x, encoded = X.astype("float32"), ENCODED.astype("float32")
    with keras_in("float32") as keras:
        theirs = []
        for ours, shape in zip(
            parts_of(block)[:4], [(x, x), (x, encoded), (x,), (0,)], strict=True
        ):
            if isinstance(ours, Dense):
                made = keras.layers.Dense(
                    ours.units, activation="relu" if ours.units == 5 else None
                )
                made.build((None, 5 if ours.units == 4 else 4))
            else:
                made = keras.layers.MultiHeadAttention(2, 2)
                made.build(*(a.shape for a in shape))
            made.set_weights(ours.get_weights())
            theirs.append(made)
        norms = []
        for ours in parts_of(block)[4]:
            norm = keras.layers.LayerNormalization(epsilon=1e-5)
            norm.build(x.shape)
            norm.set_weights(ours.get_weights())
            norms.append(norm)
        attention, look, hidden, out = theirs
        before = [norm if first else np.asarray for norm in norms]
        after = [np.asarray if first else norm for norm in norms]
        n = before[0](x)
        h = after[0](x + np.asarray(attention(n, n, use_causal_mask=True)))
        g = after[1](h + np.asarray(look(before[1](h), encoded)))
        wanted = np.asarray(after[2](g + np.asarray(out(hidden(before[2](g))))))

    np.testing.assert_allclose(block(x, encoded), wanted, **(close("float32") | {"atol": 1e-5}))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"normalize_first": True, "dropout": 0.3},
        {"num_key_value_heads": 1, "rotary": True, "use_bias": False},
        {"use_causal_mask": False, "sliding_window": 2, "activation": "gelu"},
    ],
)
@pytest.mark.parametrize("masked", [False, True])
def test_gradients(options, masked):
    block = TransformerDecoder(5, 2, **({"activation": "tanh"} | options))
    mask = (np.arange(4) < [[4], [2]], np.arange(5) < [[3], [5]]) if masked else None
    assert_gradients(block, (X, ENCODED), mask=mask)


def test_options_reach_the_parts():
    block = drawn(
        TransformerDecoder(
            5, 2, 0.25, num_key_value_heads=1, sliding_window=3, use_bias=False, rotary=True
        )
    )

    for attention in (block.attention, block.look):
        assert isinstance(attention, GroupQueryAttention)
        assert attention.dropout == 0.25
    assert block.attention.sliding_window == 3
    assert block.attention.use_causal_mask
    assert block.attention.rotary is not None
    assert block.look.sliding_window is block.look.rotary is None
    assert not block.look.use_causal_mask
    assert not any(p.name == "bias" for p in block.arrays())


def test_no_step_sees_what_is_later_or_masked():
    tokens, read = np.array([[3, 1, 4, 0, 0]]), np.array([[2, 5, 6, 0]])
    a, b = Input((None,), dtype="int64"), Input((None,), dtype="int64")
    x, encoded = (Embedding(7, 4, mask_zero=True)(s) for s in (a, b))
    model = Model([a, b], TransformerDecoder(6, 2)(x, encoded))
    whole = model([tokens, read])

    for t in (1, 2, 3):
        np.testing.assert_allclose(
            model([tokens[:, :t], read[:, :3]])[:, :t], whole[:, :t], rtol=1e-5, atol=1e-6
        )


def test_masks_are_named_and_given_on():
    block = drawn(TransformerDecoder(5, 2, dtype="float64"))
    of_x, real = np.arange(4) < [[4], [2]], np.arange(5) < [[3], [5]]
    y, _, mask = block.propagate((X, ENCODED), Context(mask=(of_x, real)))

    np.testing.assert_array_equal(mask, of_x)
    np.testing.assert_array_equal(
        block(X, ENCODED, decoder_sequence_mask=of_x, encoder_sequence_mask=real), y
    )
    np.testing.assert_allclose(y[:1], block(X[:1], ENCODED[:1, :3]), rtol=1e-12)


@pytest.mark.parametrize("options", [{}, {"normalize_first": True, "dropout": 0.3, "rotary": True}])
def test_steps_are_the_whole(options):
    block = drawn(TransformerDecoder(5, 2, dtype="float64", **options))
    real = np.arange(5) < [[3], [5]]

    assert block.can_step_query
    for mask, memory in [(None, None), (real, block.remember(ENCODED, real))]:
        parts = []
        for start, stop in [(0, 1), (1, 3), (3, 4)]:
            y, memory = block.step((X[:, start:stop], ENCODED), memory)
            parts.append(y)
        whole = block(X, ENCODED, encoder_sequence_mask=mask)
        np.testing.assert_allclose(np.concatenate(parts, 1), whole, rtol=1e-12)


def test_without_a_causal_mask_it_cannot_go_step_by_step():
    assert not drawn(TransformerDecoder(5, 2, use_causal_mask=False)).can_step_query


def test_dropout_is_for_training_only():
    block = drawn(TransformerDecoder(5, 2, dropout=0.5))

    np.testing.assert_array_equal(block(X, ENCODED), block(X, ENCODED))
    assert (block(X, ENCODED, training=True) != block(X, ENCODED)).any()


def test_copies_are_equal():
    block = drawn(TransformerDecoder(5, 2, normalize_first=True, activation="gelu"))
    y = block(X, ENCODED)
    again = TransformerDecoder.from_config(block.get_config())
    again.build(shapes((X, ENCODED)))
    again.set_weights(block.get_weights())

    for twin in (copy.deepcopy(block), pickle.loads(pickle.dumps(block)), again, block.replica()):
        np.testing.assert_array_equal(twin(X, ENCODED), y)


def translator():
    source, target = Input((None,), dtype="int64"), Input((None,), dtype="int64")
    encoded = TransformerBlock(16, 2)(Embedding(9, 8, mask_zero=True)(source))
    x = Embedding(9, 8, mask_zero=True)(target)
    for _ in range(2):
        x = TransformerDecoder(16, 2, normalize_first=True)(x, encoded)
    return Model([source, target], Dense(9)(x))


def test_a_translator_is_saved_and_loaded(tmp_path):
    bp.utils.set_random_seed(0)
    model = translator()
    words = [np.array([[1, 2, 3, 0]]), np.array([[4, 5, 0]])]
    y = model(words)
    model.save(tmp_path / "model.npz")

    np.testing.assert_array_equal(load_model(tmp_path / "model.npz")(words), y)


def test_an_encoder_read_by_two_decoders_learns():
    """Words are to be written backwards, which takes a look at the other end of the sequence."""
    bp.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    source = rng.integers(1, 9, (64, 5))
    target = source[:, ::-1]
    before = np.concatenate([np.zeros((64, 1), int), target[:, :-1]], axis=1)
    a, b = Input((5,), dtype="int64"), Input((5,), dtype="int64")
    encoded = TransformerBlock(32, 2)(PositionEmbedding(5)(Embedding(9, 16)(a)))
    y = PositionEmbedding(5)(Embedding(9, 16)(b))
    for _ in range(2):
        y = TransformerDecoder(32, 2)(y, encoded)
    graph = Model([a, b], Dense(9)(y))
    loss = bp.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer, values = bp.optimizers.Adam(0.005), []
    for _ in range(60):
        logits, cache = graph.forward((source, before), TRAINING)
        value, lost = loss.forward(target, logits)
        graph.backward(loss.backward(lost), cache)
        optimizer.step(graph.parameters)
        values.append(float(np.mean(value)))

    assert values[-1] < 0.2 * values[0]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((X,), "is called on two sequences"),
        ((X[:, :, :3], ENCODED), "expects a multiple of 2 of them and got 3"),
        ((X, ENCODED[:1]), "expects as many sequences of both, got 2 and 1"),
        ((X, ENCODED[:, 0]), "expects encoder_sequence of 2 axes besides the batch and got"),
    ],
)
def test_inputs_that_do_not_go_together_are_refused(inputs, message):
    with pytest.raises(ValueError, match=message):
        TransformerDecoder(5, 2)(*inputs)


def test_a_built_block_keeps_to_its_sizes():
    block = drawn(TransformerDecoder(5, 2))

    with pytest.raises(ValueError, match=r"expects encoder_sequence of .* 3 along axis -1"):
        block(X, X)


def test_it_looks_at_the_encoder_by_attention_between_sequences():
    block = drawn(TransformerDecoder(5, 2, dtype="float64"))

    assert isinstance(block.look, MultiHeadAttention)
    assert block.look.crosses
    assert not block.attention.crosses
    assert block.compute_output_shape(shapes((X, ENCODED))) == X.shape
