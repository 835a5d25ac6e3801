"""Labels as metrics take them, and what is none: an error that says so, not one more miss.

A metric that is called looks at its labels. In a run the loss has looked, once and at the border,
and no step does so again: see `Metric.labels_known`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.checks import array_like

Array = np.ndarray


def check_classes(true: tuple[int, ...], pred: tuple[int, ...], who: str) -> None:
    if true != pred:
        raise ValueError(
            f"{who} expects one-hot y_true of y_pred's shape {pred}, got {true}; "
            f"for integer labels take sparse_{who}"
        )


def labels(y_true: Any, y_pred: Array, who: str) -> Array:
    """Integer labels of the shape of y_pred without its last axis."""
    y_true = array_like(y_true, who, "y_true")
    if y_true.shape == (*y_pred.shape[:-1], 1):
        return y_true[..., 0]
    if y_true.shape != y_pred.shape[:-1]:
        raise ValueError(
            f"{who} expects integer labels of shape {y_pred.shape[:-1]} for y_pred {y_pred.shape}, "
            f"got {y_true.shape}; for one-hot labels take the metric without sparse in its name"
        )
    return y_true


def weighed(y_true: Array, sample_weight: Any) -> Array:
    """The labels that have a weight: what stands in padding may be anything."""
    weights = np.asarray(1.0 if sample_weight is None else sample_weight)
    return y_true[weights.reshape(y_true.shape) != 0] if weights.size == y_true.size else y_true


def check_numbers(y_true: Array, classes: int | None, who: str, name: str = "y_true") -> None:
    """Raise unless labels are whole numbers from 0 to classes - 1; None: to any."""
    if y_true.dtype.kind not in "iub":
        if y_true.dtype.kind != "f":
            raise TypeError(f"{who} expects {name} to be class numbers, got dtype {y_true.dtype}")
        whole = np.isfinite(y_true) & (np.floor(y_true) == y_true)
        if not whole.all():
            raise ValueError(
                f"{who} expects {name} to be whole numbers, those of classes, got "
                f"{y_true[~whole].flat[0]}"
            )
    top = np.inf if classes is None else classes - 1
    if y_true.size and (y_true.min() < 0 or y_true.max() > top):
        wrong = int(y_true[(y_true < 0) | (y_true > top)].flat[0])
        raise ValueError(
            f"{who} expects {name} from 0 to {top}, the numbers of the classes, got {wrong}"
        )


def check_shares(y_true: Array, who: str) -> None:
    """Raise unless labels are from 0 to 1."""
    if y_true.size and not (y_true.min() >= 0 and y_true.max() <= 1):
        raise ValueError(f"{who} expects y_true from 0 to 1, got {y_true.min()} to {y_true.max()}")
