"""Losses of numbers: means over the last axis of a function of the error d = y_pred - y_true."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from backprop.checks import where
from backprop.kernels import losses as kernels
from backprop.losses.at_once import at_once
from backprop.losses.axes import last, mean_last, through_mean, unlast
from backprop.losses.functions import function_of
from backprop.losses.loss import EPSILON, ReductionFirst
from backprop.tuning import SHORT_ROW

Array = np.ndarray
Delta = Annotated[float, where(lambda v: v > 0, "a positive {name}")]


class MeanSquaredError(ReductionFirst):
    """values = ⟨d²⟩, where d = y_pred - y_true and ⟨·⟩ is the mean over the last axis.

        y_true, y_pred, d: (..., k)    values: (...)

    d² changes twice as fast as d does, and each of k elements holds 1/k of the mean:

        dy_pred = 2 d dvalues / k

    Parameters
    ----------
    reduction, name, dtype : as in `Loss`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.losses import MeanSquaredError
    >>> float(MeanSquaredError()(np.array([[0.0, 1.0]]), np.array([[1.0, 3.0]])))
    2.5
    """

    name = "mean_squared_error"

    def values(self, y_true: Array, y_pred: Array) -> tuple[Array, Any]:
        d = y_pred - y_true
        # long rows need no array of squares; short ones are faster by a product with ones
        return (np.vecdot(d, d) / d.shape[-1] if d.shape[-1] > SHORT_ROW else mean_last(d * d)), d

    def gradient(self, dvalues: Array, cache: Any) -> Array:
        d = cache
        return through_mean(2 * dvalues, d) * d

    axis = -1
    forward, backward = at_once(lambda loss, *rows: kernels.squared_error(*rows))


mean_squared_error = function_of(
    MeanSquaredError, "[[0.0, 1.0], [2.0, 2.0]], [[1.0, 3.0], [2.0, 2.0]]", "[2.5, 0.0]"
)


class MeanAbsoluteError(ReductionFirst):
    """values = ⟨|d|⟩, where d = y_pred - y_true and ⟨·⟩ is the mean over the last axis.

        y_true, y_pred, d: (..., k)    values: (...)

    |d| has slope ±1; at the kink d = 0 we take 0, the middle of its slopes:

        dy_pred = sign(d) dvalues / k

    Parameters
    ----------
    reduction, name, dtype : as in `Loss`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.losses import MeanAbsoluteError
    >>> float(MeanAbsoluteError()(np.array([[0.0, 1.0]]), np.array([[1.0, 3.0]])))
    1.5
    """

    name = "mean_absolute_error"

    def values(self, y_true: Array, y_pred: Array) -> tuple[Array, Any]:
        d = y_pred - y_true
        return mean_last(np.abs(d)), d

    def gradient(self, dvalues: Array, cache: Any) -> Array:
        d = cache
        return through_mean(dvalues, d) * np.sign(d)


mean_absolute_error = function_of(MeanAbsoluteError, "[[0.0, 1.0]], [[1.0, 3.0]]", "[1.5]")


class MeanAbsolutePercentageError(ReductionFirst):
    """values = 100 ⟨|d| / s⟩, where d = y_pred - y_true and s = max(|y_true|, 1e-7).

        y_true, y_pred, d, s: (..., k)    values: (...)

    ⟨·⟩ is the mean over the last axis. As the absolute error, each element measured by its own
    scale; 0 at the kink d = 0:

        dy_pred = 100 sign(d) / s dvalues / k

    Parameters
    ----------
    reduction, name, dtype : as in `Loss`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.losses import MeanAbsolutePercentageError
    >>> float(MeanAbsolutePercentageError()(np.array([[2.0, 4.0]]), np.array([[3.0, 3.0]])))
    37.5
    """

    name = "mean_absolute_percentage_error"

    def values(self, y_true: Array, y_pred: Array) -> tuple[Array, Any]:
        d = (y_pred - y_true) / np.maximum(np.abs(y_true), EPSILON)
        return 100 * mean_last(np.abs(d)), (d, y_true)

    def gradient(self, dvalues: Array, cache: Any) -> Array:
        d, y_true = cache
        return through_mean(100 * dvalues, d) * np.sign(d) / np.maximum(np.abs(y_true), EPSILON)


mean_absolute_percentage_error = function_of(
    MeanAbsolutePercentageError, "[[2.0, 4.0]], [[3.0, 3.0]]", "[37.5]"
)


class MeanSquaredLogarithmicError(ReductionFirst):
    """values = ⟨d²⟩, where d = log(1 + p) - log(1 + t), p and t are y_pred and y_true above 1e-7.

        y_true, y_pred, d, p, t: (..., k)    values: (...)

    ⟨·⟩ is the mean over the last axis. Through the square, the logarithm and the clip, which passes
    nothing on at or below 1e-7:

        dy_pred = 2 d / (1 + p) dvalues / k    where y_pred > 1e-7, else 0

    Parameters
    ----------
    reduction, name, dtype : as in `Loss`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.losses import MeanSquaredLogarithmicError
    >>> value = MeanSquaredLogarithmicError()(np.array([[0.0, 1.0]]), np.array([[1.0, 3.0]]))
    >>> round(float(value), 5)  # log(2)²
    0.48045
    """

    name = "mean_squared_logarithmic_error"

    def values(self, y_true: Array, y_pred: Array) -> tuple[Array, Any]:
        p = np.maximum(y_pred, EPSILON)
        t = np.maximum(y_true, EPSILON)
        # log((1 + p) / (1 + t)), whose logarithms would cancel where p is near t
        d = np.log1p(np.abs(p - t) / (1 + np.minimum(p, t)))
        return mean_last(d * d), (np.copysign(d, p - t), y_pred)

    def gradient(self, dvalues: Array, cache: Any) -> Array:
        d, y_pred = cache
        d = through_mean(2 * dvalues, d) * d
        d /= 1 + np.maximum(y_pred, EPSILON)
        d *= y_pred > EPSILON
        return d


mean_squared_logarithmic_error = function_of(
    MeanSquaredLogarithmicError, "[[0.0, 1.0]], [[1.0, 3.0]]", "[0.480453]"
)


class Huber(ReductionFirst):
    """values = ⟨h(y_pred - y_true)⟩, h(d) = ½ d² where |d| <= delta, else delta |d| - ½ delta².

        y_true, y_pred, d: (..., k)    values: (...)

    ⟨·⟩ is the mean over the last axis. The parabola goes on as its tangents, so the slope is the
    parabola's, held within ±delta; there is no kink:

        dy_pred = clip(d, -delta, delta) dvalues / k

    Parameters
    ----------
    delta : float, default 1.0
        Where the parabola ends.
    reduction, name, dtype : as in `Loss`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.losses import Huber
    >>> float(Huber()(np.array([[0.0, 0.0]]), np.array([[1.0, 3.0]])))  # (0.5 + 2.5) / 2
    1.5

    Source: P. Huber, Robust Estimation of a Location Parameter, 1964.
    """

    delta: Delta = 1.0
    name = "huber_loss"

    def values(self, y_true: Array, y_pred: Array) -> tuple[Array, Any]:
        d = y_pred - y_true
        slope = d.clip(-self.delta, self.delta)
        # slope = d within delta and ±delta outside: one expression is both cases of h
        return mean_last(slope * (d - 0.5 * slope)), slope

    def gradient(self, dvalues: Array, cache: Any) -> Array:
        slope = cache
        return through_mean(dvalues, slope) * slope


huber = function_of(Huber, "[[0.0, 0.0]], [[1.0, 3.0]]", "[1.5]")


class LogCosh(ReductionFirst):
    """values = ⟨log cosh d⟩ over the last axis, where d = y_pred - y_true.

        y_true, y_pred, d: (..., k)    values: (...)

    cosh overflows; with a = |d|, the logarithm of e^a (1 + e^(-2a)) / 2 does not, but it cancels
    where d is small and log cosh d is d² / 2. There cosh a - 1 = (e^(-a) - 1)² / 2e^(-a) keeps all
    digits. With m = e^(-a) - 1,

        log cosh d = log1p(m² / (2 + 2m))              for a < 1
        log cosh d = a + log1p(m (m + 2) / 2)          for a ≥ 1

        dy_pred = tanh(d) dvalues / k

    Parameters
    ----------
    reduction, name, dtype : as in `Loss`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.losses import LogCosh
    >>> round(float(LogCosh()(np.array([[0.0, 0.0]]), np.array([[0.0, 1e4]]))), 4)
    4999.6534
    """

    name = "log_cosh"

    def values(self, y_true: Array, y_pred: Array) -> tuple[Array, Any]:
        d = y_pred - y_true
        a = np.abs(d)
        m = np.expm1(-a)
        near = np.maximum(m, -0.7)  # of a < 1 all, and no division by 0 beyond
        near = np.log1p(near * near / (2 + 2 * near))
        far = a + np.log1p(0.5 * m * (m + 2))
        return mean_last(near * (a < 1) + far * (a >= 1)), d

    def gradient(self, dvalues: Array, cache: Any) -> Array:
        d = cache
        return through_mean(dvalues, d) * np.tanh(d)


log_cosh = function_of(LogCosh, "[[0.0, 0.0]], [[0.0, 2.0]]", "[0.662501]")


class CosineSimilarity(ReductionFirst):
    """values = -Σ t̂ p̂ along `axis`, where t̂ = y_true / |y_true| and p̂ = y_pred / |y_pred|.

        y_true, y_pred, t̂, p̂: (..., k)    values, |y_pred|: (...)

    -1 where the two point alike. p̂ moves only across its own direction, so what dp̂ = -t̂ dvalues has
    along p̂ is lost:

        dy_pred = (dp̂ - p̂ Σ dp̂ p̂) / |y_pred|

    A norm below 1e-7 counts as 1e-7; there p̂ = 1e7 y_pred and dy_pred = 1e7 dp̂.

    Parameters
    ----------
    axis : int, default -1
        Along which the vectors lie.
    reduction, name, dtype : as in `Loss`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.losses import CosineSimilarity
    >>> round(float(CosineSimilarity()(np.array([[1.0, 0.0]]), np.array([[3.0, 4.0]]))), 6)
    -0.6
    """

    axis: int = -1
    name = "cosine_similarity"

    def values(self, y_true: Array, y_pred: Array) -> tuple[Array, Any]:
        t, _ = unit(last(y_true, self.axis))
        p, norm = unit(last(y_pred, self.axis))
        cosine = np.vecdot(t, p)
        return -cosine, (t, p, norm, cosine)

    def gradient(self, dvalues: Array, cache: Any) -> Array:
        t, p, norm, cosine = cache
        along = cosine[..., None] * (norm > EPSILON)
        return unlast((p * along - t) / norm * dvalues[..., None], self.axis)


cosine_similarity = function_of(CosineSimilarity, "[[1.0, 0.0]], [[3.0, 4.0]]", "[-0.6]")


def unit(x: Array) -> tuple[Array, Array]:
    """x / |x| along the last axis, and |x|, held above 1e-7."""
    norm = np.maximum(np.sqrt(np.vecdot(x, x)), EPSILON)[..., None]
    return x / norm, norm
