"""Dense layers, merging, arithmetic and shapes in the words of ONNX."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from typing import Any

import numpy as np

from backprop import layers as L
from backprop.defaults import epsilon
from backprop.interop.onnx_activations import activated
from backprop.interop.onnx_writing import NotInOnnx, Value, Writer, emits, last_channel
from backprop.layers.chain import Chain
from backprop.layers.graph import Graph
from backprop.layers.inputs import AsFloat
from backprop.nest import as_tuple, each, leaves

NOTHING = (
    *(L.Linear, L.Identity, L.Dropout, L.GaussianDropout, L.GaussianNoise, L.AlphaDropout),
    *(L.SpatialDropout1D, L.SpatialDropout2D, L.SpatialDropout3D, L.ActivityRegularization),
    *(L.RandomFlip, L.RandomRotation, L.RandomZoom, L.RandomTranslation, L.RandomContrast),
    *(L.RandomBrightness, AsFloat),
)


@emits(*NOTHING)
def nothing(w: Writer, layer: Any, x: Value) -> Value:
    return x


# --------------------------------------------------------------------------------- containers


@emits(Chain, masked=True)
def chain(w: Writer, layer: Any, x: Any) -> Any:
    for part in layer.layers:
        x = w.emit(part, x)
    return x


@emits(Graph, masked=True)
def graph(w: Writer, layer: Any, x: Any) -> Any:
    wiring = layer._wiring
    known = dict(zip(leaves(wiring.inputs), as_tuple(x), strict=True))
    known[None] = None  # what a call was not given
    for part, reads, writes, _ in wiring.calls:
        y = w.emit(part, each(known.__getitem__, reads))
        known |= dict(zip(as_tuple(writes), as_tuple(y), strict=True))
    found = [known[place] for place in leaves(wiring.outputs)]
    return tuple(found) if len(found) > 1 else found[0]


@emits(L.Parallel, masked=True)
def parallel(w: Writer, layer: Any, x: Value) -> Value:
    return w.emit(layer._merging, tuple(w.emit(branch, x) for branch in layer.branches))


@emits(L.Residual, masked=True)
def residual(w: Writer, layer: Any, x: Value) -> Value:
    return activated(w, layer.activation, parallel(w, layer, x))


@emits(L.TimeDistributed, masked=True)
def time_distributed(w: Writer, layer: Any, x: Value) -> Value:
    inner, mask = layer.layer, x.mask
    bare = x.but(mask=None)
    if isinstance(inner, L.Dense) and inner.activation.time_local:
        return w.emit(inner, bare).but(mask=mask)
    rows = w.reshaped(w.plain(bare), (-1, *known_sizes(x.shape[2:])))
    y = w.emit(inner, Value(rows, (None, *x.shape[2:])))
    if isinstance(y, tuple) or y.mask is not None:
        raise NotInOnnx("its layer gives more than one array")
    sizes, steps = known_sizes(y.shape[1:]), x.shape[1]
    if steps is not None:
        back = w.reshaped(w.plain(y), (-1, steps, *sizes))
    else:
        front = w.node("Slice", w.node("Shape", w.plain(x)), w.integers([0]), w.integers([2]))
        whole = w.node("Concat", front, w.integers(sizes), axis=0)
        back = w.node("Reshape", w.plain(y), whole)
    return Value(back, (*x.shape[:2], *sizes), mask=mask)


def known_sizes(sizes: Sequence[int | None]) -> list[int]:
    found = [n for n in sizes if n is not None]
    if len(found) < len(sizes):
        raise NotInOnnx(f"each step has an open size, {tuple(sizes)}: give Input() all")
    return found


# -------------------------------------------------------------------------------------- dense


def affine(w: Writer, x: str, kernel: Any, bias: Any) -> str:
    """x · kernel + bias, over the last axis."""
    y = w.node("MatMul", x, w.weight(kernel, "kernel"))
    return y if bias is None else w.node("Add", y, w.weight(bias, "bias"))


@emits(L.Dense)
def dense(w: Writer, layer: Any, x: Value) -> Value:
    y = affine(w, w.plain(x), layer.kernel, layer.bias)
    return activated(w, layer.activation, Value(y, (*x.shape[:-1], layer.units), mask=x.mask))


@emits(L.EinsumDense)
def einsum_dense(w: Writer, layer: Any, x: Value) -> Value:
    if "..." in layer.equation:
        raise NotInOnnx(f"its equation {layer.equation!r} leaves axes open")
    kernel = w.weight(layer.kernel, "kernel")
    y = w.node("Einsum", w.plain(x), kernel, equation=layer.equation.replace(" ", ""))
    if getattr(layer, "bias", None) is not None:
        y = w.node("Add", y, w.weight(layer.bias, "bias"))
    shape = layer.compute_output_shape(x.shape)
    return activated(w, layer.activation, Value(y, shape, mask=x.mask))


# ------------------------------------------------------------------------------------ merging


def level(w: Writer, xs: tuple[Value, ...]) -> tuple[list[str], Any, int]:
    """The arrays in one order, and with as many axes: those with fewer get theirs behind the
    batch. Also the order, and how many axes there are."""
    ndim = max(x.ndim for x in xs)
    if len({(x.laid, x.ndim) for x in xs}) == 1:
        return [x.name for x in xs], xs[0].order, ndim
    names = []
    for x in xs:
        name = w.plain(x)
        if x.ndim < ndim:
            name = w.node("Unsqueeze", name, w.integers(range(1, 1 + ndim - x.ndim)))
        names.append(name)
    return names, None, ndim


def mask_of_all(w: Writer, xs: tuple[Value, ...]) -> str | None:
    """The steps that are real in all; an error where they are not the same steps."""
    mask = w.all_of([x.mask for x in xs])
    if mask is not None and len({(x.ndim, x.shape[1]) for x in xs}) > 1:
        raise NotInOnnx("a mask comes to it, and what it merges does not have the same steps")
    return mask


def by_pairs(w: Writer, op: str, names: list[str]) -> str:
    found = names[0]
    for name in names[1:]:
        found = w.node(op, found, name)
    return found


MERGE = {
    L.Add: lambda w, layer, names: by_pairs(w, "Add", names),
    L.Multiply: lambda w, layer, names: by_pairs(w, "Mul", names),
    L.Subtract: lambda w, layer, names: w.node("Sub", *names),
    L.Divide: lambda w, layer, names: w.node("Div", *names),
    L.Maximum: lambda w, layer, names: w.node("Max", *names),
    L.Minimum: lambda w, layer, names: w.node("Min", *names),
    L.Average: lambda w, layer, names: w.node("Mean", *names),
}


@emits(*MERGE, masked=True)
def merge(w: Writer, layer: Any, xs: tuple[Value, ...]) -> Value:
    names, order, _ = level(w, xs)
    y = MERGE[type(layer)](w, layer, names)
    shape = layer.compute_output_shape(tuple(x.shape for x in xs))
    return Value(y, shape, order, mask_of_all(w, xs))


@emits(L.Concatenate, masked=True)
def concatenate(w: Writer, layer: Any, xs: tuple[Value, ...]) -> Value:
    names, order, _ = level(w, xs)
    shape = layer.compute_output_shape(tuple(x.shape for x in xs))
    axis = layer.axis % len(shape)
    at = axis if order is None else order[axis]
    mask = mask_of_all(w, xs)
    if mask is not None and axis == 1:
        raise NotInOnnx("a mask comes to it, and what it joins are steps")
    return Value(w.node("Concat", *names, axis=at), shape, order, mask)


@emits(L.Dot)
def dot(w: Writer, layer: Any, xs: tuple[Value, ...]) -> Value:
    a, b = xs
    j, k = layer.along([a.ndim, b.ndim])
    names = [w.plain(x) for x in xs]
    if layer.normalize:
        names = [of_length_one(w, *pair, epsilon()) for pair in zip(names, ([j], [k]), strict=True)]
    letters = iter(string.ascii_lowercase[1:])
    of_a = ["a", *(next(letters) for _ in a.shape[1:])]
    of_b = ["a", *(next(letters) for _ in b.shape[1:])]
    of_b[k] = of_a[j]
    rest = [c for i, c in enumerate(of_a) if i != j] + [c for c in of_b[1:] if c != of_a[j]]
    equation = f"{''.join(of_a)},{''.join(of_b)}->{''.join(rest)}"
    y = w.node("Einsum", *names, equation=equation)
    if len(rest) == 1:
        y = w.node("Unsqueeze", y, w.integers([1]))
    return Value(y, layer.compute_output_shape((a.shape, b.shape)))


def of_length_one(w: Writer, x: str, axes: Any, shortest: float) -> str:
    """Rows along some axes, divided by their lengths."""
    square = w.reduced("ReduceSum", w.node("Mul", x, x), axes, True)
    return w.node("Div", x, w.node("Max", w.node("Sqrt", square), w.constant(shortest)))


@emits(L.Matmul)
def matmul(w: Writer, layer: Any, xs: tuple[Value, ...]) -> Value:
    shape = layer.compute_output_shape(tuple(x.shape for x in xs))
    return Value(w.node("MatMul", *map(w.plain, xs)), shape)


# --------------------------------------------------------------------------------- arithmetic

CONSTANTS = {
    L.AddConstant: lambda w, x, c: w.node("Add", x, c),
    L.SubtractFrom: lambda w, x, c: w.node("Sub", c, x),
    L.MultiplyBy: lambda w, x, c: w.node("Mul", x, c),
    L.DivideBy: lambda w, x, c: w.node("Div", x, c),
    L.DivideInto: lambda w, x, c: w.node("Div", c, x),
    L.RaiseTo: lambda w, x, c: w.node("Pow", x, c),
    L.PowerOf: lambda w, x, c: w.node("Pow", c, x),
}


@emits(*CONSTANTS)
def with_constant(w: Writer, layer: Any, x: Value) -> Value:
    if np.ndim(layer.value) == 0:
        return x.mapped(CONSTANTS[type(layer)](w, x.name, w.constant(layer.value)))
    y = CONSTANTS[type(layer)](w, w.plain(x), w.constant(layer.value))
    return Value(y, layer.compute_output_shape(x.shape))


@emits(L.MatmulConstant)
def matmul_constant(w: Writer, layer: Any, x: Value) -> Value:
    pair = [w.plain(x), w.constant(layer.value)]
    y = w.node("MatMul", *(pair[::-1] if layer.first else pair))
    return Value(y, layer.compute_output_shape(x.shape))


@emits(L.Rescaling)
def rescaling(w: Writer, layer: Any, x: Value) -> Value:
    y = w.node("Mul", w.plain(x), w.constant(layer.scale))
    return Value(w.node("Add", y, w.constant(layer.offset)), x.shape)


# ------------------------------------------------------------------------------------- shapes


@emits(L.Flatten)
def flatten(w: Writer, layer: Any, x: Value) -> Value:
    if x.ndim > 2 and layer.data_format == "channels_first":
        name = w.arranged(x, last_channel(x.ndim))
    else:
        name = w.plain(x)
    if x.ndim == 1:
        return Value(w.node("Unsqueeze", name, w.integers([1])), (x.shape[0], 1))
    return Value(w.reshaped(name, (0, -1)), layer.compute_output_shape(x.shape))


@emits(L.Reshape)
def reshape(w: Writer, layer: Any, x: Value) -> Value:
    shape = layer.compute_output_shape(x.shape)
    target = layer.target_shape
    if not target and math.prod(n or 0 for n in x.shape[1:]) == 1:
        return Value(w.reshaped(w.plain(x), (-1,)), shape)
    return Value(w.reshaped(w.plain(x), (0, *target)), shape)


@emits(L.Permute)
def permute(w: Writer, layer: Any, x: Value) -> Value:
    laid = x.laid
    order = tuple(laid[i] for i in (0, *layer.dims))
    return Value(x.name, layer.compute_output_shape(x.shape), order)


@emits(L.RepeatVector)
def repeat_vector(w: Writer, layer: Any, x: Value) -> Value:
    one = w.node("Unsqueeze", w.plain(x), w.integers([1]))
    y = w.node("Tile", one, w.integers([1, layer.n, 1]))
    return Value(y, layer.compute_output_shape(x.shape))


LARGEST = 2**63 - 1


def cut(w: Writer, name: str, parts: dict[int, slice]) -> str:
    """Slices along some axes."""
    steps = [part.step or 1 for part in parts.values()]
    starts = [
        part.start if part.start is not None else (0 if step > 0 else LARGEST)
        for part, step in zip(parts.values(), steps, strict=True)
    ]
    stops = [
        part.stop if part.stop is not None else (LARGEST if step > 0 else -LARGEST)
        for part, step in zip(parts.values(), steps, strict=True)
    ]
    if not parts:
        return name
    given = (starts, stops, list(parts), steps)
    return w.node("Slice", name, *map(w.integers, given))


@emits(L.Slice)
def part(w: Writer, layer: Any, x: Value) -> Value:
    items = layer.expanded(x.ndim)
    kept = [item for item in items if item is not None]
    parts = {}
    for axis, item in enumerate(kept):
        if isinstance(item, slice) and item != slice(None):
            parts[axis] = item
        elif not isinstance(item, slice):
            parts[axis] = slice(item, item + 1 if item != -1 else None)
    y = cut(w, w.plain(x), parts)
    gone = [axis for axis, item in enumerate(kept) if not isinstance(item, slice)]
    if gone:
        y = w.node("Squeeze", y, w.integers(gone))
    behind = [item for item in items if item is None or isinstance(item, slice)]
    new = [i for i, item in enumerate(behind) if item is None]
    if new:
        y = w.node("Unsqueeze", y, w.integers(new))
    return Value(y, layer.compute_output_shape(x.shape))
