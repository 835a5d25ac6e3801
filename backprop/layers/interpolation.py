"""Lines of pixels made longer or shorter: each new pixel is a mean of old ones, with weights that
depend on where it lies.

Resizing and upsampling share this; an image is resized along one axis and then along the other.
"""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from backprop.arguments import Convert
from backprop.checks import one_of
from backprop.tuning import CHANNELS_SIDE_BY_SIDE, INTERPOLATED_COLUMNS, INTERPOLATED_ROWS

Array = np.ndarray

METHODS = ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5")


def method_of(value, who: str, name: str) -> str:
    return one_of(value.lower() if isinstance(value, str) else value, METHODS, who, name)


Method = Annotated[str, Convert(method_of)]


def weights(n: int, m: int, method: str, antialias: bool = False) -> Array:
    """R: (m, n), by which m pixels are made of n: y = R x, so dx = Rᵀ dy.

    Pixels are areas and not points: pixel a of y covers what lies around the place

        p = (a + 1/2) n / m - 1/2

    in pixels of x from their centres. nearest takes the pixel there; the others weigh pixel i by
    k(|p - i|), with weights that are made to sum to 1, so that beyond the border nothing is
    missed. With `antialias` the kernel k is wider by n / m where x is the longer, and no pixel of x
    is passed over.
    """
    place = (np.arange(m) + 0.5) * (n / m) - 0.5
    if method == "nearest":
        return (np.floor(place + 0.5)[:, None] == np.arange(n)).astype(np.float64)
    width = max(n / m, 1.0) if antialias else 1.0
    r = KERNELS[method](np.abs(place[:, None] - np.arange(n)) / width)
    return r / r.sum(1, keepdims=True)


def along(axis: int, r: Array, x: Array) -> Array:
    """R x along an axis."""
    r = r.astype(x.dtype, copy=False)
    before, behind = x.shape[:axis], x.shape[axis + 1 :]
    beside = math.prod(behind)
    if beside < CHANNELS_SIDE_BY_SIDE:
        return with_channels(r, x.reshape(-1, x.shape[axis] * beside), beside).reshape(
            *before, len(r), *behind
        )
    x = x.reshape(math.prod(before), x.shape[axis], beside)
    y = np.empty((len(x), len(r), beside), x.dtype)
    for i in range(0, len(r), INTERPOLATED_ROWS):
        part = slice(i, i + INTERPOLATED_ROWS)
        near = neighbours(r[part])
        np.matmul(r[part, near], x[:, near], out=y[:, part])
    return y.reshape(*before, len(r), *behind)


def with_channels(r: Array, x: Array, channels: int) -> Array:
    """R x for rows of pixels, which are a few channels each: (n, pixels * channels).

    Some pixels of y at a time are a product with few columns, those of the pixels that they are
    made of: as many as there are rows, where a product for each row would be small.
    """
    y = np.empty((len(x), len(r) * channels), x.dtype)
    step = max(INTERPOLATED_COLUMNS // channels, 1)
    for i in range(0, len(r), step):
        part = r[i : i + step]
        near = neighbours(part)
        of_pixels = part[:, near]
        of_numbers = np.zeros((*of_pixels.shape, channels, channels), r.dtype)
        of_numbers[:, :, range(channels), range(channels)] = of_pixels[:, :, None]
        factor = of_numbers.transpose(1, 2, 0, 3).reshape(-1, len(part) * channels)
        columns = slice(near.start * channels, near.stop * channels)
        y[:, i * channels : (i + step) * channels] = x[:, columns] @ factor
    return y


def neighbours(r: Array) -> slice:
    """The columns from the first to the last that are not 0 in these rows."""
    used = np.flatnonzero(r.any(0))
    return slice(used[0], used[-1] + 1) if len(used) else slice(0, 0)


def triangle(d: Array) -> Array:
    return np.maximum(1 - d, 0)


def cubic(d: Array) -> Array:
    """Keys' kernel, with a = -1/2."""
    near, far = (1.5 * d - 2.5) * d * d + 1, ((-0.5 * d + 2.5) * d - 4) * d + 2
    return np.where(d < 1, near, np.where(d < 2, far, 0.0))


def lanczos(d: Array, reach: int) -> Array:
    return np.where(d <= reach, np.sinc(d) * np.sinc(d / reach), 0.0)


KERNELS = {
    "bilinear": triangle,
    "bicubic": cubic,
    "lanczos3": lambda d: lanczos(d, 3),
    "lanczos5": lambda d: lanczos(d, 5),
}
