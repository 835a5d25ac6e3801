"""What a layer calls a constant of its backward pass is held while differences are taken."""

import numpy as np
import pytest

import backprop as bp
from backprop.context import constant
from backprop.gradcheck import gradcheck
from backprop.layer import INFERENCE, Layer
from backprop.layers import Conv2D, Dense, Flatten, SpectralNormalization

X = np.random.default_rng(0).standard_normal((5, 4))


class Scaled(Layer):
    """y = x · w / s, s = max|x|, which counts as a constant."""

    def __init__(self, says=True, wrong=1.0):
        super().__init__()
        self.says, self.wrong = says, wrong

    def build(self, input_shape):
        self.w, self.dw = self.param("w", input_shape[-1:], "ones")

    def forward(self, x, ctx=INFERENCE):
        def largest():
            return np.abs(x).max()

        s = constant("s", largest) if self.says else largest()
        return x * self.w / s, (x, s)

    def backward(self, dy, cache):
        x, s = cache
        self.dw = (dy * x / s).sum(0)
        return self.wrong * dy * self.w / s


def test_a_constant_is_held_and_named():
    report = gradcheck(Scaled(), X)

    assert report
    assert "s: held constant, as backward says it is" in report.skipped


def test_one_that_is_not_said_to_be_a_constant_is_differentiated():
    assert gradcheck(Scaled(says=False), X).verdict == "fail"


def test_what_is_wrong_beside_a_constant_is_found():
    assert gradcheck(Scaled(wrong=1.001), X).verdict == "fail"


@pytest.mark.parametrize("iterations", [1, 2, 9])
def test_spectral_normalization_is_checked_as_it_says(iterations):
    report = gradcheck(SpectralNormalization(Dense(3), iterations), X)

    assert report
    assert "u and v: held constant, as backward says it is" in report.skipped


def test_constants_of_layers_within_a_model_are_held():
    model = bp.Sequential(
        [bp.Input((6, 6, 2)), SpectralNormalization(Conv2D(3, 3)), Flatten(), Scaled(), Dense(2)]
    )
    x = np.random.default_rng(0).standard_normal((3, 6, 6, 2))

    report = gradcheck(model, x)

    assert report.verdict != "fail"
    assert [s.split(":")[0] for s in report.skipped[:2]] == ["u and v", "s"]


def test_outside_of_a_check_a_constant_is_made_anew():
    layer = Scaled()

    for scale in (1.0, 3.0):
        assert np.abs(layer(scale * X)).max() == pytest.approx(1.0)
