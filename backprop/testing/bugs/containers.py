"""Mistakes in layers made of layers: branches, shortcuts, and a layer that stands in two places."""

from __future__ import annotations

from functools import partial

import numpy as np

from backprop.layers.activations.rectifiers import Linear, ReLU
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


@branches("V", config={"branches": two, "join": "average"})
class ParallelAveragesWithoutDividing(Parallel):
    """Each branch of an average receives dy in full."""

    def _average_backward(self, dy, n, i):
        return dy


@branches("V", config={"branches": two, "join": "multiply"})
class ParallelMultipliesByTheBranchItself(Parallel):
    """dbᵢ = dy y, where it is dy times the other branches."""

    def _multiply_backward(self, dy, outputs, i):
        return np.multiply.reduce([dy, *outputs])


@branches("P", config={"branches": Layers(lambda: [Tanh(), Sigmoid()]), "join": "multiply"})
class ParallelDividesByTheBranch(Parallel):
    """The product of the other branches is found as y / bᵢ: 0 / 0 where bᵢ is 0."""

    def _multiply_backward(self, dy, outputs, i):
        return dy * (np.multiply.reduce(outputs) / outputs[i])


@branches("V")
class ParallelSwapsItsBranches(Parallel):
    """Of a concatenation the first branch receives the last part of dy, which fits where they are
    of one width.
    """

    def _concat_backward(self, dy, ends, i):
        return super()._concat_backward(dy, ends, len(ends) - 1 - i)


@branches(
    "V",
    config={"branches": Layers(lambda: [ReLU(), Linear()]), "join": "maximum"},
    tags=("piecewise",),
)
class ParallelPaysAllTies(Parallel):
    """Each branch that attains the maximum receives dy in full; here both do wherever x > 0."""

    def _maximum(self, outputs):
        y, _ = super()._maximum(outputs)
        return y, [b == y for b in outputs]

    def _maximum_backward(self, dy, winner, i):
        return dy * winner[i]


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
