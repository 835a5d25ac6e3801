"""Mistakes in pooling: ties, overlaps, margins, and what a mean divides by."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from backprop.layer import INFERENCE
from backprop.layers.pooling import (
    AdaptiveAveragePooling1D,
    AdaptiveAveragePooling2D,
    AdaptiveMaxPooling2D,
    AveragePooling1D,
    AveragePooling2D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    MaxPooling1D,
    MaxPooling2D,
)
from backprop.layers.pooling.axes import along_axis, at, largest
from backprop.layers.windows import shape_last
from backprop.testing.bugs.bank import behind_embedding, bug, integers, normal
from backprop.testing.bugs.shared import ForgetsItsMask, Mixin, Recalling

pool = partial(
    bug,
    x=normal(2, 5, 5, 2),
    inputs="images",
    config={"pool_size": 2},
    options={"min_side": 2},
    tags=("piecewise",),
)
overlapping = partial(pool, varies={"strides": (None, 1)})
steps = partial(
    bug,
    x=normal(2, 5, 2),
    inputs="sequences",
    config={"pool_size": 2},
    options={"steps": (2, 5)},
    tags=("piecewise",),
)


class Paying(Mixin):
    """dx by parts that a mistake can replace: along each axis every pixel of the windows is paid
    its dy if it has won.
    """

    blank: Any = staticmethod(np.zeros)

    def pay(self, dy, winners):
        for axis, along, winner in reversed(winners):
            dx = self.blank((*dy.shape[:axis], along.n, *dy.shape[axis + 1 :]), dy.dtype)
            for k, windows, pixels in self.links(along):
                won = self.won(k, winner, axis, windows, pixels)
                self.pay_pixel(at(dx, axis, pixels), at(dy, axis, windows), won)
            dy = dx
        return dy

    def links(self, along):
        return along.links

    def won(self, k, winner, axis, windows, pixels):
        return at(winner, axis, windows) == k

    def pay_pixel(self, dpixel, d, won):
        dpixel += d * won


class Assigning(Paying):
    """A pixel of several windows is paid once."""

    def pay_pixel(self, dpixel, d, won):
        np.copyto(dpixel, d, where=won)


class Unfilled(Paying):
    """dx is made by `empty`, and written where windows lie."""

    blank: Any = staticmethod(np.empty)

    def pay_pixel(self, dpixel, d, won):
        dpixel[...] = d * won


class Choosing(Mixin):
    """`choose` finds the largest along an axis, and what is kept about the winners."""

    def pool(self, x, axes, keep):
        winners = []
        for axis, along in axes:
            x, winner = self.choose(x, axis, along)
            winners.append((axis, along, winner))
        return x, winners


@pool("P", source="Theano 5248")
class MaxPoolPaysAllTies(Choosing, Paying, MaxPooling2D):
    """Every pixel that equals the maximum receives dy in full, where one does."""

    def choose(self, x, axis, along):
        y, _ = largest(x, axis, along)
        return y, (x, y)

    def won(self, k, winner, axis, windows, pixels):
        x, y = winner
        return at(x, axis, pixels) == at(y, axis, windows)


@pool("P", verdict="choice")
class MaxPoolLetsTheLastTieWin(Choosing, MaxPooling2D):
    """Among equals the last pixel receives dy: as good a subgradient as the documented first."""

    def choose(self, x, axis, along):
        y, winner = largest(x, axis, along)
        for k, windows, pixels in along.links:
            tied = at(x, axis, pixels) >= at(y, axis, windows)
            np.copyto(at(winner, axis, windows), k, where=tied)
        return y, winner


@overlapping("C")
class MaxPoolAssignsWhereWindowsOverlap(Assigning, MaxPooling2D):
    """dx is assigned, so a pixel that won several windows is paid once."""


@pool("V")
class MaxPoolReturnsInsideOfTheLoop(Paying, MaxPooling2D):
    """Only windows won by their first pixel pass anything on."""

    def links(self, along):
        return along.links[:1]


@pool("V")
class MaxPoolCountsFromTheOtherEnd(Paying, MaxPooling2D):
    """The winner's number is counted from the end of the window, where forward counts from its
    start.
    """

    def won(self, k, winner, axis, windows, pixels):
        return super().won(self.pool_size[0] - 1 - k, winner, axis, windows, pixels)


@pool("V")
class MaxPoolSharesAmongAll(Paying, MaxPooling2D):
    """Every pixel of the window receives its share of dy, as in an average."""

    def won(self, k, winner, axis, windows, pixels):
        return 1 / self.pool_size[0]


@steps("C")
class MaxPoolLeavesPixelsOutOfAnyWindowUnwritten(Unfilled, MaxPooling1D):
    """dx is made by `empty`, and the steps behind the last window keep what stood there."""


@pool("C", varies={"padding": ("valid", "same")}, source="burn 5604")
class AveragePoolDividesByTheWholeWindowGoingBack(AveragePooling2D):
    """At the border forward divides by the pixels inside of the image, backward by all of the
    window's.
    """

    def backward(self, dy, cache):
        return super().backward(dy * cache[1] / prod(self.pool_size), cache)


@pool("V")
class AveragePoolForgetsToDivide(AveragePooling2D):
    """Every pixel receives dy in full."""

    def backward(self, dy, cache):
        return super().backward(dy * cache[1], cache)


@steps("V")
class AveragePoolDividesTwice(AveragePooling1D):
    """dx is divided by the length of the window once for the mean, and once more."""

    def backward(self, dy, cache):
        return super().backward(dy, cache) / self.pool_size[0]


@overlapping("C")
class AveragePoolAssignsWhereWindowsOverlap(Assigning, AveragePooling2D):
    """dx is assigned, so of several windows over a pixel only the last one counts."""

    def backward(self, dy, cache):
        axes, m, _ = cache
        return self.pay(dy / m, [(*each, None) for each in reversed(axes)])

    def won(self, k, winner, axis, windows, pixels):
        return True


# -------------------------------------------------------------------------------- adaptive

fitting = partial(
    bug,
    x=normal(2, 5, 4, 2),
    inputs="images",
    config={"output_size": (3, 2)},
    options={"min_side": 2},
    tags=("piecewise",),
)


@fitting("C")
class AdaptiveMaxAssignsWhereWindowsOverlap(Assigning, AdaptiveMaxPooling2D):
    """Where the sizes do not divide windows share pixels, and one that won two is paid once."""


@fitting("C")
class AdaptiveMeanDividesByOneSizeGoingBack(AdaptiveAveragePooling2D):
    """Backward takes all windows for as long as the first one."""

    def backward(self, dy, cache):
        axes, m, _ = cache
        first = prod(int(along.lengths[0]) for _, along in axes)
        return super().backward(dy * m / first, cache)


@bug("L", x=normal(2, 6, 2), inputs="sequences", config={"output_size": 2}, reference=True)
class AdaptiveMeanLeavesOutTheMiddle(AdaptiveAveragePooling1D):
    """Windows end at floor((i + 1) n / count) and share no pixels, going forth and back."""

    def forward(self, x, ctx=INFERENCE) -> Any:
        n, edges = x.shape[1], np.arange(self.output_size[0] + 1) * x.shape[1] // 2
        pooled = np.zeros((self.output_size[0], n), x.dtype)
        for i, (start, end) in enumerate(pairwise(edges)):
            pooled[i, start : max(end, start + 1)] = 1 / max(end - start, 1)
        return np.matmul(pooled, x), pooled

    def backward(self, dy, cache):
        return np.matmul(cache.T, dy)  # the cache is the matrix of forward


# -------------------------------------------------------------------------------- all places

whole = partial(bug, x=normal(2, 3, 4, 2), inputs="images", tags=("piecewise",))


@whole("V")
class GlobalAverageDividesByTheHeightOnly(GlobalAveragePooling2D):
    """dx = dy / H, where it is dy / (H W); an image of one column hides it."""

    def backward(self, dy, cache):
        return super().backward(dy * shape_last(cache[1], self.data_format)[2], cache)


@whole("V")
class GlobalMaxSpreadsItsGradient(GlobalMaxPooling2D):
    """All pixels receive an equal part, where the largest receives all."""

    def backward(self, dy, cache):
        _, shape, _ = cache
        dx = np.empty(self._flat(shape), dy.dtype)
        np.divide(self._flat_dy(dy, shape), dx.shape[self.first_axis], out=dx)
        return dx.reshape(shape)


@whole("P")
class GlobalMaxPaysAllTies(GlobalMaxPooling2D):
    """Every pixel that equals the maximum receives dy in full."""

    def forward(self, x, ctx=INFERENCE) -> Any:
        y, (_, shape, _) = super().forward(x, ctx)
        flat = x.reshape(self._flat(shape))
        return y, (flat == flat.max(self.first_axis, keepdims=True), shape)

    def backward(self, dy, cache):
        best, shape = cache
        return (self._flat_dy(dy, shape) * best).reshape(shape)


@bug("V", x=normal(3, 4, 2), inputs="sequences", tags=("piecewise",))
class GlobalMaxPaysTheStepBehind(Recalling, GlobalMaxPooling1D):
    """The step after the largest receives dy, the first one after the last."""

    def recalled(self, winner, shape, real):
        return (winner + 1) % shape[self.first_axis], shape, real


@bug("C", x=integers(3, 4, 5), inputs="tokens", inside=behind_embedding)
class GlobalAverageForgetsItsMaskGoingBack(Recalling, GlobalAveragePooling1D):
    """Forward averages the real steps, backward divides by all of them."""

    def recalled(self, share, shape):
        return 1 / shape[self.first_axis], shape


masked = partial(
    bug,
    x=integers(3, 4, 5),
    inputs="tokens",
    inside=behind_embedding,
    config={"pool_size": 2, "strides": 1, "padding": "same"},
)


@masked("C")
class AveragePoolForgetsItsMaskGoingBack(AveragePooling1D):
    """Forward divides by the number of a window's real steps, backward by that of all."""

    def backward(self, dy, cache):
        axes, _, steps = cache
        return super().backward(dy, (axes, self._m(axes, dy.ndim, dy.dtype), steps))


@masked("C")
class AveragePoolPaysMaskedSteps(ForgetsItsMask, AveragePooling1D):
    """A masked step, which is left out of its windows' sums, receives its share of them."""


@masked("C", tags=("piecewise",))
class MaxPoolPaysWindowsOfPadding(ForgetsItsMask, MaxPooling1D):
    """The first step of a window without any real one receives dy, though y is 0 there."""


@bug("V", x=normal(3, 4, 2), inputs="sequences")
class GlobalAverageDividesByTheBatch(Recalling, GlobalAveragePooling1D):
    """dx = dy / N, where it is dy / T."""

    def recalled(self, share, shape):
        return share * shape[self.first_axis] / max(shape[0], 1), shape


# -------------------------------------------------------------------------------- both ways


@pool("L", varies={"padding": ("valid", "same")}, reference=True)
class MaxPoolPadsWithZeros(Choosing, MaxPooling2D):
    """The margin is 0, which beats negative numbers at the border, going forth and back."""

    def choose(self, x, axis, along):
        y, winner = largest(x, axis, along)
        short = along_axis(along.lengths < along.size, axis, x.ndim)
        lost = short & (y < 0)
        return np.where(lost, np.zeros_like(y), y), np.where(lost, along.size, winner)


@pool("L", varies={"padding": ("valid", "same")}, reference=True)
class AveragePoolCountsItsMargin(AveragePooling2D):
    """The mean divides by all of the window's pixels at the border too, going forth and back."""

    def _m(self, axes, ndim, dtype):
        return dtype.type(prod(self.pool_size))
