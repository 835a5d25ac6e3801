"""As many bounding boxes for each image."""

from __future__ import annotations

import numpy as np

from backprop.checks import Positive
from backprop.layers.images.base import ImageLayer


class MaxNumBoundingBoxes(ImageLayer):
    """y = x; of its bounding boxes there are `max_number` afterwards.

        boxes: (N, M, 4), labels: (N, M)    to    (N, max_number, 4), (N, max_number)

    Further boxes are left off, places where there is none are filled; in training and in inference.
    The boxes themselves stay as they are, in any format. dx = dy.

    Parameters
    ----------
    max_number : int
    fill_value : int, default -1
        The four numbers and the label of a box that is none.
    data_format, **kwargs : as in `RandomFlip`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import MaxNumBoundingBoxes
    >>> boxes = {"boxes": [[0, 0, 2, 2], [1, 1, 2, 3]], "labels": [7, 8]}
    >>> data = {"images": np.zeros((4, 4, 1)), "bounding_boxes": boxes}
    >>> MaxNumBoundingBoxes(3)(data)["bounding_boxes"]["labels"]
    array([ 7,  8, -1])
    """

    max_number: Positive
    fill_value: int = -1

    def plan(self, x, training):
        return ()

    def change(self, x, drawn):
        return x, drawn

    def reverse(self, dy, kept):
        return dy

    def change_boxes(self, boxes, labels, drawn, x, y):
        return self._filled(boxes), self._filled(labels)

    def _filled(self, a):
        y = np.full((len(a), self.max_number, *a.shape[2:]), self.fill_value, a.dtype)
        some = a[:, : self.max_number]
        y[:, : some.shape[1]] = some
        return y
