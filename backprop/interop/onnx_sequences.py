"""Recurrent layers and attention in the words of ONNX.

Of masks ONNX' recurrent operators know lengths: what is real stands in front, padding behind it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop import layers as L
from backprop.interop.onnx_plain import affine, cut
from backprop.interop.onnx_writing import FAR, NotInOnnx, Value, Writer, emits
from backprop.nest import as_tuple

Array = np.ndarray

# ----------------------------------------------------------------------------------- recurrent

# by the class of an activation: ONNX' name, alpha and beta
IN_LOOPS: dict[type, tuple[str, float, float]] = {
    L.Tanh: ("Tanh", 0, 0),
    L.Sigmoid: ("Sigmoid", 0, 0),
    L.HardSigmoid: ("HardSigmoid", 1 / 6, 0.5),
    L.Softsign: ("Softsign", 0, 0),
    L.Softplus: ("Softplus", 0, 0),
}
BACK = slice(None, None, -1)


def in_loop(layer: Any) -> tuple[str, float, float]:
    if type(layer) is L.ReLU and not layer._needs_x and layer.max_value is None:
        return "Relu", 0, 0
    if type(layer) not in IN_LOOPS:
        raise NotInOnnx(f"the activation {layer!r} has no place in ONNX' loops")
    return IN_LOOPS[type(layer)]


def gates(weight: Array, count: int, order: tuple[int, ...]) -> Array:
    """(n, gates units) → (1, gates units, n), the gates in another order."""
    parts = np.split(weight, count, -1)
    return np.concatenate([parts[i] for i in order], -1).T[None]


def biases(layer: Any, count: int, order: tuple[int, ...]) -> Array:
    """(1, 2 gates units): of x and of the states."""
    rows = np.zeros((2, count * layer.units))
    if layer.use_bias:
        given = np.atleast_2d(layer.bias)
        rows[: len(given)] = given
    return np.concatenate([gates(row[None], count, order)[..., 0] for row in rows], -1)


KINDS: dict[type, tuple[str, int, tuple[int, ...]]] = {
    L.LSTM: ("LSTM", 4, (0, 3, 1, 2)),  # i f c o there, i o f c in ONNX
    L.GRU: ("GRU", 3, (0, 1, 2)),
    L.SimpleRNN: ("RNN", 1, (0,)),
}


@emits(*KINDS, masked=True)
def recurrent(w: Writer, layer: Any, inputs: Any) -> Any:
    if layer.stateful:
        raise NotInOnnx("it is stateful, and a file of ONNX carries nothing from batch to batch")
    x, *states = as_tuple(inputs)
    op, count, order = KINDS[type(layer)]
    units, back = layer.units, layer.go_backwards
    if layer.return_sequences and x.mask is not None and back and not layer.in_order_of_x:
        raise NotInOnnx("a mask comes to it, and its outputs are turned round: use Bidirectional")
    ends: list[tuple[str, float, float]] = [in_loop(layer.activation)]
    if count > 1:
        ends.insert(0, in_loop(layer.recurrent_activation))
    if op == "LSTM":
        ends.append(ends[-1])
    names = [
        w.arranged(x, (1, 0, 2)),
        w.weight(gates(layer.kernel, count, order), "kernel"),
        w.weight(gates(layer.recurrent_kernel, count, order), "recurrent_kernel"),
        w.weight(biases(layer, count, order), "bias"),
        "" if x.mask is None else lengths(w, x.mask),
        *(w.node("Unsqueeze", w.plain(state), w.integers([0])) for state in states),
    ]
    while not names[-1]:
        names.pop()
    options: dict[str, Any] = {
        "hidden_size": units,
        "direction": "reverse" if back else "forward",
    }
    if any(name != default for (name, _, _), default in zip(ends, DEFAULTS[op], strict=True)):
        options["activations"] = [name for name, _, _ in ends]
        # each list has numbers for those alone that take some
        given = [(alpha, beta) for _, alpha, beta in ends if alpha or beta]
        if given:
            options["activation_alpha"] = [float(alpha) for alpha, _ in given]
            options["activation_beta"] = [float(beta) for _, beta in given]
    if op == "GRU":
        options["linear_before_reset"] = int(layer.reset_after)
    found = w.nodes_of(op, names, 3 if op == "LSTM" else 2, **options)
    first = w.integers([0])
    last = [Value(w.node("Squeeze", name, first), (x.shape[0], units)) for name in found[1:]]
    y = last[0]
    if layer.return_sequences:
        y = all_steps(w, layer, x, w.node("Squeeze", found[0], w.integers([1])), last[0].name)
    return (y, *last) if layer.return_state else y


DEFAULTS = {
    "LSTM": ("Sigmoid", "Tanh", "Tanh"),
    "GRU": ("Sigmoid", "Tanh"),
    "RNN": ("Tanh",),
}


def lengths(w: Writer, mask: str) -> str:
    whole = w.node("Cast", mask, to=w.onnx.TensorProto.INT32)
    return w.reduced("ReduceSum", whole, [1], False)


def all_steps(w: Writer, layer: Any, x: Value, name: str, last: str) -> Value:
    """The outputs of all steps, of (T, N, units); ONNX has 0 at masked ones."""
    shape = (*x.shape[:2], layer.units)
    order = (1, 0, 2)
    if layer.go_backwards and not layer.in_order_of_x:
        name = cut(w, name, {0: BACK})
    y = Value(name, shape, order, mask=x.mask)
    if x.mask is None or layer.zero_output_for_mask or layer.go_backwards:
        return y
    real = w.node("Unsqueeze", x.mask, w.integers([2]))
    held = w.node("Unsqueeze", last, w.integers([1]))
    return y.but(name=w.node("Where", real, w.plain(y), held), order=None)


@emits(L.Bidirectional, masked=True)
def bidirectional(w: Writer, layer: Any, given: Any) -> Any:
    if isinstance(given, tuple):
        raise NotInOnnx("it is given first states")
    forward, backward = (
        as_tuple(w.emit(part, given)) for part in (layer.forward_layer, layer.backward_layer)
    )
    (f, *fs), (b, *bs) = forward, backward
    mask = f.mask
    if layer._join is None:
        joined: tuple[Any, ...] = (f, b)
    else:
        y = w.emit(layer._join, (f.but(mask=None), b.but(mask=None)))
        joined = (y.but(mask=mask),)
    found = [*joined, *fs, *bs]
    return tuple(found) if len(found) > 1 else found[0]


# ----------------------------------------------------------------------------------- attention


@emits(L.MultiHeadAttention, L.GroupQueryAttention, masked=True)
def in_heads(w: Writer, layer: Any, given: Any) -> Any:
    if layer.rotary is not None:
        raise NotInOnnx("rotary positions are not written")
    query, *others = as_tuple(given)
    value, key, pairs = (*others, None, None, None)[:3]
    value = value or query
    key = key or value
    heads, (key_dim, value_dim) = layer.heads, layer.sizes
    q = by_head(w, layer.query, w.plain(query), heads, key_dim, (0, 2, 1, 3))
    k = by_head(w, layer.key, w.plain(key), heads, key_dim, (0, 2, 3, 1))
    v = by_head(w, layer.value, w.plain(value), heads, value_dim, (0, 2, 1, 3))
    s = w.node("Mul", w.node("MatMul", q, k), w.constant(key_dim**-0.5))
    s = forbidden(w, layer, s, query, key)
    of_keys = w.all_of([key.mask, value.mask])
    seen = seen_by(w, query.mask, of_keys)
    if seen is not None:
        seen = w.node("Unsqueeze", seen, w.integers([1]))
    if pairs is not None:
        asked = w.node("Cast", w.plain(pairs), to=w.onnx.TensorProto.BOOL)
        if pairs.ndim == 3:
            asked = w.node("Unsqueeze", asked, w.integers([1]))
        seen = asked if seen is None else w.node("And", seen, asked)
    if seen is not None:
        s = w.node("Where", seen, s, w.constant(FAR))
    p = w.node("Softmax", s, axis=-1)
    o = w.turned(w.node("MatMul", p, v), (0, 2, 1, 3))
    o = w.reshaped(o, (0, 0, heads * value_dim))
    if layer.use_gate:
        gate = affine(w, w.plain(query), layer.gate.matrix, flat_bias(layer.gate))
        o = w.node("Mul", o, w.node("Sigmoid", gate))
    y = affine(w, o, layer.output.matrix, flat_bias(layer.output))
    sizes = layer.output.sizes_out
    if len(sizes) > 1:
        y = w.reshaped(y, (0, 0, *sizes))
    out = Value(y, (*query.shape[:2], *sizes), mask=query.mask)
    scores = (query.shape[0], heads, query.shape[1], key.shape[1])
    return (out, Value(p, scores)) if layer.return_attention_scores else out


def flat_bias(projection: Any) -> Any:
    return projection.bias.reshape(-1) if projection.use_bias else None


def by_head(
    w: Writer,
    projection: Any,
    x: str,
    heads: int,
    size: int,
    order: tuple[int, ...],
) -> str:
    """The projection of each head; where several share one, they have it several times."""
    times = heads // projection.sizes_out[0]
    kernel, bias = projection.matrix, flat_bias(projection)
    if times > 1:
        kernel = projection.kernel.repeat(times, axis=1).reshape(-1, heads * size)
        bias = None if bias is None else projection.bias.repeat(times, axis=0).reshape(-1)
    z = w.reshaped(affine(w, x, kernel, bias), (0, 0, heads, size))
    return w.turned(z, order)


def forbidden(w: Writer, layer: Any, s: str, query: Value, key: Value) -> str:
    """Scores with those of keys that a query may not see far below the others, whose exponential
    is 0."""
    window = getattr(layer, "sliding_window", None)
    if not layer.use_causal_mask and window is None:
        return s
    steps, keys = query.shape[1], key.shape[1]
    if steps is not None and keys is not None:
        seen = np.ones((steps, keys), bool)
        if layer.use_causal_mask:
            seen &= np.tri(steps, keys, dtype=bool)
        if window is not None:
            apart = np.abs(np.arange(steps)[:, None] - np.arange(keys))
            seen &= apart < window
        return w.node("Add", s, w.constant(np.where(seen, 0, FAR)))
    last = w.node("Shape", s, start=-2)
    one = w.onnx.numpy_helper.from_array(np.ones(1, np.float32))
    ones = w.node("ConstantOfShape", last, value=one)
    if layer.use_causal_mask:
        ones = w.node("Trilu", ones, upper=0)
    if window is not None:
        ones = w.node("Trilu", ones, w.constant(window - 1, np.int64), upper=0)
        ones = w.node("Trilu", ones, w.constant(1 - window, np.int64), upper=1)
    visible = w.node("Cast", ones, to=w.onnx.TensorProto.BOOL)
    return w.node("Where", visible, s, w.constant(FAR))


def seen_by(w: Writer, of_query: str | None, of_keys: str | None) -> str | None:
    """Which pairs are real, (N, T, S); None where all are."""
    found = [
        w.node("Unsqueeze", mask, w.integers([axis]))
        for mask, axis in ((of_query, 2), (of_keys, 1))
        if mask is not None
    ]
    return w.all_of(found)


@emits(L.Attention, L.AdditiveAttention, masked=True)
def unprojected(w: Writer, layer: Any, given: tuple[Value, ...]) -> Any:
    query, value, *rest = given
    key = rest[0] if rest else value
    q, v, k = (w.plain(x) for x in (query, value, key))
    s = score(w, layer, q, k)
    s = forbidden(w, layer, s, query, key)
    seen = seen_by(w, None, value.mask)
    if seen is not None:
        s = w.node("Where", seen, s, w.constant(FAR))
    p = w.node("Softmax", s, axis=-1)
    y = w.node("MatMul", p, v)
    if query.mask is not None:
        real = w.node("Unsqueeze", query.mask, w.integers([2]))
        y = w.node("Where", real, y, w.constant(0.0))
    out = Value(y, (*query.shape[:2], value.shape[2]), mask=query.mask)
    scores = (*query.shape[:2], value.shape[1])
    return (out, Value(p, scores)) if layer.return_attention_scores else out


def score(w: Writer, layer: Any, q: str, k: str) -> str:
    """How well each query and each key go together: (N, T, S)."""
    scale = layer.scale if layer.use_scale else None
    if isinstance(layer, L.Attention) and layer.score_mode == "dot":
        s = w.node("MatMul", q, w.turned(k, (0, 2, 1)))
        return s if scale is None else w.node("Mul", s, w.constant(scale))
    pairs = w.node(
        "Add", w.node("Unsqueeze", q, w.integers([2])), w.node("Unsqueeze", k, w.integers([1]))
    )
    if isinstance(layer, L.AdditiveAttention):
        h = w.node("Tanh", pairs)
        h = h if scale is None else w.node("Mul", h, w.constant(scale))
        return w.reduced("ReduceSum", h, [3], False)
    if scale is not None:
        pairs = w.node("Mul", pairs, w.constant(scale))
    s = w.reduced("ReduceSum", w.node("Tanh", pairs), [3], False)
    return w.node("Mul", s, w.constant(layer.concat_score_weight))


@emits(L.TransformerBlock, masked=True)
def block(w: Writer, layer: Any, x: Value) -> Any:
    return w.emit(layer.chain, x)


@emits(L.TransformerDecoder, masked=True)
def decoder(w: Writer, layer: Any, x: tuple[Value, ...]) -> Any:
    return w.emit(layer.graph, x)
