"""Positions: sines, learnt vectors, and rotations."""

import numpy as np
import pytest
import reference
from finite_differences import assert_gradients
from inputs import normal

from backprop.layers import (
    Chain,
    Embedding,
    MultiHeadAttention,
    PositionEmbedding,
    RotaryEmbedding,
    SinePositionEncoding,
)
from backprop.models import Sequential, load_model

# ---------------------------------------------------------------------------------- values


def test_sines_are_added():
    x = normal(2, 5, 7)

    y = SinePositionEncoding(max_wavelength=50, dtype="float64")(x)

    np.testing.assert_allclose(y - x, [reference.sine_positions(5, 7, 50)] * 2, atol=1e-12)


def test_learnt_positions_are_added():
    layer = PositionEmbedding(4, initializer="normal", dtype="float64")
    x = normal(2, 3, 5)
    y = layer(x)

    for n, t in np.ndindex(2, 3):
        np.testing.assert_allclose(y[n, t], x[n, t] + layer.embeddings[t], rtol=1e-14)


def test_a_place_collects_from_all_sequences():
    layer = PositionEmbedding(4, dtype="float64")
    x, dy = normal(2, 3, 1), np.array([[[1.0], [2.0], [3.0]], [[10.0], [20.0], [30.0]]])
    layer(x)
    _, cache = layer.forward(x)

    np.testing.assert_array_equal(layer.backward(dy, cache), dy)
    np.testing.assert_array_equal(layer.dembeddings, [[11], [22], [33], [0]])


def test_a_shorter_sequence_leaves_no_gradient_of_a_longer_one():
    layer = PositionEmbedding(4, dtype="float64")
    layer.build((None, 4, 1))
    for steps in (4, 2):
        x = normal(2, steps, 1)
        y, cache = layer.forward(x)
        layer.backward_params(np.ones_like(y), cache)

    np.testing.assert_array_equal(layer.dembeddings[:, 0], [2, 2, 0, 0])


@pytest.mark.parametrize("shape", [(2, 5, 6), (2, 5, 3, 6)])
def test_rotations_are_the_loops(shape):
    x = normal(*shape)
    y = RotaryEmbedding(max_wavelength=60, scaling_factor=2.0, dtype="float64")(x)

    for place in np.ndindex(*shape[:-1]):
        wanted = reference.turned_vector(x[place], place[1] / 2, 60)
        np.testing.assert_allclose(y[place], wanted, rtol=1e-12)


def test_the_axes_of_a_rotation_can_be_chosen():
    x = normal(2, 6, 5)  # features before the time
    swapped = RotaryEmbedding(dtype="float64")(x.swapaxes(1, 2)).swapaxes(1, 2)

    np.testing.assert_array_equal(
        RotaryEmbedding(sequence_axis=2, feature_axis=1, dtype="float64")(x), swapped
    )


def test_a_rotation_keeps_lengths_and_its_backward_turns_back():
    x = normal(2, 5, 6)
    layer = RotaryEmbedding(dtype="float64")
    y = layer(x)

    np.testing.assert_allclose((y * y).sum(-1), (x * x).sum(-1), rtol=1e-13)
    np.testing.assert_allclose(layer.backward(y, None), x, rtol=1e-12)


def test_products_of_rotated_vectors_depend_on_their_distance_alone():
    q, k = np.tile(normal(4), (1, 9, 1)), np.tile(normal(2, 4)[1], (1, 9, 1))
    layer = RotaryEmbedding(max_wavelength=20, dtype="float64")
    s = layer(q)[0] @ layer(k)[0].T

    for t in range(1, 9):
        np.testing.assert_allclose(np.diag(s, t), s[0, t], rtol=1e-12)
        np.testing.assert_allclose(np.diag(s, -t), s[t, 0], rtol=1e-12)


def test_attention_turns_its_queries_and_keys_by_the_layer_it_is_given():
    x = normal(1, 5, 4)
    turning = RotaryEmbedding(max_wavelength=3.0)
    layer = MultiHeadAttention(2, 4, rotary=turning, dtype="float64")
    plain, other = (MultiHeadAttention(2, 4, rotary=r, dtype="float64") for r in (False, True))
    for one in (layer, plain, other):
        one.build((None, 5, 4))
        one.set_weights([np.ones_like(w) * normal(*w.shape) for w in one.weights])
    q = layer.query.forward(x)[0]
    k = layer.key.forward(x)[0]
    turned_q, turned_k = turning.astype("float64")(q), turning.astype("float64")(k)
    s = np.einsum("nthk,nshk->nhts", turned_q, turned_k) / 2
    p = np.exp(s) / np.exp(s).sum(-1, keepdims=True)

    np.testing.assert_allclose(layer.scores(x), p, rtol=1e-12)
    assert np.abs(layer.scores(x) - plain.scores(x)).max() > 0.01
    assert np.abs(layer.scores(x) - other.scores(x)).max() > 0.01


# ---------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize(
    "layer",
    [
        SinePositionEncoding(),
        PositionEmbedding(7, embeddings_regularizer="l2"),
        RotaryEmbedding(20, 3.0),
        MultiHeadAttention(2, 4, use_causal_mask=True, rotary=True, use_gate=True),
    ],
    ids=repr,
)
@pytest.mark.parametrize("steps", [1, 5])
def test_gradients(layer, steps):
    assert_gradients(layer, normal(3, steps, 4))


# ---------------------------------------------------------------------------------- step by step


@pytest.mark.parametrize(
    "layer",
    [SinePositionEncoding(), PositionEmbedding(7), RotaryEmbedding()],
    ids=repr,
)
def test_steps_know_where_they_are(layer):
    x = normal(2, 7, 4).astype("float32")
    whole = layer(x)
    parts, memory = [], None
    for start, stop in [(0, 3), (3, 4), (4, 7)]:
        y, memory = layer.step(x[:, start:stop], memory)
        parts.append(y)

    assert layer.can_step
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


def test_a_rotation_along_another_axis_has_no_steps():
    assert not RotaryEmbedding(sequence_axis=2).can_step


# ---------------------------------------------------------------------------------- the rest


def test_a_mask_passes():
    x = np.array([[3, 1, 0]])
    chain = Chain([Embedding(5, 4, mask_zero=True), SinePositionEncoding(), PositionEmbedding(3)])
    chain.build((None, 3))

    np.testing.assert_array_equal(chain.compute_mask(x, None), [[True, True, False]])


def test_a_saved_model_with_positions_loads(tmp_path):
    attention = MultiHeadAttention(2, 4, rotary=RotaryEmbedding(50))
    layers = [SinePositionEncoding(40), PositionEmbedding(5), RotaryEmbedding(30), attention]
    model = Sequential(layers)
    x = normal(2, 4, 6)
    y = model(x)
    model.save(tmp_path / "m.npz")

    np.testing.assert_array_equal(load_model(tmp_path / "m.npz")(x), y)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PositionEmbedding(0), "sequence_length to be a positive integer, got 0"),
        (lambda: SinePositionEncoding(0), "max_wavelength to be a finite number above 0, got 0"),
        (lambda: RotaryEmbedding(scaling_factor=-1), "scaling_factor to be a finite number above"),
        (lambda: RotaryEmbedding()(normal(1, 2, 3)), "an even number of them, and got 3"),
        (lambda: RotaryEmbedding()(normal(2, 3)), "axes 1 for the time and -1 for the features"),
        (lambda: RotaryEmbedding(sequence_axis=0)(normal(1, 2, 4)), "axes 0 for the time"),
        (lambda: PositionEmbedding(3)(normal(2, 4, 1)), "has learnt 3 places and got a sequence"),
        (lambda: PositionEmbedding(3)(normal(2, 3)), "expects inputs of"),
        (lambda: MultiHeadAttention(1, 3, rotary=True), "each head needs an even number"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_rotary_takes_a_layer_or_a_truth_value():
    with pytest.raises(TypeError, match="True, False or a RotaryEmbedding, got 'yes'"):
        MultiHeadAttention(1, 2, rotary="yes")


def test_a_longer_sequence_than_learnt_is_refused_after_building():
    layer = PositionEmbedding(3)
    layer(normal(1, 3, 2))

    with pytest.raises(ValueError, match="has learnt 3 places and got a sequence of 5 steps"):
        layer.forward(normal(1, 5, 2))
    with pytest.raises(ValueError, match="has learnt 3 places and got a sequence of 4 steps"):
        _, memory = layer.step(normal(1, 3, 2), None)
        layer.step(normal(1, 1, 2), memory)
