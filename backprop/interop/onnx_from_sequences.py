"""Layers for ONNX' recurrent operators and tables."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import numpy as np

from backprop import layers as L
from backprop.interop.drawing import Known
from backprop.interop.onnx_building import Builder, reads
from backprop.interop.onnx_from_masks import (
    Held,
    Real,
    expect,
    is_held,
    is_read,
    makes_mask,
    only_held,
)
from backprop.interop.onnx_from_sizes import Sizes, Zeros
from backprop.interop.onnx_reading import Node
from backprop.layers.arithmetic.slices import written

Array = np.ndarray
ACTIVATIONS = {
    "tanh": L.Tanh,
    "sigmoid": L.Sigmoid,
    "relu": L.ReLU,
    "softsign": L.Softsign,
    "softplus": L.Softplus,
    "hardsigmoid": L.HardSigmoid,
}
DEFAULTS = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}
# of each operator: how many gates, and their order here
GATES = {"LSTM": (4, (0, 2, 3, 1)), "GRU": (3, (0, 1, 2)), "RNN": (1, (0,))}


@reads("Gather")
def gather(r: Builder, node: Node, table: Any, index: Any) -> Any:
    if isinstance(table, np.ndarray):
        x = r.known(index)
        if node.get("axis", 0) != 0 or table.ndim != 2 or x.symbol.dtype.kind not in "iu":
            raise r.refused("it is no look-up of rows in a matrix by integers")
        layer = L.Embedding(*table.shape, mask_zero=makes_mask(r, node.inputs[1]))
        y = r.weighted(layer, x.symbol, table)
        return Known(y, (*x.order, x.ndim))
    if isinstance(table, Sizes):
        return table.picked(r.numbers(index, "index"))
    x, [at] = r.known(table), r.numbers(index, "index") or [None]
    axis = x.order[r.axis(node.get("axis", 0), x.ndim)]
    if axis == 0 or at is None or r.constant(index, "index").ndim:
        raise r.refused("it picks from the batch, or several places")
    index_ = tuple(at if i == axis else slice(None) for i in range(x.ndim))
    rest = [i for i in x.order if i != axis]
    return Known(L.Slice(written(index_))(x.symbol), tuple(sorted(rest).index(i) for i in rest))


@reads("LSTM", "GRU", "RNN")
def recurrent(
    r: Builder,
    node: Node,
    x: Any,
    w: Any,
    u: Any,
    b: Any = None,
    lengths: Any = None,
    *states: Any,
) -> list[Any]:
    x = r.known(x)
    direction, units = node.get("direction", "forward"), node.get("hidden_size", 0)
    if lengths is not None and not (isinstance(lengths, Real) and lengths.form == "lengths"):
        raise r.refused("it is given lengths of sequences that are not those of a mask")
    if direction not in ("forward", "reverse") or node.get("layout", 0):
        raise r.refused(f"its direction is {direction!r}, or its layout has the batch in front")
    if {"clip", "input_forget"} & {k for k, v in node.attributes.items() if v}:
        raise r.refused("it clips, or couples gates")
    if len(states) > 2 or (node.op != "LSTM" and len(states) > 1) or x.ndim != 3:
        raise r.refused("it has peepholes, or reads no sequences")
    count, order = GATES[node.op]
    kernel, inner = (r.constant(m, "weights") for m in (w, u))
    if kernel.ndim != 3 or inner.shape != (1, count * units, units) or units < 1:
        raise r.refused(f"its weights have shapes {kernel.shape} and {inner.shape}")
    if kernel.shape[:2] != inner.shape[:2]:
        raise r.refused(f"its weights have shapes {kernel.shape} and {inner.shape}")
    weights = [ours(m[0].T, count, order) for m in (kernel, inner)]
    after = node.op == "GRU" and bool(node.get("linear_before_reset", 0))
    if b is not None:
        weights.append(bias_of(r, r.constant(b, "bias"), node.op, units, after))
    used = [bool(name) and is_read(r, name) for name in node.outputs]
    used += [False] * (3 - len(used))
    kept = len(node.outputs) > 1 and only_held(r, node.outputs[1])
    used[1] &= not kept
    options: dict[str, Any] = {
        "use_bias": b is not None,
        "return_sequences": used[0],
        "return_state": (used[0] and any(used[1:])) or used[2],
        "go_backwards": direction == "reverse",
        **activations(r, node),
    }
    if lengths is not None and direction == "forward" and used[0]:
        options["zero_output_for_mask"] = not is_held(r, node.outputs[0])
    if node.op == "GRU":
        options["reset_after"] = after
    kind = {"LSTM": L.LSTM, "GRU": L.GRU, "RNN": L.SimpleRNN}[node.op]
    first = [state(r, s) for s in states if s is not None and not isinstance(s, Zeros)]
    if len(first) not in (0, sum(s is not None for s in states)):
        raise r.refused("one of its first states is zero, and another is not")
    given = {"initial_state": first} if first else {}
    steps = r.arranged(x, (1, 0, 2))
    expect(r, steps, () if lengths is None else lengths.sources)
    found = r.weighted(kind(units, **options), steps, *weights, **given)
    y, *last = found if isinstance(found, tuple | list) else (found,)
    if not last:
        last = [y]
    if used[0] and direction == "reverse":
        y = L.Slice(":, ::-1")(y)
    whole = Known(y, (1, 0, 2), 1) if used[0] else None
    ends = [whole, *(Known(s, (0, 1), 0) for s in last)]
    return [end if read else Held() for end, read in zip_longest(ends, used)][: len(node.outputs)]


def state(r: Builder, x: Any) -> Any:
    if not isinstance(x, Known) or x.lead != 0:
        raise r.refused("its first state is no array (batch, units) with an axis of directions")
    return x.symbol


def ours(m: Array, count: int, order: tuple[int, ...]) -> Array:
    """(n, gates units), the gates in the order that they have here."""
    parts = np.split(m, count, -1)
    return np.concatenate([parts[i] for i in order], -1)


def bias_of(r: Builder, b: Array, op: str, units: int, after: bool) -> Array:
    count, order = GATES[op]
    if b.shape != (1, 2 * count * units):
        raise r.refused(f"its bias has shape {b.shape}")
    rows = ours(b.reshape(2, -1), count, order)
    if after:
        return rows
    return rows.sum(0)


def activations(r: Builder, node: Node) -> dict[str, Any]:
    names = node.get("activations", DEFAULTS[node.op])
    if not isinstance(names, list) or len(names) != len(DEFAULTS[node.op]):
        raise r.refused(f"its activations are {names}")
    unknown = [n for n in names if not isinstance(n, str) or n.lower() not in ACTIVATIONS]
    if unknown or (node.op == "LSTM" and names[1] != names[2]):
        raise r.refused(f"its activations are {names}")
    numbers = [round(v, 5) for v in node.get("activation_alpha", [])]
    if any("hard" in n.lower() for n in names) and set(numbers) != {round(1 / 6, 5)}:
        raise r.refused("its hard sigmoid is another: alpha is 1/6 here")
    made = [ACTIVATIONS[n.lower()]() for n in names]
    if node.op == "RNN":
        return {"activation": made[0]}
    return {"recurrent_activation": made[0], "activation": made[1]}
