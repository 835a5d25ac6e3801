"""Hypothesis draws correct layers and losses, and numbers: no check may complain."""

import numpy as np
from hypothesis import strategies as st

from backprop import layers as L, losses
from backprop.gradcheck.catalogue import pair_for

ELEMENTWISE = sorted(
    name
    for name, cls in L.registry.classes.items()
    if cls.__module__.startswith("backprop.layers.activations")
    and name
    not in ("Activation", "GLU", "Threshold", "PReLU", "Softmax", "LogSoftmax", "Sparsemax")
)
ACTIVATIONS = ["linear", "tanh", "relu", "sigmoid", "softplus", "elu", "gelu", "leaky_relu", "silu"]
KINDS = (
    *("elementwise", "elementwise", "dense", "dense", "norm", "norm", "conv", "pool"),
    *("recurrent", "recurrent", "attention", "softmax", "embedding", "chain", "residual"),
    *("parallel", "dropout", "prelu", "glu"),
)
sizes = st.integers(1, 6)


@st.composite
def numbers(draw, shape):
    """Generic, on a lattice, large, tiny, all equal or all zero."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(
        st.sampled_from(["generic", "generic", "lattice", "large", "tiny", "equal", "zero"])
    )
    x = rng.standard_normal(shape)
    return {
        "generic": x,
        "lattice": np.round(2 * x) / 2,
        "large": 30 * x,
        "tiny": 1e-3 * x,
        "equal": np.full(shape, x.flat[0]),
        "zero": np.zeros(shape),
    }[kind]


@st.composite
def layers(draw):
    """(layer, x)"""
    n, t, f, h, w = (draw(sizes) for _ in range(5))
    activation = st.sampled_from(ACTIVATIONS)
    units = draw(sizes)
    rows, sequence, image = (n, f), (n, t, f), (n, h, w, f)
    kind = draw(st.sampled_from(KINDS))
    if kind == "elementwise":
        cls = L.registry.classes[draw(st.sampled_from(ELEMENTWISE))]
        return cls(), draw(numbers(draw(st.sampled_from([rows, sequence, image]))))
    if kind == "dense":
        layer = L.Dense(units, draw(activation), use_bias=draw(st.booleans()))
        return layer, draw(numbers(draw(st.sampled_from([rows, sequence]))))
    if kind == "norm":
        cls = draw(st.sampled_from([L.BatchNormalization, L.LayerNormalization]))
        layer = cls(center=draw(st.booleans()), scale=draw(st.booleans()))
        return layer, draw(numbers(draw(st.sampled_from([rows, sequence, image]))))
    if kind == "conv":
        kernel = (draw(st.integers(1, h)), draw(st.integers(1, w)))
        layer = L.Conv2D(
            units,
            kernel,
            strides=draw(st.integers(1, 2)),
            padding=draw(st.sampled_from(["valid", "same"])),
            activation=draw(activation),
        )
        return layer, draw(numbers(image))
    if kind == "pool":
        cls = draw(st.sampled_from([L.MaxPooling2D, L.AveragePooling2D]))
        size = (draw(st.integers(1, h)), draw(st.integers(1, w)))
        padding = draw(st.sampled_from(["valid", "same"]))
        return cls(size, strides=draw(st.integers(1, 2)), padding=padding), draw(numbers(image))
    if kind == "recurrent":
        cls = draw(st.sampled_from([L.SimpleRNN, L.LSTM, L.GRU]))
        layer = cls(
            units,
            return_sequences=draw(st.booleans()),
            go_backwards=draw(st.booleans()),
            dropout=draw(st.sampled_from([0, 0.3])),
            recurrent_dropout=draw(st.sampled_from([0, 0.3])),
        )
        return layer, draw(numbers(sequence))
    if kind == "attention":
        causal = draw(st.booleans())
        heads = L.MultiHeadAttention(draw(st.integers(1, 3)), units, use_causal_mask=causal)
        return heads, draw(numbers(sequence))
    if kind == "softmax":
        cls = draw(st.sampled_from([L.Softmax, L.LogSoftmax, L.Sparsemax]))
        return cls(), draw(numbers(draw(st.sampled_from([rows, sequence]))))
    if kind == "embedding":
        rng = np.random.default_rng(draw(st.integers(0, 99)))
        return L.Embedding(5, units), rng.integers(0, 5, (n, t))
    if kind == "chain":
        inner = [L.Dense(units, draw(activation)), L.Dense(draw(sizes), draw(activation))]
        if draw(st.booleans()):
            inner.insert(1, draw(st.sampled_from([L.BatchNormalization, L.LayerNormalization]))())
        return L.Chain(inner), draw(numbers(rows))
    if kind == "residual":
        return L.Residual([L.Dense(f, draw(activation))]), draw(numbers(rows))
    if kind == "parallel":
        join = draw(st.sampled_from(["concat", "add", "multiply", "average", "maximum"]))
        branches = [L.Dense(units, draw(activation)), L.Dense(units, draw(activation))]
        return L.Parallel(branches, join=join), draw(numbers(rows))
    if kind == "dropout":
        return L.Dropout(draw(st.sampled_from([0.0, 0.3, 0.8]))), draw(numbers(rows))
    if kind == "prelu":
        return L.PReLU(), draw(numbers(draw(st.sampled_from([rows, image]))))
    return L.GLU(), draw(numbers((n, 2 * f)))


@st.composite
def losses_with_inputs(draw):
    """(loss, (y_true, y_pred) or with weights)"""
    name = draw(st.sampled_from(sorted(losses.REGISTRY.classes)))
    reduction = draw(st.sampled_from(["sum_over_batch_size", "sum", "none"]))
    loss = losses.REGISTRY.classes[name](reduction=reduction)
    n, k = draw(st.integers(1, 6)), draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    both = pair_for(name)(rng, n, k)
    return loss, (*both, rng.uniform(0.5, 2.0, n)) if draw(st.booleans()) else both


subjects = st.one_of(layers(), layers(), layers(), losses_with_inputs())
