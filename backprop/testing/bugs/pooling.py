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


def zeros(dy, axis, along):
    return np.zeros((*dy.shape[:axis], along.n, *dy.shape[axis + 1 :]), dy.dtype)


class Paying(MaxPooling2D):
    """dx by a part that a mistake can replace: `pay_winners` pays those along an axis their dy."""

    def pay(self, dy, winners):
        for axis, along, winner in reversed(winners):
            dx = zeros(dy, axis, along)
            parts = [
                (k, at(dx, axis, pixels), at(dy, axis, windows), at(winner, axis, windows))
                for k, windows, pixels in along.links
            ]
            self.pay_winners(parts)
            dy = dx
        return dy

    def pay_winners(self, parts):
        for k, dpixel, d, won in parts:
            dpixel += d * (won == k)


@pool("P", source="Theano 5248")
class MaxPoolPaysAllTies(MaxPooling2D):
    """Every pixel that equals the maximum receives dy in full, where one does."""

    def pool(self, x, axes, keep):
        winners = []
        for axis, along in axes:
            y, _ = largest(x, axis, along)
            winners.append((axis, along, x, y))
            x = y
        return x, winners

    def pay(self, dy, winners):
        for axis, along, x, y in reversed(winners):
            dx = zeros(dy, axis, along)
            for _, windows, pixels in along.links:
                best, pixel = at(y, axis, windows), at(x, axis, pixels)
                dpixel = at(dx, axis, pixels)
                dpixel += at(dy, axis, windows) * (pixel == best)
            dy = dx
        return dy


@pool("P", verdict="choice")
class MaxPoolLetsTheLastTieWin(MaxPooling2D):
    """Among equals the last pixel receives dy: as good a subgradient as the documented first."""

    def pool(self, x, axes, keep):
        winners = []
        for axis, along in axes:
            y, winner = largest(x, axis, along)
            for k, windows, pixels in along.links:
                tied = at(x, axis, pixels) >= at(y, axis, windows)
                np.copyto(at(winner, axis, windows), k, where=tied)
            winners.append((axis, along, winner))
            x = y
        return x, winners


@overlapping("C")
class MaxPoolAssignsWhereWindowsOverlap(Paying):
    """dx is assigned, so a pixel that won several windows is paid once."""

    def pay_winners(self, parts):
        for k, dpixel, d, won in parts:
            np.copyto(dpixel, d, where=won == k)


@pool("V")
class MaxPoolReturnsInsideOfTheLoop(Paying):
    """Only windows won by their first pixel pass anything on."""

    def pay_winners(self, parts):
        super().pay_winners(parts[:1])


@pool("V")
class MaxPoolCountsFromTheOtherEnd(Paying):
    """The winner's number is counted from the end of the window, where forward counts from its
    start.
    """

    def pay_winners(self, parts):
        for k, dpixel, d, won in parts:
            dpixel += d * (won == len(parts) - 1 - k)


@pool("V")
class MaxPoolSharesAmongAll(Paying):
    """Every pixel of the window receives its share of dy, as in an average."""

    def pay_winners(self, parts):
        for _, dpixel, d, _ in parts:
            dpixel += d / len(parts)


@steps("C")
class MaxPoolLeavesPixelsOutOfAnyWindowUnwritten(MaxPooling1D):
    """dx is made by `empty`, and the steps behind the last window keep what stood there."""

    def pay(self, dy, winners):
        for axis, along, winner in reversed(winners):
            dx = np.empty_like(zeros(dy, axis, along))
            for k, windows, pixels in along.links:
                mine = at(winner, axis, windows) == k
                at(dx, axis, pixels)[...] = at(dy, axis, windows) * mine
            dy = dx
        return dy


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
class AveragePoolAssignsWhereWindowsOverlap(AveragePooling2D):
    """dx is assigned, so of several windows over a pixel only the last one counts."""

    def backward(self, dy, cache):
        axes, m, _ = cache
        dy = dy / m
        for axis, along in axes:
            dx = zeros(dy, axis, along)
            for _, windows, pixels in along.links:
                at(dx, axis, pixels)[...] = at(dy, axis, windows)
            dy = dx
        return dy


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
class AdaptiveMaxAssignsWhereWindowsOverlap(AdaptiveMaxPooling2D):
    """Where the sizes do not divide windows share pixels, and one that won two is paid once."""

    def pay(self, dy, winners):
        for axis, along, winner in reversed(winners):
            dx = zeros(dy, axis, along)
            for k, windows, pixels in along.links:
                mine = at(winner, axis, windows) == k
                np.copyto(at(dx, axis, pixels), at(dy, axis, windows), where=mine)
            dy = dx
        return dy


@fitting("C")
class AdaptiveMeanDividesByOneSizeGoingBack(AdaptiveAveragePooling2D):
    """Backward takes all windows for as long as the first one."""

    def backward(self, dy, cache):
        axes, m, _ = cache
        first = prod(int(along.lengths[0]) for _, along in axes)
        return super().backward(dy * m / first, cache)


@bug(
    "L",
    x=normal(2, 6, 2),
    inputs="sequences",
    config={"output_size": 2},
    reference=True,
)
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
        np.divide(self._flat_dy(dy, shape), dx.shape[self._axis], out=dx)
        return dx.reshape(shape)


@whole("P")
class GlobalMaxPaysAllTies(GlobalMaxPooling2D):
    """Every pixel that equals the maximum receives dy in full."""

    def forward(self, x, ctx=INFERENCE) -> Any:
        y, (_, shape, _) = super().forward(x, ctx)
        flat = x.reshape(self._flat(shape))
        return y, (flat == flat.max(self._axis, keepdims=True), shape)

    def backward(self, dy, cache):
        best, shape = cache
        return (self._flat_dy(dy, shape) * best).reshape(shape)


@bug("V", x=normal(3, 4, 2), inputs="sequences", tags=("piecewise",))
class GlobalMaxPaysTheStepBehind(GlobalMaxPooling1D):
    """The step after the largest receives dy, the first one after the last."""

    def backward(self, dy, cache):
        winner, shape, real = cache
        return super().backward(dy, ((winner + 1) % shape[self._axis], shape, real))


@bug("C", x=integers(3, 4, 5), inputs="tokens", inside=behind_embedding)
class GlobalAverageForgetsItsMaskGoingBack(GlobalAveragePooling1D):
    """Forward averages the real steps, backward divides by all of them."""

    def backward(self, dy, cache):
        _, shape = cache
        return super().backward(dy, (1 / shape[self._axis], shape))


masked = partial(bug, x=integers(3, 4, 5), inputs="tokens", inside=behind_embedding)


@masked("C", config={"pool_size": 2, "strides": 1, "padding": "same"})
class AveragePoolForgetsItsMaskGoingBack(AveragePooling1D):
    """Forward divides by the number of a window's real steps, backward by that of all."""

    def backward(self, dy, cache):
        axes, _, steps = cache
        return super().backward(dy, (axes, self._m(axes, dy.ndim, dy.dtype), steps))


@masked("C", config={"pool_size": 2, "strides": 1, "padding": "same"})
class AveragePoolPaysMaskedSteps(AveragePooling1D):
    """A masked step, which is left out of its windows' sums, receives its share of them."""

    def backward(self, dy, cache):
        axes, m, _ = cache
        return super().backward(dy, (axes, m, None))


@masked("C", config={"pool_size": 2, "strides": 1, "padding": "same"}, tags=("piecewise",))
class MaxPoolPaysWindowsOfPadding(MaxPooling1D):
    """The first step of a window without any real one receives dy, though y is 0 there."""

    def backward(self, dy, cache):
        shape, pieces, _ = cache
        return super().backward(dy, (shape, pieces, None))


@bug("V", x=normal(3, 4, 2), inputs="sequences")
class GlobalAverageDividesByTheBatch(GlobalAveragePooling1D):
    """dx = dy / N, where it is dy / T."""

    def backward(self, dy, cache):
        share, shape = cache
        return super().backward(dy, (share * shape[self._axis] / max(len(dy), 1), shape))


# -------------------------------------------------------------------------------- both ways


@pool("L", varies={"padding": ("valid", "same")}, reference=True)
class MaxPoolPadsWithZeros(MaxPooling2D):
    """The margin is 0, which beats negative numbers at the border, going forth and back."""

    def pool(self, x, axes, keep):
        winners = []
        for axis, along in axes:
            x, winner = largest(x, axis, along)
            short = along_axis(along.lengths < along.size, axis, x.ndim)
            lost = short & (x < 0)
            x = np.where(lost, np.zeros_like(x), x)
            winners.append((axis, along, np.where(lost, along.size, winner)))
        return x, winners


@pool("L", varies={"padding": ("valid", "same")}, reference=True)
class AveragePoolCountsItsMargin(AveragePooling2D):
    """The mean divides by all of the window's pixels at the border too, going forth and back."""

    def _m(self, axes, ndim, dtype):
        return dtype.type(prod(self.pool_size))
