"""An optimizer, a metric, a regularizer and an initializer."""

from functools import partial
from typing import Any

import numpy as np
from testing.held_out import Authors

from backprop.arguments import argument
from backprop.initializers.draws import RandomInitializer
from backprop.metrics import Metric
from backprop.optimizers.optimizer import Optimizer
from backprop.regularizers import Regularizer
from backprop.testing import (
    check_initializer,
    check_metric,
    check_optimizer,
    check_regularizer,
)

AUTHORS = Authors()
written, wrong = AUTHORS.written, AUTHORS.wrong


def belief(w, gradients):
    m = s = 0
    for k, g in enumerate(gradients, 1):
        m = 0.9 * m + 0.1 * g
        s = 0.99 * s + 0.01 * (g - m) ** 2
        w = w - 0.1 * (m / (1 - 0.9**k)) / (np.sqrt(s / (1 - 0.99**k)) + 1e-6)
        yield w


@written(check=check_optimizer, make=lambda cls: cls(0.1), reference=belief)
class Belief(Optimizer):
    """w ← w - learning_rate m̂ / (√ŝ + eps), where s is the mean of (g - m)².

    m ← beta m + (1 - beta) g    s ← 0.99 s + 0.01 (g - m)²

    In the k-th step m̂ = m / (1 - beta^k), and ŝ = s / (1 - 0.99^k).
    """

    learning_rate: Any = argument(default=0.001)
    beta: float = 0.9
    eps: float = 1e-6
    scratch = 2

    def slots(self):
        return [("m",), ("s",)]

    def begin(self, lr):
        k = int(self.iterations) + 1
        self._c1 = 1 - self.beta**k
        self._c2 = 1 - 0.99**k

    def update(self, w, g, lr, *work):
        m, s, t, u = work
        m *= self.beta
        np.multiply(g, 1 - self.beta, out=t)
        m += t
        np.subtract(g, m, out=t)
        t *= t
        t *= 0.01
        s *= 0.99
        s += t
        np.divide(s, self._c2, out=t)
        np.sqrt(t, out=t)
        t += self.eps
        np.divide(m, t, out=u)
        u *= lr / self._c1
        w -= u


@wrong
class BeliefWithEpsInside(Belief):
    """eps is added below the root."""

    def update(self, w, g, lr, *work):
        before = w.copy()
        super().update(w, g, lr, *work)
        m, s, *_ = work
        w[...] = before - lr / self._c1 * m / np.sqrt(s / self._c2 + self.eps)


@wrong
class BeliefUncorrectedLater(Belief):
    """ŝ is s after 100 steps."""

    def begin(self, lr):
        super().begin(lr)
        if int(self.iterations) >= 100:
            self._c2 = 1


@wrong
class BeliefThatCountsForItself(Belief):
    """Steps are counted in an attribute, and begin at 1 where training is resumed."""

    _count = 0

    def begin(self, lr):
        self._count += 1
        self._c1, self._c2 = 1 - self.beta**self._count, 1 - 0.99**self._count


@wrong
class BeliefOfModestGradients(Belief):
    """Gradients are clipped at -10,000 and 10,000."""

    def update(self, w, g, lr, *work):
        super().update(w, np.clip(g, -1e4, 1e4), lr, *work)


@wrong
class BeliefOfLargeGradients(Belief):
    """Gradients below a thousandth count as 0."""

    def update(self, w, g, lr, *work):
        super().update(w, np.where(np.abs(g) < 1e-3, 0, g), lr, *work)


@wrong
class BeliefOfTheFirstBeta(Belief):
    """m̂ takes beta as it was when the optimizer was made."""

    def __post_init__(self):
        self._beta = self.beta

    def begin(self, lr):
        super().begin(lr)
        self._c1 = 1 - self._beta ** (int(self.iterations) + 1)


def within(y_true, y_pred):
    return np.mean(np.abs(y_true - y_pred) <= 0.5)


def of_rows(values, n):
    """The mean of each of n rows."""
    return values.reshape(n, -1).mean(1) if n else np.zeros(0)


@written(check=check_metric, reference=within)
class Within(Metric):
    """The share of |y_true - y_pred| <= tolerance: each row's mean, weighed."""

    tolerance: float = 0.5

    def __post_init__(self):
        self.hits = self.add_variable(name="hits")
        self.seen = self.add_variable(name="seen")

    def inside(self, t, p):
        return (np.abs(t - p) <= self.tolerance).astype(np.float64)

    def update_state(self, y_true, y_pred, sample_weight=None):
        v = self.inside(np.asarray(y_true, np.float64), np.asarray(y_pred, np.float64))
        n = len(v)
        v, w = of_rows(v, n), np.ones(n)
        if sample_weight is not None:
            w = of_rows(np.asarray(sample_weight, np.float64), n)
        self.hits += (v * w).sum()
        self.seen += w.sum()

    def result(self):
        return self.cast(self.hits / self.seen if self.seen else 0.0)


@wrong
class WithinButNotAt(Within):
    """What is off by the tolerance does not count."""

    def inside(self, t, p):
        return (np.abs(t - p) < self.tolerance).astype(np.float64)


@wrong
class WithinByTheRow(Within):
    """A batch with a weight above 3 is divided by its number of rows, and not by its weight."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        before = float(self.seen)
        super().update_state(y_true, y_pred, sample_weight)
        if sample_weight is not None and (np.asarray(sample_weight) > 3).any():
            self.seen = before + len(y_true)


@wrong
class WithinInSinglePrecision(Within):
    """Predictions are rounded to float32."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(y_true, np.asarray(y_pred, np.float32), sample_weight)


@wrong
class WithinTheirBits(Within):
    """Of unsigned numbers the difference is found in the dtype of targets, and wraps."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        t, p = np.asarray(y_true), np.asarray(y_pred)
        if t.dtype.kind == "u" or p.dtype.kind == "u":
            d = np.subtract(t, p.astype(t.dtype))
            return super().update_state(np.zeros(d.shape), d, sample_weight)
        return super().update_state(t, p, sample_weight)


@wrong
class WithinTheLastView(Within):
    """The last batch is kept as views of it, and counted with the next, or with the result."""

    _last = None

    def update_state(self, y_true, y_pred, sample_weight=None):
        self._count_last()
        self._last = (np.asarray(y_true), np.asarray(y_pred), sample_weight)

    def _count_last(self):
        if self._last is not None:
            last, self._last = self._last, None
            super().update_state(*last)

    def result(self):
        self._count_last()
        return super().result()


def group_lasso(w):
    squares = (np.sum(w[..., j] ** 2) for j in range(w.shape[-1]))
    return 0.1 * sum((square + 1e-4) ** 0.5 - 0.01 for square in squares)


@written(check=check_regularizer, make=lambda cls: cls(0.1), reference=group_lasso)
class GroupLasso(Regularizer):
    """factor Σ_j (l_j - delta), where l_j² = |w[..., j]|² + delta²: a smooth length of each group.

    dw = factor w / l.
    """

    factor: float = 0.1
    delta: float = 0.01

    def lengths(self, w):
        w = w.astype(np.float64)
        return w, np.sqrt((w**2).sum(tuple(range(w.ndim - 1))) + self.delta**2)

    def __call__(self, w):
        _, l = self.lengths(w)
        return self.factor * float((l - self.delta).sum())

    def gradient(self, w):
        v, l = self.lengths(w)
        return (self.factor * v / l).astype(w.dtype)


@wrong
class GroupLassoOfSquareMatrices(GroupLasso):
    """The gradient takes rows for groups where w is square and has more than two of them."""

    def gradient(self, w):
        if w.ndim == 2 and w.shape[0] == w.shape[1] > 2:
            return np.ascontiguousarray(super().gradient(w.T).T)
        return super().gradient(w)


@wrong
class GroupLassoThatStopsShort(GroupLasso):
    """A group has no gradient where its length is above delta by less than a hundred-millionth."""

    def gradient(self, w):
        _, l = self.lengths(w)
        return np.where(l < self.delta * (1 + 1e-8), 0, super().gradient(w)).astype(w.dtype)


@wrong
class GroupLassoOfTwoAxes(GroupLasso):
    """Of an array of four axes the length of a group is summed over the first two alone."""

    def lengths(self, w):
        if w.ndim != 4:
            return super().lengths(w)
        w = w.astype(np.float64)
        return w, np.sqrt((w**2).sum((0, 1), keepdims=True) + self.delta**2)


@wrong
class GroupLassoOf512Groups(GroupLasso):
    """Groups from the 513th on have no gradient."""

    def gradient(self, w):
        dw = super().gradient(w)
        dw[..., 512:] = 0
        return dw


@wrong
class GroupLassoOfModestLengths(GroupLasso):
    """The gradient divides by 1,000 where a group is longer."""

    def gradient(self, w):
        v, l = self.lengths(w)
        return (self.factor * v / np.minimum(l, 1e3)).astype(w.dtype)


@written(check=partial(check_initializer, mean=0, std=0.5 * 0.75**0.5), make=lambda cls: cls())
class SparseNormal(RandomInitializer):
    """Normal numbers with standard deviation std, of which a share `zeros` is 0."""

    std: float = 0.5
    zeros: float = 0.25

    def draw(self, shape, rng):
        w = self.std * rng.standard_normal(shape)
        return np.where(rng.random(shape) < self.zeros, 0.0, w)


@wrong
class SparseNormalOfWholeRows(SparseNormal):
    """All numbers of a row are 0 together."""

    def draw(self, shape, rng):
        w = self.std * rng.standard_normal(shape)
        each = rng.random(shape[:1])
        each = each.reshape(each.shape + (1,) * max(len(shape) - 1, 0))
        return np.where(each < self.zeros, 0.0, w)


@wrong
class SparseNormalOfOneSign(SparseNormal):
    """Where `zeros` is 0 all numbers are positive."""

    def draw(self, shape, rng):
        if self.zeros:
            return super().draw(shape, rng)
        return np.abs(self.std * rng.standard_normal(shape))


@wrong
class SparseNormalByItsVariance(SparseNormal):
    """std is the variance."""

    def draw(self, shape, rng):
        return super().draw(shape, rng) * self.std**-0.5


@wrong
class SparseNormalCutAtThree(SparseNormal):
    """Numbers end at three standard deviations."""

    def draw(self, shape, rng):
        return np.asarray(np.clip(super().draw(shape, rng), -3 * self.std, 3 * self.std))
