"""value = reduction of (weight * values), where values[i] is what sample i (or step i of it) costs.

The author of a loss writes `values` and `gradient`, the derivative of the values alone:

    class MeanSquaredError(Loss):
        def values(self, y_true, y_pred):
            d = y_pred - y_true
            return mean_last(d * d), d

        def gradient(self, dvalues, d):
            return 2 * through_mean(dvalues, d) * d

`dvalues` is dL/dvalues and holds the weights, the mask and the reduction already. With w the merged
weights and N the reduction's divisor (1 for a sum, the number of values for a mean, Σw for a mean
over weights):

    value = Σ_i w_i values_i / N        dvalues_i = w_i / N
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np

from backprop.arguments import argument
from backprop.checks import choice
from backprop.defaults import FloatDtype
from backprop.losses.axes import leading, same_rank
from backprop.losses.targets import WithTargets
from backprop.masks import cleaned, flags

Array = np.ndarray

EPSILON = 1e-7  # Keras' fuzz factor: probabilities are kept this far from 0 and 1
REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)
Reduction = Annotated[str | None, choice(*REDUCTIONS)]


class Loss(WithTargets, kw_only=True, by_position=True):
    """value = Σ_i w_i values_i / N: a layer with two inputs and a number for an output.

        y_true, y_pred: (n, ..., k)    values, w: (n, ...)    value: ()

    A subclass writes `values` and `gradient`. Where its targets have another shape than the
    outputs, `check_targets`, which runs once before training, says which, and `align` brings both
    into the form that `values` takes: the guide's page "Write a loss" has examples.

    Parameters
    ----------
    name : str, optional
        Default: the class' name in snake case.
    reduction : {"sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none", None}
        ``"sum_over_batch_size"`` and ``"mean"`` divide the weighted sum by the number of values,
        ``"mean_with_sample_weight"`` by the sum of the weights; ``"none"`` and None return the
        weighted values.
    dtype : str, optional
        What to compute in. Default: the dtype of `y_pred`.

    Notes
    -----
    A mask counts as weights: ``"mean"`` and ``"sum_over_batch_size"`` divide by the number of
    unmasked entries. Weights and mask meet the values as in Keras: a last axis of length 1 that
    only one of the two has is dropped or added. Weights of shape (n,) always weigh samples, also
    where the values are (n, t).

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.losses import Loss
    >>> class Quartic(Loss):
    ...     def values(self, y_true, y_pred):
    ...         d = y_pred - y_true
    ...         return (d**4).sum(-1), d
    ...     def gradient(self, dvalues, d):
    ...         return dvalues[..., None] * 4 * d**3
    >>> loss = Quartic()
    >>> y_true, y_pred = np.array([[0.0], [0.0]]), np.array([[1.0], [2.0]])
    >>> value, cache = loss.forward(y_true, y_pred)
    >>> float(value)
    8.5
    >>> loss.backward(cache).tolist()
    [[2.0], [16.0]]
    """

    name: str | None = argument(default=None)
    reduction: Reduction = "sum_over_batch_size"
    dtype: FloatDtype = argument(default=None)

    decides = ("activity_regularizer", "trainable", "input_shape", "input_dim")
    domain = ""  # what y_pred must be, for the report of a loss that is not finite
    fixed = ("reduction",)  # a trainer has looked at it

    def __new__(cls, *args, **kwargs):
        if cls.values is Loss.values and hasattr(cls, "call"):
            raise TypeError(
                f"{cls.__name__} is written for Keras' automatic differentiation (call); a loss "
                "derives its own gradient here: rename call to values(self, y_true, y_pred), let "
                "it return (values, cache), and write gradient(self, dvalues, cache) for dy_pred"
            )
        return super().__new__(cls, *args, **kwargs)

    # -------------------------------------------------------- what the author of a loss writes

    def values(self, y_true: Array, y_pred: Array) -> tuple[Array, Any]:
        """What each sample costs, (n, ...), and what `gradient` will need."""
        raise TypeError(
            f"{type(self).__name__} has no values(self, y_true, y_pred): write one that returns "
            "(values, cache)"
        )

    def gradient(self, dvalues: Array, cache: Any) -> Array:
        """dL/dvalues → dL/dy_pred."""
        raise TypeError(
            f"{type(self).__name__} has no gradient(self, dvalues, cache): write one that returns "
            "dy_pred"
        )

    def valid(self, y_true: Array) -> Array | None:
        """Which values count; None for all. A loss that ignores some labels overrides it."""
        return None

    def measure(self, y_true: Array, y_pred: Array, mask: Any) -> tuple[Array, Any, Any]:
        """`values`, and the mask that is to weigh them. A loss with one value for all steps
        of a sequence overrides it, as their mask is no weight there."""
        return *self.pair(self.values(y_true, y_pred), y_pred), mask

    def pair(self, found: Any, y_pred: Array) -> tuple[Array, Any]:
        """`found` as it is, if it is the pair that `values` should return."""
        if not isinstance(found, tuple) or len(found) != 2:
            raise TypeError(
                f"{type(self).__name__}.values should return a pair, (values, cache), and returned "
                f"{describe(found)}; what gradient needs goes into the cache, None if it is nothing"
            )
        if y_pred.ndim > 1 and not getattr(found[0], "ndim", 0):
            raise TypeError(
                f"{type(self).__name__}.values should return what each of the {len(y_pred)} "
                f"samples costs, and returned {describe(found[0])}; the mean is taken elsewhere"
            )
        return found

    def after_softmax(self) -> Loss | None:
        """This loss of a softmax's output, whose `backward` gives dL/dz, z the softmax' input.
        None where the loss knows no shorter way than through the softmax's own derivative."""
        return None

    def align(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        """Both in one dtype and of one rank, as `values` gets them."""
        y_true = y_true.astype(y_pred.dtype, copy=False)
        return (y_true, y_pred) if y_true.ndim == y_pred.ndim else same_rank(y_true, y_pred)

    # -------------------------------------------------------- forward and backward

    # a loss has two inputs where a layer has one
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        y_true: Array,
        y_pred: Array,
        sample_weight: Array | None = None,
        mask: Array | None = None,
    ) -> tuple[Any, Any]:
        """`(value, cache)`: the reduced loss, and what `backward` will need.

        Nothing is validated here, see `check`.

        Parameters
        ----------
        y_true, y_pred : ndarray, (n, ..., k)
        sample_weight : ndarray, (n,) or (n, ...), optional
        mask : array_like of bool, (n, ...), optional
            True where a value counts, whatever stands elsewhere.
        """
        y_true, y_pred = np.asarray(y_true), np.asarray(y_pred)
        if mask is not None:  # weight 0 would not hide an infinity
            mask = flags(mask, type(self).__name__)
            y_true, y_pred = cleaned(y_true, mask), cleaned(y_pred, mask)
        shape, dtype = y_pred.shape, y_pred.dtype
        y_true, y_pred = self.align(y_true, self.cast(y_pred))
        values, cache, mask = self.measure(y_true, y_pred, mask)
        inner, w, total_weight = values.shape, None, values.size
        valid = self.valid(y_true)
        if valid is not None:
            mask = valid if mask is None else valid & self.fit(mask, valid)
        if sample_weight is not None or mask is not None:
            values, w, total_weight = self.weigh(values, sample_weight, mask)
        reduction = self.reduction
        if reduction is None or reduction == "none":
            value, scale, n = values, 1.0, 1
        else:
            value, n = np.add.reduce(values, axis=None), values.size
            if reduction == "sum":
                n = 1
            elif reduction == "mean_with_sample_weight":
                n = total_weight
            scale = 1 / n if n else 0.0  # where all is masked, the loss is 0
            value = value / n if n else value.dtype.type(0)
        if w is None:
            dvalues = np.empty(inner, y_pred.dtype)
            dvalues.fill(scale)
        else:
            dvalues = w * scale
        return value, (cache, dvalues, inner, shape, dtype, n, mask)

    def backward(self, cache: Any, dvalues: Any = None) -> Array:
        """dL/dy_pred, of `y_pred`'s shape and dtype.

        Parameters
        ----------
        cache
            As `forward` returned it.
        dvalues : ndarray, optional
            dL/d(what `forward` returned). Default: ones.
        """
        cache, d, inner, shape, dtype, *_ = cache
        if dvalues is not None:
            d = d * np.asarray(dvalues, d.dtype)
        if d.shape != inner:  # weights of values without a batch axis, or with another last axis
            d = d.reshape(inner) if inner else d.sum()
        dy_pred = self.gradient(d, cache)
        if getattr(dy_pred, "shape", None) != shape:
            dy_pred = self.reshaped(dy_pred, shape)
        return dy_pred if dtype.kind != "f" else dy_pred.astype(dtype, copy=False)

    def reshaped(self, dy_pred: Any, shape: tuple[int, ...]) -> Array:
        """dy_pred in y_pred's own shape, where `align` gave it another."""
        if not isinstance(dy_pred, np.ndarray) or dy_pred.size != math.prod(shape):
            raise TypeError(
                f"{type(self).__name__}.gradient should return dL/dy_pred, an array of y_pred's "
                f"shape {shape}, and returned {describe(dy_pred)}"
            )
        return dy_pred.reshape(shape)

    def weigh(self, values: Array, sample_weight: Any, mask: Any) -> tuple[Array, Array, float]:
        """The weighted values, a weight for each, and the sum of the weights as they came.

        The mask is merged with the weights. Where a mean divides by all entries, the unmasked ones
        get weight all / unmasked, so that those which are masked do not count there.
        """
        w = None
        if sample_weight is not None:
            try:
                w = np.asarray(sample_weight, values.dtype)
            except (TypeError, ValueError):
                raise ValueError(
                    f"{type(self).__name__} expects sample_weight to be numbers, got "
                    f"{sample_weight!r}"
                ) from None
        if mask is not None:
            counted = int(np.count_nonzero(mask))
            mean = self.reduction in ("mean", "sum_over_batch_size") and counted
            m = mask.astype(values.dtype) * (mask.size / counted if mean else 1)
            w = m if w is None else self.product(*same_rank(m, w))
        assert w is not None
        total = float(w.sum())
        values, w = same_rank(values, w)
        weighted = self.product(values, w)
        if weighted.shape != values.shape and values.ndim:
            raise self.misfit(w.shape, values.shape)
        return weighted, np.broadcast_to(leading(w, weighted.shape), weighted.shape), total

    def product(self, a: Array, b: Array) -> Array:
        """a * b, where the one of lower rank may hold the leading axes of the other."""
        a, b = leading(a, b.shape), leading(b, a.shape)
        try:
            return a * b
        except ValueError:
            raise self.misfit(b.shape, a.shape) from None

    def fit(self, mask: Array, valid: Array) -> Array:
        if mask.size == valid.size:
            return mask.reshape(valid.shape)
        if mask.shape != valid.shape[: mask.ndim]:
            raise self.misfit(mask.shape, valid.shape)
        return np.broadcast_to(leading(mask, valid.shape), valid.shape)

    def misfit(self, weights: tuple[int, ...], values: tuple[int, ...]) -> ValueError:
        return ValueError(
            f"{type(self).__name__} has values of shape {values} and got sample_weight or mask of "
            f"shape {weights}; give one weight a sample, (n,), or one a value, and give y_true the "
            "shape of y_pred"
        )

    # -------------------------------------------------------- what everyone gets

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The reduced loss: a scalar, or the weighted values where `reduction` is "none"."""
        y_true, y_pred = self.as_arrays(y_true, y_pred)
        self.check_labels(y_true, y_pred.shape)
        return self.forward(y_true, y_pred, sample_weight)[0]

    def per_sample(self, y_true: Any, y_pred: Any) -> Array:
        """The values before weights and reduction, (n, ...)."""
        y_true, y_pred = self.as_arrays(y_true, y_pred)
        y_true, y_pred = self.align(y_true, self.cast(y_pred))
        return self.pair(self.values(y_true, y_pred), y_pred)[0]


class ReductionFirst(Loss, kw_only=True, by_position=True):
    """A loss whose arguments end in Keras' order: reduction, name, dtype."""

    reduction: Reduction = argument(default="sum_over_batch_size")


def describe(found: Any) -> str:
    """What a method returned, in a word or two."""
    if isinstance(found, np.ndarray):
        return f"an array of shape {found.shape}"
    return "nothing" if found is None else f"an object of type {type(found).__name__}"
