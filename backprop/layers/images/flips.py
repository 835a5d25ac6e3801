"""Images mirrored at random."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from backprop.checks import choice
from backprop.initializers.draws import Seed
from backprop.layers.images.base import ImageLayer


class RandomFlip(ImageLayer):
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
    bounding_box_format : str, optional
        What the numbers of a bounding box mean, where a dict with such boxes is given: "xyxy",
        "yxyx", "xywh", "center_xywh", "center_yxhw", or "rel_xyxy", "rel_yxyx", "rel_xywh",
        "rel_center_xywh" in parts of the image.
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
    seed: Seed = None

    changeable = ("mode",)

    def draw(self, x):
        return self.rng.random(len(x)) <= 0.5

    def change(self, x, flipped):
        return self._mirrored(x, flipped), flipped

    def change_masks(self, masks, flipped):
        return self._mirrored(masks, flipped)

    def move_points(self, points, flipped, height, width):
        mirrored = [
            size - points[..., k] if way in self.mode else points[..., k]
            for k, (size, way) in enumerate(((height, "vertical"), (width, "horizontal")))
        ]
        return np.where(flipped[:, None, None], np.stack(mirrored, -1), points)

    def reverse(self, dy, flipped):
        return self._mirrored(dy, flipped)

    def _mirrored(self, x, flipped):
        height, width = self.sides
        axes = {"vertical": (height,), "horizontal": (width,)}.get(self.mode, (height, width))
        y = x.copy()
        y[flipped] = np.flip(x, axes)[flipped]
        return y
