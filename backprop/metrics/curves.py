"""Curves over all thresholds: the area under one, and the best of one side at a given other."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from backprop import checks
from backprop.arguments import Convert, argument
from backprop.bounds import reckon
from backprop.checks import NotNegative, Numbers, array_like, integer, one_of, where
from backprop.linalg import sigmoid
from backprop.metrics.outcomes import Outcomes, ratio, thresholds_from
from backprop.metrics.weighing import spread_weights

Array = np.ndarray
MANY = 2**20  # thresholds
EPSILON = 1e-7  # how far the outermost thresholds lie outside [0, 1]
CURVES = ("ROC", "PR", "PRGAIN")
METHODS = ("interpolation", "minoring", "majoring")
Curve = Annotated[str, Convert(lambda v, *about: one_of(str(v).upper(), CURVES, *about))]
Method = Annotated[str, Convert(lambda v, *about: one_of(str(v).lower(), METHODS, *about))]
ShareOfOne = Annotated[float, where(lambda v: 0 <= v <= 1, "{name} to be a share in [0, 1]")]


class AtConstraint(Outcomes, kw_only=True, by_position=True):
    """The largest of one share where another one is at least a given value, over thresholds that
    lie evenly in [0, 1]; 0 where none is."""

    num_thresholds: Annotated[int, Convert(integer, most=MANY)] = 200
    class_id: NotNegative | None = None
    direction = "up"

    def __post_init__(self):
        n = self.num_thresholds
        self.thresholds = [0.5] if n == 1 else evenly(n)
        self.watch(self.thresholds, even=n > 1)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch: labels of 0 and 1 and predictions, (n, ...)."""
        self.tally(y_true, y_pred, sample_weight, class_id=self.class_id)

    def _best(self, wanted: Array, allowed: Array) -> Any:
        return self.cast(np.max(wanted[allowed], initial=0.0))

    def _recalls(self) -> Array:
        return ratio(self.true_positives, self.true_positives + self.false_negatives)

    def _specificities(self) -> Array:
        return ratio(self.true_negatives, self.true_negatives + self.false_positives)

    def _precisions(self) -> Array:
        return ratio(self.true_positives, self.true_positives + self.false_positives)


class SensitivityAtSpecificity(AtConstraint):
    """result = max tp / (tp + fn) over the thresholds where tn / (tn + fp) >= specificity.

    Parameters
    ----------
    specificity : float
        In [0, 1].
    num_thresholds : int, default 200
        They lie evenly in [0, 1].
    class_id : int, optional
        The entry of the last axis to look at. Default: all of them.
    name : str, default "sensitivity_at_specificity"
    dtype : str, optional
        Of the result.

    Examples
    --------
    >>> SensitivityAtSpecificity(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8])
    0.5
    """

    specificity: ShareOfOne

    def result(self) -> Any:
        """The best sensitivity so far."""
        return self._best(self._recalls(), self._specificities() >= self.specificity)


class SpecificityAtSensitivity(AtConstraint):
    """result = max tn / (tn + fp) over the thresholds where tp / (tp + fn) >= sensitivity.

    Parameters
    ----------
    sensitivity : float
        In [0, 1].
    num_thresholds, class_id, name, dtype : as in `SensitivityAtSpecificity`

    Examples
    --------
    >>> round(SpecificityAtSensitivity(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8]), 4)
    0.6667
    """

    sensitivity: ShareOfOne

    def result(self) -> Any:
        """The best specificity so far."""
        return self._best(self._specificities(), self._recalls() >= self.sensitivity)


class PrecisionAtRecall(AtConstraint):
    """result = max tp / (tp + fp) over the thresholds where tp / (tp + fn) >= recall.

    Parameters
    ----------
    recall : float
        In [0, 1].
    num_thresholds, class_id, name, dtype : as in `SensitivityAtSpecificity`

    Examples
    --------
    >>> PrecisionAtRecall(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8])
    0.5
    """

    recall: ShareOfOne

    def result(self) -> Any:
        """The best precision so far."""
        return self._best(self._precisions(), self._recalls() >= self.recall)


class RecallAtPrecision(AtConstraint):
    """result = max tp / (tp + fn) over the thresholds where tp / (tp + fp) >= precision.

    Parameters
    ----------
    precision : float
        In [0, 1].
    num_thresholds, class_id, name, dtype : as in `SensitivityAtSpecificity`

    Examples
    --------
    >>> RecallAtPrecision(0.8)([0, 0, 1, 1], [0, 0.5, 0.3, 0.9])
    0.5
    """

    precision: ShareOfOne

    def result(self) -> Any:
        """The best recall so far."""
        return self._best(self._recalls(), self._precisions() >= self.precision)


class AUC(Outcomes):
    """result = ∫ y dx, the area under a curve that the outcomes draw as the threshold falls.

        ROC       x = fp / (fp + tn)        y = tp / (tp + fn)
        PR        x = tp / (tp + fn)        y = tp / (tp + fp)
        PRGAIN    x = 1 - (P / N) fn / tp   y = 1 - (P / N) fp / tp

    where P = tp + fn and N = fp + tn. The sum is over `num_thresholds` thresholds, so it is as
    exact as these are dense where the predictions lie. Predictions outside [0, 1] count as 0 and 1
    where thresholds are even.

    Parameters
    ----------
    num_thresholds : int, default 200
        They lie evenly in [0, 1], the outermost a little outside.
    curve : {"ROC", "PR", "PRGAIN"}, default "ROC"
    summation_method : {"interpolation", "minoring", "majoring"}, default "interpolation"
        The height between two thresholds: their mean, the smaller, the larger. For "PR", which is
        no straight line between two points, interpolation goes linearly in tp and fp instead.
    name : str, default "auc"
    dtype : str, optional
        Of the result.
    thresholds : list of float, optional
        In place of `num_thresholds`; 0 and 1 are added.
    multi_label : bool, default False
        Whether each column of (n, labels) has an area of its own, of which the result is the mean.
        Else all entries are one long column.
    num_labels : int, optional
        With `multi_label`; the first batch tells it otherwise.
    label_weights : array_like, (labels,), optional
        Of the columns in the mean, or of the entries in the long column.
    from_logits : bool, default False
        Whether predictions are logits; a sigmoid makes probabilities of them.

    Raises
    ------
    ValueError
        For an option that is not known, thresholds outside [0, 1], or arrays that do not fit.

    References
    ----------
    J. Davis, M. Goadrich, The relationship between precision-recall and ROC curves, ICML 2006,
    section 4. P. Flach, M. Kull, Precision-recall-gain curves, NeurIPS 2015.

    Examples
    --------
    >>> AUC(num_thresholds=3)([0, 0, 1, 1], [0, 0.5, 0.3, 0.9])
    0.75
    """

    num_thresholds: int = 200
    curve: Curve = "ROC"
    summation_method: Method = "interpolation"
    thresholds: Any = argument(default=None, after="dtype")
    multi_label: bool = argument(default=False, after="dtype")
    num_labels: int | None = argument(default=None, after="dtype")
    label_weights: Numbers | None = argument(default=None, after="dtype")
    from_logits: bool = argument(default=False, after="dtype")
    direction = "up"

    def __post_init__(self):
        who = type(self).__name__
        self._made_even = self.thresholds is None
        if self._made_even:
            n = checks.integer(self.num_thresholds, who, "num_thresholds", 2, MANY)
            inner = evenly(n)[1:-1]
        else:
            inner = sorted(thresholds_from(self.thresholds, who))
        self.num_thresholds = len(inner) + 2
        self.thresholds = [-EPSILON, *inner, 1 + EPSILON]
        if self.num_labels and not self.multi_label:
            raise ValueError("AUC takes num_labels with multi_label=True only")
        if not self.multi_label:
            self.watch(self.thresholds, even=self._made_even)
        elif self.num_labels:
            self.watch(self.thresholds, (self.num_labels,), self._made_even)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch: labels of 0 and 1 and predictions, (n, ...)."""
        y_pred = array_like(y_pred, type(self).__name__, "y_pred")
        if self.from_logits:
            y_pred = sigmoid(y_pred.astype(np.result_type(y_pred.dtype, np.float32)))
        if self.multi_label:
            self._check_labels(y_pred.shape)
        if self.label_weights is not None and self.label_weights.shape != y_pred.shape[1:]:
            raise ValueError(
                f"{self!r} has {self.label_weights.size} label_weights, one for each column, and "
                f"got predictions of shape {y_pred.shape}"
            )
        if self.label_weights is not None and not self.multi_label:
            w = spread_weights(
                1.0 if sample_weight is None else sample_weight, y_pred.shape, repr(self)
            )
            sample_weight = w * self.label_weights
        self.tally(y_true, y_pred, sample_weight)

    def _check_labels(self, shape: tuple[int, ...]) -> None:
        if not self.variables and len(shape) == 2:
            self.watch(self.thresholds, shape[1:], self._made_even)
        if len(shape) != 2 or shape[1:] != self.positives.shape[1:]:
            expected = self.positives.shape[1] if self.variables else "labels"
            raise ValueError(f"{self!r} expects predictions of shape (n, {expected}), got {shape}")

    def result(self) -> Any:
        """The area so far."""
        if not self.variables:
            return self.cast(0.0)
        if (self.curve, self.summation_method) == ("PR", "interpolation"):
            area = self._area_in_counts()
        else:
            x, y = self._points()
            area = ((x[:-1] - x[1:]) * self._heights(y)).sum(0)
        if not self.multi_label:
            return self.cast(area)
        w = np.ones_like(area) if self.label_weights is None else self.label_weights
        return self.cast(ratio(np.sum(area * w), np.sum(w)))

    def _points(self) -> tuple[Array, Array]:
        """x and y of the curve at each threshold."""
        tp, fp, fn, tn = (
            *(self.true_positives, self.false_positives),
            *(self.false_negatives, self.true_negatives),
        )
        if self.curve == "ROC":
            return ratio(fp, fp + tn), ratio(tp, tp + fn)
        if self.curve == "PR":
            return ratio(tp, tp + fn), ratio(tp, tp + fp)
        scale = ratio(tp + fn, tn + fp)
        recall_gain = np.where(tp == 0, 0.0, 1 - scale * ratio(fn, tp))
        return np.maximum(recall_gain, 0), np.where(tp == 0, 1.0, 1 - scale * ratio(fp, tp))

    def _heights(self, y: Array) -> Array:
        if self.summation_method == "interpolation":
            return (y[:-1] + y[1:]) / 2
        return (np.minimum if self.summation_method == "minoring" else np.maximum)(y[:-1], y[1:])

    def _area_in_counts(self) -> Array:
        """∫ precision d recall, where tp goes linearly in p = tp + fp between two thresholds.

        With tp = a + s p the integral of (a + s p) / p over tp from A to B is, times the slope s,
        s (tp_B - tp_A + a log(p_B / p_A)).
        """
        tp, p = self.true_positives, self.true_positives + self.false_positives
        dtp = tp[:-1] - tp[1:]
        s = ratio(dtp, np.maximum(p[:-1] - p[1:], 0))
        a = tp[1:] - s * p[1:]
        both = (p[:-1] > 0) & (p[1:] > 0)
        growth = np.where(both, ratio(p[:-1], np.where(both, p[1:], 1)), 1.0)
        return ratio(s * (dtp + a * np.log(growth)), (tp + self.false_negatives)[1:]).sum(0)


def evenly(n: int) -> list[float]:
    """n thresholds from 0 to 1."""
    reckon(4 * n, f"a metric of {n:,} thresholds", "metrics")
    return [i / (n - 1) for i in range(n)]
