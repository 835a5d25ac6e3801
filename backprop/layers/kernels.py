"""Arguments that stand in many layers, each said once: how a kernel and a bias begin, what
penalises them and what bounds them."""

from __future__ import annotations

from backprop.arguments import argument
from backprop.constraints import ConstraintLike
from backprop.initializers import InitializerLike
from backprop.layer import Layer
from backprop.regularizers import RegularizerLike


class KernelAndBias(Layer, kw_only=True, by_position=True):
    """A layer with a kernel and a bias, and a penalty on its output, in Keras' order."""

    kernel_initializer: InitializerLike = "glorot_uniform"
    bias_initializer: InitializerLike = "zeros"
    kernel_regularizer: RegularizerLike = None
    bias_regularizer: RegularizerLike = None
    activity_regularizer: RegularizerLike = argument(default=None)
    kernel_constraint: ConstraintLike = None
    bias_constraint: ConstraintLike = None
