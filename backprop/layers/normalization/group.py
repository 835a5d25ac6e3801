"""Normalization of groups of channels, in each sample by itself."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from backprop.arguments import Convert
from backprop.counts import no_products
from backprop.input_spec import show_shape
from backprop.layer import INFERENCE, InputSpec
from backprop.layers.normalization.shared import (
    Scaled,
    average,
    axes_of,
    paid_back,
    stretched,
)
from backprop.linalg import sum_rows
from backprop.masks import cleaned


def number_of_groups(value: Any, who: str, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or (value < 1 and value != -1):
        raise ValueError(
            f"{who} expects {name} to be a positive integer, or -1 for a group for each channel, "
            f"got {value!r}"
        )
    return value


class GroupNormalization(Scaled):
    """y = gamma * x̂ + beta, where x̂ = (x - mean) * r and r = 1 / sqrt(var + epsilon), by group.

        x, x̂, y: (N, ..., groups, k), n = groups k channels    mean, var, r: (N, 1, groups, 1)
        gamma, beta: (n,)

    A group is k neighbouring channels of one sample at all places; its numbers are normalised
    together, so they reach each other through its mean and variance, and no other's. With
    dx̂ = gamma * dy and ⟨·⟩ the mean over a group

        dgamma = Σ dy x̂        dbeta = Σ dy        dx = r * (dx̂ - ⟨dx̂⟩ - x̂ ⟨dx̂ x̂⟩)

    Under a mask the means of x are Σ p x, with p = 1/(number of the group's real numbers) at a real
    place and 0 at a masked one, which is normalised and does not count; and then p Σ stands for
    ⟨·⟩ in dx.

    Parameters
    ----------
    groups : int, default 32
        A divisor of the number of channels; -1 for a group for each channel, which is instance
        normalization.
    axis : int, default -1
        The axis of the channels.
    epsilon : float, default 1e-3
        Added to the variance.
    center, scale, beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer
    beta_constraint, gamma_constraint, **kwargs
        As in `LayerNormalization`.

    Raises
    ------
    ValueError
        Where the groups do not divide the channels, or the input has no such axis.

    References
    ----------
    Wu, He: Group normalization, 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import GroupNormalization
    >>> GroupNormalization(groups=2, epsilon=0.0)(np.array([[1.0, 3.0, 0.0, 8.0]]))
    array([[-1.,  1., -1.,  1.]], dtype=float32)
    """

    groups: Annotated[int, Convert(number_of_groups)] = 32
    axis: int = -1

    def build(self, input_shape):
        n = input_shape[axes_of(self, self.axis, input_shape)[0]]
        self.count = n if self.groups == -1 else self.groups
        if n is not None and n % self.count:
            raise ValueError(
                f"{self!r} expects groups to divide the channels, and got an input of "
                f"{show_shape(input_shape[1:])} with {n} channels along axis {self.axis}"
            )
        self.scale_and_shift((n,))
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: n})

    multiply_adds = no_products

    def forward(self, x, ctx=INFERENCE):
        p = self._shares(x, ctx)
        if p is not None:  # p = 0 would not hide what is infinite
            x = cleaned(x, ctx.mask)
        x = x.swapaxes(self.axis, -1)
        xhat = self._grouped(x)
        xhat = xhat - average(xhat, p, (1, 3))
        r = 1 / np.sqrt(average(xhat * xhat, p, (1, 3)) + self.epsilon)
        xhat *= r
        y = xhat.reshape(x.shape)
        y = self.gamma * y if self.scale else y
        y = y + self.beta if self.center else y
        return y.swapaxes(self.axis, -1), (xhat, r, p)

    def backward(self, dy, cache):
        xhat, r, p = cache
        dy = dy.swapaxes(self.axis, -1)
        if self.scale:
            self.dgamma = sum_rows(dy * xhat.reshape(dy.shape))
        if self.center:
            self.dbeta = sum_rows(dy)
        dxhat = self._grouped(self.gamma * dy if self.scale else dy)
        along = paid_back(dxhat * xhat, p, (1, 3))
        dx = r * (dxhat - paid_back(dxhat, p, (1, 3)) - xhat * along)
        return dx.reshape(dy.shape).swapaxes(self.axis, -1)

    def _shares(self, x, ctx):
        """p of a group's numbers, as in `_grouped`; None where all count alike."""
        if ctx.mask is None or ctx.mask.ndim == 1:
            return None
        real = self._grouped(stretched(ctx.mask, x.shape).swapaxes(self.axis, -1))
        return real / np.maximum(real.sum((1, 3), keepdims=True), 1).astype(x.dtype)

    def _grouped(self, x):
        """(N, ..., n) as (N, places, groups, k)."""
        k = x.shape[-1] // self.count
        places = int(np.prod(x.shape[1:-1]))
        return x.reshape(len(x), places, self.count, k)
