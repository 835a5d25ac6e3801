"""The accuracy family: by hand, at its edges, and against Keras."""

import os

os.environ.setdefault("KERAS_BACKEND", "numpy")

import numpy as np
import pytest
from hypothesis import given, strategies as st

from backprop import metrics

NAMES = {
    "Accuracy": {},
    "BinaryAccuracy": {"threshold": 0.4},
    "CategoricalAccuracy": {},
    "SparseCategoricalAccuracy": {},
    "TopKCategoricalAccuracy": {"k": 2},
    "SparseTopKCategoricalAccuracy": {"k": 2},
}


@st.composite
def batches(draw, name):
    """Targets and outputs as the metric takes them, with weights of every shape that fits."""
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    dtype = draw(st.sampled_from(["float32", "float64"]))
    inner = draw(st.sampled_from([(), (2,)]))
    kind = draw(st.sampled_from(["none", "sample", "full"]))
    classes = draw(st.integers(2, 5))
    one_hot = name in ("CategoricalAccuracy", "TopKCategoricalAccuracy")
    column = draw(st.booleans())
    found = []
    for n in draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)):
        shape = (n, *inner)
        if name in ("Accuracy", "BinaryAccuracy"):
            shape = (*shape, 3)
            y_true = rng.integers(0, 2, shape)
            y_pred = rng.integers(0, 2, shape) if name == "Accuracy" else rng.random(shape)
        else:
            labels = rng.integers(0, classes, shape)
            y_true = np.eye(classes)[labels] if one_hot else labels[..., None] if column else labels
            # a few values only, so that scores tie
            y_pred = rng.integers(0, 4, (*shape, classes)) / 4
        w = {"none": None, "sample": (n,), "full": shape}[kind]
        weights = None if w is None else rng.uniform(0, 2, w).astype(dtype)
        found.append((y_true, y_pred.astype(dtype), weights))
    return dtype, found


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_accuracies_agree_with_keras(name, data):
    keras = pytest.importorskip("keras", reason="Keras is the peer that is compared with")
    dtype, stream = data.draw(batches(name))
    mine = getattr(metrics, name)(**NAMES[name])
    theirs = getattr(keras.metrics, name)(**NAMES[name], dtype=dtype)

    for y_true, y_pred, weights in stream:
        mine.update_state(y_true, y_pred, weights)
        theirs.update_state(y_true, y_pred, weights)

    rel = 1e-6 if dtype == "float64" else 2e-5
    assert mine.result() == pytest.approx(float(theirs.result()), rel=rel, abs=rel)


@pytest.mark.parametrize(
    ("true", "pred"),
    [
        ((4,), (4,)),
        ((4,), (4, 1)),
        ((4, 1), (4,)),
        ((4, 2, 1), (4, 2)),
        ((4, 2), (4, 2, 1)),
        ((4, 1), (4, 3)),
    ],
)
@pytest.mark.parametrize("name", ["Accuracy", "BinaryAccuracy"])
def test_ranks_are_matched_as_in_keras(name, true, pred):
    keras = pytest.importorskip("keras", reason="Keras is the peer that is compared with")
    rng = np.random.default_rng(0)
    y_true, y_pred = rng.integers(0, 2, true), rng.integers(0, 2, pred).astype("float32")

    mine = getattr(metrics, name)()(y_true, y_pred)

    assert mine == pytest.approx(float(getattr(keras.metrics, name)()(y_true, y_pred)), rel=1e-6)


def test_functions_return_values_by_sample():
    y_pred = np.array([[0.1, 0.9, 0.8], [0.05, 0.95, 0.0]], np.float32)

    values = metrics.sparse_categorical_accuracy([2, 1], y_pred)

    np.testing.assert_array_equal(values, [0, 1])
    assert values.dtype == np.float32
    np.testing.assert_array_equal(metrics.sparse_categorical_accuracy([[2], [1]], y_pred), [0, 1])
    np.testing.assert_array_equal(metrics.categorical_accuracy(np.eye(3)[[2, 1]], y_pred), [0, 1])
    np.testing.assert_array_equal(metrics.binary_accuracy([[1, 1, 0]], y_pred[:1]), [[0, 1, 0]])
    np.testing.assert_array_equal(
        metrics.sparse_top_k_categorical_accuracy([2, 2], y_pred, k=2), [1, 0]
    )
    np.testing.assert_array_equal(
        metrics.top_k_categorical_accuracy(np.eye(3)[[2, 2]], y_pred, k=2), [1, 0]
    )


SHAPES = [
    ((4,), (4, 3)),
    ((4, 1), (4, 3)),
    ((4, 1), (4, 1, 3)),
    ((4, 1, 1), (4, 1, 3)),
    ((4, 2), (4, 2, 3)),
    ((4, 2, 1), (4, 2, 3)),
    ((4, 2, 1), (4, 2, 1, 3)),
    ((1,), (1, 3)),
    ((1, 1), (1, 3)),
    ((4, 1), (4, 1, 1)),
]


@pytest.mark.parametrize(("true", "pred"), SHAPES)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sparse_categorical_accuracy", {}),
        ("sparse_top_k_categorical_accuracy", {"k": 1}),
        ("sparse_top_k_categorical_accuracy", {"k": 1, "from_sorted_ids": True}),
        ("categorical_accuracy", {}),
        ("top_k_categorical_accuracy", {"k": 1}),
    ],
)
def test_functions_return_the_shapes_of_keras(name, options, true, pred):
    keras = pytest.importorskip("keras", reason="Keras is the peer that is compared with")
    rng = np.random.default_rng(0)
    y_true, y_pred = rng.integers(0, pred[-1], true), rng.random(pred).astype(np.float32)
    if not name.startswith("sparse"):
        y_true = np.eye(pred[-1])[rng.integers(0, pred[-1], pred[:-1])]
    if "from_sorted_ids" in options:
        y_pred = np.argsort(-y_pred, -1).astype(np.float32)

    values = getattr(metrics, name)(y_true, y_pred, **options)

    theirs = np.asarray(getattr(keras.metrics, name)(y_true, y_pred, **options))
    assert values.shape == theirs.shape
    np.testing.assert_array_equal(values, theirs)


def test_predictions_at_the_threshold_count_as_zero():
    np.testing.assert_array_equal(metrics.binary_accuracy([0, 1], [0.5, 0.5]), [1, 0])
    np.testing.assert_array_equal(metrics.binary_accuracy([0, 1], [0.1, 0.1], threshold=0), [0, 1])


def test_classes_that_tie_at_the_border_are_all_in_the_top_k():
    y_pred = [[0.5, 0.2, 0.2, 0.1]] * 4

    values = metrics.sparse_top_k_categorical_accuracy([0, 1, 2, 3], y_pred, k=2)

    np.testing.assert_array_equal(values, [1, 1, 1, 0])


def test_labels_that_are_no_class_and_scores_that_are_nan_are_not_in_the_top_k():
    y_pred = [[0.5, 0.2, np.nan]] * 4

    values = metrics.sparse_top_k_categorical_accuracy([-1, 3, 2, 0], y_pred, k=3)

    np.testing.assert_array_equal(values, [0, 0, 0, 1])


def test_k_may_exceed_the_number_of_classes():
    assert metrics.SparseTopKCategoricalAccuracy(k=9)([0, 1], np.eye(2)) == 1


@given(st.integers(1, 4), st.integers(0, 2**31))
def test_sorted_ids_agree_with_keras(k, seed):
    keras = pytest.importorskip("keras", reason="Keras is the peer that is compared with")
    rng = np.random.default_rng(seed)
    y_true, ids = rng.integers(0, 5, 6), rng.permuted(np.tile(np.arange(5), (6, 1)), axis=1)

    mine = metrics.SparseTopKCategoricalAccuracy(k, from_sorted_ids=True)(y_true, ids)
    theirs = keras.metrics.SparseTopKCategoricalAccuracy(k, from_sorted_ids=True)(y_true, ids)

    assert mine == pytest.approx(float(theirs), rel=1e-6)


def test_a_prediction_equals_its_label_whatever_the_float():
    assert metrics.Accuracy()([0.1], np.array([0.1], np.float32)) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: metrics.binary_accuracy([0, 1], np.ones((2, 3))),
            r"one shape, got \(2,\) and \(2, 3\)",
        ),
        (
            lambda: metrics.Accuracy()(np.ones((2, 2)), np.ones((2, 3))),
            r"got \(2, 2\) and \(2, 3\)",
        ),
        (
            lambda: metrics.categorical_accuracy([0, 1], np.ones((2, 3))),
            "take sparse_categorical_acc",
        ),
        (
            lambda: metrics.sparse_categorical_accuracy(np.eye(3), np.eye(3)),
            r"integer labels of shape \(3,\) .* got \(3, 3\); for one-hot",
        ),
        (
            lambda: metrics.sparse_top_k_categorical_accuracy([0], np.eye(1), k=0),
            "positive integer, got 0",
        ),
        (lambda: metrics.TopKCategoricalAccuracy(k=1.5), "positive integer, got 1.5"),
    ],
)
def test_errors_say_what_was_expected_and_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call()
