import numpy as np
import pytest
from finite_differences import assert_gradients
from keras_gradients import gradient_from_above, needs_keras_on_jax, run_in_keras
from keras_parity import close, keras_in

from backprop import Sequential
from backprop.layer import TRAINING
from backprop.layers import BatchNormalization, Dense, Input
from backprop.testing import layer_laws, sequences, shapes

CLIPPED = {"rmin": 0.5, "rmax": 1.2, "dmax": 0.3}
RANDOM = {
    "gamma_initializer": "random_normal",
    "beta_initializer": "random_normal",
    "moving_mean_initializer": "random_normal",
    "moving_variance_initializer": "ones",
}


class Held(BatchNormalization):
    """With a correction that does not follow x, as the gradient takes it."""

    def _correction(self, mean, var):
        n = np.arange(len(mean), dtype=mean.dtype)
        return 1.5 + np.cos(n), np.sin(1 + n)


def drawn(shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).normal(0.5, 2.0, shape).astype(dtype)


test_held = layer_laws(
    Held,
    configs={"renorm": True, "center": [True, False], "scale": [True, False]},
    inputs=shapes(),
    tags=["couples_rows"],
)
test_held_under_a_mask = layer_laws(
    lambda axis: Held(axis, renorm=True),
    configs={"axis": [1, -1]},
    inputs=sequences(masked=True, allow_empty=True),
    tags=["couples_rows"],
    profile="quick",
)


def test_by_hand():
    layer = BatchNormalization(
        epsilon=0.0, momentum=0.5, renorm=True, renorm_momentum=0.75, dtype="float64"
    )
    layer.build((None, 1))
    y, _ = layer.forward(np.array([[1.0], [5.0]]), TRAINING)  # mean 3, σ 2; mean_R 0, σ_R 1

    np.testing.assert_allclose(y, [[1.0], [5.0]])  # (x - mean_R) / σ_R
    np.testing.assert_allclose([layer.moving_mean[0], layer.moving_stddev[0]], [1.5, 1.5])
    np.testing.assert_allclose(layer.moving_variance, [2.25])
    np.testing.assert_allclose([layer.renorm_mean[0], layer.renorm_stddev[0]], [0.75, 1.25])
    y, _ = layer.forward(np.array([[1.0], [5.0]]), TRAINING)
    np.testing.assert_allclose(y, [[0.2], [3.4]])


@pytest.mark.parametrize("clipping", [None, CLIPPED, {"rmax": 1.1}, {"dmax": 0.0}])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_several_steps_agree_with_keras(clipping, dtype):
    options = {"momentum": 0.7, "renorm": True, "renorm_clipping": clipping}
    options |= {"renorm_momentum": 0.6, "dtype": dtype}
    batches = [drawn((6, 2, 3), seed, dtype) * (1 + seed) for seed in range(4)]
    ours = BatchNormalization(**options, **RANDOM)
    ours.build((None, 2, 3))
    with keras_in(dtype) as keras:
        theirs = keras.layers.BatchNormalization(**options)
        theirs.build((None, 2, 3))
        assert [tuple(w.shape) for w in theirs.weights] == [w.shape for w in ours.weights]
        assert [w.name for w in theirs.weights] == [w.name for w in ours.weights]
        theirs.set_weights(ours.get_weights())
        for x in batches:
            np.testing.assert_allclose(
                ours(x, training=True), np.asarray(theirs(x, training=True)), **close(dtype)
            )
            for w, v in zip(ours.weights, theirs.weights, strict=True):
                np.testing.assert_allclose(w, np.asarray(v), **close(dtype))
        np.testing.assert_allclose(ours(x), np.asarray(theirs(x)), **close(dtype))


@needs_keras_on_jax
def test_gradients_are_those_of_keras(tmp_path):
    asked, ours = {}, {}
    for name, clipping in {"free": None, "clipped": CLIPPED}.items():
        layer = BatchNormalization(renorm=True, renorm_clipping=clipping, dtype="float64", **RANDOM)
        x = drawn((6, 3))
        layer.build((None, 3))
        ours[name] = layer, x
        made = f"keras.layers.BatchNormalization(renorm=True, renorm_clipping={clipping})"
        run = (
            "(lambda layer: (layer.build((None, 3)), lambda x: layer.stateless_call("
            "x[1:3], x[3:], x[0], training=True)[0])[1])"
        )
        asked[name] = f"{run}({made})", [x, *layer.get_weights()]
    found = run_in_keras(asked, tmp_path)
    for name, (layer, x) in ours.items():
        y, cache = layer.forward(x, TRAINING)
        dx = layer.backward(gradient_from_above(y), cache)

        np.testing.assert_allclose(y, found[f"{name} float64 y"], **close("float64"))
        for i, d in enumerate([dx, layer.dgamma, layer.dbeta]):
            np.testing.assert_allclose(d, found[f"{name} float64 dx{i}"], rtol=1e-6, atol=1e-10)


def test_gradients_where_the_correction_is_clipped_and_in_inference():
    options = {"renorm": True, "renorm_clipping": {"rmin": 1.4, "rmax": 1.4, "dmax": 0.1}}
    for training in (True, False):
        layer = BatchNormalization(**options, **RANDOM)
        assert_gradients(layer, drawn((6, 3)) + 5, training=training)


def test_an_empty_batch_and_masked_rows_move_nothing():
    layer = BatchNormalization(renorm=True)
    layer.build((None, 2, 3))
    before = layer.get_weights()
    layer(np.zeros((0, 2, 3)), training=True)
    layer(np.ones((4, 2, 3)), training=True, mask=np.zeros((4, 2), bool))

    for w, was in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(w, was)


def test_training_and_inference_come_together():
    """What batch normalization does not do where batches are small."""
    x = drawn((400, 3), dtype=np.float32)
    model = Sequential([Input((3,)), BatchNormalization(renorm=True), Dense(1)])
    model.compile("sgd", "mse")
    model.fit(x, x.sum(1), batch_size=4, epochs=2, verbose=0)
    layer = model.layers[0]

    np.testing.assert_allclose(layer(x[:4], training=True), layer(x[:4]), atol=0.03)


def test_the_configuration_says_it():
    layer = BatchNormalization(renorm=True, renorm_clipping={"rmax": 3, "dmax": 5})

    assert repr(layer) == (
        "BatchNormalization(renorm=True, renorm_clipping={'rmax': 3, 'dmax': 5})"
    )
    twin = BatchNormalization.from_config(layer.get_config())
    assert twin.renorm_clipping == {"rmax": 3.0, "dmax": 5.0}
