"""Cross-entropies that weigh: what is foreseen counts less, or a wrong label costs less."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from backprop import checks
from backprop.arguments import Convert
from backprop.checks import Number, where
from backprop.linalg import rows, sigmoid
from backprop.losses.axes import last, mean_last, through_mean, unlast
from backprop.losses.classification import exponentials, normalise
from backprop.losses.functions import function_of
from backprop.losses.labels import (
    BinaryLabels,
    ClassNumbers,
    OneHotLabels,
    Smoothed,
    check_probabilities,
    smooth,
)
from backprop.losses.loss import EPSILON

Array = np.ndarray


NotNegative = Annotated[float, where(lambda v: v >= 0, "{name} of at least 0")]
ProperFraction = Annotated[float, where(lambda v: 0 < v < 1, "{name} between 0 and 1")]


def weights(value: Any, who: str, name: str) -> Any:
    """A number, or one for each class."""
    several = isinstance(value, list | tuple | np.ndarray)
    given = checks.sequence(value, who, name) if several else [value]
    found = [checks.number(v, who, name) for v in given]
    return found if several else found[0]


class BinaryFocalCrossentropy(Smoothed, BinaryLabels):
    """values = ⟨w f^gamma c⟩ along `axis`: cross-entropy c, damped where the label was foreseen.

        y_true, y_pred, t, p, r, c, f, w: (..., k)    values: (...)

        c = -t log p - (1 - t) log r    r = 1 - p
        f = t r + (1 - t) p
        w = alpha t + (1 - alpha)(1 - t), or 1 unless `apply_class_balancing`

    where c sees p and r held within [1e-7, 1 - 1e-7]. A product of two functions of p, with
    c' = (1 - t) / r - t / p inside the clip, else 0, and f' = 1 - 2t:

        dp = w (gamma f^(gamma - 1) f' c + f^gamma c') dvalues / k

    For gamma < 1, f^(gamma - 1) is infinite at f = 0, and that of 1e-7 is taken there. With
    `from_logits`, p = sigmoid(y_pred) and r = sigmoid(-y_pred), so dy_pred = dp p r; otherwise
    p = y_pred.

    Parameters
    ----------
    apply_class_balancing : bool, default False
        Whether to weigh the two classes by `alpha`.
    alpha : float, default 0.25
        Weight of class 1; that of class 0 is 1 - alpha.
    gamma : float, default 2.0
        How strongly the known is damped; 0 damps nothing.
    from_logits, label_smoothing, axis, reduction, name, dtype : as in `BinaryCrossentropy`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.losses import BinaryFocalCrossentropy
    >>> loss = BinaryFocalCrossentropy()
    >>> round(float(loss(np.array([[1.0]]), np.array([[0.5]]))), 6)  # log(2) / 4
    0.173287

    Source: T.-Y. Lin et al., Focal Loss for Dense Object Detection, 2017, equation 5.
    """

    apply_class_balancing: bool = False
    alpha: Number = 0.25
    gamma: NotNegative = 2.0
    name = "binary_focal_crossentropy"

    def values(self, y_true: Array, y_pred: Array) -> tuple[Array, Any]:
        t, p = smooth(last(y_true, self.axis), self.label_smoothing, 2), last(y_pred, self.axis)
        # 1 - p has no digits left where p is beside 1: of logits it is a sigmoid of its own
        p, r = (sigmoid(p), sigmoid(-p)) if self.from_logits else (p, 1 - p)
        c = -t * log(p, r) - (1 - t) * log(r, p)
        f = t * r + (1 - t) * p
        return mean_last(self.balance(t) * f**self.gamma * c), (t, p, r, c, f)

    def gradient(self, dvalues: Array, cache: Any) -> Array:
        t, p, r, c, f = cache
        inside = (p == held(p)) & (r == held(r))
        dp = f**self.gamma * ((1 - t) / held(r) - t / held(p)) * inside
        dp += slope(f, self.gamma) * (1 - 2 * t) * c
        dp *= self.balance(t) * through_mean(dvalues, p)
        return unlast(dp * p * r if self.from_logits else dp, self.axis)

    def balance(self, t: Array) -> Any:
        return self.alpha * t + (1 - self.alpha) * (1 - t) if self.apply_class_balancing else 1

    def check_labels(self, y_true: Array, output_shape: tuple[int | None, ...]) -> None:
        check_probabilities(self, y_true, "for more classes use CategoricalFocalCrossentropy")


binary_focal_crossentropy = function_of(BinaryFocalCrossentropy, "[[1.0]], [[0.5]]", "[0.173287]")


class CategoricalFocalCrossentropy(Smoothed, OneHotLabels):
    """values = -Σ alpha (1 - q)^gamma t log q along `axis`: damped where the label was foreseen.

        y_true, y_pred, t, q: (..., k)    values, s: (...)    alpha: () or (k,)

    q is y_pred / s with s = Σ y_pred, held within [1e-7, 1 - 1e-7] (dq = 0 outside). A product of
    two functions of q:

        dq = alpha t (gamma (1 - q)^(gamma - 1) log q - (1 - q)^gamma / q) dvalues

    and since Σ y_pred / s = 1 whatever y_pred is,

        dy_pred = (dq - Σ dq q) / s

    With `from_logits`, q = softmax(y_pred), of which 1 - q is the sum of the others, and

        dy_pred = q (dq - Σ dq q)

    Parameters
    ----------
    alpha : float or sequence of float, default 0.25
        Weight of the classes.
    gamma, from_logits, label_smoothing, axis, reduction, name, dtype
        `gamma` as in `BinaryFocalCrossentropy`, the others as in `CategoricalCrossentropy`.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.losses import CategoricalFocalCrossentropy
    >>> loss = CategoricalFocalCrossentropy(alpha=1.0)
    >>> round(float(loss(np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]]))), 6)  # log(2) / 4
    0.173287

    Source: T.-Y. Lin et al., Focal Loss for Dense Object Detection, 2017, equation 5.
    """

    alpha: Annotated[Any, Convert(weights)] = 0.25
    gamma: NotNegative = 2.0
    name = "categorical_focal_crossentropy"

    def check_targets(self, y_true: Array, output_shape: tuple[int | None, ...]) -> None:
        super().check_targets(y_true, output_shape)
        classes = output_shape[self.axis]
        if isinstance(self.alpha, list) and len(self.alpha) not in (1, classes or len(self.alpha)):
            raise ValueError(
                f"{type(self).__name__} expects alpha to be a weight, or one for each of {classes} "
                f"classes, got {len(self.alpha)}"
            )

    def values(self, y_true: Array, y_pred: Array) -> tuple[Array, Any]:
        t, y_pred = last(y_true, self.axis), last(y_pred, self.axis)
        t = smooth(t, self.label_smoothing, t.shape[-1])
        if self.from_logits:
            z, e, s = exponentials(y_pred)
            q, r = e / s[..., None], others(z, e, s)
        else:
            q, s = normalise(y_pred)
            r = 1 - q
        p = held(q)
        f = np.where(p == q, r, 1 - p)
        t = np.asarray(self.alpha, p.dtype) * t
        return -np.vecdot(t * f**self.gamma, log(p, f)), (t, q, s, p, f)

    def gradient(self, dvalues: Array, cache: Any) -> Array:
        t, q, s, p, f = cache
        dq = (
            t
            * (slope(f, self.gamma) * log(p, f) - f**self.gamma / p)
            * (p == q)
            * dvalues[..., None]
        )
        dq -= np.vecdot(dq, q)[..., None]
        return unlast(dq * q if self.from_logits else dq / s[..., None], self.axis)

    def check_labels(self, y_true: Array, output_shape: tuple[int | None, ...]) -> None:
        super().check_labels(y_true, output_shape)
        check_probabilities(self, y_true, "for class numbers use utils.to_categorical(y)")


categorical_focal_crossentropy = function_of(
    CategoricalFocalCrossentropy, "[[1.0, 0.0]], [[0.5, 0.5]], alpha=1.0", "[0.173287]"
)


class CategoricalGeneralizedCrossEntropy(ClassNumbers):
    """values = (1 - p^q) / q, where p is the probability of the label.

        y_true: (...)    y_pred: (..., k)    values, p: (...)

    Between cross-entropy (q → 0) and 1 - p (q = 1): a wrong label, whose p stays small, pulls with
    p^(q - 1) and not with 1 / p. With δ one-hot at the label:

        dy_pred = -δ p^(q - 1) dvalues

    At p = 0 the slope is infinite; p is held above 0 there, so that behind a softmax, where it is
    multiplied by p, it goes to 0 as p^q does.

    Parameters
    ----------
    q : float in (0, 1), default 0.5
    reduction, name, dtype : as in `Loss`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.losses import CategoricalGeneralizedCrossEntropy
    >>> float(CategoricalGeneralizedCrossEntropy()([1], np.array([[0.75, 0.25]])))
    1.0

    Source: Z. Zhang and M. Sabuncu, Generalized Cross Entropy Loss for Training Deep Neural
    Networks with Noisy Labels, 2018, equation 6.
    """

    q: ProperFraction = 0.5
    name = "categorical_generalized_cross_entropy"

    def values(self, y_true: Array, y_pred: Array) -> tuple[Array, Any]:
        at = np.arange(y_true.size), y_true.reshape(-1)
        p = rows(y_pred)[at]
        return ((1 - p**self.q) / self.q).reshape(y_true.shape), (p, at, y_pred.shape)

    def gradient(self, dvalues: Array, cache: Any) -> Array:
        p, at, shape = cache
        dy_pred = np.zeros((p.size, shape[-1]), p.dtype)
        above = np.maximum(p, np.finfo(p.dtype).tiny)
        dy_pred[at] = -(above ** (self.q - 1)) * dvalues.reshape(-1)
        return dy_pred.reshape(shape)


categorical_generalized_cross_entropy = function_of(
    CategoricalGeneralizedCrossEntropy, "[1], [[0.75, 0.25]], q=0.5", "[1.0]", defaults=False
)


def log(p: Array, r: Array) -> Array:
    """log p, of whichever of p and r = 1 - p is smaller: it has more digits."""
    return np.where(p < r, np.log(held(p)), np.log1p(-held(r)))


def others(z: Array, e: Array, s: Array) -> Array:
    """1 - e / s. Where e is most of s, beside which nothing is left of it, the rest is added up."""
    first = z.argmax(-1, keepdims=True)
    rest = e.copy()
    np.put_along_axis(rest, first, 0, -1)
    r = 1 - e / s[..., None]
    np.put_along_axis(r, first, rest.sum(-1, keepdims=True) / s[..., None], -1)
    return r


def held(p: Array) -> Array:
    """A probability within [1e-7, 1 - 1e-7]."""
    return p.clip(EPSILON, 1 - EPSILON)


def slope(f: Array, gamma: float) -> Any:
    """d f^gamma / df; at f = 0, where it is infinite for gamma < 1, that at 1e-7."""
    if gamma < 1:
        f = np.where(f < np.finfo(f.dtype).tiny, EPSILON, f)
    return gamma * f ** (gamma - 1) if gamma else 0.0
