"""Mistakes in layers made of layers: branches, shortcuts, and a layer that stands in two places."""

from __future__ import annotations

from functools import partial

import numpy as np

from backprop.layers.activations.sigmoids import Sigmoid, Tanh
from backprop.layers.branches import Parallel, Residual
from backprop.layers.chain import Chain
from backprop.layers.dense import Dense
from backprop.testing.bugs.bank import Layers, bug, normal

two = Layers(lambda: [Dense(3, name="a"), Dense(3, activation="tanh", name="b")])
fork = partial(bug, x=normal(4, 3), inputs="rows", options={"min_side": 3, "max_side": 3})
branches = partial(fork, config={"branches": two})


def tied() -> list:
    shared = Dense(3)
    return [shared, Tanh(), shared]


@fork("V", config={"layers": Layers(lambda: [Dense(3), Tanh()])})
class ResidualForgetsItsShortcut(Residual):
    """dx is what came back through f alone."""

    def backward(self, dy, cache):
        return self._reverse(dy, cache, "backward")[0]


@fork("V", config={"layers": Layers(lambda: [Dense(3), Tanh()]), "activation": "tanh"})
class ResidualForgetsTheActivationOnItsShortcut(Residual):
    """dy goes back on the shortcut as it came, without the derivative of the activation behind the
    sum.
    """

    def backward(self, dy, cache):
        through, shortcut = self._reverse(dy, cache, "backward")
        slope = self.activation.backward(np.ones_like(dy), cache[1])
        return through + shortcut / slope


@fork("L", config={"layers": Layers(tied)}, source="Caffe 3254")
class ChainOverwritesTheGradientsOfASharedLayer(Chain):
    """A layer that stands in two places keeps the gradients of the place reversed last."""

    def build(self, input_shape):
        super().build(input_shape)
        self._again = [[] for _ in self._again]


@fork("V", config={"layers": Layers(lambda: [Tanh(), Sigmoid(), Tanh()])})
class ChainHandsOutTheNextCache(Chain):
    """Each layer is reversed with the cache of the layer before it, as by a stack that was popped
    once too often.
    """

    def backward(self, dy, caches):
        return super().backward(dy, [caches[0], *caches[:-1]])


@branches("V")
class ParallelSwapsItsBranches(Parallel):
    """The first branch receives the gradient of the last one, which fits where they are of one
    width.
    """

    def _reverse(self, dy, cache, call):
        return super()._reverse(np.roll(dy, dy.shape[-1] // 2, -1), cache, call)


@branches("V")
class ParallelKeepsTheGradientOfOneBranch(Parallel):
    """dx is that of the last branch, where it is the sum over all."""

    def backward(self, dy, cache):
        return self._reverse(dy, cache, "backward")[-1]


@branches("V", verdict="equivalent")
class ParallelAddsUpInOppositeOrder(Parallel):
    """dx is summed from the last branch to the first."""

    def backward(self, dy, cache):
        return sum(reversed(self._reverse(dy, cache, "backward")))


@fork("L", config={"layers": Layers(lambda: [Dense(3), Tanh()])})
class ChainKeepsItsCaches(Chain):
    """The caches stay on the chain, so backward always reverses the forward pass that ran last."""

    def propagate(self, x, ctx):
        y, caches, mask = super().propagate(x, ctx)
        self.__dict__["_kept"] = caches
        return y, caches, mask

    def backward(self, dy, caches):
        return super().backward(dy, self.__dict__["_kept"])
