"""Smooth activations with their slopes, compiled and in NumPy."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from side_by_side import DTYPES, SIZES, arrays, assert_same, compiled

from backprop.kernels import smooth

CURVES = [smooth.gelu, smooth.gelu_by_tanh]


SHAPES = st.tuples(st.integers(0, 3), SIZES)


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("slope", [True, False])
@given(st.data(), DTYPES, SHAPES, st.booleans(), st.sampled_from([1.0, 8.0, 50.0]))
def test_a_curve_and_its_slope(curve, slope, data, dtype, shape, has_bias, width):
    z = data.draw(arrays(shape, dtype, low=-width, high=width, special=True))
    bias = data.draw(arrays(shape[-1:], dtype)) if has_bias else None
    y, s = np.full(shape, 7, dtype), np.full(shape, 7, dtype)

    # 1 - h of the twin is as far off as 1 is rounded, and is multiplied by x v': 54 units at
    # x = 7.1 in float64, 21 in float32, where the loop is within 2
    assert_same(curve, (z, bias, y, s if slope else None), units=64)


@given(st.data(), DTYPES, SHAPES, st.booleans())
def test_the_way_back(data, dtype, shape, has_bias):
    slope, dy = (data.draw(arrays(shape, dtype, special=True)) for _ in range(2))
    dbias = np.full(shape[-1:], 7, dtype) if has_bias else None

    assert_same(smooth.along_slope, (slope, dy, np.full(shape, 7, dtype), dbias))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_small_values_of_gelu_keep_their_digits(dtype):
    from scipy.special import ndtr

    x = np.linspace(-5, -1e-3, 1001).astype(dtype)[None]
    y, slope = np.empty_like(x), np.empty_like(x)
    compiled(smooth.gelu, (x, None, y, slope))
    exact = x.astype("float64")

    off = y / (exact * ndtr(exact)) - 1
    assert np.abs(off).max() < 25 * np.finfo(dtype).eps  # of which a²/2 are those of a² in the bell
