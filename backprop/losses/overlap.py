"""Losses of regions: how much of what was drawn and of what was foreseen lies in both."""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.arguments import argument
from backprop.checks import Axes, NumberFromZero
from backprop.losses.functions import function_of
from backprop.losses.labels import check_probabilities
from backprop.losses.loss import EPSILON, ReductionFirst
from backprop.masks import beside, only_real

Array = np.ndarray


class Overlap(ReductionFirst):
    """values = 1 - I / D, where I = Σ t p and D = a Σ t p + b Σ t + c Σ p + 1e-7.

        t, p: (n, ..., k), y_true and y_pred    values, I, D: what is left without the summed axes

    The sums are over `axis`, or over everything, the batch too, where that is None: then there is
    one value, which every weight multiplies. `factors` are a, b and c. By the quotient rule, with
    r = I / D,

        dp = -(t - r (a t + c)) / D dvalues

    What is masked is in no sum.
    """

    axis: Axes | None = argument(default=None, after="name")
    domain = "numbers from 0 to 1: end in a sigmoid or softmax"

    @property
    def factors(self) -> tuple[float, float, float]:
        raise NotImplementedError

    def values(self, y_true: Array, y_pred: Array) -> tuple[Array, Any]:
        a, b, c = self.factors
        both, drawn, foreseen = (self.sum(x) for x in (y_true * y_pred, y_true, y_pred))
        D = a * both + b * drawn + c * foreseen + EPSILON
        r = both / D
        return 1 - np.squeeze(r, self.axis), (y_true, r, D, None)

    def gradient(self, dvalues: Array, cache: Any) -> Array:
        t, r, D, real = cache
        a, _, c = self.factors
        share = np.reshape(dvalues, D.shape) / D
        dp = t * (share * (r * a - 1))
        dp += share * r * c
        return only_real(dp, real)

    def sum(self, x: Array) -> Array:
        return np.add.reduce(x, self.axis, keepdims=True)

    def pair(self, found: Any, y_pred: Array) -> tuple[Array, Any]:
        return found  # one value for the whole batch is none too few

    def measure(self, y_true: Array, y_pred: Array, mask: Any) -> tuple[Array, Any, Any]:
        if mask is None:
            return super().measure(y_true, y_pred, mask)
        y_true, y_pred = only_real(y_true, mask), only_real(y_pred, mask)
        values, (t, r, D, _) = self.values(y_true, y_pred)
        # a value counts where something of what it sums up does
        some = np.broadcast_to(beside(mask, y_pred.ndim), y_pred.shape).any(self.axis)
        return values, (t, r, D, mask), some if some.ndim else None

    def check_labels(self, y_true: Array, output_shape: tuple[int | None, ...]) -> None:
        check_probabilities(self, y_true, "divide masks of 0 and 255 by 255")

    def weigh(self, values: Array, sample_weight: Any, mask: Any) -> tuple[Array, Array, float]:
        weighted, w, total = super().weigh(values, sample_weight, mask)
        return weighted, w, total if weighted.ndim else 1.0  # as Keras does with a single value


class Dice(Overlap):
    """values = 1 - 2 Σ t p / (Σ t + Σ p + 1e-7): 0 where the two regions are the same, 1 where they
    have nothing in common.

        t, p: (n, ..., k), y_true and y_pred    values: what is left without the summed axes

    The sums are over `axis`. With r = Σ t p / (Σ t + Σ p + 1e-7),

        dp = 2 (r - t) / (Σ t + Σ p + 1e-7) dvalues

    where r is half of 1 - values: what is drawn is pulled up, the rest pushed down, by the overlap
    there is already. Where there is nothing to find and nothing was found, the value is 1, as in
    Keras, and dp is 0 where t is.

    Parameters
    ----------
    axis : int or tuple of int, optional
        What the sums run over. ``(1, 2, 3)`` gives a value for each image of a batch. Default: all
        axes, the batch's too; then there is a single value.
    reduction, name, dtype : as in `Loss`

    Notes
    -----
    Predictions are probabilities, as of a sigmoid or a softmax. A mask, which Keras lets count only
    as a weight of the values, leaves steps out of the sums.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.losses import Dice
    >>> y_true, y_pred = np.array([[1.0, 1.0, 0.0]]), np.array([[1.0, 0.5, 0.5]])
    >>> round(float(Dice()(y_true, y_pred)), 6)  # 1 - 2 * 1.5 / (2 + 2)
    0.25

    Source: F. Milletari, N. Navab and S.-A. Ahmadi, V-Net: Fully Convolutional Neural Networks for
    Volumetric Medical Image Segmentation, 2016, section 3, with sums in place of sums of squares.
    """

    name = "dice"

    @property
    def factors(self) -> tuple[float, float, float]:
        return 0.0, 1.0, 1.0

    def values(self, y_true: Array, y_pred: Array) -> tuple[Array, Any]:
        values, cache = super().values(y_true, y_pred)
        return 2 * values - 1, cache  # 1 - 2 r from 1 - r

    def gradient(self, dvalues: Array, cache: Any) -> Array:
        return super().gradient(2 * dvalues, cache)


dice = function_of(
    Dice,
    "[[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]], [[1.0, 0.5, 0.5], [0.0, 1.0, 0.0]], axis=1",
    "[0.25, 0.0]",
)


class Tversky(Overlap):
    """values = 1 - Σ t p / (Σ t p + alpha Σ t (1 - p) + beta Σ (1 - t) p + 1e-7).

        t, p: (n, ..., k), y_true and y_pred    values: what is left without the summed axes

    The sums are over `axis`. `alpha` is what it costs to miss something, `beta` what it costs to
    see something that is not there; with a half for both it is `Dice`. Let D be the denominator and
    r = Σ t p / D. D changes with p by t - alpha t + beta (1 - t), so

        dp = -(t - r ((1 - alpha - beta) t + beta)) / D dvalues

    Parameters
    ----------
    alpha, beta : float, default 0.5
        Not negative. As in Keras, `alpha` weighs what was missed and `beta` what was wrongly seen,
        the other way round than in the paper.
    axis, reduction, name, dtype : as in `Dice`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.losses import Tversky
    >>> y_true, y_pred = np.array([[1.0, 1.0, 0.0]]), np.array([[1.0, 0.0, 0.5]])
    >>> round(float(Tversky(alpha=0.75, beta=0.5)(y_true, y_pred)), 6)  # 1 - 1 / (1 + 0.75 + 0.25)
    0.5

    Source: S. Salehi, D. Erdogmus and A. Gholipour, Tversky Loss Function for Image Segmentation
    Using 3D Fully Convolutional Deep Networks, 2017, equation 3.
    """

    alpha: NumberFromZero = 0.5
    beta: NumberFromZero = 0.5
    name = "tversky"

    @property
    def factors(self) -> tuple[float, float, float]:
        return 1 - self.alpha - self.beta, self.alpha, self.beta


tversky = function_of(Tversky, "[[1.0, 1.0, 0.0]], [[1.0, 0.0, 0.5]], alpha=0.75, axis=1", "[0.5]")
