"""M[i, j] = Σ w [y_true = i] [y_pred = j]: the confusion matrix, and what is read off it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np

from backprop.arguments import Convert, argument
from backprop.checks import Number, array_like, choice, integer
from backprop.metrics.labels import check_numbers, weighed
from backprop.metrics.means import NameFirst
from backprop.metrics.outcomes import ratio
from backprop.metrics.weighing import spread_weights

Array = np.ndarray
Classes = Annotated[int, Convert(integer, most=2**15)]  # a matrix of 8 GiB


class Confusion(NameFirst):
    """A metric that keeps a confusion matrix: rows are what is true, columns what was foreseen."""

    ignore_class = None  # a label that does not count

    def keep(self, classes: int) -> None:
        """Make the matrix."""
        self.total_cm = self.add_variable((classes, classes), name="total_cm")

    def tally(self, true: Array, foreseen: Array, sample_weight: Any) -> None:
        """Add class numbers, of one shape. Those that are no class of the matrix are left out."""
        n = self.total_cm.shape[0]
        if true.shape != foreseen.shape:
            raise ValueError(
                f"{self!r} expects a class for each prediction, got {true.shape} and "
                f"{foreseen.shape}"
            )
        w = spread_weights(sample_weight, true.shape, repr(self))
        w = None if w is None else w.reshape(-1)
        true, foreseen = true.reshape(-1), foreseen.reshape(-1)
        kept = (true >= 0) & (true < n) & (foreseen >= 0) & (foreseen < n)
        if self.ignore_class is not None:
            kept &= true != self.ignore_class
        if not kept.all():
            true, foreseen = true[kept], foreseen[kept]
            w = w if w is None else w[kept]
        places = true.astype(np.intp) * n + foreseen.astype(np.intp)
        self.total_cm += np.bincount(places, w, n * n).reshape(n, n)


class ConfusionMatrix(Confusion):
    """result = M, where M[i, j] counts the samples of class i that were taken for class j.

        y_true: (n, ...) or (n, ..., classes)    y_pred: (n, ..., classes)    M: (classes, classes)

    y_pred may also hold class numbers, (n, ...), as integers.

    Keras has no such metric; the counts are those of `sklearn.metrics.confusion_matrix`.

    Parameters
    ----------
    num_classes : int
    normalize : {None, "true", "pred", "all"}, optional
        Divide by the sum of each row, of each column, or of all.
    threshold : float, default 0.5
        Of one output for two classes: above it is class 1.
    ignore_class : int, optional
        A label that does not count.
    name : str, default "confusion_matrix"
    dtype : str, optional
        Of the result.

    Raises
    ------
    ValueError
        For labels that are no class, or arrays that do not fit.

    Examples
    --------
    >>> m = ConfusionMatrix(2)
    >>> m([0, 1, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.1, 0.9]])
    array([[1., 0.],
           [1., 2.]])
    >>> print(m.report(["cat", "dog"]))
                  precision    recall        f1     count
    cat              0.5000    1.0000    0.6667         1
    dog              1.0000    0.6667    0.8000         3
    accuracy                              0.7500         4
    mean             0.7500    0.8333    0.7333         4
    weighted         0.8750    0.7500    0.7667         4
    """

    num_classes: Annotated[int, Convert(integer, least=2, most=2**15)]
    normalize: Annotated[str | None, choice(None, "true", "pred", "all")] = None
    threshold: Number = 0.5
    ignore_class: int | None = argument(default=None)

    def __post_init__(self):
        self.keep(self.num_classes)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch: class numbers or one-hot rows, and a score for each class (or one)."""
        who = type(self).__name__
        y, p = array_like(y_true, who, "y_true"), array_like(y_pred, who, "y_pred")
        if whole(p) and p.ndim > 1 and p.shape[-1] == 1:
            p = p[..., 0]
        one_hot = y.ndim > 1 and y.shape[-1] == self.num_classes
        if one_hot and (y.shape == p.shape or (whole(p) and y.shape[:-1] == p.shape)):
            y = y.argmax(-1)
        elif y.ndim > 1 and y.shape[-1] == 1 and (y.ndim == p.ndim or y.shape[:-1] == p.shape):
            y = y[..., 0]
        p = self._foreseen(p, y.ndim)
        counted = weighed(y, sample_weight)
        if self.ignore_class is not None:
            counted = counted[counted != self.ignore_class]
        check_numbers(counted, self.num_classes, repr(self))
        check_numbers(p, self.num_classes, repr(self), "y_pred")
        self.tally(y, p, sample_weight)

    def _foreseen(self, p: Array, ndim: int) -> Array:
        """Class numbers of scores."""
        if p.ndim == ndim + 1 and p.shape[-1] == self.num_classes:
            return p.argmax(-1)
        if p.ndim == ndim and whole(p):
            return p
        if self.num_classes == 2 and (p.ndim == ndim or p.shape[-1] == 1):
            return ((p[..., 0] if p.ndim > ndim else p) > self.threshold).astype(np.intp)
        raise ValueError(
            f"{self!r} expects a score for each of {self.num_classes} classes, got y_pred of shape "
            f"{p.shape}"
        )

    def result(self) -> Any:
        """The matrix so far."""
        m = np.asarray(self.total_cm)
        axis = {"true": (1,), "pred": (0,), "all": (0, 1)}.get(self.normalize or "")
        return self.cast(m if axis is None else ratio(m, m.sum(axis, keepdims=True) + 0 * m))

    def report(self, names: Sequence[str] | None = None) -> str:
        """A table of precision, recall, F1 and count of each class, with their means.

        Parameters
        ----------
        names : list of str, optional
            Of the classes. Default: their numbers.
        """
        m = np.asarray(self.total_cm)
        names = [str(n) for n in (range(len(m)) if names is None else names)]
        if len(names) != len(m):
            raise ValueError(f"report() expects {len(m)} names, got {len(names)}")
        tp, count, foreseen = np.diag(m), m.sum(1), m.sum(0)
        table = np.stack([ratio(tp, foreseen), ratio(tp, count), ratio(2 * tp, count + foreseen)])
        total = count.sum()
        width = max(10, *(len(n) for n in names))
        accuracy = float(ratio(tp.sum(), total))
        rows = [(name, *numbers, n) for name, *numbers, n in zip(names, *table, count, strict=True)]
        rows.append(("accuracy", "", "", accuracy, total))
        rows.append(("mean", *table.mean(1), total))
        rows.append(("weighted", *ratio(table @ count, total + 0 * table[:, 0]), total))
        last = max(10, len(as_count(total)) + 2)
        head = f"{'':{width}}{'precision':>13}{'recall':>10}{'f1':>10}{'count':>{last}}"
        return "\n".join([head, *(line(width, last, *row) for row in rows)])


def whole(a: Array) -> bool:
    return a.dtype.kind in "iu"


def line(width: int, last: int, name: str, *numbers: Any) -> str:
    *shares, count = numbers
    shown = (share if share == "" else f"{share:.4f}" for share in shares)
    cells = (f"{s:>{w}}" for s, w in zip(shown, (13, 10, 10), strict=True))
    return f"{name:{width}}{''.join(cells)}{as_count(count):>{last}}"


def as_count(n: float) -> str:
    """A number of rows with all its digits; a sum of weights with six."""
    return f"{n:.0f}" if n == round(n) else f"{n:.6g}"
