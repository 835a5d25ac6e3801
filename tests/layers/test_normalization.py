import numpy as np
import pytest
import reference
from finite_differences import assert_gradients
from hypothesis import given, strategies as st
from keras_parity import close, keras_in

from backprop import parallel
from backprop.initializers import RandomUniform
from backprop.kernels import normalization as kernels
from backprop.layer import TRAINING, Context
from backprop.layers import BatchNormalization, Chain, Conv2D, Dense, LayerNormalization
from backprop.layers.normalization import batch

shapes = st.lists(st.integers(1, 4), min_size=2, max_size=4).map(tuple)
random = {"beta_initializer": "random_normal", "gamma_initializer": "random_normal"}
random_statistics = {
    "moving_mean_initializer": "random_normal",
    "moving_variance_initializer": RandomUniform(0.5, 2.0),
}


def drawn(shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).normal(0.5, 2.0, shape).astype(dtype)


# ------------------------------------------------------------------------------ batch normalization


def test_batch_normalization_by_hand():
    layer = BatchNormalization(
        epsilon=0.0, momentum=0.75, gamma_initializer="ones", dtype="float64"
    )
    x = np.array([[1.0], [3.0], [1.0], [3.0]])
    layer.build((None, 1))
    y, cache = layer.forward(x, TRAINING)
    dx = layer.backward(np.array([[4.0], [0.0], [0.0], [0.0]]), cache)

    np.testing.assert_allclose(y, [[-1], [1], [-1], [1]])
    # dy - mean(dy) - x̂ mean(dy x̂) = (4, 0, 0, 0) - 1 + x̂
    np.testing.assert_allclose(dx, [[2], [0], [-2], [0]])
    np.testing.assert_allclose([layer.dgamma[0], layer.dbeta[0]], [-4, 4])
    np.testing.assert_allclose([layer.moving_mean[0], layer.moving_variance[0]], [0.5, 1.0])


@given(shapes, st.booleans())
def test_batch_normalization_takes_the_moments_of_the_batch(shape, masked):
    layer = BatchNormalization(momentum=0.6, dtype="float64", **random, **random_statistics)
    layer.build((None, *shape[1:]))
    before = layer.moving_mean.copy(), layer.moving_variance.copy()
    x = drawn(shape)
    mask = None
    if masked and len(shape) > 2:
        mask = np.arange(shape[1]) <= np.arange(shape[0])[:, None]
    y = layer(x, training=True, mask=mask)
    wanted, mean, var = reference.batch_norm(x, layer.gamma, layer.beta, 1e-3, mask)

    np.testing.assert_allclose(y, wanted, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(layer.moving_mean, 0.6 * before[0] + 0.4 * mean, rtol=1e-12)
    np.testing.assert_allclose(layer.moving_variance, 0.6 * before[1] + 0.4 * var, rtol=1e-10)


@given(shapes, st.data())
def test_batch_normalization_gradients(shape, data):
    layer = BatchNormalization(
        data.draw(st.integers(1, len(shape) - 1) | st.integers(1 - len(shape), -1)),
        epsilon=data.draw(st.sampled_from([1e-3, 0.1])),
        center=data.draw(st.booleans()),
        scale=data.draw(st.booleans()),
        **random,
        **random_statistics,
    )
    training = data.draw(st.booleans())
    mask = None
    if len(shape) > 2 and data.draw(st.booleans()):
        mask = data.draw(st.lists(st.booleans(), min_size=shape[1], max_size=shape[1]))
        mask = np.array([mask] * shape[0])
        mask[0] = True
    if data.draw(st.booleans()):
        layer.trainable = data.draw(st.booleans())

    assert_gradients(layer, drawn(shape), training=training, mask=mask)


def test_a_frozen_layer_runs_as_in_inference_and_keeps_its_statistics():
    layer = BatchNormalization()
    x = drawn((8, 3), dtype=np.float32)
    layer(x, training=True)
    layer.trainable = False
    before = layer.get_weights()

    np.testing.assert_array_equal(layer(x, training=True), layer(x))
    for w, was in zip(layer.weights, before, strict=True):
        np.testing.assert_array_equal(w, was)


def test_inference_uses_and_keeps_the_moving_statistics():
    layer = BatchNormalization(
        epsilon=0.0, moving_mean_initializer="ones", moving_variance_initializer="ones"
    )

    np.testing.assert_allclose(layer(np.array([[3.0, 1.0]])), [[2.0, 0.0]])
    np.testing.assert_array_equal(layer.moving_mean, [1.0, 1.0])


@pytest.mark.parametrize("block", [1, 40])
def test_blocks_and_threads_change_nothing(monkeypatch, block):
    x, dy = drawn((9, 5, 3)) + 1e6, drawn((9, 5, 3), seed=1)
    layer = BatchNormalization(**random, dtype="float64")
    layer.build((None, 5, 3))
    y, cache = layer.forward(x, TRAINING)
    expected = y, layer.backward(dy, cache), layer.dgamma.copy(), layer.dbeta.copy()
    monkeypatch.setattr(batch, "NORMALIZATION_BLOCK", block)
    monkeypatch.setattr(kernels, "NORMALIZATION_BLOCK", block)
    monkeypatch.setattr(kernels, "NORMALIZATION_ROW", 4)
    monkeypatch.setattr(parallel.Blas, "threads", 3)

    with parallel.blas().held():
        y, cache = layer.forward(x, TRAINING)
        found = y, layer.backward(dy, cache), layer.dgamma, layer.dbeta

    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-7)


def test_an_infinity_in_a_masked_row_reaches_no_gradient():
    layer, x = BatchNormalization(), drawn((4, 3), dtype=np.float32)
    x[1] = np.inf
    layer.build((None, 3))

    _, cache = layer.forward(x, Context(True, np.array([True, False, True, True])))
    dx = layer.backward(np.ones_like(x), cache)

    assert np.isfinite(dx).all()
    assert np.isfinite(layer.dgamma).all()


def test_masked_rows_move_no_statistics_whatever_stands_there():
    x = drawn((2, 3, 2))
    mask = np.array([[True, True, False], [True, False, False]])
    layer, other = BatchNormalization(dtype="float64"), BatchNormalization(dtype="float64")
    y = layer(np.where(mask[..., None], x, np.nan), training=True, mask=mask)
    wanted = other(x[mask], training=True)

    np.testing.assert_allclose(y[mask], wanted)
    for mine, theirs in zip(layer.weights, other.weights, strict=True):
        np.testing.assert_allclose(mine, theirs)


def test_weights_come_in_keras_order():
    layer = BatchNormalization()
    layer.build((None, 3))

    assert [p.name for p in layer.arrays()] == ["gamma", "beta", "moving_mean", "moving_variance"]
    assert len(layer.trainable_weights) == len(layer.non_trainable_weights) == 2


def test_a_large_mean_costs_no_accuracy():
    x = drawn((256, 3), dtype=np.float32)
    layer = BatchNormalization(epsilon=0.0)

    np.testing.assert_allclose(layer(x + 4096, training=True), layer(x, training=True), atol=1e-3)


def test_zero_rows_move_no_statistics():
    layer = BatchNormalization()
    layer.build((None, 3))
    y, cache = layer.forward(np.zeros((0, 3), np.float32), TRAINING)

    assert layer.backward(y, cache).shape == (0, 3)
    assert not layer.dgamma.any() and not layer.dbeta.any()
    np.testing.assert_array_equal(layer.moving_variance, 1)


def test_a_batch_of_one_row_has_no_variance_and_no_gradient():
    layer = BatchNormalization(gamma_initializer="random_normal", beta_initializer="random_normal")
    layer.build((None, 3))
    y, cache = layer.forward(drawn((1, 3), dtype=np.float32), TRAINING)

    np.testing.assert_array_equal(y[0], layer.beta)
    np.testing.assert_allclose(layer.backward(np.ones_like(y), cache), 0, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BatchNormalization(synchronized=True), "no synchronized statistics"),
        (
            lambda: BatchNormalization(renorm=True, renorm_clipping={"rmx": 3}),
            "a dict with some of rmin, rmax, dmax, got {'rmx': 3}",
        ),
        (
            lambda: BatchNormalization(renorm=True, renorm_clipping={"rmin": 2, "rmax": 1}),
            "rmin is not above rmax",
        ),
        (lambda: BatchNormalization(renorm=True, renorm_clipping={"dmax": -1}), "dmax not below 0"),
        (lambda: BatchNormalization(momentum=1.5), "momentum to be a number from 0 to 1, got 1.5"),
        (
            lambda: BatchNormalization(epsilon=-1),
            "epsilon to be a number that is not negative, got -1",
        ),
        (lambda: BatchNormalization(3).build((None, 4, 4)), "expects inputs with its axes 3"),
        (lambda: BatchNormalization(0).build((None, 4, 4)), "beside the batch"),
        (
            lambda: LayerNormalization((1, 5)).build((None, 4, 4)),
            "expects inputs with its axes (1, 5)",
        ),
        (lambda: LayerNormalization((1, -2)).build((None, 4, 4)), "each once"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError) as error:
        make()

    assert message in str(error.value)


def test_another_width_is_refused():
    layer = BatchNormalization()
    layer(np.ones((2, 3)))

    with pytest.raises(ValueError, match="3 along axis -1 and got"):
        layer(np.ones((2, 4)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layer", [BatchNormalization, LayerNormalization])
@pytest.mark.parametrize("options", [{}, {"scale": False, "center": False}, {"axis": 1}])
def test_inputs_stay_as_they_are_and_dtype_is_kept(layer, options, dtype):
    layer = layer(dtype=dtype, **options)
    x = drawn((3, 4, 2), dtype=dtype)
    layer.build((None, 4, 2))
    x.flags.writeable = False
    mask = np.ones((3, 4), bool)
    for ctx in (Context(), TRAINING, Context(training=True, mask=mask)):
        y, cache = layer.forward(x, ctx)
        y.flags.writeable = False
        dx = layer.backward(y, cache)

        assert y.dtype == dx.dtype == dtype
        assert {w.dtype for w in layer.weights} <= {np.dtype(dtype)}


def test_normalization_inside_a_chain_with_penalties():
    chain = Chain(
        [
            Conv2D(2, 2),
            BatchNormalization(gamma_regularizer="l2", activity_regularizer="l1"),
            Dense(2, "tanh"),
            LayerNormalization((1, 2, 3)),
        ]
    )

    assert_gradients(chain, drawn((3, 4, 4, 2)))


@given(shapes, st.sampled_from(["float32", "float64"]), st.data())
def test_batch_normalization_agrees_with_keras(shape, dtype, data):
    options = {
        "axis": data.draw(st.integers(1, len(shape) - 1)),
        "momentum": data.draw(st.sampled_from([0.99, 0.5])),
        "epsilon": data.draw(st.sampled_from([1e-3, 0.1])),
        "center": data.draw(st.booleans()),
        "scale": data.draw(st.booleans()),
        "dtype": dtype,
    }
    layer = BatchNormalization(**options, **random, **random_statistics)
    layer.build((None, *shape[1:]))
    x = drawn(shape, dtype=dtype)
    # Keras squeezes a single channel away, and moves the statistics of one that is all padding
    masked = len(shape) == 3 and options["axis"] == 2 and shape[2] > 1
    mask = np.arange(shape[1]) <= np.arange(shape[0])[:, None] if masked else None
    with keras_in(dtype) as keras:
        theirs = keras.layers.BatchNormalization(**options)
        theirs.build(shape)
        theirs.set_weights(layer.get_weights())
        for training in (False, True, True, False):
            wanted = np.asarray(theirs(x, training=training, mask=mask))
            y = layer(x, training=training, mask=mask)
            np.testing.assert_allclose(y, wanted, **wider(dtype, masked))
        statistics = theirs.get_weights()

    assert wanted.dtype == dtype
    for mine, other in zip(layer.weights, statistics, strict=True):
        np.testing.assert_allclose(mine, other, **wider(dtype))


def wider(dtype, masked=False):
    """Keras takes the variance as E[x²] - E[x]², which loses digits where we do not, and under a
    mask adds 1e-7 to the number of rows, which is seen where that number is 1."""
    if dtype == "float64":
        return {"rtol": 1e-6, "atol": 2e-5 if masked else 1e-9}
    return {"rtol": 2e-5, "atol": 5e-5}


# ------------------------------------------------------------------------------ layer normalization


def test_layer_normalization_by_hand():
    layer = LayerNormalization(epsilon=0.0, dtype="float64")
    x = np.array([[1.0, 3.0, 1.0, 3.0]])
    layer.build((None, 4))
    y, cache = layer.forward(x)
    dx = layer.backward(np.array([[4.0, 0.0, 0.0, 0.0]]), cache)

    np.testing.assert_allclose(y, [[-1, 1, -1, 1]])
    np.testing.assert_allclose(dx, [[2, 0, -2, 0]])
    np.testing.assert_allclose(layer.dgamma, [-4, 0, 0, 0])
    np.testing.assert_allclose(layer.dbeta, [4, 0, 0, 0])


@given(shapes)
def test_layer_normalization_takes_the_moments_of_each_row(shape):
    layer = LayerNormalization(dtype="float64", **random)
    x = drawn(shape)
    y = layer(x)

    np.testing.assert_allclose(
        y, reference.layer_norm(x, layer.gamma, layer.beta, 1e-3), rtol=1e-10, atol=1e-12
    )


def some_axes(ndim):
    return st.lists(st.integers(1, ndim - 1), min_size=1, max_size=ndim - 1, unique=True)


@given(shapes, st.data())
def test_layer_normalization_gradients(shape, data):
    axes = data.draw(some_axes(len(shape)))
    back = data.draw(st.booleans())
    layer = LayerNormalization(
        axes[0] if len(axes) == 1 else tuple(a - len(shape) * back for a in axes),
        epsilon=data.draw(st.sampled_from([1e-3, 0.1])),
        center=data.draw(st.booleans()),
        scale=data.draw(st.booleans()),
        rms_scaling=data.draw(st.booleans()),
    )

    assert_gradients(layer, drawn(shape))


def test_layer_normalization_of_zero_rows():
    layer = LayerNormalization((1, 2))
    layer.build((None, 3, 2))
    y, cache = layer.forward(np.zeros((0, 3, 2), np.float32))

    assert layer.backward(y, cache).shape == (0, 3, 2)
    assert not layer.dgamma.any()


@given(shapes, st.sampled_from(["float32", "float64"]), st.data())
def test_layer_normalization_agrees_with_keras(shape, dtype, data):
    options = {
        "axis": sorted(data.draw(some_axes(len(shape)))),
        "epsilon": data.draw(st.sampled_from([1e-3, 0.1])),
        "center": data.draw(st.booleans()),
        "scale": data.draw(st.booleans()),
        "dtype": dtype,
    }
    layer = LayerNormalization(**options, **random)
    layer.build((None, *shape[1:]))
    x = drawn(shape, dtype=dtype)
    with keras_in(dtype) as keras:
        theirs = keras.layers.LayerNormalization(**options)
        theirs.build(shape)
        assert [w.shape for w in layer.weights] == [tuple(w.shape) for w in theirs.weights]
        theirs.set_weights(layer.get_weights())
        wanted = np.asarray(theirs(x))

    assert wanted.dtype == dtype
    np.testing.assert_allclose(layer(x), wanted, **wider(dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rms_scaling_agrees_with_keras(dtype):
    layer = LayerNormalization(gamma_initializer="random_normal", rms_scaling=True, dtype=dtype)
    x = drawn((3, 5), dtype=dtype)
    layer.build((None, 5))
    with keras_in(dtype) as keras, pytest.warns(UserWarning, match="deprecated"):
        theirs = keras.layers.LayerNormalization(rms_scaling=True, dtype=dtype)
        theirs.build(x.shape)
        theirs.set_weights(layer.get_weights())
        wanted = np.asarray(theirs(x))

    np.testing.assert_allclose(layer(x), wanted, **close(dtype))
