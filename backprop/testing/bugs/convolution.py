"""Mistakes in convolution: strides, margins, overlaps, groups, and the order of axes."""

from __future__ import annotations

from functools import partial

import numpy as np

from backprop.layers.convolution import Conv2D
from backprop.layers.windows import channels_back, channels_last
from backprop.linalg import sum_rows
from backprop.testing.bugs.bank import bug, normal

conv = partial(
    bug,
    options={"min_side": 3},
    x=normal(2, 5, 5, 2),
    inputs="images",
    config={"filters": 2, "kernel_size": 3, "strides": 2},
)


class Scattering(Conv2D):
    """dx by parts that a mistake can replace: `scatter` adds dP to the pixels, `kernel_back`
    multiplies dz.
    """

    def backward(self, dy, cache):
        x = cache[0]
        dz = self._set_gradients(dy, cache)
        dpatches = (dz @ self._by_group(self.kernel_back()).swapaxes(1, 2)).swapaxes(0, 1)
        counts = self.windows.counts(x.shape[1:3])
        h, w, c, _ = self.kernel.shape
        padded = self.windows.pad(np.zeros_like(self._split(x)))
        self.scatter(padded, dpatches.reshape(len(x), *counts, self.groups, h * w, c))
        return channels_back(self.crop(padded, x.shape[1:3]).reshape(x.shape), self.data_format)

    def kernel_back(self):
        return self.kernel

    def scatter(self, padded, dpixels):
        for k, pixel in enumerate(self.windows.pixels(padded)):
            pixel += dpixels[..., k, :]

    def crop(self, padded, sizes):
        return self.windows.crop(padded, sizes)

    def scatter_as(self, strides, dilation, padded, dpixels):
        """Add dP to where the pixels of windows with other strides lie, as far as there are any."""
        (rows, columns), (h, w) = dpixels.shape[1:3], self.kernel_size
        for u in range(h):
            for v in range(w):
                top, left = u * dilation[0], v * dilation[1]
                here = padded[:, top : top + rows * strides[0] : strides[0]]
                here = here[:, :rows, left : left + columns * strides[1] : strides[1]][
                    :, :, :columns
                ]
                here += dpixels[:, : here.shape[1], : here.shape[2], :, u * w + v]


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

    def scatter(self, padded, dpixels):
        for k, pixel in enumerate(self.windows.pixels(padded)):
            pixel[...] = dpixels[..., k, :]


@conv("V")
class ConvReturnsInsideOfTheLoop(Scattering):
    """Only the first pixel of every window receives its gradient."""

    def scatter(self, padded, dpixels):
        for k, pixel in enumerate(self.windows.pixels(padded)):
            pixel += dpixels[..., k, :]
            return


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
class ConvBiasCountsOnePixel(Conv2D):
    """dbias is summed over the batch and not over the pixels."""

    def _set_gradients(self, dy, cache):
        found = super()._set_gradients(dy, cache)
        if self.use_bias:
            dz = channels_last(self.activation.backward(dy, cache[1]), self.data_format)
            self.dbias = dz[:, 0, 0].sum(0)
        return found


@conv("V")
class ConvAveragesItsKernelGradientOverPixels(Conv2D):
    """dkernel is divided by the number of windows."""

    def _set_gradients(self, dy, cache):
        dz = super()._set_gradients(dy, cache)
        rows, columns = self.windows.counts(cache[0].shape[1:3])
        self.dkernel /= max(rows * columns, 1)
        return dz


@conv("V")
class ConvTransposesItsKernelGradient(Conv2D):
    """dkernel has rows and columns exchanged, which fits where the window is square."""

    def _set_gradients(self, dy, cache):
        dz = super()._set_gradients(dy, cache)
        self.dkernel = self.dkernel.swapaxes(0, 1).copy()
        return dz


@conv(
    "C",
    x=normal(2, 4, 4, 4),
    config={"filters": 4, "kernel_size": 2},
    varies={"groups": (1, 2)},
    options={"min_side": 2, "channels": 4},
)
class ConvMixesUpItsGroups(Conv2D):
    """dkernel takes the filters of a group to lie groups apart, where they lie side by side."""

    def _set_gradients(self, dy, cache):
        dz = super()._set_gradients(dy, cache)
        size = self.filters // self.groups
        mixed = self.dkernel.reshape(*self.dkernel.shape[:3], self.groups, size).swapaxes(3, 4)
        self.dkernel = mixed.reshape(self.dkernel.shape).copy()
        return dz


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
        spans = [d * (k - 1) + 1 for k, d in zip(self.kernel_size, self.dilation_rate, strict=True)]
        rests = [
            (n - span) % s
            for n, span, s in zip(padded.shape[1:3], spans, self.strides, strict=True)
        ]
        rolled = np.roll(padded, rests, axis=(1, 2))
        return self.windows.crop(rolled, sizes)


@conv("V", config={"filters": 2, "kernel_size": 2, "activation": "tanh"})
class ConvSumsItsBiasWithoutTheActivation(Conv2D):
    """dbias = Σ dy, where it is Σ dz behind the activation."""

    def _set_gradients(self, dy, cache):
        found = super()._set_gradients(dy, cache)
        if self.use_bias:
            self.dbias = sum_rows(channels_last(dy, self.data_format))
        return found
