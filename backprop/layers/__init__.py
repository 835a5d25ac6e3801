"""Every layer. `backprop.layer` says what a layer is, each family's file has its derivations."""

from __future__ import annotations

from backprop.absent import face
from backprop.config import Registry
from backprop.layer import InputSpec, Layer
from backprop.layers import (
    activations,
    arithmetic,
    attention,
    audio,
    columns,
    convolution,
    images,
    merging,
    normalization,
    pooling,
    recurrent,
    resizing,
    text,
)
from backprop.layers.activations import *
from backprop.layers.arithmetic import *
from backprop.layers.attention import *
from backprop.layers.audio import *
from backprop.layers.branches import Parallel, Residual
from backprop.layers.chain import Chain
from backprop.layers.columns import *
from backprop.layers.convolution import *
from backprop.layers.dense import Dense
from backprop.layers.einsum import EinsumDense
from backprop.layers.embedding import Embedding, Masking, ReversibleEmbedding, Unembedding
from backprop.layers.graph import Graph
from backprop.layers.images import *
from backprop.layers.inputs import Input, InputLayer
from backprop.layers.lambda_ import Lambda
from backprop.layers.merging import *
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
from backprop.layers.normalization import *
from backprop.layers.pipeline import Pipeline
from backprop.layers.pooling import *
from backprop.layers.preprocessing import Normalization, Rescaling
from backprop.layers.recurrent import *
from backprop.layers.reshaping import Flatten, Permute, RepeatVector, Reshape
from backprop.layers.resizing import *
from backprop.layers.text import *
from backprop.layers.transformer import TransformerBlock, TransformerDecoder
from backprop.layers.wrapper import Wrapper
from backprop.registry import classes_in

__all__ = [
    "ActivityRegularization",
    "AlphaDropout",
    "Chain",
    "Dense",
    "Dropout",
    "EinsumDense",
    "Embedding",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "Graph",
    "Input",
    "InputLayer",
    "InputSpec",
    "Lambda",
    "Layer",
    "Masking",
    "Normalization",
    "Parallel",
    "Permute",
    "Pipeline",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "Residual",
    "ReversibleEmbedding",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "TransformerBlock",
    "TransformerDecoder",
    "Unembedding",
    "Wrapper",
    "deserialize",
    "serialize",
]
__all__ += activations.__all__
__all__ += arithmetic.__all__
__all__ += attention.__all__
__all__ += audio.__all__
__all__ += columns.__all__
__all__ += convolution.__all__
__all__ += images.__all__
__all__ += merging.__all__
__all__ += normalization.__all__
__all__ += pooling.__all__
__all__ += recurrent.__all__
__all__ += resizing.__all__
__all__ += text.__all__
# what the families share, and is no layer
__all__.remove("ActivationLike")
__all__.remove("Projection")
__all__.remove("AttentionInHeads")
__all__.remove("build_activation")
__all__.remove("layer_of")
__all__.remove("registry")

registry = Registry("layers", *classes_in(globals(), Layer), base=Layer)
for name in ("Lambda", "Wrapper"):  # no file holds a function, and a base class is no layer
    del registry.classes[name]

serialize, deserialize = registry.functions("layer")

__getattr__, __dir__ = face(__name__, __all__)
