"""F = (1 + β²) precision · recall / (β² precision + recall): one number for both."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from backprop.checks import array, array_like, choice, where
from backprop.losses.loss import EPSILON
from backprop.metrics.labels import check_shares
from backprop.metrics.means import NameFirst
from backprop.metrics.weighing import spread_weights

Array = np.ndarray
AVERAGES = (None, "micro", "macro", "weighted")
Beta = Annotated[float, where(lambda v: is_number(v) and v > 0, "{name} to be a positive number")]
Threshold = Annotated[float, where(lambda v: 0 < v <= 1, "{name} above 0 and up to 1")]


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class FBetaScore(NameFirst):
    """result = (1 + β²) precision · recall / (β² precision + recall) of each class, then averaged.

        y_true, y_pred: (n, classes)    precision = tp / (tp + fp)    recall = tp / (tp + fn)

    Denominators have 1e-7 added, as Keras' have.

    Parameters
    ----------
    average : {None, "micro", "macro", "weighted"}, optional
        None is a score for each class, (classes,); "micro" counts all classes as one, "macro" is
        the mean over the classes, "weighted" the mean weighted by how often each is true.
    beta : float, default 1.0
        How many times as much recall counts as precision.
    threshold : float, optional
        In (0, 1]: foreseen are the classes above it. Default: the likeliest class alone.
    name : str, default "fbeta_score"
    dtype : str, optional
        Of the result.

    Raises
    ------
    ValueError
        For an option out of its range, or arrays that are not (n, classes).

    Examples
    --------
    >>> import numpy as np
    >>> y = np.array([[1, 1, 1], [1, 0, 0], [1, 1, 0]])
    >>> p = np.array([[0.2, 0.6, 0.7], [0.2, 0.6, 0.6], [0.6, 0.8, 0.0]])
    >>> FBetaScore(beta=2.0, threshold=0.5)(y, p).round(4)
    array([0.3846, 0.9091, 0.8333])
    """

    average: Annotated[str | None, choice(*AVERAGES)] = None
    beta: Beta = 1.0
    threshold: Threshold | None = None
    name = "fbeta_score"
    direction = "up"

    def build(self, classes: int) -> None:
        self.true_positives = self.add_variable((classes,), name="true_positives")
        self.false_positives = self.add_variable((classes,), name="false_positives")
        self.false_negatives = self.add_variable((classes,), name="false_negatives")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch: one-hot or several labels and predictions, (n, classes)."""
        who = type(self).__name__
        y, p = array(y_true, who, "y_true"), array_like(y_pred, who, "y_pred")
        if p.ndim != 2 or y.shape != p.shape:
            raise ValueError(
                f"{self!r} expects y_true and y_pred of one shape (n, classes), got {y.shape} and "
                f"{p.shape}; of class numbers make rows by utils.to_categorical(y)"
            )
        if not self.labels_known:
            check_shares(y, repr(self))
        if not self.variables:
            self.build(p.shape[1])
        elif p.shape[1:] != self.true_positives.shape:
            raise ValueError(
                f"{self!r} has seen {self.true_positives.size} classes and got {p.shape[1]}"
            )
        w = spread_weights(1.0 if sample_weight is None else sample_weight, p.shape, repr(self))
        foreseen = self._foreseen(p)
        self.true_positives += (w * foreseen * y).sum(0)
        self.false_positives += (w * foreseen * (1 - y)).sum(0)
        self.false_negatives += (w * (1 - foreseen) * y).sum(0)

    def _foreseen(self, p: Array) -> Array:
        """1 where a class is foreseen; a row of zeros foresees none."""
        if self.threshold is not None:
            return (p > self.threshold).astype(np.float64)
        return ((p >= p.max(-1, keepdims=True)) & (abs(p) > 1e-9)).astype(np.float64)

    def result(self) -> Any:
        """The score so far."""
        if not self.variables:
            return self.cast(0.0)
        tp, fp, fn = (
            np.asarray(v) for v in (self.true_positives, self.false_positives, self.false_negatives)
        )
        if self.average == "micro":
            tp, fp, fn = tp.sum(), fp.sum(), fn.sum()
        precision, recall = tp / (tp + fp + EPSILON), tp / (tp + fn + EPSILON)
        square = self.beta**2
        score = (1 + square) * precision * recall / (square * precision + recall + EPSILON)
        if self.average == "weighted":
            return self.cast(np.sum(score * (tp + fn)) / (np.sum(tp + fn) + EPSILON))
        return self.cast(score if self.average is None else np.mean(score))


class F1Score(FBetaScore):
    """result = 2 precision · recall / (precision + recall) of each class, then averaged.

        y_true, y_pred: (n, classes)

    `FBetaScore` with β = 1.

    Parameters
    ----------
    average, threshold, name, dtype : as in `FBetaScore`

    Examples
    --------
    >>> import numpy as np
    >>> y = np.array([[1, 1, 1], [1, 0, 0], [1, 1, 0]])
    >>> p = np.array([[0.2, 0.6, 0.7], [0.2, 0.6, 0.6], [0.6, 0.8, 0.0]])
    >>> F1Score(threshold=0.5)(y, p).round(4)
    array([0.5   , 0.8   , 0.6667])
    """

    name = "f1_score"
    decides = ("beta",)
