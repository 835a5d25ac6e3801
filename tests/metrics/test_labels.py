"""Labels that are none: every metric says so where it is called, or takes them on purpose."""

import warnings

import numpy as np
import pytest
from configurables import ARGUMENTS
from own_words import others_words

import backprop as bp
from backprop import losses, metrics
from backprop.spelling import snake_case

ROWS = np.random.default_rng(0).dirichlet(np.ones(3), 4).astype(np.float32)
ONE = ROWS[:, :1]
NUMBERS, BITS = np.array([0, 1, 2, 1]), np.array([[0.0], [1.0], [1.0], [0.0]])
ONE_HOT = np.eye(3)[NUMBERS]
# what the others take: labels that are right, and outputs
CLASS_NUMBERS = {
    "SparseCategoricalAccuracy": (NUMBERS, ROWS),
    "SparseTopKCategoricalAccuracy": (NUMBERS, ROWS),
    "SparseCategoricalCrossentropy": (NUMBERS, ROWS),
    "ConfusionMatrix": (NUMBERS, ROWS),
}
LABELS = CLASS_NUMBERS | {
    "BinaryAccuracy": (BITS, ONE),
    "BinaryCrossentropy": (BITS, ONE),
    "CategoricalCrossentropy": (ONE_HOT, ROWS),
    "FBetaScore": (ONE_HOT, ROWS),
    "F1Score": (ONE_HOT, ROWS),
    "Hinge": (BITS, ONE),
    "SquaredHinge": (BITS, ONE),
}
# all that is not 0 counts as 1, as in Keras, with a warning
WARN = {
    *("AUC", "Precision", "Recall", "TruePositives", "TrueNegatives", "FalsePositives"),
    *("FalseNegatives", "SensitivityAtSpecificity", "SpecificityAtSensitivity"),
    *("PrecisionAtRecall", "RecallAtPrecision"),
}
LEAVE_OUT = {"IoU", "MeanIoU", "BinaryIoU"}  # what is no class, as they document
# any number may be right, or the largest of a row is
ANY = {
    *("Accuracy", "CategoricalAccuracy", "TopKCategoricalAccuracy", "CategoricalHinge"),
    *("OneHotIoU", "OneHotMeanIoU", "KLDivergence", "Poisson", "Mean", "Sum", "Metric"),
    *("MeanSquaredError", "RootMeanSquaredError", "MeanAbsoluteError", "CosineSimilarity"),
    *("MeanAbsolutePercentageError", "MeanSquaredLogarithmicError", "LogCoshError", "R2Score"),
    *("PearsonCorrelation", "ConcordanceCorrelation", "MeanMetricWrapper"),
}


def made(name):
    return getattr(metrics, name)(**ARGUMENTS.get(name, {}))


def with_one(labels, wrong):
    labels = np.array(labels, np.float64 if isinstance(wrong, float) else None)
    labels.flat[2] = wrong
    return labels


def test_what_every_metric_does_is_said_here():
    assert set(metrics.registry.classes) <= {*LABELS, *WARN, *LEAVE_OUT, *ANY}


@pytest.mark.parametrize("wrong", [7, -2, np.nan], ids=str)
@pytest.mark.parametrize("name", LABELS)
def test_a_label_that_is_none_is_an_error_and_counts_nowhere(name, wrong):
    y, p = LABELS[name]
    metric = made(name)
    expected = np.array(metric(y, p))

    with pytest.raises(ValueError, match=r"y_true|labels") as caught:
        metric(with_one(y, wrong), p)

    assert not others_words(caught.value)
    np.testing.assert_array_equal(metric.result(), expected)


@pytest.mark.parametrize("name", CLASS_NUMBERS)
def test_half_a_class_is_none(name):
    y, p = CLASS_NUMBERS[name]
    with pytest.raises(ValueError, match="whole numbers"):
        made(name)(with_one(y, 0.5), p)


@pytest.mark.parametrize("wrong", [7, -2, np.nan], ids=str)
@pytest.mark.parametrize("name", sorted(WARN))
def test_a_label_that_counts_as_1_is_warned_of(name, wrong):
    with pytest.warns(UserWarning, match="labels of 0 and 1"):
        made(name)(with_one(BITS, wrong), ONE)


@pytest.mark.parametrize("name", sorted(LEAVE_OUT))
def test_unions_leave_out_what_is_no_class_and_refuse_what_is_no_number(name):
    metric = made(name)
    expected = metric(NUMBERS[:2], [0, 1])
    metric.reset_state()

    assert metric([*NUMBERS[:2], 7, -2], [0, 1, 1, 1]) == expected
    with pytest.raises(ValueError, match="NaN"):
        metric([0, np.nan], [0, 1])


@pytest.mark.parametrize("name", [*CLASS_NUMBERS, "BinaryAccuracy"])
def test_what_has_no_weight_may_be_anything(name):
    y, p = LABELS[name]
    if name == "SparseCategoricalCrossentropy":
        pytest.skip("the loss has ignore_class for that")
    weights = np.array([1.0, 1.0, 0.0, 1.0])
    expected = made(name)(y, p, weights)

    np.testing.assert_array_equal(made(name)(with_one(y, -1), p, weights), expected)


@pytest.mark.parametrize("wrong", [7, -2, np.nan], ids=str)
@pytest.mark.parametrize(
    ("name", "y", "p"),
    [
        ("BinaryCrossentropy", BITS, ONE),
        ("BinaryFocalCrossentropy", BITS, ONE),
        ("CategoricalCrossentropy", ONE_HOT, ROWS),
        ("CategoricalFocalCrossentropy", ONE_HOT, ROWS),
        ("CategoricalGeneralizedCrossEntropy", NUMBERS, ROWS),
        ("SparseCategoricalCrossentropy", NUMBERS, ROWS),
        ("Dice", ONE_HOT, ROWS),
        ("Tversky", ONE_HOT, ROWS),
        ("Hinge", BITS, ONE),
        ("SquaredHinge", BITS, ONE),
    ],
)
def test_losses_that_are_called_look_too(name, y, p, wrong):
    wrong = with_one(y, wrong)
    function = getattr(losses, snake_case(name))
    power = [0.7] if name == "CategoricalGeneralizedCrossEntropy" else []
    for loss, arguments in ((getattr(losses, name)(), []), (function, power)):
        with pytest.raises(ValueError, match=r"labels") as caught:
            loss(wrong, p, *arguments)
        assert not others_words(caught.value)


class Centred(losses.Loss):
    """values = Σ y_pred²/2, whatever the targets are."""

    def check_targets(self, y_true, output_shape):
        pass

    def align(self, y_true, y_pred):
        return y_true, y_pred

    def values(self, y_true, y_pred):
        return (y_pred**2).sum(-1) / 2, y_pred

    def gradient(self, dvalues, y_pred):
        return y_pred * dvalues[..., None]


def test_a_run_whose_loss_does_not_look_has_metrics_that_do():
    model = bp.Sequential([bp.Input((3,)), bp.layers.Dense(3, "softmax")])
    model.compile("sgd", Centred(), metrics=[metrics.SparseCategoricalAccuracy()])

    with pytest.raises(ValueError, match="y_true from 0 to 2, the numbers of the classes, got 7"):
        model.fit(ROWS, with_one(NUMBERS, 7), verbose=0)


def test_a_run_whose_loss_looks_leaves_the_labels_to_it():
    """What it ignores is no error of the metric, and no step looks twice."""
    model = bp.Sequential([bp.Input((3,)), bp.layers.Dense(3, "softmax")])
    loss = losses.SparseCategoricalCrossentropy(ignore_class=-2)
    metric = metrics.SparseCategoricalAccuracy()
    model.compile("sgd", loss, metrics=["accuracy", metric])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        logs = model.fit(ROWS, with_one(NUMBERS, -2), verbose=0).history

    assert set(logs) == {"loss", "accuracy", "sparse_categorical_accuracy"}
    assert metric.labels_known
