"""Layers for what ONNX does with shapes: axes in another order, away, cut and joined."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from backprop import layers as L
from backprop.interop.drawing import Known, as_is
from backprop.interop.onnx_building import Builder, reads
from backprop.interop.onnx_from_sizes import Sizes, part_of
from backprop.interop.onnx_reading import Node
from backprop.layers.arithmetic.slices import written

FLOATS = {1, 10, 11, 16}  # ONNX' numbers of them
FAR = 2**31  # what is beyond the end of any axis
WHOLE = slice(None)


@reads("Constant")
def constant(r: Builder, node: Node) -> Any:
    kinds = ("value", "value_float", "value_int", "value_floats", "value_ints")
    found = [node.get(kind) for kind in kinds if node.get(kind) is not None]
    if len(found) != 1 or len(node.attributes) != 1:
        raise r.refused("it is no array of numbers")
    value = found[0]
    return value if isinstance(value, np.ndarray) else np.asarray(value)


@reads("Identity", "Dropout")
def nothing(r: Builder, node: Node, x: Any, *rest: Any) -> Any:
    return x


@reads("Cast")
def cast(r: Builder, node: Node, x: Any) -> Any:
    if isinstance(x, Sizes):
        return x
    if isinstance(x, Known) and (node.get("to") in FLOATS or x.symbol.dtype.kind in "iu"):
        return x
    raise r.refused("it makes integers of numbers")


@reads("Transpose")
def transpose(r: Builder, node: Node, x: Any) -> Any:
    x = r.known(x)
    perm = node.get("perm", list(range(x.ndim))[::-1])
    if sorted(perm) != list(range(x.ndim)):
        raise r.refused(f"its order is {perm}, of {x.ndim} axes")
    return Known(x.symbol, tuple(x.order[i] for i in perm))


@reads("Flatten")
def flatten(r: Builder, node: Node, x: Any) -> Known:
    if node.get("axis", 1) != 1:
        raise r.refused("it leaves more, or less, than the batch")
    return as_is(L.Flatten()(r.plain(x)))


@reads("Reshape")
def reshape(r: Builder, node: Node, x: Any, shape: Any) -> Known:
    x = r.plain(x)
    if isinstance(shape, Sizes):
        wanted = shape.as_target(x.shape)
    else:
        wanted = r.numbers(shape, "shape")
    sizes = x.shape[1:]
    if not wanted or node.get("allowzero", 0):
        raise r.refused("its shape has no batch")
    target = [
        (x.shape[i] or -1) if n == 0 and 0 < i < len(x.shape) else n for i, n in enumerate(wanted)
    ][1:]
    if any(n == 0 or n < -1 for n in target) or target.count(-1) > 1:
        raise r.refused(f"its shape {wanted} leaves too much open")
    known = None not in sizes and -1 not in target
    if wanted[0] == -1:
        whole = known and math.prod(target) == math.prod(n or 0 for n in sizes)
    else:
        whole = wanted[0] == 0
    if not whole:
        raise r.refused(f"its shape {wanted} does not leave the batch as it is")
    if target == [-1]:
        return as_is(L.Flatten()(x))
    return as_is(L.Reshape(tuple(target))(x))


@reads("Squeeze")
def squeeze(r: Builder, node: Node, x: Any, axes: Any = None) -> Any:
    if isinstance(x, Sizes):
        return x
    if isinstance(x, Known) and x.lead is not None:
        if r.axes(axes, x.ndim + 1) != [x.lead]:
            raise r.refused("it takes another axis than that of directions away")
        return Known(x.symbol, x.order)
    x = r.plain(x)
    gone = r.axes(axes, len(x.shape), [i for i, n in enumerate(x.shape) if n == 1])
    if 0 in gone:
        raise r.refused("it takes the batch away")
    if any(x.shape[axis] not in (1, None) for axis in gone):
        raise r.refused(f"it takes axes {gone} of {x.shape} away, which are not of length one")
    index = tuple(0 if i in gone else WHOLE for i in range(len(x.shape)))
    return as_is(L.Slice(written(index))(x))


@reads("Unsqueeze")
def unsqueeze(r: Builder, node: Node, x: Any, axes: Any = None) -> Any:
    if isinstance(x, Sizes):
        return x
    x = r.known(x)
    count = len(node.get("axes", ())) if axes is None else len(r.numbers(axes, "axes"))
    new = r.axes(axes, x.ndim + count)
    if new == [0] and x.ndim == 2:
        return Known(x.symbol, x.order, 0)  # a state, and the axis of directions
    if 0 in new:
        raise r.refused("it puts an axis before the batch")
    index = tuple(None if i in new else WHOLE for i in range(x.ndim + count))
    return as_is(L.Slice(written(index))(r.plain(x)))


@reads("Slice")
def cut(r: Builder, node: Node, x: Any, *given: Any) -> Any:
    if isinstance(x, Sizes):
        return part_of(r, x, *given)
    x = r.known(x)
    names = ("starts", "ends", "axes", "steps")
    lists = [
        node.get(name) if i >= len(given) or given[i] is None else r.numbers(given[i], name)
        for i, name in enumerate(names)
    ]
    starts, ends = lists[:2]
    if starts is None or ends is None:
        raise r.refused("it names no starts or no ends")
    axes = r.axes(None if len(given) < 3 else given[2], x.ndim, list(range(len(starts))))
    steps = [1] * len(starts) if lists[3] is None else lists[3]
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise r.refused("its lists do not go together")
    index = [WHOLE] * x.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if x.order[axis] == 0:
            raise r.refused("it cuts the batch")
        first = None if abs(start) >= FAR or (start == 0 and step > 0) else start
        index[x.order[axis]] = slice(
            first, None if abs(end) >= FAR else end, None if step == 1 else step
        )
    return r.on(x, L.Slice(written(tuple(index))))


@reads("Split")
def split(r: Builder, node: Node, x: Any, sizes: Any = None) -> list[Known]:
    x = r.known(x)
    axis = r.axis(node.get("axis", 0), x.ndim)
    n, count = x.shape[axis], len(node.outputs)
    given = node.get("split") if sizes is None else r.numbers(sizes, "split")
    if given is None:
        if n is None:
            raise r.refused("it divides an axis whose length is open")
        step = -(-n // count)
        given = [min(step, n - i * step) for i in range(count)]
    if len(given) != count or any(k < 1 for k in given) or x.order[axis] == 0:
        raise r.refused(f"it divides an axis of {n} into {given}")
    found, start = [], 0
    for k in given:
        index = [WHOLE] * x.ndim
        index[x.order[axis]] = slice(start, start + k)
        found.append(r.on(x, L.Slice(written(tuple(index)))))
        start += k
    return found


@reads("Tile")
def tile(r: Builder, node: Node, x: Any, repeats: Any) -> Known:
    x, times = r.plain(x), r.numbers(repeats, "repeats")
    if len(x.shape) != 3 or len(times) != 3 or times[::2] != [1, 1] or x.shape[1] != 1:
        raise r.refused("of it a vector that is repeated along the time is read")
    return as_is(L.UpSampling1D(times[1])(x))
