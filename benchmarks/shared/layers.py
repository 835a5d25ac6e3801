"""The layers of the benchmark's networks, as data: the weights each has, and its output's shape.

A layer has Keras' name and takes Keras' arguments, so that ours and Keras' is made from it by name;
every other library has a builder for it in `shared/peers/`. A new kind is a class here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Weight:
    """An array, with initial values drawn uniformly from center - spread to center + spread."""

    shape: Shape
    spread: float
    center: float = 0.0
    trainable: bool = True


def kernel(shape: Shape, fan_in: int, fan_out: int) -> Weight:
    """Glorot's uniform initial values."""
    return Weight(shape, math.sqrt(6 / (fan_in + fan_out)))


def bias(shape: Shape) -> Weight:
    """Small but not zero, so that a forgotten bias shows."""
    return Weight(shape, 0.01)


def scale(n: int) -> Weight:
    """Near 1 but not 1, so that a forgotten factor shows."""
    return Weight((n,), 0.1, 1.0)


class Layer:
    """One layer of a row."""

    def weights(self, shape: Shape) -> tuple[list[Weight], Shape]:
        """The weights, in Keras' order and shapes, and the output's shape, for an input's shape;
        both without the batch."""
        raise NotImplementedError

    def kinds(self) -> Iterator[str]:
        """Which kinds of layers a library must have for it."""
        yield type(self).__name__


@dataclass(frozen=True)
class Dense(Layer):
    """y = activation(x · kernel + bias), over the last axis."""

    units: int
    activation: str = "linear"

    def weights(self, shape):
        n = shape[-1]
        found = [kernel((n, self.units), n, self.units), bias((self.units,))]
        return found, (*shape[:-1], self.units)

    def __str__(self):
        return described("Dense", self.units, self.activation)


@dataclass(frozen=True)
class Activation(Layer):
    activation: str

    def weights(self, shape):
        return [], shape

    def __str__(self):
        return self.activation


@dataclass(frozen=True)
class GELU(Layer):
    """The form with tanh."""

    def weights(self, shape):
        return [], shape

    def __str__(self):
        return "GELU"


def margins(n: int, size: int, stride: int, padding: str) -> tuple[int, int]:
    """How many zeros Keras puts before and behind an axis of n."""
    if padding == "valid":
        return 0, 0
    total = max((-(-n // stride) - 1) * stride + size - n, 0)
    return total // 2, total - total // 2


def windows(n: int, size: int, stride: int, padding: str) -> int:
    return (n + sum(margins(n, size, stride, padding)) - size) // stride + 1


@dataclass(frozen=True)
class Conv2D(Layer):
    """y[i, j] = activation(Σ_uv x[i·strides + u, j·strides + v] · kernel[u, v] + bias)."""

    filters: int
    kernel_size: int
    strides: int = 1
    padding: str = "valid"
    activation: str = "linear"
    use_bias: bool = True

    def weights(self, shape):
        (*plane, n), k = shape, self.kernel_size
        found = [kernel((k, k, n, self.filters), k * k * n, k * k * self.filters)]
        if self.use_bias:
            found.append(bias((self.filters,)))
        sizes = (windows(m, k, self.strides, self.padding) for m in plane)
        return found, (*sizes, self.filters)

    def __str__(self):
        return described_convolution("Conv2D", self.filters, self)


@dataclass(frozen=True)
class DepthwiseConv2D(Layer):
    """A convolution of each channel by itself."""

    kernel_size: int
    strides: int = 1
    padding: str = "valid"
    activation: str = "linear"

    def weights(self, shape):
        (*plane, n), k = shape, self.kernel_size
        sizes = (windows(m, k, self.strides, self.padding) for m in plane)
        return [kernel((k, k, n, 1), k * k, k * k), bias((n,))], (*sizes, n)

    def __str__(self):
        return described_convolution("DepthwiseConv2D", "", self)


@dataclass(frozen=True)
class BatchNormalization(Layer):
    """gamma (x - mean) / sqrt(variance + epsilon) + beta, over all axes but the last; moving means
    and variances are weights that are not trained."""

    momentum: float = 0.99
    epsilon: float = 1e-3

    def weights(self, shape):
        n = shape[-1]
        moving = [Weight((n,), 0.0, 0.0, False), Weight((n,), 0.0, 1.0, False)]
        return [scale(n), bias((n,)), *moving], shape

    def __str__(self):
        return "BatchNorm"


@dataclass(frozen=True)
class LayerNormalization(Layer):
    """gamma (x - mean) / sqrt(variance + epsilon) + beta, over the last axis."""

    epsilon: float = 1e-3

    def weights(self, shape):
        return [scale(shape[-1]), bias((shape[-1],))], shape

    def __str__(self):
        return "LayerNorm"


@dataclass(frozen=True)
class MaxPooling2D(Layer):
    pool_size: int

    def weights(self, shape):
        height, width, n = shape
        return [], (height // self.pool_size, width // self.pool_size, n)

    def __str__(self):
        return f"MaxPool {self.pool_size}"


@dataclass(frozen=True)
class UpSampling2D(Layer):
    """Each pixel, `size` times along both axes."""

    size: int

    def weights(self, shape):
        height, width, n = shape
        return [], (height * self.size, width * self.size, n)

    def __str__(self):
        return f"UpSampling {self.size}"


@dataclass(frozen=True)
class Flatten(Layer):
    def weights(self, shape):
        return [], (math.prod(shape),)

    def __str__(self):
        return "Flatten"


@dataclass(frozen=True)
class GlobalAveragePooling1D(Layer):
    def weights(self, shape):
        return [], shape[-1:]

    def __str__(self):
        return "mean over time"


@dataclass(frozen=True)
class GlobalAveragePooling2D(Layer):
    def weights(self, shape):
        return [], shape[-1:]

    def __str__(self):
        return "mean of the image"


@dataclass(frozen=True)
class LSTM(Layer):
    """Gates in the order i, f, c, o; y is the last output."""

    units: int

    def weights(self, shape):
        return recurrent(shape[-1], self.units, 4, (4 * self.units,)), (self.units,)

    def __str__(self):
        return f"LSTM {self.units}"


@dataclass(frozen=True)
class GRU(Layer):
    """Gates in the order z, r, h, where r multiplies what the recurrent kernel has given, so that
    there are two biases; y is the last output."""

    units: int

    def weights(self, shape):
        return recurrent(shape[-1], self.units, 3, (2, 3 * self.units)), (self.units,)

    def __str__(self):
        return f"GRU {self.units}"


def recurrent(n: int, units: int, gates: int, biases: Shape) -> list[Weight]:
    return [
        kernel((n, gates * units), n, units),
        kernel((units, gates * units), units, units),
        bias(biases),
    ]


@dataclass(frozen=True)
class Embedding(Layer):
    """Integers to rows of a matrix."""

    input_dim: int
    output_dim: int

    def weights(self, shape):
        return [Weight((self.input_dim, self.output_dim), 0.05)], (*shape, self.output_dim)

    def __str__(self):
        return f"Embedding {self.input_dim} x {self.output_dim}"


@dataclass(frozen=True)
class PositionEmbedding(Layer):
    """x + positions: a vector for each step, learned."""

    sequence_length: int

    def weights(self, shape):
        return [Weight((self.sequence_length, shape[-1]), 0.05)], shape

    def __str__(self):
        return "learned positions"


@dataclass(frozen=True)
class MultiHeadAttention(Layer):
    """Attention of a sequence to itself, where a step sees only itself and the steps before."""

    num_heads: int
    key_dim: int

    def weights(self, shape):
        d, heads, width = shape[-1], self.num_heads, self.num_heads * self.key_dim
        into = [kernel((d, heads, self.key_dim), d, width), bias((heads, self.key_dim))]
        out = [kernel((heads, self.key_dim, d), width, d), bias((d,))]
        return [*into * 3, *out], shape

    def __str__(self):
        return f"causal attention, {self.num_heads} heads"


@dataclass(frozen=True)
class Around(Layer):
    """Layers, and a way around them."""

    layers: tuple[Layer, ...]

    def kinds(self):
        yield from super().kinds()
        for layer in self.layers:
            yield from layer.kinds()


@dataclass(frozen=True)
class Residual(Around):
    """y = x + f(x)."""

    def weights(self, shape):
        found, end = weights_of(self.layers, shape)
        assert end == shape, (self, shape, end)
        return found, shape

    def __str__(self):
        return f"x + [{', '.join(map(str, self.layers))}]"


@dataclass(frozen=True)
class Skip(Around):
    """y = x and f(x), side by side along the last axis."""

    def weights(self, shape):
        found, end = weights_of(self.layers, shape)
        assert end[:-1] == shape[:-1], (self, shape, end)
        return found, (*shape[:-1], shape[-1] + end[-1])

    def kinds(self):
        yield "Concatenate"
        for layer in self.layers:
            yield from layer.kinds()

    def __str__(self):
        return f"x beside [{', '.join(map(str, self.layers))}]"


def weights_of(layers: tuple[Layer, ...], shape: Shape) -> tuple[list[Weight], Shape]:
    """Those of layers one behind the other, and the shape of the last one's output."""
    found: list[Weight] = []
    for layer in layers:
        own, shape = layer.weights(shape)
        found += own
    return found, shape


def described(*parts: object) -> str:
    return " ".join(str(part) for part in parts if part not in ("", "linear"))


def described_convolution(name: str, filters: object, layer: Conv2D | DepthwiseConv2D) -> str:
    k, stride = layer.kernel_size, f"/{layer.strides}" if layer.strides > 1 else ""
    return described(name, filters, f"{k}x{k}{stride}", layer.padding, layer.activation)
