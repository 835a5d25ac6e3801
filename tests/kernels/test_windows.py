"""Windows side by side and the way back, compiled and in NumPy."""

import numpy as np
from hypothesis import given, strategies as st
from side_by_side import DTYPES, arrays, assert_same

from backprop.kernels import windows

PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def cases(draw):
    """x, P, and where the windows lie: within x, in part beside it, or nowhere near."""
    dtype, n, c = draw(DTYPES), draw(st.integers(0, 3)), draw(st.sampled_from([1, 3, 16, 21]))
    sizes = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    counts = draw(st.tuples(st.integers(0, 4), st.integers(0, 4)))
    size, first = draw(PAIRS), draw(st.tuples(st.integers(-4, 4), st.integers(-4, 4)))
    x = draw(arrays((n, *sizes, c), dtype, special=True))
    P = draw(arrays((n, *counts, *size, c), dtype, special=True))
    return x, P, (*first, *draw(PAIRS), *draw(PAIRS))


@given(cases())
def test_gather(case):
    x, P, place = case

    assert_same(windows.gather, (x, P, *place), units=0)


@given(cases())
def test_scatter(case):
    x, P, place = case

    with np.errstate(over="ignore", invalid="ignore"):
        assert_same(windows.scatter, (P, x, *place), units=4, size=30)


@given(cases())
def test_scatter_is_the_transpose_of_gather(case):
    x, P, place = (a.astype(np.float64) if isinstance(a, np.ndarray) else a for a in case)
    x, P = np.nan_to_num(np.clip(x, -9, 9)), np.nan_to_num(np.clip(P, -9, 9))
    seen, back = np.empty_like(P), np.empty_like(x)
    windows.gather(x, seen, *place)
    windows.scatter(P, back, *place)

    np.testing.assert_allclose(np.vdot(P, seen), np.vdot(back, x), atol=1e-9)


@st.composite
def sums(draw):
    """x, K and z of depthwise sums, and where the windows lie."""
    x, P, place = draw(cases())
    _, *_, h, w, c = P.shape
    finite = np.nan_to_num(x, nan=1, posinf=2, neginf=-2).clip(-3, 3)
    return finite, draw(arrays((h, w, c), x.dtype)), draw(arrays((*P.shape[:3], c), x.dtype)), place


@given(sums())
def test_depthwise(case):
    x, K, z, place = case

    assert_same(windows.depthwise, (x, K, z, *place), units=4, size=30)


@given(sums())
def test_depthwise_kernel(case):
    x, dK, dz, place = case

    assert_same(windows.depthwise_kernel, (x, dz, dK, *place), units=16, size=30)


@given(sums())
def test_depthwise_input(case):
    dx, K, dz, place = case

    assert_same(windows.depthwise_input, (dz, K, dx, *place), units=4, size=30)
