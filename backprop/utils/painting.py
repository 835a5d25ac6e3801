"""An SVG as `plot_model` writes it, painted by matplotlib: for PNG, PDF and what else it writes."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

SVG = "{http://www.w3.org/2000/svg}"
INCH = 96  # units of an SVG
STEP = re.compile(r"([MLC])([^MLC]*)")
NARROW = 0.9  # the font of an SVG is narrower than matplotlib's


def is_svg(path: str | os.PathLike) -> bool:
    return Path(path).suffix.lower() == ".svg"


def figure(*arguments: Any, **options: Any) -> Any:
    """A figure of matplotlib, or an error that says how to get it."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            'a picture other than an SVG needs matplotlib: pip install "backprop[plot]", or name '
            "the file model.svg"
        ) from error
    return Figure(*arguments, **options)


def check_format(path: str | os.PathLike) -> None:
    """Raise unless a file of this ending can be written."""
    if is_svg(path):
        return
    known = figure().canvas.get_supported_filetypes()
    if Path(path).suffix.lower().removeprefix(".") not in known:
        raise ValueError(
            f"plot_model() expects to_file to end in .svg or in a format of matplotlib, such as "
            f".png or .pdf, got {os.fspath(path)!r}"
        )


def paint(text: str, path: str | os.PathLike, dpi: float) -> None:
    """Write a picture with so many dots per inch."""
    from xml.etree import ElementTree  # here, as few programs need it

    # the text is that of `plot_model`, and no stranger's
    root = ElementTree.fromstring(text)
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    fig = figure(figsize=(width / INCH, height / INCH), dpi=dpi)
    axes = fig.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    Painter(axes, float(root.attrib["font-size"])).inside(root, 0, 0)
    fig.savefig(path, dpi=dpi)


class Painter:
    """Puts the elements of an SVG on axes whose units are the SVG's, one above the other."""

    def __init__(self, axes: Any, size: float):
        self.axes = axes
        self.size = size
        self.above = 0

    def inside(self, element: Any, x: float, y: float) -> None:
        """What an element holds, which lies at x and y."""
        for child in element:
            self.above += 1
            kind = child.tag.removeprefix(SVG)
            if kind == "g":
                dx, dy = map(float, child.attrib["transform"][10:-1].split(","))
                self.inside(child, x + dx, y + dy)
            elif kind == "rect" and "rx" in child.attrib:  # that of the background has none
                self.box(child.attrib, x, y)
            elif kind == "text":
                self.text(child, x, y)
            elif kind == "path":
                self.arrow(child.attrib["d"], child.attrib, x, y)

    def box(self, said: dict[str, str], x: float, y: float) -> None:
        from matplotlib.patches import FancyBboxPatch

        self.axes.add_patch(
            FancyBboxPatch(
                (x, y),
                float(said["width"]),
                float(said["height"]),
                boxstyle=f"round,pad=0,rounding_size={said['rx']}",
                facecolor=said["fill"],
                edgecolor=said["stroke"],
                linestyle=(0, (5, 3)) if "stroke-dasharray" in said else "-",
                linewidth=72 / INCH,
                zorder=self.above,
            )
        )

    def text(self, element: Any, x: float, y: float) -> None:
        said = element.attrib
        size = float(said.get("font-size", self.size))
        self.axes.text(
            x + float(said["x"]),
            y + float(said["y"]),
            element.text.replace("$", r"\$"),  # which would begin a formula
            fontsize=NARROW * size * 72 / INCH,
            fontweight=said.get("font-weight", "normal"),
            color=said.get("fill", "black"),
            ha="center",
            va="baseline",
            zorder=self.above,
        )

    def arrow(self, way: str, said: dict[str, str], x: float, y: float) -> None:
        from matplotlib.patches import FancyArrowPatch
        from matplotlib.path import Path as Way

        codes, points = [], []
        for step, numbers in STEP.findall(way):
            values = [float(n) for n in re.split(r"[ ,]+", numbers.strip())]
            pairs = list(zip(values[::2], values[1::2], strict=True))
            points += [(x + a, y + b) for a, b in pairs]
            codes += [{"M": Way.MOVETO, "L": Way.LINETO, "C": Way.CURVE4}[step]] * len(pairs)
        self.axes.add_patch(
            FancyArrowPatch(
                path=Way(points, codes),
                arrowstyle="-|>",
                mutation_scale=8,
                color=said["stroke"],
                linewidth=float(said["stroke-width"]) * 72 / INCH,
                fill=True,
                zorder=self.above,
            )
        )
