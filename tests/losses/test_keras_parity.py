"""The numbers of Keras: every loss as an object and as a function, in both dtypes."""

from __future__ import annotations

import numpy as np
import pytest

from backprop import losses, metrics

RTOL = {"float32": 2e-5, "float64": 1e-9}
N, K = 6, 4


def data(kind, dtype, shape=(N, 5, K)):
    rng = np.random.default_rng(0)
    p = rng.uniform(0.05, 0.95, shape).astype(dtype)
    z = rng.standard_normal(shape).astype(dtype)
    return {
        "numbers": (rng.standard_normal(shape).astype(dtype), z),
        "positive": (3 * p[::-1], p),
        "mixed": (p[::-1], z),  # predictions below the clip
        "bits": ((p[::-1] > 0.5).astype(dtype), p),
        "bits, logits": ((p[::-1] > 0.5).astype(dtype), z),
        "bits, outside": ((p[::-1] > 0.5).astype(dtype), 2 * p - 0.5),
        "nothing": (np.zeros(shape, dtype), (p > 0.5) * p),
        "signs": (np.sign(z[::-1]), z),
        "one-hot": (np.eye(shape[-1], dtype=dtype)[rng.integers(shape[-1], size=shape[:-1])], p),
        "one-hot, logits": (
            np.eye(shape[-1], dtype=dtype)[rng.integers(shape[-1], size=shape[:-1])],
            z,
        ),
        "one-hot, certain": (
            np.eye(shape[-1], dtype=dtype)[rng.integers(shape[-1], size=shape[:-1])],
            np.eye(shape[-1], dtype=dtype)[rng.integers(shape[-1], size=shape[:-1])],
        ),
        "soft": (p[::-1] / p[::-1].sum(-1, keepdims=True), p),
        "labels": (rng.integers(shape[-1], size=shape[:-1]), p),
        "labels, logits": (rng.integers(shape[-1], size=shape[:-1]), z),
    }[kind]


CASES = [
    ("MeanSquaredError", {}, "numbers"),
    ("MeanAbsoluteError", {}, "numbers"),
    ("MeanAbsolutePercentageError", {}, "numbers"),
    ("MeanSquaredLogarithmicError", {}, "positive"),
    ("MeanSquaredLogarithmicError", {}, "mixed"),
    ("Huber", {}, "numbers"),
    ("Huber", {"delta": 0.3}, "numbers"),
    ("LogCosh", {}, "numbers"),
    ("CosineSimilarity", {}, "numbers"),
    ("CosineSimilarity", {"axis": -2}, "numbers"),
    ("KLDivergence", {}, "soft"),
    ("KLDivergence", {}, "mixed"),
    ("Poisson", {}, "positive"),
    ("BinaryCrossentropy", {}, "bits"),
    ("BinaryCrossentropy", {}, "bits, outside"),
    ("BinaryCrossentropy", {"from_logits": True}, "bits, logits"),
    ("BinaryCrossentropy", {"label_smoothing": 0.1, "axis": -2}, "bits"),
    ("CategoricalCrossentropy", {}, "one-hot"),
    ("CategoricalCrossentropy", {}, "one-hot, certain"),
    ("CategoricalCrossentropy", {}, "soft"),
    ("CategoricalCrossentropy", {"from_logits": True}, "one-hot, logits"),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1}, "one-hot"),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1, "from_logits": True}, "one-hot, logits"),
    ("CategoricalCrossentropy", {"axis": 1}, "one-hot"),
    ("SparseCategoricalCrossentropy", {}, "labels"),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, "labels, logits"),
    ("SparseCategoricalCrossentropy", {"ignore_class": 2}, "labels"),
    ("SparseCategoricalCrossentropy", {"ignore_class": 0, "from_logits": True}, "labels, logits"),
    ("Hinge", {}, "signs"),
    ("Hinge", {}, "bits, logits"),
    ("SquaredHinge", {}, "signs"),
    ("SquaredHinge", {}, "bits, logits"),
    ("CategoricalHinge", {}, "one-hot, logits"),
    ("BinaryFocalCrossentropy", {}, "bits"),
    ("BinaryFocalCrossentropy", {"from_logits": True, "gamma": 1.5}, "bits, logits"),
    (
        "BinaryFocalCrossentropy",
        {"apply_class_balancing": True, "alpha": 0.3, "label_smoothing": 0.1, "axis": -2},
        "bits",
    ),
    ("CategoricalFocalCrossentropy", {}, "one-hot"),
    ("CategoricalFocalCrossentropy", {"from_logits": True, "gamma": 1.5}, "one-hot, logits"),
    ("CategoricalFocalCrossentropy", {"alpha": [0.1, 0.2, 0.3, 0.4]}, "one-hot"),
    ("CategoricalFocalCrossentropy", {"label_smoothing": 0.1}, "one-hot"),
    ("CategoricalFocalCrossentropy", {"axis": 1}, "one-hot"),
    ("Dice", {}, "bits"),
    ("Dice", {"axis": (1, 2)}, "bits"),
    ("Dice", {"axis": -1}, "soft"),
    ("Dice", {"axis": 1}, "nothing"),
    ("Tversky", {}, "bits"),
    ("Tversky", {"alpha": 0.3, "beta": 0.8, "axis": (1, 2)}, "bits"),
    ("Tversky", {"alpha": 0.9, "axis": 1}, "nothing"),
]
every_case = pytest.mark.parametrize(
    ("name", "kwargs", "kind"), CASES, ids=[f"{n}-{k}-{d}" for n, k, d in CASES]
)


def test_every_loss_meets_its_peer():
    # Keras' generalised cross-entropy multiplies ranks that only fit (n,) labels: see below. CTC
    # takes sequences: test_ctc.py
    assert {name for name, _, _ in CASES} == set(losses.REGISTRY.classes) - {
        "CategoricalGeneralizedCrossEntropy",
        "CTC",
        "Circle",  # test_circle.py
        "GaussianNLL",  # Keras has neither of these
        "Quantile",
    }


@every_case
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_are_those_of_keras(request, name, kwargs, kind, dtype):
    keras = request.getfixturevalue(f"{dtype}_keras")
    y_true, y_pred = data(kind, dtype)
    rng = np.random.default_rng(1)
    for reduction in ("none", "sum_over_batch_size", "sum", "mean", "mean_with_sample_weight"):
        peer = getattr(keras.losses, name)(**kwargs, reduction=reduction, dtype=dtype)
        loss = getattr(losses, name)(**kwargs, reduction=reduction)
        unreduced = losses.get(loss).per_sample(y_true, y_pred)
        for w in (None, rng.uniform(0.5, 2.0, unreduced.shape).astype(dtype)):
            with np.errstate(invalid="ignore"):  # Keras divides 0 by 0 at ignored labels
                wanted = peer(y_true, y_pred, sample_weight=w)
            found = loss(y_true, y_pred, sample_weight=w)

            assert np.shape(found) == np.shape(wanted)
            np.testing.assert_allclose(found, wanted, rtol=RTOL[dtype], atol=RTOL[dtype] / 20)


@every_case
def test_functions_are_those_of_keras(float64_keras, name, kwargs, kind):
    y_true, y_pred = data(kind, "float64")
    function = next(n for n in losses.__all__ if n.islower() and n.replace("_", "") == name.lower())

    found = getattr(losses, function)(y_true, y_pred, **kwargs)

    with np.errstate(invalid="ignore"):
        wanted = getattr(float64_keras.losses, function)(y_true, y_pred, **kwargs)
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("axis", [1, 2, -3, -2])
@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("name", ["CategoricalCrossentropy", "CategoricalFocalCrossentropy"])
def test_labels_are_smoothed_over_the_classes_wherever_they_lie(
    float64_keras, name, from_logits, axis
):
    # Keras 3.15 divides by the length of the last axis; so the classes are brought there for it
    rng = np.random.default_rng(0)
    moved = rng.uniform(0.05, 1, (N, 2, 5, K))
    labels = np.eye(K)[rng.integers(K, size=moved.shape[:-1])]
    options = {"from_logits": from_logits, "label_smoothing": 0.3}
    wanted = getattr(float64_keras.losses, name)(**options, reduction="none", dtype="float64")(
        labels, moved
    )
    y_true, y_pred = (np.moveaxis(a, -1, axis) for a in (labels, moved))
    loss = getattr(losses, name)(**options, axis=axis, reduction="none")

    np.testing.assert_allclose(loss(y_true, y_pred), wanted, rtol=1e-9)
    dy_pred = loss.backward(loss.forward(y_true, y_pred)[1])
    last = getattr(losses, name)(**options, reduction="none")
    wanted = last.backward(last.forward(labels, moved)[1])
    np.testing.assert_allclose(np.moveaxis(dy_pred, axis, -1), wanted, rtol=1e-12, atol=1e-15)
    if name == "CategoricalCrossentropy":
        metric = metrics.CategoricalCrossentropy(**options, axis=axis)
        assert metric(y_true, y_pred) == pytest.approx(loss(y_true, y_pred).mean(), rel=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_generalised_cross_entropy_is_that_of_keras(request, dtype):
    keras = request.getfixturevalue(f"{dtype}_keras")
    y_true, y_pred = data("labels", dtype, (N, K))
    make = getattr(keras.losses, "CategoricalGeneralizedCrossEntropy", None)
    if make is None:
        pytest.skip("this Keras has no CategoricalGeneralizedCrossEntropy")

    found = losses.CategoricalGeneralizedCrossEntropy(q=0.7)(y_true, y_pred)

    np.testing.assert_allclose(found, make(q=0.7, dtype=dtype)(y_true, y_pred), rtol=RTOL[dtype])


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight"])
def test_ignored_labels_count_as_in_keras_beside_weights(float64_keras, reduction):
    from keras.src.losses.loss import reduce_weighted_values

    y_true, y_pred = data("labels", "float64")
    w = np.random.default_rng(2).uniform(0.5, 2.0, y_true.shape)
    function = float64_keras.losses.sparse_categorical_crossentropy
    with np.errstate(invalid="ignore"):
        values = function(y_true, y_pred, ignore_class=2)
    loss = losses.SparseCategoricalCrossentropy(ignore_class=2, reduction=reduction)

    wanted = reduce_weighted_values(np.asarray(values), w, y_true != 2, reduction, "float64")

    np.testing.assert_allclose(loss(y_true, y_pred, w), wanted, rtol=1e-12)
