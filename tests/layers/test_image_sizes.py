"""Images given one size: by hand, beside Keras, and how crops are drawn."""

import numpy as np
import pytest
from finite_differences import assert_gradients
from hypothesis import given, strategies as st
from keras_gradients import gradient_from_above, needs_keras_on_jax, run_in_keras
from keras_parity import close, keras_in

from backprop.layer import INFERENCE, TRAINING
from backprop.layers import CenterCrop, RandomCrop, Resizing
from backprop.layers.interpolation import METHODS, along, weights

FORMATS = ["channels_last", "channels_first"]
sides = st.tuples(st.integers(1, 9), st.integers(1, 9))


def pictures(shape=(2, 5, 7, 3), dtype=np.float64):
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


def row(*numbers):
    return np.array(numbers, np.float64).reshape(1, 1, -1, 1)


# -------------------------------------------------------------------------------- by hand


def test_three_pixels_of_two_and_what_they_pay():
    layer = Resizing(1, 3, dtype="float64")
    y, kept = layer.forward(row(10, 40))
    dx = layer.backward(row(1, 10, 100), kept)

    np.testing.assert_allclose(y.ravel(), [10, 25, 40])
    np.testing.assert_allclose(dx.ravel(), [1 + 5, 5 + 100])


def test_without_antialias_pixels_are_passed_over_and_with_it_all_count():
    x = row(0, 0, 0, 0, 9, 0, 0, 0, 0)

    assert Resizing(1, 1)(x).item() == 9
    assert 0 < Resizing(1, 1, antialias=True)(x).item() < 3
    assert Resizing(1, 3)(row(1, 2, 3, 4, 5, 6, 7, 8, 9)).ravel().tolist() == [2, 5, 8]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("antialias", [False, True])
@given(st.integers(1, 30), st.integers(1, 30))
def test_the_weights_of_a_pixel_sum_to_1(method, antialias, n, m):
    r = weights(n, m, method, antialias)

    assert r.shape == (m, n)
    np.testing.assert_allclose(r.sum(1), 1)
    if n == m and not antialias:
        np.testing.assert_allclose(r, np.eye(n), atol=1e-12)


def test_bicubic_keeps_a_parabola_in_the_middle():
    x = np.arange(12.0)
    places = (np.arange(30) + 0.5) * 12 / 30 - 0.5
    y = along(0, weights(12, 30, "bicubic"), x**2)
    inside = (places > 1) & (places < 10)

    np.testing.assert_allclose(y[inside], places[inside] ** 2)


def test_a_margin_keeps_the_shape_and_pays_nothing():
    layer = Resizing(4, 4, pad_to_aspect_ratio=True, fill_value=7.0, dtype="float64")
    y, kept = layer.forward(np.ones((1, 2, 4, 1)))
    dx = layer.backward(np.ones(y.shape), kept)

    np.testing.assert_array_equal(y[0, :, :, 0], [[7] * 4, [1] * 4, [1] * 4, [7] * 4])
    np.testing.assert_array_equal(dx, np.ones((1, 2, 4, 1)))


def test_a_crop_is_cut_and_what_is_cut_off_gets_nothing():
    layer = CenterCrop(1, 2, dtype="float64")
    y, kept = layer.forward(row(1, 2, 3, 4, 5))
    dx = layer.backward(row(10, 20), kept)

    assert y.ravel().tolist() == [2, 3]
    assert dx.ravel().tolist() == [0, 10, 20, 0, 0]


def test_a_resized_image_need_not_have_a_known_size():
    assert Resizing(3, 4).compute_output_shape((None, None, None, 3)) == (None, 3, 4, 3)
    layer = Resizing(3, 4)
    assert layer(pictures((1, 9, 2, 3))).shape == layer(pictures((1, 2, 9, 3))).shape


# -------------------------------------------------------------------------------- draws


def test_a_window_is_drawn_once_for_a_batch_and_may_lie_anywhere():
    x = np.tile(np.arange(20.0).reshape(1, 4, 5, 1), (3, 1, 1, 1))
    layer = RandomCrop(2, 3, seed=0)
    firsts = [layer(x)[:, 0, 0, 0] for _ in range(600)]
    counts = np.unique_counts([int(first[0]) for first in firsts])

    assert all((first == first[0]).all() for first in firsts)
    assert counts.values.tolist() == [0, 1, 2, 5, 6, 7, 10, 11, 12]
    assert counts.counts.min() > 40 and counts.counts.max() < 100


def test_a_crop_in_inference_is_what_is_in_the_middle():
    x = pictures((2, 4, 8, 1))
    y = RandomCrop(2, 2, dtype="float64")(x, training=False)

    np.testing.assert_allclose(y, Resizing(2, 2, dtype="float64")(x[:, :, 2:6]))


@pytest.mark.parametrize("data_format", FORMATS)
@given(sides, sides)
def test_gradients(data_format, size, wanted):
    x = pictures((2, *size, 2) if data_format == "channels_last" else (2, 2, *size))

    assert_gradients(RandomCrop(*wanted, data_format=data_format), x)
    assert_gradients(RandomCrop(*wanted, data_format=data_format), x, training=False)
    assert_gradients(CenterCrop(*wanted, data_format=data_format), x)
    assert_gradients(
        Resizing(*wanted, "bicubic", pad_to_aspect_ratio=True, data_format=data_format), x
    )


# -------------------------------------------------------------------------------- Keras


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(
    sides,
    sides,
    st.sampled_from(METHODS),
    st.booleans(),
    st.sampled_from(["whole", "crop_to_aspect_ratio", "pad_to_aspect_ratio"]),
    st.sampled_from(FORMATS),
)
def test_resizing_agrees_with_keras(dtype, size, wanted, method, antialias, part, data_format):
    x = pictures((2, *size, 3) if data_format == "channels_last" else (2, 3, *size), dtype)
    options = {
        "interpolation": method,
        "antialias": antialias,
        "data_format": data_format,
        "fill_value": 0.5,
    }
    options |= {} if part == "whole" else {part: True}
    with keras_in(dtype) as keras:
        theirs = keras.layers.Resizing(*wanted, **options, dtype=dtype)(x)
    mine = Resizing(*wanted, **options, dtype=dtype)(x)

    np.testing.assert_allclose(mine, theirs, **close(dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(sides, sides, st.sampled_from(FORMATS))
def test_crops_agree_with_keras(dtype, size, wanted, data_format):
    x = pictures((2, *size, 3) if data_format == "channels_last" else (2, 3, *size), dtype)
    options = {"data_format": data_format, "dtype": dtype}
    with keras_in(dtype) as keras:
        theirs = keras.layers.CenterCrop(*wanted, **options)(x)
        crop = keras.layers.RandomCrop(*wanted, **options)
        top, left = map(int, crop.get_random_transformation(x))
        cut = crop.transform_images(x, (top, left))
    mine = RandomCrop(*wanted, **options)
    height, width = size
    window = (
        (top, min(wanted[0], height - top)),
        (left, min(wanted[1], width - left)),
    )
    if not (height > wanted[0] and width > wanted[1]):
        assert mine.window(height, width, True) == window

    np.testing.assert_allclose(CenterCrop(*wanted, **options)(x), theirs, **close(dtype))
    np.testing.assert_allclose(mine.change(x, window)[0], cut, **close(dtype))


@needs_keras_on_jax
def test_gradients_agree_with_keras(tmp_path):
    x, made = pictures((2, 5, 7, 3)), {}
    for method in METHODS:
        for size, antialias in (((8, 4), False), ((3, 9), True)):
            made[f"{method} {size}"] = Resizing(*size, method, antialias=antialias)
    cases = {name: (f"lambda x: keras.layers.{layer!r}(x[0])", [x]) for name, layer in made.items()}
    found = run_in_keras(cases, tmp_path)
    for name, layer in made.items():
        for dtype in ("float32", "float64"):
            y, kept = layer.forward(x.astype(dtype), TRAINING)
            dx = layer.backward(gradient_from_above(y), kept)

            np.testing.assert_allclose(y, found[f"{name} {dtype} y"], **close(dtype))
            np.testing.assert_allclose(dx, found[f"{name} {dtype} dx0"], **close(dtype))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Resizing(0, 3), "Resizing expects height to be a positive integer, got 0"),
        (lambda: Resizing(2, 3, "area"), "interpolation to be one of 'bilinear', 'nearest', 'bicu"),
        (lambda: Resizing(2, 3, fill_mode="reflect"), "fill_mode to be one of 'constant'"),
        (
            lambda: Resizing(2, 3, "nearest", True, True),
            "one of crop_to_aspect_ratio and pad_to_aspect_ratio, got both",
        ),
        (lambda: CenterCrop(2, -1), "CenterCrop expects width to be a positive integer, got -1"),
        (lambda: RandomCrop(2.5, 1), "RandomCrop expects height to be a positive integer, got 2.5"),
        (lambda: CenterCrop(2, 2)(np.ones((2, 2))), "3 axes besides the batch"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError) as error:
        make()

    assert message in str(error.value)


def test_inference_draws_nothing():
    layer = RandomCrop(2, 2, seed=3)
    layer.build((None, 5, 5, 1))
    before = layer.rng.bit_generator.state
    layer.forward(np.ones((1, 5, 5, 1), np.float32), INFERENCE)

    assert layer.rng.bit_generator.state == before


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("channels", [1, 40])
def test_a_long_line_is_taken_in_parts(method, channels):
    r, x = weights(50, 70, method), pictures((2, 50, channels))

    np.testing.assert_allclose(along(1, r, x), np.einsum("ai,nic->nac", r, x), atol=1e-12)
    np.testing.assert_allclose(
        along(1, weights(70, 9, method).T, x[:, :9]),
        np.einsum("ia,nic->nac", weights(70, 9, method), x[:, :9]),
        atol=1e-12,
    )
