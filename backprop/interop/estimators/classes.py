"""Labels as a network is trained on them, and what a network puts out as labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit, log_expit, log_softmax, logit, softmax
from sklearn.utils.multiclass import check_classification_targets, type_of_target

Array = np.ndarray
KINDS = {
    "binary": "binary",
    "multiclass": "multiclass",
    "multilabel-indicator": "multilabel",
    "multiclass-multioutput": "multioutput",
}


def kind_of(y: Array) -> str:
    """Which task labels pose: "binary", "multiclass", "multilabel" or "multioutput"."""
    check_classification_targets(y)
    return KINDS[type_of_target(y, input_name="y")]


class Coding:
    """The classes of a task and how a network's outputs stand for them.

    Parameters
    ----------
    task : {"binary", "multiclass", "multilabel", "multioutput"}
    classes : array, or a list of arrays, one for each column of a multioutput task
        Sorted.

    Attributes
    ----------
    outputs : int or tuple of int
        Units of the network: one for two classes, one for each of more and for each label; of a
        multioutput task a tuple, one for each class of each column.
    one_hot : bool
        Whether classes are trained on as rows of 0 and 1, rather than as numbers.
    logits : bool
        Whether the network puts out logits (or other scores), and not probabilities.
    loss : Loss
        What the network is trained with, times `factor`.
    """

    loss: Any
    factor: float | None = None

    def __init__(self, task: str, classes: Any):
        self.task = task
        self.classes = classes
        self.one_hot = self.logits = False
        if task == "binary":
            self.outputs: Any = 1
        elif task == "multioutput":
            self.outputs = tuple([len(c) for c in classes])
        else:
            self.outputs = len(classes)

    @classmethod
    def of(cls, y: Array, task: str) -> Coding:
        """That of the classes that occur."""
        if task == "multilabel":
            return cls(task, np.arange(y.shape[1]))
        if task == "multioutput":
            return cls(task, [np.unique(column) for column in y.T])
        return cls(task, np.unique(y))

    @property
    def n_outputs(self) -> int:
        """Units of all outputs."""
        return sum(self.outputs) if isinstance(self.outputs, tuple) else self.outputs

    def prepare(self, y: Array, weight: Array | None) -> None:
        """Nothing is learnt of labels but what they are."""

    def strata(self, y: Array) -> Array | None:
        """Labels of which each part of the rows is to have its share."""
        return y if self.task in ("binary", "multiclass") else None

    def as_two_outputs(self) -> None:
        """Let each of two classes have a unit."""
        self.task, self.outputs = "multiclass", max(2, len(self.classes))

    def unknown(self, y: Array) -> list[Any]:
        """Labels that are no classes."""
        if self.task == "multilabel":
            return [] if y.ndim == 2 and y.shape[1] == len(self.classes) else [f"shape {y.shape}"]
        if self.task == "multioutput":
            columns = zip(y.T, self.classes, strict=False)
            return [v for c, known in columns for v in np.setdiff1d(c, known).tolist()]
        return np.setdiff1d(y, self.classes).tolist()

    def encode(self, X: Any, y: Array) -> Any:
        """Labels as targets."""
        dtype = X.dtype
        if self.task == "multilabel":
            return y.astype(dtype)
        if self.task == "multioutput":
            columns = zip(y.T, self.classes, strict=True)
            return [self._numbers(c, known, dtype) for c, known in columns]
        if self.task == "binary":
            return np.searchsorted(self.classes, y)[:, None].astype(dtype)
        return self._numbers(y, self.classes, dtype)

    def _numbers(self, y: Array, classes: Array, dtype: Any) -> Array:
        numbers = np.searchsorted(classes, y)
        return np.eye(max(2, len(classes)), dtype=dtype)[numbers] if self.one_hot else numbers

    def numbers(self, outputs: Any) -> Any:
        """Numbers of classes from what the network puts out; of labels 0 and 1."""
        if self.task == "multioutput":
            return np.stack([output.argmax(-1) for output in outputs], -1)
        if self.task == "multiclass":
            return outputs.argmax(-1)
        chosen = (outputs > (0 if self.logits else 0.5)).astype(np.intp)
        return chosen[:, 0] if self.task == "binary" else chosen

    def decode(self, outputs: Any) -> Array:
        """Labels."""
        numbers = self.numbers(outputs)
        if self.task == "multilabel":
            return numbers
        if self.task == "multioutput":
            return np.stack([c[n] for c, n in zip(self.classes, numbers.T, strict=True)], -1)
        return self.classes[np.minimum(numbers, len(self.classes) - 1)]

    def score(self, targets: Any, outputs: Any, weight: Array | None) -> float:
        """Share of rows of which everything is right; NaN where an output is not finite."""
        each = outputs if self.task == "multioutput" else [outputs]
        if not all(np.isfinite(output).all() for output in each):
            return float("nan")
        if self.task == "multioutput":
            targets = np.stack([t.argmax(-1) if self.one_hot else t for t in targets], -1)
        elif self.task == "binary":
            targets = targets[:, 0]
        elif self.one_hot and self.task == "multiclass":
            targets = targets.argmax(-1)
        right = self.numbers(outputs) == targets
        return float(np.average(right if right.ndim == 1 else right.all(-1), weights=weight))

    def probabilities(self, outputs: Any) -> Any:
        """Of each class (rows sum to 1), of each label, or a list of those of each column."""
        if self.task == "multioutput":
            return [softmax(o, -1) if self.logits else o for o in outputs]
        if self.task == "multiclass":
            p = softmax(outputs, -1) if self.logits else outputs
            return p if len(self.classes) > 1 else np.ones_like(p[:, :1])
        p = expit(outputs) if self.logits else outputs
        if self.task == "multilabel":
            return p
        return np.hstack([1 - p, p]) if len(self.classes) > 1 else np.ones_like(p)

    def log_probabilities(self, outputs: Any) -> Any:
        """The logarithms of `probabilities`; of logits also where these underflow."""
        if not self.logits:
            with np.errstate(divide="ignore"):
                p = self.probabilities(outputs)
                return [np.log(one) for one in p] if isinstance(p, list) else np.log(p)
        if self.task == "multioutput":
            return [log_softmax(output, -1) for output in outputs]
        if self.task == "multilabel":
            return log_expit(outputs)
        if len(self.classes) == 1:
            return np.zeros_like(outputs[:, :1])
        if self.task == "binary":
            return log_expit(np.hstack([-outputs, outputs]))
        return log_softmax(outputs, -1)

    def scores(self, outputs: Any) -> Any:
        """Logits: of two classes those of the second, (n,), of more one for each; of
        probabilities their logarithms, or log p / (1 - p) of single ones."""
        if not self.logits:
            with np.errstate(divide="ignore"):
                one = logit if self.task in ("binary", "multilabel") else np.log
                outputs = [one(o) for o in outputs] if isinstance(outputs, list) else one(outputs)
        if self.task == "binary":
            return outputs[:, 0]
        if self.task == "multiclass" and len(self.classes) == 2:
            return outputs[:, 1] - outputs[:, 0]
        return outputs
