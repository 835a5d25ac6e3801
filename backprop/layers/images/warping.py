"""Images seen from another side, and images as if printed on cloth."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from backprop.checks import Fraction, choice
from backprop.initializers.draws import Seed
from backprop.layers.images.factors import FromZero, ValueRange, some_of, uniform
from backprop.layers.images.places import FillValue, Interpolation, Moving, pixels
from backprop.layers.images.ranges import clipped

CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])  # (i, j), in image sizes


class RandomPerspective(Moving):
    """y = x as a picture that is looked at from the side: its corners are drawn, and straight lines
    stay straight.

        x, y: (N, H, W, C)    M: (N, 3, 3)

        y[n, i, j] = x at (a / c, b / c),    (a, b, c) = M (i, j, 1)

    A corner (i, j) is moved to (i (1 + u), j (1 + v)), u and v uniformly between -scale / 2 and
    scale / 2; so the corner (0, 0) stays where it is. Four corners of y and theirs of x are eight
    linear equations for M, whose last entry is 1. Between pixels x is interpolated and beyond its
    border it is `fill_value`: y = S x + c with a sparse matrix S, so that dx = Sᵀ dy (see
    `Moving`).

    Parameters
    ----------
    factor : float or pair of float, default 1
        Share of the images that are changed, from 0 to 1: for each image it is drawn between the
        two; f stands for (0, f).
    scale : float, default 1
        How far corners are moved at most, twice and in image sizes, from 0 to 1.
    interpolation : {"bilinear", "nearest"}
    fill_value : float, default 0
    seed, data_format, **kwargs : as in `RandomFlip`

    Raises
    ------
    ValueError
        For another interpolation, or a number beyond its bounds.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import RandomPerspective
    >>> x = np.ones((1, 3, 5, 1))
    >>> RandomPerspective(scale=0.5, seed=3)(x)[0, :, :, 0].round(2)
    array([[1.  , 1.  , 1.  , 1.  , 0.88],
           [1.  , 1.  , 1.  , 1.  , 0.6 ],
           [0.98, 1.  , 1.  , 1.  , 0.28]], dtype=float32)
    """

    factor: FromZero = 1.0
    scale: Fraction = 1.0
    interpolation: Interpolation = "bilinear"
    fill_value: FillValue = 0.0
    seed: Seed = None

    fill_mode = "constant"
    changeable = ("factor", "scale", "interpolation", "fill_value")

    def draw(self, x):
        n = len(x)
        changed = some_of(self.rng, self.factor, n)
        moves = uniform(self.rng, (-self.scale / 2, self.scale / 2), (n, 4, 2))
        corners = CORNERS * (1 + moves * changed[:, None, None])
        # from a square to the image; one pixel alone is at 0
        size = np.array([max(x.shape[axis] - 1, 1) for axis in self.sides] + [1.0])
        return homography(corners) * size[:, None] / size

    def places(self, drawn, height, width):
        i, j = pixels(height, width)
        m = drawn[:, :, :, None, None]
        a, b, c = (m[:, k, 0] * i + m[:, k, 1] * j + m[:, k, 2] for k in range(3))
        c[c == 0] = 1e-12  # the horizon, which is as far as any place outside
        far = 2.0 * np.array([height, width])
        return np.stack([a / c, b / c], 1).clip(-far[:, None, None], far[:, None, None])

    def move_points(self, points, drawn, height, width):
        """p = M q, and so q = M⁻¹ p: in pixels, whose middles are at 1/2."""
        p = np.concatenate([points - 0.5, np.ones((*points.shape[:2], 1))], 2)
        q = p @ np.linalg.inv(drawn).swapaxes(1, 2)
        return q[..., :2] / q[..., 2:] + 0.5


def homography(corners: np.ndarray) -> np.ndarray:
    """M: (N, 3, 3) of these corners (N, 4, 2), whose places are `CORNERS`.

    (a, b) = CORNERS at (i, j) are a c = M₀ (i, j, 1) and b c = M₁ (i, j, 1), with c = M₂ (i, j, 1)
    and M₂₂ = 1.
    """
    n = len(corners)
    equations = np.zeros((n, 4, 2, 8))
    for k in range(2):
        equations[:, :, k, 3 * k : 3 * k + 2] = corners
        equations[:, :, k, 3 * k + 2] = 1
        equations[:, :, k, 6:] = -CORNERS[:, k, None] * corners
    wanted = np.broadcast_to(CORNERS.reshape(8, 1), (n, 8, 1))
    solved = np.linalg.solve(equations.reshape(n, 8, 8), wanted)[:, :, 0]
    return np.concatenate([solved, np.ones((n, 1))], 1).reshape(n, 3, 3)


class RandomElasticTransform(Moving):
    """y = x pulled about, as if printed on cloth: y[n, i, j] = clip(x at (i + u, j + v)).

        x, y: (N, H, W, C)    u, v: (N, H, W)

        u[n] = alpha sigma g * noise[n],    alpha = 0.1 s max(H, W),    sigma = 0.05 s min(H, W)

    with s drawn from `scale` once for a batch, noise from the normal distribution for each pixel,
    and g a Gaussian of the width sigma, 6 sigma pixels long, beyond whose reach the noise is 0;
    v likewise. Between pixels x is interpolated and beyond its border continued: before the clip y
    = S x + c with a sparse matrix S (see `Moving`), and where y was clipped to the value range
    nothing gets through:

        dx = Sᵀ (dy where S x + c is within the range)

    Parameters
    ----------
    factor : float or pair of float, default 1
        Share of the images that are changed, from 0 to 1: for each image it is drawn between the
        two; f stands for (0, f).
    scale : float or pair of float, default 1
        Bounds of s, from 0 to 1. f stands for (0, f).
    interpolation : {"bilinear", "nearest"}
    fill_mode : {"reflect", "wrap", "constant", "nearest", "mirror"}
        What is beyond the border, as in `RandomTranslation`; "mirror" is dcb|abcd|cba.
    fill_value : float, default 0
        For ``fill_mode="constant"``.
    value_range : pair of float, default (0, 255)
        y is clipped to it.
    seed, data_format, **kwargs : as in `RandomFlip`, and so are the errors

    Source: Simard, Steinkraus and Platt, Best practices for convolutional neural networks applied
    to visual document analysis, 2003.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import RandomElasticTransform
    >>> x = np.tile(np.arange(40.0), (40, 1)).reshape(1, 40, 40, 1)
    >>> RandomElasticTransform((1.0, 1.0), (1.0, 1.0), seed=0)(x)[0, 10:30:10, 10:20, 0].round(1)
    array([[10.4, 11.6, 12.7, 13.5, 14. , 14.4, 15. , 15.8, 16.9, 18.1],
           [ 6.4,  7.4,  8.9, 10.9, 13.1, 15.2, 17. , 18.2, 19. , 19.4]],
          dtype=float32)
    """

    factor: FromZero = 1.0
    scale: FromZero = 1.0
    interpolation: Interpolation = "bilinear"
    fill_mode: Annotated[str, choice("reflect", "wrap", "constant", "nearest", "mirror")] = (
        "reflect"
    )
    fill_value: FillValue = 0.0
    value_range: ValueRange = (0, 255)
    seed: Seed = None

    changeable = (*("factor", "scale", "interpolation", "fill_mode", "fill_value", "value_range"),)

    def plan(self, x, training):
        # as in Keras: where there is nothing to do, nothing is clipped either
        return super().plan(x, training) if self.factor[1] and self.scale[1] else None

    def draw(self, x):
        n, sizes = len(x), [x.shape[axis] for axis in self.sides]
        changed = some_of(self.rng, self.factor, n)
        s = self.rng.uniform(*self.scale)
        noise = self.rng.normal(size=(n, 2, *sizes))
        return smooth(noise, s) * changed[:, None, None, None]

    def places(self, drawn, height, width):
        return pixels(height, width) + drawn

    def change(self, x, drawn):
        y, passed = clipped(super().change(x, drawn)[0], self.value_range)
        return y, (drawn, passed)

    def reverse(self, dy, kept):
        drawn, within = kept
        return super().reverse(dy * within, drawn)


def smooth(noise: np.ndarray, s: float) -> np.ndarray:
    """(u, v) of this noise: (N, 2, H, W)."""
    from scipy.ndimage import gaussian_filter  # here, because it takes longer to import than NumPy

    sizes = noise.shape[2:]
    alpha, sigma = 0.1 * s * max(sizes), 0.05 * s * min(sizes)
    reach = int(6 * sigma) // 2
    field = gaussian_filter(noise, sigma, mode="constant", radius=reach, axes=(2, 3))
    return alpha * sigma * field
