"""The products of a recurrent layer whose states are images."""

from __future__ import annotations

from functools import cached_property, reduce

import numpy as np

from backprop.layer import Array
from backprop.layers.convolution.products import correlate, input_gradient, kernel_gradient
from backprop.layers.recurrent.products import Weights, gates_of
from backprop.layers.windows import Windows
from backprop.linalg import sum_rows


class Convolution(Weights):
    """z[g] = v ⋆ kernel_g + bias_g for each gate g, and what belongs to it on the way back.

        v: (T, N, sizes ..., C)    kernel: (size ..., C, gates·filters)    bias: (gates·filters,)
        z: (T, gates, N, counts ..., filters), a view of (T, N, counts ..., gates·filters)

    dv, dkernel and dbias are those of `Conv2D`, to which steps are images like any others. With
    dropout each gate sees a v of its own, v drop[g], drop: (gates, N, sizes ..., C).
    """

    def __init__(self, *args, windows: Windows, v: Array, drop: Array | None = None):
        super().__init__(*args)
        self.windows, self.v, self.drop = windows, v, drop
        self.axes = len(windows.size)

    def forward(self, at) -> Array:
        """z of a step, or of a slice of them."""
        v, (kernel, *bias) = self.v[at], self._halved
        found = [
            correlate(self._seen(v, drop), kernel[..., gate], self.windows)
            for drop, gate in self._parts
        ]
        z = found[0] if self.drop is None else np.concatenate(found, axis=-1)
        for b in bias:
            z += b
        lead = v.shape[: -1 - self.axes]
        z = z.reshape(*lead, *z.shape[1:-1], len(self.order), self.units)
        return np.moveaxis(z, -2, -3 - self.axes)

    def backward(self, dz: Array) -> Array:
        """dv of one step, (N, sizes ..., C), or of several."""
        lead, (_, *image) = dz.shape[: -3 - self.axes], self.v.shape[1:]
        lead = *lead, dz.shape[-2 - self.axes]
        dz = self._images(dz)
        found = []
        for drop, gate in self._parts:
            part = dz if drop is None else np.ascontiguousarray(dz[..., gate])
            kernel = self._kernel[..., gate]
            dv = input_gradient(part, kernel, self.windows, tuple(image[:-1]))
            dv = dv.reshape(*lead, *image)
            found.append(dv if drop is None else dv * drop)
        return reduce(np.add, found)

    def sum(self, at: slice, dz: Array) -> Array:
        """dW over some steps, dkernel's rows and then dbias: (m, gates, filters)."""
        v, dz = self.v[at], self._images(dz)
        d = np.empty((self.rows[-1].stop, dz.shape[-1]), self._kernel.dtype)
        for drop, gate in self._parts:
            part = np.ascontiguousarray(dz[..., gate])
            out = np.empty((*self._kernel.shape[:-1], part.shape[-1]), d.dtype)
            kernel_gradient(self._seen(v, drop), part, self.windows, out)
            d[self.rows[0], gate] = out.reshape(-1, part.shape[-1])
        if len(self.rows) > 1:
            d[-1] = sum_rows(dz)
        return gates_of(d, self.units)

    @property
    def _parts(self) -> list[tuple[Array | None, slice]]:
        """What is one convolution: the columns of all gates, or with dropout of each."""
        if self.drop is None:
            return [(None, slice(None))]
        return [
            (drop, slice(g * self.units, (g + 1) * self.units)) for g, drop in enumerate(self.drop)
        ]

    def _seen(self, v: Array, drop: Array | None) -> Array:
        """v as one batch of images, with what dropout leaves of it."""
        v = v if drop is None else v * drop
        return v.reshape(-1, *v.shape[-1 - self.axes :])

    def _images(self, z: Array) -> Array:
        """(..., gates, N, counts ..., filters) → (images, counts ..., gates·filters)."""
        z = np.moveaxis(z, -3 - self.axes, -2)
        return z.reshape(-1, *z.shape[-2 - self.axes : -2], len(self.order) * self.units)

    @cached_property
    def _kernel(self) -> Array:
        return self.in_order(self.weights[0])

    @cached_property
    def _halved(self) -> list[Array]:
        found = [self.in_order(w) for w in self.weights]
        for w in found:
            w[..., : self.halved * self.units] *= 0.5
        return found
