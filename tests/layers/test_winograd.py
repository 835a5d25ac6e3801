"""Convolutions of 3 x 3 by Winograd's products, against the plain sums that they replace.

`gradcheck` works in float64, where layers take the plain path. The functions themselves take any
type, so here they are held to the plain sums in float64, and to finite differences by way of them.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backprop import parallel
from backprop.gradcheck import gradcheck
from backprop.layer import Layer
from backprop.layers import Conv2D, Conv2DTranspose
from backprop.layers.convolution import products, winograd
from backprop.layers.windows import Windows


def drawn(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def windows(padding):
    return Windows((3, 3), (1, 1), padding)


def by_winograd(x, kernel, padding, finish=None):
    lay = windows(padding)
    z = np.full((len(x), *lay.counts(x.shape[1:-1]), kernel.shape[-1]), np.nan, x.dtype)
    winograd.correlate(x, kernel, z, products.before(lay, x.shape[1:-1]), finish)
    return z


def gradients_by_winograd(x, dz, kernel, padding):
    dkernel, dx = np.full_like(kernel, np.nan), np.full_like(x, np.nan)
    before = products.before(windows(padding), x.shape[1:-1])
    winograd.gradients(x, dz, kernel, dkernel, dx, before)
    return dkernel, dx


SIZES = st.tuples(st.integers(0, 5), st.integers(3, 9), st.integers(3, 9))


@given(SIZES, st.integers(1, 5), st.integers(1, 5), st.sampled_from(["valid", "same"]))
def test_the_sums_are_the_plain_ones(sizes, channels, filters, padding):
    x, kernel = drawn(*sizes, channels), drawn(3, 3, channels, filters, seed=1)

    z = by_winograd(x, kernel, padding)

    np.testing.assert_allclose(z, products.correlate(x, kernel, windows(padding)), atol=1e-12)


@given(SIZES, st.integers(1, 5), st.integers(1, 5), st.sampled_from(["valid", "same"]))
def test_the_gradients_are_those_of_the_plain_sums(sizes, channels, filters, padding):
    lay = windows(padding)
    x, kernel = drawn(*sizes, channels), drawn(3, 3, channels, filters, seed=1)
    dz = drawn(len(x), *lay.counts(x.shape[1:-1]), filters, seed=2)

    dkernel, dx = gradients_by_winograd(x, dz, kernel, padding)

    expected = np.empty_like(kernel)
    products.kernel_gradient(x, dz, lay, expected)
    np.testing.assert_allclose(dkernel, expected, atol=1e-11)
    np.testing.assert_allclose(
        dx, products.input_gradient(dz, kernel, lay, x.shape[1:-1]), atol=1e-12
    )


class Winograd(Layer):
    """z = x ∗ kernel by Winograd's products, whatever the type."""

    def build(self, input_shape):
        self.kernel, self.dkernel = self.param("kernel", (3, 3, input_shape[-1], 3))

    def forward(self, x, ctx=None):
        return by_winograd(x, self.kernel, "same"), x

    def backward(self, dy, x):
        dkernel, dx = gradients_by_winograd(x, dy, self.kernel, "same")
        self.dkernel = dkernel
        return dx


def test_the_checker_certifies_it():
    assert gradcheck(Winograd(), drawn(2, 5, 4, 2)).verdict == "pass"


def test_the_checker_would_see_a_wrong_transform(monkeypatch):
    wrong = winograd.G.copy()
    wrong[1, 2] = -0.5
    back = winograd.transform_kernel_backward

    def broken(du):
        with monkeypatch.context() as patch:
            patch.setattr(winograd, "G", wrong)
            return back(du)

    monkeypatch.setattr(winograd, "transform_kernel_backward", broken)

    assert gradcheck(Winograd(), drawn(2, 5, 4, 2)).verdict == "fail"


@pytest.mark.parametrize("images, numbers", [(2, 1), (3, 60), (100, 1 << 20)])
def test_blocks_and_steps_change_nothing(monkeypatch, images, numbers):
    x, kernel = drawn(5, 9, 8, 3), drawn(3, 3, 3, 4, seed=1)
    expected = products.correlate(x, kernel, windows("same"))
    monkeypatch.setattr(winograd, "LONG", images * 3)
    monkeypatch.setattr(winograd, "NUMBERS", numbers)
    monkeypatch.setattr(winograd, "TILES", 1)

    np.testing.assert_allclose(by_winograd(x, kernel, "same"), expected, atol=1e-12)


def test_threads_change_nothing(monkeypatch):
    x, kernel, dz = drawn(5, 9, 8, 3), drawn(3, 3, 3, 4, seed=1), drawn(5, 9, 8, 4, seed=2)
    alone = by_winograd(x, kernel, "same"), *gradients_by_winograd(x, dz, kernel, "same")
    monkeypatch.setattr(parallel.Blas, "threads", 3)
    monkeypatch.setattr(winograd, "WORK", 1)

    several = by_winograd(x, kernel, "same"), *gradients_by_winograd(x, dz, kernel, "same")

    for one, other in zip(several, alone, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


def test_every_image_is_finished_once(monkeypatch):
    monkeypatch.setattr(winograd, "LONG", 4)
    monkeypatch.setattr(winograd, "NUMBERS", 1)
    monkeypatch.setattr(winograd, "TILES", 1)
    x, kernel = drawn(5, 6, 6, 2), drawn(3, 3, 2, 2, seed=1)

    def finish(z):
        z += 1

    z = by_winograd(x, kernel, "valid", finish)

    np.testing.assert_allclose(z, products.correlate(x, kernel, windows("valid")) + 1, atol=1e-12)


# ------------------------------------------------------------------------------------ in the layers


@pytest.fixture
def called(monkeypatch):
    """How often the sums went through Winograd's products."""
    found, correlate = [], winograd.correlate

    def counted(x, *args):
        found.append(x.dtype)
        return correlate(x, *args)

    monkeypatch.setattr(winograd, "correlate", counted)
    return found


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("kind", [Conv2D, Conv2DTranspose])
def test_layers_of_float32_agree_with_those_of_float64(called, kind, data_format):
    options = {"padding": "same", "activation": "relu", "data_format": data_format}
    fine, coarse = (kind(20, 3, dtype=dtype, **options) for dtype in ("float64", "float32"))
    x = drawn(3, *((16, 7, 8) if data_format == "channels_first" else (7, 8, 16)))
    for layer in (fine, coarse):
        layer.build((None, *x.shape[1:]))
    coarse.set_weights(fine.get_weights())
    dy = drawn(*fine.compute_output_shape(x.shape), seed=1)

    y, cache = fine.forward(x)
    dx = fine.backward(dy, cache)
    assert called == []  # float64 takes the exact sums
    y32, cache32 = coarse.forward(x.astype(np.float32))
    dx32 = coarse.backward(dy.astype(np.float32), cache32)

    assert called and set(called) == {np.dtype(np.float32)}
    found = (y32, dx32, coarse.dkernel, coarse.dbias)
    for one, other in zip(found, (y, dx, fine.dkernel, fine.dbias), strict=True):
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, other, atol=3e-6 * np.abs(other).max())


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 5},
        {"kernel_size": 3, "strides": 2},
        {"kernel_size": 3, "dilation_rate": 2},
        {"kernel_size": 3, "groups": 2},
    ],
)
def test_other_windows_take_the_plain_sums(called, options):
    layer = Conv2D(32, **options)

    layer(drawn(1, 9, 9, 32, dtype=np.float32))

    assert called == []


def test_with_512_channels_float32_errs_by_less_than_1e_4_of_the_largest_output():
    x, kernel = drawn(1, 14, 14, 512), drawn(3, 3, 512, 64, seed=1)
    expected = products.correlate(x, kernel, windows("same"))

    z = by_winograd(x.astype(np.float32), kernel.astype(np.float32), "same")

    assert np.abs(z - expected).max() < 1e-4 * np.abs(expected).max()
