"""Mistakes in the layers of a table's columns, of which the weights of counts have a derivative."""

from __future__ import annotations

from functools import partial

import numpy as np

from backprop.layers.columns import CategoryEncoding, Discretization
from backprop.testing.bugs.bank import bug, each_of, given, normal

weighed = partial(
    bug,
    x=each_of(given([[0, 3, 3], [1, 0, 2]], int), normal(2, 3)),
    inputs="weighed",
    config={"num_tokens": 4, "output_mode": "count"},
)
bins = partial(
    bug,
    x=normal(4, 3),
    inputs="floats",
    config={"bin_boundaries": [-0.5, 0.5], "output_mode": "one_hot"},
    tags=("piecewise",),
)


@weighed("V")
class CategoryEncodingGivesAllWeightsOfARowTheSame(CategoryEncoding):
    """dcount_weights is the sum of dy along its row, whichever the category."""

    def backward(self, dy, cache):
        dx, dweights = super().backward(dy, cache)
        return dx, np.broadcast_to(dy.sum(-1, keepdims=True), dweights.shape).copy()


@weighed("V")
class CategoryEncodingLooksUpTheOtherWay(CategoryEncoding):
    """dcount_weights takes the entries of dy from the last category to the first."""

    def backward(self, dy, cache):
        return super().backward(dy[..., ::-1], cache)


@weighed("C")
class CategoryEncodingDividesAmongDuplicates(CategoryEncoding):
    """Weights of a category that stands twice in a row get half of its dy each."""

    def backward(self, dy, cache):
        dx, dweights = super().backward(dy, cache)
        ids = cache[0]
        return dx, dweights / (ids[..., None] == ids[..., None, :]).sum(-1).astype(dy.dtype)


@bins("V")
class DiscretizationPassesItsGradientOn(Discretization):
    """dx is the sum of dy over the bins, as if bins moved with the number that is in them."""

    def backward(self, dy, cache):
        return dy.sum(-1).reshape(cache)


@bins("L", reference=True)
class DiscretizationPutsBoundariesBelow(Discretization):
    """A number at a boundary is put into the bin below."""

    def rows_of(self, x):
        return super().rows_of(np.nextafter(x, x.dtype.type(-np.inf)))
