import numpy as np
import pytest
import reference
from finite_differences import assert_gradients
from inputs import distinct
from keras_parity import close, keras_in
from passes import passes_that_only_read

from backprop.layers import (
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    GlobalMaxPooling3D,
)

AVERAGE = [GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalAveragePooling3D]
MAX = [GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D]
GLOBAL = AVERAGE + MAX
FORMATS = pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])


def test_by_hand():
    x = np.array([[1.0, 5.0, 2.0], [3.0, 4.0, 8.0]]).reshape(1, 2, 3, 1)

    np.testing.assert_array_equal(GlobalAveragePooling2D()(x / 23 * 6), [[1.0]])
    np.testing.assert_array_equal(GlobalMaxPooling2D()(x), [[8.0]])
    np.testing.assert_array_equal(GlobalMaxPooling1D()(x[0]), [[5.0], [8.0]])
    np.testing.assert_allclose(GlobalAveragePooling3D()(x[None]), [[23 / 6]], rtol=1e-6)


@pytest.mark.parametrize("pooling", GLOBAL)
@FORMATS
@pytest.mark.parametrize("keepdims", [False, True])
def test_values_and_gradients(pooling, data_format, keepdims):
    layer = pooling(data_format, keepdims, dtype="float64")
    x = distinct((2, 3, 4, 2, 3)[: layer.places + 2])
    y = layer(x)
    image = x if data_format == "channels_last" else np.moveaxis(x, 1, -1)
    of_window = max if pooling in MAX else np.mean
    wanted = reference.pool(image, [[range(n)] for n in image.shape[1:-1]], of_window)

    np.testing.assert_allclose(y.ravel(), wanted.ravel(), rtol=1e-12, atol=1e-12)
    assert y.shape == layer.compute_output_shape(x.shape)
    assert_gradients(layer, x)


@pytest.mark.parametrize("pooling", MAX)
@FORMATS
def test_of_equals_the_first_wins(pooling, data_format):
    layer = pooling(data_format)
    x = np.ones((2, 3, 3, 3, 3)[: layer.places + 2], np.float32)
    y, cache = layer.forward(x)
    dx = layer.backward(y, cache)
    wanted = np.zeros_like(x)
    channel_axis = 1 if data_format == "channels_first" else -1
    first = np.moveaxis(wanted, channel_axis, 1)
    first[(slice(None), slice(None), *[0] * layer.places)] = 1

    np.testing.assert_array_equal(dx, wanted)


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_nan_goes_through(place):
    x = np.zeros((1, 2, 2, 1), np.float32)
    x.flat[place] = np.nan

    assert np.isnan(GlobalMaxPooling2D()(x)).all()
    assert np.isnan(GlobalAveragePooling2D()(x)).all()


@pytest.mark.parametrize("pooling", GLOBAL)
@pytest.mark.parametrize("batch", [0, 1])
def test_a_batch_of_zero_rows_or_one(pooling, batch):
    layer = pooling()
    shape = (batch, 4, 4, 2, 3)[: layer.input_spec.ndim]
    y, cache = layer.forward(np.zeros(shape, np.float32))

    assert y.shape == layer.compute_output_shape(shape)
    assert layer.backward(y, cache).shape == shape


@pytest.mark.parametrize("pooling", GLOBAL)
@FORMATS
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_inputs_stay_as_they_are_and_dtype_is_kept(pooling, data_format, dtype):
    layer = pooling(data_format)
    x = distinct((2, 3, 4, 5, 2)[: layer.input_spec.ndim], dtype=dtype)
    y, dx = passes_that_only_read(layer, x)

    assert y.dtype == dtype
    assert not np.shares_memory(dx, y)


def test_masked_steps_are_left_out_of_the_mean_whatever_stands_there():
    x = distinct((3, 4, 2))
    mask = np.array([[True, True, False, False], [True] * 4, [False] * 4])
    layer = GlobalAveragePooling1D(dtype="float64")
    y = layer(np.where(mask[:, :, None], x, np.nan), mask=mask)

    np.testing.assert_allclose(y, [x[0, :2].mean(0), x[1].mean(0), [0, 0]])
    assert_gradients(layer, x, mask=mask)
    assert_gradients(GlobalAveragePooling1D("channels_first", True), x.swapaxes(1, 2), mask=mask)


@pytest.mark.parametrize("pooling", GLOBAL)
def test_the_output_has_no_mask(pooling):
    layer = pooling()

    assert layer.changes_mask and layer.compute_mask(None, np.ones((2, 2), bool)) is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GlobalMaxPooling2D("NHWC"), "GlobalMaxPooling2D expects data_format to be one of"),
        (
            lambda: GlobalAveragePooling1D()(np.ones((1, 28))),
            "2 axes besides the batch and got (28,)",
        ),
        (
            lambda: GlobalMaxPooling1D().build((None, 0, 3)),
            "GlobalMaxPooling1D() expects at least one place along each axis and got (0, 3)",
        ),
        (
            lambda: GlobalAveragePooling2D("channels_first").build((None, 3, 2, 0)),
            "at least one place along each axis and got (3, 2, 0)",
        ),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError) as error:
        make()

    assert message in str(error.value)


@pytest.mark.parametrize("pooling", GLOBAL)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@FORMATS
@pytest.mark.parametrize("keepdims", [True, False])
def test_agrees_with_keras_forward_and_backward(pooling, dtype, data_format, keepdims):
    import jax

    x = distinct((3, 4, 5, 2, 3)[: pooling.places + 2], dtype=dtype)
    options = {"data_format": data_format, "keepdims": keepdims, "dtype": dtype}
    mask = {}
    if pooling is GlobalAveragePooling1D:
        steps = x.shape[1 if data_format == "channels_last" else 2]
        mask = {"mask": np.arange(steps) < np.array([[1], [3], [2]])}
    layer = pooling(**options)
    dy = distinct(layer.compute_output_shape(x.shape), 1, dtype)
    _, cache = layer.forward(x)
    axes = tuple(range(1, x.ndim - 1) if data_format == "channels_last" else range(2, x.ndim))
    reduce = jax.numpy.max if pooling in MAX else jax.numpy.mean  # what Keras' layers call there
    with keras_in(dtype) as keras:
        wanted = np.asarray(getattr(keras.layers, pooling.__name__)(**options)(x, **mask))
        _, vjp = jax.vjp(lambda v: reduce(v, axis=axes, keepdims=keepdims), jax.numpy.asarray(x))
        dx = np.asarray(vjp(jax.numpy.asarray(dy))[0])

    assert wanted.dtype == dtype
    np.testing.assert_allclose(layer(x, **mask), wanted, **close(dtype))
    np.testing.assert_allclose(layer.backward(dy, cache), dx, **close(dtype))
