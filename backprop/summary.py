"""The table that `model.summary()` prints."""

from __future__ import annotations

from typing import Any

from backprop.layer import Layer
from backprop.spelling import nearest


def summary(
    model: Any,
    line_length: int | None = None,
    positions: list[float] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: tuple[str, str] | list[str] | None = None,
) -> str:
    """The layers with output shape and number of parameters, as text.

    Parameters
    ----------
    model : Sequential
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
    table = [["Layer (type)", "Output Shape", "Param #"] + ["Trainable"] * show_trainable]
    layers = chosen(model.layers, layer_range)
    shape = model.input_shape if model.built else None
    for layer in model.layers:
        shape = None if shape is None else tuple(layer.compute_output_shape(shape))
        if layer in layers:
            again = model.layers.index(layer) < len(table) - 1 and layer in layers[: len(table) - 1]
            table.append(row(layer, shape, show_trainable, shared=again))
            if expand_nested:
                table += [row(part, None, show_trainable, depth) for part, depth in nested(layer)]
    widths = column_widths(table, line_length, positions)
    rule = "─" * (sum(widths) + 2 * len(widths) - 2)
    lines = [f'Model: "{model.name}"', rule]
    for i, cells in enumerate(table):
        padded = (c[:width].ljust(width) for c, width in zip(cells, widths, strict=True))
        lines.append("  ".join(padded).rstrip())
        if i == 0:
            lines.append(rule)
    return "\n".join([*lines, rule, *totals(model)])


def row(
    layer: Layer, shape, show_trainable: bool, depth: int = 0, shared: bool = False
) -> list[str]:
    count = "0 (unbuilt)" if not layer.built else f"{layer.count_params():,}"
    name = f"{'  ' * depth}{layer.name} ({type(layer).__name__})"
    cells = [name, "" if depth else str(shape or "?"), "0 (shared)" if shared else count]
    return cells + ["Y" if layer.trainable else "N"] * show_trainable


def nested(layer: Layer, depth: int = 1):
    for part in layer.sublayers():
        yield part, depth
        yield from nested(part, depth + 1)


def chosen(layers: list[Layer], layer_range) -> list[Layer]:
    if layer_range is None:
        return list(layers)
    names = [layer.name for layer in layers]
    for name in layer_range:
        if name not in names:
            raise ValueError(f"layer_range names {name!r}, which is no layer{nearest(name, names)}")
    first, last = (names.index(name) for name in layer_range)
    return layers[first : last + 1]


def column_widths(
    table: list[list[str]], line_length: int | None, positions: list[float] | None
) -> list[int]:
    columns = len(table[0])
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
