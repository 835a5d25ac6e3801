from functools import partial

import numpy as np
import pytest
import reference
from finite_differences import assert_gradients
from hypothesis import given, settings, strategies as st
from inputs import distinct
from keras_parity import close, keras_in
from passes import assert_pools, passes_that_only_read

from backprop import layers
from backprop.layer import Context
from backprop.layers import (
    AveragePooling1D,
    AveragePooling2D,
    AveragePooling3D,
    MaxPooling1D,
    MaxPooling2D,
    MaxPooling3D,
)
from backprop.layers.pooling.axes import adaptively, evenly

MAX = {1: MaxPooling1D, 2: MaxPooling2D, 3: MaxPooling3D}
AVERAGE = {1: AveragePooling1D, 2: AveragePooling2D, 3: AveragePooling3D}
POOLINGS = [*MAX.values(), *AVERAGE.values()]


def average(window):
    return sum(window) / len(window)


@st.composite
def poolings(draw, dims=2):
    """Arguments of a layer, and the shape of an input that it accepts."""
    most, more = (4, 4) if dims < 3 else (3, 2)
    size = draw(st.tuples(*[st.integers(1, most)] * dims))
    steps = st.tuples(*[st.integers(1, 3)] * (dims - 1), st.integers(1, most + 1))
    options = {
        "pool_size": size,
        "strides": draw(st.none() | steps),
        "padding": draw(st.sampled_from(["valid", "same"])),
        "data_format": draw(st.sampled_from(["channels_last", "channels_first"])),
    }
    image = [draw(st.integers(1 if options["padding"] == "same" else k, k + more)) for k in size]
    batch, channels = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    last = options["data_format"] == "channels_last"
    return options, (batch, *image, channels) if last else (batch, channels, *image)


def test_pooling_by_hand():
    x = np.array([[1.0, 5.0, 2.0], [3.0, 4.0, 8.0]]).reshape(1, 2, 3, 1)

    np.testing.assert_array_equal(MaxPooling2D(2, 1)(x).ravel(), [5.0, 8.0])
    np.testing.assert_array_equal(AveragePooling2D(2, 1)(x).ravel(), [13 / 4, 19 / 4])
    np.testing.assert_array_equal(AveragePooling2D(2, padding="same")(x).ravel(), [13 / 4, 10 / 2])
    np.testing.assert_array_equal(MaxPooling1D(2, 1)(x[0]).ravel(), [5, 5, 4, 8])
    np.testing.assert_array_equal(AveragePooling1D(2, padding="same")(x[0]).ravel(), [3, 2, 3.5, 8])
    np.testing.assert_array_equal(MaxPooling3D((1, 2, 3))(x[None]).ravel(), [8.0])
    np.testing.assert_array_equal(AveragePooling3D((1, 2, 1))(x[None]).ravel(), [2.0, 4.5, 5.0])


def test_overlapping_windows_add_up_by_hand():
    x = np.array([0.0, 5.0, 0.0, 1.0]).reshape(1, 4, 1)
    layer = MaxPooling1D(2, 1)
    y, cache = layer.forward(x)
    dx = layer.backward(np.array([1.0, 10.0, 100.0]).reshape(y.shape), cache)
    mean = AveragePooling1D(3, 1, "same")
    _, axes = mean.forward(x)
    dx_of_mean = mean.backward(np.array([2.0, 3.0, 6.0, 8.0]).reshape(1, 4, 1), axes)

    assert dx.ravel().tolist() == [0, 11, 0, 100]
    # the windows at the ends see two steps, those between three
    assert dx_of_mean.ravel().tolist() == [1 + 1, 1 + 1 + 2, 1 + 2 + 4, 2 + 4]


@pytest.mark.parametrize("dims", [1, 2, 3])
@given(data=st.data())
def test_pooling_takes_the_maximum_or_the_mean_of_each_window(dims, data):
    options, shape = data.draw(poolings(dims))
    for pooling, of_window in [(MAX[dims], max), (AVERAGE[dims], average)]:
        layer = pooling(**options, dtype="float64")
        laid = {name: getattr(layer, name) for name in ("pool_size", "strides", "padding")}
        assert_pools(layer, distinct(shape), partial(reference.sliding, **laid), of_window)


@pytest.mark.parametrize("pooling", POOLINGS)
@given(data=st.data())
def test_gradients(pooling, data):
    options, shape = data.draw(poolings(pooling.places))
    assert_gradients(pooling(**options), distinct(shape))


@pytest.mark.parametrize("dims", [1, 2, 3])
@given(st.integers(1, 3), st.integers(1, 4), st.data())
def test_a_window_of_equals_has_exactly_one_winner(dims, size, stride, data):
    padding = data.draw(st.sampled_from(["valid", "same"]))
    number = data.draw(st.sampled_from([0.0, -np.inf]))
    layer = MAX[dims](size, stride, padding=padding)
    x = np.full((2, 5, 4, 3, 2)[: dims + 2], number, np.float32)
    if dims == 1:
        x = x[:, :, :2]
    y, cache = layer.forward(x)
    dx = layer.backward(np.ones_like(y), cache)

    assert dx.sum() == y.size  # with padding the winner is a pixel of the image, not of the margin


@given(poolings())
def test_of_equals_the_first_wins_row_by_row(drawing):
    options, shape = drawing
    options["data_format"] = "channels_last"
    layer = MaxPooling2D(**options)
    image = [max(n, k) for n, k in zip(shape[1:3], layer.pool_size, strict=True)]
    x = np.random.default_rng(0).integers(0, 2, (1, *image, 1)).astype(np.float32)
    y, cache = layer.forward(x)
    dy = distinct(y.shape, dtype=np.float32)
    wanted = np.zeros_like(x)
    tall, wide = reference.sliding(image, layer.pool_size, layer.strides, layer.padding)
    for i, rows in enumerate(tall):
        for j, columns in enumerate(wide):
            best = max((x[0, p, q, 0], -p, -q) for p in rows for q in columns)
            wanted[0, -best[1], -best[2], 0] += dy[0, i, j, 0]

    np.testing.assert_allclose(layer.backward(dy, cache), wanted, rtol=1e-5, atol=1e-5)


def test_a_window_may_have_more_than_255_pixels():
    x = np.zeros((1, 600, 2, 1), np.float32)
    x[0, 555, 1, 0] = 1
    layer = MaxPooling2D((600, 2))
    y, cache = layer.forward(x)

    np.testing.assert_array_equal(layer.backward(y, cache), x)


@pytest.mark.parametrize(
    "layer",
    [
        MaxPooling2D(2, padding="same"),
        MaxPooling2D(3, padding="same"),
        AveragePooling2D(2),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_nan_goes_through(layer, place):
    x = np.zeros((1, 2, 2, 1), np.float32)
    x.flat[place] = np.nan

    assert np.isnan(layer(x)).all()


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("batch", [0, 1])
def test_a_batch_of_zero_rows_or_one(pooling, batch):
    layer = pooling(2)
    shape = (batch, 4, 4, 4, 3)[: layer.input_spec.ndim]
    y, cache = layer.forward(np.zeros(shape, np.float32))

    assert y.shape == layer.compute_output_shape(shape)
    assert layer.backward(y, cache).shape == shape


@pytest.mark.parametrize(
    "layer",
    [
        MaxPooling2D(2, 1, "same", "channels_first"),
        MaxPooling2D(1),
        AveragePooling2D(1),
        AveragePooling2D(2, 1),
        MaxPooling1D(1),
        AveragePooling3D((1, 1, 1)),
        MaxPooling3D(2, 2, "same"),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_inputs_stay_as_they_are_and_dtype_is_kept(layer, dtype):
    x = distinct((2, 3, 4, 5, 2)[: layer.input_spec.ndim], dtype=dtype)
    y, dx = passes_that_only_read(layer, x)

    assert y.dtype == dtype
    assert not np.shares_memory(dx, y) and not np.shares_memory(x, y)


def test_where_no_backward_pass_follows_no_winners_are_kept():
    layer, x = MaxPooling2D(2), distinct((2, 4, 4, 3))
    y, cache = layer.forward(x, Context(backward=False))

    np.testing.assert_array_equal(y, layer.forward(x)[0])
    assert all(winner is None for _, winners in cache[1] for _, _, winner in winners)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_only_windows_of_steps_have_a_mask(pooling):
    layer, mask = pooling(2), np.array([[True, True, True], [True, True, False]])
    found = layer.compute_mask(None, mask)

    assert layer.changes_mask and layer.compute_mask(None, None) is None
    assert found is None if layer.places > 1 else found.tolist() == [[True], [True]]


def test_an_unknown_length_stays_unknown():
    assert MaxPooling2D().compute_output_shape((None, None, 5, 3)) == (None, None, 2, 3)
    assert AveragePooling1D(2).compute_output_shape((None, None, 3)) == (None, None, 3)


# ---------------------------------------------------------------------------------- where they lie


@given(st.integers(1, 12), st.integers(1, 5), st.integers(1, 6), st.booleans())
def test_links_say_which_pixel_each_window_sees(n, size, stride, same):
    if not same and size > n:
        return
    places = reference.places(n, size, stride, "same" if same else "valid")
    before = reference.margins(n, size, stride, 1)[1] if same else 0
    along = evenly(n, size, stride, len(places), before)

    assert seen(along) == [dict(place) for place in places]
    assert along.lengths.tolist() == [len(place) for place in places]
    assert along.first.tolist() == [place[0][0] for place in places]
    assert_true_flags(along)


@given(st.integers(1, 15), st.integers(1, 15))
def test_adaptive_links_cover_all_pixels(n, count):
    (windows,) = reference.adaptive([n], [count])
    along = adaptively(n, count)

    assert seen(along) == [dict(enumerate(window)) for window in windows]
    assert set().union(*windows) == set(range(n))
    assert along.lengths.tolist() == [len(window) for window in windows]
    assert_true_flags(along)


def seen(along):
    """For each window, its pixels by their k."""
    found = [{} for _ in range(along.count)]
    for k, windows, pixels in along.links:
        for i, p in zip(range(along.count)[windows], range(along.n)[pixels], strict=True):
            assert k not in found[i] and k == len(found[i]) + along.first[i]
            found[i][k] = p
    return found


def assert_true_flags(along):
    pixels = [p for window in seen(along) for p in window.values()]

    if along.whole:
        assert [k for k, _, _ in along.links] == list(range(along.size))
        assert all(len(range(along.count)[windows]) == along.count for _, windows, _ in along.links)
    if along.alone:
        assert len(set(pixels)) == len(pixels)


def test_the_fast_paths_are_taken_where_windows_tile_the_image():
    assert evenly(6, 2, 2, 3, 0).whole and evenly(6, 2, 2, 3, 0).alone
    assert adaptively(6, 3).whole and adaptively(6, 3).alone
    assert evenly(7, 3, 2, 3, 0).whole and not evenly(7, 3, 2, 3, 0).alone
    assert not evenly(5, 3, 2, 3, 1).whole


# ------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MaxPooling2D(0), "MaxPooling2D expects pool_size to be a positive integer, got 0"),
        (lambda: AveragePooling2D(2, strides=(1, 2, 3)), "strides to be an integer or 2 of them"),
        (lambda: MaxPooling1D((2, 2)), "MaxPooling1D expects pool_size to be an integer or 1 of"),
        (lambda: MaxPooling2D(2, padding="full"), "padding to be one of 'valid', 'same'"),
        (lambda: AveragePooling3D(2, data_format="NCDHW"), "data_format to be one of"),
        (
            lambda: MaxPooling2D(3)(np.ones((1, 2, 2, 1))),
            "window larger than its input of (2, 2, 1)",
        ),
        (lambda: MaxPooling2D(3).build((None, 2, 5, 1)), "take padding='same' or a smaller pool"),
        (
            lambda: AveragePooling1D(4).build((None, 3, 1)),
            "AveragePooling1D(4) has a window",
        ),
        (
            lambda: MaxPooling3D(2).build((None, 2, 2, 1, 1)),
            "larger than its input of (2, 2, 1",
        ),
        (lambda: MaxPooling1D(1).build((None, 0, 1)), "window larger than its input of (0, 1)"),
        (lambda: MaxPooling2D()(np.ones((1, 28, 28))), "3 axes besides the batch and got (28, 28)"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError) as error:
        make()

    assert message in str(error.value)


# ------------------------------------------------------------------------------------------- Keras


def keras_gradient(f, x, dy):
    """f is a function of Keras' JAX engine."""
    import jax

    y, vjp = jax.vjp(f, jax.numpy.asarray(x))
    return np.asarray(y), np.asarray(vjp(jax.numpy.asarray(dy))[0])


@pytest.mark.parametrize("dims", [1, 2, 3])
@settings(max_examples=3)  # JAX compiles each shape anew
@given(data=st.data(), dtype=st.sampled_from(["float32", "float64"]))
def test_agrees_with_keras_forward_and_backward(dims, data, dtype):
    options, shape = data.draw(poolings(dims))
    x = distinct(shape, dtype=dtype)
    for name in [f"MaxPooling{dims}D", f"AveragePooling{dims}D"]:
        layer = getattr(layers, name)(**options, dtype=dtype)
        y, cache = layer.forward(x)
        dy = distinct(y.shape, 1, dtype)
        with keras_in(dtype) as keras:
            wanted = np.asarray(getattr(keras.layers, name)(**options, dtype=dtype)(x))
            from keras.src.backend.jax import nn

            pool = nn.max_pool if "Max" in name else nn.average_pool
            arguments = layer.pool_size, layer.strides, layer.padding, layer.data_format
            _, dx = keras_gradient(partial(call, pool, arguments), x, dy)

        assert wanted.dtype == dtype
        np.testing.assert_allclose(y, wanted, **close(dtype))
        tolerance = close(dtype) | {"atol": close(dtype)["atol"] * np.abs(dy).max()}
        np.testing.assert_allclose(layer.backward(dy, cache), dx, **tolerance)


def call(f, arguments, x):
    return f(x, *arguments)


def test_ties_go_to_the_same_pixel_as_in_keras():
    x = np.random.default_rng(0).integers(0, 2, (2, 7, 6, 3)).astype(np.float32)
    for options in ({"strides": 2}, {"strides": 1, "padding": "same"}):
        layer = MaxPooling2D(3, **options)
        y, cache = layer.forward(x)
        dy = distinct(y.shape, 1, np.float32)
        with keras_in("float32"):
            from keras.src.backend.jax import nn

            arguments = layer.pool_size, layer.strides, layer.padding, layer.data_format
            _, dx = keras_gradient(partial(call, nn.max_pool, arguments), x, dy)

        np.testing.assert_allclose(layer.backward(dy, cache), dx, rtol=1e-5, atol=1e-3)
