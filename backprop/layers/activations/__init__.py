"""Every activation of Keras as a layer whose derivative is written out.

`elementwise` has the base classes and the fast pieces; `rectifiers`, `exponentials`, `sigmoids`,
`smooth`, `gated` and `shrinking` the activations that work number by number, `softmax` those that
couple an axis; `named` turns ``activation="relu"`` into a layer.
"""

from backprop.layers.activations.exponentials import CELU, ELU, SELU, Exponential
from backprop.layers.activations.gated import GELU, GLU, HardSiLU, Mish, SiLU
from backprop.layers.activations.named import (
    Activation,
    ActivationLike,
    build_activation,
    layer_of,
    registry,
)
from backprop.layers.activations.rectifiers import LeakyReLU, Linear, PReLU, ReLU, ReLU6
from backprop.layers.activations.shrinking import HardShrink, SoftShrink, TanhShrink, Threshold
from backprop.layers.activations.sigmoids import (
    HardSigmoid,
    HardTanh,
    LogSigmoid,
    Sigmoid,
    Softsign,
    SparseSigmoid,
    Tanh,
)
from backprop.layers.activations.smooth import Softplus, SparsePlus, Squareplus
from backprop.layers.activations.softmax import LogSoftmax, Softmax, Sparsemax

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Activation",
    "ActivationLike",
    "Exponential",
    "HardShrink",
    "HardSiLU",
    "HardSigmoid",
    "HardTanh",
    "LeakyReLU",
    "Linear",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
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
    "build_activation",
    "layer_of",
    "registry",
]
