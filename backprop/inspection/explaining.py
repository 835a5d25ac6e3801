"""`explain`: one training step told as a story, with its numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.callbacks.looks import size_of
from backprop.context import Logits
from backprop.inspection.formulas import formula, shapes, way_back
from backprop.inspection.story import Block, Section, Story
from backprop.inspection.watched import Part, Pass, Step, watched_step
from backprop.layer import Layer
from backprop.layers.recurrent.time import OverTime
from backprop.losses.several import WeightedSum
from backprop.nest import as_tuple, row_count
from backprop.training.ends import ends_of

Array = np.ndarray

WHO = "explain()"
TINY = 32  # numbers of an array that is shown whole
FEW = 128  # weights of a network whose arrays are shown


def explain(model: Any, x: Any, y: Any, sample_weight: Any = None) -> Story:
    """One training step told as a story; see `model.explain`."""
    step = watched_step(model, x, y, sample_weight, WHO)
    rows = row_count(step.x)
    title = (
        f"One training step of {model.name}: {rows} row{'s' * (rows != 1)}, "
        f"{model.parameters.size:,} weights, {step.optimizer!r}"
    )
    sections = [
        forwards(model, step),
        of_loss(model, step),
        backwards(step),
        update(step),
        outcome(step),
    ]
    if model.parameters.size > FEW:
        for block in (block for section in sections for block in section.blocks):
            block.arrays.clear()
    return Story(title, sections)


# ------------------------------------------------------------------------------------- forwards


def forwards(model: Any, step: Step) -> Section:
    inputs, _ = ends_of(model)
    blocks = []
    for name, array in inputs.labelled("x", step.x):
        block = Block(f"{name}: what goes in")
        measure(block, "x", array)
        blocks.append(block)
    for i, part in enumerate(step.parts):
        blocks += [forward_block(i, part, one, k) for k, one in enumerate(part.passes)]
    return Section(
        "1. Forward: each layer makes its y from what came before",
        [
            "Every layer is a function. It keeps in a cache what its way back will need, and hands "
            "y on to the next."
        ],
        blocks,
    )


def forward_block(i: int, part: Part, one: Pass, k: int) -> Block:
    layer = part.layer
    block = Block(f"{headline(i, part)}{place_of(part, k)}")
    block.formulas = [line for line in (formula(type(layer)), *shapes(type(layer))) if line]
    activation = getattr(layer, "activation", None)
    if isinstance(activation, Layer) and type(activation) is not type(layer):
        block.rows.append(
            ("activation", f"{type(activation).__name__}: {formula(type(activation))}")
        )
    block.rows.append(("here", f"{shown_shapes(one.x)} → {shown_shapes(one.y)}"))
    for name, value in part.before.items():
        frozen = "" if part.trained[name] else ", frozen"
        block.rows.append((name, f"{value.shape}, size {figure(size_of(value))}{frozen}"))
        if value.size <= TINY:
            block.arrays.append((name, value))
    for label, y in labelled("y", one.y):
        measure(block, label, y)
    return block


def headline(i: int, part: Part) -> str:
    return f"({i + 1}) {part.name}, {type(part.layer).__name__}"


def place_of(part: Part, k: int) -> str:
    """Which of several places of a layer it is."""
    return f", place {k + 1} of {len(part.passes)}" if len(part.passes) > 1 else ""


# ------------------------------------------------------------------------------------- the loss


def of_loss(model: Any, step: Step) -> Section:
    _, outputs = ends_of(model)
    section = Section(
        "2. The loss: one number that says how wrong y is",
        [f"loss = {figure(step.data_loss)}{with_penalties(step)}"],
    )
    if step.loss is None:
        block = Block(f"{model.name} computes the loss by itself: compute_loss")
        for label, y in labelled("y_pred", as_tuple(step.y_pred)):
            measure(block, label, y)
        section.blocks.append(block)
        return section
    losses, weights = each_loss(step)
    y_pred, y_true, w = (as_tuple(part) for part in (step.y_pred, step.y, step.weight))
    parts = getattr(step.data_loss, "parts", None)
    told = 0
    for k, (name, _) in enumerate(outputs.labelled("y", step.y_pred)):
        loss = losses[k]
        if loss is None:
            section.blocks.append(Block(f"{name}: no loss, so nothing is learnt from it"))
            continue
        block = Block(f"{name}: {getattr(loss, 'name', type(loss).__name__)}")
        block.formulas = [line for line in (formula(type(loss)), *shapes(type(loss))) if line]
        if parts is not None:
            block.rows.append(("value", figure(parts[told])))
            told += 1
        if weights[k] != 1:
            block.rows.append(("weight", f"times {weights[k]:g} in the sum"))
        measure(block, "y_pred", y_pred[k])
        if k < len(y_true) and isinstance(y_true[k], np.ndarray):
            measure(block, "y_true", y_true[k])
        if k < len(w) and isinstance(w[k], np.ndarray):
            measure(block, "sample_weight", w[k])
        section.blocks.append(block)
    return section


def with_penalties(step: Step) -> str:
    if not step.penalties:
        return ""
    whole = float(step.data_loss) + step.penalties
    return f", and penalties of {figure(step.penalties)} make it {figure(whole)}"


def each_loss(step: Step) -> tuple[list[Any], list[float]]:
    """The loss of each output, None where there is none, and its weight."""
    if isinstance(step.loss, WeightedSum):
        return list(step.loss.losses), [float(weight) for weight in step.loss.weights]
    count = len(as_tuple(step.y_pred))
    return [step.loss] * count, [1.0] * count


# ------------------------------------------------------------------------------------- backwards


def backwards(step: Step) -> Section:
    said = "dL/dz, as softmax and loss cancel: q - δ" if step.fused else "dL/dy"
    if isinstance(step.loss, WeightedSum):
        said = "dL/dy of each output, and dL/dz behind a softmax, as that and its loss cancel"
    section = Section(
        "3. Backward: the chain rule, from the loss to the first layer",
        [
            "d stands for dL/d: how fast the loss changes with a number. A layer is given dy, sets "
            "the gradients of its own weights, and passes dx back, which is dy of the layer before "
            "it: dL/dx = dL/dy · dy/dx.",
        ],
    )
    start = Block(f"the loss passes back {said}")
    loss = step.loss
    if loss is not None and not isinstance(loss, WeightedSum):
        start.formulas = way_back(type(loss))
    plain = "dz" if step.fused and not isinstance(step.loss, WeightedSum) else "dy"
    given = (step.dy,) if isinstance(step.dy, Logits) else as_tuple(step.dy)
    for label, d in labelled(plain, given):
        short = isinstance(d, Logits)
        measure_gradient(start, label.replace("dy", "dz") if short else label, d.dz if short else d)
    section.blocks.append(start)
    for i, part in reversed(list(enumerate(step.parts))):
        for k, one in reversed(list(enumerate(part.passes))):
            if one.dy is not None:
                section.blocks.append(backward_block(i, part, one, k))
            elif part.gradients:
                section.blocks.append(
                    Block(f"{headline(i, part)}{place_of(part, k)}: nothing comes back here")
                )
    return section


def backward_block(i: int, part: Part, one: Pass, k: int) -> Block:
    layer = part.layer
    block = Block(f"{headline(i, part)}{place_of(part, k)}")
    block.formulas = way_back(type(layer))
    activation = getattr(layer, "activation", None)
    if isinstance(activation, Layer) and type(activation) is not type(layer) and not part.logits:
        lines = way_back(type(activation))
        if lines:
            block.rows.append(("activation", f"{type(activation).__name__}: {lines[0]}"))
    assert one.dy is not None
    for label, dy in labelled("dz" if part.logits else "dy", one.dy):
        measure_gradient(block, label, dy)
    if isinstance(one.dz, np.ndarray):
        measure_gradient(block, "dz", one.dz)
    if k == 0:
        several = " (the sum over its places)" if len(part.passes) > 1 else ""
        for name, gradient in part.gradients.items():
            measure_gradient(block, f"d{name}{several}", gradient)
    if one.dx is None:
        block.rows.append(("dx", "not computed: nothing before this layer learns"))
    else:
        given = max((size_of(dy) for dy in one.dy if isinstance(dy, np.ndarray)), default=0.0)
        for label, dx in labelled("dx", one.dx):
            measure_gradient(block, label, dx, given)
        if isinstance(layer, OverTime) and isinstance(one.dx[0], np.ndarray):
            first, last = (size_of(np.ascontiguousarray(one.dx[0][:, t])) for t in (0, -1))
            block.rows.append(
                ("over time", f"dx of the first step {figure(first)}, of the last {figure(last)}")
            )
    return block


# ------------------------------------------------------------------------------------- the update


def update(step: Step) -> Section:
    optimizer = step.optimizer
    rate = getattr(optimizer, "learning_rate", None)
    lines = [f"{type(optimizer).__name__}: {formula(type(optimizer))}"]
    if rate is not None:
        lines[0] += f" Here lr = {figure(float(rate))}."
    lines.append(
        "Beside each update stands its share of the weights: about 0.001 is usual, 1 would be a "
        "jump."
    )
    section = Section("4. Update: each weight takes a step against its gradient", lines)
    for part in step.parts:
        block = Block(part.name)
        for name, before in part.before.items():
            if not part.trained[name]:
                block.rows.append((name, "frozen: it stays as it is"))
                continue
            moved = size_of(part.after[name] - before)
            size = size_of(before)
            share = f", {figure(moved / size)} of it" if size else ""
            block.rows.append(
                (
                    name,
                    f"size {figure(size)}, gradient {figure(size_of(part.gradients[name]))}, "
                    f"update {figure(moved)}{share}",
                )
            )
            if before.size <= TINY:
                block.arrays += [(f"{name} before", before), (f"{name} after", part.after[name])]
        if block.rows:
            section.blocks.append(block)
    return section


def outcome(step: Step) -> Section:
    before = float(step.data_loss) + step.penalties
    change = step.after - before
    lines = [
        f"The loss of this batch was {figure(before)} and is {figure(step.after)} behind the step: "
        f"a change of {figure(change)}.",
        f"The gradient had foretold {figure(step.slope)}, Σ dL/dw · Δw over all weights: what the "
        "loss would do if it were a plane. The difference is its curvature.",
    ]
    if change > 0:
        lines.append(
            "It rose: the step was too long for this curvature (model.hessian_top says which rate "
            "would not be), or momentum carried it."
        )
    return Section("5. What it was worth", lines)


# ------------------------------------------------------------------------------------- figures


def figure(value: float) -> str:
    return f"{float(value):.4g}"


def labelled(name: str, arrays: tuple[Any, ...]) -> list[tuple[str, Any]]:
    if len(arrays) == 1:
        return [(name, arrays[0])]
    return [(f"{name}[{i}]", array) for i, array in enumerate(arrays)]


def shown_shapes(arrays: tuple[Any, ...]) -> str:
    return " and ".join(str(np.shape(a)) for a in arrays)


def measure(block: Block, label: str, array: Any) -> None:
    """Shape and statistics of what goes forwards, and a small array itself."""
    if not isinstance(array, np.ndarray):
        array = array.toarray() if hasattr(array, "toarray") else np.asarray(array)
    if array.dtype.kind not in "fiub" or not array.size:
        block.rows.append((label, f"{array.shape} of {array.dtype}"))
        return
    wide = array.astype(np.float64)
    zeros = float((array == 0).mean())
    text = (
        f"{array.shape}: mean {figure(wide.mean())}, deviation {figure(wide.std())}, from "
        f"{figure(wide.min())} to {figure(wide.max())}"
    )
    block.rows.append((label, text + (f", {zeros:.0%} are 0" if zeros else "")))
    if array.size <= TINY:
        block.arrays.append((label, array))


def measure_gradient(block: Block, label: str, d: Any, given: float = 0.0) -> None:
    """The size of a gradient, beside that of dy where it is given, and a small one itself."""
    if not isinstance(d, np.ndarray):
        block.rows.append((label, "none: nothing depends on it, or it has no derivative"))
        return
    size = size_of(d)
    beside = f", {figure(size / given)} of what came" if given else ""
    block.rows.append((label, f"{d.shape}: size {figure(size)}{beside}"))
    if d.size <= TINY:
        block.arrays.append((label.partition(" ")[0], d))
