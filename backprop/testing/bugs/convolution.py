"""Mistakes in convolution: strides, margins, overlaps, groups, and the order of axes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from backprop.layer import INFERENCE
from backprop.layers.convolution import (
    Conv1D,
    Conv1DTranspose,
    Conv2D,
    Conv2DTranspose,
    Conv3D,
    Conv3DTranspose,
    DepthwiseConv1D,
    DepthwiseConv2D,
    SeparableConv1D,
    SeparableConv2D,
)
from backprop.layers.convolution.products import correlate, input_gradient, kernel_gradient
from backprop.layers.convolution.transposed import tail_of
from backprop.layers.windows import Windows, channels_last
from backprop.linalg import rows, sum_rows
from backprop.testing.bugs.bank import behind_embedding, bug, integers, normal
from backprop.testing.bugs.shared import ForgetsItsMask, Mixin

conv = partial(
    bug,
    options={"min_side": 3},
    x=normal(2, 5, 5, 2),
    inputs="images",
    config={"filters": 2, "kernel_size": 3, "strides": 2},
)
line = partial(bug, options={"features": 2, "steps": (3, 6)}, x=normal(2, 5, 2), inputs="sequences")
volume = partial(
    bug, options={"min_side": 2, "max_side": 3}, x=normal(2, 3, 3, 3, 1), inputs="volumes"
)
image = partial(bug, options={"min_side": 3, "channels": 2}, x=normal(2, 5, 4, 2), inputs="images")


class Scattering(Conv2D):
    """dx, of one group, by parts that a mistake can replace: `scatter` adds dP to the pixels,
    `pay` one number of each window to its pixel, `kernel_back` multiplies dz.
    """

    def linear_backward(self, dz, cache, dx):
        x, _ = cache
        kernel_gradient(x, dz, self.windows, self.dkernel)
        if not dx:
            return None
        h, w, c, filters = self.kernel.shape
        dpatches = rows(dz) @ self.kernel_back().reshape(-1, filters).T
        padded = self.windows.pad(np.zeros(x.shape, dz.dtype))
        self.scatter(padded, dpatches.reshape(*dz.shape[:3], h * w, c))
        return self.crop(padded, x.shape[1:3])

    def kernel_back(self):
        return self.kernel

    def scatter(self, padded, dpixels):
        for k, pixel in enumerate(self.windows.pixels(padded)):
            self.pay(k, pixel, dpixels[..., k, :])

    def pay(self, k, pixel, d):
        pixel += d

    def crop(self, padded, sizes):
        return self.windows.crop(padded, sizes)

    def scatter_as(self, strides, dilation, padded, dpixels):
        """Add dP to where the pixels of windows with other strides lie, as far as there are any."""
        counts = dpixels.shape[1:3]
        for k, place in enumerate(np.ndindex(self.kernel_size)):
            here = padded[:, *map(spaced, place, dilation, strides, counts)]
            here += dpixels[:, : here.shape[1], : here.shape[2], k]


def spaced(place, dilation, stride, count):
    """Where a pixel of each of `count` windows lies along an axis."""
    first = place * dilation
    return slice(first, first + count * stride, stride)


class SpoilingProduct(Mixin):
    """The way back is right, until `spoil` changes dkernel or dx, which is None where only the
    parameters are asked for.
    """

    def linear_backward(self, dz, cache, dx):
        found = super().linear_backward(dz, cache, dx)
        self.spoil(dz, found)
        return found


class ExchangesAxes(SpoilingProduct):
    """The first two axes of a window are taken for each other."""

    def spoil(self, dz, dx):
        self.dkernel = self.dkernel.swapaxes(0, 1).copy()


class FindingOtherwise(Mixin):
    """The gradients of the parameters are right, dx is what `found` returns."""

    def linear_backward(self, dz, cache, dx):
        super().linear_backward(dz, cache, False)
        if not dx:
            return None
        kept = [p.gradient.copy() for p in self.arrays()]
        found = self.found(dz, cache)
        for p, gradient in zip(self.arrays(), kept, strict=True):
            p.gradient[...] = gradient
        return found

    def whole(self, dz, cache):
        """dx as it should be."""
        return super().linear_backward(dz, cache, True)


class SummingBias(Mixin):
    """dbias is what `sums` finds."""

    def _dz(self, dy, a):
        dz = super()._dz(dy, a)
        self.dbias = self.sums(dy, dz)
        return dz


@conv("V", verdict="equivalent")
class ConvAddsPatchesByHand(Scattering):
    """The pixels of each window are found by slices of its own."""

    def scatter(self, padded, dpixels):
        self.scatter_as(self.strides, self.dilation_rate, padded, dpixels)


@conv("C", varies={"strides": (2, (1, 2), (2, 1))}, source="Paddle 20997")
class ConvUsesTheFirstStrideForBothAxes(Scattering):
    """dx places the windows by strides[0] along both axes."""

    def scatter(self, padded, dpixels):
        self.scatter_as((self.strides[0], self.strides[0]), self.dilation_rate, padded, dpixels)


@conv("V")
class ConvIgnoresItsStrideGoingBack(Scattering):
    """dx places the windows one pixel apart."""

    def scatter(self, padded, dpixels):
        self.scatter_as((1, 1), self.dilation_rate, padded, dpixels)


@conv("C", config={"filters": 2, "kernel_size": 2}, varies={"dilation_rate": (1, 2)})
class ConvIgnoresItsDilationGoingBack(Scattering):
    """dx places the pixels of a window side by side."""

    def scatter(self, padded, dpixels):
        self.scatter_as(self.strides, (1, 1), padded, dpixels)


@conv("V")
class ConvAssignsWhereWindowsOverlap(Scattering):
    """dx is assigned, so of several windows over a pixel only the last one counts."""

    def pay(self, k, pixel, d):
        pixel[...] = d


@conv("V")
class ConvReturnsInsideOfTheLoop(Scattering):
    """Only the first pixel of every window receives its gradient."""

    def pay(self, k, pixel, d):
        if k == 0:
            pixel += d


@conv("V")
class ConvFlipsTheKernelGoingBack(Scattering):
    """dx uses the kernel turned by 180°, as if the layer were a convolution in the mathematical
    sense.
    """

    def kernel_back(self):
        return np.ascontiguousarray(self.kernel[::-1, ::-1])


@conv("V", config={"filters": 2, "kernel_size": 2, "padding": "same"})
class ConvCropsFromTheWrongSide(Scattering):
    """dx is cut out as if the larger half of the margin stood in front, where it stands behind."""

    def crop(self, padded, sizes):
        (_, top), (_, left) = self.windows.margins(sizes)
        return padded[:, top : top + sizes[0], left : left + sizes[1]]


@conv("V", config={"filters": 2, "kernel_size": 3, "padding": "same"})
class ConvForgetsTheMarginGoingBack(Scattering):
    """dx is cut out at the corner of the padded image."""

    def crop(self, padded, sizes):
        return padded[:, : sizes[0], : sizes[1]]


@conv("V")
class ConvBiasCountsOnePixel(SummingBias, Conv2D):
    """dbias is summed over the batch and not over the pixels."""

    def sums(self, dy, dz):
        return dz[:, 0, 0].sum(0)


@conv("V")
class ConvAveragesItsKernelGradientOverPixels(SpoilingProduct, Conv2D):
    """dkernel is divided by the number of windows."""

    def spoil(self, dz, dx):
        self.dkernel /= max(dz.shape[1] * dz.shape[2], 1)


@conv("V")
class ConvTransposesItsKernelGradient(ExchangesAxes, Conv2D):
    """dkernel has rows and columns exchanged, which fits where the window is square."""


@conv(
    "C",
    x=normal(2, 4, 4, 4),
    config={"filters": 4, "kernel_size": 2},
    varies={"groups": (1, 2)},
    options={"min_side": 2, "channels": 4},
)
class ConvMixesUpItsGroups(SpoilingProduct, Conv2D):
    """dkernel takes the filters of a group to lie groups apart, where they lie side by side."""

    def spoil(self, dz, dx):
        size = self.filters // self.groups
        mixed = self.dkernel.reshape(*self.dkernel.shape[:3], self.groups, size).swapaxes(3, 4)
        self.dkernel = mixed.reshape(self.dkernel.shape).copy()


@conv(
    "C",
    x=normal(2, 3, 3, 3),
    config={"filters": 3, "kernel_size": 2},
    varies={"data_format": ("channels_last", "channels_first")},
    options={"min_side": 2, "channels": (2, 4)},
)
class ConvLeavesItsChannelsLast(Conv2D):
    """With channels_first dx is not turned back."""

    def backward(self, dy, cache):
        return channels_last(super().backward(dy, cache), self.data_format)


@conv("V", source="neon 111")
class ConvWritesToTheWrongChannel(Scattering):
    """dx has the channels rolled by one, as by an index of the wrong loop; one channel hides it."""

    def scatter(self, padded, dpixels):
        super().scatter(padded, np.roll(dpixels, 1, axis=-1))


@conv("C", x=normal(2, 5, 5, 2), source="BackPACK 30, FlagGems 1576")
class ConvLosesPixelsThatNoWindowReaches(Scattering):
    """Where the stride leaves a rest, dx is as large as the windows reach, and is stretched over
    the image.
    """

    def crop(self, padded, sizes):
        rests = np.subtract(padded.shape[1:3], self.windows.spans) % self.strides
        return self.windows.crop(np.roll(padded, rests, axis=(1, 2)), sizes)


@conv("V", config={"filters": 2, "kernel_size": 2, "activation": "tanh"})
class ConvSumsItsBiasWithoutTheActivation(SummingBias, Conv2D):
    """dbias = Σ dy, where it is Σ dz behind the activation."""

    def sums(self, dy, dz):
        return sum_rows(dy)


# ------------------------------------------------------------------------------ one axis, and three


@line("V", config={"filters": 2, "kernel_size": 3, "padding": "causal"})
class CausalConvCentresItsWindowsGoingBack(FindingOtherwise, Conv1D):
    """dx is cut out as if half of the margin stood in front, where all of it does."""

    def found(self, dz, cache):
        centred = replace(self.windows, padding="same")
        return input_gradient(dz, self.kernel, centred, cache[0].shape[1:-1])


class WindowsAhead(Windows):
    """The margin of causal windows behind the sequence."""

    def margins(self, sizes):
        return [(behind, before) for before, behind in super().margins(sizes)]


@line("L", config={"filters": 2, "kernel_size": 2, "padding": "causal"}, reference=True)
class CausalConvSeesTheFuture(Conv1D):
    """The margin stands behind the sequence, going forth and back: y depends on later steps."""

    def build(self, input_shape):
        super().build(input_shape)
        own = self.windows
        self.windows = WindowsAhead(own.size, own.strides, own.padding, own.dilation)


@volume("V", config={"filters": 2, "kernel_size": 2})
class ConvOfVolumesExchangesDepthAndHeight(ExchangesAxes, Conv3D):
    """dkernel has depth and height exchanged, which fits where the window is a cube."""


@volume("V", config={"filters": 2, "kernel_size": (1, 1, 2)})
class ConvOfVolumesLosesItsLastPlane(SpoilingProduct, Conv3D):
    """dx is 0 in the last plane, as by a loop that ends one too early."""

    def spoil(self, dz, dx):
        if dx is not None:
            dx[:, -1] = 0


@volume("V", config={"filters": 2, "kernel_size": 2})
class ConvOfVolumesSumsItsBiasOverOnePlane(SummingBias, Conv3D):
    """dbias is summed over batch, height and width, for the first plane alone."""

    def sums(self, dy, dz):
        return sum_rows(dz[:, 0])


# --------------------------------------------------------------------------------------- transposed


@image("V", config={"filters": 2, "kernel_size": 3, "strides": 2})
class TransposedConvFlipsItsKernelGoingBack(FindingOtherwise, Conv2DTranspose):
    """dx uses the kernel turned by 180°, as textbooks do to write it as a convolution again."""

    def found(self, dz, cache):
        return correlate(dz, np.ascontiguousarray(self.kernel[::-1, ::-1]), self.windows)


@image(
    "C",
    config={"filters": 2, "kernel_size": 3, "strides": 2, "padding": "same", "output_padding": 0},
    varies={"output_padding": (None, 0, 1)},
)
class TransposedConvForgetsItsOutputPaddingGoingBack(FindingOtherwise, Conv2DTranspose):
    """dx reads the windows where they would lie without output_padding, which moves the margin."""

    def found(self, dz, cache):
        own, sizes = self.windows, dz.shape[1:-1]
        tail = (tail_of(*of, self.padding, None) for of in zip(own.spans, own.strides, strict=True))
        lost = np.subtract(own.margins(sizes), replace(own, tail=tuple(tail)).margins(sizes))
        return correlate(np.roll(dz, lost[:, 0], axis=(1, 2)), self.kernel, own)


@image("V", config={"filters": 2, "kernel_size": 2, "strides": 2})
class TransposedConvExchangesItsChannels(SpoilingProduct, Conv2DTranspose):
    """dkernel has the channels of x and the filters exchanged, as in an ordinary convolution; as
    many of both hide the shape.
    """

    def spoil(self, dz, dx):
        self.dkernel = self.dkernel.swapaxes(-1, -2).copy()


@line("V", config={"filters": 2, "kernel_size": 1, "strides": 2})
class TransposedConvBiasSkipsWhatNoWindowPaints(SummingBias, Conv1DTranspose):
    """dbias leaves out the steps of y between the windows, which hold the bias alone."""

    def sums(self, dy, dz):
        return sum(map(sum_rows, self.windows.pixels(self.windows.pad(dz))))


@volume("V", config={"filters": 2, "kernel_size": 2})
class TransposedConvOfVolumesMirrorsItsPlanesGoingBack(FindingOtherwise, Conv3DTranspose):
    """dx of a plane is read from the windows of the plane that lies as far from the other end."""

    def found(self, dz, cache):
        return self.whole(dz[:, ::-1], cache)


@volume("V", config={"filters": 1, "kernel_size": (2, 2, 1)})
class TransposedConvOfVolumesExchangesDepthAndHeight(ExchangesAxes, Conv3DTranspose):
    """dkernel has the places along depth and height exchanged, as many of both."""


# ------------------------------------------------------------------------ depthwise and separable


@image("V", config={"kernel_size": 2})
class DepthwiseConvSumsOverItsChannels(SpoilingProduct, DepthwiseConv2D):
    """dx of each channel is that of all channels together, as in an ordinary convolution."""

    def spoil(self, dz, dx):
        if dx is not None:
            dx[...] = dx.sum(-1, keepdims=True)


@image("C", config={"kernel_size": 2, "depth_multiplier": 2}, varies={"depth_multiplier": (1, 2)})
class DepthwiseConvMixesUpItsMultiplier(SpoilingProduct, DepthwiseConv2D):
    """dkernel takes the channels of y to lie kernel by kernel, where they lie channel by
    channel.
    """

    def spoil(self, dz, dx):
        *size, c, m = self.dkernel.shape
        self.dkernel = self.dkernel.reshape(*size, m, c).swapaxes(-1, -2).copy()


@line("C", config={"kernel_size": 2, "depth_multiplier": 2}, varies={"depth_multiplier": (1, 2)})
class DepthwiseConvTakesOneKernelForEachChannel(FindingOtherwise, DepthwiseConv1D):
    """dx takes the first kernel of each channel alone, where all of them read it."""

    def found(self, dz, cache):
        first = np.arange(dz.shape[-1]) % self.depth_multiplier == 0
        return self.whole(np.where(first, dz, dz.dtype.type(0)), cache)


@image("V", config={"filters": 2, "kernel_size": 2})
class SeparableConvLosesItsDepthwiseGradient(SpoilingProduct, SeparableConv2D):
    """The gradient of the depthwise kernel stays 0: the chain ends at the pointwise one."""

    def spoil(self, dz, dx):
        self.ddepthwise_kernel = np.zeros_like(self.ddepthwise_kernel)


@line("V", config={"filters": 2, "kernel_size": 2})
class SeparableConvDoesNotTransposeItsPointwiseKernel(SeparableConv1D):
    """dh = dz · pointwise, where it is dz · pointwiseᵀ; as many filters as channels hide it."""

    def linear_backward(self, dz, cache, dx):
        gradient = self.dpointwise_kernel
        super().linear_backward(dz, cache, False)
        kept, kernel = gradient.copy(), self.pointwise_kernel.copy()
        self.pointwise_kernel = kernel.swapaxes(-1, -2)
        found = super().linear_backward(dz, cache, dx)
        self.pointwise_kernel, self.dpointwise_kernel = kernel, kept
        return found


@image("V", config={"filters": 3, "kernel_size": 2, "depth_multiplier": 2})
class SeparableConvForgetsAKernelGoingBack(FindingOtherwise, SeparableConv2D):
    """dx goes back through the first of the depthwise kernels of each channel alone."""

    def found(self, dz, cache):
        kernel = self.depthwise_kernel.copy()
        self.depthwise_kernel[..., 1:] = 0
        found = self.whole(dz, cache)
        self.depthwise_kernel = kernel
        return found


# -------------------------------------------------------------------------------- masks

padded = partial(
    bug,
    x=integers(3, 4, 5),
    inputs="tokens",
    inside=behind_embedding,
    config={"filters": 2, "kernel_size": 3, "padding": "same"},
)


@padded("C")
class ConvolutionPaysMaskedSteps(ForgetsItsMask, Conv1D):
    """dx at a masked step, which forward takes as 0, is that of any other step."""


@padded("C")
class ConvolutionTrainsOnMaskedSteps(Conv1D):
    """dkernel sums over masked steps too, with what stands there, where forward takes them as 0."""

    def forward(self, x, ctx=INFERENCE) -> Any:
        y, (_, *rest) = super().forward(x, ctx)
        return y, ((x, None), *rest)


@padded("C", config={"filters": 2, "kernel_size": 3, "strides": 2})
class TransposedConvolutionPaysMaskedSteps(ForgetsItsMask, Conv1DTranspose):
    """dx at a masked step, which forward takes as 0, is that of any other step."""
