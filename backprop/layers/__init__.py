"""Every layer. `backprop.layer` says what a layer is, each family's file has its derivations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backprop.absent import face
from backprop.config import Registry
from backprop.layer import InputSpec, Layer
from backprop.layers.activations import (
    CELU,
    ELU,
    GELU,
    GLU,
    SELU,
    Activation,
    Exponential,
    HardShrink,
    HardSigmoid,
    HardSiLU,
    HardTanh,
    LeakyReLU,
    Linear,
    LogSigmoid,
    LogSoftmax,
    Mish,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    SoftShrink,
    Softsign,
    Sparsemax,
    SparsePlus,
    SparseSigmoid,
    Squareplus,
    Tanh,
    TanhShrink,
    Threshold,
)
from backprop.layers.attention import (
    GroupQueryAttention,
    MultiHeadAttention,
    PositionEmbedding,
    RotaryEmbedding,
    SinePositionEncoding,
)
from backprop.layers.augmentation import (
    RandomBrightness,
    RandomContrast,
    RandomFlip,
    RandomRotation,
    RandomTranslation,
    RandomZoom,
)
from backprop.layers.branches import Parallel, Residual
from backprop.layers.chain import Chain
from backprop.layers.convolution import (
    Conv1D,
    Conv1DTranspose,
    Conv2D,
    Conv2DTranspose,
    Conv3D,
    Convolution1D,
    Convolution1DTranspose,
    Convolution2D,
    Convolution2DTranspose,
    Convolution3D,
    DepthwiseConv1D,
    DepthwiseConv2D,
    SeparableConv1D,
    SeparableConv2D,
    SeparableConvolution1D,
    SeparableConvolution2D,
)
from backprop.layers.dense import Dense
from backprop.layers.embedding import Embedding, Masking
from backprop.layers.inputs import Input, InputLayer
from backprop.layers.noise import (
    ActivityRegularization,
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
)
from backprop.layers.normalization import (
    BatchNormalization,
    GroupNormalization,
    LayerNormalization,
    RMSNormalization,
    SpectralNormalization,
    UnitNormalization,
)
from backprop.layers.pooling import (
    AdaptiveAveragePooling1D,
    AdaptiveAveragePooling2D,
    AdaptiveAveragePooling3D,
    AdaptiveMaxPooling1D,
    AdaptiveMaxPooling2D,
    AdaptiveMaxPooling3D,
    AveragePooling1D,
    AveragePooling2D,
    AveragePooling3D,
    AvgPool1D,
    AvgPool2D,
    AvgPool3D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
    GlobalAvgPool1D,
    GlobalAvgPool2D,
    GlobalAvgPool3D,
    GlobalMaxPool1D,
    GlobalMaxPool2D,
    GlobalMaxPool3D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    GlobalMaxPooling3D,
    MaxPool1D,
    MaxPool2D,
    MaxPool3D,
    MaxPooling1D,
    MaxPooling2D,
    MaxPooling3D,
)
from backprop.layers.preprocessing import Normalization, Rescaling
from backprop.layers.recurrent import (
    GRU,
    LSTM,
    Bidirectional,
    ConvLSTM1D,
    ConvLSTM2D,
    ConvLSTM3D,
    SimpleRNN,
    TimeDistributed,
)
from backprop.layers.reshaping import Flatten, Permute, RepeatVector, Reshape
from backprop.layers.resizing import (
    Cropping1D,
    Cropping2D,
    Cropping3D,
    UpSampling1D,
    UpSampling2D,
    UpSampling3D,
    ZeroPadding1D,
    ZeroPadding2D,
    ZeroPadding3D,
)
from backprop.layers.text import IntegerLookup, StringLookup, TextVectorization
from backprop.layers.transformer import TransformerBlock
from backprop.registry import classes_in, custom_object_scope

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "GRU",
    "LSTM",
    "SELU",
    "Activation",
    "ActivityRegularization",
    "AdaptiveAveragePooling1D",
    "AdaptiveAveragePooling2D",
    "AdaptiveAveragePooling3D",
    "AdaptiveMaxPooling1D",
    "AdaptiveMaxPooling2D",
    "AdaptiveMaxPooling3D",
    "AlphaDropout",
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "AvgPool1D",
    "AvgPool2D",
    "AvgPool3D",
    "BatchNormalization",
    "Bidirectional",
    "Chain",
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "ConvLSTM1D",
    "ConvLSTM2D",
    "ConvLSTM3D",
    "Convolution1D",
    "Convolution1DTranspose",
    "Convolution2D",
    "Convolution2DTranspose",
    "Convolution3D",
    "Cropping1D",
    "Cropping2D",
    "Cropping3D",
    "Dense",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "Dropout",
    "Embedding",
    "Exponential",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GlobalAvgPool3D",
    "GlobalMaxPool1D",
    "GlobalMaxPool2D",
    "GlobalMaxPool3D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GlobalMaxPooling3D",
    "GroupNormalization",
    "GroupQueryAttention",
    "HardShrink",
    "HardSiLU",
    "HardSigmoid",
    "HardTanh",
    "Input",
    "InputLayer",
    "InputSpec",
    "IntegerLookup",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Linear",
    "LogSigmoid",
    "LogSoftmax",
    "Masking",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPool3D",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
    "Mish",
    "MultiHeadAttention",
    "Normalization",
    "PReLU",
    "Parallel",
    "Permute",
    "PositionEmbedding",
    "RMSNormalization",
    "RandomBrightness",
    "RandomContrast",
    "RandomFlip",
    "RandomRotation",
    "RandomTranslation",
    "RandomZoom",
    "ReLU",
    "ReLU6",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "Residual",
    "RotaryEmbedding",
    "SeparableConv1D",
    "SeparableConv2D",
    "SeparableConvolution1D",
    "SeparableConvolution2D",
    "SiLU",
    "Sigmoid",
    "SimpleRNN",
    "SinePositionEncoding",
    "SoftShrink",
    "Softmax",
    "Softplus",
    "Softsign",
    "SparsePlus",
    "SparseSigmoid",
    "Sparsemax",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "SpectralNormalization",
    "Squareplus",
    "StringLookup",
    "Tanh",
    "TanhShrink",
    "TextVectorization",
    "Threshold",
    "TimeDistributed",
    "TransformerBlock",
    "UnitNormalization",
    "UpSampling1D",
    "UpSampling2D",
    "UpSampling3D",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "ZeroPadding3D",
    "deserialize",
    "serialize",
]

registry = Registry("layers", *classes_in(globals(), Layer))
# they are no layers, and stand before a model
for vocabulary in (IntegerLookup, StringLookup, TextVectorization):
    registry.names[vocabulary.__name__] = vocabulary
registry.base = Layer


def serialize(layer: Layer) -> dict[str, Any]:
    """The configuration of a layer, as JSON can hold it: class and arguments, without the weights.

    Parameters
    ----------
    layer : Layer

    Examples
    --------
    >>> from backprop import layers
    >>> layers.deserialize(layers.serialize(layers.Dense(3, activation="relu")))
    Dense(3, activation='relu')
    """
    return registry.serialize(layer)


def deserialize(
    config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
) -> Layer:
    """The layer, not yet built, of a configuration that `serialize` made.

    Parameters
    ----------
    config : dict
    custom_objects : mapping of str to class, optional
        Classes that are not part of the library, by name.

    Raises
    ------
    ValueError
        Where the configuration names a class that is unknown.
    """
    with custom_object_scope(custom_objects or {}):
        return registry.deserialize(config)


__getattr__ = face(__name__)
