"""One object of every configurable class of the library, and what it does."""

import copy
import importlib
import inspect
import warnings
from collections.abc import Iterator
from inspect import Parameter
from typing import Any

import numpy as np
from layer_examples import DRAWN, example

import backprop as bp
from backprop.config import called
from backprop.layer import Context
from backprop.nest import as_tuple, each, each_shape, several, shapes
from backprop.registry import FAMILIES, HOMES

ARGUMENTS: dict[str, dict[str, Any]] = {
    "CosineDecay": {"initial_learning_rate": 0.1, "decay_steps": 10},
    "CosineDecayRestarts": {"initial_learning_rate": 0.1, "first_decay_steps": 10},
    "ExponentialDecay": {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5},
    "InverseTimeDecay": {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5},
    "OneCycle": {"max_learning_rate": 0.1, "total_steps": 10},
    "PiecewiseConstantDecay": {"boundaries": [3], "values": [0.1, 0.2]},
    "PolynomialDecay": {"initial_learning_rate": 0.1, "decay_steps": 10},
    "WarmUp": {"learning_rate": 0.1, "warmup_steps": 3},
    "ConfusionMatrix": {"num_classes": 3},
    "IoU": {"num_classes": 3, "target_class_ids": [0, 2]},
    "MeanIoU": {"num_classes": 3},
    "OneHotIoU": {"num_classes": 3, "target_class_ids": [0, 2]},
    "OneHotMeanIoU": {"num_classes": 3},
    "PrecisionAtRecall": {"recall": 0.3},
    "RecallAtPrecision": {"precision": 0.3},
    "SensitivityAtSpecificity": {"specificity": 0.3},
    "SpecificityAtSensitivity": {"sensitivity": 0.3},
    "MeanMetricWrapper": {"fn": "binary_accuracy"},
    "Values": {"value": [1.0]},
    "BackupAndRestore": {"backup_dir": "backups"},
    "CSVLogger": {"filename": "log.csv"},
    "LearningRateScheduler": {"schedule": abs},
    "ModelCheckpoint": {"filepath": "best.npz"},
}
CALLBACKS = [
    bp.callbacks.ActivationStatistics,
    bp.callbacks.BackupAndRestore,
    bp.callbacks.CSVLogger,
    bp.callbacks.EarlyStopping,
    bp.callbacks.GradientFlow,
    bp.callbacks.LearningRateFinder,
    bp.callbacks.LearningRateScheduler,
    bp.callbacks.ModelCheckpoint,
    bp.callbacks.ReduceLROnPlateau,
    bp.callbacks.SwapEMAWeights,
    bp.callbacks.TerminateOnNaN,
]

# public classes that no string stands for
FURTHER = {
    "callbacks": ("Callback", "History", "LambdaCallback", "MonitorCallback", "ProgbarLogger"),
    "constraints": ("Constraint",),
    "initializers": ("FromFunction", "Initializer", "Values"),
    "layers": ("Layer",),
    "losses": ("Loss",),
    "metrics": ("Metric",),
    "optimizers": ("Optimizer",),
    "optimizers.schedules": ("LearningRateSchedule",),
    "regularizers": ("FromFunction", "Regularizer"),
}


def classes() -> Iterator[tuple[str, type]]:
    for home in HOMES:
        importlib.import_module(f"backprop.{home}")  # its registry enters itself
    for family, registry in FAMILIES.items():
        made = (cls for name, cls in registry.classes.items() if name not in DRAWN)
        yield from ((family, cls) for cls in made)
    yield from (("callbacks", cls) for cls in CALLBACKS)


def public_classes() -> Iterator[tuple[str, type]]:
    """The home and the class of all whose constructors are promised."""
    yield from classes()
    for home, names in FURTHER.items():
        module = importlib.import_module(f"backprop.{home}")
        yield from ((home, getattr(module, name)) for name in names)


def constructor(cls: type) -> str:
    """All arguments of a class, those of its base classes too: names, order, which may be given by
    position, defaults."""
    return without_annotations(inspect.signature(cls))


def without_annotations(signature: inspect.Signature) -> str:
    parameters = [p.replace(annotation=Parameter.empty) for p in signature.parameters.values()]
    return str(inspect.Signature(parameters))


def fresh(family: str, cls: type) -> Any:
    """An object that nothing was built with yet."""
    if family == "layers":
        arguments = example(cls.__name__)[0]._arguments
        return called(cls, copy.deepcopy(arguments))
    return cls(**ARGUMENTS.get(cls.__name__, {}))


def in_use(family: str, cls: type) -> Any:
    """An object that has been built, where its kind is."""
    if family == "layers":
        return example(cls.__name__)[0]
    made = fresh(family, cls)
    if family == "optimizers" and not made.full_batch:
        made.build([np.ones(3)])
    return made


def does(family: str, item: Any) -> list[np.ndarray]:
    """All that can be seen of what an object does. `item` must be fresh or alike in its state."""
    seen = {
        "layers": run_layer,
        "losses": run_loss,
        "metrics": run_metric,
        "optimizers": run_optimizer,
    }.get(family)
    if seen is not None:
        return seen(item)
    w = np.random.default_rng(1).normal(size=(3, 3))
    if family == "regularizers":
        return [item(w), item.gradient(w)]
    if family == "constraints":
        return [item(3 * w)]
    if family == "initializers":
        return [item((3, 3), rng=np.random.default_rng(2))]
    if family == "optimizers.schedules":
        return [np.array([item(step) for step in (0, 1, 2, 5, 20)])]
    return []


def shows(family: str, cls: type, config: dict[str, Any]) -> list[float] | None:
    """What an object of a configuration does, in a number for each array; None where it does
    nothing with the example that its kind is given."""
    bp.utils.set_random_seed(0)
    item = cls.from_config(config)
    if family == "layers" and not isinstance(item, bp.Layer):
        return None  # it takes text
    try:
        if family == "layers":
            item.build(shapes(example(cls.__name__)[1]))
        with warnings.catch_warnings(action="ignore"):
            seen = does(family, item)
    except (ValueError, TypeError, LookupError, ArithmeticError):
        return None
    return [float(np.ravel(a) @ np.cos(1 + np.arange(np.size(a)))) for a in seen]


def run_layer(layer: Any) -> list[np.ndarray]:
    x = example(type(layer).__name__)[1]
    x = each(lambda a: a.astype(layer.dtype or np.float32) if a.dtype.kind == "f" else a, x)
    declared = layer.compute_output_shape(shapes(x))
    seen = [np.array(shape) for shape in (declared if several(declared) else [declared])]
    for training in (False, True):
        for part in layer.walk():
            part.__dict__["_rng"] = np.random.default_rng(7)
        penalties: list = []
        with np.errstate(invalid="ignore"):  # any initializer of a variance, where they are tried
            y, cache = layer.forward(x, Context(training, penalties=penalties))
        dx = layer.backward(each(np.ones_like, y), cache)
        seen += [*as_tuple(y), np.array(penalties), *(d for d in as_tuple(dx) if d is not None)]
        seen += [p.gradient.copy() for p in layer.arrays() if p.gradient is not None]
    return seen


def build_alike(layer: Any, twin: Any) -> None:
    """Build both for the example's input, and give `twin` the weights of `layer`."""
    x = example(type(layer).__name__)[1]
    for built in (layer, twin):
        built.build(each_shape(lambda s: (None, *s[1:]), shapes(x)))
    for p, q in zip(layer.arrays(), twin.arrays(), strict=True):
        q.value[...] = p.value


def predictions(item: Any) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    if type(item).__name__ == "CTC":
        return np.array([[1, 2], [2, 3]]), rng.normal(size=(2, 5, 4)).astype(np.float32)
    y_pred = rng.uniform(0.05, 0.95, (3, 3)).astype(np.float32)
    labels = np.array([0, 1, 2])
    one_hot = not type(item).__name__.startswith(("Sparse", "CategoricalGeneralized"))
    return np.eye(3)[labels] if one_hot else labels, y_pred / y_pred.sum(-1, keepdims=True)


def run_loss(loss: Any) -> list[np.ndarray]:
    value, cache = loss.forward(*predictions(loss))
    return [np.asarray(value), loss.backward(cache)]


def run_metric(metric: Any) -> list[np.ndarray]:
    metric.reset_state()
    y_true, y_pred = predictions(metric)
    if getattr(metric, "sparse_y_pred", False):
        y_pred = np.rint(2 * y_pred)  # class numbers
    pair = (y_pred,) if type(metric).__name__ in ("Mean", "Sum") else (y_true, y_pred)
    metric.update_state(*pair)
    return [np.asarray(metric.result())]


def run_optimizer(optimizer: Any) -> list[np.ndarray]:
    if optimizer.full_batch:
        return []
    w = optimizer._slots.entries[0].value if optimizer.built else np.ones(3)
    for k in range(1, 4):
        optimizer.apply([k * np.array([0.1, 0.2, -0.3])], [w])
    return [w]
