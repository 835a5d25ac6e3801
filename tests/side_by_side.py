"""The two forms of a kernel beside each other: what Numba compiles, and its twin in NumPy."""

import importlib

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-30, -1e30)


def loop_of(kernel):
    """The compiled form of a kernel, as a `Loop`; the test is skipped where there is no Numba."""
    pytest.importorskip("numba", reason="Numba is not installed")
    file = kernel.__module__.rpartition(".")[2]
    module = importlib.import_module(f"backprop.kernels.compiled.{file}")
    return getattr(module, kernel.__name__)


def compiled(kernel, args):
    """What the loop returns; fails where it does not take the arguments."""
    loop = loop_of(kernel)
    assert loop.dtypes_of(args) is not None, f"{kernel.__name__} does not take {args}"
    if loop.takes(args):
        loop.learn(args)
    return loop.dispatcher(*args)


def own(arg):
    """A copy with the same strides."""
    if not isinstance(arg, np.ndarray):
        return arg
    copy = np.empty_like(arg, order="K", subok=False)
    copy[...] = arg
    return copy


def assert_same(kernel, args, *, units=4, size=1.0, work=()):
    """Both forms return the same, and leave the same in their arguments.

    Parameters
    ----------
    units : float
        How far apart, in units in the last place of what is compared; a number smaller than `size`
        counts as that large.
    work : tuple of int
        Places of arguments that are only worked in.
    """
    ours, theirs = [own(a) for a in args], [own(a) for a in args]
    with np.errstate(all="ignore"):
        expected = kernel.__wrapped__(*theirs)
    found = compiled(kernel, ours)
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if i not in work and isinstance(a, np.ndarray):
            assert_close(a, b, units, size, f"{kernel.__name__}: argument {i}")
    pairs = [(found, expected)]
    if isinstance(expected, tuple):
        pairs = list(zip(found, expected, strict=True))
    for a, b in pairs:
        if b is not None:
            assert_close(a, b, units, size, f"{kernel.__name__} returns")


def assert_close(found, expected, units, size, what):
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, what
    if expected.dtype.kind != "f":
        np.testing.assert_array_equal(found, expected, what)
        return
    assert found.dtype == expected.dtype, f"{what}: {found.dtype}, {expected.dtype}"
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(found[~finite], expected[~finite], what)
    scale = np.maximum(np.abs(expected[finite]), size)
    off = np.abs(found[finite] - expected[finite]) / (scale * np.finfo(expected.dtype).eps)
    assert off.size == 0 or off.max() <= units, f"{what}: {off.max()} units apart"


@st.composite
def arrays(draw, shape, dtype, *, low=-3.0, high=3.0, special=False):
    """Numbers in a range, drawn as a whole from a seed, with a few special ones if asked for."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = rng.uniform(low, high, shape).astype(dtype)
    if special and x.size:
        for value in draw(st.lists(st.sampled_from(SPECIAL), max_size=4)):
            x.reshape(-1)[draw(st.integers(0, x.size - 1))] = value
    return x


DTYPES = st.sampled_from([np.float32, np.float64])
SIZES = st.one_of(st.integers(0, 40), st.sampled_from([63, 64, 65, 257]))


def shapes(ndim):
    return hnp.array_shapes(min_dims=ndim, max_dims=ndim, min_side=0, max_side=17)
