"""The rows of the benchmark, as data: which network, loss, optimizer and batch.

Every peer builds a row from this alone, with the initial weights of `weights` and the batches of
`batches`, so that all of them do the same work on the same numbers. A new row is an entry of
`ROWS`; a new kind of layer is a class here, and a builder for it in each peer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Dense:
    """y = activation(x · kernel + bias)."""

    units: int
    activation: str = "linear"

    def weights(self, shape: Shape) -> tuple[list[Shape], Shape]:
        """The shapes of the weights and of the output, without the batch."""
        return [(shape[-1], self.units), (self.units,)], (*shape[:-1], self.units)


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
    loss : {"crossentropy", "mse"}
        Softmax cross-entropy of integer labels, for which the last layer gives logits; or the mean
        squared error, whose targets are the inputs.
    fit_steps : int
        Steps of one epoch, where a peer's own loop is timed.
    """

    name: str
    input_shape: Shape
    layers: tuple[Dense, ...]
    loss: str
    optimizer: Adam | SGD
    batch: int
    fit_steps: int

    def __str__(self) -> str:
        sizes = [*self.input_shape, *(layer.units for layer in self.layers)]
        how = type(self.optimizer).__name__
        return f"{'-'.join(map(str, sizes))}, batch {self.batch}, {self.loss}, {how}"


def perceptron(name, sizes, batch, fit_steps, loss="crossentropy", optimizer=None) -> Row:
    """Dense layers with ReLU between them."""
    n, *hidden, last = sizes
    layers = (*(Dense(units, "relu") for units in hidden), Dense(last))
    return Row(name, (n,), layers, loss, optimizer or Adam(), batch, fit_steps)


ROWS = {
    row.name: row
    for row in (
        perceptron("mlp-tiny", (20, 32, 32, 3), 32, 500),
        perceptron("mlp-digits", (64, 128, 10), 32, 250),
        perceptron("mlp-mnist", (784, 512, 512, 10), 128, 32),
        perceptron("mlp-large", (784, 1024, 1024, 1024, 10), 256, 8),
        perceptron("mlp-wide-sgd", (784, 2048, 2048, 10), 512, 8, optimizer=SGD()),
        perceptron("autoencoder", (784, 256, 64, 256, 784), 256, 32, loss="mse"),
    )
}


def weights(row: Row, seed: int = 0) -> list[Array]:
    """Initial weights, layer by layer in Keras' shapes and order: Glorot's uniform kernels and
    biases that are small but not zero, so that a forgotten bias shows."""
    rng, shape, found = np.random.default_rng(seed), row.input_shape, []
    for layer in row.layers:
        shapes, shape = layer.weights(shape)
        for s in shapes:
            limit = np.sqrt(6 / (s[0] + s[1])) if len(s) > 1 else 0.01
            found.append(rng.uniform(-limit, limit, s).astype(np.float32))
    return found


def batches(row: Row, seed: int = 1) -> list[tuple[Array, Array]]:
    """Eight batches (x, y), which a run goes through again and again.

    Four sets of inputs with two labels each, so that they cannot be learnt by heart: gradients that
    fade to denormal numbers would slow a CPU down, and not every library equally.
    """
    rng = np.random.default_rng(seed)
    xs = [rng.random((row.batch, *row.input_shape), dtype=np.float32) for _ in range(4)]
    if row.loss == "mse":
        return [(x, x) for x in xs] * 2
    classes = row.layers[-1].units
    ys = [rng.integers(0, classes, row.batch) for _ in xs]
    others = [(y + rng.integers(1, classes, row.batch)) % classes for y in ys]
    return [*zip(xs, ys, strict=True), *zip(xs, others, strict=True)]


def epoch(row: Row) -> tuple[Array, Array]:
    """The samples of `fit_steps` batches, as one array of inputs and one of targets."""
    found = batches(row)
    repeated = [found[i % len(found)] for i in range(row.fit_steps)]
    x, y = (np.concatenate(part) for part in zip(*repeated, strict=True))
    return x, y
