"""A loss of embeddings: those of one class near one another, those of others far away."""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.arguments import argument
from backprop.checks import Number, NumberAboveZero
from backprop.input_spec import show_shape
from backprop.linalg import sigmoid
from backprop.losses.loss import ReductionFirst
from backprop.masks import only_real

Array = np.ndarray
Shape = tuple[int | None, ...]


class Circle(ReductionFirst):
    """values = log(1 + Σ_j exp(a_j) Σ_k exp(b_k)), over j of the sample's own class, k of others.

        y_true: (n,) or (n, 1)    y_pred: (n, d), of length 1    values: (n,)    u, a, b: (n, n)

    u[i, j] = max(1 - y_pred[i] · y_pred[j], 0) is how far apart two samples are. With m = `margin`,

        a = gamma (m + u) (u - m)              grows with u: the own ones are to be near
        b = gamma (1 + m - u) (1 - m - u)      falls with u: the others are to be far

    where a negative first factor counts as 0. Both are parabolas, so that what is far from where it
    should be pulls more: a' = 2 gamma u and b' = -2 gamma (1 - u). With A and B the logarithms of
    the two sums, s = sigmoid(A + B), and the shares exp(a - A) and exp(b - B) of each pair in them,

        du = s dvalues (exp(a - A) a' + exp(b - B) b')
        dy_pred = -(du + duᵀ) y_pred           du where u > 0, else 0

    as each pair moves two embeddings. A sample without another of its class, or without one of
    another class, costs nothing.

    Parameters
    ----------
    gamma : float, default 80.0
        The scale of a and b.
    margin : float, default 0.4
        Where the pull changes sign.
    remove_diagonal : bool, default True
        Whether a sample is no pair with itself.
    reduction, name, dtype : as in `Loss`

    Notes
    -----
    As in Keras, a mean is over the samples that cost something, and embeddings are taken as they
    are: end in `UnitNormalization`. Labels are whole numbers, any. A masked sample is no pair.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.losses import Circle
    >>> near, far = [1.0, 0.0], [0.0, 1.0]
    >>> y_pred = np.array([near, far, near, far])
    >>> loss = Circle(gamma=1.0)
    >>> round(float(loss(np.array([0, 1, 0, 1]), y_pred)), 4)  # those of one class are near
    0.897
    >>> round(float(loss(np.array([0, 0, 1, 1]), y_pred)), 4)
    2.121

    Source: Y. Sun et al., Circle Loss: A Unified Perspective of Pair Similarity Optimization, 2020,
    equation 5. There the first factors of a and b are constants in the derivative; as in Keras they
    are not.
    """

    gamma: NumberAboveZero = 80.0
    margin: Number = 0.4
    remove_diagonal: bool = argument(default=True)
    name = "circle"

    def align(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        return y_true.reshape(-1).astype(np.int64, copy=False), y_pred

    def measure(self, y_true: Array, y_pred: Array, mask: Any) -> tuple[Array, Any, Any]:
        real = None if mask is None else mask.reshape(-1)
        values, cache = self.values(y_true, only_real(y_pred, real), real=real)
        return values, cache, values > 0 if real is None else (values > 0) & real

    def values(
        self, y_true: Array, y_pred: Array, others: Any = None, real: Array | None = None
    ) -> tuple[Array, Any]:
        labels, p = (y_true, y_pred) if others is None else others
        u = y_pred @ p.T
        np.subtract(1, u, out=u)
        np.maximum(u, 0, out=u)
        own = y_true[:, None] == labels
        foreign = ~own
        if self.remove_diagonal:
            np.fill_diagonal(own, False)
        if real is not None:
            own &= real
            foreign &= real
        m = self.margin
        A, of_a = log_sum_exp(self.cost(u, m), own)
        B, of_b = log_sum_exp(self.cost(1 - u, m), foreign)
        return np.logaddexp(0, A + B), (y_pred, u, A + B, of_a, of_b)

    def cost(self, u: Array, m: float) -> Array:
        """gamma (m + u) (u - m), where a negative first factor counts as 0: a of u, b of 1 - u."""
        z = u + m
        np.maximum(z, 0, out=z)
        z *= self.gamma
        z *= u - m
        return z

    def gradient(self, dvalues: Array, cache: Any) -> Array:
        p, *_ = cache
        du = self.through_sums(dvalues, cache)
        return -(du + du.T) @ p

    def through_sums(self, dvalues: Array, cache: Any) -> Array:
        _, u, both, of_a, of_b = cache
        m = self.margin
        du = of_a * u
        du *= u > -m
        db = of_b * (1 - u)
        db *= u < 1 + m
        du -= db
        du *= u > 0
        du *= (2 * self.gamma * sigmoid(both) * dvalues)[:, None]
        return du

    def check_targets(self, y_true: Array, output_shape: Shape) -> None:
        self.check_numbers(y_true)
        name = type(self).__name__
        if len(output_shape) != 2:
            raise ValueError(
                f"{name} expects outputs of shape (any, d), an embedding for each sample, and got "
                f"{show_shape(output_shape)}; add Flatten() or a pooling layer"
            )
        n = output_shape[0]
        if y_true.shape[1:] not in ((), (1,)) or not y_true.ndim or n not in (None, len(y_true)):
            raise ValueError(
                f"{name} expects class numbers of shape {show_shape((n,))} and got "
                f"{show_shape(y_true.shape)}; of one-hot labels take y.argmax(-1)"
            )

    def check_labels(self, y_true: Array, output_shape: Shape) -> None:
        if not np.array_equal(y_true, np.floor(y_true)):
            wrong = y_true[~(np.floor(y_true) == y_true)].flat[0]
            raise ValueError(
                f"{type(self).__name__} expects whole numbers as labels and got {wrong}"
            )


def circle(
    y_true: Any,
    y_pred: Any,
    ref_labels: Any = None,
    ref_embeddings: Any = None,
    remove_diagonal: bool = True,
    gamma: float = 80.0,
    margin: float = 0.4,
) -> Array:
    """log(1 + Σ_j exp(a_j) Σ_k exp(b_k)), over j of the sample's own class, k of others.

    What each sample costs, (n,); for a, b and the arguments see `Circle`.

    Parameters
    ----------
    y_true, y_pred : array_like, (n,) and (n, d)
    ref_labels, ref_embeddings : array_like, (r,) and (r, d), optional
        What each sample makes pairs with. Default: `y_true` and `y_pred`. Row i of them is still
        the same sample as row i of `y_pred`, unless `remove_diagonal` is False.
    remove_diagonal, gamma, margin
        See `Circle`.

    Examples
    --------
    >>> from backprop.losses import circle
    >>> circle([0, 1, 0], [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], gamma=1.0).round(6).tolist()
    [0.545893, 0.0, 0.545893]
    """
    loss = Circle(gamma, margin, remove_diagonal)
    y_true, y_pred = loss.as_arrays(y_true, y_pred)
    y_true, y_pred = loss.align(y_true, loss.cast(y_pred))
    labels = y_true if ref_labels is None else np.asarray(ref_labels).reshape(-1)
    p = y_pred if ref_embeddings is None else np.asarray(ref_embeddings, y_pred.dtype)
    if p.shape != (len(labels), y_pred.shape[1]):
        raise ValueError(
            f"circle expects ref_embeddings of shape {(len(labels), y_pred.shape[1])}, one for "
            f"each of the ref_labels, and got {p.shape}"
        )
    return loss.values(y_true, y_pred, (labels, p))[0]


def log_sum_exp(z: Array, pairs: Array) -> tuple[Array, Array]:
    """log Σ exp(z) over the pairs of each row, -inf where it has none, and their shares in it,
    in z's memory."""
    far = z.dtype.type(np.finfo(z.dtype).max / 4)
    z -= far * ~pairs  # and not np.where, which takes ten times as long
    top = z.max(-1, keepdims=True, initial=-far)
    top = np.where(top < -far / 2, 0, top)
    z -= top
    e = np.exp(z, out=z)
    s = e.sum(-1, keepdims=True)
    some = np.where(s > 0, s, 1)
    e /= some
    return np.where(s > 0, top + np.log(some), -np.inf)[:, 0], e
