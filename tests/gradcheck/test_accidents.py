"""What agrees with a wrong gradient by accident, or excuses it with a kink that is none; and what
is right at large numbers and at numbers of all sizes, and was left undecided.
"""

import numpy as np
import pytest
from gradcheck.hard_cases import FUNCTIONS, apart, apart_back
from gradcheck.unusual_cases import Function, along
from scipy import special

import backprop as bp
from backprop.gradcheck import gradcheck
from backprop.gradcheck.slopes import Expected, slope
from backprop.layers import LSTM


def expected(value):
    return Expected(slope=value, size=1.0, terms=1.0, allowance=0.0, noise=1e-17, entry=1.0)


@pytest.mark.parametrize("step", [2.0**-8, 2.0**-10, 2.0**-12])
def test_a_difference_on_its_way_to_another_slope_is_no_agreement(step):
    found = slope(np.sin, 0.0, expected(float(np.sin(step) / step)))

    assert not found.agreed
    assert abs(found.value - 1) <= found.bound < 1e-9


@pytest.mark.parametrize("step", [2.0**-10, 2.0**-12, 2.0**-14])
def test_a_one_sided_difference_on_its_way_is_no_agreement(step):
    found = slope(np.expm1, 0.0, expected(float(np.expm1(step) / step)))

    assert not found.agreed
    assert abs(found.value - 1) <= found.bound < 1e-9


class OffInOne(LSTM):
    """One entry of 4,096 is off by 1e-5 of the gradient's root mean square."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        self.drecurrent_kernel[2, 9] += 7.4e-6
        return dx


def test_rounding_of_one_output_is_no_kink_that_excuses_an_error_elsewhere():
    bp.utils.set_random_seed(6)
    layer = OffInOne(32)
    layer.build((None, 12, 16))
    x = np.random.default_rng(1006).standard_normal((4, 12, 16))

    report = gradcheck(layer, x, seed=6, lattice=False)

    assert report["recurrent_kernel"].verdict == "fail", report


@pytest.mark.parametrize("wrong", [0.5, 1.001, -1.0])
@pytest.mark.parametrize("name", ["x |x|", "x/(1 + |x|)", "square of the rectifier"])
def test_a_factor_is_found_beside_kinks(name, wrong):
    f, derivative, at = FUNCTIONS[name]

    layer = Function(f, lambda dy, x: wrong * along(derivative, dy, x))

    assert gradcheck(layer, at["of 1e-08"], lattice=False).verdict == "fail"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("size", [1e-8, 1e-12])
def test_one_wrong_entry_is_found_among_kinks(size, seed):
    def back(dy, x):
        dx = apart_back(dy, x)
        dx[1, 2] *= 1.01
        return dx

    x = size * np.random.default_rng(seed).standard_normal((4, 6))

    assert gradcheck(Function(apart, back), x, seed=seed, lattice=False).verdict == "fail"


@pytest.mark.parametrize("size", [1e-12, 1e-14, 1e-20])
def test_a_small_factor_of_small_outputs_is_found(size):
    layer = Function(lambda x: size * np.tanh(x), lambda dy, x: 1.001 * size * dy / np.cosh(x) ** 2)

    assert gradcheck(layer, np.linspace(-1, 1, 20).reshape(5, 4)).verdict == "fail"


@pytest.mark.parametrize("seed", [0, 4])
def test_numbers_of_1e30_are_decided(seed):
    layer = Function(lambda x: np.maximum(x, 0), lambda dy, x: dy * (x > 0))

    x = 1e30 * np.random.default_rng(seed).standard_normal((5, 4))

    assert gradcheck(layer, x, seed=seed).verdict == "pass"


@pytest.mark.parametrize("wrong", [1.0, 1.001])
@pytest.mark.parametrize("seed", [0, 4])
def test_numbers_of_all_sizes_are_looked_at_apart(seed, wrong):
    layer = Function(lambda x: special.jv(0.5, x), lambda dy, x: wrong * dy * special.jvp(0.5, x))
    layer.dtype = np.dtype("float64")

    rng = np.random.default_rng(seed)
    x = rng.uniform(0.5, 2, (5, 4)) * 10.0 ** rng.integers(-6, 4, (5, 4))

    assert gradcheck(layer, x).verdict == ("pass" if wrong == 1 else "fail")


def q_back(dy, x):
    """Of the Q of a QR factorization: NaN where R has no inverse."""
    q, r = np.linalg.qr(x)
    low = np.tril(-dy.swapaxes(1, 2) @ q)
    none = (np.abs(np.diagonal(r, axis1=1, axis2=2)).min(-1) == 0)[:, None, None]
    inverse = np.where(none, np.nan, np.linalg.inv(np.where(none, np.eye(4), r)))
    return (dy + q @ (low + np.tril(low, -1).swapaxes(1, 2))) @ inverse.swapaxes(1, 2)


@pytest.mark.parametrize("size", [1.0, 1e6])
def test_a_jump_is_none_the_less_one_where_steps_are_lost_in_rounding(size):
    layer = Function(lambda x: np.linalg.qr(x)[0], q_back)

    report = gradcheck(layer, size * np.random.default_rng(0).standard_normal((3, 4, 4)))

    assert report, report
