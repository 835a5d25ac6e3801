"""Helpers that prepare data, the seed, and what Keras keeps here beside them: Keras' names."""

from backprop.absent import face
from backprop.callbacks.progbar import Progbar as Progbar  # shown among the callbacks
from backprop.config import custom_object_scope, get_custom_objects
from backprop.defaults import (
    clear_session,
    disable_interactive_logging,
    enable_interactive_logging,
    is_interactive_logging_enabled,
    standardize_dtype,
)
from backprop.random import set_random_seed
from backprop.saving import (
    deserialize_keras_object,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
    serialize_keras_object,
)
from backprop.training.batches import pack_x_y_sample_weight, unpack_x_y_sample_weight
from backprop.utils.arrays import normalize, split_dataset, to_categorical
from backprop.utils.audio_files import audio_dataset_from_directory
from backprop.utils.batches import PyDataset, Sequence
from backprop.utils.ctc import ctc_decode
from backprop.utils.feature_space import FeatureSpace
from backprop.utils.files import get_file
from backprop.utils.image_files import image_dataset_from_directory
from backprop.utils.images import array_to_img, img_to_array, load_img, save_img
from backprop.utils.plotting import plot_model
from backprop.utils.sequences import pad_sequences, timeseries_dataset_from_array
from backprop.utils.symbolic import get_source_inputs, is_keras_tensor
from backprop.utils.text_files import text_dataset_from_directory

CustomObjectScope = custom_object_scope

__all__ = [
    "CustomObjectScope",
    "FeatureSpace",
    "PyDataset",
    "Sequence",
    "array_to_img",
    "audio_dataset_from_directory",
    "clear_session",
    "ctc_decode",
    "custom_object_scope",
    "deserialize_keras_object",
    "disable_interactive_logging",
    "enable_interactive_logging",
    "get_custom_objects",
    "get_file",
    "get_registered_name",
    "get_registered_object",
    "get_source_inputs",
    "image_dataset_from_directory",
    "img_to_array",
    "is_interactive_logging_enabled",
    "is_keras_tensor",
    "load_img",
    "normalize",
    "pack_x_y_sample_weight",
    "pad_sequences",
    "plot_model",
    "register_keras_serializable",
    "save_img",
    "serialize_keras_object",
    "set_random_seed",
    "split_dataset",
    "standardize_dtype",
    "text_dataset_from_directory",
    "timeseries_dataset_from_array",
    "to_categorical",
    "unpack_x_y_sample_weight",
]

__getattr__, __dir__ = face(__name__, [*__all__, "Progbar"])
