"""Pictures of what a training run did."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

COLOURS = ("#1f5fa8", "#c8501e", "#3a8a4d", "#8a5aa8", "#8a6d1f", "#2f8a8a")
ACROSS = 3  # panels beside each other


def learning_curve(
    history: Mapping[str, list[float]] | Any, path: str | os.PathLike, title: str = ""
) -> None:
    """Draw loss and metrics over the epochs: training solid, held-out rows dashed, a panel each.

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

    Examples
    --------
    >>> import backprop as bp
    >>> history = {"loss": [1.0, 0.5, 0.3], "val_loss": [1.1, 0.7, 0.6]}
    >>> bp.diagnostics.learning_curve(history, "curve.png")  # doctest: +SKIP
    """
    history = getattr(history, "history", history)
    names = [n for n in history if not n.startswith("val_") and n != "learning_rate" and history[n]]
    if not names:
        raise ValueError("learning_curve() got a history without an epoch: train first")
    names.sort(key=lambda name: name != "loss")
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError as error:
        raise ImportError('a picture needs matplotlib: pip install "backprop[plot]"') from error

    columns = min(len(names), ACROSS)
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(5.2 * columns, 3.7 * rows), layout="constrained", dpi=120)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for spare in panels[len(names) :]:
        spare.remove()
    for i, (axes, name) in enumerate(zip(panels, names, strict=False)):
        colour = COLOURS[i % len(COLOURS)]
        trained, held_out = history[name], history.get(f"val_{name}") or []
        epochs = range(1, len(trained) + 1)
        marker = "o" if len(trained) <= 20 else None  # a line through few points is hard to see
        style = {"color": colour, "marker": marker, "markersize": 3.5, "linewidth": 1.7}
        axes.plot(epochs, trained, label="training", **style)
        if held_out:
            every = max(len(trained) // len(held_out), 1)  # validation_freq
            at = [every * (k + 1) for k in range(len(held_out))]
            axes.plot(at, held_out, label="held out", linestyle="--", alpha=0.85, **style)
        axes.set_xlabel("epoch")
        axes.set_title(name.replace("_", " "), loc="left", fontsize=11)
        if name == "loss" and all(v > 0 for v in (*trained, *held_out)):
            axes.set_yscale("log")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.25, linewidth=0.7)
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.03)
        falls = trained[-1] <= trained[0]  # then the upper corner is free
        axes.legend(frameon=False, loc="upper right" if falls else "lower right")
    if title:
        figure.suptitle(title)
    figure.savefig(path, metadata=MARK.get(Path(path).suffix.lower()))


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
