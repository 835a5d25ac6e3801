"""Recurrent layers that are given their first states, and return the last ones."""

import numpy as np
import pytest
import reference
from finite_differences import assert_gradients
from hypothesis import given, strategies as st
from inputs import normal, with_weights
from keras_parity import keras_in

from backprop.layer import TRAINING, Context
from backprop.layers import GRU, LSTM, ConvLSTM1D, ConvLSTM2D, SimpleRNN
from backprop.nest import as_one

KINDS = [LSTM, GRU, SimpleRNN]
LOOPS = {LSTM: reference.lstm, GRU: reference.gru, SimpleRNN: reference.simple_rnn}
SLOPES = [*KINDS, lambda *args, **options: GRU(*args, reset_after=False, **options)]
HOLES = np.array([[True, True, False, False], [False, True, False, True], [False] * 4])


def starts(layer, x, seed=7):
    """Generic first states."""
    shapes = layer.state_shapes(x.shape)
    return [normal(*shape, seed=seed + i) for i, shape in enumerate(shapes)]


def ending(kind, x, *arguments, **options):
    """A layer that returns its states, with generic weights, in float64."""
    options = {"return_state": True, "dtype": "float64"} | options
    return with_weights(kind(*arguments, **options), x)


@st.composite
def cases(draw):
    """x (N, T, n), a mask or None, and options of a layer."""
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    shape = draw(st.integers(0, 3)), draw(st.integers(0, 5)), draw(st.integers(1, 3))
    mask = rng.random(shape[:2]) < 0.6 if draw(st.booleans()) else None
    names = ("return_sequences", "go_backwards", "return_state")
    return rng.standard_normal(shape), mask, {name: draw(st.booleans()) for name in names}


@pytest.mark.parametrize("kind", KINDS)
@given(case=cases(), units=st.integers(1, 3))
def test_values_and_last_states_are_the_loops(kind, case, units):
    x, mask, options = case
    layer = ending(kind, x, units, **options)
    first = starts(layer, x)
    last = [h.copy() for h in first]
    given = [h.copy() for h in first]

    y = layer(x, mask=mask, initial_state=first)

    wanted = LOOPS[kind](x, *layer.weights, mask, layer.go_backwards, last)
    wanted = wanted if layer.return_sequences else last[0]
    found = y if layer.return_state else (y, *last)
    for a, b in zip(found, (wanted, *last), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    for a, b in zip(first, given, strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_lstm_passes_a_masked_step_by():
    layer = LSTM(1, return_state=True, dtype="float64")
    layer.build((None, 1, 1))
    x, h, c = np.ones((1, 1, 1)), np.array([[2.0]]), np.array([[3.0]])

    y, cache = layer.forward((x, h, c), Context(mask=np.array([[False]])))
    dx, dh, dc = layer.backward((np.array([[1.0]]), np.array([[10.0]]), np.array([[5.0]])), cache)

    assert [float(a.item()) for a in y] == [2, 2, 3]
    assert [float(a.item()) for a in (dx, dh, dc)] == [0, 11, 5]  # y is h: both of their gradients


def test_a_simple_layer_by_hand():
    layer = SimpleRNN(1, activation=None, return_state=True, dtype="float64")
    layer.build((None, 2, 1))
    layer.set_weights([[[2.0]], [[3.0]], [1.0]])

    y, cache = layer.forward((np.array([[[1.0], [5.0]]]), np.array([[4.0]])))
    dx, dh = layer.backward((np.array([[1.0]]), np.array([[100.0]])), cache)

    # h: 4, 2 + 12 + 1 = 15, 10 + 45 + 1 = 56; back: dh = 101, 303, 909
    assert [float(a.item()) for a in y] == [56, 56]
    np.testing.assert_array_equal(dx[0, :, 0], [606, 202])
    np.testing.assert_array_equal(dh, [[909]])
    np.testing.assert_array_equal(layer.drecurrent_kernel, [[303 * 4 + 101 * 15]])


@pytest.mark.parametrize("kind", SLOPES)
@given(case=cases(), given_states=st.booleans(), dropped=st.booleans())
def test_gradients(kind, case, given_states, dropped):
    x, mask, options = case
    rates = {"dropout": 0.3, "recurrent_dropout": 0.4} if dropped else {}
    layer = kind(2, **options, **rates, dtype="float64")
    layer.build((None, *x.shape[1:]))
    inputs = (x, *starts(layer, x)) if given_states else (x,)

    assert_gradients(layer, as_one(inputs), mask=mask)


@pytest.mark.parametrize("format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("mask", [None, HOLES])
def test_gradients_of_images(format, sequences, backwards, mask):
    layer = ConvLSTM1D(
        2, 2, data_format=format, return_sequences=sequences, go_backwards=backwards,
        return_state=True, dtype="float64",
    )  # fmt: skip
    x = normal(3, 4, 2, 3)
    layer.build((None, *x.shape[1:]))
    inputs = (x, *starts(layer, x))

    assert_gradients(layer, inputs, mask=mask)


def test_states_of_images_are_the_loops_in_either_format():
    x = normal(3, 4, 5, 2)
    layer = ending(ConvLSTM1D, x, 3, 2, padding="same")
    first = starts(layer, x)
    last = [h.copy() for h in first]
    other = ConvLSTM1D(
        3, 2, padding="same", data_format="channels_first", return_state=True, dtype="float64"
    )
    other.build((None, 4, 2, 5))
    other.set_weights(layer.get_weights())

    found = layer(x, mask=HOLES, initial_state=first)
    turned = other(
        x.swapaxes(2, 3), mask=HOLES, initial_state=[state.swapaxes(1, 2) for state in first]
    )

    reference.conv_lstm(x, *layer.weights, layer, HOLES, last)
    for a, b, wanted in zip(found, turned, (last[0], *last), strict=True):
        np.testing.assert_allclose(a, wanted, rtol=1e-12)
        np.testing.assert_array_equal(b, a.swapaxes(1, 2))


# ---------------------------------------------------------------------------------- in two parts


@pytest.mark.parametrize("kind", SLOPES)
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("steps", [4, 60])
def test_a_sequence_in_two_parts_is_the_sequence(kind, backwards, steps):
    x = normal(3, steps, 2)
    mask = np.random.default_rng(5).random(x.shape[:2]) < 0.7
    layer = ending(kind, x, 3, go_backwards=backwards)
    y, cache = layer.forward((x, *starts(layer, x)), Context(mask=mask))
    dy = tuple(normal(*a.shape, seed=i) for i, a in enumerate(y))
    whole = layer.backward(dy, cache)
    sums = [p.gradient.copy() for p in layer.arrays()]

    cut = steps // 3
    parts = [slice(cut, None), slice(0, cut)] if backwards else [slice(0, cut), slice(cut, None)]
    states, caches = starts(layer, x), []
    for at in parts:
        (_, *states), cache = layer.forward((x[:, at], *states), Context(mask=mask[:, at]))
        caches.append(cache)
    dx, *dstates = layer.backward(dy, caches[1])
    found = [p.gradient.copy() for p in layer.arrays()]
    rest, *dstates = layer.backward((np.zeros_like(dy[0]), *dstates), caches[0])
    dxs = (dx, rest) if backwards else (rest, dx)

    for a, b in zip(states, y[1:], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    np.testing.assert_allclose(np.concatenate(dxs, axis=1), whole[0], rtol=1e-10, atol=1e-13)
    for a, b in zip(dstates, whole[1:], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13)
    for p, first, total in zip(layer.arrays(), found, sums, strict=True):
        np.testing.assert_allclose(p.gradient + first, total, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stateful_layer_goes_on_from_states_that_it_is_given(kind):
    x = normal(2, 3, 2)
    layer = kind(3, stateful=True, return_state=True, dtype="float64")
    layer(x)
    first = starts(layer, x)

    _, *last = layer(x, initial_state=first)
    kept = [state.copy() for state in layer.states]
    after = layer(x)

    for a, b in zip(last, kept, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(after[0], layer(x, initial_state=last)[0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sequences", [False, True])
def test_states_that_are_returned_are_the_users(kind, sequences):
    x = normal(2, 3, 2)
    layer = ending(kind, x, 3, return_sequences=sequences)

    y, cache = layer.forward(x)
    for a in y:
        a[...] = np.nan
    dx = layer.backward(tuple(np.ones_like(a) for a in y), cache)

    assert np.isfinite(dx).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradients_alone_are_the_same(kind):
    x = normal(3, 4, 2)
    layer = ending(kind, x, 3, return_sequences=True, dropout=0.3)
    y, cache = layer.forward((x, *starts(layer, x)), TRAINING)
    layer.backward(y, cache)
    wanted = [p.gradient.copy() for p in layer.arrays()]

    layer.backward_params(y, cache)

    for p, gradient in zip(layer.arrays(), wanted, strict=True):
        np.testing.assert_array_equal(p.gradient, gradient)


# ---------------------------------------------------------------------------------- border


def test_shapes_and_masks_of_states():
    layer = LSTM(4, return_sequences=True, return_state=True)
    shapes = ((None, 5, 3), (None, 4), (None, 4))
    mask = np.ones((2, 5), bool)

    assert layer.compute_output_shape(shapes) == ((None, 5, 4), (None, 4), (None, 4))
    assert layer.compute_output_shape((None, 5, 3)) == ((None, 5, 4), (None, 4), (None, 4))
    assert [m is None for m in layer.compute_mask(None, (mask, None, None))] == [False, True, True]
    assert GRU(4, return_state=True).compute_output_shape((7, 5, 3)) == ((7, 4), (7, 4))
    images = ConvLSTM2D(4, 2, data_format="channels_first", return_state=True)
    assert images.compute_output_shape((None, 5, 3, 6, 7)) == ((None, 4, 5, 6),) * 3


@pytest.mark.parametrize(
    "shapes",
    [
        ((None, 5, 3), (None, 4)),
        ((None, 5, 3), (None, 4), (None, 3)),
        ((None, 5, 3), (None, 4), (None, 4), (None, 4)),
        ((None, 5, 3), (None, 5, 4), (None, 4)),
    ],
)
def test_states_of_other_shapes_are_refused(shapes):
    layer = LSTM(4)
    with pytest.raises(ValueError, match=r"of 2 arrays of shape \(None, 4\), got"):
        layer.build(shapes)
    assert not layer.built


# ---------------------------------------------------------------------------------- Keras


def slopes(f, arrays, step=1e-2):
    """The slopes of a number in all entries of these arrays, by differences of sixth order."""
    found = []
    for i, array in enumerate(arrays):
        slope = np.zeros(array.shape)
        for at in np.ndindex(*array.shape):

            def moved(t, i=i, at=at):
                changed = [a.copy() for a in arrays]
                changed[i][at] += t * step
                return f(changed)

            slope[at] = (
                45 * (moved(1) - moved(-1)) - 9 * (moved(2) - moved(-2)) + moved(3) - moved(-3)
            ) / (60 * step)
        found.append(slope)
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [{}, {"return_sequences": True, "go_backwards": True}])
@pytest.mark.parametrize("mask", [None, HOLES[:, :3]])
def test_states_and_their_gradients_are_keras(kind, options, mask):
    x = normal(3, 3, 2)
    layer = ending(kind, x, 2, **options)
    first = starts(layer, x)
    y, cache = layer.forward((x, *first), Context(mask=mask))
    v = tuple(normal(*a.shape, seed=i) for i, a in enumerate(y))
    dx = layer.backward(v, cache)
    gradients = [p.gradient.copy() for p in layer.arrays()]
    with keras_in("float64") as keras:
        peer = getattr(keras.layers, kind.__name__)(
            2, return_state=True, dtype="float64", **options
        )
        peer.build(x.shape)

        def run(arrays):
            x, *rest = arrays
            peer.set_weights(rest[len(first) :])
            return peer(x, initial_state=rest[: len(first)], mask=mask)

        arrays = [x, *first, *layer.get_weights()]
        wanted = run(arrays)
        for a, b in zip(y, wanted, strict=True):
            np.testing.assert_allclose(a, np.asarray(b), rtol=1e-6, atol=1e-7)

        def objective(arrays):
            found = run(arrays)
            return sum(float((np.asarray(a) * b).sum()) for a, b in zip(found, v, strict=True))

        for a, b in zip((*dx, *gradients), slopes(objective, arrays), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
