"""Updates of optimizers, compiled and in NumPy, with what stands around them."""

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from side_by_side import DTYPES, SIZES, arrays, assert_same

from backprop.kernels import updates

# what each takes between w, g and what stands around: slots that may have any sign, slots that are
# sums of squares (a ? where they may be left out), scratch vectors, numbers
SLOTS = {
    "sgd": ("v?", "", 1, (0.1, 0.9, True)),
    "lion": ("m", "", 2, (0.9, 0.99, 0.01)),
    "adam": ("m", "v h?", 1, (0.9, 0.999, 1e-6, 0.01)),
    "adamax": ("m", "u", 1, (0.9, 0.999, 1e-6, 0.01)),
    "nadam": ("m", "v", 2, (0.9, 0.999, 1e-6, 1.1, 0.01)),
    "schedule_free": ("z", "v", 1, (0.999, 0.1, 0.8, 0.3, 1.2, 1e-8, 0.01)),
    "adagrad": ("", "a", 1, (1e-7, 0.01)),
    "adadelta": ("", "v s", 2, (0.95, 1e-7, 0.01)),
}
ORDINARY = {"sgd": [(0.1, 0.0, False), (0.1, 0.9, False), (0.1, 0.9, True)]}


@st.composite
def around(draw, n, dtype):
    """A factor, a limit, a decay, an average or none, and how much of it stays."""
    average = draw(st.none() | arrays(n, dtype, special=True))
    return (
        draw(st.sampled_from([1.0, 0.3])),
        draw(st.sampled_from([math.inf, 0.5])),
        draw(st.sampled_from([0.0, 0.01])),
        average,
        draw(st.sampled_from([0.0, 0.9])),
    )


def slots(data, names, n, dtype, **how):
    return [
        None if "?" in name and data.draw(st.booleans()) else data.draw(arrays(n, dtype, **how))
        for name in names.split()
    ]


@pytest.mark.parametrize("name", SLOTS)
@given(data=st.data(), dtype=DTYPES, n=SIZES)
def test_an_update(name, data, dtype, n):
    signed, squares, scratch, numbers = SLOTS[name]
    numbers = data.draw(st.sampled_from(ORDINARY.get(name, [numbers])))
    vectors = [data.draw(arrays(n, dtype, special=True)) for _ in range(2)]
    vectors += slots(data, signed, n, dtype, special=True) + slots(data, squares, n, dtype, low=0)
    places = range(len(vectors), len(vectors) + scratch)
    vectors += [np.zeros(n, dtype) for _ in places]
    last = data.draw(around(n, dtype))

    assert_same(getattr(updates, name), (*vectors, *numbers, *last), units=8, work=tuple(places))


@given(st.data(), DTYPES, SIZES)
def test_rmsprop(data, dtype, n):
    v, b, a = slots(data, "v b? a?", n, dtype, low=0, high=0.5)
    # a² that is too large for its dtype is no infinity within a fused product
    w, g = (data.draw(arrays(n, dtype, special=a is None)) for _ in range(2))
    if a is not None:
        v += a * a  # a variance is positive, and where it is nearly nothing digits are lost
    last = data.draw(around(n, dtype))

    args = (w, g, v, b, a, np.zeros(n, dtype), 0.9, 0.5, 0.1, 0.01, *last)
    assert_same(updates.rmsprop, args, units=16, work=(5,))


@given(st.data(), DTYPES, SIZES, st.sampled_from([0.5, 0.3, 0.0]), st.sampled_from([0.0, 0.2]))
def test_ftrl(data, dtype, n, p, shrinkage):
    w, g, z = (data.draw(arrays(n, dtype, special=True)) for _ in range(3))
    sums = data.draw(arrays(n, dtype, low=0))
    last = data.draw(around(n, dtype))

    args = (w, g, sums, z, *np.zeros((2, n), dtype), p, 0.5, shrinkage, 0.1, 0.5, *last)
    assert_same(updates.ftrl, args, units=64, work=(4, 5))


def test_ftrl_leaves_what_would_be_divided_by_nothing():
    for kernel in (updates.ftrl, updates.ftrl.__wrapped__):
        w, g, n, z, s, t = np.zeros((6, 3))
        w += 5
        kernel(w, g, n, z, s, t, 0.5, 0.1, 0.0, 0.0, 0.1, *updates.NOTHING)

        assert np.array_equal(w, [5, 5, 5])


@pytest.mark.parametrize("name", SLOTS)
def test_an_update_is_the_same_wherever_a_vector_is_cut(name):
    signed, squares, scratch, numbers = SLOTS[name]
    rng = np.random.default_rng(0)
    count = 2 + len(signed.split()) + len(squares.split()) + scratch
    whole = rng.random((count, 300)).astype(np.float32)
    cut = whole.copy()
    around = (0.9, 0.5, 0.01, None, 0.0)
    kernel = getattr(updates, name)
    kernel(*whole, *numbers, *around)
    for i in range(0, 300, 7):
        kernel(*cut[:, i : i + 7], *numbers, *around)

    kept = count - scratch
    assert np.array_equal(whole[:kept], cut[:kept])
