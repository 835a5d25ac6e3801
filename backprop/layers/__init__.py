"""Every layer. `backprop.layer` says what a layer is, each family's file has its derivations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backprop.config import Registry, custom_object_scope, nearest
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
from backprop.layers.attention import MultiHeadAttention
from backprop.layers.branches import Parallel, Residual
from backprop.layers.containers import Chain, Input, InputLayer
from backprop.layers.convolution import Conv2D, Convolution2D
from backprop.layers.dense import Dense
from backprop.layers.embedding import Embedding, Masking
from backprop.layers.noise import Dropout
from backprop.layers.normalization import BatchNormalization, LayerNormalization
from backprop.layers.pooling import (
    AveragePooling2D,
    AvgPool2D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAvgPool1D,
    GlobalAvgPool2D,
    GlobalMaxPool2D,
    GlobalMaxPooling2D,
    MaxPool2D,
    MaxPooling2D,
)
from backprop.layers.recurrent import GRU, LSTM, SimpleRNN
from backprop.layers.reshaping import Flatten, Permute, RepeatVector, Reshape

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "GRU",
    "LSTM",
    "SELU",
    "Activation",
    "AveragePooling2D",
    "AvgPool2D",
    "BatchNormalization",
    "Chain",
    "Conv2D",
    "Convolution2D",
    "Dense",
    "Dropout",
    "Embedding",
    "Exponential",
    "Flatten",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GlobalMaxPool2D",
    "GlobalMaxPooling2D",
    "HardShrink",
    "HardSiLU",
    "HardSigmoid",
    "HardTanh",
    "Input",
    "InputLayer",
    "InputSpec",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Linear",
    "LogSigmoid",
    "LogSoftmax",
    "Masking",
    "MaxPool2D",
    "MaxPooling2D",
    "Mish",
    "MultiHeadAttention",
    "PReLU",
    "Parallel",
    "Permute",
    "ReLU",
    "ReLU6",
    "RepeatVector",
    "Reshape",
    "Residual",
    "SiLU",
    "Sigmoid",
    "SimpleRNN",
    "SoftShrink",
    "Softmax",
    "Softplus",
    "Softsign",
    "SparsePlus",
    "SparseSigmoid",
    "Sparsemax",
    "Squareplus",
    "Tanh",
    "TanhShrink",
    "Threshold",
    "deserialize",
    "serialize",
]

SHORT = (
    "AvgPool2D",
    "Convolution2D",
    "GlobalAvgPool1D",
    "GlobalAvgPool2D",
    "GlobalMaxPool2D",
    "MaxPool2D",
)

registry = Registry(
    "layers",
    [
        v
        for v in map(globals().get, __all__)
        if isinstance(v, type) and issubclass(v, Layer) and v is not Layer
    ],
    aliases={name: globals()[name] for name in SHORT},
)
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


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    raise AttributeError(f"backprop.layers does not offer {name!r} (yet){nearest(name, __all__)}")
