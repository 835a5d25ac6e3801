"""The rows of the benchmark, as data: which network, loss, optimizer and batch.

Every peer builds a row from this alone, with the initial weights of `weights` and the batches of
`batches`, so that all of them do the same work on the same numbers. A new row is an entry of
`ROWS`; its layers are in `shared/layers.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from shared.layers import (
    GELU,
    GRU,
    LSTM,
    Activation,
    BatchNormalization,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    Layer,
    LayerNormalization,
    MaxPooling2D,
    MultiHeadAttention,
    PositionEmbedding,
    Residual,
    Shape,
    Skip,
    UpSampling2D,
    Weight,
    weights_of,
)

Array = np.ndarray


@dataclass(frozen=True)
class Adam:
    """m / (sqrt(v) + epsilon), with the corrections in the learning rate, as Keras has it."""

    lr: float = 1e-3
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7


@dataclass(frozen=True)
class SGD:
    """v ← momentum v - lr g, w ← w + v."""

    lr: float = 0.01
    momentum: float = 0.9


@dataclass(frozen=True)
class Row:
    """One network and how it is trained.

    Attributes
    ----------
    loss : {"crossentropy", "mse", "binary"}
        Softmax cross-entropy of integer labels, one for each vector of the output; the mean squared
        error, whose targets are the inputs; or the binary cross-entropy of labels 0 and 1. The last
        layer gives logits.
    fit_steps : int
        Steps of one epoch, where a peer's own loop is timed.
    from_logits : bool
        Whether a user of Keras would give the loss logits. Otherwise softmax is written as the last
        layer's activation. "binary" is always from logits.
    gradient_tolerance, loss_tolerance : float
        How far, relatively, first gradients and losses of another library may lie from ours. A peer
        may be allowed more in the losses.
    graph : bool
        Whether our users would draw it, as a `Model` with `Add` and `Concatenate`.
    """

    name: str
    input_shape: Shape
    layers: tuple[Layer, ...]
    loss: str
    optimizer: Adam | SGD
    batch: int
    fit_steps: int
    from_logits: bool = False
    gradient_tolerance: float = 1e-4
    loss_tolerance: float = 1e-4
    graph: bool = False

    def __str__(self) -> str:
        start = "x".join(map(str, self.input_shape))
        end = f"batch {self.batch}, {self.loss}, {type(self.optimizer).__name__}"
        return f"{start}, {', '.join(map(str, self.layers))}; {end}"

    def weights(self) -> list[Weight]:
        return weights_of(self.layers, self.input_shape)[0]

    def output_shape(self) -> Shape:
        return weights_of(self.layers, self.input_shape)[1]

    def kinds(self) -> set[str]:
        """Which kinds of layers it has."""
        return {kind for layer in self.layers for kind in layer.kinds()}

    def small(self) -> Row:
        """The same network with little to do."""
        return replace(self, batch=2, fit_steps=1)


def perceptron(name, sizes, batch, fit_steps, loss="crossentropy", optimizer=None) -> Row:
    """Dense layers with ReLU between them."""
    n, *hidden, last = sizes
    layers = (*(Dense(units, "relu") for units in hidden), Dense(last))
    return Row(name, (n,), layers, loss, optimizer or Adam(), batch, fit_steps)


def classifier(name, input_shape, layers, batch, fit_steps, **options) -> Row:
    """Layers, and a Dense one that tells ten classes apart."""
    return Row(
        name,
        input_shape,
        (*layers, Dense(10)),
        "crossentropy",
        Adam(),
        batch,
        fit_steps,
        **options,
    )


def normalized(filters: int) -> tuple[Layer, ...]:
    """A convolution and batch normalization, which would take any bias of the convolution away."""
    convolution = Conv2D(filters, 3, padding="same", use_bias=False)
    return convolution, BatchNormalization(), Activation("relu")


def shortcut(filters: int) -> tuple[Layer, ...]:
    """A residual block of two convolutions."""
    *first, convolution, normalization, activation = normalized(filters) * 2
    return Residual((*first, convolution, normalization)), activation


def u_net(filters: int, depth: int) -> tuple[Layer, ...]:
    """Convolutions of an image, beside those of half its size, and of all sizes below."""
    convolution = Conv2D(filters, 3, padding="same", activation="relu")
    if not depth:
        return (convolution,)
    below = MaxPooling2D(2), *u_net(2 * filters, depth - 1), UpSampling2D(2)
    return convolution, Skip(below), convolution


def alone(name: str, input_shape: Shape, layer: Layer) -> Row:
    """A kind of convolution by itself: twice, and what makes it a classifier.

    A bias collects up to 25,000 gradients, which PyTorch adds up to 8e-5 from their sum in float64.
    """
    layers = layer, layer, GlobalAveragePooling2D()
    return classifier(name, input_shape, layers, 32, 8, gradient_tolerance=5e-4)


def block(d: int, heads: int) -> tuple[Layer, ...]:
    """One of a transformer, normalized in front."""
    attention = LayerNormalization(), MultiHeadAttention(heads, d // heads)
    return (
        Residual(attention),
        Residual((LayerNormalization(), Dense(4 * d), GELU(), Dense(d))),
    )


ROWS = {
    row.name: row
    for row in (
        perceptron("mlp-tiny", (20, 32, 32, 3), 32, 500),
        perceptron("mlp-digits", (64, 128, 10), 32, 250),
        perceptron("mlp-mnist", (784, 512, 512, 10), 128, 32),
        perceptron("mlp-large", (784, 1024, 1024, 1024, 10), 256, 8),
        perceptron("mlp-wide-sgd", (784, 2048, 2048, 10), 512, 8, optimizer=SGD()),
        perceptron("autoencoder", (784, 256, 64, 256, 784), 256, 32, loss="mse"),
        # Rounding decides which of two nearly equal pixels wins a maximum: one that is not that of
        # float64 changes the gradients in front of it by 1.3e-3.
        classifier(
            "cnn-mnist",
            (28, 28, 1),
            (
                Conv2D(32, 3, activation="relu"),
                Conv2D(64, 3, activation="relu"),
                MaxPooling2D(2),
                Flatten(),
                Dense(128, "relu"),
            ),
            batch=64,
            fit_steps=8,
            gradient_tolerance=2e-3,
        ),
        # And gradients that batch normalization leaves are sums that nearly cancel: of PyTorch's
        # own two layouts one has them 4e-3 from their values in float64, the other 1e-5.
        classifier(
            "cnn-cifar",
            (32, 32, 3),
            (
                *normalized(64) * 2,
                MaxPooling2D(2),
                *normalized(128) * 2,
                MaxPooling2D(2),
                GlobalAveragePooling2D(),
            ),
            batch=32,
            fit_steps=8,
            gradient_tolerance=3e-2,
            loss_tolerance=3e-3,
        ),
        classifier(
            "resnet",
            (32, 32, 3),
            (
                *normalized(32),
                *shortcut(32) * 2,
                MaxPooling2D(2),
                *normalized(64),
                *shortcut(64) * 2,
                GlobalAveragePooling2D(),
            ),
            batch=32,
            fit_steps=8,
            gradient_tolerance=3e-2,
            loss_tolerance=3e-3,
            graph=True,
        ),
        Row(
            "u-net",
            (32, 32, 1),
            (*u_net(16, 2), Conv2D(1, 1, padding="same")),
            "mse",
            Adam(),
            batch=32,
            fit_steps=8,
            gradient_tolerance=2e-3,
            graph=True,
        ),
        alone("conv-5x5", (14, 14, 32), Conv2D(64, 5, padding="same", activation="relu")),
        # an odd size, at which Keras' padding "same" is the same on both sides, as PyTorch's is
        alone("conv-stride2", (29, 29, 32), Conv2D(64, 3, 2, padding="same", activation="relu")),
        alone("conv-1x1", (28, 28, 32), Conv2D(64, 1, padding="same", activation="relu")),
        alone("depthwise", (28, 28, 64), DepthwiseConv2D(3, padding="same", activation="relu")),
        classifier("lstm", (100, 64), (LSTM(128),), batch=32, fit_steps=8),
        classifier("gru", (100, 64), (GRU(128),), batch=32, fit_steps=8),
        Row(
            "transformer",
            (64,),
            (
                Embedding(1000, 128),
                PositionEmbedding(64),
                *block(128, heads=4) * 2,
                LayerNormalization(),
                Dense(1000),
            ),
            "crossentropy",
            Adam(),
            batch=16,
            fit_steps=8,
            from_logits=True,
        ),
        Row(
            "embed-bag",
            (200,),
            (Embedding(20_000, 64), GlobalAveragePooling1D(), Dense(64, "relu"), Dense(1)),
            "binary",
            Adam(),
            batch=64,
            fit_steps=16,
            from_logits=True,
        ),
    )
}


def weights(row: Row, seed: int = 0) -> list[Array]:
    """Initial weights, layer by layer in Keras' shapes and order."""
    rng = np.random.default_rng(seed)
    return [
        (w.center + rng.uniform(-w.spread, w.spread, w.shape)).astype(np.float32)
        for w in row.weights()
    ]


def trained(row: Row, arrays: list[Array]) -> list[Array]:
    """Of the weights those that are trained."""
    return [a for a, w in zip(arrays, row.weights(), strict=True) if w.trainable]


def untrained(row: Row, arrays: list[Array]) -> list[Array]:
    """Of the weights those that are not: moving statistics."""
    return [a for a, w in zip(arrays, row.weights(), strict=True) if not w.trainable]


def batches(row: Row, seed: int = 1) -> list[tuple[Array, Array]]:
    """Eight batches (x, y), which a run goes through again and again.

    Four sets of inputs with two labels each, so that they cannot be learnt by heart: gradients that
    fade to denormal numbers would slow a CPU down, and not every library equally.
    """
    rng = np.random.default_rng(seed)
    shape, first = (row.batch, *row.input_shape), row.layers[0]
    if isinstance(first, Embedding):
        xs = [rng.integers(0, first.input_dim, shape) for _ in range(4)]
    else:
        xs = [rng.random(shape, dtype=np.float32) for _ in range(4)]
    if row.loss == "mse":
        return [(x, x) for x in xs] * 2
    *places, classes = row.output_shape()
    if row.loss == "binary":
        ys = [rng.integers(0, 2, (row.batch, 1)).astype(np.float32) for _ in xs]
        others = [1 - y for y in ys]
    else:
        ys = [rng.integers(0, classes, (row.batch, *places)) for _ in xs]
        others = [(y + rng.integers(1, classes, y.shape)) % classes for y in ys]
    return [*zip(xs, ys, strict=True), *zip(xs, others, strict=True)]


def questions(row: Row, seed: int = 1) -> list[Array]:
    """Two arrays of inputs to predict from, with as many rows as a batch."""
    rng = np.random.default_rng(seed)
    shape, first = (row.batch, *row.input_shape), row.layers[0]
    if isinstance(first, Embedding):
        return [rng.integers(0, first.input_dim, shape) for _ in range(2)]
    return [rng.random(shape, dtype=np.float32) for _ in range(2)]


def has_softmax(row: Row) -> bool:
    """Whether what it predicts are probabilities, by a softmax behind its layers."""
    return row.loss == "crossentropy" and not row.from_logits


def epoch(row: Row) -> tuple[Array, Array]:
    """The samples of `fit_steps` batches, as one array of inputs and one of targets."""
    found = batches(row)
    repeated = [found[i % len(found)] for i in range(row.fit_steps)]
    x, y = (np.concatenate(part) for part in zip(*repeated, strict=True))
    return x, y
