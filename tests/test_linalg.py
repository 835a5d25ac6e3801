"""The maths that layers share, against the formulas as they are written."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import sparse, special

from backprop import linalg, parallel

dtypes = st.sampled_from([np.float32, np.float64])


def drawn(seed, shape, dtype, scale=3.0):
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(dtype)


@given(
    seed=st.integers(0, 2**16),
    shape=st.lists(st.integers(0, 4), max_size=3),
    width=st.sampled_from([1, 2, 10, 64, 65, 200]),
    dtype=dtypes,
)
def test_the_last_axis_is_reduced_as_by_numpy(seed, shape, width, dtype):
    x = drawn(seed, (*shape, width), dtype)
    rtol = 1e-5 if dtype == np.float32 else 1e-12

    np.testing.assert_array_equal(linalg.max_last(x), x.max(-1, keepdims=True))
    np.testing.assert_allclose(linalg.sum_last(x), x.sum(-1), rtol=rtol, atol=rtol * width)
    np.testing.assert_allclose(linalg.softmax(x), special.softmax(x, -1), rtol=rtol)
    assert linalg.softmax(x).dtype == linalg.sum_last(x).dtype == dtype


def test_softmax_runs_over_other_axes_and_over_several():
    x = drawn(0, (2, 3, 4), np.float64)

    for axis in (0, 1, 2, -2, (1, 2)):
        np.testing.assert_allclose(linalg.softmax(x, axis), special.softmax(x, axis), rtol=1e-12)
        np.testing.assert_allclose(
            linalg.log_softmax(x, axis), special.log_softmax(x, axis), rtol=1e-12
        )


@pytest.mark.parametrize(
    ("dtype", "low", "rtol"), [("float32", -87, 4e-7), ("float64", -700, 1e-15)]
)
def test_the_sigmoid_keeps_its_digits(dtype, low, rtol):
    z = np.linspace(low, -low, 20001).astype(dtype)

    s = linalg.sigmoid(z)

    assert s.dtype == dtype
    np.testing.assert_allclose(s, special.expit(z.astype(np.float64)), rtol=rtol)


def test_the_sigmoid_has_its_limits():
    z = np.array([-np.inf, -1e30, 1e30, np.inf, np.nan], np.float32)

    np.testing.assert_array_equal(linalg.sigmoid(z), [0, 0, 1, 1, np.nan])


def test_the_way_back_through_a_softmax_is_that_of_its_definition():
    y, dy = linalg.softmax(drawn(0, (3, 4, 5), np.float64)), drawn(1, (3, 4, 5), np.float64)

    dz = linalg.softmax_backward(dy, y)

    np.testing.assert_allclose(dz, y * (dy - (y * dy).sum(-1, keepdims=True)), atol=1e-15)


@pytest.mark.parametrize("shape", [(3, 4), (1, 4), (3, 1), (4,), (1,), ()])
def test_unbroadcast_is_the_transpose_of_broadcasting(shape):
    d, w = drawn(0, (2, 3, 4), np.float64), drawn(1, shape, np.float64)

    np.testing.assert_allclose(
        (linalg.unbroadcast(d, shape) * w).sum(), (d * np.broadcast_to(w, d.shape)).sum()
    )
    assert linalg.unbroadcast(d, shape).shape == shape


def test_a_kernels_gradient_takes_sparse_rows_as_dense_ones():
    x, dy = drawn(0, (5, 3), np.float64), drawn(1, (5, 2), np.float64)
    dense, scattered = np.empty((3, 2)), np.empty((3, 2))

    linalg.product_of_rows(x, dy, out=dense)
    linalg.product_of_rows(sparse.csr_matrix(x), dy, out=scattered)

    np.testing.assert_allclose(dense, x.T @ dy)
    np.testing.assert_allclose(scattered, dense)


@pytest.mark.parametrize("filled", [False, True])
def test_a_large_product_is_shared_out_where_blas_is_held(monkeypatch, filled):
    monkeypatch.setattr(linalg, "SHARED_PRODUCTS", 1)
    monkeypatch.setattr(parallel.Blas, "threads", 3)
    parts, share = [], parallel.share

    def counted(*args, **kwargs):
        found = share(*args, **kwargs)
        parts.append(len(found))
        return found

    monkeypatch.setattr(linalg, "share", counted)
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((7, 4)).T, rng.standard_normal((7, 5))
    out = np.empty((4, 5)) if filled else None

    free = linalg.multiply(a, b, out)
    with parallel.blas().held():
        held = linalg.multiply(a, b, out)

    assert parts == [1, 3] and (held is out or not filled)
    np.testing.assert_allclose(free, a @ b)
    np.testing.assert_allclose(held, a @ b)
