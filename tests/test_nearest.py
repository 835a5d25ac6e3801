"""Which known name is near to one that is not known, and which is not."""

import pytest

from backprop import losses, metrics, optimizers
from backprop.spelling import nearest

ARGUMENTS = [
    *("units", "activation", "use_bias", "kernel_initializer", "bias_initializer"),
    *("learning_rate", "weight_decay", "beta_1", "beta_2", "clipnorm"),
]
METRICS = list(metrics.registry.names)
LOSSES = list(losses.REGISTRY.names)


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("accurracy", METRICS, "accuracy"),
        ("mean_sqared_error", METRICS, "mean_squared_error"),
        ("MeanSquareError", METRICS, "MeanSquaredError"),
        ("mea", METRICS, "mae"),
        ("f1", METRICS, "F1Score"),
        ("binary_crossentropyy", LOSSES, "binary_crossentropy"),
        ("sparse_crossentropy", LOSSES, "sparse_categorical_crossentropy"),
        ("adan", optimizers.registry.names, "adam"),
        ("lr", ARGUMENTS, "learning_rate"),
        ("learn_rate", ARGUMENTS, "learning_rate"),
        ("learningRate", ARGUMENTS, "learning_rate"),
        ("kernel_init", ARGUMENTS, "kernel_initializer"),
        ("unit", ARGUMENTS, "units"),
        ("beta1", ARGUMENTS, "beta_1"),
        ("hed", ["dense", "head"], "head"),
        ("l1_l3", ["l1", "l2", "l1_l2"], "l1_l2"),
    ],
)
def test_a_slip_of_the_pen_is_near(name, known, expected):
    assert nearest(name, known) == f"; did you mean {expected!r}?"


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("precision", ["poisson", "mean", "sum"]),
        ("recall", ["relu", "mean"]),
        ("auc", ["acc", "mae"]),
        ("f1_score", ["r2_score"]),
        ("iou", ["sum", "mse"]),
        ("decay", ARGUMENTS),
        ("momentum", ARGUMENTS),
        ("lovasz", LOSSES),
        ("contrastive", LOSSES),
        ("anything", []),
    ],
)
def test_another_word_is_not(name, known):
    assert nearest(name, known) == ""
