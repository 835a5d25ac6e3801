"""What ships with the library, each with inputs on which to certify it.

A class that is in no table is checked as it comes, on a batch of rows; a layer that needs arguments
has to be in one. `cases` walks over the registries, so none is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from backprop import layers, losses
from backprop.gradcheck.engine import gradcheck
from backprop.gradcheck.report import Report
from backprop.nest import each_shape

ROWS, SEQUENCE, IMAGE, HALVES = (5, 6), (3, 4, 6), (2, 6, 5, 3), (4, 8)
VOLUME = (2, 4, 3, 5, 2)
FILM = (2, 3, 3, 4, 2)
STEP, STATE = (3, 6), (3, 4)  # of SEQUENCE
# a query and a value; then a key, of other features or those of the query
PAIR, TRIPLE = ((2, 3, 4), (2, 5, 4)), ((2, 3, 4), (2, 5, 2), (2, 5, 4))
Config = dict[str, Any]
L = layers


@dataclass(frozen=True)
class Case:
    """A subject and where to check it."""

    name: str
    make: Callable[[], Any]
    x: Callable[[np.random.Generator], Any]
    options: Config = field(default_factory=dict)

    def check(self, seed: int = 0) -> Report:
        """Certify it, in the mode of the case."""
        return gradcheck(
            self.make(), self.x(np.random.default_rng(seed)), seed=seed, **self.options
        )


def normal(shape: tuple) -> Callable[[np.random.Generator], Any]:
    """Numbers of a shape, or of each of several."""
    return lambda rng: each_shape(rng.standard_normal, shape)


def along_axes(family: str, *arguments: Any) -> dict[str, list[tuple[Callable[[], Any], tuple]]]:
    """A family's layers along one to three axes, made alike."""
    shapes = {f"{family}{n}D": shape for n, shape in enumerate((SEQUENCE, IMAGE, VOLUME), start=1)}
    return {name: [(partial(getattr(L, name), *arguments), x)] for name, x in shapes.items()}


def drawn(cls: Any) -> list[tuple[Callable[[], Any], tuple]]:
    """Graphs: one with a fork and a layer in two places, one of two inputs and two outputs."""

    def forked() -> Any:
        x = L.Input(ROWS[1:])
        twice = L.Dense(ROWS[1], "tanh")
        return cls(x, L.Residual(twice)(twice(L.Dense(ROWS[1])(x))))

    def two_ended() -> Any:
        one, two = L.Input(ROWS[1:], name="one"), L.Input(HALVES[1:], name="two")
        tower = L.Dense(3, "tanh")
        shared = tower(one)
        return cls([one, two], [L.Dense(2)(shared), L.Dense(4, "tanh")(two), L.Dense(1)(shared)])

    return [(forked, ROWS), (two_ended, (ROWS, (ROWS[0], *HALVES[1:])))]


# a class → constructions and the shape of an input, or of each input; makers, as a layer may hold
# layers
LAYERS: dict[str, list[tuple[Callable[[], Any], tuple]]] = {
    "AddConstant": [
        (lambda: L.AddConstant(0.5), ROWS),
        (lambda: L.AddConstant([[1.0], [2.0]]), (3, 4, 1, 6)),
    ],
    "Activation": [(lambda: L.Activation("tanh"), ROWS), (lambda: L.Activation("relu"), ROWS)],
    "AdditiveAttention": [
        (lambda: L.AdditiveAttention(), PAIR),
        (lambda: L.AdditiveAttention(False, 0.2, return_attention_scores=True), TRIPLE),
    ],
    "AlphaDropout": [(lambda: L.AlphaDropout(0.3), ROWS)],
    "Attention": [
        (lambda: L.Attention(True), PAIR),
        (lambda: L.Attention(True, "concat", use_causal_mask=True), TRIPLE),
        (lambda: L.Attention(dropout=0.2, return_attention_scores=True), TRIPLE),
    ],
    "AveragePooling1D": [
        (lambda: L.AveragePooling1D(2), SEQUENCE),
        (lambda: L.AveragePooling1D(3, strides=2, padding="same"), SEQUENCE),
    ],
    "AveragePooling2D": [
        (lambda: L.AveragePooling2D(2), IMAGE),
        (lambda: L.AveragePooling2D(3, strides=2, padding="same"), IMAGE),
    ],
    "AveragePooling3D": [
        (lambda: L.AveragePooling3D(2), VOLUME),
        (lambda: L.AveragePooling3D(2, strides=1, padding="same"), VOLUME),
    ],
    "BatchNormalization": [
        (lambda: L.BatchNormalization(), ROWS),
        (lambda: L.BatchNormalization(), IMAGE),
    ],
    "Bidirectional": [
        (lambda: L.Bidirectional(L.LSTM(3)), SEQUENCE),
        (lambda: L.Bidirectional(L.GRU(3, return_sequences=True), "mul"), SEQUENCE),
        (lambda: L.Bidirectional(L.GRU(4, return_state=True), None), (SEQUENCE, STATE, STATE)),
    ],
    "Chain": [(lambda: L.Chain([L.Dense(3, "tanh"), L.Dense(2)]), ROWS)],
    "Concatenate": [
        (lambda: L.Concatenate(), (ROWS, (5, 2))),
        (lambda: L.Concatenate(axis=1), (SEQUENCE, (3, 2, 6))),
    ],
    "Conv1D": [
        (lambda: L.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="tanh"), SEQUENCE),
        (lambda: L.Conv1D(4, 3, strides=2, padding="same", groups=2), SEQUENCE),
    ],
    "Conv1DTranspose": [(lambda: L.Conv1DTranspose(4, 3, strides=2), SEQUENCE)],
    "Conv2D": [
        (lambda: L.Conv2D(4, 3), IMAGE),
        (lambda: L.Conv2D(4, (3, 2), strides=(1, 2), padding="same", activation="relu"), IMAGE),
        (lambda: L.Conv2D(6, 2, dilation_rate=2, groups=3, activation="tanh"), IMAGE),
    ],
    "Conv2DTranspose": [
        (lambda: L.Conv2DTranspose(4, (3, 2), strides=2, activation="tanh"), IMAGE),
        (lambda: L.Conv2DTranspose(4, 3, 2, padding="same", output_padding=(0, 1)), IMAGE),
    ],
    "Conv3D": [(lambda: L.Conv3D(4, (2, 3, 2), strides=(1, 2, 2), padding="same"), VOLUME)],
    "ConvLSTM1D": [(lambda: L.ConvLSTM1D(2, 2, return_sequences=True), IMAGE)],
    "ConvLSTM2D": [
        (lambda: L.ConvLSTM2D(2, 2), FILM),
        (lambda: L.ConvLSTM2D(2, (1, 2), 2, "same", dropout=0.3, recurrent_dropout=0.2), FILM),
    ],
    "ConvLSTM3D": [(lambda: L.ConvLSTM3D(2, (1, 2, 1)), (*FILM, 1))],
    "Dense": [
        (lambda: L.Dense(4), ROWS),
        (lambda: L.Dense(4, "tanh"), ROWS),
        (lambda: L.Dense(4, "relu"), ROWS),
        (lambda: L.Dense(4, "softmax"), SEQUENCE),
    ],
    "DepthwiseConv1D": [(lambda: L.DepthwiseConv1D(3, padding="same"), SEQUENCE)],
    "DepthwiseConv2D": [
        (lambda: L.DepthwiseConv2D(3, strides=2, depth_multiplier=2, activation="tanh"), IMAGE)
    ],
    "DivideBy": [(lambda: L.DivideBy(3.0), ROWS)],
    "DivideInto": [(lambda: L.DivideInto(3.0), ROWS)],
    "Dot": [
        (lambda: L.Dot(1), (ROWS, ROWS)),
        (lambda: L.Dot((2, 1), normalize=True), (SEQUENCE, (3, 6))),
    ],
    "Dropout": [(lambda: L.Dropout(0.4), ROWS)],
    "Embedding": [(lambda: L.Embedding(7, 4), (5, 3))],
    "Flatten": [(lambda: L.Flatten(), IMAGE)],
    "GLU": [(lambda: L.GLU(), HALVES)],
    "GRU": [
        (lambda: L.GRU(4), SEQUENCE),
        (lambda: L.GRU(4, reset_after=False, return_sequences=True), SEQUENCE),
        (lambda: L.GRU(3, dropout=0.3, recurrent_dropout=0.2, go_backwards=True), SEQUENCE),
        (lambda: L.GRU(4, reset_after=False, return_state=True), (SEQUENCE, STATE)),
    ],
    "GRUCell": [
        (lambda: L.GRUCell(4), (STEP, STATE)),
        (lambda: L.GRUCell(4, reset_after=False, recurrent_dropout=0.2), (STEP, STATE)),
    ],
    "GaussianDropout": [(lambda: L.GaussianDropout(0.3), ROWS)],
    "GaussianNoise": [(lambda: L.GaussianNoise(0.5), ROWS)],
    "Graph": drawn(L.Graph),
    "GroupNormalization": [(lambda: L.GroupNormalization(3), (4, 5, 6))],
    "InputLayer": [(lambda: L.InputLayer((6,)), ROWS)],
    "LSTM": [
        (lambda: L.LSTM(4), SEQUENCE),
        (lambda: L.LSTM(4, return_sequences=True, unit_forget_bias=False), SEQUENCE),
        (lambda: L.LSTM(3, dropout=0.3, recurrent_dropout=0.2), SEQUENCE),
        (
            lambda: L.LSTM(4, return_sequences=True, return_state=True, go_backwards=True),
            (SEQUENCE, STATE, STATE),
        ),
    ],
    "LSTMCell": [(lambda: L.LSTMCell(4, dropout=0.3), (STEP, STATE, STATE))],
    "LayerNormalization": [
        (lambda: L.LayerNormalization(), ROWS),
        (lambda: L.LayerNormalization(axis=-1, rms_scaling=True), SEQUENCE),
    ],
    "Masking": [(lambda: L.Masking(), SEQUENCE)],
    "MaxPooling1D": [
        (lambda: L.MaxPooling1D(2), SEQUENCE),
        (lambda: L.MaxPooling1D(3, strides=2, padding="same"), SEQUENCE),
    ],
    "MaxPooling2D": [
        (lambda: L.MaxPooling2D(2), IMAGE),
        (lambda: L.MaxPooling2D(3, strides=2, padding="same"), IMAGE),
    ],
    "MaxPooling3D": [
        (lambda: L.MaxPooling3D(2), VOLUME),
        (lambda: L.MaxPooling3D(2, strides=1, padding="same"), VOLUME),
    ],
    "GroupQueryAttention": [
        (lambda: L.GroupQueryAttention(2, 4, 2, use_gate=True), SEQUENCE),
        (lambda: L.GroupQueryAttention(2, 4, 2, use_gate=True, dropout=0.2), TRIPLE),
        (
            lambda: L.GroupQueryAttention(2, 4, 1, dropout=0.2, use_causal_mask=True, rotary=True),
            SEQUENCE,
        ),
    ],
    "MultiHeadAttention": [
        (lambda: L.MultiHeadAttention(2, 3), SEQUENCE),
        (lambda: L.MultiHeadAttention(2, 3, use_causal_mask=True, dropout=0.2), SEQUENCE),
        (lambda: L.MultiHeadAttention(2, 3, 2), PAIR),
        (lambda: L.MultiHeadAttention(2, 3, return_attention_scores=True), TRIPLE),
    ],
    "MultiplyBy": [(lambda: L.MultiplyBy([2.0, -0.5, 1.0, 3.0, 0.1, -1.0]), ROWS)],
    "Parallel": [
        (lambda: L.Parallel([L.Dense(3), L.Dense(3, "tanh")]), ROWS),
        (lambda: L.Parallel([L.Dense(3), L.Dense(3, "tanh")], join="multiply"), ROWS),
    ],
    "Permute": [(lambda: L.Permute((2, 1)), SEQUENCE)],
    "PositionEmbedding": [(lambda: L.PositionEmbedding(5), SEQUENCE)],
    "PowerOf": [(lambda: L.PowerOf(2.0), ROWS)],
    "RaiseTo": [(lambda: L.RaiseTo(3), ROWS), (lambda: L.RaiseTo(-1), ROWS)],
    "RNN": [
        (lambda: L.RNN([L.LSTMCell(4), L.GRUCell(4)]), SEQUENCE),
        (
            lambda: L.RNN(L.LSTMCell(4), return_sequences=True, return_state=True),
            (SEQUENCE, STATE, STATE),
        ),
    ],
    "RandomBrightness": [(lambda: L.RandomBrightness(0.2, (-3.0, 3.0)), IMAGE)],
    "RandomContrast": [(lambda: L.RandomContrast(0.5, (-3.0, 3.0)), IMAGE)],
    "RandomFlip": [(lambda: L.RandomFlip(), IMAGE)],
    "RandomRotation": [(lambda: L.RandomRotation(0.2), IMAGE)],
    "RandomTranslation": [(lambda: L.RandomTranslation(0.2, 0.3), IMAGE)],
    "RandomZoom": [(lambda: L.RandomZoom(0.2), IMAGE)],
    "RepeatVector": [(lambda: L.RepeatVector(3), ROWS)],
    "Rescaling": [(lambda: L.Rescaling(0.5, 1.0), ROWS)],
    "Reshape": [(lambda: L.Reshape((3, 2)), ROWS)],
    "Residual": [(lambda: L.Residual([L.Dense(6, "tanh")]), ROWS)],
    "RotaryEmbedding": [(lambda: L.RotaryEmbedding(), SEQUENCE)],
    "SeparableConv1D": [(lambda: L.SeparableConv1D(4, 3, padding="same"), SEQUENCE)],
    "SeparableConv2D": [
        (lambda: L.SeparableConv2D(4, 3, strides=2, depth_multiplier=2, activation="tanh"), IMAGE)
    ],
    "SimpleRNN": [
        (lambda: L.SimpleRNN(4), SEQUENCE),
        (lambda: L.SimpleRNN(4, activation="relu", return_sequences=True), SEQUENCE),
        (lambda: L.SimpleRNN(4, return_state=True), (SEQUENCE, STATE)),
    ],
    "SimpleRNNCell": [(lambda: L.SimpleRNNCell(4), (STEP, STATE))],
    "SinePositionEncoding": [(lambda: L.SinePositionEncoding(), SEQUENCE)],
    "Slice": [(lambda: L.Slice(":, -1"), SEQUENCE), (lambda: L.Slice("..., 1:4:2"), SEQUENCE)],
    "SpectralNormalization": [
        # many iterations: with few, σ is not yet the function that is differentiated
        (lambda: L.SpectralNormalization(L.Dense(4, "tanh", kernel_initializer="ones"), 40), ROWS)
    ],
    "SubtractFrom": [(lambda: L.SubtractFrom(1.0), ROWS)],
    "StackedRNNCells": [
        (lambda: L.StackedRNNCells([L.LSTMCell(4), L.GRUCell(4)]), (STEP, STATE, STATE, STATE))
    ],
    "Threshold": [(lambda: L.Threshold(0.1, 0.5), ROWS)],
    "TimeDistributed": [
        (lambda: L.TimeDistributed(L.Dense(4, "tanh")), SEQUENCE),
        (lambda: L.TimeDistributed(L.BatchNormalization()), SEQUENCE),
    ],
    "TransformerBlock": [
        (lambda: L.TransformerBlock(5, 2, activation="tanh"), SEQUENCE),
        (lambda: L.TransformerBlock(5, 2, 0.2, "gelu", normalize_first=True), SEQUENCE),
    ],
    "TransformerDecoder": [
        (lambda: L.TransformerDecoder(5, 2, activation="gelu"), PAIR),
        (
            lambda: L.TransformerDecoder(
                5, 2, 0.2, "tanh", normalize_first=True, num_key_value_heads=1, rotary=True
            ),
            PAIR,
        ),
    ],
    "UpSampling1D": [(lambda: L.UpSampling1D(), SEQUENCE)],
    "UpSampling2D": [
        (lambda: L.UpSampling2D(), IMAGE),
        (lambda: L.UpSampling2D((2, 3), interpolation="bilinear"), IMAGE),
    ],
    "UpSampling3D": [(lambda: L.UpSampling3D(), VOLUME)],
    **{
        name: [(getattr(L, name), (SEQUENCE, SEQUENCE)), (getattr(L, name), (SEQUENCE, (3, 1)))]
        for name in ("Add", "Average", "Divide", "Maximum", "Minimum", "Multiply", "Subtract")
    },
    **along_axes("AdaptiveAveragePooling", 2),
    **along_axes("AdaptiveMaxPooling", 2),
    **along_axes("Cropping", 1),
    **along_axes("GlobalAveragePooling"),
    **along_axes("GlobalMaxPooling"),
    **along_axes("SpatialDropout", 0.4),
    **along_axes("ZeroPadding"),
}


def of_layer(name: str, cls: type) -> Iterator[Case]:
    """Every construction, in training and in inference."""
    for make, shape in LAYERS.get(name, [(cls, ROWS)]):
        x = normal(shape)
        if name == "Embedding":
            x = tokens(7, shape)
        for training in (True, False):
            yield Case(repr(make()), make, x, {"training": training})


def tokens(below: int, shape: tuple[int, ...]) -> Callable[[np.random.Generator], Any]:
    return lambda rng: rng.integers(0, below, shape)


# how a loss wants its targets and predictions, by the first rule that fits the class' name
def pair_for(name: str) -> Callable[[np.random.Generator, int, int], tuple[Any, Any]]:
    if name.startswith("Sparse") or name == "CategoricalGeneralizedCrossEntropy":
        return lambda rng, n, k: (rng.integers(0, k, n), distributions(rng, n, k))
    if name == "CTC":  # n sequences of 5 steps, which spell two labels and padding
        return lambda rng, n, k: (
            np.pad(rng.integers(1, k, (n, 2)), ((0, 0), (0, 1))),
            rng.standard_normal((n, 5, k)),
        )
    if name.startswith("Binary"):
        return lambda rng, n, k: (rng.integers(0, 2, (n, k)), rng.uniform(0.1, 0.9, (n, k)))
    if name.startswith(("Categorical", "KL")) and "Hinge" not in name:
        return lambda rng, n, k: (distributions(rng, n, k), distributions(rng, n, k))
    if name == "CategoricalHinge":
        return lambda rng, n, k: (np.eye(k)[rng.integers(0, k, n)], rng.standard_normal((n, k)))
    if "Hinge" in name:
        return lambda rng, n, k: (rng.choice([-1.0, 1.0], (n, k)), rng.standard_normal((n, k)))
    return lambda rng, n, k: (rng.uniform(0.5, 2, (n, k)), rng.uniform(0.5, 2, (n, k)))


def distributions(rng: np.random.Generator, n: int, k: int) -> Any:
    """(n, k): positive numbers, each row of which sums to 1."""
    p = rng.uniform(0.1, 1.0, (n, k))
    return p / p.sum(-1, keepdims=True)


def of_loss(name: str, cls: type) -> Iterator[Case]:
    """Each reduction, with and without weights."""
    pair = pair_for(name)
    for reduction in ("sum_over_batch_size", "sum", "none"):
        for weighted in (False, True):

            def x(rng: np.random.Generator, weighted: bool = weighted) -> tuple:
                both = pair(rng, 6, 4)
                return (*both, rng.uniform(0.5, 2.0, 6)) if weighted else both

            def make(reduction: str = reduction) -> Any:
                return cls(reduction=reduction)

            yield Case(f"{make()!r}{', weighted' if weighted else ''}", make, x)


def cases() -> list[Case]:
    """A case or more for every layer and loss that is registered.

    Examples
    --------
    >>> from backprop.gradcheck.catalogue import cases
    >>> [case.name for case in cases()][:2]
    ['Absolute()', 'Absolute()']
    """
    found: list[Case] = []
    for name, cls in sorted(layers.registry.classes.items()):
        found += of_layer(name, cls)
    for name, cls in sorted(losses.REGISTRY.classes.items()):
        found += of_loss(name, cls)
    return found
