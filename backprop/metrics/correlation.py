"""Correlations of targets and outputs along an axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.arguments import argument, checked
from backprop.checks import ArrayLike, Axis, axis_of
from backprop.losses.loss import EPSILON
from backprop.metrics.means import MeanOf
from backprop.metrics.weighing import align

Array = np.ndarray


@checked
def pearson_correlation(y_true: ArrayLike, y_pred: ArrayLike, axis: Axis = -1) -> Array:
    """v = cov(y_true, y_pred) / (σ(y_true) σ(y_pred)) along an axis.

    Parameters
    ----------
    y_true, y_pred : array_like, (n, ...)
    axis : int, default -1

    Returns
    -------
    ndarray
        Of the other axes. NaN where one of the two does not vary.

    Examples
    --------
    >>> pearson_correlation([[0.0, 1.0, 0.5], [1.0, 1.0, 0.2]], [[0.1, 0.9, 0.5], [1.0, 0.9, 0.2]])
    array([1.        , 0.99339927])
    """
    t, p = deviations(y_true, y_pred, axis, "pearson_correlation")[:2]
    with np.errstate(invalid="ignore", divide="ignore"):
        return (t * p).mean(axis) / np.sqrt((t * t).mean(axis) * (p * p).mean(axis))


@checked
def concordance_correlation(y_true: ArrayLike, y_pred: ArrayLike, axis: Axis = -1) -> Array:
    """v = 2 cov(y_true, y_pred) / (σ²(y_true) + σ²(y_pred) + (⟨y_true⟩ - ⟨y_pred⟩)²) along an axis.

    1 where they are equal, not only proportional (Lin, 1989). The denominator has 1e-7 added.

    Parameters
    ----------
    y_true, y_pred, axis : as in `pearson_correlation`

    Returns
    -------
    ndarray
        Of the other axes.

    Examples
    --------
    >>> y, p = [[0.0, 1.0, 0.5], [1.0, 1.0, 0.2]], [[0.1, 0.9, 0.5], [1.0, 0.9, 0.2]]
    >>> concordance_correlation(y, p).round(4)
    array([0.9756, 0.9877])
    """
    t, p, apart = deviations(y_true, y_pred, axis, "concordance_correlation")
    spread = (t * t).mean(axis) + (p * p).mean(axis) + apart * apart
    return 2 * (t * p).mean(axis) / (spread + EPSILON)


def deviations(y_true: Any, y_pred: Any, axis: int, who: str) -> tuple[Array, Array, Array]:
    """What remains of both without their means along an axis, and how far these are apart."""
    y_true, y_pred = align(y_true, y_pred, who)
    axis_of(axis, y_pred.ndim, who)
    t, p = (y.astype(np.float64) for y in np.broadcast_arrays(y_true, y_pred))
    mean_t, mean_p = (y.mean(axis, keepdims=True) for y in (t, p))
    return t - mean_t, p - mean_p, (mean_t - mean_p).squeeze(axis)


class PearsonCorrelation(MeanOf, of=pearson_correlation):
    """result = mean of cov(y_true, y_pred) / (σ(y_true) σ(y_pred)) along an axis.

    Parameters
    ----------
    name, dtype : as in `Metric`
    axis : int, default -1
        With 0 a batch is correlated as a whole.

    Examples
    --------
    >>> y, p = [[0.0, 1.0, 0.5], [1.0, 1.0, 0.2]], [[0.1, 0.9, 0.5], [1.0, 0.9, 0.2]]
    >>> round(PearsonCorrelation()(y, p), 4)
    0.9967
    """

    axis: int = argument(default=-1, after="dtype")


class ConcordanceCorrelation(MeanOf, of=concordance_correlation):
    """result = mean of Lin's concordance of y_true and y_pred along an axis.

        2 cov(y_true, y_pred) / (σ²(y_true) + σ²(y_pred) + (⟨y_true⟩ - ⟨y_pred⟩)²)

    Parameters
    ----------
    name, dtype, axis : as in `PearsonCorrelation`

    References
    ----------
    L. I.-K. Lin, A concordance correlation coefficient to evaluate reproducibility, Biometrics 45
    (1989).

    Examples
    --------
    >>> y, p = [[0.0, 1.0, 0.5], [1.0, 1.0, 0.2]], [[0.1, 0.9, 0.5], [1.0, 0.9, 0.2]]
    >>> round(ConcordanceCorrelation()(y, p), 4)
    0.9816
    """

    axis: int = argument(default=-1, after="dtype")
