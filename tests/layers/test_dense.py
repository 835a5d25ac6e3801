import numpy as np
import pytest
import reference
import scipy.sparse
from finite_differences import assert_gradients
from hypothesis import given, strategies as st
from inputs import drawn
from keras_parity import close, keras_in
from passes import passes_that_only_read

from backprop.layers import Chain, Dense

shapes = st.lists(st.integers(1, 4), min_size=2, max_size=4).map(tuple)


def test_dense_by_hand():
    layer = Dense(2)
    layer.build((None, 2))
    layer.set_weights([np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([10.0, 20.0])])
    y, cache = layer.forward(np.array([[1.0, -1.0]], np.float32))
    dx = layer.backward(np.array([[1.0, 2.0]], np.float32), cache)

    np.testing.assert_array_equal(y, [[8.0, 18.0]])
    np.testing.assert_array_equal(dx, [[5.0, 11.0]])
    np.testing.assert_array_equal(layer.dkernel, [[1.0, 2.0], [-1.0, -2.0]])
    np.testing.assert_array_equal(layer.dbias, [1.0, 2.0])


@given(shapes, st.integers(1, 4))
def test_dense_is_the_sum_over_the_last_axis(shape, units):
    layer = Dense(units, bias_initializer="random_normal", dtype="float64")
    x = drawn(shape)
    y = layer(x)

    np.testing.assert_allclose(
        y, reference.dense(x, layer.kernel, layer.bias), rtol=1e-12, atol=1e-12
    )
    assert y.shape == layer.compute_output_shape(shape)


@given(shapes, st.integers(1, 4), st.booleans(), st.sampled_from([None, "tanh", "softmax", "gelu"]))
def test_gradients(shape, units, use_bias, activation):
    assert_gradients(Dense(units, activation, use_bias), drawn(shape))


def test_gradients_of_penalties_on_the_activity():
    assert_gradients(Chain([Dense(3, "tanh", activity_regularizer="l2"), Dense(2)]), drawn((4, 3)))


def test_backward_params_sets_the_gradients_of_backward():
    layer = Dense(3, "tanh")
    x = drawn((5, 2), dtype=np.float32)
    layer.build((None, 2))
    y, cache = layer.forward(x)
    layer.backward(y, cache)
    wanted = layer.dkernel.copy(), layer.dbias.copy()
    layer.dkernel[:] = layer.dbias[:] = np.nan
    layer.backward_params(y, cache)

    np.testing.assert_array_equal(layer.dkernel, wanted[0])
    np.testing.assert_array_equal(layer.dbias, wanted[1])


def test_a_sparse_input_gives_what_the_dense_one_gives():
    x = drawn((6, 5), dtype=np.float32) * (drawn((6, 5), 1) > 0.5)
    x = x.astype(np.float32)
    layer = Dense(3, "tanh")
    layer.build((None, 5))
    y, cache = layer.forward(x)
    layer.backward_params(y, cache)
    wanted = layer.dkernel.copy()
    sparse_y, cache = layer.forward(scipy.sparse.csr_array(x))
    layer.backward_params(y, cache)

    np.testing.assert_allclose(sparse_y, y, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layer.dkernel, wanted, rtol=1e-5, atol=1e-6)


def test_zero_rows_give_zero_gradients():
    layer = Dense(3)
    layer.build((None, 2))
    layer.dkernel[:] = layer.dbias[:] = 7
    y, cache = layer.forward(np.zeros((0, 2), np.float32))

    assert layer.backward(y, cache).shape == (0, 2)
    assert not layer.dkernel.any() and not layer.dbias.any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_inputs_stay_as_they_are_and_dtype_is_kept(dtype):
    layer = Dense(3, "relu", dtype=dtype)
    x = drawn((2, 3, 4), dtype=dtype)
    layer.build((None, 3, 4))
    y, _ = passes_that_only_read(layer, x)

    assert y.dtype == dtype


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dense(0), "Dense expects units to be a positive integer, got 0"),
        (lambda: Dense(2.5), "got 2.5"),
        (lambda: Dense(2, "relv"), "did you mean 'relu'"),
        (lambda: Dense(2)(np.ones(3)), "at least 1 axes besides the batch and got ()"),
        (lambda: Dense(2).build((None, None)), "shape must be known"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError) as error:
        make()

    assert message in str(error.value)


def test_another_width_is_refused_with_advice():
    layer = Dense(64)
    layer.build((None, 784))

    with pytest.raises(
        ValueError, match=r"784 along axis -1 and got \(28, 28\); add Flatten\(\) before it"
    ):
        layer(np.ones((2, 28, 28)))


@given(shapes, st.sampled_from(["float32", "float64"]))
def test_agrees_with_keras(shape, dtype):
    layer = Dense(3, "elu", bias_initializer="random_normal", dtype=dtype)
    x = drawn(shape, dtype=dtype)
    layer.build((None, *shape[1:]))
    with keras_in(dtype) as keras:
        theirs = keras.layers.Dense(3, "elu", dtype=dtype)
        theirs.build(shape)
        theirs.set_weights(layer.get_weights())
        wanted = np.asarray(theirs(x))

    assert wanted.dtype == dtype
    np.testing.assert_allclose(layer(x), wanted, **close(dtype))
