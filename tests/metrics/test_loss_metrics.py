"""Losses as metrics: streams of the losses' values, R², and Keras' numbers."""

import os

os.environ.setdefault("KERAS_BACKEND", "numpy")

import numpy as np
import pytest
from hypothesis import given, strategies as st

from backprop import metrics

REGRESSION = [
    "MeanSquaredError",
    "RootMeanSquaredError",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredLogarithmicError",
    "CosineSimilarity",
    "LogCoshError",
    "Hinge",
    "SquaredHinge",
]
PROBABILITIES = [
    ("BinaryCrossentropy", {}),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.2}),
    ("CategoricalCrossentropy", {}),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}),
    ("SparseCategoricalCrossentropy", {}),
    ("SparseCategoricalCrossentropy", {"from_logits": True}),
    ("SparseCategoricalCrossentropy", {"from_logits": True, "ignore_class": 1}),
    ("KLDivergence", {}),
    ("Poisson", {}),
    ("CategoricalHinge", {}),
]
CASES = [*((name, {}) for name in REGRESSION), *PROBABILITIES]

seeds = st.integers(0, 2**31)
dtypes = st.sampled_from(["float32", "float64"])


def targets_and_outputs(name, arguments, rng, shape):
    if name.endswith("Hinge") and name in REGRESSION:
        return rng.choice([-1.0, 1.0], shape), rng.uniform(0.1, 3, shape)
    if name in REGRESSION:
        return rng.uniform(0.1, 3, shape), rng.uniform(0.1, 3, shape)
    labels = rng.integers(0, shape[-1], shape[:-1])
    y_pred = rng.dirichlet(np.ones(shape[-1]), shape[:-1])
    if arguments.get("from_logits"):
        # Keras on NumPy takes log(1 - p), which is inexact where p is near 1
        y_pred = rng.uniform(-3, 3, shape)
    if name.startswith("Sparse"):
        return labels, y_pred
    return np.eye(shape[-1])[labels], y_pred


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=str)
@given(
    seed=seeds,
    dtype=dtypes,
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    inner=st.sampled_from([(3,), (2, 3)]),
    weighted=st.booleans(),
)
def test_losses_as_metrics_agree_with_keras(name, arguments, seed, dtype, sizes, inner, weighted):
    keras = pytest.importorskip("keras", reason="Keras is the peer that is compared with")
    rng = np.random.default_rng(seed)
    mine = getattr(metrics, name)(**arguments)
    theirs = getattr(keras.metrics, name)(**arguments, dtype=dtype)

    for n in sizes:
        y_true, y_pred = targets_and_outputs(name, arguments, rng, (n, *inner))
        # Keras meets weights (n,) with the mask (n, ...) of what is ignored, and fails
        shape = (n, *inner[:-1]) if "ignore_class" in arguments else n
        weights = rng.uniform(0.1, 2, shape).astype(dtype) if weighted else None
        y_true = y_true.astype(dtype if y_true.dtype.kind == "f" else "int32")
        for metric in (mine, theirs):
            metric.update_state(y_true, y_pred.astype(dtype), weights)

    rel = 1e-6 if dtype == "float64" else 2e-5
    with np.errstate(invalid="ignore"):  # Keras divides 0 by 0 where all is ignored
        wanted = float(theirs.result())
    # a similarity near zero is a difference of terms of size one
    assert mine.result() == pytest.approx(wanted, rel=rel, abs=rel)
    assert mine.name == theirs.name


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=str)
def test_streams_without_weight_are_zero(name, arguments):
    metric = getattr(metrics, name)(**arguments)
    y_true, y_pred = targets_and_outputs(name, arguments, np.random.default_rng(0), (4, 3))

    assert metric.result() == 0
    metric.update_state(y_true, y_pred, np.zeros(4))
    assert metric.result() == 0
    metric.update_state(y_true, y_pred)
    assert metric.result() != 0


def test_ignored_labels_are_left_out_where_there_are_weights():
    metric = metrics.SparseCategoricalCrossentropy(ignore_class=-1)
    y_true, y_pred = [[0, -1], [-1, -1]], np.full((2, 2, 2), 0.5)

    assert metric(y_true, y_pred) == pytest.approx(np.log(2) / 4)
    metric.reset_state()
    assert metric(y_true, y_pred, sample_weight=[3.0, 1.0]) == pytest.approx(np.log(2))


def test_the_root_is_taken_of_the_whole_stream():
    metric = metrics.RootMeanSquaredError()
    metric.update_state([[0.0], [0.0]], [[3.0], [4.0]])
    metric.update_state([[0.0], [0.0]], [[5.0], [0.0]])

    assert metric.result() == pytest.approx(np.sqrt((9 + 16 + 25) / 4))


# ---------------------------------------------------------------------------- R²


@given(
    seeds,
    dtypes,
    st.sampled_from([None, "uniform_average", "variance_weighted_average"]),
    st.sampled_from([0, 2]),
    st.sampled_from(["none", "scalar", "sample", "full"]),
)
def test_r2_agrees_with_keras(seed, dtype, aggregation, regressors, weighted):
    keras = pytest.importorskip("keras", reason="Keras is the peer that is compared with")
    rng = np.random.default_rng(seed)
    mine = metrics.R2Score(aggregation, regressors)
    theirs = keras.metrics.R2Score(aggregation, regressors, dtype=dtype)

    seen = 0
    for n in (5, 3, 4):
        seen += n
        y_true, y_pred = rng.standard_normal((2, n, 3)).astype(dtype)
        shape = {"none": None, "scalar": (), "sample": (n,), "full": (n, 3)}[weighted]
        weights = None if shape is None else rng.uniform(0.1, 2, shape).astype(dtype)
        mine.update_state(y_true, y_pred, weights)
        theirs.update_state(y_true, y_pred, weights)

    right = np.asarray(theirs.result())
    if regressors:  # Keras counts elements for samples, and no weights: the adjustment is redone
        elements, samples = seen * 3, 1.0 * np.asarray(mine.count)
        plain = 1 - (1 - right) * (elements - regressors - 1) / (elements - 1)
        by_output = (samples - 1) / (samples - regressors - 1)
        if weighted == "full" and aggregation is not None:
            return  # each output has a factor of its own, and Keras has aggregated them
        right = 1 - (1 - plain) * (by_output if aggregation is None else by_output[0])
    # Keras keeps these sums in float32 whatever the dtype
    np.testing.assert_allclose(mine.result(), right, rtol=1e-4, atol=1e-4)


def test_r2_agrees_with_scikit_learn():
    r2_score = pytest.importorskip(
        "sklearn.metrics", reason="the peer that is compared with"
    ).r2_score
    rng = np.random.default_rng(0)
    y_true, y_pred, w = rng.standard_normal((20, 3)), rng.standard_normal((20, 3)), rng.random(20)

    for aggregation, theirs in {
        None: "raw_values",
        "uniform_average": "uniform_average",
        "variance_weighted_average": "variance_weighted",
    }.items():
        metric = metrics.R2Score(aggregation)
        for half in (slice(0, 7), slice(7, 20)):
            metric.update_state(y_true[half], y_pred[half], w[half])
        wanted = r2_score(y_true, y_pred, sample_weight=w, multioutput=theirs)
        np.testing.assert_allclose(metric.result(), wanted, rtol=1e-12)


def test_r2_keeps_its_digits_where_the_mean_is_large():
    rng = np.random.default_rng(0)
    y_true = rng.standard_normal((100, 1))
    y_pred = y_true + 0.1 * rng.standard_normal((100, 1))
    plain, shifted = metrics.R2Score(), metrics.R2Score()

    for batch in np.split(np.arange(100), 4):
        plain.update_state(y_true[batch], y_pred[batch])
        shifted.update_state(y_true[batch] + 1e7, y_pred[batch] + 1e7)

    # Σ y² - n mean², as it is often written, has no digit left of a spread of 1 about 1e7
    assert shifted.result() == pytest.approx(plain.result(), rel=1e-6)


def test_r2_of_a_constant_target_is_zero_and_of_nothing_is_nan():
    metric = metrics.R2Score()

    assert np.isnan(metric.result())
    metric.update_state([[2.0], [2.0]], [[1.0], [2.0]])
    assert metric.result() == 0
    metric.reset_state()
    assert np.isnan(metric.result())
    metric.update_state([[2.0], [3.0]], [[1.0], [2.0]], [0, 0])
    assert np.isnan(metric.result())


def test_r2_warns_where_it_cannot_adjust():
    metric = metrics.R2Score(num_regressors=2)
    metric.update_state([[1.0], [2.0], [4.0]], [[1.0], [2.0], [3.0]])

    with pytest.warns(UserWarning, match="has seen 3 samples, too few to adjust"):
        assert metric.result() == pytest.approx(1 - 1 / (14 / 3))


def adjusted(score, n, p):
    return 1 - (1 - score) * (n - 1) / (n - p - 1)


AGGREGATIONS = {
    None: "raw_values",
    "uniform_average": "uniform_average",
    "variance_weighted_average": "variance_weighted",
}


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("outputs", [1, 3])
def test_the_adjusted_r2_counts_samples(aggregation, outputs):
    r2_score = pytest.importorskip("sklearn.metrics", reason="the peer").r2_score
    rng = np.random.default_rng(0)
    y_true = rng.standard_normal((12, outputs))
    y_pred = y_true + 0.5 * rng.standard_normal((12, outputs))
    metric = metrics.R2Score(aggregation, num_regressors=4)

    for i in range(12):  # one at a time
        metric.update_state(y_true[i : i + 1], y_pred[i : i + 1])

    plain = r2_score(y_true, y_pred, multioutput=AGGREGATIONS[aggregation])
    np.testing.assert_allclose(metric.result(), adjusted(plain, 12, 4), rtol=1e-12)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_a_weight_counts_in_the_adjusted_r2_as_so_many_samples(aggregation):
    rng = np.random.default_rng(0)
    y_true = rng.standard_normal((12, 3))
    y_pred = y_true + 0.5 * rng.standard_normal((12, 3))
    w = rng.integers(0, 4, 12)
    weighted, repeated = (metrics.R2Score(aggregation, num_regressors=4) for _ in range(2))

    weighted.update_state(y_true, y_pred, w)
    repeated.update_state(np.repeat(y_true, w, axis=0), np.repeat(y_pred, w, axis=0))

    np.testing.assert_allclose(weighted.result(), repeated.result(), rtol=1e-12)


def test_each_output_is_adjusted_for_its_own_weights():
    rng = np.random.default_rng(0)
    y_true, y_pred = rng.standard_normal((2, 12, 2))
    w = np.ones((12, 2))
    w[:5, 1] = 0
    metric, halves = metrics.R2Score(None, 3), [metrics.R2Score(None, 3) for _ in range(2)]

    metric.update_state(y_true, y_pred, w)
    halves[0].update_state(y_true[:, :1], y_pred[:, :1])
    halves[1].update_state(y_true[5:, 1:], y_pred[5:, 1:])

    np.testing.assert_allclose(metric.result(), np.concatenate([m.result() for m in halves]))


@pytest.mark.parametrize("shapes", [((9,), (9,)), ((9,), (9, 1)), ((9, 1), (9,))])
def test_a_single_output_needs_no_axis_of_its_own(shapes):
    y_true, y_pred = np.random.default_rng(0).standard_normal((2, 9))
    column = metrics.R2Score(num_regressors=2)(y_true[:, None], y_pred[:, None])

    score = metrics.R2Score(num_regressors=2)(y_true.reshape(shapes[0]), y_pred.reshape(shapes[1]))

    assert score == column


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.R2Score("mean"), "class_aggregation to be one of .* got 'mean'"),
        (lambda: metrics.R2Score(num_regressors=-1), "not negative, got -1"),
        (lambda: metrics.R2Score()([[[1.0]]], [[[1.0]]]), r"or \(n, outputs\), got \(1, 1, 1\)"),
        (lambda: metrics.RootMeanSquaredError()([[1.0]], [[[1.0, 2.0]]]), "one shape"),
    ],
)
def test_errors_say_what_was_expected_and_what_came(call, message):
    with pytest.raises(ValueError, match=message):
        call()
