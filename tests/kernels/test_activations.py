"""Activations over their input, compiled and in NumPy."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from side_by_side import DTYPES, arrays, assert_same, shapes

from backprop.kernels import activations
from backprop.linalg import softmax

NAMES = ("relu", "tanh", "sigmoid", "softmax")


@pytest.mark.parametrize("name", NAMES)
@given(st.data(), DTYPES, shapes(2), st.booleans())
def test_over_the_input(name, data, dtype, shape, biased):
    z = data.draw(arrays(shape, dtype, special=True))
    bias = data.draw(arrays(shape[1], dtype)) if biased else None

    assert_same(getattr(activations, name), (z, bias))


@pytest.mark.parametrize("name", NAMES)
@given(st.data(), DTYPES, shapes(2), st.booleans())
def test_back(name, data, dtype, shape, biased):
    y, dy = (data.draw(arrays(shape, dtype, special=i == 0)) for i in range(2))
    if name == "softmax":
        with np.errstate(all="ignore"):
            y = softmax(y)
    dz, dbias = np.empty_like(dy), np.full(shape[1], np.nan, dtype) if biased else None

    assert_same(getattr(activations, f"{name}_backward"), (y, dy, dz, dbias), units=64)
