"""Mistakes in padding, cropping and upsampling: which side, which copy, which share."""

from __future__ import annotations

from functools import partial

import numpy as np

from backprop.layer import INFERENCE
from backprop.layers.interpolation import along, triangle
from backprop.layers.resizing import (
    Cropping1D,
    Cropping2D,
    UpSampling1D,
    UpSampling2D,
    ZeroPadding1D,
    ZeroPadding2D,
)
from backprop.layers.windows import shape_last
from backprop.testing.bugs.bank import behind_embedding, bug, integers, normal
from backprop.testing.bugs.shared import ForgetsItsMask

around = partial(bug, x=normal(2, 3, 4, 2), inputs="images", config={"padding": ((1, 0), (2, 1))})
cropped = partial(
    bug,
    x=normal(2, 4, 5, 2),
    inputs="images",
    config={"cropping": ((1, 0), (0, 2))},
    options={"min_side": 3},
)
larger = partial(bug, x=normal(2, 3, 4, 2), inputs="images", config={"size": (2, 3)})
smooth = partial(larger, config={"size": (2, 3), "interpolation": "bilinear"})


@around("V")
class ZeroPaddingCutsFromTheCorner(ZeroPadding2D):
    """dx is the first rows and columns of dy, where it is those behind the margin."""

    def backward(self, dy, cache):
        return dy[tuple(slice(None, n) for n in cache[0])]


@bug("L", x=normal(2, 3, 2), inputs="sequences", config={"padding": (1, 2)}, reference=True)
class ZeroPaddingSwapsItsSides(ZeroPadding1D):
    """The zeros that belong in front stand behind, going forth and back."""

    def forward(self, x, ctx=INFERENCE):
        before, behind = self.padding
        return np.pad(x, [(0, 0), (behind, before), (0, 0)]), x.shape

    def backward(self, dy, cache):
        return dy[:, self.padding[1] :][:, : cache[1]]


@around("V")
class ZeroPaddingAddsTheMarginToTheBorder(ZeroPadding2D):
    """The border of x receives the margin's dy too, as if its pixels had been repeated."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache).copy()
        if dx.shape[1]:
            dx[:, :1] += dy[:, :1, 2 : 2 + dx.shape[2]]
        return dx


@bug("C", x=integers(3, 4, 5), inputs="tokens", inside=behind_embedding)
class ZeroPaddingPaysMaskedSteps(ForgetsItsMask, ZeroPadding1D):
    """A masked step, which forward takes as 0, receives the dy at its place."""


@cropped("V")
class CroppingPutsItsGradientInTheCorner(Cropping2D):
    """dy stands at the start of dx, where it belongs behind what was cut off."""

    def backward(self, dy, shape):
        dx = np.zeros(shape, dy.dtype)
        dx[tuple(slice(None, n) for n in dy.shape)] = dy
        return dx


@bug(
    "V",
    x=normal(2, 5, 2),
    inputs="sequences",
    config={"cropping": (1, 1)},
    options={"steps": (3, 5)},
)
class CroppingPaysWhatItCutOff(Cropping1D):
    """The steps that were cut off receive the dy of the step beside them."""

    def backward(self, dy, shape):
        return np.pad(dy, [(0, 0), self.cropping, (0, 0)], mode="edge" if len(dy) else "constant")


@larger("V")
class UpSamplingTakesTheFirstCopy(UpSampling2D):
    """dx is the dy of the upper left copy alone."""

    def backward(self, dy, shape):
        return dy[:, :: self.size[0], :: self.size[1]].copy()


@larger("V")
class UpSamplingAveragesItsCopies(UpSampling2D):
    """dx is the mean over the copies, where it is their sum."""

    def backward(self, dy, shape):
        return super().backward(dy, shape) / (self.size[0] * self.size[1])


@bug("C", x=normal(2, 3, 2), inputs="sequences", config={"size": 2})
class UpSamplingTakesCopiesForRepetitions(UpSampling1D):
    """Copies of a step stand beside each other, backward looks for them T steps apart."""

    def backward(self, dy, shape):
        n, steps, channels = shape
        return dy.reshape(n, self.size[0], steps, channels).sum(1)


@smooth("V")
class BilinearForgetsTheBorder(UpSampling2D):
    """The last pixel receives nothing for standing in beyond the border."""

    def backward(self, dy, shape):
        for (axis, r), factor in zip(self._shares(shape), self.size, strict=True):
            place = (np.arange(len(r)) + 0.5) / factor - 0.5
            shares = triangle(np.abs(place[:, None] - np.arange(r.shape[1])))
            dy = along(axis, shares.T, dy)
        return dy


@smooth("V")
class BilinearGoesBackByTheNearest(UpSampling2D):
    """Forward interpolates, backward sums over the nearest pixels."""

    def backward(self, dy, shape):
        n, height, width, channels = shape_last(shape, self.data_format)
        return dy.reshape(n, height, self.size[0], width, self.size[1], channels).sum((2, 4))


@smooth("L", reference=True)
class BilinearMeasuresFromTheCorners(UpSampling2D):
    """Pixel a of y lies at a / f, where pixels are areas and it lies at (a + 1/2) / f - 1/2, going
    forth and back.
    """

    def forward(self, x, ctx=INFERENCE):
        return np.einsum("ai,bj,nijc->nabc", *self.corners(x.shape, x.dtype), x), x.shape

    def backward(self, dy, shape):
        return np.einsum("ai,bj,nabc->nijc", *self.corners(shape, dy.dtype), dy)

    def corners(self, shape, dtype):
        """Along each axis (n * factor, n): the share of each pixel of x in each of y."""
        for n, factor in zip(shape[1:3], self.size, strict=True):
            place = np.arange(n * factor)[:, None] / factor
            weights = np.maximum(1 - np.abs(place - np.arange(n)), 0)
            yield (weights / weights.sum(1, keepdims=True)).astype(dtype)
