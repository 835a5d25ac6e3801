"""ConvLSTM1D, ConvLSTM2D and ConvLSTM3D."""

import numpy as np
import pytest
import reference
from finite_differences import assert_gradients
from keras_parity import keras_in
from passes import assert_gradients_alone

import backprop as bp
from backprop.layer import TRAINING, Context
from backprop.layers import LSTM, ConvLSTM1D, ConvLSTM2D, ConvLSTM3D, Dense, Flatten

KINDS = {1: ConvLSTM1D, 2: ConvLSTM2D, 3: ConvLSTM3D}
SIZES = {1: (5,), 2: (4, 3), 3: (3, 2, 3)}


def film(axes, batch=2, steps=3, channels=2):
    rng = np.random.default_rng(0)
    return rng.standard_normal((batch, steps, *SIZES[axes], channels))


def drawn(layer, x):
    layer.build(x.shape)
    rng = np.random.default_rng(0)
    layer.set_weights([0.5 * rng.standard_normal(w.shape) for w in layer.weights])
    return layer


def test_images_of_one_pixel_are_numbers():
    x = np.random.default_rng(0).standard_normal((3, 4, 2))
    numbers = drawn(LSTM(3, return_sequences=True, dtype="float64"), x)
    images = ConvLSTM2D(3, 1, return_sequences=True, dtype="float64")
    images.build((None, 4, 1, 1, 2))
    kernel, recurrent_kernel, bias = numbers.get_weights()
    images.set_weights([kernel[None, None], recurrent_kernel[None, None], bias])

    y = images(x[:, :, None, None])

    np.testing.assert_allclose(y[:, :, 0, 0], numbers(x), rtol=1e-12)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("backwards", [False, True])
def test_states_are_the_loops(axes, backwards):
    x, mask = film(axes), np.array([[True, False, True], [False, False, True]])
    layer = drawn(
        KINDS[axes](2, 2, 2, "same", go_backwards=backwards, return_sequences=True), x
    ).astype("float64")

    y = layer(x, mask=mask)

    wanted = reference.conv_lstm(x, *layer.weights, layer, mask)
    np.testing.assert_allclose(y, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"return_sequences": True, "go_backwards": True, "padding": "same", "strides": 2},
        {"dropout": 0.3, "recurrent_dropout": 0.4},
        {"dropout": 1.0, "use_bias": False},
        {"activation": "softsign", "recurrent_activation": "softmax", "dilation_rate": 1},
        {"data_format": "channels_first", "return_sequences": True, "padding": "same"},
    ],
)
def test_gradients_of_films(axes, options):
    x = film(axes)
    if options.get("data_format"):
        x = np.moveaxis(x, -1, 2)
    assert_gradients(KINDS[axes](2, 2, **options), x)
    assert_gradients(KINDS[axes](2, 2, **options), x, mask=np.array([[1, 0, 1], [0, 0, 0]], bool))


def test_a_film_goes_on_where_it_stopped():
    x = film(2, steps=4)
    whole = drawn(ConvLSTM2D(2, 2, return_sequences=True, dtype="float64"), x)
    parts = ConvLSTM2D(2, 2, return_sequences=True, stateful=True, dtype="float64")
    parts.build(x.shape)
    parts.set_weights(whole.get_weights())

    halves = [parts(x[:, :2]), parts(x[:, 2:])]

    np.testing.assert_allclose(np.concatenate(halves, 1), whole(x), rtol=1e-12)
    parts.reset_state()
    np.testing.assert_array_equal(parts(x[:, :2]), halves[0])


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_images_one_by_one_are_the_whole_film(data_format):
    x = film(2, steps=4)
    x = x if data_format == "channels_last" else np.moveaxis(x, -1, 2)
    layer = ConvLSTM2D(2, 2, return_sequences=True, data_format=data_format, dtype="float64")
    drawn(layer, x)
    memory, found = None, []
    for part in (x[:, :1], x[:, 1:3], x[:, 3:]):
        y, memory = layer.step(part, memory)
        found.append(y)

    np.testing.assert_allclose(np.concatenate(found, 1), layer(x), rtol=1e-13)
    assert layer.can_step
    assert not ConvLSTM2D(2, 2).can_step


@pytest.mark.parametrize("shape", [(0, 2, 4, 3, 2), (2, 0, 4, 3, 2)])
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_films_of_no_images(shape, sequences, dropout):
    layer = drawn(
        ConvLSTM2D(2, 2, return_sequences=sequences, dropout=dropout, dtype="float64"), film(2)
    )
    y, cache = layer.forward(np.zeros(shape), TRAINING)

    assert layer.backward(np.ones_like(y), cache).shape == shape
    assert not layer.dkernel.any()


def test_the_gradients_of_a_film_alone():
    x = film(2)
    layer = drawn(ConvLSTM2D(2, 2, dtype="float64"), x)

    assert_gradients_alone(layer, x, Context(training=True))


def test_a_model_of_films_trains_and_is_saved(tmp_path):
    x = film(2, batch=4).astype("float32")
    model = bp.Sequential([bp.Input((3, 4, 3, 2)), ConvLSTM2D(2, 2), Flatten(), Dense(1)])
    model.compile("adam", "mse")
    model.fit(x, np.zeros((4, 1)), epochs=1, verbose=0)
    model.save(tmp_path / "m.npz")

    again = bp.models.load_model(tmp_path / "m.npz")

    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: ConvLSTM2D(0, 2), "filters to be a positive integer"),
        (lambda: ConvLSTM2D(2, 2, 2, dilation_rate=2), "strides or dilation_rate to be 1"),
        (lambda: ConvLSTM2D(2, 9)(film(2)), "a window larger than its input"),
        (lambda: ConvLSTM2D(2, 2).build((None, 3, None, 4, 2)), "their sizes must be known"),
        (lambda: ConvLSTM2D(2, 2)(film(1)), "expects inputs of .* and got"),
        (lambda: ConvLSTM2D(2, 2)(film(2), mask=np.ones((2, 4), bool)), "expects a mask of shape"),
    ],
)
def test_films_that_do_not_fit_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ------------------------------------------------------------------------------- Keras


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"return_sequences": True, "padding": "same", "strides": 2},
        {"go_backwards": True, "use_bias": False, "return_sequences": True},
        {"activation": "relu", "recurrent_activation": "hard_sigmoid"},
        {"recurrent_activation": "softmax"},  # of each gate alone
    ],
)
def test_films_are_keras(axes, options):
    x = film(axes)  # without a mask, on which Keras' NumPy backend fails here
    with keras_in("float64") as keras:
        peer = getattr(keras.layers, f"ConvLSTM{axes}D")(2, 2, dtype="float64", **options)
        peer.build(x.shape)
        layer = drawn(KINDS[axes](2, 2, dtype="float64", **options), x)
        peer.set_weights(layer.get_weights())

        assert layer.compute_output_shape(x.shape) == tuple(peer.compute_output_shape(x.shape))
        np.testing.assert_allclose(layer(x), np.asarray(peer(x)), rtol=1e-6, atol=1e-7)


def test_gradients_of_films_are_keras():
    x, v = film(1), np.random.default_rng(1).standard_normal((2, 4, 1))
    layer = drawn(ConvLSTM1D(1, 2, dtype="float64"), x)
    _, cache = layer.forward(x)
    layer.backward(v, cache)
    step = 1e-4
    with keras_in("float64") as keras:
        peer = keras.layers.ConvLSTM1D(1, 2, dtype="float64")
        peer.build(x.shape)

        def loss(i, at, t):
            weights = layer.get_weights()
            weights[i][at] += t
            peer.set_weights(weights)
            return float((np.asarray(peer(x)) * v).sum())

        for i, p in enumerate(layer.arrays()):
            for at in np.ndindex(*p.shape):
                slope = (loss(i, at, step) - loss(i, at, -step)) / (2 * step)
                assert p.gradient[at] == pytest.approx(slope, rel=1e-4, abs=1e-5)
