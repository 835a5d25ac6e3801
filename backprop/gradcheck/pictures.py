"""Pictures of a gradient check: analytic against numeric, and the error by entry."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from backprop.gradcheck.entry import Entry
from backprop.gradcheck.entrywise import differences
from backprop.gradcheck.noise import EPS
from backprop.gradcheck.rounding import Rounding

COLOURS = {"pass": "#2a7d3f", "fail": "#b3261e", "inconclusive": "#9a6700"}
ENTRIES = 20_000  # of a gradient that is drawn: each costs six forward passes


def draw(entries: Sequence[Entry], rounding: Rounding, title: str, path: str | os.PathLike) -> None:
    """Draw a row of two panels for each gradient; see `Report.plot`."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('a picture needs matplotlib: pip install "backprop[plot]"') from error

    here = rounding.here
    known = {slot.name: i for i, slot in enumerate(here.probe.slots)}
    drawn = [e for e in entries if e.name in known]
    figure = Figure(figsize=(9.6, 3.4 * len(drawn)), layout="constrained", dpi=120)
    rows = figure.subplots(len(drawn), 2, squeeze=False)
    for (left, right), entry in zip(rows, drawn, strict=True):
        i = known[entry.name]
        left.set_title(f"{entry.name} {entry.shape}: {entry.verdict}", loc="left")
        if here.probe.slots[i].size > ENTRIES:
            left.text(0.5, 0.5, "too many entries to draw", ha="center", transform=left.transAxes)
            right.set_axis_off()
            continue
        with np.errstate(all="ignore"):  # a step may leave a function's domain
            numeric, error = (a.ravel() for a in differences(i, rounding))
        analytic = here.gradients[i].ravel()
        colour = COLOURS[entry.verdict]
        left.plot(numeric, numeric, color="0.8", linewidth=1)
        left.plot(numeric, analytic, ".", color=colour, markersize=4)
        left.set_xlabel("by differences")
        left.set_ylabel("by backward")
        top = float(np.abs(analytic).max(initial=0)) or 1.0
        right.semilogy(
            np.maximum(np.abs(analytic - numeric), EPS * top / 16),
            ".",
            color=colour,
            markersize=4,
            label="|difference|",
        )
        right.semilogy(error + 1e3 * EPS * top, color="0.5", linewidth=1, label="bound")
        right.set_xlabel("entry")
        right.legend(frameon=False, loc="upper left")
        for axes in (left, right):
            axes.grid(alpha=0.25)
            axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title)
    figure.savefig(path)
