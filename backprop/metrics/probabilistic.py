"""Cross-entropies, divergences and hinges as streams: the losses' values, averaged."""

from __future__ import annotations

from typing import Any

from backprop import losses
from backprop.arguments import argument
from backprop.checks import array_like
from backprop.metrics.means import MeanLoss
from backprop.metrics.weighing import apply_mask


class BinaryCrossentropy(MeanLoss, of=losses.BinaryCrossentropy):
    """result = mean of -(y_true log p + (1 - y_true) log(1 - p)).

    Parameters
    ----------
    name, dtype : as in `Metric`
    from_logits, label_smoothing : as in the loss of this name

    Examples
    --------
    >>> round(BinaryCrossentropy()([[0.0], [1.0]], [[0.5], [0.5]]), 4)
    0.6931
    """

    from_logits: bool = argument(default=False, after="dtype")
    label_smoothing: float = argument(default=0, after="dtype")


class CategoricalCrossentropy(MeanLoss, of=losses.CategoricalCrossentropy):
    """result = mean of -Σ y_true log p, over one-hot targets.

    Parameters
    ----------
    name, dtype : as in `Metric`
    from_logits, label_smoothing, axis : as in the loss of this name

    Examples
    --------
    >>> round(CategoricalCrossentropy()([[0, 1, 0]], [[0.25, 0.5, 0.25]]), 4)
    0.6931
    """

    from_logits: bool = argument(default=False, after="dtype")
    label_smoothing: float = argument(default=0, after="dtype")
    axis: int = argument(default=-1, after="dtype")


class SparseCategoricalCrossentropy(MeanLoss, of=losses.SparseCategoricalCrossentropy):
    """result = mean of -log p[y_true], over integer targets.

    Parameters
    ----------
    name, dtype : as in `Metric`
    from_logits, axis : as in the loss of this name
    ignore_class : int, optional
        Targets of this class cost 0. As in Keras they are counted where there are no weights, and
        left out where there are.

    Examples
    --------
    >>> round(SparseCategoricalCrossentropy()([1], [[0.25, 0.5, 0.25]]), 4)
    0.6931
    """

    from_logits: bool = argument(default=False, after="dtype")
    ignore_class: int | None = argument(default=None, after="dtype")
    axis: int = argument(default=-1, after="dtype")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch: labels, (n, ...), outputs, (n, ..., classes), and weights of the labels."""
        if sample_weight is not None:
            who = type(self).__name__
            found = array_like(y_true, who, "y_true"), array_like(y_pred, who, "y_pred")
            labels, _ = self.loss.align(*found)
            sample_weight = apply_mask(sample_weight, self.loss.valid(labels))
        super().update_state(y_true, y_pred, sample_weight)


class KLDivergence(MeanLoss, of=losses.KLDivergence):
    """result = mean of Σ y_true log(y_true / y_pred).

    Parameters
    ----------
    name, dtype : as in `Metric`

    Examples
    --------
    >>> round(KLDivergence()([[0.0, 1.0]], [[0.5, 0.5]]), 4)
    0.6931
    """


class Poisson(MeanLoss, of=losses.Poisson):
    """result = mean of y_pred - y_true log(y_pred).

    Parameters
    ----------
    name, dtype : as in `Metric`

    Examples
    --------
    >>> round(Poisson()([[1.0, 0.0]], [[1.0, 1.0]]), 4)
    1.0
    """


class Hinge(MeanLoss, of=losses.Hinge):
    """result = mean of max(1 - y_true y_pred, 0); targets 0 and 1 count as -1 and 1.

    Parameters
    ----------
    name, dtype : as in `Metric`

    Examples
    --------
    >>> Hinge()([[1.0, -1.0]], [[0.5, 0.5]])
    1.0
    """


class SquaredHinge(MeanLoss, of=losses.SquaredHinge):
    """result = mean of max(1 - y_true y_pred, 0)²; targets 0 and 1 count as -1 and 1.

    Parameters
    ----------
    name, dtype : as in `Metric`

    Examples
    --------
    >>> SquaredHinge()([[1.0, -1.0]], [[0.5, 0.5]])
    1.25
    """


class CategoricalHinge(MeanLoss, of=losses.CategoricalHinge):
    """result = mean of max(1 + max of the wrong classes' y_pred - that of the right one, 0).

    Parameters
    ----------
    name, dtype : as in `Metric`

    Examples
    --------
    >>> CategoricalHinge()([[0.0, 1.0]], [[0.5, 0.75]])
    0.75
    """
