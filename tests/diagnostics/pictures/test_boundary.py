"""What a model says in the plane of two features."""

import numpy as np
import pytest
from drawn_axes import legend_of, numbers_of, outside

import backprop as bp
from backprop.diagnostics import decision_grid, plot_decision_boundary

X = np.array([[0.0, 0.0, 5.0], [2.0, 1.0, 6.0], [4.0, 4.0, 9.0]])


def plane(rows):
    """Its value is the first feature, and 100 times the third."""
    return rows[:, :1] + 100 * rows[:, 2:3]


def thirds(rows):
    """The class is 0 left of 1, 1 left of 3, then 2."""
    a = rows[:, 0]
    return np.stack([a < 1, (a >= 1) & (a < 3), a >= 3], 1).astype(float)


def test_the_grid_is_where_the_rows_are_and_other_features_are_at_their_medians():
    across, down, y = decision_grid(plane, X, columns=(1, 0), steps=5)

    assert np.allclose(across, np.linspace(-0.32, 4.32, 5)) and np.allclose(down, across)
    assert np.allclose(y[..., 0], down[:, None] + 600)
    assert np.allclose(y[0], y[0, 0])


def test_a_grid_of_more_points_than_a_batch_has_rows_is_one_prediction():
    _, _, y = decision_grid(plane, X, steps=70)

    assert y.shape == (70, 70, 1) and np.allclose(y[0, :, 0], y[-1, :, 0])


def test_one_output_is_drawn_by_its_value_around_the_boundary():
    ax = plot_decision_boundary(lambda rows: rows[:, :1], X, [0, 0, 1], boundary=1.0, steps=50)

    across, down, y = decision_grid(lambda rows: rows[:, :1], X, steps=50)
    (image,) = ax.images
    assert np.array_equal(numbers_of(image), y[..., 0])
    assert np.mean(image.get_clim()) == pytest.approx(1.0)
    edge = ax.collections[0].get_paths()[0].vertices
    assert np.allclose(edge[:, 0], 1.0) and np.allclose(np.sort(edge[:, 1])[[0, -1]], down[[0, -1]])
    assert np.allclose(ax.get_xlim(), across[[0, -1]])


def test_of_several_outputs_the_largest_is_drawn_in_the_colour_of_its_points():
    ax = plot_decision_boundary(thirds, X, [0, 1, 2], steps=50)

    regions = np.asarray(ax.images[0].get_array())[0, [0, 25, 49], :3]
    points = [c.get_facecolor()[0, :3] for c in ax.collections if "class" in c.get_label()]
    lighter = (1 - regions) / (1 - np.array(points))  # a tint is a part of the way from white
    assert np.allclose(lighter, 0.38)
    assert legend_of(ax) == ["class 0", "class 1", "class 2"]


def test_the_rows_are_drawn_by_class():
    ax = plot_decision_boundary(plane, X, [1, 0, 1], columns=(2, 1), labels=["no", "yes"])

    drawn = {str(c.get_label()): c.get_offsets().tolist() for c in ax.collections}
    assert drawn["no"] == [[6.0, 1.0]] and drawn["yes"] == [[5.0, 0.0], [9.0, 4.0]]


def test_features_have_names():
    ax = plot_decision_boundary(plane, X, columns=(2, 0), features=["size", "age", "price in $"])

    assert (ax.get_xlabel(), ax.get_ylabel()) == (r"price in \$", "size")
    assert plot_decision_boundary(plane, X).get_xlabel() == "feature 0"


def test_an_estimators_method_is_a_model():
    bp.utils.set_random_seed(0)
    model = bp.Sequential([bp.Input((2,)), bp.layers.Dense(3, "softmax")])

    grids = [
        decision_grid(m, X[:, :2], steps=4)[2]
        for m in (model, lambda x: model.predict(x, verbose=0))
    ]

    assert np.allclose(*grids)


def test_what_is_not_finite_is_pink():
    ax = plot_decision_boundary(
        lambda rows: np.where(rows[:, :1] > 2, np.nan, rows[:, :1]), X, [0, 0, 1], steps=20
    )

    value, cover = ax.images
    lost = np.isnan(numbers_of(value))
    assert lost.any() and np.array_equal(np.asarray(cover.get_array())[..., 3] > 0, lost)
    assert "not finite" in legend_of(ax)
    of_classes = plot_decision_boundary(lambda r: thirds(r) * np.where(r[:, :1] > 2, np.nan, 1), X)
    assert legend_of(of_classes) == ["not finite"]


def test_one_row_and_a_model_of_many_classes_are_drawn():
    one = plot_decision_boundary(thirds, X[:1], [0])
    many = plot_decision_boundary(lambda rows: -((rows[:, :1] * 20 - np.arange(100)) ** 2), X)

    assert np.allclose(one.get_xlim(), [-1, 1])
    assert outside(one.figure) == outside(many.figure) == []


@pytest.mark.parametrize(
    ("model", "arguments", "options", "match"),
    [
        (plane, (X[0],), {}, r"\(n, d\), got \(3,\)"),
        (plane, (X[:, :1],), {}, "at least two features"),
        (plane, (X * np.nan,), {}, "x to be finite"),
        (plane, (X,), {"columns": (0, 3)}, "two different features of 0 to 2"),
        (plane, (X,), {"columns": (1, 1)}, "two different features"),
        (plane, (X,), {"steps": 1}, "steps"),
        (plane, (X, [0, 1, 2]), {}, "knows 2 classes, 0 to 1, and row 2 of y"),
        (plane, (X, [0, 1]), {}, "y for each of 3 rows, got 2"),
        (plane, (X, [0, 1, 1]), {"labels": ["a"]}, "knows 1 classes"),
        (plane, (X,), {"labels": ["a"]}, "together with y"),
        (plane, (X,), {"features": ["a"]}, "features to name 3, got 1"),
        (plane, (X,), {"boundary": np.nan}, "boundary"),
        (lambda x: [x, x], (X,), {}, "a model of one output"),
        (lambda x: x[:, None], (X,), {}, r"\(n, k\) for rows"),
    ],
)
def test_what_does_not_fit_is_refused(model, arguments, options, match):
    with pytest.raises(ValueError, match=match):
        plot_decision_boundary(model, *arguments, **options)
