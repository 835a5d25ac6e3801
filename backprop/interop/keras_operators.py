"""Operators: what is a layer here and an operation of symbolic arrays in Keras.

Here ``1 - x`` is a layer with a constant, `SubtractFrom`. In Keras it is an operation that is
called on two things, ``Subtract`` of 1 and x. Parts of an array, ``x[:, 0]``, are a `Slice` here
and a ``GetItem`` there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

OPERATIONS = "keras.src.ops.numpy"
# by the class of ours: Keras' operation, and whether the constant comes first
CONSTANTS = {
    "AddConstant": ("Add", False),
    "SubtractFrom": ("Subtract", True),
    "MultiplyBy": ("Multiply", False),
    "DivideBy": ("TrueDivide", False),
    "DivideInto": ("TrueDivide", True),
    "RaiseTo": ("Power", False),
    "PowerOf": ("Power", True),
}
BOTH = {"Divide": "TrueDivide"}  # of two arrays, what is no layer in Keras
ALONE = {"Absolute": "Absolute"}  # of one
OPERATORS_OF_KERAS = {
    *(name for name, _ in CONSTANTS.values()),
    *BOTH.values(),
    *ALONE.values(),
    *("Negative", "GetItem"),
}


# --------------------------------------------------------------------------------- ours → Keras'


def operation(name: str, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Keras' operation for a layer that is none there; None for a layer."""
    if name in CONSTANTS:
        known = CONSTANTS[name][0]
    elif name == "Slice":
        known = "GetItem"
    else:
        known = BOTH.get(name) or ALONE.get(name)
    if known is None:
        return None
    return {
        "module": OPERATIONS,
        "class_name": known,
        "config": {"name": config.get("name")},
        "registered_name": known,
    }


def as_number(value: Any) -> Any:
    """A constant as Keras writes it."""
    if not isinstance(value, np.ndarray):
        return value
    config = {"value": value.tolist(), "dtype": value.dtype.name}
    return {"class_name": "__numpy__", "config": config}


def written(part: Any) -> Any:
    if part is ...:
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(part, slice):
        ends = {"start": part.start, "stop": part.stop, "step": part.step}
        return {"class_name": "__slice__", "config": ends}
    return part


# --------------------------------------------------------------------------------- Keras' → ours


def is_operation(entry: Mapping[str, Any]) -> bool:
    return str(entry.get("module")).startswith("keras.src.ops")


def without_operations(
    entry: Mapping[str, Any], arguments: list[tuple[list, dict]]
) -> tuple[dict[str, Any], list[tuple[list, dict]]]:
    """A layer with the arguments of its calls; in place of an operation the layer that it stands
    for."""
    module = str(entry.get("module"))
    if not is_operation(entry):
        return dict(entry), arguments
    kind = str(entry.get("class_name"))
    name = (entry.get("config") or {}).get("name") or entry.get("name")
    if module != OPERATIONS or kind not in OPERATORS_OF_KERAS or len(arguments) != 1:
        raise ValueError(
            f"it has an operation {kind} of {module.removeprefix('keras.src.')}: here only layers "
            "and + - * / ** abs and slices of symbolic arrays are offered"
        )
    args = arguments[0][0]
    layer, config = standing_for(kind, args)
    both = [a for a in args if is_tensor(a)]
    several = len(both) > 1
    return (
        {"module": "keras.layers", "class_name": layer, "config": {"name": name} | config},
        [([both], {}) if several else (both[:1], {})],
    )


def is_tensor(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("class_name") == "__keras_tensor__"


def standing_for(kind: str, args: list) -> tuple[str, dict[str, Any]]:
    """The layer, and its arguments, that stands for an operation of Keras on these."""
    if kind == "GetItem":
        parts = args[1] if isinstance(args[1], list) else [args[1]]
        return "Slice", {"index": ", ".join(map(as_text, parts))}
    if kind == "Negative":
        return "MultiplyBy", {"value": -1}
    if kind in ALONE.values():
        return next(ours for ours, theirs in ALONE.items() if theirs == kind), {}
    if len(args) != 2 or not any(map(is_tensor, args)):
        raise ValueError(f"its operation {kind} is given {args!r}")
    if all(map(is_tensor, args)):
        if kind == "Power":
            raise ValueError("it has a power of two arrays, which is not offered here")
        return next((ours for ours, theirs in BOTH.items() if theirs == kind), kind), {}
    first = not is_tensor(args[0])
    value = args[0] if first else args[1]
    if kind == "Subtract" and not first:
        return "AddConstant", {"value": negative(value)}
    commutes = kind in ("Add", "Multiply")
    ours = next(o for o, found in CONSTANTS.items() if found == (kind, first and not commutes))
    return ours, {"value": value}


def negative(value: Any) -> Any:
    if isinstance(value, Mapping):
        config = dict(value["config"])
        return {**value, "config": config | {"value": (-np.asarray(config["value"])).tolist()}}
    if not isinstance(value, int | float):
        raise ValueError(f"it subtracts {value!r}, where a number was expected")
    return -value


def as_text(part: Any) -> str:
    """A part of a slice as it is written in Python."""
    if isinstance(part, Mapping):
        if part.get("class_name") == "__ellipsis__":
            return "..."
        ends = part.get("config") or {}
        step = [] if ends.get("step") is None else [ends["step"]]
        found = [ends.get("start"), ends.get("stop"), *step]
        return ":".join("" if n is None else str(int(n)) for n in found)
    if part is not None and type(part) is not int:
        raise ValueError(f"it takes a slice at {part!r}, which is not offered here")
    return str(part)
