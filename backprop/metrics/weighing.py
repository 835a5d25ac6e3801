"""Masks and weights of samples, as metrics take them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from backprop.arguments import checked
from backprop.checks import ArrayLike, array, array_like
from backprop.losses.axes import leading, same_rank
from backprop.masks import flags

Array = np.ndarray


@checked
def apply_mask(sample_weight: ArrayLike | None, mask: Any) -> Array | None:
    """A mask as weights: 1 at a real step, 0 at padding, times the sample weights.

    Parameters
    ----------
    sample_weight : array_like, (n,) or (n, ...), optional
    mask : array_like of bool, (n, ...), optional

    Examples
    --------
    >>> apply_mask([2.0, 3.0], [[True, False], [True, True]])
    array([[2., 0.],
           [3., 3.]])
    """
    if mask is None:
        return None if sample_weight is None else np.asarray(sample_weight)
    m = flags(mask, "apply_mask").astype(np.float64)
    if sample_weight is None:
        return m
    m, w = same_rank(m, np.asarray(sample_weight, np.float64))
    try:
        return leading(m, w.shape) * leading(w, m.shape)
    except ValueError:
        raise ValueError(
            f"apply_mask() expects mask and sample_weight of one shape, got {np.shape(mask)} and "
            f"{np.shape(sample_weight)}"
        ) from None


def samplewise(
    values: Array, sample_weight: Any, reduce: Callable, who: str
) -> tuple[Array, Array]:
    """Weighted values (n,) and their weights (n,): all axes but the first are reduced, as in Keras.

    Values of higher rank than the weights are reduced to their rank first, so that weights (n,)
    weigh samples. Weights of shape () weigh the batch as one value.
    """
    values, w = same_rank(values.astype(np.float64), array(sample_weight, who, "sample_weight"))
    rank = w.ndim
    if values.ndim > rank:
        values = reduce(values, axis=tuple(range(rank, values.ndim)))
    try:
        w = np.broadcast_to(w, values.shape)
    except ValueError:
        raise ValueError(
            f"{who} has values of shape {values.shape} and got sample_weight of shape "
            f"{np.shape(sample_weight)}; give one weight a sample, (n,), or one a value"
        ) from None
    values = values * w
    if rank > 1:
        values, w = (reduce(a, axis=tuple(range(1, a.ndim))) for a in (values, w))
    return values, w


def spread_weights(sample_weight: Any, shape: tuple[int, ...], who: str) -> Array | None:
    """A weight for each of the predictions of a shape, whose first axes are those of the weights.

    Weights (n,) weigh rows even where a row has n entries, and nothing else.
    """
    if sample_weight is None:
        return None
    given = array(sample_weight, who, "sample_weight")
    w = given
    if w.ndim == len(shape) + 1 and w.shape[-1] == 1:
        w = w[..., 0]
    w = leading(w, shape)
    if w.size != 1 and (
        w.ndim != len(shape) or any(m not in (1, n) for m, n in zip(w.shape, shape, strict=True))
    ):
        raise ValueError(
            f"{who} has predictions of shape {shape} and got sample_weight of shape "
            f"{given.shape}; give one weight a sample, (n,), or one a prediction"
        )
    return np.broadcast_to(w.reshape(()) if w.size == 1 else w, shape)


def align(y_true: Any, y_pred: Any, who: str) -> tuple[Array, Array]:
    """Both as arrays of one rank that broadcast to y_pred's shape."""
    y_true, y_pred = same_rank(array_like(y_true, who, "y_true"), array_like(y_pred, who, "y_pred"))
    if y_true.ndim != y_pred.ndim or any(
        m != n and 1 not in (m, n) for m, n in zip(y_true.shape, y_pred.shape, strict=True)
    ):
        raise ValueError(
            f"{who} expects y_true and y_pred of one shape, got {y_true.shape} and {y_pred.shape}; "
            "for integer labels of several classes take the sparse metric"
        )
    return y_true, y_pred
