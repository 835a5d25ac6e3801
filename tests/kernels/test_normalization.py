"""Statistics of channels and rows, and what is normalised with them, compiled and in NumPy."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from side_by_side import DTYPES, arrays, assert_same

from backprop.kernels import normalization

ROWS = st.integers(0, 40) | st.sampled_from([129, 700])
COLUMNS = st.integers(1, 40) | st.sampled_from([64, 127, 128, 129, 300])
SPECIAL = st.lists(st.sampled_from([np.nan, np.inf, -np.inf]), max_size=2)


def drawn(data, dtype, m, n, count):
    """`count` matrices with NaN and infinities here and there, and vectors as long as their
    rows."""
    matrices = [data.draw(arrays((m, n), dtype)) for _ in range(count)]
    for x in matrices:
        if x.size:
            for value in data.draw(
                st.lists(st.sampled_from([np.nan, np.inf, -np.inf]), max_size=2)
            ):
                x.reshape(-1)[data.draw(st.integers(0, x.size - 1))] = value
    return matrices, lambda: data.draw(arrays(n, dtype))


@given(st.data(), DTYPES, ROWS, COLUMNS)
def test_moments(data, dtype, m, n):
    (x,), v = drawn(data, dtype, m, n, 1)

    assert_same(normalization.moments, (x, v(), v()), units=20 + m)


@given(st.data(), DTYPES, ROWS, COLUMNS)
def test_products(data, dtype, m, n):
    (dy, x), v = drawn(data, dtype, m, n, 2)

    assert_same(normalization.products, (dy, x, v(), v(), v()), units=20 + m, size=20)


@given(st.data(), DTYPES, ROWS, COLUMNS)
def test_affine(data, dtype, m, n):
    (x, y), v = drawn(data, dtype, m, n, 2)

    assert_same(normalization.affine, (x, v(), v(), v(), y), size=10)


@given(st.data(), DTYPES, ROWS, COLUMNS)
def test_affine_of_both(data, dtype, m, n):
    (dy, x, dx), v = drawn(data, dtype, m, n, 3)

    assert_same(normalization.affine_of_both, (dy, x, v(), v(), v(), v(), dx), size=20)


@given(st.data(), DTYPES, ROWS, COLUMNS, st.booleans(), st.booleans())
def test_rows_normalized(data, dtype, m, n, shifted, centred):
    (x, xhat, y), v = drawn(data, dtype, m, n, 3)
    beta, r = v() if shifted else None, np.empty((m, 1), dtype)

    args = x, v(), beta, 1e-3, centred, xhat, r, y
    # near r = 32 a digit of the mean is 32 of x̂
    assert_same(normalization.rows_normalized, args, units=100 + 10 * n)


@given(st.data(), DTYPES, ROWS, COLUMNS, st.booleans())
def test_rows_normalized_backward(data, dtype, m, n, centred):
    (dy, xhat, dx), v = drawn(data, dtype, m, n, 3)
    r = data.draw(arrays((m, 1), dtype, low=0.1))

    args = dy, xhat, r, v(), centred, dx, v(), v()
    assert_same(normalization.rows_normalized_backward, args, units=40 + 4 * n + m, size=10)


@pytest.mark.parametrize("n", [3, 64])
@pytest.mark.parametrize("mean", [0, 100])
def test_sums_over_many_rows_lose_no_digits(n, mean):
    rng = np.random.default_rng(0)
    x, dy = (rng.standard_normal((32 * 32 * 32, n)).astype(np.float32) for _ in range(2))
    x += np.float32(mean)
    exact = x.astype(np.float64)
    found, squares, along, total = np.empty((4, n), np.float32)

    normalization.moments(x, found, squares)
    normalization.products(dy, x, found, along, total)

    np.testing.assert_allclose(found, exact.mean(0), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(squares, exact.var(0) * len(x), rtol=2e-6)
    np.testing.assert_allclose(total, dy.sum(0, np.float64), atol=1e-3)
    np.testing.assert_allclose(along, (dy * (exact - found)).sum(0), atol=1e-3)
