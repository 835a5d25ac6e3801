"""The products of a recurrent layer whose states are a number for each unit.

Within the loop every array is a matrix with a row for each unit and a column for each sequence of
the batch: so a gate is a stretch of memory of its own, and all that is done to it is one pass.
`benchmarks/recurrent.py` shows what this and the rest of the arrangement are worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from backprop.layer import Array, Layer
from backprop.tuning import UNCOPIED

Name = tuple[str, Any]  # of a weight, and which part of it
KERNEL, BIAS, RECURRENT = ("kernel", ...), ("bias", ...), ("recurrent_kernel", ...)


class Weights:
    """W: (m, gates·units), weights one above the other, such as a kernel and a bias.

    Parameters
    ----------
    layer : Layer
    names : sequence of (str, index)
        Those of the layer's weights, each (..., gates·units); a bias where it has one.
    units : int
    order : sequence of int
        The gates of W that the blocks of z are, one after the other.
    blocks : slice
        Which blocks of a step's z these are.
    """

    halved = 0  # the first blocks, of which z / 2 is computed

    def __init__(
        self,
        layer: Layer,
        names: Sequence[Name],
        units: int,
        order: Sequence[int],
        blocks: slice = slice(None),
    ):
        self.layer = layer
        self.names = [name for name in names if name[0] != "bias" or layer.use_bias]
        self.weights = [getattr(layer, name)[part] for name, part in self.names]
        self.units, self.order, self.blocks = units, list(order), blocks

    def put(self, d: Array) -> None:
        """Write dW, (m, gates, units), into the gradients."""
        for rows, (name, part) in zip(self.rows, self.names, strict=True):
            gradient = getattr(self.layer, "d" + name)[part]
            gates_of(gradient, self.units)[:, self.order] = d[rows]

    @cached_property
    def rows(self) -> list[slice]:
        """Those of W that each of the weights has."""
        ends = np.cumsum([0, *(w.size // w.shape[-1] for w in self.weights)])
        return [slice(a, b) for a, b in pairwise(ends)]

    def in_order(self, w: Array) -> Array:
        """(..., gates·units) with the gates in the order of z, contiguous."""
        found = gates_of(w, self.units)[:, self.order]
        return found.reshape(*w.shape[:-1], -1)


class Product(Weights):
    """z[g] = W_gᵀ v for each gate g, and what belongs to it on the way back.

        v: (T, m, N)    W_g: (m, units)    z: (T, gates, units, N)

        dv = Σ_g W_g dz[g]        dW_g = Σ_t v dz[g]ᵀ

    where dv is of the kernel's rows alone. With dropout each gate sees a v of its own, v drop[g],
    drop: (gates, m, N).

    Of one sequence, v is a matrix with a row for each step, and all z are v W: one product, and W
    with its rows as they lie.
    """

    def __init__(self, *args, v: Array, drop: Array | None = None):
        super().__init__(*args)
        self.v, self.drop = v, drop
        self.alone = v.shape[-1] == 1 and drop is None  # one sequence
        self._v = v[:, None]  # for each gate

    def forward(self, at, out: Array | None = None) -> Array:
        """z of a step, or of a slice of them; without `out` in memory that the next call reuses."""
        out = self._room if out is None else out
        if self.alone:
            v, whole = self.v[at, :, 0], out.flags.c_contiguous
            z = out.reshape(*v.shape[:-1], -1) if whole else None
            found = np.matmul(v, self._in_rows, out=z)
            if not whole:
                out[...] = found.reshape(out.shape)
            return out
        v = self._v[at]
        return np.matmul(self._w, v if self.drop is None else v * self.drop, out=out)

    def backward(self, dz: Array) -> Array:
        """dv of one step, (m, N), or of several, (T, m, N)."""
        *steps, gates, units, batch = dz.shape
        kernel = self._kernel
        m = len(kernel)
        if self.drop is not None:
            parts = kernel.reshape(m, gates, units).swapaxes(0, 1)
            return ((parts @ dz) * self.drop[:, self.rows[self._which]]).sum(-3)
        if not steps:
            kernel = self.stripes_back
        dv = kernel @ dz.reshape(*steps, gates * units, batch)
        return dv.reshape(*steps, m, batch)

    def sum(self, at: slice, dz: Array) -> Array:
        """dW over some steps: (m, gates, units)."""
        v, drop = self.v[at], self.drop
        steps, gates, units, batch = dz.shape
        if drop is not None:
            seen = [by_row(v * drop[g]) @ by_row(dz[:, g]).T for g in range(gates)]
            return np.stack(seen, axis=1)
        d = by_row(v) @ by_row(dz.reshape(steps, gates * units, batch)).T
        return d.reshape(len(d), gates, units)

    # ------------------------------------------------------------------ W as products want it

    @cached_property
    def _w(self) -> Array:
        """W_gᵀ: (gates, units, m)."""
        parts = [gates_of(w, self.units).transpose(1, 2, 0) for w in self.weights]
        out = np.concatenate(parts, axis=2)[self.order].copy()  # in rows: joined, it is in columns
        out[: self.halved] *= 0.5
        return out

    @cached_property
    def _in_rows(self) -> Array:
        """W: (m, gates·units)."""
        gates = len(self.order)
        out = np.empty((self.rows[-1].stop, gates * self.units), self.v.dtype)
        for w, rows in zip(self.weights, self.rows, strict=True):
            by_gate = out[rows].reshape(-1, gates, self.units)
            gates_of(w, self.units).take(self.order, 1, out=by_gate, mode="clip")
        if self.halved:
            out[:, : self.halved * self.units] *= 0.5
        return out

    @cached_property
    def _which(self) -> int:
        """The place of the kernel among the weights."""
        return next(i for i, w in enumerate(self.weights) if w.ndim == 2)

    @cached_property
    def _kernel(self) -> Array:
        return self.in_order(self.weights[self._which])

    @cached_property
    def stripes(self) -> Array:
        """Wᵀ: (stripes, gates·units / stripes, m), for products that a loop runs by itself. Of one
        sequence W, (1, m, gates·units)."""
        if self.alone:
            return self._in_rows[None]
        w = self._w
        return in_stripes(w.reshape(-1, w.shape[-1]), self.v.shape[-1])

    @cached_property
    def stripes_back(self) -> Array:
        """The kernel, (stripes, m / stripes, gates·units), for those of its way back."""
        return in_stripes(self._kernel, self.v.shape[-1])

    @cached_property
    def _room(self) -> Array:
        return np.empty((len(self.order), self.units, self.v.shape[-1]), self.v.dtype)


def gates_of(w: Array, units: int) -> Array:
    """(..., gates·units) → (m, gates, units): a view."""
    return w.reshape(w.size // w.shape[-1], -1, units)


def in_stripes(kernel: Array, batch: int) -> Array:
    """(m, width) → (stripes, m / stripes, width): a view, for products with (width, batch).

    OpenBLAS runs a product of at most a million terms as it stands, and copies the factors of a
    larger one first, which at these sizes takes a quarter of the time.
    """
    m, width = kernel.shape
    stripes = 1
    while m // stripes * width * batch > UNCOPIED and m % (2 * stripes) == 0:
        stripes *= 2
    return kernel.reshape(stripes, m // stripes, width)


def by_row(v: Array) -> Array:
    """(T, m, N) → (m, T·N)."""
    return v.swapaxes(0, 1).reshape(v.shape[1], v.shape[0] * v.shape[2])
