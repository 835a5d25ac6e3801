"""Each law is broken by a layer with one mistake, and says what it saw."""

import copy
import re
from pathlib import Path

import numpy as np
import pytest
from small_layers import Scale

from backprop.layer import INFERENCE, InputSpec, Layer
from backprop.layers import BatchNormalization, Dense, MultiHeadAttention, Subtract
from backprop.linalg import sum_rows
from backprop.losses import Loss
from backprop.masks import only_real
from backprop.regularizers import L2
from backprop.testing import (
    LAWS,
    LawBroken,
    axes,
    check_law,
    check_layer,
    images,
    numbers,
    pairs,
    sequences,
    shapes,
    together,
    tokens,
)
from backprop.testing.bugs.calls import (
    ConvStopsWhenFrozen,
    CrossentropyIsSummedBehindASoftmax,
    DenseForgetsTheBiasBehindASoftmax,
    DenseLosesItsGradientWhenPickled,
    DensePassesNothingBackWhenFrozen,
    MeanSquaredErrorIgnoresItsMask,
    MeanSquaredErrorMultipliesPaddingByZero,
    MeanSquaredErrorSquaresItsWeights,
    ReluRemembersAllItsInputs,
    SigmoidGoesBackInAnArrayOfTheModule,
    SoftmaxComputesInAnArrayOfItsOwn,
    TanhAddsItsBiasTwice,
    TanhComputesInAnArrayOfTheModule,
    TanhGoesBackByAFactorThatNoCopyHas,
    TanhTiresAfterThirtyCalls,
)
from backprop.testing.bugs.keys import (
    BatchNormCorrectsTheVarianceOfTwoRows,
    BatchNormGoesOnMovingWhereItIsFrozen,
    BatchNormGoesOnWithItsBatchWhereItIsFrozen,
    DenseRemembersByIdentity,
    DenseRemembersByTheFirstRow,
    LayerNormFindsItsShortcutOnce,
)
from backprop.testing.bugs.paths import (
    DenseOfAThousandRows,
    DenseOfSquareTiles,
    EmbeddingCountsFromItsEnd,
    GlobalAverageCountsPadding,
    GRUWritesIntoItsMemory,
    LSTMBeginsAnewAtEachStep,
    ReluDrawsFromTheProcess,
    ReluPredictsInOneArray,
    SigmoidPredictsByAStraightLine,
    SigmoidSilencesNumPy,
    TanhPredictsInPlace,
    TanhSeedsTheProcess,
)
from backprop.testing.bugs.points import (
    DenseOfNoKernelHasNoGradient,
    LinearIsClippedBeyondAThousand,
    SquaredErrorGetsOneWhereItIsExact,
    TanhIsWrongAtQuarters,
    TanhJumpsAtAHalf,
)
from backprop.testing.bugs.several import (
    AttentionMatchesTheQueryWithItself,
    AttentionReturnsEarlyWithoutAGradientOfY,
    MultiplyCountsOneArrayOnce,
    MultiplyForgetsTheSecondInput,
    PenaltyIsAddedForEachRow,
    PenaltyIsAddedUnasked,
    PenaltyIsKeptQuiet,
    SubtractTakesTheDistance,
)
from backprop.testing.bugs.widths import TanhForgetsTheLastOfThirteenNumbers

NAMES = [law.__name__ for law in LAWS["v4"]]
ROWS = shapes(min_dims=1, max_dims=1)


class Square(Layer):
    """y = x²."""

    def forward(self, x, ctx=INFERENCE):
        return x * x, x

    def backward(self, dy, x):
        return 2 * dy * x


# -------------------------------------------------------------------------------- one mistake each


class ForgetsTheTwo(Square):
    def backward(self, dy, x):
        return dy * x


class ForgetsGamma(Scale):
    def backward(self, dy, x):
        self.dgamma = sum_rows(dy * x)
        return dy * 1


class FindsItsMaskInTheOutput(Layer):
    """Dropout that takes an x of 0 for one that was kept."""

    def forward(self, x, ctx=INFERENCE):
        k = (self.rng.random(x.shape) < 0.5).astype(x.dtype) if ctx.training else np.ones_like(x)
        return x * k, (x, x * k)

    def backward(self, dy, cache):
        x, y = cache
        return dy * ((y != 0) | (x == 0))


class PaysBothSidesOfTheKink(Layer):
    def forward(self, x, ctx=INFERENCE):
        return np.abs(x), x

    def backward(self, dy, x):
        return dy * (1.0 * (x >= 0) - (x < 0) + 2 * (x == 0))


class PaysAllThatTie(Layer):
    def compute_output_shape(self, input_shape):
        return input_shape[:-1]

    def forward(self, x, ctx=INFERENCE):
        y = x.max(-1)
        return y, (x, y)

    def backward(self, dy, cache):
        x, y = cache
        return dy[..., None] * (x == y[..., None])


class GoesThroughFloat16(Square):
    def backward(self, dy, x):
        dx = 2 * dy * x
        return dx.astype(np.float16).astype(dy.dtype) if dy.dtype == np.float32 else dx


class GoesThroughFloat16Ahead(Scale):
    """Many numbers: of so many one moves with each unit in the last place."""

    def forward(self, x, ctx=INFERENCE):
        y, cache = super().forward(x, ctx)
        if x.dtype == np.float32 and x.size > 60:
            y = y.astype(np.float16).astype(x.dtype)
        return y, cache


class LosesSmallDifferences(Layer):
    """exp(x) - 1 in float32, with a detour over 10,000."""

    def forward(self, x, ctx=INFERENCE):
        return (x + 1e4) - 1e4, None

    def backward(self, dy, cache):
        return dy


class IsAnotherFunction(Scale):
    def forward(self, x, ctx=INFERENCE):
        return -self.gamma * x, x

    def backward(self, dy, x):
        self.dgamma = -sum_rows(dy * x)
        return -self.gamma * dy


class LeaksFloat64(Square):
    def forward(self, x, ctx=INFERENCE):
        return x * x * np.float64(1), x


class LeaksFloat64InTheGradient(Square):
    def backward(self, dy, x):
        return 2 * dy * x * np.float64(1)


class ComputesInFloat32(Square):
    def forward(self, x, ctx=INFERENCE):
        return (x.astype(np.float32) ** 2).astype(x.dtype), x

    def backward(self, dy, x):
        return (2 * dy.astype(np.float32) * x.astype(np.float32)).astype(dy.dtype)


class RoundsItsGradient(Scale):
    def backward(self, dy, x):
        self.dgamma = sum_rows(dy * x).astype(np.float32)
        return self.gamma * dy


class DeclaresAnotherShape(Square):
    def compute_output_shape(self, input_shape):
        return (*input_shape, 1)


class MasksAnotherAxis(Square):
    def compute_mask(self, x, mask):
        return None if mask is None else mask.T


class SqueezesTheBatch(Square):
    def forward(self, x, ctx=INFERENCE):
        return np.squeeze(x * x, 0) if len(x) == 1 else x * x, x


class DividesByTheRows(Scale):
    def backward(self, dy, x):
        with np.errstate(all="ignore"):
            self.dgamma = (dy * x).sum(0) / np.float64(len(x)) * len(x)
        return self.gamma * dy


class RemembersNothing(BatchNormalization):
    """Its moving mean becomes NaN by an empty batch."""

    def forward(self, x, ctx=INFERENCE):
        y, cache = super().forward(x, ctx)
        if ctx.training and not len(x):
            self.moving_mean = self.moving_mean * np.nan
        return y, cache


class Overflows(Layer):
    def forward(self, x, ctx=INFERENCE):
        with np.errstate(all="ignore"):
            e = np.exp(x)
            y = e / e.sum(-1, keepdims=True)
        return y, y

    def backward(self, dy, y):
        return y * (dy - (dy * y).sum(-1, keepdims=True))


class DividesByTheNorm(Layer):
    """y = x / |x|, and 0 / 0 at 0."""

    def forward(self, x, ctx=INFERENCE):
        with np.errstate(all="ignore"):
            norm = np.sqrt((x * x).sum(-1, keepdims=True))
            return x / norm, (x / norm, norm)

    def backward(self, dy, cache):
        y, norm = cache
        with np.errstate(all="ignore"):
            return (dy - y * (dy * y).sum(-1, keepdims=True)) / norm


class FailsInNumPy(Scale):
    def __call__(self, x, training=False, mask=None):
        return self.forward(x)[0]

    def check_input(self, shape):
        if self.built and shape[-1] != self.gamma.shape[0]:
            np.ones(2) + np.ones(3)


class StretchesInSilence(Scale):
    """Of a wide input it takes the columns that it knows."""

    def build(self, input_shape):
        super().build(input_shape)
        self.input_spec = None

    def forward(self, x, ctx=INFERENCE):
        x = x[..., : len(self.gamma)]
        return self.gamma * x, x


class SquaresDy(Square):
    def backward(self, dy, x):
        return 2 * dy * np.abs(dy) * x


class ClipsDy(Square):
    def backward(self, dy, x):
        return 2 * np.clip(dy, -5, 5) * x


class IgnoresDy(Scale):
    def backward(self, dy, x):
        self.dgamma = sum_rows(np.ones_like(x) * x)
        return self.gamma * dy


class Accumulates(Scale):
    def backward(self, dy, x):
        self.dgamma += sum_rows(dy * x)
        return self.gamma * dy


class LeavesTheLastGradient(Scale):
    def backward(self, dy, x):
        self.dgamma[:-1] = sum_rows(dy * x)[:-1]
        return self.gamma * dy


class UsesItsCacheUp(Square):
    def forward(self, x, ctx=INFERENCE):
        return x * x, [2 * x]

    def backward(self, dy, cache):
        cache[0] *= dy
        return cache[0]


class ForgetsTheShortcut(Scale):
    def backward_params(self, dy, x):
        self.dgamma = sum_rows(dy)


class WritesIntoDy(Square):
    def backward(self, dy, x):
        dy *= 2 * x
        return dy


class WritesIntoX(Square):
    def forward(self, x, ctx=INFERENCE):
        kept = x.copy()
        x *= x
        return x, kept


class ChangesItsParameter(Scale):
    def forward(self, x, ctx=INFERENCE):
        self.gamma += 1e-3
        return super().forward(x, ctx)


class FillsItsBufferAgain(Square):
    def forward(self, x, ctx=INFERENCE):
        if getattr(self, "_y", None) is None or self._y.shape != x.shape:
            self._y = np.zeros_like(x)
        np.multiply(x, x, out=self._y)
        return self._y, x


class ReturnsItsParameter(Scale):
    """y = gamma for each row: a view."""

    def forward(self, x, ctx=INFERENCE):
        return np.broadcast_to(self.gamma, x.shape), x

    def backward(self, dy, x):
        self.dgamma = sum_rows(dy)
        return np.zeros_like(dy)


class KeepsItsCache(Square):
    def forward(self, x, ctx=INFERENCE):
        self._x = x
        return x * x, None

    def backward(self, dy, cache):
        return (
            2 * dy[: len(self._x)] * self._x[: len(dy)]
            if len(dy) != len(self._x)
            else 2 * dy * self._x
        )


class KeepsItsCacheByShape(Square):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.kept = {}

    def forward(self, x, ctx=INFERENCE):
        self.kept[x.shape] = x
        return x * x, x.shape

    def backward(self, dy, shape):
        return 2 * dy * self.kept[shape]


class KeepsTheFirstCacheOfAShape(KeepsItsCacheByShape):
    def forward(self, x, ctx=INFERENCE):
        self.kept.setdefault(x.shape, x)
        return x * x, x.shape


class KeepsItsMode(Square):
    """y = x² in training, x in inference; backward asks in which mode the layer is now."""

    def forward(self, x, ctx=INFERENCE):
        self.training = ctx.training
        return (x * x if ctx.training else x * 1), x

    def backward(self, dy, x):
        return 2 * dy * x if self.training else dy * 1


class KeepsTheMaskOfAShape(KeepsItsCacheByShape):
    def forward(self, x, ctx=INFERENCE):
        mask = np.ones(x.shape[:2], bool) if ctx.mask is None else ctx.mask
        self.kept[x.shape] = mask[..., None]
        return x * mask[..., None], x.shape

    def backward(self, dy, shape):
        return dy * self.kept[shape]


class KeepsTheDrawOfAShape(KeepsItsCacheByShape):
    def forward(self, x, ctx=INFERENCE):
        k = self.rng.random(x.shape) if ctx.training else np.ones(x.shape)
        self.kept[x.shape] = k.astype(x.dtype)
        return x * self.kept[x.shape], x.shape

    def backward(self, dy, shape):
        return dy * self.kept[shape]


class StacksItsCaches(Square):
    """Right where the pass that came last is reversed first."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.kept = []

    def forward(self, x, ctx=INFERENCE):
        self.kept.append(x)
        return x * x, None

    def backward(self, dy, cache):
        return 2 * dy * self.kept.pop()


class QueuesItsCaches(StacksItsCaches):
    """Right where the pass that came first is reversed first."""

    def backward(self, dy, cache):
        return 2 * dy * self.kept.pop(0)


class LeavesMemoryUnwritten(Square):
    def backward(self, dy, x):
        dx = np.empty_like(x)
        dx[..., 1:] = 2 * (dy * x)[..., 1:]
        if x.shape[-1] == 1:
            dx[...] = 2 * dy * x
        return dx


class ConstructsUnwritten(Square):
    def forward(self, x, ctx=INFERENCE):
        y = np.ndarray(x.shape, x.dtype)
        y[1:] = (x * x)[1:]
        if len(x) == 1:
            y[...] = x * x
        return y, x


class TakesOneRowForAll(Scale):
    """The gradient of gamma is that of the first row, where x is one that is broadcast."""

    def backward(self, dy, x):
        dx = super().backward(dy, x)
        if x.strides[0] == 0:
            self.dgamma = self.dgamma / len(x)
        return dx


class MakesItsParameterPositive(Scale):
    def forward(self, x, ctx=INFERENCE):
        np.abs(self.gamma, out=self.gamma)
        return super().forward(x, ctx)


class SharesItsMemory(Scale):
    """A copy has the parameter itself."""

    def __deepcopy__(self, memo):
        twin = copy.copy(self)
        vars(twin).update(vars(self))
        return twin


class KeepsItsRegularizerToItself(Scale):
    def __init__(self, gamma_regularizer=None, **kwargs):
        super().__init__(**kwargs)
        self.gamma_regularizer = gamma_regularizer


class ReadsMemoryInOrder(Square):
    def backward(self, dy, x):
        return 2 * dy.ravel(order="K").reshape(dy.shape) * x


class NeedsItContiguous(Square):
    def forward(self, x, ctx=INFERENCE):
        flat = x.view()
        flat.shape = (x.size,)
        return (flat * flat).reshape(x.shape), x


class SumsOverTheBatch(Layer):
    """A softmax whose sum runs over all."""

    def forward(self, x, ctx=INFERENCE):
        e = np.exp(x - x.max()) if x.size else x
        y = e / max(e.sum(), 1e-9)
        return y, y

    def backward(self, dy, y):
        return y * (dy - (dy * y).sum())


class LeaksBackwards(Square):
    def backward(self, dy, x):
        return 2 * dy * x + 1e-3 * dy.mean()


class DropsInInference(Layer):
    def forward(self, x, ctx=INFERENCE):
        kept = self.rng.random(x.shape) < 0.5
        return x * kept, kept

    def backward(self, dy, kept):
        return dy * kept


class CountsItsCalls(Layer):
    def build(self, input_shape):
        self.calls = self.buffer("calls", ())

    def forward(self, x, ctx=INFERENCE):
        self.calls = self.calls + 1
        return x * 1, None

    def backward(self, dy, cache):
        return dy * 1


class HidesACount(Layer):
    """y = x (1 + calls / 10), where calls is no buffer."""

    calls = 0

    def forward(self, x, ctx=INFERENCE):
        self.calls += 1
        k = 1 + self.calls / 10
        return x * k, k

    def backward(self, dy, k):
        return dy * k


class Averages(Layer):
    """y = x + average in inference, and training moves average towards the mean of x."""

    def build(self, input_shape):
        self.average = self.buffer("average", input_shape[-1:])

    def forward(self, x, ctx=INFERENCE):
        if ctx.training:
            self.learn(x)
            return x * 1, x
        return x + self.average, x

    def learn(self, x):
        if x.size:
            self.average = 0.9 * self.average + 0.1 * x.reshape(-1, x.shape[-1]).mean(0)

    def backward(self, dy, x):
        return dy * 1


def average_by_hand(x, average, training):
    if not training:
        return x + average, {"average": average}
    return x, {"average": 0.9 * average + 0.1 * sum(x) / len(x)}


class ForgetsWithoutRows(Averages):
    def learn(self, x):
        self.average = 0.9 * self.average
        if x.size:
            self.average = self.average + 0.1 * x.reshape(-1, x.shape[-1]).mean(0)


class NeverLearns(Averages):
    def learn(self, x):
        pass


class LearnsTooFast(Averages):
    def learn(self, x):
        self.average = 0.1 * self.average + 0.9 * x.mean(0)


class WarmsUpByACount(Averages):
    """The average of all batches so far, of which a plain attribute keeps the number."""

    batches = 0

    def learn(self, x):
        self.batches += 1
        k = 1 / self.batches
        self.average = (1 - k) * self.average + k * x.mean(0)


class LearnsGoingBack(Averages):
    def forward(self, x, ctx=INFERENCE):
        return x * 1, x if ctx.training else None

    def backward(self, dy, x):
        if x is not None:
            self.learn(x)
        return dy * 1


class LearnsGoingBackOnce(LearnsGoingBack):
    """Only the second backward pass moves it."""

    def forward(self, x, ctx=INFERENCE):
        return x * 1, [x] if ctx.training else None

    def backward(self, dy, cache):
        if cache is not None:
            if len(cache) > 1:
                self.learn(cache[0])
            cache.append(dy)
        return dy * 1


class LearnsByTheShortcut(LearnsGoingBack):
    def backward(self, dy, x):
        return dy * 1

    def backward_params(self, dy, x):
        if x is not None:
            self.learn(x)


class Multiplies(Averages):
    """y = x * average in inference."""

    def build(self, input_shape):
        self.average = self.buffer("average", input_shape[-1:], 1.0)


class ReadsItsAverageGoingBack(Multiplies):
    def forward(self, x, ctx=INFERENCE):
        if ctx.training:
            self.learn(x)
        return (x * 1 if ctx.training else x * self.average), ctx.training

    def backward(self, dy, training):
        return dy * 1 if training else dy * self.average


class CachesAViewOfItsAverage(ReadsItsAverageGoingBack):
    def forward(self, x, ctx=INFERENCE):
        y, _ = super().forward(x, ctx)
        return y, None if ctx.training else self.average

    def backward(self, dy, k):
        return dy * 1 if k is None else dy * k


class KnowsItsPlaces(Layer):
    """y = x + table, and the table is a constant."""

    def build(self, input_shape):
        self.table = self.buffer("table", input_shape[1:])
        self.table = np.arange(self.table.size, dtype=float).reshape(self.table.shape)

    def forward(self, x, ctx=INFERENCE):
        return x + self.table, None

    def backward(self, dy, cache):
        return dy * 1


class DrawsGlobally(Layer):
    rng_of_all = np.random.default_rng()

    def forward(self, x, ctx=INFERENCE):
        k = 1 + 0.1 * self.rng_of_all.standard_normal(x.shape) if ctx.training else np.ones(x.shape)
        k = k.astype(x.dtype)
        return x * k, k

    def backward(self, dy, k):
        return dy * k


class DrawsOnce(Layer):
    def forward(self, x, ctx=INFERENCE):
        k = np.random.default_rng(0).random(x.shape).astype(x.dtype) if ctx.training else None
        return (x * 1 if k is None else x * k), k

    def backward(self, dy, k):
        return dy * 1 if k is None else dy * k


class ForgetsAnArgument(Layer):
    """The factor is set behind the constructor's back."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.factor = 1.0

    def forward(self, x, ctx=INFERENCE):
        return x * self.factor, None

    def backward(self, dy, cache):
        return dy * self.factor


def with_factor():
    layer = ForgetsAnArgument()
    layer.factor = 3.0
    return layer


class CannotBeCopied(Square):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.lock = (n for n in ())


class KeepsATranspose(Scale):
    def build(self, input_shape):
        super().build(input_shape)
        self.flipped = self.gamma[::-1]

    def forward(self, x, ctx=INFERENCE):
        return self.flipped[::-1] * x, x

    def backward(self, dy, x):
        self.dgamma = sum_rows(dy * x)
        return self.gamma * dy


class SharesItsGradients(Scale):
    def replica(self, memo=None):
        return self


class CopiesItsValues(Scale):
    def replica(self, memo=None):
        import copy

        return copy.deepcopy(self)


class MeanOfSquares(Loss):
    """⟨d²⟩ over the last axis."""

    def values(self, y_true, y_pred):
        d = y_pred - y_true
        return (d * d).mean(-1), d

    def gradient(self, dvalues, d):
        return 2 * dvalues[..., None] * d / d.shape[-1]


class LossForgetsTheMean(MeanOfSquares):
    def gradient(self, dvalues, d):
        return 2 * dvalues[..., None] * d


class LossIgnoresDvalues(MeanOfSquares):
    def gradient(self, dvalues, d):
        return 2 * np.full(d.shape, 1 / len(d), d.dtype) * d / d.shape[-1]


class LossTakesAnyTargets(MeanOfSquares):
    def check_targets(self, y_true, output_shape):
        pass

    def values(self, y_true, y_pred):
        y_true = y_true[: len(y_pred), ..., : y_pred.shape[-1]]
        return super().values(y_true, y_pred)


class LossMakesATable(MeanOfSquares):
    """(the first score - label)²; labels in a column are let in, and meet all rows."""

    def check_targets(self, y_true, output_shape):
        MeanOfSquares.check_targets(self, np.reshape(y_true, (-1, 1)), (*output_shape[:-1], 1))

    def values(self, y_true, y_pred):
        off = y_pred[:, 0] - y_true
        return np.ravel(off**2), (off, y_pred.shape)

    def gradient(self, dvalues, cache):
        off, shape = cache
        dx = np.zeros(shape, off.dtype)
        dx[:, 0] = 2 * off * dvalues
        return dx


class CentresByRawSquares(Layer):
    """y = (x - m) / √(⟨x²⟩ - m² + 1): of numbers around 1,000 the squares leave nothing."""

    def forward(self, x, ctx=INFERENCE):
        m = x.mean(-1, keepdims=True)
        variance = np.maximum((x * x).mean(-1, keepdims=True) - m * m, 0)
        scale = 1 / np.sqrt(variance + 1)
        y = (x - m) * scale
        return y, (y, scale)

    def backward(self, dy, cache):
        y, scale = cache
        return scale * (dy - dy.mean(-1, keepdims=True) - y * (dy * y).mean(-1, keepdims=True))


class LossEndsFarOut(MeanOfSquares):
    """Differences beyond 1,000 count as 1,000."""

    def values(self, y_true, y_pred):
        d = np.clip(y_pred - y_true, -1000, 1000)
        return (d * d).mean(-1), d

    def gradient(self, dvalues, d):
        return super().gradient(dvalues, d) * (abs(d) < 1000)


class LossOfLabels(Loss):
    """-y[label]."""

    places: type = np.int64

    def check_targets(self, y_true, output_shape):
        if np.shape(y_true) != tuple(output_shape[:-1]):
            raise ValueError(f"LossOfLabels expects a label a row, got {np.shape(y_true)}")

    def values(self, y_true, y_pred):
        chosen = y_true.astype(self.places).astype(int)[..., None]
        return -np.take_along_axis(y_pred, chosen, -1)[..., 0], (chosen, y_pred.shape)

    def gradient(self, dvalues, cache):
        chosen, shape = cache
        dx = np.zeros(shape, dvalues.dtype)
        np.put_along_axis(dx, chosen, -dvalues[..., None], -1)
        return dx


class LossOfLabelsInEightBits(LossOfLabels):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.places = np.uint8


class LossWritesIntoTargets(MeanOfSquares):
    def values(self, y_true, y_pred):
        y_true += 0.0
        return super().values(y_true, y_pred)


class LossLeaks(MeanOfSquares):
    def values(self, y_true, y_pred):
        d = y_pred - y_true - (y_true.mean() if len(y_true) else 0)
        return (d * d).mean(-1), d


# ------------------------------------------------------ what is set later, padding, lengths, draws


class Shrinks(Layer):
    """y = share * x."""

    def __init__(self, share=0.5, **kwargs):
        super().__init__(**kwargs)
        self.share = share

    def factor(self):
        return self.share

    def forward(self, x, ctx=INFERENCE):
        return self.factor() * x, None

    def backward(self, dy, cache):
        return self.factor() * dy


class ShrinksAsItWasBuilt(Shrinks):
    def build(self, input_shape):
        self.kept = self.share

    def factor(self):
        return self.kept


class ClipsAtItsFirstLimit(Layer):
    """y = x within the limit, which may be lowered later and not raised."""

    def __init__(self, limit=1.0, **kwargs):
        super().__init__(**kwargs)
        self.limit = limit

    def forward(self, x, ctx=INFERENCE):
        self.first = getattr(self, "first", self.limit)
        limit = min(self.first, self.limit)
        return np.clip(x, -limit, limit), abs(x) < limit

    def backward(self, dy, inside):
        return dy * inside


class PredictsWithTheGammaOfTraining(Scale):
    def build(self, input_shape):
        super().build(input_shape)
        self.kept = self.gamma.copy()

    def forward(self, x, ctx=INFERENCE):
        if ctx.training:
            self.kept = self.gamma.copy()
        return self.kept * x, x


class MeanOfSteps(Layer):
    """The mean over the real steps of a sequence."""

    def compute_output_shape(self, input_shape):
        return input_shape[0], input_shape[2]

    def compute_mask(self, x, mask=None):
        return None

    def weights(self, x, mask):
        real = np.ones(x.shape[:2]) if mask is None else mask.astype(x.dtype)
        return real / self.count(real)

    def count(self, real):
        return np.maximum(real.sum(1, keepdims=True), 1)

    def forward(self, x, ctx=INFERENCE):
        w = self.weights(x, ctx.mask).astype(x.dtype)[..., None]
        return (w * (x if ctx.mask is None else only_real(x, ctx.mask))).sum(1), w

    def backward(self, dy, w):
        return w * dy[:, None]


class MeanOfAllSteps(MeanOfSteps):
    def count(self, real):
        return max(real.shape[1], 1)


class MeanOfNoStep(MeanOfSteps):
    def count(self, real):
        with np.errstate(all="ignore"):
            return 1 / (1 / real.sum(1, keepdims=True))

    def weights(self, x, mask):
        with np.errstate(all="ignore"):
            return super().weights(x, mask)


class ScaleCountsPadding(Scale):
    """dgamma is divided by the share of real steps."""

    def forward(self, x, ctx=INFERENCE):
        y, _ = super().forward(x, ctx)
        return y, (x, 1.0 if ctx.mask is None else max(float(ctx.mask.mean()), 0.1))

    def backward(self, dy, cache):
        x, share = cache
        dx = super().backward(dy, x)
        self.dgamma = self.dgamma / share
        return dx


class PenaltyOfAllRows(Layer):
    penalises = True

    def forward(self, x, ctx=INFERENCE):
        if ctx.penalties is not None:
            ctx.penalties.append(float(np.sum(x * x)))
        return x * 1, (x, ctx.penalties is not None)

    def backward(self, dy, cache):
        x, asked = cache
        return dy + 2 * x if asked else dy * 1


class Noise(Layer):
    """y = x + noise, in training."""

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed

    def noise(self, x):
        return self.rng.standard_normal(x.shape).astype(x.dtype)

    def forward(self, x, ctx=INFERENCE):
        return (x + self.noise(x) if ctx.training else x * 1), None

    def backward(self, dy, cache):
        return dy * 1


class NoiseOfAllRows(Noise):
    def noise(self, x):
        return super().noise(x[:1]) if len(x) else x


class NoiseOfItsSeed(Noise):
    def noise(self, x):
        if self.seed is None:
            return super().noise(x)
        return np.random.default_rng(self.seed).standard_normal(x.shape).astype(x.dtype)


class NoiseOfAPair(Noise):
    """Row 33 has the noise of row 1."""

    def noise(self, x):
        noise = super().noise(x)
        noise[33:34] = noise[1:2] if len(x) > 33 else noise[33:34]
        return noise


class BeginsTwiceAlike(Layer):
    def build(self, input_shape):
        self.a, self.da = self.param("a", input_shape[-1:], "normal")
        self.b, self.db = self.param("b", input_shape[-1:], "normal")
        self.b = self.a

    def forward(self, x, ctx=INFERENCE):
        return self.a * x + self.b, x

    def backward(self, dy, x):
        self.da, self.db = sum_rows(dy * x), sum_rows(dy)
        return self.a * dy


class EndsOfSteps(Layer):
    """The first and the last step."""

    input_spec = InputSpec(ndim=3)

    def compute_output_shape(self, input_shape):
        rows, steps, width = input_shape
        return rows, steps - max(steps - 2, 0), width

    def forward(self, x, ctx=INFERENCE):
        return x[:, [0, -1][: x.shape[1]]], x.shape

    def backward(self, dy, shape):
        dx = np.zeros(shape, dy.dtype)
        dx[:, 0] += dy[:, 0]
        if shape[1] > 1:
            dx[:, -1] += dy[:, 1]
        return dx


class AddsItsPlace(Layer):
    """y = x + the number of the step; step counts calls and not steps."""

    can_step = True

    def places(self, x, start):
        return np.arange(start, start + x.shape[1], dtype=x.dtype)[:, None]

    def forward(self, x, ctx=INFERENCE):
        return x + self.places(x, 0), None

    def backward(self, dy, cache):
        return dy * 1

    def step(self, x, memory):
        start = memory or 0
        return x + self.places(x, start), start + 1


class TwoHalves(Layer):
    """Two outputs, and one mask for both."""

    def compute_output_shape(self, input_shape):
        return input_shape, input_shape

    def compute_mask(self, x, mask=None):
        return mask

    def forward(self, x, ctx=INFERENCE):
        return (0.5 * x, 0.5 * x), None

    def backward(self, dy, cache):
        return 0.5 * (dy[0] + dy[1])


class SumOfMasked(Layer):
    """The sum of two inputs where both masks say so, which there have to be."""

    several_inputs = True

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def compute_mask(self, x, mask=None):
        return None

    def forward(self, x, ctx=INFERENCE):
        real = np.ones(x[0].shape[:2], bool) if ctx.mask is None else ctx.mask[0] & ctx.mask[1]
        return only_real(x[0] + 2 * x[1], real), real

    def backward(self, dy, real):
        dy = only_real(dy, real)
        return dy, 2 * dy


class ForgetsTheCopiesBeyondSixtyFour(Layer):
    """The first column, so many times."""

    def __init__(self, times=3, **kwargs):
        super().__init__(**kwargs)
        self.times = times

    def compute_output_shape(self, input_shape):
        return *input_shape[:-1], self.times

    def forward(self, x, ctx=INFERENCE):
        return np.repeat(x[..., :1], self.times, -1), x.shape

    def backward(self, dy, shape):
        dx = np.zeros(shape, dy.dtype)
        dx[..., 0] = dy[..., :64].sum(-1)
        return dx


class CountsPlacesInEightBits(Layer):
    """y = x · the number of the column."""

    def forward(self, x, ctx=INFERENCE):
        places = np.arange(x.shape[-1]).astype(np.int8).astype(x.dtype)
        return x * places, places

    def backward(self, dy, places):
        return dy * places


class OpensLinearly(Layer):
    """y = x log(1 + exp(raw)), and x raw for a raw above 8."""

    def build(self, input_shape):
        self.raw, self.draw = self.param("raw", input_shape[-1:], "zeros")

    def forward(self, x, ctx=INFERENCE):
        raw = self.raw
        steep = 1 / (1 + np.exp(-raw))
        open_ = np.where(raw > 8, raw, np.log1p(np.exp(np.minimum(raw, 8))))
        return x * open_, (x, open_, np.where(raw > 8, raw.dtype.type(1), steep))

    def backward(self, dy, cache):
        x, open_, steep = cache
        self.draw = sum_rows(dy * x * steep)
        return dy * open_


class SumsByFlatPlaces(Layer):
    """The rows of a table that stands flat; the place of a number is computed in its own dtype."""

    integer_input = True

    def __init__(self, units=2, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.flat, self.dflat = self.param("flat", (5 * self.units,))

    def compute_output_shape(self, input_shape):
        return *input_shape, self.units

    def forward(self, x, ctx=INFERENCE):
        places = (x * np.asarray(self.units).astype(x.dtype))[..., None].astype(int)
        places = places + np.arange(self.units)
        return self.flat[places], places

    def backward(self, dy, places):
        self.dflat = np.bincount(places.ravel(), dy.ravel(), len(self.flat)).astype(dy.dtype)
        return np.zeros(places.shape[:-1])


def mistake(layer, words, inputs=ROWS, **options):
    return layer, words, inputs, options


LOSS = pairs(weighted=False)
CLASSES = pairs("one_hot", "distributions")
COUPLED = ["couples_rows"]
STEPS, PADDED = sequences(), sequences(masked=True)
TWO = (axes("batch", "n"), axes("batch", "n"))
HALF = [(np.arange(12.0).reshape(2, 3, 2), np.array([[True, True, False]] * 2))]
TWO_MASKED = together(HALF, HALF)
ATTENDED = (axes("batch", "t", "n"), axes("batch", "s", "k"), axes("batch", "s", "n"))
L2_OF_IT = {"regularizer": [L2(0.1)]}
PLANTED = {
    "gradients_match_finite_differences": [
        mistake(ForgetsTheTwo, "FAIL"),
        mistake(ForgetsGamma, "FAIL"),
        mistake(LossForgetsTheMean, "FAIL", LOSS),
        mistake(FindsItsMaskInTheOutput, "FAIL", tags=["stochastic"]),
        mistake(ScaleCountsPadding, "FAIL", STEPS),
    ],
    "slopes_at_kinks_are_subgradients": [
        mistake(PaysBothSidesOfTheKink, "FAIL", tags=["piecewise"]),
        mistake(PaysAllThatTie, "FAIL", tags=["piecewise"]),
    ],
    "float32_agrees_with_float64": [
        mistake(GoesThroughFloat16, "units in the last place"),
        mistake(LosesSmallDifferences, "units in the last place"),
        mistake(GoesThroughFloat16Ahead, "digits are lost on the way"),
        mistake(CentresByRawSquares, "where x is around 1000"),
    ],
    "agrees_with_the_reference": [
        mistake(IsAnotherFunction, "as the reference says", reference=lambda x, gamma: gamma * x),
        mistake(
            MeanOfSquares,
            "the reference",
            LOSS,
            reference=lambda y_true, y_pred: np.sum((y_true - y_pred) ** 2),
        ),
        mistake(
            LearnsTooFast,
            "after the pass, average is",
            reference=average_by_hand,
        ),
        mistake(
            CountsPlacesInEightBits,
            "as the reference says",
            reference=lambda x: x * np.arange(x.shape[-1]),
        ),
        mistake(
            LossEndsFarOut,
            "as the reference says",
            LOSS,
            reference=lambda y_true, y_pred: np.mean((y_pred - y_true) ** 2),
        ),
        mistake(
            LossOfLabelsInEightBits,
            "as the reference says",
            pairs("labels", weighted=False),
            reference=lambda y_true, y_pred: -np.mean(y_pred[np.arange(len(y_true)), y_true]),
        ),
        mistake(
            OpensLinearly,
            "as the reference says",
            reference=lambda x, raw: x * np.logaddexp(0, raw),
        ),
    ],
    "shape_and_dtype_are_as_declared": [
        mistake(LeaksFloat64, "forward made float64 from float32"),
        mistake(LeaksFloat64InTheGradient, "dx is float64"),
        mistake(
            lambda: EmbeddingCountsFromItsEnd(5, 2),
            "out of bounds",
            tokens(5),
        ),
        mistake(ComputesInFloat32, "given float64 in training, dx has no more digits than"),
        mistake(RoundsItsGradient, "dgamma has no more digits than float32"),
        mistake(DeclaresAnotherShape, "compute_output_shape says"),
        mistake(MasksAnotherAxis, "compute_mask gives", sequences(masked=True)),
        mistake(EndsOfSteps, "raises TypeError", STEPS),
        mistake(TwoHalves, "compute_mask gives 1 for 2 outputs", PADDED),
        mistake(SumOfMasked, "where input 0 alone has a mask", TWO_MASKED),
    ],
    "a_batch_of_one_and_of_none_works": [
        mistake(SqueezesTheBatch, "for 1 rows y has shape"),
        mistake(DividesByTheRows, "for 0 rows dgamma is not finite"),
        mistake(ForgetsWithoutRows, "a pass of no rows moves"),
        mistake(RemembersNothing, "left remembers_nothing/moving_mean not finite"),
    ],
    "extreme_input_gives_finite_results": [
        mistake(Overflows, "where x is 10000, y holds nan"),
        mistake(DividesByTheNorm, "where x is 0, y holds nan"),
    ],
    "a_wrong_rank_or_width_raises_a_clear_error": [
        mistake(FailsInNumPy, "does not say where"),
        mistake(StretchesInSilence, "set self.input_spec"),
        mistake(LossTakesAnyTargets, "raises nothing", LOSS),
        mistake(LossMakesATable, "given y_true as a column", pairs("labels", weighted=False)),
    ],
    "backward_is_linear_in_dy": [
        mistake(SquaresDy, "of u and of v say"),
        mistake(ClipsDy, "of u and of v say"),
        mistake(IgnoresDy, "dy = 0 gives dgamma"),
        mistake(LossIgnoresDvalues, "dy = 0 gives dx", LOSS),
    ],
    "backward_sets_and_can_be_repeated": [
        mistake(Accumulates, "backward adds to dgamma"),
        mistake(LeavesTheLastGradient, "dgamma, where it has to set it"),
        mistake(UsesItsCacheUp, "the second time, dx"),
    ],
    "params_only_backward_agrees": [
        mistake(ForgetsTheShortcut, "by backward_params, dgamma"),
    ],
    "inputs_are_untouched": [
        mistake(WritesIntoDy, "dy *= 2 * x"),
        mistake(WritesIntoX, "x *= x"),
        mistake(ChangesItsParameter, "changed its parameter"),
        mistake(MakesItsParameterPositive, "changed its parameter"),
        mistake(TanhSeedsTheProcess, "a pass changes the state of np.random"),
        mistake(ReluDrawsFromTheProcess, "a pass changes the state of random"),
        mistake(SigmoidSilencesNumPy, "a pass changes NumPy's error handling"),
        mistake(LossWritesIntoTargets, "y_true += 0.0", LOSS),
    ],
    "kept_results_never_change": [
        mistake(FillsItsBufferAgain, "after another pass, y"),
        mistake(ReturnsItsParameter, "after the parameters were changed, y"),
    ],
    "two_forwards_do_not_interfere": [
        mistake(KeepsItsCache, "in the first of two passes, the second of the same shape, dx"),
        mistake(KeepsItsCacheByShape, "in the first of two passes, the second of the same shape"),
        mistake(KeepsTheFirstCacheOfAShape, "in the second of two passes, the second of the same"),
        mistake(KeepsItsMode, "of two passes, the second of the same shape in"),
        mistake(KeepsTheMaskOfAShape, "of the same shape", sequences(batch=(2, 3), masked=True)),
        mistake(KeepsTheDrawOfAShape, "the second of the same shape", tags=["stochastic"]),
        mistake(StacksItsCaches, "in the first of two passes, the second of"),
        mistake(QueuesItsCaches, "of the same shape in"),
    ],
    "uninitialised_memory_is_never_read": [
        mistake(LeavesMemoryUnwritten, "where np.empty is full of"),
        mistake(ConstructsUnwritten, "where np.empty is full of"),
    ],
    "memory_layout_does_not_matter": [
        mistake(ReadsMemoryInOrder, "with x and dy", shapes(2, 2)),
        mistake(NeedsItContiguous, "flat.shape = (x.size,)", shapes(2, 2)),
        mistake(TakesOneRowForAll, "of an x that is one row broadcast"),
    ],
    "rows_are_independent": [
        mistake(SumsOverTheBatch, "when another row of x changes"),
        mistake(LeaksBackwards, "dy of one row gives dx in others"),
        mistake(LossLeaks, "of row", LOSS),
    ],
    "inference_is_deterministic": [
        mistake(DropsInInference, "the second time, y"),
        mistake(HidesACount, "the second time, y"),
        mistake(SigmoidPredictsByAStraightLine, "where no backward pass follows"),
        mistake(TanhPredictsInPlace, "after a pass where no backward pass follows"),
        mistake(ReluPredictsInOneArray, "after another pass where no backward pass follows"),
    ],
    "only_training_moves_buffers": [
        mistake(CountsItsCalls, "inference moves counts_its_calls/calls"),
        mistake(LearnsGoingBack, "the backward pass of training moves learns_going_back/average"),
        mistake(LearnsGoingBackOnce, "the backward pass of training moves"),
        mistake(LearnsByTheShortcut, "backward_params after training moves"),
    ],
    "training_moves_buffers_alike": [
        mistake(NeverLearns, "no pass in training moves never_learns/average"),
        mistake(NeverLearns, "the tag 'constant_buffers'", sequences(masked=True)),
        mistake(WarmsUpByACount, "from the same start, after other passes, warms_up_by_a_count/"),
        mistake(Averages, "training moves averages/average", tags=["constant_buffers"]),
    ],
    "moving_a_buffer_changes_no_gradient": [
        mistake(ReadsItsAverageGoingBack, "in inference, after another batch has moved"),
        mistake(CachesAViewOfItsAverage, "in inference, after another batch has moved"),
    ],
    "same_seed_same_result": [
        mistake(DrawsGlobally, "built again after the same seed"),
        mistake(DrawsOnce, "200 passes", tags=["stochastic"]),
        mistake(NoiseOfAllRows, "the tag 'shared_draws'", tags=["stochastic"]),
        mistake(NoiseOfAPair, "1 and 33 get the same draws", tags=["stochastic"]),
        mistake(NoiseOfItsSeed, "200 passes", tags=["stochastic"]),
        mistake(BeginsTwiceAlike, "b begins with the numbers of"),
    ],
    "survives_copy_pickle_config_and_save": [
        mistake(with_factor, "of one from its configuration"),
        mistake(CannotBeCopied, "TypeError"),
        mistake(KeepsItsRegularizerToItself, "gamma_regularizer='l2' does not reach"),
        mistake(SharesItsMemory, "after a copy was given other parameters"),
        mistake(TanhGoesBackByAFactorThatNoCopyHas, "of a copy, in inference, dx[0]"),
        mistake(lambda: DenseLosesItsGradientWhenPickled(2), "the gradient of parameter 0"),
    ],
    "parameters_stay_views": [
        mistake(KeepsATranspose, "after the model's vector of values was changed, y"),
    ],
    "a_replica_shares_values_and_owns_gradients": [
        mistake(SharesItsGradients, "the layer's own gradients"),
        mistake(CopiesItsValues, "where it is to share it"),
    ],
    "every_input_counts": [
        mistake(
            AttentionMatchesTheQueryWithItself,
            "neither y nor the loss depends on input 2",
            ATTENDED,
        ),
    ],
    "the_order_of_inputs_counts": [
        mistake(SubtractTakesTheDistance, "say so by the tag 'symmetric'", TWO),
        mistake(Subtract, "after inputs 0 and 1 are exchanged, y", TWO, tags=["symmetric"]),
    ],
    "an_input_used_twice_gets_the_sum": [
        mistake(MultiplyCountsOneArrayOnce, "where two inputs are one array, dx of input 1", TWO),
        mistake(MultiplyForgetsTheSecondInput, "FAIL", TWO),
    ],
    "outputs_pass_back_what_is_theirs": [
        mistake(
            AttentionReturnsEarlyWithoutAGradientOfY,
            "compared with the sum over outputs, dx of input 0",
            ATTENDED,
            configs={"return_attention_scores": [True]},
        ),
    ],
    "an_addition_to_the_loss_is_asked_for": [
        mistake(PenaltyIsKeptQuiet, "no trainer asks it to", configs=L2_OF_IT),
        mistake(PenaltyIsAddedForEachRow, "to the loss, and not a number", configs=L2_OF_IT),
        mistake(PenaltyIsAddedUnasked, "has no len()", configs=L2_OF_IT),
        mistake(PenaltyOfAllRows, "of a batch that is given twice"),
    ],
    "short_ways_agree": [
        mistake(
            lambda: DenseForgetsTheBiasBehindASoftmax(2, activation="softmax"),
            "by backward_logits(dx=True), dbias",
        ),
        mistake(TanhAddsItsBiasTwice, "by finish and backward_finish, y"),
        mistake(CrossentropyIsSummedBehindASoftmax, "by after_softmax, the loss", CLASSES),
        mistake(
            lambda: LSTMBeginsAnewAtEachStep(2, return_sequences=True), "step by step, y", STEPS
        ),
        mistake(lambda: GRUWritesIntoItsMemory(2, return_sequences=True), "step by step, y", STEPS),
        mistake(AddsItsPlace, "step by step, y", STEPS),
    ],
    "what_weighs_nothing_does_not_count": [
        mistake(MeanSquaredErrorIgnoresItsMask, "with other rows under the mask", LOSS),
        mistake(GlobalAverageCountsPadding, "with other numbers at masked steps, y", PADDED),
        mistake(MeanSquaredErrorMultipliesPaddingByZero, "with NaN under the mask", LOSS),
        mistake(MeanSquaredErrorSquaresItsWeights, "that are 2 times as large", LOSS),
        mistake(MeanOfAllSteps, "with more padding behind, y", PADDED),
        mistake(MeanOfNoStep, "where all steps of a row are masked", PADDED),
    ],
    "a_frozen_layer_passes_gradients_on": [
        mistake(lambda: DensePassesNothingBackWhenFrozen(2), "of a frozen one, dx"),
        mistake(lambda: ConvStopsWhenFrozen(2, 1), "of a frozen one, dx", images()),
    ],
    "two_threads_do_not_meet": [
        mistake(TanhComputesInAnArrayOfTheModule, "while another thread runs"),
        mistake(SigmoidGoesBackInAnArrayOfTheModule, ", dx differs"),
        mistake(SoftmaxComputesInAnArrayOfItsOwn, "while another thread runs the same layer, y"),
    ],
    "the_fortieth_call_is_like_the_first": [
        mistake(TanhTiresAfterThirtyCalls, "calls, y differs"),
        mistake(ReluRemembersAllItsInputs, "what it holds on to has grown"),
    ],
    "no_number_is_an_exception": [
        mistake(TanhIsWrongAtQuarters, "in steps of 1/4"),
        mistake(TanhJumpsAtAHalf, "y is another one than on both sides"),
        mistake(LinearIsClippedBeyondAThousand, "where x is of size 1e"),
        mistake(SquaredErrorGetsOneWhereItIsExact, "where x is the target", LOSS),
        mistake(lambda: DenseOfNoKernelHasNoGradient(2), "where kernel is 0", ROWS),
    ],
    "no_size_is_an_exception": [
        mistake(TanhForgetsTheLastOfThirteenNumbers, "of size ("),
        mistake(lambda: DenseOfAThousandRows(2), "of size (1001", ROWS),
        mistake(lambda: DenseOfSquareTiles(2), "of size (", ROWS),
        mistake(BatchNormCorrectsTheVarianceOfTwoRows, "there are 2 of them", tags=COUPLED),
        mistake(ForgetsTheCopiesBeyondSixtyFour, "with times="),
        mistake(
            SumsByFlatPlaces, "of the same integers in uint8", tokens(5), tags=["integer_input"]
        ),
    ],
    "nothing_is_remembered": [
        mistake(lambda: DenseRemembersByTheFirstRow(2), "of an x with another number", ROWS),
        mistake(lambda: DenseRemembersByIdentity(2), "of the same array with other", ROWS),
        mistake(LayerNormFindsItsShortcutOnce, "was set to zeros"),
        mistake(ShrinksAsItWasBuilt, "after share was set to 0.3, y"),
        mistake(ClipsAtItsFirstLimit, "after limit was set to"),
        mistake(PredictsWithTheGammaOfTraining, "was set to another number at one place"),
    ],
    "a_frozen_layer_is_frozen_throughout": [
        mistake(BatchNormGoesOnMovingWhereItIsFrozen, "training moves buffers", tags=COUPLED),
        mistake(BatchNormGoesOnWithItsBatchWhereItIsFrozen, "whose buffers stay", tags=COUPLED),
    ],
}


@pytest.mark.parametrize(
    ("law", "layer", "words", "inputs", "options"),
    [
        pytest.param(law, *found, id=f"{law}-{found[0].__name__}-{number}")
        for law, mistakes in PLANTED.items()
        for number, found in enumerate(mistakes)
    ],
)
def test_a_planted_mistake_breaks_its_law(law, layer, words, inputs, options):
    report = check_layer(layer, inputs, laws=[law], **options)

    (result,) = report.results
    assert not report
    assert result.outcome == "broken", report
    assert words in result.reason
    assert f"breaks the law {law}" in result.reason
    # one case that shows nothing is no mistake
    assert ("To see it again" in result.reason) != ("in all cases tried" in result.reason)


def test_every_law_has_a_planted_mistake():
    assert set(PLANTED) == set(NAMES)


@pytest.mark.parametrize("layer", [Scale, Square, MeanOfSquares])
def test_layers_without_a_mistake_keep_all_laws(layer):
    report = check_layer(layer, LOSS if layer is MeanOfSquares else shapes(1, 3))

    assert report, report


@pytest.mark.parametrize("law", LAWS["v4"], ids=NAMES)
def test_every_law_is_stated_in_its_first_line_and_says_what_it_catches(law):
    statement, _, rest = law.__doc__.partition("\n\n")

    assert statement.strip().endswith(".")
    assert len(rest.split()) > 10


def test_the_page_has_a_section_for_every_law_that_opens_with_its_statement():
    page = (Path(__file__).resolve().parents[2] / "docs" / "laws.md").read_text(encoding="utf-8")
    sections = re.findall(r"^### (\w+)\n\n\*\*(.+?)\*\*", page, re.M | re.S)

    assert [name for name, _ in sections] == NAMES
    for law, (_, stated) in zip(LAWS["v4"], sections, strict=True):
        statement = law.__doc__.partition("\n\n")[0]
        assert " ".join(stated.split()) == " ".join(statement.split()), law.__name__


# -------------------------------------------------------------------------------- how laws behave


BUFFERS = [
    "only_training_moves_buffers",
    "training_moves_buffers_alike",
    "moving_a_buffer_changes_no_gradient",
]


def test_a_moving_average_that_is_right_keeps_the_laws_of_buffers():
    report = check_layer(
        Averages,
        ROWS,
        laws=[*BUFFERS, "agrees_with_the_reference"],
        reference=average_by_hand,
        profile="thorough",
    )

    assert report, report
    assert report.counts["held"] == 4


def test_numbers_that_came_in_float32_may_be_handed_on():
    class Passes(Layer):
        def forward(self, x, ctx=INFERENCE):
            return x * 1, None

        def backward(self, dy, cache):
            return dy * 1

    x = numbers((3, 4)).astype(np.float32)

    check_law("shape_and_dtype_are_as_declared", Passes(), x)
    check_law("shape_and_dtype_are_as_declared", Passes(), x.astype(np.float64))


def test_a_constant_buffer_is_declared():
    assert check_layer(KnowsItsPlaces, ROWS, laws=BUFFERS, tags=["constant_buffers"])
    assert not check_layer(KnowsItsPlaces, ROWS, laws=BUFFERS)


def test_a_frozen_layer_need_not_move_its_buffers():
    def frozen():
        return BatchNormalization(trainable=False)

    assert check_layer(frozen, ROWS, laws=BUFFERS, tags=["couples_rows"])


def test_a_layer_without_buffers_skips_their_laws():
    report = check_layer(Square, ROWS, laws=BUFFERS)

    assert [r.outcome for r in report.results] == ["skipped"] * 3
    assert all("it has no buffers" in r.reason for r in report.results)


def test_a_reference_that_names_a_buffer_that_is_none_is_told():
    with pytest.raises(LawBroken, match="returns a buffer 'mean', and the layer has average"):
        check_law(
            "agrees_with_the_reference",
            Averages(),
            np.ones((2, 3)),
            reference=lambda x: (x, {"mean": 0.0}),
        )


def test_poisoned_memory_is_put_back_whatever_happens():
    real = np.empty, np.empty_like, np.ndarray

    class Raises(Square):
        def forward(self, x, ctx=INFERENCE):
            if np.empty is not real[0]:
                raise RuntimeError("in poisoned memory")
            return super().forward(x, ctx)

    with pytest.raises(LawBroken, match="in poisoned memory"):
        check_law("uninitialised_memory_is_never_read", Raises(), np.ones((2, 3)))
    assert (np.empty, np.empty_like, np.ndarray) == real


def test_arrays_are_arrays_while_memory_is_poisoned():
    class Asks(Square):
        def forward(self, x, ctx=INFERENCE):
            assert isinstance(x, np.ndarray)
            assert not isinstance(1.0, np.ndarray)
            assert issubclass(np.ndarray, np.ndarray)
            assert type(x) == np.ndarray  # noqa: E721
            assert np.ndarray.sum(x) == x.sum()
            return super().forward(x, ctx)

    check_law("uninitialised_memory_is_never_read", Asks(), np.ones((2, 3)))


def test_a_cast_down_to_the_input_is_not_mistaken_for_a_write_into_it():
    check_law("inputs_are_untouched", Dense(2), np.ones((2, 3)))


def test_rows_that_are_coupled_on_purpose_are_skipped_with_the_reason():
    report = check_layer(
        BatchNormalization, ROWS, laws=["rows_are_independent"], tags=["couples_rows"]
    )

    assert report.results[0].outcome == "skipped"
    assert "couples_rows" in report.results[0].reason


def test_batch_normalization_without_the_tag_breaks_the_law_of_independent_rows():
    report = check_layer(BatchNormalization, ROWS, laws=["rows_are_independent"])

    assert report.results[0].outcome == "broken"


def test_a_mask_reaches_the_layer():
    seen = []

    class Looks(Square):
        def forward(self, x, ctx=INFERENCE):
            seen.append(ctx.mask)
            return super().forward(x, ctx)

    check_law(
        "backward_is_linear_in_dy", Looks(), np.ones((2, 3, 1)), mask=np.eye(2, 3, dtype=bool)
    )

    np.testing.assert_array_equal(seen[-1], np.eye(2, 3))


def test_a_gradient_is_checked_under_the_mask():
    class IgnoresTheMaskBackwards(Layer):
        def forward(self, x, ctx=INFERENCE):
            return (x if ctx.mask is None else x * ctx.mask[..., None]), None

        def backward(self, dy, cache):
            return dy * 1

    with pytest.raises(LawBroken, match="FAIL"):
        check_law(
            "gradients_match_finite_differences",
            IgnoresTheMaskBackwards(),
            numbers((2, 3, 1)),
            mask=np.eye(2, 3, dtype=bool),
        )


def test_integers_are_left_alone():
    class Lookup(Layer):
        integer_input = True

        def build(self, input_shape):
            self.table, self.dtable = self.param("table", (4, 2), "ones")

        def compute_output_shape(self, input_shape):
            return (*input_shape, 2)

        def forward(self, x, ctx=INFERENCE):
            return self.table[x], x

        def backward(self, dy, x):
            self.dtable = 0.0 * self.table
            self.dtable[x] += dy  # of duplicates, only the last counts
            return np.zeros(x.shape, dy.dtype)

    report = check_layer(Lookup, tokens(4), tags=["integer_input"])

    assert report.failures[0].law == "gradients_match_finite_differences"


def test_a_layer_with_an_input_spec_raises_the_clear_error_that_the_law_wants():
    class Narrow(StretchesInSilence):
        def build(self, input_shape):
            super().build(input_shape)
            self.input_spec = InputSpec(axes={-1: input_shape[-1]})

    assert check_layer(Narrow, ROWS, laws=["a_wrong_rank_or_width_raises_a_clear_error"])


def test_what_is_left_of_a_cancellation_need_not_have_all_digits():
    # all scores of a row get the same from the key's bias, so its gradient is rounding alone
    x = np.random.default_rng(0).normal(size=(3, 3, 3))
    layer = MultiHeadAttention(1, 1, use_causal_mask=True)

    for seed in range(20):
        check_law("shape_and_dtype_are_as_declared", layer, x=x, training=False, seed=seed)
