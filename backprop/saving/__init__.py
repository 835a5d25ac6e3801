"""Models and weights in one file: JSON and arrays, no pickle, classes from an allow-list.

The native format is ``.npz``; ``.keras`` and ``.weights.h5`` are Keras' own, and in
``.safetensors`` Hugging Face and the users of PyTorch pass weights on (`backprop.interop`).

A model file holds the configuration, the weights and buffers, the generators, how the model was
compiled and the optimizer's variables; not what stateful layers carry on, which belongs to a run.
Classes are found by name among the library's own and those registered or passed in
`custom_objects`; nothing is imported by name and no code in the file can run.
"""

from backprop.absent import face
from backprop.archive import ModelFileError
from backprop.config import (
    custom_object_scope,
    get_custom_objects,
    register_keras_serializable,
)
from backprop.saving.models import load_model, save_model
from backprop.saving.objects import (
    deserialize_keras_object,
    get_registered_name,
    get_registered_object,
    serialize_keras_object,
)
from backprop.saving.signatures import sign, verify
from backprop.saving.weights import load_weights, save_weights
from backprop.signing import SigningKey

__all__ = [
    "CustomObjectScope",
    "ModelFileError",
    "SigningKey",
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "load_model",
    "load_weights",
    "register_keras_serializable",
    "save_model",
    "save_weights",
    "serialize_keras_object",
    "sign",
    "verify",
]

CustomObjectScope = custom_object_scope

__getattr__, __dir__ = face(__name__, __all__)
