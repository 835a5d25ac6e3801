"""Normalization by groups, root mean squares, lengths and singular values."""

import numpy as np
import pytest
import reference
from finite_differences import assert_gradients
from hypothesis import given, strategies as st
from keras_parity import close, keras_in

from backprop.layer import INFERENCE, TRAINING, Context
from backprop.layers import (
    Activation,
    Chain,
    Conv2D,
    Dense,
    Embedding,
    GroupNormalization,
    RMSNormalization,
    SpectralNormalization,
    UnitNormalization,
)

shapes = st.lists(st.integers(1, 4), min_size=2, max_size=4).map(tuple)
random = {"beta_initializer": "random_normal", "gamma_initializer": "random_normal"}


def drawn(shape, dtype=np.float64):
    return np.random.default_rng(0).normal(0.5, 2.0, shape).astype(dtype)


def wider(dtype):
    """Keras multiplies x by r before it subtracts mean r, which loses digits where we do not."""
    return close(dtype) if dtype == "float64" else {"rtol": 2e-5, "atol": 5e-5}


# -------------------------------------------------------------------------------- groups


def test_group_normalization_by_hand():
    layer = GroupNormalization(2, epsilon=0.0, dtype="float64")
    layer.build((None, 4))
    y, cache = layer.forward(np.array([[1.0, 3.0, 0.0, 8.0]]))
    dx = layer.backward(np.array([[4.0, 0.0, 1.0, 1.0]]), cache)

    np.testing.assert_allclose(y, [[-1, 1, -1, 1]])
    np.testing.assert_allclose(dx, np.zeros((1, 4)), atol=1e-12)  # two numbers have no freedom left
    np.testing.assert_allclose(layer.dgamma, [-4, 0, -1, 1])


def test_one_group_is_a_row_and_groups_of_one_are_instances():
    x = drawn((2, 3, 5, 4))
    one, each = GroupNormalization(1, dtype="float64"), GroupNormalization(-1, dtype="float64")

    for n in range(2):
        np.testing.assert_allclose(
            one(x)[n], (x[n] - x[n].mean()) / np.sqrt(x[n].var() + 1e-3), rtol=1e-9, atol=1e-12
        )
        mean, var = x[n].mean((0, 1)), x[n].var((0, 1))
        np.testing.assert_allclose(each(x)[n], (x[n] - mean) / np.sqrt(var + 1e-3), rtol=1e-9)
    config = each.get_config()
    assert (config["groups"], config["dtype"]) == (-1, "float64")


@given(shapes, st.sampled_from(["float32", "float64"]), st.data())
def test_group_normalization_agrees_with_keras(shape, dtype, data):
    axis = data.draw(st.sampled_from([-1, len(shape) - 1, 1]))
    n = shape[axis]
    options = {
        "groups": data.draw(st.sampled_from([g for g in range(1, n + 1) if n % g == 0] + [-1])),
        "axis": axis,
        "epsilon": data.draw(st.sampled_from([1e-3, 0.1])),
        "center": data.draw(st.booleans()),
        "scale": data.draw(st.booleans()),
        "dtype": dtype,
    }
    layer = GroupNormalization(**options, **random)
    layer.build((None, *shape[1:]))
    x = drawn(shape, dtype)
    with keras_in(dtype) as keras:
        theirs = keras.layers.GroupNormalization(**options)
        theirs.build(shape)
        theirs.set_weights(layer.get_weights())
        wanted = np.asarray(theirs(x))

    np.testing.assert_allclose(layer(x), wanted, **wider(dtype))


@given(shapes, st.booleans())
def test_group_normalization_gradients(shape, scale):
    assert_gradients(GroupNormalization(-1, axis=1, scale=scale, **random), drawn(shape))


# -------------------------------------------------------------------------------- lengths


def test_rms_normalization_by_hand():
    layer = RMSNormalization(epsilon=0.0, dtype="float64")
    layer.build((None, 2))
    y, cache = layer.forward(np.array([[2.0, -2.0]]))
    dx = layer.backward(np.array([[1.0, 0.0]]), cache)

    np.testing.assert_allclose(y, [[1, -1]])
    np.testing.assert_allclose(dx, [[0.25, 0.25]])  # 1/2 (dy - x̂ ⟨dy x̂⟩)
    np.testing.assert_allclose(layer.dscale, [1, 0])


def test_unit_normalization_by_hand():
    layer = UnitNormalization(dtype="float64")
    layer.build((None, 2))
    y, cache = layer.forward(np.array([[3.0, 4.0], [0.0, 0.0]]))
    dx = layer.backward(np.array([[1.0, 0.0], [1.0, 0.0]]), cache)

    np.testing.assert_allclose(y, [[0.6, 0.8], [0, 0]])
    np.testing.assert_allclose(dx, [[0.128, -0.096], [1e12, 0]])


@given(shapes, st.sampled_from(["float32", "float64"]), st.data())
def test_rms_and_unit_normalization_agree_with_keras(shape, dtype, data):
    axes = data.draw(
        st.lists(st.integers(1, len(shape) - 1), min_size=1, max_size=3, unique=True).map(sorted)
    )
    rms, unit = RMSNormalization(axes, dtype=dtype), UnitNormalization(axes, dtype=dtype)
    x = drawn(shape, dtype)
    rms.build((None, *shape[1:]))
    rms.scale = drawn(rms.scale.shape)
    with keras_in(dtype) as keras:
        theirs = keras.layers.RMSNormalization(axes, dtype=dtype)
        theirs.build(shape)
        assert [w.shape for w in rms.weights] == [tuple(w.shape) for w in theirs.weights]
        # Keras multiplies by its scale along the last axes, wherever the row lies
        if axes == list(range(len(shape) - len(axes), len(shape))):
            theirs.set_weights(rms.get_weights())
            np.testing.assert_allclose(rms(x), np.asarray(theirs(x)), **close(dtype))
        wanted = np.asarray(keras.layers.UnitNormalization(axes, dtype=dtype)(x))

    np.testing.assert_allclose(unit(x), wanted, **close(dtype))


# -------------------------------------------------------------------------------- singular values


def spectral(shape, iterations=1, dtype="float64"):
    layer = SpectralNormalization(Dense(shape[1], dtype=dtype), iterations, dtype=dtype)
    layer.build((None, shape[0]))
    layer.layer.kernel = np.random.default_rng(1).standard_normal(shape)
    layer.vector_u = np.random.default_rng(2).standard_normal((1, shape[1]))
    return layer


def test_the_kernel_has_norm_1_once_the_iteration_has_converged():
    layer = spectral((5, 4), 200)
    x = np.eye(5)

    assert abs(np.linalg.norm(layer(x, training=True), 2) - 1) < 1e-9
    assert abs(np.linalg.norm(layer(x), 2) - 1) < 1e-9
    assert np.linalg.norm(layer.layer.kernel, 2) > 1.5


@pytest.mark.parametrize("iterations", [1, 3])
def test_spectral_normalization_follows_the_iteration(iterations):
    layer = spectral((4, 3), iterations)
    kernel, u = layer.layer.kernel.copy(), layer.vector_u[0].copy()
    sigma, after = reference.power_iteration(kernel, u, iterations)
    y = layer(np.eye(4), training=True)

    np.testing.assert_allclose(y, kernel / sigma, rtol=1e-12)
    np.testing.assert_allclose(layer.vector_u[0], after, rtol=1e-12)
    layer(np.eye(4))
    np.testing.assert_allclose(layer.vector_u[0], after, rtol=1e-12)  # inference moves nothing


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("iterations", [1, 2])
def test_spectral_normalization_in_training_agrees_with_keras(dtype, iterations):
    layer = spectral((4, 3), iterations, dtype)
    x = drawn((2, 4), dtype)
    u, kernel, bias = layer.get_weights()
    with keras_in(dtype) as keras:
        theirs = keras.layers.SpectralNormalization(
            keras.layers.Dense(3, dtype=dtype), iterations, dtype=dtype
        )
        theirs.build(x.shape)
        theirs.set_weights([kernel, u, bias])
        wanted = np.asarray(theirs(x, training=True))
        divided, after, _ = theirs.get_weights()

    np.testing.assert_allclose(layer(x, training=True), wanted, **close(dtype))
    np.testing.assert_allclose(layer.vector_u, after, **close(dtype))
    assert np.abs(divided - layer.layer.kernel).max() > 0.1  # Keras writes over the kernel


def test_the_gradient_goes_through_sigma_with_u_and_v_as_constants():
    jax = pytest.importorskip("jax")
    layer = spectral((4, 3), 2)
    x, dy = drawn((5, 4)), drawn((5, 3))
    u0, kernel, _ = layer.get_weights()

    def loss(w):
        u = u0
        for _ in range(2):
            v = (u @ w.T) / jax.numpy.linalg.norm(u @ w.T)
            u = (v @ w) / jax.numpy.linalg.norm(v @ w)
        u, v = jax.lax.stop_gradient(u), jax.lax.stop_gradient(v)
        return (dy * (x @ (w / (v @ w @ u.T)[0, 0]))).sum()

    with jax.enable_x64(True):
        wanted = np.asarray(jax.grad(loss)(jax.numpy.asarray(kernel)))
    _, cache = layer.forward(x, TRAINING)
    layer.backward(dy, cache)

    np.testing.assert_allclose(layer.layer.dkernel, wanted, rtol=1e-10)


def test_in_inference_the_gradient_is_exact():
    assert_gradients(spectral((4, 3)), drawn((5, 4)), training=False)
    conv = SpectralNormalization(Conv2D(2, 2, activation="tanh"))
    assert_gradients(conv, drawn((2, 3, 4, 2)), training=False)


def test_a_kernel_of_zeros_is_left_alone():
    layer = SpectralNormalization(Dense(3, kernel_initializer="zeros", bias_initializer="ones"))
    layer.build((None, 2))
    before = layer.vector_u.copy()
    y, cache = layer.forward(np.ones((2, 2), np.float32), TRAINING)
    layer.backward(y, cache)

    np.testing.assert_array_equal(y, 1)
    np.testing.assert_array_equal(layer.vector_u, before)
    np.testing.assert_array_equal(layer.layer.dkernel, 2)


def test_the_layer_inside_keeps_its_mask_and_its_penalty():
    embedding = SpectralNormalization(Embedding(4, 2, mask_zero=True))
    chain = Chain([embedding, SpectralNormalization(Dense(2, activity_regularizer="l2"))])
    x = np.array([[1, 2, 0]])
    chain.build((None, 3))

    np.testing.assert_array_equal(chain.compute_mask(x, None), [[True, True, False]])
    ctx = Context(penalties=[])
    y, _ = chain.forward(x, ctx)
    assert len(ctx.penalties) == 1 and y.shape == (1, 3, 2)


def test_two_passes_before_they_are_reversed_do_not_meet():
    layer, x, dy = spectral((4, 3)), drawn((5, 4)), drawn((5, 3))
    _, cache = layer.forward(x, INFERENCE)
    layer.backward(dy, cache)
    wanted = layer.layer.dkernel.copy()
    _, cache = layer.forward(x, INFERENCE)
    layer.forward(2 * x, TRAINING)
    layer.backward(dy, cache)

    np.testing.assert_array_equal(layer.layer.dkernel, wanted)


# -------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: GroupNormalization(0), ValueError, "groups to be a positive integer, or -1"),
        (
            lambda: GroupNormalization(3)(np.ones((2, 4))),
            ValueError,
            "groups to divide the channels",
        ),
        (lambda: GroupNormalization()(np.ones((2, 4))), ValueError, "4 channels along axis -1"),
        (lambda: RMSNormalization(epsilon=-1), ValueError, "epsilon to be a number that is not"),
        (lambda: UnitNormalization(0)(np.ones((2, 3))), ValueError, "beside the batch"),
        (lambda: SpectralNormalization("dense"), TypeError, "expects a layer to normalise"),
        (
            lambda: SpectralNormalization(Dense(2), 0),
            ValueError,
            "power_iterations to be a positive",
        ),
        (
            lambda: SpectralNormalization(Activation("relu"))(np.ones((2, 3))),
            ValueError,
            "a layer with a kernel or embeddings",
        ),
    ],
)
def test_bad_arguments_are_named(make, error, message):
    with pytest.raises(error) as caught:
        make()

    assert message in str(caught.value)
