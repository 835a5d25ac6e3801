"""What activations that work number by number share, and the fast forms of their pieces.

A random mask costs a mispredicted branch in every second element, so nothing here selects: pieces
are cut out with `clip` and masks are multiplied. `benchmarks/activations.py` shows the gains.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from backprop.counts import no_products
from backprop.kernels.activations import as_matrices
from backprop.kernels.smooth import along_slope
from backprop.layer import INFERENCE, Array, Context, Layer
from backprop.linalg import rows_of
from backprop.parallel import share
from backprop.promises import short_for
from backprop.tuning import RECTIFIED_NUMBERS


class FromOutput(Layer):
    """y = f(x) for each number by itself, with a slope that follows from y.

        x, y: (...)

    Each y depends on its own x alone, so that the Jacobian is diagonal:

        dx = f'(x) dy

    A subclass writes `value(x)` → y and `slope(y)` → f'(x). Nothing but y is kept, and y lives on
    in the next layer's cache anyway.
    """

    time_local = True

    def value(self, x: Array, /) -> Array:
        """y, a fresh array."""
        raise TypeError(f"{type(self).__name__} has no value(self, x): write one that returns y")

    def slope(self, kept: Array, /) -> Array:
        """f'(x), from what `forward` kept; numbers or a mask."""
        raise TypeError(
            f"{type(self).__name__} has no slope(self, kept): write one that returns dy/dx"
        )

    multiply_adds = no_products

    def forward(self, x: Array, ctx: Context = INFERENCE) -> tuple[Array, Any]:
        y = self.value(x)
        return y, y

    def backward(self, dy: Array, cache: Any) -> Array:
        return dy * self.slope(cache)


class FromInput(FromOutput):
    """y = f(x) for each number by itself, with a slope that must be found from x, which is kept."""

    multiply_adds = no_products

    def forward(self, x: Array, ctx: Context = INFERENCE) -> tuple[Array, Any]:
        return self.value(x), x


class KeepsSlope(Layer):
    """y = f(x) for each number by itself, where y and f'(x) share their work: the slope is kept.

    So dx = f'(x) dy is one product, and `forward` leaves the slope out where none is asked for.
    """

    time_local = True

    def backward(self, dy: Array, cache: Any) -> Array:
        return dy * cache

    @short_for("backward")
    def backward_finish(self, dy, cache, dbias=None):
        return passed_back(along_slope, cache, dy, dbias)


def written_over(over: Callable, z: Array, bias: Array | None) -> tuple[Array, Array]:
    """`finish` by a kernel, (z, bias) → None: y over z, which is the cache too."""
    rows = z if z.ndim == 2 else as_matrices(z)[0]
    if z.size < 2 * RECTIFIED_NUMBERS:
        over(rows, bias)
    else:
        by_thread(lambda part: over(rows[part], bias), rows)
    return z, z


def curve(
    kernel: Callable, x: Array, ctx: Context, bias: Array | None = None
) -> tuple[Array, Array | None]:
    """y and the slope, where `backward` will want it, by a kernel, (z, bias, y, slope) → None."""
    y = np.empty(x.shape, x.dtype)
    if not ctx.backward:
        z, out = as_matrices(x, y)
        kernel(z, bias, out, None)
        return y, None
    slope = np.empty(x.shape, x.dtype)
    z, out, rise = as_matrices(x, y, slope)
    kernel(z, bias, out, rise)
    return y, slope


def passed_back(back: Callable, y: Array, dy: Array, dbias: Array | None) -> Array:
    """`backward_finish` by a kernel, (y, dy, dz, dbias) → None."""
    dz = np.empty(dy.shape, dy.dtype)
    if dy.size >= 2 * RECTIFIED_NUMBERS:
        back_by_threads(back, as_matrices(y, dy, dz), dbias)
    elif dy.ndim == 2:
        back(y, dy, dz, dbias)
    else:
        back(*as_matrices(y, dy, dz), dbias)
    return dz


def back_by_threads(back: Callable, matrices: tuple[Array, ...], dbias: Array | None) -> None:
    """The same for y, dy and dz as matrices that are worth a thread for a part of their rows."""

    def work(part: slice) -> Array | None:
        sums = None if dbias is None else np.empty_like(dbias)
        back(*(a[part] for a in matrices), sums)
        return sums

    found = by_thread(work, matrices[0])
    if dbias is not None:
        np.sum(found, 0, out=dbias)


def by_thread(work: Callable[[slice], Any], x: Array) -> list[Any]:
    """[work(slice of rows) for each thread's part], where BLAS' threads are not in the way."""
    return share(work, len(x), rows_of(x, RECTIFIED_NUMBERS), follow=True)


def by_kernels(over: Callable, back: Callable) -> tuple[Any, Any, Any, Any]:
    """`forward`, `finish`, `backward` and `backward_finish` of a `FromOutput` for whose `value` and
    `slope` there are kernels."""

    @short_for("value")
    def forward(self, x, ctx=INFERENCE):
        return written_over(over, x.copy(), None)

    @short_for("forward", "backward", "value", "slope")
    def finish(self, z, ctx=INFERENCE, bias=None):
        return written_over(over, z, bias)

    @short_for("forward", "slope")
    def backward(self, dy, cache):
        return passed_back(back, cache, dy, None)

    @short_for("forward", "backward", "finish", "value", "slope")
    def backward_finish(self, dy, cache, dbias=None):
        return passed_back(back, cache, dy, dbias)

    return forward, finish, backward, backward_finish


def negative(x: Array) -> Array:
    """min(x, 0)."""
    return x.clip(-np.inf, 0)


def above(x: Array, t: float) -> Array:
    """x where it exceeds t, 0 elsewhere, where -∞ counts as t: 0 times infinity is no number."""
    y = x.clip(t, np.inf)
    y *= x > t
    return y


def bounded(x: Array) -> Array:
    """x with the largest finite numbers for infinities."""
    top = np.finfo(x.dtype).max
    return x.clip(-top, top)


def step(mask: Array, high: float, low: float, dtype: np.dtype) -> Array:
    """`high` where the mask is true, `low` elsewhere; `np.where` is slow on a random mask."""
    s = mask.astype(dtype)
    s *= high - low
    if low:
        s += low
    return s
