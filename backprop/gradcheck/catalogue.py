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
SIGNALS = (2, 17, 3)
STEP, STATE = (3, 6), (3, 4)  # of SEQUENCE
# a query and a value; then a key, of other features or those of the query
PAIR, TRIPLE = ((2, 3, 4), (2, 5, 4)), ((2, 3, 4), (2, 5, 2), (2, 5, 4))
HELD = {"rmin": 1.5, "rmax": 1.5, "dmax": 0.0}  # of a batch renormalization
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
        # a correction that is clipped is the constant that the gradient takes it for
        (lambda: L.BatchNormalization(renorm=True, renorm_clipping=HELD), ROWS),
        (lambda: L.BatchNormalization(renorm=True), ROWS),  # any other is held to be one
    ],
    "Bidirectional": [
        (lambda: L.Bidirectional(L.LSTM(3)), SEQUENCE),
        (lambda: L.Bidirectional(L.GRU(3, return_sequences=True), "mul"), SEQUENCE),
        (lambda: L.Bidirectional(L.GRU(4, return_state=True), None), (SEQUENCE, STATE, STATE)),
    ],
    "CategoryEncoding": [
        (lambda: L.CategoryEncoding(7), SEQUENCE),
        (lambda: L.CategoryEncoding(7, output_mode="one_hot"), ROWS),
    ],
    "CenterCrop": [(lambda: L.CenterCrop(2, 3), IMAGE), (lambda: L.CenterCrop(7, 3), IMAGE)],
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
    "Conv3DTranspose": [
        (lambda: L.Conv3DTranspose(3, (2, 1, 3), strides=(1, 2, 2), activation="tanh"), VOLUME),
        (lambda: L.Conv3DTranspose(2, 2, 2, "same", output_padding=(0, 1, 0)), VOLUME),
    ],
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
    "Discretization": [
        (lambda: L.Discretization([-0.5, 0.1, 0.6], output_mode="count"), ROWS),
        (lambda: L.Discretization([-0.5, 0.1, 0.6], output_mode="one_hot"), SEQUENCE),
    ],
    "DivideBy": [(lambda: L.DivideBy(3.0), ROWS)],
    "DivideInto": [(lambda: L.DivideInto(3.0), ROWS)],
    "Dot": [
        (lambda: L.Dot(1), (ROWS, ROWS)),
        (lambda: L.Dot((2, 1), normalize=True), (SEQUENCE, (3, 6))),
    ],
    "Dropout": [(lambda: L.Dropout(0.4), ROWS)],
    "EinsumDense": [
        (lambda: L.EinsumDense("ab,bc->ac", 4, "tanh", "c"), ROWS),
        (lambda: L.EinsumDense("...ab,bc->...ac", (None, 3), bias_axes="ac"), VOLUME),
        (lambda: L.EinsumDense("abc,dcb->acd", (None, 2)), SEQUENCE),
        (lambda: L.EinsumDense("abcd,cde->ace", (None, 2), bias_axes="c"), IMAGE),
    ],
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
    "HashedCrossing": [
        (lambda: L.HashedCrossing(7, output_mode="one_hot"), ((5, 1), (5, 1))),
        (lambda: L.HashedCrossing(7), ((5,), (5,), (5,))),
    ],
    "Hashing": [(lambda: L.Hashing(7), ROWS), (lambda: L.Hashing(7, "a", 3, "count"), ROWS)],
    "InputLayer": [(lambda: L.InputLayer((6,)), ROWS)],
    "IntegerLookup": [
        (lambda: L.IntegerLookup(vocabulary=[1, 6, 3]), ROWS),
        (lambda: L.IntegerLookup(vocabulary=[1, 6, 3], output_mode="count"), ROWS),
    ],
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
    "Matmul": [
        (lambda: L.Matmul(), ((2, 3, 4), (2, 4, 5))),
        (lambda: L.Matmul(), ((2, 3, 1, 4), (2, 1, 4, 2))),
    ],
    "MatmulConstant": [
        (lambda: L.MatmulConstant(np.arange(12.0).reshape(6, 2)), SEQUENCE),
        (lambda: L.MatmulConstant(np.arange(12.0).reshape(3, 4), first=True), SEQUENCE),
    ],
    "MaxNumBoundingBoxes": [(lambda: L.MaxNumBoundingBoxes(3), IMAGE)],
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
    "MelSpectrogram": [
        (lambda: L.MelSpectrogram(8, 5, num_mel_bins=4, sampling_rate=1000), (2, 17)),
        (lambda: L.MelSpectrogram(8, 3, 6, None, 1000, 4, mag_exp=1.5, power_to_db=False), (2, 17)),
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
    "RandomColorDegeneration": [(lambda: L.RandomColorDegeneration(0.8, (-9.0, 9.0)), IMAGE)],
    "RandomContrast": [(lambda: L.RandomContrast(0.5, (-3.0, 3.0)), IMAGE)],
    "RandomCrop": [
        (lambda: L.RandomCrop(2, 3), IMAGE),
        (lambda: L.RandomCrop(7, 3), IMAGE),
    ],
    "RandomElasticTransform": [
        (lambda: L.RandomElasticTransform(value_range=(-3.0, 3.0)), IMAGE),
    ],
    "RandomErasing": [(lambda: L.RandomErasing(scale=(0.1, 0.5)), IMAGE)],
    "RandomFlip": [(lambda: L.RandomFlip(), IMAGE)],
    "RandomGrayscale": [(lambda: L.RandomGrayscale(), IMAGE)],
    "RandomHue": [(lambda: L.RandomHue(0.5, (-9.0, 9.0)), IMAGE)],
    "RandomPerspective": [(lambda: L.RandomPerspective(), IMAGE)],
    "RandomRotation": [(lambda: L.RandomRotation(0.2), IMAGE)],
    "RandomSaturation": [(lambda: L.RandomSaturation(0.7, (-9.0, 9.0)), IMAGE)],
    "RandomShear": [(lambda: L.RandomShear(0.5, 0.3), IMAGE)],
    "RandomTranslation": [(lambda: L.RandomTranslation(0.2, 0.3), IMAGE)],
    "RandomZoom": [(lambda: L.RandomZoom(0.2), IMAGE)],
    "Remainder": [(lambda: L.Remainder(0.7), ROWS)],
    "RepeatVector": [(lambda: L.RepeatVector(3), ROWS)],
    "Rescaling": [(lambda: L.Rescaling(0.5, 1.0), ROWS)],
    "Reshape": [(lambda: L.Reshape((3, 2)), ROWS)],
    "Resizing": [
        (lambda: L.Resizing(3, 7), IMAGE),
        (lambda: L.Resizing(3, 7, "lanczos3", pad_to_aspect_ratio=True), IMAGE),
        (lambda: L.Resizing(2, 2, "bicubic", antialias=True), IMAGE),
    ],
    "Residual": [(lambda: L.Residual([L.Dense(6, "tanh")]), ROWS)],
    "ReversibleEmbedding": [
        (lambda: L.ReversibleEmbedding(7, 4), (5, 3)),
        (lambda: L.ReversibleEmbedding(7, 4, tie_weights=False), (5, 3)),
    ],
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
        (lambda: L.SpectralNormalization(L.Dense(4, "tanh")), ROWS),
    ],
    "STFTSpectrogram": [
        (lambda: L.STFTSpectrogram("log", 6, 4), SIGNALS),
        (lambda: L.STFTSpectrogram("psd", 8, padding="same", expand_dims=True), SIGNALS),
        (lambda: L.STFTSpectrogram("stft", 6, window="hamming", scaling=None), SIGNALS),
    ],
    "StringLookup": [
        (lambda: L.StringLookup(vocabulary=["b", "a"]), ROWS),
        (lambda: L.StringLookup(vocabulary=["b", "a"], output_mode="multi_hot"), ROWS),
    ],
    "SubtractFrom": [(lambda: L.SubtractFrom(1.0), ROWS)],
    "StackedRNNCells": [
        (lambda: L.StackedRNNCells([L.LSTMCell(4), L.GRUCell(4)]), (STEP, STATE, STATE, STATE))
    ],
    "TextVectorization": [
        (lambda: L.TextVectorization(vocabulary=["b", "a"]), (5, 1)),
        (lambda: L.TextVectorization(vocabulary=["b", "a"], output_mode="count"), (5, 1)),
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
    "Unembedding": [
        (lambda: L.Unembedding(L.ReversibleEmbedding(7, 6)), SEQUENCE),
        (lambda: L.Unembedding(L.ReversibleEmbedding(5, 6, False, logit_soft_cap=2.0)), ROWS),
    ],
    "UpSampling1D": [(lambda: L.UpSampling1D(), SEQUENCE)],
    "UpSampling2D": [
        (lambda: L.UpSampling2D(), IMAGE),
        (lambda: L.UpSampling2D((2, 3), interpolation="bilinear"), IMAGE),
    ],
    "UpSampling3D": [(lambda: L.UpSampling3D(), VOLUME)],
    "AutoContrast": [(lambda: L.AutoContrast((-9.0, 9.0)), IMAGE)],
    "ContrastLimitedAdaptiveHistogramEqualization": [
        (lambda: L.ContrastLimitedAdaptiveHistogramEqualization((-3.1, 3.0), 4.0, (2, 2)), IMAGE)
    ],
    "CutMix": [(lambda: L.CutMix(), IMAGE)],
    "Equalization": [(lambda: L.Equalization((-3.1, 3.0)), IMAGE)],
    "AugMix": [(lambda: L.AugMix((-9.1, 9.0)), IMAGE)],
    "Pipeline": [(lambda: L.Pipeline([L.Rescaling(0.5), L.Dense(4)]), ROWS)],
    "RandAugment": [(lambda: L.RandAugment((-9.1, 9.0)), IMAGE)],
    "RandomColorJitter": [(lambda: L.RandomColorJitter((-9.0, 9.0), 0.2, 0.3, 0.6, 0.4), IMAGE)],
    "MixUp": [(lambda: L.MixUp(1.0), IMAGE)],
    "RandomGaussianBlur": [(lambda: L.RandomGaussianBlur(1.0, 3, 1.0, (-9.0, 9.0)), IMAGE)],
    "RandomInvert": [(lambda: L.RandomInvert(1.0, (-9.0, 9.0)), IMAGE)],
    "RandomPosterization": [(lambda: L.RandomPosterization(3, (-3.1, 3.0)), IMAGE)],
    "RandomSharpness": [(lambda: L.RandomSharpness(0.9, (-9.0, 9.0)), IMAGE)],
    "Solarization": [(lambda: L.Solarization(0.3, 0.8, (-9.1, 9.0)), IMAGE)],
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
# in a pixel whose channels are equal they have another slope in each direction
GREY = {"RandomColorJitter", "RandomHue"}


def of_layer(name: str, cls: type) -> Iterator[Case]:
    """Every construction, in training and in inference."""
    for make, shape in LAYERS.get(name, [(cls, ROWS)]):
        x = DRAWS.get(name, normal)(shape)
        for training in (True, False):
            yield Case(repr(make()), make, x, {"training": training, "lattice": name not in GREY})


def tokens(shape: tuple) -> Callable[[np.random.Generator], Any]:
    return lambda rng: each_shape(lambda one: rng.integers(0, 7, one), shape)


def words(shape: tuple) -> Callable[[np.random.Generator], Any]:
    return lambda rng: np.array(["a", "b", "c", "a b"])[rng.integers(0, 4, shape)]


# what a layer takes, where that is not any number
DRAWS = {
    **dict.fromkeys(("CategoryEncoding", "Embedding", "HashedCrossing", "IntegerLookup"), tokens),
    "ReversibleEmbedding": tokens,
    **dict.fromkeys(("Hashing", "StringLookup", "TextVectorization"), words),
}


# how a loss wants its targets and predictions, by the first rule that fits the class' name
def pair_for(name: str) -> Callable[[np.random.Generator, int, int], tuple[Any, Any]]:
    if name.startswith("Sparse") or name == "CategoricalGeneralizedCrossEntropy":
        return lambda rng, n, k: (rng.integers(0, k, n), distributions(rng, n, k))
    if name == "CTC":  # n sequences of 5 steps, which spell two labels and padding
        return lambda rng, n, k: (
            np.pad(rng.integers(1, k, (n, 2)), ((0, 0), (0, 1))),
            rng.standard_normal((n, 5, k)),
        )
    if name == "Circle":  # two samples of each class
        return lambda rng, n, k: (np.arange(n) // 2, unit(rng.standard_normal((n, k))))
    if name == "GaussianNLL":
        return lambda rng, n, k: (rng.standard_normal((n, k)), rng.standard_normal((n, 2 * k)))
    if name.startswith("Binary") or name in ("Dice", "Tversky"):
        return lambda rng, n, k: (rng.integers(0, 2, (n, k)), rng.uniform(0.1, 0.9, (n, k)))
    if name.startswith(("Categorical", "KL")) and "Hinge" not in name:
        return lambda rng, n, k: (distributions(rng, n, k), distributions(rng, n, k))
    if name == "CategoricalHinge":
        return lambda rng, n, k: (np.eye(k)[rng.integers(0, k, n)], rng.standard_normal((n, k)))
    if "Hinge" in name:
        return lambda rng, n, k: (rng.choice([-1.0, 1.0], (n, k)), rng.standard_normal((n, k)))
    return lambda rng, n, k: (rng.uniform(0.5, 2, (n, k)), rng.uniform(0.5, 2, (n, k)))


def unit(x: Any) -> Any:
    """Rows of a length near 1, below it: a row at 1 has a kink."""
    return 0.9 * x / np.linalg.norm(x, axis=-1, keepdims=True)


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
