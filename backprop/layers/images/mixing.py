"""Images, and their labels, mixed with others of the batch."""

from __future__ import annotations

import numpy as np

from backprop.arguments import argument
from backprop.checks import NumberAboveZero
from backprop.initializers.draws import Seed
from backprop.layers.images.base import ImageLayer
from backprop.layers.images.factors import FromZero, uniform
from backprop.layers.images.ranges import of_images
from backprop.layers.windows import DataFormat


class Mixing(ImageLayer):
    """What mixes image n with image order[n] of the batch, and their labels alike.

    `drawn` is (order, ..., w), with w: (N,) the share that an image keeps.
    """

    def change_labels(self, labels, drawn):
        """w labels + (1 - w) of the other image's."""
        order, *_, w = drawn
        if labels.ndim == 1 and labels.dtype.kind in "iub":
            raise ValueError(
                f"{self!r} mixes labels, and integers that name classes have no mixture: give "
                "probabilities (N, classes), as of utils.to_categorical(labels, num_classes), got "
                f"labels of shape {labels.shape} and dtype {labels.dtype}"
            )
        labels = self.as_float(labels)
        w = w.reshape(-1, *(1,) * (labels.ndim - 1)).astype(labels.dtype)
        return w * labels + (1 - w) * labels[order]


class MixUp(Mixing):
    """y[n] = w[n] x[n] + (1 - w[n]) x[p[n]], with a permutation p of the batch, w drawn for each.

        x, y: (N, H, W, C)    p: (N,)    w: (N,), of the beta distribution with alpha, alpha

    Labels, in a call on a dict, are mixed as the images are, and segmentation masks too; bounding
    boxes are those of both. x[m] goes into y[m] and into the one y[n] with p[n] = m:

        dx[m] = w[m] dy[m] + (1 - w[n]) dy[n],    p[n] = m

    Parameters
    ----------
    alpha : float, default 0.2
        Above 0, else a ValueError. The smaller, the more w is near to 0 or 1.
    data_format, seed, **kwargs : as in `RandomHue`

    References
    ----------
    Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import MixUp
    >>> x = np.zeros((2, 1, 1, 1)) + np.array([0.0, 10.0]).reshape(2, 1, 1, 1)
    >>> mixed = MixUp(alpha=1.0, seed=1)({"images": x, "labels": np.eye(2)}, training=True)
    >>> np.allclose(mixed["images"].ravel() / 10, mixed["labels"][:, 1])
    True
    """

    alpha: NumberAboveZero = 0.2
    data_format: DataFormat = argument(default=None)
    seed: Seed = None

    changeable = ("alpha",)

    def draw(self, x):
        return self.rng.permutation(len(x)), self.rng.beta(self.alpha, self.alpha, len(x))

    def change(self, x, drawn):
        order, w = drawn[0], of_images(drawn[1], x)
        return w * x + (1 - w) * x[order], (order, w)

    def reverse(self, dy, kept):
        order, w = kept
        dx = w * dy
        dx[order] += (1 - w) * dy
        return dx

    def change_masks(self, masks, drawn):
        return self.change(self.as_float(masks), drawn)[0]

    def change_boxes(self, boxes, labels, drawn, x, y):
        """Those of both images: (N, 2 M, 4)."""
        order = drawn[0]
        return np.concatenate([boxes, boxes[order]], 1), np.concatenate([labels, labels[order]], 1)


class CutMix(Mixing):
    """y[n] = x[p[n]] in a box, and x[n] around it, with a permutation p of the batch.

        x, y: (N, H, W, C)    p: (N,)    m: (N, H, W, 1), 1 in the box of each image, else 0

        y[n] = (1 - m[n]) x[n] + m[n] x[p[n]]

    The box has the image's proportions, a place that is drawn, and the share 1 - w of the area,
    with w of the beta distribution with a, a, and a from factor, one for the batch. Labels, in a
    call on a dict, keep a share of w, and segmentation masks are cut with the images.

        dx[k] = (1 - m[k]) dy[k] + m[n] dy[n],    p[n] = k

    Parameters
    ----------
    factor : float or pair of float, default 1.0
        a, from 0 to 1, else a ValueError. f stands for (0, f).
    seed, data_format, **kwargs : as in `RandomHue`

    References
    ----------
    Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable
    Features", 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import CutMix
    >>> x = np.zeros((2, 40, 40, 1)) + np.array([0.0, 1.0]).reshape(2, 1, 1, 1)
    >>> mixed = CutMix(seed=4)({"images": x, "labels": np.eye(2)}, training=True)
    >>> np.allclose(mixed["images"].mean((1, 2, 3)), mixed["labels"][:, 1], atol=0.05)
    True
    """

    factor: FromZero = 1.0
    seed: Seed = None

    changeable = ("factor",)

    def draw(self, x):
        n = len(x)
        a = uniform(self.rng, self.factor, ()) + 1e-6
        side = np.sqrt(1 - self.rng.beta(a, a, n))  # of the box, as part of the image's
        area, inside = 1.0, True
        for axis in (2, 1):  # across, then down
            length = x.shape[self.sides[axis - 1]]
            start = self.rng.random(n) * (1 - side) * length
            end = start + side * length
            place = np.arange(length)
            where = (place >= start[:, None]) & (place < end[:, None])
            inside = inside & np.expand_dims(where, 3 - axis)
            area = area * (end - start) / length
        return self.rng.permutation(n), np.expand_dims(inside, self.channel_axis), 1 - area

    def change(self, x, drawn):
        order, inside, _ = drawn
        return np.where(inside, x[order], x), (order, inside)

    def reverse(self, dy, kept):
        order, inside = kept
        dx = np.where(inside, 0, dy)
        dx[order] += np.where(inside, dy, 0)
        return dx

    def change_masks(self, masks, drawn):
        return self.change(masks, drawn)[0]
