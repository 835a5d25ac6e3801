"""tp, fp, tn, fn at thresholds: the four outcomes of a decision, and what is computed from them.

    tp(t) = Σ w y [p > t]           fp(t) = Σ w (1 - y) [p > t]
    fn(t) = Σ w y [p <= t]          tn(t) = Σ w (1 - y) [p <= t]

    y: labels 0 and 1    p: predictions, of the same shape    w: weights    t: (thresholds,)

Nothing is compared with every threshold: a prediction falls between two of them, so it is counted
there, once for y = 1 and once for y = 0, and the sums over the places above t are tp and fp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from backprop import checks
from backprop.losses.loss import leading, same_rank
from backprop.metrics.metric import Metric

Array = np.ndarray


class Outcomes(Metric):
    """Counts predictions by their places between thresholds, apart for labels 1 and 0.

    Subclasses call `watch` in their constructor, `tally` in `update_state`, and read
    `true_positives` and its three kin, each of shape (thresholds,), or (thresholds, labels).
    """

    soft_labels = False  # whether a label of 0.3 counts as 0.3 of a positive; else as a positive

    def watch(self, thresholds: Sequence[float], labels: tuple[int, ...] = ()) -> None:
        """Choose thresholds, in any order, and make the counts."""
        self._order = np.argsort(np.argsort(thresholds, kind="stable"))
        self._sorted = np.sort(np.asarray(thresholds, np.float64))
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
        if top_k is not None:
            p = keep_largest(p, top_k, repr(self))
        w = self.weights(sample_weight, p.shape)
        if class_id is not None:
            if p.ndim < 2 or class_id >= p.shape[-1]:
                raise ValueError(
                    f"{self!r} looks at class {class_id} and got predictions of shape {p.shape}"
                )
            y, p, w = y[..., class_id], p[..., class_id], w if w is None else w[..., class_id]
        self.count(self.places(p), y, w)

    def pair(self, y_true: Any, y_pred: Any) -> tuple[Array, Array]:
        """Labels as numbers and predictions, of one shape."""
        y, p = same_rank(np.asarray(y_true), np.asarray(y_pred))
        if y.shape != p.shape:
            raise ValueError(
                f"{self!r} expects y_true and y_pred of one shape, got {np.shape(y_true)} and "
                f"{np.shape(y_pred)}; of class numbers make rows by utils.to_categorical(y)"
            )
        if y.size and not (y.min() >= 0 and y.max() <= 1):
            raise ValueError(
                f"{self!r} expects labels of 0 and 1, got {y.min()} to {y.max()}; for several "
                "classes give one-hot labels"
            )
        return (y if self.soft_labels else y != 0).astype(np.float64), p

    def weights(self, sample_weight: Any, shape: tuple[int, ...]) -> Array | None:
        """A weight for each prediction."""
        if sample_weight is None:
            return None
        given = np.asarray(sample_weight, np.float64)
        w = given
        if w.ndim == len(shape) + 1 and w.shape[-1] == 1:
            w = w[..., 0]
        try:
            return np.broadcast_to(leading(w, shape), shape)
        except ValueError:
            raise ValueError(
                f"{self!r} has predictions of shape {shape} and got sample_weight of shape "
                f"{given.shape}; give one weight a sample, (n,), or one a prediction"
            ) from None

    def places(self, p: Array) -> Array:
        """How many thresholds each prediction is above, compared in its own precision."""
        thresholds = self._sorted.astype(p.dtype) if p.dtype.kind == "f" else self._sorted
        found = np.searchsorted(thresholds, p.reshape(-1), side="left").reshape(p.shape)
        if p.dtype.kind == "f" and np.isnan(p.sum()):
            found[np.isnan(p)] = 0  # NaN is above nothing
        return found

    def count(self, places: Array, y: Array, w: Array | None) -> None:
        labels = self.positives.shape[1:]
        if labels:  # a column for each
            places = places * labels[0] + np.arange(labels[0])
        for variable, share in ((self.positives, y), (self.negatives, 1 - y)):
            weight = share if w is None else share * w
            found = np.bincount(places.reshape(-1), weight.reshape(-1), variable.size)
            variable += found.reshape(variable.shape)

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
    if p.ndim < 2 or k > p.shape[-1]:
        raise ValueError(f"{who} takes the {k} largest of a row, and got shape {p.shape}")
    least = np.argsort(-p, axis=-1, kind="stable")[..., k:]
    p = p.astype(np.result_type(p.dtype, np.float32))
    np.put_along_axis(p, least, -np.inf, -1)
    return p


def thresholds_from(thresholds: Any, default: float, who: str) -> list[float]:
    """A list of thresholds in [0, 1], from a number, a list or None."""
    if thresholds is None:
        return [default]
    found = list(thresholds) if np.ndim(thresholds) else [thresholds]
    if not found or not all(0 <= t <= 1 for t in found):
        raise ValueError(f"{who} expects thresholds in [0, 1], got {thresholds!r}")
    return [float(t) for t in found]


# ------------------------------------------------------------------------------- counts


class Count(Outcomes):
    """One of the four counts; a subclass says which."""

    counted = ""

    def __init__(self, thresholds=None, name: str | None = None, dtype=None):
        super().__init__(dtype, name)
        self.thresholds = thresholds_from(thresholds, 0.5, type(self).__name__)
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
    thresholds : float or list of float, default 0.5
        In [0, 1]; the result has an entry for each.
    name : str, default "true_negatives"
    dtype : str, optional
        Of the result.

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
    thresholds : float or list of float, default 0.5
        In [0, 1]; the result has an entry for each.
    name : str, default "false_positives"
    dtype : str, optional
        Of the result.

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
    thresholds : float or list of float, default 0.5
        In [0, 1]; the result has an entry for each.
    name : str, default "false_negatives"
    dtype : str, optional
        Of the result.

    Examples
    --------
    >>> FalseNegatives()([0, 1, 1, 1], [0, 1, 0, 0])
    2.0
    """

    counted = "false_negatives"
    direction = "down"


# ------------------------------------------------------------------------------- ratios


class Share(Outcomes):
    """The share of the true positives in something; a subclass says in what."""

    direction = "up"

    def __init__(
        self,
        thresholds=None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype=None,
    ):
        super().__init__(dtype, name)
        who = type(self).__name__
        self.top_k = None if top_k is None else checks.integer(top_k, who, "top_k")
        self.class_id = class_number(class_id, who)
        # where the k largest are taken, they are taken whatever they are
        self.thresholds = thresholds_from(thresholds, 0.5 if top_k is None else -np.inf, who)
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
    thresholds : float or list of float, optional
        In [0, 1]; the result has an entry for each. Default: 0.5, or none with `top_k`.
    top_k : int, optional
        Foreseen as 1 are the k largest predictions of a row, if they are above the threshold.
    class_id : int, optional
        The entry of the last axis to look at. Default: all of them.
    name : str, default "recall"
    dtype : str, optional
        Of the result.

    Raises
    ------
    ValueError
        For a threshold outside [0, 1], or arrays that do not fit.

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


def class_number(class_id: Any, who: str) -> int | None:
    return None if class_id is None else checks.integer(class_id, who, "class_id", 0)
