"""Images made softer or sharper: each pixel mixed with those around it."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from backprop.arguments import Convert, argument
from backprop.checks import integer
from backprop.initializers.draws import Seed
from backprop.layers.images.base import ImageLayer
from backprop.layers.images.factors import FromZero, ValueRange, some_of, uniform
from backprop.layers.images.ranges import clipped, of_images
from backprop.layers.windows import DataFormat


def blurred(x, axis: int, weights):
    """Each pixel the sum of those around it along an axis, weighted; beyond the border there are
    zeros.

        x, y: (N, ...)    weights: (n, r + 1), of a pixel itself and those 1 to r away

    n is N or 1. Both sides weigh alike, so the map is its own transpose.
    """
    y = x * of_images(weights[:, 0], x)
    ahead, behind = [slice(None)] * x.ndim, [slice(None)] * x.ndim
    for far in range(1, min(weights.shape[1], x.shape[axis])):
        ahead[axis], behind[axis] = slice(far, None), slice(-far)
        w = of_images(weights[:, far], x)
        y[tuple(ahead)] += w * x[tuple(behind)]
        y[tuple(behind)] += w * x[tuple(ahead)]
    return y


class RandomSharpness(ImageLayer):
    """y = clip(x + (1 - 2 f) (S x - x)), with S x softer than x, f drawn for each image.

        x, y: (N, H, W, C)    f: (N,), from factor, uniformly

        S x at a pixel: 5/13 of it and 1/13 of each of the eight around it, 0 beyond the border

    S is symmetric. With d = dy, and 0 where y was clipped to the value range:

        dx = d + (1 - 2 f) (S d - d)

    Parameters
    ----------
    factor : float or pair of float
        f, from 0 (soft) by 0.5 (as it is) to 1 (sharper). f stands for (0, f).
    value_range, data_format, seed, **kwargs : as in `RandomHue`, and so are the errors

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import RandomSharpness
    >>> x = np.zeros((1, 3, 3, 1))
    >>> x[0, 1, 1] = 130
    >>> RandomSharpness((0.0, 0.0))(x, training=True)[0, :, :, 0].round(3)
    array([[10., 10., 10.],
           [10., 50., 10.],
           [10., 10., 10.]], dtype=float32)
    """

    factor: FromZero
    value_range: ValueRange = (0, 255)
    data_format: DataFormat = argument(default=None)
    seed: Seed = None

    changeable = ("factor", "value_range")

    def draw(self, x):
        return uniform(self.rng, self.factor, len(x))

    def change(self, x, drawn):
        softness = of_images(1 - 2 * drawn, x)
        y, passed = clipped(self.mixed(x, softness), self.value_range)
        return y, (softness, passed)

    def reverse(self, dy, kept):
        softness, passed = kept
        return self.mixed(dy * passed, softness)

    def mixed(self, x, softness):
        """x + softness (S x - x), its own transpose."""
        rows, columns = self.sides
        nine = np.ones((1, 2))
        # S is 1/13 of the sum of all nine, and 4/13 more of the pixel itself
        return x + softness * (blurred(blurred(x, rows, nine), columns, nine) - 9 * x) / 13


def odd_sizes(value, who: str, name: str) -> tuple[int, int]:
    pair = value if isinstance(value, list | tuple) else (value, value)
    sizes = tuple(integer(n, who, name) for n in pair)
    if len(sizes) != 2 or any(n % 2 == 0 for n in sizes):
        raise ValueError(
            f"{who} expects {name} to be an odd number or two of them, got {value!r}: a window "
            "needs a middle"
        )
    return sizes[0], sizes[1]


class RandomGaussianBlur(ImageLayer):
    """y = clip(G x) or clip(x), by a draw for each image, with G a blur of a width that is drawn.

        x, y: (N, H, W, C)    s: (N, 2), across and down, from sigma, uniformly, and 1e-6

        (G x)[p, q] = Σ_ij g[i] g'[j] x[p + i, q + j],    g[i] = exp(-i²/2s²) / their sum

    for i and j from -(k-1)/2 to (k-1)/2, with zeros beyond the border. G is symmetric. With d = dy,
    and 0 where y was clipped to the value range:

        dx = G d for an image that was blurred, else d

    Parameters
    ----------
    factor : float or pair of float, default 1.0
        How likely an image is blurred: a number from 0 to 1, drawn for each image between these
        two. f stands for (0, f).
    kernel_size : int or pair of int, default 3
        k, across and down: odd.
    sigma : float or pair of float, default 1.0
        s, in pixels, from 0 to 1. f stands for (0, f).
    value_range, data_format, seed, **kwargs : as in `RandomHue`

    Raises
    ------
    ValueError
        For a factor or sigma beyond its bounds, or a size that is even.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import RandomGaussianBlur
    >>> x = np.array([0.0, 0.0, 100.0, 0.0, 0.0]).reshape(1, 1, 5, 1)
    >>> blur = RandomGaussianBlur((1.0, 1.0), (3, 1), (0.5, 0.5))
    >>> blur(x, training=True).ravel().round(2)
    array([ 0.  , 10.65, 78.7 , 10.65,  0.  ], dtype=float32)
    """

    factor: FromZero = 1.0
    kernel_size: Annotated[Any, Convert(odd_sizes)] = 3
    sigma: FromZero = 1.0
    value_range: ValueRange = (0, 255)
    data_format: DataFormat = argument(default=None)
    seed: Seed = None

    changeable = ("factor", "kernel_size", "sigma", "value_range")

    def draw(self, x):
        n = len(x)
        return some_of(self.rng, self.factor, n), uniform(self.rng, self.sigma, (n, 2)) + 1e-6

    def change(self, x, drawn):
        y, passed = clipped(self.softened(x, drawn), self.value_range)
        return y, (drawn, passed)

    def reverse(self, dy, kept):
        drawn, passed = kept
        return self.softened(dy * passed, drawn)

    def softened(self, x, drawn):
        """G x of the images that are blurred, its own transpose."""
        chosen, sigma = drawn
        y, sigma = x.copy(), sigma[chosen]
        rows, columns = self.sides
        across, down = self.kernel_size
        soft = blurred(x[chosen], rows, gaussian(down, sigma[:, 1]))
        y[chosen] = blurred(soft, columns, gaussian(across, sigma[:, 0]))
        return y


def gaussian(size: int, sigma):
    """Weights of a pixel and of those ahead of it, (n, (size + 1) / 2); with those behind it, which
    are the same, they sum to 1."""
    weights = np.exp(-0.5 * (np.arange((size + 1) // 2) / sigma[:, None]) ** 2)
    return weights / (2 * weights.sum(1, keepdims=True) - weights[:, :1])
