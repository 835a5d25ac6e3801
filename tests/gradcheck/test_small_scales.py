"""Functions that change on a scale far below an ordinary step: right ones pass, wrong ones fail."""

import numpy as np
import pytest
from inputs import normal
from small_layers import OfAMatrix

from backprop.gradcheck import gradcheck
from backprop.layer import INFERENCE, Layer
from backprop.layers import Dot, SimpleRNN, UnitNormalization


class Pointwise(Layer):
    """y = f(x), whose backward pass may be `wrong` times what it should be."""

    def __init__(self, f, slope, wrong=1.0):
        super().__init__()
        self.f, self.slope, self.wrong = f, slope, wrong

    def forward(self, x, ctx=INFERENCE):
        return self.f(x).astype(x.dtype), x

    def backward(self, dy, x):
        return (self.wrong * dy * self.slope(x)).astype(x.dtype)


class Normalized(Layer):
    """y = x / max(|x|, epsilon), row by row."""

    def __init__(self, epsilon, wrong=1.0):
        super().__init__()
        self.epsilon, self.wrong = epsilon, wrong

    def forward(self, x, ctx=INFERENCE):
        norm = np.sqrt((x * x).sum(-1, keepdims=True))
        y = x / np.maximum(norm, x.dtype.type(self.epsilon))
        return y, (y, norm)

    def backward(self, dy, cache):
        y, norm = cache
        along = np.where(norm > self.epsilon, y * (dy * y).sum(-1, keepdims=True), 0)
        d = (dy - along) / np.maximum(norm, self.epsilon)
        d[0] *= self.wrong
        return d.astype(dy.dtype)


class LogDeterminant(OfAMatrix):
    """y = log |det x|."""

    def forward(self, x, ctx=INFERENCE):
        return np.linalg.slogdet(x)[1], x

    def backward(self, dy, x):
        return self.wrong * dy[:, None, None] * np.linalg.inv(x).swapaxes(1, 2)


RNG = np.random.default_rng(0)
POSITIVE = RNG.uniform(0.5, 2, (5, 4))
NORMAL = RNG.standard_normal((5, 4))
ZERO_FIRST = NORMAL * np.array([0.0, 1, 1, 1, 1])[:, None]
SOME_ZERO = POSITIVE * RNG.integers(0, 2, POSITIVE.shape)
NEARLY = RNG.standard_normal((3, 4, 4))
NEARLY[:, 3] = NEARLY[:, 2] + 1e-6 * RNG.standard_normal((3, 4))

CASES = {
    "1/x at 1e-8": (lambda w: Pointwise(lambda x: 1 / x, lambda x: -1 / x**2, w), 1e-8 * POSITIVE),
    "1/x at 1e-15": (
        lambda w: Pointwise(lambda x: 1 / x, lambda x: -1 / x**2, w),
        1e-15 * POSITIVE,
    ),
    "log at 1e-12": (lambda w: Pointwise(np.log, lambda x: 1 / x, w), 1e-12 * POSITIVE),
    "a root of cubes at 1e-6": (
        lambda w: Pointwise(np.cbrt, lambda x: 1 / (3 * np.cbrt(x) ** 2), w),
        1e-6 * NORMAL,
    ),
    "a root next to 0, for some": (
        lambda w: Pointwise(lambda x: np.sqrt(x + 1e-12), lambda x: 0.5 / np.sqrt(x + 1e-12), w),
        SOME_ZERO,
    ),
    "a pole next to 0, for some": (
        lambda w: Pointwise(lambda x: 1 / (x + 1e-6), lambda x: -1 / (x + 1e-6) ** 2, w),
        SOME_ZERO,
    ),
    "sin 1000 x": (
        lambda w: Pointwise(lambda x: np.sin(1000 * x), lambda x: 1000 * np.cos(1000 * x), w),
        NORMAL,
    ),
    "a wave of little height": (
        lambda w: Pointwise(lambda x: x + 1e-4 * np.sin(1e4 * x), lambda x: 1 + np.cos(1e4 * x), w),
        NORMAL,
    ),
    "x / max(|x|, 1e-7) with a row of zeros": (lambda w: Normalized(1e-7, w), ZERO_FIRST),
    "x / max(|x|, 1e-8) with a row of zeros": (lambda w: Normalized(1e-8, w), ZERO_FIRST),
    "log det, nearly singular": (LogDeterminant, NEARLY),
}


@pytest.mark.parametrize("lattice", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_what_changes_on_a_small_scale_passes(name, lattice):
    make, x = CASES[name]

    for seed in range(3):
        report = gradcheck(make(1.0), x, seed=seed, lattice=lattice)

        assert report, report


@pytest.mark.parametrize("wrong", [0.5, 2.0, -1.0, 0.0, 1.001])
@pytest.mark.parametrize("name", CASES)
def test_a_mistake_in_it_fails(name, wrong):
    make, x = CASES[name]

    report = gradcheck(make(wrong), x, lattice=False)

    assert report.verdict == "fail", report


@pytest.mark.parametrize("name", CASES)
def test_it_passes_entry_by_entry(name):
    make, x = CASES[name]

    report = gradcheck(make(1.0), x, full=True, lattice=False)

    assert report.verdict != "fail", report


def test_shipped_layers_of_small_scale_pass():
    rng = np.random.default_rng(1)
    zero_column = np.round(2 * rng.standard_normal((2, 3, 3))) / 2
    zero_column[1, :, 1] = 0
    cosine = Dot((1, -1), normalize=True)

    assert gradcheck(UnitNormalization(), ZERO_FIRST)
    assert gradcheck(UnitNormalization(), 1e-8 * NORMAL)
    assert gradcheck(cosine, (zero_column, rng.standard_normal((2, 3, 3))))


def test_a_chaotic_recurrence_passes():
    rng = np.random.default_rng(1)
    layer = SimpleRNN(16)
    layer.build((None, None, 3))
    layer.set_weights(
        [0.3 * rng.standard_normal((3, 16)), rng.standard_normal((16, 16)), np.zeros(16)]
    )

    report = gradcheck(layer, rng.standard_normal((2, 60, 3)), values="own")

    assert report, report


def iterated(x, times=60):
    """The logistic map and its slope, which grows by the half with each time."""
    slope = np.ones_like(x)
    for _ in range(times):
        x, slope = 3.9 * x * (1 - x), slope * 3.9 * (1 - 2 * x)
    return x, slope


def test_a_slope_that_no_step_can_see_is_not_called_wrong():
    chaos = Pointwise(lambda x: iterated(x)[0], lambda x: iterated(x)[1])

    report = gradcheck(chaos, 0.2 + 0.3 * POSITIVE, lattice=False)

    assert report.verdict == "inconclusive", report


def test_an_absurd_slope_fails_where_the_function_does_not_scatter():
    layer = Pointwise(np.tanh, lambda x: 1 - np.tanh(x) ** 2, 1e18)

    assert gradcheck(layer, NORMAL, lattice=False).verdict == "fail"


def test_wrong_entries_are_located_beside_stiff_ones():
    report = gradcheck(Normalized(1e-7, wrong=1.5), ZERO_FIRST, lattice=False)

    found = report.locate()

    assert [e.index for e in found] == [(0, 0), (0, 1), (0, 2), (0, 3)]
    assert all(abs(e.analytic / e.numeric - 1.5) < 1e-3 for e in found)


class Faint(Layer):
    """y = x + c kernel x, where c is small; dkernel may be twice what it should be."""

    def __init__(self, c, wrong=1.0):
        super().__init__()
        self.c, self.wrong = c, wrong

    def build(self, input_shape):
        self.kernel, self.dkernel = self.param("kernel", input_shape[-1:], "ones")

    def forward(self, x, ctx=INFERENCE):
        return x + self.c * self.kernel * x, x

    def backward(self, dy, x):
        self.dkernel = self.wrong * self.c * (dy * x).sum(0)
        return dy + self.c * self.kernel * dy


@pytest.mark.parametrize("c", [1e-6, 1e-8, 1e-10, 1e-11])
def test_rounding_that_grows_hides_no_faint_gradient_that_is_wrong(c):
    x = np.random.default_rng(0).standard_normal((5, 4))

    right, wrong = (gradcheck(Faint(c, factor), x)["kernel"] for factor in (1.0, 2.0))

    assert (right.verdict, wrong.verdict) == ("pass", "fail")


@pytest.mark.parametrize("c", [1e-12, 1e-14])
def test_what_rounding_does_hide_is_below_the_floor(c):
    x = np.random.default_rng(0).standard_normal((5, 4))

    report = gradcheck(Faint(c), x)

    assert report["kernel"].verdict == "pass"
    assert report["kernel"].floor > np.abs(report.check.here.gradients[0]).max()


class Rounds(Layer):
    """y = x + the whole number nearest to w, which begins at 0; dw is that of x + w."""

    def build(self, input_shape):
        self.w, self.dw = self.param("w", (), "zeros")

    def forward(self, x, ctx=INFERENCE):
        return x + np.round(self.w), None

    def backward(self, dy, cache):
        self.dw[...] = dy.sum()
        return dy


def test_a_parameter_of_zeros_has_no_size_by_which_stairs_are_looked_for():
    report = gradcheck(Rounds(), normal(3, 4), values="own")

    assert report["w"].verdict == "fail"
