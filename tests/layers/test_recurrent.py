"""LSTM, GRU and SimpleRNN."""

import functools

import numpy as np
import pytest
import reference
from finite_differences import assert_gradients
from hypothesis import assume, given, strategies as st
from inputs import with_weights
from keras_parity import keras_in
from passes import assert_gradients_alone

from backprop.layer import TRAINING, Context
from backprop.layers.activations import PReLU
from backprop.layers.recurrent import GRU, LSTM, SimpleRNN

KINDS = [LSTM, GRU, SimpleRNN]
LOOPS = {LSTM: reference.lstm, GRU: reference.gru, SimpleRNN: reference.simple_rnn}


@st.composite
def sequences(draw, least=0):
    """x (N, T, n), and a mask or None."""
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    shape = draw(st.integers(0, 3)), draw(st.integers(least, 5)), draw(st.integers(1, 3))
    mask = rng.random(shape[:2]) < 0.6 if draw(st.booleans()) else None
    return rng.standard_normal(shape), mask


def options():
    return st.fixed_dictionaries(
        {
            "units": st.integers(1, 3),
            "return_sequences": st.booleans(),
            "go_backwards": st.booleans(),
            "use_bias": st.booleans(),
        }
    )


# ---------------------------------------------------------------------------------- values


def test_lstm_by_hand():
    layer = LSTM(1, dtype="float64", return_sequences=True)
    layer.build((None, 2, 1))
    # all weights are 0 but: the candidate is tanh(x), and the bias of the forget gate is 0
    layer.set_weights([[[0, 0, 1, 0]], [[0, 0, 0, 0]], [0, 0, 0, 0]])

    y = layer(np.array([[[1.0], [2.0]]]))

    # gates are σ(0) = 1/2: c₁ = tanh(1)/2, h₁ = tanh(c₁)/2, c₂ = c₁/2 + tanh(2)/2, h₂ = tanh(c₂)/2
    c1 = np.tanh(1) / 2
    c2 = c1 / 2 + np.tanh(2) / 2
    np.testing.assert_allclose(y[0, :, 0], [np.tanh(c1) / 2, np.tanh(c2) / 2], rtol=1e-14)


def test_gru_by_hand():
    layer = GRU(1, activation=None, recurrent_activation=None, dtype="float64")
    layer.build((None, 2, 1))
    # u = x, r = 2, and g = x + r (3 h + 1): the two rows of the bias are added at different places
    layer.set_weights([[[1.0, 0.0, 1.0]], [[0.0, 0.0, 3.0]], [[0.0, 2.0, 0.0], [0.0, 0.0, 1.0]]])

    y = layer(np.array([[[0.5], [0.25]]]))

    # h₁ = 0.5 (0.5 + 2), h₂ = 0.25 h₁ + 0.75 (0.25 + 2 (3 h₁ + 1))
    np.testing.assert_allclose(y, [[0.25 * 1.25 + 0.75 * (0.25 + 2 * 4.75)]], rtol=1e-15)


def test_simple_rnn_by_hand():
    layer = SimpleRNN(1, activation=None, dtype="float64")
    layer.build((None, 3, 1))
    layer.set_weights([[[2.0]], [[3.0]], [1.0]])
    y, cache = layer.forward(np.array([[[1.0], [0.0], [5.0]]]))
    dx = layer.backward(np.array([[1.0]]), cache)

    # h: 3, 3·3 + 1 = 10, 10 + 30 + 1 = 41; back: dh = 9, 3, 1
    np.testing.assert_array_equal(y, [[41]])
    np.testing.assert_array_equal(dx[0, :, 0], [18, 6, 2])
    np.testing.assert_array_equal(layer.dkernel, [[9 * 1 + 3 * 0 + 1 * 5]])
    np.testing.assert_array_equal(layer.drecurrent_kernel, [[3 * 3 + 1 * 10]])
    np.testing.assert_array_equal(layer.dbias, [13])


@pytest.mark.parametrize("kind", KINDS)
@given(data=sequences(), options=options())
def test_values_are_the_loops(kind, data, options):
    x, mask = data
    options["use_bias"] = True
    layer = with_weights(kind(**options, dtype="float64"), x)
    before = x.copy()

    y = layer(x, mask=mask)

    wanted = LOOPS[kind](x, *layer.weights, mask, options["go_backwards"])
    if not options["return_sequences"]:
        wanted = wanted[:, -1] if x.shape[1] else np.zeros_like(y)
    np.testing.assert_allclose(y, wanted, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(x, before)
    assert layer.compute_output_shape((None, *x.shape[1:])) == (None, *y.shape[1:])


def test_the_forget_gate_starts_open():
    layer = LSTM(2, bias_initializer="zeros")
    layer.build((None, 3, 2))

    np.testing.assert_array_equal(layer.bias, [0, 0, 1, 1, 0, 0, 0, 0])


@pytest.mark.parametrize("kind", KINDS)
def test_masked_steps_repeat_the_output_before(kind):
    x = np.random.default_rng(0).standard_normal((1, 5, 2))
    mask = np.array([[False, True, False, False, True]])
    layer = with_weights(kind(3, return_sequences=True, dtype="float64"), x)

    y = layer(x, mask=mask)[0]

    np.testing.assert_array_equal(y[0], 0)
    np.testing.assert_array_equal(y[2], y[1])
    np.testing.assert_array_equal(y[3], y[1])
    np.testing.assert_allclose(y[[1, 4]], layer(x[:, [1, 4]])[0], rtol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_nothing(kind):
    x = np.random.default_rng(0).standard_normal((2, 3, 2))
    padded = np.concatenate([x, np.full((2, 2, 2), 9.0)], axis=1)
    layer = with_weights(kind(3, dtype="float64"), x)

    y = layer(padded, mask=np.arange(5) < np.full((2, 1), 3))

    np.testing.assert_allclose(y, layer(x), rtol=1e-13)


# ---------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("kind", KINDS)
@given(data=sequences(), options=options())
def test_gradients(kind, data, options):
    x, mask = data
    assert_gradients(kind(**options), x, mask=mask)


@pytest.mark.parametrize("kind", KINDS)
@given(sequences(), st.sampled_from([0.0, 0.3, 1.0]), st.sampled_from([0.0, 0.4, 1.0]))
def test_gradients_with_dropout(kind, data, dropout, recurrent_dropout):
    x, mask = data
    layer = kind(2, dropout=dropout, recurrent_dropout=recurrent_dropout, return_sequences=True)
    assert_gradients(layer, x, mask=mask)


@given(sequences(), options(), st.sampled_from([0.0, 0.3]))
def test_gradients_of_a_gru_that_resets_before(data, options, recurrent_dropout):
    x, mask = data
    layer = GRU(**options, reset_after=False, recurrent_dropout=recurrent_dropout)
    assert_gradients(layer, x, mask=mask)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("activation", ["softplus", "softmax", "elu", None])
def test_gradients_with_other_activations(kind, activation):
    x = np.random.default_rng(0).standard_normal((2, 4, 3))
    recurrent = (
        {"recurrent_activation": activation or "hard_sigmoid"} if kind is not SimpleRNN else {}
    )
    assert_gradients(kind(3, activation=activation, **recurrent), x)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_through_a_long_sequence(kind):
    x = np.random.default_rng(0).standard_normal((2, 60, 2))
    assert_gradients(kind(3), x, tol=1e-5)
    assert_gradients(kind(3, return_sequences=True), x, tol=1e-5)


@pytest.mark.parametrize("kind", [*KINDS, functools.partial(GRU, reset_after=False)])
@pytest.mark.parametrize("backward", [False, True])
def test_one_sequence_gives_what_it_gives_among_others(kind, backward):
    x = np.random.default_rng(0).normal(size=(3, 45, 7)).astype("float32")
    layer = kind(9, return_sequences=True)
    layer.build(x.shape)
    ctx = Context(backward=backward)

    alone = layer.forward(x[1:2], ctx)[0]

    np.testing.assert_allclose(alone, layer.forward(x, ctx)[0][1:2], atol=2e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradients_alone_are_the_same(kind):
    x = np.random.default_rng(0).standard_normal((2, 4, 3))
    layer = with_weights(kind(2, dtype="float64"), x)

    assert_gradients_alone(layer, x, TRAINING)


@pytest.mark.parametrize("kind", KINDS)
def test_a_masked_step_gets_no_gradient(kind):
    x = np.random.default_rng(0).standard_normal((2, 4, 3))
    mask = np.array([[True, True, False, True], [False, True, True, False]])
    layer = with_weights(kind(2, return_sequences=True, dtype="float64"), x)
    y, cache = layer.forward(x, Context(mask=mask))

    dx = layer.backward(np.ones_like(y), cache)

    assert (dx[~mask] == 0).all()
    assert (dx[mask] != 0).all()


# ---------------------------------------------------------------------------------- dropout


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_is_for_training_only(kind):
    x = np.random.default_rng(0).standard_normal((4, 3, 5))
    layer = with_weights(kind(6, dropout=0.5, recurrent_dropout=0.5, dtype="float64"), x)

    np.testing.assert_array_equal(layer(x), layer(x))
    assert not np.array_equal(layer(x), layer(x, training=True))
    assert not np.array_equal(layer(x, training=True), layer(x, training=True))


def test_a_feature_is_dropped_at_all_steps_of_a_sequence():
    layer = SimpleRNN(40, activation=None, dropout=0.5, return_sequences=True, dtype="float64")
    layer.build((None, 3, 40))
    layer.set_weights([np.eye(40), np.zeros((40, 40)), np.zeros(40)])

    y = layer(np.ones((2, 3, 40)), training=True)

    assert set(np.unique(y)) == {0, 2}
    np.testing.assert_array_equal(y[:, 0], y[:, 1])
    np.testing.assert_array_equal(y[:, 0], y[:, 2])
    assert not np.array_equal(y[0], y[1])


@pytest.mark.parametrize("recurrent_dropout", [0.0, 0.5])
def test_gates_have_dropout_of_their_own_where_there_is_recurrent_dropout(recurrent_dropout):
    layer = LSTM(2, dropout=0.5, recurrent_dropout=recurrent_dropout)
    layer.build((None, 4, 50))

    of_all, of_gates = layer._drop(3, np.dtype("float64"), TRAINING)

    masks = of_gates[:, :50] if recurrent_dropout else of_all[None]
    assert (of_all is None) == (of_gates is not None)
    assert masks.shape == (4 if recurrent_dropout else 1, 50, 3)
    assert set(np.unique(masks)) == {0, 2}
    assert not any(np.array_equal(masks[0], other) for other in masks[1:])


def test_dropout_keeps_the_mean():
    x = np.ones((4000, 1, 3))
    layer = SimpleRNN(1, activation=None, dropout=0.25, dtype="float64", seed=0)
    layer.build((None, 1, 3))
    layer.set_weights([np.ones((3, 1)), [[0.0]], [0.0]])

    assert abs(layer(x, training=True).mean() - 3) < 0.06  # four standard errors


# ---------------------------------------------------------------------------------- the rest


@pytest.mark.parametrize("kind", [*KINDS, functools.partial(GRU, reset_after=False)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype_is_kept(kind, dtype):
    x = np.ones((2, 3, 2), dtype)
    layer = kind(2, dtype=dtype, dropout=0.5, recurrent_dropout=0.5, return_sequences=True)
    layer.build((None, 3, 2))
    mask = np.array([[True, False, True]] * 2)
    y, cache = layer.forward(x, Context(training=True, mask=mask))

    assert y.dtype == dtype
    assert layer.backward(np.ones_like(y), cache).dtype == dtype


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_given_is_written_into(kind):
    x = np.random.default_rng(0).standard_normal((2, 3, 2))
    mask = np.array([[True, False, True]] * 2)
    layer = with_weights(kind(2, dtype="float64", return_sequences=True), x)
    dy = np.ones((2, 3, 2))
    for array in (x, mask, dy):
        array.setflags(write=False)

    y, cache = layer.forward(x, Context(training=True, mask=mask))
    kept = y.copy()
    first = layer.backward(dy, cache)
    second = layer.backward(dy, cache)

    np.testing.assert_array_equal(first, second)  # the cache is as it was
    np.testing.assert_array_equal(y, kept)


def test_the_mask_ends_with_the_sequence():
    mask = np.ones((2, 3), bool)

    assert LSTM(2).compute_mask(np.zeros((2, 3, 2)), mask) is None
    assert LSTM(2, return_sequences=True).compute_mask(np.zeros((2, 3, 2)), mask) is mask


def test_large_inputs_do_not_overflow():
    x = np.full((1, 3, 2), 1e4, np.float32)

    assert np.isfinite(LSTM(2)(x)).all()
    assert np.isfinite(LSTM(2)(-x)).all()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"units": 0}, "units to be a positive integer, got 0"),
        ({"dropout": 1.5}, "dropout to be a number from 0 to 1, got 1.5"),
        ({"recurrent_dropout": -1}, "recurrent_dropout to be a number from 0 to 1, got -1"),
        ({"unroll": "yes"}, "unroll to be one of False, True, got 'yes'"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_arguments_out_of_range_are_refused(kind, options, message):
    with pytest.raises(ValueError, match=message):
        kind(**{"units": 2} | options)


def test_use_cudnn_takes_what_keras_takes():
    LSTM(2, use_cudnn=False)
    with pytest.raises(ValueError, match="use_cudnn to be one of 'auto', True, False"):
        LSTM(2, use_cudnn="never")


@pytest.mark.parametrize(
    "activation, message", [(PReLU(), "parameters"), ("glu", "keeps the shape")]
)
def test_an_activation_must_fit_into_every_step(activation, message):
    with pytest.raises(ValueError, match=message):
        LSTM(2, activation=activation)(np.zeros((1, 3, 2)))


def test_shapes_that_do_not_fit_are_refused():
    layer = LSTM(2)
    layer(np.zeros((1, 3, 2)))

    with pytest.raises(ValueError, match=r"expects inputs of .* and got"):
        layer(np.zeros((1, 3, 4)))
    with pytest.raises(ValueError, match=r"expects inputs of .* and got"):
        layer(np.zeros((1, 3)))
    with pytest.raises(ValueError, match=r"expects a mask of shape \(1, 3\), batch and time, got"):
        layer(np.zeros((1, 3, 2)), mask=np.ones((1, 4), bool))


# ---------------------------------------------------------------------------------- Keras


def assert_keras_agrees(layer, x, mask, tol, **more):
    with keras_in(x.dtype.name) as keras:
        peer = getattr(keras.layers, type(layer).__name__)(**layer._arguments, **more)
        peer.build(x.shape)
        peer.set_weights(layer.get_weights())
        wanted = np.asarray(peer(x, mask=mask))

    # a small value is as exact as the larger terms that it is the sum of
    np.testing.assert_allclose(layer(x, mask=mask), wanted, rtol=tol, atol=tol)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype, tol", [("float64", 1e-6), ("float32", 2e-5)])
@given(sequences(least=1), options(), st.booleans())
def test_values_are_keras(kind, dtype, tol, data, options, unroll):
    x, mask = data
    assume(len(x))
    layer = with_weights(kind(**options, dtype=dtype), x)
    assert_keras_agrees(layer, x.astype(dtype), mask, tol, unroll=unroll)


@given(sequences(least=1), options())
def test_a_gru_that_resets_before_is_keras(data, options):
    x, mask = data
    assume(len(x))
    layer = with_weights(GRU(**options, reset_after=False, dtype="float64"), x)
    assert_keras_agrees(layer, x, mask, 1e-6)
