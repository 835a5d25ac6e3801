"""Windows that slide over images: where they lie, and the pixels that they see.

Convolution and pooling share this; neither holds any arithmetic of places and paddings of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from backprop.arguments import Convert
from backprop.checks import one_of
from backprop.masks import between

Array = np.ndarray
Shape = tuple[Any, ...]  # lengths, None where unknown
Sizes = Any  # an argument: one positive integer for all axes, or one for each


@dataclass(frozen=True)
class Windows:
    """Windows of `size` pixels that lie `dilation` apart, one every `strides` pixels.

    They slide along the axes behind the batch, as many as `size` has numbers: the steps of a
    sequence, the rows and columns of an image, the three axes of a volume. With n pixels along an
    axis and a window that spans dilation * (size - 1) + 1 of them, there are

        valid    floor((n - span) / stride) + 1 windows, all inside the image
        same     ceil(n / stride) windows, over an image with a margin; the larger half is behind it
        causal   ceil(n / stride) windows, over an image with a margin in front of it alone
    """

    size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: str = "valid"
    dilation: tuple[int, ...] = ()  # 1 along every axis

    def __post_init__(self):
        object.__setattr__(self, "dilation", self.dilation or (1,) * len(self.size))

    @property
    def spans(self) -> tuple[int, ...]:
        """Pixels from the first to the last of a window, along each axis."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.size, self.dilation, strict=True))

    def counts(self, sizes: Shape) -> Shape:
        """Number of windows along each axis of an image of these sizes; below 1 if none fits."""
        lost = [span - 1 if self.padding == "valid" else 0 for span in self.spans]
        return tuple(
            None if n is None else (n - m - 1) // s + 1
            for n, m, s in zip(sizes, lost, self.strides, strict=True)
        )

    def margins(self, sizes: tuple[int, ...]) -> list[tuple[int, int]]:
        """Pixels to put before and behind the image along each axis."""
        if self.padding == "causal":
            return [(span - 1, 0) for span in self.spans]
        found = []
        for n, windows, span, s in zip(
            sizes, self.counts(sizes), self.spans, self.strides, strict=True
        ):
            total = max((windows - 1) * s + span - n, 0)
            found.append((total // 2, total - total // 2))
        return found

    def padded(self, sizes: tuple[int, ...]) -> tuple[int, ...]:
        """The sizes of the image with its margins."""
        return tuple(b + n + a for n, (b, a) in zip(sizes, self.margins(sizes), strict=True))

    @property
    def anchored(self) -> bool:
        """Whether the first window lies at the same place whatever the length of an image is."""
        if self.padding != "same":
            return True
        return all(
            max(span - s, 0) // 2 == max(span - 1, 0) // 2
            for span, s in zip(self.spans, self.strides, strict=True)
        )

    def mask(self, real: Array) -> Array:
        """Which windows over sequences are real: (N, T) → (N, windows).

        Those that the sequence has without the padding around it, and that see a real step. With
        "valid" they lie between the first real step and the last. Otherwise there is one for every
        `stride` steps, and it is real where one of these is; with a stride of 1 that is the mask
        of x.
        """
        real, _ = self.aligned(real)
        seen = self.any_of(self.pad(real[:, :, None], False))
        (span,), (stride,), count = self.spans, self.strides, seen.shape[1]
        if self.padding == "valid":
            inside = between(real)
            first, last = inside[:, ::stride], inside[:, span - 1 :: stride]
            return seen & first[:, :count] & last[:, :count]
        own = np.zeros((len(real), count * stride), bool)
        own[:, : real.shape[1]] = real
        return seen & own.reshape(len(real), count, stride).any(2)

    def aligned(self, real: Array) -> tuple[Array, Array | None]:
        """The mask of sequences that are moved forward, each by less than a stride, so that the
        padding in front of it is a number of whole strides, as it is without any; and which step
        comes to each place: (N, T), None where all stay."""
        (stride,) = self.strides
        shift = real.argmax(1) % stride
        if not shift.any():
            return real, None
        order = (np.arange(real.shape[1]) + shift[:, None]) % real.shape[1]
        return np.take_along_axis(real, order, 1), order

    @property
    def caveat(self) -> str:
        """What a mask cannot help: for a user whose windows are not `anchored`."""
        return (
            "lays its windows by the length of the padded sequence, so the number of padded steps "
            'still moves them: take padding="valid" or "causal", or strides=1'
        )

    def any_of(self, padded: Array) -> Array:
        """Whether any of a window's flags is set: (N, T with its margins, 1) → (N, windows)."""
        return np.logical_or.reduce([pixel[:, :, 0] for pixel in self.pixels(padded)])

    def pad(self, x: Array, fill: float = 0.0) -> Array:
        """`x` with its margins; `x` itself where it needs none."""
        sizes = x.shape[1 : 1 + len(self.size)]
        margins = self.margins(sizes)
        if not any(map(any, margins)):
            return x
        padded = np.empty((len(x), *self.padded(sizes), *x.shape[1 + len(sizes) :]), x.dtype)
        for axis, (n, (before, _)) in enumerate(zip(sizes, margins, strict=True), 1):
            along = padded.swapaxes(0, axis)
            along[:before] = along[before + n :] = fill
        self.crop(padded, sizes)[...] = x
        return padded

    def crop(self, padded: Array, sizes: tuple[int, ...]) -> Array:
        """The image of these sizes inside what `pad` returned: a view."""
        before = (first for first, _ in self.margins(sizes))
        return padded[:, *(slice(b, b + n) for b, n in zip(before, sizes, strict=True))]

    def patches(self, padded: Array) -> Array:
        """All pixels of every window, (N, windows ..., ..., size ..., last axis): a view."""
        n, *lengths, last = padded.shape
        axes = len(self.size)
        counts = [
            (length - span) // stride + 1
            for length, span, stride in zip(lengths, self.spans, self.strides, strict=False)
        ]
        first, *steps, number = padded.strides
        across = (step * s for step, s in zip(steps, self.strides, strict=False))
        within = (step * d for step, d in zip(steps, self.dilation, strict=False))
        return as_strided(
            padded,
            (n, *counts, *lengths[axes:], *self.size, last),
            (first, *across, *steps[axes:], *within, number),
            writeable=False,
        )

    def pixels(self, padded: Array) -> Iterator[Array]:
        """For each place in a window, row by row: that pixel of every window, a view."""
        room = [n - span + 1 for n, span in zip(padded.shape[1:], self.spans, strict=False)]
        for place in product(*map(range, self.size)):
            first = [u * d for u, d in zip(place, self.dilation, strict=True)]
            yield padded[
                :, *(slice(f, f + n, s) for f, n, s in zip(first, room, self.strides, strict=True))
            ]


def in_order(x: Array, order: Array | None, axis: int) -> Array:
    """x with its steps, which lie along `axis`, in the order that `Windows.aligned` says."""
    return x if order is None else np.take_along_axis(x, beside_steps(order, axis), axis)


def put_back(dy: Array, order: Array | None, axis: int) -> Array:
    """The inverse of `in_order`."""
    return dy if order is None else in_order(dy, order.argsort(1), axis)


def beside_steps(of_steps: Array, axis: int) -> Array:
    """(N, T) in the shape in which it meets sequences whose steps lie along axis 1 or 2."""
    return np.expand_dims(of_steps, 3 - axis)


def standard_padding(padding: Any, who: str, choices: tuple = ("valid", "same")) -> str:
    """`padding` in small letters, if it is one of the choices."""
    return one_of(padding.lower() if isinstance(padding, str) else padding, choices, who, "padding")


Padding = Annotated[str, Convert(lambda value, who, name: standard_padding(value, who))]


def standard_format(data_format: Any, who: str, name: str = "data_format") -> str:
    found = "channels_last" if data_format is None else data_format
    return one_of(found, ("channels_last", "channels_first"), who, name)


DataFormat = Annotated[Any, Convert(standard_format, none=True)]


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
