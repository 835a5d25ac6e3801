"""Hinge losses: what a score lacks of a margin of 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.losses.axes import mean_last, through_mean
from backprop.losses.functions import function_of
from backprop.losses.labels import BinaryLabels, OneHotLabels

Array = np.ndarray


class Margin(BinaryLabels):
    """A loss of scores against labels of -1 and 1, or of 0 and 1."""

    known = (-1, 0, 1)

    def check_labels(self, y_true: Array, output_shape: tuple[int | None, ...]) -> None:
        if y_true.size and not (y_true.min() >= -1 and y_true.max() <= 1):
            raise ValueError(
                f"{type(self).__name__} expects labels -1 and 1, or 0 and 1, and got "
                f"{y_true.min()} to {y_true.max()}"
            )


class Hinge(Margin):
    """values = ⟨m⟩ over the last axis, where m = max(1 - t y_pred, 0) and t = ±1.

        y_true, y_pred, t, m: (..., k)    values: (...)

    Only scores within the margin count; at its edge, the kink, we take 0:

        dy_pred = -t dvalues / k    where t y_pred < 1, else 0

    Parameters
    ----------
    reduction, name, dtype : as in `Loss`

    Notes
    -----
    Where all of `y_true` is 0 or 1, t = 2 y_true - 1; otherwise t = y_true.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.losses import Hinge
    >>> float(Hinge()(np.array([[0.0, 1.0]]), np.array([[0.5, 0.25]])))  # (1.5 + 0.75) / 2
    1.125
    """

    name = "hinge"

    def values(self, y_true: Array, y_pred: Array) -> tuple[Array, Any]:
        t = signs(y_true)
        m = np.maximum(1 - t * y_pred, 0)
        return mean_last(m), (t, m)

    def gradient(self, dvalues: Array, cache: Any) -> Array:
        t, m = cache
        return -through_mean(dvalues, t) * t * (m > 0)


hinge = function_of(Hinge, "[[0.0, 1.0]], [[0.5, 0.25]]", "[1.125]")


class SquaredHinge(Margin):
    """values = ⟨m²⟩ over the last axis, where m = max(1 - t y_pred, 0) and t = ±1.

        y_true, y_pred, t, m: (..., k)    values: (...)

    The square rounds the kink off, so that the slope is continuous:

        dy_pred = -2 t m dvalues / k

    Parameters
    ----------
    reduction, name, dtype : as in `Loss`

    Notes
    -----
    t as in `Hinge`.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.losses import SquaredHinge
    >>> float(SquaredHinge()(np.array([[0.0, 1.0]]), np.array([[0.5, 0.5]])))  # (1.5² + 0.5²) / 2
    1.25
    """

    name = "squared_hinge"

    def values(self, y_true: Array, y_pred: Array) -> tuple[Array, Any]:
        t = signs(y_true)
        m = np.maximum(1 - t * y_pred, 0)
        return mean_last(m * m), (t, m)

    def gradient(self, dvalues: Array, cache: Any) -> Array:
        t, m = cache
        return through_mean(-2 * dvalues, t) * t * m


squared_hinge = function_of(SquaredHinge, "[[0.0, 1.0]], [[0.5, 0.5]]", "[1.25]")


class CategoricalHinge(OneHotLabels):
    """values = max(neg - pos + 1, 0), where pos = Σ t y_pred, neg = max (1 - t) y_pred, t = y_true.

        y_true, y_pred, t: (..., k)    values, pos, neg: (...)

    The score of the right class, where t is 1, against the best of the wrong ones. With δ one-hot
    where neg is reached (the first such place), and 0 at the kink, where the margin is just kept:

        dy_pred = ((1 - t) δ - t) dvalues    where neg - pos + 1 > 0, else 0

    Parameters
    ----------
    reduction, name, dtype : as in `Loss`

    Notes
    -----
    As in Keras, the right class takes part in neg with the score 0.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.losses import CategoricalHinge
    >>> float(CategoricalHinge()(np.array([[0.0, 1.0, 0.0]]), np.array([[0.5, 0.75, 0.25]])))
    0.75
    """

    name = "categorical_hinge"

    def values(self, y_true: Array, y_pred: Array) -> tuple[Array, Any]:
        wrong = (1 - y_true) * y_pred
        values = np.maximum(wrong.max(-1) - np.vecdot(y_true, y_pred) + 1, 0)
        return values, (y_true, wrong, values)

    def gradient(self, dvalues: Array, cache: Any) -> Array:
        t, wrong, values = cache
        first = np.arange(t.shape[-1]) == wrong.argmax(-1)[..., None]
        return ((1 - t) * first - t) * (dvalues * (values > 0))[..., None]


categorical_hinge = function_of(
    CategoricalHinge, "[[0.0, 1.0, 0.0]], [[0.5, 0.75, 0.25]]", "[0.75]"
)


def signs(y_true: Array) -> Array:
    """Labels 0 and 1 as -1 and 1, where all are 0 or 1."""
    return 2 * y_true - 1 if (y_true * y_true == y_true).all() else y_true
