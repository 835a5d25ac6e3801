"""Images given one size: resized, cut out, or both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from backprop.arguments import argument
from backprop.checks import Positive, choice
from backprop.initializers.draws import Seed
from backprop.layers.images.base import ImageLayer
from backprop.layers.images.places import FillValue
from backprop.layers.interpolation import Method, along, weights

Window = tuple[tuple[int, int], tuple[int, int]]  # of height and width: first pixel, length


class Sized(ImageLayer, kw_only=True, by_position=True):
    """y = R_h x[window] R_wᵀ: what is in a window of x, made as high and wide as is asked for.

        x: (N, H, W, C)    R_h: (height, h)    R_w: (width, w)    y: (N, height, width, C)

    R_h and R_w hold the weights with which a pixel of y is a mean of pixels of x, along one axis
    and then along the other (`interpolation.weights`). The map is linear, so

        dx[window] = R_hᵀ dy R_w, and 0 outside of the window

    A window may reach beyond x: there it is a constant, whose gradient is dropped. Segmentation
    masks take part with the nearest pixel, so that no class comes to be that was not there.

    A subclass has `window`; what it says depends on the sizes of x, and in training on a draw.
    """

    if TYPE_CHECKING:  # arguments of what derives from it, in front of its others
        height: int
        width: int

    interpolation = "bilinear"
    antialias = False
    fill_value = 0.0

    def window(self, height: int, width: int, training: bool) -> Window:
        """The window of images of these sizes."""
        raise TypeError(
            f"{type(self).__name__} has no window(self, height, width, training): write one"
        )

    def compute_output_shape(self, input_shape):
        shape = list(input_shape)
        for axis, size in zip(self.sides, (self.height, self.width), strict=True):
            shape[axis] = size
        return tuple(shape)

    def plan(self, x, training):
        height, width = self.sides
        return self.window(x.shape[height], x.shape[width], training is not False)

    def change(self, x, window):
        return self._sized(x, window, self.interpolation), (x.shape, window)

    def reverse(self, dy, kept):
        shape, window = kept
        for axis, r in self._weights(window, self.interpolation):
            dy = along(axis, r.T, dy)
        dx = np.zeros(shape, dy.dtype)
        outer, inner = self._overlap(shape, window)
        dx[outer] = dy[inner]
        return dx

    def change_masks(self, masks, window):
        sized = self._sized(masks.astype(np.float64, copy=False), window, "nearest")
        return sized.astype(masks.dtype, copy=False)

    def move_points(self, points, window, height, width):
        firsts, lengths = np.array(window).T
        return (points - firsts) * (np.array([self.height, self.width]) / lengths)

    def _sized(self, x, window, interpolation):
        y = self._cut(x, window)
        for axis, r in self._weights(window, interpolation):
            y = along(axis, r, y)
        return y

    def _weights(self, window, interpolation):
        """For each axis whose length changes: the axis and R."""
        sizes = zip(self.sides, window, (self.height, self.width), strict=True)
        return [
            (axis, weights(n, m, interpolation, self.antialias))
            for axis, (_, n), m in sizes
            if n != m
        ]

    def _cut(self, x, window):
        outer, inner = self._overlap(x.shape, window)
        shape = list(x.shape)
        for axis, (_, length) in zip(self.sides, window, strict=True):
            shape[axis] = length
        if x[outer].shape == tuple(shape):
            return x[outer]
        y = np.full(shape, self.fill_value, x.dtype)
        y[inner] = x[outer]
        return y

    def _overlap(self, shape, window):
        """Where x and the window meet: in x, and in the window."""
        outer, inner = [slice(None)] * 4, [slice(None)] * 4
        for axis, (first, length) in zip(self.sides, window, strict=True):
            begin, end = max(first, 0), min(first + length, shape[axis])
            outer[axis] = slice(begin, end)
            inner[axis] = slice(begin - first, end - first)
        return tuple(outer), tuple(inner)

    def _centred(self, height: int, width: int) -> Window:
        """The largest window in the middle of x that is shaped as y is."""
        h = max(min(height, int(width * self.height / self.width)), 1)
        w = max(min(width, int(height * self.width / self.height)), 1)
        return ((height - h) // 2, h), ((width - w) // 2, w)


class Resizing(Sized):
    """y = x, made as high and wide as is asked for.

        x: (N, H, W, C)    y: (N, height, width, C)    in training and in inference

        y = R_h x R_wᵀ        dx = R_hᵀ dy R_w

    Row a of R_h holds the weights of the rows of x near p = (a + 1/2) H / height - 1/2: pixels are
    areas, and p is where the middle of row a lies in x. R_w likewise (`interpolation.weights`).

    Parameters
    ----------
    height, width : int
        Of y, in pixels.
    interpolation : {"bilinear", "nearest", "bicubic", "lanczos3", "lanczos5"}
        Where a pixel of y comes from: the two nearest pixels along each axis, the nearest, or 4, 6
        or 10 of them with weights of either sign, which keep edges sharper and may leave the range
        of x.
    crop_to_aspect_ratio : bool, default False
        Take the largest part in the middle of x that is shaped as y is, and not all of x.
    pad_to_aspect_ratio : bool, default False
        Put a margin around x, on two sides, so that it is shaped as y is.
    fill_mode : {"constant"}
    fill_value : float, default 0
        What the margin is made of.
    antialias : bool, default False
        Whether a y that is smaller takes in all pixels of x.
    data_format : {"channels_last", "channels_first"}, optional
        Default: last.
    bounding_box_format : str, optional
        As in `RandomFlip`.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        For another interpolation, and where x is to be both cropped and padded.

    Source: the kernel of bicubic is that of Keys, Cubic convolution interpolation for digital image
    processing, 1981, with a = -1/2.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import Resizing
    >>> x = np.array([0.0, 10.0, 20.0, 30.0]).reshape(1, 4, 1)
    >>> Resizing(1, 2)(x).ravel()
    array([ 5., 25.], dtype=float32)
    >>> Resizing(1, 6)(x).ravel().round(1)
    array([ 0. ,  5. , 11.7, 18.3, 25. , 30. ], dtype=float32)
    """

    height: Positive
    width: Positive
    interpolation: Method = argument(default="bilinear")
    crop_to_aspect_ratio: bool = False
    pad_to_aspect_ratio: bool = False
    fill_mode: Annotated[str, choice("constant")] = "constant"
    fill_value: FillValue = argument(default=0.0)
    antialias: bool = argument(default=False)

    def __post_init__(self):
        if self.crop_to_aspect_ratio and self.pad_to_aspect_ratio:
            raise ValueError(
                "Resizing expects one of crop_to_aspect_ratio and pad_to_aspect_ratio, got both"
            )

    def window(self, height, width, training):
        if self.crop_to_aspect_ratio:
            return self._centred(height, width)
        if not self.pad_to_aspect_ratio:
            return (0, height), (0, width)
        above = max(int(width * self.height / self.width) - height, 0) // 2
        beside = max(int(height * self.width / self.height) - width, 0) // 2
        return (-above, height + 2 * above), (-beside, width + 2 * beside)


class CenterCrop(Sized):
    """y = what is in the middle of x: y[n, i, j] = x[n, t + i, l + j].

        x: (N, H, W, C)    y: (N, height, width, C)    in training and in inference

        t = ⌊(H - height) / 2⌋    l = ⌊(W - width) / 2⌋

        dx[n, t + i, l + j] = dy[n, i, j], and 0 elsewhere

    Where x is smaller than y along an axis, the largest part in its middle that is shaped as y is,
    is resized as by `Resizing`.

    Parameters
    ----------
    height, width : int
        Of y, in pixels.
    data_format, **kwargs : as in `Resizing`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import CenterCrop
    >>> x = np.arange(20.0).reshape(1, 4, 5, 1)
    >>> CenterCrop(2, 3)(x)[0, :, :, 0]
    array([[ 6.,  7.,  8.],
           [11., 12., 13.]], dtype=float32)
    """

    height: Positive
    width: Positive

    def window(self, height, width, training):
        above, beside = height - self.height, width - self.width
        if above < 0 or beside < 0:
            return self._centred(height, width)
        return (above // 2, self.height), (beside // 2, self.width)


class RandomCrop(Sized):
    """y = a part of x: y[n, i, j] = x[n, t + i, l + j], with t and l drawn once for a batch.

        x: (N, H, W, C)    y: (N, height, width, C)

        t from 0 ... H - height, l from 0 ... W - width, uniformly

        dx[n, t + i, l + j] = dy[n, i, j], and 0 elsewhere

    In inference the largest part in the middle of x that is shaped as y is, is resized as by
    `Resizing`. In training too nothing is drawn unless x is larger than y along both axes: from
    where that part begins, as much as there is of a window of the size of y is taken and, where it
    is less, resized.

    Parameters
    ----------
    height, width : int
        Of y, in pixels.
    seed : int, optional
        Of the layer's generator. Default: from `utils.set_random_seed`.
    data_format, **kwargs : as in `Resizing`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import RandomCrop
    >>> x = np.arange(20.0).reshape(1, 4, 5, 1)
    >>> RandomCrop(2, 3, seed=0)(x)[0, :, :, 0]
    array([[11., 12., 13.],
           [16., 17., 18.]], dtype=float32)
    """

    height: Positive
    width: Positive
    seed: Seed = None

    def window(self, height, width, training):
        if training and height > self.height and width > self.width:
            top = self.rng.integers(height - self.height + 1)
            left = self.rng.integers(width - self.width + 1)
            return (int(top), self.height), (int(left), self.width)
        (top, h), (left, w) = self._centred(height, width)
        if training:
            h, w = min(self.height, height - top), min(self.width, width - left)
        return (top, h), (left, w)
