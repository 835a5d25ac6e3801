"""Rows of a table, and what comes back to them."""

from __future__ import annotations

import numpy as np

from backprop.kernels.switch import kernel

Array = np.ndarray


@kernel
def sum_at(ids: Array, dy: Array, out: Array) -> None:
    """out[k] = Σ dy[t] over the places t where ids[t] = k; dy[t] may also count for several ids,
    which stand side by side.

    ids: (r T,) of integers, 0 to V - 1    dy: (T, D)    out: (V, D)

    With S the sparse matrix S[k, t] = 1 where ids[t] = k, the places as columns, it is the product
    S dy. What SciPy runs for it adds to an array that it is given, and so needs neither a second
    array as large as the table nor a pass to copy it: benchmarks/embedding.py.
    """
    from scipy.sparse import csc_array  # here, because it takes longer to import than NumPy

    try:
        from scipy.sparse._sparsetools import csc_matvecs  # not public, so it may be gone one day
    except ImportError:
        csc_matvecs = None
    t = len(dy)
    ones, ends = np.ones(len(ids), dy.dtype), np.arange(t + 1) * (len(ids) // max(t, 1))
    if csc_matvecs is None or dy.dtype != out.dtype or not out.flags.c_contiguous:
        out[...] = csc_array((ones, ids, ends), shape=(len(out), t)) @ dy
        return
    out.fill(0)
    csc_matvecs(len(out), t, out.shape[1], ends, ids, ones, dy.ravel(), out.reshape(-1))
