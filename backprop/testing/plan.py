"""What is to be checked, and how often: the arguments of a check, understood."""

from __future__ import annotations

import copy
import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from backprop.layer import Layer
from backprop.spelling import nearest
from backprop.testing.laws import V1, V2, V3, V4, Law
from backprop.testing.strategies.settings import as_configurations
from backprop.testing.strategies.sizes import Strategy

LAWS: Mapping[str, tuple[Law, ...]] = {"v1": V1, "v2": V2, "v3": V3, "v4": V4}

TAGS = {
    "per_sample": "rows are independent, and the law that says so may not be skipped",
    "couples_rows": "rows depend on each other, as in batch normalization",
    "stochastic": "training draws random numbers",
    "shared_draws": "all rows of a batch get the same draws, as with a noise_shape that says so",
    "integer_input": "x holds integers, which have no derivative",
    "piecewise": "the function has kinks or jumps, at which one slope is as good as another",
    "stateful": "a call leaves something behind for the next one, and the batch has a fixed size",
    "constant_buffers": "its buffers are constants, and training may not move them",
    "symmetric": "inputs of one shape may be exchanged, and y is the same",
}

# cases a law; the derivatives get twice as many
PROFILES = {"quick": 3, "default": 10, "thorough": 100}


@dataclass(frozen=True)
class Plan:
    """What is to be checked, with all options understood."""

    make: Callable[..., Any]
    inputs: Any
    configs: Strategy[dict[str, Any]]
    reference: Callable | None
    tags: frozenset[str]
    expected: Mapping[str, str]
    laws: tuple[Law, ...]
    version: str
    examples: int
    profile: str
    label: str


# -------------------------------------------------------------------------------- options


def understood(
    layer: Any,
    inputs: Any,
    configs: Any,
    reference: Callable | None,
    tags: Iterable[str],
    expected_failures: Mapping[str, str] | None,
    laws: str | Iterable[str],
    profile: str | None,
) -> Plan:
    """The options as a plan; a misspelt one is an error that names the nearest."""
    tags = frozenset([tags] if isinstance(tags, str) else tags)
    for tag in sorted(tags):
        known("tag", tag, TAGS)
    if {"per_sample", "couples_rows"} <= tags:
        raise ValueError("the tags 'per_sample' and 'couples_rows' contradict each other")
    version, wanted = laws_named(laws)
    expected = dict(expected_failures or {})
    for name in expected:
        known("law", name, [law.__name__ for law in wanted])
    profile = profile or os.environ.get("BACKPROP_LAWS_PROFILE") or "default"
    known("profile", profile, PROFILES)
    make = maker(layer)
    if configs is None and not isinstance(layer, Layer):
        missing = required(layer)
        if missing:
            raise TypeError(
                f"{label_of(layer)} takes {', '.join(missing)}: say what to draw for it, "
                f"configs={{{missing[0]!r}: ...}}"
            )
    return Plan(
        make,
        inputs,
        as_configurations(configs),
        reference,
        tags,
        expected,
        wanted,
        version,
        PROFILES[profile],
        profile,
        label_of(layer),
    )


def laws_named(laws: str | Iterable[str]) -> tuple[str, tuple[Law, ...]]:
    if isinstance(laws, str):
        known("set of laws", laws, LAWS)
        return laws, LAWS[laws]
    by_name = {law.__name__: law for version in LAWS.values() for law in version}
    laws = list(laws)
    for name in laws:
        known("law", name, by_name)
    return "chosen", tuple(by_name[name] for name in laws)


def known(what: str, name: str, names: Iterable[str]) -> None:
    names = list(names)
    if name not in names:
        raise ValueError(
            f"there is no {what} {name!r}{nearest(name, names)}; there are {', '.join(names)}"
        )


def maker(layer: Any) -> Callable[..., Any]:
    """A function that makes fresh layers."""
    if isinstance(layer, Layer):
        return lambda: copy.deepcopy(layer)
    if callable(layer):
        return layer
    raise TypeError(f"expected a layer, or a function or class that makes one, got {layer!r}")


def required(factory: Callable) -> list[str]:
    """The arguments that a factory cannot do without."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return []
    return [
        p.name
        for p in parameters
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]


def label_of(layer: Any) -> str:
    """A name for a factory: that of what it makes, if it needs no arguments."""
    if isinstance(layer, Layer):
        return repr(layer)
    if not required(layer):
        try:
            return repr(layer())
        except Exception:  # the laws will say
            pass
    name = getattr(layer, "__qualname__", repr(layer))
    code = getattr(layer, "__code__", None)
    return f"{name} of {layer.__module__}" + (f", line {code.co_firstlineno}" if code else "")
