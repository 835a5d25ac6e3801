"""Regularizers: penalties, their derivatives against finite differences, and Keras' numbers."""

import os

os.environ.setdefault("KERAS_BACKEND", "numpy")

import numpy as np
import pytest
from finite_differences import assert_slope
from hypothesis import given, strategies as st

from backprop import regularizers
from backprop.regularizers import L1, L1L2, L2, OrthogonalRegularizer, Regularizer

factors = st.floats(0, 2)
elementwise = st.one_of(
    st.builds(L1, factors), st.builds(L2, factors), st.builds(L1L2, factors, factors)
)
orthogonal = st.builds(OrthogonalRegularizer, factors, st.sampled_from(["rows", "columns"]))
seeds = st.integers(0, 2**31)


def away_from_zero(shape, seed):
    """Numbers whose signs a difference step cannot change."""
    rng = np.random.default_rng(seed)
    return rng.choice([-1, 1], shape) * rng.uniform(0.1, 2, shape)


@given(elementwise, st.lists(st.integers(0, 4), max_size=4).map(tuple), seeds)
def test_the_gradient_is_the_slope_of_the_penalty(regularizer, shape, seed):
    w = away_from_zero(shape, seed)

    def penalty(t, u):
        return regularizer(w + t * u)

    assert_slope(
        penalty, regularizer.gradient(w), np.random.default_rng(seed), 1e-7, repr(regularizer)
    )


@given(orthogonal, st.integers(1, 5), st.integers(1, 5), seeds)
def test_the_orthogonal_gradient_is_the_slope_of_the_penalty(regularizer, n, m, seed):
    w = np.random.default_rng(seed).standard_normal((n, m))
    x = w if regularizer.mode == "rows" else w.T
    products = (x @ x.T)[~np.eye(len(x), dtype=bool)]
    # |product| has a kink at 0, and a row of length 0 no direction
    if np.abs(products).min(initial=1) < 0.05 or np.linalg.norm(x, axis=1).min() < 0.2:
        return

    def penalty(t, u):
        return regularizer(w + t * u)

    assert_slope(
        penalty, regularizer.gradient(w), np.random.default_rng(seed), 1e-6, repr(regularizer)
    )


def test_penalties_and_gradients_worked_out_by_hand():
    w = np.array([[1.0, -2.0], [0.0, 4.0]])

    assert L1(0.5)(w) == 3.5
    assert L2(0.5)(w) == 10.5
    assert L1L2(1.0, 0.5)(w) == 17.5
    np.testing.assert_array_equal(L1(0.5).gradient(w), [[0.5, -0.5], [0, 0.5]])
    np.testing.assert_array_equal(L2(0.5).gradient(w), w)
    np.testing.assert_array_equal(L1L2(1.0, 0.5).gradient(w), [[2, -3], [0, 5]])


def test_orthogonal_penalty_is_the_mean_cosine_of_the_pairs():
    w = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])

    # the pairs' cosines: 0, 1/√2, 1/√2
    assert OrthogonalRegularizer(3.0)(w) == pytest.approx(np.sqrt(2))
    assert OrthogonalRegularizer(3.0, "columns")(w.T) == pytest.approx(np.sqrt(2))


def test_rows_of_zeros_and_single_rows_have_no_penalty_and_no_gradient():
    regularizer = OrthogonalRegularizer()

    assert regularizer(np.ones((1, 3))) == 0
    np.testing.assert_array_equal(regularizer.gradient(np.ones((1, 3))), np.zeros((1, 3)))
    assert regularizer(np.zeros((2, 3))) == 0
    np.testing.assert_array_equal(regularizer.gradient(np.zeros((2, 3))), np.zeros((2, 3)))


@pytest.mark.parametrize(
    "regularizer",
    [L1(), L2(), L1L2(0.1, 0.1), OrthogonalRegularizer()],
    ids=repr,
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype_is_kept_and_the_input_is_not_written_into(regularizer, dtype):
    w = np.random.default_rng(0).standard_normal((3, 4)).astype(dtype)
    before = w.copy()

    penalty, gradient = regularizer(w), regularizer.gradient(w)

    assert type(penalty) is float
    assert gradient.dtype == dtype
    assert gradient.shape == w.shape
    assert not np.shares_memory(gradient, w)
    np.testing.assert_array_equal(w, before)


@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_order_does_not_matter(order):
    w = np.array(np.arange(6.0).reshape(2, 3), order=order)

    assert L2(1.0)(w) == 55
    assert L2(1.0)(w[:, ::2]) == 0 + 4 + 9 + 25


# ---------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("l1", L1(0.01)),
        ("l2", L2(0.01)),
        ("L2", L2(0.01)),
        ("l1_l2", L1L2(0.01, 0.01)),
        ("l1l2", L1L2(0, 0)),
        ("L1L2", L1L2(0, 0)),
        ("orthogonal_regularizer", OrthogonalRegularizer(0.01)),
    ],
)
def test_names(name, wanted):
    found = regularizers.get(name)

    assert type(found) is type(wanted)
    assert vars(found) | {"_arguments": None} == vars(wanted) | {"_arguments": None}


def test_snake_case_names_are_the_classes():
    assert (regularizers.l1, regularizers.l2, regularizers.l1_l2) == (L1, L2, L1L2)
    assert regularizers.orthogonal_regularizer is OrthogonalRegularizer


@pytest.mark.parametrize(
    "regularizer", [L1(0.3), L2(0.2), L1L2(0.1, 0.2), OrthogonalRegularizer(1, "columns")]
)
def test_a_config_makes_the_same_regularizer(regularizer):
    w = np.random.default_rng(0).standard_normal((3, 4))

    twin = regularizers.deserialize(regularizers.serialize(regularizer))

    assert repr(twin) == repr(regularizer)
    assert twin(w) == regularizer(w)


def test_none_as_factor_is_the_default_as_in_keras():
    assert (L1(None).l1, L2(None).l2, L1L2(None, None).l1) == (0.01, 0.01, 0)


# ---------------------------------------------------------------------------- the user's own


def test_a_subclass_without_gradient_says_what_to_write():
    class Quartic(Regularizer):
        def __call__(self, w):
            return float((w**4).sum())

    quartic = regularizers.get(Quartic())

    assert quartic(np.array([2.0])) == 16
    with pytest.raises(TypeError, match=r"Quartic .* Write gradient\(self, w\)"):
        quartic.gradient(np.array([2.0]))


def test_a_function_is_evaluated_and_says_that_it_cannot_be_trained_with():
    def quartic(w):
        return (w**4).sum()

    regularizer = regularizers.get(quartic)

    assert regularizer(np.array([2.0])) == 16
    with pytest.raises(TypeError, match="quartic is a function and has no derivative"):
        regularizer.gradient(np.array([2.0]))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: regularizers.get("l3"), ValueError, "unknown regularizer 'l3'"),
        (lambda: regularizers.get(0.01), TypeError, "got 0.01"),
        (lambda: L1(-1), ValueError, "finite and not negative, got -1"),
        (lambda: L2(float("nan")), ValueError, "finite and not negative, got nan"),
        (lambda: L1L2(l2="much"), TypeError, "l2 to be a number, got 'much'"),
        (lambda: OrthogonalRegularizer(mode="row"), ValueError, "'columns', got 'row'"),
        (lambda: OrthogonalRegularizer()(np.ones(3)), ValueError, r"a matrix .* \(3,\)"),
        (lambda: Regularizer()(np.ones(3)), TypeError, "has no __call__"),
    ],
)
def test_errors_say_what_was_expected_and_what_came(call, error, message):
    with pytest.raises(error, match=message):
        call()


# ---------------------------------------------------------------------------- Keras


@given(
    st.sampled_from(
        [
            ("L1", {}),
            ("L2", {"l2": 0.3}),
            ("L1L2", {"l1": 0.2, "l2": 0.1}),
            ("OrthogonalRegularizer", {}),
        ]
    ),
    st.sampled_from(["float32", "float64"]),
    st.integers(2, 6),
    st.integers(2, 6),
    seeds,
)
def test_penalties_are_those_of_keras(case, dtype, n, m, seed):
    keras = pytest.importorskip("keras", reason="Keras is the peer that is compared with")
    name, arguments = case
    w = np.random.default_rng(seed).standard_normal((n, m)).astype(dtype)

    mine = getattr(regularizers, name)(**arguments)(w)
    theirs = float(getattr(keras.regularizers, name)(**arguments)(keras.ops.convert_to_tensor(w)))

    rel = 1e-6 if dtype == "float64" else 2e-5
    assert mine == pytest.approx(theirs, rel, abs=rel / 100)  # nearly orthogonal rows cancel
