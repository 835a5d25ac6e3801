"""Scripts as users of Keras write them, run with both libraries: only the import differs.

Each file is such a script, its functions given `keras`, which is Keras' module or ours:

* `data()`: what `fit` is given, `x`, `y` and perhaps `sample_weight`, always the same
* `build(keras)`: a compiled model
* `train(keras, model)`: the numbers of each epoch, by name
* `use(keras, model)`: what the model is for, as arrays by name
* `check(history, used)`: what its author would be content with
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

NAMES = (
    "collaborative_filtering",
    "siamese",
    "detection",
    "sequence_to_sequence",
    "translation",
    "unet",
    "inception",
    "wide_and_deep",
    "variational_autoencoder",
    "actor_critic",
    "rare_disease",
    "credit",
    "segmentation",
    "metric_learning",
    "forecast",
    "tones",
    "equations",
    "fine_tuning",
    "averaged_weights",
    "batches_by_hand",
)


def program(name: str) -> ModuleType:
    return import_module(f"keras_programs.{name}")
