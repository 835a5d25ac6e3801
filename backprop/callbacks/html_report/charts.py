"""Charts as SVG: curves, maps of numbers by layer and step, histograms.

They are drawn on paper 306 wide, which is what a phone has room for, with texts of 12; colours come
from the page's style sheet, by class. What lies under the pointer says its numbers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from backprop.callbacks.html_report.text import escaped, figure

WIDTH, HEIGHT = 306, 190
RIGHT, TOP, BOTTOM = 8, 10, 36  # around the field of a chart
LETTER = 7.7  # pixels that a letter takes, at most
POINTS, TOUCHED = 500, 120  # of a line, and places that answer to the pointer, at most
MARKED = 12  # points of a line that are marked, at most
SPAN = 20.0  # largest over smallest value from which an axis is logarithmic
LEVELS = 9  # colours of a map
CELLS, LOOKS = 3000, 40  # of a map, and its columns, at most
NAMES, ROW = 116, 19  # the width that names get beside a map; the height of its rows


class Line(NamedTuple):
    """Values over epochs; what is not finite is left out."""

    name: str
    kind: str  # its class in the style sheet
    at: Sequence[float]
    values: Sequence[float]


class Axis(NamedTuple):
    """From values to places on paper."""

    low: float
    high: float
    begin: float
    end: float
    log: bool = False

    def place(self, value: float) -> float:
        low, high, v = self.low, self.high, value
        if self.log:
            low, high, v = math.log10(low), math.log10(high), math.log10(value)
        return self.begin + (v - low) / (high - low) * (self.end - self.begin)


# ---------------------------------------------------------------------------- curves


def curves(title: str, lines: Sequence[Line], across: str = "epoch", log: bool = False) -> str:
    """Lines over epochs. With `log` the values' axis is logarithmic where they are positive and
    of different sizes."""
    finite = [v for line in lines for v in line.values if is_drawn(v)]
    places = [x for line in lines for x in line.at]
    if not finite:
        return canvas(
            title, "no value is finite", HEIGHT, label(WIDTH / 2, HEIGHT / 2, "NaN", "middle")
        )
    y = upright(min(finite), max(finite), log)
    ticks = logarithmic(y.low, y.high) if y.log else round_numbers(y.low, y.high, 5)
    left = 10 + LETTER * max((len(figure(value)) for value in ticks), default=0)
    x = Axis(*apart(min(places), max(places)), left + 6, WIDTH - RIGHT - 6)
    parts = grid_of(x, y, ticks, across)
    parts += [part for line in lines for part in drawn(thinned(line), x, y)]
    parts += touched(lines, x, y, across)
    return canvas(title, "; ".join(map(told, lines)), HEIGHT, "".join(parts))


def upright(low: float, high: float, log: bool) -> Axis:
    """The axis of the values, with some room at its ends."""
    if log and low > 1e-140 and SPAN * low < high < 1e140:  # else the ends may overflow
        room = (high / low) ** 0.04
        return Axis(low / room, high * room, HEIGHT - BOTTOM, TOP, log=True)
    low, high = apart(low, high)
    room = 0.05 * (high - low)
    return Axis(low - room, high + room, HEIGHT - BOTTOM, TOP)


def is_drawn(value: float) -> bool:
    """Whether there is a place for it: not for NaN, nor for what overflows when it is doubled."""
    return abs(value) < 1e300


def apart(low: float, high: float) -> tuple[float, float]:
    """Ends of an axis that differ."""
    if high > low + 1e-12 * max(abs(low), abs(high)):
        return low, high
    room = 0.5 * abs(low) or 0.5
    return low - room, high + room


def grid_of(x: Axis, y: Axis, ticks: Sequence[float], across: str) -> list[str]:
    left, right, bottom = x.begin - 6, WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = []
    for value in ticks:
        at = n(y.place(value))
        parts.append(f'<path class="grid" d="M{n(left)} {at}H{right}"/>')
        parts.append(label(left - 6, y.place(value) + 4, figure(value), "end", "tick y"))
    for value in round_numbers(x.low, x.high, 6, whole=True):
        parts.append(label(x.place(value), bottom + 16, figure(value), "middle", "tick x"))
    parts.append(f'<path class="axis" d="M{n(left)} {bottom}H{right}"/>')
    parts.append(label(right, HEIGHT - 4, across, "end", "name"))
    return parts


def drawn(line: Line, x: Axis, y: Axis) -> list[str]:
    """A line that has gaps where its values have, and marks where it has few points."""
    way, points, gap = [], [], True
    for at, value in zip(line.at, line.values, strict=True):
        if not is_drawn(value) or (y.log and value <= 0):
            gap = True
            continue
        place = f"{n(x.place(at))} {n(y.place(value))}"
        way.append(f"{'M' if gap else 'L'}{place}")
        points.append(place.split())
        gap = False
    marks = [f'<circle class="{line.kind}" cx="{a}" cy="{b}" r="2.6"/>' for a, b in points]
    return [
        f'<path class="line {line.kind}" d="{"".join(way)}"/>',
        *(marks if len(marks) <= MARKED else ()),
    ]


def thinned(line: Line) -> Line:
    """Every so many points of a line that has too many, and its last one."""
    step = -(-len(line.at) // POINTS)
    if step == 1:
        return line
    chosen = [*range(0, len(line.at) - 1, step), len(line.at) - 1]
    return line._replace(at=[line.at[i] for i in chosen], values=[line.values[i] for i in chosen])


def touched(lines: Sequence[Line], x: Axis, y: Axis, across: str) -> list[str]:
    """Upright bands that say the values at their place, and show where these are."""
    by_place: dict[float, list[tuple[Line, float]]] = {}
    for line in lines:
        for at, value in zip(line.at, line.values, strict=True):
            by_place.setdefault(at, []).append((line, value))
    places = sorted(by_place)
    places = places[:: -(-len(places) // TOUCHED)]
    ends = [
        x.begin - 6,
        *(x.place((a + b) / 2) for a, b in itertools.pairwise(places)),
        WIDTH - RIGHT,
    ]
    found = []
    for i, place in enumerate(places):
        said = [f"{across} {figure(place)}"]
        dots = ""
        for line, value in by_place[place]:
            said.append(f"{line.name} {figure(value, 5)}")
            if is_drawn(value) and not (y.log and value <= 0):
                at = f'cx="{n(x.place(place))}" cy="{n(y.place(value))}"'
                dots += f'<circle class="{line.kind}" {at} r="3.5"/>'
        found.append(
            f'<g class="touch"><title>{escaped(chr(10).join(said))}</title>'
            f'<rect x="{n(ends[i])}" y="{TOP}" width="{n(ends[i + 1] - ends[i])}" '
            f'height="{HEIGHT - BOTTOM - TOP}"/>{dots}</g>'
        )
    return found


def told(line: Line) -> str:
    """A line in words, for those who do not see it."""
    finite = [v for v in line.values if is_drawn(v)]
    if not finite:
        return f"{line.name} is not finite"
    return (
        f"{line.name} from {figure(finite[0])} to {figure(finite[-1])}, "
        f"least {figure(min(finite))}, most {figure(max(finite))}"
    )


# ---------------------------------------------------------------------------- maps


def levels(title: str, layers: Sequence[str], steps: Sequence[int], table, middle: float | None):
    """Numbers of many sizes by layer (from top to bottom) and step (from left to right), by colour:
    of nine, over their powers of ten; or, around a `middle`, what is usual, from a ten-thousandth
    of it to ten thousand times as much."""
    most = max(2, min(LOOKS, CELLS // max(len(layers), 1)))
    chosen = evenly(len(steps), most)
    positive = [v for i in chosen for v in table[i] if 0 < v < math.inf]
    if middle is None:
        low = math.floor(math.log10(min(positive, default=0.1)) + 0.05)
        high = max(math.ceil(math.log10(max(positive, default=1.0)) - 0.05), low + 1)
        kind = "h"
    else:
        low, high, kind = math.log10(middle) - 4, math.log10(middle) + 4, "d"
    width = (WIDTH - NAMES - 2) / len(chosen)
    height = len(layers) * ROW
    parts = []
    for k, name in enumerate(layers):
        shown = name if len(name) <= 14 else f"{name[:6]}…{name[-7:]}"
        parts.append(
            f"<g><title>{escaped(name)}</title>"
            f"{label(NAMES - 8, k * ROW + 14, shown, 'end', 'layer')}</g>"
        )
        for j, i in enumerate(chosen):
            value = table[i][k]
            parts.append(
                f'<rect class="{level(value, low, high, kind)}" x="{n(NAMES + j * width)}" '
                f'y="{k * ROW + 1}" width="{n(max(width - 1, 0.6 * width))}" height="{ROW - 2}">'
                f"<title>{escaped(name)}, step {steps[i]:,}: {figure(value, 3)}</title></rect>"
            )
    ends = {chosen[0]: ("start", NAMES), chosen[-1]: ("end", WIDTH - 2)}
    parts += [
        label(at, height + 15, f"step {steps[i]:,}" if at == NAMES else f"{steps[i]:,}", anchor)
        for i, (anchor, at) in ends.items()
    ]
    parts.append(key(height + 26, low, high, kind))
    said = f"{len(layers)} layers at {len(steps)} steps; the last: " + "; ".join(
        f"{name} {figure(v, 2)}" for name, v in zip(layers, table[-1], strict=True)
    )
    return canvas(title, said, height + 42, "".join(parts))


def evenly(count: int, most: int) -> list[int]:
    """Numbers below `count`, at most so many, the first and the last among them."""
    if count <= most:
        return list(range(count))
    return sorted({round(i * (count - 1) / (most - 1)) for i in range(most)})


def level(value: float, low: float, high: float, kind: str) -> str:
    if not math.isfinite(value):
        return "bad"
    if value <= 0:
        return "none"
    share = (math.log10(value) - low) / (high - low)
    return f"{kind}{min(max(int(share * LEVELS), 0), LEVELS - 1)}"


def key(top: float, low: float, high: float, kind: str) -> str:
    """Which colour means what."""
    left, width = NAMES + 34, 13
    boxes = "".join(
        f'<rect class="{kind}{i}" x="{left + i * width}" y="{n(top)}" width="{width - 1}" '
        'height="10"/>'
        for i in range(LEVELS)
    )
    right = left + LEVELS * width + 5
    return (
        label(left - 6, top + 9.5, figure(10.0**low), "end")
        + boxes
        + label(right, top + 9.5, figure(10.0**high))
    )


# ---------------------------------------------------------------------------- histograms


def histogram(counts: Sequence[float], edges: Sequence[float]) -> str:
    """A small one, as wide as a word."""
    width, height, most = 120, 26, max(max(counts, default=0), 1)
    step = width / max(len(counts), 1)
    way = f"M0 {height}" + "".join(
        f"V{n(height - (height - 2) * c / most)}H{n((i + 1) * step)}" for i, c in enumerate(counts)
    )
    said = f"from {figure(edges[0], 3)} to {figure(edges[-1], 3)}"
    return (
        f'<svg class="spark" viewBox="0 0 {width} {height}" role="img" aria-label="{said}">'
        f'<title>{said}</title><path d="{way}V{height}Z"/></svg>'
    )


# ---------------------------------------------------------------------------- paper


def canvas(title: str, said: str, height: float, inside: str) -> str:
    """A picture with its name and, for those who do not see it, what it shows."""
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {n(height)}" role="img" '
        f'aria-label="{escaped(title)}: {escaped(said)}">'
        f"<desc>{escaped(said)}</desc>{inside}</svg>"
    )


def label(x: float, y: float, text: str, anchor: str = "start", kind: str = "tick") -> str:
    where = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text class="{kind}" x="{n(x)}" y="{n(y)}"{where}>{escaped(text)}</text>'


def n(value: float) -> str:
    """A place on paper, in tenths."""
    return f"{value:.1f}".removesuffix(".0")


def round_numbers(low: float, high: float, most: int, whole: bool = False) -> list[float]:
    """Numbers between two, at most about so many, that are 1, 2 or 5 times a power of ten apart.

    >>> round_numbers(0.13, 0.97, 5)
    [0.2, 0.4, 0.6, 0.8]
    >>> round_numbers(0.5, 1.5, 6, whole=True)
    [1.0]
    """
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))
    if whole:
        step = max(step, 1.0)
    first = math.ceil(low / step - 1e-9)
    return [float(f"{k * step:.12g}") for k in range(first, math.floor(high / step + 1e-9) + 1)]


def logarithmic(low: float, high: float) -> list[float]:
    """Powers of ten between two numbers, or, where these are few, 2 and 5 times such as well.

    >>> logarithmic(0.02, 3.0), logarithmic(0.3, 9.0)
    ([0.1, 1.0], [0.5, 1.0, 2.0, 5.0])
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [10.0**p for p in powers if low <= 10.0**p <= high]
    if len(found) < 2:
        found = [float(f"{m}e{p}") for p in powers for m in (1, 2, 5)]
        return [v for v in found if low <= v <= high]
    return found[:: -(-len(found) // 5)]
