"""The layers as calls of autograd's NumPy, which has all that they need but a convolution."""

from __future__ import annotations

from collections.abc import Iterator
from functools import singledispatch
from typing import Any

import autograd.numpy as np

from shared import layers
from shared.layers import Layer

Given = Iterator[Any]  # the weights, one after the other

KINDS = (
    "Dense",
    "Embedding",
    "GELU",
    "GRU",
    "GlobalAveragePooling1D",
    "LSTM",
    "LayerNormalization",
    "MultiHeadAttention",
    "PositionEmbedding",
    "Residual",
)


def chain(found: tuple[Layer, ...], x: Any, given: Given) -> Any:
    for layer in found:
        x = apply(layer, x, given)
    return x


@singledispatch
def apply(layer: Layer, x: Any, given: Given) -> Any:
    """y of one layer."""
    raise NotImplementedError(type(layer).__name__)


@apply.register
def _(layer: layers.Dense, x: Any, given: Given) -> Any:
    y = np.dot(x, next(given)) + next(given)
    return np.maximum(y, np.float32(0)) if layer.activation == "relu" else y


@apply.register
def _(layer: layers.GELU, x: Any, given: Given) -> Any:
    return 0.5 * x * (1 + np.tanh((2 / 3.141592653589793) ** 0.5 * (x + 0.044715 * x * x * x)))


@apply.register
def _(layer: layers.Embedding, x: Any, given: Given) -> Any:
    return next(given)[x]


@apply.register
def _(layer: layers.PositionEmbedding, x: Any, given: Given) -> Any:
    return x + next(given)


@apply.register
def _(layer: layers.GlobalAveragePooling1D, x: Any, given: Given) -> Any:
    return np.mean(x, axis=1)


@apply.register
def _(layer: layers.LayerNormalization, x: Any, given: Given) -> Any:
    centered = x - np.mean(x, axis=-1, keepdims=True)
    variance = np.mean(centered * centered, axis=-1, keepdims=True)
    return centered / np.sqrt(variance + layer.epsilon) * next(given) + next(given)


@apply.register
def _(layer: layers.Residual, x: Any, given: Given) -> Any:
    return x + chain(layer.layers, x, given)


def sigmoid(x: Any) -> Any:
    return 0.5 * np.tanh(0.5 * x) + 0.5


@apply.register
def _(layer: layers.LSTM, x: Any, given: Given) -> Any:
    kernel, recurrent, bias = next(given), next(given), next(given)
    zs = np.dot(x, kernel) + bias
    h = c = np.zeros((len(x), layer.units), x.dtype)
    for t in range(x.shape[1]):
        i, f, g, o = np.split(zs[:, t] + np.dot(h, recurrent), 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    return h


@apply.register
def _(layer: layers.GRU, x: Any, given: Given) -> Any:
    kernel, recurrent, bias = next(given), next(given), next(given)
    zs = np.dot(x, kernel) + bias[0]
    h = np.zeros((len(x), layer.units), x.dtype)
    for t in range(x.shape[1]):
        z_input, r_input, new_input = np.split(zs[:, t], 3, axis=-1)
        z_state, r_state, new_state = np.split(np.dot(h, recurrent) + bias[1], 3, axis=-1)
        z = sigmoid(z_input + z_state)
        h = z * h + (1 - z) * np.tanh(new_input + sigmoid(r_input + r_state) * new_state)
    return h


@apply.register
def _(layer: layers.MultiHeadAttention, x: Any, given: Given) -> Any:
    n, t, d = x.shape

    def projected() -> Any:
        kernel, bias = next(given), next(given)
        y = np.dot(x, np.reshape(kernel, (d, -1))) + np.reshape(bias, (-1,))
        return np.transpose(np.reshape(y, (n, t, layer.num_heads, -1)), (0, 2, 1, 3))

    q, k, v = projected(), projected(), projected()
    later = np.triu(np.full((t, t), -1e30, x.dtype), 1)  # no step sees one that comes later
    s = np.matmul(q, np.swapaxes(k, 2, 3)) * layer.key_dim**-0.5 + later
    p = np.exp(s - np.max(s, axis=-1, keepdims=True))
    o = np.matmul(p / np.sum(p, axis=-1, keepdims=True), v)
    out, bias = next(given), next(given)
    return (
        np.dot(np.reshape(np.transpose(o, (0, 2, 1, 3)), (n, t, -1)), np.reshape(out, (-1, d)))
        + bias
    )
