"""Normalization going back by paths, of which a mistake takes one away or adds another."""

from __future__ import annotations

from functools import partial

import numpy as np

from backprop.initializers import RandomUniform
from backprop.layers.normalization import (
    BatchNormalization,
    GroupNormalization,
    LayerNormalization,
    RMSNormalization,
)
from backprop.linalg import mean, sum_rows
from backprop.testing.bugs.bank import bug, normal
from backprop.testing.bugs.shared import Mixin

GAMMA = {"gamma_initializer": RandomUniform(0.5, 1.5, seed=0)}  # at gamma = 1 much is invisible

batch = partial(bug, x=normal(6, 3), inputs="floats", config=GAMMA, tags=("couples_rows",))
row = partial(bug, x=normal(4, 5), inputs="floats", config=GAMMA)


class ByPaths(Mixin):
    """dx = r (dx̂ - ⟨dx̂⟩ - x̂ ⟨dx̂ x̂⟩), by parts that a mistake can replace.

    ⟨⟩ is `averaged`, the path through the mean `of_mean`, that through the variance `of_variance`;
    dx̂ is the `weight` gamma times dy, r the `root`. `kept` finds x̂, r and p in the cache.
    """

    def backward(self, dy, cache):
        super().backward(dy, cache)  # for the gradients of gamma and beta
        xhat, r, p = self.kept(cache)
        return (self.root(r) * self.through(self.dxhat(dy), xhat, p)).reshape(dy.shape)

    def kept(self, cache):
        return cache

    def dxhat(self, dy):
        return self.weight() * dy

    def weight(self):
        return self.gamma

    def root(self, r):
        return r

    def through(self, dxhat, xhat, p):
        return dxhat - self.of_mean(dxhat, p) - xhat * self.of_variance(dxhat * xhat, p)

    def of_mean(self, dxhat, p):
        return self.averaged(dxhat, p)

    def of_variance(self, product, p):
        return self.averaged(product, p)


class BatchByPaths(ByPaths, BatchNormalization):
    """A batch, whose statistics are constants in inference: p is None."""

    def kept(self, cache):
        x, mean, r, p, _ = cache
        return (x - mean) * r, r, p

    def through(self, dxhat, xhat, p):
        return dxhat if p is None else super().through(dxhat, xhat, p)

    def averaged(self, a, p):
        return p * sum_rows(a)


class RowByPaths(ByPaths):
    """Along axes of each sample."""

    def weight(self):
        return self.gamma.reshape(self.shape)

    def averaged(self, a, p):
        return mean(a, self.axes)


class LayerByPaths(RowByPaths, LayerNormalization):
    """A row with its mean and its variance."""


class RmsByPaths(RowByPaths, RMSNormalization):
    """A row with its mean square."""

    def weight(self):
        return self.scale.reshape(self.shape)

    def of_mean(self, dxhat, p):
        return 0


class GroupByPaths(ByPaths, GroupNormalization):
    """The channels of a group at all places."""

    def dxhat(self, dy):
        return self._grouped(super().dxhat(dy))

    def averaged(self, a, p):
        return mean(a, (1, 3))


class MeanIsConstant(Mixin):
    """Without the path through the mean."""

    def of_mean(self, dxhat, p):
        return 0


class VarianceIsConstant(Mixin):
    """Without the path through the variance or the mean square."""

    def of_variance(self, product, p):
        return 0


class ForgetsEpsilon(Mixin):
    """r is 1 / sqrt(var) going back; 1 / r² is var + epsilon."""

    def root(self, r):
        return 1 / np.sqrt(np.maximum(1 / (r * r) - self.epsilon, 1e-6))


class ForgetsTheWeight(Mixin):
    """dx̂ = dy, without gamma."""

    def dxhat(self, dy):
        return dy


class ScalesTooLate(ForgetsTheWeight):
    """gamma multiplies what the paths have left of dy."""

    def root(self, r):
        return self.weight() * r


def count(x):
    """The rows of x, one at least."""
    return max(x.size // max(x.shape[-1], 1), 1)
