"""Losses of networks that say how sure they are: a mean with a variance, or quantiles."""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np

from backprop import checks
from backprop.arguments import Convert
from backprop.checks import NumberAboveZero, choice
from backprop.input_spec import show_shape
from backprop.losses.axes import agree, mean_last, through_mean
from backprop.losses.functions import function_of
from backprop.losses.loss import ReductionFirst

Array = np.ndarray
Shape = tuple[int | None, ...]


class GaussianNLL(ReductionFirst):
    """values = ⟨½ (log v + d² / v)⟩, d = mean - y_true: -log of a normal density, both learnt.

        y_true, mean, s, v, d: (..., k)    y_pred: (..., 2 k), mean and then s    values: (...)

    ⟨·⟩ is the mean over the k numbers. s says the variance v: it is log v, so that a layer without
    an activation may predict it, or, with ``spread="variance"``, v itself. v is held at `eps` or
    above. Both derivatives by v vanish at v = d²: where the network errs by much it says so.

        dmean = d / v dvalues / k
        ds    = ½ (1 - d² / v) dvalues / k         for s = log v
        ds    = ½ (1 - d² / v) / v dvalues / k     for s = v

    and ds = 0 where v was held.

    Parameters
    ----------
    spread : {"log_variance", "variance"}, default "log_variance"
        What the second half of the outputs is. A variance comes from softplus or exp.
    full : bool, default False
        Whether to add ½ log(2 π), a constant, so that the value is -log of the density.
    eps : float, default 1e-6
        The least variance.
    reduction, name, dtype : as in `Loss`

    Notes
    -----
    ``Dense(2 * k)`` is a last layer for it; ``y_pred[..., :k]`` are the means. Keras has no such
    loss. PyTorch's GaussianNLLLoss takes mean and variance as two arrays and has these numbers; as
    automatic differentiation does not see how it holds the variance, its gradient there is another.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.losses import GaussianNLL
    >>> y_true, y_pred = np.array([[1.0]]), np.array([[3.0, np.log(4.0)]])  # off by one sigma
    >>> round(float(GaussianNLL()(y_true, y_pred)), 6)  # (log 4 + 1) / 2
    1.193147
    >>> round(float(GaussianNLL("variance")(y_true, np.array([[3.0, 4.0]]))), 6)
    1.193147

    Source: D. Nix and A. Weigend, Estimating the mean and variance of the target probability
    distribution, 1994.
    """

    spread: Annotated[str, choice("log_variance", "variance")] = "log_variance"
    full: bool = False
    eps: NumberAboveZero = 1e-6
    name = "gaussian_nll"
    domain = "means and then variances, each of which is positive: end in softplus"

    def align(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        y_true = y_true.astype(y_pred.dtype, copy=False)
        return (y_true if y_true.ndim == y_pred.ndim else y_true[..., None]), y_pred

    def values(self, y_true: Array, y_pred: Array) -> tuple[Array, Any]:
        k = y_pred.shape[-1] // 2
        d, s = y_pred[..., :k] - y_true, y_pred[..., k:]
        if self.spread == "variance":
            v = np.maximum(s, self.eps)
            logv, free = np.log(v), (s > self.eps) / v
        else:
            least = math.log(self.eps)
            logv = np.maximum(s, least)
            v, free = np.exp(np.minimum(logv, 80)), s > least
        pull = d / v
        constant = math.log(2 * math.pi) if self.full else 0
        return 0.5 * (mean_last(logv + pull * d) + constant), (d, pull, free)

    def gradient(self, dvalues: Array, cache: Any) -> Array:
        d, pull, free = cache
        share = through_mean(dvalues, d)
        return np.concatenate([share * pull, 0.5 * share * free * (1 - pull * d)], axis=-1)

    def check_targets(self, y_true: Array, output_shape: Shape) -> None:
        self.check_numbers(y_true)
        *places, last = output_shape or (1,)
        pairs = (*places, None if last is None else last // 2)
        one = last in (None, 2) and agree(y_true.shape, tuple(places))
        if (last is not None and last % 2) or not (agree(y_true.shape, pairs) or one):
            k = y_true.shape[-1] if y_true.ndim > 1 else 1
            raise ValueError(
                f"{type(self).__name__} expects outputs with twice as many numbers as the targets, "
                f"the means and then what says the variances, and got outputs of shape "
                f"{show_shape(output_shape)} for targets of shape {show_shape(y_true.shape)}; end "
                f"in Dense({2 * k})"
            )


gaussian_nll = function_of(GaussianNLL, "[[1.0]], [[3.0, 0.0]]", "[2.0]")


def levels(value: Any, who: str, name: str) -> float | list[float]:
    """A number between 0 and 1, or several."""
    several = isinstance(value, list | tuple | np.ndarray)
    given = checks.sequence(value, who, name) if several else [value]
    found = [checks.fraction(v, who, name) for v in given]
    if not found or not all(0 < v < 1 for v in found):
        raise ValueError(f"{who} expects {name} to be a number between 0 and 1, got {value!r}")
    return found if several else found[0]


class Quantile(ReductionFirst):
    """values = ⟨max(q d, (q - 1) d)⟩, d = y_true - y_pred: the pinball loss of the q-th quantile.

        y_true, y_pred, d: (..., k)    values: (...), the mean over k                     one q
        y_true: (...) or (..., 1)    y_pred: (..., k)    values: (...)                   k of them

    A number that is too low by d costs q d, and one too high by d costs (1 - q) d; the best guess
    is where a part q of the targets lies below. With several quantiles the last axis of y_pred has
    one for each. At the kink d = 0 we take 0, which is between the slopes:

        dy_pred = -q dvalues / k           where d > 0
        dy_pred = (1 - q) dvalues / k      where d < 0

    Parameters
    ----------
    quantile : float or sequence of float, default 0.5
        Between 0 and 1. A half is half the absolute error, whose best guess is the median.
    reduction, name, dtype : as in `Loss`

    Notes
    -----
    Keras has no such loss. It is scikit-learn's ``mean_pinball_loss(alpha=)``. Three numbers a
    sample, ``Quantile([0.05, 0.5, 0.95])`` behind ``Dense(3)``, give a guess with an interval
    around it; nothing keeps them in order.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.losses import Quantile
    >>> y_true, y_pred = np.array([[1.0]]), np.array([[0.0, 3.0]])
    >>> round(float(Quantile([0.25, 0.75])(y_true, y_pred)), 6)  # (0.25 * 1 + 0.25 * 2) / 2
    0.375

    Source: R. Koenker and G. Bassett, Regression Quantiles, 1978.
    """

    quantile: Annotated[Any, Convert(levels)] = 0.5
    name = "quantile"

    @property
    def several(self) -> bool:
        return isinstance(self.quantile, list)

    def align(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        if not self.several:
            return super().align(y_true, y_pred)
        y_true = y_true.astype(y_pred.dtype, copy=False)
        return (y_true if y_true.ndim == y_pred.ndim else y_true[..., None]), y_pred

    def values(self, y_true: Array, y_pred: Array) -> tuple[Array, Any]:
        d = y_true - y_pred
        q = np.asarray(self.quantile, d.dtype)
        slope = q * (d > 0) - (1 - q) * (d < 0)
        return mean_last(slope * d), slope

    def gradient(self, dvalues: Array, cache: Any) -> Array:
        slope = cache
        return -through_mean(dvalues, slope) * slope

    def check_targets(self, y_true: Array, output_shape: Shape) -> None:
        if not self.several:
            return super().check_targets(y_true, output_shape)
        self.check_numbers(y_true)
        *places, last = output_shape or (1,)
        k = len(self.quantile)
        fits = any(agree(y_true.shape, (*places, *end)) for end in ((), (1,)))
        if last not in (None, k) or not fits:
            raise ValueError(
                f"{type(self).__name__} of {k} quantiles expects outputs of shape (..., {k}), one "
                f"for each, and targets of shape (...) or (..., 1), and got outputs of shape "
                f"{show_shape(output_shape)} and targets of shape {show_shape(y_true.shape)}; end "
                f"in Dense({k})"
            )


quantile = function_of(Quantile, "[[1.0]], [[0.0, 3.0]], quantile=[0.25, 0.75]", "[0.375]")
