"""`Sequential` and `Model`, chains and graphs of layers with a trainer, in Keras' shape; models
copied, saved, loaded."""

from __future__ import annotations

import json
from typing import Any

from backprop import checks, saving
from backprop.absent import face
from backprop.archive import describing
from backprop.config import Registry, custom_object_scope
from backprop.models.base import BaseModel
from backprop.models.cloning import clone_model
from backprop.models.model import Model
from backprop.models.sequential import Sequential

__all__ = ["Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]

registry = Registry("models", [Model, Sequential], base=BaseModel)


def model_from_json(json_string: str, custom_objects=None) -> Any:
    """A `Sequential` or `Model` from what `to_json` returned, here or in Keras, with fresh values.

    Parameters
    ----------
    json_string : str
        What Keras wrote of a compiled model says so, and the model is compiled.
    custom_objects : mapping of str to class or function, optional
        Classes and functions of one's own that it names.

    Raises
    ------
    ModelFileError
        The text is not JSON or describes no model, names a class that is not known, holds code, or
        wants more than two billion weights. A ValueError.
    """
    checks.text(json_string, "model_from_json()", "json_string")
    with describing("json_string"), custom_object_scope(custom_objects):
        return saving.compiled.described(json.loads(json_string))


def save_model(
    model: BaseModel, filepath, overwrite: bool = True, zipped=None, *, key=None, **older
) -> None:
    """Write a `Sequential` or `Model` to one file; see `backprop.saving.save_model`."""
    saving.models.check_model(model, "save_model()")
    signed = {} if key is None else {"key": key}  # a subclass may have written `save` without it
    model.save(filepath, overwrite=overwrite, zipped=zipped, **signed, **older)


def load_model(
    filepath, custom_objects=None, compile: bool = True, safe_mode: bool = True, *, key=None
) -> Any:
    """Read what `save_model` wrote; see `backprop.saving.load_model`."""
    return saving.load_model(filepath, custom_objects, compile, safe_mode, key=key)


__getattr__, __dir__ = face(__name__, __all__)
