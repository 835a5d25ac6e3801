"""Losses and metrics beside Keras': values of targets and outputs."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from hypothesis import strategies as st
from keras_parity import keras_in

from backprop import losses, metrics
from backprop.spelling import snake_case
from differential.harness import Draw, Family, dtypes, generator, options

HELPERS = {"get", "serialize", "deserialize", "registry", "resolve", "apply_mask"}
REDUCTIONS = ["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None]
share = st.floats(0.05, 0.95)
shares = share | st.lists(share, min_size=1, max_size=4)
axes = st.sampled_from([-1, -2, 1])
logits = {"from_logits": st.booleans()}
smoothing = {"label_smoothing": st.just(0.0) | share}
focal = {"gamma": st.floats(0.5, 4), "alpha": share}
CLASSES = 3  # where an option has to know how many there are
LOSSES: dict[str, tuple[str, dict[str, Any]]] = {  # name → (kind of data, options)
    "MeanSquaredError": ("numbers", {}),
    "MeanAbsoluteError": ("numbers", {}),
    "MeanAbsolutePercentageError": ("numbers", {}),
    "MeanSquaredLogarithmicError": ("positive", {}),
    "Huber": ("numbers", {"delta": st.floats(0.1, 3)}),
    "LogCosh": ("numbers", {}),
    "CosineSimilarity": ("numbers", {"axis": axes}),
    "KLDivergence": ("shares", {}),
    "Poisson": ("positive", {}),
    "Hinge": ("signs", {}),
    "SquaredHinge": ("signs", {}),
    "CategoricalHinge": ("one-hot", {}),
    "BinaryCrossentropy": ("bits", {**logits, **smoothing, "axis": axes}),
    "BinaryFocalCrossentropy": (
        "bits",
        {**logits, **smoothing, **focal, "axis": axes, "apply_class_balancing": st.booleans()},
    ),
    "CategoricalCrossentropy": ("one-hot", {**logits, **smoothing}),
    "CategoricalFocalCrossentropy": ("one-hot", {**logits, **smoothing, **focal}),
    "CategoricalGeneralizedCrossEntropy": ("labels", {"q": share}),
    "SparseCategoricalCrossentropy": (
        "labels",
        {**logits, "ignore_class": st.none() | st.integers(-1, 2)},
    ),
    "CTC": ("spelling", {}),
    "Dice": ("bits", {"axis": st.none() | st.just((1,))}),
    "Tversky": ("bits", {"alpha": share, "beta": share, "axis": st.none() | st.just((1,))}),
    "Circle": (
        "members",
        {"gamma": st.floats(1, 80), "margin": share, "remove_diagonal": st.booleans()},
    ),
}
counts = {"thresholds": st.none() | shares}
at = {"num_thresholds": st.integers(1, 50), "class_id": st.none() | st.integers(0, 1)}
top = {"top_k": st.none() | st.integers(1, 2), "class_id": st.none() | st.integers(0, 1)}
f_score = {
    "average": st.sampled_from([None, "micro", "macro", "weighted"]),
    "threshold": st.none() | share,
}
iou = {"ignore_class": st.none() | st.integers(0, 2), "num_classes": CLASSES}
sparse = {"sparse_y_true": st.booleans(), "sparse_y_pred": st.booleans()}
classes_watched = st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True)
METRICS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: LOSSES[name] for name in LOSSES if hasattr(metrics, name)},
    "Mean": ("alone", {}),
    "Sum": ("alone", {}),
    "RootMeanSquaredError": ("numbers", {}),
    "LogCoshError": ("numbers", {}),
    "Accuracy": ("classes", {}),
    "BinaryAccuracy": ("bits", {"threshold": share}),
    "CategoricalAccuracy": ("one-hot", {}),
    "TopKCategoricalAccuracy": ("one-hot", {"k": st.integers(1, 3)}),
    "SparseCategoricalAccuracy": ("labels", {}),
    "SparseTopKCategoricalAccuracy": ("labels", {"k": st.integers(1, 3)}),
    "BinaryCrossentropy": ("bits", {**logits, **smoothing}),
    "SparseCategoricalCrossentropy": ("labels", logits),
    "CosineSimilarity": ("numbers", {}),
    "PearsonCorrelation": ("numbers", {"axis": st.sampled_from([-1, 1])}),
    "ConcordanceCorrelation": ("numbers", {"axis": st.sampled_from([-1, 1])}),
    "TruePositives": ("rounded", counts),
    "TrueNegatives": ("rounded", counts),
    "FalsePositives": ("rounded", counts),
    "FalseNegatives": ("rounded", counts),
    "Precision": ("bits of rows", {**counts, **top}),
    "Recall": ("bits of rows", {**counts, **top}),
    "SensitivityAtSpecificity": ("bits of rows", {"specificity": share, **at}),
    "SpecificityAtSensitivity": ("bits of rows", {"sensitivity": share, **at}),
    "PrecisionAtRecall": ("bits of rows", {"recall": share, **at}),
    "RecallAtPrecision": ("bits of rows", {"precision": share, **at}),
    "AUC": (
        "rounded",
        {
            "num_thresholds": st.integers(3, 60),
            "curve": st.sampled_from(["ROC", "PR", "PRGAIN", "pr"]),
            "summation_method": st.sampled_from(["interpolation", "minoring", "majoring"]),
            "thresholds": st.none() | st.lists(share, min_size=1, max_size=5),
            "multi_label": st.booleans(),
            **logits,
        },
    ),
    "FBetaScore": ("shares of rows", {**f_score, "beta": st.floats(0.2, 4)}),
    "F1Score": ("shares of rows", f_score),
    "R2Score": (
        "rows",
        {
            "class_aggregation": st.sampled_from(
                [None, "uniform_average", "variance_weighted_average"]
            ),
        },  # where there are regressors, Keras counts elements as samples
    ),
    "IoU": ("classes", {**iou, **sparse, "target_class_ids": classes_watched}),
    "MeanIoU": ("classes", iou | sparse),
    "BinaryIoU": ("rounded", {"target_class_ids": st.sampled_from([[0], [1], [0, 1]])}),
    "OneHotIoU": ("one-hot rows", {**iou, "target_class_ids": classes_watched}),
    "OneHotMeanIoU": ("one-hot rows", iou),
}


def pair(rng, kind, shape, dtype, options):
    """y_true and y_pred of that kind; logits where the options say so."""
    k = shape[-1]
    p, z = rng.uniform(0.05, 0.95, shape), 2 * rng.standard_normal(shape)
    labels = rng.integers(k, size=shape[:-1])
    pred = z if options.get("from_logits") else p
    tenths = z if options.get("from_logits") else p.round(1)  # equal ones, and at thresholds
    y_true, y_pred = {
        "numbers": (rng.standard_normal(shape), z),
        # apart: where all are near their mean, a difference of sums in float32 has no digits left
        "rows": ((np.arange(shape[0]) % 3 + 0.3 * rng.standard_normal(shape).T).T, z),
        "alone": (z, z),
        "positive": (3 * rng.random(shape), p),
        "shares": (rng.dirichlet(np.ones(k), shape[:-1]), rng.dirichlet(np.ones(k), shape[:-1])),
        "signs": (rng.choice([-1, 1], shape), z),
        "bits": (rng.integers(2, size=shape), pred),
        "bits of rows": (rng.integers(2, size=shape), pred),
        "rounded": (rng.integers(2, size=shape), tenths),
        "shares of rows": (rng.integers(2, size=shape), p),
        "one-hot": (np.eye(k)[labels], pred),
        "one-hot rows": (np.eye(k)[labels], p),
        "labels": (labels, pred),
        "classes": tuple(
            rng.integers(CLASSES, size=shape)
            if options.get(f"sparse_{name}", True)
            else rng.dirichlet(np.ones(CLASSES), shape)
            for name in ("y_true", "y_pred")
        ),
        "members": (rng.integers(2, size=shape[:1]), z / np.linalg.norm(z, axis=-1, keepdims=True)),
        "spelling": (rng.integers(1, 4, (shape[0], 2)), rng.standard_normal((shape[0], 5, 4))),
    }[kind]
    return (y_true if y_true.dtype == int else y_true.astype(dtype)), y_pred.astype(dtype)


# ---------------------------------------------------------------------------- losses


def loss_weights(draw, rng, shape, dtype):
    kind = draw(st.sampled_from(["none", "scalar", "sample", "value"]))
    column = (*shape[:1], *(1 for _ in shape[1:]))  # (n,) weighs samples here, steps in Keras
    wanted = {"none": None, "scalar": (), "sample": column, "value": shape}[kind]
    return None if wanted is None else rng.uniform(0.1, 2, wanted).astype(dtype)


def loss_case(name, draw: Draw):
    kind, strategies = LOSSES[name]
    given = options(draw, strategies)
    # the batch is no axis of a loss
    least = 3 if given.get("axis", -1) not in (-1, None) else 2
    most = 2 if kind == "members" else 4
    shape = tuple(draw(st.lists(st.integers(2, 4), min_size=least, max_size=most)))
    dtype, rng = draw(dtypes), generator(draw)
    return given, dtype, rng, pair(rng, kind, shape, dtype, given)


def loss(name):
    def compare(draw: Draw):
        given, dtype, rng, (y_true, y_pred) = loss_case(name, draw)
        reduction = draw(st.sampled_from(REDUCTIONS))
        ours = getattr(losses, name)(**given, reduction=reduction)
        w = loss_weights(draw, rng, ours.per_sample(y_true, y_pred).shape, dtype)
        if name == "Circle" and np.ndim(w) == 0:
            w = None  # Keras' is broken there
        if given.get("ignore_class") is not None:
            w = None  # test_losses.py: how Keras' masks meet weights differs from case to case
        with keras_in(dtype) as keras:
            peer = getattr(keras.losses, name)(**given, reduction=reduction, dtype=dtype)
            wanted = np.asarray(peer(y_true, y_pred, sample_weight=w))
        if np.isfinite(wanted).all():  # Keras divides 0 by 0 where all labels are ignored
            yield dtype, ours(y_true, y_pred, w), wanted

    return compare


def loss_function(name, cls):
    def compare(draw: Draw):
        given, dtype, _, (y_true, y_pred) = loss_case(cls, draw)
        found = getattr(losses, name)(y_true, y_pred, **given)
        with keras_in(dtype) as keras:
            yield dtype, found, np.asarray(getattr(keras.losses, name)(y_true, y_pred, **given))

    return compare


def public(module, base):
    """The classes of a family, and its functions."""
    return {
        name for name in module.__all__ if name not in HELPERS and getattr(module, name) is not base
    }


def functions_of(module, kinds, make):
    """A comparison of each function with the data of the class that is called like it."""
    by_function = {snake_case(name): name for name in kinds}
    return {
        name: make(name, by_function[name])
        for name in module.__all__
        if name in by_function and inspect.isfunction(getattr(module, name))
    }


LOSS_FAMILY = Family(
    "Losses",
    public(losses, losses.Loss),
    {name: loss(name) for name in LOSSES} | functions_of(losses, LOSSES, loss_function),
    dict.fromkeys(["GaussianNLL", "Quantile", "gaussian_nll", "quantile"], "Keras has none"),
)

# ---------------------------------------------------------------------------- metrics


ROWS = {"one-hot rows", "shares of rows", "rows", "bits of rows"}  # (n, k) and no further axes
EACH = {"rounded", "classes"}  # Keras takes a weight of a row for one of a column


def metric(name):
    kind, strategies = METRICS[name]

    def compare(draw: Draw):
        given = options(draw, strategies)
        if given.get("top_k") is not None:
            given.pop("thresholds")
        inner = draw(st.lists(st.integers(2, 4), min_size=1, max_size=1 if kind in ROWS else 2))
        if kind == "one-hot rows":
            inner = [CLASSES]
        if given.get("multi_label"):
            inner = inner[:1]
            weight = st.none() | st.lists(share, min_size=inner[0], max_size=inner[0])
            given |= {"num_labels": inner[0], "label_weights": draw(weight)}
        dtype, weighted = draw(dtypes), draw(st.booleans())
        rng = generator(draw)
        ours = getattr(metrics, name)(**given)
        with keras_in(dtype) as keras:
            theirs = getattr(keras.metrics, name)(**given, dtype=dtype)
            least = 3 if kind == "rows" else 1  # the spread about a mean, by a difference in Keras
            for n in draw(st.lists(st.integers(least, 5), min_size=1, max_size=3)):
                y_true, y_pred = pair(rng, kind, (n, *inner), dtype, given)
                one_each = (n, *inner) if kind in EACH else (n,)
                w = rng.uniform(0.1, 2, one_each).astype(dtype) if weighted else None
                batch = (y_pred,) if kind == "alone" else (y_true, y_pred)
                ours.update_state(*batch, sample_weight=w)
                theirs.update_state(*batch, sample_weight=w)
                # Keras keeps sums in float32 whatever the dtype
                yield "float32", ours.result(), np.asarray(theirs.result())

    return compare


METRIC_FUNCTIONS = METRICS | {
    name: LOSSES[name]
    for name in ("Huber", "LogCosh", "BinaryFocalCrossentropy", "CategoricalFocalCrossentropy")
}


def metric_function(name, cls):
    def compare(draw: Draw):
        kind, strategies = METRIC_FUNCTIONS[cls]
        given = options(draw, strategies)
        least = 3 if given.get("axis", -1) != -1 else 2
        shape = tuple(draw(st.lists(st.integers(2, 4), min_size=least, max_size=4)))
        dtype, rng = draw(dtypes), generator(draw)
        y_true, y_pred = pair(rng, kind, shape, dtype, given)
        found = getattr(metrics, name)(y_true, y_pred, **given)
        with keras_in(dtype) as keras:
            yield dtype, found, np.asarray(getattr(keras.metrics, name)(y_true, y_pred, **given))

    return compare


METRIC_FAMILY = Family(
    "Metrics",
    public(metrics, metrics.Metric),
    {name: metric(name) for name in METRICS}
    | functions_of(metrics, METRIC_FUNCTIONS, metric_function),
    {
        "ConfusionMatrix": "Keras has none; scikit-learn's is what it is compared with",
        "MeanMetricWrapper": "takes a function: every function is compared",
    },
)
