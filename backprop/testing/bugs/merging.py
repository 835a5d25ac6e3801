"""Mistakes where arrays are merged: shares, signs, ties, what was stretched, and masks."""

from __future__ import annotations

from functools import partial, reduce

import numpy as np

from backprop.layers.activations.rectifiers import Linear, ReLU
from backprop.layers.branches import Parallel
from backprop.layers.dense import Dense
from backprop.layers.einsum import EinsumDense
from backprop.layers.merging import (
    Add,
    Average,
    Concatenate,
    Divide,
    Dot,
    Matmul,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
)
from backprop.testing.bugs.bank import bug, each_of, normal


class Fork(Parallel):
    """Branches that `merging` joins, whatever their shapes."""

    decides = ("branches", "join", "axis")

    def __init__(self, branches, merging, **kwargs):
        super().__init__(branches, "add", **kwargs)
        self._merging = self.merging = merging

    def build(self, input_shape):
        super().build(input_shape)
        self.merging.adopt_dtype(self.dtype)
        self.merging.build(self.shapes_of_branches(input_shape))
        self.changes_mask = True

    def compute_output_shape(self, input_shape):
        return self.merging.compute_output_shape(self.shapes_of_branches(input_shape))

    def shapes_of_branches(self, input_shape):
        return tuple([branch.compute_output_shape(input_shape) for branch in self.branches])


def forked(*make):
    """A merging layer where it merges what several layers make of one array."""
    return partial(fork_of, make)


def fork_of(make, merging):
    return Fork([layer() for layer in make], merging)


def dense():
    return Dense(3)


def tanh():
    return Dense(3, activation="tanh")


def one():
    return Dense(1, activation="tanh")


def steep():
    """Far from 0, to divide by."""
    return Dense(3, activation="sigmoid")


two = partial(bug, x=each_of(normal(4, 3), normal(4, 3, seed=1)), inputs="two")
alike = partial(two, tags=("symmetric",))
fork = partial(bug, x=normal(4, 3), inputs="rows", options={"min_side": 3, "max_side": 3})
divide = partial(
    fork,
    inside=forked(dense, steep),
    spared=("extreme_input_gives_finite_results",),  # where b is 0
)


@fork("V", inside=forked(dense, one))
class AddForgetsToSumWhatWasStretched(Add):
    """An array of length 1 receives the gradient of the first place that it was stretched to."""

    def backward(self, dy, cache):
        shapes, _ = cache
        return tuple([dy[tuple(slice(0, n) for n in shape)] for shape in shapes])


@fork("V", inside=forked(dense, one))
class AddAveragesOverWhatWasStretched(Add):
    """An array of length 1 receives the mean over what it was stretched to, where it is the sum."""

    def backward(self, dy, cache):
        shapes, _ = cache
        return tuple(
            [
                d * (np.prod(s) / dy.size)
                for d, s in zip(super().backward(dy, cache), shapes, strict=True)
            ]
        )


@two("V")
class SubtractForgetsTheSign(Subtract):
    """Both arrays receive dy."""

    def split(self, dy, cache):
        return [dy, dy]


@two("V")
class SubtractTurnsRound(Subtract):
    """da = -dy and db = dy."""

    def split(self, dy, cache):
        return [-dy, dy]


@alike("V")
class AverageForgetsToDivide(Average):
    """Each array of an average receives dy in full."""

    def split(self, dy, n):
        return [dy] * n


@alike("V")
class MultiplyTakesTheArrayItself(Multiply):
    """dxᵢ = dy y, where it is dy times the other arrays."""

    def split(self, dy, x):
        return [reduce(np.multiply, x, dy) for _ in x]


@alike("P")
class MultiplyDividesByTheArray(Multiply):
    """The product of the others is found as y / xᵢ: 0 / 0 where xᵢ is 0."""

    def split(self, dy, x):
        y = reduce(np.multiply, x)
        return [dy * (y / a) for a in x]


@fork("C", inside=forked(dense, tanh, steep))
class MultiplyTakesTheNextAlone(Multiply):
    """dxᵢ = dy times the next array, which is right for two."""

    def split(self, dy, x):
        return [dy * b for b in [*x[1:], x[0]]]


@divide("V")
class DivideForgetsTheSign(Divide):
    """db = da y, where it is -da y."""

    def split(self, dy, cache):
        da, db = super().split(dy, cache)
        return [da, -db]


@divide("V")
class DivideDividesOnce(Divide):
    """db = -dy y, without the second division by b."""

    def split(self, dy, cache):
        y, b = cache
        return [dy / b, -dy * y]


@fork("V", inside=forked(ReLU, Linear), tags=("piecewise",))
class MaximumPaysAllTies(Maximum):
    """Each array that attains the maximum receives dy in full; here both do wherever x > 0."""

    def split(self, dy, shares):
        return [dy * (share > 0) for share in [1 - shares[0], shares[0]]]


@two("V", tags=("piecewise", "symmetric"))
class MinimumPaysTheLargest(Minimum):
    """dy goes to the largest, as in a maximum."""

    def split(self, dy, shares):
        return super().split(dy, [1 - share for share in shares])


@fork("V", inside=forked(dense, tanh, steep), tags=("piecewise",))
class MaximumPaysTheLoserOfALaterStep(Maximum):
    """What beats the array before it receives dy, though a third one beats it."""

    def split(self, dy, shares):
        return [(1 - shares[0]) * dy, *(share * dy for share in shares)]


@fork("P", inside=forked(ReLU, Linear), tags=("piecewise",), verdict="choice")
class MaximumPaysTheFirstOfATie(Maximum):
    """Of a tie the first receives all of dy."""

    def merge(self, x):
        y, shares = super().merge(x)
        return y, [np.floor(share) for share in shares]


@two("V")
class ConcatenateSwapsItsParts(Concatenate):
    """The first array receives the last part of dy, which fits where they are of one width."""

    def backward(self, dy, lengths):
        return super().backward(dy, lengths)[::-1]


@fork("V", inside=forked(one, dense))
class ConcatenateForgetsWhereAPartBegins(Concatenate):
    """Each array receives dy from its beginning on."""

    def backward(self, dy, lengths):
        return tuple([dy[..., :n] for n in lengths])


class DotReversesOtherLengths(Dot):
    """What is reversed is the normalization that `taken_for` makes of that which forward kept."""

    def backward(self, dy, cache):
        a, b, *arrays = cache
        found = [(shape, k, self.taken_for(*unit), mask) for shape, k, unit, mask in arrays]
        return super().backward(dy, (a, b, *found))

    def taken_for(self, y, r, divided, axes):
        raise NotImplementedError


@alike("V", config={"axes": 1, "normalize": True})
class DotTakesLengthsForConstants(DotReversesOtherLengths):
    """With `normalize` da = r du: along a, where y does not move, something is left."""

    def taken_for(self, y, r, divided, axes):
        return y, r, False, axes


@alike("V", config={"axes": 1, "normalize": True})
class DotForgetsToDivideGoingBack(DotReversesOtherLengths):
    """With `normalize` a receives what u = a / |a| does, without the slope r."""

    def taken_for(self, y, r, divided, axes):
        return y, np.ones_like(r), divided, axes


def columns():
    return EinsumDense("abc,cd->adb", (3, None))


def steps():
    return EinsumDense("abc,cd->abd", (None, 3))


matmul = partial(
    bug,
    x=normal(2, 3, 3),
    inputs="sequences",
    options={"steps": (2, 4), "features": (2, 4)},
    inside=forked(columns, steps),
)


@matmul("V")
class MatmulMultipliesByTheWrongSide(Matmul):
    """db = dy aᵀ in the place of aᵀ dy, as far as it fits: where matrices are square."""

    def backward(self, dy, cache):
        a, _, _ = cache
        da, db = super().backward(dy, cache)
        other = np.matmul(dy, a.swapaxes(-1, -2))
        return da, other if a.shape[-1] == a.shape[-2] else db


@matmul("V")
class MatmulTurnsTheSecondFactorNot(Matmul):
    """da = dy b, which fits where b is square."""

    def backward(self, dy, cache):
        _, b, _ = cache
        da, db = super().backward(dy, cache)
        return np.matmul(dy, b) if b.shape[-1] == b.shape[-2] else da, db
