"""Points of several classes: what a boundary and a projection share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from backprop.checks import sequence
from backprop.diagnostics.pictures import scores
from backprop.diagnostics.pictures.look import COLOURS, beside, plain
from backprop.layer import Array

MARKERS = "osD^v<>PX*"
NAMED = 20  # classes that the legend names


def class_names(y: Any, labels: Sequence[Any] | None, n: int, who: str) -> tuple[Any, list[str]]:
    """The class of each of n rows, or None, and the names of all classes."""
    if y is None:
        if labels is not None:
            raise ValueError(f"{who} takes labels, the names of classes, together with y")
        return None, []
    classes = scores.class_numbers(y, "y", who)
    if len(classes) != n:
        raise ValueError(f"{who} expects y for each of {n} rows, got {len(classes)}")
    if labels is None:
        return classes, [f"class {k}" for k in range(int(classes.max()) + 1)]
    names = list(map(str, sequence(labels, who, "labels")))
    scores.in_range(classes, len(names), "y", who)
    return classes, names


def class_colour(k: int) -> str:
    return COLOURS[k % len(COLOURS)]


def draw_points(ax: Any, z: Array, classes: Any, names: list[str], **options: Any) -> None:
    """Points, of each class in a colour and a shape of its own; a legend beside them."""
    size = 26 if len(z) <= 200 else 12 if len(z) <= 2000 else 5
    style = {"s": size, "linewidths": 0.4, "edgecolors": "white", **options}
    if classes is None:
        ax.scatter(z[:, 0], z[:, 1], color=COLOURS[0], **style)
        beside(ax)  # of what else is in it
        return
    here = np.unique(classes)
    for k in here:
        rows, round_ = z[classes == k], k // len(COLOURS)
        label = plain(names[k]) if len(here) <= NAMED else "_nolegend_"
        marker = MARKERS[round_ % len(MARKERS)]
        ax.scatter(*rows.T, color=class_colour(k), marker=marker, label=label, **style)
    if len(here) > NAMED:
        ax.set_title(f"{len(here)} classes", loc="right", fontsize=9)
    beside(ax, markerscale=np.sqrt(30 / size))
