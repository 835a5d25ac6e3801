"""Pooling along one axis, from which poolings over any number of axes are made.

A window is a box, so its maximum is the maximum along the last axis, of these the maximum along the
axis before, and so on; sums likewise. Two axes with windows of k pixels take 2 k passes over arrays
that shrink, where all places of the window would take k². Going from the last axis to the first,
the first of equals along each axis is the first of the box, row by row.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np

from backprop.bounds import reckon

Array = np.ndarray
EVERY = slice(None)
LINK = 16  # numbers that take as much as a link


@dataclass(frozen=True)
class Along:
    """The windows along an axis of n pixels.

    The k-th pixels of windows that lie evenly are evenly spaced pixels, so one link (k, windows,
    pixels) of a number and two slices says which pixel each of these windows sees. No window or
    pixel stands twice in a link, a window's links are in the order of k, and places outside of the
    image have none.
    """

    n: int
    links: tuple[tuple[int, slice, slice], ...]
    first: Array  # (windows,): the least k that lies in the image
    lengths: Array  # (windows,): how many do
    alone: bool  # whether each pixel lies in one window at most
    whole: bool  # whether no place is outside: each link holds all windows, from k = 0 on

    @property
    def count(self) -> int:
        return len(self.lengths)

    @property
    def size(self) -> int:
        return 1 + max(k for k, _, _ in self.links)


def evenly(n: int, size: int, stride: int, count: int, before: int) -> Along:
    """Windows of `size` pixels every `stride` pixels, the first with `before` of them in front of
    the image."""
    reckon(size + count, f"where {count:,} windows of {size:,} pixels lie")
    links = []
    for k in range(size):
        low = max(0, -((k - before) // stride))  # the first window whose k-th pixel is in the image
        high = min(count, (n - 1 - k + before) // stride + 1)
        if low < high:
            place = low * stride + k - before
            pixels = slice(place, place + (high - 1 - low) * stride + 1, stride)
            links.append((k, EVERY if high - low == count else slice(low, high), pixels))
    starts = np.arange(count) * stride - before
    first = np.maximum(-starts, 0)
    lengths = np.minimum(starts + size, n) - np.maximum(starts, 0)
    whole = len(links) == size and all(windows == EVERY for _, windows, _ in links)
    return Along(n, tuple(links), first, lengths, stride >= size, whole)


def adaptively(n: int, count: int) -> Along:
    """`count` windows over all n pixels: the i-th from floor(i n / count) to ceil((i + 1) n /
    count).

    With g the greatest common divisor of n and count, the pattern repeats every count / g windows.
    """
    g = gcd(n, count)
    every, step = count // g, n // g
    reckon(count + LINK * (every + step), f"where {count:,} windows over {n:,} pixels lie")
    starts = np.arange(count) * n // count
    lengths = -(-np.arange(1, count + 1) * n // count) - starts
    links = [
        (k, slice(r, None, every), slice(starts[r] + k, starts[r] + k + (g - 1) * step + 1, step))
        for r in range(every)
        for k in range(lengths[r])
    ]
    return Along(n, tuple(links), 0 * starts, lengths, every == 1, every == 1)


def at(x: Array, axis: int, part: slice) -> Array:
    """A slice along one axis: a view."""
    return x[(EVERY,) * axis + (part,)]


def along_axis(values: Array, axis: int, ndim: int) -> Array:
    """A vector in the shape in which it is broadcast along `axis`."""
    return values.reshape([-1 if a == axis else 1 for a in range(ndim)])


def largest(x: Array, axis: int, along: Along, keep: bool = True) -> tuple[Array, Any]:
    """The maximum of each window and, with `keep`, the k of the pixel that it is."""
    y, rest = started(x, axis, along, -np.inf, np.maximum)
    winner = first_winner(x, y, axis, along) if keep else None
    for k, windows, pixels in rest:
        pixel, best = at(x, axis, pixels), at(y, axis, windows)
        if winner is not None:
            won = at(winner, axis, windows)
            better = as_number(pixel > best, winner.dtype)
            better *= k  # k grows from link to link: a maximum writes it where the pixel is better
            np.maximum(won, better, out=won)
        np.maximum(best, pixel, out=best)
    return y, winner


def first_winner(x: Array, y: Array, axis: int, along: Along) -> Array:
    """The winner of each window among the links that `started` has taken."""
    code = np.min_scalar_type(along.size - 1)
    if along.whole and along.size > 1:
        (_, _, first), (_, _, second), *_ = along.links
        return as_number(at(x, axis, second) > at(x, axis, first), code)
    winner = np.zeros(y.shape, code)
    if along.first.any():  # a window of -inf alone has a winner too, inside of the image
        winner[...] = along_axis(along.first, axis, y.ndim)
    return winner


def as_number(flags: Array, code: np.dtype) -> Array:
    """1 where a flag is set; where a byte is enough, without a copy."""
    return flags.view(code) if code == np.uint8 else flags.astype(code)


def pay(dy: Array, axis: int, along: Along, winner: Array) -> Array:
    """dx of `largest`: each window's dy goes to its winner."""
    dx = blank(dy, axis, along)
    for k, windows, pixels in along.links:
        dpixel, d, won = at(dx, axis, pixels), at(dy, axis, windows), at(winner, axis, windows)
        if along.alone:
            np.multiply(d, won == k, out=dpixel)
        else:
            dpixel += d * (won == k)
    return dx


def total(x: Array, axis: int, along: Along) -> Array:
    """The sum of each window."""
    y, rest = started(x, axis, along, 0.0, np.add)
    for _, windows, pixels in rest:
        part = at(y, axis, windows)
        part += at(x, axis, pixels)
    return y


def spread(dy: Array, axis: int, along: Along) -> Array:
    """dx of `total`: each window's dy goes to all of its pixels."""
    dx = blank(dy, axis, along)
    for _, windows, pixels in along.links:
        dpixel, d = at(dx, axis, pixels), at(dy, axis, windows)
        if along.alone:
            dpixel[...] = d
        else:
            dpixel += d
    return dx


def started(x: Array, axis: int, along: Along, fill: float, join: np.ufunc) -> tuple[Array, Any]:
    """y after the first links, and the others; or y full of `fill`, and all links."""
    if not along.whole:
        shape = (*x.shape[:axis], along.count, *x.shape[axis + 1 :])
        return np.full(shape, fill, x.dtype), along.links
    first, *others = along.links
    if not others:
        return at(x, axis, first[2]).copy(), []
    return join(at(x, axis, first[2]), at(x, axis, others[0][2])), others[1:]


def blank(dy: Array, axis: int, along: Along) -> Array:
    """A dx to write to: zeros, but where each pixel is going to be written once."""
    tiled = along.alone and along.lengths.sum() == along.n
    return (np.empty if tiled else np.zeros)(
        (*dy.shape[:axis], along.n, *dy.shape[axis + 1 :]), dy.dtype
    )
