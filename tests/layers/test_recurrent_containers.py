"""Bidirectional and TimeDistributed."""

import copy

import numpy as np
import pytest
from finite_differences import assert_gradients
from inputs import normal
from keras_parity import keras_in

import backprop as bp
from backprop.layer import TRAINING, Context
from backprop.layers import (
    GRU,
    LSTM,
    RNN,
    BatchNormalization,
    Bidirectional,
    Chain,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    LSTMCell,
    Masking,
    SimpleRNN,
    SimpleRNNCell,
    TimeDistributed,
)
from backprop.nest import as_one

MODES = ["concat", "sum", "ave", "mul"]


def drawn(layer, x, seed=0):
    """Built for x, with generic weights."""
    layer.build(x.shape)
    rng = np.random.default_rng(seed)
    layer.set_weights([0.7 * rng.standard_normal(w.shape) for w in layer.weights])
    return layer


# ------------------------------------------------------------------------------- both directions


def test_each_half_has_read_its_side():
    # h = h₋ + x, so that the forward half is the sum up to a step and the other the sum from it on
    pattern = SimpleRNN(1, None, kernel_initializer="ones", recurrent_initializer="ones")
    x = np.array([[[1.0], [2.0], [4.0]]])

    last = Bidirectional(pattern)(x)
    pattern = SimpleRNN(
        1, None, kernel_initializer="ones", recurrent_initializer="ones", return_sequences=True
    )
    every = Bidirectional(pattern)(x)

    np.testing.assert_array_equal(last, [[7, 7]])
    np.testing.assert_array_equal(every, [[[1, 7], [3, 6], [7, 4]]])


@pytest.mark.parametrize("merge_mode", MODES)
def test_the_halves_are_merged(merge_mode):
    x = normal(2, 4, 3)
    layer = drawn(Bidirectional(GRU(2, return_sequences=True), merge_mode, dtype="float64"), x)
    forward = GRU(2, return_sequences=True, dtype="float64")
    backward = GRU(2, return_sequences=True, go_backwards=True, dtype="float64")
    for single, weights in ((forward, layer.weights[:3]), (backward, layer.weights[3:])):
        single.build(x.shape)
        single.set_weights(weights)

    f, b = forward(x), backward(x)[:, ::-1]

    merged = {"concat": np.concatenate([f, b], -1), "sum": f + b, "ave": (f + b) / 2, "mul": f * b}
    np.testing.assert_allclose(layer(x), merged[merge_mode], rtol=1e-14)


@pytest.mark.parametrize("merge_mode", MODES)
@pytest.mark.parametrize("sequences", [False, True])
def test_gradients_of_both_directions(merge_mode, sequences):
    mask = np.array([[True, True, False, True], [False, True, True, False], [False] * 4])
    layer = Bidirectional(LSTM(2, return_sequences=sequences), merge_mode)

    assert_gradients(layer, normal(3, 4, 3), mask=mask)
    assert_gradients(layer, normal(3, 4, 3))


@pytest.mark.parametrize("sequences", [False, True])
def test_padding_behind_or_in_front_changes_nothing(sequences):
    x, pad = normal(2, 3, 2), np.full((2, 2, 2), 9.0)
    layer = drawn(Bidirectional(LSTM(3, return_sequences=sequences), dtype="float64"), x)
    wanted = layer(x)

    behind = layer(np.concatenate([x, pad], 1), mask=np.array([[True] * 3 + [False] * 2] * 2))
    in_front = layer(np.concatenate([pad, x], 1), mask=np.array([[False] * 2 + [True] * 3] * 2))

    if sequences:
        assert not behind[:, 3:].any()
        assert not in_front[:, :2].any()
        behind, in_front = behind[:, :3], in_front[:, 2:]
    np.testing.assert_allclose(behind, wanted, rtol=1e-13)
    np.testing.assert_allclose(in_front, wanted, rtol=1e-13)


def test_where_all_is_masked_nothing_is_said():
    layer = drawn(Bidirectional(GRU(2, return_sequences=True)), normal(1, 3, 2))

    assert not layer(normal(1, 3, 2), mask=np.zeros((1, 3), bool)).any()


def test_a_pattern_is_not_the_layer_that_runs():
    pattern = LSTM(2)
    pattern(normal(1, 3, 2))
    layer = Bidirectional(pattern, name="both")
    layer.build((None, 3, 2))

    assert layer.forward_layer is not pattern
    assert [p.path for p in layer.arrays()][::3] == ["forward_lstm/kernel", "backward_lstm/kernel"]


def test_another_layer_can_go_backwards():
    backward = SimpleRNN(3, "relu", go_backwards=True)
    layer = Bidirectional(LSTM(2), backward_layer=backward)
    x = normal(2, 4, 3)

    y = layer(x)

    assert layer.backward_layer is backward
    np.testing.assert_array_equal(y[:, 2:], backward(x))


def test_weights_to_start_with():
    x = normal(2, 3, 2)
    first = drawn(Bidirectional(GRU(2)), x)
    second = Bidirectional(GRU(2), weights=first.get_weights())

    np.testing.assert_array_equal(second(x), first(x))
    assert "weights" not in second.get_config()
    with pytest.raises(ValueError, match=r"expects weights of shapes .* and then those of"):
        Bidirectional(GRU(3), weights=first.get_weights())(x)


def test_both_directions_keep_their_states():
    x = normal(2, 6, 3)
    layer = Bidirectional(LSTM(2, stateful=True), dtype="float64")
    first = layer(x)
    second = layer(x)
    layer.reset_states()

    assert not np.allclose(first, second)
    np.testing.assert_array_equal(layer(x), first)
    with pytest.raises(ValueError, match="keeps the states of 2 sequences and got a batch of 3"):
        layer(normal(3, 6, 3))


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: Bidirectional(LSTM(2), "max"), ValueError, "merge_mode to be one of 'concat'"),
        (
            lambda: Bidirectional(Dense(2)),
            TypeError,
            "to be a layer that goes through time",
        ),
        (
            lambda: Bidirectional(LSTM(2), backward_layer=LSTM(2)),
            ValueError,
            "one that goes backwards",
        ),
        (lambda: Bidirectional(LSTM(2, go_backwards=True)), ValueError, "one that goes backwards"),
        (
            lambda: Bidirectional(
                LSTM(2), backward_layer=LSTM(2, return_sequences=True, go_backwards=True)
            ),
            ValueError,
            "the same return_sequences",
        ),
    ],
)
def test_directions_that_do_not_fit_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


# ------------------------------------------------------------------------------- at every step


def test_a_layer_at_every_step_is_that_layer_at_each():
    x = normal(2, 3, 5, 5, 2)
    layer = drawn(TimeDistributed(Conv2D(3, 2, activation="tanh"), dtype="float64"), x)

    y = layer(x)

    for t in range(3):
        np.testing.assert_allclose(y[:, t], layer.layer(x[:, t]), rtol=1e-12)
    assert layer.compute_output_shape((None, None, 5, 5, 2)) == (None, None, 4, 4, 3)
    assert_gradients(layer, x)


def test_batch_normalization_has_statistics_of_each_step():
    x = normal(4, 3, 2)
    layer = TimeDistributed(BatchNormalization(momentum=0.5), dtype="float64")
    layer.build(x.shape)

    y, _ = layer.forward(x, TRAINING)

    np.testing.assert_allclose(y.mean(0), 0, atol=1e-12)  # of each step, not of all together
    moving = np.zeros(2)
    for t in range(3):
        moving = 0.5 * moving + 0.5 * x[:, t].mean(0)
    np.testing.assert_allclose(layer.layer.moving_mean, moving, rtol=1e-12)


def test_gradients_of_layers_that_couple_rows():
    mask = np.array([[True, True, False], [True, False, True], [True, True, True]])
    layer = TimeDistributed(Chain([Dense(2, "tanh"), BatchNormalization()]))

    assert_gradients(layer, normal(3, 3, 2))
    assert_gradients(layer, normal(3, 3, 2), mask=mask)


def test_a_draw_for_all_rows_is_one_for_each_step():
    layer = TimeDistributed(Dropout(0.5, noise_shape=(1, 30)), dtype="float64")
    layer.build((None, 2, 30))

    y = layer(np.ones((3, 2, 30)), training=True)

    np.testing.assert_array_equal(y[0], y[1])
    assert (y[0, 0] != y[0, 1]).any()


def test_penalties_are_sums_over_the_steps():
    x = normal(2, 3, 4)
    outside = TimeDistributed(Dense(2, activity_regularizer="l2"), dtype="float64")
    inside = TimeDistributed(Chain([Dense(2, activity_regularizer="l2")]), dtype="float64")
    found = []
    for layer in (Chain([outside]), inside):
        drawn(layer, x)
        ctx = Context(penalties=[])
        layer.forward(x, ctx)
        found.append(sum(ctx.penalties))

    assert found[0] == pytest.approx(found[1], rel=1e-12)
    assert found[0] > 0


def test_the_mask_goes_on():
    model = bp.Sequential(
        [Embedding(5, 3, mask_zero=True), TimeDistributed(Dense(2)), LSTM(2)], dtype="float64"
    )
    words = np.array([[1, 2, 0, 0]])

    np.testing.assert_allclose(model(words), model(words[:, :2]), rtol=1e-12)


def test_the_gradients_alone_are_the_same_at_every_step():
    x = normal(2, 3, 2)
    for inner in (Dense(2), BatchNormalization()):
        layer = drawn(TimeDistributed(inner, dtype="float64"), x)
        y, cache = layer.forward(x, TRAINING)
        layer.backward(np.ones_like(y), cache)
        wanted = [p.gradient.copy() for p in layer.arrays() if p.gradient is not None]
        for p in layer.arrays():
            if p.gradient is not None:
                p.gradient[...] = np.nan

        layer.backward_params(np.ones_like(y), cache)

        for p, gradient in zip(layer.arrays(), wanted, strict=False):
            np.testing.assert_array_equal(p.gradient, gradient)


def test_softmax_at_every_step_joins_its_loss():
    x, y = normal(4, 3, 5).astype("float32"), np.random.default_rng(0).integers(0, 3, (4, 3))
    models = []
    for last in (Dense(3, "softmax"), Chain([Dense(3), bp.layers.Softmax()])):
        model = bp.Sequential([bp.Input((3, 5)), TimeDistributed(last)], dtype="float64")
        model.set_weights([normal(5, 3), np.zeros(3)])
        model.compile("sgd", "sparse_categorical_crossentropy")
        model.train_on_batch(x, y)
        models.append(model)

    for a, b in zip(models[0].weights, models[1].weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)


@pytest.mark.parametrize("inner", [lambda: Dense(2), BatchNormalization])
def test_no_steps_and_no_rows(inner):
    for shape in ((2, 0, 3), (0, 2, 3)):
        x = np.zeros(shape)
        layer = drawn(TimeDistributed(inner(), dtype="float64"), np.zeros((2, 2, 3)))
        y, cache = layer.forward(x, TRAINING)

        assert y.shape[:2] == shape[:2]
        assert layer.backward(y, cache).shape == shape


def test_what_has_no_steps_is_refused():
    with pytest.raises(TypeError, match="expects a layer for one step of time, got 'relu'"):
        TimeDistributed("relu")
    with pytest.raises(ValueError, match=r"expects inputs of shape \(time, ...\)"):
        TimeDistributed(Dense(2))(normal(3, 4))
    with pytest.raises(ValueError, match=r"mask of shape \(2, 3\), batch and time, got \(2, 4\)"):
        TimeDistributed(Dense(2))(normal(2, 3, 4), mask=np.ones((2, 4), bool))


# ------------------------------------------------------------------------------- saving, Keras


@pytest.mark.parametrize(
    "make",
    [
        lambda: Bidirectional(LSTM(2, activation="softsign"), "ave"),
        lambda: Bidirectional(GRU(2), backward_layer=SimpleRNN(3, go_backwards=True)),
        lambda: TimeDistributed(Chain([Masking(), Dense(2), BatchNormalization()])),
        lambda: TimeDistributed(Bidirectional(LSTM(2))),
    ],
)
def test_a_saved_model_says_the_same(make, tmp_path):
    layer = make()
    deep = isinstance(layer, TimeDistributed) and isinstance(layer.layer, Bidirectional)
    x = normal(2, 3, 4, 2) if deep else normal(2, 3, 4)
    model = bp.Sequential([bp.Input(x.shape[1:]), layer])
    model.save(tmp_path / "m.npz")

    again = bp.models.load_model(tmp_path / "m.npz")

    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    assert repr(again.layers[0]) == repr(layer)
    np.testing.assert_array_equal(copy.deepcopy(layer)(x), layer(x))


@pytest.mark.parametrize("merge_mode", [*MODES, None])
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("return_state", [False, True])
@pytest.mark.parametrize("given", [False, True])
def test_gradients_of_states_of_both_directions(merge_mode, sequences, return_state, given):
    options = {"return_sequences": sequences, "return_state": return_state}
    backward = GRU(2, go_backwards=True, activity_regularizer="l2", **options)
    layer = Bidirectional(LSTM(2, **options), merge_mode, backward_layer=backward, dtype="float64")
    x = normal(3, 4, 3)
    layer.build((None, *x.shape[1:]))
    inputs = (x, *(normal(3, 2, seed=i) for i in range(3))) if given else (x,)
    mask = np.array([[True, True, False, False], [False, True, True, True], [True] * 4])

    assert_gradients(layer, as_one(inputs), mask=mask)


def test_states_go_to_their_direction_and_come_from_it():
    x = normal(2, 3, 2)
    backward = SimpleRNN(2, go_backwards=True, return_state=True)
    layer = drawn(Bidirectional(LSTM(3, return_state=True), None, backward_layer=backward), x)
    h, c, g = normal(2, 3), normal(2, 3, seed=1), normal(2, 2, seed=2)

    f, b, *states = layer(x, initial_state=[h, c, g])

    wanted = layer.forward_layer(x, initial_state=[h, c])
    last = layer.backward_layer(x, initial_state=g)
    for a, one in zip((f, *states[:2], b, states[2]), (*wanted, *last), strict=True):
        np.testing.assert_array_equal(a, one)
    shapes = ((None, 3, 2), (None, 3), (None, 3), (None, 2))
    assert layer.compute_output_shape(shapes) == ((None, 3), (None, 2), *shapes[1:])
    with pytest.raises(ValueError, match="of 1 array of shape"):
        layer(x, initial_state=[h, c, g, g])


def test_a_cell_of_ones_own_goes_both_ways():
    x = normal(2, 3, 2)
    pattern = RNN([LSTMCell(2), SimpleRNNCell(3)], return_sequences=True)
    pattern(x)
    layer = Bidirectional(pattern, dtype="float64")

    assert_gradients(layer, x)

    y = layer(x)
    assert y.shape == (2, 3, 6)
    kernels = [
        one.cell.cells[0].kernel for one in (pattern, layer.forward_layer, layer.backward_layer)
    ]
    assert len({float(kernel.sum()) for kernel in kernels}) == 3


def test_directions_of_other_widths_are_not_joined():
    for merge_mode in ("sum", "ave", "mul"):
        layer = Bidirectional(LSTM(2), merge_mode, backward_layer=LSTM(3, go_backwards=True))
        with pytest.raises(ValueError, match="cannot join directions of shapes"):
            layer(normal(2, 3, 2))


def keras_gradients(model_loss, weights, step=1e-5):
    """The slopes of a loss of Keras in all its weights, by differences of fourth order."""
    found = []
    for i, w in enumerate(weights):
        slope = np.zeros(w.shape)
        for at in np.ndindex(*w.shape):

            def moved(t, i=i, at=at):
                changed = [v.copy() for v in weights]
                changed[i][at] += t * step
                return model_loss(changed)

            slope[at] = (8 * (moved(1) - moved(-1)) - (moved(2) - moved(-2))) / (12 * step)
        found.append(slope)
    return found


@pytest.mark.parametrize("merge_mode", MODES)
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_both_directions_are_keras(kind, sequences, merge_mode):
    x = normal(3, 4, 2)
    mask = np.array([[True, True, False, False], [False, True, True, True], [True] * 4])
    with keras_in("float64") as keras:
        peer = keras.layers.Bidirectional(
            getattr(keras.layers, kind)(2, return_sequences=sequences, dtype="float64"),
            merge_mode=merge_mode,
            dtype="float64",
        )
        peer.build(x.shape)
        inner = getattr(bp.layers, kind)(2, return_sequences=sequences)
        layer = drawn(Bidirectional(inner, merge_mode, dtype="float64"), x)
        peer.set_weights(layer.get_weights())

        for given in (None, mask, np.zeros_like(mask)):
            wanted = np.asarray(peer(x, mask=given))
            np.testing.assert_allclose(layer(x, mask=given), wanted, rtol=1e-6, atol=1e-7)


def test_gradients_of_both_directions_are_keras():
    x, v = normal(2, 3, 2), normal(2, 3, 4, seed=1)
    mask = np.array([[True, True, False], [True] * 3])
    layer = drawn(Bidirectional(GRU(2, return_sequences=True), dtype="float64"), x)
    _, cache = layer.forward(x, Context(mask=mask))
    layer.backward(v, cache)
    with keras_in("float64") as keras:
        peer = keras.layers.Bidirectional(
            keras.layers.GRU(2, return_sequences=True, dtype="float64"), dtype="float64"
        )
        peer.build(x.shape)

        def loss(weights):
            peer.set_weights(weights)
            return float((np.asarray(peer(x, mask=mask)) * v).sum())

        for p, wanted in zip(
            layer.arrays(), keras_gradients(loss, layer.get_weights(), 1e-2), strict=True
        ):
            np.testing.assert_allclose(p.gradient, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("merge_mode", [*MODES, None])
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_states_of_both_directions_are_keras(kind, sequences, merge_mode):
    x = normal(3, 4, 2).astype("float32")
    mask = np.array([[True, True, False, False], [False, True, True, True], [True] * 4])
    options = {"return_sequences": sequences, "return_state": True}

    def made(layers):
        first = layers.SimpleRNNCell(2) if kind == "RNN" else 2
        return layers.Bidirectional(getattr(layers, kind)(first, **options), merge_mode)

    layer = drawn(made(bp.layers), x)
    first = [normal(3, 2, seed=i).astype("float32") for i in range(layer.state_count)]
    with keras_in("float32") as keras:
        peer = made(keras.layers)
        peer.build(x.shape)
        peer.set_weights(layer.get_weights())
        for given in (None, mask):
            wanted = peer(x, initial_state=first, mask=given)
            found = layer(x, initial_state=first, mask=given)

            assert len(found) == len(wanted)
            for a, b in zip(found, wanted, strict=True):
                np.testing.assert_allclose(a, np.asarray(b), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_a_layer_at_every_step_is_keras(training, masked):
    x = normal(3, 4, 2)
    mask = np.random.default_rng(1).random((3, 4)) < 0.7 if masked else None
    with keras_in("float64") as keras:
        peer = keras.layers.TimeDistributed(keras.layers.BatchNormalization(dtype="float64"))
        peer.build(x.shape)
        layer = TimeDistributed(BatchNormalization(), dtype="float64")
        layer.build(x.shape)
        weights = [normal(2), normal(2, seed=1), normal(2, seed=2), np.array([0.5, 2.0])]
        layer.set_weights(weights)
        peer.set_weights(weights)
        wanted = np.asarray(peer(x, training=training, mask=mask))

        # Keras adds 1e-7 to the number of real steps
        np.testing.assert_allclose(
            layer(x, training=training, mask=mask), wanted, rtol=1e-5, atol=1e-6
        )
        moved = [np.asarray(w) for w in peer.get_weights()]
        for ours, theirs in zip(layer.weights, moved, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_dense_at_every_step_is_keras():
    x = normal(2, 3, 4)
    with keras_in("float64") as keras:
        peer = keras.layers.TimeDistributed(keras.layers.Dense(2, "tanh", dtype="float64"))
        peer.build(x.shape)
        layer = drawn(TimeDistributed(Dense(2, "tanh"), dtype="float64"), x)
        peer.set_weights(layer.get_weights())

        # Keras' NumPy backend multiplies matrices in float32
        np.testing.assert_allclose(layer(x), np.asarray(peer(x)), rtol=1e-6, atol=1e-6)
