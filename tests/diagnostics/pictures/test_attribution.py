"""Saliency is the derivative, occlusion the difference that covering makes."""

import numpy as np
import pytest
from drawn_axes import legend_of, numbers_of, outside, ticks_of

import backprop as bp
from backprop.diagnostics import occlusion, plot_occlusion, plot_saliency, saliency
from backprop.layers import Conv2D, Dense, Flatten, Rescaling, Reshape


@pytest.fixture
def model():
    bp.utils.set_random_seed(0)
    return bp.Sequential(
        [
            bp.Input((6, 5, 2)),
            Conv2D(4, 3, activation="tanh"),
            Flatten(),
            Dense(3, "softmax"),
        ]
    ).astype("float64")


@pytest.fixture
def table():
    bp.utils.set_random_seed(0)
    return bp.Sequential([bp.Input((4,)), Dense(5, "tanh"), Dense(2)])


X = np.random.default_rng(0).normal(size=(3, 6, 5, 2))


# ------------------------------------------------------------------------------------ saliency


@pytest.mark.parametrize("output", [None, 0, -1, (1,)])
def test_saliency_is_what_finite_differences_are(model, output):
    found = saliency(model, X, output=output)

    best = model(X).argmax(1) if output is None else [np.ravel(output)[0]] * 3
    for place in [(0, 0, 0), (3, 2, 1), (5, 4, 1)]:
        step = np.zeros(X.shape)
        step[:, *place] = 1e-5
        rise = (model(X + step) - model(X - step))[range(3), best] / 2e-5
        np.testing.assert_allclose(found[:, *place], rise, rtol=1e-5, atol=1e-9)
    assert found.shape == X.shape


def test_an_output_of_several_axes_has_places():
    whole = bp.Sequential([bp.Input((2, 3)), Rescaling(2.0)])

    found = saliency(whole, np.ones((1, 2, 3)), output=(1, 2))

    assert np.array_equal(found, [[[0, 0, 0], [0, 0, 2]]])


def test_the_model_is_left_as_it_was(model):
    before = [w.copy() for w in model.get_weights()]
    saliency(model, X), occlusion(model, X[0])

    assert all(map(np.array_equal, before, model.get_weights()))


def test_saliency_is_drawn_beside_its_image(model):
    ax = plot_saliency(model, X[0], output=1)

    given, found = ax.images
    slope = np.abs(saliency(model, X[:1], output=1)[0]).max(-1)
    assert np.allclose(numbers_of(found), slope) and found.get_clim() == (0, slope.max())
    assert np.allclose(numbers_of(given), X[0].mean(-1))
    assert given.get_extent()[1] < found.get_extent()[0]
    assert ticks_of(ax.xaxis) == ["input", "|dy / dx|"]


def test_the_slope_of_a_table_has_a_bar_for_each_feature(table):
    x = np.array([1.0, -2.0, 0.5, 3.0])

    ax = plot_saliency(table, x, output=0, features=["a", "b", "c", "d"])

    slope = saliency(table, x[None], output=0)[0]
    order = np.argsort(np.abs(slope))
    assert ticks_of(ax.yaxis) == ["abcd"[i] for i in order]  # the largest on top
    assert np.allclose([bar.get_width() for bar in ax.patches], slope[order])


def test_of_many_features_the_largest_have_bars():
    whole = bp.Sequential([bp.Input((50,)), Dense(1, kernel_initializer="zeros")])
    whole.layers[0].kernel[:, 0] = np.arange(50)

    ax = plot_saliency(whole, np.ones(50))

    assert ticks_of(ax.yaxis) == [f"x[{i}]" for i in range(30, 50)]
    assert ax.get_ylabel() == "20 of 50 features" and outside(ax.figure) == []


# ----------------------------------------------------------------------------------- occlusion


def linear(shape):
    """Its output is the sum of x times 1, 2, 3, ..."""
    n = int(np.prod(shape))
    whole = bp.Sequential([bp.Input(shape), Flatten(), Dense(1, kernel_initializer="zeros")])
    whole.layers[-1].kernel[:, 0] = np.arange(1, n + 1)
    return whole


def by_hand(model, x, size, stride, value):
    total, count = np.zeros(x.shape[:2]), np.zeros(x.shape[:2])
    for i in range(0, x.shape[0] - size + 1, stride):
        for j in range(0, x.shape[1] - size + 1, stride):
            covered = x.copy()
            covered[i : i + size, j : j + size] = value
            total[i : i + size, j : j + size] += (model(x[None]) - model(covered[None]))[0, 0]
            count[i : i + size, j : j + size] += 1
    return total / count


@pytest.mark.parametrize(("size", "stride", "value"), [(1, 1, 0.0), (2, 1, 0.5), (2, 2, 0.0)])
def test_occlusion_is_the_mean_fall_over_all_patches(size, stride, value):
    whole, x = linear((4, 6, 2)), np.random.default_rng(0).normal(size=(4, 6, 2))

    found = occlusion(whole, x, size=size, stride=stride, value=value)

    np.testing.assert_allclose(found, by_hand(whole, x, size, stride, value), rtol=1e-4, atol=1e-4)


def test_the_last_patch_ends_with_the_image():
    found = occlusion(linear((5, 5)), np.ones((5, 5)), size=2, stride=2)

    assert np.isfinite(found).all()


def test_strides_beyond_the_patch_leave_pixels_out():
    found = occlusion(linear((7, 7)), np.ones((7, 7)), size=1, stride=3)

    assert np.array_equal(np.isfinite(found[0]), [True, False, False, True, False, False, True])


def test_by_default_the_patch_is_a_quarter():
    whole, x = linear((8, 12)), np.random.default_rng(0).normal(size=(8, 12))

    assert np.array_equal(occlusion(whole, x), occlusion(whole, x, size=2))


def test_each_number_of_a_row_is_covered_by_itself():
    assert np.allclose(occlusion(linear((3,)), [1.0, 1.0, 2.0]), [1, 2, 6])


def test_a_row_may_be_an_image():
    x = np.random.default_rng(0).normal(size=(4, 3))

    found = occlusion(linear((12,)), x.ravel(), size=2, image_shape=(4, 3))

    np.testing.assert_allclose(found, occlusion(linear((4, 3)), x, size=2), rtol=1e-5)


def test_words_are_covered_too():
    whole = bp.Sequential(
        [bp.Input((4,), dtype="int32"), bp.layers.Embedding(9, 3), Flatten(), Dense(2)]
    )
    x = np.array([3, 1, 4, 1])

    found = occlusion(whole, x, output=1, value=7)

    expected = [
        (whole(x[None]) - whole(np.where(np.arange(4) == i, 7, x)[None]))[0, 1] for i in range(4)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_more_patches_than_a_batch_has_rows_are_all_seen():
    found = occlusion(linear((40, 40)), np.ones((40, 40)), size=1)

    assert np.allclose(found, np.arange(1, 1601).reshape(40, 40), rtol=1e-3, atol=0.5)


def test_occlusion_is_drawn_around_0_beside_its_image(model):
    ax = plot_occlusion(model, X[0], size=2, output=2)

    _, found = ax.images
    fall = occlusion(model, X[0], size=2, output=2)
    low, high = found.get_clim()
    assert np.allclose(numbers_of(found), fall) and low == -high == -np.abs(fall).max()
    assert ticks_of(ax.xaxis) == ["input", "fall of the output"]


def test_colours_are_drawn_as_colours():
    x = np.random.default_rng(0).random((4, 4, 3))
    ax = plot_saliency(bp.Sequential([bp.Input((4, 4, 3)), Flatten(), Dense(2)]), x)

    drawn = np.asarray(ax.images[0].get_array())[..., :3]
    assert np.allclose(drawn, (x - x.min()) / (x.max() - x.min()))


def test_a_slope_that_is_nan_is_shown_as_such():
    whole = bp.Sequential([bp.Input((3,)), Dense(1)])
    whole.layers[0].kernel[1] = np.nan
    image = bp.Sequential([bp.Input((3,)), Reshape((3, 1)), Flatten(), whole.layers[0]])

    bars, tiles = (
        plot_saliency(whole, np.ones(3)),
        plot_saliency(image, np.ones(3), image_shape=(1, 3)),
    )

    assert ticks_of(bars.yaxis)[-1] == "x[1]" and bars.texts[0].get_text() == " nan"
    assert legend_of(tiles) == ["not finite"]


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda m, t: saliency(m, X[0]), ValueError, r"\(n, 6, 5, 2\), got \(6, 5, 2\)"),
        (lambda m, t: saliency(m, X, output=3), ValueError, r"output 3 is outside of \(3,\)"),
        (lambda m, t: saliency(m, X, output=(0, 1)), ValueError, "1 whole numbers"),
        (lambda m, t: saliency(m, X, output="cat"), ValueError, "got 'cat'"),
        (lambda m, t: plot_saliency(m, X), ValueError, "expects one example"),
        (lambda m, t: plot_saliency(m, X[0], features=["a"]), ValueError, "x is an image"),
        (lambda m, t: plot_saliency(t, np.ones(4), features=["a"]), ValueError, "4 numbers, got 1"),
        (lambda m, t: occlusion(m, X[0], size=6), ValueError, "6 is larger than 6 × 5 pixels"),
        (lambda m, t: occlusion(m, X[0], stride=0), ValueError, "stride"),
        (lambda m, t: occlusion(m, X[0], value=np.nan), ValueError, "value"),
        (
            lambda m, t: occlusion(t, np.ones(4), size=2),
            ValueError,
            "size and stride are of images",
        ),
        (
            lambda m, t: occlusion(linear((2, 3, 4, 1)), np.ones((2, 3, 4, 1))),
            ValueError,
            r"draws images, .* got \(2, 3, 4, 1\)",
        ),
        (lambda m, t: saliency(abs, X), TypeError, "expects a Sequential or a Model"),
        (lambda m, t: saliency(two_inputs(), X), ValueError, "one input"),
        (
            lambda m, t: saliency(
                bp.Sequential([bp.Input((2, 3)), Rescaling(1.0)]), np.ones((1, 2, 3))
            ),
            ValueError,
            r"which entry of \(2, 3\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(model, table, call, error, match):
    with pytest.raises(error, match=match):
        call(model, table)


def two_inputs():
    a, b = bp.Input((2,)), bp.Input((2,))
    return bp.Model([a, b], bp.layers.add([a, b]))
