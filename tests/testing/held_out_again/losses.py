"""Two losses: of classes, some of which do not count, and of two classes that weigh differently."""

import numpy as np
from testing.held_out import Authors

from backprop.checks import Fraction
from backprop.linalg import log_softmax, sigmoid
from backprop.losses import Loss
from backprop.testing import pairs

AUTHORS = Authors()
written, wrong = AUTHORS.written, AUTHORS.wrong


@written(pairs("labels"), configs={"ignored": [-1, 0, 1]})
class FocalIgnoring(Loss):
    """values = -(1 - p)² log p, where p = softmax(y_pred)[label]; labels `ignored` do not count.

    y_true: (...)    y_pred: (..., classes)    values: (...)

    With l = log p and f(l) = -(1 - p)² l: f' = 2 p (1 - p) l - (1 - p)², and
    dy_pred = dvalues f' (one_hot - softmax).
    """

    ignored: int = 0

    def valid(self, y_true):
        return self.counted(y_true)

    def counted(self, y_true):
        return y_true != self.ignored

    def check_targets(self, y_true, output_shape):
        self.check_numbers(y_true)
        n = output_shape[0]
        if y_true.shape[1:] != tuple(output_shape[1:-1]) or (n is not None and len(y_true) != n):
            raise ValueError(
                f"{type(self).__name__} expects a label for each row, got {y_true.shape} "
                f"for {output_shape}"
            )

    def align(self, y_true, y_pred):
        return y_true.astype(np.int64), y_pred

    def values(self, y_true, y_pred):
        valid = self.counted(y_true)
        z = np.where(valid[..., None], y_pred, 0)
        labels = np.where(valid, y_true, 0)[..., None]
        l = log_softmax(z)
        q = np.exp(l)
        lp = np.take_along_axis(l, labels, -1)[..., 0]
        p = np.exp(lp)
        rest = self.rest(lp)
        return np.where(valid, -(rest**2) * lp, 0), (valid, labels, q, lp, p, rest)

    def rest(self, lp):
        return -np.expm1(lp)  # 1 - p

    def gradient(self, dvalues, cache):
        valid, labels, q, lp, p, rest = cache
        slope = np.where(valid, 2 * p * rest * lp - rest**2, 0) * dvalues
        d = -q * slope[..., None]
        np.put_along_axis(d, labels, np.take_along_axis(d, labels, -1) + slope[..., None], -1)
        return d


@wrong
class FocalIgnoringInTheMean(FocalIgnoring):
    """The mean is over all labels where `ignored` is above 0."""

    def valid(self, y_true):
        return None if self.ignored > 0 else super().valid(y_true)


@wrong
class FocalIgnoringThatCancels(FocalIgnoring):
    """1 - p is found from p, and has no digits where p is near 1."""

    def rest(self, lp):
        return 1 - np.exp(lp)


@wrong
class FocalIgnoringOfTheSure(FocalIgnoring):
    """The slope of the factor (1 - p)² is left out where p is above 0.99."""

    def gradient(self, dvalues, cache):
        valid, labels, q, lp, p, rest = cache
        return super().gradient(dvalues, (valid, labels, q, np.where(p > 0.99, 0, lp), p, rest))


@wrong
class FocalIgnoringWithACeiling(FocalIgnoring):
    """values stop at 16.118, which is -log 1e-7, and the gradient does not know."""

    def values(self, y_true, y_pred):
        v, cache = super().values(y_true, y_pred)
        return np.minimum(v, v.dtype.type(16.118)), cache


@wrong
class FocalIgnoringOfTurnedLabels(FocalIgnoring):
    """The gradient takes labels by time where there are as many steps as classes."""

    def gradient(self, dvalues, cache):
        valid, labels, q, lp, p, rest = cache
        if labels.ndim == 3 and labels.shape[1] == q.shape[-1]:
            labels = labels.swapaxes(0, 1).reshape(labels.shape)
        return super().gradient(dvalues, (valid, labels, q, lp, p, rest))


@wrong
class FocalIgnoringOfEvenWeights(FocalIgnoring):
    """Where a label is ignored, the rows of the gradient weigh what the heaviest does."""

    def gradient(self, dvalues, cache):
        if dvalues.ndim == 1 and len(dvalues) > 1 and not cache[0].all():
            dvalues = np.full_like(dvalues, dvalues.max())
        return super().gradient(dvalues, cache)


@wrong
class FocalIgnoringUnchecked(FocalIgnoring):
    """Labels are not checked: -1 is the last class, and those of one row stand for all rows."""

    def check_labels(self, y_true, output_shape):
        pass

    def check_targets(self, y_true, output_shape):
        self.check_numbers(y_true)

    def align(self, y_true, y_pred):
        y_true = y_true.astype(np.int64)
        return np.broadcast_to(y_true, y_pred.shape[:-1]) if len(y_true) == 1 else y_true, y_pred


@wrong
class FocalIgnoringInEightBits(FocalIgnoring):
    """Labels have eight bits: from 128 on they are negative, and those below -1 count as 0."""

    def align(self, y_true, y_pred):
        return y_true.astype(np.int8).astype(np.int64), y_pred

    def values(self, y_true, y_pred):
        return super().values(np.where(y_true < -1, 0, y_true), y_pred)


@written(pairs("binary"), configs={"positive": [1.0, 3.0], "smoothing": [0.0, 0.1]})
class WeightedBinary(Loss):
    """values = mean of positive t softplus(-z) + (1 - t) softplus(z), with t smoothed.

    y_true, z: (..., n)    values: (...)

    t = y_true (1 - smoothing) + smoothing / 2, and
    dz = dvalues ((1 - t) sigmoid(z) - positive t sigmoid(-z)) / n.
    """

    positive: float = 2.0
    smoothing: Fraction = 0.1

    def smooth(self, t):
        return t * (1 - self.smoothing) + self.smoothing / 2

    def softplus(self, z):
        return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))

    def values(self, y_true, y_pred):
        t, z = self.smooth(y_true), y_pred
        v = self.positive * t * self.softplus(-z) + (1 - t) * self.softplus(z)
        return v.mean(-1), (t, z)

    def gradient(self, dvalues, cache):
        t, z = cache
        d = (1 - t) * sigmoid(z) - self.positive * t * sigmoid(-z)
        return d * dvalues[..., None] / z.shape[-1]


@wrong
class WeightedBinaryThatSoonIsStraight(WeightedBinary):
    """softplus(z) is z from 15 on."""

    def softplus(self, z):
        return np.where(z > 15, z, super().softplus(z)).astype(z.dtype)


@wrong
class WeightedBinaryOfSoftTargets(WeightedBinary):
    """Targets between 0 and 1 are not smoothed."""

    def smooth(self, t):
        return np.where((t == 0) | (t == 1), super().smooth(t), t)


@wrong
class WeightedBinaryOfRarePositives(WeightedBinary):
    """The gradient is multiplied by `positive` where it is below 1."""

    def gradient(self, dvalues, cache):
        d = super().gradient(dvalues, cache)
        return d * self.positive if self.positive < 1 else d


@wrong
class WeightedBinaryOfSteps(WeightedBinary):
    """The gradient of sequences is divided by the number of steps, and not of features."""

    def gradient(self, dvalues, cache):
        d = super().gradient(dvalues, cache)
        t, _ = cache
        return d * (t.shape[-1] / t.shape[1]) if t.ndim == 3 else d


@wrong
class WeightedBinaryThatCancels(WeightedBinary):
    """log(1 + exp(-|z|)) is found from its sum, and has no digits where |z| is large."""

    def softplus(self, z):
        return np.maximum(z, 0) + np.log(1 + np.exp(-np.abs(z)))


@wrong
class WeightedBinaryInPlace(WeightedBinary):
    """Targets are smoothed in place, if that is allowed."""

    def values(self, y_true, y_pred):
        if y_true.flags.writeable and y_true.dtype == y_pred.dtype:
            y_true[...] = self.smooth(y_true)
            t = y_true
            v = self.positive * t * self.softplus(-y_pred) + (1 - t) * self.softplus(y_pred)
            return v.mean(-1), (t, y_pred)
        return super().values(y_true, y_pred)


@wrong
class WeightedBinaryOfLargeTargets(WeightedBinary):
    """Targets are multiplied by `positive`, in 1 - t too."""

    def values(self, y_true, y_pred):
        t, z = self.positive * self.smooth(y_true), y_pred
        return (t * self.softplus(-z) + (1 - t) * self.softplus(z)).mean(-1), (t, z)

    def gradient(self, dvalues, cache):
        t, z = cache
        return ((1 - t) * sigmoid(z) - t * sigmoid(-z)) * dvalues[..., None] / z.shape[-1]


@wrong
class WeightedBinaryOfSmallNumbers(WeightedBinary):
    """The gradient is 0 where |z| is above 30."""

    def gradient(self, dvalues, cache):
        return np.where(np.abs(cache[1]) > 30, 0, super().gradient(dvalues, cache))
