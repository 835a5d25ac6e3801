"""Errors of the subject at points that nobody gave it are skipped; at the given one, the user's."""

import numpy as np
import pytest
from small_layers import OfAMatrix

from backprop.gradcheck import gradcheck
from backprop.layer import INFERENCE, Layer


class Solve(Layer):
    """y = x w⁻ᵀ, which is refused where w is singular."""

    def __init__(self, values="identity", wrong=1.0):
        super().__init__()
        self.values, self.wrong = values, wrong

    def build(self, input_shape):
        self.w, self.dw = self.param("w", (input_shape[-1], input_shape[-1]), self.values)

    def forward(self, x, ctx=INFERENCE):
        y = np.linalg.solve(self.w, x.T).T
        return y, (y, self.w.copy())

    def backward(self, dy, cache):
        y, w = cache
        z = np.linalg.solve(w.T, dy.T).T
        self.dw = -self.wrong * z.T @ y
        return z


class Cholesky(OfAMatrix):
    """y = log det of the symmetric part of x, which is refused where that is not positive."""

    def forward(self, x, ctx=INFERENCE):
        symmetric = (x + x.swapaxes(1, 2)) / 2
        factor = np.linalg.cholesky(symmetric)
        return 2 * np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(1), symmetric

    def backward(self, dy, symmetric):
        return self.wrong * dy[:, None, None] * np.linalg.inv(symmetric)


class Positive(Layer):
    """y = log x, which raises an error of its own where x is not positive."""

    wrong = 1.0

    def forward(self, x, ctx=INFERENCE):
        if (x <= 0).any():
            raise ValueError("x must be positive")
        return np.log(x), x

    def backward(self, dy, x):
        return self.wrong * dy / x


class Squares(Layer):
    """y = x², with a mistake at multiples of 1/2, or at 0 alone."""

    def __init__(self, at_halves=1.0, at_zero=0.0):
        super().__init__()
        self.at_halves, self.at_zero = at_halves, at_zero

    def forward(self, x, ctx=INFERENCE):
        return x * x, x

    def backward(self, dy, x):
        slope = np.where(2 * x == np.round(2 * x), self.at_halves, 1) * 2 * x
        return (dy * np.where(x == 0, self.at_zero, slope)).astype(dy.dtype)


class Root(Squares):
    """y = x² but for the last column, √|x|, which has no slope at 0."""

    def forward(self, x, ctx=INFERENCE):
        y, _ = super().forward(x)
        y[:, -1] = np.sqrt(np.abs(x[:, -1]))
        return y, x

    def backward(self, dy, x):
        dx = super().backward(dy, x)
        root = np.sqrt(np.abs(x[:, -1]))
        dx[:, -1] = dy[:, -1] * np.sign(x[:, -1]) / (2 * np.where(root, root, 1))
        return dx


RNG = np.random.default_rng(0)
X = RNG.standard_normal((5, 4))
SPREAD = RNG.standard_normal((3, 4, 4))
SPREAD = SPREAD @ SPREAD.swapaxes(1, 2) + 0.01 * np.eye(4)


@pytest.mark.parametrize(
    ("make", "x"),
    [(Solve, X), (Cholesky, SPREAD), (Positive, 1e-3 + np.abs(X))],
)
def test_a_right_layer_passes_whatever_it_raises_elsewhere(make, x):
    for seed in range(10):
        report = gradcheck(make(), x, seed=seed, full=seed == 0)

        assert report, report


def test_what_was_not_looked_at_is_reported_with_the_reason():
    report = gradcheck(Positive(), 1e-3 + np.abs(X))

    assert "lattice points: the subject raises ValueError (x must be positive) there" in (
        report.skipped
    )


@pytest.mark.parametrize(("make", "x"), [(Solve, X), (Cholesky, SPREAD)])
def test_a_mistake_in_it_fails(make, x):
    assert gradcheck(make(wrong=2.0), x).verdict == "fail"


def test_an_error_at_the_given_point_is_raised():
    with pytest.raises(ValueError, match="x must be positive"):
        gradcheck(Positive(), X)


class Scaled(Positive):
    """y = log(x) w, which refuses what is not the w that it was made with."""

    def build(self, input_shape):
        self.w, self.dw = self.param("w", (), "ones")

    def forward(self, x, ctx=INFERENCE):
        if abs(self.w - 1) > 0.05:
            raise RuntimeError("w is another one")
        return np.log(x) * self.w, x

    def backward(self, dy, x):
        self.dw = (dy * np.log(x)).sum()
        return dy * self.w / x


def test_random_values_that_are_refused_are_replaced_by_its_own():
    report = gradcheck(Scaled(), 1e-3 + np.abs(X), lattice=False)

    assert report and report.values == "own", report
    assert any("random values" in s and "w is another one" in s for s in report.skipped)


def test_a_layer_that_raises_in_float32_alone_is_not_silent():
    class Double(Squares):
        def forward(self, x, ctx=INFERENCE):
            if x.dtype != np.float64:
                raise TypeError("float64 alone")
            return super().forward(x)

    with pytest.raises(TypeError, match="float64 alone"):
        gradcheck(Double(), X)


def test_squares_pass_at_lattice_points():
    assert gradcheck(Squares(), X) and gradcheck(Root(), X)


@pytest.mark.parametrize("make", [Squares, Root])
@pytest.mark.parametrize("wrong", [{"at_halves": 0.5}, {"at_halves": 0.99}, {"at_zero": 1.0}])
def test_a_mistake_at_lattice_points_fails_beside_outputs_without_a_slope(make, wrong):
    report = gradcheck(make(**wrong), X)

    assert report.verdict == "fail", report


class Inverse(Layer):
    """y = x⁻¹ of matrices"""

    def forward(self, x, ctx=INFERENCE):
        y = np.linalg.inv(x)
        return y, y

    def backward(self, dy, y):
        back = y.swapaxes(1, 2)
        return -back @ dy @ back


def test_where_float32_rounds_numbers_to_what_is_refused_they_are_taken_as_given():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 4, 4))
    x[:, 3] = x[:, 2] + 1e-9 * rng.standard_normal((3, 4))

    report = gradcheck(Inverse(), x)

    assert report.verdict != "fail"
    assert "numbers as float32 rounds them: the subject raises LinAlgError" in report.skipped[0]


def test_what_is_refused_as_given_is_the_users_error():
    with pytest.raises(np.linalg.LinAlgError):
        gradcheck(Inverse(), np.ones((1, 2, 2)))
