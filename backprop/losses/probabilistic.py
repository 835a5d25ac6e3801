"""Losses of distributions and counts."""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.losses.axes import mean_last, through_mean
from backprop.losses.functions import function_of
from backprop.losses.loss import EPSILON, ReductionFirst

Array = np.ndarray


class KLDivergence(ReductionFirst):
    """values = Σ t log(t / p) over the last axis: t, p are y_true, y_pred held within [1e-7, 1].

        y_true, y_pred, t, p: (..., k)    values: (...)

    Only -t log p holds the prediction; the clip passes nothing on outside its interval:

        dy_pred = -t / p dvalues    where 1e-7 <= y_pred <= 1, else 0

    Parameters
    ----------
    reduction, name, dtype : as in `Loss`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.losses import KLDivergence
    >>> round(float(KLDivergence()(np.array([[0.5, 0.5]]), np.array([[0.25, 0.75]]))), 6)
    0.143841
    """

    name = "kl_divergence"

    def values(self, y_true: Array, y_pred: Array) -> tuple[Array, Any]:
        t, p = y_true.clip(EPSILON, 1), y_pred.clip(EPSILON, 1)
        ratio = t / p
        return np.vecdot(t, np.log(ratio)), (ratio, p == y_pred)

    def gradient(self, dvalues: Array, cache: Any) -> Array:
        ratio, inside = cache
        return -dvalues[..., None] * ratio * inside


kl_divergence = function_of(KLDivergence, "[[0.5, 0.5]], [[0.25, 0.75]]", "[0.143841]")


class Poisson(ReductionFirst):
    """values = ⟨y_pred - y_true log(y_pred + 1e-7)⟩, with ⟨·⟩ the mean over the last axis.

        y_true, y_pred: (..., k)    values: (...)

    The negative log-likelihood of counts y_true at rates y_pred, without its constant log y_true!:

        dy_pred = (1 - y_true / (y_pred + 1e-7)) dvalues / k

    Parameters
    ----------
    reduction, name, dtype : as in `Loss`

    Notes
    -----
    Rates must be positive: end the model with ``"softplus"`` or ``"exponential"``.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.losses import Poisson
    >>> round(float(Poisson()(np.array([[1.0, 0.0]]), np.array([[1.0, 3.0]]))), 6)
    2.0
    """

    domain = "rates must be positive: end the model with 'softplus' or 'exponential'"

    name = "poisson"

    def values(self, y_true: Array, y_pred: Array) -> tuple[Array, Any]:
        rate = y_pred + EPSILON
        return mean_last(y_pred - y_true * np.log(rate)), (y_true, rate)

    def gradient(self, dvalues: Array, cache: Any) -> Array:
        y_true, rate = cache
        return through_mean(dvalues, rate) * (1 - y_true / rate)

    def check_labels(self, y_true: Array, output_shape: tuple[int | None, ...]) -> None:
        if y_true.size and y_true.min() < 0:
            raise ValueError(
                f"Poisson expects counts, none of them negative, and got {y_true.min()}"
            )


poisson = function_of(Poisson, "[[1.0, 0.0]], [[1.0, 3.0]]", "[2.0]")
