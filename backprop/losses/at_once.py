"""Losses whose value and gradient one kernel finds together."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from backprop.linalg import rows
from backprop.losses.loss import Loss
from backprop.promises import short_for

Array = np.ndarray
RELIES_ON = ("values", "gradient", "valid", "measure", "align", "cast", "weigh")


def at_once(find: Callable[[Any, Array, Array, Array, float], float | None]) -> tuple[Any, Any]:
    """`forward` and `backward` of a loss along the last axis, where all values count alike.

    `find(loss, y_true, y_pred, dy_pred, scale)` gets y_pred with a row for each value, and targets
    of the same shape, or a class number for each row. It returns the sum of the values and writes
    dL/dy_pred for L = scale Σ values; None if it has no kernel. What is weighed, masked or not
    reduced goes the way of every loss.
    """

    @short_for(*RELIES_ON)
    def forward(self, y_true, y_pred, sample_weight=None, mask=None):
        plain = sample_weight is None and mask is None and alike(self, y_pred)
        found = together(self, y_true, y_pred) if plain else None
        return found or Loss.forward(self, y_true, y_pred, sample_weight, mask)

    def together(loss, y_true, y_pred):
        t, p = loss.align(y_true, y_pred)
        y = rows(p)
        shape = y.shape[:1] if t.dtype.kind == "i" else y.shape
        if p is not y_pred or t.size != math.prod(shape):
            return None
        dy = np.empty(y.shape, y.dtype)
        scale = 1.0 if loss.reduction == "sum" else 1 / len(y)
        total = find(loss, t if t.shape == shape else t.reshape(shape), y, dy, scale)
        if total is None:
            return None
        return y.dtype.type(total * scale), dy if y is p else dy.reshape(p.shape)

    @short_for("forward", *RELIES_ON)
    def backward(self, cache, dvalues=None):
        if type(cache) is tuple:
            return Loss.backward(self, cache, dvalues)
        return cache if dvalues is None else cache * cache.dtype.type(dvalues)

    return forward, backward


def alike(loss: Any, y_pred: Array) -> bool:
    """Whether the values are found in y_pred's own dtype, are reduced by one factor, and lie along
    the last axis."""
    return (
        type(y_pred) is np.ndarray
        and y_pred.dtype.char in "fd"
        and (loss.dtype is None or loss.dtype == y_pred.dtype)
        and y_pred.ndim > 1
        and y_pred.size > 0
        and loss.axis in (-1, y_pred.ndim - 1)
        and loss.reduction not in (None, "none")
    )


def divisor(loss: Any, cache: Any) -> float | None:
    """What a loss has divided its sum by, N_r; None where it has not."""
    if loss.reduction not in ("mean", "sum_over_batch_size", "mean_with_sample_weight"):
        return None
    if type(cache) is not tuple:  # dL/dy_pred itself: every value counts alike, along the last axis
        return cache.size / cache.shape[-1]
    *_, n, mask = cache
    if mask is None or loss.reduction == "mean_with_sample_weight":
        return n
    return n * np.count_nonzero(mask) / mask.size
