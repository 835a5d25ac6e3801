import numpy as np
import pytest
from finite_differences import assert_gradients
from hypothesis import given, strategies as st
from keras_parity import keras_in
from passes import passes_that_only_read

from backprop import layers
from backprop.layers import Flatten, Permute, RepeatVector, Reshape

shapes = st.lists(st.integers(1, 4), min_size=1, max_size=5).map(tuple)


def drawn(shape, dtype=np.float64):
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


def test_by_hand():
    x = np.array([[[1.0, 2.0], [3.0, 4.0]]])

    np.testing.assert_array_equal(Flatten()(x), [[1, 2, 3, 4]])
    np.testing.assert_array_equal(Flatten("channels_first")(x), [[1, 3, 2, 4]])
    np.testing.assert_array_equal(Reshape((4, -1))(x), [[[1], [2], [3], [4]]])
    np.testing.assert_array_equal(Permute((2, 1))(x), [[[1, 3], [2, 4]]])
    np.testing.assert_array_equal(RepeatVector(2)(x[0]), [[[1, 2], [1, 2]], [[3, 4], [3, 4]]])


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@given(shape=shapes)
def test_flatten(data_format, shape):
    layer = Flatten(data_format)
    y = layer(drawn(shape))

    assert y.shape == layer.compute_output_shape(shape) == (shape[0], int(np.prod(shape[1:])))
    assert_gradients(layer, drawn(shape))


@given(st.permutations([1, 2, 3]), st.lists(st.integers(1, 4), min_size=4, max_size=4))
def test_permute(dims, shape):
    layer = Permute(dims)
    x = drawn(shape)
    y = layer(x)

    assert y.shape == layer.compute_output_shape(shape)
    for place in np.ndindex(y.shape[1:]):
        back = dict(zip(dims, place, strict=True))
        assert y[(0, *place)] == np.float32(x[0, back[1], back[2], back[3]])
    assert_gradients(layer, x)


@pytest.mark.parametrize("target", [(6, 2), (-1,), (2, -1, 3), [12], 12, (3, 1, 4)])
def test_reshape(target):
    layer = Reshape(target)
    x = drawn((2, 3, 4))
    y = layer(x)

    np.testing.assert_array_equal(y.ravel(), x.astype(np.float32).ravel())
    assert y.shape == layer.compute_output_shape((2, 3, 4))
    assert_gradients(layer, x)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
def test_repeat_vector(batch, width, n):
    assert_gradients(RepeatVector(n), drawn((batch, width)))


ALL = [Flatten(), Flatten("channels_first"), Reshape((-1, 2)), Permute((3, 1, 2))]


@pytest.mark.parametrize("layer", [*ALL, RepeatVector(2)])
def test_zero_rows(layer):
    shape = (0, 3) if isinstance(layer, RepeatVector) else (0, 3, 2, 4)
    y, cache = layer.forward(np.zeros(shape, np.float32))

    assert layer.backward(y, cache).shape == shape


@pytest.mark.parametrize("layer", [*ALL, RepeatVector(2)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_inputs_stay_as_they_are_and_dtype_is_kept(layer, dtype):
    x = drawn((2, 3) if isinstance(layer, RepeatVector) else (2, 3, 2, 4), dtype)
    y, _ = passes_that_only_read(layer, x)

    assert y.dtype == dtype


@pytest.mark.parametrize(
    ("layer", "kept"),
    [
        (Flatten(), False),
        (Reshape((2, 6)), False),
        (Reshape((3, 2, 2)), True),
        (Reshape((-1, 4, 1)), True),
        (Permute((2, 1)), False),
        (RepeatVector(2), False),
    ],
)
def test_a_mask_is_kept_where_steps_stay_steps(layer, kept):
    mask = np.array([[True, True, False], [True, False, False]])
    found = layer.compute_mask(np.zeros((2, 3, 4)), mask)

    assert layer.changes_mask and layer.compute_mask(np.zeros((2, 3, 4)), None) is None
    assert found is mask if kept else found is None


def test_a_mask_of_steps_within_steps_is_permuted_with_them():
    mask = np.arange(6).reshape(1, 2, 3) > 1
    x = np.zeros((1, 2, 3, 4))

    np.testing.assert_array_equal(Permute((2, 1, 3)).compute_mask(x, mask), mask.swapaxes(1, 2))
    assert Permute((2, 3, 1)).compute_mask(x, mask) is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Reshape((-1, -1)), "at most one -1"),
        (lambda: Reshape((0, 3)), "target_shape to be a positive integer, got 0"),
        (
            lambda: Reshape((5, 2)).build((None, 12)),
            "Reshape((5, 2)) got (12,), which has 12 entries",
        ),
        (lambda: Reshape((5, -1))(drawn((2, 12))), "which has 12 entries"),
        (lambda: Permute((1, 3)), "axes 1 to 2 in some order, got (1, 3)"),
        (lambda: Permute((2, 1))(drawn((2, 3))), "2 axes besides the batch and got (3,)"),
        (lambda: RepeatVector(0), "n to be a positive integer, got 0"),
        (lambda: RepeatVector(2)(drawn((2, 3, 4))), "1 axes besides the batch and got (3, 4)"),
        (lambda: Flatten("last"), "data_format to be one of"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError) as error:
        make()

    assert message in str(error.value)


def test_an_unknown_length_stays_unknown():
    assert Flatten().compute_output_shape((None, None, 3)) == (None, None)
    assert Reshape((-1, 3)).compute_output_shape((None, None, 3)) == (None, None, 3)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("Flatten", ()),
        ("Flatten", ("channels_first",)),
        ("Reshape", ((4, -1),)),
        ("Permute", ((2, 3, 1),)),
        ("RepeatVector", (3,)),
    ],
)
def test_agrees_with_keras(name, arguments):
    x = drawn((2, 3) if name == "RepeatVector" else (2, 3, 2, 4))
    with keras_in("float64") as keras:
        wanted = np.asarray(getattr(keras.layers, name)(*arguments, dtype="float64")(x))

    np.testing.assert_array_equal(getattr(layers, name)(*arguments, dtype="float64")(x), wanted)
