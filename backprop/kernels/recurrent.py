"""Many steps of a recurrent layer, one after the other, without Python between them.

The step is the layer's own: what stands here is the walk over it, and in NumPy that is the layer's
`advance`, and `look_back` with `reverse`. So a twin does nothing and says so, and the layer walks.

Every array has the numbers of a state, units · N of them, along its last axis, beside each other:

    z, dz: (steps, blocks, units·N)    a state: (T + 1, units·N)    dh, dc: (units·N,)
    v: (T + 1, (n + 1 + units)·N), whose last rows are h
    w: (stripes, rows, m), the weights of h₋, or of the last rows of v; of one sequence (1, m, rows)
    kernel: (stripes, rows, width), those of dz on its way back to h₋
    held: (T, N), where a step is masked    dys: (T, units·N), what each h receives, or None
    room: memory for a product

A walk is over the steps t from `start` to `stop`, of which step t is `z[t % len(z)]`.
"""

from __future__ import annotations

import numpy as np

from backprop.kernels.switch import kernel, kernels

Array = np.ndarray


def ready() -> bool:
    """Whether there are loops. Their products are those of SciPy's BLAS, which is loaded here,
    before the threads of all that are loaded are held."""
    if kernels() != "numba":
        return False
    import scipy.linalg.cython_blas  # noqa: F401  here: it takes a while

    return True


@kernel
def lstm(
    z: Array,
    v: Array,
    c: Array,
    s: Array,
    w: Array,
    held: Array | None,
    room: Array,
    start: int,
    stop: int,
) -> bool:
    """o, i, f = σ(z + w h₋)        g = tanh(z + w h₋)        c = f c₋ + i g        h = o tanh(c)

    `LSTM.advance` over and over, whose activations are these: whether it was done. s: tanh(c)
    """
    return False


@kernel
def lstm_back(
    z: Array,
    dz: Array,
    c: Array,
    s: Array,
    kernel: Array,
    held: Array | None,
    dys: Array | None,
    dh: Array,
    dc: Array,
    start: int,
    stop: int,
) -> bool:
    """dz of these steps from dh and dc, those of the last, which become those of the first.

    `LSTM.look_back` and `reverse`: whether it was done.
    """
    return False


@kernel
def gru(
    z: Array, v: Array, w: Array, held: Array | None, room: Array, start: int, stop: int
) -> bool:
    """u, r = σ(z + w h₋)        g = tanh(z + r w h₋)        h = u h₋ + (1 - u) g

    `GRU.advance` over and over, with `reset_after`: whether it was done.
    """
    return False


@kernel
def gru_back(
    z: Array,
    dz: Array,
    v: Array,
    kernel: Array,
    held: Array | None,
    dys: Array | None,
    dh: Array,
    room: Array,
    start: int,
    stop: int,
) -> bool:
    """dz of these steps from dh, that of the last, which becomes that of the first.

    `GRU.look_back` and `reverse`: whether it was done.
    """
    return False
