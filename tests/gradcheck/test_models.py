"""Models with many kinks: what a check costs, and the single wrong entries that it finds."""

import numpy as np
import pytest

import backprop as bp
from backprop.gradcheck import gradcheck
from backprop.layers import BatchNormalization, Conv2D, Dense, GlobalAveragePooling2D, Residual

IMAGES = np.random.default_rng(0).standard_normal((4, 8, 8, 3))
ROWS = np.random.default_rng(1).standard_normal((16, 20))
CLASSES = np.array([0, 7, 3, 9])


class WrongGamma(BatchNormalization):
    """One entry of dgamma is off by 1e-4 of it."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        self.dgamma[5] *= 1 + 1e-4
        return dx


class WrongSign(Dense):
    """One entry of dkernel has the wrong sign."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        self.dkernel[300, 333] *= -1
        return dx


def residual(normalization=BatchNormalization):
    """Two residual blocks, the normalization of the second given."""
    bp.utils.set_random_seed(0)
    blocks = [
        Residual(
            [
                Conv2D(32, 3, padding="same"),
                kind(),
                bp.layers.ReLU(),
                Conv2D(32, 3, padding="same"),
                BatchNormalization(),
            ]
        )
        for kind in (BatchNormalization, normalization)
    ]
    first = [Conv2D(32, 3, padding="same"), BatchNormalization(), bp.layers.ReLU()]
    last = [GlobalAveragePooling2D(), Dense(10, "softmax")]
    model = bp.Sequential([bp.Input((8, 8, 3)), *first, *blocks, *last])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def test_a_residual_model_takes_few_passes_for_each_gradient():
    report = gradcheck(residual(), IMAGES, CLASSES)

    assert report, report
    assert max(entry.evaluations for entry in report.entries) <= 60
    assert report.evaluations <= 6 * len(report.entries)


def test_an_error_of_1e_4_in_one_gamma_of_a_residual_model_is_found():
    report = gradcheck(residual(WrongGamma), IMAGES, CLASSES)

    assert [entry.name.partition("/")[0] for entry in report.failed] == ["wrong_gamma"], report


@pytest.mark.parametrize("kind", [Dense, WrongSign])
def test_one_wrong_sign_in_a_wide_relu_model_is_found(kind):
    bp.utils.set_random_seed(0)
    wide = [Dense(600, "relu"), kind(600, "relu"), Dense(600, "relu"), Dense(10, "softmax")]
    model = bp.Sequential([bp.Input((20,)), *wide])
    model.compile("sgd", "sparse_categorical_crossentropy")

    report = gradcheck(model, ROWS, np.resize(CLASSES, 16))

    assert report.verdict == ("pass" if kind is Dense else "fail"), report
