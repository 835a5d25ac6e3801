"""Errors of regression as streams: the losses' values, averaged over all samples seen."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np

from backprop import losses
from backprop.arguments import argument
from backprop.checks import NotNegative, choice
from backprop.metrics.means import Mean, MeanLoss, NameFirst
from backprop.metrics.weighing import align

Array = np.ndarray
AGGREGATIONS = ("uniform_average", "variance_weighted_average", None)


class MeanSquaredError(MeanLoss, of=losses.MeanSquaredError):
    """result = mean of (y_true - y_pred)².

    Parameters
    ----------
    name, dtype : as in `Metric`

    Examples
    --------
    >>> MeanSquaredError()([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [0.0, 0.0]])
    0.25
    """


class RootMeanSquaredError(Mean):
    """result = sqrt(mean of (y_true - y_pred)²).

    Parameters
    ----------
    name, dtype : as in `Metric`

    Examples
    --------
    >>> RootMeanSquaredError()([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [0.0, 0.0]])
    0.5
    """

    name = "root_mean_squared_error"
    direction = "down"

    # a mean of values becomes one of pairs of targets and outputs
    def update_state(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        """Add a batch: targets and outputs, (n, ...)."""
        y_true, y_pred = align(y_true, y_pred, "RootMeanSquaredError")
        d = np.subtract(y_true, y_pred, dtype=np.float64)
        super().update_state(d * d, sample_weight)

    def result(self) -> Any:
        """The root of the mean so far."""
        return self.cast(np.sqrt(super().result()))


class MeanAbsoluteError(MeanLoss, of=losses.MeanAbsoluteError):
    """result = mean of |y_true - y_pred|.

    Parameters
    ----------
    name, dtype : as in `Metric`

    Examples
    --------
    >>> MeanAbsoluteError()([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [0.0, 0.0]])
    0.25
    """


class MeanAbsolutePercentageError(MeanLoss, of=losses.MeanAbsolutePercentageError):
    """result = 100 * mean of |y_true - y_pred| / |y_true|, where |y_true| counts as at least 1e-7.

    Parameters
    ----------
    name, dtype : as in `Metric`

    Examples
    --------
    >>> MeanAbsolutePercentageError()([[4.0, 2.0]], [[3.0, 2.0]])
    12.5
    """


class MeanSquaredLogarithmicError(MeanLoss, of=losses.MeanSquaredLogarithmicError):
    """result = mean of (log(1 + y_true) - log(1 + y_pred))².

    Parameters
    ----------
    name, dtype : as in `Metric`

    Examples
    --------
    >>> round(MeanSquaredLogarithmicError()([[0.0, 1.0]], [[1.0, 1.0]]), 4)
    0.2402
    """


class LogCoshError(MeanLoss, of=losses.LogCosh):
    """result = mean of log(cosh(y_pred - y_true)).

    Parameters
    ----------
    name, dtype : as in `Metric`

    Examples
    --------
    >>> round(LogCoshError()([[0.0, 1.0]], [[1.0, 1.0]]), 4)
    0.2169
    """

    name = "logcosh"


class CosineSimilarity(MeanLoss, of=losses.CosineSimilarity):
    """result = mean of (y_true · y_pred) / (|y_true| |y_pred|): 1 where they point the same way.

    Parameters
    ----------
    name, dtype : as in `Metric`
    axis : int, default -1
        That of the vectors.

    Examples
    --------
    >>> round(CosineSimilarity()([[0.0, 1.0], [1.0, 1.0]], [[1.0, 0.0], [1.0, 1.0]]), 4)
    0.5
    """

    axis: int = argument(default=-1, after="dtype")
    direction = "up"

    def result(self) -> Any:
        """The mean so far; that of the loss, which is lower where it is better, turned round."""
        return self.cast(-super().result())


class R2Score(NameFirst):
    """R² = 1 - Σ w (y_true - y_pred)² / Σ w (y_true - mean)², for each output, then aggregated.

        y_true, y_pred: (n, outputs)    w: (n,) or (n, outputs)

    With regressors, each output's R² is adjusted before they are aggregated, for what p regressors
    gain by chance:

        1 - (1 - R²) (N - 1) / (N - p - 1)

    N = Σ w is the number of samples, where a sample of weight 2 counts as two.

    The spread about the mean is itself a stream. With c the weights' sum, m the mean and s the
    spread of what was seen, and c', m', s' those of a new batch,

        s + s' + (m' - m)² c c' / (c + c')

    is the spread of both, which cancels nothing where the mean is large (Chan, Golub and LeVeque,
    1983).

    Parameters
    ----------
    class_aggregation : {"uniform_average", "variance_weighted_average", None}, default
    "uniform_average"
        Mean over the outputs, mean weighted by their spread, or no aggregation: (outputs,).
    num_regressors : int, default 0
        Independent regressors p: the result is then the adjusted R². (In Keras up to 3.15 N counts
        elements instead of samples, and no weights.)
    name : str, default "r2_score"
    dtype : str, optional
        Of the result.

    Raises
    ------
    ValueError
        When y_true or y_pred has more than two axes.

    Warns
    -----
    UserWarning
        When there are too few samples to adjust the score, N ≤ p + 1; it is then not adjusted.

    References
    ----------
    Theil: Economic forecasts and policy, 1961, section 6.2, for the adjusted R².

    Examples
    --------
    >>> y_true = [[1.0], [4.0], [3.0]]
    >>> y_pred = [[2.0], [4.0], [4.0]]
    >>> round(R2Score()(y_true, y_pred), 4)
    0.5714
    """

    class_aggregation: Annotated[str | None, choice(*AGGREGATIONS)] = "uniform_average"
    num_regressors: NotNegative = 0
    name = "r2_score"
    direction = "up"

    def __post_init__(self):
        self.count: Array | None = None

    def build(self, outputs: int) -> None:
        self.count = self.add_variable((outputs,), name="count")
        self.mean = self.add_variable((outputs,), name="mean")
        self.spread = self.add_variable((outputs,), name="spread")
        self.residual = self.add_variable((outputs,), name="residual")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch: targets and outputs, (n,) or (n, outputs), and weights (), (n,) or (n,
        outputs)."""
        y_true, y_pred = align(y_true, y_pred, "R2Score")
        if y_pred.ndim not in (1, 2):
            raise ValueError(
                f"R2Score expects arrays (n,) or (n, outputs), got {y_true.shape} and "
                f"{y_pred.shape}"
            )
        if y_pred.ndim == 1:
            y_true, y_pred = y_true[:, None], y_pred[:, None]
        if self.count is None:
            self.build(y_pred.shape[-1])
        assert self.count is not None
        w = np.asarray(1.0 if sample_weight is None else sample_weight, np.float64)
        w = np.broadcast_to(w[:, None] if w.ndim == 1 else w, y_true.shape)
        y = y_true.astype(np.float64)
        count = w.sum(0)
        mean = divide((w * y).sum(0), count)
        self.merge([count, mean, (w * (y - mean) ** 2).sum(0), (w * (y - y_pred) ** 2).sum(0)])

    def merge(self, state: Sequence[Array]) -> None:
        """Add what another has seen, its count, mean, spread and residual: Σ (y - mean)² of both is
        the sum of theirs and n_a n_b / (n_a + n_b) (mean_a - mean_b)²."""
        count, mean, spread, residual = state
        if self.count is None:
            self.build(len(count))
        assert self.count is not None
        both = self.count + count
        self.residual += residual
        self.spread += spread + divide((mean - self.mean) ** 2 * self.count * count, both)
        self.mean += divide((mean - self.mean) * count, both)
        self.count += count

    def result(self) -> Any:
        """R² so far; NaN where no weight was seen, 0 for a constant target that is missed."""
        if self.count is None:
            return self.cast(np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = 1 - self.residual / self.spread
        scores[np.isinf(scores)] = 0
        scores = self.adjusted(scores)
        if self.class_aggregation == "uniform_average":
            scores = scores.mean()
        elif self.class_aggregation == "variance_weighted_average":
            total = self.spread.sum()
            scores = (scores * self.spread).sum() / total if total else np.nan
        return self.cast(scores)

    def adjusted(self, scores: Array) -> Array:
        p, n = self.num_regressors, np.asarray(self.count)
        if not p:
            return scores
        few = n <= p + 1
        if few.any():
            warnings.warn(
                f"R2Score(num_regressors={p}) has seen {n.min():g} samples, too few to adjust the "
                "score; it is the plain one",
                stacklevel=3,
            )
        return 1 - (1 - scores) * np.divide(n - 1, n - p - 1, out=np.ones_like(n), where=~few)


def divide(a: Array, b: Array) -> Array:
    """a / b, and 0 where b is 0."""
    return np.divide(a, b, out=np.zeros_like(a), where=b != 0)
