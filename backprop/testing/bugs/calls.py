"""Mistakes of what training runs besides forward and backward, of threads, and of many calls.

Short ways that differ from the long ones, frozen layers that stop what is behind them, scratch
arrays that two threads share, and copies that go back another way.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import numpy as np

from backprop.layer import INFERENCE
from backprop.layers.activations.rectifiers import ReLU
from backprop.layers.activations.sigmoids import Sigmoid, Tanh
from backprop.layers.activations.softmax import Softmax
from backprop.layers.convolution import Conv2D
from backprop.layers.dense import Dense
from backprop.layers.normalization import LayerNormalization
from backprop.layers.recurrent import SimpleRNN
from backprop.linalg import and_sum, sum_rows
from backprop.losses.classification import CategoricalCrossentropy, SparseCategoricalCrossentropy
from backprop.losses.loss import Loss
from backprop.losses.regression import MeanAbsoluteError, MeanSquaredError
from backprop.testing.bugs.bank import bug, integers, normal, one_hot, probabilities

floats = partial(bug, x=normal(4, 5), inputs="floats")
dense = partial(bug, x=normal(5, 4), inputs="rows", config={"units": 3, "activation": "tanh"})
classes = partial(bug, x=normal(5, 4), inputs="rows", config={"units": 3, "activation": "softmax"})
behind_a_softmax = partial(
    bug,
    "L",
    x=probabilities(5, 3),
    y_true=one_hot(5, 3),
    inputs="targets",
    pair=("probabilities", "distributions"),
)
SCRATCH = np.empty(100_000)


def scratch(like: np.ndarray) -> np.ndarray:
    """An array that all layers write into."""
    return SCRATCH[: like.size].reshape(like.shape)


# ------------------------------------------------------------------------------------- short ways


@classes("L")
class DenseForgetsTheBiasBehindASoftmax(Dense):
    """backward_logits leaves the bias' gradient as it was."""

    def backward_logits(self, dz, cache, *, dx=True):
        kept = self.dbias.copy()
        found = super().backward_logits(dz, cache, dx=dx)
        self.dbias = kept
        return found


@classes("L")
class DenseAveragesBehindASoftmaxWithoutDx(Dense):
    """backward_logits averages over the rows, where no dx is asked for."""

    def backward_logits(self, dz, cache, *, dx=True):
        return super().backward_logits(dz if dx else dz / max(len(dz), 1), cache, dx=dx)


@bug("L", x=normal(4, 5), inputs="rows")
class SoftmaxGoesBackThroughItselfTwice(Softmax):
    """backward_logits, which is given dz, takes it for dy."""

    def backward_logits(self, dz, cache, *, dx=True):
        return self.backward(dz, cache)


@floats("L")
class TanhAddsItsBiasTwice(Tanh):
    """finish adds the bias before and behind."""

    def finish(self, z, ctx=INFERENCE, bias=None):
        y, cache = super().finish(z, ctx, bias)
        return (y if bias is None else y + bias), cache


@floats("L")
class ReluPassesAllWhereItFinishes(ReLU):
    """backward_finish hands dy on without the rectifier's slope."""

    def backward_finish(self, dy, cache, dbias=None):
        return and_sum(dy.copy(), dbias)


@floats("L")
class SigmoidSumsItsBiasBeforeItsSlope(Sigmoid):
    """backward_finish sums dy for the bias, where dz is to be summed."""

    def backward_finish(self, dy, cache, dbias=None):
        dz = self.backward(dy, cache)
        if dbias is not None:
            sum_rows(dy, out=dbias)
        return dz


@behind_a_softmax()
class CrossentropyIsSummedBehindASoftmax(CategoricalCrossentropy):
    """after_softmax forgets to divide by the rows."""

    def after_softmax(self) -> Any:
        found: Any = super().after_softmax()
        found.reduction = "sum"
        return found


@behind_a_softmax(config={"label_smoothing": 0.2})
class CrossentropyForgetsItsSmoothingBehindASoftmax(CategoricalCrossentropy):
    """after_softmax takes the targets as they are, however they are to be smoothed."""

    def after_softmax(self) -> Any:
        return CategoricalCrossentropy(reduction=self.reduction).after_softmax()


@behind_a_softmax(y_true=integers(3, 5), pair=("labels", "distributions"))
class SparseCrossentropyDoublesItsShortWay(SparseCategoricalCrossentropy):
    """dz behind a softmax is twice what it should be."""

    def after_softmax(self) -> Any:
        found: Any = super().after_softmax()
        backward = found.backward
        found.backward = lambda cache, dvalues=None: 2 * backward(cache, dvalues)
        return found


@dense("L")
class DenseDividesAsTheFirstLayer(Dense):
    """backward_params averages over the rows, as only a model's first layer is asked to go back."""

    def backward_params(self, dy, cache):
        super().backward_params(dy, cache)
        self.dkernel = self.dkernel / max(len(dy), 1)


# -------------------------------------------------------------------- weights and masks of losses


pair = partial(bug, x=normal(4, 3), y_true=normal(4, 3, seed=1), inputs="targets")


@pair("L")
class MeanSquaredErrorIgnoresItsMask(MeanSquaredError):
    """A mask is taken, and ignored."""

    def forward(self, y_true, y_pred, sample_weight=None, mask=None):
        return Loss.forward(self, y_true, y_pred, sample_weight)

    backward = Loss.backward


@pair("L")
class MeanAbsoluteErrorCountsWhatItMasks(MeanAbsoluteError):
    """Masked rows get a weight of 1/1000, and not of 0."""

    def forward(self, y_true, y_pred, sample_weight=None, mask=None):
        if mask is not None:
            w = np.where(np.asarray(mask), 1.0, 1e-3)
            sample_weight = w if sample_weight is None else w * sample_weight
        return Loss.forward(self, y_true, y_pred, sample_weight)


@pair("L")
class MeanSquaredErrorMultipliesPaddingByZero(MeanSquaredError):
    """A masked infinity is multiplied by 0, which is no number."""

    def forward(self, y_true, y_pred, sample_weight=None, mask=None):
        if mask is not None:
            w = np.asarray(mask, np.float64)
            sample_weight = w if sample_weight is None else w * sample_weight
        return Loss.forward(self, y_true, y_pred, sample_weight)

    backward = Loss.backward


@pair("L")
class MeanSquaredErrorSquaresItsWeights(MeanSquaredError):
    """Weights count twice, in value and gradient alike: differences agree."""

    def forward(self, y_true, y_pred, sample_weight=None, mask=None):
        w = None if sample_weight is None else np.square(sample_weight)
        return Loss.forward(self, y_true, y_pred, w, mask)

    backward = Loss.backward


@pair("L")
class MeanAbsoluteErrorAddsToItsWeights(MeanAbsoluteError):
    """A thousandth is added to every weight, in value and gradient alike."""

    def forward(self, y_true, y_pred, sample_weight=None, mask=None):
        w = None if sample_weight is None else np.asarray(sample_weight) + 1e-3
        return Loss.forward(self, y_true, y_pred, w, mask)


# --------------------------------------------------------------------------------- frozen layers


@dense("L")
class DensePassesNothingBackWhenFrozen(Dense):
    """A frozen layer has a dx of zeros."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        return dx if self.trainable else np.zeros_like(dx)


@floats("L")
class LayerNormalizationPassesDyOnWhenFrozen(LayerNormalization):
    """A frozen layer hands dy on as it came."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        return dx if self.trainable else dy.copy()


@bug(
    "L",
    x=normal(2, 4, 4, 2),
    inputs="images",
    options={"min_side": 2},
    config={"filters": 2, "kernel_size": 2},
)
class ConvStopsWhenFrozen(Conv2D):
    """A frozen convolution has a dx of zeros."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        return dx * self.trainable


# ---------------------------------------------------------------------------------------- threads


@floats("L")
class TanhComputesInAnArrayOfTheModule(Tanh):
    """y is computed in an array that all layers share, and then copied."""

    def forward(self, x, ctx=INFERENCE):
        y = np.tanh(x, out=scratch(x), casting="same_kind").astype(x.dtype)
        return y, y

    def backward(self, dy, cache):
        return dy * (1 - cache * cache)


@floats("L")
class SigmoidGoesBackInAnArrayOfTheModule(Sigmoid):
    """dx is computed in an array that all layers share, and then copied."""

    def forward(self, x, ctx=INFERENCE):
        y = 1 / (1 + np.exp(-x.clip(-700, 700)))
        return y, y

    def backward(self, dy, cache):
        shared = np.subtract(1, cache, out=scratch(dy))
        shared *= cache
        return (shared * dy).astype(dy.dtype)


@bug("L", x=normal(4, 5), inputs="rows")
class SoftmaxComputesInAnArrayOfItsOwn(Softmax):
    """Exponentials lie in an array of the layer, from where they are divided."""

    def forward(self, x, ctx=INFERENCE):
        if getattr(self, "kept", np.empty(0)).shape != x.shape:
            self.kept = np.empty(x.shape)
        np.exp(x - x.max(-1, keepdims=True, initial=-np.inf), out=self.kept)
        y = (self.kept / self.kept.sum(-1, keepdims=True)).astype(x.dtype)
        return y, y


@dense("L")
class DenseSumsIntoAnArrayOfTheClass(Dense):
    """dbias is summed up in an array of the class."""

    sums: ClassVar[np.ndarray] = np.empty(100)

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        sums = self.sums[: self.units]
        sums[:] = self.dbias
        self.dbias = sums
        return dx


@bug(
    "L",
    x=normal(4, 3),
    y_true=normal(4, 3, seed=1),
    inputs="targets",
)
class MeanSquaredErrorSubtractsInAnArrayOfTheModule(MeanSquaredError):
    """The differences lie in an array that all losses share, until they are squared."""

    def values(self, y_true, y_pred):
        d = scratch(y_pred) if y_pred.size <= SCRATCH.size else np.empty(y_pred.shape)
        np.subtract(y_pred, y_true, out=d)
        return np.square(d).mean(-1).astype(y_pred.dtype), d.astype(y_pred.dtype)

    def gradient(self, dvalues, cache):
        return 2 * dvalues[..., None] * cache / cache.shape[-1]

    forward, backward = Loss.forward, Loss.backward


# ------------------------------------------------------------------------------------- many calls


@floats("L")
class TanhTiresAfterThirtyCalls(Tanh):
    """From its thirtieth call on, a layer returns a little less."""

    calls = 0

    def forward(self, x, ctx=INFERENCE):
        self.calls += 1
        y, cache = super().forward(x, ctx)
        return (y, cache) if self.calls < 30 else (0.999 * y, cache)


@floats("L")
class ReluRemembersAllItsInputs(ReLU):
    """Each call adds its input to a list that nobody reads."""

    def forward(self, x, ctx=INFERENCE):
        self.__dict__.setdefault("seen", []).append(x)
        return super().forward(x, ctx)


@bug("L", x=normal(3, 4, 2), inputs="sequences", config={"units": 2})
class SimpleRNNKeepsItsCachesOnAStack(SimpleRNN):
    """backward pops the cache of the last forward pass, whose ever it is given."""

    def forward(self, x, ctx=INFERENCE):
        y, cache = super().forward(x, ctx)
        self.__dict__.setdefault("stack", []).append(cache)
        return y, cache

    def backward(self, dy, cache):
        stack = self.__dict__["stack"]
        return super().backward(dy, stack.pop() if len(stack) > 1 else stack[-1])


# ----------------------------------------------------------------------------------------- copies


@floats("L")
class TanhGoesBackByAFactorThatNoCopyHas(Tanh):
    """A plain attribute, set behind the constructor's back, scales dx; y does not show it."""

    def build(self, input_shape):
        super().build(input_shape)
        self.half = 1.0

    def __setstate__(self, state):
        super().__setstate__(state)
        self.half = 0.5

    def backward(self, dy, cache):
        return self.half * super().backward(dy, cache)


@dense("L")
class DenseLosesItsGradientWhenPickled(Dense):
    """An unpickled layer has another dkernel, and the same y and dx."""

    copied = False

    def __setstate__(self, state):
        super().__setstate__(state | {"copied": True})

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        if self.copied:
            self.dkernel = self.dkernel * 0.5
        return dx
