"""What the normalization layers share: their axes, and the scale and shift behind them."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from backprop.arguments import Convert
from backprop.checks import is_real
from backprop.constraints import ConstraintLike
from backprop.initializers import InitializerLike
from backprop.input_spec import show_shape
from backprop.kernels import normalization as kernels
from backprop.layer import Layer
from backprop.linalg import mean, sum_last
from backprop.masks import beside, mixes
from backprop.regularizers import RegularizerLike


def not_negative(value, who: str, name: str) -> float:
    if not is_real(value) or not value >= 0:
        raise ValueError(f"{who} expects {name} to be a number that is not negative, got {value!r}")
    return float(value)


Epsilon = Annotated[float, Convert(not_negative)]


class Scaled(Layer, kw_only=True, by_position=True):
    """gamma and beta, as most normalizations have them: a subclass calls `scale_and_shift` when
    it is built."""

    epsilon: Epsilon = 1e-3
    center: bool = True
    scale: bool = True
    beta_initializer: InitializerLike = "zeros"
    gamma_initializer: InitializerLike = "ones"
    beta_regularizer: RegularizerLike = None
    gamma_regularizer: RegularizerLike = None
    beta_constraint: ConstraintLike = None
    gamma_constraint: ConstraintLike = None

    changeable = ("epsilon",)

    def scale_and_shift(self, shape):
        if self.scale:
            self.gamma, self.dgamma = self.declared_param("gamma", shape)
        if self.center:
            self.beta, self.dbeta = self.declared_param("beta", shape)


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


def are_last(axes, ndim) -> bool:
    """Whether these are the last axes of an array, so that rows along them lie one behind the
    other."""
    return axes == tuple(range(ndim - len(axes), ndim))


def normalized(x, axes, gamma, beta, epsilon, centred=True):
    """y = gamma x̂ + beta, x̂ and r, for rows along the last axes; gamma and beta are vectors."""
    n = gamma.size
    flat = np.ascontiguousarray(x).reshape(x.size // max(n, 1), n)
    y, xhat = np.empty(x.shape, x.dtype), np.empty(x.shape, x.dtype)
    r = np.empty((len(flat), 1), x.dtype)
    kernels.rows_normalized(
        flat, gamma, beta, epsilon, centred, xhat.reshape(flat.shape), r, y.reshape(flat.shape)
    )
    return y, xhat, r.reshape(*x.shape[: axes[0]], *(1 for _ in axes))


def normalized_backward(dy, xhat, r, gamma, centred=True):
    """dx, and dgamma and dbeta as vectors."""
    dx, shape = np.empty(dy.shape, dy.dtype), (r.size, gamma.size)
    dgamma, dbeta = np.empty(gamma.shape, dy.dtype), np.empty(gamma.shape, dy.dtype)
    dy = np.ascontiguousarray(dy).reshape(shape)
    kernels.rows_normalized_backward(
        dy, xhat.reshape(shape), r.reshape(-1, 1), gamma, centred, dx.reshape(shape), dgamma, dbeta
    )
    return dx, dgamma, dbeta


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
    return evenly(v, axes) if p is None else (p * v).sum(axes, keepdims=True)


def paid_back(v, p, axes):
    """p Σ v, what each entry receives through a mean."""
    return evenly(v, axes) if p is None else p * v.sum(axes, keepdims=True)


def evenly(v, axes):
    """⟨v⟩, for a last axis by a product with ones, which is faster."""
    if axes != (v.ndim - 1,):
        return mean(v, axes)
    return sum_last(v)[..., None] * v.dtype.type(1 / max(v.shape[-1], 1))


def stretched(mask, shape):
    """A mask of the leading axes over all entries of an array of `shape`: a view."""
    return np.broadcast_to(beside(mask, len(shape)), shape)
