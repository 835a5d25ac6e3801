"""Metrics: numbers over a stream of batches, and the functions whose values they average."""

from __future__ import annotations

from functools import partial
from typing import Any

from backprop.absent import face
from backprop.arguments import defaults_of
from backprop.config import Registry
from backprop.losses import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from backprop.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from backprop.metrics.correlation import (
    ConcordanceCorrelation,
    PearsonCorrelation,
    concordance_correlation,
    pearson_correlation,
)
from backprop.metrics.curves import (
    AUC,
    PrecisionAtRecall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
)
from backprop.metrics.fscore import F1Score, FBetaScore
from backprop.metrics.iou import BinaryIoU, IoU, MeanIoU, OneHotIoU, OneHotMeanIoU
from backprop.metrics.matrix import ConfusionMatrix
from backprop.metrics.means import FUNCTIONS, Mean, MeanMetricWrapper, Sum
from backprop.metrics.metric import Metric
from backprop.metrics.outcomes import (
    FalseNegatives,
    FalsePositives,
    Precision,
    Recall,
    TrueNegatives,
    TruePositives,
)
from backprop.metrics.probabilistic import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    Hinge,
    KLDivergence,
    Poisson,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
from backprop.metrics.regression import (
    CosineSimilarity,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    R2Score,
    RootMeanSquaredError,
)
from backprop.metrics.weighing import apply_mask
from backprop.registry import classes_in, in_capitals_too
from backprop.spelling import snake_case

__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "BinaryIoU",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "ConcordanceCorrelation",
    "ConfusionMatrix",
    "CosineSimilarity",
    "F1Score",
    "FBetaScore",
    "FalseNegatives",
    "FalsePositives",
    "Hinge",
    "IoU",
    "KLDivergence",
    "LogCoshError",
    "Mean",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanIoU",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "OneHotIoU",
    "OneHotMeanIoU",
    "PearsonCorrelation",
    "Poisson",
    "Precision",
    "PrecisionAtRecall",
    "R2Score",
    "Recall",
    "RecallAtPrecision",
    "RootMeanSquaredError",
    "SensitivityAtSpecificity",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SpecificityAtSensitivity",
    "SquaredHinge",
    "Sum",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "apply_mask",
    "binary_accuracy",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_accuracy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "concordance_correlation",
    "deserialize",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "pearson_correlation",
    "poisson",
    "registry",
    "resolve",
    "serialize",
    "sparse_categorical_accuracy",
    "sparse_categorical_crossentropy",
    "sparse_top_k_categorical_accuracy",
    "squared_hinge",
    "top_k_categorical_accuracy",
]

CLASSES, _ = classes_in(globals(), Metric)
NO_METRICS = ("apply_mask", "deserialize", "get", "registry", "resolve", "serialize")
FUNCTIONS |= {n: globals()[n] for n in __all__ if n[0].islower() and n not in NO_METRICS}

registry = Registry(
    "metrics",
    CLASSES,
    in_capitals_too(
        bce=BinaryCrossentropy,
        mse=MeanSquaredError,
        mae=MeanAbsoluteError,
        mape=MeanAbsolutePercentageError,
        msle=MeanSquaredLogarithmicError,
    ),
    base=Metric,
    inputs=(2,),
)
# functions that have no class of their own serve by name too
registry.names |= {
    name: partial(MeanMetricWrapper, fn, name)
    for name, fn in FUNCTIONS.items()
    if name not in registry.names
}

ACCURACIES = (BinaryAccuracy, SparseCategoricalAccuracy, CategoricalAccuracy)
CROSSENTROPIES = (BinaryCrossentropy, SparseCategoricalCrossentropy, CategoricalCrossentropy)
# metrics of class numbers, of which a loss may ignore one
SPARSE = (
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    SparseCategoricalCrossentropy,
)
SHORT = {
    "accuracy": ACCURACIES,
    "acc": ACCURACIES,
    "crossentropy": CROSSENTROPIES,
    "ce": CROSSENTROPIES,
}


def get(identifier: Any) -> Any:
    """The metric for a name, a config, a class, an object or a function; None stays None.

    Parameters
    ----------
    identifier : str, mapping, type, Metric or callable
        A function is returned as it is; `resolve` makes a metric of it. A name that is not known is
        a ValueError, what is no metric a TypeError.

    Examples
    --------
    >>> get("mse")
    MeanSquaredError()
    """
    found = registry.get(identifier)
    if found is None or callable(found):
        return found
    raise TypeError(
        f"a metric is a name, a Metric or a function of y_true and y_pred; got {identifier!r}"
    )


def resolve(
    identifier: Any,
    output_shape: tuple[int | None, ...],
    y_true_shape: tuple[int | None, ...],
    loss: Any = None,
) -> Metric:
    """The metric that `compile(metrics=[identifier])` means, for a model of these shapes.

    ``"accuracy"`` and ``"crossentropy"`` (``"acc"``, ``"ce"``) choose by shape:

        binary       the output's last axis has length 1
        sparse       the targets have fewer axes than the output, or a last axis of length 1
        categorical  otherwise

    Parameters
    ----------
    identifier : str, mapping, type, Metric or callable
        A string also becomes the metric's name, as it is written. A function's values are averaged.
    output_shape, y_true_shape : tuple
        With the batch axis.
    loss : Loss, optional
        Tells ``"crossentropy"`` whether the outputs are logits, and every metric that is given by
        name and has an `ignore_class` which label does not count.

    Examples
    --------
    >>> m = resolve("acc", (None, 10), (None,))
    >>> type(m).__name__, m.name
    ('SparseCategoricalAccuracy', 'acc')
    """
    if identifier is None:
        raise ValueError(
            "a metric is a name, a Metric or a function of y_true and y_pred; got None"
        )
    short = isinstance(identifier, str) and identifier.lower() in SHORT
    if short and registry.users(identifier) is None:
        binary, sparse, categorical = SHORT[identifier.lower()]
        if output_shape[-1] == 1:
            chosen = binary
        elif len(y_true_shape) < len(output_shape) or y_true_shape[-1] == 1:
            chosen = sparse
        else:
            chosen = categorical
        options = ignored(chosen, loss)
        if chosen in CROSSENTROPIES and getattr(loss, "from_logits", False):
            options["from_logits"] = True
        return chosen(name=identifier, **options)
    found = get(identifier)
    if isinstance(found, Metric):
        if not isinstance(identifier, str):
            return found
        options = ignored(type(found), loss)
        if options:
            found = type(found)(**options)
        found.name = identifier
        return found
    name = identifier if isinstance(identifier, str) else name_of(found)
    return MeanMetricWrapper(found, name)


def named(identifier: Any) -> Any:
    """The name of a function of the library, which a file knows it by; anything else is itself."""
    name = getattr(identifier, "__name__", "")
    return name if name and FUNCTIONS.get(name) is identifier else identifier


def ignored(cls: type[Metric], loss: Any) -> dict[str, Any]:
    """The loss' `ignore_class` as an argument of a metric that takes one."""
    label = getattr(loss, "ignore_class", None)
    return (
        {} if label is None or "ignore_class" not in defaults_of(cls) else {"ignore_class": label}
    )


def name_of(fn: Any) -> str:
    name = getattr(fn, "name", None) or getattr(fn, "__name__", None) or type(fn).__name__
    return snake_case(name)


serialize, deserialize = registry.functions("metric")


__getattr__, __dir__ = face(__name__, __all__)
