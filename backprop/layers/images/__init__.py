"""Images: given one size, and changed at random in training."""

from __future__ import annotations

from backprop.layers.images.affine import (
    RandomRotation,
    RandomShear,
    RandomTranslation,
    RandomZoom,
)
from backprop.layers.images.blur import RandomGaussianBlur, RandomSharpness
from backprop.layers.images.colours import (
    RandomColorDegeneration,
    RandomGrayscale,
    RandomHue,
    RandomSaturation,
)
from backprop.layers.images.equalization import (
    ContrastLimitedAdaptiveHistogramEqualization,
    Equalization,
)
from backprop.layers.images.erasing import RandomErasing
from backprop.layers.images.flips import RandomFlip
from backprop.layers.images.max_boxes import MaxNumBoundingBoxes
from backprop.layers.images.mixing import CutMix, MixUp
from backprop.layers.images.policies import AugMix, RandAugment, RandomColorJitter
from backprop.layers.images.shades import RandomBrightness, RandomContrast
from backprop.layers.images.sizes import CenterCrop, RandomCrop, Resizing
from backprop.layers.images.tones import (
    AutoContrast,
    RandomInvert,
    RandomPosterization,
    Solarization,
)
from backprop.layers.images.warping import RandomElasticTransform, RandomPerspective

__all__ = [
    "AugMix",
    "AutoContrast",
    "CenterCrop",
    "ContrastLimitedAdaptiveHistogramEqualization",
    "CutMix",
    "Equalization",
    "MaxNumBoundingBoxes",
    "MixUp",
    "RandAugment",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomCrop",
    "RandomElasticTransform",
    "RandomErasing",
    "RandomFlip",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterization",
    "RandomRotation",
    "RandomSaturation",
    "RandomSharpness",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
    "Resizing",
    "Solarization",
]
