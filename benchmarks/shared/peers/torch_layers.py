"""A row's network in PyTorch, and its gradients in Keras' shapes and order.

Kernels are turned, an image's axes are (channels, height, width), gates come in another order, and
some arrays are packed into one: each builder has the way there and the way back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import singledispatchmethod
from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from shared import layers
from shared.layers import Layer, Shape, margins
from shared.rows import Array, Row, weights


@dataclass
class Part:
    """A module, which of its parameters are trained, and how their arrays become Keras'."""

    module: nn.Module
    trained: list[nn.Parameter]
    to_keras: Callable[[list[Array]], list[Array]]


class Network(nn.Sequential):
    """The layers, with the row's initial weights.

    Parameters
    ----------
    row : Row
    bag : bool
        Whether an embedding and the mean of a sequence become one `EmbeddingBag`.
    time_first : bool
        Whether a recurrent layer gets (time, batch, features).
    """

    def __init__(self, row: Row, bag: bool = False, time_first: bool = False):
        builder = Builder(iter(weights(row)), bag, time_first)
        self.parts = builder.chain(row.layers, row.input_shape)
        super().__init__(*(part.module for part in self.parts))

    def trained(self) -> list[nn.Parameter]:
        return [p for part in self.parts for p in part.trained]

    def gradients(self) -> list[Array]:
        return [g for part in self.parts for g in part.to_keras([grad(p) for p in part.trained])]


def grad(parameter: nn.Parameter) -> Array:
    assert parameter.grad is not None
    return parameter.grad.numpy()


def same(arrays: list[Array]) -> list[Array]:
    return arrays


def fill(parameter: nn.Parameter | torch.Tensor, value: Array) -> None:
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.ascontiguousarray(value)))


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"relu": lambda: nn.ReLU(inplace=True)}


class Builder:
    """A part for each layer, from the next of the given weights."""

    def __init__(self, given: Iterator[Array], bag: bool, time_first: bool):
        self.given = given
        self.bag = bag
        self.time_first = time_first
        self.flattened: Shape = ()  # the image that a Flatten has just made a vector of

    def chain(self, found: tuple[Layer, ...], shape: Shape) -> list[Part]:
        parts: list[Part] = []
        for layer in found:
            parts.append(self.part(layer, shape))
            name = getattr(layer, "activation", "linear")
            if name != "linear" and not isinstance(layer, layers.Activation):
                parts.append(Part(ACTIVATIONS[name](), [], same))
            shape = layer.weights(shape)[1]
        return parts

    def take(self) -> Array:
        return next(self.given)

    @singledispatchmethod
    def part(self, layer: Layer, shape: Shape) -> Part:
        raise NotImplementedError(type(layer).__name__)

    @part.register
    def _(self, layer: layers.Dense, shape: Shape) -> Part:
        """Behind a Flatten the kernel's rows follow an image's axes, of which the channels come
        first here; elsewhere they are an image of one pixel."""
        n, units = shape[-1], layer.units
        height, width, channels = self.flattened or (1, 1, n)
        self.flattened = ()
        linear = nn.Linear(n, units)
        image = self.take().reshape(height, width, channels, units)
        fill(linear.weight, image.transpose(3, 2, 0, 1).reshape(units, n))
        fill(linear.bias, self.take())

        def to_keras(arrays: list[Array]) -> list[Array]:
            weight, bias = arrays
            image = weight.reshape(units, channels, height, width)
            return [image.transpose(2, 3, 1, 0).reshape(n, units), bias]

        return Part(linear, [linear.weight, linear.bias], to_keras)

    @part.register
    def _(self, layer: layers.Activation, shape: Shape) -> Part:
        return Part(ACTIVATIONS[layer.activation](), [], same)

    @part.register
    def _(self, layer: layers.GELU, shape: Shape) -> Part:
        return Part(nn.GELU("tanh"), [], same)

    @part.register
    def _(self, layer: layers.Conv2D, shape: Shape) -> Part:
        pad = symmetric(layer, shape)
        convolution = nn.Conv2d(
            shape[-1],
            layer.filters,
            layer.kernel_size,
            layer.strides,
            pad,
            bias=layer.use_bias,
        )
        return self.convolution(convolution, (3, 2, 0, 1), (2, 3, 1, 0))

    @part.register
    def _(self, layer: layers.DepthwiseConv2D, shape: Shape) -> Part:
        n, pad = shape[-1], symmetric(layer, shape)
        convolution = nn.Conv2d(n, n, layer.kernel_size, layer.strides, pad, groups=n)
        return self.convolution(convolution, (2, 3, 0, 1), (2, 3, 0, 1))

    def convolution(self, module: nn.Conv2d, there: tuple, back: tuple) -> Part:
        """`there` turns Keras' kernel into PyTorch's, `back` the other way."""
        trained = [module.weight]
        fill(module.weight, self.take().transpose(there))
        if module.bias is not None:
            fill(module.bias, self.take())
            trained.append(module.bias)
        return Part(module, trained, lambda arrays: [arrays[0].transpose(back), *arrays[1:]])

    @part.register
    def _(self, layer: layers.BatchNormalization, shape: Shape) -> Part:
        norm = nn.BatchNorm2d(shape[-1], layer.epsilon, 1 - layer.momentum)
        assert norm.running_mean is not None and norm.running_var is not None
        for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            fill(tensor, self.take())
        return Part(norm, [norm.weight, norm.bias], same)

    @part.register
    def _(self, layer: layers.LayerNormalization, shape: Shape) -> Part:
        norm = nn.LayerNorm(shape[-1], layer.epsilon)
        fill(norm.weight, self.take())
        fill(norm.bias, self.take())
        return Part(norm, [norm.weight, norm.bias], same)

    @part.register
    def _(self, layer: layers.MaxPooling2D, shape: Shape) -> Part:
        return Part(nn.MaxPool2d(layer.pool_size), [], same)

    @part.register
    def _(self, layer: layers.Flatten, shape: Shape) -> Part:
        self.flattened = shape
        return Part(nn.Flatten(), [], same)

    @part.register
    def _(self, layer: layers.GlobalAveragePooling2D, shape: Shape) -> Part:
        return Part(Mean(2, 3), [], same)

    @part.register
    def _(self, layer: layers.GlobalAveragePooling1D, shape: Shape) -> Part:
        return Part(nn.Identity() if self.bag else Mean(1), [], same)

    @part.register
    def _(self, layer: layers.Embedding, shape: Shape) -> Part:
        sizes = layer.input_dim, layer.output_dim
        table = nn.EmbeddingBag(*sizes, mode="mean") if self.bag else nn.Embedding(*sizes)
        fill(table.weight, self.take())
        return Part(table, [table.weight], same)

    @part.register
    def _(self, layer: layers.PositionEmbedding, shape: Shape) -> Part:
        module = Positions(shape)
        fill(module.positions, self.take())
        return Part(module, [module.positions], same)

    @part.register
    def _(self, layer: layers.LSTM, shape: Shape) -> Part:
        """Its second bias, which is added to the first, stays 0."""
        module = Last(nn.LSTM(shape[-1], layer.units, batch_first=not self.time_first))
        kernel, recurrent, bias, second = module.rnn.parameters()
        for parameter in (kernel, recurrent):
            fill(parameter, self.take().T)
        fill(bias, self.take())
        fill(second, np.zeros(tuple(second.shape), np.float32))
        second.requires_grad_(False)
        trained = [kernel, recurrent, bias]
        return Part(module, trained, lambda arrays: [arrays[0].T, arrays[1].T, arrays[2]])

    @part.register
    def _(self, layer: layers.GRU, shape: Shape) -> Part:
        """Its gates are r, z, h."""
        module = Last(nn.GRU(shape[-1], layer.units, batch_first=not self.time_first))
        kernel, recurrent, bias, second = module.rnn.parameters()
        for parameter in (kernel, recurrent):
            fill(parameter, swapped(self.take().T))
        for parameter, value in zip((bias, second), self.take(), strict=True):
            fill(parameter, swapped(value))

        def to_keras(arrays: list[Array]) -> list[Array]:
            k, r, *biases = (swapped(a) for a in arrays)
            return [k.T, r.T, np.stack(biases)]

        return Part(module, [kernel, recurrent, bias, second], to_keras)

    @part.register
    def _(self, layer: layers.MultiHeadAttention, shape: Shape) -> Part:
        d, heads, width = shape[-1], layer.num_heads, layer.num_heads * layer.key_dim
        module = Attention(d, heads, width)
        kernels, biases = zip(*((self.take(), self.take()) for _ in range(3)), strict=True)
        fill(module.into.weight, np.concatenate([k.reshape(d, width).T for k in kernels]))
        fill(module.into.bias, np.concatenate([b.reshape(width) for b in biases]))
        fill(module.out.weight, self.take().reshape(width, d).T)
        fill(module.out.bias, self.take())

        def to_keras(arrays: list[Array]) -> list[Array]:
            weight, bias, out, out_bias = arrays
            found: list[Array] = []
            for w, b in zip(np.split(weight, 3), np.split(bias, 3), strict=True):
                found += [w.T.reshape(d, heads, -1), b.reshape(heads, -1)]
            return [*found, out.T.reshape(heads, -1, d), out_bias]

        return Part(module, list(module.parameters()), to_keras)

    @part.register
    def _(self, layer: layers.UpSampling2D, shape: Shape) -> Part:
        return Part(nn.Upsample(scale_factor=layer.size), [], same)

    @part.register
    def _(self, layer: layers.Around, shape: Shape) -> Part:
        inner = self.chain(layer.layers, shape)
        counts = np.cumsum([len(part.trained) for part in inner])[:-1]

        def to_keras(arrays: list[Array]) -> list[Array]:
            ends = [0, *counts, len(arrays)]
            each = (arrays[a:b] for a, b in pairwise(ends))
            return [
                g for part, own in zip(inner, each, strict=True) for g in part.to_keras(list(own))
            ]

        around = Beside if isinstance(layer, layers.Skip) else Shortcut
        module = around(nn.Sequential(*(part.module for part in inner)))
        return Part(module, [p for part in inner for p in part.trained], to_keras)


def symmetric(layer: layers.Conv2D | layers.DepthwiseConv2D, shape: Shape) -> int:
    """Zeros on each side of an image; PyTorch's padding cannot have more on one of them."""
    found = {
        m for n in shape[:2] for m in margins(n, layer.kernel_size, layer.strides, layer.padding)
    }
    if len(found) > 1:
        raise ValueError(f"{layer} of {shape} is padded by {found}: choose a size that is not")
    return found.pop()


def last_axes(y: torch.Tensor | Array) -> Array:
    """A network's output with the channels where Keras has them."""
    array = np.array(y)
    return np.moveaxis(array, 1, -1) if array.ndim == 4 else array


def swapped(array: Array) -> Array:
    """Gates z, r, h as r, z, h, and the other way, along the first axis."""
    first, second, third = np.split(array, 3)
    return np.concatenate([second, first, third])


class Mean(nn.Module):
    def __init__(self, *axes: int):
        super().__init__()
        self.axes = axes

    def forward(self, x):
        return x.mean(self.axes)


class Last(nn.Module):
    """The last output of a recurrent layer, which is its last state."""

    def __init__(self, rnn: nn.LSTM | nn.GRU):
        super().__init__()
        self.rnn = rnn

    def forward(self, x):
        _, state = self.rnn(x)
        return (state[0] if isinstance(state, tuple) else state)[-1]


class Positions(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.positions = nn.Parameter(torch.zeros(shape))

    def forward(self, x):
        return x + self.positions


class Attention(nn.Module):
    """Causal attention, query, key and value by one product."""

    def __init__(self, d: int, heads: int, width: int):
        super().__init__()
        self.heads = heads
        self.into = nn.Linear(d, 3 * width)
        self.out = nn.Linear(width, d)

    def forward(self, x):
        n, t, _ = x.shape
        q, k, v = self.into(x).view(n, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        o = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(o.transpose(1, 2).reshape(n, t, -1))


class Shortcut(nn.Module):
    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return x + self.inner(x)


class Beside(Shortcut):
    def forward(self, x):
        return torch.cat([x, self.inner(x)], 1)
