"""What a model says everywhere in the plane of two features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from backprop.checks import array, integer, number, sequence
from backprop.diagnostics.pictures import scores
from backprop.diagnostics.pictures.given import outputs
from backprop.diagnostics.pictures.look import (
    axes_for,
    colour_bar,
    limits,
    plain,
    show,
    tidy,
)
from backprop.diagnostics.pictures.points import NAMED, class_colour, class_names, draw_points
from backprop.layer import Array

MARGIN = 0.08  # of a feature's range, around all rows
COLUMNS = (0, 1)


def decision_grid(
    model: Callable[[Array], Any],
    x: Any,
    *,
    columns: Sequence[int] = COLUMNS,
    steps: int = 200,
) -> tuple[Array, Array, Array]:
    """What a model puts out on a grid of two features, all others at their medians.

    Parameters
    ----------
    model : Sequential, Model or callable
        Or any function of rows: the `predict_proba` of an estimator.
    x : array_like, (n, d)
        Rows, within whose range, and a little more, the grid lies.
    columns : (int, int), default (0, 1)
        Which features.
    steps : int, default 200
        Points of the grid along each of them.

    Returns
    -------
    across, down : ndarray, (steps,)
        Values of both features.
    y : ndarray, (steps, steps, outputs)
        ``y[i, j]`` is at ``(across[j], down[i])``.

    Raises
    ------
    ValueError
        For what are no rows of finite numbers, and columns that are not there.

    Examples
    --------
    >>> import backprop as bp
    >>> first = lambda x: x[:, :1]
    >>> across, down, y = bp.diagnostics.decision_grid(first, [[0, 0], [1, 1]], steps=3)
    >>> across, y[0, :, 0]
    (array([-0.08,  0.5 ,  1.08]), array([-0.08,  0.5 ,  1.08]))
    """
    who = "decision_grid()"
    x, (first, second) = rows_of(x, columns, who)
    steps = integer(steps, who, "steps", 2)
    across, down = (around(x[:, k], steps) for k in (first, second))
    rows = np.repeat(np.median(x, axis=0)[None], steps * steps, 0)
    rows[:, first], rows[:, second] = np.tile(across, steps), np.repeat(down, steps)
    y = outputs(model, rows, who)
    if y.ndim > 2:
        raise ValueError(f"{who} expects the model to put out (n, k) for rows, got {y.shape}")
    return across, down, y.reshape(steps, steps, -1)


def plot_decision_boundary(
    model: Callable[[Array], Any],
    x: Any,
    y: Any = None,
    *,
    columns: Sequence[int] = COLUMNS,
    boundary: float = 0.5,
    labels: Sequence[Any] | None = None,
    features: Sequence[Any] | None = None,
    steps: int = 200,
    ax: Any = None,
    title: str = "",
) -> Any:
    """Draw what a model says in the plane of two features, and the rows of a table in it.

    Parameters
    ----------
    model, x, columns, steps
        As in `decision_grid`.
    y : array_like of int, (n,), optional
        The classes of the rows.
    boundary : float, default 0.5
        Of one output for two classes: where class 1 begins; 0 for logits. Of several outputs the
        largest counts.
    labels : sequence of str, optional
        The names of the classes, in the order of their numbers. Default: the numbers.
    features : sequence of str, optional
        The names of all features. Default: their numbers.
    ax : matplotlib Axes, optional
        Where to draw. Default: new ones.
    title : str, optional

    Returns
    -------
    matplotlib Axes
        One output is drawn by its value, several by the class of the largest; the lines are the
        boundaries.

    Raises
    ------
    ImportError
        Without matplotlib: install ``backprop[plot]``.
    ValueError
        As `decision_grid`, and for classes and names that do not fit.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> import backprop as bp
    >>> x = np.array([[0.0, 0.0], [1.0, 1.0]])
    >>> model = bp.Sequential([bp.Input((2,)), bp.layers.Dense(1, "sigmoid")])
    >>> ax = bp.diagnostics.plot_decision_boundary(model, x, [0, 1], features=["size", "age"])
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('size', 'age')
    >>> plt.close()
    """
    who = "plot_decision_boundary()"
    boundary = number(boundary, who, "boundary")
    rows, (first, second) = rows_of(x, columns, who)
    classes, names = class_names(y, labels, len(rows), who)
    named = [f"feature {k}" for k in range(rows.shape[1])]
    if features is not None:
        named = list(map(str, sequence(features, who, "features")))
        if len(named) != rows.shape[1]:
            raise ValueError(f"{who} expects features to name {rows.shape[1]}, got {len(named)}")
    across, down, found = decision_grid(model, rows, columns=columns, steps=steps)
    n = max(found.shape[2], 2)
    if classes is not None:
        scores.in_range(classes, n, "y", who)
    ax = axes_for(ax, who, 5.6, 4.2)
    half = [(v[1] - v[0]) / 2 for v in (across, down)]
    place = {
        "extent": (
            across[0] - half[0],
            across[-1] + half[0],
            down[0] - half[1],
            down[-1] + half[1],
        ),
        "origin": "lower",
        "aspect": "auto",
        "zorder": 0,
    }
    finite = np.asarray(np.isfinite(found).all(-1))
    if found.shape[2] == 1:
        value = found[..., 0]
        _, spread = limits(value - boundary, signed=True)
        span = {"vmin": boundary - spread, "vmax": boundary + spread}
        image = show(ax, value, cmap=two_tints(), **span, **place)
        colour_bar(ax, image, "output")
        edges = [value - boundary]
    else:
        best = found.argmax(-1)
        shade = np.take([tinted(class_colour(k)) for k in range(n)], best, 0)
        show(ax, np.where(finite[..., None], shade, np.nan), **place)
        here = np.unique(best[finite])
        edges = [np.equal(best, k) - 0.5 for k in here if len(here) <= NAMED]
    for edge in edges:
        edge = np.where(finite, edge, np.nan)
        if np.nanmin(edge, initial=0) < 0 < np.nanmax(edge, initial=0):
            ax.contour(across, down, edge, [0], colors="0.25", linewidths=1)
    draw_points(ax, rows[:, [first, second]], classes, names)
    ax.set_xlim(across[0], across[-1])
    ax.set_ylim(down[0], down[-1])
    return tidy(ax, title, plain(named[first], 60), plain(named[second], 60), grid=False)


def rows_of(x: Any, columns: Sequence[int], who: str) -> tuple[Array, tuple[int, int]]:
    """Rows, and the two columns that span the plane."""
    x = array(x, who, "x", finite=True)
    if x.ndim != 2 or not len(x) or x.shape[1] < 2:
        raise ValueError(f"{who} expects rows of at least two features, x: (n, d), got {x.shape}")
    pair = [integer(k, who, "each of columns", 0) for k in sequence(columns, who, "columns")]
    if len(pair) != 2 or pair[0] == pair[1] or max(pair) >= x.shape[1]:
        raise ValueError(
            f"{who} expects columns to be two different features of 0 to {x.shape[1] - 1}, "
            f"got {columns!r}"
        )
    return x, (pair[0], pair[1])


def around(values: Array, steps: int) -> Array:
    """The range of a feature and a little more; where it has one value, 1 to both sides."""
    low, high = float(values.min()), float(values.max())
    margin = MARGIN * (high - low) or 1.0
    return np.linspace(low - margin, high + margin, steps)


def two_tints() -> Any:
    """From the tone of class 0 through white to that of class 1."""
    from matplotlib.colors import LinearSegmentedColormap

    tones = [tinted(class_colour(0), 0.7), (1, 1, 1), tinted(class_colour(1), 0.7)]
    return LinearSegmentedColormap.from_list("two classes", tones)


def tinted(colour: str, strength: float = 0.38) -> tuple[float, ...]:
    """A light tone of a colour, on which its points are seen."""
    return tuple(1 - strength * (1 - int(colour[i : i + 2], 16) / 255) for i in (1, 3, 5))
