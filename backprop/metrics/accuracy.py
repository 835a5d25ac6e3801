"""Accuracies: v_i = 1 where prediction i is right, else 0.

    accuracy             y_pred = y_true
    binary               (y_pred > threshold) = y_true
    categorical          argmax y_pred = argmax y_true, one-hot targets
    sparse categorical   argmax y_pred = y_true, integer targets
    top k                fewer than k classes score higher than the true one

The functions return the v_i, the metrics their mean over a stream.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop import checks
from backprop.arguments import argument, checked
from backprop.checks import ArrayLike, Number, Positive, array_like
from backprop.metrics.labels import check_classes, check_numbers, check_shares, labels, weighed
from backprop.metrics.means import MeanOf
from backprop.metrics.weighing import align

Array = np.ndarray


def as_values(matches: Array, y_pred: Array) -> Array:
    return matches.astype(y_pred.dtype if y_pred.dtype == np.float64 else np.float32)


def accuracy(y_true: Any, y_pred: Any) -> Array:
    """v = 1 where y_pred = y_true, element by element.

    Parameters
    ----------
    y_true, y_pred : array_like, (n, ...)

    Returns
    -------
    ndarray, (n, ...)

    Examples
    --------
    >>> accuracy([1, 2, 3], [1, 2, 4])
    array([1., 1., 0.], dtype=float32)
    """
    y_true, y_pred = align(y_true, y_pred, "accuracy")
    if y_pred.dtype.kind == "f":  # 0.1 as float32 and as float64 are the same prediction
        y_true = y_true.astype(y_pred.dtype, copy=False)
    return as_values(y_true == y_pred, y_pred)


@checked
def binary_accuracy(y_true: ArrayLike, y_pred: ArrayLike, threshold: Number = 0.5) -> Array:
    """v = 1 where (y_pred > threshold) = y_true, element by element.

    Parameters
    ----------
    y_true : array_like of 0 and 1, (n, ...)
    y_pred : array_like, (n, ...)
        Probabilities; with logits give ``threshold=0``.
    threshold : float, default 0.5

    Returns
    -------
    ndarray, (n, ...)

    Examples
    --------
    >>> binary_accuracy([1, 1, 0, 0], [0.98, 1, 0, 0.6])
    array([1., 1., 1., 0.])
    """
    y_true, y_pred = align(y_true, y_pred, "binary_accuracy")
    return as_values(y_true == (y_pred > threshold), y_pred)


@checked
def categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """v = 1 where argmax y_pred = argmax y_true, over the last axis.

    Parameters
    ----------
    y_true : array_like, (n, ..., classes)
        One-hot or probabilities.
    y_pred : array_like, (n, ..., classes)
        Probabilities or logits.

    Returns
    -------
    ndarray, (n, ...)

    Examples
    --------
    >>> categorical_accuracy([[0, 0, 1], [0, 1, 0]], [[0.1, 0.9, 0.8], [0.05, 0.95, 0]])
    array([0., 1.])
    """
    y_true, y_pred = np.asarray(y_true), np.asarray(y_pred)
    check_classes(y_true.shape, y_pred.shape, "categorical_accuracy")
    return as_values(y_true.argmax(-1) == y_pred.argmax(-1), y_pred)


@checked
def sparse_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """v = 1 where argmax y_pred = y_true, over the last axis.

    Parameters
    ----------
    y_true : array_like of integers, (n, ...) or (n, ..., 1)
    y_pred : array_like, (n, ..., classes)
        Probabilities or logits.

    Returns
    -------
    ndarray, of the shape of y_true, without a last axis of length 1
        As in Keras: (n,) also for y_true (n, 1) and y_pred (n, 1, classes).

    Examples
    --------
    >>> sparse_categorical_accuracy([2, 1], [[0.1, 0.6, 0.3], [0.05, 0.95, 0]])
    array([0., 1.])
    """
    y_pred = np.asarray(y_pred)
    numbers = labels(y_true, y_pred, "sparse_categorical_accuracy")
    values = as_values(numbers == y_pred.argmax(-1), y_pred).reshape(np.shape(y_true))
    return values.squeeze(-1) if values.ndim > 1 and values.shape[-1:] == (1,) else values


@checked
def top_k_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike, k: Positive = 5) -> Array:
    """v = 1 where argmax y_true is among the k highest y_pred, over the last axis.

    Parameters
    ----------
    y_true : array_like, (n, ..., classes)
        One-hot.
    y_pred : array_like, (n, ..., classes)
        Probabilities or logits. Classes that tie at the border are all in.
    k : int, default 5

    Returns
    -------
    ndarray, (n, ...)

    Examples
    --------
    >>> top_k_categorical_accuracy([[0, 0, 1], [0, 1, 0]], [[0.1, 0.9, 0.8], [0.6, 0.1, 0.3]], k=2)
    array([1., 0.])
    """
    y_true, y_pred = np.asarray(y_true), np.asarray(y_pred)
    check_classes(y_true.shape, y_pred.shape, "top_k_categorical_accuracy")
    return as_values(in_top_k(y_true.argmax(-1), y_pred, k), y_pred)


@checked
def sparse_top_k_categorical_accuracy(
    y_true: ArrayLike, y_pred: ArrayLike, k: Positive = 5, from_sorted_ids: bool = False
) -> Array:
    """v = 1 where y_true is among the k highest y_pred, over the last axis.

    Parameters
    ----------
    y_true : array_like of integers, (n, ...) or (n, ..., 1)
    y_pred : array_like, (n, ..., classes)
        Probabilities or logits. Classes that tie at the border are all in.
    k : int, default 5
    from_sorted_ids : bool, default False
        `y_pred` holds class numbers instead, best first.

    Returns
    -------
    ndarray, of the shape of y_true

    Examples
    --------
    >>> sparse_top_k_categorical_accuracy([2, 1], [[0.1, 0.9, 0.8], [0.6, 0.1, 0.3]], k=2)
    array([1., 0.])
    >>> sparse_top_k_categorical_accuracy([2, 1], [[1, 0, 2], [1, 0, 2]], k=1, from_sorted_ids=True)
    array([0., 1.], dtype=float32)
    """
    y_pred = np.asarray(y_pred)
    numbers = labels(y_true, y_pred, "sparse_top_k_categorical_accuracy")
    if from_sorted_ids:
        within = (numbers[..., None] == y_pred[..., :k]).any(-1)
    else:
        within = in_top_k(numbers, y_pred, k)
    return as_values(within, y_pred).reshape(np.shape(y_true))


def in_top_k(labels: Array, scores: Array, k: int) -> Array:
    """Whether fewer than k scores beat the label's. What is no class, or scored NaN, is not in."""
    k = checks.integer(k, "the top k accuracy", "k")
    exists = (labels >= 0) & (labels < scores.shape[-1])
    index = np.where(exists, labels, 0).astype(np.intp)[..., None]
    own = np.take_along_axis(scores, index, -1)
    return ((scores > own).sum(-1) < k) & exists & (own == own)[..., 0]


# ---------------------------------------------------------------------------- metrics


class Accuracy(MeanOf, of=accuracy):
    """result = share of the elements with y_pred = y_true.

    Parameters
    ----------
    name, dtype : as in `Metric`

    Examples
    --------
    >>> Accuracy()([1, 2, 3, 4], [0, 2, 3, 4])
    0.75
    """


class BinaryAccuracy(MeanOf, of=binary_accuracy):
    """result = share of the elements with (y_pred > threshold) = y_true.

    Parameters
    ----------
    name, dtype : as in `Metric`
    threshold : float, default 0.5

    Examples
    --------
    >>> BinaryAccuracy()([1, 1, 0, 0], [0.98, 1, 0, 0.6])
    0.75
    """

    threshold: Number = argument(default=0.5, after="dtype")

    def check_labels(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        given = array_like(y_true, type(self).__name__, "y_true")
        check_shares(weighed(given, sample_weight), repr(self))


class CategoricalAccuracy(MeanOf, of=categorical_accuracy):
    """result = share of the samples with argmax y_pred = argmax y_true.

    Parameters
    ----------
    name, dtype : as in `Metric`

    Examples
    --------
    >>> CategoricalAccuracy()([[0, 0, 1], [0, 1, 0]], [[0.1, 0.9, 0.8], [0.05, 0.95, 0]])
    0.5
    """


class OfClassNumbers(MeanOf):
    """A mean over labels that are class numbers."""

    from_sorted_ids = False

    def check_labels(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_pred = array_like(y_pred, type(self).__name__, "y_pred")
        classes = None if self.from_sorted_ids else y_pred.shape[-1]
        numbers = labels(y_true, y_pred, repr(self))
        check_numbers(weighed(numbers, sample_weight), classes, repr(self))


class SparseCategoricalAccuracy(OfClassNumbers, of=sparse_categorical_accuracy):
    """result = share of the samples with argmax y_pred = y_true.

    Parameters
    ----------
    name, dtype : as in `Metric`

    Examples
    --------
    >>> SparseCategoricalAccuracy()([2, 1], [[0.1, 0.6, 0.3], [0.05, 0.95, 0]])
    0.5
    """


class TopKCategoricalAccuracy(MeanOf, of=top_k_categorical_accuracy):
    """result = share of the samples with argmax y_true among the k highest y_pred.

    Parameters
    ----------
    k : int, default 5
    name, dtype : as in `Metric`

    Examples
    --------
    >>> TopKCategoricalAccuracy(k=2)([[0, 0, 1], [0, 1, 0]], [[0.1, 0.9, 0.8], [0.6, 0.1, 0.3]])
    0.5
    """

    k: Positive = 5


class SparseTopKCategoricalAccuracy(OfClassNumbers, of=sparse_top_k_categorical_accuracy):
    """result = share of the samples with y_true among the k highest y_pred.

    Parameters
    ----------
    k, name, dtype : as in `TopKCategoricalAccuracy`
    from_sorted_ids : bool, default False
        `y_pred` holds class numbers instead of scores, best first.

    Examples
    --------
    >>> SparseTopKCategoricalAccuracy(k=2)([2, 1], [[0.1, 0.9, 0.8], [0.6, 0.1, 0.3]])
    0.5
    """

    k: Positive = 5
    from_sorted_ids: bool = argument(default=False, after="dtype")
