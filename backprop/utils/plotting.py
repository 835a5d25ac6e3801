"""Pictures of models: SVG written as text, which needs nothing else; matplotlib paints it for other
files."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from backprop import checks
from backprop.arguments import checked
from backprop.checks import PathLike
from backprop.layered import Layout, layered
from backprop.layers.inputs import InputLayer
from backprop.nest import as_one, as_tuple
from backprop.spelling import snake_case
from backprop.utils.painting import check_format, is_svg, paint

SIZE, LINE = 13, 18  # of the font, and from line to line
PADDING, MARGIN, GAP = 12, 16, 34  # within boxes, around all, between rows
COLOURS = {  # by the room of a layer
    "inputs": "#dfe3ea",
    "dense": "#cfdff2",
    "embedding": "#cfdff2",
    "convolution": "#cfe8d5",
    "recurrent": "#f6d9b0",
    "attention": "#ecd0dc",
    "transformer": "#ecd0dc",
    "normalization": "#ece6c4",
    "pooling": "#d5eaea",
    "resizing": "#d5eaea",
    "merging": "#e2d8f0",
    "arithmetic": "#e2d8f0",
}
ARROWS = {  # by the names that graphviz has for them
    "ortho": "turns",
    "curved": "curves",
    "spline": "curves",
    "polyline": "straight",
    "line": "straight",
}
PLAIN, GROUP = "#f1f1f1", "#fafafa"


class Picture(str):
    """The text of an SVG, which a notebook shows."""

    __slots__ = ()

    def _repr_svg_(self) -> str:
        return str(self)


class Shown(NamedTuple):
    """What is said of each layer."""

    shapes: bool
    dtype: bool
    names: bool
    activations: bool
    trainable: bool
    nested: bool
    direction: str
    arrows: str


class Box(NamedTuple):
    """A layer on paper; one with others in it has their picture."""

    width: float
    height: float
    lines: list[str]
    colour: str
    inside: str


@checked
def plot_model(
    model: Any,
    to_file: PathLike | None = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: float = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
) -> Picture:
    """Draw a model.

    A layer that is called several times is one box, with the arrows of all its calls.

    Parameters
    ----------
    model : Sequential or Model
        Built.
    to_file : path, default "model.png"
        What it ends in says the format: ``.svg``, or one that matplotlib writes, such as ``.png``
        and ``.pdf``. None: no file is written.
    show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable
        : bool, default False
        What boxes say besides the class.
    rankdir : {"TB", "BT", "LR", "RL"}, default "TB"
        From top to bottom, bottom to top, left to right, right to left.
    expand_nested : bool, default False
        Whether models in the model are drawn with their layers.
    dpi : float, default 200
        Dots per inch; the picture is drawn for 96, and is as much larger as this is more.
    splines : {"ortho", "curved", "spline", "polyline", "line"}, default "ortho"
        Arrows turn at right angles; are curves (both the second and the third); or are straight
        between rows (the last two).

    Returns
    -------
    Picture
        The text of the SVG; a notebook shows it.

    Raises
    ------
    ImportError
        For a file other than an SVG, without matplotlib.
    ValueError
        For a model that is not built, another ending, another direction or other arrows.

    Examples
    --------
    >>> import backprop as bp
    >>> model = bp.Sequential([bp.Input((3,)), bp.layers.Dense(2)])
    >>> bp.utils.plot_model(model, to_file=None, show_shapes=True)[:4]
    '<svg'
    """
    who = "plot_model()"
    if to_file is not None:
        check_format(to_file)
    checks.one_of(rankdir, ("TB", "BT", "LR", "RL"), who, "rankdir")
    checks.one_of(splines, tuple(ARROWS), who, "splines")
    dpi = checks.number(dpi, who, "dpi", 0, above=True)
    if not getattr(model, "built", False):
        raise ValueError(
            f"{getattr(model, 'name', model)} is not built yet, so there is nothing to draw: give "
            "it an Input, or call it on data"
        )
    shown = Shown(
        show_shapes,
        show_dtype,
        show_layer_names,
        show_layer_activations,
        show_trainable,
        expand_nested,
        rankdir,
        ARROWS[splines],
    )
    width, height, body = drawn(model, shown)
    width, height = width + 2 * MARGIN, height + 2 * MARGIN
    scale = dpi / 96
    text = Picture(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{number(width * scale)}" '
        f'height="{number(height * scale)}" viewBox="0 0 {number(width)} {number(height)}" '
        f'font-family="Helvetica, Arial, sans-serif" font-size="{SIZE}">\n'
        f"<title>{escape(model.name)}</title>\n"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0,0.5 L8,4 L0,7.5 z" fill="#444"/></marker>'
        '</defs>\n<rect width="100%" height="100%" fill="white"/>\n'
        f'<g transform="translate({MARGIN},{MARGIN})">\n{body}</g>\n</svg>\n'
    )
    if to_file is not None and is_svg(to_file):
        Path(to_file).write_text(text, encoding="utf-8")
    elif to_file is not None:
        paint(text, to_file, dpi)
    return text


def drawn(model: Any, shown: Shown) -> tuple[float, float, str]:
    """Width, height and text of the picture of a model."""
    nodes, edges = nodes_of(model)
    boxes = [box_of(*node, shown) for node in nodes]
    upright = shown.direction in ("TB", "BT")
    layout = layered([b.width if upright else b.height for b in boxes], edges.values())
    depths = [0.0] * (max(layout.rows) + 1)
    for box, row in zip(boxes, layout.rows, strict=True):
        depths[row] = max(depths[row], box.height if upright else box.width)
    starts = [sum(depths[:row]) + GAP * row for row in range(len(depths))]
    length = starts[-1] + depths[-1]
    paper = Paper(shown.direction, shown.arrows, length, layout, starts, depths)
    lines = [paper.box(i, box) for i, box in enumerate(boxes)]
    ways = paper.edges(boxes, set(edges.values()))
    loops = [paper.loop(i, boxes[i]) for i in sorted(edges.loops)]
    size = (layout.width, length) if upright else (length, layout.width)
    room = 2 * PADDING if loops else 0
    return size[0] + room, size[1], "".join([*ways, *loops, *lines])


class Edges(dict):
    """Between nodes by number; those that lead back to the same layer or an earlier one apart."""

    def __init__(self):
        super().__init__()
        self.loops: set[int] = set()

    def join(self, a: int, b: int) -> None:
        if a < b:
            self[a, b] = (a, b)
        else:
            self.loops.add(a)


def nodes_of(model: Any) -> tuple[list[tuple[Any, Any, Any]], Edges]:
    """Layers with the shapes and dtypes of what goes in and comes out; what reads what."""
    edges = Edges()
    if not hasattr(model, "connections"):
        shape, found = tuple(model.input_shape), []
        front = InputLayer(batch_shape=shape, dtype="int32" if model.integer_input else model.dtype)
        for i, layer in enumerate([front, *model.layers]):
            after = layer.compute_output_shape(shape) if i else shape
            found.append((layer, shape, after))
            shape = tuple(after)
            if i:
                edges.join(i - 1, i)
        return found, edges
    wiring = model._wiring
    index: dict[int, int] = {}
    found = []
    made: dict[int, int] = {}
    for place, door in zip(model._into, wiring.doors, strict=True):
        made[place] = index[id(door)] = len(found)
        found.append((door, door.batch_shape, door.batch_shape))
    for layer, reads, writes, _ in wiring.calls:
        given = [place for place in as_tuple(reads) if place is not None]
        if id(layer) not in index:
            index[id(layer)] = len(found)
            shapes = [as_one([wiring.shapes[p] for p in ps]) for ps in (given, as_tuple(writes))]
            found.append((layer, *shapes))
        at = index[id(layer)]
        for place in given:
            edges.join(made[place], at)
        made |= dict.fromkeys(as_tuple(writes), at)
    return found, edges


# ---------------------------------------------------------------------- boxes


def box_of(layer: Any, before: Any, after: Any, shown: Shown) -> Box:
    lines = list(lines_of(layer, before, after, shown))
    width = max(width_of(line, i == 0) for i, line in enumerate(lines)) + 2 * PADDING
    height = LINE * len(lines) + PADDING
    inside = ""
    if shown.nested and hasattr(layer, "layers") and layer.layers and layer.built:
        w, h, body = drawn(layer, shown)
        width = max(width, w + 2 * PADDING)
        left = (width - w) / 2
        inside = f'<g transform="translate({number(left)},{number(height)})">\n{body}</g>\n'
        height += h + PADDING
    family = next((r for r in type(layer).__module__.split(".") if r in COLOURS), "")
    return Box(width, height, lines, GROUP if inside else COLOURS.get(family, PLAIN), inside)


def lines_of(layer: Any, before: Any, after: Any, shown: Shown) -> Iterator[str]:
    yield type(layer).__name__
    if shown.names:
        yield layer.name
    activation = getattr(layer, "activation", None)
    if shown.activations and activation is not None:
        name = getattr(activation, "__name__", None) or type(activation).__name__
        yield f"activation: {snake_case(name).replace('re_lu', 'relu')}"
    if shown.shapes:
        if not isinstance(layer, InputLayer):
            yield from show("in", before)
        yield from show("out", after)
    if shown.dtype and layer.dtype is not None:
        yield f"dtype: {layer.dtype}"
    if shown.trainable:
        yield "trainable" if layer.trainable else "not trainable"


def show(way: str, shapes: Any) -> Iterator[str]:
    """A line for each shape, and one for equal ones side by side."""
    several = bool(shapes) and isinstance(shapes[0], tuple)
    for shape, group in itertools.groupby(shapes if several else [tuple(shapes)]):
        count = len(list(group))
        yield f"{way}: {count} × {shape}" if count > 1 else f"{way}: {shape}"


def width_of(text: str, bold: bool = False) -> float:
    """About what a line takes, rather more than less."""
    units = sum(
        0.34
        if c in "iljtfrI.,:;'|()[]! "
        else 0.9
        if c in "mwMW@"
        else 0.72
        if c.isupper()
        else 0.58
        if ord(c) < 0x2E80
        else 1.05
        for c in text
    )
    return SIZE * units * (1.08 if bold else 1.02)


def number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


# ---------------------------------------------------------------------- on paper


class Paper:
    """From places along and across the rows to those on paper."""

    def __init__(
        self,
        direction: str,
        arrows: str,
        length: float,
        layout: Layout,
        starts: list[float],
        depths: list[float],
    ):
        self.upright = direction in ("TB", "BT")
        self.back = direction in ("BT", "RL")
        self.arrows = arrows
        self.length, self.layout, self.starts, self.depths = length, layout, starts, depths

    def point(self, across: float, along: float) -> str:
        along = self.length - along if self.back else along
        x, y = (across, along) if self.upright else (along, across)
        return f"{number(x)},{number(y)}"

    def middle(self, node: int) -> tuple[float, float]:
        row = self.layout.rows[node]
        return self.layout.across[node], self.starts[row] + self.depths[row] / 2

    def corner(self, node: int, box: Box) -> tuple[float, float]:
        across, along = self.middle(node)
        along = self.length - along if self.back else along
        x, y = (across, along) if self.upright else (along, across)
        return x - box.width / 2, y - box.height / 2

    def box(self, node: int, box: Box) -> str:
        x, y = self.corner(node, box)
        text = "".join(
            f'<text x="{number(box.width / 2)}" y="{LINE * (i + 1) - 1}" text-anchor="middle" '
            + ('font-weight="bold">' if i == 0 else 'fill="#333" font-size="12">')
            + f"{escape(line)}</text>\n"
            for i, line in enumerate(box.lines)
        )
        dashes = ' stroke-dasharray="5 3"' if box.inside else ""
        return (
            f'<g transform="translate({number(x)},{number(y)})">\n'
            f'<rect width="{number(box.width)}" height="{number(box.height)}" rx="5" '
            f'fill="{box.colour}" stroke="#666"{dashes}/>\n{text}{box.inside}</g>\n'
        )

    def loop(self, node: int, box: Box) -> str:
        """An arrow of a layer that reads, by way of others or at once, what it has put out."""
        x, y = self.corner(node, box)
        right, middle = x + box.width, y + box.height / 2
        a, b = number(middle - 7), number(middle + 7)
        far = number(right + 2 * PADDING)
        return (
            f'<path d="M{number(right)},{a} C{far},{a} {far},{b} {number(right)},{b}" '
            'fill="none" stroke="#444" stroke-width="1.2" marker-end="url(#tip)"/>\n'
        )

    def edges(self, boxes: list[Box], edges: set[tuple[int, int]]) -> list[str]:
        leaving, coming = self.ports(boxes, edges, 0), self.ports(boxes, edges, 1)
        return [self.edge(boxes, e, leaving[e], coming[e]) for e in sorted(edges)]

    def ports(
        self, boxes: list[Box], edges: set[tuple[int, int]], end: int
    ) -> dict[tuple[int, int], float]:
        """Where edges begin (0) or end (1) across their boxes: side by side, in the order in which
        they come."""
        found: dict[tuple[int, int], float] = {}
        for node in {edge[end] for edge in edges}:
            mine = [edge for edge in edges if edge[end] == node]

            def other(edge: tuple[int, int]) -> tuple[float, tuple[int, int]]:
                way = self.layout.ways[edge]
                near = (
                    (way[-1] if end else way[0])[0] if way else (self.layout.across[edge[1 - end]])
                )
                return near, edge

            size = boxes[node].width if self.upright else boxes[node].height
            step = min(18.0, 0.8 * size / len(mine))
            for i, edge in enumerate(sorted(mine, key=other)):
                found[edge] = self.layout.across[node] + step * (i - (len(mine) - 1) / 2)
        return found

    def edge(self, boxes: list[Box], edge: tuple[int, int], begin: float, stop: float) -> str:
        """An arrow through the points that it passes, straight within rows."""
        a, b = edge
        half = [(boxes[n].height if self.upright else boxes[n].width) / 2 for n in edge]
        row = self.layout.rows[a]
        here, along = begin, self.starts[row] + self.depths[row]
        out, into = self.middle(a)[1] + half[0], self.middle(b)[1] - half[1]
        path = f"M{self.point(begin, out)}"
        if along > out:
            path += f" L{self.point(here, along)}"
        for across, row in [*self.layout.ways[edge], (stop, self.layout.rows[b])]:
            start = self.starts[row]
            path += self.between((here, along), (across, start))
            here, along = across, start + self.depths[row]
            if row != self.layout.rows[b]:
                path += f" L{self.point(here, along)}"
        if into > along - self.depths[row]:
            path += f" L{self.point(stop, into)}"
        return (
            f'<path d="{path}" fill="none" stroke="#444" stroke-width="1.2" '
            'marker-end="url(#tip)"/>\n'
        )

    def between(self, begin: tuple[float, float], end: tuple[float, float]) -> str:
        """The way from one row to another."""
        bend = (begin[1] + end[1]) / 2
        first, second = self.point(begin[0], bend), self.point(end[0], bend)
        if self.arrows == "curves":
            return f" C{first} {second} {self.point(*end)}"
        turns = f" L{first} L{second}" if self.arrows == "turns" and begin[0] != end[0] else ""
        return f"{turns} L{self.point(*end)}"
