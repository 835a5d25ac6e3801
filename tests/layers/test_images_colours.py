import colorsys

import numpy as np
import pytest
from drawn_images import DTYPES, FORMATS, assert_held_gradients, both, pictures
from keras_parity import close

from backprop.layers import (
    RandomColorDegeneration,
    RandomGrayscale,
    RandomHue,
    RandomSaturation,
)

ALL = [
    RandomHue(0.8, (-3, 3)),
    RandomSaturation((0.2, 0.9), (-3, 3)),
    RandomColorDegeneration(0.8, (-3, 3)),
    RandomGrayscale(),
]
ids = [type(layer).__name__ for layer in ALL]


# -------------------------------------------------------------------------------- colorsys


def test_hue_and_saturation_are_those_of_colorsys():
    x = pictures((1, 6, 7, 3), (0, 1))
    turned = RandomHue((0.4, 0.4), (0, 1), dtype="float64").change(x, np.array([0.2]))[0]
    faded = RandomSaturation(0.4, (0, 1), dtype="float64").change(x, np.array([1.7]))[0]

    for pixel, y, z in zip(*(a.reshape(-1, 3) for a in (x, turned, faded)), strict=True):
        h, s, v = colorsys.rgb_to_hsv(*pixel)
        np.testing.assert_allclose(y, colorsys.hsv_to_rgb((h + 0.2) % 1, s, v), atol=1e-12)
        np.testing.assert_allclose(z, colorsys.hsv_to_rgb(h, min(1.7 * s, 1), v), atol=1e-12)


@pytest.mark.parametrize("value_range", [(0, 255), (0, 1), (-1, 1)])
def test_half_a_circle_makes_the_opposite_and_a_whole_one_nothing(value_range):
    x = pictures((2, 5, 4, 3), value_range)
    layer = RandomHue(1.0, value_range, dtype="float64")
    there, _ = layer.change(x, np.array([0.5, 1.0]))
    back, _ = layer.change(there, np.array([-0.5, -1.0]))

    np.testing.assert_allclose(there[0].max(-1) - there[0].min(-1), x[0].max(-1) - x[0].min(-1))
    np.testing.assert_allclose(there[1], x[1], atol=1e-10)
    np.testing.assert_allclose(back, x, atol=1e-10)


def test_black_white_and_grey_have_no_colour_to_change():
    x = np.array([0.0, 128.0, 255.0]).reshape(1, 3, 1, 1) * np.ones(3)

    for layer in (RandomHue((1.0, 1.0)), RandomSaturation((1.0, 1.0))):
        y, kept = layer.change(x, layer.draw(x))
        np.testing.assert_allclose(y, x, atol=1e-10)
        assert np.isfinite(layer.reverse(np.ones_like(x), kept)).all()


def test_saturation_ends_at_full_colour_in_any_range():
    x = pictures((1, 3, 3, 3))
    y = RandomSaturation((1.0, 1.0), dtype="float64")(x, training=True)

    np.testing.assert_allclose(y.min(-1), 0, atol=1e-9)
    np.testing.assert_allclose(y.max(-1), x.max(-1))


def test_one_channel_is_grey_already():
    x = pictures((2, 3, 3, 1), (0, 1))

    for layer in (RandomGrayscale(1.0), RandomColorDegeneration((1.0, 1.0))):
        y, kept = layer.change(x, layer.draw(x))
        np.testing.assert_allclose(y, x)
        np.testing.assert_allclose(layer.reverse(x, kept), x)


# -------------------------------------------------------------------------------- all of them


@pytest.mark.parametrize("layer", ALL, ids=ids)
@pytest.mark.parametrize("data_format", FORMATS)
def test_gradients_with_the_draw_held(layer, data_format):
    layer = type(layer).from_config(layer.get_config() | {"data_format": data_format, "seed": 0})

    for seed in range(5):
        x = pictures((4, 5, 3, 3), (-3, 3), data_format, seed)
        assert_held_gradients(layer, x, seed=seed)


@pytest.mark.parametrize("layer", ALL, ids=ids)
def test_each_image_has_a_draw_of_its_own(layer):
    x = np.repeat(pictures((1, 4, 4, 3), (-3, 3)).astype(np.float32), 40, 0)
    y = type(layer).from_config(layer.get_config() | {"seed": 1})(x, training=True)
    different = len(np.unique(y.reshape(40, -1).round(4), axis=0))

    assert different == 2 if isinstance(layer, RandomGrayscale) else different > 30


def test_the_draws_are_those_that_the_factor_says():
    x = np.zeros((20_000, 1, 1, 3))
    turn = RandomHue((0.2, 0.6), seed=0).draw(x)
    times = RandomSaturation(0.5, seed=0).draw(x)
    share = RandomColorDegeneration((0.5, 0.7), seed=0).draw(x)
    grey = RandomGrayscale(0.3, seed=0).draw(x)

    assert abs((turn > 0).mean() - 0.5) < 0.02 and 0.1 <= abs(turn).min() < abs(turn).max() <= 0.3
    assert abs(abs(turn).mean() - 0.2) < 0.002
    assert 0 <= times.min() < 0.01 and 0.99 < times.max() <= 1
    assert abs(share.mean() - 0.6) < 0.002 and abs(grey.mean() - 0.3) < 0.02


# -------------------------------------------------------------------------------- Keras


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("seed", range(3))
def test_colours_agree_with_keras(dtype, data_format, seed):
    x = pictures((4, 5, 3, 3), (0, 1), data_format, seed)
    options = {"data_format": data_format, "seed": seed}
    scaled = options | {"factor": (0.0, 0.9), "value_range": (0, 1)}

    for ours in (RandomHue, RandomSaturation, RandomColorDegeneration):
        y, wanted = both(ours, x, lambda t: np.asarray(t["factor"]).ravel(), dtype, **scaled)
        np.testing.assert_allclose(y, wanted, **close(dtype), err_msg=ours.__name__)
    y, wanted = both(RandomGrayscale, x, lambda t: np.asarray(t).ravel(), dtype, **options)
    np.testing.assert_allclose(y, wanted, **close(dtype))


def test_bytes_agree_with_keras_too():
    x = pictures((4, 5, 3, 3)).round()

    for ours, factor in ((RandomHue, 1.0), (RandomColorDegeneration, 1.0), (RandomSaturation, 0.5)):
        arguments = {"factor": (0.0, factor), "value_range": (0, 255), "seed": 3}
        y, wanted = both(ours, x, lambda t: np.asarray(t["factor"]).ravel(), "float32", **arguments)
        np.testing.assert_allclose(y, wanted, rtol=2e-5, atol=5e-4, err_msg=ours.__name__)


# -------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomHue(-0.1), "RandomHue expects factor to lie between 0 and 1, got -0.1"),
        (lambda: RandomHue((0.0, 2.0)), "factor to lie between 0 and 1, got (0.0, 2.0)"),
        (lambda: RandomSaturation("much"), "factor to be a number or a pair of them, got 'much'"),
        (lambda: RandomSaturation(0.1, 3), "value_range to be a pair of numbers, got 3"),
        (lambda: RandomGrayscale(1.5), "factor to be a number from 0 to 1, got 1.5"),
        (lambda: RandomHue(0.1)(np.ones((1, 2, 2, 1))), "expects images of 3 channels"),
        (lambda: RandomGrayscale()(np.ones((1, 2, 2, 2))), "of 1 or 3 channels along axis 3"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError) as error:
        make()

    assert message in str(error.value)
