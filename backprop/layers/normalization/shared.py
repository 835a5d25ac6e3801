"""What the normalization layers share: their axes, and the scale and shift behind them."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from backprop.input_spec import show_shape
from backprop.layer import Layer
from backprop.linalg import mean
from backprop.masks import beside, mixes


class Scaled(Layer):
    """gamma and beta, as most normalizations have them: a subclass calls `scale_and_shift` when
    it is built."""

    if TYPE_CHECKING:
        scale: bool
        center: bool
        gamma_initializer: Any
        beta_initializer: Any
        gamma_regularizer: Any
        beta_regularizer: Any
        gamma_constraint: Any
        beta_constraint: Any

    def scale_and_shift(self, shape):
        if self.scale:
            self.gamma, self.dgamma = self.param(
                "gamma",
                shape,
                self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
            )
        if self.center:
            self.beta, self.dbeta = self.param(
                "beta",
                shape,
                self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
            )


def axis_or_axes(axis) -> int | tuple[int, ...]:
    """An axis as an int, several as a tuple of them."""
    if isinstance(axis, list | tuple):
        return tuple(map(operator.index, axis))
    return operator.index(axis)


def axes_of(layer: Layer, axis, shape) -> list[int]:
    """The axis or axes, counted from the front and in order."""
    ndim = len(shape)
    wanted = axis if isinstance(axis, tuple) else (axis,)
    axes = sorted({a % ndim for a in wanted})
    if not all(-ndim <= a < ndim for a in wanted) or len(axes) < len(wanted) or 0 in axes:
        raise ValueError(
            f"{layer!r} expects inputs with its axes {axis}, each once and beside the batch, and "
            f"got {show_shape(shape[1:])}"
        )
    return axes


def not_negative(value, who: str, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not value >= 0:
        raise ValueError(f"{who} expects {name} to be a number that is not negative, got {value!r}")
    return float(value)


# A mean ⟨v⟩ = Σ p v over some axes, where p is 1 / m for each of m entries. Under a mask that one
# of the axes crosses, p is 1 / (number of real ones) at a real entry and 0 at a masked one.


def shares(x, ctx, axes):
    """p, beside x; None where all entries count alike."""
    if ctx.mask is None or not mixes(axes, x.ndim, ctx.mask):
        return None
    real = np.broadcast_to(beside(ctx.mask, x.ndim), x.shape)
    return real / np.maximum(real.sum(axes, keepdims=True), 1).astype(x.dtype)


def average(v, p, axes):
    """Σ p v, which stays as axes of length one."""
    return mean(v, axes) if p is None else (p * v).sum(axes, keepdims=True)


def paid_back(v, p, axes):
    """p Σ v, what each entry receives through a mean."""
    return mean(v, axes) if p is None else p * v.sum(axes, keepdims=True)


def stretched(mask, shape):
    """A mask of the leading axes over all entries of an array of `shape`: a view."""
    return np.broadcast_to(beside(mask, len(shape)), shape)
