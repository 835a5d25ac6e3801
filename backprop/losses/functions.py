"""f(y_true, y_pred) = what each sample costs: the losses as functions, under Keras' names.

y_true and y_pred are (..., k), or class numbers (...) and (..., k); the result is (...). Parameters
are those of the class. Each makes its class and returns `Loss.per_sample`: a loop that calls one
often should keep the object instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.losses.classification import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
)
from backprop.losses.ctc import CTC
from backprop.losses.focal import (
    BinaryFocalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
)
from backprop.losses.hinge import CategoricalHinge, Hinge, SquaredHinge
from backprop.losses.probabilistic import KLDivergence, Poisson
from backprop.losses.regression import (
    CosineSimilarity,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
)

Array = np.ndarray


def mean_squared_error(y_true: Any, y_pred: Any) -> Array:
    """⟨(y_pred - y_true)²⟩ over the last axis; see `MeanSquaredError`.

    Examples
    --------
    >>> from backprop.losses import mean_squared_error
    >>> mean_squared_error([[0.0, 1.0], [2.0, 2.0]], [[1.0, 3.0], [2.0, 2.0]]).tolist()
    [2.5, 0.0]
    """
    return MeanSquaredError().per_sample(y_true, y_pred)


def mean_absolute_error(y_true: Any, y_pred: Any) -> Array:
    """⟨|y_pred - y_true|⟩ over the last axis; see `MeanAbsoluteError`.

    Examples
    --------
    >>> from backprop.losses import mean_absolute_error
    >>> mean_absolute_error([[0.0, 1.0]], [[1.0, 3.0]]).round(6).tolist()
    [1.5]
    """
    return MeanAbsoluteError().per_sample(y_true, y_pred)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Array:
    """100 ⟨|d| / |y_true|⟩, d = y_pred - y_true; see `MeanAbsolutePercentageError`.

    Examples
    --------
    >>> from backprop.losses import mean_absolute_percentage_error
    >>> mean_absolute_percentage_error([[2.0, 4.0]], [[3.0, 3.0]]).round(6).tolist()
    [37.5]
    """
    return MeanAbsolutePercentageError().per_sample(y_true, y_pred)


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Array:
    """⟨d²⟩, d = log(1 + y_pred) - log(1 + y_true); see `MeanSquaredLogarithmicError`.

    Examples
    --------
    >>> from backprop.losses import mean_squared_logarithmic_error
    >>> mean_squared_logarithmic_error([[0.0, 1.0]], [[1.0, 3.0]]).round(6).tolist()
    [0.480453]
    """
    return MeanSquaredLogarithmicError().per_sample(y_true, y_pred)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Array:
    """⟨½ d²⟩ within `delta` of the target, straight outside; see `Huber`.

    Examples
    --------
    >>> from backprop.losses import huber
    >>> huber([[0.0, 0.0]], [[1.0, 3.0]]).round(6).tolist()
    [1.5]
    """
    return Huber(delta).per_sample(y_true, y_pred)


def log_cosh(y_true: Any, y_pred: Any) -> Array:
    """⟨log cosh(y_pred - y_true)⟩ over the last axis; see `LogCosh`.

    Examples
    --------
    >>> from backprop.losses import log_cosh
    >>> log_cosh([[0.0, 0.0]], [[0.0, 2.0]]).round(6).tolist()
    [0.662501]
    """
    return LogCosh().per_sample(y_true, y_pred)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Array:
    """Minus the cosine between y_true and y_pred along `axis`; see `CosineSimilarity`.

    Examples
    --------
    >>> from backprop.losses import cosine_similarity
    >>> cosine_similarity([[1.0, 0.0]], [[3.0, 4.0]]).round(6).tolist()
    [-0.6]
    """
    return CosineSimilarity(axis).per_sample(y_true, y_pred)


def kl_divergence(y_true: Any, y_pred: Any) -> Array:
    """Σ y_true log(y_true / y_pred) over the last axis; see `KLDivergence`.

    Examples
    --------
    >>> from backprop.losses import kl_divergence
    >>> kl_divergence([[0.5, 0.5]], [[0.25, 0.75]]).round(6).tolist()
    [0.143841]
    """
    return KLDivergence().per_sample(y_true, y_pred)


def poisson(y_true: Any, y_pred: Any) -> Array:
    """⟨y_pred - y_true log y_pred⟩ over the last axis; see `Poisson`.

    Examples
    --------
    >>> from backprop.losses import poisson
    >>> poisson([[1.0, 0.0]], [[1.0, 3.0]]).round(6).tolist()
    [2.0]
    """
    return Poisson().per_sample(y_true, y_pred)


def hinge(y_true: Any, y_pred: Any) -> Array:
    """⟨max(1 - y_true y_pred, 0)⟩ over the last axis; see `Hinge`.

    Examples
    --------
    >>> from backprop.losses import hinge
    >>> hinge([[0.0, 1.0]], [[0.5, 0.25]]).round(6).tolist()
    [1.125]
    """
    return Hinge().per_sample(y_true, y_pred)


def squared_hinge(y_true: Any, y_pred: Any) -> Array:
    """⟨max(1 - y_true y_pred, 0)²⟩ over the last axis; see `SquaredHinge`.

    Examples
    --------
    >>> from backprop.losses import squared_hinge
    >>> squared_hinge([[0.0, 1.0]], [[0.5, 0.5]]).round(6).tolist()
    [1.25]
    """
    return SquaredHinge().per_sample(y_true, y_pred)


def categorical_hinge(y_true: Any, y_pred: Any) -> Array:
    """max(neg - pos + 1, 0), the right score against the best other; see `CategoricalHinge`.

    Examples
    --------
    >>> from backprop.losses import categorical_hinge
    >>> categorical_hinge([[0.0, 1.0, 0.0]], [[0.5, 0.75, 0.25]]).round(6).tolist()
    [0.75]
    """
    return CategoricalHinge().per_sample(y_true, y_pred)


def binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Array:
    """⟨-t log p - (1 - t) log(1 - p)⟩ along `axis`; see `BinaryCrossentropy`.

    Examples
    --------
    >>> from backprop.losses import binary_crossentropy
    >>> binary_crossentropy([[1.0, 0.0]], [[0.5, 0.5]]).round(6).tolist()
    [0.693147]
    """
    return BinaryCrossentropy(from_logits, label_smoothing, axis).per_sample(y_true, y_pred)


def categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Array:
    """-Σ t log q along `axis`, for one-hot or soft labels; see `CategoricalCrossentropy`.

    Examples
    --------
    >>> from backprop.losses import categorical_crossentropy
    >>> categorical_crossentropy([[0.0, 1.0]], [[0.75, 0.25]]).round(6).tolist()
    [1.386294]
    """
    return CategoricalCrossentropy(from_logits, label_smoothing, axis).per_sample(y_true, y_pred)


def sparse_categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Array:
    """-log q[label], for class numbers; see `SparseCategoricalCrossentropy`.

    Examples
    --------
    >>> from backprop.losses import sparse_categorical_crossentropy
    >>> sparse_categorical_crossentropy([1], [[0.75, 0.25]]).round(6).tolist()
    [1.386294]
    """
    return SparseCategoricalCrossentropy(from_logits, ignore_class, axis=axis).per_sample(
        y_true, y_pred
    )


def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Array:
    """Cross-entropy, damped where the label was foreseen; see `BinaryFocalCrossentropy`.

    Examples
    --------
    >>> from backprop.losses import binary_focal_crossentropy
    >>> binary_focal_crossentropy([[1.0]], [[0.5]]).round(6).tolist()
    [0.173287]
    """
    loss = BinaryFocalCrossentropy(
        apply_class_balancing, alpha, gamma, from_logits, label_smoothing, axis
    )
    return loss.per_sample(y_true, y_pred)


def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: Any = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Array:
    """Cross-entropy, damped where the label was foreseen; see `CategoricalFocalCrossentropy`.

    Examples
    --------
    >>> from backprop.losses import categorical_focal_crossentropy
    >>> categorical_focal_crossentropy([[1.0, 0.0]], [[0.5, 0.5]], alpha=1.0).round(6).tolist()
    [0.173287]
    """
    return CategoricalFocalCrossentropy(
        alpha, gamma, from_logits, label_smoothing, axis
    ).per_sample(y_true, y_pred)


def categorical_generalized_cross_entropy(y_true: Any, y_pred: Any, q: float) -> Array:
    """(1 - p^q) / q for the label's probability p; see `CategoricalGeneralizedCrossEntropy`.

    Examples
    --------
    >>> from backprop.losses import categorical_generalized_cross_entropy
    >>> categorical_generalized_cross_entropy([1], [[0.75, 0.25]], q=0.5).round(6).tolist()
    [1.0]
    """
    return CategoricalGeneralizedCrossEntropy(q).per_sample(y_true, y_pred)


def ctc(y_true: Any, y_pred: Any, zero_infinity: bool = False) -> Array:
    """-log of the probability that logits (n, t, k) spell the labels (n, u); see `CTC`.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.losses import ctc
    >>> ctc([[1], [2]], np.zeros((2, 1, 4))).round(6).tolist()
    [1.386294, 1.386294]
    """
    return CTC(zero_infinity=zero_infinity).per_sample(y_true, y_pred)
