"""Images of which a part is missing."""

from __future__ import annotations

from math import isfinite
from typing import Annotated, Any

import numpy as np

from backprop.arguments import Convert
from backprop.initializers.draws import Seed
from backprop.layers.images.base import ImageLayer
from backprop.layers.images.factors import FromZero, ValueRange, is_number, some_of, uniform


def fill_of(value, who: str, name: str):
    """One number, or one for each channel."""
    if is_number(value) and isfinite(value):
        return float(value)
    if (
        isinstance(value, list | tuple)
        and value
        and all(is_number(v) and isfinite(v) for v in value)
    ):
        return tuple(map(float, value))
    raise ValueError(
        f"{who} expects {name} to be a number, one for each channel, or None for noise, got "
        f"{value!r}"
    )


class RandomErasing(ImageLayer):
    """y = x but in a rectangle, where it is `fill_value`, or noise.

        x, y: (N, H, W, C)    erased: (N, H, W)

        y = fill where erased, else x        dx = 0 where erased, else dy

    The rectangle is sqrt(a) H high and sqrt(b) W wide, with a and b drawn for each image from
    `scale`, and lies anywhere in it.

    Parameters
    ----------
    factor : float or pair of float, default 1
        Share of the images of which a part is erased, from 0 to 1: for each image it is drawn
        between the two; f stands for (0, f).
    scale : float or pair of float, default (0.02, 0.33)
        Bounds of a and b, the part of the image that is erased, from 0 to 1. f stands for (0, f).
    fill_value : float or sequence of float, optional
        One number, or one for each channel. Default: normal noise, as wide as the upper end of
        `value_range`.
    value_range : pair of float, default (0, 255)
        What is filled in is clipped to it.
    seed, data_format, **kwargs : as in `RandomFlip`

    Raises
    ------
    ValueError
        For a number beyond its bounds, or not as many fill values as channels.

    Source: Zhong, Zheng, Kang, Li and Yang, Random erasing data augmentation, 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import RandomErasing
    >>> x = np.ones((1, 4, 5, 1))
    >>> RandomErasing(scale=(0.25, 0.25), fill_value=0.0, seed=0)(x)[0, :, :, 0]
    array([[1., 1., 1., 1., 1.],
           [1., 0., 0., 1., 1.],
           [1., 0., 0., 1., 1.],
           [1., 1., 1., 1., 1.]], dtype=float32)
    """

    factor: FromZero = 1.0
    scale: FromZero = (0.02, 0.33)
    fill_value: Annotated[Any, Convert(fill_of)] = None
    value_range: ValueRange = (0, 255)
    seed: Seed = None

    changeable = ("factor", "scale", "fill_value", "value_range")

    def build(self, input_shape):
        super().build(input_shape)
        channels = input_shape[self.channel_axis]
        if isinstance(self.fill_value, tuple) and channels not in (None, len(self.fill_value)):
            raise ValueError(
                f"{self!r} has {len(self.fill_value)} fill values and was given images of "
                f"{channels} channels: give it as many"
            )

    def draw(self, x):
        n, sizes = len(x), np.array([x.shape[axis] for axis in self.sides])
        lengths = np.sqrt(uniform(self.rng, self.scale, (n, 2))) * sizes
        starts = self.rng.random((n, 2)) * (sizes - lengths)
        rows, columns = [
            (np.arange(size) >= first[:, None]) & (np.arange(size) < (first + length)[:, None])
            for size, first, length in zip(sizes, starts.T, lengths.T, strict=True)
        ]
        erased = rows[:, :, None] & columns[:, None, :]
        erased &= some_of(self.rng, self.factor, n)[:, None, None]
        return np.expand_dims(erased, self.channel_axis), self._fill(x)

    def _fill(self, x):
        low, high = self.value_range
        if self.fill_value is None:
            fill = self.rng.normal(size=x.shape) * high
        elif isinstance(self.fill_value, tuple):
            shape = [1, 1, 1, 1]
            shape[self.channel_axis] = len(self.fill_value)
            fill = np.reshape(self.fill_value, shape)
        else:
            fill = np.asarray(self.fill_value)
        return fill.clip(low, high).astype(x.dtype)

    def change(self, x, drawn):
        erased, fill = drawn
        return np.where(erased, fill, x), erased

    def reverse(self, dy, erased):
        return np.where(erased, dy.dtype.type(0), dy)
