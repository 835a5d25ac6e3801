"""One layer of each class, with generic weights and a generic input."""

import copy
from typing import Any

import numpy as np

from backprop import layers, random
from backprop.layer import Layer
from backprop.layers import Dense, ReLU
from backprop.nest import each, each_shape, several, shapes

FLAT, SEQUENCE, IMAGE = (5, 6), (3, 4, 6), (2, 6, 5, 3)
VOLUME = (2, 4, 3, 5, 2)
PAIR = ((2, 3, 4), (2, 5, 4))
# name: arguments, and the shape of x with the batch; for several inputs a tuple of shapes
_ARGUMENTS = {
    "Absolute": ((), FLAT),
    "Activation": ((ReLU(),), FLAT),
    "Add": ((), ((3, 6), SEQUENCE)),
    "AddConstant": ((0.5,), FLAT),
    "AdaptiveAveragePooling1D": ((2,), SEQUENCE),
    "AdaptiveAveragePooling2D": ((2,), IMAGE),
    "AdaptiveAveragePooling3D": ((2,), VOLUME),
    "AdaptiveMaxPooling1D": ((2,), SEQUENCE),
    "AdaptiveMaxPooling2D": ((2,), IMAGE),
    "AdaptiveMaxPooling3D": ((2,), VOLUME),
    "AdditiveAttention": ((), PAIR),
    "AlphaDropout": ((0.4,), FLAT),
    "Attention": ((True, "concat"), PAIR),
    "Average": ((), (SEQUENCE, SEQUENCE, (3, 1, 6))),
    "AveragePooling1D": ((2,), SEQUENCE),
    "AveragePooling2D": ((2,), IMAGE),
    "AveragePooling3D": ((2,), VOLUME),
    "Bidirectional": ((layers.GRU(3, return_sequences=True),), SEQUENCE),
    "CenterCrop": ((2, 3), IMAGE),
    "Chain": (([Dense(3, "tanh"), Dense(2)],), FLAT),
    "Concatenate": ((), (SEQUENCE, (3, 4, 2))),
    "Conv1D": ((4, 3), SEQUENCE),
    "Conv1DTranspose": ((4, 3, 2), SEQUENCE),
    "Conv2D": ((4, 3), IMAGE),
    "Conv2DTranspose": ((4, 3, 2), IMAGE),
    "Conv3D": ((4, 2), VOLUME),
    "Conv3DTranspose": ((4, (2, 1, 3), (1, 2, 2)), VOLUME),
    "ConvLSTM1D": ((2, 2), IMAGE),
    "ConvLSTM2D": ((2, 2), VOLUME),
    "ConvLSTM3D": ((2, (1, 2, 1)), (2, 3, 2, 3, 2, 2)),
    "Cropping1D": ((1,), SEQUENCE),
    "Cropping2D": ((1,), IMAGE),
    "Cropping3D": ((1,), VOLUME),
    "Dense": ((4, "tanh"), FLAT),
    "DepthwiseConv1D": ((3,), SEQUENCE),
    "DepthwiseConv2D": ((3,), IMAGE),
    "Discretization": (([-0.5, 0.1, 0.6], None, 0.01, "count"), FLAT),
    "Divide": ((), (SEQUENCE, SEQUENCE)),
    "DivideBy": (([2.0, -1.5, 3.0, 0.5, 1.0, 4.0],), FLAT),
    "DivideInto": ((2.0,), FLAT),
    "Dot": ((2, True), (SEQUENCE, (3, 2, 6))),
    "Dropout": ((0.4,), FLAT),
    "EinsumDense": (("abc,cd->abd", (None, 4), "tanh", "d"), SEQUENCE),
    "Flatten": ((), IMAGE),
    "GRU": ((4,), SEQUENCE),
    "GRUCell": ((4,), (FLAT, (5, 4))),
    "GaussianDropout": ((0.4,), FLAT),
    "GaussianNoise": ((0.4,), FLAT),
    "GlobalAveragePooling1D": ((), SEQUENCE),
    "GlobalAveragePooling2D": ((), IMAGE),
    "GlobalAveragePooling3D": ((), VOLUME),
    "GlobalMaxPooling1D": ((), SEQUENCE),
    "GlobalMaxPooling2D": ((), IMAGE),
    "GlobalMaxPooling3D": ((), VOLUME),
    "GroupNormalization": ((3,), FLAT),
    "InputLayer": (((6,),), FLAT),
    "LSTM": ((4,), SEQUENCE),
    "LSTMCell": ((4,), (FLAT, (5, 4), (5, 4))),
    "Masking": ((), SEQUENCE),
    "Matmul": ((), ((2, 3, 4), (2, 4, 5))),
    "MatmulConstant": (
        ([[1.0, -2.0], [0.5, 0.0], [1.0, 1.0], [2.0, 0.3], [0.0, 1.0], [1.0, 2.0]],),
        FLAT,
    ),
    "MaxNumBoundingBoxes": ((3,), IMAGE),
    "MaxPooling1D": ((2,), SEQUENCE),
    "MaxPooling2D": ((2,), IMAGE),
    "MaxPooling3D": ((2,), VOLUME),
    "GroupQueryAttention": ((3, 4, 2), SEQUENCE),
    "Maximum": ((), (SEQUENCE, SEQUENCE)),
    "Minimum": ((), (SEQUENCE, SEQUENCE)),
    "MultiHeadAttention": ((2, 3), SEQUENCE),
    "MelSpectrogram": ((8, 5, None, "hann", 1000, 4), (2, 17)),
    "Multiply": ((), (SEQUENCE, (3, 4, 1))),
    "MultiplyBy": ((-2.0,), FLAT),
    "Parallel": (([Dense(3), Dense(3, "tanh")],), FLAT),
    "Permute": (((2, 1),), SEQUENCE),
    "PositionEmbedding": ((5,), SEQUENCE),
    "PowerOf": ((2.0,), FLAT),
    "RaiseTo": ((3,), FLAT),
    "RNN": (([layers.LSTMCell(3), layers.GRUCell(2)],), SEQUENCE),
    "RandomBrightness": ((0.2, (-3.0, 3.0)), IMAGE),
    "RandomColorDegeneration": ((0.8, (-3.0, 3.0)), IMAGE),
    "RandomContrast": ((0.5, (-3.0, 3.0)), IMAGE),
    "RandomCrop": ((2, 3), IMAGE),
    "RandomElasticTransform": ((1.0, 0.9, "bilinear", "wrap", 0.0, (-3.0, 3.0)), IMAGE),
    "RandomErasing": ((1.0, (0.1, 0.5), 0.5), IMAGE),
    "RandomFlip": ((), IMAGE),
    "RandomGrayscale": ((), IMAGE),
    "RandomHue": ((0.5, (-3.0, 3.0)), IMAGE),
    "RandomPerspective": ((1.0, 0.7), IMAGE),
    "RandomRotation": ((0.2,), IMAGE),
    "RandomSaturation": ((0.7, (-3.0, 3.0)), IMAGE),
    "RandomShear": ((0.5, 0.3), IMAGE),
    "RandomTranslation": ((0.2, 0.3), IMAGE),
    "RandomZoom": ((0.2,), IMAGE),
    "Remainder": ((0.7,), FLAT),
    "RepeatVector": ((3,), FLAT),
    "Rescaling": ((0.5, 1.0), FLAT),
    "Reshape": (((3, 2),), FLAT),
    "Resizing": ((3, 7), IMAGE),
    "Residual": (([Dense(6, "tanh")],), FLAT),
    "RotaryEmbedding": ((), SEQUENCE),
    "SeparableConv1D": ((4, 3), SEQUENCE),
    "SeparableConv2D": ((4, 3), IMAGE),
    "SimpleRNN": ((4,), SEQUENCE),
    "SimpleRNNCell": ((4,), (FLAT, (5, 4))),
    "SinePositionEncoding": ((), SEQUENCE),
    "Slice": ((":, 1:, ::2",), SEQUENCE),
    "STFTSpectrogram": (("log", 6, 4), (2, 17, 3)),
    "SpatialDropout1D": ((0.4,), SEQUENCE),
    "SpatialDropout2D": ((0.4,), IMAGE),
    "SpatialDropout3D": ((0.4,), (2, 3, 4, 2, 3)),
    # so many steps that u and v have converged: only there its gradient is that of differences
    "SpectralNormalization": ((Dense(4, "tanh", kernel_initializer="ones"), 40), FLAT),
    "StackedRNNCells": (
        ([layers.GRUCell(3), layers.SimpleRNNCell(2)],),
        (FLAT, (5, 3), (5, 2)),
    ),
    "Subtract": ((), (SEQUENCE, SEQUENCE)),
    "SubtractFrom": ((1.0,), FLAT),
    "Threshold": ((0.1, 0.5), FLAT),
    "TimeDistributed": ((Dense(3, "tanh"),), SEQUENCE),
    "TransformerBlock": ((5, 2), SEQUENCE),
    "TransformerDecoder": ((5, 2), PAIR),
    "Unembedding": ((layers.ReversibleEmbedding(7, 6),), SEQUENCE),
    "UpSampling1D": ((), SEQUENCE),
    "UpSampling2D": ((), IMAGE),
    "UpSampling3D": ((), VOLUME),
    "ZeroPadding1D": ((), SEQUENCE),
    "ZeroPadding2D": ((), IMAGE),
    "ZeroPadding3D": ((), VOLUME),
    "AutoContrast": (((-3.0, 3.0),), IMAGE),
    "ContrastLimitedAdaptiveHistogramEqualization": (((-3.0, 3.0), 4.0, (2, 2)), IMAGE),
    "CutMix": ((), IMAGE),
    "Equalization": (((-3.0, 3.0),), IMAGE),
    "MixUp": ((), IMAGE),
    "AugMix": (((-3.0, 3.0),), IMAGE),
    "Pipeline": (([layers.Rescaling(0.5), Dense(4)],), FLAT),
    "RandAugment": (((-3.0, 3.0),), IMAGE),
    "RandomColorJitter": (((-3.0, 3.0), 0.2, 0.3, 0.6, 0.4), IMAGE),
    "RandomGaussianBlur": ((1.0, 3, 1.0, (-3.0, 3.0)), IMAGE),
    "RandomInvert": ((1.0, (-3.0, 3.0)), IMAGE),
    "RandomPosterization": ((3, (-3.0, 3.0)), IMAGE),
    "RandomSharpness": ((0.9, (-3.0, 3.0)), IMAGE),
    "Solarization": ((0.3, 0.8, (-3.0, 3.0)), IMAGE),
}

WORDS = np.array([["a"], ["b"], ["of a sort"], ["b"], ["a b a"]])
NUMBERS = np.array([[0, 3, 1], [6, 6, 6], [2, 0, 2], [5, 4, 3], [1, 1, 2]])
# name: arguments, and x, where that is no row of numbers
CATEGORIES = {
    "CategoryEncoding": ((7,), NUMBERS),
    "HashedCrossing": ((7, "one_hot"), (WORDS, NUMBERS[:, :1])),
    "Hashing": ((7, None, 3, "count"), NUMBERS),
    "IntegerLookup": ((None, 2, None, -1, [1, 6, 3]), NUMBERS),
    "StringLookup": ((None, 2, None, "[UNK]", ["b", "a"]), WORDS),
    "TextVectorization": ((9, "lower", "character", (1, 2), "int", 5), WORDS),
}

LOOKUPS = {"Embedding", "ReversibleEmbedding"}
DRAWN = {"Graph", "Model"}  # made by drawing, and not of arguments that say all


def forked(cls: type, shape: tuple[int, ...] = FLAT) -> Any:
    """A graph that reads one array three times, and a layer that stands in it twice."""
    x = layers.Input(shape[1:])
    twice = Dense(shape[-1], "tanh")
    a = Dense(shape[-1])(x)
    return cls(x, layers.Residual(twice)(twice(a)))


def arguments(name: str) -> tuple[tuple, Any]:
    """The arguments of a layer, and the shape of its input. They are copies: a layer among them
    is built by the first test that uses it, and the next one would get what that one left."""
    args, shape = ((7, 4), FLAT) if name in LOOKUPS else _ARGUMENTS.get(name, ((), FLAT))
    return copy.deepcopy(args), shape


def example(name: str) -> tuple[Layer, Any]:
    """A layer with generic weights, and a generic input, a tuple for several."""
    random.set_random_seed(0)
    rng = np.random.default_rng(0)
    cls = layers.registry.classes[name]
    if name in LOOKUPS:
        layer, x = cls(*arguments(name)[0]), rng.integers(0, 7, (5, 3))
    elif name in CATEGORIES:
        args, x = CATEGORIES[name]
        layer = cls(*copy.deepcopy(args))
        if name == "TextVectorization":
            layer.adapt(x)
    elif name in DRAWN:
        layer, x = forked(cls), rng.standard_normal(FLAT)
    else:
        args, shape = arguments(name)
        try:
            layer = cls(*args)
        except TypeError as error:
            error.add_note(f"{name} needs arguments here: a line in _ARGUMENTS of {__file__}")
            raise
        x = each(rng.standard_normal, shape if several(shape) else (shape,))
        x = x if several(shape) else x[0]
    layer.build(each_shape(lambda s: (None, *s[1:]), shapes(x)))
    for p in layer.arrays():
        if p.gradient is not None:
            p.value[...] += 0.3 * rng.standard_normal(p.shape)
    return layer, x
