"""A network as a graph in SVG: a box for each layer, arrows from what it reads."""

from __future__ import annotations

from typing import Any, NamedTuple

from backprop.callbacks.html_report.charts import n
from backprop.callbacks.html_report.text import escaped
from backprop.layered import layered
from backprop.nest import as_tuple

BOX, NARROW, TALL, GAP = 264.0, 212.0, 46.0, 18.0  # widths, height, from row to row
FAMILIES = {  # rooms of layers, and the hue that marks them
    "inputs": "in",
    "dense": "dense",
    "embedding": "dense",
    "convolution": "conv",
    "images": "conv",
    "recurrent": "time",
    "attention": "look",
    "transformer": "look",
    "normalization": "norm",
    "noise": "norm",
    "pooling": "pool",
    "resizing": "pool",
    "reshaping": "pool",
    "merging": "join",
    "arithmetic": "join",
}


class Node(NamedTuple):
    """What is said of a layer: its class, name, shape of what it puts out, number of parameters;
    and the hue of its family."""

    kind: str
    name: str
    shape: str
    size: str
    hue: str


class Drawing(NamedTuple):
    """The text of an SVG; its width in pixels."""

    text: str
    width: float


def network(model: Any) -> Drawing:
    """Draw a chain or a graph that is built."""
    nodes, edges = nodes_of(model)
    branched = len({b for _, b in edges}) < len(edges) or len({a for a, _ in edges}) < len(edges)
    width = NARROW if branched else BOX
    layout = layered([width] * len(nodes), edges)
    far = layout.width + 2
    boxes, ways = [], []
    for node, across, row in zip(nodes, layout.across, layout.rows, strict=True):
        boxes.append(box(node, across - width / 2 + 1, row * (TALL + GAP) + 1, width))
    for a, b in sorted(set(edges)):
        points = [
            (layout.across[a] + 1, layout.rows[a]),
            *((x + 1, row) for x, row in layout.ways[a, b]),
            (layout.across[b] + 1, layout.rows[b]),
        ]
        ways.append(way(points))
    height = (max(layout.rows) + 1) * (TALL + GAP) - GAP + 2
    said = "; ".join(f"{node.name} ({node.kind}) {node.shape}, {node.size}" for node in nodes)
    text = (
        f'<svg class="network" width="{n(far)}" height="{n(height)}" viewBox="0 0 {n(far)} '
        f'{n(height)}" role="img" aria-label="The network, from input to output: {escaped(said)}">'
        f"<desc>{escaped(said)}</desc>"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 .5 8 4 0 7.5z"/></marker></defs>'
        f"{''.join(ways)}{''.join(boxes)}</svg>"
    )
    return Drawing(text, far)


def nodes_of(model: Any) -> tuple[list[Node], list[tuple[int, int]]]:
    """What is said of each layer, and which reads which, by number, from input to output."""
    if hasattr(model, "connections"):
        entries = model.connections()
        index = {layer.name: i for i, (layer, *_) in enumerate(entries)}
        reads = [[index[name.partition("[")[0]] for name in names] for *_, names in entries]
        nodes = [node_of(layer, shape) for layer, shape, _ in entries]
        # a layer with several places may read what comes later; it stands where it is called first
        return nodes, [(a, b) for b, sources in enumerate(reads) for a in sources if a < b]
    shape = model.input_shape
    nodes = [Node("Input", "", spelled(shape), "", "in")]
    for layer in model.layers:
        shape = layer.compute_output_shape(shape)
        nodes.append(node_of(layer, shape))
    return nodes, [(i, i + 1) for i in range(len(nodes) - 1)]


def node_of(layer: Any, shape: Any) -> Node:
    count = layer.count_params() if layer.built else 0
    if count and not layer.trainable:
        size = f"{count:,} frozen"
    else:
        size = f"{count:,}" if count else ""
    room = type(layer).__module__.split(".")
    hue = next((FAMILIES[part] for part in room if part in FAMILIES), "plain")
    return Node(type(layer).__name__.removesuffix("Layer"), layer.name, spelled(shape), size, hue)


def spelled(shape: Any) -> str:
    """The shape of a sample, or of several.

    >>> spelled((None, 8, 8, 24)), spelled((None,)), spelled([(None, 3), (None, 5)])
    ('8 × 8 × 24', '1', '3, 5')
    """
    if shape and (isinstance(shape, list) or isinstance(shape[0], tuple)):
        return ", ".join(map(spelled, as_tuple(tuple(shape))))
    return " × ".join("?" if size is None else str(size) for size in shape[1:]) or "1"


def box(node: Node, x: float, y: float, width: float) -> str:
    letters = int((width - 24) / 7.2)
    kind = shortened(node.kind, int((width - 24) / 8.4) - len(node.size))
    name = shortened(node.name, letters - len(node.shape) - 1)
    said = ", ".join(filter(None, (node.kind, node.name, node.shape, node.size)))
    return (
        f'<g transform="translate({n(x)} {n(y)})"><title>{escaped(said)}</title>'
        f'<rect class="box" width="{n(width)}" height="{n(TALL)}" rx="7"/>'
        f'<path class="hue {node.hue}" d="M4.5 9V{n(TALL - 9)}"/>'
        f'<text class="kind" x="14" y="19">{escaped(kind)}</text>'
        f'<text class="name" x="14" y="36">{escaped(name)}</text>'
        f'<text class="size" x="{n(width - 10)}" y="19" text-anchor="end">{node.size}</text>'
        f'<text class="shape" x="{n(width - 10)}" y="36" text-anchor="end">'
        f"{escaped(shortened(node.shape, letters - 4))}</text></g>"
    )


def shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: max(most - 1, 3)]}…"


def way(points: list[tuple[float, int]]) -> str:
    """An arrow that goes straight past rows and bends between them."""
    (x, row), *others = points
    path = f"M{n(x)} {n(row * (TALL + GAP) + TALL + 1)}"
    for k, (across, below) in enumerate(others):
        top = below * (TALL + GAP) + 1
        bend = top - GAP / 2
        path += f"C{n(x)} {n(bend)} {n(across)} {n(bend)} {n(across)} {n(top)}"
        if k < len(others) - 1:
            path += f"V{n(top + TALL)}"
        x = across
    return f'<path class="edge" d="{path}" marker-end="url(#tip)"/>'
