"""A layer whose draws depend on the dtype is another function in float32, and is not accused."""

import numpy as np
import pytest

import backprop as bp
from backprop.gradcheck import gradcheck
from backprop.layer import INFERENCE, Layer
from backprop.layers import Dense, GaussianDropout, GaussianNoise


class Jitter(Layer):
    """y = x (1 + sigma n), n standard normal."""

    def __init__(self, sigma, by_dtype, wrong=1.0):
        super().__init__()
        self.sigma, self.by_dtype, self.wrong = sigma, by_dtype, wrong

    def forward(self, x, ctx=INFERENCE):
        n = self.rng.standard_normal(x.shape, x.dtype if self.by_dtype else np.float32)
        k = 1 + self.sigma * n.astype(x.dtype)
        return x * k, k

    def backward(self, dy, k):
        return dy * k * np.asarray(1.0 if dy.dtype == np.float64 else self.wrong, dy.dtype)


def checked(layer):
    bp.utils.set_random_seed(0)
    model = bp.Sequential([bp.Input((6,)), layer, Dense(5, "tanh"), Dense(1)])
    model.compile("adam", loss="mse")
    rng = np.random.default_rng(0)
    return gradcheck(model, rng.standard_normal((8, 6)), rng.standard_normal((8, 1)))


@pytest.mark.parametrize("sigma", [1.0, 0.1, 0.01, 0.001, 1e-5])
def test_a_draw_in_the_dtype_of_x_is_no_mistake(sigma):
    report = checked(Jitter(sigma, by_dtype=True))

    assert report, report
    if sigma >= 0.1:
        assert any("draw in one of them, and cast" in s for s in report.skipped)


def test_a_draw_that_does_not_depend_on_the_dtype_is_compared():
    for layer in (Jitter(0.1, by_dtype=False), GaussianNoise(0.1), GaussianDropout(0.1)):
        report = checked(layer)

        assert report and report["all, in float32"].verdict == "pass"


def test_a_mistake_in_float32_alone_still_fails():
    assert checked(Jitter(0.1, by_dtype=False, wrong=1.001)).verdict == "fail"
