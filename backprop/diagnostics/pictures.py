"""Pictures of what a training run did."""

from __future__ import annotations

import os
from collections.abc import Mapping

COLOURS = ("#1f5fa8", "#c8501e", "#3a8a4d", "#8a5aa8")


def learning_curve(
    history: Mapping[str, list[float]], path: str | os.PathLike, title: str = ""
) -> None:
    """Draw loss and metrics over the epochs, training solid and validation dashed, one panel a quantity.

    Parameters
    ----------
    history : mapping of str to list of float
        `History.history`.
    path : path
        A .png, .svg or .pdf file.
    title : str, optional

    Raises
    ------
    ImportError
        Without matplotlib: install ``backprop[plot]``.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('a picture needs matplotlib: pip install "backprop[plot]"') from error

    names = [name for name in history if not name.startswith("val_") and name != "learning_rate"]
    figure = Figure(figsize=(5.2 * len(names), 3.8), layout="constrained", dpi=120)
    for i, (axes, name) in enumerate(
        zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True)
    ):
        epochs = range(1, len(history[name]) + 1)
        colour = COLOURS[i % len(COLOURS)]
        axes.plot(epochs, history[name], color=colour, label="training")
        held_out = history.get(f"val_{name}")
        if held_out and len(held_out) == len(epochs):
            axes.plot(epochs, held_out, color=colour, linestyle="--", label="held out")
        axes.set_xlabel("epoch")
        axes.set_ylabel(name.replace("_", " "))
        if name == "loss" and min(history[name]) > 0:
            axes.set_yscale("log")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    if title:
        figure.suptitle(title)
    figure.savefig(path)
