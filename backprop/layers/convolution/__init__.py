"""Convolution layers: ordinary, transposed, depthwise and separable ones, along one to three axes.

`products` holds the sums that they consist of, for any number of axes, and chooses who computes
them: `by_window`, `by_channel` or `winograd` (with `tiles` and `toom_cook`). `border` has what
stands around the sums in each layer. Every other file is one kind of layer.
"""

from __future__ import annotations

from backprop.layers.convolution.depthwise import DepthwiseConv1D, DepthwiseConv2D
from backprop.layers.convolution.ordinary import Conv1D, Conv2D, Conv3D
from backprop.layers.convolution.separable import SeparableConv1D, SeparableConv2D
from backprop.layers.convolution.transposed import (
    Conv1DTranspose,
    Conv2DTranspose,
    Conv3DTranspose,
)

__all__ = [
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Conv3DTranspose",
    "Convolution1D",
    "Convolution1DTranspose",
    "Convolution2D",
    "Convolution2DTranspose",
    "Convolution3D",
    "Convolution3DTranspose",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "SeparableConv1D",
    "SeparableConv2D",
    "SeparableConvolution1D",
    "SeparableConvolution2D",
]

Convolution1D = Conv1D
Convolution2D = Conv2D
Convolution3D = Conv3D
Convolution1DTranspose = Conv1DTranspose
Convolution2DTranspose = Conv2DTranspose
Convolution3DTranspose = Conv3DTranspose
SeparableConvolution1D = SeparableConv1D
SeparableConvolution2D = SeparableConv2D
