"""Images made brighter or darker, and of more or less contrast, at random."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from backprop.arguments import Convert
from backprop.initializers.draws import Seed
from backprop.layers.images.base import ImageLayer
from backprop.layers.images.factors import Bounds, ValueRange, bounds, is_number, uniform
from backprop.layers.images.ranges import clipped, over


def spread(factor, who: str, name: str) -> tuple[float, float]:
    return bounds((factor, factor) if is_number(factor) else factor, who, name, least=0.0)


Spread = Annotated[Any, Convert(spread)]


class RandomContrast(ImageLayer):
    """y = clip(f x + (1 - f) ⟨x⟩), with ⟨x⟩ a channel's mean over an image, f drawn for each image.

        x, y: (N, H, W, C)    f: (N, 1, 1, 1), uniform between 1 - lower and 1 + upper

    Where y was clipped to the value range nothing gets through, d = dy there becomes 0. Each pixel
    reaches its own y and, through the mean, all others of its channel:

        dx = f d + (1 - f) ⟨d⟩

    Parameters
    ----------
    factor : float or pair of float
        (lower, upper), from 0 to 1, else a ValueError. f stands for (f, f), as Keras documents it.
    value_range : pair of float, default (0, 255)
        y is clipped to it.
    seed, data_format, **kwargs : as in `RandomFlip`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import RandomContrast
    >>> x = np.array([100.0, 110.0, 120.0]).reshape(1, 1, 3, 1)
    >>> y = RandomContrast(0.5, seed=0)(x, training=True).ravel()
    >>> y.tolist()[1], bool(5 < y[2] - y[1] < 15)
    (110.0, True)
    """

    factor: Spread
    value_range: ValueRange = (0, 255)
    seed: Seed = None

    changeable = ("factor", "value_range")

    def draw(self, x):
        lower, upper = self.factor
        return self.rng.uniform(1 - lower, 1 + upper, (len(x), 1, 1, 1)).astype(x.dtype)

    def change(self, x, f):
        y, passed = clipped(self._spread(x, f), self.value_range)
        return y, (f, passed)

    def reverse(self, dy, cache):
        f, within = cache
        return self._spread(dy * within, f)

    def _spread(self, x, f):
        """f x + (1 - f) ⟨x⟩, which is its own transpose."""
        height, width = self.sides
        mean = over(self.sides, np.sum, x) / (x.shape[height] * x.shape[width])
        mean = mean.repeat(x.shape[width], width)  # rows meet rows, and not pixels a pixel
        y = x - mean
        y *= f
        y += mean
        return y


class RandomBrightness(ImageLayer):
    """y = clip(x + b), with one b drawn for each image.

        x, y: (N, H, W, C)    b: (N, 1, 1, 1), uniform in factor times the value range's length

    Where y was clipped to the value range nothing gets through:

        dx = dy, and 0 where x + b lies outside of the range

    Parameters
    ----------
    factor : float or pair of float
        Bounds of b as parts of the value range, from -1 to 1. f stands for (-f, f).
    value_range, seed, data_format, **kwargs : as in `RandomContrast`, and so are the errors

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import RandomBrightness
    >>> x = np.array([100.0, 110.0, 250.0]).reshape(1, 1, 3, 1)
    >>> RandomBrightness((0.1, 0.1))(x, training=True).ravel()
    array([125.5, 135.5, 255. ], dtype=float32)
    """

    factor: Bounds
    value_range: ValueRange = (0, 255)
    seed: Seed = None

    changeable = ("factor", "value_range")

    def draw(self, x):
        low, high = self.value_range
        return (uniform(self.rng, self.factor, (len(x), 1, 1, 1)) * (high - low)).astype(x.dtype)

    def change(self, x, b):
        return clipped(x + b, self.value_range)

    def reverse(self, dy, passed):
        return dy * passed
