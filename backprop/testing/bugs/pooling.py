"""Mistakes in pooling: ties, overlaps, margins, and what a mean divides by."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from backprop.layer import INFERENCE
from backprop.layers.pooling import (
    AveragePooling2D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    MaxPooling2D,
)
from backprop.layers.windows import channels_back, channels_last, shape_last
from backprop.testing.bugs.bank import behind_embedding, bug, integers, normal

pool = partial(
    bug,
    x=normal(2, 5, 5, 2),
    inputs="images",
    config={"pool_size": 2},
    options={"min_side": 2},
    tags=("piecewise",),
)
overlapping = partial(pool, varies={"strides": (None, 1)})


class Paying(MaxPooling2D):
    """dx by a part that a mistake can replace: `pay` gives the winners their dy."""

    def backward(self, dy, cache):
        winner, shape = cache
        dx = self.windows.pad(np.zeros(shape, dy.dtype))
        self.pay(dx, channels_last(dy, self.data_format), winner)
        return channels_back(self.windows.crop(dx, shape[1:3]), self.data_format)

    def pay(self, dx, dy, winner):
        for k, dpixel in enumerate(self.windows.pixels(dx)):
            dpixel += dy * (winner == k)


@pool("P", source="Theano 5248")
class MaxPoolPaysAllTies(MaxPooling2D):
    """Every pixel that equals the maximum receives dy in full, where one does."""

    def forward(self, x, ctx=INFERENCE) -> Any:
        y, (_, shape) = super().forward(x, ctx)
        return y, (x, y, shape)

    def backward(self, dy, cache):
        x, y, shape = cache
        x, y, dy = (channels_last(v, self.data_format) for v in (x, y, dy))
        dx = self.windows.pad(np.zeros(shape, dy.dtype))
        pixels = self.windows.pixels(self.windows.pad(x, -np.inf))
        for pixel, dpixel in zip(pixels, self.windows.pixels(dx), strict=True):
            dpixel += dy * (pixel == y)
        return channels_back(self.windows.crop(dx, shape[1:3]), self.data_format)


@pool("P", verdict="choice")
class MaxPoolLetsTheLastTieWin(MaxPooling2D):
    """Among equals the last pixel receives dy: as good a subgradient as the documented first."""

    def forward(self, x, ctx=INFERENCE) -> Any:
        y, (_, shape) = super().forward(x, ctx)
        x = channels_last(x, self.data_format)
        top = channels_last(y, self.data_format)
        winner = np.zeros(top.shape, np.intp)
        for k, pixel in enumerate(self.windows.pixels(self.windows.pad(x, -np.inf))):
            np.copyto(winner, k, where=pixel >= top)
        return y, (winner, shape)


@overlapping("C")
class MaxPoolAssignsWhereWindowsOverlap(Paying):
    """dx is assigned, so a pixel that won several windows is paid once."""

    def pay(self, dx, dy, winner):
        for k, dpixel in enumerate(self.windows.pixels(dx)):
            np.copyto(dpixel, dy, where=winner == k)


@pool("V")
class MaxPoolReturnsInsideOfTheLoop(Paying):
    """Only windows won by their first pixel pass anything on."""

    def pay(self, dx, dy, winner):
        for k, dpixel in enumerate(self.windows.pixels(dx)):
            dpixel += dy * (winner == k)
            return


@pool("V")
class MaxPoolPaysByColumns(Paying):
    """The winner's number counts columns first, where it counts rows first."""

    def pay(self, dx, dy, winner):
        h, w = self.pool_size
        super().pay(dx, dy, winner % w * h + winner // w)


@pool("V")
class MaxPoolSharesAmongAll(Paying):
    """Every pixel of the window receives its share of dy, as in an average."""

    def pay(self, dx, dy, winner):
        for dpixel in self.windows.pixels(dx):
            dpixel += dy / (self.pool_size[0] * self.pool_size[1])


@pool("C", varies={"padding": ("valid", "same")}, source="burn 5604")
class AveragePoolDividesByTheWholeWindowGoingBack(AveragePooling2D):
    """At the border forward divides by the pixels inside of the image, backward by all of the
    window's.
    """

    def backward(self, dy, shape):
        m = channels_back(self._m(shape, dy.dtype), self.data_format)
        return super().backward(dy * m / (self.pool_size[0] * self.pool_size[1]), shape)


@pool("V")
class AveragePoolForgetsToDivide(AveragePooling2D):
    """Every pixel receives dy in full."""

    def backward(self, dy, shape):
        return super().backward(
            dy * channels_back(self._m(shape, dy.dtype), self.data_format), shape
        )


@overlapping("C")
class AveragePoolAssignsWhereWindowsOverlap(AveragePooling2D):
    """dx is assigned, so of several windows over a pixel only the last one counts."""

    def backward(self, dy, shape):
        dy = channels_last(dy, self.data_format) / self._m(shape, dy.dtype)
        dx = self.windows.pad(np.zeros(shape, dy.dtype))
        for dpixel in self.windows.pixels(dx):
            dpixel[...] = dy
        return channels_back(self.windows.crop(dx, shape[1:3]), self.data_format)


spread = partial(bug, x=normal(2, 3, 4, 2), inputs="images", tags=("piecewise",))


@spread("V")
class GlobalAverageDividesByTheHeightOnly(GlobalAveragePooling2D):
    """dx = dy / H, where it is dy / (H W); an image of one column hides it."""

    def backward(self, dy, shape):
        return super().backward(dy * shape_last(shape, self.data_format)[2], shape)


@spread("V")
class GlobalMaxSpreadsItsGradient(GlobalMaxPooling2D):
    """All pixels receive an equal part, where the largest receives all."""

    def backward(self, dy, cache):
        _, shape = cache
        n, h, w, channels = shape_last(shape, self.data_format)
        dx = np.empty((n, h * w, channels), dy.dtype)
        np.divide(dy.reshape(n, 1, channels), h * w, out=dx)
        return self._unflat(dx, shape)


@spread("P")
class GlobalMaxPaysAllTies(GlobalMaxPooling2D):
    """Every pixel that equals the maximum receives dy in full."""

    def forward(self, x, ctx=INFERENCE) -> Any:
        y, (_, shape) = super().forward(x, ctx)
        flat = self._flat(x)
        return y, (flat == flat.max(1, keepdims=True), shape)

    def backward(self, dy, cache):
        best, shape = cache
        n, _, channels = best.shape
        return self._unflat(dy.reshape(n, 1, channels) * best, shape)


@bug("C", x=integers(3, 4, 5), inputs="tokens", inside=behind_embedding)
class GlobalAverageForgetsItsMaskGoingBack(GlobalAveragePooling1D):
    """Forward averages the real steps, backward divides by all of them."""

    def backward(self, dy, cache):
        _, shape = cache
        return super().backward(dy, (1 / shape_last(shape, self.data_format)[1], shape))


@bug("V", x=normal(3, 4, 2), inputs="sequences")
class GlobalAverageDividesByTheBatch(GlobalAveragePooling1D):
    """dx = dy / N, where it is dy / T."""

    def backward(self, dy, cache):
        share, shape = cache
        return super().backward(
            dy, (share * shape_last(shape, self.data_format)[1] / max(len(dy), 1), shape)
        )


@pool("L", varies={"padding": ("valid", "same")}, reference=True)
class MaxPoolPadsWithZeros(MaxPooling2D):
    """The margin is 0, which beats negative numbers at the border, going forth and back."""

    def forward(self, x, ctx=INFERENCE) -> Any:
        padded = self.windows.pad(channels_last(x, self.data_format))
        pixels = np.stack(list(self.windows.pixels(padded)))
        winner = pixels.argmax(0)
        y = np.take_along_axis(pixels, winner[None], 0)[0]
        return channels_back(y, self.data_format), (
            winner,
            channels_last(x, self.data_format).shape,
        )


@pool("L", varies={"padding": ("valid", "same")}, reference=True)
class AveragePoolCountsItsMargin(AveragePooling2D):
    """The mean divides by all of the window's pixels at the border too, going forth and back."""

    def _m(self, shape, dtype):
        return np.full_like(super()._m(shape, dtype), self.pool_size[0] * self.pool_size[1])
