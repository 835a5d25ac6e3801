import numpy as np
import pytest
import reference
from finite_differences import assert_gradients
from hypothesis import given, strategies as st
from keras_parity import keras_in

from backprop.layer import TRAINING
from backprop.layers import (
    Chain,
    Conv2D,
    RandomBrightness,
    RandomContrast,
    RandomFlip,
    RandomRotation,
    RandomTranslation,
    RandomZoom,
)

FILL_MODES = ["reflect", "wrap", "constant", "nearest"]
FORMATS = ["channels_last", "channels_first"]
ALL = [
    RandomFlip(),
    RandomTranslation(0.3, 0.4),
    RandomRotation(0.3),
    RandomZoom(0.5, 0.4),
    RandomContrast(0.5, (-9.0, 9.0)),
    RandomBrightness(0.3, (-9.0, 9.0)),
]
ids = [type(layer).__name__ for layer in ALL]


def pictures(shape=(3, 5, 4, 2), dtype=np.float64):
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


def row(*numbers):
    return np.array(numbers, np.float64).reshape(1, 1, -1, 1)


# -------------------------------------------------------------------------------- by hand


@pytest.mark.parametrize(
    ("fill_mode", "wanted"),
    [
        ("reflect", [2, 1, 1, 2, 3]),
        ("wrap", [4, 5, 1, 2, 3]),
        ("constant", [9, 9, 1, 2, 3]),
        ("nearest", [1, 1, 1, 2, 3]),
    ],
)
def test_a_translation_by_hand(fill_mode, wanted):
    layer = RandomTranslation(0.0, (0.4, 0.4), fill_mode, fill_value=9.0, dtype="float64")

    np.testing.assert_allclose(layer(row(1, 2, 3, 4, 5), training=True).ravel(), wanted)


def test_half_a_pixel_is_the_mean_of_two_and_pays_both():
    layer = RandomTranslation(0.0, (-0.125, -0.125), "constant")
    y, cache = layer.forward(row(1, 2, 3, 5), TRAINING)
    dx = layer.backward(row(1, 10, 100, 1000), cache)

    np.testing.assert_allclose(y.ravel(), [1.5, 2.5, 4, 2.5])
    np.testing.assert_allclose(dx.ravel(), [0.5, 5.5, 55, 550])


def test_a_quarter_turn_and_back():
    x = pictures((2, 4, 4, 3))
    turned = RandomRotation((0.25, 0.25), dtype="float64")(x, training=True)

    np.testing.assert_allclose(turned, np.rot90(x, 1, (1, 2)), atol=1e-12)


def test_a_zoom_by_two_shows_all_at_half_size():
    y = RandomZoom((1.0, 1.0), fill_mode="constant")(np.ones((1, 8, 8, 1)), training=True)

    np.testing.assert_array_equal(np.flatnonzero(y[0, 4, :, 0]), [2, 3, 4, 5])


def test_contrast_and_brightness_by_hand():
    contrast = RandomContrast(0.5, (0, 10))
    y, cache = contrast.forward(row(0, 4, 8), TRAINING)
    f = float(cache[0].item())
    bright = RandomBrightness((0.5, 0.5), (0, 10))
    z, within = bright.forward(row(0, 4, 8), TRAINING)

    assert 0.5 <= f <= 1.5
    np.testing.assert_allclose(y.ravel(), np.clip([4 - 4 * f, 4, 4 + 4 * f], 0, 10))
    np.testing.assert_allclose(z.ravel(), [5, 9, 10])
    np.testing.assert_allclose(bright.backward(row(1, 1, 1), within).ravel(), [1, 1, 0])


# -------------------------------------------------------------------------------- all of them


@pytest.mark.parametrize("layer", ALL, ids=ids)
def test_inference_changes_nothing(layer):
    x = pictures(dtype=np.float32)

    np.testing.assert_array_equal(layer(x, training=False), x)


@pytest.mark.parametrize("layer", ALL, ids=ids)
def test_each_image_has_a_draw_of_its_own(layer):
    x = np.repeat(pictures((1, 6, 6, 1), np.float32), 40, 0)
    y = type(layer).from_config(layer.get_config() | {"seed": 1})(x, training=True)

    assert len(np.unique(y.reshape(40, -1).round(5), axis=0)) >= (
        2 if "Flip" in repr(layer) else 30
    )


@pytest.mark.parametrize("layer", ALL, ids=ids)
@pytest.mark.parametrize("data_format", FORMATS)
def test_gradients(layer, data_format):
    if not isinstance(layer, RandomBrightness):
        layer = type(layer).from_config(layer.get_config() | {"data_format": data_format})

    assert_gradients(layer, pictures())
    assert_gradients(layer, pictures(), training=False)


def test_gradients_in_the_middle_of_a_chain():
    chain = Chain(
        [Conv2D(2, 2), RandomRotation(0.2), RandomZoom(0.3, fill_mode="wrap"), Conv2D(1, 2)]
    )

    assert_gradients(chain, pictures())


def test_many_images_are_taken_in_several_parts(monkeypatch):
    monkeypatch.setattr("backprop.layers.images.places.INTERPOLATED_PIXELS", 40)
    layer, x = RandomRotation(0.3, seed=1, dtype="float64"), pictures((7, 4, 4, 2))
    layer.build(x.shape)
    y, maps = layer.forward(x, TRAINING)

    for n in range(7):
        a = maps[n]
        wanted = reference.moved(x[n : n + 1], lambda _, i, j, a=a: a @ [i, j, 1], layer)
        np.testing.assert_allclose(y[n], wanted[0])


def test_the_draws_are_uniform_between_their_bounds():
    layer = RandomTranslation((-0.5, 0.25), 0.1, seed=0)
    maps = layer.maps(10_000, 8, 10)

    assert -2.01 < maps[:, 0, 2].min() < -1.95 and 3.95 < maps[:, 0, 2].max() < 4.01
    assert abs(maps[:, 0, 2].mean() - 1) < 0.06 and abs(maps[:, 1, 2].mean()) < 0.03
    angles = RandomRotation(0.25, seed=0).maps(10_000, 8, 8)
    assert (angles[:, 0, 0] > -1e-9).all() and abs(angles[:, 1, 0].mean()) < 0.03


def test_a_flip_takes_half_of_the_images():
    x = np.tile(row(0, 1), (10_000, 1, 1, 1))

    assert abs(RandomFlip("horizontal", seed=0)(x, training=True)[:, 0, 0].mean() - 0.5) < 0.02
    assert (RandomFlip("vertical", seed=0)(x, training=True) == x).all()


# -------------------------------------------------------------------------------- Keras


@given(
    st.sampled_from(FILL_MODES),
    st.sampled_from(["nearest", "bilinear"]),
    st.sampled_from(FORMATS),
    st.integers(0, 99),
)
def test_moved_images_agree_with_keras(fill_mode, interpolation, data_format, seed):
    options = {
        "fill_mode": fill_mode,
        "interpolation": interpolation,
        "fill_value": 0.5,
        "data_format": data_format,
    }
    x = pictures((2, 5, 4, 3) if data_format == "channels_last" else (2, 3, 5, 4), np.float32)
    rng = np.random.default_rng(seed)
    first, second = rng.uniform(-0.9, 0.9, (2, 2)).astype(np.float32)
    with keras_in("float32") as keras:
        shift = keras.layers.RandomTranslation(1.0, 1.0, **options)
        moves = np.stack([4 * second, 5 * first], 1)
        turn = keras.layers.RandomRotation(1.0, **options)
        none, one = np.zeros(2, np.float32), np.ones(2, np.float32)
        matrix = turn._compute_affine_matrix(
            0.5, 0.5, 360 * first, none, none, one, none, none, 5, 4
        )
        zoom = keras.layers.RandomZoom(0.9, 0.9, **options)
        zooms = {"height_zoom": 1 + first[:, None], "width_zoom": 1 + second[:, None]}
        wanted = [
            shift.transform_images(x, {"translations": moves}),
            turn.transform_images(x, {"rotation_matrix": matrix}),
            zoom.transform_images(x, zooms),
        ]
    mine = [
        RandomTranslation(1.0, 1.0, **options),
        RandomRotation(1.0, **options),
        RandomZoom(0.9, 0.9, **options),
    ]
    for layer, theirs in zip(mine, wanted, strict=True):
        drawn = iter((first, second))
        # the same draws: a generator that returns Keras' numbers
        layer.__dict__["_rng"] = Draws(lambda *_, drawn=drawn: next(drawn).astype(np.float64))
        y = layer.forward(x, TRAINING)[0]

        # Keras' places are float32: one that falls between two nearest pixels may take the other
        far = np.abs(y - np.asarray(theirs)) > 2e-4
        assert far.mean() <= (0.02 if interpolation == "nearest" else 0), layer


class Draws:
    """A generator whose uniform numbers are given."""

    def __init__(self, uniform):
        self.uniform = uniform


@pytest.mark.parametrize("data_format", FORMATS)
def test_contrast_brightness_and_flips_agree_with_keras(data_format):
    x = pictures((2, 5, 4, 3), np.float32)
    f = np.array([0.6, 1.3], np.float32).reshape(2, 1, 1, 1)
    span, flips = (-1.0, 1.5), np.array([True, False]).reshape(2, 1, 1, 1)
    modes = ["horizontal_and_vertical", "horizontal", "vertical"]
    with keras_in("float32") as keras:
        layers = keras.layers
        contrast = layers.RandomContrast(0.5, span, data_format=data_format)
        wanted = np.asarray(contrast.transform_images(x, {"contrast_factor": f}))
        shades = layers.RandomBrightness(0.5, span)
        lit = np.asarray(shades.transform_images(x.copy(), {"rgb_delta": f}))
        turned = [
            np.asarray(
                layers.RandomFlip(m, data_format=data_format).transform_images(x, {"flips": flips})
            )
            for m in modes
        ]
    mine = RandomContrast(0.5, span, data_format=data_format)

    mine.__dict__["_rng"] = Draws(lambda *_: f)
    np.testing.assert_allclose(mine.forward(x, TRAINING)[0], wanted, rtol=2e-5, atol=2e-6)
    bright = RandomBrightness(0.5, span)
    bright.__dict__["_rng"] = Draws(lambda *_: f.astype(np.float64) / 2.5)
    np.testing.assert_allclose(bright.forward(x, TRAINING)[0], lit, rtol=2e-5, atol=2e-6)
    for mode, theirs in zip(modes, turned, strict=True):
        layer = RandomFlip(mode, data_format=data_format)
        np.testing.assert_array_equal(layer._mirrored(x, flips.ravel()), theirs)


# -------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomFlip("sideways"), "RandomFlip expects mode to be one of"),
        (lambda: RandomTranslation(1.5, 0), "height_factor to lie between -1 and 1, got 1.5"),
        (lambda: RandomTranslation(0, (0.1,)), "width_factor to be a number or a pair"),
        (lambda: RandomTranslation(0, 0, "mirror"), "fill_mode to be one of"),
        (lambda: RandomRotation("a"), "factor to be a number or a pair"),
        (lambda: RandomRotation(0.1, interpolation="cubic"), "interpolation to be one of"),
        (lambda: RandomZoom((-1.0, 0.0)), "height_factor to lie above -1 and up to 1"),
        (lambda: RandomContrast(-0.1), "factor to lie between 0 and 1, got (-0.1"),
        (lambda: RandomContrast(0.1, 3), "value_range to be a pair of numbers, got 3"),
        (lambda: RandomBrightness(2), "factor to lie between -1 and 1, got 2"),
        (lambda: RandomFlip()(np.ones((3, 4))), "3 axes besides the batch and got (4,)"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError) as error:
        make()

    assert message in str(error.value)
