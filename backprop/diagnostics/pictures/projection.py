"""Many features as two: where the rows of a table, or the vectors of words, lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from backprop.checks import array, integer, sequence
from backprop.diagnostics.pictures.look import axes_for, plain, tidy
from backprop.diagnostics.pictures.points import class_names, draw_points
from backprop.layer import Array

WORDS = 80  # that may be written beside their points


def principal_components(vectors: Any, n_components: int = 2) -> tuple[Array, Array]:
    """z = (x - mean) Vᵀ: the directions in which rows differ most, by the singular values of x.

    Parameters
    ----------
    vectors : array_like, (n, d)
    n_components : int, default 2

    Returns
    -------
    z : ndarray, (n, n_components)
        The entry of largest size of each direction is positive; components beyond the rank are 0.
    share : ndarray, (n_components,)
        Of each component in the variance of all.

    Raises
    ------
    ValueError
        For numbers that are not finite, or not in rows.

    Examples
    --------
    >>> import backprop as bp
    >>> z, share = bp.diagnostics.principal_components([[0, 0], [3, 4], [6, 8]], 1)
    >>> z.round(6), share.round(6)
    (array([[-5.],
           [ 0.],
           [ 5.]]), array([1.]))
    """
    who = "principal_components()"
    n_components = integer(n_components, who, "n_components")
    x = array(vectors, who, "vectors")
    if x.ndim != 2 or not x.size:
        raise ValueError(f"{who} expects vectors of the shape (n, d), got {x.shape}")
    bad = ~np.isfinite(x).all(1)
    if bad.any():
        raise ValueError(f"{who} expects vectors to be finite: row {int(bad.argmax())} is not")
    x = x - x.mean(0)
    _, s, v = np.linalg.svd(x, full_matrices=False)
    v = v[:n_components]
    largest = v[np.arange(len(v)), np.abs(v).argmax(1)]
    z = x @ (v * np.where(largest < 0, -1.0, 1.0)[:, None]).T
    share = s[:n_components] ** 2 / ((s**2).sum() or 1.0)
    missing = n_components - len(v)
    return np.pad(z, ((0, 0), (0, missing))), np.pad(share, (0, missing))


def plot_embedding(
    vectors: Any,
    y: Any = None,
    *,
    labels: Sequence[Any] | None = None,
    texts: Sequence[Any] | None = None,
    ax: Any = None,
    title: str = "",
) -> Any:
    """Draw vectors by their first two principal components.

    Parameters
    ----------
    vectors : array_like, (n, d)
        Rows of an embedding's table, or what a layer puts out: ``model.activations(x, "code")``.
    y : array_like of int, (n,), optional
        Classes, by which points are coloured.
    labels : sequence of str, optional
        The names of the classes, in the order of their numbers. Default: the numbers.
    texts : sequence of str, optional
        What each point is called. Where there is no room for all, some are left out.
    ax : matplotlib Axes, optional
        Where to draw. Default: new ones.
    title : str, optional

    Returns
    -------
    matplotlib Axes
        The axes say which share of the variance they show.

    Raises
    ------
    ImportError
        Without matplotlib: install ``backprop[plot]``.
    ValueError
        For arrays that do not fit, numbers that are not finite, and what is no class.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import backprop as bp
    >>> ax = bp.diagnostics.plot_embedding([[0, 1], [2, 3], [4, 5]], texts=["a", "b", "c"])
    >>> ax.get_xlabel()
    'first component (100 % of the variance)'
    >>> plt.close()
    """
    who = "plot_embedding()"
    z, share = principal_components(vectors)
    classes, names = class_names(y, labels, len(z), who)
    written = None if texts is None else [str(t) for t in sequence(texts, who, "texts")]
    if written is not None and len(written) != len(z):
        raise ValueError(f"{who} expects texts to name {len(z)} vectors, got {len(written)}")
    ax = axes_for(ax, who, 5.6, 4.2)
    draw_points(ax, z, classes, names)
    ax.margins(0.08)
    tidy(
        ax,
        title,
        f"first component ({share[0]:.0%} of the variance)".replace("%", " %"),
        f"second component ({share[1]:.0%})".replace("%", " %"),
    )
    if written is not None:
        write_beside(ax, z, written)
    return ax


def write_beside(ax: Any, z: Array, texts: list[str]) -> None:
    """Write texts at their points, the outermost first, where they cover no other."""
    figure = ax.figure.canvas.figure  # also where the Axes are in a part of one
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    taken: list[Any] = []
    frame = ax.get_window_extent(renderer)
    places = ax.transData.transform(z)
    outermost = np.argsort(-((z - z.mean(0)) ** 2).sum(1), kind="stable")
    for i in outermost:
        if len(taken) == WORDS:
            break
        for dx, dy, ha, va in PLACES:
            text = ax.annotate(
                plain(texts[i]),
                z[i],
                (dx, dy),
                textcoords="offset points",
                fontsize=8,
                ha=ha,
                va=va,
            )
            box = text.get_window_extent(renderer)
            fits = (
                frame.x0 <= box.x0
                and box.x1 <= frame.x1
                and frame.y0 <= box.y0 <= box.y1 <= frame.y1
            )
            free = not any(box.overlaps(other) for other in taken)
            if fits and free and not (covered(box, places) & (np.arange(len(z)) != i)).any():
                taken.append(box)
                break
            text.remove()


def covered(box: Any, places: Array) -> Array:
    """Which points lie in a box."""
    x, y = places.T
    return (box.x0 <= x) & (x <= box.x1) & (box.y0 <= y) & (y <= box.y1)


PLACES = [
    (4, 0, "left", "center"),
    (-4, 0, "right", "center"),
    (0, 4, "center", "bottom"),
    (0, -4, "center", "top"),
]  # of a text, in points from its own
