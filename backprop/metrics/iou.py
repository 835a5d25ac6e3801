"""IoU = |A ∩ B| / |A ∪ B| of where a class is and where it was foreseen."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from backprop import checks
from backprop.arguments import argument
from backprop.checks import Number, array_like
from backprop.losses.loss import EPSILON
from backprop.metrics.matrix import Classes, Confusion


class IoU(Confusion):
    """result = mean over classes of tp / (tp + fp + fn), the intersection over the union.

        y_true, y_pred: (n, ...), class numbers, or (n, ..., classes)

    Classes that are neither true nor foreseen anywhere are left out of the mean. Denominators have
    1e-7 added, as Keras' have. Labels that are no class, such as 255 for "nothing", do not count.

    Parameters
    ----------
    num_classes : int
    target_class_ids : list of int
        The classes of the mean.
    name : str, default "io_u"
    dtype : str, optional
        Of the result.
    ignore_class : int, optional
        A label that does not count.
    sparse_y_true, sparse_y_pred : bool, default True
        Whether they are class numbers; else they have a score for each class along `axis`.
    axis : int, default -1

    Raises
    ------
    ValueError
        For a class that is out of range, or arrays that do not fit.

    Examples
    --------
    >>> round(IoU(2, target_class_ids=[0])([0, 0, 1, 1], [0, 1, 0, 1]), 4)
    0.3333
    """

    num_classes: Classes
    target_class_ids: Sequence[int]
    ignore_class: int | None = argument(default=None, after="dtype")
    sparse_y_true: bool = argument(default=True, after="dtype")
    sparse_y_pred: bool = argument(default=True, after="dtype")
    axis: int = argument(default=-1, after="dtype")
    direction = "up"

    def __post_init__(self):
        self.keep(self.num_classes)  # first, as only so many classes as it has room for are listed
        who, given = type(self).__name__, self._in_mean()
        ids = checks.sequence(given, who, "target_class_ids")
        self.target_class_ids = [checks.integer(i, who, "each of target_class_ids", 0) for i in ids]
        if not self.target_class_ids or max(self.target_class_ids) >= self.num_classes:
            raise ValueError(
                f"{who} expects target_class_ids from 0 to {self.num_classes - 1}, got {given!r}"
            )

    def _in_mean(self) -> Sequence[int]:
        """The classes of the mean."""
        return self.target_class_ids

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch."""
        who = type(self).__name__
        y, p = array_like(y_true, who, "y_true"), array_like(y_pred, who, "y_pred")
        y = y if self.sparse_y_true else y.argmax(self.axis)
        p = p if self.sparse_y_pred else p.argmax(self.axis)
        if y.size != p.size:
            raise ValueError(
                f"{self!r} expects a class for each prediction, got shapes {np.shape(y_true)} and "
                f"{np.shape(y_pred)}"
            )
        shape = min(y.shape, p.shape, key=len)  # one of them may have a last axis of length 1
        # as whole numbers: predictions may come as floats
        y, p = (self._numbers(a.reshape(shape)) for a in (y, p))
        self.tally(y, p, sample_weight)

    def _numbers(self, a: np.ndarray) -> np.ndarray:
        if a.dtype.kind == "f" and not np.isfinite(a).all():
            raise ValueError(
                f"{self!r} expects y_true and y_pred to be class numbers, got NaN or inf"
            )
        numbers = a.astype(np.int64)
        if a.dtype.kind == "f" and not (numbers == a).all():
            warnings.warn(
                f"{self!r} expects class numbers and got fractions, which are cut to whole "
                "numbers; for scores of classes say sparse_y_pred=False, for one score take "
                "BinaryIoU",
                stacklevel=3,
            )
        return numbers

    def result(self) -> Any:
        """The mean so far."""
        m = np.asarray(self.total_cm)
        tp = np.diag(m)[self.target_class_ids]
        union = (m.sum(0) + m.sum(1) - np.diag(m))[self.target_class_ids]
        seen = union > 1e-9
        return self.cast(np.sum(tp[seen] / (union[seen] + EPSILON)) / (seen.sum() + EPSILON))


class BinaryIoU(IoU):
    """result = mean over classes 0 and 1 of tp / (tp + fp + fn), where p >= threshold is class 1.

        y_true, y_pred: (n, ...)

    Parameters
    ----------
    target_class_ids, name, dtype : as in `IoU`
    threshold : float, default 0.5

    Examples
    --------
    >>> round(BinaryIoU(threshold=0.3)([0, 1, 0, 1], [0.1, 0.2, 0.4, 0.7]), 4)
    0.3333
    """

    target_class_ids: Sequence[int] = argument(default=(0, 1))
    threshold: Number = 0.5

    decides = ("num_classes", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis")
    num_classes = 2

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch: labels of 0 and 1 and predictions."""
        p = array_like(y_pred, type(self).__name__, "y_pred")
        least = p.dtype.type(self.threshold) if p.dtype.kind == "f" else self.threshold
        super().update_state(y_true, p >= least, sample_weight)


class MeanIoU(IoU):
    """result = mean over all classes of tp / (tp + fp + fn).

        y_true, y_pred: (n, ...), class numbers, or (n, ..., classes)

    Parameters
    ----------
    num_classes, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis : as in `IoU`

    Examples
    --------
    >>> round(MeanIoU(2)([0, 0, 1, 1], [0, 1, 0, 1]), 4)
    0.3333
    """

    decides = ("target_class_ids",)

    def _in_mean(self):
        return range(self.num_classes)


class OneHotIoU(IoU):
    """result = mean over classes of tp / (tp + fp + fn), of one-hot labels.

        y_true, y_pred: (n, ..., classes)

    Parameters
    ----------
    num_classes, target_class_ids, name, dtype, ignore_class, axis : as in `IoU`
    sparse_y_pred : bool, default False
        Whether predictions are class numbers.

    Examples
    --------
    >>> y, p = [[1, 0], [0, 1], [0, 1]], [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]]
    >>> round(OneHotIoU(2, target_class_ids=[1])(y, p), 4)
    0.5
    """

    decides = ("sparse_y_true",)
    sparse_y_true = False
    sparse_y_pred = False


class OneHotMeanIoU(MeanIoU):
    """result = mean over all classes of tp / (tp + fp + fn), of one-hot labels.

        y_true, y_pred: (n, ..., classes)

    Parameters
    ----------
    num_classes, name, dtype, ignore_class, sparse_y_pred, axis : as in `OneHotIoU`

    Examples
    --------
    >>> y, p = [[1, 0], [0, 1], [0, 1]], [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]]
    >>> round(OneHotMeanIoU(2)(y, p), 4)
    0.5
    """

    decides = ("sparse_y_true",)
    sparse_y_true = False
    sparse_y_pred = False
