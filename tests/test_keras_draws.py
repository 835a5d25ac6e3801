"""Losses, metrics, activations, regularizers, constraints beside Keras', on drawn configurations.

Tests of one family try its own corners; here options, shapes, axes, weights, reductions and dtypes
meet by chance.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "numpy")

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from keras_parity import keras_in

from backprop import activations, constraints, losses, metrics, regularizers

few = settings(max_examples=20)
dtypes = st.sampled_from(["float32", "float64"])
small = st.floats(0.05, 0.95)
axes = st.sampled_from([-1, -2, 1])
REDUCTIONS = ["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None]
TOLERANCE = {"float32": {"rtol": 3e-5, "atol": 3e-6}, "float64": {"rtol": 1e-6, "atol": 1e-9}}

logits = {"from_logits": st.booleans()}
smoothing = {"label_smoothing": st.just(0.0) | small}
focal = {"gamma": st.floats(0.5, 4), "alpha": small}
LOSSES = {  # name → (kind of data, options)
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
    "SparseCategoricalCrossentropy": (
        "labels",
        {**logits, "ignore_class": st.none() | st.integers(-1, 2)},
    ),
}
METRICS = {
    **{n: LOSSES[n] for n in LOSSES if hasattr(metrics, n)},
    "RootMeanSquaredError": ("numbers", {}),
    "LogCoshError": ("numbers", {}),
    "BinaryAccuracy": ("bits", {"threshold": small}),
    "CategoricalAccuracy": ("one-hot", {}),
    "TopKCategoricalAccuracy": ("one-hot", {"k": st.integers(1, 3)}),
    "SparseCategoricalAccuracy": ("labels", {}),
    "SparseTopKCategoricalAccuracy": ("labels", {"k": st.integers(1, 3)}),
    "BinaryCrossentropy": ("bits", {**logits, **smoothing}),
}


def pair(rng, kind, shape, dtype, options):
    """y_true and y_pred of that kind; logits where the options say so."""
    k = shape[-1]
    p, z = rng.uniform(0.05, 0.95, shape), 2 * rng.standard_normal(shape)
    labels = rng.integers(k, size=shape[:-1])
    pred = z if options.get("from_logits") else p
    y_true, y_pred = {
        "numbers": (rng.standard_normal(shape), z),
        "positive": (3 * rng.random(shape), p),
        "shares": (rng.dirichlet(np.ones(k), shape[:-1]), rng.dirichlet(np.ones(k), shape[:-1])),
        "signs": (rng.choice([-1, 1], shape), z),
        "bits": (rng.integers(2, size=shape), pred),
        "one-hot": (np.eye(k)[labels], pred),
        "labels": (labels, pred),
    }[kind]
    return (y_true if kind == "labels" else y_true.astype(dtype)), y_pred.astype(dtype)


def weights(draw, rng, shape, dtype):
    kind = draw(st.sampled_from(["none", "scalar", "sample", "value"]))
    column = (*shape[:1], *(1 for _ in shape[1:]))  # (n,) weighs samples here, steps in Keras
    wanted = {"none": None, "scalar": (), "sample": column, "value": shape}[kind]
    return None if wanted is None else rng.uniform(0.1, 2, wanted).astype(dtype)


@pytest.fixture(autouse=True)
def quiet():
    with np.errstate(all="ignore"):  # Keras divides by 0 and overflows on its way
        yield


@few
@given(data=st.data())
@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_those_of_keras(name, data):
    kind, options = LOSSES[name]
    options = {key: data.draw(value) for key, value in options.items()}
    least = 3 if options.get("axis", -1) != -1 else 2  # the batch is no axis of a loss
    shape = tuple(data.draw(st.lists(st.integers(2, 4), min_size=least, max_size=4)))
    dtype, reduction = data.draw(dtypes), data.draw(st.sampled_from(REDUCTIONS))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**16)))
    y_true, y_pred = pair(rng, kind, shape, dtype, options)
    loss = getattr(losses, name)(**options, reduction=reduction)
    values = loss.per_sample(y_true, y_pred)
    w = weights(data.draw, rng, values.shape, dtype)
    if options.get("ignore_class") is not None:
        w = None  # test_losses.py: how Keras' masks meet weights differs from case to case

    found = loss(y_true, y_pred, w)

    with keras_in(dtype) as keras:
        peer = getattr(keras.losses, name)(**options, reduction=reduction, dtype=dtype)
        wanted = np.asarray(peer(y_true, y_pred, sample_weight=w))
    assert np.shape(found) == wanted.shape
    if np.isfinite(wanted).all():  # Keras divides 0 by 0 where all labels are ignored
        np.testing.assert_allclose(found, wanted, **TOLERANCE[dtype])


@few
@given(data=st.data())
@pytest.mark.parametrize("name", METRICS)
def test_metrics_are_those_of_keras(name, data):
    kind, options = METRICS[name]
    options = {k: data.draw(v) for k, v in options.items() if k not in ("ignore_class",)}
    options.pop("axis", None)
    inner = data.draw(st.lists(st.integers(2, 4), min_size=1, max_size=2))
    dtype, weighted = data.draw(dtypes), data.draw(st.booleans())
    rng = np.random.default_rng(data.draw(st.integers(0, 2**16)))
    mine = getattr(metrics, name)(**options)
    with keras_in(dtype) as keras:
        theirs = getattr(keras.metrics, name)(**options, dtype=dtype)
        for n in data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)):
            y_true, y_pred = pair(rng, kind, (n, *inner), dtype, options)
            w = rng.uniform(0.1, 2, n).astype(dtype) if weighted else None
            mine.update_state(y_true, y_pred, w)
            theirs.update_state(y_true, y_pred, w)
        wanted = float(theirs.result())

    # Keras keeps sums in float32 whatever the dtype
    assert mine.result() == pytest.approx(wanted, rel=1e-4, abs=1e-5)


thresholds = {"threshold": st.floats(0, 2)}
alphas = {"alpha": st.floats(0.1, 3)}
ACTIVATIONS = {
    "celu": alphas,
    "elu": alphas,
    "gelu": {"approximate": st.booleans()},
    "glu": {"axis": axes},
    "hard_shrink": thresholds,
    "soft_shrink": thresholds,
    "leaky_relu": {"negative_slope": st.floats(0, 1)},
    "log_softmax": {"axis": axes},
    "softmax": {"axis": axes},
    "relu": {
        "negative_slope": st.just(0.0) | small,
        "max_value": st.none() | st.floats(0.5, 6),
        **thresholds,
    },
    "squareplus": {"b": st.floats(0.1, 5)},
    "threshold": {**thresholds, "default_value": st.floats(-2, 2)},
}


@few
@given(data=st.data())
@pytest.mark.parametrize("name", sorted(set(activations.FUNCTIONS) - {"sparsemax"}))
def test_activations_are_those_of_keras(name, data):
    options = {key: data.draw(value) for key, value in ACTIVATIONS.get(name, {}).items()}
    dtype = data.draw(dtypes)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**16)))
    x = data.draw(st.sampled_from([1e-3, 1.0, 30.0])) * rng.standard_normal((3, 4, 6))
    if data.draw(st.booleans()) and "axis" not in options:
        x.flat[:4] = [np.inf, -np.inf, np.nan, -0.0]
    x = x.astype(dtype)

    found = getattr(activations, name)(x, **options)

    with keras_in(dtype) as keras:
        wanted = np.asarray(getattr(keras.activations, name)(x, **options))
    if "axis" in options:
        np.testing.assert_allclose(found, wanted, **TOLERANCE[dtype])
        return
    # NaN goes through here, and is 0 in some of Keras'; at infinity Keras may have 0 times infinity
    assert (np.isnan(found) == np.isnan(x)).all()
    known = ~np.isnan(x) & ~np.isnan(wanted)
    np.testing.assert_allclose(found[known], wanted[known], **TOLERANCE[dtype])


@few
@given(data=st.data())
@pytest.mark.parametrize("name", ["L1", "L2", "L1L2", "OrthogonalRegularizer"])
def test_regularizers_are_those_of_keras(name, data):
    factor = st.floats(0, 2)
    options = {
        "L1": {"l1": factor},
        "L2": {"l2": factor},
        "L1L2": {"l1": factor, "l2": factor},
        "OrthogonalRegularizer": {"factor": factor, "mode": st.sampled_from(["rows", "columns"])},
    }[name]
    options = {key: data.draw(value) for key, value in options.items()}
    rng = np.random.default_rng(data.draw(st.integers(0, 2**16)))
    w = rng.standard_normal(data.draw(st.tuples(st.integers(2, 5), st.integers(2, 5))))

    found = getattr(regularizers, name)(**options)(w)

    with keras_in("float64") as keras:
        # Keras takes NumPy's columns for rows when it normalises them: it gets them as rows
        columns = options.pop("mode", "rows") == "columns"
        wanted = float(getattr(keras.regularizers, name)(**options)(w.T if columns else w))
    assert float(found) == pytest.approx(wanted, rel=1e-6, abs=1e-9)


@few
@given(data=st.data())
@pytest.mark.parametrize("name", ["MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm"])
def test_constraints_are_those_of_keras(name, data):
    shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    axis = st.integers(0, len(shape) - 1) | st.lists(
        st.integers(0, len(shape) - 1), min_size=1, max_size=2, unique=True
    )
    options = {
        "MaxNorm": {"max_value": st.floats(0.1, 3), "axis": axis},
        "MinMaxNorm": {
            "min_value": st.floats(0, 0.5),
            "max_value": st.floats(0.6, 3),
            "rate": st.floats(0, 1),
            "axis": axis,
        },
        "NonNeg": {},
        "UnitNorm": {"axis": axis},
    }[name]
    options = {key: data.draw(value) for key, value in options.items()}
    w = np.random.default_rng(data.draw(st.integers(0, 2**16))).standard_normal(shape)

    found = getattr(constraints, name)(**options)(w.copy())

    with keras_in("float64") as keras:
        peer = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
        wanted = np.asarray(getattr(keras.constraints, name)(**peer)(w))
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-9)
