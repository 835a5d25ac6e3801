"""Constraints: projections, and Keras' numbers."""

import os

os.environ.setdefault("KERAS_BACKEND", "numpy")

import numpy as np
import pytest
from hypothesis import given, strategies as st

from backprop import constraints
from backprop.constraints import Constraint, MaxNorm, MinMaxNorm, NonNeg, UnitNorm

ALL = [MaxNorm(0.5), NonNeg(), UnitNorm(), MinMaxNorm(0.5, 1.0, 0.7)]
seeds = st.integers(0, 2**31)


def weights(shape, seed, dtype="float64", scale=1.0):
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(dtype)


@given(st.floats(0, 3), st.sampled_from([0, 1, (0, 1), [0, 1]]), seeds)
def test_max_norm_shortens_what_is_too_long_and_leaves_the_rest(bound, axis, seed):
    w = weights((4, 3), seed)

    projected = MaxNorm(bound, axis)(w)

    axes = tuple(axis) if isinstance(axis, list) else axis
    before, after = (np.sqrt((a**2).sum(axes, keepdims=True)) for a in (w, projected))
    np.testing.assert_allclose(after, np.minimum(before, bound), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(projected * before, w * after, atol=1e-6)  # the direction stays


def test_non_neg_clips_at_zero():
    np.testing.assert_array_equal(NonNeg()(np.array([-1.0, 0.0, 2.0])), [0, 0, 2])


@given(st.sampled_from([0, 1, (0, 1)]), seeds)
def test_unit_norm_makes_length_one(axis, seed):
    projected = UnitNorm(axis)(weights((4, 3), seed))

    np.testing.assert_allclose((projected**2).sum(axis), 1, rtol=1e-5)


@given(st.floats(0, 1), seeds)
def test_min_max_norm_goes_rate_of_the_way(rate, seed):
    w = weights((4, 3), seed, scale=2)

    projected = MinMaxNorm(0.5, 1.0, rate)(w)

    before, after = (np.sqrt((a**2).sum(0)) for a in (w, projected))
    np.testing.assert_allclose(
        after, rate * np.clip(before, 0.5, 1) + (1 - rate) * before, rtol=1e-5
    )


def test_a_convolution_is_constrained_filter_by_filter():
    w = weights((3, 3, 2, 5), 0)

    projected = UnitNorm(axis=(0, 1, 2))(w)

    np.testing.assert_allclose((projected**2).sum((0, 1, 2)), np.ones(5), rtol=1e-5)


@pytest.mark.parametrize("constraint", ALL, ids=repr)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_new_array_of_the_same_dtype_comes_back(constraint, dtype):
    w = weights((4, 3), 0, dtype)
    before = w.copy()

    projected = constraint(w)

    assert projected.dtype == dtype
    assert projected.shape == w.shape
    assert not np.shares_memory(projected, w)
    np.testing.assert_array_equal(w, before)


@pytest.mark.parametrize("constraint", ALL, ids=repr)
@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e30])
def test_extreme_weights_stay_finite_without_warnings(constraint, scale):
    projected = constraint(np.full((2, 2), scale, np.float32))

    assert np.isfinite(projected).all()


def test_huge_weights_are_brought_to_the_bound():
    projected = MaxNorm(2.0)(np.full((4, 1), 1e30, np.float32))

    np.testing.assert_allclose(projected, np.ones((4, 1)), rtol=1e-5)


# ---------------------------------------------------------------------------- names


def test_snake_case_names_are_the_classes():
    for name, cls in {
        "max_norm": MaxNorm,
        "non_neg": NonNeg,
        "unit_norm": UnitNorm,
        "min_max_norm": MinMaxNorm,
    }.items():
        assert getattr(constraints, name) is cls
        assert type(constraints.get(name)) is cls
        assert type(constraints.get(cls.__name__)) is cls


@pytest.mark.parametrize("constraint", [*ALL, UnitNorm(axis=[0, 1])], ids=repr)
def test_a_config_makes_the_same_constraint(constraint):
    w = weights((4, 3), 1)

    twin = constraints.deserialize(constraints.serialize(constraint))

    assert repr(twin) == repr(constraint)
    np.testing.assert_array_equal(twin(w), constraint(w))


def test_the_base_class_leaves_weights_as_they_are():
    w = weights((2, 2), 0)

    np.testing.assert_array_equal(Constraint()(w), w)


def test_a_function_and_a_subclass_of_the_users_serve():
    class Clip(Constraint):
        def __call__(self, w):
            return np.clip(w, -1, 1)

    np.testing.assert_array_equal(constraints.get(Clip)(np.array([3.0])), [1])
    np.testing.assert_array_equal(constraints.get(np.abs)(np.array([-3.0])), [3])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: constraints.get("nonneg"),
            ValueError,
            "did you mean 'non_neg'|did you mean 'NonNeg'",
        ),
        (lambda: constraints.get(2), TypeError, "got 2"),
        (lambda: MaxNorm(-1), ValueError, "max_value not to be negative, got -1"),
        (lambda: MinMaxNorm(2, 1), ValueError, "min_value <= max_value, got 2 and 1"),
        (lambda: MinMaxNorm(rate=2), ValueError, "rate .* from 0 to 1, got 2"),
    ],
)
def test_errors_say_what_was_expected_and_what_came(call, error, message):
    with pytest.raises(error, match=message):
        call()


# ---------------------------------------------------------------------------- Keras


@given(
    st.sampled_from(
        [
            ("MaxNorm", {}),
            ("MaxNorm", {"max_value": 0.5, "axis": 1}),
            ("NonNeg", {}),
            ("UnitNorm", {"axis": [0, 1]}),
            ("MinMaxNorm", {"min_value": 0.5, "rate": 0.4}),
        ]
    ),
    st.sampled_from(["float32", "float64"]),
    st.sampled_from([0.0, 0.1, 5.0]),
    seeds,
)
def test_projections_are_those_of_keras(case, dtype, scale, seed):
    keras = pytest.importorskip("keras", reason="Keras is the peer that is compared with")
    name, arguments = case
    w = weights((5, 4), seed, dtype, scale)

    mine = getattr(constraints, name)(**arguments)(w)
    theirs = keras.ops.convert_to_numpy(getattr(keras.constraints, name)(**arguments)(w))

    # Keras itself rounds to float32 where an argument is an integer
    rtol = 1e-6 if theirs.dtype == np.float64 else 2e-5
    np.testing.assert_allclose(mine, theirs, rtol=rtol)
