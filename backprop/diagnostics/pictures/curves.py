"""Pictures of what a training run did."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backprop.diagnostics.pictures.look import COLOURS, MISSING, axes_for, tidy, whole_steps
from backprop.spelling import nearest

ACROSS = 3  # panels beside each other


def learning_curve(
    history: Mapping[str, list[float]] | Any, path: str | os.PathLike, title: str = ""
) -> None:
    """Draw loss and metrics over the epochs to a file: training solid, held-out rows dashed, a
    panel each.

    Parameters
    ----------
    history : History, or mapping of str to list of float
        What `fit` returned, or its ``history``.
    path : path
        A .png, .svg or .pdf file.
    title : str, optional

    Raises
    ------
    ImportError
        Without matplotlib: install ``backprop[plot]``.
    ValueError
        If there is no epoch in the history, or `path` ends in something else.

    See Also
    --------
    plot_learning_curve : One of the panels, in Axes of yours.

    Examples
    --------
    >>> import backprop as bp
    >>> history = {"loss": [1.0, 0.5, 0.3], "val_loss": [1.1, 0.7, 0.6]}
    >>> bp.diagnostics.learning_curve(history, "curve.png")  # doctest: +SKIP
    """
    history, names = epochs_of(history, "learning_curve()")
    names = [name for name in names if name != "learning_rate"]
    if not names:
        raise ValueError("learning_curve() got a history without an epoch: train first")
    try:
        from matplotlib.figure import Figure  # without pyplot no window is opened anywhere
    except ImportError as error:
        raise ImportError(MISSING) from error

    columns = min(len(names), ACROSS)
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(5.2 * columns, 3.7 * rows), layout="constrained", dpi=120)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for spare in panels[len(names) :]:
        spare.remove()
    for axes, name in zip(panels, names, strict=False):
        draw(axes, history, name)
        tidy(axes, name.replace("_", " "), "epoch")
    if title:
        figure.suptitle(title)
    figure.savefig(path, metadata=MARK.get(Path(path).suffix.lower()))


def plot_learning_curve(
    history: Mapping[str, list[float]] | Any,
    *,
    metric: str = "loss",
    ax: Any = None,
    title: str = "",
) -> Any:
    """Draw the loss, or a metric, over the epochs: training solid, held-out rows dashed.

    Parameters
    ----------
    history : History, or mapping of str to list of float
        What `fit` returned, or its ``history``.
    metric : str, default "loss"
        A name in it, without ``val_``; "learning_rate" is one where it was scheduled.
    ax : matplotlib Axes, optional
        Where to draw. Default: new ones.
    title : str, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ImportError
        Without matplotlib: install ``backprop[plot]``.
    ValueError
        If there is no epoch in the history, or nothing of that name.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import backprop as bp
    >>> history = {"loss": [1.0, 0.5, 0.3], "val_loss": [1.1, 0.7, 0.6]}
    >>> ax = bp.diagnostics.plot_learning_curve(history)
    >>> [str(line.get_label()) for line in ax.lines]
    ['training', 'held out']
    >>> plt.close()
    """
    history, names = epochs_of(history, "plot_learning_curve()")
    if metric not in names:
        raise ValueError(
            f"plot_learning_curve() finds no {metric!r} in the history, which has "
            f"{', '.join(names)}{nearest(metric, names)}"
        )
    ax = axes_for(ax, "plot_learning_curve()")
    draw(ax, history, metric)
    return tidy(ax, title, "epoch", metric.replace("_", " "))


def epochs_of(history: Any, who: str) -> tuple[Mapping[str, list[float]], list[str]]:
    """A history, and the names of what was trained on in it, the loss first."""
    history = getattr(history, "history", history)
    if not isinstance(history, Mapping):
        raise TypeError(f"{who} expects what fit() returned, or its history, got {history!r}")
    names = [name for name in history if not name.startswith("val_") and len(history[name])]
    if not names:
        raise ValueError(f"{who} got a history without an epoch: train first")
    return history, sorted(names, key=lambda name: name != "loss")


def draw(axes: Any, history: Mapping[str, list[float]], name: str) -> None:
    """One quantity, in training and held out."""
    trained, held_out = list(history[name]), list(history.get(f"val_{name}", []))
    epochs = range(1, len(trained) + 1)
    marker = "o" if len(trained) <= 20 else None  # a line through few points is hard to see
    style = {"marker": marker, "markersize": 3.5, "linewidth": 1.7}
    axes.plot(epochs, trained, label="training", color=COLOURS[0], **style)
    if held_out:
        every = max(len(trained) // len(held_out), 1)  # validation_freq
        at = [every * (k + 1) for k in range(len(held_out))]
        axes.plot(at, held_out, label="held out", color=COLOURS[1], linestyle="--", **style)
    if name == "loss" and all(v > 0 for v in (*trained, *held_out)):
        axes.set_yscale("log")
    whole_steps(axes, epochs)
    axes.margins(x=0.03)
    falls = trained[-1] <= trained[0]  # then the upper corner is free
    axes.legend(frameon=False, loc="upper right" if falls else "lower right")


# how each kind of picture says who drew it
MARK = {
    ".png": {"Software": "backprop"},
    ".svg": {"Creator": "backprop"},
    ".pdf": {"Creator": "backprop"},
}


def is_ours(path: str | os.PathLike) -> bool:
    """Whether a picture says that `learning_curve` drew it, so that overwriting it loses no one's
    work."""
    signs = (b"Software\0backprop", b">backprop<", b"/Creator (backprop)")
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return False
    return any(sign in data for sign in signs)
