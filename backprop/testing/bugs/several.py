"""Mistakes of several inputs and outputs, and of what a layer adds to the loss: which gradient
belongs to whom."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from backprop.layer import INFERENCE
from backprop.layers.attention import Attention
from backprop.layers.chain import ActivityPenalty
from backprop.layers.lambda_ import Lambda
from backprop.layers.merging import Concatenate, Dot, Multiply, Subtract
from backprop.regularizers import L2
from backprop.testing.bugs.bank import bug, each_of, normal
from backprop.testing.bugs.shared import Mixin

two = partial(bug, x=each_of(normal(4, 3), normal(4, 3, seed=1)), inputs="two")
product = partial(two, tags=("symmetric",))
dot = partial(product, config={"axes": 1})
attention = partial(
    bug,
    x=each_of(normal(2, 3, 4), normal(2, 5, 2, seed=1), normal(2, 5, 4, seed=2)),
    inputs="attended",
)
scored = partial(attention, config={"return_attention_scores": True})
penalty = partial(
    bug,
    x=normal(4, 3),
    inputs="floats",
    config={"regularizer": L2(0.1)},
)

# ----------------------------------------------------------------------------------- which input


class Returning(Mixin):
    """The way back is right, until `returned` says what is returned of it."""

    def backward(self, dy, cache) -> Any:
        return self.returned(*super().backward(dy, cache))


@dot("V")
class DotSwapsItsGradients(Returning, Dot):
    """da and db are returned in the other order."""

    def returned(self, da, db):
        return db, da


@product("V")
class MultiplyForgetsTheSecondInput(Returning, Multiply):
    """The second input receives zeros."""

    def returned(self, da, db):
        return da, np.zeros_like(db)


@product("V")
class MultiplyHasNoGradientForTheSecondInput(Returning, Multiply):
    """The second dx is None, as if that input held integers."""

    def returned(self, da, db):
        return da, None


@two("V")
class ConcatenateReturnsAList(Returning, Concatenate):  # type: ignore[misc] - names
    """The gradients come in a list, where those of several inputs are a tuple."""

    def returned(self, da, db):
        return [da, db]


@two("V")
class SubtractReturnsOneGradient(Returning, Subtract):
    """What is returned is da alone."""

    def returned(self, da, db):
        return da


def lean(ab, slope):
    return ab[0] * np.tanh(slope * ab[1])


def lean_back(dy, ab, y, slope=1.0):
    t = np.tanh(slope * ab[1])
    return [dy * t, dy * ab[0] * slope * (1 - t * t)]


given_function = partial(
    two,
    config={"function": lean, "arguments": {"slope": 2.0}, "backward": lean_back},
    spared=("survives_copy_pickle_config_and_save",),
)


@given_function("V")
class LambdaKeepsItsArgumentsFromTheWayBack(Lambda):
    """backward is not given the function's arguments, and takes its own defaults for them."""

    def backward(self, dy, cache):
        kept, self.__dict__["arguments"] = self.arguments, {}
        try:
            return super().backward(dy, cache)
        finally:
            self.__dict__["arguments"] = kept


@given_function("V")
class LambdaGivesTheWayBackItsInputsInAnotherOrder(Lambda):
    """The function sees (a, b) and its backward (b, a)."""

    def backward(self, dy, cache):
        x, y, ctx = cache
        return super().backward(dy, (x[::-1], y, ctx))


@product("V")
class MultiplyAddsItsGradients(Returning, Multiply):
    """Each input receives da + db, as if both were one array."""

    def returned(self, da, db):
        return da + db, da + db


@product("L")
class MultiplyCountsOneArrayOnce(Multiply):
    """Where both inputs are one array, the second receives nothing."""

    def backward(self, dy, cache) -> Any:
        da, db = super().backward(dy, cache)
        a, b = cache[-1]
        return da, 0 * db if a is b else db


@product("L")
class MultiplyWorksInItsFirstInput(Multiply):
    """The product is written over the first input."""

    def forward(self, x, ctx=INFERENCE) -> Any:
        a, b = x
        _, cache = super().forward((a.copy(), b), ctx)
        np.multiply(a, b, out=a)
        return a, cache


@two("L")
class SubtractTakesTheDistance(Subtract):
    """y = |a - b|, forward and backward: the order of the inputs is lost."""

    def forward(self, x, ctx=INFERENCE) -> Any:
        y, cache = super().forward(x, ctx)
        return np.abs(y), (cache, np.sign(y))

    def backward(self, dy, cache) -> Any:
        cache, sign = cache
        return super().backward(dy * sign, cache)


@attention("L")
class AttentionMatchesTheQueryWithItself(Attention):
    """The scores are those of the query's steps with each other; the key is never read."""

    def forward(self, x, ctx=INFERENCE) -> Any:
        q, v, k = x
        steps = np.arange(k.shape[1]) % q.shape[1]
        y, cache = super().forward((q, v, q[:, steps]), ctx)
        return y, (cache, steps)

    def backward(self, dy, cache) -> Any:
        cache, steps = cache
        dq, dv, dk = super().backward(dy, cache)
        for i, step in enumerate(steps):
            dq[:, step] += dk[:, i]
        return dq, dv, np.zeros_like(dk)


# ---------------------------------------------------------------------------------- which output


@scored("V")
class AttentionIgnoresTheGradientOfItsScores(Attention):
    """What comes back to the scores, the second output, is not passed on."""

    def backward(self, dy, cache) -> Any:
        return super().backward((dy[0], np.zeros_like(dy[1])), cache)


@scored("L")
class AttentionReturnsEarlyWithoutAGradientOfY(Attention):
    """Where dy of the first output is 0 all is 0, whatever comes back to the scores."""

    def backward(self, dy, cache) -> Any:
        return super().backward((dy[0], dy[1] * dy[0].any()), cache)


@scored("L")
class AttentionWorksInTheGradientOfItsScores(Attention):
    """What comes back to the scores is written over."""

    def backward(self, dy, cache) -> Any:
        dx = super().backward(dy, cache)
        dy[1][...] = 0
        return dx


@scored("V")
class AttentionReturnsItsOutputsInAList(Attention):
    """The outputs come in a list, where several are a tuple."""

    def forward(self, x, ctx=INFERENCE) -> Any:
        y, cache = super().forward(x, ctx)
        return list(y), cache


# ------------------------------------------------------------------------- additions to the loss


@penalty("V")
class PenaltyGoesWithDy(ActivityPenalty):
    """The gradient of what was added is multiplied by dy, where it comes whatever dy is."""

    def backward(self, dy, cache) -> Any:
        return dy + dy * (super().backward(dy, cache) - dy)


@penalty("L")
class PenaltyIsAddedUnasked(ActivityPenalty):
    """It is added without a look at whether there is a list to add it to."""

    def forward(self, x, ctx=INFERENCE) -> Any:
        y, cache = super().forward(x, ctx)
        return y, (*cache, len(ctx.penalties))  # type: ignore[arg-type] - the mistake

    def backward(self, dy, cache) -> Any:
        return super().backward(dy, cache[:2])


@penalty("L")
class PenaltyIsKeptQuiet(ActivityPenalty):
    """It does not say that it adds to the loss, so that no trainer asks it to."""

    penalises = False


@penalty("L")
class PenaltyIsAddedForEachRow(ActivityPenalty):
    """What is added is an array of one number for each row."""

    def forward(self, x, ctx=INFERENCE) -> Any:
        y, cache = super().forward(x, ctx)
        if ctx.penalties:
            ctx.penalties[-1] = np.full(len(x), ctx.penalties[-1] / len(x))
        return y, cache


# ---------------------------------------------------------------------------------- what is right


@two("V", verdict="equivalent")
class ConcatenateReturnsViewsOfOneArray(Returning, Concatenate):  # type: ignore[misc] - names
    """Both gradients are views of one array that was made for them."""

    def returned(self, da, db):
        both = np.concatenate([da.ravel(), db.ravel()])
        return both[: da.size].reshape(da.shape), both[da.size :].reshape(db.shape)


@two("V", verdict="equivalent")
class SubtractTurnsRoundTwice(Subtract):
    """y = -(b - a), forward and on the way back."""

    def forward(self, x, ctx=INFERENCE) -> Any:
        y, cache = super().forward(x[::-1], ctx)
        return -y, cache

    def backward(self, dy, cache) -> Any:
        return super().backward(-dy, cache)[::-1]


@scored("V", verdict="equivalent")
class AttentionPassesEachGradientBackByItself(Attention):
    """dx is the sum of what dy of either output gives."""

    def backward(self, dy, cache) -> Any:
        parts = (dy[0], 0 * dy[1]), (0 * dy[0], dy[1])
        one, other = (super(type(self), self).backward(part, cache) for part in parts)
        return tuple([a + b for a, b in zip(one, other, strict=True)])


@penalty("V", verdict="equivalent")
class PenaltyIsAddedInTwoParts(ActivityPenalty):
    """Half of what is added comes after the other."""

    def forward(self, x, ctx=INFERENCE) -> Any:
        y, cache = super().forward(x, ctx)
        if ctx.penalties:
            half = ctx.penalties.pop() / 2
            ctx.penalties.extend([half, half])
        return y, cache
