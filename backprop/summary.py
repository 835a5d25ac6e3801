"""The table that `model.summary()` prints."""

from __future__ import annotations

from typing import Any

from backprop import checks
from backprop.layer import Layer
from backprop.layers.inputs import InputLayer
from backprop.spelling import nearest, printable


def summary(
    model: Any,
    line_length: int | None = None,
    positions: list[float] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: tuple[str, str] | list[str] | None = None,
) -> str:
    """The layers with output shape and number of parameters, as text; those of a graph with what
    they read: ``name[i][k]`` is the array k of what call i of that layer gives.

    Parameters
    ----------
    model : Sequential or Model
    line_length : int, optional
        Width in characters. Default: as wide as the entries.
    positions : list of float, optional
        Where each column ends, as a share of the width (or in characters).
    expand_nested : bool, default False
        Also the layers in containers.
    show_trainable : bool, default False
        A column that says which layers are trained.
    layer_range : pair of str, optional
        Names of the first and the last layer to show.
    """
    graph = hasattr(model, "connections")
    headings = ["Layer (type)", "Output Shape", "Param #"] + ["Connected to"] * graph
    table = [headings + ["Trainable"] * show_trainable]
    met: list[Layer] = []
    for layer, shape, connected in chosen(entries(model), layer_range):
        shared = layer in met
        met.append(layer)
        table += rows_of(layer, shape, connected, shared, show_trainable)
        if expand_nested:
            for part, depth in nested(layer):
                connected = [] if graph else None
                table += rows_of(part, None, connected, False, show_trainable, depth)
    widths = column_widths(table, line_length, positions)
    rule = "─" * (sum(widths) + 2 * len(widths) - 2)
    lines = [f'Model: "{printable(model.name)}"', rule]
    for i, cells in enumerate(table):
        padded = (c[:width].ljust(width) for c, width in zip(cells, widths, strict=True))
        lines.append("  ".join(padded).rstrip())
        if i == 0:
            lines.append(rule)
    return "\n".join([*lines, rule, *totals(model)])


def entries(model: Any) -> list[tuple[Layer, Any, list[str] | None]]:
    """The layers with the shape, or shapes, of what they put out first, and in a graph with what
    they read, in each of their calls."""
    if hasattr(model, "connections"):
        return model.connections()
    shape, found = model.input_shape if model.built else None, []
    for layer in model.layers:
        shape = None if shape is None else tuple(layer.compute_output_shape(shape))
        found.append((layer, shape, None))
    return found


def rows_of(
    layer: Layer,
    shape: Any,
    connected: list[str] | None,
    shared: bool,
    show_trainable: bool,
    depth: int = 0,
) -> list[list[str]]:
    """The lines of a layer: one, and one more for each further array that it reads."""
    count = "0" if isinstance(layer, InputLayer) else "0 (unbuilt)"
    if layer.built:
        count = f"{layer.count_params():,}"
    name = f"{'  ' * depth}{printable(layer.name)} ({type(layer).__name__})"
    cells = [name, "" if depth else str(shape or "?"), "0 (shared)" if shared else count]
    trained = ["Y" if layer.trainable else "N"] * show_trainable
    if connected is None:
        return [cells + trained]
    first, *others = map(printable, connected or ["-"])
    blank = [""] * len(cells)
    return [
        [*cells, first, *trained],
        *([*blank, other, *[""] * show_trainable] for other in others),
    ]


def nested(layer: Layer, depth: int = 1):
    parts = layer.layers if hasattr(layer, "connections") else layer.sublayers()
    for part in parts:
        yield part, depth
        yield from nested(part, depth + 1)


def chosen(entries: list[tuple], layer_range) -> list[tuple]:
    if layer_range is None:
        return entries
    names = [layer.name for layer, *_ in entries]
    for name in layer_range:
        if name not in names:
            raise ValueError(f"layer_range names {name!r}, which is no layer{nearest(name, names)}")
    first, last = (names.index(name) for name in layer_range)
    return entries[first : last + 1]


def column_widths(
    table: list[list[str]], line_length: int | None, positions: list[float] | None
) -> list[int]:
    columns = len(table[0])
    if line_length is not None:
        line_length = checks.integer(line_length, "summary()", "line_length")
    if positions is not None:
        given = checks.sequence(positions, "summary()", "positions")
        positions = [checks.number(p, "summary()", "each of positions", least=0) for p in given]
    if positions is None:
        widths = [max(len(cells[c]) for cells in table) for c in range(columns)]
        if line_length is not None:
            widths[0] = max(len(table[0][0]), line_length - sum(widths[1:]) - 2 * (columns - 1))
        return widths
    total = line_length or 80
    ends = [round(p * total) if p <= 1 else int(p) for p in positions[:columns]]
    return [
        max(1, end - start - 2 * (c > 0))
        for c, (start, end) in enumerate(zip([0, *ends], ends, strict=False))
    ]


def totals(model) -> list[str]:
    if not model.built:
        return [
            "Not built yet: the shapes and counts follow from the first data, or from an Input."
        ]
    arrays = model.arrays()
    trainable = [p for p in arrays if p.trainable]
    frozen = [p for p in arrays if not p.trainable]
    return [
        f" {name}: {sum(p.size for p in group):,} ({readable(sum(p.value.nbytes for p in group))})"
        for name, group in (
            ("Total params", arrays),
            ("Trainable params", trainable),
            ("Non-trainable params", frozen),
        )
    ]


def readable(size: float) -> str:
    for unit in ("B", "KB", "MB"):
        if size < 1024:
            return f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} GB"
