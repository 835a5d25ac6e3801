"""Where the checker has learnt to accuse no right function, a wrong one is still found."""

import numpy as np
import pytest
from gradcheck.hard_cases import FUNCTIONS, middle, solved, to_the
from gradcheck.unusual_cases import Function, along, first, hilbert

from backprop.gradcheck import gradcheck
from backprop.layers import RandomSaturation

RNG = np.random.default_rng(0)
TIED = np.repeat([[0.0], [0.5], [-1.0], [2.0]], 3, 1)


def verdict(layer, x, **options):
    return gradcheck(layer, x, **options).verdict


@pytest.mark.parametrize("wrong", [0.5, 2.0, -1.0, 0.0])
@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("arcsin", "1 -1e-08"),
        ("arcosh", "1 +1e-08"),
        ("inverse of erf", "1 -1e-08"),
        ("cube root", "of 1e-100"),
        ("1 - cos", "of 1e-05"),
        ("1/√x", "of 1e-30"),
        ("1/(1 + exp x)", "0 +80"),
        ("log cosh", "0 +200"),
        ("sin", "of 1e+06"),
    ],
)
def test_a_factor_is_found_beside_edges(name, place, wrong):
    f, slope, at = FUNCTIONS[name]

    layer = Function(f, lambda dy, x: wrong * along(slope, dy, x))

    assert verdict(layer, at[place], lattice=False) == "fail"


@pytest.mark.parametrize("wrong", [0.5, 2.0, -1.0, 0.0])
def test_a_factor_does_not_pass_where_float64_moves_in_steps(wrong):
    f, slope, at = FUNCTIONS["1 - cos"]

    layer = Function(f, lambda dy, x: wrong * along(slope, dy, x))

    assert verdict(layer, at["of 1e-07"], lattice=False) != "pass"


@pytest.mark.parametrize("wrong", [0.5, 2.0, -1.0, 0.0])
@pytest.mark.parametrize("x", [[30.0], [30.0, 1.0, 2.0], [25.0, -1.0, 0.5, 28.0]])
def test_a_factor_is_found_beside_stairs_that_a_logarithm_makes_wide(x, wrong):
    f, slope, _ = FUNCTIONS["log(1 - sigmoid)"]
    x = np.array([x]) + 0.1 * RNG.standard_normal((1, len(x)))

    def back(dy, x):
        return np.where(x < 10, wrong, 1.0) * along(slope, dy, x)

    expected = "fail" if x.size > 1 else "inconclusive"
    assert verdict(Function(f, back), x, lattice=False) == expected


@pytest.mark.parametrize("wrong", [0.5, 2.0, -1.0, 0.0])
def test_a_factor_does_not_pass_on_such_stairs(wrong):
    f, slope, at = FUNCTIONS["log(1 - sigmoid)"]

    layer = Function(f, lambda dy, x: wrong * along(slope, dy, x))

    assert verdict(layer, at["of 17"], lattice=False) != "pass"


def test_numbers_that_are_rounded_to_wide_steps_fail():
    rounded = Function(lambda x: np.round(x * 2**8) / 2**8, lambda dy, x: dy)

    assert verdict(rounded, RNG.standard_normal((3, 4)), lattice=False) == "fail"


@pytest.mark.parametrize("width", [2.0**-12, 2.0**-16, 2.0**-20])
def test_a_narrow_zone_without_a_slope_is_no_stair(width):
    def shrink(x):
        return np.sign(x - 1) * np.maximum(np.abs(x - 1) - width, 0)

    assert verdict(Function(shrink, lambda dy, x: dy), np.ones((3, 4)), lattice=False) == "fail"


def paid_to_all(dy, x):
    return dy[:, None] * (x == middle(x)[:, None])


@pytest.mark.parametrize("full", [False, True])
def test_a_median_that_pays_all_that_ties_is_found(full):
    right = Function(middle, lambda dy, x: to_the(1, dy, x), first)
    wrong = Function(middle, paid_to_all, first)

    assert verdict(right, TIED) == "pass"
    assert "fail" in [verdict(wrong, TIED, seed=seed, full=full) for seed in range(3)]


def test_a_factor_of_what_ties_is_found_beside_the_ties():
    x = np.concatenate([TIED, RNG.standard_normal((4, 3))])

    def back(dy, x):
        dx = to_the(1, dy, x)
        dx[-1] *= 1.001
        return dx

    assert verdict(Function(middle, back, first), x) == "fail"


@pytest.mark.parametrize("n", [8, 10])
def test_a_share_of_a_tenth_is_found_where_digits_are_lost(n):
    matrix = hilbert(n)
    layer = Function(lambda x: solved(matrix, x), lambda dy, x: 1.2 * solved(matrix, dy))

    assert verdict(layer, RNG.standard_normal((3, n))) == "fail"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_fails_where_there_is_a_slope(bad):
    def back(dy, x):
        dx = dy * np.cos(x)
        dx[1, 2] = bad
        return dx

    assert verdict(Function(np.sin, back), RNG.standard_normal((4, 3))) == "fail"
    assert verdict(Function(np.sin, back), np.zeros((4, 3))) == "fail"


def test_an_infinite_slope_is_none():
    root = Function(np.sqrt, lambda dy, x: dy * 0.5 / np.sqrt(x))

    report = gradcheck(root, np.array([[0.0, 1.0], [2.0, 3.0]]))

    assert report.verdict == "inconclusive"
    assert "a slope that no number holds" in report["x"].reason


def test_a_saturation_is_held_where_a_pixel_is_below_the_range():
    layer = RandomSaturation((0.0, 0.7), value_range=(-9.0, 9.0), seed=0)

    report = gradcheck(layer, 1e6 * RNG.standard_normal((2, 6, 5, 3)))

    assert report.verdict != "fail", report


@pytest.mark.parametrize("half", [0.5, 1.0])
def test_numbers_that_float32_does_not_hold_are_said_to_be_left_out(half):
    layer = Function(lambda x: x**30, lambda dy, x: half * 30 * x**29 * dy)

    report = gradcheck(layer, 20 + RNG.standard_normal((4, 3)))

    assert report.verdict == ("pass" if half == 1 else "fail")
    assert half < 1 or any("float32: it does not hold" in s for s in report.skipped)
