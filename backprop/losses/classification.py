"""Cross-entropies: what probabilities, or the logits behind them, leave open of the labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.arguments import argument
from backprop.kernels import losses as kernels
from backprop.linalg import max_last, multiples, rows, sum_last
from backprop.losses.at_once import at_once
from backprop.losses.axes import last, mean_last, through_mean, unlast
from backprop.losses.functions import function_of
from backprop.losses.labels import (
    Axis,
    BinaryLabels,
    ClassNumbers,
    OneHotLabels,
    Smoothed,
    check_probabilities,
    smooth,
)
from backprop.losses.loss import EPSILON, Loss
from backprop.promises import short_for
from backprop.tuning import SHORT_ROW

Array = np.ndarray
SAID_SHORTER = ("values", "gradient", "valid", "measure", "weigh", "forward", "backward")


class BinaryCrossentropy(Smoothed, BinaryLabels):
    """values = ⟨-t log p - (1 - t) log(1 - p)⟩ along `axis`, where t holds the labels.

        y_true, y_pred, t, p: (..., k)    values: (...)

    ⟨·⟩ is the mean; p is y_pred held within [1e-7, 1 - 1e-7], and the clip passes nothing on
    outside:

        dy_pred = (p - t) / (p (1 - p)) dvalues / k    where 1e-7 <= y_pred <= 1 - 1e-7, else 0

    With `from_logits`, p = sigmoid(z) with z = y_pred; its slope p (1 - p) cancels the divisor, and
    the logarithms join into a form in which no exponent is positive:

        values = ⟨max(z, 0) - t z + log1p(e)⟩, e = exp(-|z|)        dy_pred = (p - t) dvalues / k

    For z > 0, where p may be nearly 1, p - t = (1 - t) - q with the probability q = e / (1 + e) of
    the other label: no digit is lost, however certain the prediction is.

    Parameters
    ----------
    from_logits : bool, default False
        Whether `y_pred` holds logits. Prefer it: it is exact for every logit.
    label_smoothing : float in [0, 1], default 0.0
        Labels are drawn to 1/2: t = (1 - label_smoothing) y_true + label_smoothing / 2.
    axis : int, default -1
        Along which the mean is taken.
    reduction, name, dtype : as in `Loss`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.losses import BinaryCrossentropy
    >>> round(float(BinaryCrossentropy()(np.array([[1.0]]), np.array([[0.5]]))), 6)  # log 2
    0.693147
    >>> float(BinaryCrossentropy(from_logits=True)(np.array([[0.0]]), np.array([[1e4]])))
    10000.0
    """

    name = "binary_crossentropy"

    def values(self, y_true: Array, y_pred: Array) -> tuple[Array, Any]:
        t, y_pred = (
            smooth(last(y_true, self.axis), self.label_smoothing, 2),
            last(y_pred, self.axis),
        )
        if self.from_logits:
            z, far = y_pred, np.abs(y_pred)
            e, wrong = np.exp(-far), np.where(z > 0, 1 - t, t)
            # max(z, 0) - t z, where a certain logit on the right side costs 0, an infinite one too
            cost = np.multiply(far, wrong, out=np.zeros_like(far), where=wrong != 0)
            return mean_last(cost + np.log1p(e)), (t, z, e)
        p = y_pred.clip(EPSILON, 1 - EPSILON)
        return mean_last(-t * np.log(p) - (1 - t) * np.log(1 - p)), (t, p, p == y_pred)

    def gradient(self, dvalues: Array, cache: Any) -> Array:
        if self.from_logits:
            t, z, e = cache
            right = (z > 0).astype(z.dtype)
            sign = 1 - 2 * right
            dy_pred = sign * (e / (1 + e) - (right + sign * t))
        else:
            t, p, inside = cache
            dy_pred = (p - t) / (p * (1 - p)) * inside
        dy_pred *= through_mean(dvalues, dy_pred)
        return unlast(dy_pred, self.axis)

    def check_labels(self, y_true: Array, output_shape: tuple[int | None, ...]) -> None:
        advice = "for labels of -1 and 1 use Hinge, for more classes SparseCategoricalCrossentropy"
        check_probabilities(self, y_true, advice)

    def advice(self, shape: tuple[int | None, ...]) -> str:
        if len(shape) == 1 or shape[1:] == (1,):
            return (
                "; for two classes give the last layer 1 unit, for more use "
                "SparseCategoricalCrossentropy"
            )
        return super().advice(shape)


binary_crossentropy = function_of(BinaryCrossentropy, "[[1.0, 0.0]], [[0.5, 0.5]]", "[0.693147]")


class CategoricalCrossentropy(Smoothed, OneHotLabels):
    """values = -Σ t log q along `axis`, where t holds the labels, one-hot or soft.

        y_true, y_pred, t, q: (..., k)    values, s: (...)

    q = y_pred / s with s = Σ y_pred, and the logarithm sees q held within [1e-7, 1 - 1e-7]. So
    dq = -t / q where q is inside, else 0; and since Σ q = 1 whatever y_pred is, what dq has in
    common falls away:

        dy_pred = (dq - Σ dq q) / s dvalues

    With `from_logits`, q = softmax(y_pred) and log q = y_pred - log Σ exp(y_pred), of which

        dy_pred = (q Σ t - t) dvalues

    Parameters
    ----------
    from_logits, reduction, name, dtype : as in `BinaryCrossentropy`
    label_smoothing : float in [0, 1], default 0.0
        Labels are drawn to the mean: t = (1 - label_smoothing) y_true + label_smoothing / k, with
        the k classes along `axis`. (Keras up to 3.15 divides by the length of the last axis.)
    axis : int, default -1
        Along which the classes lie.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.losses import CategoricalCrossentropy
    >>> y_true = np.array([[0.0, 1.0]])
    >>> round(float(CategoricalCrossentropy()(y_true, np.array([[0.75, 0.25]]))), 6)  # log 4
    1.386294
    >>> float(CategoricalCrossentropy(from_logits=True)(y_true, np.array([[1e4, 0.0]])))
    10000.0
    """

    fixed = ("from_logits",)  # whether there is a shorter way rests on it
    name = "categorical_crossentropy"

    def values(self, y_true: Array, y_pred: Array) -> tuple[Array, Any]:
        t, y_pred = last(y_true, self.axis), last(y_pred, self.axis)
        t = smooth(t, self.label_smoothing, t.shape[-1])
        if self.from_logits:
            z, e, s = exponentials(y_pred)
            total = sum_last(t)
            return total * np.log(s) - np.vecdot(t, z), (t, e, s, total)
        q, s = normalise(y_pred)
        p = q.clip(EPSILON, 1 - EPSILON)
        return -np.vecdot(t, np.log(p)), (t, q, s, p)

    def gradient(self, dvalues: Array, cache: Any) -> Array:
        if self.from_logits:
            t, e, s, total = cache
            dy_pred = e * (total * dvalues / s)[..., None]
            dy_pred -= t * dvalues[..., None]
            # Σ dy_pred is 0 but for what was rounded, nearly all of it where q is nearly 1
            dy_pred -= e * (sum_last(dy_pred) / s)[..., None]
        else:
            t, q, s, p = cache
            dq = -t / p * (p == q)
            dy_pred = (dq - np.vecdot(dq, q)[..., None]) * (dvalues / s)[..., None]
        return unlast(dy_pred, self.axis)

    @short_for(*SAID_SHORTER)
    def after_softmax(self) -> Loss | None:
        return None if self.from_logits else CategoricalAfterSoftmax(self)

    def check_labels(self, y_true: Array, output_shape: tuple[int | None, ...]) -> None:
        super().check_labels(y_true, output_shape)
        check_probabilities(self, y_true, "for class numbers use SparseCategoricalCrossentropy")


categorical_crossentropy = function_of(
    CategoricalCrossentropy, "[[0.0, 1.0]], [[0.75, 0.25]]", "[1.386294]"
)


class SparseCategoricalCrossentropy(ClassNumbers):
    """values = -log q[label] along `axis`, where labels are class numbers.

        y_true: (...)    y_pred, q: (..., k)    values, s: (...)

    q = y_pred / s with s = Σ y_pred, and the logarithm sees q[label] held within [1e-7, 1 - 1e-7].
    With δ one-hot at the label, through the quotient, and 0 where q[label] is outside:

        dy_pred = (1 - δ / q) / s dvalues

    With `from_logits`, q = softmax(y_pred), values = log Σ exp(y_pred) - y_pred[label] and

        dy_pred = (q - δ) dvalues

    where q - 1 of the label is taken as minus the sum of the other q, which nothing cancels.

    Parameters
    ----------
    from_logits : bool, default False
        Whether `y_pred` holds logits. Prefer it: it is exact for every logit.
    ignore_class : int, optional
        A label that counts as masked: its values and gradients are 0.
    reduction : str, default "sum_over_batch_size"
        See `Loss`.
    axis : int, default -1
        Along which the classes lie.
    name : str
    dtype : str, optional
        What to compute in. Default: the dtype of `y_pred`.

    Notes
    -----
    Labels are integers (or floats that hold them) of shape (n, ...) or (n, ..., 1).

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.losses import SparseCategoricalCrossentropy
    >>> round(float(SparseCategoricalCrossentropy()([1], np.array([[0.75, 0.25]]))), 6)  # log 4
    1.386294
    >>> loss = SparseCategoricalCrossentropy(from_logits=True)
    >>> value, cache = loss.forward(np.array([1, 0]), np.zeros((2, 2)))
    >>> loss.backward(cache).tolist()
    [[0.25, -0.25], [-0.25, 0.25]]
    """

    fixed = ("from_logits", "ignore_class")  # whether there is a shorter way rests on them

    from_logits: bool = False
    ignore_class: int | None = argument(default=None)
    axis: Axis = argument(default=-1, after="reduction")
    name = "sparse_categorical_crossentropy"

    def valid(self, y_true: Array) -> Array | None:
        return None if self.ignore_class is None else y_true != self.ignore_class

    def values(self, y_true: Array, y_pred: Array) -> tuple[Array, Any]:
        valid, x, labels = self.valid(y_true), last(y_pred, self.axis), y_true
        if valid is not None:  # whatever is ignored, NaN included, becomes harmless
            labels, x = (
                np.where(valid, labels, 0),
                np.where(valid[..., None], x, 0 if self.from_logits else 1),
            )
        x, shape = rows(x), x.shape
        if self.from_logits:
            z, q, s = exponentials(x)
            at, inside = places(labels, z), None
            values, picked = np.log(s), as_row(z)[at]
            values -= picked
            as_row(q)[at] = 0  # q holds the exponentials of the other classes from here on
        else:
            q, s = normalise(x)
            at = places(labels, q)
            picked = as_row(q)[at]
            values, inside = self.surprise(picked)
        values = values.reshape(y_true.shape)
        return (values if valid is None else values * valid), (q, s, at, picked, inside, shape)

    def gradient(self, dvalues: Array, cache: Any) -> Array:
        q, s, at, picked, inside, shape = cache
        dvalues = dvalues.reshape(-1)
        if self.from_logits:
            dy_pred = q * (dvalues / s)[:, None]
            as_row(dy_pred)[at] = -sum_last(dy_pred)
        else:
            dvalues = dvalues * inside / s
            dy_pred = np.empty_like(q)
            dy_pred[...] = dvalues[:, None]
            as_row(dy_pred)[at] -= dvalues / np.maximum(picked, EPSILON)
        return unlast(dy_pred if len(shape) == 2 else dy_pred.reshape(shape), self.axis)

    def surprise(self, q: Array) -> tuple[Array, Array]:
        """-log of probabilities held within [1e-7, 1 - 1e-7], and which of them are inside."""
        p = q.clip(EPSILON, 1 - EPSILON)
        inside = p == q
        np.log(p, out=p)
        return np.negative(p, out=p), inside

    def in_one_pass(self, labels: Array, z: Array, dz: Array, scale: float) -> float | None:
        if not self.from_logits or self.ignore_class is not None:
            return None
        return kernels.sparse_of_logits(z, labels, dz, scale)

    forward, backward = at_once(in_one_pass)

    @short_for(*SAID_SHORTER)
    def after_softmax(self) -> Loss | None:
        plain = self.ignore_class is None and not self.from_logits
        return SparseAfterSoftmax(self) if plain else None


sparse_categorical_crossentropy = function_of(
    SparseCategoricalCrossentropy, "[1], [[0.75, 0.25]]", "[1.386294]"
)


class CategoricalAfterSoftmax(Loss):
    """`CategoricalCrossentropy` of q = softmax(z), with the gradient of both together.

        t, q, u, dz: (..., k)    values: (...)

    Along a row Σ q = 1, so the loss divides by nothing, and the slope q ([i = j] - q) of the
    softmax cancels the 1 / q of the logarithm. With u = t where q is inside of the clip, else 0:

        dz = (q Σ u - u) dvalues

    Parameters
    ----------
    loss : CategoricalCrossentropy
    """

    def __init__(self, loss: CategoricalCrossentropy):
        super().__init__(name=loss.name, reduction=loss.reduction, dtype=loss.dtype)
        self.loss, self.axis = loss, loss.axis

    def values(self, y_true: Array, y_pred: Array) -> tuple[Array, Any]:
        t, q = self.smoothed(last(y_true, self.axis)), last(y_pred, self.axis)
        p = q.clip(EPSILON, 1 - EPSILON)
        return -np.vecdot(t, np.log(p)), (q, t * (p == q))

    def gradient(self, dvalues: Array, cache: Any) -> Array:
        q, u = cache
        dz = q * sum_last(u)[..., None]
        dz -= u
        dz *= dvalues[..., None]
        return unlast(dz, self.axis)

    def smoothed(self, t: Array) -> Array:
        return smooth(t, self.loss.label_smoothing, t.shape[-1])

    def in_one_pass(self, t: Array, q: Array, dz: Array, scale: float) -> float:
        t = self.smoothed(t)
        return kernels.categorical_after_softmax(q, t, dz, EPSILON, 1 - EPSILON, scale)

    forward, backward = at_once(in_one_pass)


class SparseAfterSoftmax(Loss):
    """`SparseCategoricalCrossentropy` of q = softmax(z), with the gradient of both together.

        q, dz: (..., k)    values: (...)

    Along a row Σ q = 1, so the loss divides by nothing, and the slope q ([i = j] - q) of the
    softmax cancels the 1 / q of the logarithm. With δ one-hot at the label, and 0 where q[label] is
    outside of the clip:

        dz = (q - δ) dvalues

    Parameters
    ----------
    loss : SparseCategoricalCrossentropy
    """

    def __init__(self, loss: SparseCategoricalCrossentropy):
        super().__init__(name=loss.name, reduction=loss.reduction, dtype=loss.dtype)
        self.loss, self.axis = loss, loss.axis

    def align(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        return self.loss.align(y_true, y_pred)

    def values(self, y_true: Array, y_pred: Array) -> tuple[Array, Any]:
        q = last(y_pred, self.loss.axis)
        q, shape = rows(q), q.shape
        at = places(y_true, q)
        values, inside = self.loss.surprise(as_row(q)[at])
        return values.reshape(y_true.shape), (q, at, inside, shape)

    def gradient(self, dvalues: Array, cache: Any) -> Array:
        q, at, inside, shape = cache
        d = dvalues.reshape(-1) * inside
        dz = q * d[:, None]
        as_row(dz)[at] -= d
        return unlast(dz.reshape(shape), self.loss.axis)

    def in_one_pass(self, labels: Array, q: Array, dz: Array, scale: float) -> float:
        return kernels.sparse_after_softmax(q, labels, dz, EPSILON, 1 - EPSILON, scale)

    forward, backward = at_once(in_one_pass)


def places(labels: Array, q: Array) -> Array:
    """Where the labels' entries of q, (n, k), are in `as_row(q)`."""
    n, k = q.shape
    labels = labels.reshape(-1)
    if q.flags.c_contiguous:
        return labels + multiples(n, k)
    return multiples(k, n)[labels] + multiples(n, 1)  # a look-up is faster than labels * n


def as_row(q: Array) -> Array:
    """The entries of q, (n, k), in the order of its memory: a view."""
    return q.reshape(-1) if q.flags.c_contiguous else q.T.reshape(-1)


def exponentials(z: Array) -> tuple[Array, Array, Array]:
    """z less its maximum, e = exp(z), s = Σ e: softmax = e / s and its log = z - log s."""
    if z.ndim == 2 and 0 < z.shape[1] <= SHORT_ROW:  # class after class: long loops
        z = np.ascontiguousarray(z.T)
        z = (z - np.maximum.reduce(z, axis=0)).T
    else:
        z = z - max_last(z)  # the largest exponent is 0: nothing overflows
    e = np.exp(z)
    return z, e, sum_last(e)


def normalise(p: Array) -> tuple[Array, Array]:
    """p / s and s = Σ p along the last axis. All zeros stay zeros: no label is foreseen at all."""
    s = sum_last(p)
    s = s + (s == 0)
    return p / s[..., None], s
