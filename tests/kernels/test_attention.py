"""The softmax of attention's scores and its way back, compiled and in NumPy."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from side_by_side import DTYPES, arrays, assert_same, compiled

from backprop.kernels import attention

SMALL = st.integers(0, 3)
STEPS = st.one_of(st.integers(0, 9), st.sampled_from([63, 64, 65, 130]))


@given(st.data(), DTYPES, st.tuples(SMALL, SMALL, SMALL, STEPS, STEPS))
def test_softmax_of_what_is_seen(data, dtype, shape):
    steps, keys = shape[3:]
    s = data.draw(arrays(shape, dtype, low=-20, high=20, special=True))
    whole = [data.draw(st.sampled_from([1, n])) if n else 1 for n in shape[:4]]
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    seen = rng.random((*whole, keys)) < data.draw(st.sampled_from([0.1, 0.9, 1]))
    first = data.draw(st.one_of(st.just(-steps), st.integers(-70, 70)))
    last = data.draw(st.one_of(st.just(keys), st.integers(-70, 70)))
    even = data.draw(st.sampled_from([0.0, 0.25]))

    assert_same(attention.softmax_of_seen, (s, seen, first, last, even), units=8)


@given(st.data(), DTYPES, st.integers(0, 5), STEPS, st.sampled_from([1.0, 1e4]))
def test_the_way_back(data, dtype, n, keys, size):
    d = data.draw(arrays((n, keys), dtype, low=-size, high=size, special=True))
    p = data.draw(arrays((n, keys), dtype, low=0, high=1))
    p /= p.sum(-1, keepdims=True)

    assert_same(attention.softmax_of_seen_backward, (d, p), units=8, size=size)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("run", [compiled, lambda kernel, args: kernel.__wrapped__(*args)])
def test_a_constant_beside_dp_changes_nothing(run, dtype):
    p = np.array([[1 - 1e-6, 1e-6]], dtype)
    d = np.array([[1e4, 1e4 + 1]], dtype)

    run(attention.softmax_of_seen_backward, (d, p))

    both = float(p[0, 0]) * float(p[0, 1])
    np.testing.assert_allclose(d, [[-both, both]], rtol=1e-5 if dtype is np.float32 else 1e-9)
