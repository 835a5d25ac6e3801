import numpy as np
import pytest
from drawn_images import DTYPES, FORMATS, assert_held_gradients, both, pictures
from finite_differences import assert_gradients
from keras_parity import close, keras_in
from scipy import ndimage

from backprop.layers import (
    AutoContrast,
    Chain,
    ContrastLimitedAdaptiveHistogramEqualization as CLAHE,
    Conv2D,
    Equalization,
    RandomGaussianBlur,
    RandomInvert,
    RandomPosterization,
    RandomSharpness,
    Solarization,
)
from backprop.utils import set_random_seed

DRAWN = [
    RandomInvert(1.0, (-3, 3)),
    Solarization(0.5, 0.7, (-3, 3)),
    RandomSharpness(1.0, (-2, 2)),
    RandomGaussianBlur(1.0, (5, 3), (0.5, 1.0), (-1.5, 1.5)),
]
SMOOTH = [*DRAWN, AutoContrast((-3, 3))]
FLAT = [
    RandomPosterization((1, 6), (-3, 3)),
    Equalization((-3, 3)),
    CLAHE((-3, 3), 4.0, (2, 3)),
]
ids = [type(layer).__name__ for layer in (*SMOOTH, *FLAT)]


def row(*numbers):
    return np.array(numbers, np.float64).reshape(1, 1, -1, 1)


# -------------------------------------------------------------------------------- by hand


def test_tones_by_hand():
    x = row(0, 100, 200, 255)

    np.testing.assert_allclose(RandomInvert((1, 1))(x).ravel(), [255, 155, 55, 0])
    np.testing.assert_allclose(RandomInvert((1, 1), (-1, 1))(row(-1, 0.5)).ravel(), [1, -0.5])
    np.testing.assert_allclose(RandomInvert((0, 0))(x), x)
    np.testing.assert_allclose(RandomPosterization(1)(x).ravel(), [0, 0, 128, 128])
    np.testing.assert_allclose(RandomPosterization(8)(x), x)
    np.testing.assert_allclose(
        RandomPosterization(1, (0, 1))(x / 255).ravel(), [0, 0, 128 / 255, 128 / 255], rtol=1e-6
    )
    np.testing.assert_allclose(Solarization()(x).ravel(), [255, 155, 55, 0])
    halves = Solarization((0.2, 0.2), (0.5, 0.5))
    np.testing.assert_allclose(halves(x).ravel(), [51, 255 - 151, 255 - 251, 0])
    np.testing.assert_allclose(AutoContrast()(row(100, 120, 200)).ravel(), [0, 51, 255])
    np.testing.assert_allclose(AutoContrast()(row(7, 7)).ravel(), [7, 7])


def test_equalization_by_hand():
    x = row(10, 10, 10, 20, 30)
    y = Equalization()(x)

    np.testing.assert_allclose(y.ravel(), [0, 0, 0, 128, 255])
    np.testing.assert_allclose(Equalization((0, 1))(x / 255).ravel() * 255, y.ravel(), rtol=1e-6)
    np.testing.assert_allclose(Equalization()(row(7, 7.2)).ravel(), np.float32([7, 7.2]))


def test_an_image_is_equalized_by_its_own_histograms():
    x = pictures((3, 6, 5, 3)).round().astype(np.float32)

    for layer in (Equalization(), CLAHE()):
        together = layer(x)
        for image, y in zip(x, together, strict=True):
            np.testing.assert_array_equal(layer(image), y)


@pytest.mark.parametrize("data_format", FORMATS)
def test_equalization_agrees_with_a_loop(data_format):
    x = pictures((2, 9, 7, 3), data_format=data_format).round()
    layer = Equalization(data_format=data_format, dtype="float64")
    y = layer(x)
    ours, theirs = (np.moveaxis(a, layer.channel_axis, 1) for a in (y, x))

    for n, c in np.ndindex(2, 3):
        pixels = theirs[n, c].ravel()
        least = (pixels == pixels.min()).sum()
        for p, q in zip(pixels, ours[n, c].ravel(), strict=True):
            assert q == np.round(255 * ((pixels <= p).sum() - least) / (len(pixels) - least))


@pytest.mark.parametrize("data_format", FORMATS)
def test_blur_agrees_with_scipy(data_format):
    x = pictures((2, 6, 7, 3), (0, 1), data_format)
    sigma = np.array([[0.4, 0.9], [0.8, 0.3]])
    layer = RandomGaussianBlur(kernel_size=(3, 5), value_range=(0, 1), data_format=data_format)
    y = layer.change(x, (np.array([True, True]), sigma))[0]

    for n in range(2):
        wanted = x[n]
        for axis, s, r in zip(layer.sides, sigma[n, ::-1], (2, 1), strict=True):
            wanted = ndimage.gaussian_filter1d(wanted, s, axis - 1, radius=r, mode="constant")
        np.testing.assert_allclose(y[n], wanted, rtol=1e-12)


@pytest.mark.parametrize("data_format", FORMATS)
def test_sharpness_agrees_with_scipy(data_format):
    x = pictures((2, 6, 7, 3), (0, 1), data_format)
    layer = RandomSharpness(1.0, (-9, 9), data_format=data_format)
    y = layer.change(x, np.array([0.1, 0.8]))[0]
    kernel = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13

    for n, f in enumerate((0.1, 0.8)):
        for channel, found in zip(
            *(np.moveaxis(a[n], layer.channel_axis - 1, 0) for a in (x, y)), strict=True
        ):
            soft = ndimage.convolve(channel, kernel, mode="constant")
            np.testing.assert_allclose(found, channel + (1 - 2 * f) * (soft - channel), rtol=1e-9)


def test_windows_wider_than_the_image_see_zeros():
    x = pictures((1, 2, 1, 1), (0, 1))
    layer = RandomGaussianBlur((1, 1), 9, (1, 1), (0, 1))

    y, _ = layer.change(x, layer.draw(x))
    assert y.shape == x.shape and (y < x.max()).all()
    assert_held_gradients(RandomGaussianBlur((1, 1), 9, (1, 1), (-9, 9)), x)


# -------------------------------------------------------------------------------- all of them


@pytest.mark.parametrize("layer", SMOOTH, ids=ids[:5])
@pytest.mark.parametrize("data_format", FORMATS)
def test_gradients_with_the_draw_held(layer, data_format):
    set_random_seed(0)  # of the draws, which must keep from the threshold by a step
    layer = type(layer).from_config(layer.get_config() | {"data_format": data_format})

    for seed in range(5):
        assert_held_gradients(layer, pictures((4, 5, 3, 3), (-3, 3), data_format, seed), seed=seed)


@pytest.mark.parametrize("layer", FLAT, ids=ids[5:])
def test_steps_have_no_slope(layer):
    x = pictures((4, 5, 3, 3), (-3, 3))
    y, kept = layer.change(x, layer.draw(x))

    assert not layer.reverse(np.ones_like(y), kept).any()


def test_a_channel_that_stays_passes_its_gradient_on():
    x = np.concatenate([np.full((1, 2, 2, 1), 7.0), pictures((1, 2, 2, 1))], -1)

    for layer, slope in ((Equalization(), 0), (AutoContrast(), None)):
        y, kept = layer.change(x, ())
        dx = layer.reverse(np.ones_like(x), kept)
        np.testing.assert_array_equal(y[..., 0], 7)
        np.testing.assert_array_equal(dx[..., 0], 1)
        if slope is not None:
            np.testing.assert_array_equal(dx[..., 1], slope)


@pytest.mark.parametrize("layer", [AutoContrast(), *FLAT[1:]], ids=[ids[4], *ids[6:]])
def test_without_a_draw_training_and_inference_do_the_same(layer):
    x = pictures((2, 6, 5, 3), (-2, 2)).astype(np.float32)

    np.testing.assert_array_equal(layer(x), layer(x, training=True))
    np.testing.assert_array_equal(layer(x), layer(x, training=False))
    assert (layer(x) != x).any()


@pytest.mark.parametrize("layer", [*DRAWN, FLAT[0]], ids=[*ids[:4], ids[5]])
def test_inference_changes_nothing_and_training_each_image_alone(layer):
    x = np.repeat(pictures((1, 4, 4, 3), (-3, 3)).astype(np.float32), 40, 0)
    layer = type(layer).from_config(layer.get_config() | {"seed": 1})
    different = len(np.unique(layer(x, training=True).reshape(40, -1).round(4), axis=0))

    narrow = x.clip(-1.5, 1.5)
    np.testing.assert_array_equal(layer(narrow, training=False), narrow)
    assert different >= 2


def test_gradients_in_the_middle_of_a_chain():
    chain = Chain(
        [Conv2D(3, 2), RandomSharpness(0.9, (-9, 9)), AutoContrast((-9, 9)), Conv2D(1, 2)]
    )

    assert_gradients(chain, pictures((2, 6, 5, 3), (-1, 1)), tol=1e-5)


def test_the_draws_are_those_that_the_factors_say():
    x = np.zeros((20_000, 1, 1, 1))
    added, threshold = Solarization(0.4, (0.5, 0.7), seed=0).draw(x)
    bits = RandomPosterization((3, 6), seed=0).draw(x)
    chosen, sigma = RandomGaussianBlur((0.2, 0.4), sigma=(0.5, 0.9), seed=0).draw(x)

    assert 0 <= added.min() < 0.01 and 0.39 < added.max() <= 0.4
    assert 0.5 <= threshold.min() < 0.51 and 0.69 < threshold.max() <= 0.7
    assert sorted(set(bits)) == [3, 4, 5] and set(RandomPosterization(4).draw(x)) == {4}
    assert abs(chosen.mean() - 0.3) < 0.02
    assert sigma.shape == (20_000, 2) and 0.5 <= sigma.min() < 0.51 < 0.89 < sigma.max() < 0.91
    assert abs(RandomInvert(0.5, seed=0).draw(x).mean() - 0.25) < 0.02
    assert abs(RandomSharpness(0.5, seed=0).draw(x).mean() - 0.25) < 0.01


# -------------------------------------------------------------------------------- Keras


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("value_range", [(0, 1), (0, 255)])
def test_tones_agree_with_keras(dtype, data_format, value_range):
    x = pictures((4, 6, 5, 3), value_range, data_format)
    options = {"value_range": value_range, "data_format": data_format, "seed": 1}
    blur = {"kernel_size": (3, 5), "sigma": (0.3, 0.9)}
    near = close(dtype) | {"atol": 1e-5 * value_range[1] if dtype == "float32" else 1e-9}

    def of_blur(drawn):
        sigma = np.tile(np.asarray(drawn["blur_factor"], np.float64), (4, 1))
        return np.asarray(drawn["should_apply_blur"]), sigma

    def parts(drawn):
        return tuple(np.asarray(drawn[name]).ravel() / 255 for name in ("additions", "thresholds"))

    for ours, drawn_of, arguments in (
        (RandomInvert, lambda t: np.asarray(t["apply_inversion"]), {"factor": 1.0}),
        (Solarization, parts, {"addition_factor": 0.4, "threshold_factor": 0.9}),
        (RandomSharpness, lambda t: np.asarray(t["factor"], np.float64), {"factor": 0.9}),
        (RandomGaussianBlur, of_blur, blur),
    ):
        y, wanted = both(ours, x, drawn_of, dtype, **options, **arguments)
        np.testing.assert_allclose(y, wanted, **near, err_msg=ours.__name__)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value_range", [(0, 1), (0, 255), (-1, 1)])
def test_posterization_agrees_with_keras(dtype, value_range):
    x = pictures((4, 6, 5, 3), value_range)

    def bits(drawn):
        return 8 - np.asarray(drawn["shift_factor"]).astype(int)

    for factor in ((2, 7), (3, 3)):
        arguments = {"factor": factor, "value_range": value_range, "seed": 1}
        y, wanted = both(RandomPosterization, x, bits, dtype, **arguments)
        np.testing.assert_allclose(y, wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value_range", [(0, 1), (0, 255), (-1, 1)])
def test_what_is_not_drawn_agrees_with_keras(dtype, value_range):
    x = pictures((1, 9, 7, 3), value_range)
    near = close(dtype) | {"atol": 2e-5 * value_range[1]}

    for ours, arguments in (
        (AutoContrast, {}),
        (Equalization, {}),
        (Equalization, {"bins": 16}),
        (CLAHE, {"tile_grid_size": (3, 2)}),
        (CLAHE, {"clip_limit": 0}),
        (
            CLAHE,
            {"clip_limit": 1.5, "tile_grid_size": (2, 7)},
        ),
    ):
        y, wanted = both(ours, x, lambda _: (), dtype, value_range=value_range, **arguments)
        if ours is CLAHE:  # which Keras computes in float32
            near = {"rtol": 2e-5, "atol": 2e-5 * value_range[1]}
        np.testing.assert_allclose(y, wanted, **near, err_msg=ours.__name__)


def test_channels_first_is_the_same_image():
    x = pictures((2, 9, 7, 3))

    for make in (AutoContrast, Equalization, CLAHE):
        y = make(data_format="channels_last")(x)
        first = make(data_format="channels_first")(np.moveaxis(x, -1, 1))
        np.testing.assert_array_equal(np.moveaxis(first, 1, -1), y)
    with keras_in("float32") as keras:
        theirs = keras.layers.Equalization(data_format="channels_first")(np.moveaxis(x[:1], -1, 1))
    np.testing.assert_allclose(
        Equalization(data_format="channels_first")(np.moveaxis(x[:1], -1, 1)), theirs
    )


# -------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomInvert(1.5), "RandomInvert expects factor to lie between 0 and 1, got 1.5"),
        (lambda: RandomPosterization(0), "RandomPosterization expects factor to be a positive"),
        (
            lambda: RandomPosterization(9),
            "factor to be from 1 to 8 bits, or a pair of these, got 9",
        ),
        (lambda: RandomPosterization((1, 2, 3)), "from 1 to 8 bits"),
        (lambda: Solarization(-0.1), "addition_factor to lie between 0 and 1, got -0.1"),
        (lambda: Solarization(0, (0.1, 3)), "threshold_factor to lie between 0 and 1"),
        (lambda: RandomSharpness(2), "factor to lie between 0 and 1, got 2"),
        (lambda: RandomGaussianBlur(1, 4), "kernel_size to be an odd number or two of them, got 4"),
        (lambda: RandomGaussianBlur(1, 3, 2.0), "sigma to lie between 0 and 1, got 2.0"),
        (lambda: AutoContrast(3), "value_range to be a pair of numbers, got 3"),
        (lambda: Equalization(bins=0), "bins to be a positive integer, got 0"),
        (
            lambda: CLAHE(tile_grid_size=(2, 0)),
            "tile_grid_size to be a positive integer, got 0",
        ),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError) as error:
        make()

    assert message in str(error.value)


@pytest.mark.parametrize("layer", [Equalization(), CLAHE()])
def test_what_is_no_number_is_the_darkest_tone_of_an_equalization(layer):
    x = np.random.default_rng(0).uniform(0, 255, (1, 8, 8, 1)).astype("float32")
    x[0, 0, 0] = np.nan
    dark = np.where(np.isnan(x), 0, x)

    np.testing.assert_array_equal(layer(x), layer(dark))
