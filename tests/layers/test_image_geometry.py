"""Images sheared, seen from the side, pulled about and partly erased: by hand, beside Keras on the
numbers that Keras draws, and how numbers are drawn here."""

import numpy as np
import pytest
from finite_differences import assert_gradients
from hypothesis import given, strategies as st
from keras_parity import keras_in

from backprop.layer import TRAINING
from backprop.layers import (
    RandomElasticTransform,
    RandomErasing,
    RandomPerspective,
    RandomShear,
)
from backprop.layers.images.places import inside
from backprop.layers.images.warping import CORNERS, homography, smooth

FILL_MODES = ["reflect", "wrap", "constant", "nearest"]
FORMATS = ["channels_last", "channels_first"]
ALL = [
    RandomShear(0.8, 0.5),
    RandomPerspective((1.0, 1.0), 0.8),
    RandomElasticTransform((1.0, 1.0), (1.0, 1.0), value_range=(-9.0, 9.0)),
    RandomErasing((1.0, 1.0), (0.2, 0.5)),
    RandomErasing((0.5, 0.9), (0.2, 0.5), [1.0, 2.0]),
]
ids = [repr(layer) for layer in ALL]


def pictures(shape=(3, 5, 4, 2), dtype=np.float64):
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


def in_format(x, data_format):
    return x if data_format == "channels_last" else np.moveaxis(x, -1, 1)


# -------------------------------------------------------------------------------- by hand


def test_a_mirror_continues_without_doubling_the_border():
    pixel, _ = inside(np.arange(-4, 8), 1.0, 4, "mirror")

    assert pixel.tolist() == [2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1]
    assert inside(np.arange(-2, 3), 1.0, 1, "mirror")[0].tolist() == [0] * 5


def test_corners_that_stay_leave_an_image_as_it_is():
    np.testing.assert_allclose(homography(CORNERS[None]), np.eye(3)[None], atol=1e-12)
    x = pictures()

    np.testing.assert_allclose(RandomPerspective(scale=0.0)(x), x, rtol=1e-6)
    np.testing.assert_array_equal(RandomPerspective(0.0)(x.astype(np.float32)), np.float32(x))


def test_a_homography_takes_the_drawn_corners_to_those_of_the_square():
    drawn = CORNERS * (1 + np.random.default_rng(0).uniform(-0.4, 0.4, (6, 4, 2)))
    m = homography(drawn)
    a = np.einsum("nkl,ncl->nck", m, np.concatenate([drawn, np.ones((6, 4, 1))], 2))

    np.testing.assert_allclose(a[..., :2] / a[..., 2:], np.tile(CORNERS, (6, 1, 1)), atol=1e-12)


def test_a_perspective_of_one_row_is_finite():
    for shape in ((2, 1, 5, 1), (2, 5, 1, 1), (2, 1, 1, 1)):
        assert np.isfinite(RandomPerspective(seed=0)(np.ones(shape), training=True)).all()


def test_the_horizon_is_outside_of_the_image():
    layer = RandomPerspective(fill_value=7.0)
    m = np.array([[[1.0, 0, 0], [0, 1.0, 0], [0, -0.5, 1.0]]])  # at the column 2
    y = layer.change(np.ones((1, 3, 4, 1)), m)[0][0, :, :, 0]

    assert np.isfinite(y).all()
    assert y[1:, 2].tolist() == [7, 7]


def test_where_nothing_is_pulled_nothing_is_clipped():
    x = pictures(dtype=np.float32) * 100

    np.testing.assert_array_equal(RandomElasticTransform(0.0)(x), x)
    np.testing.assert_array_equal(RandomElasticTransform(scale=0.0)(x), x)
    assert RandomElasticTransform()(x).min() == 0


def test_an_erased_part_is_filled_and_pays_nothing():
    layer = RandomErasing((1.0, 1.0), (0.25, 0.25), [3.0, 400.0], seed=0, dtype="float64")
    x = pictures((20, 8, 6, 2))
    layer.build(x.shape)
    y, kept = layer.forward(x, TRAINING)
    dx = layer.backward(np.ones(y.shape), kept)
    erased = y != x

    assert (erased.sum((1, 2)) == 12).all()  # 4 by 3 pixels of each
    assert set(y[erased[..., 0], 0]) == {3.0} and set(y[erased[..., 1], 1]) == {255.0}
    np.testing.assert_array_equal(dx, ~erased)


def test_noise_fills_the_value_range():
    y = RandomErasing((1.0, 1.0), (1.0, 1.0), value_range=(-1.0, 2.0), seed=0)(
        np.full((1, 50, 50, 3), 9.0)
    )

    assert y.min() == -1 and y.max() == 2
    assert 0.2 < y.mean() < 0.6 and (np.diff(y, axis=-1) != 0).any()


# -------------------------------------------------------------------------------- draws


def test_a_shear_leans_to_both_sides_alike():
    maps = RandomShear((0.2, 0.6), (0.1, 0.3), seed=0).maps(10_000, 8, 8)
    x, y = maps[:, 1, 0], maps[:, 0, 1]

    assert abs((x > 0).mean() - 0.5) < 0.02 and (np.sign(x) == np.sign(y)).all()
    assert 0.2 < abs(x).min() < 0.201 and 0.599 < abs(x).max() < 0.6
    assert abs(abs(y).mean() - 0.2) < 0.002
    assert RandomShear(0.5).x_factor == RandomShear((-0.5, 0.5)).x_factor == (-0.5, 0.5)


@pytest.mark.parametrize(
    ("factor", "share"), [(1.0, 0.5), ((1.0, 1.0), 1.0), ((0.2, 0.4), 0.3), (0.0, 0.0)]
)
def test_the_share_of_images_that_are_changed(factor, share):
    x = np.tile(np.arange(36.0).reshape(1, 6, 6, 1), (2000, 1, 1, 1)) + 1
    for layer in (
        RandomErasing(factor, (0.3, 0.5), 0.0, seed=0),
        RandomPerspective(factor, 0.5, seed=0),
        RandomElasticTransform(factor, (1.0, 1.0), seed=0),
    ):
        changed = (abs(layer(x) - x) > 1e-4).any((1, 2, 3)).mean()

        assert abs(changed - share) < 0.04, layer


def test_corners_move_as_far_as_the_scale_says():
    layer = RandomPerspective((1.0, 1.0), 0.5, seed=0)
    m = layer.draw(np.ones((5000, 5, 9, 1)))
    corner = np.linalg.inv(m) @ [4.0, 8.0, 1.0]  # where the far corner of x is seen
    moved = corner[:, :2] / corner[:, 2:] / [4, 8]

    assert 0.75 < moved.min() < 0.76 and 1.24 < moved.max() < 1.25
    np.testing.assert_allclose(moved.mean(0), 1, atol=0.01)
    np.testing.assert_allclose(m @ [0.0, 0.0, 1.0], np.tile([0, 0, 1.0], (5000, 1)), atol=1e-9)


def test_how_far_cloth_is_pulled_about():
    noise = np.random.default_rng(0).normal(size=(20, 2, 64, 64))
    field = smooth(noise, 0.8)  # sigma 2.56: smoothing divides by 2 sigma sqrt(pi)

    assert field.std() == pytest.approx(0.1 * 0.8 * 64 / (2 * np.sqrt(np.pi)), rel=0.06)
    neighbours = np.corrcoef(field[:, :, :, 1:].ravel(), field[:, :, :, :-1].ravel())[0, 1]
    assert neighbours > 0.9


def test_where_images_are_erased():
    erased, _ = RandomErasing((1.0, 1.0), (0.16, 0.36), 0.0, seed=0).draw(
        np.ones((4000, 20, 30, 1))
    )
    sides = [erased[..., 0].any(2).sum(1) / 20, erased[..., 0].any(1).sum(1) / 30]

    for side in sides:
        assert side.min() > 0.34 and side.max() < 0.66
        assert abs((side**2).mean() - 0.26) < 0.01  # sides are square roots of uniform shares
    assert abs(np.corrcoef(*sides)[0, 1]) < 0.05
    assert not erased[:, 0].any()  # as in Keras: the pixel 0 would need a start of exactly 0
    places = erased.mean((0, 3))[1:, 1:]
    np.testing.assert_allclose(places, places[::-1, ::-1], atol=0.04)


@pytest.mark.parametrize("layer", ALL, ids=ids)
@pytest.mark.parametrize("data_format", FORMATS)
def test_gradients(layer, data_format):
    layer = type(layer).from_config(layer.get_config() | {"data_format": data_format})
    x = in_format(pictures((2, 9, 8, 2)), data_format)

    assert_gradients(layer, x)
    assert_gradients(layer, x, training=False)


@pytest.mark.parametrize("fill_mode", [*FILL_MODES, "mirror"])
def test_gradients_at_every_border(fill_mode):
    pulled = RandomElasticTransform(
        (1.0, 1.0), (1.0, 1.0), fill_mode=fill_mode, fill_value=2.0, value_range=(-1.0, 1.5)
    )

    assert_gradients(pulled, pictures((2, 12, 9, 1)))


# -------------------------------------------------------------------------------- Keras

OPTIONS = {
    "interpolation": st.sampled_from(["nearest", "bilinear"]),
    "fill_value": st.sampled_from([0.0, 0.5]),
    "data_format": st.sampled_from(FORMATS),
}


def agree(y, theirs, interpolation):
    """Keras' places are float32: one that falls between two nearest pixels may take the other."""
    far = np.abs(y - np.asarray(theirs)) > 2e-4
    return far.mean() <= (0.03 if interpolation == "nearest" else 0)


@given(st.fixed_dictionaries(OPTIONS), st.sampled_from(FILL_MODES), st.integers(0, 99))
def test_sheared_images_agree_with_keras(options, fill_mode, seed):
    options |= {"fill_mode": fill_mode}
    x = in_format(pictures((3, 5, 6, 2), np.float32), options["data_format"])
    with keras_in("float32") as keras:
        theirs = keras.layers.RandomShear(0.7, (0.1, 0.5), seed=seed, **options)
        drawn = theirs.get_random_transformation(x)
        wanted = theirs.transform_images(x, drawn)
    maps = np.tile(np.eye(2, 3), (3, 1, 1))
    maps[:, 1, 0], maps[:, 0, 1] = np.asarray(drawn["shear_factor"]).T
    y = RandomShear(0.7, (0.1, 0.5), **options).change(x, maps)[0]

    assert agree(y, wanted, options["interpolation"])


@given(st.fixed_dictionaries(OPTIONS), st.integers(0, 99))
def test_images_seen_from_the_side_agree_with_keras(options, seed):
    x = in_format(pictures((3, 5, 6, 2), np.float32), options["data_format"])
    with keras_in("float32") as keras:
        theirs = keras.layers.RandomPerspective((0.5, 1.0), 0.6, seed=seed, **options)
        drawn = {n: np.asarray(a) for n, a in theirs.get_random_transformation(x).items()}
        wanted = theirs.transform_images(x, drawn)
    changed = drawn["apply_perspective"][:, None, None]
    size = np.array([4.0, 5.0, 1.0])
    corners = drawn["end_points"][:, :, ::-1].astype(np.float64) / size[:2]
    m = np.where(changed, homography(corners) * size[:, None] / size, np.eye(3))
    y = RandomPerspective(**options).change(x, m)[0]

    assert agree(y, wanted, options["interpolation"])


@given(st.fixed_dictionaries(OPTIONS), st.sampled_from([*FILL_MODES, "mirror"]), st.integers(0, 99))
def test_images_pulled_about_agree_with_keras(options, fill_mode, seed):
    options |= {"fill_mode": fill_mode, "value_range": (-1.0, 1.5)}
    x = in_format(pictures((3, 20, 14, 2), np.float32), options["data_format"])
    with keras_in("float32") as keras:
        theirs = keras.layers.RandomElasticTransform((0.4, 1.0), (0.5, 1.0), **options)
        drawn = theirs.get_random_transformation(x)
        s, changed = float(drawn["distortion_factor"]), np.asarray(drawn["apply_transform"])
        rng = np.random.default_rng(keras.src.random.seed_generator.draw_seed(seed))
        wanted = theirs.transform_images(x, drawn | {"seed": seed})
    sideways, down = rng.normal(size=(3, 20, 14)), rng.normal(size=(3, 20, 14))
    field = smooth(np.stack([down, sideways], 1), s) * changed[:, None, None, None]
    y = RandomElasticTransform(**options).change(x, field)[0]

    assert agree(y, wanted, options["interpolation"])


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("fill_value", [None, 300.0, 0.25])
def test_erased_images_agree_with_keras(data_format, fill_value):
    x = in_format(pictures((6, 5, 6, 3), np.float32), data_format)
    with keras_in("float32") as keras:
        theirs = keras.layers.RandomErasing(
            (0.3, 0.9), (0.1, 0.6), fill_value, (0, 1), seed=3, data_format=data_format
        )
        drawn = {n: np.asarray(a) for n, a in theirs.get_random_transformation(x).items()}
        wanted = theirs.transform_images(x, drawn)
    layer = RandomErasing(fill_value=fill_value, value_range=(0, 1), data_format=data_format)
    erased = drawn["batch_masks"] & drawn["apply_erasing"][:, None, None, None]
    fill = drawn["fill_value"] if fill_value is None else layer._fill(x)

    np.testing.assert_array_equal(layer.change(x, (erased, fill))[0], wanted)


@pytest.mark.parametrize(
    ("mine", "name"),
    [
        (RandomShear(), "RandomShear"),
        (RandomPerspective(), "RandomPerspective"),
        (RandomElasticTransform(), "RandomElasticTransform"),
        (RandomErasing(), "RandomErasing"),
    ],
)
def test_configurations_have_the_keys_of_keras(mine, name):
    with keras_in("float32") as keras:
        theirs = getattr(keras.layers, name)().get_config()

    assert set(theirs) <= set(mine.get_config())


# -------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomShear(1.5), "RandomShear expects x_factor to lie between 0 and 1, got 1.5"),
        (lambda: RandomShear(0.1, (-0.1, 0.2)), "y_factor to lie between 0 and 1"),
        (lambda: RandomShear(fill_mode="mirror"), "fill_mode to be one of"),
        (lambda: RandomPerspective(2.0), "factor to lie between 0 and 1, got 2.0"),
        (lambda: RandomPerspective(scale=-0.1), "scale to be a number from 0 to 1, got -0.1"),
        (lambda: RandomPerspective(interpolation="cubic"), "interpolation to be one of"),
        (lambda: RandomElasticTransform(fill_mode="edge"), "'nearest', 'mirror', got 'edge'"),
        (lambda: RandomElasticTransform(scale=(0.1, 1.1)), "scale to lie between 0 and 1"),
        (lambda: RandomErasing("all"), "factor to be a number or a pair of them, got 'all'"),
        (lambda: RandomErasing(fill_value="black"), "a number, one for each channel, or None"),
        (lambda: RandomErasing(fill_value=[1, 2])(np.ones((2, 3, 3, 3))), "images of 3 channels"),
        (lambda: RandomErasing(value_range=3), "value_range to be a pair of numbers, got 3"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError) as error:
        make()

    assert message in str(error.value)
