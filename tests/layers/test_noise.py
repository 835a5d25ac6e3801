import numpy as np
import pytest
from finite_differences import assert_gradients
from hypothesis import given, strategies as st
from keras_parity import keras_in

from backprop import utils
from backprop.layer import TRAINING, Context
from backprop.layers import (
    SELU,
    ActivityRegularization,
    AlphaDropout,
    Chain,
    Dense,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
)

ROWS = np.ones((200, 50), np.float32)


def test_dropout_by_hand():
    layer = Dropout(0.75, seed=1)
    x = np.arange(1.0, 9.0, dtype=np.float32)[None]
    y, k = layer.forward(x, TRAINING)
    dx = layer.backward(np.full_like(x, 3), k)

    np.testing.assert_array_equal(y, np.where(y == 0, 0, 4 * x))
    np.testing.assert_array_equal(dx, np.where(y == 0, 0, 12))
    assert 0 < np.count_nonzero(y) < 8


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean(rate):
    y = Dropout(rate, seed=0)(ROWS, training=True)

    # the standard error of the share that is kept, over 10,000 entries
    spread = np.sqrt(rate / (1 - rate) / y.size)
    assert abs(y.mean() - 1) < 4 * spread
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / (1 - rate))}


@given(
    st.lists(st.integers(1, 4), min_size=2, max_size=4),
    st.sampled_from([0, 0.3, 0.8, 1]),
    st.booleans(),
    st.data(),
)
def test_gradients(shape, rate, training, data):
    noise = data.draw(st.none() | st.tuples(*(st.sampled_from([None, 1, n]) for n in shape)))
    x = np.random.default_rng(0).standard_normal(shape)

    assert_gradients(Dropout(rate, noise, seed=3), x, training=training)


def test_inference_changes_nothing():
    np.testing.assert_array_equal(Dropout(0.5)(ROWS), ROWS)


def test_rate_0_keeps_all_and_rate_1_drops_all():
    np.testing.assert_array_equal(Dropout(0)(ROWS, training=True), ROWS)
    np.testing.assert_array_equal(Dropout(1)(ROWS, training=True), 0)


def test_noise_shape_drops_together():
    y = Dropout(0.5, noise_shape=(None, 1, None), seed=0)(np.ones((20, 7, 5)), training=True)

    assert (y == y[:, :1]).all() and len(np.unique(y[:, 0])) == 2
    y = Dropout(0.5, noise_shape=[20, 1], seed=0)(np.ones((20, 7)), training=True)
    assert (y == y[:, :1]).all()


def test_every_draw_differs_and_the_same_seed_draws_the_same():
    first, second = Dropout(0.5, seed=7), Dropout(0.5, seed=7)
    a, b = first(ROWS, training=True), first(ROWS, training=True)

    assert (a != b).any()
    np.testing.assert_array_equal(a, second(ROWS, training=True))
    np.testing.assert_array_equal(b, second(ROWS, training=True))


def test_set_random_seed_reaches_layers_without_a_seed():
    drawn = []
    for _ in range(2):
        utils.set_random_seed(3)
        drawn.append([Dropout(0.5)(ROWS, training=True), Dropout(0.5)(ROWS, training=True)])

    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0][0] != drawn[0][1]).any()


def test_a_draw_in_one_layer_moves_no_other():
    alone, beside = Dropout(0.5, seed=1), Dropout(0.5, seed=1)
    Dropout(0.5, seed=2)(ROWS, training=True)

    np.testing.assert_array_equal(alone(ROWS, training=True), beside(ROWS, training=True))


def test_a_replica_draws_other_numbers():
    layer = Dropout(0.5, seed=1)
    twin = layer.replica()

    assert (twin(ROWS, training=True) != layer(ROWS, training=True)).any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_inputs_stay_as_they_are_and_dtype_is_kept(dtype):
    layer = Dropout(0.3, noise_shape=(None, 1))
    x = ROWS.astype(dtype)
    x.flags.writeable = False
    for ctx in (TRAINING, Context()):
        y, cache = layer.forward(x, ctx)
        y.flags.writeable = False

        assert y.dtype == layer.backward(y, cache).dtype == dtype


def test_both_dtypes_drop_the_same_entries():
    single = Dropout(0.5, seed=0)(ROWS, training=True)
    double = Dropout(0.5, seed=0, dtype="float64")(ROWS, training=True)

    np.testing.assert_array_equal(single, double)


def test_dropout_draws_for_each_place_in_a_chain():
    drop = Dropout(0.5, seed=0)
    chain = Chain([drop, drop])
    y = chain(ROWS, training=True)

    assert abs((y != 0).mean() - 0.25) < 0.03
    assert_gradients(Chain([Dense(3), drop, Dense(3), drop]), np.ones((2, 4)))


def test_zero_rows():
    layer = Dropout(0.5)
    y, cache = layer.forward(ROWS[:0], TRAINING)

    assert layer.backward(y, cache).shape == (0, 50)


# -------------------------------------------------------------------------------- other kinds


@pytest.mark.parametrize(
    ("layer", "shape", "together"),
    [
        (SpatialDropout1D(0.5, seed=0), (40, 6, 5), (1,)),
        (SpatialDropout2D(0.5, seed=0), (40, 6, 5, 3), (1, 2)),
        (SpatialDropout2D(0.5, "channels_first", seed=0), (40, 3, 6, 5), (2, 3)),
        (SpatialDropout3D(0.5, seed=0), (40, 2, 3, 2, 5), (1, 2, 3)),
        (SpatialDropout3D(0.5, "channels_first", seed=0), (40, 5, 2, 3, 2), (2, 3, 4)),
    ],
)
def test_spatial_dropout_drops_whole_channels(layer, shape, together):
    y = layer(np.ones(shape), training=True)
    kept = y.mean(together)

    assert set(np.unique(kept)) == {0, 2}
    assert abs(kept.mean() - 1) < 4 / np.sqrt(kept.size)
    np.testing.assert_array_equal(layer(np.ones(shape)), 1)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_gaussian_dropout_has_the_moments_of_dropout(rate):
    y = GaussianDropout(rate, seed=0)(ROWS, training=True)

    assert abs(y.mean() - 1) < 4 * np.sqrt(rate / (1 - rate) / y.size)
    assert abs(y.var() / (rate / (1 - rate)) - 1) < 0.06


def test_gaussian_noise_adds_what_its_deviation_says():
    y = GaussianNoise(0.3, seed=0)(ROWS, training=True)

    assert abs(y.mean() - 1) < 4 * 0.3 / np.sqrt(y.size)
    assert abs(y.std() - 0.3) < 0.01


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_alpha_dropout_keeps_mean_and_variance(rate):
    x = np.random.default_rng(0).normal(size=(500, 400))
    x = (x - x.mean()) / x.std()
    y = AlphaDropout(rate, seed=0)(x, training=True)

    assert abs(y.mean()) < 0.02 and abs(y.var() - 1) < 0.02


def test_alpha_dropout_by_hand():
    x = np.array([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
    layer = AlphaDropout(0.5, seed=1, dtype="float64")
    layer.build(x.shape)
    y, k = layer.forward(x, TRAINING)
    s = float(SELU(dtype="float64")(np.array([[-1e3]]))[0, 0])
    a = (0.5 * (1 + 0.5 * s * s)) ** -0.5

    np.testing.assert_allclose(y, a * np.where(k > 0, x, s) - a * s * 0.5)
    np.testing.assert_allclose(layer.backward(x, k), np.where(k > 0, a * x, 0))
    assert 0 < (k > 0).sum() < 6


@given(st.sampled_from(["gaussian", "alpha", "spatial"]), st.sampled_from([0.2, 0.5, 0.7]))
def test_the_scale_of_what_is_kept_is_that_of_keras(kind, rate):
    """Keras draws other numbers, and what it makes of them has few values."""
    x = np.ones((20, 30, 10), np.float32)
    with keras_in("float32") as keras:
        cls = {
            "gaussian": keras.layers.GaussianDropout,
            "alpha": keras.layers.AlphaDropout,
            "spatial": keras.layers.SpatialDropout1D,
        }[kind]
        theirs = np.asarray(cls(rate, seed=1)(x, training=True))
    cls = {"gaussian": GaussianDropout, "alpha": AlphaDropout, "spatial": SpatialDropout1D}[kind]
    mine = cls(rate, seed=1)(x, training=True)

    if kind == "gaussian":
        assert abs(mine.mean() - theirs.mean()) < 6 * np.sqrt(rate / (1 - rate) / x.size)
        assert abs(mine.std() / theirs.std() - 1) < 0.08
    else:
        np.testing.assert_allclose(np.unique(mine), np.unique(theirs), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [
        SpatialDropout1D(0.4),
        GaussianDropout(0.4),
        GaussianNoise(0.4),
        AlphaDropout(0.4),
        AlphaDropout(0.4, (None, 1, None)),
        Chain([Dense(3), ActivityRegularization(l2=0.3)]),
        Chain([ActivityRegularization(l1=0.2, l2=0.3), Dense(3)]),
    ],
    ids=repr,
)
@pytest.mark.parametrize("training", [True, False])
def test_gradients_of_other_kinds(layer, training):
    x = np.random.default_rng(0).standard_normal((4, 3, 5))

    assert_gradients(layer, x, training=training)


def test_activity_regularization_is_a_penalty_for_each_sample():
    chain = Chain([ActivityRegularization(l1=0.5, l2=0.25)])
    chain.build((None, 2))
    ctx = Context(penalties=[])
    y, _ = chain.forward(np.array([[1.0, -2.0], [0.0, 2.0]]), ctx)

    assert sum(ctx.penalties) == (0.5 * 5 + 0.25 * 9) / 2
    np.testing.assert_array_equal(y, [[1, -2], [0, 2]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianDropout(1), "GaussianDropout expects rate to be below 1"),
        (lambda: AlphaDropout(1.0), "AlphaDropout expects rate to be below 1"),
        (lambda: AlphaDropout(0.5, (None, 3))(ROWS), "1, None or the input's length"),
        (lambda: GaussianNoise(2), "stddev to be a number from 0 to 1, got 2"),
        (lambda: SpatialDropout2D(0.5)(ROWS), "expects inputs of 3 axes besides the batch"),
        (lambda: SpatialDropout2D(0.5, "last"), "data_format to be one of"),
        (lambda: ActivityRegularization(-1), "not negative, got -1"),
        (lambda: Dropout(1.5), "Dropout expects rate to be a number from 0 to 1, got 1.5"),
        (lambda: Dropout(-0.1), "from 0 to 1, got -0.1"),
        (lambda: Dropout("half"), "from 0 to 1, got 'half'"),
        (lambda: Dropout(0.5, (0, 1)), "noise_shape to be a positive integer, got 0"),
        (lambda: Dropout(0.5, (None, 3))(ROWS), "along each axis, 1, None or the input's length"),
        (lambda: Dropout(0.5, (None,))(ROWS), "along each axis, 1, None or the input's length"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError) as error:
        make()

    assert message in str(error.value)
