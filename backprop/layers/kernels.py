"""Arguments that stand in many layers, each said once: how a kernel and a bias begin, what
penalises them and what bounds them."""

from __future__ import annotations

from backprop.arguments import argument
from backprop.constraints import ConstraintLike
from backprop.initializers import InitializerLike
from backprop.layer import Layer
from backprop.regularizers import RegularizerLike


class WithBias(Layer, kw_only=True, by_position=True):
    """A layer with a bias, and a penalty on its output; what has a kernel says where its arguments
    stand among these, in Keras' order."""

    bias_initializer: InitializerLike = "zeros"
    bias_regularizer: RegularizerLike = None
    activity_regularizer: RegularizerLike = argument(default=None)
    bias_constraint: ConstraintLike = None


class KernelAndBias(WithBias, kw_only=True, by_position=True):
    """A layer with a kernel and a bias."""

    kernel_initializer: InitializerLike = "glorot_uniform"
    kernel_regularizer: RegularizerLike = argument(default=None, after="bias_initializer")
    kernel_constraint: ConstraintLike = argument(default=None, after="activity_regularizer")


class DepthwiseAndBias(WithBias, kw_only=True, by_position=True):
    """A layer with a kernel for each channel, and a bias."""

    depthwise_initializer: InitializerLike = "glorot_uniform"
    depthwise_regularizer: RegularizerLike = argument(default=None, after="bias_initializer")
    depthwise_constraint: ConstraintLike = argument(default=None, after="activity_regularizer")


class DepthwisePointwiseAndBias(DepthwiseAndBias, kw_only=True, by_position=True):
    """The same, and a kernel for each pixel by itself."""

    pointwise_initializer: InitializerLike = argument(
        default="glorot_uniform", after="depthwise_initializer"
    )
    pointwise_regularizer: RegularizerLike = argument(default=None, after="depthwise_regularizer")
    pointwise_constraint: ConstraintLike = argument(default=None, after="depthwise_constraint")
