"""Convolutions by Winograd's products, against the plain sums that they replace.

`gradcheck` works in float64, where layers take the plain path. The functions themselves take any
type, so here they are held to the plain sums in float64, and to finite differences by way of them.
"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st

from backprop import parallel
from backprop.gradcheck import gradcheck
from backprop.kernels.switch import kernels
from backprop.layer import PREDICT, Layer
from backprop.layers import Conv1D, Conv2D, Conv2DTranspose, DepthwiseConv2D, SeparableConv2D
from backprop.layers.convolution import products, tiles, toom_cook, winograd
from backprop.layers.convolution.finish import leave
from backprop.layers.windows import Windows
from backprop.utils import set_random_seed


def drawn(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


SAME = Windows((3, 3), (1, 1), "same")


def by_winograd(x, kernel, windows, finish=leave):
    shape = len(x), *windows.counts(x.shape[1:-1]), kernel.shape[-1]
    z = np.full(shape, np.nan, x.dtype)
    winograd.correlate(x, kernel, z, windows, finish)
    return z


def gradients_by_winograd(x, dz, kernel, windows):
    dkernel, dx = np.full_like(kernel, np.nan), np.full_like(x, np.nan)
    winograd.gradients(x, dz, kernel, dkernel, dx, windows)
    return dkernel, dx


@st.composite
def cases(draw):
    """x, a kernel, or one for each channel, and windows."""
    axes = draw(st.integers(1, 3))
    each = st.lists(st.integers(2, 5 if axes < 3 else 3), min_size=axes, max_size=axes)
    size = tuple(draw(each))
    strides = tuple(draw(st.lists(st.integers(1, 3), min_size=axes, max_size=axes)))
    more = st.lists(st.integers(0, 14 if axes < 3 else 2), min_size=axes, max_size=axes)
    sizes = [k + n for k, n in zip(size, draw(more), strict=True)]
    padding = draw(st.sampled_from(["valid", "same"] + ["causal"] * (axes == 1)))
    channels, filters = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    kernel = (channels,) if draw(st.booleans()) else (channels, filters)
    x = drawn(draw(st.integers(0, 5)), *sizes, channels)
    return x, drawn(*size, *kernel, seed=1), Windows(size, strides, padding)


@given(cases())
def test_the_sums_are_the_plain_ones(case):
    x, kernel, windows = case

    z = by_winograd(x, kernel, windows)

    np.testing.assert_allclose(z, products.correlate(x, kernel, windows), atol=1e-11)


@given(cases())
def test_the_gradients_are_those_of_the_plain_sums(case):
    x, kernel, windows = case
    dz = drawn(len(x), *windows.counts(x.shape[1:-1]), kernel.shape[-1], seed=2)

    dkernel, dx = gradients_by_winograd(x, dz, kernel, windows)

    expected = np.empty_like(kernel)
    products.kernel_gradient(x, dz, windows, expected)
    expected_dx = products.input_gradient(dz, kernel, windows, x.shape[1:-1])
    np.testing.assert_allclose(dkernel, expected, atol=1e-10)
    np.testing.assert_allclose(dx, expected_dx, atol=1e-11)


class Winograd(Layer):
    """z = x ∗ kernel by Winograd's products, whatever the type."""

    def build(self, input_shape):
        self.kernel, self.dkernel = self.param("kernel", (3, 3, input_shape[-1], 3))

    def forward(self, x, ctx=None):
        return by_winograd(x, self.kernel, SAME), x

    def backward(self, dy, x):
        dkernel, dx = gradients_by_winograd(x, dy, self.kernel, SAME)
        self.dkernel = dkernel
        return dx


def test_the_checker_certifies_it():
    assert gradcheck(Winograd(), drawn(2, 5, 4, 2)).verdict == "pass"


def test_the_checker_would_see_a_wrong_transform(monkeypatch):
    back = winograd.transform_kernel_backward

    def broken(du, tiles):
        wrong = du.copy()
        wrong[7] *= -1
        return back(wrong, tiles)

    monkeypatch.setattr(winograd, "transform_kernel_backward", broken)

    assert gradcheck(Winograd(), drawn(2, 5, 4, 2)).verdict == "fail"


@pytest.mark.parametrize("r", toom_cook.SIZES)
@pytest.mark.parametrize("m", range(1, toom_cook.OUTPUTS + 1))
def test_the_transform_of_the_pixels_is_exact_in_float32(m, r):
    """Its numbers are whole multiples of 1/16, so none is rounded."""
    d = toom_cook.toom_cook(m, r).d

    np.testing.assert_array_equal(d * 16, np.round(d * 16))


@pytest.mark.parametrize("count, m", [(1, 1), (3, 3), (4, 4), (5, 3), (6, 3), (7, 4), (8, 4)])
def test_a_tile_has_as_many_outputs_as_take_the_fewest_products(count, m):
    assert toom_cook.outputs_of(count, 3, 1) == m


@pytest.mark.parametrize("images, numbers", [(2, 1), (3, 60), (100, 1 << 20)])
def test_blocks_change_nothing(monkeypatch, images, numbers):
    x, kernel = drawn(5, 19, 8, 3), drawn(3, 3, 3, 4, seed=1)
    dz = drawn(5, 19, 8, 4, seed=2)
    expected = by_winograd(x, kernel, SAME), *gradients_by_winograd(x, dz, kernel, SAME)
    monkeypatch.setattr(tiles, "TILE_ROW", images * 3)
    monkeypatch.setattr(tiles, "TILE_BLOCK", numbers)
    monkeypatch.setattr(tiles, "TILES_AT_ONCE", 1)

    found = by_winograd(x, kernel, SAME), *gradients_by_winograd(x, dz, kernel, SAME)

    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-11)


def test_threads_change_nothing(monkeypatch):
    x, kernel, dz = drawn(5, 9, 8, 3), drawn(3, 3, 3, 4, seed=1), drawn(5, 9, 8, 4, seed=2)
    alone = by_winograd(x, kernel, SAME), *gradients_by_winograd(x, dz, kernel, SAME)
    monkeypatch.setattr(parallel.Blas, "threads", 3)
    monkeypatch.setattr(winograd, "WINOGRAD_NUMBERS", 1)

    several = by_winograd(x, kernel, SAME), *gradients_by_winograd(x, dz, kernel, SAME)

    for one, other in zip(several, alone, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


def test_every_pixel_is_finished_once(monkeypatch):
    monkeypatch.setattr(tiles, "TILE_ROW", 4)
    monkeypatch.setattr(tiles, "TILE_BLOCK", 1)
    monkeypatch.setattr(tiles, "TILES_AT_ONCE", 1)
    x, kernel = drawn(5, 11, 6, 2), drawn(3, 3, 2, 2, seed=1)
    valid = replace(SAME, padding="valid")

    def finish(z):
        z += 1

    z = by_winograd(x, kernel, valid, finish)

    np.testing.assert_allclose(z, products.correlate(x, kernel, valid) + 1, atol=1e-12)


# ------------------------------------------------------------------------------------ in the layers


@pytest.fixture
def called(monkeypatch):
    """The types of what went through Winograd's products, forward and back."""
    found = []

    def counted(function):
        def run(x, *args):
            found.append((function.__name__, x.dtype))
            return function(x, *args)

        return run

    for function in (winograd.correlate, winograd.gradients):
        monkeypatch.setattr(winograd, function.__name__, counted(function))
    return found


KINDS = {
    "Conv1D": lambda **options: Conv1D(20, 5, **options),
    "Conv2D": lambda **options: Conv2D(20, 3, **options),
    "Conv2D, 5 x 5": lambda **options: Conv2D(20, 5, **options),
    "Conv2D, 5 x 5, strides": lambda **options: Conv2D(20, 5, strides=2, **options),
    "Conv2D, 5 x 2, strides": lambda **options: Conv2D(20, (5, 2), strides=(1, 3), **options),
    "Conv2DTranspose": lambda **options: Conv2DTranspose(20, 3, **options),
    "DepthwiseConv2D": lambda **options: DepthwiseConv2D(3, depth_multiplier=2, **options),
    "SeparableConv2D": lambda **options: SeparableConv2D(20, 3, **options),
}


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("name", KINDS)
def test_layers_of_float32_agree_with_those_of_float64(called, name, data_format, monkeypatch):
    monkeypatch.setattr(winograd, "WINOGRAD_NUMBERS", 1)
    set_random_seed(0)
    options = {"padding": "same", "activation": "relu", "data_format": data_format}
    fine, coarse = (KINDS[name](dtype=dtype, **options) for dtype in ("float64", "float32"))
    sizes = (11,) if name == "Conv1D" else (11, 16)
    x = drawn(9, *((16, *sizes) if data_format == "channels_first" else (*sizes, 16)))
    for layer in (fine, coarse):
        layer.build((None, *x.shape[1:]))
    coarse.set_weights(fine.get_weights())
    dy = drawn(*fine.compute_output_shape(x.shape), seed=1)

    y, cache = fine.forward(x)
    dx = fine.backward(dy, cache)
    assert called == []  # float64 takes the exact sums
    y32, cache32 = coarse.forward(x.astype(np.float32))
    dx32 = coarse.backward(dy.astype(np.float32), cache32)

    if kernels() == "numba" and name in ("DepthwiseConv2D", "SeparableConv2D"):
        assert called == []  # their plain sums are faster, where they are compiled
    else:
        assert {dtype for _, dtype in called} == {np.dtype(np.float32)}
        assert "correlate" in dict(called)
        assert "gradients" in dict(called) or name == "Conv2DTranspose"
    found = (y32, dx32, *(p.gradient for p in coarse.arrays()))
    for one, other in zip(found, (y, dx, *(p.gradient for p in fine.arrays())), strict=True):
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, other, atol=2e-5 * np.abs(other).max())


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 6},
        {"kernel_size": 3, "strides": 2},
        {"kernel_size": 3, "dilation_rate": 2},
        {"kernel_size": 3, "groups": 2},
    ],
)
def test_other_windows_take_the_plain_sums(called, options):
    layer = Conv2D(32, **options)

    layer(drawn(9, 19, 19, 32, dtype=np.float32))

    assert called == []


def test_a_small_batch_takes_the_plain_sums(called):
    layer = Conv2D(32, 3)

    layer(drawn(1, 9, 9, 32, dtype=np.float32))
    assert called == []
    layer(drawn(99, 9, 9, 32, dtype=np.float32))
    assert called == [("correlate", np.float32)]


def test_an_output_gradient_of_another_type_is_converted(monkeypatch):
    monkeypatch.setattr(winograd, "WINOGRAD_NUMBERS", 1)
    layer, x = Conv2D(16, 3), drawn(9, 9, 9, 16, dtype=np.float32)
    layer.build((None, 9, 9, 16))
    y, cache = layer.forward(x)
    dy = np.random.default_rng(1).integers(-3, 4, y.shape)

    found = layer.backward(dy.astype(np.int32), cache)

    np.testing.assert_array_equal(found, layer.backward(dy.astype(np.float32), cache))


def test_patches_that_are_kept_are_those_of_x():
    layer, x = Conv2D(8, 3, strides=2, padding="same"), drawn(5, 9, 11, 6, dtype=np.float32)
    layer.build((None, 9, 11, 6))
    y, cache = layer.forward(x)
    _, without = layer.forward(x, PREDICT)
    dy = drawn(*y.shape, seed=1, dtype=np.float32)
    dx = layer.backward(dy, cache)
    dkernel = layer.dkernel.copy()

    assert cache[0][1] is not None
    assert without[0][1] is None
    np.testing.assert_array_equal(layer.backward(dy, without), dx)
    np.testing.assert_allclose(layer.dkernel, dkernel, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [3, 5])
def test_with_512_channels_float32_errs_by_less_than_1e_4_of_the_largest_output(size):
    x, kernel = drawn(1, 16, 16, 512), drawn(size, size, 512, 64, seed=1)
    windows = Windows((size, size), (1, 1), "same")
    expected = products.correlate(x, kernel, windows)

    z = by_winograd(x.astype(np.float32), kernel.astype(np.float32), windows)

    assert np.abs(z - expected).max() < 1e-4 * np.abs(expected).max()
