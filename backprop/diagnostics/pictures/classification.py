"""Pictures of how well classes are told apart: confusion, ROC, precision-recall, calibration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from backprop.checks import sequence
from backprop.diagnostics.pictures import scores
from backprop.diagnostics.pictures.look import (
    COLOURS,
    axes_for,
    colour_bar,
    legend,
    line_style,
    named_ticks,
    plain,
    room,
    show,
    tidy,
)

FEW = 6  # classes that have a line with a name of its own
WORST = 3  # of many, those that are named
NUMBERS = 15  # classes of which each cell of the matrix says its number


def plot_confusion_matrix(
    y_true: Any,
    y_pred: Any,
    *,
    labels: Sequence[Any] | None = None,
    normalize: str | None = None,
    ax: Any = None,
    title: str = "",
) -> Any:
    """Draw how many rows of each class were taken for which.

    Parameters
    ----------
    y_true, y_pred, normalize
        As in `confusion_matrix`.
    labels : sequence of str, optional
        The names of all classes, in the order of their numbers. Default: the numbers.
    ax : matplotlib Axes, optional
        Where to draw. Default: new ones.
    title : str, optional

    Returns
    -------
    matplotlib Axes
        Of more than 15 classes the cells show a colour alone.

    Raises
    ------
    ImportError
        Without matplotlib: install ``backprop[plot]``.
    ValueError
        For what is no class, and arrays that do not fit.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import backprop as bp
    >>> ax = bp.diagnostics.plot_confusion_matrix([0, 1, 1], [0, 1, 0], labels=["cat", "dog"])
    >>> [text.get_text() for text in ax.texts]
    ['1', '0', '1', '1']
    >>> plt.close()
    """
    n = None if labels is None else len(sequence(labels, "plot_confusion_matrix()", "labels"))
    matrix = scores.confusion_matrix(y_true, y_pred, n_classes=n, normalize=normalize)
    n = len(matrix)
    names = list(map(str, range(n) if labels is None else labels))
    side = min(max(2.2, 0.42 * n), 6.0) + 0.5
    ax = axes_for(ax, "plot_confusion_matrix()", side + 0.9 + room(names), side + room(names))
    image = show(ax, matrix, cmap="Blues", vmin=0, vmax=matrix.max() or 1)
    colour_bar(ax, image, share_of(normalize))
    named_ticks(ax.xaxis, names)
    named_ticks(ax.yaxis, names)
    if n <= NUMBERS:
        write_cells(ax, matrix, normalize)
    tidy(ax, title, "predicted class", "true class", grid=False)
    ax.spines[:].set_visible(False)
    return ax


def write_cells(ax: Any, matrix: np.ndarray, normalize: str | None) -> None:
    """The number of each cell, as large as there is room for; 0 is pale."""
    widest = max(len(cell(v, normalize)) for v in matrix.flat)
    points = ax.get_window_extent().width / ax.figure.canvas.figure.dpi * 72
    size = min(10.0, points * 0.8 / (len(matrix) * max(widest, 2) * 0.62))
    for (i, j), value in np.ndenumerate(matrix):
        dark = value > 0.55 * matrix.max()
        colour = "white" if dark else "#10304f" if value else "#93a5b8"
        text = cell(value, normalize)
        ax.text(j, i, text, fontsize=size, ha="center", va="center", color=colour)


def cell(value: float, normalize: str | None) -> str:
    return f"{value:.0f}" if normalize is None else f"{100 * value:.0f}"


def share_of(normalize: str | None) -> str:
    kinds = {"true": "of the true class", "pred": "of the predicted class", "all": "of all rows"}
    return "rows" if normalize is None else f"fraction {kinds[normalize]} (numbers: %)"


def plot_roc_curve(
    y_true: Any,
    y_score: Any,
    *,
    labels: Sequence[Any] | None = None,
    ax: Any = None,
    title: str = "",
) -> Any:
    """Draw the true positive rate against the false positive rate, for each class against the rest.

    Parameters
    ----------
    y_true : array_like, (n,) or (n, classes)
        Class numbers, or one-hot rows.
    y_score : array_like, (n,), (n, 1) or (n, classes)
        What a network puts out: one number, higher where class 1 is more likely, or one for each
        class. Two columns are drawn as class 1 alone.
    labels : sequence of str, optional
        The names of all classes, in the order of their numbers. Default: the numbers.
    ax : matplotlib Axes, optional
        Where to draw. Default: new ones.
    title : str, optional

    Returns
    -------
    matplotlib Axes
        The legend has the area under each curve (AUC). Of more than 6 classes the three with the
        least are named, and the mean. A class that no row is of, or every row, has no curve.

    Raises
    ------
    ImportError
        Without matplotlib: install ``backprop[plot]``.
    ValueError
        For what is no class, scores that are not finite, arrays that do not fit, and where no class
        has a curve.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import backprop as bp
    >>> ax = bp.diagnostics.plot_roc_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> ax.get_legend().get_texts()[0].get_text()
    'class 1 (AUC = 0.750)'
    >>> plt.close()
    """
    who = "plot_roc_curve()"
    found = against_the_rest(y_true, y_score, labels, scores.roc_curve, scores.roc_auc_score, who)
    ax = axes_for(ax, who, 4.6, 4.2)
    ax.plot([0, 1], [0, 1], color="0.5", linewidth=1, linestyle="--", label="_nolegend_")
    draw_each(ax, [(fpr, tpr, area, name) for (fpr, tpr, _), area, name in found], "AUC")
    legend(ax, loc="lower right")
    square(ax)
    return tidy(ax, title, "false positive rate", "true positive rate")


def plot_precision_recall_curve(
    y_true: Any,
    y_score: Any,
    *,
    labels: Sequence[Any] | None = None,
    ax: Any = None,
    title: str = "",
) -> Any:
    """Draw precision against recall, for each class against the rest.

    Parameters
    ----------
    y_true, y_score, labels
        As in `plot_roc_curve`.
    ax : matplotlib Axes, optional
        Where to draw. Default: new ones.
    title : str, optional

    Returns
    -------
    matplotlib Axes
        The legend has the average precision (AP) of each curve. Of more than 6 classes the three
        with the least are named, and the mean. A class that no row is of has no curve.

    Raises
    ------
    ImportError
        Without matplotlib: install ``backprop[plot]``.
    ValueError
        For what is no class, scores that are not finite, arrays that do not fit, and where no class
        has a curve.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import backprop as bp
    >>> ax = bp.diagnostics.plot_precision_recall_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> ax.get_legend().get_texts()[0].get_text()
    'class 1 (AP = 0.833)'
    >>> plt.close()
    """
    who = "plot_precision_recall_curve()"
    curve, mean = scores.precision_recall_curve, scores.average_precision_score
    found = against_the_rest(y_true, y_score, labels, curve, mean, who)
    ax = axes_for(ax, who, 4.6, 4.2)
    draw_each(ax, [(recall, p, area, name) for (p, recall, _), area, name in found], "AP", "post")
    legend(ax, loc="lower left")
    square(ax)
    return tidy(ax, title, "recall", "precision")


def plot_calibration_curve(
    y_true: Any,
    y_prob: Any,
    *,
    n_bins: int = 10,
    strategy: str = "uniform",
    ax: Any = None,
    title: str = "",
) -> Any:
    """Draw how often predictions are right against how sure they are: the reliability diagram.

    Parameters
    ----------
    y_true : array_like, (n,) or (n, classes)
        Class numbers, or one-hot rows.
    y_prob : array_like, (n,), (n, 1) or (n, classes)
        Probabilities: of class 1, as in `calibration_curve`; or, in more than two columns, of each
        class, where the most probable class counts, and how often that is the true one.
    n_bins : int, default 10
    strategy : {"uniform", "quantile"}, default "uniform"
        Bins of equal width, or of equally many rows.
    ax : matplotlib Axes, optional
        Where to draw. Default: new ones.
    title : str, optional

    Returns
    -------
    matplotlib Axes
        A point for each bin that is not empty, the larger the more rows are in it. The legend has
        the expected calibration error, ECE = Σ_bins n_bin / n |fraction - mean probability|.

    Raises
    ------
    ImportError
        Without matplotlib: install ``backprop[plot]``.
    ValueError
        For what is no probability, and arrays that do not fit.

    References
    ----------
    Guo et al.: On calibration of modern neural networks, 2017.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import backprop as bp
    >>> ax = bp.diagnostics.plot_calibration_curve([0, 0, 1, 1], [0.1, 0.2, 0.7, 0.9], n_bins=2)
    >>> ax.get_legend().get_texts()[1].get_text()
    '4 rows (ECE = 0.175)'
    >>> plt.close()
    """
    who = "plot_calibration_curve()"
    prob = scores.numbers(y_prob, "y_prob", who)
    several = prob.ndim == 2 and prob.shape[1] > 2
    if several:
        true = scores.class_numbers(y_true, "y_true", who)
        scores.same_length(true, prob, "y_prob", who)
        scores.in_range(true, prob.shape[1], "y_true", who)
        true, prob = true == prob.argmax(1), prob.max(1)
    else:
        true, prob = scores.binary(y_true, prob[:, -1] if prob.ndim == 2 else prob, "y_prob", who)
    counts, right, foreseen = scores.binned(true, prob, n_bins, strategy, who)
    error = np.abs(right - foreseen).sum() / counts.sum()
    ax = axes_for(ax, who, 4.6, 4.2)
    ax.plot([0, 1], [0, 1], color="0.5", linewidth=1, linestyle="--", label="perfectly calibrated")
    rows = "row" if len(prob) == 1 else "rows"
    at, share = foreseen / counts, right / counts
    ax.plot(at, share, label=f"{len(prob):,} {rows} (ECE = {error:.3f})", **line_style(0))
    ax.scatter(
        at, share, 15 + 105 * counts / counts.max(), color=COLOURS[0], zorder=3, clip_on=False
    )
    legend(ax, loc="best")
    square(ax)
    if several:
        return tidy(ax, title, "mean probability of the predicted class", "fraction that is right")
    return tidy(ax, title, "mean predicted probability of class 1", "fraction of class 1")


# ---------------------------------------------------------------------------------- one curve each


def against_the_rest(
    y_true: Any,
    y_score: Any,
    labels: Sequence[Any] | None,
    curve: Callable,
    area: Callable,
    who: str,
) -> list[tuple[Any, float, str]]:
    """The curve of each class that has one, the area below it, and its name."""
    true = scores.class_numbers(y_true, "y_true", who)
    score = scores.numbers(y_score, "y_score", who)
    scores.same_length(true, score, "y_score", who)
    single = score.ndim == 1 or score.shape[1] <= 2
    n = 2 if single else score.shape[1]
    scores.in_range(true, n, "y_true", who)
    names = [f"class {k}" for k in range(n)]
    if labels is not None:
        names = list(map(str, sequence(labels, who, "labels")))
        if len(names) != n:
            raise ValueError(f"{who} expects labels to name {n} classes, got {len(names)}")
    score = score.reshape(-1, 1) if single and score.ndim == 1 else score
    columns = {1: score[:, -1]} if single else dict(enumerate(score.T))
    found, why = [], None
    for k, column in columns.items():
        try:
            found.append((curve(true == k, column), area(true == k, column), names[k]))
        except ValueError as error:  # no row is of this class, or every one
            why = error
    if not found:
        raise ValueError(f"{who} has no curve to draw: {why}") from why
    return found


def draw_each(
    ax: Any, curves: list[tuple[Any, Any, float, str]], what: str, steps: str = ""
) -> None:
    """A line for each (x, y, area, name); of many the worst in colour, all others grey."""
    drawstyle = f"steps-{steps}" if steps else "default"
    many = len(curves) > FEW
    worst = sorted(curves, key=lambda c: c[2])[:WORST]
    if many:
        mean = float(np.mean([area for _, _, area, _ in curves]))
        for k, (x, y, _, _) in enumerate(curves):
            label = f"{len(curves)} classes (mean {what} = {mean:.3f})" if k == 0 else "_nolegend_"
            ax.plot(x, y, color="0.65", linewidth=0.7, label=label, drawstyle=drawstyle)
    for k, (x, y, area, name) in enumerate(worst if many else curves):
        label = f"{plain(name)} ({what} = {area:.3f})"
        ax.plot(x, y, label=label, drawstyle=drawstyle, **line_style(k))


def square(ax: Any) -> None:
    """Two fractions, to one scale."""
    ax.set_xlim(-0.02, 1.02)
    ax.set_ylim(-0.02, 1.02)
    ax.set_aspect("equal")
