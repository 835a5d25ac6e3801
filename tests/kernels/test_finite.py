"""Whether there is NaN or infinity in a vector, compiled and in NumPy."""

import numpy as np
import pytest

from backprop.kernels import finite, switch


@pytest.mark.parametrize("form", ["numba", "numpy"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [0, 1, 7, finite.SMALL, finite.SMALL + 1, 100_000])
@pytest.mark.parametrize("wrong", ["ignore", "raise"])
def test_gradients_that_are_large_are_finite(form, n, dtype, wrong, chosen):
    """Their squares are not, nor are their sums."""
    if form == "numba":
        pytest.importorskip("numba")
    switch.set_kernels(form)
    g = np.full(n, np.finfo(dtype).max, dtype)
    with np.errstate(all=wrong):
        assert finite.times_zero(g) == 0
        for place in {0, n // 2, n - 1} if n else ():
            for bad in (np.nan, np.inf, -np.inf):
                g[place] = bad
                assert finite.times_zero(g) != 0
            g[place] = 1
        assert finite.times_zero(g) == 0
