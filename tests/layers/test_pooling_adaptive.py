from functools import partial

import numpy as np
import pytest
import reference
from finite_differences import assert_gradients
from hypothesis import given, strategies as st
from inputs import distinct
from keras_parity import close, keras_in
from passes import assert_pools, passes_that_only_read

from backprop import layers
from backprop.layers import (
    AdaptiveAveragePooling1D,
    AdaptiveAveragePooling2D,
    AdaptiveAveragePooling3D,
    AdaptiveMaxPooling1D,
    AdaptiveMaxPooling2D,
    AdaptiveMaxPooling3D,
    AveragePooling2D,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    MaxPooling2D,
)

MAX = {1: AdaptiveMaxPooling1D, 2: AdaptiveMaxPooling2D, 3: AdaptiveMaxPooling3D}
AVERAGE = {1: AdaptiveAveragePooling1D, 2: AdaptiveAveragePooling2D, 3: AdaptiveAveragePooling3D}
POOLINGS = [*MAX.values(), *AVERAGE.values()]


@st.composite
def poolings(draw, dims=2):
    """Arguments of a layer, and the shape of an input."""
    most = 7 if dims < 3 else 4
    options = {
        "output_size": draw(st.tuples(*[st.integers(1, most)] * dims)),
        "data_format": draw(st.sampled_from(["channels_last", "channels_first"])),
    }
    image = draw(st.tuples(*[st.integers(1, most)] * dims))
    last = options["data_format"] == "channels_last"
    return options, (2, *image, 3) if last else (2, 3, *image)


def test_by_hand():
    x = np.array([1.0, 5.0, 2.0, 4.0, 3.0]).reshape(1, 5, 1)

    # steps 0 to 1, 1 to 3, 3 to 4
    np.testing.assert_array_equal(AdaptiveMaxPooling1D(3)(x).ravel(), [5, 5, 4])
    np.testing.assert_allclose(AdaptiveAveragePooling1D(3)(x).ravel(), [3, 11 / 3, 3.5], rtol=1e-6)
    # more windows than steps: 0, 0 and 1, 1
    np.testing.assert_array_equal(AdaptiveAveragePooling1D(3)(x[:, :2]).ravel(), [1, 3, 5])


def test_a_step_is_paid_by_every_window_that_it_won():
    x = np.array([1.0, 5.0, 2.0, 4.0, 3.0]).reshape(1, 5, 1)
    layer = AdaptiveMaxPooling1D(3)
    y, cache = layer.forward(x)
    dx = layer.backward(np.array([1.0, 10.0, 100.0]).reshape(y.shape), cache)

    assert dx.ravel().tolist() == [0, 11, 0, 100, 0]


@pytest.mark.parametrize("dims", [1, 2, 3])
@given(data=st.data())
def test_agrees_with_the_loops(dims, data):
    options, shape = data.draw(poolings(dims))
    for pooling, of_window in [(MAX[dims], max), (AVERAGE[dims], np.mean)]:
        layer = pooling(**options, dtype="float64")
        windows_of = partial(reference.adaptive, counts=layer.output_size)
        assert_pools(layer, distinct(shape), windows_of, of_window)


@pytest.mark.parametrize("pooling", POOLINGS)
@given(data=st.data())
def test_gradients(pooling, data):
    options, shape = data.draw(poolings(pooling.places))
    assert_gradients(pooling(**options), distinct(shape))


def test_where_the_sizes_divide_it_is_ordinary_pooling_and_with_one_window_global():
    x = distinct((2, 6, 4, 3), dtype=np.float32)

    np.testing.assert_array_equal(AdaptiveMaxPooling2D((3, 2))(x), MaxPooling2D(2)(x))
    np.testing.assert_array_equal(AdaptiveAveragePooling2D((2, 4))(x), AveragePooling2D((3, 1))(x))
    np.testing.assert_array_equal(AdaptiveMaxPooling2D(1)(x), GlobalMaxPooling2D(keepdims=True)(x))
    np.testing.assert_allclose(
        AdaptiveAveragePooling2D(1)(x), GlobalAveragePooling2D(keepdims=True)(x), rtol=1e-5
    )


def test_as_many_windows_as_pixels_change_nothing():
    x = distinct((2, 5, 4, 3), dtype=np.float32)

    np.testing.assert_array_equal(AdaptiveMaxPooling2D((5, 4))(x), x)
    np.testing.assert_array_equal(AdaptiveAveragePooling2D((5, 4))(x), x)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_window_of_equals_has_exactly_one_winner(pooling):
    layer = pooling(3)
    x = np.zeros((2, 5, 4, 7, 6)[: layer.input_spec.ndim], np.float32)
    y, cache = layer.forward(x)
    dx = layer.backward(np.ones_like(y), cache)

    np.testing.assert_allclose(dx.sum(), y.size, rtol=1e-6)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("batch", [0, 1])
def test_a_batch_of_zero_rows_or_one(pooling, batch):
    layer = pooling(2)
    shape = (batch, 4, 5, 3, 3)[: layer.input_spec.ndim]
    y, cache = layer.forward(np.zeros(shape, np.float32))

    assert y.shape == layer.compute_output_shape(shape)
    assert layer.backward(y, cache).shape == shape


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_inputs_stay_as_they_are_and_dtype_is_kept(pooling, dtype):
    layer = pooling(2)
    x = distinct((2, 3, 4, 5, 2)[: layer.input_spec.ndim], dtype=dtype)
    y, _ = passes_that_only_read(layer, x)

    assert y.dtype == dtype


def test_nan_goes_through_to_the_windows_that_see_it():
    x = np.array([1.0, np.nan, 2.0, 4.0, 3.0]).reshape(1, 5, 1)

    for pooling in (AdaptiveMaxPooling1D, AdaptiveAveragePooling1D):
        assert np.isnan(pooling(3)(x)).ravel().tolist() == [True, True, False]


def test_the_output_has_no_mask_and_a_known_length():
    layer = AdaptiveMaxPooling1D(2)

    assert layer.changes_mask and layer.compute_mask(None, np.ones((2, 2), bool)) is None
    assert layer.compute_output_shape((None, None, 3)) == (None, 2, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AdaptiveMaxPooling2D(0), "output_size to be a positive integer, got 0"),
        (lambda: AdaptiveMaxPooling2D((1, 2, 3)), "output_size to be an integer or 2 of them"),
        (lambda: AdaptiveMaxPooling2D(2, "NHWC"), "data_format to be one of"),
        (
            lambda: AdaptiveAveragePooling2D(2).build((None, 4, 0, 3)),
            "AdaptiveAveragePooling2D(2) expects at least one pixel along each axis and got (4, 0",
        ),
        (
            lambda: AdaptiveAveragePooling1D(2)(np.ones((1, 28))),
            "2 axes besides the batch and got (28,)",
        ),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError) as error:
        make()

    assert message in str(error.value)


def call(f, arguments, x):
    return f(x, *arguments)


@pytest.mark.parametrize(
    ("dims", "output_size", "shape", "data_format", "dtype"),
    [
        (1, 3, (2, 5, 3), "channels_last", "float64"),
        (1, (4,), (2, 3, 8), "channels_first", "float32"),
        (2, (3, 4), (2, 7, 5, 2), "channels_last", "float32"),
        (2, 2, (2, 3, 5, 4), "channels_first", "float64"),
        (3, (2, 1, 3), (2, 3, 4, 5, 2), "channels_last", "float64"),
    ],
)
def test_agrees_with_keras_forward_and_backward(dims, output_size, shape, data_format, dtype):
    import jax

    options = {"output_size": output_size, "data_format": data_format}
    x = distinct(shape, dtype=dtype)
    for name in [f"AdaptiveMaxPooling{dims}D", f"AdaptiveAveragePooling{dims}D"]:
        layer = getattr(layers, name)(**options, dtype=dtype)
        y, cache = layer.forward(x)
        dy = distinct(y.shape, 1, dtype)
        with keras_in(dtype) as keras:
            wanted = np.asarray(getattr(keras.layers, name)(**options, dtype=dtype)(x))
            from keras.src.backend.jax import nn

            pool = nn.adaptive_max_pool if "Max" in name else nn.adaptive_average_pool
            arguments = layer.output_size, layer.data_format
            _, vjp = jax.vjp(jax.jit(partial(call, pool, arguments)), jax.numpy.asarray(x))
            dx = np.asarray(vjp(jax.numpy.asarray(dy))[0])

        tolerance = close(dtype) | {"atol": close(dtype)["atol"] * max(1, np.abs(dy).max())}
        np.testing.assert_allclose(y, wanted, **tolerance)
        np.testing.assert_allclose(layer.backward(dy, cache), dx, **tolerance)
