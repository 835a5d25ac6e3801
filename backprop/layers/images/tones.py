"""Images whose tones change: turned into negatives, cut to few, stretched over their range."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from backprop.arguments import Convert, argument
from backprop.checks import integer
from backprop.initializers.draws import Seed
from backprop.layers.images.base import ImageLayer
from backprop.layers.images.factors import FromZero, ValueRange, some_of, uniform
from backprop.layers.images.ranges import as_bytes, clipped, from_bytes, of_images, over
from backprop.layers.windows import DataFormat


class RandomInvert(ImageLayer):
    """y = low + high - x, the negative, or x itself, by a draw for each image.

        x, y: (N, H, W, C)    (low, high): the value range

    dx = -dy for an image that was turned into its negative, else dy.

    Parameters
    ----------
    factor : float or pair of float, default 1.0
        How likely an image is inverted: a number from 0 to 1, drawn for each image between these
        two. f stands for (0, f).
    value_range : pair of float, default (0, 255)
        Of the pixels.
    seed, data_format, **kwargs : as in `RandomHue`, and so are the errors

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import RandomInvert
    >>> x = np.array([0.0, 100.0, 255.0]).reshape(1, 1, 3, 1)
    >>> RandomInvert((1.0, 1.0))(x, training=True).ravel()
    array([255., 155.,   0.], dtype=float32)
    """

    factor: FromZero = 1.0
    value_range: ValueRange = (0, 255)
    seed: Seed = None

    changeable = ("factor", "value_range")

    def draw(self, x):
        return some_of(self.rng, self.factor, len(x))

    def change(self, x, drawn):
        # 1 - 2 where and the ends of the range: a sign and a number for each image
        sign = of_images(1 - 2 * drawn.astype(x.dtype), x)
        return sign * x + of_images(drawn * sum(self.value_range), x), sign

    def reverse(self, dy, kept):
        return kept * dy


def bits(factor, who: str, name: str) -> tuple[int, int]:
    """Numbers of bits, from 1 to 8, in order; f is (f, f)."""
    pair = factor if isinstance(factor, list | tuple) else (factor, factor)
    if len(pair) != 2 or max(integer(n, who, name) for n in pair) > 8:
        raise ValueError(
            f"{who} expects {name} to be from 1 to 8 bits, or a pair of these, got {factor!r}"
        )
    low, high = sorted(map(int, pair))
    return low, high


class RandomPosterization(ImageLayer):
    """y = s ⌊x / s⌋ with s = 2⁸⁻ᵇ, where b bits are kept of each channel.

        x, y: (N, H, W, C)    b: (N,), of factor

    The numbers are those of a pixel from 0 to 255, to which the value range is stretched. y is
    constant between steps, so that

        dx = 0

    Parameters
    ----------
    factor : int or pair of int
        b, from 1 to 8, else a ValueError. From a pair (m, n) one is drawn for each image, at least
        m and below n, as in Keras.
    value_range, data_format, seed, **kwargs : as in `RandomHue`, and so are the errors

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import RandomPosterization
    >>> x = np.array([10.0, 70.0, 130.0, 200.0]).reshape(1, 1, 4, 1)
    >>> RandomPosterization(2)(x, training=True).ravel()
    array([  0.,  64., 128., 192.], dtype=float32)
    """

    factor: Annotated[Any, Convert(bits)]
    value_range: ValueRange = (0, 255)
    data_format: DataFormat = argument(default=None)
    seed: Seed = None

    changeable = ("factor", "value_range")
    said_in_pairs = ("factor",)

    def draw(self, x):
        low, high = self.factor
        return self.rng.integers(low, max(high, low + 1), len(x))

    def change(self, x, drawn):
        step = of_images(2 ** (8 - drawn), x)
        y = np.floor(as_bytes(x, self.value_range).clip(0, 255) / step) * step
        return from_bytes(y, self.value_range), ()

    def reverse(self, dy, kept):
        return np.zeros_like(dy)


class Solarization(ImageLayer):
    """y = z below a threshold t, and the negative low + high - z from it on, of z = clip(x + a).

        x, y: (N, H, W, C)    a, t: (N,), drawn    (low, high): the value range

    With d = dy, and 0 where z was clipped to the value range:

        dx = d below the threshold, and -d from it on

    Parameters
    ----------
    addition_factor, threshold_factor : float or pair of float, default 0.0
        a, and how far t is above low, as parts of the value range, from 0 to 1. f stands for
        (0, f).
    value_range, seed, data_format, **kwargs : as in `RandomHue`, and so are the errors

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Solarization
    >>> x = np.array([59.0, 162.0, 163.0]).reshape(1, 1, 3, 1)
    >>> Solarization()(x, training=True).ravel()
    array([196.,  93.,  92.], dtype=float32)
    """

    addition_factor: FromZero = 0.0
    threshold_factor: FromZero = 0.0
    value_range: ValueRange = (0, 255)
    seed: Seed = None

    changeable = ("addition_factor", "threshold_factor", "value_range")

    def draw(self, x):
        return tuple(
            uniform(self.rng, factor, len(x))
            for factor in (self.addition_factor, self.threshold_factor)
        )

    def change(self, x, drawn):
        low, high = self.value_range
        a, t = (of_images(part * (high - low), x) for part in drawn)
        z, passed = clipped(x + a, self.value_range)
        # a sign and a number for each pixel: a choice by np.where takes ten times as long
        slope = (z >= low + t).astype(x.dtype)
        turned = slope * x.dtype.type(low + high)
        slope *= -2
        slope += 1
        z *= slope
        z += turned
        slope *= passed
        return z, slope

    def reverse(self, dy, kept):
        return dy * kept


class Always(ImageLayer):
    """What changes images without a draw, and so in inference too."""

    def plan(self, x, training):
        return self.draw(x)

    def draw(self, x):
        return ()


class AutoContrast(Always):
    """y = low + (high - low) t, where t = (x - a) / (b - a), in training and in inference.

        x, y: (N, H, W, C)    a, b: the least and the largest number of an image's channel

    (low, high) is the value range. A channel of one number alone stays as it is. With
    R = high - low, and sums over the pixels of a channel:

        dx = R / (b - a) (dy + α Σ dy (t - 1) - β Σ dy t)

    where α is 1 at the pixel that is the least and 0 elsewhere, β at the largest; several share.

    Parameters
    ----------
    value_range : pair of float, default (0, 255)
        Over which the numbers are stretched, else a ValueError.
    data_format, **kwargs : as in `RandomHue`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import AutoContrast
    >>> x = np.array([10.0, 20.0, 50.0]).reshape(1, 1, 3, 1)
    >>> AutoContrast()(x).ravel()
    array([  0.  ,  63.75, 255.  ], dtype=float32)
    """

    value_range: ValueRange = (0, 255)

    changeable = ("value_range",)

    def change(self, x, drawn):
        low, high = self.value_range
        a, b = over(self.sides, np.min, x), over(self.sides, np.max, x)
        varied = b > a
        span = np.where(varied, b - a, 1)
        t = (x - a) / span  # and exactly 1 where x is b
        return np.where(varied, low + (high - low) * t, x), (t, span, varied)

    def reverse(self, dy, kept):
        t, span, varied = kept
        low, high = self.value_range
        of_t = over(self.sides, np.sum, dy * t)
        dx = dy + self.shared(t == 0, of_t - over(self.sides, np.sum, dy))
        dx -= self.shared(t == 1, of_t)
        return np.where(varied, (high - low) / span * dx, dy)

    def shared(self, where, d):
        """d of each channel, divided evenly among the pixels that are meant."""
        return where * (d / over(self.sides, np.sum, where).clip(1)).astype(d.dtype)
