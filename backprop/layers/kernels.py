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


class DepthwiseAndBias(Layer, kw_only=True, by_position=True):
    """A layer with a kernel for each channel, a bias, and a penalty on its output."""

    depthwise_initializer: InitializerLike = "glorot_uniform"
    bias_initializer: InitializerLike = "zeros"
    depthwise_regularizer: RegularizerLike = None
    bias_regularizer: RegularizerLike = None
    activity_regularizer: RegularizerLike = argument(default=None)
    depthwise_constraint: ConstraintLike = None
    bias_constraint: ConstraintLike = None


class DepthwisePointwiseAndBias(DepthwiseAndBias, kw_only=True, by_position=True):
    """The same, and a kernel for each pixel by itself."""

    pointwise_initializer: InitializerLike = argument(
        default="glorot_uniform", after="depthwise_initializer"
    )
    pointwise_regularizer: RegularizerLike = argument(default=None, after="depthwise_regularizer")
    pointwise_constraint: ConstraintLike = argument(default=None, after="depthwise_constraint")
