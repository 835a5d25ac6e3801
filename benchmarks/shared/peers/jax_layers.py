"""The layers in JAX: functions of the weights, in Keras' shapes, and of the layer's input."""

from __future__ import annotations

from collections.abc import Iterator
from functools import singledispatch
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from shared import layers
from shared.layers import Layer


class Given:
    """The weights that the layers take one after the other, and what the untrained ones become.

    Parameters
    ----------
    trained, kept : list of arrays
        Those that gradients are for, and moving statistics.
    unroll : int
        Steps of a recurrent layer in one turn of its loop.
    training : bool
    """

    def __init__(self, trained: list[Any], kept: list[Any], unroll: int = 1, training: bool = True):
        self.trained: Iterator[Any] = iter(trained)
        self.kept: Iterator[Any] = iter(kept)
        self.moved: list[Any] = []
        self.unroll = unroll
        self.training = training

    def take(self) -> Any:
        return next(self.trained)


ACTIVATIONS = {"linear": lambda x: x, "relu": jax.nn.relu}


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
    return ACTIVATIONS[layer.activation](x @ given.take() + given.take())


@apply.register
def _(layer: layers.Activation, x: Any, given: Given) -> Any:
    return ACTIVATIONS[layer.activation](x)


@apply.register
def _(layer: layers.GELU, x: Any, given: Given) -> Any:
    return jax.nn.gelu(x, approximate=True)


def convolved(x: Any, kernel: Any, layer: Any, groups: int = 1) -> Any:
    return lax.conv_general_dilated(
        x,
        kernel,
        (layer.strides, layer.strides),
        layer.padding.upper(),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


@apply.register
def _(layer: layers.Conv2D, x: Any, given: Given) -> Any:
    y = convolved(x, given.take(), layer)
    return ACTIVATIONS[layer.activation](y + given.take() if layer.use_bias else y)


@apply.register
def _(layer: layers.DepthwiseConv2D, x: Any, given: Given) -> Any:
    kernel = jnp.swapaxes(given.take(), 2, 3)
    return ACTIVATIONS[layer.activation](convolved(x, kernel, layer, x.shape[-1]) + given.take())


@apply.register
def _(layer: layers.BatchNormalization, x: Any, given: Given) -> Any:
    gamma, beta = given.take(), given.take()
    axes = tuple(range(x.ndim - 1))
    if given.training:
        mean, variance = x.mean(axes), x.var(axes)
        for now in (mean, variance):
            given.moved.append(layer.momentum * next(given.kept) + (1 - layer.momentum) * now)
    else:
        mean, variance = next(given.kept), next(given.kept)
    return (x - mean) * (gamma * lax.rsqrt(variance + layer.epsilon)) + beta


@apply.register
def _(layer: layers.LayerNormalization, x: Any, given: Given) -> Any:
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) * lax.rsqrt(variance + layer.epsilon) * given.take() + given.take()


@apply.register
def _(layer: layers.MaxPooling2D, x: Any, given: Given) -> Any:
    window = (1, layer.pool_size, layer.pool_size, 1)
    return lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")


@apply.register
def _(layer: layers.Flatten, x: Any, given: Given) -> Any:
    return x.reshape(len(x), -1)


@apply.register
def _(layer: layers.GlobalAveragePooling1D, x: Any, given: Given) -> Any:
    return x.mean(1)


@apply.register
def _(layer: layers.GlobalAveragePooling2D, x: Any, given: Given) -> Any:
    return x.mean((1, 2))


@apply.register
def _(layer: layers.Embedding, x: Any, given: Given) -> Any:
    return given.take()[x]


@apply.register
def _(layer: layers.PositionEmbedding, x: Any, given: Given) -> Any:
    return x + given.take()


@apply.register
def _(layer: layers.LSTM, x: Any, given: Given) -> Any:
    """All inputs in one product, then the steps as a loop of the compiled program."""
    kernel, recurrent, bias = given.take(), given.take(), given.take()

    def step(state, z):
        h, c = state
        i, f, g, o = jnp.split(z + h @ recurrent, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    zeros = jnp.zeros((len(x), layer.units), x.dtype)
    (h, _), _ = lax.scan(
        step, (zeros, zeros), jnp.swapaxes(x, 0, 1) @ kernel + bias, unroll=given.unroll
    )
    return h


@apply.register
def _(layer: layers.GRU, x: Any, given: Given) -> Any:
    kernel, recurrent, (bias, recurrent_bias) = given.take(), given.take(), given.take()

    def step(h, z):
        z_input, r_input, new_input = jnp.split(z, 3, axis=-1)
        z_state, r_state, new_state = jnp.split(h @ recurrent + recurrent_bias, 3, axis=-1)
        z = jax.nn.sigmoid(z_input + z_state)
        new = jnp.tanh(new_input + jax.nn.sigmoid(r_input + r_state) * new_state)
        return z * h + (1 - z) * new, None

    zeros = jnp.zeros((len(x), layer.units), x.dtype)
    return lax.scan(step, zeros, jnp.swapaxes(x, 0, 1) @ kernel + bias, unroll=given.unroll)[0]


@apply.register
def _(layer: layers.MultiHeadAttention, x: Any, given: Given) -> Any:
    def projected() -> Any:
        kernel, bias = given.take(), given.take()
        return (x @ kernel.reshape(len(kernel), -1)).reshape(*x.shape[:2], *bias.shape) + bias

    q, k, v = projected(), projected(), projected()
    o = jax.nn.dot_product_attention(q, k, v, is_causal=True)
    out, bias = given.take(), given.take()
    return o.reshape(*x.shape[:2], -1) @ out.reshape(-1, out.shape[-1]) + bias


@apply.register
def _(layer: layers.Residual, x: Any, given: Given) -> Any:
    return x + chain(layer.layers, x, given)


@apply.register
def _(layer: layers.Skip, x: Any, given: Given) -> Any:
    return jnp.concatenate([x, chain(layer.layers, x, given)], -1)


@apply.register
def _(layer: layers.UpSampling2D, x: Any, given: Given) -> Any:
    return x.repeat(layer.size, 1).repeat(layer.size, 2)
