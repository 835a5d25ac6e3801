"""Activations with the bias in front of them, over what they are given, and their way back with the
sum that the bias gets.

    z: (..., n)    bias, dbias: (n,), or None where there is none

A loop takes matrices: `as_matrices` makes them of what its twin takes.
"""

from __future__ import annotations

import numpy as np

from backprop.kernels.switch import kernel
from backprop.linalg import (
    positive,
    rows_of,
    sigmoid as sigmoid_of,
    softmax as softmax_of,
    softmax_backward as softmax_backward_of,
    sum_rows,
    zeros,
)
from backprop.parallel import blocks
from backprop.tuning import RECTIFIED_NUMBERS

Array = np.ndarray


def as_matrices(*arrays: Array) -> tuple[Array, ...]:
    """Views of arrays of one shape, (..., n), with the leading axes as one. As they are where
    memory does not allow it, which is for the twin."""
    first = arrays[0]
    if not all(a.flags.c_contiguous for a in arrays):
        return arrays
    n = first.shape[-1] if first.ndim else 1
    shape = first.size // max(n, 1), n
    return tuple([a.reshape(shape) for a in arrays])


@kernel
def relu(z: Array, bias: Array | None) -> None:
    """z ← max(z + bias, 0)"""
    if bias is not None:
        z += bias
    positive(z, out=z)


@kernel
def relu_backward(y: Array, dy: Array, dz: Array, dbias: Array | None) -> None:
    """dz ← dy [y > 0]        dbias ← Σ_rows dz"""
    if dy.size < RECTIFIED_NUMBERS:
        dz[...] = np.greater(y, zeros((), y.dtype))
        dz *= dy
    else:  # piece by piece, while [y > 0] is in a cache
        for at in blocks(slice(0, len(dy)), rows_of(dy, RECTIFIED_NUMBERS)):
            np.multiply(dy[at], np.greater(y[at], 0), out=dz[at])
    if dbias is not None:
        sum_rows(dz, dbias)


@kernel
def tanh(z: Array, bias: Array | None) -> None:
    """z ← tanh(z + bias)"""
    if bias is not None:
        z += bias
    np.tanh(z, out=z)


@kernel
def tanh_backward(y: Array, dy: Array, dz: Array, dbias: Array | None) -> None:
    """dz ← (1 - y²) dy        dbias ← Σ_rows dz"""
    np.multiply(y, y, out=dz)
    np.subtract(1, dz, out=dz)
    np.multiply(dz, dy, out=dz)
    if dbias is not None:
        sum_rows(dz, dbias)


@kernel
def sigmoid(z: Array, bias: Array | None) -> None:
    """z ← 1 / (1 + exp(-(z + bias)))"""
    if bias is not None:
        z += bias
    sigmoid_of(z, out=z)


@kernel
def sigmoid_backward(y: Array, dy: Array, dz: Array, dbias: Array | None) -> None:
    """dz ← y (1 - y) dy        dbias ← Σ_rows dz"""
    np.subtract(1, y, out=dz)
    np.multiply(dz, y, out=dz)
    np.multiply(dz, dy, out=dz)
    if dbias is not None:
        sum_rows(dz, dbias)


@kernel
def softmax(z: Array, bias: Array | None) -> None:
    """z ← exp(z + bias) / Σ exp(z + bias), the sum along the last axis"""
    if bias is not None:
        z += bias
    softmax_of(z, out=z)


@kernel
def softmax_backward(y: Array, dy: Array, dz: Array, dbias: Array | None) -> None:
    """dz ← y (dy - Σ y dy)        dbias ← Σ_rows dz"""
    dz[...] = softmax_backward_of(dy, y)
    if dbias is not None:
        sum_rows(dz, dbias)
