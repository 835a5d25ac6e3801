"""Losses with their gradients."""

import numpy as np

from backprop.kernels.compiled.compiler import Matrix, Number, given, helper, loop, of_integers
from backprop.kernels.compiled.maths import exp, largest

Given, Labels = given(Matrix), given(of_integers(1))


@helper
def checked(label, k):
    """A class number that may be written to."""
    if label < 0 or label >= k:
        raise IndexError("a label is no class number")
    return label


@loop(Given, Given, Matrix, Number)
def squared_error(y_true, y_pred, dy_pred, scale):
    k = y_pred.shape[1]
    slope, total = y_pred.dtype.type(2 * scale / k), 0.0
    for i in range(y_pred.shape[0]):
        t, y, dy = y_true[i], y_pred[i], dy_pred[i]
        squares = y_pred.dtype.type(0)
        for j in range(k):
            d = y[j] - t[j]
            squares += d * d
            dy[j] = slope * d
        total += squares
    return total / k


@loop(Given, Labels, Matrix, Number, Number, Number)
def sparse_after_softmax(q, labels, dz, low, high, scale):
    total = 0.0
    for i in range(q.shape[0]):
        p, d = q[i], dz[i]
        label = checked(labels[i], p.size)
        picked = p[label]
        held = low if picked < low else (high if picked > high else picked)
        total -= np.log(held)
        slope = scale if held == picked else scale * 0
        for j in range(p.size):
            d[j] = p[j] * slope
        d[label] -= slope
    return total


@loop(Given, Given, Matrix, Number, Number, Number)
def categorical_after_softmax(q, t, dz, low, high, scale):
    total = 0.0
    for i in range(q.shape[0]):
        p, labels, d = q[i], t[i], dz[i]
        inside = scale * 0
        for j in range(p.size):
            x, label = p[j], labels[j]
            held = low if x < low else (high if x > high else x)
            if label != 0 or x != x:  # most labels are 0, and logarithms are slow
                total -= label * np.log(held)
            d[j] = label if held == x else scale * 0
            inside += d[j]
        for j in range(p.size):
            d[j] = (p[j] * inside - d[j]) * scale
    return total


@loop(Given, Labels, Matrix, Number)
def sparse_of_logits(z, labels, dz, scale):
    total = 0.0
    for i in range(z.shape[0]):
        x, d = z[i], dz[i]
        label = checked(labels[i], x.size)
        top, s, others = largest(x), x.dtype.type(0), x.dtype.type(0)
        for j in range(x.size):
            d[j] = exp(x[j] - top)
            s += d[j]
        total += np.log(s) - (x[label] - top)
        d[label] = 0
        for j in range(x.size):
            d[j] *= scale / s
            others += d[j]
        d[label] = -others
    return total
