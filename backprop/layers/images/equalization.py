"""Images whose tones are spread evenly, by the histograms of their channels."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from backprop.checks import Number, Positive, per_axis
from backprop.layers.images.factors import ValueRange
from backprop.layers.images.ranges import as_bytes, from_bytes
from backprop.layers.images.tones import Always
from backprop.layers.windows import channels_back, channels_last


class Equalization(Always):
    """y = the share of an image's channel that is not brighter than x, in training and inference.

        x, y: (N, H, W, C)    k = ⌊x (bins - 1) / 255⌋, the bin of a pixel from 0 to 255

        y = 255 (F[k] - f) / (F[bins-1] - f), rounded,    F[k]: how many pixels lie up to bin k

    with f = F of the first bin that is not empty, and 0 to 255 standing for the value range. A
    channel that fills one bin alone stays as it is. y jumps where x goes from bin to bin, and is
    constant between:

        dx = 0, and dy for a channel that stays

    Each image has histograms of its own. (Keras' are those of the batch.)

    Parameters
    ----------
    value_range : pair of float, default (0, 255)
        Of the pixels.
    bins : int, default 256
        How many tones are told apart.
    data_format, **kwargs : as in `RandomHue`

    Raises
    ------
    ValueError
        For a range that is no pair, or a number of bins that is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Equalization
    >>> x = np.array([100.0, 101.0, 101.0, 102.0, 103.0]).reshape(1, 1, 5, 1)
    >>> Equalization()(x).ravel()
    array([  0., 128., 128., 191., 255.], dtype=float32)
    """

    value_range: ValueRange = (0, 255)
    bins: Positive = 256

    changeable = ("value_range", "bins")

    def change(self, x, drawn):
        scaled = channels_last(as_bytes(x, self.value_range), self.data_format)
        k = tones_of(scaled * (self.bins - 1) / 255, self.bins)
        n, _, _, channels = k.shape
        # a histogram for each channel of each image, one behind the other
        k += self.bins * np.arange(n * channels).reshape(n, 1, 1, channels)
        counts = np.bincount(k.ravel(), minlength=n * channels * self.bins).reshape(-1, self.bins)
        total = counts.cumsum(1)
        first = np.take_along_axis(total, (total > 0).argmax(1)[:, None], 1)
        table = (total - first) * 255 / (total[:, -1:] - first).clip(1)
        even = table.clip(0, 255).round().astype(x.dtype).ravel()[k]
        stays = ((counts > 0).sum(1) <= 1).reshape(n, 1, 1, channels)
        y = channels_back(from_bytes(even, self.value_range), self.data_format)
        stays = channels_back(stays, self.data_format)
        return np.where(stays, x, y), stays

    def reverse(self, dy, kept):
        return np.where(kept, dy, 0)


class ContrastLimitedAdaptiveHistogramEqualization(Always):
    """y = x with its tones spread evenly tile by tile, within a limit; in training and inference.

        x, y: (N, H, W, C)    tiles: an image is divided into a grid of them, mirrored at its end

    The histogram of a channel in a tile of m pixels is cut at clip_limit m / 256, and what was cut
    is spread over all 256 tones. With F its running sum, a tone k becomes

        T[k] = 255 (F[k] - F[0]) / (m - F[0])

    and y at a pixel is the mean of the T[k] of the four tiles whose centres are around it, weighted
    by how near they are. x itself, rounded down to a tone, only chooses k:

        dx = 0

    Parameters
    ----------
    value_range : pair of float, default (0, 255)
        Of the pixels.
    clip_limit : float, default 4.0
        How many times as steep as a histogram that is even already; 0 and below for no limit.
    tile_grid_size : pair of int, default (8, 8)
        How many tiles there are along the height and the width.
    data_format, **kwargs : as in `RandomHue`

    Raises
    ------
    ValueError
        For a range that is no pair, or a grid that is not of positive integers.

    References
    ----------
    Zuiderveld, "Contrast limited adaptive histogram equalization", Graphics Gems IV, 1994.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import ContrastLimitedAdaptiveHistogramEqualization as CLAHE
    >>> x = np.arange(100.0, 116.0).reshape(1, 4, 4, 1)
    >>> y = CLAHE(tile_grid_size=(1, 1), clip_limit=0)(x)
    >>> y.min().item(), y.max().item(), float(y[0, 2, 0, 0])
    (15.9375, 255.0, 143.4375)
    """

    value_range: ValueRange = (0, 255)
    clip_limit: Number = 4.0
    tile_grid_size: Annotated[Any, per_axis(2)] = (8, 8)

    changeable = ("value_range", "clip_limit", "tile_grid_size")

    def change(self, x, drawn):
        scaled = channels_last(as_bytes(x, self.value_range), self.data_format)
        tones = tones_of(scaled, 256)
        y = self._between(tones, self._tables(tones), x.dtype)
        return channels_back(from_bytes(y, self.value_range), self.data_format), ()

    def reverse(self, dy, kept):
        return np.zeros_like(dy)

    def _tile(self, tones):
        """Height and width of a tile."""
        return tuple(-(-n // g) for n, g in zip(tones.shape[1:3], self.tile_grid_size, strict=True))

    def _tables(self, tones):
        """T of each tile: (N, rows, columns, C, 256)."""
        (rows, columns), (h, w) = self.tile_grid_size, self._tile(tones)
        n, height, width, channels = tones.shape
        more = (0, 0), (0, rows * h - height), (0, columns * w - width), (0, 0)
        tiles = np.pad(tones, more, "symmetric").reshape(n, rows, h, columns, w, channels)
        number = np.arange(n * rows * columns * channels).reshape(n, rows, 1, columns, 1, channels)
        counts = np.bincount((256 * number + tiles).ravel(), minlength=256 * number.size)
        counts = counts.reshape(n, rows, columns, channels, 256).astype(np.float64)
        if self.clip_limit > 0:
            cut = counts.clip(0, self.clip_limit * h * w / 256)
            counts = cut + (counts - cut).sum(-1, keepdims=True) / 256
        total = counts.cumsum(-1)
        first = total[..., :1]
        rest = h * w - first
        return ((total - first) * 255 / np.where(rest == 0, 1, rest)).clip(0, 255)

    def _between(self, tones, tables, dtype):
        """The mean of the four nearest tiles' T at each pixel."""
        n, height, width, channels = tones.shape
        tables = tables.astype(dtype)
        down, across = map(around, (height, width), self._tile(tones), self.tile_grid_size)
        image, channel = np.arange(n)[:, None, None, None], np.arange(channels)
        y = np.zeros(tones.shape, dtype)
        for i, near_i in down:
            for j, near_j in across:
                found = tables[image, i[:, None, None], j[:, None], channel, tones]
                y += found * (near_i[:, None] * near_j)[..., None].astype(dtype)
        return y


def tones_of(x: np.ndarray, count: int) -> np.ndarray:
    """x rounded down to one of the tones 0, 1, ..., count - 1; what is no number is tone 0."""
    return np.fmin(np.fmax(x, 0), count - 1).astype(np.intp)


def around(length, side, tiles):
    """The two tiles before and behind each of `length` pixels, and how near their centres are."""
    place = (np.arange(length) - side / 2) / side
    before = np.floor(place)
    return [
        (t.clip(0, tiles - 1).astype(np.intp), near)
        for t, near in ((before, 1 - (place - before)), (before + 1, place - before))
    ]
