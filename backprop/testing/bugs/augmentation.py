"""Mistakes in the augmentation of images: the transpose of an interpolation, modes, draws."""

from __future__ import annotations

from functools import partial

import numpy as np

from backprop.layer import INFERENCE
from backprop.layers.augmentation import (
    Affine,
    RandomBrightness,
    RandomContrast,
    RandomFlip,
    RandomRotation,
    RandomTranslation,
    RandomZoom,
)
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
        for at, s, _ in self._parts(inverse(maps), dy):
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
        for at, s, _ in self._parts(maps, dy):
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

    def forward(self, x, ctx=INFERENCE):
        if not ctx.training:
            return x, None
        low, high = self.value_range
        y = x + x.dtype.type(self.rng.uniform(*self.factor) * (high - low))
        return y.clip(low, high), (y >= low) & (y <= high)
