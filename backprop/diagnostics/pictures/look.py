"""The one look of all pictures: colours, Axes, and texts that fit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

MISSING = 'a picture needs matplotlib: pip install "backprop[plot]"'
# Told apart by people who see two primary colours only, 3 : 1 against white and against black
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#7a3ff2", "#8c4a2f")
DASHES = ("-", "--", ":", "-.")  # beyond as many lines, the colours come again
AMOUNT, SIGNED, IMAGE = "cividis", "RdBu_r", "gray"  # colour maps
NOT_FINITE = "#d81b9a"  # in no map: NaN and infinities
LENGTH = 24  # of a name in letters
TICKS = 25  # names along an axis


def pyplot() -> Any:
    try:
        import matplotlib.pyplot
    except ImportError as error:
        raise ImportError(MISSING) from error
    return matplotlib.pyplot


def axes_for(ax: Any, who: str, width: float = 5.2, height: float = 3.7) -> Any:
    """The Axes to draw in: those of the user, or new ones in a figure of so many inches."""
    plt = pyplot()
    if ax is None:
        return plt.figure(figsize=(width, height), layout="compressed").subplots()
    if not callable(getattr(ax, "imshow", None)):
        what = "an array of them" if isinstance(ax, np.ndarray) else repr(ax)
        raise TypeError(f"{who} expects ax to be one Axes of matplotlib, got {what}")
    return ax


def tidy(ax: Any, title: str, xlabel: str = "", ylabel: str = "", grid: bool = True) -> Any:
    """Labels, title and grid as in every picture; returns the Axes."""
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    if title:
        ax.set_title(plain(title, 200), loc="left", fontsize=11, wrap=True)
    if grid:
        ax.grid(alpha=0.25, linewidth=0.7)
        ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def line_style(k: int) -> dict[str, Any]:
    """Colour and dash of the k-th line; no two of the first 24 are alike."""
    return {
        "color": COLOURS[k % len(COLOURS)],
        "linestyle": DASHES[k // len(COLOURS) % len(DASHES)],
        "linewidth": 1.7,
    }


def plain(text: Any, most: int = LENGTH) -> str:
    """A text as it is written, on one line: matplotlib takes what stands between two $ for a
    formula; of a long one the beginning and the end."""
    text = " ".join(str(text).split())
    if len(text) > most:
        text = f"{text[: most - most // 3 - 1]}…{text[-(most // 3) :]}"
    return text.replace("$", r"\$")


def legend(ax: Any, **options: Any) -> None:
    """A legend of all that has a label, also of one that begins with _; none without."""
    drawn = [a for a in (*ax.lines, *ax.collections, *ax.patches) if is_named(str(a.get_label()))]
    if drawn:
        frame = {"framealpha": 0.85, "edgecolor": "none", "fontsize": 9}
        box = ax.legend(drawn, ["label"] * len(drawn), **(frame | options))
        for text, artist in zip(box.get_texts(), drawn, strict=True):
            text.set_text(artist.get_label())  # some versions leave out what begins with _


def is_named(label: str) -> bool:
    """Whether somebody gave this label: matplotlib calls the others _child0, _child1, ..."""
    return label not in ("", "_nolegend_") and not re.fullmatch(r"_child\d+", label)


def beside(ax: Any, **options: Any) -> None:
    """A legend to the right of the Axes, where nothing is hidden by it."""
    legend(ax, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0, **options)


def named_ticks(axis: Any, names: Sequence[str], *, most: int = TICKS) -> None:
    """A name at each of the places 0, 1, ...; of many, every so-manieth."""
    every = max(-(-len(names) // most), 1)
    places = range(0, len(names), every)
    axis.set_ticks(list(places), [plain(names[i]) for i in places])
    size = 9 if len(places) <= 12 else 7
    long = axis.axis_name == "x" and sum(len(plain(names[i])) + 1 for i in places) * size > 340
    axis.set_tick_params(labelsize=size, length=2, rotation=90 if long else 0)


def room(names: Sequence[str]) -> float:
    """Inches that the longest of some names takes along an axis."""
    return 0.07 * max(len(plain(name)) for name in names)


def whole_steps(ax: Any, steps: Sequence[int]) -> None:
    """Ticks at whole numbers alone, along x."""
    from matplotlib.ticker import MaxNLocator

    if len(set(steps)) == 1:
        ax.set_xticks([steps[0]])
    else:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def limits(values: np.ndarray, signed: bool) -> tuple[float, float]:
    """The least and the greatest finite value; around 0 where the sign matters."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if signed:
        high = max(abs(low), abs(high)) or 1.0
        low = -high
    return (low, high) if high > low else (low, low + 1.0)


def show(ax: Any, values: np.ndarray, inside: Any = True, **options: Any) -> Any:
    """Numbers, (h, w), as an image by a colour map, or colours, (h, w, 3), as they are; what is not
    finite in a colour of its own. `inside` says where there is something to be seen."""
    inside = np.broadcast_to(inside, values.shape[:2])
    lost = inside & ~np.isfinite(values).all(axis=tuple(range(2, values.ndim)))
    pink = [int(NOT_FINITE[i : i + 2], 16) / 255 for i in (1, 3, 5)] + [1.0]
    kept = {k: v for k, v in options.items() if k in ("extent", "origin", "aspect", "zorder")}
    if values.ndim == 3:
        colours = np.concatenate([np.nan_to_num(values), inside[..., None]], -1)
        colours[lost] = pink
        image = ax.imshow(colours, interpolation="nearest", **kept)
    else:
        image = ax.imshow(np.ma.masked_invalid(values), interpolation="nearest", **options)
        if lost.any():
            cover = np.zeros((*lost.shape, 4))
            cover[lost] = pink
            ax.imshow(cover, interpolation="nearest", **kept)
    if lost.any():
        ax.plot([], [], "s", color=NOT_FINITE, label="not finite")
        legend(ax, loc="upper left", bbox_to_anchor=(0.0, -0.02), borderaxespad=0.0)
    return image


def colour_bar(ax: Any, image: Any, label: str) -> None:
    bar = ax.figure.colorbar(image, ax=ax, fraction=0.05, pad=0.02)
    bar.set_label(plain(label, 60), fontsize=9)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=9, length=2)


def without_frame(ax: Any) -> None:
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
