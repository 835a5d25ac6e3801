"""Several changes of images one after the other: in a fixed order, chosen by chance, or mixed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from backprop.checks import NotNegative, NumberAboveZero, Positive
from backprop.initializers.draws import Seed
from backprop.layers.images.affine import RandomRotation, RandomShear, RandomTranslation
from backprop.layers.images.base import ImageLayer
from backprop.layers.images.blur import RandomSharpness
from backprop.layers.images.colours import (
    RandomColorDegeneration,
    RandomHue,
    RandomSaturation,
    Share,
)
from backprop.layers.images.equalization import Equalization
from backprop.layers.images.factors import Bounds, FromZero, ValueRange
from backprop.layers.images.places import Interpolation
from backprop.layers.images.ranges import clipped
from backprop.layers.images.shades import RandomBrightness, RandomContrast, Spread
from backprop.layers.images.tones import AutoContrast, RandomPosterization, Solarization

Steps = Iterable[tuple[int, Any]]  # the index of a change, and what was drawn for it


class Composed(ImageLayer):
    """Changes by other layers, `self.changes`, whose draws come from this layer's generator.

    y = fₖ(… f₁(x)),    and dx goes back through them from the last to the first
    """

    @property
    def changes(self) -> list[Any]:
        """The layers that change the images."""
        return list(self._changes.values())

    def take(self, changes: list[ImageLayer]) -> None:
        """Made of these layers; their arguments are this one's."""
        self._changes = dict(enumerate(changes))  # by number: they are no layers within this one
        for change in changes:
            self.speak_for(change)

    def build(self, input_shape):
        for change in self._changes.values():
            change.build(input_shape)

    def check_input(self, shape):
        super().check_input(shape)
        for change in self._changes.values():
            try:
                change.check_input(shape)
            except ValueError as error:
                raise ValueError(f"{self!r} changes images by {error}") from error

    def drawn_by(self, i: int, x) -> Any:
        change = self._changes[i]
        change.__dict__["_rng"] = self.rng  # one seed decides about all
        return change.draw(x)

    def through(self, x, steps: Steps) -> tuple[Any, list]:
        """x after these changes, and what is kept of each."""
        kept = []
        for i, drawn in steps:
            x, of_step = self._changes[i].change(x, drawn)
            kept.append((i, of_step))
        return x, kept

    def back(self, dy, kept: list) -> Any:
        for i, of_step in reversed(kept):
            dy = self._changes[i].reverse(dy, of_step)
        return dy

    def masks_through(self, masks, steps: Steps) -> Any:
        for i, drawn in steps:
            masks = self._changes[i].change_masks(masks, drawn)
        return masks

    def change(self, x, drawn) -> tuple[Any, Any]:
        return self.through(x, drawn)

    def reverse(self, dy, kept):
        return self.back(dy, kept)

    def change_masks(self, masks, drawn):
        return self.masks_through(masks, drawn)

    def move_points(self, points, drawn, height, width):
        for i, of_step in drawn:
            points = self._changes[i].move_points(points, of_step, height, width)
        return points

    @property
    def moves_points(self):
        return any(change.moves_points for change in self._changes.values())

    @property
    def takes_boxes(self):
        return all(change.takes_boxes for change in self._changes.values())


class RandomColorJitter(Composed):
    """y = x made brighter, of more contrast, more colourful, and turned around the hues, at random.

        x, y: (N, H, W, C)    C = 3 for saturation and hue

    These are `RandomBrightness`, `RandomContrast`, `RandomSaturation` and `RandomHue`, in this
    order; those without a factor are left out. Each has draws of its own. dx goes back through them
    from the last to the first.

    Parameters
    ----------
    value_range : pair of float, default (0, 255)
        Of the pixels.
    brightness_factor, contrast_factor, saturation_factor, hue_factor : float or pair, optional
        As `factor` of these layers. Default: left out.
    seed : int, optional
        Of the layer's generator. Default: from `utils.set_random_seed`.
    data_format : {"channels_last", "channels_first"}, optional
        Default: last.
    **kwargs : `trainable`, `dtype`, `name` of every `Layer`

    Raises
    ------
    ValueError
        As in these layers.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import RandomColorJitter
    >>> jitter = RandomColorJitter((0, 1), (0.2, 0.2), saturation_factor=(0.0, 0.0))
    >>> jitter(np.array([0.5, 0.1, 0.3]).reshape(1, 1, 1, 3)).ravel()
    array([0.7, 0.7, 0.7], dtype=float32)
    """

    value_range: ValueRange = (0, 255)
    brightness_factor: Bounds | None = None
    contrast_factor: Spread | None = None
    saturation_factor: Share | None = None
    hue_factor: FromZero | None = None
    seed: Seed = None

    said_in_pairs = "contrast_factor", "saturation_factor"

    def __post_init__(self):
        wanted = (
            (RandomBrightness, self.brightness_factor),
            (RandomContrast, self.contrast_factor),
            (RandomSaturation, self.saturation_factor),
            (RandomHue, self.hue_factor),
        )
        common = {"value_range": self.value_range, "data_format": self.data_format}
        self.take([make(factor, **common) for make, factor in wanted if factor is not None])

    def draw(self, x):
        return [(i, self.drawn_by(i, x)) for i in self._changes]


def geometric(policy: Any) -> list[ImageLayer]:
    """The changes of a policy that move pixels, as strong as it says."""
    f, more = policy.factor, {"data_format": policy.data_format}
    more["interpolation"] = policy.interpolation
    return [RandomShear(f, f, **more), RandomTranslation(f, f, **more), RandomRotation(f, **more)]


def of_tones(policy: Any) -> list[ImageLayer]:
    """Those that change single tones."""
    low, high = policy.factor
    more = {"value_range": policy.value_range, "data_format": policy.data_format}
    bits = (1, max(1, int(8 * high)))  # from 1 on and below these, as Keras' policies have it
    return [
        RandomPosterization(bits, **more),
        Solarization((low, high), (low, high), **more),
        AutoContrast(**more),
        Equalization(**more),
    ]


def of_colours(policy: Any) -> list[ImageLayer]:
    """Those that change colours and contrasts."""
    more = {"value_range": policy.value_range, "data_format": policy.data_format}
    makers = RandomBrightness, RandomColorDegeneration, RandomContrast, RandomSharpness
    return [make(policy.factor, **more) for make in makers]


class RandAugment(Composed):
    """y = x after `num_ops` changes that are chosen by chance, the same for all images of a batch.

        x, y: (N, H, W, C)    C is 1 or 3

    They are chosen, with repetition, of shear, translation, rotation, brightness, colour
    degeneration, contrast, sharpness, posterization, solarization, auto-contrast and equalization;
    one that is chosen twice does the same twice. What each draws is for each image anew. dx goes
    back through them from the last to the first; posterization and equalization are steps, and let
    nothing through.

    Parameters
    ----------
    value_range : pair of float, default (0, 255)
        Of the pixels.
    num_ops : int, default 2
        How many changes.
    factor : float or pair of float, default 0.5
        How strong they are, from 0 to 1: the `factor` of each. f stands for (0, f).
    interpolation : {"bilinear", "nearest"}
        Of those that move pixels.
    seed, data_format, **kwargs : as in `RandomColorJitter`

    Raises
    ------
    ValueError
        For a factor beyond its bounds, or another interpolation.

    References
    ----------
    Cubuk et al., "RandAugment: Practical automated data augmentation with a reduced search space",
    2020.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import RandAugment
    >>> x = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3))
    >>> y = RandAugment(seed=1)(x, training=True)
    >>> y.shape, bool((y >= 0).all() and (y <= 255).all())
    ((2, 8, 8, 3), True)
    """

    value_range: ValueRange = (0, 255)
    num_ops: NotNegative = 2
    factor: FromZero = 0.5
    interpolation: Interpolation = "bilinear"
    seed: Seed = None

    def __post_init__(self):
        self.take([*geometric(self), *of_colours(self), *of_tones(self)])

    def draw(self, x):
        chosen = self.rng.integers(0, len(self._changes), self.num_ops).tolist()
        drawn = {i: self.drawn_by(i, x) for i in dict.fromkeys(chosen)}
        return [(i, drawn[i]) for i in chosen]


class AugMix(Composed):
    """y = clip(w x + (1 - w) Σₖ cₖ fₖ(x)), with fₖ chains of changes that are chosen by chance.

        x, y: (N, H, W, C)    C is 1 or 3    w: a number, c: (num_chains,), the same for all images

    w is of the beta distribution with alpha, alpha, and c of the Dirichlet distribution with alpha.
    A chain is `chain_depth` times one of the changes of `RandAugment`, or none. With d = dy, and 0
    where y was clipped to the value range, and dₖ = cₖ (1 - w) d back through chain k:

        dx = w d + Σₖ dₖ

    Parameters
    ----------
    value_range : pair of float, default (0, 255)
        Of the pixels.
    num_chains : int, default 3
    chain_depth : int, default 3
        How many changes a chain has at most.
    factor : float or pair of float, default 0.3
        How strong they are, from 0 to 1: the `factor` of each. f stands for (0, f).
    alpha : float, default 1.0
        Above 0.
    all_ops : bool, default True
        Whether brightness, colour degeneration, contrast and sharpness are among the changes.
    interpolation : {"bilinear", "nearest"}
        Of those that move pixels.
    seed, data_format, **kwargs : as in `RandomColorJitter`

    Raises
    ------
    ValueError
        For a factor, a number or an interpolation beyond what is said here.

    References
    ----------
    Hendrycks et al., "AugMix: A Simple Data Processing Method to Improve Robustness and
    Uncertainty", 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import AugMix
    >>> x = np.random.default_rng(0).uniform(0, 1, (2, 8, 8, 3))
    >>> y = AugMix((0, 1), seed=1)(x, training=True)
    >>> y.shape, bool((y >= 0).all() and (y <= 1).all())
    ((2, 8, 8, 3), True)
    """

    value_range: ValueRange = (0, 255)
    num_chains: Positive = 3
    chain_depth: NotNegative = 3
    factor: FromZero = 0.3
    alpha: NumberAboveZero = 1.0
    all_ops: bool = True
    interpolation: Interpolation = "bilinear"
    seed: Seed = None

    def __post_init__(self):
        colours = of_colours(self) if self.all_ops else []
        self.take([*geometric(self), *of_tones(self), *colours])

    def draw(self, x):
        shares = self.rng.dirichlet([self.alpha] * self.num_chains).tolist()
        w = self.rng.beta(self.alpha, self.alpha)
        # one more than there are, for none
        chosen = self.rng.integers(len(self._changes) + 1, size=(self.num_chains, self.chain_depth))
        chains = [
            [(i, self.drawn_by(i, x)) for i in chain if i < len(self._changes)]
            for chain in chosen.tolist()
        ]
        return shares, w, chains

    def change(self, x, drawn):
        shares, w, chains = drawn
        y, kept = w * x, []
        for share, chain in zip(shares, chains, strict=True):
            end, of_chain = self.through(x, chain)
            y += (1 - w) * share * end
            kept.append(of_chain)
        y, passed = clipped(y, self.value_range)
        return y, (shares, w, kept, passed)

    def reverse(self, dy, kept):
        shares, w, chains, passed = kept
        d = dy * passed
        dx = w * d
        for share, chain in zip(shares, chains, strict=True):
            dx += self.back((1 - w) * share * d, chain)
        return dx

    @property
    def moves_points(self):
        return False  # as in Keras: boxes stay where they are in x, which has a share in y

    def change_masks(self, masks, drawn):
        """Mixed as the images are: how much of each class, where masks hold shares of classes."""
        shares, w, chains = drawn
        masks = self.as_float(masks)
        y = w * masks
        for share, chain in zip(shares, chains, strict=True):
            y += (1 - w) * share * self.masks_through(masks, chain)
        return y
