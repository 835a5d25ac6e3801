"""Modules for tables, recurrent layers and attention."""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop import layers as L
from backprop.interop.live.torch_writing import ModuleWriter, NotInTorch, emits
from backprop.interop.onnx_writing import Value
from backprop.nest import as_tuple, several

Array = np.ndarray


@emits(L.Embedding)
def table(w: ModuleWriter, layer: Any, x: Value) -> Value:
    if layer.mask_zero:
        raise NotInTorch("it makes a mask (mask_zero), and modules pass none on")
    if not x.integer:
        raise NotInTorch("it looks up what is no integer: give Input() a dtype of integers")
    module = w.nn.Embedding(layer.input_dim, layer.output_dim)
    module = w.filled(module, layer, weight=layer.embeddings)
    order = None if x.order is None else (*x.order, x.ndim)
    return Value(w.call(module, x.name), (*x.shape, layer.output_dim), order)


# ----------------------------------------------------------------------------------- recurrent

# the module, and where each gate of PyTorch stands here
KINDS: dict[type, tuple[str, tuple[int, ...]]] = {
    L.LSTM: ("LSTM", (0, 1, 2, 3)),
    L.GRU: ("GRU", (1, 0, 2)),  # z r h here, r z n there
    L.SimpleRNN: ("RNN", (0,)),
}


def checked(layer: Any) -> None:
    """Raise where the cell is not that of PyTorch."""
    if layer.stateful or layer.recurrent_dropout:
        raise NotInTorch("it is stateful, or has dropout of its states")
    if layer.dropout:
        raise NotInTorch("it drops of its inputs: put a Dropout in front of it")
    activation = type(layer.activation)
    known = (L.Tanh, L.ReLU) if type(layer) is L.SimpleRNN else (L.Tanh,)
    if activation not in known or getattr(layer.activation, "_needs_x", False):
        raise NotInTorch(f"its activation is {layer.activation!r}")
    if type(layer) is not L.SimpleRNN and type(layer.recurrent_activation) is not L.Sigmoid:
        raise NotInTorch(f"its recurrent_activation is {layer.recurrent_activation!r}")
    if type(layer) is L.GRU and not layer.reset_after and layer.units:
        raise NotInTorch("it resets before the product (reset_after=False)")


def matrices(layer: Any, which: str) -> dict[str, Array]:
    """Kernel, recurrent kernel and biases, the gates in the order that they have there."""
    _, order = KINDS[type(layer)]

    def theirs(weight: Array) -> Array:
        parts = np.split(weight, len(order), -1)
        return np.concatenate([parts[i] for i in order], -1).T

    found = {
        f"weight_ih_{which}": theirs(layer.kernel),
        f"weight_hh_{which}": theirs(layer.recurrent_kernel),
    }
    if layer.use_bias:
        rows = np.zeros((2, layer.kernel.shape[1]), layer.kernel.dtype)
        given = np.atleast_2d(layer.bias)
        rows[: len(given)] = given
        found |= {
            f"bias_{of}_{which}": theirs(row) for of, row in zip(("ih", "hh"), rows, strict=True)
        }
    return found


def made(w: ModuleWriter, x: Value, forward: Any, backward: Any = None) -> Any:
    """The module of a layer, or of two in both directions."""
    checked(forward)
    name, _ = KINDS[type(forward)]
    options: dict[str, Any] = {"batch_first": True, "bias": forward.use_bias}
    if type(forward.activation) is L.ReLU:
        options["nonlinearity"] = "relu"
    weights = matrices(forward, "l0")
    if backward is not None:
        checked(backward)
        same = "units", "use_bias", "activation", "return_sequences"
        alike = [repr(getattr(one, a)) for one in (forward, backward) for a in same]
        if type(backward) is not type(forward) or alike[: len(same)] != alike[len(same) :]:
            raise NotInTorch("its two layers are of different kinds")
        options["bidirectional"] = True
        weights |= matrices(backward, "l0_reverse")
    module = getattr(w.nn, name)(x.shape[-1], forward.units, **options)
    return w.filled(module, forward, **weights)


@emits(*KINDS)
def recurrent(w: ModuleWriter, layer: Any, inputs: Any) -> Any:
    x, *first = as_tuple(inputs)
    rnn = made(w, x, layer)
    module = w.own.Recurrent(rnn, layer.return_sequences, layer.return_state, layer.go_backwards)
    states = (2 if type(layer) is L.LSTM else 1) if layer.return_state else 0
    names = w.calls_of(module, (w.plain(x), *map(w.plain, first)), 1 + states)
    sizes = (*x.shape[:2], layer.units) if layer.return_sequences else (x.shape[0], layer.units)
    y = Value(names[0], sizes)
    if not states:
        return y
    return (y, *(Value(name, (x.shape[0], layer.units)) for name in names[1:]))


@emits(L.Bidirectional)
def both_ways(w: ModuleWriter, layer: Any, x: Any) -> Any:
    forward, backward = layer.forward_layer, layer.backward_layer
    if isinstance(x, tuple) or type(forward) not in KINDS:
        raise NotInTorch("it is given first states, or has layers of another kind")
    rnn = made(w, x, forward, backward)
    module = w.own.BothWays(rnn, forward.return_sequences, forward.return_state, layer.merge_mode)
    shape = layer.compute_output_shape(x.shape)
    shapes = shape if several(shape) else (shape,)
    names = w.calls_of(module, (w.plain(x),), len(shapes))
    found = [Value(name, tuple(s)) for name, s in zip(names, shapes, strict=True)]
    return tuple(found) if several(shape) else found[0]


# ----------------------------------------------------------------------------------- attention


@emits(L.MultiHeadAttention, L.GroupQueryAttention)
def in_heads(w: ModuleWriter, layer: Any, given: Any) -> Value:
    query, *others = as_tuple(given)
    value = others[0] if others and others[0] is not None else query
    key = others[1] if len(others) > 1 and others[1] is not None else value
    if len(others) > 2:
        raise NotInTorch("it is given a mask of pairs")
    if layer.rotary is not None or layer.use_gate or layer.return_attention_scores:
        raise NotInTorch("it has rotary positions or a gate, or returns its scores")
    if layer.sliding_window is not None or query.ndim != 3 or len(layer.output.sizes_out) > 1:
        raise NotInTorch("it has a window, or attends along other axes than the steps")
    steps = query.shape[1], key.shape[1]
    if layer.use_causal_mask and steps[0] != steps[1]:
        raise NotInTorch("a causal mask of other steps than its own lies otherwise there")
    n = query.shape[-1]
    equal = [p.matrix.shape[1] for p in (layer.query, layer.key, layer.value)] == [n] * 3
    if equal and layer.output.matrix.shape[1] == n:
        module = w.nn.MultiheadAttention(
            n,
            layer.heads,
            dropout=layer.dropout,
            bias=layer.use_bias,
            kdim=key.shape[-1],
            vdim=value.shape[-1],
            batch_first=True,
        )
        fill_heads(w, module, layer)
        own = w.own.Attention(module, layer.use_causal_mask, None if None in steps else steps)
    else:
        own = of_any_size(w, layer)
    arrays = [query] if query is value is key else [query, value, key]
    y = w.call(own, *map(w.plain, arrays))
    return Value(y, (*query.shape[:2], layer.output.matrix.shape[1]))


def fill_heads(w: ModuleWriter, module: Any, layer: Any) -> None:
    parts = (layer.query, layer.key, layer.value)
    kernels = [p.matrix.T for p in parts]
    weights: dict[str, Array] = {}
    if module.in_proj_weight is not None:
        weights["in_proj_weight"] = np.concatenate(kernels)
    else:
        names = "q_proj_weight", "k_proj_weight", "v_proj_weight"
        weights |= dict(zip(names, kernels, strict=True))
    if layer.use_bias:
        weights["in_proj_bias"] = np.concatenate([p.bias.reshape(-1) for p in parts])
    w.filled(module, layer, **weights)
    w.filled(module.out_proj, layer, **affine_of(layer.output))


def affine_of(projection: Any) -> dict[str, Array | None]:
    bias = projection.bias.reshape(-1) if projection.use_bias else None
    return {"weight": projection.matrix.T, "bias": bias}


def of_any_size(w: ModuleWriter, layer: Any) -> Any:
    """The module of heads that PyTorch's own attention has not."""
    parts = {name: getattr(layer, name) for name in ("query", "key", "value", "output")}
    module = w.own.Heads(
        [p.matrix.shape for p in parts.values()],
        layer.heads,
        layer.key.sizes_out[0],
        layer.use_bias,
        layer.use_causal_mask,
        layer.dropout,
    )
    for name, projection in parts.items():
        w.filled(getattr(module, name), layer, **affine_of(projection))
    return module
