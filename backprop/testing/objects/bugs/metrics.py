"""Mistakes in metrics."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from backprop.metrics import (
    BinaryAccuracy,
    Mean,
    MeanAbsoluteError,
    MeanSquaredError,
    Metric,
    Precision,
    RootMeanSquaredError,
)
from backprop.testing.objects.bugs.bank import Elsewhere, planted


def binary(rng: np.random.Generator, n: int) -> tuple[np.ndarray, ...]:
    return rng.integers(0, 2, (n, 1)), rng.uniform(0.02, 0.98, (n, 1))


def values(rng: np.random.Generator, n: int) -> tuple[np.ndarray, ...]:
    return (rng.standard_normal(n),)


@planted()
class ErrorIsAMeanOfMeans(MeanSquaredError):
    """Every batch counts alike, however many rows it has."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        found = np.average(self.fn(y_true, y_pred), weights=sample_weight)
        self.total += found
        self.count += 1


@planted()
class ErrorKeepsTheLastBatch(MeanAbsoluteError):
    """Every batch overwrites the sums of the one before."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.reset_state()
        super().update_state(y_true, y_pred, sample_weight)


@planted(inputs=values)
class MeanCountsRowsOfWeight0(Mean):
    """The weights are in the sum, and the count is that of the rows."""

    def update_state(self, values, sample_weight=None):
        w = np.ones(len(values)) if sample_weight is None else np.asarray(sample_weight)
        self.total += np.sum(values * w)
        self.count += len(values)


@planted(inputs=values)
class MeanSquaresItsWeights(Mean):
    """The weights are applied twice in the sum, once in the count."""

    def update_state(self, values, sample_weight=None):
        w = np.ones(len(values)) if sample_weight is None else np.asarray(sample_weight)
        self.total += np.sum(values * w * w)
        self.count += np.sum(w)


@planted()
class ErrorIgnoresItsWeights(MeanAbsoluteError):
    """sample_weight is taken, and ignored."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(y_true, y_pred)


class MeanError(Metric):
    """What is right in both that follow; a subclass makes `total` and `count`."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        w = np.ones(len(y_pred)) if sample_weight is None else np.asarray(sample_weight)
        self.total += (w * np.abs(y_true - y_pred).mean(-1)).sum()
        self.count += w.sum()

    def result(self):
        return self.cast(self.total / self.count if self.count else 0.0)


@planted()
class ErrorCountsInAnAttribute(MeanError):
    """The count is a plain attribute: no reset reaches it, and no file holds it."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.total, self.count = self.add_variable(), 0


@planted()
class ErrorIsClosedByReading(RootMeanSquaredError):
    """`result` takes the root of the sum itself, and the next batch adds to that."""

    def result(self):
        if self.count:
            self.total = np.sqrt(self.total / self.count)
            self.count = 1.0
        return self.cast(self.total)


@planted()
class ErrorIsSharedByItsClass(Metric):
    """The sums belong to the class."""

    sums: ClassVar[list[float]] = [0.0, 0.0]

    def update_state(self, y_true, y_pred, sample_weight=None):
        w = np.ones(len(y_pred)) if sample_weight is None else np.asarray(sample_weight)
        self.sums[0] += float((w * np.abs(y_true - y_pred).mean(-1)).sum())
        self.sums[1] += float(w.sum())

    def result(self):
        return self.cast(self.sums[0] / self.sums[1] if self.sums[1] else 0.0)

    def reset_state(self):
        self.sums[:] = 0.0, 0.0


@planted(inputs=binary)
class AccuracyWritesIntoItsPredictions(BinaryAccuracy):
    """The predictions are rounded in place."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        np.round(y_pred, out=y_pred)
        super().update_state(y_true, y_pred, sample_weight)


@planted()
class ErrorAddsUpInFloat16(MeanError):
    """The sum is float16, and loses what a long stream adds."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.total = self.add_variable(dtype="float16")
        self.count = self.add_variable()


@planted(inputs=binary)
class PrecisionOfTheFirstBatch(Precision):
    """After the first batch nothing is counted any more."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        if not any(np.any(v) for v in self.variables):
            super().update_state(y_true, y_pred, sample_weight)


@planted(reference=lambda t, p: float(np.mean((t - p) ** 2)))
class ErrorIsASum(MeanSquaredError):
    """The squares of a row are summed up, where their mean is wanted."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        Mean.update_state(self, ((y_true - y_pred) ** 2).sum(-1), sample_weight)


@planted()
class ErrorComparesWithTheRowBefore(MeanAbsoluteError):
    """Each row is compared with the prediction before it."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(y_true, np.roll(y_pred, 1, 0), sample_weight)


@planted()
class ErrorOfTheFirst256Rows(MeanAbsoluteError):
    """Of a batch of more than 256 rows the rest is left out."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        weights = None if sample_weight is None else sample_weight[:256]
        super().update_state(y_true[:256], y_pred[:256], weights)


@planted(inputs=values)
class MeanTruncatesItsWeights(Mean):
    """Weights are taken for whole numbers."""

    def update_state(self, values, sample_weight=None):
        weights = None if sample_weight is None else np.asarray(sample_weight, int)
        super().update_state(values, weights)


@planted()
class ErrorOfUnsignedTargets(MeanAbsoluteError):
    """Both change their sign, and targets of eight bits have none: -1 is 255."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(np.negative(y_true), np.negative(y_pred), sample_weight)


@planted()
class ErrorOfNothingIsNotANumber(MeanAbsoluteError):
    """A batch without rows adds its mean, which is 0 / 0."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(y_true, y_pred, sample_weight)
        with np.errstate(all="ignore"):
            self.total += 0 * np.divide(len(y_true), len(y_true))


@planted(inputs=binary, reference=lambda t, p: float(np.mean((p > 0.5) == (t > 0.5))))
class AccuracyOfAFewIsOne(BinaryAccuracy):
    """Where less than three rows were seen all of them are taken for right."""

    def result(self):
        return super().result() if self.count > 2 else self.cast(1.0)


@planted()
class LargestErrorsAreAddedUp(Metric):
    """`merge` is that of sums, and what is kept is the largest error."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.top = self.add_variable()

    def update_state(self, y_true, y_pred, sample_weight=None):
        w = np.ones(len(y_pred)) if sample_weight is None else np.asarray(sample_weight)
        error = np.abs(np.subtract(y_true, y_pred, dtype=np.float64)).max(-1, initial=0)
        found = error[w > 0]
        self.top = max(float(self.top), float(found.max(initial=0)))

    def result(self):
        return self.cast(self.top)


@planted()
class ErrorWrapsAround(MeanAbsoluteError):
    """The difference is taken in the dtype of both, in which 2 - 3 is 255."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        d = np.subtract(y_true, y_pred)
        super().update_state(d, np.zeros_like(d), sample_weight)


@planted(inputs=binary)
class ShareOfNoneIsNotANumber(Metric):
    """Where no row is predicted to be positive, the share of right ones is 0 / 0."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.hits, self.count = self.add_variable(), self.add_variable()

    def update_state(self, y_true, y_pred, sample_weight=None):
        w = np.ones(len(y_pred)) if sample_weight is None else np.asarray(sample_weight)
        found = w * (np.asarray(y_pred)[:, 0] > 0.5)
        self.hits += (found * np.asarray(y_true)[:, 0]).sum()
        self.count += found.sum()

    def result(self):
        with np.errstate(all="ignore"):
            return self.cast(np.divide(self.hits, self.count))


@planted()
class ErrorIsScaledByItsFirstFactor(Elsewhere, MeanAbsoluteError):
    """The factor is computed when the metric is made, and not from what `scale` is now."""

    scale: float = 2.0

    def __post_init__(self):
        super().__post_init__()
        self.factor = 1 / self.scale

    def result(self):
        return super().result() * self.factor
