"""What comes back to the rows of a table, compiled and in NumPy."""

import numpy as np
from hypothesis import given, strategies as st
from side_by_side import DTYPES, arrays, assert_same

from backprop.kernels import embedding


@given(st.data(), DTYPES, st.integers(0, 20), st.integers(1, 3), st.integers(1, 7))
def test_sum_at(data, dtype, places, each, size):
    dy = data.draw(arrays((places, data.draw(st.integers(0, 33))), dtype, special=True))
    seed = data.draw(st.integers(0, 99))
    ids = np.random.default_rng(seed).integers(0, size, places * each)
    out = np.full((size, dy.shape[1]), 7, dtype)

    assert_same(embedding.sum_at, (ids, dy, out), units=0)


def test_what_is_added_up_is_the_same_in_every_run():
    rng = np.random.default_rng(0)
    ids, dy = rng.integers(0, 50, 3000), rng.standard_normal((3000, 24)).astype(np.float32)
    first, second = np.empty((2, 50, 24), np.float32)

    embedding.sum_at(ids, dy, first)
    embedding.sum_at(ids, dy, second)

    np.testing.assert_array_equal(first, second)
