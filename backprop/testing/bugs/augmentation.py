"""Mistakes in the augmentation of images: the transpose of an interpolation, modes, draws."""

from __future__ import annotations

from functools import partial

import numpy as np

from backprop.layers.images.affine import (
    Affine,
    RandomRotation,
    RandomShear,
    RandomTranslation,
    RandomZoom,
)
from backprop.layers.images.erasing import RandomErasing
from backprop.layers.images.flips import RandomFlip
from backprop.layers.images.places import pixels
from backprop.layers.images.shades import RandomBrightness, RandomContrast
from backprop.layers.images.sizes import CenterCrop, RandomCrop, Resizing
from backprop.layers.images.warping import RandomElasticTransform, RandomPerspective
from backprop.layers.interpolation import along, weights
from backprop.layers.windows import channels_back, channels_last
from backprop.testing.bugs.bank import bug, normal
from backprop.testing.bugs.shared import AlwaysTraining

picture = partial(
    bug,
    tags=("stochastic",),
    x=normal(3, 5, 4, 2),
    inputs="images",
    options={"min_side": 2, "max_side": 5},
)
WIDE = {"value_range": (-20.0, 20.0), "seed": 0}
NARROW = {"value_range": (-1.2, 0.9), "seed": 0}


@picture("V", config={"mode": "horizontal", "seed": 0})
class FlipDrawsAgainGoingBack(RandomFlip):
    """backward flips other images than forward did."""

    def backward(self, dy, flipped):
        return dy if flipped is None else self._mirrored(dy, self.rng.random(len(dy)) <= 0.5)


@picture("V", config={"mode": "horizontal", "seed": 0})
class FlipIsForgottenGoingBack(RandomFlip):
    """dx = dy, also where the image was flipped."""

    def backward(self, dy, flipped):
        return dy


@picture("L", config={"mode": "horizontal", "seed": 0})
class FlipFlipsInInference(AlwaysTraining, RandomFlip):
    """Inference flips as training does."""


def inverse(maps):
    """The maps that undo these: B x + b of A B = 1, A b = -a."""
    turned = np.linalg.inv(maps[:, :, :2])
    return np.concatenate([turned, -turned @ maps[:, :, 2:]], 2)


class Undone(Affine):
    """dy is moved back by the inverse map: a sample of dy for each pixel of x, where each dy is to
    be spread over the pixels that it came from."""

    def backward(self, dy, maps):
        if maps is None:
            return dy
        dy = channels_last(dy, self.data_format)
        dx = np.empty(dy.shape, dy.dtype)
        for at, s, _ in self._parts(inverse(maps), dy, self.interpolation):
            dx[at] = (s @ dy[at].reshape(-1, dy.shape[-1])).reshape(dx[at].shape)
        return channels_back(dx, self.data_format)


@picture("V", config={"height_factor": 0.4, "width_factor": 0.4, "seed": 0})
class TranslationIsUndoneGoingBack(Undone, RandomTranslation):
    """dx is dy shifted back: right inside of the image for whole pixels, and wrong at its border
    and between pixels.
    """


@picture("V", config={"factor": 0.3, "seed": 0})
class RotationIsUndoneGoingBack(Undone, RandomRotation):
    """dx is dy turned back, interpolated where it is to be scattered."""


@picture("V", config={"height_factor": 0.5, "seed": 0})
class ZoomIsUndoneGoingBack(Undone, RandomZoom):
    """dx is dy zoomed back, without the number of times that a pixel was used."""


@picture("C", config={"height_factor": 0.4, "width_factor": 0.4, "seed": 0})
class TranslationAssignsWhereItIsToAdd(RandomTranslation):
    """Of all pixels that took from one of x, the last alone pays it."""

    def backward(self, dy, maps):
        if maps is None:
            return dy
        dx = np.zeros(dy.shape, dy.dtype)
        for at, s, _ in self._parts(maps, dy, self.interpolation):
            part = np.zeros((s.shape[0], dy.shape[-1]), dy.dtype)
            weight = s.data[:, None] * np.repeat(dy[at].reshape(part.shape), 4, 0)
            part[s.indices] = weight
            dx[at] = part.reshape(dx[at].shape)
        return dx


@picture("L", reference=True, config={"factor": 0.3, "seed": 0})
class RotationTurnsTheOtherWay(RandomRotation):
    """The angle has the other sign, forwards and back."""

    def maps(self, n, height, width):
        a = super().maps(n, height, width)
        a[:, 0, 1], a[:, 1, 0] = a[:, 1, 0].copy(), a[:, 0, 1].copy()
        a[:, 0, 2], a[:, 1, 2] = 0, 0
        centre = np.array([(height - 1) / 2, (width - 1) / 2])
        a[:, :, 2] = centre - a[:, :, :2] @ centre
        return a


@picture("V", config={"factor": 0.5, **WIDE})
class ContrastTakesTheMeanForAConstant(RandomContrast):
    """dx = f dy: the path through the image's mean is left out."""

    def backward(self, dy, cache):
        return dy if cache is None else dy * cache[1] * cache[0]


@picture("V", tags=("stochastic", "piecewise"), config={"factor": 0.5, **NARROW})
class ContrastForgetsToClipGoingBack(RandomContrast):
    """What was clipped passes its gradient on."""

    def backward(self, dy, cache):
        return dy if cache is None else self._spread(dy, cache[0])


@picture("V", tags=("stochastic", "piecewise"), config={"factor": 0.3, **NARROW})
class BrightnessForgetsToClipGoingBack(RandomBrightness):
    """What was clipped passes its gradient on."""

    def backward(self, dy, within):
        return dy


@picture("L", config={"factor": 0.3, **WIDE}, reference=True)
class BrightnessDrawsOnceForTheBatch(RandomBrightness):
    """One draw is added to all images, where each has its own."""

    def draw(self, x):
        return super().draw(x)[:1]


@picture("V", config={"x_factor": 0.8, "y_factor": 0.5, "seed": 0})
class ShearIsUndoneGoingBack(Undone, RandomShear):
    """dx is dy sheared back, interpolated where it is to be scattered."""


@picture("L", reference=True, config={"x_factor": (0.3, 0.8), "seed": 0})
class ShearShiftsColumnsForRows(RandomShear):
    """The factor of the rows shifts the columns."""

    def maps(self, n, height, width):
        a = super().maps(n, height, width)
        a[:, 0, 1], a[:, 1, 0] = a[:, 1, 0].copy(), a[:, 0, 1].copy()
        return a


@picture("V", config={"factor": (1.0, 1.0), "scale": 0.9, "seed": 0})
class PerspectiveHasNoHorizonGoingBack(RandomPerspective):
    """The way back leaves out the division by which what is far is smaller."""

    def reverse(self, dy, drawn):
        return super().reverse(dy, np.concatenate([drawn[:, :2], [[[0, 0, 1]]] * len(dy)], 1))


@picture("L", reference=True, config={"factor": (1.0, 1.0), "scale": 0.9, "seed": 0})
class PerspectiveIsSeenFromBehind(RandomPerspective):
    """A pixel's place is that by the inverse map: corners move the other way."""

    def places(self, drawn, height, width):
        return super().places(np.linalg.inv(drawn), height, width)


@picture(
    "V",
    tags=("stochastic", "piecewise"),
    config={"factor": (1.0, 1.0), "scale": (1.0, 1.0), **NARROW},
)
class ElasticForgetsToClipGoingBack(RandomElasticTransform):
    """What was clipped passes its gradient on."""

    def reverse(self, dy, kept):
        return super().reverse(dy, (kept[0], True))


@picture("V", config={"factor": (1.0, 1.0), "scale": (1.0, 1.0), **WIDE})
class ElasticPullsBackGoingBack(RandomElasticTransform):
    """dx is dy pulled the other way, interpolated where it is to be scattered."""

    def reverse(self, dy, kept):
        return self._moved(dy, -kept[0], self.interpolation)


@picture("L", reference=True, config={"factor": (1.0, 1.0), "scale": (1.0, 1.0), **WIDE})
class ElasticPullsRowsAndColumnsAlike(RandomElasticTransform):
    """One noise for both directions: all is pulled along the diagonal."""

    def places(self, drawn, height, width):
        return pixels(height, width) + drawn[:, :1]


@picture("V", config={"factor": (1.0, 1.0), "scale": (0.2, 0.6), "seed": 0})
class ErasingPaysWhatIsErased(RandomErasing):
    """dx = dy, also where there is nothing of x in y."""

    def reverse(self, dy, erased):
        return dy


@picture("L", reference=True, config={"scale": (0.2, 0.6), "fill_value": 9.0, "seed": 0})
class ErasingErasesFromAll(RandomErasing):
    """A part of every image is erased, and not of the share that was asked for."""

    def draw(self, x):
        factor, self.factor = self.factor, (1.0, 1.0)
        drawn = super().draw(x)
        self.factor = factor
        return drawn


fixed = partial(picture, tags=())


@fixed("V", config={"height": 3, "width": 7})
class ResizingIsUndoneGoingBack(Resizing):
    """dx is dy resized to the size of x: means, where each pixel is to pay what it gave."""

    def reverse(self, dy, kept):
        for axis, n in zip(self.sides, kept[0][1:3], strict=True):
            dy = along(axis, weights(dy.shape[axis], n, self.interpolation), dy)
        return dy


@fixed("V", config={"height": 3, "width": 9, "pad_to_aspect_ratio": True})
class ResizingForgetsItsMarginGoingBack(Resizing):
    """dx begins where the margin does, and not where x does."""

    def reverse(self, dy, kept):
        (top, _), (left, _) = kept[1]
        return np.roll(super().reverse(dy, kept), (top, left), (1, 2))


@fixed("L", reference=True, config={"height": 3, "width": 7})
class ResizingTakesPixelsForPoints(Resizing):
    """The first and last pixels of y are those of x, and not their areas."""

    def _weights(self, window, interpolation):
        found = []
        for axis, r in super()._weights(window, interpolation):
            m, n = r.shape
            place = np.arange(m)[:, None] * (n - 1) / max(m - 1, 1)
            found.append((axis, np.maximum(1 - np.abs(place - np.arange(n)), 0)))
        return found


@fixed("V", config={"height": 2, "width": 2})
class CentreCropPaysTheFirstPixels(CenterCrop):
    """dx is dy in the corner of x, and not in its middle."""

    def reverse(self, dy, kept):
        (_, h), (_, w) = kept[1]
        return super().reverse(dy, (kept[0], ((0, h), (0, w))))


@fixed("L", reference=True, config={"height": 2, "width": 2})
class CentreCropRoundsUp(CenterCrop):
    """Where the middle lies between pixels, it takes the one behind it."""

    def window(self, height, width, training):
        (top, h), (left, w) = super().window(height, width, training)
        return (height - h - top, h), (width - w - left, w)


@picture("V", config={"height": 2, "width": 2, "seed": 0})
class RandomCropDrawsAgainGoingBack(RandomCrop):
    """backward pays another window than forward took."""

    def reverse(self, dy, kept):
        shape, _ = kept
        return super().reverse(dy, (shape, self.window(shape[1], shape[2], True)))


@picture("L", reference=True, config={"height": 2, "width": 2, "seed": 0})
class RandomCropNeverTakesTheLastPixels(RandomCrop):
    """The last row and column can never be part of a window."""

    def window(self, height, width, training):
        (top, h), (left, w) = super().window(height, width, training)
        if training and h == self.height and w == self.width:
            top, left = min(top, max(height - h - 1, 0)), min(left, max(width - w - 1, 0))
        return (top, h), (left, w)
