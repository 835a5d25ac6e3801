"""Losses with their gradients, in one pass over what a network put out.

    y_pred, q, z, dy_pred, dz: (n, k), the last two contiguous    labels: (n,), class numbers

Each returns the sum of the n values, and writes dL/dy_pred for L = scale Σ values. A loop adds up
in float64, so that in float32 a mean that can be told is told, where NumPy's sum overflows.
"""

from __future__ import annotations

import numpy as np

from backprop.kernels.switch import kernel
from backprop.linalg import max_last, multiples, ones, sum_last

Array = np.ndarray


@kernel
def squared_error(y_true: Array, y_pred: Array, dy_pred: Array, scale: float) -> float:
    """values = ⟨d²⟩, d = y_pred - y_true        dy_pred ← 2 d scale / k"""
    k = y_pred.shape[-1]
    np.subtract(y_pred, y_true, out=dy_pred)
    total = np.vdot(dy_pred, dy_pred) / k
    dy_pred *= 2 * scale / k
    return total


@kernel
def sparse_after_softmax(
    q: Array, labels: Array, dz: Array, low: float, high: float, scale: float
) -> float:
    """values = -log p, p = q[label] held within [low, high]

    dz ← (q - δ) scale, δ one-hot at the label; 0 where q[label] is outside
    """
    at = labels + multiples(*q.shape)  # in q as one row
    picked = q.reshape(-1)[at]
    p = np.minimum(np.maximum(picked, low), high)
    d = (p == picked) * q.dtype.type(scale)
    np.multiply(q, d[:, None], out=dz)
    dz.reshape(-1)[at] -= d
    np.log(p, out=p)
    return -p.dot(ones(p.size, p.dtype))


@kernel
def categorical_after_softmax(
    q: Array, t: Array, dz: Array, low: float, high: float, scale: float
) -> float:
    """values = -Σ t log p, p = q held within [low, high]        t: (n, k)

    dz ← (q Σ u - u) scale, u = t where q is inside, else 0
    """
    p = q.clip(low, high)
    u = t * (p == q)
    np.multiply(q, sum_last(u)[:, None], out=dz)
    dz -= u
    dz *= scale
    np.log(p, out=p)
    return -np.vecdot(t, p).sum()


@kernel
def sparse_of_logits(z: Array, labels: Array, dz: Array, scale: float) -> float:
    """values = log Σ exp(z) - z[label]        dz ← (q - δ) scale, q = softmax(z)

    Where q - 1 of the label is minus the sum of the other q.
    """
    at = labels + multiples(*z.shape)  # in z as one row
    z = np.subtract(z, max_last(z), order="C")
    e = np.exp(z)
    s = sum_last(e)
    values, slope = np.log(s) - z.reshape(-1)[at], scale / s
    e.reshape(-1)[at] = 0
    np.multiply(e, slope[:, None], out=dz)
    dz.reshape(-1)[at] = -sum_last(dz)
    return values.dot(ones(values.size, values.dtype))
