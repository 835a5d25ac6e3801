"""Images changed at random in training, each by a draw of its own; in inference y = x.

Each change is a linear map of the pixels and a constant, so the gradient goes through its
transpose: the layers may stand anywhere in a model.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np

from backprop.arguments import Convert
from backprop.checks import choice
from backprop.layer import INFERENCE, InputSpec, Layer
from backprop.layers.windows import DataFormat, channels_back, channels_last
from backprop.tuning import INTERPOLATED_PIXELS

FILL_MODES = ("reflect", "wrap", "constant", "nearest")
INTERPOLATIONS = ("nearest", "bilinear")


class InTraining(Layer):
    """y = x but in training; there `change` makes y, and what `reverse` needs for dx."""

    input_spec = InputSpec(ndim=4)

    def change(self, x) -> Any:
        raise TypeError(f"{type(self).__name__} has no change(self, x): write one")

    def reverse(self, dy, kept, /) -> Any:
        raise TypeError(f"{type(self).__name__} has no reverse(self, dy, kept): write one")

    def forward(self, x, ctx=INFERENCE):
        return self.change(x) if ctx.training else (x, None)

    def backward(self, dy, kept, /):
        return dy if kept is None else self.reverse(dy, kept)


class OfImages(InTraining):
    """What moves or mixes the pixels of an image, none of which is a step that a mask could
    hide."""

    def obeys_mask(self, x, mask):
        return mask.ndim == 1


class RandomFlip(OfImages):
    """y = x or x mirrored, each with probability 1/2: y[n, i, j] = x[n, i, W-1-j] horizontally.

        x, y: (N, H, W, C)

    Mirroring moves entries about, and is its own inverse: dx is dy, mirrored where x was. With
    "horizontal_and_vertical" one draw decides about both, as in Keras: an image is turned upside
    down or left alone.

    Parameters
    ----------
    mode : {"horizontal_and_vertical", "horizontal", "vertical"}
    seed : int, optional
        Of the layer's generator. Default: from `utils.set_random_seed`.
    data_format : {"channels_last", "channels_first"}, optional
        Default: last.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        For another mode.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import RandomFlip
    >>> x = np.array([1.0, 2.0, 3.0]).reshape(1, 1, 3, 1)
    >>> flip = RandomFlip("horizontal", seed=1)
    >>> [flip(x, training=True).ravel().tolist() for _ in range(3)]
    [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]
    """

    mode: Annotated[str, choice("horizontal_and_vertical", "horizontal", "vertical")] = (
        "horizontal_and_vertical"
    )
    seed: int | None = None
    data_format: DataFormat = None

    changeable = ("mode",)

    def change(self, x):
        flipped = self.rng.random(len(x)) <= 0.5
        return self._mirrored(x, flipped), flipped

    def reverse(self, dy, flipped):
        return self._mirrored(dy, flipped)

    def _mirrored(self, x, flipped):
        height, width = (2, 3) if self.data_format == "channels_first" else (1, 2)
        axes = {"vertical": (height,), "horizontal": (width,)}.get(self.mode, (height, width))
        return np.where(flipped[:, None, None, None], np.flip(x, axes), x)


class Affine(OfImages, kw_only=True, by_position=True):
    """What moves, turns and zooms images: y at a pixel (i, j) is x at the place
    A (i, j, 1), by interpolation.

        x, y: (N, H, W, C)    A: (N, 2, 3), from a draw for each image

    The place lies between four pixels, and y is their mean with the weights of `Interpolation`: a
    sparse matrix S of one row for each pixel of y. A pixel of x collects what it gave to each:

        y = S x + c        dx = Sᵀ dy

    A subclass has `maps`, which draws A.
    """

    fill_mode: Annotated[str, choice(*FILL_MODES)] = "reflect"
    interpolation: Annotated[str, choice(*INTERPOLATIONS)] = "bilinear"
    seed: int | None = None
    fill_value: Annotated[float, Convert(lambda value, who, name: float(value))] = 0.0
    data_format: DataFormat = None

    changeable = (
        *("factor", "height_factor", "width_factor"),
        *("fill_mode", "interpolation", "fill_value"),
    )

    def maps(self, n: int, height: int, width: int) -> np.ndarray:
        """A for n images."""
        raise TypeError(f"{type(self).__name__} has no maps(self, n, height, width): write one")

    def change(self, x):
        x = channels_last(x, self.data_format)
        maps = self.maps(*x.shape[:3])
        y = np.empty(x.shape, x.dtype)
        for at, s, rest in self._parts(maps, x):
            y[at] = (s @ x[at].reshape(-1, x.shape[-1])).reshape(y[at].shape)
            if self.fill_value:
                y[at] += rest[..., None] * x.dtype.type(self.fill_value)
        return channels_back(y, self.data_format), maps

    def reverse(self, dy, maps):
        dy = channels_last(dy, self.data_format)
        dx = np.empty(dy.shape, dy.dtype)
        # S is made again and not kept: a layer at the front of a model is never reversed
        for at, s, _ in self._parts(maps, dy):
            dx[at] = (s.T @ dy[at].reshape(-1, dy.shape[-1])).reshape(dx[at].shape)
        return channels_back(dx, self.data_format)

    def _parts(self, maps, x) -> Iterator[tuple[slice, Any, np.ndarray]]:
        """Some images at a time: which, their S, and the share of the fill in each pixel."""
        n, height, width, _ = x.shape
        step = max(INTERPOLATED_PIXELS // max(height * width, 1), 1)
        for i in range(0, n, step):
            at = slice(i, i + step)
            yield at, *self._interpolated(maps[at], height, width, x.dtype)

    def _interpolated(self, maps, height, width, dtype):
        """S for some images, in CSR, and what of each pixel's weight lies outside of the image."""
        from scipy.sparse import csr_array  # here, because it takes longer to import than NumPy

        i, j = np.mgrid[:height, :width]
        a = maps[:, :, :, None, None]
        places = a[:, :, 0] * i + a[:, :, 1] * j + a[:, :, 2]  # (n, 2, height, width)
        rows = taps(places[:, 0], height, self.interpolation, self.fill_mode)
        columns = taps(places[:, 1], width, self.interpolation, self.fill_mode)
        first = np.arange(len(maps))[:, None, None] * (height * width)
        index = [first + p * width + q for p, _ in rows for q, _ in columns]
        weight = [v * w for _, v in rows for _, w in columns]
        total = len(maps) * height * width
        s = csr_array(
            (
                np.stack(weight, -1).ravel().astype(dtype),
                np.stack(index, -1).ravel(),
                np.arange(total + 1) * len(weight),
            ),
            shape=(total, total),
        )
        return s, (1 - np.sum(weight, 0)).astype(dtype)


def taps(place, n, interpolation, fill_mode):
    """The pixels along an axis of n on which a place falls, each with its weight: the nearest, or
    the two on its sides, weighted by how near they are."""
    if interpolation == "nearest":
        near = np.floor(place + 0.5)
        pairs = [(near, np.ones_like(place))]
    else:
        below = np.floor(place)
        pairs = [(below, 1 - (place - below)), (below + 1, place - below)]
    return [inside(pixel.astype(np.intp), weight, n, fill_mode) for pixel, weight in pairs]


def inside(pixel, weight, n, fill_mode):
    """The pixel of the image that stands for one beyond its border, and its weight."""
    if fill_mode == "constant":
        weight = weight * ((pixel >= 0) & (pixel < n))
    if fill_mode == "wrap":  # a b c d | a b c d | a b c d
        return pixel % n, weight
    if fill_mode == "reflect":  # d c b a | a b c d | d c b a
        pixel = pixel % (2 * n)
        return np.minimum(pixel, 2 * n - 1 - pixel), weight
    return pixel.clip(0, n - 1), weight


class RandomTranslation(Affine):
    """y[n, i, j] = x[n, i - v, j - h], with v and h drawn for each image.

        x, y: (N, H, W, C)    v from height_factor * H, h from width_factor * W, uniformly

    Between pixels x is interpolated and beyond its border continued: y = S x + c with a sparse
    matrix S, so that dx = Sᵀ dy (see `Affine`).

    Parameters
    ----------
    height_factor, width_factor : float or pair of float
        Bounds of the shift as parts of the height and width, from -1 to 1; positive is down and
        right. f stands for (-f, f).
    fill_mode : {"reflect", "wrap", "constant", "nearest"}
        What is beyond the border: dcba|abcd|dcba, abcd|abcd|abcd, `fill_value`, aaaa|abcd|dddd.
    interpolation : {"bilinear", "nearest"}
    fill_value : float, default 0
        For ``fill_mode="constant"``.
    seed, data_format, **kwargs : as in `RandomFlip`

    Raises
    ------
    ValueError
        For another mode, or a factor beyond its bounds.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import RandomTranslation
    >>> x = np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 4, 1)
    >>> RandomTranslation(0.0, (0.25, 0.25), "constant")(x, training=True).ravel()
    array([0., 1., 2., 3.], dtype=float32)
    """

    height_factor: Bounds
    width_factor: Bounds

    def maps(self, n, height, width):
        a = identity(n)
        a[:, 0, 2] = -height * uniform(self.rng, self.height_factor, n)
        a[:, 1, 2] = -width * uniform(self.rng, self.width_factor, n)
        return a


class RandomRotation(Affine):
    """y = x turned about its centre by an angle that is drawn for each image.

        x, y: (N, H, W, C)    angle: (N,), from 2π factor, uniformly

        y[n, i, j] = x at (ci + i' cos + j' sin, cj + j' cos - i' sin)

    with the centre c = ((H-1)/2, (W-1)/2), i' = i - ci and j' = j - cj. Between pixels x is
    interpolated and beyond its border continued: y = S x + c with a sparse matrix S, so that
    dx = Sᵀ dy (see `Affine`).

    Parameters
    ----------
    factor : float or pair of float
        Bounds of the angle as parts of a whole turn, from -1 to 1; positive is counter-clockwise.
        f stands for (-f, f).
    fill_mode, interpolation, seed, fill_value, data_format, **kwargs
        As in `RandomTranslation`, and so are the errors.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import RandomRotation
    >>> x = np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1)
    >>> RandomRotation((0.25, 0.25))(x, training=True)[0, :, :, 0].round(3)
    array([[2., 4.],
           [1., 3.]], dtype=float32)
    """

    factor: Bounds

    def maps(self, n, height, width):
        angle = 2 * np.pi * uniform(self.rng, self.factor, n)
        a = identity(n)
        a[:, 0, 0] = a[:, 1, 1] = np.cos(angle)
        a[:, 0, 1] = np.sin(angle)
        a[:, 1, 0] = -np.sin(angle)
        return about_the_centre(a, height, width)


class RandomZoom(Affine):
    """y = x, smaller or larger by factors that are drawn for each image.

        x, y: (N, H, W, C)    v from 1 + height_factor, h from 1 + width_factor, uniformly

        y[n, i, j] = x at (v (i - ci) + ci, h (j - cj) + cj),    c = ((H-1)/2, (W-1)/2)

    So above 1 what is seen is smaller. Between pixels x is interpolated and beyond its border
    continued: y = S x + c with a sparse matrix S, so that dx = Sᵀ dy (see `Affine`).

    Parameters
    ----------
    height_factor : float or pair of float
        Bounds above -1 and up to 1; positive zooms out. f stands for (-f, f).
    width_factor : float or pair of float, optional
        Default: the width is zoomed as the height is.
    fill_mode, interpolation, seed, fill_value, data_format, **kwargs
        As in `RandomTranslation`, and so are the errors.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import RandomZoom
    >>> x = np.arange(5.0).reshape(1, 1, 5, 1)
    >>> RandomZoom((-0.5, -0.5))(x, training=True).ravel()
    array([1. , 1.5, 2. , 2.5, 3. ], dtype=float32)
    """

    height_factor: ZoomBounds
    width_factor: ZoomBounds = None

    def maps(self, n, height, width):
        a = identity(n)
        a[:, 0, 0] += uniform(self.rng, self.height_factor, n)
        a[:, 1, 1] = (
            a[:, 0, 0] if self.width_factor is None else 1 + uniform(self.rng, self.width_factor, n)
        )
        return about_the_centre(a, height, width)


class RandomContrast(OfImages):
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
    seed: int | None = None
    data_format: DataFormat = None

    changeable = ("factor", "value_range")

    def change(self, x):
        lower, upper = self.factor
        f = self.rng.uniform(1 - lower, 1 + upper, (len(x), 1, 1, 1)).astype(x.dtype)
        y = self._spread(x, f)
        low, high = self.value_range
        return y.clip(low, high), (f, (y >= low) & (y <= high))

    def reverse(self, dy, cache):
        f, within = cache
        return self._spread(dy * within, f)

    def _spread(self, x, f):
        """f x + (1 - f) ⟨x⟩, which is its own transpose."""
        axes = (2, 3) if self.data_format == "channels_first" else (1, 2)
        mean = x.mean(axes, keepdims=True)
        return (x - mean) * f + mean


class RandomBrightness(InTraining):
    """y = clip(x + b), with one b drawn for each image.

        x, y: (N, H, W, C)    b: (N, 1, 1, 1), uniform in factor times the value range's length

    Where y was clipped to the value range nothing gets through:

        dx = dy, and 0 where x + b lies outside of the range

    Parameters
    ----------
    factor : float or pair of float
        Bounds of b as parts of the value range, from -1 to 1. f stands for (-f, f).
    value_range, seed, **kwargs : as in `RandomContrast`, and so are the errors

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
    seed: int | None = None

    changeable = ("factor", "value_range")

    def change(self, x):
        low, high = self.value_range
        b = uniform(self.rng, self.factor, (len(x), 1, 1, 1)) * (high - low)
        y = x + b.astype(x.dtype)
        return y.clip(low, high), (y >= low) & (y <= high)

    def reverse(self, dy, within):
        return dy * within


def spread(factor, who: str, name: str) -> tuple[float, float]:
    pair = (factor, factor) if is_number(factor) else factor
    return bounds(pair, who, name, least=0.0)


def bounds(
    factor, who: str, name: str, least: float = -1.0, above: bool = False
) -> tuple[float, float]:
    """A pair of numbers in order; f is (-f, f). `above` leaves `least` itself out."""
    pair = sorted((-factor, factor)) if is_number(factor) else factor
    low, high = pair_of(pair, who, name, f"a number or a pair of them, got {factor!r}")
    if low < least or (above and low == least) or high > 1:
        raise ValueError(
            f"{who} expects {name} to lie {'above' if above else 'between'} {least:g} and "
            f"{'up to ' if above else ''}1, got {factor!r}"
        )
    return low, high


def pair_of(value, who: str, name: str, wanted: str) -> tuple[float, float]:
    if not isinstance(value, list | tuple) or len(value) != 2 or not all(map(is_number, value)):
        raise ValueError(f"{who} expects {name} to be {wanted}")
    low, high = sorted(map(float, value))
    return low, high


def is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def range_of(value_range, who: str, name: str) -> tuple[float, float]:
    return pair_of(value_range, who, name, f"a pair of numbers, got {value_range!r}")


Bounds = Annotated[Any, Convert(bounds)]
ZoomBounds = Annotated[Any, Convert(bounds, above=True)]
Spread = Annotated[Any, Convert(spread)]
ValueRange = Annotated[Any, Convert(range_of)]


def uniform(rng: np.random.Generator, within: tuple[float, float], shape: Any) -> np.ndarray:
    low, high = within
    return rng.uniform(low, high, shape)


def identity(n):
    """A that leaves n images as they are."""
    return np.tile(np.eye(2, 3), (n, 1, 1))


def about_the_centre(a, height, width):
    """A of the same turn and zoom that leaves an image's centre where it is."""
    centre = np.array([(height - 1) / 2, (width - 1) / 2])
    a[:, :, 2] = centre - a[:, :, :2] @ centre
    return a
