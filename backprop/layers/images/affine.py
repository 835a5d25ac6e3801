"""Images that are shifted, turned, zoomed and sheared: a pixel's place is an affine map of it."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from backprop.arguments import Convert, argument
from backprop.initializers.draws import Seed
from backprop.layers.images.factors import Bounds, bounds, is_number, uniform
from backprop.layers.images.places import FillMode, FillValue, Interpolation, Moving, pixels
from backprop.layers.windows import DataFormat


def shear_of(factor, who: str, name: str) -> tuple[float, float]:
    """f is (-f, f), which may be given as well: so Keras writes it into its files."""
    if isinstance(factor, list | tuple) and len(factor) == 2 and opposite(*factor):
        factor = factor[1]
    low, high = bounds(factor, who, name, least=0.0)
    return (-high, high) if is_number(factor) else (low, high)


def opposite(low, high) -> bool:
    return is_number(low) and is_number(high) and low == -high


ZoomBounds = Annotated[Any, Convert(bounds, above=True)]
ShearBounds = Annotated[Any, Convert(shear_of)]


class Affine(Moving):
    """What shifts, turns, zooms and shears images: y at a pixel (i, j) is x at the place
    A (i, j, 1), by interpolation.

        x, y: (N, H, W, C)    A: (N, 2, 3), from a draw for each image

    So y = S x + c and dx = Sᵀ dy with a sparse matrix S (see `Moving`). A subclass has `maps`,
    which draws A.
    """

    changeable = (
        *("factor", "height_factor", "width_factor", "x_factor", "y_factor"),
        *("fill_mode", "interpolation", "fill_value"),
    )

    def maps(self, n: int, height: int, width: int) -> np.ndarray:
        """A for n images."""
        raise TypeError(f"{type(self).__name__} has no maps(self, n, height, width): write one")

    def draw(self, x):
        height, width = self.sides
        return self.maps(len(x), x.shape[height], x.shape[width])

    def places(self, drawn, height, width):
        i, j = pixels(height, width)
        a = drawn[:, :, :, None, None]
        return a[:, :, 0] * i + a[:, :, 1] * j + a[:, :, 2]

    def move_points(self, points, drawn, height, width):
        """p = A q, and so q = A⁻¹ p: in pixels, whose middles are at 1/2."""
        back = np.linalg.inv(drawn[:, :, :2]).swapaxes(1, 2)
        return (points - 0.5 - drawn[:, None, :, 2]) @ back + 0.5


class Filled(Affine, kw_only=True, by_position=True):
    """What most of these take behind their factors, in the order of Keras."""

    fill_mode: FillMode = "reflect"
    interpolation: Interpolation = "bilinear"
    seed: Seed = None
    fill_value: FillValue = 0.0


class RandomTranslation(Filled):
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


class RandomRotation(Filled):
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


class RandomZoom(Filled):
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


class RandomShear(Affine):
    """y = x with its rows and columns shifted, the further the longer: a square becomes a rhombus.

        x, y: (N, H, W, C)    v from y_factor, h from x_factor, uniformly, both times ±1

        y[n, i, j] = x at (i + v j, j + h i)

    The sign is drawn for each image, so that it leans to either side. Between pixels x is
    interpolated and beyond its border continued: y = S x + c with a sparse matrix S, so that
    dx = Sᵀ dy (see `Affine`).

    Parameters
    ----------
    x_factor, y_factor : float or pair of float, default 0
        Bounds of the shift from one row, or column, to the next, in pixels, from 0 to 1. f stands
        for (-f, f).
    interpolation, fill_mode, fill_value, data_format, seed, **kwargs
        As in `RandomTranslation`, and so are the errors.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import RandomShear
    >>> x = np.tile([0.0, 0.0, 1.0, 0.0, 0.0], (3, 1)).reshape(1, 3, 5, 1)
    >>> RandomShear((1.0, 1.0), fill_mode="constant", seed=2)(x)[0, :, :, 0]
    array([[0., 0., 1., 0., 0.],
           [0., 1., 0., 0., 0.],
           [1., 0., 0., 0., 0.]], dtype=float32)
    """

    x_factor: ShearBounds = 0.0
    y_factor: ShearBounds = 0.0
    interpolation: Interpolation = "bilinear"
    fill_mode: FillMode = "reflect"
    fill_value: FillValue = 0.0
    data_format: DataFormat = argument(default=None)
    seed: Seed = None

    def maps(self, n, height, width):
        sign = np.where(self.rng.random(n) > 0.5, -1.0, 1.0)
        a = identity(n)
        a[:, 0, 1] = sign * uniform(self.rng, self.y_factor, n)
        a[:, 1, 0] = sign * uniform(self.rng, self.x_factor, n)
        return a


def identity(n):
    """A that leaves n images as they are."""
    return np.tile(np.eye(2, 3), (n, 1, 1))


def about_the_centre(a, height, width):
    """A of the same turn and zoom that leaves an image's centre where it is."""
    centre = np.array([(height - 1) / 2, (width - 1) / 2])
    a[:, :, 2] = centre - a[:, :, :2] @ centre
    return a
