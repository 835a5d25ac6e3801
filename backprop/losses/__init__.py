"""value = loss(y_true, y_pred): Keras' losses, each with its derivative derived by hand."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any

from backprop.absent import face
from backprop.config import Registry, custom_object_scope
from backprop.losses.circle import Circle, circle
from backprop.losses.classification import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
    binary_crossentropy,
    categorical_crossentropy,
    sparse_categorical_crossentropy,
)
from backprop.losses.ctc import CTC, ctc
from backprop.losses.focal import (
    BinaryFocalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
    binary_focal_crossentropy,
    categorical_focal_crossentropy,
    categorical_generalized_cross_entropy,
)
from backprop.losses.hinge import (
    CategoricalHinge,
    Hinge,
    SquaredHinge,
    categorical_hinge,
    hinge,
    squared_hinge,
)
from backprop.losses.loss import Loss
from backprop.losses.overlap import Dice, Tversky, dice, tversky
from backprop.losses.probabilistic import KLDivergence, Poisson, kl_divergence, poisson
from backprop.losses.regression import (
    CosineSimilarity,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    cosine_similarity,
    huber,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
)
from backprop.losses.uncertainty import GaussianNLL, Quantile, gaussian_nll, quantile
from backprop.registry import classes_in, in_capitals_too

__all__ = [
    "CTC",
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy",
    "CategoricalHinge",
    "Circle",
    "CosineSimilarity",
    "Dice",
    "GaussianNLL",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "Quantile",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "Tversky",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy",
    "categorical_hinge",
    "circle",
    "cosine_similarity",
    "ctc",
    "deserialize",
    "dice",
    "gaussian_nll",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "quantile",
    "serialize",
    "sparse_categorical_crossentropy",
    "squared_hinge",
    "tversky",
]

REGISTRY = Registry(
    "losses",
    classes_in(globals(), Loss)[0],
    in_capitals_too(
        mse=MeanSquaredError,
        mae=MeanAbsoluteError,
        mape=MeanAbsolutePercentageError,
        msle=MeanSquaredLogarithmicError,
        bce=BinaryCrossentropy,
        kld=KLDivergence,
    )
    | {
        "kullback_leibler_divergence": KLDivergence,
        "logcosh": LogCosh,
        "huber_loss": Huber,
        "pinball": Quantile,
        "pinball_loss": Quantile,
    },
    base=Loss,
)


def get(identifier: Any) -> Loss | None:
    """The loss that a name, class, configuration or object stands for; None for None.

    Parameters
    ----------
    identifier : str, type, mapping, Loss or function of this module, or None
        A name is a class', a function's or a short one: ``"MeanSquaredError"``,
        ``"mean_squared_error"``, ``"mse"``.

    Raises
    ------
    ValueError
        If the name is unknown; with the nearest known one.
    TypeError
        If it is a function that computes a loss: its gradient is not known.

    Examples
    --------
    >>> from backprop import losses
    >>> losses.get("mse")
    MeanSquaredError()
    """
    if (
        isinstance(identifier, types.FunctionType)
        and globals().get(identifier.__name__) is identifier
    ):
        identifier = identifier.__name__
    found = REGISTRY.get(identifier)
    if found is None or isinstance(found, Loss):
        return found
    raise TypeError(
        "a loss is a name, a configuration or an object of a Loss class, and got "
        f"{show_refused(found)}"
    )


def show_refused(found: Any) -> str:
    """What came instead of a loss, and what to do about it."""
    name = getattr(found, "__name__", type(found).__name__)
    if type(found).__name__ in REGISTRY.classes:  # a metric
        return f"{found!r}; pass losses.{type(found).__name__}()"
    if not callable(found):
        return f"{found!r}; pass a name like 'mse', or an object like losses.MeanSquaredError()"
    title = (
        "".join(w[:1].upper() + w[1:] for w in name.split("_")) if name.isidentifier() else "MyLoss"
    )
    return (
        f"{name}, whose gradient is not known, as there is no automatic differentiation here; "
        "write both down in a class, and pass an object of it:\n\n"
        f"    class {title}(losses.Loss):\n"
        "        def values(self, y_true, y_pred):\n"
        "            return values, cache  # what each sample costs; what gradient will need\n"
        "        def gradient(self, dvalues, cache):\n"
        "            return dy_pred  # of y_pred's shape: dvalues times d(values)/d(y_pred)\n\n"
        "The guide's page 'Write a loss' does so step by step"
    )


def serialize(loss: Loss) -> Any:
    """The configuration from which `deserialize` makes the loss again, as JSON can hold it."""
    return REGISTRY.serialize(loss)


def deserialize(name: Any, custom_objects: Mapping[str, Any] | None = None) -> Loss | None:
    """The loss that `serialize` described, or that a name stands for.

    Parameters
    ----------
    name : mapping or str
    custom_objects : mapping, optional
        Names of one's own losses.
    """
    with custom_object_scope(custom_objects):
        return get(name)


__getattr__, __dir__ = face(__name__, __all__)
