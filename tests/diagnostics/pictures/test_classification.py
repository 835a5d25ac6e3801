"""What the pictures of classifiers show."""

import numpy as np
import pytest
from drawn_axes import legend_of, numbers_of, outside, ticks_of

from backprop import diagnostics
from backprop.diagnostics import (
    plot_calibration_curve,
    plot_confusion_matrix,
    plot_precision_recall_curve,
    plot_roc_curve,
)

Y, SCORE = [0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]
CURVES = [plot_roc_curve, plot_precision_recall_curve]
LONG = ["T-shirts of pure $ cotton $ for summer evenings", "_hidden", "Ωmega", "two\nlines"]


def of_classes(n, rows=600):
    rng = np.random.default_rng(0)
    y = np.append(np.arange(n), rng.integers(0, n, rows))
    score = rng.random((len(y), n))
    score[np.arange(len(y)), y] += np.linspace(0, 1, n)[y]
    return y, score


# --------------------------------------------------------------------------------------- confusion


def test_the_matrix_is_drawn_with_its_numbers_and_names():
    ax = plot_confusion_matrix([0, 1, 1, 2], [0, 1, 0, 2], labels=["cat", "dog", "emu"])

    matrix = diagnostics.confusion_matrix([0, 1, 1, 2], [0, 1, 0, 2])
    assert np.array_equal(numbers_of(ax.images[0]), matrix)
    assert {t.get_position(): t.get_text() for t in ax.texts} == {
        (j, i): f"{n:.0f}" for (i, j), n in np.ndenumerate(matrix)
    }
    assert ticks_of(ax.xaxis) == ticks_of(ax.yaxis) == ["cat", "dog", "emu"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class")


def test_a_share_is_written_in_per_cent():
    ax = plot_confusion_matrix([0, 1, 1], [0, 1, 0], normalize="true")

    assert [t.get_text() for t in ax.texts] == ["100", "0", "50", "50"]
    assert ax.figure.axes[1].get_ylabel() == "fraction of the true class (numbers: %)"


def test_numbers_are_read_on_their_cells():
    ax = plot_confusion_matrix([0] * 9 + [1], [0] * 9 + [0])

    dark, *pale = [t.get_color() for t in ax.texts]
    assert dark == "white" and "white" not in pale


@pytest.mark.parametrize("n", [1, 16, 100])
def test_matrices_of_one_and_of_many_classes_are_drawn(n):
    y, _ = of_classes(n)
    ax = plot_confusion_matrix(y, y[::-1])

    assert len(ax.images[0].get_array()) == n
    assert len(ax.texts) == (1 if n == 1 else 0)
    assert len(ticks_of(ax.xaxis)) <= 25 and ticks_of(ax.xaxis)[0] == "0"
    assert outside(ax.figure) == []


def test_long_names_have_room():
    y, _ = of_classes(4)
    ax = plot_confusion_matrix(y, y, labels=LONG)

    assert ticks_of(ax.yaxis) == ["T-shirts of pur…evenings", "_hidden", "Ωmega", "two lines"]
    assert outside(ax.figure) == []


def test_what_stands_between_dollars_is_no_formula():
    ax = plot_confusion_matrix([0], [0], labels=["$x_1$ \\frac"])

    ax.figure.draw_without_rendering()
    assert ticks_of(ax.xaxis) == [r"\$x_1\$ \frac"]


def test_labels_out_of_range_are_refused():
    with pytest.raises(ValueError, match="knows 2 classes, 0 to 1, and row 2 of y_true"):
        plot_confusion_matrix([0, 1, 2], [0, 1, 1], labels=["a", "b"])


# ---------------------------------------------------------------------------- one against the rest


def test_the_roc_curve_of_two_classes_is_that_of_its_function():
    ax = plot_roc_curve(Y, SCORE)

    fpr, tpr, _ = diagnostics.roc_curve(Y, SCORE)
    chance, line = ax.lines
    assert list(chance.get_xdata()) == list(chance.get_ydata()) == [0, 1]
    assert np.array_equal(line.get_xdata(), fpr) and np.array_equal(line.get_ydata(), tpr)
    assert legend_of(ax) == ["class 1 (AUC = 0.750)"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("false positive rate", "true positive rate")


def test_the_precision_recall_curve_of_two_classes_is_that_of_its_function():
    ax = plot_precision_recall_curve(Y, SCORE, labels=["ham", "spam"])

    precision, recall, _ = diagnostics.precision_recall_curve(Y, SCORE)
    (line,) = ax.lines
    assert np.array_equal(line.get_xdata(), recall) and np.array_equal(line.get_ydata(), precision)
    assert line.get_drawstyle() == "steps-post"  # nothing is interpolated, as in the mean
    assert legend_of(ax) == ["spam (AP = 0.833)"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("recall", "precision")


@pytest.mark.parametrize("plot", CURVES)
def test_two_columns_are_one_curve(plot):
    both = np.stack([1 - np.array(SCORE), SCORE], 1)

    drawn = [plot(Y, s).lines[-1].get_xydata() for s in (SCORE, np.array(SCORE)[:, None], both)]

    assert np.array_equal(drawn[0], drawn[1]) and np.array_equal(drawn[0], drawn[2])


@pytest.mark.parametrize(
    ("plot", "area", "what"),
    [
        (plot_roc_curve, diagnostics.roc_auc_score, "AUC"),
        (plot_precision_recall_curve, diagnostics.average_precision_score, "AP"),
    ],
)
def test_each_of_a_few_classes_has_a_curve_against_the_rest(plot, area, what):
    y, score = of_classes(3)

    one_hot = legend_of(plot(np.eye(3)[y], score))

    areas = [area(y == k, score[:, k]) for k in range(3)]
    assert one_hot == [f"class {k} ({what} = {a:.3f})" for k, a in enumerate(areas)]
    assert legend_of(plot(y, score)) == one_hot


@pytest.mark.parametrize("plot", CURVES)
def test_of_many_classes_the_worst_are_named(plot):
    y, score = of_classes(100)
    area, what = {
        plot_roc_curve: (diagnostics.roc_auc_score, "AUC"),
        plot_precision_recall_curve: (diagnostics.average_precision_score, "AP"),
    }[plot]

    ax = plot(y, score)

    areas = [area(y == k, score[:, k]) for k in range(100)]
    worst = [f"class {k} ({what} = {areas[k]:.3f})" for k in np.argsort(areas)[:3]]
    assert legend_of(ax) == [f"100 classes (mean {what} = {np.mean(areas):.3f})", *worst]
    assert sum(line.get_color() == "0.65" for line in ax.lines) == 100
    assert outside(ax.figure) == []


@pytest.mark.parametrize("plot", CURVES)
def test_a_class_without_rows_has_no_curve(plot):
    score = of_classes(3)[1][:4]

    assert len(legend_of(plot([0, 0, 1, 1], score))) == 2


@pytest.mark.parametrize("plot", CURVES)
def test_names_that_begin_with_an_underscore_are_in_the_legend(plot):
    y, score = of_classes(4)
    ax = plot(y, score, labels=LONG)

    assert [text.split(" (A")[0] for text in legend_of(ax)] == [
        "T-shirts of pur…evenings", "_hidden", "Ωmega", "two lines"
    ]  # fmt: skip
    assert outside(ax.figure) == []


@pytest.mark.parametrize(
    ("plot", "arguments", "match"),
    [
        (plot_roc_curve, ([1, 1], [0.1, 0.2]), "no curve to draw: .* all 2 are of class 1"),
        (plot_precision_recall_curve, ([0, 0], [0.1, 0.2]), "no curve to draw"),
        (plot_roc_curve, ([0, 3], np.eye(3)[:2]), "knows 3 classes"),
        (plot_roc_curve, ([0, 1, 1], [0.1, 0.2]), "got 2 and 3"),
        (plot_roc_curve, ([0, 1], [0.1, np.inf]), "finite: row 1 is inf"),
        (plot_roc_curve, ([0, 1], np.zeros((2, 2, 2))), r"got \(2, 2, 2\)"),
    ],
)
def test_what_has_no_curve_is_refused(plot, arguments, match):
    with pytest.raises(ValueError, match=match):
        plot(*arguments)


def test_labels_are_of_all_classes():
    with pytest.raises(ValueError, match="labels to name 2 classes, got 3"):
        plot_roc_curve(Y, SCORE, labels=["a", "b", "c"])


# ------------------------------------------------------------------------------------- calibration


def test_the_calibration_of_class_1_is_that_of_its_function():
    rng = np.random.default_rng(0)
    p = rng.random(500)
    y = rng.random(500) < p**2

    ax = plot_calibration_curve(y, p, n_bins=7, strategy="quantile")

    right, at = diagnostics.calibration_curve(y, p, n_bins=7, strategy="quantile")
    perfect, line = ax.lines
    assert list(perfect.get_xdata()) == list(perfect.get_ydata()) == [0, 1]
    assert np.allclose(line.get_xydata(), np.stack([at, right], 1))
    assert np.allclose(ax.collections[0].get_offsets(), line.get_xydata())
    assert ax.get_ylabel() == "fraction of class 1"


def test_of_several_classes_the_most_probable_one_counts():
    p = np.array([[0.8, 0.1, 0.1], [0.1, 0.9, 0.0], [0.1, 0.1, 0.8], [0.6, 0.2, 0.2]])

    ax = plot_calibration_curve([0, 1, 0, 1], p, n_bins=2)

    assert np.allclose(ax.lines[1].get_xydata(), [[0.775, 0.5]])
    assert legend_of(ax) == ["perfectly calibrated", "4 rows (ECE = 0.275)"]
    assert ax.get_ylabel() == "fraction that is right"


def test_points_are_as_large_as_there_are_rows():
    ax = plot_calibration_curve([0, 0, 0, 1], [0.1, 0.1, 0.1, 0.9], n_bins=2)

    assert list(ax.collections[0].get_sizes()) == [120, 50]


def test_one_row_is_a_point():
    ax = plot_calibration_curve([1], [0.7])

    assert legend_of(ax)[1] == "1 row (ECE = 0.300)"
    assert ax.collections[0].get_offsets().tolist() == [[0.7, 1.0]]


@pytest.mark.parametrize(
    ("y", "p", "match"),
    [
        ([0, 1], [2.0, -3.0], "of logits take the sigmoid or softmax"),
        ([0, 5], np.full((2, 3), 1 / 3), "knows 3 classes"),
        ([0, 1, 1], np.full((2, 3), 1 / 3), "got 2 and 3"),
    ],
)
def test_what_is_no_probability_is_refused(y, p, match):
    with pytest.raises(ValueError, match=match):
        plot_calibration_curve(y, p)
