"""How much layers multiply, against sums of ones, naive loops and figures by hand; and the summary
that shows it."""

import itertools

import numpy as np
import pytest

import backprop as bp
from backprop import layers as L
from backprop.layers import Dense
from backprop.optimizers import SGD, Adafactor, Adam
from backprop.summary import rows_of_table, summary


def with_ones(layer, shape):
    """The sum of y where x and all kernels are 1: how many products were added up."""
    layer.build(shape)
    for p in layer.arrays():
        p.value[...] = 0 if "bias" in p.path else 1
    x = np.ones((1, *shape[1:]), np.float32)
    return layer(x).sum()


LINEAR = [
    (lambda: Dense(5), (None, 3)),
    (lambda: Dense(5), (None, 2, 4, 3)),
    (lambda: L.EinsumDense("abc,cde->abde", (None, 2, 5)), (None, 4, 3)),
    (lambda: L.EinsumDense("...b,bc->...c", 5), (None, 4, 3)),
    (lambda: L.Conv1D(4, 3, strides=2), (None, 9, 2)),
    (lambda: L.Conv1D(4, 3, dilation_rate=2, padding="causal"), (None, 9, 2)),
    (lambda: L.Conv2D(6, (3, 2), groups=2), (None, 7, 6, 4)),
    (lambda: L.Conv2D(3, 2, data_format="channels_first"), (None, 4, 7, 6)),
    (lambda: L.Conv3D(2, 2, strides=(1, 2, 1)), (None, 3, 5, 4, 2)),
    (lambda: L.Conv1DTranspose(4, 3, strides=2), (None, 5, 2)),
    (lambda: L.Conv2DTranspose(3, (2, 3), strides=(2, 1)), (None, 4, 5, 2)),
    (lambda: L.DepthwiseConv1D(3, depth_multiplier=2), (None, 8, 3)),
    (lambda: L.DepthwiseConv2D((2, 3), depth_multiplier=3, strides=2), (None, 7, 8, 2)),
    (lambda: L.TimeDistributed(Dense(4)), (None, 5, 3)),
    (lambda: L.arithmetic.constants.MatmulConstant(np.ones((3, 4))), (None, 5, 3)),
]


@pytest.mark.parametrize(("make", "shape"), LINEAR)
def test_sums_of_ones_count_the_products(make, shape):
    layer = make()

    found = with_ones(layer, shape)

    margins = getattr(layer, "padding", "valid") == "causal"
    if margins:  # products with the margin's zeros are counted, and add nothing
        positions = layer.compute_output_shape(shape)[1]
        assert layer.multiply_adds(shape) == positions * layer.kernel.size > found
    else:
        assert layer.multiply_adds(shape) == found


def naive(shape, filters, kernel, strides):
    """The products of a convolution with padding "same", one after the other."""
    sizes = [-(-n // s) for n, s in zip(shape[:-1], strides, strict=True)]
    count = 0
    for _place in itertools.product(*map(range, sizes)):
        for _offset in itertools.product(*map(range, kernel)):
            count += shape[-1] * filters
    return count


@pytest.mark.parametrize("strides", [(1, 1), (2, 3)])
def test_a_convolution_with_margins_counts_like_its_loops(strides):
    layer = L.Conv2D(5, (3, 2), strides=strides, padding="same")
    layer.build((None, 7, 8, 3))

    assert layer.multiply_adds((None, 7, 8, 3)) == naive((7, 8, 3), 5, (3, 2), strides)


HAND = {
    "separable": (lambda: L.SeparableConv2D(5, 3), (None, 6, 6, 2), 16 * (9 * 2 + 2 * 5)),
    "simple": (lambda: L.SimpleRNN(4), (None, 7, 3), 7 * (3 * 4 + 4 * 4)),
    "lstm": (lambda: L.LSTM(4), (None, 7, 3), 7 * 4 * (3 * 4 + 4 * 4)),
    "gru": (lambda: L.GRU(4, reset_after=False), (None, 7, 3), 7 * 3 * (3 * 4 + 4 * 4)),
    "cells": (
        lambda: L.RNN([L.LSTMCell(4), L.GRUCell(2)]),
        (None, 7, 3),
        7 * (4 * (3 + 4) * 4 + 3 * (4 + 2) * 2),
    ),
    "bidirectional": (lambda: L.Bidirectional(L.GRU(4)), (None, 7, 3), 2 * 7 * 3 * 7 * 4),
    "conv_lstm": (
        lambda: L.ConvLSTM2D(4, 3, strides=2),
        (None, 5, 9, 9, 2),
        5 * 4 * 4 * 9 * (2 * 16 + 4 * 16),
    ),
    "self attention": (
        lambda: L.MultiHeadAttention(2, 4, value_dim=3),
        (None, 5, 6),
        5 * 6 * 2 * (4 + 4 + 3) + 5 * 2 * 3 * 6 + 2 * 5 * 5 * (4 + 3),
    ),
    "cross attention": (
        lambda: L.MultiHeadAttention(2, 4),
        ((None, 5, 6), (None, 7, 8)),
        5 * 6 * 8 + 7 * 8 * 8 * 2 + 2 * 5 * 7 * 8 + 5 * 8 * 6,
    ),
    "grouped": (
        lambda: L.GroupQueryAttention(3, 4, 2),
        (None, 5, 6),
        5 * 6 * 3 * (4 + 2 * 2) + 4 * 5 * 5 * 6 + 5 * 12 * 6,
    ),
    "attention": (lambda: L.Attention(), ((None, 5, 4), (None, 7, 4)), 5 * 7 * 4 * 2),
    "concat": (
        lambda: L.Attention(score_mode="concat"),
        ((None, 5, 4), (None, 7, 4)),
        5 * 7 * 4,
    ),
    "additive": (lambda: L.AdditiveAttention(), ((None, 5, 4), (None, 7, 4)), 5 * 7 * 4 * 2),
    "dot": (lambda: L.Dot(axes=(2, 1)), ((None, 5, 4), (None, 4, 3)), 5 * 3 * 4),
    "matmul": (lambda: L.Matmul(), ((None, 2, 5, 4), (None, 2, 4, 3)), 2 * 5 * 3 * 4),
    "block": (
        lambda: L.TransformerBlock(12, 2),
        (None, 5, 8),
        5 * 8 * 8 * 4 + 2 * 5 * 5 * 8 + 5 * 8 * 12 * 2,
    ),
    "decoder": (
        lambda: L.TransformerDecoder(12, 2),
        ((None, 5, 8), (None, 7, 8)),
        (5 * 8 * 8 * 4 + 2 * 5 * 5 * 8) + (5 + 7 + 7 + 5) * 64 + 2 * 5 * 7 * 8 + 5 * 8 * 12 * 2,
    ),
    "residual": (lambda: L.Residual([Dense(3)]), (None, 3), 9),
    "parallel": (lambda: L.Parallel([[Dense(3)], [Dense(2), Dense(1)]]), (None, 3), 9 + 6 + 2),
    "embedding": (lambda: L.Embedding(9, 4), (None, 5), 0),
    "spectral": (lambda: L.SpectralNormalization(Dense(4)), (None, 3), 12),
    "pooling": (lambda: L.AveragePooling2D(2), (None, 6, 6, 2), 0),
    "global": (lambda: L.GlobalAveragePooling1D(), (None, None, 2), 0),
    "nearest": (lambda: L.UpSampling2D(2), (None, 3, 3, 2), 0),
    "bilinear": (lambda: L.UpSampling2D(2, interpolation="bilinear"), (None, 3, 3, 2), None),
    "free": (lambda: L.LSTM(4), (None, None, 3), None),
    "free dense": (lambda: Dense(4), (None, None, 3), None),
    "image": (lambda: L.RandomRotation(0.1), (None, 6, 6, 2), None),
    "lambda": (lambda: L.Lambda(np.negative), (None, 6), None),
}


@pytest.mark.parametrize("name", HAND)
def test_layers_count_what_a_hand_counts(name):
    make, shape, expected = HAND[name]
    layer = make()
    layer.build(shape)

    assert layer.multiply_adds(shape) == expected


def test_scores_of_a_tied_table_are_a_product():
    words = bp.Input((5,), dtype="int32")
    table = L.ReversibleEmbedding(9, 4)
    model = bp.Model(words, table(table(words), reverse=True))

    assert model.multiply_adds(model.input_shape) == 5 * 4 * 9


def test_a_subclass_that_computes_something_else_is_not_known():
    class Twice(Dense):
        def forward(self, x, ctx=None):
            y, cache = super().forward(x)
            return y @ np.ones((self.units, self.units), "f"), cache

    class Alike(Dense):
        def backward(self, dy, cache):
            return super().backward(dy, cache)

    class OtherSums(L.Conv1D):
        def linear(self, x, ctx, finish):
            return super().linear(x, ctx, finish)

    for make, shape, expected in (
        (lambda: Twice(4), (None, 3), None),
        (lambda: Alike(4), (None, 3), 12),
        (lambda: OtherSums(4, 2), (None, 5, 3), None),
        (lambda: L.Chain([Dense(2), Twice(4)]), (None, 3), None),
    ):
        layer = make()
        layer.build(shape)
        assert layer.multiply_adds(shape) == expected


# ---------------------------------------------------------------------------- the summary


def test_the_summary_counts_a_shared_layer_in_all_its_calls():
    a, b = bp.Input((3,), name="a"), bp.Input((3,), name="b")
    tower = Dense(4, name="tower")
    model = bp.Model([a, b], [tower(a), tower(b)])

    rows = {cells[0].split(" ")[0]: cells for cells in rows_of_table(model)}

    assert rows["tower"][-1] == "24" and rows["a"][-1] == "0"
    assert " Multiply-adds of a row: 24\n" in summary(model)


def test_the_summary_says_what_is_not_known():
    model = bp.Sequential([bp.Input((3,)), Dense(2), L.Lambda(np.negative)])

    text = summary(model)

    assert " Multiply-adds of a row: 6 and those marked ?\n" in text
    free = bp.Sequential([bp.Input((None, 3)), L.LSTM(2, return_sequences=True)])
    assert "outputs of layers ? for 32 rows" in summary(free)


@pytest.mark.parametrize(
    ("optimizer", "numbers"),
    [
        (SGD(), 0),
        (SGD(momentum=0.9), 32),
        (Adam(), 64),
        (Adam(amsgrad=True), 96),
        (Adam(use_ema=True, ema_momentum=0.9), 96),
        (Adam(gradient_accumulation_steps=2), 96),
        (Adafactor(), 32 + (3 + 3) + (1 + 1) + (3 + 4) + (1 + 1) + (4 + 1)),
    ],
    ids=repr,
)
def test_memory_is_that_of_what_training_has_laid_out(optimizer, numbers):
    frozen = Dense(3, trainable=False)
    model = bp.Sequential([bp.Input((3,)), frozen, Dense(4), Dense(1, use_bias=False)])
    model.compile(optimizer, "mse")

    text = summary(model, batch_size=10)

    assert "weights 128.00 B, gradients 128.00 B" in text  # the frozen lie in the vector too
    assert f"optimizer {4 * numbers:.2f} B" in text
    assert "outputs of layers 320.00 B for 10 rows" in text
    model.fit(np.ones((8, 3)), np.ones((8, 1)), verbose=0)
    kept = {v.path: v.numpy().size for v in optimizer.variables}
    del kept[f"{optimizer.name}/iteration"], kept[f"{optimizer.name}/learning_rate"]
    assert sum(kept.values()) == numbers


def test_columns_of_keras_stay_where_positions_are_given():
    model = bp.Sequential([bp.Input((3,)), Dense(2, name="d")])

    lines = summary(model, line_length=60, positions=[0.5, 0.8, 1.0]).splitlines()

    assert lines[2].split("  ")[0] == "Layer (type)" and lines[2].endswith("Param #")
    with pytest.raises(ValueError, match="batch_size"):
        summary(model, batch_size=0)
