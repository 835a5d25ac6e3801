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
from backprop.layers import Input
from backprop.losses.loss import Loss
from backprop.models import Model, Sequential
from backprop.nest import as_tuple, each, row_count
from backprop.registry import FAMILIES
from backprop.saving import load_model
from backprop.testing.case import Case, Results, Subject, largest

Array = np.ndarray


def fits(shape: tuple, declared: tuple) -> bool:
    return len(shape) == len(declared) and all(
        d in (None, n) for n, d in zip(shape, declared, strict=True)
    )


def names(layer: Layer, error: Exception) -> bool:
    """Whether a message says which layer, or which layer in it, was given what does not fit; a
    container may say it by the name that it has."""
    known = [type(part).__name__ for part in layer.walk()]
    if layer.sublayers():
        known.append(layer.name)
    return any(name in str(error) for name in known)


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


def rounding(subject: Subject, case: Case, dy: Any, results: Results) -> dict[str, float]:
    """How far each result moves when all numbers are moved by a unit in the last place."""
    scatter = dict.fromkeys(results, 0.0)
    values = [p.value.copy() for p in subject.parameters]
    for k in range(4):
        rng = case.rng(10 + k)
        for p, value in zip(subject.parameters, values, strict=True):
            p.value[...] = nudged(value, rng)
        cast = case.with_x(subject.cast(case.x))
        near = cast.changed(lambda x, rng=rng: nudged(x, rng))
        dy_near = each(lambda d, rng=rng: nudged(d, rng), dy)
        for name, a in subject.results(near, dy_near).items():
            scatter[name] = max(scatter[name], largest(a - results[name]))
    return scatter


def nudged(a: Array, rng: np.random.Generator) -> Array:
    """Each number moved to one of its neighbours, or left."""
    up = np.nextafter(a, a.dtype.type(np.inf)) - a
    return a + np.where(a == 0, 0, up) * rng.integers(-1, 2, a.shape).astype(a.dtype)


def extremes(case: Case) -> Iterator[tuple[str, Case]]:
    """The case at extreme numbers: those of all inputs at once."""
    rng = case.rng(6)
    found = [list(extremes_of(x, rng)) for x in case.floats]
    for several in zip(*found, strict=True):
        whats, arrays = zip(*several, strict=True)
        in_turn = iter(arrays)
        yield " and ".join(dict.fromkeys(whats)), case.changed(lambda _, a=in_turn: next(a))


def extremes_of(x: Array, rng: np.random.Generator) -> Iterator[tuple[str, Array]]:
    low = -1e4 if x.min() < 0 else 0.0
    high = 1.0 if low == 0 and x.max() <= 1 else 1e4
    choice = rng.choice([low, 0.0, high], x.shape)
    one = np.zeros(x.shape)
    one.reshape(-1)[0] = high
    yield "0", np.zeros(x.shape)
    yield f"{high:g}", np.full(x.shape, high)
    yield f"{low:g}", np.full(x.shape, low)
    yield f"0 but for one {high:g}", one
    yield f"{low:g}, 0 or {high:g}", choice
    yield "1e-30", np.where(x < 0, -1e-30, 1e-30)


def wrong_inputs(x: Any) -> Iterator[tuple[str, Any]]:
    """Inputs of which one's rank or width differs; of several rows, and none of width 1, which
    NumPy would stretch to any."""
    n, there = row_count(x), [a for a in as_tuple(x) if a is not None]
    if n:
        rows = np.arange(max(max(a.shape) for a in there) + 2) % n
        x = each(lambda a: a[rows], x)
    if type(x) is not tuple:
        yield from wrong_ones(x)
        return
    for k, a in enumerate(x):
        for what, wrong in wrong_ones(a) if a is not None else ():
            yield f"{what} of input {k}", (*x[:k], wrong, *x[k + 1 :])


def wrong_ones(x: Array) -> Iterator[tuple[str, Array]]:
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
            model = model_of(type(layer).from_config(config), case)
            model.set_weights(layer.get_weights())
            model.save(path)
            loaded = load_model(path)
            carry_on(layer, loaded)
            yield "one from a saved file", loaded


def model_of(layer: Any, case: Case, dtype: Any = None) -> Any:
    """A model of one layer, built for the case's input."""
    if type(case.x) is not tuple:
        model = Sequential([layer], dtype=dtype)
        model.build(case.batch_shape)
        return model
    return graph_of(Model, layer, case, dtype)


def graph_of(cls: type, layer: Any, case: Case, dtype: Any = None) -> Any:
    """A graph of one layer of several inputs; those that are not given are none of the graph's."""

    def door(a: Array) -> Any:
        n = len(a) if "stateful" in case.tags else None
        whole = a.dtype.kind in "iub"
        return Input(batch_shape=(n, *a.shape[1:]), dtype=a.dtype if whole else dtype)

    doors = each(door, case.x)
    y = layer._connect(doors, None, None, {})
    return cls([symbol for symbol in doors if symbol is not None], list(as_tuple(y)))


def carry_on(layer: Any, twin: Any) -> None:
    """Hand over what a stateful layer carries from batch to batch, which no file of a model
    holds."""
    for mine, its in zip(twin.states_kept(), layer.states_kept(), strict=True):
        mine.value[...] = its.value
