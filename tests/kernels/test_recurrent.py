"""Walks over the steps of recurrent layers, compiled and in NumPy, through the layers."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from side_by_side import DTYPES, loop_of

import backprop as bp
from backprop import parallel
from backprop.kernels import recurrent
from backprop.layer import Context
from backprop.layers import GRU, LSTM
from backprop.layers.recurrent import beside, loop

KINDS = (LSTM, GRU)


@pytest.fixture(autouse=True)
def kernels_as_before():
    loop_of(recurrent.lstm)  # or the test is skipped
    before = bp.config.kernels()
    yield
    bp.config.set_kernels(before)


def passes(kernels, layer, x, mask, dys, training=True):
    """y, the states, dx and the gradients."""
    bp.config.set_kernels(kernels)
    layer._rng = np.random.default_rng(3)  # the same is dropped
    y, cache = layer.forward(x, Context(training=training, mask=mask))
    dx = layer.backward(dys, cache)
    predicted = layer.forward(x, Context(mask=mask))[0]
    gradients = [p.gradient.copy() for p in layer.arrays() if p.gradient is not None]
    return [*y, dx, *gradients, *predicted], cache[0]


def drawn(layer, x, seed=0):
    """The layer built, with weights that are not small, and a gradient for each output."""
    rng = np.random.default_rng(seed)
    layer.build(x.shape)
    for p in layer.arrays():
        p.value[...] = rng.normal(0, 0.3, p.value.shape)
    shapes = layer.compute_output_shape(x.shape)
    return tuple(rng.normal(size=shape).astype(x.dtype) for shape in shapes)


def assert_near(found, expected, dtype):
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        size = max(1.0, np.abs(b).max(initial=0))
        np.testing.assert_allclose(a, b, rtol=0, atol=100 * np.finfo(dtype).eps * size)


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(data=st.data(), dtype=DTYPES)
def test_a_walk_is_that_of_numpy(kind, data, dtype):
    flags = ("return_sequences", "go_backwards", "use_bias", "zero_output_for_mask")
    options = {flag: data.draw(st.booleans(), label=flag) for flag in flags}
    options["dropout"] = data.draw(st.sampled_from([0.0, 0.0, 0.3]))
    options["recurrent_dropout"] = data.draw(st.sampled_from([0.0, 0.0, 0.3]))
    n, steps = data.draw(st.sampled_from([1, 2, 5, 9, 33])), data.draw(st.integers(1, 45))
    features, units = data.draw(st.integers(1, 4)), data.draw(st.sampled_from([1, 2, 7, 16, 33]))
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    x = rng.normal(size=(n, steps, features)).astype(dtype)
    mask = rng.random((n, steps)) < 0.7 if data.draw(st.booleans()) else None
    layer = kind(units, return_state=True, dtype=np.dtype(dtype).name, **options)
    dys = drawn(layer, x)

    expected, _ = passes("numpy", layer, x, mask, dys)
    found, _ = passes("numba", layer, x, mask, dys)
    again, _ = passes("numba", layer, x, mask, dys)

    assert_near(found, expected, dtype)
    for a, b in zip(found, again, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("masked", [False, True])
def test_a_walk_with_its_sums_beside_it_is_that_of_numpy(kind, masked, monkeypatch):
    monkeypatch.setattr(beside, "LARGE_LOOP", 0)
    monkeypatch.setattr(parallel, "pays", lambda: True)
    rng = np.random.default_rng(1)
    x = rng.normal(size=(11, 47, 3))
    mask = rng.random((11, 47)) < 0.6 if masked else None
    layer = kind(5, return_sequences=True, return_state=True, dtype="float64")
    dys = drawn(layer, x)

    expected, _ = passes("numpy", layer, x, mask, dys)
    found, tape = passes("numba", layer, x, mask, dys)

    assert tape.compiled
    assert_near(found, expected, np.float64)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("masked", [False, True])
def test_a_batch_in_two_parts_is_that_of_numpy(kind, masked, monkeypatch):
    monkeypatch.setattr(loop, "LARGE_LOOP", 0)
    monkeypatch.setattr(loop, "LEAST_PART", 4)
    monkeypatch.setattr(parallel, "pays", lambda: True)
    rng = np.random.default_rng(1)
    x = rng.normal(size=(11, 47, 3))
    mask = rng.random((11, 47)) < 0.6 if masked else None
    layer = kind(5, return_sequences=True, return_state=True, dtype="float64")
    dys = drawn(layer, x)

    expected, whole = passes("numpy", layer, x, mask, dys)
    found, parts = passes("numba", layer, x, mask, dys)

    assert len(parts) == 2 and not isinstance(whole, list)
    assert_near(found, expected, np.float64)
    bp.config.set_kernels("numba")
    y, cache = layer.forward(x, Context(training=True, mask=mask))
    layer.backward_params(dys, cache)
    assert_near([layer.drecurrent_kernel], [found[len(y) + 2]], np.float64)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(0, 4, 2), (3, 0, 2)])
def test_nothing_to_walk_over(kind, shape):
    layer = kind(3, return_sequences=True, return_state=True)
    x = np.zeros(shape, np.float32)
    dys = drawn(layer, x)

    expected, _ = passes("numpy", layer, x, None, dys)
    found, _ = passes("numba", layer, x, None, dys)

    assert_near(found, expected, np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_nan_stays_in_its_sequence_and_goes_on_to_the_end(kind):
    x = np.ones((6, 9, 2), np.float32)
    x[2, 4] = np.nan
    layer = kind(3, return_sequences=True, return_state=True)
    drawn(layer, x)
    ys = []
    for kernels in ("numpy", "numba"):
        bp.config.set_kernels(kernels)
        ys.append(layer.forward(x)[0][0])

    np.testing.assert_array_equal(np.isnan(ys[1]), np.isnan(ys[0]))
    assert np.isnan(ys[1][2, 4:]).all() and np.isnan(ys[1]).sum() == 5 * 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_of_a_subclass_is_its_own(kind):
    calls = []

    class Counting(kind):
        def advance(self, t, tape):
            calls.append(t)
            return super().advance(t, tape)

    bp.config.set_kernels("numba")
    Counting(3)(np.ones((2, 5, 2), np.float32))

    assert calls == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "layer", [LSTM(3, activation="relu"), GRU(3, reset_after=False), LSTM(3, recurrent_dropout=0.2)]
)
def test_what_has_no_loop_goes_step_by_step(layer):
    bp.config.set_kernels("numba")
    layer.build((2, 5, 2))
    _, (tape, _) = layer.forward(np.ones((2, 5, 2), np.float32), Context(training=True))

    assert not tape.compiled
