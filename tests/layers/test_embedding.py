"""Embedding and Masking."""

import numpy as np
import pytest
import reference
from finite_differences import assert_gradients
from hypothesis import given, strategies as st

from backprop import Sequential
from backprop.layer import Context
from backprop.layers import Dense, Flatten, embedding
from backprop.layers.embedding import Embedding, Masking

TABLE = np.array([[0.0, 0.5], [1.0, 2.0], [3.0, 4.0]])


@st.composite
def ids(draw):
    """Integers below 5 of one to three axes; with so few, duplicates are the rule."""
    shape = draw(st.lists(st.integers(0, 4), min_size=1, max_size=3))
    return np.random.default_rng(draw(st.integers(0, 99))).integers(0, 5, shape)


def keras_layers():
    keras = pytest.importorskip("keras", reason="Keras is not installed: no peer to compare with")
    return keras.layers


# ---------------------------------------------------------------------------------- Embedding


def test_embedding_by_hand():
    layer = Embedding(3, 2, weights=TABLE, dtype="float64")
    layer.build((None, 3))

    y, cache = layer.forward(np.array([[2, 1, 2]]))
    dx = layer.backward(np.array([[[1.0, 10.0], [5.0, 7.0], [2.0, 20.0]]]), cache)

    np.testing.assert_array_equal(y, [[[3, 4], [1, 2], [3, 4]]])
    np.testing.assert_array_equal(layer.dembeddings, [[0, 0], [5, 7], [3, 30]])
    np.testing.assert_array_equal(dx, np.zeros((1, 3)))


@given(ids())
def test_embedding_gradients(x):
    assert_gradients(Embedding(5, 3), x)


@given(ids())
def test_embedding_gradient_is_the_loops(x):
    layer = Embedding(5, 3, dtype="float64")
    y, cache = build(layer, x).forward(x)
    dy = np.random.default_rng(1).standard_normal(y.shape)

    layer.backward_params(dy, cache)

    np.testing.assert_allclose(
        layer.dembeddings, reference.embedding_gradient(x, dy, 5), rtol=1e-13, atol=1e-13
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])  # the layer is of float64
@pytest.mark.parametrize("shape", [(0,), (7,), (3, 4), (2, 2, 3)])
def test_embedding_gradient_is_the_loops_in_whatever_dtype_it_comes(shape, dtype):
    x = np.random.default_rng(0).integers(0, 5, shape)
    layer = build(Embedding(5, 3, dtype="float64"), x)
    dy = np.random.default_rng(1).standard_normal((*shape, 3)).astype(dtype)
    layer.dembeddings = np.full((5, 3), 7.0)

    layer.backward_params(dy, layer.forward(x)[1])

    rtol = 1e-6 if dtype == "float32" else 1e-13
    np.testing.assert_allclose(
        layer.dembeddings, reference.embedding_gradient(x, dy, 5), rtol=rtol, atol=rtol
    )


def test_a_gradient_does_without_what_scipy_keeps_to_itself(monkeypatch):
    from scipy.sparse import _sparsetools

    x, dy = np.array([[1, 1, 0]]), np.array([[[1.0], [2.0], [4.0]]], np.float32)
    layer = build(Embedding(3, 1), x)
    monkeypatch.delattr(_sparsetools, "csc_matvecs")

    layer.backward_params(dy, layer.forward(x)[1])

    np.testing.assert_array_equal(layer.dembeddings, [[4], [3], [0]])


def test_a_gradient_is_set_and_not_added():
    layer = build(Embedding(3, 2), np.zeros((1, 1), int))
    for _ in range(2):
        _, cache = layer.forward(np.array([[0, 0]]))
        layer.backward_params(np.ones((1, 2, 2), np.float32), cache)

    np.testing.assert_array_equal(layer.dembeddings, [[2, 2], [0, 0], [0, 0]])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "uint64", "float32", "bool"])
def test_embedding_takes_whole_numbers_of_every_type(dtype):
    x = np.array([[1, 0, 1]]).astype(dtype)

    y = Embedding(3, 2, weights=[TABLE])(x)

    np.testing.assert_array_equal(y, TABLE[[[1, 0, 1]]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_embedding_gives_the_layers_dtype(dtype):
    layer = build(Embedding(3, 2, dtype=dtype), np.zeros((2, 2), int))
    y, cache = layer.forward(np.zeros((2, 2), int))

    assert y.dtype == dtype
    assert layer.backward(y, cache).dtype == dtype


@pytest.mark.parametrize("bad", [-1, 3, 2**40, -(2**40)])
def test_integers_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match=r"expects integers from 0 to 2 and got .*" + str(bad)):
        Embedding(3, 2)(np.array([[0, bad]]))


@pytest.mark.parametrize("bad", [0.5, np.nan, np.inf])
def test_fractions_are_refused(bad):
    with pytest.raises(ValueError, match=f"expects integers and got {bad}"):
        Embedding(3, 2)(np.array([[0, bad]]))


@pytest.mark.parametrize("token", [-1, 3])
def test_training_begins_with_no_token_out_of_range(token):
    x = np.zeros((100, 2), int)
    x[-1, 1] = token  # in the last batch
    model = Sequential([Embedding(3, 2), Flatten(), Dense(1)])
    model.compile("sgd", "mse")
    model.build((None, 2))
    before = model.get_weights()

    with pytest.raises(ValueError, match=f"expects integers from 0 to 2 and got .*{token}"):
        model.fit(x, np.ones(100), batch_size=10, verbose=0)

    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_text_is_refused():
    with pytest.raises(TypeError, match="expects integers and got an array of dtype"):
        Embedding(3, 2)(np.array([["a"]]))


def test_zero_makes_the_mask():
    x = np.array([[1, 0, 2]])

    np.testing.assert_array_equal(
        Embedding(3, 2, mask_zero=True).compute_mask(x), [[True, False, True]]
    )
    assert Embedding(3, 2).compute_mask(x) is None
    assert Embedding(3, 2, mask_zero=True).changes_mask
    assert not Embedding(3, 2).changes_mask


def test_weights_are_the_first_values_and_not_part_of_the_configuration():
    layer = build(Embedding(3, 2, weights=TABLE), np.zeros((1, 1), int))
    twin = Embedding.from_config(layer.get_config())

    np.testing.assert_array_equal(layer.embeddings, TABLE)
    assert "weights" not in layer.get_config()
    assert twin.get_config() == layer.get_config()


def test_weights_of_a_wrong_shape_are_refused():
    with pytest.raises(
        ValueError, match=r"Embedding expects weights of shape \(4, 2\), got \(3, 2"
    ):
        Embedding(4, 2, weights=TABLE)


@pytest.mark.parametrize("shape", [(4,), (2, 3), (2, 3, 2)])
def test_embedding_is_keras_embedding(shape):
    x = np.random.default_rng(0).integers(0, 3, shape)
    layer, peer = Embedding(3, 2), keras_layers().Embedding(3, 2)
    y = layer(x)
    peer.build(shape)
    peer.set_weights(layer.get_weights())

    np.testing.assert_array_equal(y, peer(x))


# ---------------------------------------------------------------------------------- Masking


@given(st.integers(0, 99), st.integers(0, 3), st.integers(0, 4), st.integers(1, 3))
def test_masking_gradients(seed, n, steps, features):
    x = np.random.default_rng(seed).integers(-1, 2, (n, steps, features)).astype(float)
    layer = Masking()
    real = layer.compute_mask(x, None)
    y, cache = layer.forward(x)
    dx = layer.backward(np.ones_like(y), cache)

    # not by differences: on the way from 0 a step jumps from masked to real
    np.testing.assert_array_equal(dx, np.broadcast_to(real[..., None], x.shape))


def test_masking_gradients_at_real_steps_by_differences():
    assert_gradients(Masking(9.0), np.random.default_rng(0).standard_normal((2, 3, 2)))


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_masking_is_keras_masking(value):
    x = np.random.default_rng(0).integers(-1, 2, (4, 6, 2)).astype("float32")
    layer, peer = Masking(value), keras_layers().Masking(value)
    before = x.copy()

    np.testing.assert_array_equal(layer(x), peer(x))
    np.testing.assert_array_equal(layer.compute_mask(x, None), peer.compute_mask(x))
    np.testing.assert_array_equal(x, before)


def test_masking_hides_what_is_not_finite():
    x = np.array([[[np.inf, np.inf], [1.0, 2.0]]])
    layer = Masking(np.inf)
    y, cache = layer.forward(x, Context(training=True))

    np.testing.assert_array_equal(y, [[[0, 0], [1, 2]]])
    np.testing.assert_array_equal(
        layer.backward(np.full_like(x, np.inf), cache), [[[0, 0], [np.inf, np.inf]]]
    )


def build(layer, x):
    layer.build((None, *x.shape[1:]))
    return layer


def test_a_gradient_that_is_the_same_for_all_steps_is_not_written_out(monkeypatch):
    layer, x = Embedding(7, 3), np.random.default_rng(0).integers(0, 7, (4, 5))
    layer.build((None, 5))
    _, cache = layer.forward(x)
    dy = np.random.default_rng(1).standard_normal((4, 1, 3)).astype(np.float32)
    layer.backward_params(np.repeat(dy, 5, axis=1), cache)
    expected = layer.dembeddings.copy()
    seen, whole = [], embedding.sum_at
    monkeypatch.setattr(
        embedding, "sum_at", lambda ids, dy, out: (seen.append(len(dy)), whole(ids, dy, out))
    )

    layer.backward_params(np.broadcast_to(dy, (4, 5, 3)), cache)

    assert seen == [4]
    np.testing.assert_allclose(layer.dembeddings, expected, rtol=1e-6)
