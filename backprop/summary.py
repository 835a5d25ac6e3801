"""The table that `model.summary()` prints: what a model is made of, and what it costs."""

from __future__ import annotations

from math import prod
from typing import Any

from backprop import checks
from backprop.counts import Count, by_call, plus, times
from backprop.html import paragraphs, table
from backprop.layer import Layer
from backprop.layers.inputs import InputLayer
from backprop.nest import several
from backprop.spelling import nearest, printable


def summary(
    model: Any,
    line_length: int | None = None,
    positions: list[float] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: tuple[str, str] | list[str] | None = None,
    batch_size: int = 32,
) -> str:
    """The layers with output shape, number of parameters and of multiply-adds, as text; those of a
    graph with what they read: ``name[i][k]`` is the array k of what call i of that layer gives.

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
    batch_size : int, default 32
        For how many rows memory is counted.
    """
    batch_size = checks.integer(batch_size, "summary()", "batch_size")
    if positions is not None:
        positions = checks.sequence(positions, "summary()", "positions")
    rows = rows_of_table(model, expand_nested, show_trainable, layer_range)
    if positions is not None and len(positions) < len(rows[0]):
        rows = [cells[: max(len(positions), 3)] for cells in rows]  # Keras' columns come first
    widths = column_widths(rows, line_length, positions)
    rule = "─" * (sum(widths) + 2 * len(widths) - 2)
    said = [f'Model: "{printable(model.name)}"', rule]
    for i, cells in enumerate(rows):
        padded = (c[:width].ljust(width) for c, width in zip(cells, widths, strict=True))
        said.append("  ".join(padded).rstrip())
        if i == 0:
            said.append(rule)
    return "\n".join([*said, rule, *totals(model), *costs(model, batch_size)])


def as_html(model: Any) -> str:
    """The summary as a notebook shows it."""
    head, *rows = rows_of_table(model)
    said = [line.strip() for line in (*totals(model), *costs(model, 32))]
    title = paragraphs([f"{type(model).__name__} {model.name}"])
    return f"{title}{table(head, rows)}{paragraphs(said)}"


def rows_of_table(
    model: Any, expand_nested: bool = False, show_trainable: bool = False, layer_range: Any = None
) -> list[list[str]]:
    """The table's headings, and the cells of each of its lines."""
    graph = hasattr(model, "connections")
    headings = ["Layer (type)", "Output Shape", "Param #"] + ["Connected to"] * graph
    rows = [[*headings, *["Trainable"] * show_trainable, "Multiply-adds"]]
    counts = multiply_adds(model)
    met: list[Layer] = []
    for layer, shape, connected in chosen(entries(model), layer_range):
        shared = layer in met
        met.append(layer)
        count = "" if shared else shown_count(counts.get(id(layer)))
        rows += rows_of(layer, shape, connected, shared, show_trainable, count)
        if expand_nested:
            for part, depth in nested(layer):
                connected = [] if graph else None
                rows += rows_of(part, None, connected, False, show_trainable, "", depth)
    return rows


def multiply_adds(model: Any) -> dict[int, Count]:
    """Of one row, by the identity of the layers; those of all calls of a layer together."""
    if not model.built:
        return {}
    if hasattr(model, "connections"):
        calls = by_call(model)
    else:
        shape, calls = model.input_shape, []
        for layer in model.layers:
            calls.append((layer, layer.multiply_adds(shape)))
            shape = layer.compute_output_shape(shape)
    found: dict[int, Count] = {id(layer): 0 for layer in getattr(model, "doors", ())}
    for layer, count in calls:
        found[id(layer)] = plus((found.get(id(layer), 0), count))
    return found


def shown_count(count: Count) -> str:
    return "?" if count is None else f"{count:,}"


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
    multiplied: str,
    depth: int = 0,
) -> list[list[str]]:
    """The lines of a layer: one, and one more for each further array that it reads."""
    count = "0" if isinstance(layer, InputLayer) else "0 (unbuilt)"
    if layer.built:
        count = f"{layer.count_params():,}"
    name = f"{'  ' * depth}{printable(layer.name)} ({type(layer).__name__})"
    cells = [name, "" if depth else str(shape or "?"), "0 (shared)" if shared else count]
    trained = [*["Y" if layer.trainable else "N"] * show_trainable, multiplied]
    if connected is None:
        return [cells + trained]
    first, *others = map(printable, connected or ["-"])
    blank = [""] * len(cells)
    return [
        [*cells, first, *trained],
        *([*blank, other, *[""] * len(trained)] for other in others),
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
        who = "each of positions"
        positions = [checks.number(p, "summary()", who, least=0) for p in positions]
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


def costs(model: Any, batch_size: int) -> list[str]:
    """What a row takes to be computed, and a batch to be trained on."""
    if not model.built:
        return []
    counts = list(multiply_adds(model).values())
    known, more = sum(c for c in counts if c is not None), None in counts
    rows = plus(map(size_of_row, shapes_put_out(model)))
    itemsize = model.arrays()[0].value.itemsize if model.arrays() else 4
    vector = [p for p in model.arrays() if p.gradient is not None]  # the frozen lie in it too
    parts = [
        f"weights {readable(sum(p.value.nbytes for p in model.arrays()))}",
        f"gradients {readable(sum(p.value.nbytes for p in vector))}",
    ]
    if model.optimizer is not None:
        state = size_of_state(model.optimizer, vector)
        parts.append(f"optimizer {'?' if state is None else readable(state)}")
    outputs = times(rows, batch_size, itemsize)
    said = "?" if outputs is None else readable(outputs)
    parts.append(f"outputs of layers {said} for {batch_size:,} rows")
    return [
        f" Multiply-adds of a row: {known:,}{' and those marked ?' if more else ''}",
        f" Memory in training: {', '.join(parts)}",
    ]


def shapes_put_out(model: Any) -> list[Any]:
    """The shapes of what each call of a layer puts out."""
    if hasattr(model, "connections"):
        return model._wiring.shapes[len(model.doors) :]
    return [shape for _, shape, _ in entries(model)]


def size_of_row(shape: Any) -> Count:
    if several(shape):
        return plus(map(size_of_row, shape))
    return times(*shape[1:]) if len(shape) > 1 else 1


def size_of_state(optimizer: Any, arrays: list[Any]) -> int | None:
    """The bytes that an optimizer remembers beside these arrays; None for one of full batches, for
    which SciPy does."""
    if optimizer.full_batch:
        return None
    names = [name for group in optimizer.slots() for name in group]
    names += ["average"] * bool(optimizer.use_ema)
    names += ["accumulator"] * bool(optimizer.gradient_accumulation_steps)
    size = 0
    for p in arrays:
        for name in names:
            shape = optimizer.slot_shape(name, p) if optimizer.by_parameter else p.shape
            size += 0 if shape is None else prod(shape) * p.value.itemsize
    return size


def readable(size: float) -> str:
    for unit in ("B", "KB", "MB"):
        if size < 1024:
            return f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} GB"
