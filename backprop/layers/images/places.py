"""Images whose pixels are moved: y at a pixel is x at a place between pixels, by interpolation."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Annotated, Any

import numpy as np

from backprop.checks import Number, choice
from backprop.layers.images.base import ImageLayer
from backprop.layers.windows import channels_back, channels_last
from backprop.tuning import INTERPOLATED_PIXELS

FILL_MODES = ("reflect", "wrap", "constant", "nearest")
INTERPOLATIONS = ("nearest", "bilinear")

FillMode = Annotated[str, choice(*FILL_MODES)]
Interpolation = Annotated[str, choice(*INTERPOLATIONS)]
FillValue = Number


class Moving(ImageLayer, kw_only=True, by_position=True):
    """y at a pixel (i, j) is x at a place that was drawn, by interpolation.

        x, y: (N, H, W, C)    places: (N, 2, H, W)

    The place lies between four pixels, and y is their mean, weighted by how near they are: a sparse
    matrix S of one row for each pixel of y. A pixel of x collects what it gave to each:

        y = S x + c        dx = Sᵀ dy

    c is what a constant beyond the border adds. Segmentation masks are moved as the images are,
    each pixel from the nearest place, so that no class comes to be that was not there.

    A subclass has `draw`, whose numbers have the batch as their first axis, and `places`; among its
    arguments, in the order of Keras, are `interpolation`, `fill_mode` and `fill_value`.
    """

    def places(self, drawn: np.ndarray, height: int, width: int, /) -> np.ndarray:
        """Where in x each pixel of y is, for images with these draws."""
        raise TypeError(
            f"{type(self).__name__} has no places(self, drawn, height, width): write one"
        )

    def change(self, x, drawn):
        return self._moved(x, drawn, self.interpolation), drawn

    def reverse(self, dy, drawn, /):
        dy = channels_last(dy, self.data_format)
        dx = np.empty(dy.shape, dy.dtype)
        # S is made again and not kept: a layer at the front of a model is never reversed
        for at, s, _ in self._parts(drawn, dy, self.interpolation):
            dx[at] = (s.T @ dy[at].reshape(-1, dy.shape[-1])).reshape(dx[at].shape)
        return channels_back(dx, self.data_format)

    def change_masks(self, masks, drawn):
        moved = self._moved(masks.astype(np.float64, copy=False), drawn, "nearest")
        return moved.astype(masks.dtype, copy=False)

    def _moved(self, x, drawn, interpolation):
        x = channels_last(x, self.data_format)
        y = np.empty(x.shape, x.dtype)
        for at, s, rest in self._parts(drawn, x, interpolation):
            y[at] = (s @ x[at].reshape(-1, x.shape[-1])).reshape(y[at].shape)
            if self.fill_value:
                y[at] += rest()[..., None] * x.dtype.type(self.fill_value)
        return channels_back(y, self.data_format)

    def _parts(self, drawn, x, interpolation) -> Iterator[tuple[slice, Any, Any]]:
        """Some images at a time: which, their S, and what gives the share of the fill."""
        n, height, width, _ = x.shape
        step = max(INTERPOLATED_PIXELS // max(height * width, 1), 1)
        for i in range(0, n, step):
            at = slice(i, i + step)
            places = self.places(drawn[at], height, width)
            yield at, *interpolated(places, interpolation, self.fill_mode, x.dtype)


def interpolated(places, interpolation: str, fill_mode: str, dtype):
    """S for some images, in CSR, and a call for how much of each pixel's weight lies outside of the
    image."""
    from scipy.sparse import csr_array  # here, because it takes longer to import than NumPy

    n, _, height, width = places.shape
    rows = taps(places[:, 0], height, interpolation, fill_mode)
    columns = taps(places[:, 1], width, interpolation, fill_mode)
    taken = len(rows) * len(columns)
    total = n * height * width
    # SciPy's own integers, which it would make of larger ones
    kind = np.int32 if total * taken < 2**31 else np.int64
    first = (np.arange(n) * (height * width)).astype(kind)[:, None, None]
    rows = [(first + p.astype(kind) * kind(width), v) for p, v in rows]
    columns = [(q.astype(kind), w) for q, w in columns]
    index = np.empty((n, height, width, taken), kind)
    weight = np.empty((n, height, width, taken), dtype)
    for i, ((p, v), (q, w)) in enumerate(product(rows, columns)):
        np.add(p, q, out=index[..., i])
        np.multiply(v, w, out=weight[..., i], casting="same_kind")
    ends = np.arange(0, total * taken + 1, taken, dtype=kind)
    s = csr_array((weight.ravel(), index.ravel(), ends), shape=(total, total))
    return s, lambda: 1 - weight.sum(-1)


def taps(place, n: int, interpolation: str, fill_mode: str):
    """The pixels along an axis of n on which a place falls, each with its weight: the nearest, or
    the two on its sides, weighted by how near they are."""
    if interpolation == "nearest":
        near = np.floor(place + 0.5)
        pairs = [(near, np.ones_like(place))]
    else:
        below = np.floor(place)
        pairs = [(below, 1 - (place - below)), (below + 1, place - below)]
    return [inside(pixel.astype(np.intp), weight, n, fill_mode) for pixel, weight in pairs]


def inside(pixel, weight, n: int, fill_mode: str):
    """The pixel of the image that stands for one beyond its border, and its weight."""
    if fill_mode == "constant":
        weight = weight * ((pixel >= 0) & (pixel < n))
    if fill_mode in ("constant", "nearest"):  # a a a | a b c d | d d d
        return pixel.clip(0, n - 1), weight
    beyond = (pixel < 0) | (pixel >= n)  # remainders of all would take longest of all here
    pixel[beyond] = within_again(pixel[beyond], n, fill_mode)
    return pixel, weight


def within_again(pixel, n: int, fill_mode: str):
    if fill_mode == "wrap":  # a b c d | a b c d | a b c d
        return pixel % n
    if fill_mode == "reflect":  # d c b a | a b c d | d c b a
        pixel = pixel % (2 * n)
        return np.minimum(pixel, 2 * n - 1 - pixel)
    pixel = pixel % max(2 * n - 2, 1)  # d c b | a b c d | c b a
    return np.minimum(pixel, 2 * n - 2 - pixel)


def pixels(height: int, width: int) -> np.ndarray:
    """Each pixel's own place: (2, H, W)."""
    return np.mgrid[:height, :width].astype(np.float64)
