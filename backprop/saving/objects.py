"""Objects as the entries of a configuration, by Keras' names of the functions."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Any

from backprop import checks
from backprop.arguments import checked
from backprop.checks import Settings, Text
from backprop.config import (
    custom_object_scope,
    deserialize,
    serialize,
)
from backprop.registry import FAMILIES, known_as, registered_name, users_own


def serialize_keras_object(obj: Any) -> Any:
    """An object's configuration, as JSON can hold it."""
    return serialize(obj)


def deserialize_keras_object(
    config: Any, custom_objects: Mapping[str, Any] | None = None, safe_mode: bool = True
) -> Any:
    """The object of a configuration. `safe_mode` changes nothing: none can run code."""
    checks.flag(safe_mode, "deserialize_keras_object()", "safe_mode")
    with custom_object_scope(custom_objects):
        return deserialize(config)


def get_registered_name(obj: Any) -> str:
    """The name under which a class or function was registered; its own name if it was not."""
    name = registered_name(obj) or getattr(obj, "__name__", None)
    if name is None:
        raise TypeError(
            "get_registered_name() expects obj to be a class or a function, got "
            f"{reprlib.repr(obj)}"
        )
    return name


@checked
def get_registered_object(
    name: Text,
    custom_objects: Mapping[str, Any] | None = None,
    module_objects: Settings | None = None,
) -> Any:
    """The class or function of a name: of `custom_objects`, registered, of the library, of
    `module_objects`; or None."""
    with custom_object_scope(custom_objects):
        found = known_as(name)
    families = (family.names for family in FAMILIES.values())
    for known in (*families, module_objects or {}) if found is None else ():
        if name in known:
            return known[name]
    return found or users_own(name)
