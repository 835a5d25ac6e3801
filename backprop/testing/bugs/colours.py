"""Mistakes in layers that change, blur and mix colours: hue, grey, clips, and who pays whom."""

from __future__ import annotations

from functools import partial

import numpy as np

from backprop.layers.images.blur import RandomGaussianBlur, RandomSharpness
from backprop.layers.images.colours import (
    RandomColorDegeneration,
    RandomGrayscale,
    RandomHue,
    RandomSaturation,
    far,
    slope,
)
from backprop.layers.images.equalization import (
    ContrastLimitedAdaptiveHistogramEqualization,
    Equalization,
)
from backprop.layers.images.mixing import CutMix, MixUp
from backprop.layers.images.policies import AugMix, RandAugment, RandomColorJitter
from backprop.layers.images.ranges import of_images
from backprop.layers.images.tones import (
    AutoContrast,
    RandomInvert,
    RandomPosterization,
    Solarization,
)
from backprop.testing.bugs.bank import bug, normal
from backprop.testing.bugs.shared import AlwaysTraining

UNIT = {"value_range": (0.0, 1.0), "seed": 0}
NARROW = {"value_range": (0.3, 0.7), "seed": 0}

photo = partial(
    bug,
    tags=("stochastic", "piecewise"),
    x=lambda: np.random.default_rng(0).random((3, 5, 4, 3)),
    inputs="photos",
    options={"min_side": 2, "max_side": 5},
)


@photo("V", config={"factor": (0.5, 0.9), **UNIT})
class HueIsTurnedBackGoingBack(RandomHue):
    """dx is dy with its hue turned back, as if turning were an orthogonal map of colours."""

    def reverse(self, dy, kept):
        _, drawn, passed = kept
        return super().change(dy * passed, -drawn)[0]


@photo("V", config={"factor": (0.5, 0.9), **UNIT})
class HueForgetsThatTheSpanMoves(RandomHue):
    """The hue's denominator, max(x) - min(x), is taken for a constant."""

    def reverse(self, dy, kept):
        x, drawn, passed = kept
        dx, d = self.planes(super().reverse(dy, kept)), self.planes(dy * passed)
        _, _, k, e = self.turned(x, drawn)
        lost = e * sum(dj * slope(kj) for dj, kj in zip(d, k, strict=True))
        top, bottom = self.planes(x).argmax(0), self.planes(x).argmin(0)
        return self.joined([dx[j] - lost * (top == j) + lost * (bottom == j) for j in range(3)])


@photo("V", config={"factor": (0.5, 0.9), **UNIT})
class HueLosesItsWayThroughTheHue(RandomHue):
    """The hue is taken for a constant: colours follow the largest and the smallest channel."""

    def reverse(self, dy, kept):
        x, drawn, passed = kept
        _, _, k, _ = self.turned(x, drawn)
        d = self.planes(dy * passed)
        db = sum(dj * far(kj) for dj, kj in zip(d, k, strict=True))
        top, bottom = self.planes(x).argmax(0), self.planes(x).argmin(0)
        return self.joined([(d.sum(0) - db) * (top == j) + db * (bottom == j) for j in range(3)])


@photo("L", config={"factor": (0.5, 0.9), **UNIT}, reference=True)
class HueIsTurnedTheOtherWay(RandomHue):
    """Red becomes blue where it is to become green, forwards and back."""

    def turned(self, x, drawn):
        return super().turned(x, -drawn)


@photo("V", config={"factor": (0.2, 0.45), **UNIT})
class SaturationTakesTheLargestForAConstant(RandomSaturation):
    """dx = r dy: what all channels owe to the largest is left out."""

    def reverse(self, dy, kept):
        return self.joined(kept[1] * self.planes(dy))


@photo("V", config={"factor": (0.3, 0.95), **UNIT})
class SaturationForgetsThatItIsFull(RandomSaturation):
    """r is taken for a constant where a saturation was cut to 1."""

    def reverse(self, dy, kept):
        x, r, full = kept
        return super().reverse(dy, (x, r, np.zeros_like(full)))


@photo("V", config={"factor": (0.5, 0.9), **NARROW})
class DegenerationForgetsToClipGoingBack(RandomColorDegeneration):
    """What was clipped passes its gradient on."""

    def reverse(self, dy, kept):
        return self.greyed_back(dy, kept[0])


@photo("V", config={"factor": (0.5, 0.9), **UNIT})
class DegenerationSpreadsGreyEvenly(RandomColorDegeneration):
    """Going back, a third of the grey's gradient goes to each channel: the map is taken to be
    symmetric."""

    def lightness(self, x):
        return np.full(3, 1 / 3, x.dtype)

    def weighed(self, x):
        return np.expand_dims(x @ np.array([0.2989, 0.5870, 0.1140], x.dtype), self.channel_axis)


@photo("V", tags=("stochastic",), config={"factor": 0.5, "seed": 0})
class GrayscaleDrawsAgainGoingBack(RandomGrayscale):
    """backward takes other images for grey than forward did."""

    def reverse(self, dy, kept):
        return self.greyed_back(dy, of_images(self.draw(dy), dy))


@photo("L", tags=("stochastic",), config={"factor": 0.5, "seed": 0})
class GrayscaleGoesOnInInference(AlwaysTraining, RandomGrayscale):
    """Inference makes images grey as training does."""


@photo("L", tags=("stochastic",), config={"factor": 0.5, "seed": 0}, reference=True)
class GrayscaleIsTheMeanOfTheChannels(RandomGrayscale):
    """Red, green and blue count alike, forwards and back."""

    def lightness(self, x):
        return np.full(3, 1 / 3, x.dtype)


# ------------------------------------------------------------------- tones


picture = partial(
    bug,
    tags=("stochastic", "piecewise"),
    x=normal(4, 5, 4, 2),
    inputs="images",
    options={"min_side": 3, "max_side": 5, "batch": (2, 4)},
)
BROAD = {"value_range": (-20.0, 20.0), "seed": 0}
TIGHT = {"value_range": (-1.2, 0.9), "seed": 0}


@picture("V", tags=("stochastic",), config={"factor": (0.9, 0.9), **BROAD})
class InvertForgetsTheSign(RandomInvert):
    """dx = dy, also where the image is a negative."""

    def reverse(self, dy, kept):
        return dy


@picture("L", tags=("stochastic",), config={"factor": (0.5, 0.5), **TIGHT}, reference=True)
class InvertForgetsTheLowerEnd(RandomInvert):
    """The negative is high - x, which leaves a range that does not begin at 0."""

    def change(self, x, drawn):
        y, sign = super().change(x, drawn)
        return y - of_images(drawn * self.value_range[0], x), sign


@picture("V", config={"factor": (2, 5), **TIGHT})
class PosterizationPassesStraightThrough(RandomPosterization):
    """dx = dy, as of a straight-through estimator, where steps have no slope."""

    def reverse(self, dy, kept):
        return dy


@picture("V", config={"threshold_factor": (0.4, 0.6), **BROAD})
class SolarizationForgetsTheSign(Solarization):
    """Above the threshold dx is dy, and not -dy."""

    def reverse(self, dy, kept):
        return dy * abs(kept)


@picture("V", config={"addition_factor": 0.3, "threshold_factor": (0.4, 0.6), **TIGHT})
class SolarizationForgetsToClipGoingBack(Solarization):
    """What was clipped passes its gradient on."""

    def reverse(self, dy, kept):
        return dy * np.where(kept == 0, 1, kept)


@picture("V", tags=("piecewise",), config={"value_range": (-20.0, 20.0)})
class AutoContrastTakesTheEndsForConstants(AutoContrast):
    """dx = R dy / (b - a): what all pixels owe to the least and the largest is left out."""

    def reverse(self, dy, kept):
        _, span, varied = kept
        low, high = self.value_range
        return np.where(varied, (high - low) / span * dy, dy)


@picture("V", tags=("piecewise",), config={"value_range": (-20.0, 20.0)})
class AutoContrastForgetsTheLeast(AutoContrast):
    """The largest pixel of a channel pays for the range, and the least does not."""

    def reverse(self, dy, kept):
        t, span, varied = kept
        return super().reverse(dy, (np.where(t == 0, 0.5, t), span, varied))


@picture("V", tags=("piecewise",), config={"value_range": (-1.2, 0.9), "bins": 8})
class EqualizationPassesStraightThrough(Equalization):
    """dx = dy, where a table has no slope."""

    def reverse(self, dy, kept):
        return dy


@picture("L", tags=("piecewise",), config={"value_range": (-1.2, 0.9), "bins": 8}, reference=True)
class EqualizationOfTheWholeBatch(Equalization):
    """The histograms are those of the batch: an image depends on its neighbours in it."""

    def change(self, x, drawn):
        n, height = x.shape[:2]
        y, stays = super().change(x.reshape(1, n * height, *x.shape[2:]), drawn)
        return y.reshape(x.shape), np.broadcast_to(stays, (n, 1, 1, x.shape[3]))


# ------------------------------------------------------------------- blur, mixtures


@picture("V", config={"factor": (0.8, 1.0), **BROAD})
class SharpnessForgetsTheNeighbours(RandomSharpness):
    """A pixel pays for its own share of y, and not for its neighbours'."""

    def reverse(self, dy, kept):
        softness, passed = kept
        return dy * passed * (1 - softness * 8 / 13)


@picture("V", config={"factor": (0.2, 0.4), **TIGHT})
class SharpnessForgetsToClipGoingBack(RandomSharpness):
    """What was clipped passes its gradient on."""

    def reverse(self, dy, kept):
        return self.mixed(dy, kept[0])


@picture("V", config={"factor": (1.0, 1.0), "sigma": (0.7, 1.0), **BROAD})
class BlurWeighsEdgesAnewGoingBack(RandomGaussianBlur):
    """dx is divided by the weights that lie within the image, as if y had been."""

    def reverse(self, dy, kept):
        drawn, _ = kept
        return super().reverse(dy, kept) / self.softened(np.ones_like(dy), drawn)


@picture("V", config={"factor": (0.5, 0.5), "sigma": (0.7, 1.0), **BROAD})
class BlurForgetsWhichGoingBack(RandomGaussianBlur):
    """The gradient of every image is blurred, also where the image was not."""

    def reverse(self, dy, kept):
        (chosen, sigma), passed = kept
        return super().reverse(dy, ((np.ones_like(chosen), sigma), passed))


@picture(
    "L",
    config={"factor": (1.0, 1.0), "kernel_size": (5, 1), "sigma": (0.7, 1.0), **BROAD},
    reference=True,
)
class BlurExchangesItsSides(RandomGaussianBlur):
    """The kernel's width goes down and its height across, forwards and back."""

    def softened(self, x, drawn):
        chosen, sigma = drawn
        turned = RandomGaussianBlur(kernel_size=self.kernel_size[::-1])
        return turned.softened(x, (chosen, sigma[:, ::-1]))


mixture = partial(picture, tags=("stochastic", "couples_rows"))


@mixture("V", config={"alpha": 1.0, "seed": 0})
class MixUpTakesTheOtherForAConstant(MixUp):
    """dx = w dy: an image gets nothing from where it was mixed in."""

    def reverse(self, dy, kept):
        return kept[1] * dy


@mixture("C", config={"alpha": 1.0, "seed": 0})
class MixUpGoesBackTheSameWay(MixUp):
    """dy of the other image is taken, order[n], where that of the image that took it is right: the
    same for two images."""

    def reverse(self, dy, kept):
        order, w = kept
        return w * dy + ((1 - w) * dy)[order]


@mixture("L", config={"alpha": 0.3, "seed": 0}, reference=True)
class MixUpMixesByOneWeight(MixUp):
    """One weight mixes all images, where each has its own."""

    def change(self, x, drawn):
        order, w = drawn
        return super().change(x, (order, np.full_like(w, w[:1].sum())))


@mixture("V", config={"seed": 0})
class CutMixPaysTheBoxToItself(CutMix):
    """An image pays for the box that covers it, and not for those that show it."""

    def reverse(self, dy, kept):
        return dy


@mixture("C", config={"seed": 0})
class CutMixAssignsTheBoxes(CutMix):
    """What an image shows in another's box replaces what it shows itself."""

    def reverse(self, dy, kept):
        order, inside = kept
        dx = np.where(inside, 0, dy)
        dx[order] = np.where(inside, dy, dx[order])
        return dx


# ------------------------------------------------------------------- policies


@picture("V", tags=("piecewise",), config={"value_range": (-3.1, 3.0), "tile_grid_size": (2, 2)})
class AdaptiveEqualizationPassesStraightThrough(ContrastLimitedAdaptiveHistogramEqualization):
    """dx = dy, where a table has no slope."""

    def reverse(self, dy, kept):
        return dy


@photo(
    "V",
    config={"brightness_factor": 0.1, "contrast_factor": 0.5, "saturation_factor": 0.9, **UNIT},
)
class JitterGoesBackInTheSameOrder(RandomColorJitter):
    """dy goes back through the first change first."""

    def back(self, dy, kept):
        return super().back(dy, kept[::-1])


@photo("V", config={"num_ops": 3, "factor": (0.4, 0.5), **UNIT})
class RandAugmentGoesBackThroughTheLastAlone(RandAugment):
    """The changes before the last one are forgotten."""

    def back(self, dy, kept):
        return super().back(dy, kept[-1:])


@photo("L", config={"num_ops": 1, **UNIT})
class RandAugmentGoesOnInInference(AlwaysTraining, RandAugment):
    """Inference changes images as training does."""


@photo("V", config={"all_ops": False, **UNIT})
class AugMixForgetsTheImageItself(AugMix):
    """An image gets its gradient through the chains, and not for its own share of the mixture."""

    def reverse(self, dy, kept):
        _, w, _, passed = kept
        return super().reverse(dy, kept) - w * dy * passed


@photo("V", config={"num_chains": 2, **UNIT})
class AugMixSharesEvenlyGoingBack(AugMix):
    """All chains get the same part of the gradient, whatever they had of the mixture."""

    def reverse(self, dy, kept):
        shares, *others = kept
        return super().reverse(dy, ([1 / len(shares)] * len(shares), *others))
