"""Losses with their gradients, compiled and in NumPy."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose
from side_by_side import DTYPES, arrays, compiled

from backprop.kernels import losses
from backprop.linalg import softmax


def assert_same(kernel, *args):
    """Both forms return the same sum, and leave the same gradient in the third argument."""
    dtype = args[2].dtype
    theirs = args[2].copy()
    with np.errstate(all="ignore"):
        expected = kernel.__wrapped__(*args[:2], theirs, *args[3:])

    found = compiled(kernel, args)

    tolerance = 64 * np.finfo(dtype).eps
    assert_allclose(dtype.type(found), expected, tolerance, tolerance)
    assert_allclose(args[2], theirs, tolerance, tolerance)


SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=17)


@given(st.data(), DTYPES, SHAPES)
def test_squared_error(data, dtype, shape):
    y_true, y_pred = (data.draw(arrays(shape, dtype, special=i == 1)) for i in range(2))

    assert_same(losses.squared_error, y_true, y_pred, np.empty_like(y_pred), 0.1)


def rows_and_labels(data, dtype, shape):
    z = data.draw(arrays(shape, dtype, special=True))
    integers = data.draw(st.sampled_from([np.int64, np.int32]))
    return z, np.random.default_rng(0).integers(0, shape[1], shape[0]).astype(integers)


@given(st.data(), DTYPES, SHAPES)
def test_sparse_of_logits(data, dtype, shape):
    z, labels = rows_and_labels(data, dtype, shape)

    assert_same(losses.sparse_of_logits, z, labels, np.empty_like(z), 0.1)


@given(st.data(), DTYPES, SHAPES)
def test_sparse_after_softmax(data, dtype, shape):
    z, labels = rows_and_labels(data, dtype, shape)
    with np.errstate(all="ignore"):
        q = softmax(10 * z)

    assert_same(losses.sparse_after_softmax, q, labels, np.empty_like(q), 1e-7, 1 - 1e-7, 0.1)


@given(st.data(), DTYPES, SHAPES, st.booleans())
def test_categorical_after_softmax(data, dtype, shape, soft):
    z, labels = rows_and_labels(data, dtype, shape)
    with np.errstate(all="ignore"):
        q = softmax(10 * z)
    t = data.draw(arrays(shape, dtype, low=0)) if soft else np.eye(shape[1], dtype=dtype)[labels]

    assert_same(losses.categorical_after_softmax, q, t, np.empty_like(q), 1e-7, 1 - 1e-7, 0.1)


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_that_is_no_class_is_an_error_and_writes_nowhere(label):
    z = np.zeros((2, 3))

    with pytest.raises(IndexError, match="label"):
        compiled(losses.sparse_of_logits, (z, np.array([0, label]), np.empty_like(z), 1.0))
