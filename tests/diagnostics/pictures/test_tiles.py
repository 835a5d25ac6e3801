"""Filters, feature maps and reconstructions, as images side by side."""

import numpy as np
import pytest
from drawn_axes import legend_of, numbers_of, outside, ticks_of

import backprop as bp
from backprop.diagnostics import filters, plot_feature_maps, plot_filters, plot_reconstructions
from backprop.diagnostics.pictures.tiles import mosaic
from backprop.layers import (
    Conv1D,
    Conv2D,
    Conv2DTranspose,
    Conv3D,
    Dense,
    DepthwiseConv2D,
    Flatten,
    Reshape,
    SeparableConv2D,
)


def built(layer, shape):
    return bp.Sequential([bp.Input(shape), layer])


@pytest.fixture
def model():
    bp.utils.set_random_seed(0)
    return bp.Sequential(
        [
            bp.Input((8, 8, 1)),
            Conv2D(5, 3, name="first"),
            Conv2D(2, (3, 2), name="second"),
            Flatten(),
            Dense(2, name="end"),
        ]
    )


# --------------------------------------------------------------------------------------- tiles


def test_images_stand_beside_and_below_each_other_with_nothing_between():
    images = np.arange(1.0, 4.0)[:, None, None] * np.ones((3, 2, 2))

    whole, inside = mosaic(images, 2)

    expected = [[1, 1, 0, 2, 2], [1, 1, 0, 2, 2], [0] * 5, [3, 3, 0, 0, 0], [3, 3, 0, 0, 0]]
    assert np.array_equal(np.nan_to_num(whole), expected)
    assert np.array_equal(inside, np.array(expected) > 0) and np.isnan(whole[~inside]).all()


def test_wide_images_stand_below_each_other():
    whole, _ = mosaic(np.zeros((6, 1, 30)))

    assert whole.shape[0] > 6 and whole.shape[1] == 30


# ------------------------------------------------------------------------------------- filters


def test_a_filter_of_one_channel_is_an_image(model):
    kernel = model.layers[0].kernel

    assert np.array_equal(filters(model), np.moveaxis(kernel[:, :, 0], -1, 0))


def test_each_channel_of_a_filter_is_an_image(model):
    kernel = model.layers[1].kernel

    found = filters(model, layer="second")

    assert found.shape == (10, 3, 2)
    assert np.array_equal(found[7], kernel[:, :, 2, 1])  # filter 1, channel 2
    assert np.array_equal(filters(model.layers[1]), found)
    assert np.array_equal(filters(model, layer=model.layers[1]), found)


def test_a_layer_within_a_layer_is_found_by_its_name(model):
    outer = bp.Sequential([bp.Input((8, 8, 1)), model])

    assert np.array_equal(filters(outer, layer="second"), filters(model, layer="second"))


def test_filters_along_one_axis_are_channels_and_steps():
    ax = plot_filters(built(Conv1D(6, 4, name="one"), (9, 1)))

    assert ax.get_xlabel() == "6 filters of one, 1 channel × 4 steps"


def test_three_channels_are_colours():
    layer = Conv2D(4, 2)

    found = filters(built(layer, (5, 5, 3)))

    assert np.array_equal(found[1], layer.kernel[..., 1])


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (Conv1D(6, 4), (9, 2), lambda l: l.kernel.transpose(2, 1, 0)),
        (
            Conv2DTranspose(4, 3),
            (5, 5, 2),
            lambda l: l.kernel.transpose(2, 3, 0, 1).reshape(8, 3, 3),
        ),
        (DepthwiseConv2D(2), (5, 5, 3), lambda l: l.kernel[..., 0].transpose(2, 0, 1)),
        (
            SeparableConv2D(2, 3),
            (5, 5, 1),
            lambda l: l.depthwise_kernel[..., 0, :].transpose(2, 0, 1),
        ),
    ],
)
def test_other_convolutions_have_filters(layer, shape, expected):
    assert np.array_equal(filters(built(layer, shape)), expected(layer))


def test_filters_are_drawn_around_0(model):
    ax = plot_filters(model)

    (image,) = ax.images
    whole, _ = mosaic(filters(model))
    assert np.array_equal(numbers_of(image), whole, equal_nan=True)
    low, high = image.get_clim()
    assert low == -high and high == pytest.approx(np.abs(filters(model)).max())
    assert ax.get_xlabel() == "5 filters of first, 3 × 3"


def test_of_many_filters_the_first_are_drawn(model):
    ax = plot_filters(model, layer="second", most=4)

    assert ax.get_xlabel() == "first 4 of 10 filters of second, 3 × 2"
    assert np.nanmax(np.isfinite(numbers_of(ax.images[0])).sum()) == 4 * 6


def test_colours_go_from_the_least_weight_to_the_greatest():
    layer = Conv2D(1, 2, kernel_initializer="zeros", name="colours")
    whole = built(layer, (5, 5, 3))
    layer.kernel[0, 0] = [[1.0], [-1.0], [0.0]]

    image = np.asarray(plot_filters(whole).images[0].get_array())

    assert np.allclose(image[0, 0], [1, 0, 0.5, 1]) and np.allclose(image[1, 1], [0.5, 0.5, 0.5, 1])


def test_one_filter_that_is_0_and_one_that_is_nan_are_drawn():
    layer = Conv2D(1, 2, kernel_initializer="zeros", name="one")
    whole = built(layer, (5, 5, 1))
    assert plot_filters(whole).images[0].get_clim() == (-1, 1)
    layer.kernel[0, 0] = np.nan

    ax = plot_filters(whole)

    assert legend_of(ax) == ["not finite"]
    assert np.array_equal(np.asarray(ax.images[1].get_array())[..., 3], [[1, 0], [0, 0]])
    assert outside(ax.figure) == []


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda m: filters(built(Dense(2), (3,))), ValueError, "finds no convolution"),
        (lambda m: filters(built(Conv3D(1, 2), (4, 4, 4, 1))), ValueError, "one or two axes"),
        (
            lambda m: filters(bp.Sequential([Conv2D(1, 2)])),
            ValueError,
            "not built: call it on data",
        ),
        (
            lambda m: filters(m, layer="end"),
            ValueError,
            "a kernel along one or two axes, got Dense",
        ),
        (lambda m: filters(m, layer="thrid"), ValueError, "thrid"),
        (lambda m: filters(m.layers[0], layer="second"), ValueError, "first has no layer 'second'"),
        (lambda m: filters(m, layer=3), ValueError, "got 3"),
        (lambda m: filters(np.ones((3, 3))), TypeError, "expects a model, or a layer"),
        (lambda m: plot_filters(m, most=0), ValueError, "most"),
    ],
)
def test_what_has_no_filters_is_refused(model, call, error, match):
    with pytest.raises(error, match=match):
        call(model)


# ------------------------------------------------------------------------------- feature maps

X = np.random.default_rng(0).normal(size=(3, 8, 8, 1)).astype(np.float32)


@pytest.mark.parametrize("x", [X[0], X[:1]])
def test_each_channel_of_a_layer_is_a_tile(model, x):
    ax = plot_feature_maps(model, x)

    y = model.activations(X[:1], "first")["first"][0]
    whole, _ = mosaic(np.moveaxis(y, -1, 0))
    assert np.array_equal(numbers_of(ax.images[0]), whole, equal_nan=True)
    assert ax.get_xlabel() == "5 channels of first, 6 × 6"


def test_channels_may_come_first():
    layer = Conv2D(3, 3, data_format="channels_first", name="conv")
    whole = built(layer, (1, 8, 8))

    ax = plot_feature_maps(whole, X[0].transpose(2, 0, 1), layer=layer, most=2)

    y = whole.activations(X[:1].transpose(0, 3, 1, 2))["conv"][0]
    expected, _ = mosaic(y[:2])
    assert np.array_equal(numbers_of(ax.images[0]), expected, equal_nan=True)
    assert ax.get_xlabel() == "first 2 of 3 channels of conv, 6 × 6"


def test_steps_with_channels_are_one_tile():
    whole = built(Conv1D(4, 1, name="steps"), (7, 2))
    x = np.ones((7, 2))

    ax = plot_feature_maps(whole, x, layer="steps")

    assert np.array_equal(numbers_of(ax.images[0]), whole.activations(x[None])["steps"][0].T)
    assert ax.get_xlabel() == "step (4 channels of steps, top to bottom)"


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda m: plot_feature_maps(m, X), ValueError, r"one example, x of the shape \(8, 8, 1\)"),
        (lambda m: plot_feature_maps(m, X[0], layer="end"), ValueError, "end puts out"),
        (lambda m: plot_feature_maps(built(Dense(2), (3,)), [1, 2, 3]), ValueError, "name a layer"),
        (lambda m: plot_feature_maps(len, X[0]), TypeError, "expects a Sequential or a Model"),
        (
            lambda m: plot_feature_maps(bp.Sequential([Conv2D(1, 2)]), X[0]),
            ValueError,
            "not built",
        ),
    ],
)
def test_what_has_no_maps_is_refused(model, call, error, match):
    with pytest.raises(error, match=match):
        call(model)


# ---------------------------------------------------------------------------- reconstructions


def halved(shape):
    return bp.Sequential([bp.Input(shape), bp.layers.Rescaling(0.5)])


def test_outputs_stand_below_their_inputs():
    ax = plot_reconstructions(halved((8, 8, 1)), X, most=2)

    whole, _ = mosaic(np.concatenate([X[:2, ..., 0], X[:2, ..., 0] / 2]), 2)
    (image,) = ax.images
    assert np.allclose(numbers_of(image), whole, equal_nan=True)
    assert np.allclose(image.get_clim(), [X[:2].min(), X[:2].max()])
    assert ticks_of(ax.yaxis) == ["input", "output"] and ax.get_xlabel() == "2 examples"


def test_rows_are_images_of_a_shape():
    ax = plot_reconstructions(halved((6,)), np.arange(6.0)[None], image_shape=(2, 3))

    assert np.allclose(numbers_of(ax.images[0])[:2], [[0, 1, 2], [3, 4, 5]])
    assert ax.get_xlabel() == "1 example"


@pytest.mark.parametrize("shape", [(4, 4, 3), (3, 4, 4)])
def test_colours_are_drawn_as_they_are(shape):
    x = np.random.default_rng(0).random((2, *shape))
    x[0, 0, 0], x[0, 3 % shape[0], 3] = 0, 1  # the whole range

    drawn = np.asarray(plot_reconstructions(halved(shape), x, most=1).images[0].get_array())

    first = x[0] if shape[-1] == 3 else np.moveaxis(x[0], 0, -1)
    low, high = x[0].min(), x[0].max()
    assert np.allclose(drawn[:4, :, :3], (first - low) / (high - low), atol=1e-6)
    assert (drawn[4, :, 3] == 0).all()  # between the rows is nothing


def test_a_picture_that_is_nan_is_pink():
    x = np.where(X > 1, np.nan, X)

    ax = plot_reconstructions(lambda_model(), x)

    assert legend_of(ax) == ["not finite"] and outside(ax.figure) == []


def lambda_model():
    return bp.Sequential([bp.Input((8, 8, 1)), Flatten(), Dense(3), Dense(64), Reshape((8, 8, 1))])


@pytest.mark.parametrize(
    ("model", "x", "options", "match"),
    [
        (halved((6,)), np.ones((2, 6)), {}, "say image_shape"),
        (halved((6,)), np.ones((2, 6)), {"image_shape": (2, 4)}, "of 6 numbers, got"),
        (halved((6,)), np.ones((2, 6)), {"image_shape": 6}, "image_shape"),
        (halved((6,)), np.ones(6), {"image_shape": (2, 3)}, r"shape \(n, 6\), got \(6,\)"),
        (halved((4, 4, 2)), np.ones((2, 4, 4, 2)), {}, "1 or 3 channels"),
        (
            built(Dense(5), (6,)),
            np.ones((2, 6)),
            {"image_shape": (2, 3)},
            "outputs of the shape of x",
        ),
    ],
)
def test_what_is_no_image_is_refused(model, x, options, match):
    with pytest.raises(ValueError, match=match):
        plot_reconstructions(model, x, **options)
