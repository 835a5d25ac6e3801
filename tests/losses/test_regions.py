"""Losses of regions and of uncertain guesses: masks, weights, refusals, and what training makes of
them."""

import json

import numpy as np
import pytest

import backprop as bp
from backprop import losses
from backprop.losses import Dice, GaussianNLL, Quantile, Tversky

RNG = np.random.default_rng(0)
DRAWN = (RNG.random((3, 4, 5)) > 0.5).astype(float)
FORESEEN = RNG.uniform(0.05, 0.95, (3, 4, 5))


# ------------------------------------------------------------------------------------------ regions


@pytest.mark.parametrize("make", [Dice, lambda axis: Tversky(0.3, 0.9, axis=axis)])
@pytest.mark.parametrize("axis", [None, (1, 2), -1, (0, 1)])
def test_masked_steps_are_in_no_sum(make, axis):
    real = np.array([[True, True, False, True]] * 3)
    y_pred = FORESEEN.copy()
    y_pred[:, 2] = np.nan
    loss, kept = make(axis=axis), real[0]

    value, cache = loss.forward(DRAWN, y_pred, mask=real)

    wanted, other = loss.forward(DRAWN[:, kept], FORESEEN[:, kept])
    np.testing.assert_allclose(value, wanted, rtol=1e-12)
    dy = loss.backward(cache)
    np.testing.assert_array_equal(dy[:, ~kept], 0)
    np.testing.assert_allclose(dy[:, kept], loss.backward(other), rtol=1e-12)


def test_a_sample_that_is_masked_throughout_does_not_count():
    real = np.array([[True] * 4, [True] * 4, [False] * 4])
    loss = Dice(axis=(1, 2))

    value, cache = loss.forward(DRAWN, FORESEEN, mask=real)

    np.testing.assert_allclose(value, loss(DRAWN[:2], FORESEEN[:2]), rtol=1e-12)
    np.testing.assert_array_equal(loss.backward(cache)[2], 0)


def test_weights_of_samples_multiply_the_value_of_the_batch():
    w = np.array([1.0, 2.0, 6.0])

    assert Dice()(DRAWN, FORESEEN, w) == pytest.approx(3 * Dice()(DRAWN, FORESEEN))
    values = Dice(axis=(1, 2), reduction="none")(DRAWN, FORESEEN)
    assert Dice(axis=(1, 2))(DRAWN, FORESEEN, w) == pytest.approx((w * values).mean())


def test_dice_is_tversky_with_halves():
    for axis in (None, (1, 2)):
        both = [loss.forward(DRAWN, FORESEEN)[0] for loss in (Dice(axis=axis), Tversky(axis=axis))]
        np.testing.assert_allclose(*both, rtol=1e-7)  # but for where they add 1e-7


@pytest.mark.parametrize("loss", [Dice(), Tversky(), Dice(axis=-1), Tversky(axis=(0, 1))])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nothing_to_find_is_finite(loss, dtype):
    for found in (0.0, 0.5, 1.0):
        y_pred = np.full((2, 3), found, dtype)
        value, cache = loss.forward(np.zeros((2, 3)), y_pred)
        assert value == 1
        assert np.isfinite(loss.backward(cache)).all()


def test_an_axis_goes_through_a_configuration():
    for axis in (None, 1, (1, 2), [1, 2], np.array([1, 2])):
        config = json.loads(json.dumps(losses.serialize(Dice(axis=axis))))
        again = losses.deserialize(config)
        np.testing.assert_allclose(again(DRAWN, FORESEEN), Dice(axis=axis)(DRAWN, FORESEEN))
    with pytest.raises(TypeError, match=r"expects .*axis to be an integer"):
        Dice(axis="all")
    with pytest.raises(ValueError, match="alpha to be a finite number of at least 0"):
        Tversky(alpha=-1.0)


def test_masks_of_0_and_255_are_refused_before_training():
    with pytest.raises(ValueError, match="divide masks of 0 and 255 by 255"):
        Dice().check(255 * DRAWN, (None, 4, 5))


@pytest.mark.parametrize("loss", ["dice", Dice(axis=(1, 2, 3)), Tversky(0.7, 0.3)])
def test_a_network_learns_to_paint_a_small_square(loss):
    bp.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    y = np.zeros((64, 12, 12, 1))
    for image, (i, j) in zip(y, rng.integers(0, 9, (64, 2)), strict=True):
        image[i : i + 3, j : j + 3] = 1
    x = y + 0.2 * rng.standard_normal(y.shape)
    model = bp.Sequential(
        [
            bp.Input((12, 12, 1)),
            bp.layers.Conv2D(4, 3, padding="same", activation="relu"),
            bp.layers.Conv2D(1, 1, activation="sigmoid"),
        ]
    )
    model.compile(bp.optimizers.Adam(0.05), loss)

    model.fit(x, y, epochs=12, batch_size=16, verbose=0)

    assert model.evaluate(x, y, verbose=0) < 0.2


# ------------------------------------------------------------------------------------- uncertainty


def test_a_variance_is_learnt_where_the_noise_is():
    bp.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x = rng.choice([-1.0, 1.0], (600, 1))
    y = 3 * x[:, 0] + np.where(x[:, 0] > 0, 2.0, 0.5) * rng.standard_normal(600)
    model = bp.Sequential([bp.Input((1,)), bp.layers.Dense(2)])
    model.compile(bp.optimizers.Adam(0.05), "gaussian_nll")

    model.fit(x, y, epochs=60, batch_size=50, verbose=0)

    (low, s_low), (high, s_high) = model.predict(np.array([[-1.0], [1.0]]), verbose=0)
    assert (low, high) == pytest.approx((-3, 3), abs=0.3)
    assert np.exp([s_low / 2, s_high / 2]) == pytest.approx([0.5, 2.0], rel=0.15)


def test_both_spreads_say_the_same():
    mean, s = RNG.standard_normal((2, 6, 3))
    y = RNG.standard_normal((6, 3))
    logs, variances = (np.concatenate([mean, v], -1) for v in (s, np.exp(s)))

    for full in (False, True):
        found = GaussianNLL(full=full)(y, logs)
        assert found == pytest.approx(GaussianNLL("variance", full)(y, variances), rel=1e-12)
    constant = GaussianNLL(full=True)(y, logs) - GaussianNLL()(y, logs)
    assert constant == pytest.approx(0.5 * np.log(2 * np.pi))


def test_the_value_is_that_of_the_normal_density():
    from scipy.stats import norm

    y, mean, sigma = 1.3, 0.2, 1.7
    found = GaussianNLL(full=True)([[y]], [[mean, 2 * np.log(sigma)]])

    assert found == pytest.approx(-norm(mean, sigma).logpdf(y), rel=1e-12)


def test_one_target_a_sample_may_be_a_vector():
    y_pred = RNG.standard_normal((5, 2))
    y = RNG.standard_normal(5)

    assert GaussianNLL()(y, y_pred) == GaussianNLL()(y[:, None], y_pred)
    quantiles = Quantile([0.1, 0.9])
    assert quantiles(y, y_pred) == quantiles(y[:, None], y_pred)


@pytest.mark.parametrize(
    ("loss", "y_true", "y_pred", "words"),
    [
        (GaussianNLL(), (4, 3), (4, 3), r"end in Dense\(6\)"),
        (GaussianNLL(), (4,), (4, 1), r"end in Dense\(2\)"),
        (GaussianNLL(), (4, 2), (4, 2), "twice as many numbers"),
        (Quantile([0.1, 0.5]), (4, 1), (4, 3), r"end in Dense\(2\)"),
        (Quantile([0.1, 0.5]), (4, 2), (4, 2), "one for each"),
        (Quantile(0.1), (4, 2), (4, 3), "targets of the outputs' shape"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(loss, y_true, y_pred, words):
    with pytest.raises(ValueError, match=words):
        loss(np.zeros(y_true), np.zeros(y_pred))


@pytest.mark.parametrize("wrong", [0, 1, 1.5, "median", [], [0.5, 1.0], None])
def test_quantiles_lie_between_0_and_1(wrong):
    with pytest.raises(ValueError, match="quantile to be a number"):
        Quantile(wrong)


def test_quantiles_are_found():
    bp.utils.set_random_seed(0)
    y = np.random.default_rng(0).exponential(size=2000)
    model = bp.Sequential([bp.Input((1,)), bp.layers.Dense(3)])
    model.compile(bp.optimizers.Adam(0.05), Quantile([0.1, 0.5, 0.9]))

    model.fit(np.zeros((2000, 1)), y, epochs=30, batch_size=100, verbose=0)

    found = model.predict(np.zeros((1, 1)), verbose=0)[0]
    np.testing.assert_allclose([(y < q).mean() for q in found], [0.1, 0.5, 0.9], atol=0.03)


def test_the_quantile_loss_is_that_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is the peer")
    y, p = RNG.standard_normal((2, 20))

    for q in (0.1, 0.5, 0.8):
        wanted = metrics.mean_pinball_loss(y, p, alpha=q)
        assert Quantile(q)(y[:, None], p[:, None]) == pytest.approx(wanted)
    assert all(repr(losses.get(n)) == "Quantile()" for n in ("pinball", "pinball_loss", "quantile"))
