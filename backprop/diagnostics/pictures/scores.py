"""How good predictions are, in numbers: what the pictures of `classification` draw.

Results are those of the functions of these names in scikit-learn.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.checks import array, integer, one_of
from backprop.metrics import ConfusionMatrix

Array = np.ndarray


def confusion_matrix(
    y_true: Any, y_pred: Any, *, n_classes: int | None = None, normalize: str | None = None
) -> Array:
    """M[i, j] = how many rows of class i were taken for class j.

    Parameters
    ----------
    y_true : array_like, (n,) or (n, classes)
        Class numbers, or one-hot rows.
    y_pred : array_like, (n,) or (n, classes)
        Class numbers; or what a network puts out: a number for each class, of which the largest
        counts, or one probability, which is class 1 above 0.5.
    n_classes : int, optional
        Default: as many as occur.
    normalize : {None, "true", "pred", "all"}, optional
        Divide by the sum of each row, of each column, or of all.

    Returns
    -------
    ndarray, (classes, classes)

    Raises
    ------
    ValueError
        For what is no class, and arrays that do not fit.

    Examples
    --------
    >>> import backprop as bp
    >>> bp.diagnostics.confusion_matrix([0, 1, 1], [0, 1, 0])
    array([[1., 0.],
           [1., 1.]])
    """
    who = "confusion_matrix()"
    one_of(normalize, (None, "true", "pred", "all"), who, "normalize")
    true, foreseen = class_numbers(y_true, "y_true", who), predicted(y_pred, who)
    same_length(true, foreseen, "y_pred", who)
    most = int(max(true.max(), foreseen.max())) + 1
    n = most if n_classes is None else integer(n_classes, who, "n_classes")
    in_range(true, n, "y_true", who)
    in_range(foreseen, n, "y_pred", who)
    metric = ConfusionMatrix(max(n, 2), normalize=normalize, dtype="float64")
    return metric(true, foreseen)[:n, :n]


def roc_curve(y_true: Any, y_score: Any) -> tuple[Array, Array, Array]:
    """Receiver operating characteristic: fpr(t) = P(score ≥ t | 0), tpr(t) = P(score ≥ t | 1).

    Parameters
    ----------
    y_true : array_like of 0 and 1, (n,)
    y_score : array_like, (n,) or (n, 1)
        Higher where class 1 is more likely.

    Returns
    -------
    fpr, tpr : ndarray
        From 0 to 1; points on a straight line between others are left out.
    thresholds : ndarray
        Falling; the first is infinite, above it is nothing.

    Raises
    ------
    ValueError
        Where one of the two classes is missing, for scores that are NaN, and arrays that do not
        fit.

    Examples
    --------
    >>> import backprop as bp
    >>> fpr, tpr, thresholds = bp.diagnostics.roc_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> fpr, tpr
    (array([0. , 0. , 0.5, 0.5, 1. ]), array([0. , 0.5, 0.5, 1. , 1. ]))
    """
    false, true, thresholds = counts_above(y_true, y_score, "roc_curve()", both=True)
    bends = (np.diff(false, 2) != 0) | (np.diff(true, 2) != 0)
    kept = np.concatenate([[True], bends, [True]]) if len(false) > 2 else slice(None)
    false, true, thresholds = false[kept], true[kept], thresholds[kept]
    fpr, tpr = np.append(0.0, false / false[-1]), np.append(0.0, true / true[-1])
    return fpr, tpr, np.append(np.inf, thresholds)


def roc_auc_score(y_true: Any, y_score: Any) -> float:
    """AUC = ∫ tpr dfpr: how probably a row of class 1 has a higher score than one of class 0.

    Parameters
    ----------
    y_true, y_score
        As in `roc_curve`.

    Examples
    --------
    >>> import backprop as bp
    >>> bp.diagnostics.roc_auc_score([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    fpr, tpr, _ = roc_curve(y_true, y_score)
    return float(np.trapezoid(tpr, fpr))


def precision_recall_curve(y_true: Any, y_score: Any) -> tuple[Array, Array, Array]:
    """precision(t) = P(1 | score ≥ t), recall(t) = P(score ≥ t | 1).

    Parameters
    ----------
    y_true : array_like of 0 and 1, (n,)
    y_score : array_like, (n,) or (n, 1)
        Higher where class 1 is more likely.

    Returns
    -------
    precision, recall : ndarray, (k + 1,)
        With falling recall; the last point is a precision of 1 at a recall of 0.
    thresholds : ndarray, (k,)
        Rising.

    Raises
    ------
    ValueError
        Where class 1 is missing, for scores that are NaN, and arrays that do not fit.

    Examples
    --------
    >>> import backprop as bp
    >>> precision, recall, _ = bp.diagnostics.precision_recall_curve([0, 1, 1], [0.1, 0.4, 0.8])
    >>> recall
    array([1. , 1. , 0.5, 0. ])
    """
    false, true, thresholds = counts_above(y_true, y_score, "precision_recall_curve()")
    precision, recall = true / (true + false), true / true[-1]
    return np.append(precision[::-1], 1.0), np.append(recall[::-1], 0.0), thresholds[::-1]


def average_precision_score(y_true: Any, y_score: Any) -> float:
    """AP = Σ (R_k - R_{k-1}) P_k: the mean of the precision over the recall, without interpolation.

    Parameters
    ----------
    y_true, y_score
        As in `precision_recall_curve`.

    Examples
    --------
    >>> import backprop as bp
    >>> round(bp.diagnostics.average_precision_score([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 3)
    0.833
    """
    precision, recall, _ = precision_recall_curve(y_true, y_score)
    return float(max(0.0, -np.sum(np.diff(recall) * precision[:-1])))


def calibration_curve(
    y_true: Any, y_prob: Any, *, n_bins: int = 5, strategy: str = "uniform"
) -> tuple[Array, Array]:
    """How often class 1 is true where it was foreseen with a probability of p.

    Parameters
    ----------
    y_true : array_like of 0 and 1, (n,)
    y_prob : array_like, (n,) or (n, 1)
        Probabilities of class 1.
    n_bins : int, default 5
    strategy : {"uniform", "quantile"}, default "uniform"
        Bins of equal width, or of equally many rows.

    Returns
    -------
    prob_true, prob_pred : ndarray
        Of each bin that is not empty, the share of class 1 and the mean probability.

    Raises
    ------
    ValueError
        For what is no probability, and arrays that do not fit.

    Examples
    --------
    >>> import backprop as bp
    >>> bp.diagnostics.calibration_curve([0, 0, 1, 1], [0.1, 0.2, 0.7, 0.9], n_bins=2)
    (array([0., 1.]), array([0.15, 0.8 ]))
    """
    true, probability = binary(y_true, y_prob, "y_prob", "calibration_curve()")
    counts, right, foreseen = binned(true, probability, n_bins, strategy, "calibration_curve()")
    return right / counts, foreseen / counts


def binned(
    true: Array, probability: Array, n_bins: int, strategy: str, who: str
) -> tuple[Array, Array, Array]:
    """Of each bin that is not empty: how many rows, how many of class 1, the sum of what was
    foreseen."""
    n_bins = integer(n_bins, who, "n_bins")
    one_of(strategy, ("uniform", "quantile"), who, "strategy")
    if probability.min() < 0 or probability.max() > 1:
        raise ValueError(
            f"{who} expects y_prob to be probabilities, from 0 to 1, got values from "
            f"{probability.min():g} to {probability.max():g}; of logits take the sigmoid or softmax"
        )
    edges = np.linspace(0.0, 1.0, n_bins + 1)
    if strategy == "quantile":
        edges = np.percentile(probability, edges * 100)
    places = np.searchsorted(edges[1:-1], probability)
    sums = [np.bincount(places, w, len(edges)) for w in (None, true, probability)]
    counts, right, foreseen = (s[sums[0] > 0] for s in sums)
    return counts, right, foreseen


# ------------------------------------------------------------------------------------- the border


def counts_above(
    y_true: Any, y_score: Any, who: str, both: bool = False
) -> tuple[Array, Array, Array]:
    """For each score that occurs, from the highest down: how many rows of class 0, and of class 1,
    have it or a higher one."""
    true, score = binary(y_true, y_score, "y_score", who)
    if not true.any() or (both and true.all()):
        raise ValueError(
            f"{who} is defined where y_true has rows of class 1{' and of class 0' * both}, and all "
            f"{len(true)} are of class {int(true[0])}"
        )
    order = np.argsort(score, kind="mergesort")[::-1]
    true, score = true[order], score[order]
    last = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)
    above = np.cumsum(true)[last]
    return (1 + last - above).astype(float), above.astype(float), score[last]


def binary(y_true: Any, y_score: Any, name: str, who: str) -> tuple[Array, Array]:
    """Classes 0 and 1, and a number for each row."""
    true, score = class_numbers(y_true, "y_true", who), numbers(y_score, name, who)
    if score.ndim == 2 and score.shape[1] == 1:
        score = score[:, 0]
    if score.ndim != 1:
        raise ValueError(
            f"{who} expects {name} to be a number for each row, (n,), got {score.shape}; of "
            "several classes take one against the rest: y_true == k and its column k"
        )
    same_length(true, score, name, who)
    in_range(true, 2, "y_true", who)
    return true, score


def numbers(values: Any, name: str, who: str) -> Array:
    """An array of finite numbers, of a row at least."""
    found = array(values, who, name)
    if not found.size or found.ndim not in (1, 2):
        raise ValueError(f"{who} expects {name} of the shape (n,) or (n, k), got {found.shape}")
    bad = np.argwhere(~np.isfinite(found))
    if len(bad):
        raise ValueError(
            f"{who} expects {name} to be finite: row {bad[0][0]} is {found[bad[0][0]]}"
        )
    return found


def class_numbers(values: Any, name: str, who: str) -> Array:
    """Class numbers from 0, (n,), also of one-hot rows."""
    if np.asarray(values).dtype.kind in "US":
        raise ValueError(
            f"{who} expects {name} to be class numbers, got strings: "
            "names, y = np.unique(y, return_inverse=True) numbers them; names are the labels"
        )
    found = numbers(values, name, who)
    if found.ndim == 2 and found.shape[1] > 1:
        if not ((found == 0) | (found == 1)).all() or (found.sum(1) != 1).any():
            raise ValueError(f"{who} expects {name} to be class numbers (n,) or one-hot rows")
        return found.argmax(1)
    found = found.reshape(-1)
    if (found % 1).any() or found.min() < 0:
        bad = found[(found % 1 != 0) | (found < 0)][0]
        raise ValueError(f"{who} expects {name} to be class numbers 0, 1, ..., got {bad:g}")
    return found.astype(np.intp)


def predicted(values: Any, who: str) -> Array:
    """The classes that predictions speak for."""
    if np.asarray(values).dtype.kind in "US":
        return class_numbers(values, "y_pred", who)
    found = numbers(values, "y_pred", who)
    if found.ndim == 2 and found.shape[1] > 1:
        return found.argmax(1)
    found = found.reshape(-1)
    if (found % 1).any():
        if found.min() < 0 or found.max() > 1:
            raise ValueError(
                f"{who} expects y_pred to be class numbers, or outputs for each class, or "
                f"probabilities from 0 to 1; got numbers from {found.min():g} to {found.max():g}"
            )
        return (found > 0.5).astype(np.intp)
    return class_numbers(found, "y_pred", who)


def same_length(true: Array, other: Array, name: str, who: str) -> None:
    if len(true) != len(other):
        raise ValueError(
            f"{who} expects {name} for each row of y_true, got {len(other)} and {len(true)}"
        )


def in_range(classes: Array, n: int, name: str, who: str) -> None:
    """Refuse numbers of classes that are not there."""
    if classes.max() >= n:
        row = int(np.argmax(classes >= n))
        raise ValueError(
            f"{who} knows {n} classes, 0 to {n - 1}, and row {row} of {name} is of class "
            f"{classes[row]}"
        )
