"""Helpers that prepare data, and the seed: Keras' names, NumPy's arrays."""

from backprop.config import (
    custom_object_scope,
    get_custom_objects,
    register_keras_serializable,
)
from backprop.random import set_random_seed
from backprop.utils.arrays import normalize, split_dataset, to_categorical
from backprop.utils.sequences import pad_sequences, timeseries_dataset_from_array

CustomObjectScope = custom_object_scope

__all__ = [
    "CustomObjectScope",
    "custom_object_scope",
    "get_custom_objects",
    "normalize",
    "pad_sequences",
    "register_keras_serializable",
    "set_random_seed",
    "split_dataset",
    "timeseries_dataset_from_array",
    "to_categorical",
]
