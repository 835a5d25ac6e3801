"""What laws try layers with: extreme numbers, wrong shapes, odd memory, copies of all kinds."""

from __future__ import annotations

import copy
import inspect
import json
import os
import pickle
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from backprop.config import custom_object_scope
from backprop.layer import Layer
from backprop.losses.loss import Loss
from backprop.models import Sequential
from backprop.registry import FAMILIES
from backprop.saving import load_model
from backprop.testing.case import Case, Results, Subject, largest

Array = np.ndarray


def fits(shape: tuple, declared: tuple) -> bool:
    return len(shape) == len(declared) and all(
        d in (None, n) for n, d in zip(shape, declared, strict=True)
    )


def names(layer: Layer, error: Exception) -> bool:
    """Whether a message says which layer, or which layer in it, was given what does not fit."""
    return any(type(part).__name__ in str(error) for part in layer.walk())


def takes_dvalues(loss: Loss) -> bool:
    return len(inspect.signature(loss.backward).parameters) > 1


def penalises(layer: Layer) -> bool:
    return any(part.penalises for part in layer.walk())


def asked_for(function: Callable, given: int, known: dict[str, Any]) -> dict[str, Any]:
    """What a reference's signature asks for besides its first arguments."""
    parameters = list(inspect.signature(function).parameters.values())
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return known
    wanted = [p for p in parameters[given:] if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    missing = [p.name for p in wanted if p.name not in known and p.default is p.empty]
    if missing:
        raise TypeError(
            f"the reference asks for {', '.join(missing)}; there are {', '.join(known)}"
        )
    return {p.name: known[p.name] for p in wanted if p.name in known}


def rounding(subject: Subject, case: Case, dy: Array, results: Results) -> dict[str, float]:
    """How far each result moves when all numbers are moved by a unit in the last place."""
    scatter = dict.fromkeys(results, 0.0)
    values = [p.value.copy() for p in subject.parameters]
    for k in range(4):
        rng = case.rng(10 + k)
        for p, value in zip(subject.parameters, values, strict=True):
            p.value[...] = nudged(value, rng)
        x = nudged(subject.cast(case.x), rng) if case.x.dtype.kind == "f" else case.x
        for name, a in subject.results(case.with_x(x), nudged(dy, rng)).items():
            scatter[name] = max(scatter[name], largest(a - results[name]))
    return scatter


def nudged(a: Array, rng: np.random.Generator) -> Array:
    """Each number moved to one of its neighbours, or left."""
    up = np.nextafter(a, a.dtype.type(np.inf)) - a
    return a + np.where(a == 0, 0, up) * rng.integers(-1, 2, a.shape).astype(a.dtype)


def extremes(case: Case) -> Iterator[tuple[str, Array]]:
    x = case.x
    low = -1e4 if x.min() < 0 else 0.0
    high = 1.0 if low == 0 and x.max() <= 1 else 1e4
    choice = case.rng(6).choice([low, 0.0, high], x.shape)
    one = np.zeros(x.shape)
    one.reshape(-1)[0] = high
    yield "0", np.zeros(x.shape)
    yield f"{high:g}", np.full(x.shape, high)
    yield f"{low:g}", np.full(x.shape, low)
    yield f"0 but for one {high:g}", one
    yield f"{low:g}, 0 or {high:g}", choice
    yield "1e-30", np.where(x < 0, -1e-30, 1e-30)


def wrong_inputs(x: Array) -> Iterator[tuple[str, Array]]:
    """Inputs whose rank or width differs; of several rows, and none of width 1, which NumPy would
    stretch to any."""
    x = x[np.arange(max(x.shape) + 2) % len(x)] if len(x) else x
    yield "an axis more", np.stack([x, x], 1)
    if x.ndim > 1 and x.shape[1]:
        yield "an axis less", x[:, 0]
    for axis in range(1, x.ndim):
        yield (
            f"one more along axis {axis}",
            np.concatenate([x, x[(slice(None),) * axis + (slice(1),)]], axis),
        )


def with_gaps(a: Array) -> Array:
    wide = np.repeat(a[..., None], 2, axis=-1)
    wide[..., 1] = 0
    return wide[..., 0]


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "in Fortran's order": lambda a: np.asarray(a, order="F") if a.ndim > 1 else with_gaps(a),
    "reversed in memory": lambda a: a[(slice(None, None, -1),) * a.ndim].copy()[
        (slice(None, None, -1),) * a.ndim
    ],
    "with gaps": with_gaps,
}


DRAW_ALIKE = ("a copy", "an unpickled one")  # others have the seed, and not what was drawn since


def twins(subject: Subject, case: Case) -> Iterator[tuple[str, Any]]:
    """What ought to compute the same as a layer."""
    layer = subject.layer
    yield "a copy", copy.deepcopy(layer)
    parts = [type(part) for part in layer.walk()]
    if not any("<locals>" in cls.__qualname__ for cls in parts):
        # Python does not pickle a class that is defined inside a function
        yield "an unpickled one", pickle.loads(pickle.dumps(layer))
    ours = {cls for family in FAMILIES.values() for cls in family.classes.values()}
    with custom_object_scope({cls.__name__: cls for cls in parts if cls not in ours}):
        config = json.loads(json.dumps(layer.get_config()))
        twin = type(layer).from_config(config)
        if layer.takes_targets:
            yield "one from its configuration", twin
            return
        twin.dtype = layer.dtype
        twin.build(case.batch_shape)
        twin.set_weights(layer.get_weights())
        carry_on(layer, twin)
        yield "one from its configuration", twin
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.npz")
            model = Sequential([type(layer).from_config(config)])
            model.build(case.batch_shape)
            model.set_weights(layer.get_weights())
            model.save(path)
            loaded = load_model(path)
            carry_on(layer, loaded)
            yield "one from a saved file", loaded


def carry_on(layer: Any, twin: Any) -> None:
    """Hand over what a stateful layer carries from batch to batch, which no file of a model
    holds."""
    for mine, its in zip(twin.states_kept(), layer.states_kept(), strict=True):
        mine.value[...] = its.value
