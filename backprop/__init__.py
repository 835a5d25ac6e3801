"""Neural networks by hand-derived back-propagation, on NumPy and SciPy.

    import backprop as bp

    (x, y), test = bp.datasets.digits.load_data()
    model = bp.Sequential([bp.layers.Flatten(), bp.layers.Dense(10, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x / 16, y, epochs=10)

The names are Keras'; a script that uses `Sequential`, `Model` and the layers that are here runs
with ``import backprop as keras``, and `backprop.absent` answers for the rest. Every name is loaded
when it is first used, so that the import costs no more than importing NumPy.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from backprop import (
        activations,
        backend,
        callbacks,
        config,
        constraints,
        data,
        datasets,
        diagnostics,
        distributed,
        gradcheck,
        initializers,
        interop,
        layers,
        linalg,
        losses,
        metrics,
        models,
        optimizers,
        preprocessing,
        random,
        regularizers,
        saving,
        serving,
        training,
        utils,
    )
    from backprop.initializers import Initializer
    from backprop.layer import INFERENCE, TRAINING, Context, InputSpec, Layer
    from backprop.layers.inputs import Input
    from backprop.losses import Loss
    from backprop.metrics import Metric
    from backprop.models import Model, Sequential
    from backprop.optimizers import Optimizer
    from backprop.regularizers import Regularizer
    from backprop.training.policies import NonfiniteError, OnNonfinite
    from backprop.training.trainer import Trainer
    from backprop.variable import Variable
    from backprop.versions import show_versions

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
    "Model",
    "NonfiniteError",
    "OnNonfinite",
    "Optimizer",
    "Regularizer",
    "Sequential",
    "Trainer",
    "Variable",
    "activations",
    "backend",
    "callbacks",
    "config",
    "constraints",
    "data",
    "datasets",
    "diagnostics",
    "distributed",
    "gradcheck",
    "initializers",
    "interop",
    "layers",
    "linalg",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "preprocessing",
    "random",
    "regularizers",
    "saving",
    "serving",
    "show_versions",
    "training",
    "utils",
]

HOMES = {
    "INFERENCE": "layer",
    "TRAINING": "layer",
    "Context": "layer",
    "Initializer": "initializers",
    "Input": "layers.inputs",
    "InputSpec": "layer",
    "Layer": "layer",
    "Loss": "losses",
    "Metric": "metrics",
    "NonfiniteError": "training.policies",
    "OnNonfinite": "training.policies",
    "Optimizer": "optimizers",
    "Regularizer": "regularizers",
    "Model": "models",
    "Sequential": "models",
    "Trainer": "training.trainer",
    "Variable": "variable",
    "show_versions": "versions",
}


def __getattr__(name: str) -> Any:
    if name in HOMES:
        found = getattr(importlib.import_module(f"backprop.{HOMES[name]}"), name)
    elif name in __all__:
        found = importlib.import_module(f"backprop.{name}")
    else:
        from backprop.absent import refuse

        raise refuse(__name__, name, sys._getframe(1))
    globals()[name] = found
    return found


class Absent:
    """Asked last where ``import backprop.name`` finds no file: says what to write instead."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None, /) -> None:
        place, _, name = fullname.rpartition(".")
        if place.partition(".")[0] == __name__:
            from backprop.absent import advice

            if name in advice(place):
                what = f"{place} has no {name}: {advice(place)[name]}"
                raise ModuleNotFoundError(what, name=fullname)


if not any(type(finder).__name__ == "Absent" for finder in sys.meta_path):  # not twice, on a reload
    sys.meta_path.append(Absent())


def version() -> str:
    """The version of the library."""
    return __version__


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__", "version"])
