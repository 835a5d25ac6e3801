"""Names: get, serialize, and what compile(metrics=[...]) means."""

import inspect
import os

os.environ.setdefault("KERAS_BACKEND", "numpy")

import numpy as np
import pytest

from backprop import losses, metrics

# what a constructor needs
NEEDED = {
    metrics.MeanMetricWrapper: (metrics.hinge,),
    metrics.SensitivityAtSpecificity: (0.3,),
    metrics.SpecificityAtSensitivity: (0.3,),
    metrics.PrecisionAtRecall: (0.3,),
    metrics.RecallAtPrecision: (0.3,),
    metrics.IoU: (3, [0, 2]),
    metrics.MeanIoU: (3,),
    metrics.OneHotIoU: (3, [0, 2]),
    metrics.OneHotMeanIoU: (3,),
    metrics.ConfusionMatrix: (3,),
}
OURS = {metrics.ConfusionMatrix}
ALIASES = ["bce", "BCE", "mse", "MSE", "mae", "MAE", "mape", "MAPE", "msle", "MSLE"]


@pytest.mark.parametrize(
    "cls", [cls for cls in metrics.CLASSES if cls not in OURS], ids=lambda cls: cls.__name__
)
def test_arguments_and_defaults_are_those_of_keras(cls):
    keras = pytest.importorskip("keras", reason="Keras is the peer that is compared with")

    mine = inspect.signature(cls).parameters
    theirs = inspect.signature(getattr(keras.metrics, cls.__name__).__init__).parameters
    theirs = {n: p.default for n, p in theirs.items() if n not in ("self", "kwargs")}

    assert [(n, p.default) for n, p in mine.items()] == list(theirs.items())


@pytest.mark.parametrize(
    "cls", [cls for cls in metrics.CLASSES if cls not in OURS], ids=lambda cls: cls.__name__
)
def test_names_in_logs_are_those_of_keras(cls):
    keras = pytest.importorskip("keras", reason="Keras is the peer that is compared with")
    if cls is metrics.MeanMetricWrapper:
        pytest.skip("it has its function's name")

    theirs = getattr(keras.metrics, cls.__name__)(*NEEDED.get(cls, ())).name

    assert theirs.rstrip("_0123456789") in (cls(*NEEDED.get(cls, ())).name.rstrip("_0123456789"),)


@pytest.mark.parametrize("name", ALIASES)
def test_aliases_are_those_of_keras(name):
    keras = pytest.importorskip("keras", reason="Keras is the peer that is compared with")

    assert type(metrics.get(name)).__name__ == type(keras.metrics.get(name)).__name__


@pytest.mark.parametrize("cls", metrics.CLASSES, ids=lambda cls: cls.__name__)
def test_a_config_makes_the_same_metric(cls):
    metric = cls(*NEEDED.get(cls, ()), name="mine")

    twin = metrics.get(metrics.serialize(metric))

    assert type(twin) is cls
    assert twin.name == "mine"
    assert twin.get_config() == metric.get_config()


def test_get_takes_names_classes_objects_and_functions():
    metric = metrics.Accuracy()

    assert type(metrics.get("mean_squared_error")) is metrics.MeanSquaredError
    assert type(metrics.get("MeanSquaredError")) is metrics.MeanSquaredError
    assert type(metrics.get(metrics.Accuracy)) is metrics.Accuracy
    assert metrics.get(metric) is metric
    assert metrics.get(metrics.binary_accuracy) is metrics.binary_accuracy
    assert metrics.get(None) is None


def test_functions_without_a_class_serve_by_name():
    metric = metrics.get("huber")

    assert metric.name == "huber"
    assert metric([[0.0]], [[0.5]]) == 0.125


def test_unknown_names_name_the_nearest():
    with pytest.raises(ValueError, match=r"unknown metric 'acuracy'; did you mean 'accuracy'"):
        metrics.get("acuracy")
    with pytest.raises(TypeError, match="got 3"):
        metrics.get(3)
    with pytest.raises(ValueError, match="got None"):
        metrics.resolve(None, (None, 1), (None, 1))


# ---------------------------------------------------------------------------- what compile means

SHAPES = [
    ((4, 1), (4,)),
    ((4, 1), (4, 1)),
    ((4, 3), (4,)),
    ((4, 3), (4, 1)),
    ((4, 3), (4, 3)),
    ((4, 5, 3), (4, 5)),
    ((4, 5, 3), (4, 5, 1)),
    ((4, 5, 3), (4, 5, 3)),
    ((4, 5, 1), (4, 5)),
]


@pytest.mark.parametrize("name", ["accuracy", "acc", "Accuracy"])
@pytest.mark.parametrize(("output", "target"), SHAPES)
def test_accuracy_means_what_it_means_in_keras(name, output, target):
    pytest.importorskip("keras", reason="Keras is the peer that is compared with")
    from keras.src.trainers.compile_utils import get_metric

    mine = metrics.resolve(name, (None, *output[1:]), (None, *target[1:]))
    theirs = get_metric(name, np.zeros(target), np.zeros(output))

    assert type(mine).__name__ == type(theirs).__name__
    assert mine.name == theirs.name == name


@pytest.mark.parametrize(("output", "target"), SHAPES)
def test_crossentropy_is_chosen_like_the_loss_in_keras(output, target):
    pytest.importorskip("keras", reason="Keras is the peer that is compared with")
    from keras.src.trainers.compile_utils import get_loss

    mine = metrics.resolve("ce", output, target)
    theirs = get_loss("ce", np.zeros(target), np.zeros(output))

    assert type(mine).__name__.lower() == theirs.fn.__name__.replace("_", "")
    assert mine.name == "ce"


def test_crossentropy_takes_logits_where_the_loss_does():
    logits, labels = np.array([[2.0, -1.0]]), np.array([0])

    metric = metrics.resolve(
        "crossentropy", (None, 2), (None,), losses.SparseCategoricalCrossentropy(from_logits=True)
    )

    assert metric(labels, logits) == pytest.approx(np.log1p(np.exp(-3)))


@pytest.mark.parametrize("name", ["mse", "MeanAbsoluteError", "hinge"])
def test_a_name_stays_as_it_is_written(name):
    assert metrics.resolve(name, (None, 1), (None, 1)).name == name


def test_objects_keep_their_names_and_functions_give_theirs():
    def largest_error(y_true, y_pred):
        return abs(y_true - y_pred).max(-1)

    shapes = (None, 1), (None, 1)

    assert metrics.resolve(metrics.MeanSquaredError(name="error"), *shapes).name == "error"
    assert metrics.resolve(metrics.MeanSquaredError, *shapes).name == "mean_squared_error"
    wrapped = metrics.resolve(largest_error, *shapes)
    assert wrapped.name == "largest_error"
    assert wrapped([[1.0]], np.array([[3.0]])) == 2
