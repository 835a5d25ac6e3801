"""Windows that slide over images: where they lie, and the pixels that they see.

Convolution and pooling share this; neither holds any arithmetic of places and paddings of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from backprop.checks import one_of

Array = np.ndarray
Shape = tuple[Any, ...]  # lengths, None where unknown


@dataclass(frozen=True)
class Windows:
    """Windows of `size` pixels that lie `dilation` apart, one every `strides` pixels.

    They slide along axes 1 and 2 of an image. With n pixels along an axis and a window that spans
    dilation * (size - 1) + 1 of them, there are

        valid    floor((n - span) / stride) + 1 windows, all inside the image
        same     ceil(n / stride) windows, over an image with a margin; the larger half is behind it
    """

    size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: str = "valid"
    dilation: tuple[int, ...] = (1, 1)

    def counts(self, sizes: Shape) -> Shape:
        """Number of windows along each axis of an image of these sizes; below 1 if none fits."""
        spans = [d * (k - 1) + 1 for k, d in zip(self.size, self.dilation, strict=True)]
        lost = [span - 1 if self.padding == "valid" else 0 for span in spans]
        return tuple(
            None if n is None else (n - m - 1) // s + 1
            for n, m, s in zip(sizes, lost, self.strides, strict=True)
        )

    def margins(self, sizes: tuple[int, ...]) -> list[tuple[int, int]]:
        """Pixels to put before and behind the image along each axis."""
        found = []
        for n, windows, k, s, d in zip(
            sizes, self.counts(sizes), self.size, self.strides, self.dilation, strict=True
        ):
            total = max((windows - 1) * s + d * (k - 1) + 1 - n, 0)
            found.append((total // 2, total - total // 2))
        return found

    def pad(self, x: Array, fill: float = 0.0) -> Array:
        """`x` with its margins; `x` itself where it needs none."""
        margins = self.margins(x.shape[1:3])
        if not any(map(any, margins)):
            return x
        return np.pad(x, [(0, 0), *margins, *[(0, 0)] * (x.ndim - 3)], constant_values=fill)

    def crop(self, padded: Array, sizes: tuple[int, ...]) -> Array:
        """The image of these sizes inside what `pad` returned: a view."""
        (top, _), (left, _) = self.margins(sizes)
        return padded[:, top : top + sizes[0], left : left + sizes[1]]

    def patches(self, padded: Array) -> Array:
        """All pixels of every window, (N, windows, windows, ..., size, size, last axis): a view."""
        spans = [d * (k - 1) + 1 for k, d in zip(self.size, self.dilation, strict=True)]
        (sh, sw), (dh, dw) = self.strides, self.dilation
        view = sliding_window_view(padded, spans, axis=(1, 2))[:, ::sh, ::sw, ..., ::dh, ::dw]
        return np.moveaxis(view, (-2, -1), (-3, -2))

    def pixels(self, padded: Array) -> Iterator[Array]:
        """For each place (u, v) in a window, row by row: that pixel of every window, a view."""
        spans = [d * (k - 1) + 1 for k, d in zip(self.size, self.dilation, strict=True)]
        (h, w), (sh, sw), (dh, dw) = padded.shape[1:3], self.strides, self.dilation
        for u, v in product(range(self.size[0]), range(self.size[1])):
            top, left = u * dh, v * dw
            yield padded[:, top : h - spans[0] + top + 1 : sh, left : w - spans[1] + left + 1 : sw]


def standard_padding(padding: Any, who: str) -> str:
    return one_of(
        padding.lower() if isinstance(padding, str) else padding, ("valid", "same"), who, "padding"
    )


def standard_format(data_format: Any, who: str) -> str:
    return one_of(
        data_format or "channels_last", ("channels_last", "channels_first"), who, "data_format"
    )


def channels_last(x: Array, data_format: str) -> Array:
    """`x` with its channels behind all other axes: a view."""
    return x if data_format == "channels_last" else np.moveaxis(x, 1, -1)


def channels_back(x: Array, data_format: str) -> Array:
    """A channels-last array in the format of the user: a view."""
    return x if data_format == "channels_last" else np.moveaxis(x, -1, 1)


def shape_last(shape: Shape, data_format: str) -> Shape:
    """The shape of `channels_last`."""
    return tuple(shape) if data_format == "channels_last" else (shape[0], *shape[2:], shape[1])


def shape_back(shape: Shape, data_format: str) -> Shape:
    """The shape of `channels_back`."""
    return tuple(shape) if data_format == "channels_last" else (shape[0], shape[-1], *shape[1:-1])
