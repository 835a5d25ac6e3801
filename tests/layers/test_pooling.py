import numpy as np
import pytest
import reference
from finite_differences import assert_gradients
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_parity import close, keras_in

from backprop import layers
from backprop.layers import (
    AveragePooling2D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    MaxPooling2D,
)

POOLINGS = [MaxPooling2D, AveragePooling2D]
GLOBAL = [GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalMaxPooling2D]


@st.composite
def poolings(draw):
    """Arguments of a layer, and the shape of an input that it accepts."""
    size = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    options = {
        "pool_size": size,
        "strides": draw(st.one_of(st.none(), st.tuples(st.integers(1, 3), st.integers(1, 5)))),
        "padding": draw(st.sampled_from(["valid", "same"])),
        "data_format": draw(st.sampled_from(["channels_last", "channels_first"])),
    }
    image = [draw(st.integers(1 if options["padding"] == "same" else k, k + 4)) for k in size]
    batch, channels = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    last = options["data_format"] == "channels_last"
    return options, (batch, *image, channels) if last else (batch, channels, *image)


def drawn(shape, seed=0, dtype=np.float64):
    """All different, so that a small step changes no winner."""
    count = int(np.prod(shape))
    return (np.random.default_rng(seed).permutation(count).reshape(shape) / 7 - count / 15).astype(
        dtype
    )


def test_pooling_by_hand():
    x = np.array([[1.0, 5.0, 2.0], [3.0, 4.0, 8.0]]).reshape(1, 2, 3, 1)

    np.testing.assert_array_equal(MaxPooling2D(2, 1)(x).ravel(), [5.0, 8.0])
    np.testing.assert_array_equal(AveragePooling2D(2, 1)(x).ravel(), [13 / 4, 19 / 4])
    np.testing.assert_array_equal(AveragePooling2D(2, padding="same")(x).ravel(), [13 / 4, 10 / 2])
    np.testing.assert_array_equal(GlobalAveragePooling2D()(x / 23 * 6), [[1.0]])
    np.testing.assert_array_equal(GlobalMaxPooling2D()(x), [[8.0]])


@given(poolings())
def test_pooling_takes_the_maximum_or_the_mean_of_each_window(drawing):
    options, shape = drawing
    last = options["data_format"] == "channels_last"
    x = drawn(shape)
    for pooling, of_window in [(MaxPooling2D, max), (AveragePooling2D, lambda w: sum(w) / len(w))]:
        layer = pooling(**options, dtype="float64")
        y = layer(x)
        image = x if last else np.moveaxis(x, 1, -1)
        wanted = reference.pool2d(image, layer.pool_size, layer.strides, layer.padding, of_window)

        np.testing.assert_allclose(
            y, wanted if last else np.moveaxis(wanted, -1, 1), rtol=1e-12, atol=1e-12
        )
        assert layer.compute_output_shape((None, *shape[1:])) == (None, *y.shape[1:])


@pytest.mark.parametrize("pooling", POOLINGS)
@given(drawing=poolings())
def test_gradients(pooling, drawing):
    options, shape = drawing
    assert_gradients(pooling(**options), drawn(shape))


@pytest.mark.parametrize("pooling", GLOBAL)
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("keepdims", [False, True])
def test_gradients_of_global_pooling(pooling, data_format, keepdims):
    layer = pooling(data_format, keepdims)
    shape = (2, 3, 4, 5)[: layer.places + 2]
    y = layer(drawn(shape))

    assert_gradients(layer, drawn(shape))
    assert y.shape == layer.compute_output_shape(shape)


@given(st.integers(1, 3), st.integers(1, 4), st.data())
def test_a_window_of_equals_has_exactly_one_winner(size, stride, data):
    padding = data.draw(st.sampled_from(["valid", "same"]))
    layer = MaxPooling2D(size, stride, padding=padding)
    x = np.zeros((2, 5, 4, 3), np.float32)
    y, cache = layer.forward(x)
    dx = layer.backward(np.ones_like(y), cache)

    assert dx.sum() == y.size  # with padding the winner is a pixel of the image, not of the margin


def test_of_equals_the_first_wins():
    layer = MaxPooling2D(2)
    y, cache = layer.forward(np.ones((1, 2, 2, 1), np.float32))

    np.testing.assert_array_equal(layer.backward(y, cache).ravel(), [1, 0, 0, 0])


def test_a_window_may_have_more_than_255_pixels():
    x = np.zeros((1, 20, 20, 1), np.float32)
    x[0, 19, 18, 0] = 1
    layer = MaxPooling2D(20)
    y, cache = layer.forward(x)

    np.testing.assert_array_equal(layer.backward(y, cache), x)


@pytest.mark.parametrize(
    "layer", [MaxPooling2D(2, padding="same"), GlobalMaxPooling2D(), AveragePooling2D(2)]
)
@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_nan_goes_through(layer, place):
    x = np.zeros((1, 2, 2, 1), np.float32)
    x.flat[place] = np.nan

    assert np.isnan(layer(x)).all()


@pytest.mark.parametrize("layer", [MaxPooling2D(2), AveragePooling2D(2), *(p() for p in GLOBAL)])
def test_zero_rows(layer):
    shape = (*(0, 4, 4, 3)[: layer.input_spec.ndim - 1], 3)
    y, cache = layer.forward(np.zeros(shape, np.float32))

    assert layer.backward(y, cache).shape == shape


@pytest.mark.parametrize(
    "layer",
    [
        MaxPooling2D(2, 1, "same", "channels_first"),
        MaxPooling2D(1),
        AveragePooling2D(1),
        AveragePooling2D(2, 1),
        GlobalAveragePooling2D(keepdims=True),
        GlobalMaxPooling2D("channels_first"),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_inputs_stay_as_they_are_and_dtype_is_kept(layer, dtype):
    x = drawn((2, 3, 4, 5), dtype=dtype)
    x.flags.writeable = False
    y, cache = layer.forward(x)
    y.flags.writeable = False
    dx = layer.backward(y, cache)

    assert y.dtype == dx.dtype == dtype and dx.shape == x.shape
    assert not np.shares_memory(dx, y)


def test_masked_steps_are_left_out_of_the_mean_whatever_stands_there():
    x = drawn((3, 4, 2))
    mask = np.array([[True, True, False, False], [True] * 4, [False] * 4])
    layer = GlobalAveragePooling1D(dtype="float64")
    y = layer(np.where(mask[:, :, None], x, np.nan), mask=mask)

    np.testing.assert_allclose(y, [x[0, :2].mean(0), x[1].mean(0), [0, 0]])
    assert_gradients(layer, x, mask=mask)
    assert_gradients(GlobalAveragePooling1D("channels_first", True), x.swapaxes(1, 2), mask=mask)


@pytest.mark.parametrize("pooling", [*POOLINGS, *GLOBAL])
def test_the_output_has_no_mask(pooling):
    layer = pooling(2) if pooling in POOLINGS else pooling()

    assert layer.changes_mask and layer.compute_mask(None, np.ones((2, 2), bool)) is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MaxPooling2D(0), "MaxPooling2D expects pool_size to be a positive integer, got 0"),
        (lambda: AveragePooling2D(2, strides=(1, 2, 3)), "strides to be an integer or 2 of them"),
        (lambda: MaxPooling2D(2, padding="full"), "padding to be one of 'valid', 'same'"),
        (lambda: GlobalMaxPooling2D("NHWC"), "GlobalMaxPooling2D expects data_format to be one of"),
        (
            lambda: MaxPooling2D(3)(np.ones((1, 2, 2, 1))),
            "window larger than its input of (2, 2, 1)",
        ),
        (lambda: MaxPooling2D()(np.ones((1, 28, 28))), "3 axes besides the batch and got (28, 28)"),
        (
            lambda: GlobalAveragePooling1D()(np.ones((1, 28))),
            "2 axes besides the batch and got (28,)",
        ),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError) as error:
        make()

    assert message in str(error.value)


@settings(max_examples=6)  # JAX compiles each shape anew
@given(poolings(), st.sampled_from(["float32", "float64"]))
def test_agrees_with_keras(drawing, dtype):
    options, shape = drawing
    x = drawn(shape, dtype=dtype)
    for name in ["MaxPooling2D", "AveragePooling2D"]:
        with keras_in(dtype) as keras:
            wanted = np.asarray(getattr(keras.layers, name)(**options, dtype=dtype)(x))
        y = getattr(layers, name)(**options, dtype=dtype)(x)

        assert wanted.dtype == dtype
        np.testing.assert_allclose(y, wanted, **close(dtype))


@pytest.mark.parametrize("pooling", GLOBAL)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("keepdims", [True, False])
def test_global_pooling_agrees_with_keras(pooling, dtype, data_format, keepdims):
    x = drawn((3, 4, 5, 2)[: pooling.places + 2], dtype=dtype)
    options = {"data_format": data_format, "keepdims": keepdims, "dtype": dtype}
    mask = {}
    if pooling is GlobalAveragePooling1D:
        steps = x.shape[1 if data_format == "channels_last" else 2]
        mask = {"mask": np.arange(steps) < np.array([[1], [3], [2]])}
    with keras_in(dtype) as keras:
        wanted = np.asarray(getattr(keras.layers, pooling.__name__)(**options)(x, **mask))

    assert wanted.dtype == dtype
    np.testing.assert_allclose(pooling(**options)(x, **mask), wanted, **close(dtype))
