"""Optimizers: functions that change a model's vector of values, given its vector of gradients.

A name, a config, a class or an object is accepted wherever an optimizer is; `get` resolves them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backprop.absent import face
from backprop.config import Registry, custom_object_scope
from backprop.optimizers import schedules
from backprop.optimizers.adafactor import Adafactor
from backprop.optimizers.adam import Adam, Adamax, AdamW, Nadam
from backprop.optimizers.adaptive import Adadelta, Adagrad, RMSprop
from backprop.optimizers.ftrl import Ftrl
from backprop.optimizers.lamb import Lamb
from backprop.optimizers.lars import LARS
from backprop.optimizers.lbfgs import LBFGS
from backprop.optimizers.lion import Lion
from backprop.optimizers.muon import Muon
from backprop.optimizers.optimizer import Optimizer
from backprop.optimizers.schedule_free import ScheduleFreeAdamW
from backprop.optimizers.sgd import SGD
from backprop.registry import users_own

__all__ = [
    "LARS",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "Muon",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "ScheduleFreeAdamW",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]

CLASSES = (
    *(SGD, RMSprop, Adam, AdamW, Adagrad, Adadelta, Adamax, Nadam, Lion, LBFGS),
    *(Adafactor, Ftrl, LARS, Lamb, Muon, ScheduleFreeAdamW),
)

registry = Registry(
    "optimizers", CLASSES, {cls.__name__.lower(): cls for cls in CLASSES}, base=Optimizer
)


def get(identifier: Any) -> Any:
    """The optimizer for a name, a config, a class or an object; None stays None.

    Parameters
    ----------
    identifier : str, mapping, type or Optimizer
        A name, in any capitals, or a class makes the optimizer with its default arguments. An
        unknown name is a ValueError, what is no optimizer a TypeError.

    Examples
    --------
    >>> get("adam"), get("ADAM")
    (Adam(), Adam())
    >>> get({"class_name": "SGD", "config": {"learning_rate": 0.1}})
    SGD(0.1)
    """
    if isinstance(identifier, Mapping):
        found = deserialize(identifier)
    else:
        found = registry.get(known_as(identifier))
    if found is None or isinstance(found, Optimizer):
        return found
    raise TypeError(f"an optimizer is a name, a config or an Optimizer, got {identifier!r}")


def known_as(name: Any) -> Any:
    """The name under which an optimizer is known that is called so in other capitals."""
    if not isinstance(name, str) or name in registry.names or users_own(name):
        return name
    return name.lower() if name.lower() in registry.names else name


def serialize(optimizer: Any) -> Any:
    """The config from which `deserialize` makes the optimizer again, without its state."""
    return registry.serialize(optimizer)


def deserialize(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The optimizer that `serialize` turned into a config.

    Parameters
    ----------
    config : mapping
        With ``"class_name"`` and ``"config"``.
    custom_objects : mapping, optional
        Classes and functions of one's own, by the names that the config uses.
    """
    with custom_object_scope(custom_objects):
        if isinstance(config, str):
            return registry.deserialize(known_as(config))
        if isinstance(config, Mapping):
            config = {**config, "class_name": known_as(config.get("class_name"))}
        return registry.deserialize(config)


__getattr__, __dir__ = face(__name__, __all__)
