"""The sums that convolutions consist of, for any number of axes.

    correlate          z[n, i, k] = Σ_uc x[n, i*s + u*d, c] K[u, c, k]
    input_gradient     dx[n, i*s + u*d, c] += Σ_k dz[n, i, k] K[u, c, k], over all (i, u)
    kernel_gradient    dK[u, c, k] = Σ_ni x[n, i*s + u*d, c] dz[n, i, k]

    x: (N, sizes ..., C)    K: (size ..., C / groups, filters)    z: (N, counts ..., filters)

i is a window, u a place in it, s the stride and d the dilation: one number for each axis. A kernel
of shape (size ..., C) is one for each channel alone, and the sums go over u without c.

`engine` says who computes them:

    by_window     one matrix product, with the pixels of each window as a row
    by_channel    place by place, where each channel has a kernel of its own; first of all where
                  loops are compiled
    winograd      half of the products or fewer, for small windows of float32

Where the stride is 1, dx is itself a correlation, of dz with the kernel turned round.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.layers.convolution import by_channel, by_window, winograd
from backprop.layers.convolution.finish import Finish, leave
from backprop.layers.windows import Windows

Array = np.ndarray


def engine(x: Array, K: Array, windows: Windows, groups: int = 1) -> Any:
    """The module that computes z from x and K, and the gradients of both, in the least time."""
    if by_channel.pays(x, K, windows):
        return by_channel
    if groups == 1 and winograd.suits(x, K, windows):
        return winograd
    return by_channel if by_channel.suits(K, windows) else by_window


def correlate(
    x: Array,
    K: Array,
    windows: Windows,
    groups: int = 1,
    finish: Finish = leave,
) -> Array:
    """z from x and K."""
    return correlate_for_backward(x, K, windows, groups, finish, keep=False)[0]


def correlate_for_backward(
    x: Array, K: Array, windows: Windows, groups: int, finish: Finish, keep: bool
) -> tuple[Array, Any]:
    """z, and what `gradients` need not make once more, or None, as without `keep`."""
    z = np.empty((len(x), *windows.counts(x.shape[1:-1]), K.shape[-1]), x.dtype)
    chosen = engine(x, K, windows, groups)
    if chosen is by_window:
        return z, by_window.correlate(x, K, z, windows, finish, groups, keep)
    chosen.correlate(x, K, z, windows, finish)
    return z, None


def gradients(
    x: Array,
    dz: Array,
    K: Array,
    windows: Windows,
    dK: Array,
    dx: bool,
    groups: int = 1,
    kept: Array | None = None,
) -> Array | None:
    """dK, written to `dK`, and dx if it is wanted."""
    if engine(x, K, windows, groups) is winograd:  # both from one transform of dz
        found = np.empty(x.shape, x.dtype) if dx else None
        winograd.gradients(x, dz, K, dK, found, windows)
        return found
    kernel_gradient(x, dz, windows, dK, groups, kept)
    return input_gradient(dz, K, windows, x.shape[1:-1], groups) if dx else None


def input_gradient(
    dz: Array, K: Array, windows: Windows, sizes: tuple[int, ...], groups: int = 1
) -> Array:
    """dx from dz and K; `sizes` are those of x."""
    if by_channel.suits(K, windows):
        return by_channel.input_gradient(dz, K, windows, sizes)
    if max(windows.strides) > 1:
        return by_window.input_gradient(dz, K, windows, sizes, groups)
    return correlate(*turned(dz, K, windows, sizes, groups), groups)


def turned(
    dz: Array, K: Array, windows: Windows, sizes: tuple[int, ...], groups: int
) -> tuple[Array, Array, Windows]:
    """For a stride of 1 what `input_gradient` is the correlation of:
    dx[p] = Σ_u dz[p - u*d] · K[u]ᵀ."""
    *size, c, filters = K.shape
    back = np.flip(K, tuple(range(len(size)))).reshape(*size, c, groups, filters // groups)
    back = np.moveaxis(back, -1, -3).swapaxes(-1, -2).reshape(*size, filters // groups, -1)
    margins = [
        (span - 1 - before, n + before - count)
        for n, count, span, (before, _) in zip(
            sizes, dz.shape[1:-1], windows.spans, windows.margins(sizes), strict=True
        )
    ]
    valid = Windows(windows.size, windows.strides, "valid", windows.dilation)
    return np.pad(dz, [(0, 0), *margins, (0, 0)]), back, valid


def kernel_gradient(
    x: Array, dz: Array, windows: Windows, dK: Array, groups: int = 1, kept: Array | None = None
) -> None:
    """dK from x and dz, written to `dK`; `kept` is what `correlate_for_backward` has kept."""
    if by_channel.suits(dK, windows):
        by_channel.kernel_gradient(x, dz, windows, dK)
    else:
        by_window.kernel_gradient(x, dz, windows, dK, groups, kept)
