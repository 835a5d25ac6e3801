"""Helpers that prepare data, the seed, and what Keras keeps here beside them: Keras' names."""

from backprop.absent import face
from backprop.callbacks.progbar import Progbar as Progbar  # shown among the callbacks
from backprop.config import custom_object_scope, get_custom_objects
from backprop.defaults import clear_session, standardize_dtype
from backprop.random import set_random_seed
from backprop.saving import (
    deserialize_keras_object,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
    serialize_keras_object,
)
from backprop.training.data import pack_x_y_sample_weight, unpack_x_y_sample_weight
from backprop.utils.arrays import normalize, split_dataset, to_categorical
from backprop.utils.batches import PyDataset, Sequence
from backprop.utils.ctc import ctc_decode
from backprop.utils.plotting import plot_model
from backprop.utils.sequences import pad_sequences, timeseries_dataset_from_array
from backprop.utils.symbolic import get_source_inputs, is_keras_tensor

CustomObjectScope = custom_object_scope

__all__ = [
    "CustomObjectScope",
    "PyDataset",
    "Sequence",
    "clear_session",
    "ctc_decode",
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "get_source_inputs",
    "is_keras_tensor",
    "normalize",
    "pack_x_y_sample_weight",
    "pad_sequences",
    "plot_model",
    "register_keras_serializable",
    "serialize_keras_object",
    "set_random_seed",
    "split_dataset",
    "standardize_dtype",
    "timeseries_dataset_from_array",
    "to_categorical",
    "unpack_x_y_sample_weight",
]

__getattr__ = face(__name__)
