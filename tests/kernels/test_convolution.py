"""The transforms of convolutions, compiled and in NumPy."""

import numpy as np
from hypothesis import given, strategies as st
from side_by_side import DTYPES, arrays, assert_same, compiled

from backprop.kernels import convolution

UNITS = 1000  # of up to 256 products, each of three numbers up to 3


@st.composite
def tiles(draw):
    """x, a and b, t, v, and where the tiles lie: within x, or in part beside it."""
    dtype, n, c = draw(DTYPES), draw(st.integers(0, 3)), draw(st.sampled_from([1, 3, 16, 21, 64]))
    counts = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    values = draw(st.tuples(st.integers(1, 8), st.integers(1, 8)))
    pixels = draw(st.tuples(st.integers(1, 8), st.integers(1, 8)))
    steps = [draw(st.integers((p + 1) // 2, p)) for p in pixels]
    covered = [(k - 1) * s + p for k, s, p in zip(counts, steps, pixels, strict=True)]
    first = [draw(st.integers(-2, 2)) for _ in range(2)]
    ends = [max(f, 0) + k + 2 for f, k in zip(first, covered, strict=True)]
    sizes = [draw(st.integers(max(f + 1, 1), e)) for f, e in zip(first, ends, strict=True)]
    a, b = (draw(arrays(s, dtype)) for s in zip(values, pixels, strict=True))
    a[draw(st.integers(0, len(a) - 1)), : draw(st.integers(0, a.shape[1]))] = 0
    x = draw(arrays((n, *sizes, c), dtype))
    t = np.zeros((len(a), -(-covered[1] // steps[1]) * steps[1], c), dtype)
    v = draw(arrays((len(a) * len(b), n, *counts, c), dtype))
    return x, a, b, t, v, (*first, *steps)


@given(tiles())
def test_tile_values(case):
    x, a, b, t, v, places = case

    assert_same(convolution.tile_values, (x, a, b, t, v, *places), work=(3,), units=UNITS)


@given(tiles(), st.booleans())
def test_tile_pixels(case, above):
    x, a, b, t, v, places = case

    assert_same(convolution.tile_pixels, (v, a, b, t, x, *places, above), work=(3,), units=UNITS)


@st.composite
def with_odd_ones(draw, x):
    """x with up to three NaN and infinities."""
    x = x.copy()
    for value in draw(st.lists(st.sampled_from([np.nan, np.inf, -np.inf]), max_size=3)):
        if x.size:
            x.reshape(-1)[draw(st.integers(0, x.size - 1))] = value
    return x


def assert_odd_ones_reach(kernel, args, x, out):
    """What is not finite in the argument x makes all of `out` so that it reaches by a weight, and
    no more than it does in NumPy, where a weight of 0 is multiplied too. The rest is the same."""
    found, expected, reached = (
        [a.copy() if hasattr(a, "copy") else a for a in args] for _ in "123"
    )
    compiled(kernel, found)
    with np.errstate(all="ignore"):
        kernel.__wrapped__(*expected)
    for i in (1, 2):
        reached[i] = (args[i] != 0).astype(args[i].dtype)
    for i in (x, out):
        reached[i] = (~np.isfinite(args[i])).astype(args[i].dtype)
    kernel.__wrapped__(*reached)
    finite, everywhere = np.isfinite(found[out]), np.isfinite(expected[out])

    assert not finite[reached[out] > 0].any()
    assert finite[everywhere].all()
    units = UNITS * np.finfo(args[out].dtype).eps
    np.testing.assert_allclose(found[out][everywhere], expected[out][everywhere], units, units)


@given(st.data())
def test_what_is_no_number_reaches_the_values_of_its_tiles(data):
    x, a, b, t, v, places = data.draw(tiles())

    x = data.draw(with_odd_ones(x))

    assert_odd_ones_reach(convolution.tile_values, [x, a, b, t, v, *places], 0, 4)


@given(st.data())
def test_what_is_no_number_reaches_the_pixels_of_its_tile(data):
    x, a, b, t, v, places = data.draw(tiles())
    v, x = data.draw(with_odd_ones(v)), data.draw(with_odd_ones(x))

    above = data.draw(st.booleans())

    assert_odd_ones_reach(convolution.tile_pixels, [v, a, b, t, x, *places, above], 0, 4)
