"""Neural networks by hand-derived back-propagation, on NumPy and SciPy.

    import backprop as bp

    (x, y), test = bp.datasets.digits.load_data()
    model = bp.Sequential([bp.layers.Flatten(), bp.layers.Dense(10, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x / 16, y, epochs=10)

The names are Keras'; a script that uses `Sequential` runs with ``import backprop as keras``. Every
name is loaded when it is first used, so that the import costs no more than importing NumPy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from backprop import (
        activations,
        callbacks,
        config,
        constraints,
        datasets,
        diagnostics,
        gradcheck,
        initializers,
        layers,
        linalg,
        losses,
        metrics,
        models,
        optimizers,
        random,
        regularizers,
        saving,
        training,
        utils,
    )
    from backprop.initializers import Initializer
    from backprop.layer import INFERENCE, TRAINING, Context, InputSpec, Layer
    from backprop.layers.containers import Input
    from backprop.losses import Loss
    from backprop.metrics import Metric
    from backprop.models import Sequential
    from backprop.optimizers import Optimizer
    from backprop.regularizers import Regularizer
    from backprop.training.trainer import Trainer

__all__ = [
    "INFERENCE",
    "TRAINING",
    "Context",
    "Initializer",
    "Input",
    "InputSpec",
    "Layer",
    "Loss",
    "Metric",
    "Optimizer",
    "Regularizer",
    "Sequential",
    "Trainer",
    "activations",
    "callbacks",
    "config",
    "constraints",
    "datasets",
    "diagnostics",
    "gradcheck",
    "initializers",
    "layers",
    "linalg",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "random",
    "regularizers",
    "saving",
    "training",
    "utils",
]

HOMES = {
    "INFERENCE": "layer",
    "TRAINING": "layer",
    "Context": "layer",
    "Initializer": "initializers",
    "Input": "layers.containers",
    "InputSpec": "layer",
    "Layer": "layer",
    "Loss": "losses",
    "Metric": "metrics",
    "Optimizer": "optimizers",
    "Regularizer": "regularizers",
    "Sequential": "models",
    "Trainer": "training.trainer",
}


def __getattr__(name: str) -> Any:
    if name in HOMES:
        found = getattr(importlib.import_module(f"backprop.{HOMES[name]}"), name)
    elif name in __all__:
        found = importlib.import_module(f"backprop.{name}")
    else:
        raise AttributeError(explain(name))
    globals()[name] = found
    return found


def explain(name: str) -> str:
    """Why there is no such name."""
    if name in ("Model", "KerasTensor", "Function"):
        return (
            f"backprop has no {name}: networks are chains, not graphs. Use Sequential, with "
            "Residual and Parallel for branches"
        )
    from backprop.config import nearest

    return f"module 'backprop' has no attribute {name!r}{nearest(name, __all__)}"


def version() -> str:
    """The version of the library."""
    return __version__


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__", "version"])
