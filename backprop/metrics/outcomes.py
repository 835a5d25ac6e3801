"""tp, fp, tn, fn at thresholds: the four outcomes of a decision, and what is computed from them.

    tp(t) = Σ w y [p > t]           fp(t) = Σ w (1 - y) [p > t]
    fn(t) = Σ w y [p <= t]          tn(t) = Σ w (1 - y) [p <= t]

    y: labels 0 and 1    p: predictions, of the same shape    w: weights    t: (thresholds,)

A label that is neither 0 nor 1 counts as 1, as in Keras, with a warning.

Nothing is compared with every threshold: a prediction falls between two of them, so it is counted
there, once for y = 1 and once for y = 0, and the sums over the places above t are tp and fp.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np

from backprop import checks
from backprop.arguments import Convert
from backprop.checks import NotNegative, Positive, array_like
from backprop.losses.loss import same_rank
from backprop.metrics.means import NameFirst
from backprop.metrics.weighing import spread_weights

Array = np.ndarray
SLACK = 1e-6  # how far rounding may take a probability out of [0, 1]


class Outcomes(NameFirst):
    """Counts predictions by their places between thresholds, apart for labels 1 and 0.

    Subclasses call `watch` in their constructor, `tally` in `update_state`, and read
    `true_positives` and its three kin, each of shape (thresholds,), or (thresholds, labels).
    """

    def watch(
        self, thresholds: Sequence[float], labels: tuple[int, ...] = (), even: bool = False
    ) -> None:
        """Choose thresholds, in any order, and make the counts; `even` if they are even anyhow."""
        self._order = np.argsort(np.argsort(thresholds, kind="stable"))
        self._sorted = np.sort(np.asarray(thresholds, np.float64))
        self._even = even or are_even(thresholds)
        self.positives = self.add_variable((len(thresholds) + 1, *labels), name="positives")
        self.negatives = self.add_variable((len(thresholds) + 1, *labels), name="negatives")

    def tally(
        self,
        y_true: Any,
        y_pred: Any,
        sample_weight: Any,
        *,
        top_k: int | None = None,
        class_id: int | None = None,
    ) -> None:
        """Add a batch.

        Parameters
        ----------
        y_true : array_like of 0 and 1, (n, ...)
        y_pred : array_like, (n, ...)
        sample_weight : array_like, (), (n,) or (n, ...), optional
        top_k : int, optional
            Predictions that are not among the k largest of their row are below every threshold.
        class_id : int, optional
            Count this entry of the last axis alone.
        """
        y, p = self.pair(y_true, y_pred)
        if self._even and p.size and (p.min() < -SLACK or p.max() > 1 + SLACK):
            warnings.warn(
                f"{self!r} expects predictions in [0, 1] and got others, which count as 0 or 1; "
                "make probabilities of logits",
                stacklevel=3,
            )
        if top_k is not None:
            p = keep_largest(p, top_k, repr(self))
        w = spread_weights(sample_weight, p.shape, repr(self))
        if class_id is not None:
            if p.ndim < 2 or class_id >= p.shape[-1]:
                raise ValueError(
                    f"{self!r} looks at class {class_id} and got predictions of shape {p.shape}"
                )
            y, p, w = y[..., class_id], p[..., class_id], w if w is None else w[..., class_id]
        self.count(self.places(p), y, w)

    def pair(self, y_true: Any, y_pred: Any) -> tuple[Array, Array]:
        """Labels as booleans and predictions, of one shape."""
        who = type(self).__name__
        y, p = same_rank(array_like(y_true, who, "y_true"), array_like(y_pred, who, "y_pred"))
        if y.shape != p.shape:
            raise ValueError(
                f"{self!r} expects y_true and y_pred of one shape, got {np.shape(y_true)} and "
                f"{np.shape(y_pred)}; of class numbers make rows by utils.to_categorical(y)"
            )
        positive = y != 0
        if not (y == positive).all():
            warnings.warn(
                f"{self!r} expects labels of 0 and 1 and got others, which all count as 1; for "
                "several classes give one-hot labels",
                stacklevel=3,
            )
        return positive, p

    def places(self, p: Array) -> Array:
        """How many thresholds each prediction is above, compared in its own precision, float32 at
        the least.

        NaN is above none, or, where the lowest threshold lies below 0, above that one alone.
        """
        p = p.astype(np.result_type(p.dtype, np.float32), copy=False)
        thresholds = self._sorted
        if self._even:  # as Keras rounds it, so that a prediction at a threshold is on its side
            steps = np.ceil(np.clip(p, 0, 1) * p.dtype.type(len(thresholds) - 1))
            return np.fmax(steps, p.dtype.type(thresholds[0] < 0)).astype(np.intp)
        thresholds = thresholds.astype(p.dtype)
        if len(thresholds) == 1:
            return (p > thresholds[0]).astype(np.intp)
        found = np.searchsorted(thresholds, p.reshape(-1), side="left").reshape(p.shape)
        if np.isnan(p.sum()):
            found[np.isnan(p)] = 0
        return found

    def count(self, places: Array, positive: Array, w: Array | None) -> None:
        labels, size = self.positives.shape[1:], self.positives.size
        if labels:  # a column for each
            places = places * labels[0] + np.arange(labels[0])
        places = places + np.multiply(positive, size, dtype=np.intp)  # behind the negatives
        weights = None if w is None else w.reshape(-1)
        found = np.bincount(places.reshape(-1), weights, 2 * size)
        self.negatives += found[:size].reshape(self.negatives.shape)
        self.positives += found[size:].reshape(self.positives.shape)

    def above(self, counts: Array) -> Array:
        """Σ over the places above each threshold, in the order in which thresholds were given."""
        return np.asarray(counts)[::-1].cumsum(0)[::-1][1:][self._order]

    def below(self, counts: Array) -> Array:
        return np.asarray(counts).cumsum(0)[:-1][self._order]

    @property
    def true_positives(self) -> Array:
        return self.above(self.positives)

    @property
    def false_positives(self) -> Array:
        return self.above(self.negatives)

    @property
    def true_negatives(self) -> Array:
        return self.below(self.negatives)

    @property
    def false_negatives(self) -> Array:
        return self.below(self.positives)

    def one_or_all(self, values: Array) -> Any:
        """A number for one threshold, an array for several."""
        return self.cast(values[0] if len(values) == 1 else values)


def ratio(a: Array, b: Array) -> Array:
    """a / b, and 0 where b is 0."""
    return np.divide(a, b, out=np.zeros(np.shape(b)), where=np.asarray(b) != 0)


def keep_largest(p: Array, k: int, who: str) -> Array:
    """Predictions, with -inf in the place of those that are not among the k largest of a row."""
    if k > p.shape[-1]:
        raise ValueError(f"{who} takes the {k} largest of a row, and got shape {p.shape}")
    least = np.argsort(-p, axis=-1, kind="stable")[..., k:]
    p = p.astype(np.result_type(p.dtype, np.float32))
    np.put_along_axis(p, least, -np.inf, -1)
    return p


def thresholds_from(
    thresholds: Any, who: str, name: str = "thresholds", default: float = 0.5
) -> list[float]:
    """A list of thresholds in [0, 1], from a number, a list or None."""
    if thresholds is None:
        return [default]
    several = isinstance(thresholds, list | tuple | np.ndarray)
    found = checks.sequence(thresholds, who, name) if several else [thresholds]
    if not found or not all(checks.is_real(t) and 0 <= t <= 1 for t in found):
        raise ValueError(f"{who} expects {name} in [0, 1], got {thresholds!r}")
    return [float(t) for t in found]


def are_even(thresholds: Sequence[float]) -> bool:
    """Whether thresholds ascend from 0 to 1 in equal steps, the outermost perhaps 1e-7 outside."""
    n = len(thresholds)
    return n > 2 and np.allclose(np.clip(thresholds, 0, 1), np.linspace(0, 1, n), atol=1e-7)


# ------------------------------------------------------------------------------- counts


class Count(Outcomes, kw_only=True, by_position=True):
    """One of the four counts; a subclass says which."""

    counted = ""

    thresholds: Annotated[Any, Convert(thresholds_from, none=True)] = None

    def __post_init__(self):
        self.watch(self.thresholds)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch: labels of 0 and 1 and predictions, (n, ...)."""
        self.tally(y_true, y_pred, sample_weight)

    def result(self) -> Any:
        """The count so far, for each threshold."""
        return self.one_or_all(getattr(self, self.counted))


class TruePositives(Count):
    """result = Σ w y [p > t]: how often 1 was foreseen and right.

    Parameters
    ----------
    thresholds : float or list of float, default 0.5
        In [0, 1]; the result has an entry for each.
    name : str, default "true_positives"
    dtype : str, optional
        Of the result.

    Examples
    --------
    >>> TruePositives()([0, 1, 1, 1], [1, 0, 1, 1])
    2.0
    """

    counted = "true_positives"
    direction = "up"


class TrueNegatives(Count):
    """result = Σ w (1 - y) [p <= t]: how often 0 was foreseen and right.

    Parameters
    ----------
    thresholds, name, dtype : as in `TruePositives`

    Examples
    --------
    >>> TrueNegatives()([0, 1, 0, 0], [1, 1, 0, 0], sample_weight=[0, 0, 1, 0])
    1.0
    """

    counted = "true_negatives"
    direction = "up"


class FalsePositives(Count):
    """result = Σ w (1 - y) [p > t]: how often 1 was foreseen and wrong.

    Parameters
    ----------
    thresholds, name, dtype : as in `TruePositives`

    Examples
    --------
    >>> FalsePositives(thresholds=[0.3, 0.6])([0, 0, 1], [0.5, 0.9, 0.1])
    array([2., 1.])
    """

    counted = "false_positives"
    direction = "down"


class FalseNegatives(Count):
    """result = Σ w y [p <= t]: how often 0 was foreseen and wrong.

    Parameters
    ----------
    thresholds, name, dtype : as in `TruePositives`

    Examples
    --------
    >>> FalseNegatives()([0, 1, 1, 1], [0, 1, 0, 0])
    2.0
    """

    counted = "false_negatives"
    direction = "down"


# ------------------------------------------------------------------------------- ratios


class Share(Outcomes, kw_only=True, by_position=True):
    """The share of the true positives in something; a subclass says in what."""

    thresholds: Any = None
    top_k: Positive | None = None
    class_id: NotNegative | None = None
    direction = "up"

    def __post_init__(self):
        # where the k largest are taken, they are taken whatever they are
        default = 0.5 if self.top_k is None else -np.inf
        self.thresholds = thresholds_from(self.thresholds, type(self).__name__, default=default)
        self.watch(self.thresholds)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch: labels of 0 and 1 and predictions, (n, ...)."""
        self.tally(y_true, y_pred, sample_weight, top_k=self.top_k, class_id=self.class_id)


class Precision(Share):
    """result = tp / (tp + fp): of those foreseen as 1, the share that are; 0 where none is.

    Parameters
    ----------
    thresholds : float or list of float, optional
        In [0, 1]; the result has an entry for each. Default: 0.5, or none with `top_k`.
    top_k : int, optional
        Foreseen as 1 are the k largest predictions of a row, if they are above the threshold.
    class_id : int, optional
        The entry of the last axis to look at. Default: all of them.
    name : str, default "precision"
    dtype : str, optional
        Of the result.

    Raises
    ------
    ValueError
        For a threshold outside [0, 1], or arrays that do not fit.

    Examples
    --------
    >>> round(Precision()([0, 1, 1, 1], [1, 0, 1, 1]), 4)
    0.6667
    >>> Precision(top_k=2)([[0, 0, 1, 1]], [[0.1, 0.2, 0.4, 0.3]])
    1.0
    """

    def result(self) -> Any:
        """The precision so far, for each threshold."""
        return self.one_or_all(
            ratio(self.true_positives, self.true_positives + self.false_positives)
        )


class Recall(Share):
    """result = tp / (tp + fn): of those that are 1, the share that was foreseen; 0 where none is.

    Parameters
    ----------
    thresholds, top_k, class_id, name, dtype : as in `Precision`

    Examples
    --------
    >>> round(Recall()([0, 1, 1, 1], [1, 0, 1, 1]), 4)
    0.6667
    """

    def result(self) -> Any:
        """The recall so far, for each threshold."""
        return self.one_or_all(
            ratio(self.true_positives, self.true_positives + self.false_negatives)
        )
