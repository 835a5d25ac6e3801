"""Layers for PyTorch's tables, recurrent modules and attention."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from backprop import layers as L
from backprop.interop.live.torch_reading import (
    MODULES,
    ModuleReader,
    Seen,
    Varies,
    array,
    reads_module,
    seen,
    weights_of,
)
from backprop.old_arguments import levels_up
from backprop.symbols import Symbol

Array = np.ndarray
Steps = tuple[int, int, int]


@reads_module("Embedding")
def table(r: ModuleReader, m: Any, x: Any) -> Seen:
    x = r.known(x)
    if m.max_norm is not None or m.scale_grad_by_freq:
        raise r.refused("it has max_norm or scale_grad_by_freq")
    if m.padding_idx is not None:
        warnings.warn(
            f"{r.place(r.node)}: the row {m.padding_idx} of padding_idx is taken as it is, and "
            "trained like the others here",
            stacklevel=levels_up(),
        )
    layer = L.Embedding(m.num_embeddings, m.embedding_dim)
    return Seen(r.weighted(layer, x.symbol, array(m.weight)), (*x.order, x.ndim))


# ----------------------------------------------------------------------------------- recurrent

# the class here, and where each of its gates stands in PyTorch
KINDS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "LSTM": (L.LSTM, (0, 1, 2, 3)),  # i f g o
    "GRU": (L.GRU, (1, 0, 2)),  # r z n there, z r h here
    "RNN": (L.SimpleRNN, (0,)),
}


@reads_module(*KINDS)
def recurrent(r: ModuleReader, m: Any, x: Any, states: Any = None) -> tuple[Any, ...]:
    if not all_zero(states):
        raise r.refused("it is given first states: zeros are read")
    if getattr(m, "proj_size", 0):
        raise r.refused("it projects its states (proj_size)")
    steps, order = by_steps(r, m, r.known(x))
    wanted = any(user.args[1:] == (1,) for user in r.node.users)
    last: list[list[Any]] = []  # of each layer and direction
    for k in range(m.num_layers):
        if k and m.dropout:
            steps = r.once(L.Dropout(m.dropout))(steps)
        found = one_layer(r, m, k, steps, wanted)
        steps, *ends = found if wanted else [found]
        half = len(ends) // (1 + m.bidirectional)
        last += [ends[:half], ends[half:]] if m.bidirectional else [ends]
    each = [tuple(seen(ends[i]) for ends in last) for i in range(len(last[0]))] if wanted else []
    states = (tuple(each) if m.mode == "LSTM" else each[0]) if wanted else None
    return Seen(steps, order, lies=True), states


def one_layer(r: ModuleReader, m: Any, k: int, x: Symbol, wanted: bool) -> Any:
    """The outputs of all steps of the layer k, and the last states if they are wanted."""
    kind, order = KINDS[type(m).__name__]
    options: dict[str, Any] = {
        "use_bias": m.bias,
        "return_sequences": True,
        "return_state": wanted,
    }
    if m.mode == "RNN_RELU":
        options["activation"] = "relu"
    layer: Any = kind(m.hidden_size, **options)
    ends = [""]
    if m.bidirectional:
        layer, ends = L.Bidirectional(layer), ["", "_reverse"]
    weights = [w for end in ends for w in matrices(m, f"l{k}{end}", order)]
    return r.weighted(layer, x, *weights)


def matrices(m: Any, which: str, order: tuple[int, ...]) -> Iterator[Array]:
    """Kernel, recurrent kernel and bias, the gates in the order that they have here."""

    def ours(w: Any) -> Array:
        parts = np.split(array(w).T, len(order), -1)
        return np.concatenate([parts[i] for i in order], -1)

    yield ours(getattr(m, f"weight_ih_{which}"))
    yield ours(getattr(m, f"weight_hh_{which}"))
    if m.bias:
        both = [ours(getattr(m, f"bias_{of}_{which}")) for of in ("ih", "hh")]
        yield np.stack(both) if type(m).__name__ == "GRU" else both[0] + both[1]


def by_steps(r: ModuleReader, m: Any, x: Seen) -> tuple[Symbol, Steps]:
    """The array as (N, T, features), and how PyTorch sees what is made of it."""
    if x.ndim != 3:
        raise r.refused(f"it reads an array of {x.ndim} axes, and batches of sequences are read")
    order: Steps = (0, 1, 2) if m.batch_first else (1, 0, 2)
    return r.arranged(x, order), order


def all_zero(states: Any) -> bool:
    if isinstance(states, tuple | list):
        return all(map(all_zero, states))
    if isinstance(states, Varies):
        states = states.value
    if isinstance(states, Seen):
        return False
    return states is None or not bool((states != 0).any())


# ----------------------------------------------------------------------------------- attention


@reads_module("MultiheadAttention")
def attention(
    r: ModuleReader,
    m: Any,
    query: Any,
    key: Any,
    value: Any,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Any, ...]:
    """Its weights, the second of what it returns, may be read by nobody."""
    causal = seen_before(r, key_padding_mask, attn_mask, is_causal)
    given = [by_steps(r, m, r.known(x)) for x in (query, value, key)]
    q, v, k = (symbol for symbol, _ in given)
    heads, size = m.num_heads, m.head_dim
    layer = L.MultiHeadAttention(
        heads,
        size,
        dropout=m.dropout,
        use_bias=m.in_proj_bias is not None,
        output_shape=m.embed_dim,
        use_causal_mask=causal,
    )
    others: dict[str, Any] = {} if q is v is k else {"value": v, "key": k}
    y = r.weighted(layer, q, *of_heads(r, m), **others)
    return Seen(y, given[0][1], lies=True), None


@reads_module("Heads")
def of_any_size(r: ModuleReader, m: Any, query: Any, value: Any = None, key: Any = None) -> Seen:
    """What `to_torch` writes for heads that PyTorch's own attention has not."""
    q = r.plain(query)
    v = q if value is None else r.plain(value)
    k = v if key is None else r.plain(key)
    bias = m.query.bias is not None
    size, of_values = m.query.out_features // m.heads, m.value.out_features // m.groups
    options: dict[str, Any] = {"use_bias": bias, "dropout": m.dropout, "use_causal_mask": m.causal}
    if m.groups == m.heads:
        options["output_shape"] = m.output.out_features
        layer: Any = L.MultiHeadAttention(m.heads, size, of_values, **options)
    else:
        layer = L.GroupQueryAttention(size, m.heads, m.groups, **options)
    weights: list[Array] = []
    for part, count in ((m.query, m.heads), (m.key, m.groups), (m.value, m.groups)):
        kernel, *more = weights_of(part.weight, part.bias)
        weights.append(kernel.T.reshape(part.in_features, count, -1))
        weights += [b.reshape(count, -1) for b in more]
    output, *more = weights_of(m.output.weight, m.output.bias)
    weights += [output.T.reshape(m.heads, -1, m.output.out_features), *more]
    others: dict[str, Any] = {} if q is v is k else {"value": v, "key": k}
    return seen(r.weighted(layer, q, *weights, **others))


def of_heads(r: ModuleReader, m: Any) -> list[Array]:
    """The weights of projections, by heads."""
    if m.bias_k is not None or m.add_zero_attn:
        raise r.refused("it adds a key to those that it is given")
    heads, size = m.num_heads, m.head_dim
    if m.in_proj_weight is None:
        kernels = weights_of(m.q_proj_weight, m.k_proj_weight, m.v_proj_weight)
    else:
        kernels = np.split(array(m.in_proj_weight), 3)
    found = [kernel.T.reshape(-1, heads, size) for kernel in kernels]
    output, *bias = weights_of(m.out_proj.weight, m.out_proj.bias)
    found.append(output.T.reshape(heads, size, -1))
    if m.in_proj_bias is not None:
        biases = [*(b.reshape(heads, size) for b in np.split(array(m.in_proj_bias), 3)), *bias]
        found = [w for pair in zip(found, biases, strict=True) for w in pair]
    return found


def seen_before(r: ModuleReader, padding: Any, mask: Any, causal: bool) -> bool:
    """Whether a step sees only itself and what is before; other masks are refused."""
    if padding is not None:
        raise r.refused("it is given a mask of padding")
    if mask is None:
        return causal
    if isinstance(mask, Seen | Varies) or mask.ndim != 2:
        raise r.refused("its mask is no constant (steps, steps)")
    hidden = mask.numpy() if str(mask.dtype) == "torch.bool" else np.isneginf(mask.numpy())
    nothing_else = str(mask.dtype) == "torch.bool" or not mask.numpy()[~hidden].any()
    if not nothing_else or (hidden != ~np.tri(*hidden.shape, dtype=bool)).any():
        raise r.refused("its mask is another than that of what comes later")
    return True


@reads_module("TransformerEncoderLayer")
def block(
    r: ModuleReader,
    m: Any,
    x: Any,
    src_mask: Any = None,
    src_key_padding_mask: Any = None,
    is_causal: bool = False,
) -> Seen:
    causal = seen_before(r, src_key_padding_mask, src_mask, is_causal)
    return transformer(r, m, L.TransformerBlock, [x], causal, [m.self_attn], [m.norm1, m.norm2])


@reads_module("TransformerDecoderLayer")
def decoder(
    r: ModuleReader,
    m: Any,
    x: Any,
    memory: Any,
    tgt_mask: Any = None,
    memory_mask: Any = None,
    tgt_key_padding_mask: Any = None,
    memory_key_padding_mask: Any = None,
    tgt_is_causal: bool = False,
    memory_is_causal: bool = False,
) -> Seen:
    if seen_before(r, memory_key_padding_mask, memory_mask, memory_is_causal):
        raise r.refused("what it sees of the other sequence is masked")
    causal = seen_before(r, tgt_key_padding_mask, tgt_mask, tgt_is_causal)
    attentions, norms = [m.self_attn, m.multihead_attn], [m.norm1, m.norm2, m.norm3]
    return transformer(r, m, L.TransformerDecoder, [x, memory], causal, attentions, norms)


def transformer(
    r: ModuleReader,
    m: Any,
    kind: Any,
    inputs: list[Any],
    causal: bool,
    attentions: list[Any],
    norms: list[Any],
) -> Seen:
    """A block of attentions and two dense layers; in training PyTorch drops between these too."""
    given = [by_steps(r, m.self_attn, r.known(x)) for x in inputs]
    if m.linear1.bias is None:
        raise r.refused("it has no biases")
    names = {"relu": "relu", "gelu": "gelu", "silu": "silu"}
    name = getattr(m.activation, "__name__", type(m.activation).__name__.lower())
    if name not in names:
        raise r.refused(f"its activation is {name}: {', '.join(names)} are read")
    layer = kind(
        m.linear1.out_features,
        m.self_attn.num_heads,
        dropout=m.dropout.p,
        activation=names[name],
        layer_norm_epsilon=m.norm1.eps,
        normalize_first=m.norm_first,
        use_causal_mask=causal,
    )
    parts = [of_heads(r, attention) for attention in attentions]
    parts.append([w for d in (m.linear1, m.linear2) for w in (array(d.weight).T, array(d.bias))])
    scales = [weights_of(norm.weight, norm.bias) for norm in norms]
    pairs = zip(scales, parts, strict=True) if m.norm_first else zip(parts, scales, strict=True)
    symbols = [symbol for symbol, _ in given]
    x: Any = symbols if len(symbols) > 1 else symbols[0]
    y = r.weighted(layer, x, *(w for pair in pairs for part in pair for w in part))
    return Seen(y, given[0][1], lies=True)


@reads_module("TransformerEncoder")
def blocks(
    r: ModuleReader,
    m: Any,
    x: Any,
    mask: Any = None,
    src_key_padding_mask: Any = None,
    is_causal: bool | None = None,
) -> Seen:
    for layer in m.layers:
        x = block(r, layer, x, mask, src_key_padding_mask, bool(is_causal))
    return x if m.norm is None else MODULES["LayerNorm"](r, m.norm, x)
