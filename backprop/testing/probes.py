"""What laws try layers with: extreme numbers, wrong shapes, odd memory, copies of all kinds."""

from __future__ import annotations

import copy
import functools
import inspect
import json
import os
import pickle
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from backprop.config import custom_object_scope
from backprop.layer import Layer
from backprop.layers import Input
from backprop.losses.loss import Loss
from backprop.models import Model, Sequential
from backprop.models.cloning import clone_model
from backprop.nest import as_tuple, each, row_count
from backprop.registry import FAMILIES
from backprop.saving import load_model
from backprop.testing.case import Case, Subject
from backprop.testing.results import Results, largest

Array = np.ndarray

# functions of matrices that lose the digits which the condition of these takes
LAPACK = (
    "solve",
    "inv",
    "pinv",
    "lstsq",
    "det",
    "slogdet",
    "eigh",
    "eig",
    "svd",
    "solve_triangular",
)


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


def rounding(
    subject: Subject, case: Case, dy: Any, results: Results, units: int = 1
) -> dict[str, float]:
    """How far each result moves when all numbers are moved by up to so many units in the last place
    of the subject's dtype: x, dy, the parameters, and the constants that the layer keeps."""
    scatter = dict.fromkeys(results, 0.0)
    values = [p.value.copy() for p in subject.parameters]
    kept = constants_of(subject.layer)
    unit = float(np.finfo(subject.dtype).eps)
    for k in range(4):
        rng = case.rng(10 + k)
        for p, value in zip(subject.parameters, values, strict=True):
            p.value[...] = nudged(value, rng, units)
        cast = case.with_x(subject.cast(case.x))
        near = cast.changed(lambda x, rng=rng: nudged(x, rng, units))
        dy_near = each(lambda d, rng=rng: nudged(d, rng, units), dy)
        try:
            for part, name, a in kept:
                vars(part)[name] = moved_by(a, unit * np.abs(a), rng, units)
            moved = subject.results(near, dy_near)
        finally:
            for part, name, a in kept:
                vars(part)[name] = a
        for name, a in moved.items():
            lost = not np.isfinite(a[np.isfinite(results[name])]).all()
            scatter[name] = max(scatter[name], np.inf if lost else largest(a - results[name]))
    for p, value in zip(subject.parameters, values, strict=True):
        p.value[...] = value
    return scatter


def moves_of(subject: Subject, case: Case, dy: Any) -> Callable[[], dict[str, float]]:
    """What asks how far rounding moves each result of a case."""
    return lambda: rounding(subject, case, dy, subject.results(case, dy))


@contextmanager
def lapack_moved(dtype: np.dtype, rng: np.random.Generator, units: int) -> Iterator[None]:
    """NumPy's and SciPy's linear algebra of matrices that are moved by so many units in the last
    place of a dtype: what it makes of them is no more certain than that, whoever made them."""

    def moving(function: Callable) -> Callable:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            given = [moved(a) for a in args]
            return function(*given, **{name: moved(a) for name, a in kwargs.items()})

        return wrapper

    def moved(a: Any) -> Any:
        return nudged(a, rng, units) if isinstance(a, np.ndarray) and a.dtype == dtype else a

    import scipy.linalg

    kept = [
        (module, name, vars(module)[name])
        for module in (np.linalg, scipy.linalg)
        for name in LAPACK
        if name in vars(module)
    ]
    try:
        for module, name, function in kept:
            setattr(module, name, moving(function))
        yield
    finally:
        for module, name, function in kept:
            setattr(module, name, function)


def constants_of(layer: Layer) -> list[tuple[Layer, str, Array]]:
    """The arrays of numbers that a layer, or one within it, keeps beside its parameters and
    buffers, such as a matrix that `build` makes."""
    declared = {id(p.value) for p in (*layer.arrays(), *layer.states_kept())}
    declared |= {id(p.gradient) for p in layer.arrays()}
    return [
        (part, name, a)
        for part in layer.walk()
        for name, a in vars(part).items()
        if isinstance(a, np.ndarray) and a.dtype.kind == "f" and id(a) not in declared
    ]


def nudged(a: Array, rng: np.random.Generator, units: int = 1) -> Array:
    """Each number moved to one of its neighbours, or by up to so many units, or left."""
    up = np.nextafter(a, a.dtype.type(np.inf)) - a
    return moved_by(a, np.where(a == 0, 0, up), rng, units)


def moved_by(a: Array, unit: Array, rng: np.random.Generator, units: int) -> Array:
    return (a + unit * rng.integers(-units, units + 1, a.shape)).astype(a.dtype)


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
    """Inputs of which one's rank or width differs; of several rows, which NumPy does not stretch
    to any."""
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
        if x.shape[axis] > 1:
            yield f"one alone along axis {axis}", x[(slice(None),) * axis + (slice(1),)]


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


def reconfigured(layer: Layer) -> Iterator[Layer]:
    """The layer with one of its arguments changed, one after the other: a number to 1/2, a flag to
    the other.

    What a tag says of a class, that it draws or that its buffers move, need not show at every
    configuration: a rate of 0 draws nothing. It is for another one to show then.
    """
    config = layer.get_config()
    for place, value in leaves(config):
        twin = copy.deepcopy(config)
        inner = twin
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = not value if isinstance(value, bool) else 0.5
        try:
            yield anew(layer, twin)
        except Exception:  # no argument to be halved, such as a number of units
            continue


def settings_of(layer: Layer) -> Iterator[tuple[str, bool | int | float]]:
    """The arguments of a layer that are numbers or flags, but for those of every layer."""
    own = set(inspect.signature(Layer).parameters)
    for name, value in config_of(layer).items():
        held = getattr(layer, name, None)
        plain = isinstance(value, bool | int | float) and isinstance(held, bool | int | float)
        if name not in own and plain and held == value:
            yield name, value


def config_of(layer: Layer) -> dict[str, Any]:
    """The configuration of a layer; empty where it holds what none does, such as a function."""
    try:
        return layer.get_config()
    except ValueError:
        return {}


def another(value: bool | int | float) -> Any:
    """A value that an argument may have too."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    return {0.0: 0.5, 0.5: 0.3}.get(value, value / 2)


def anew(layer: Layer, arguments: dict[str, Any]) -> Any:
    """A layer like another one, which is not built, with some other arguments."""
    with custom_object_scope(foreign_classes(layer)):
        found = type(layer).from_config(copy.deepcopy(layer.get_config()) | arguments)
    found.dtype = layer.dtype
    return found


def leaves(config: Any, place: tuple = ()) -> Iterator[tuple[tuple, bool | float]]:
    """Where there are numbers and flags in a configuration, and which."""
    if isinstance(config, bool | int | float):
        yield place, config
    elif isinstance(config, dict | list):
        items = config.items() if isinstance(config, dict) else enumerate(config)
        for key, value in items:
            yield from leaves(value, (*place, key))


def foreign_classes(layer: Layer) -> dict[str, type]:
    """The classes of a layer, and of those within it, that are not the library's, by name."""
    ours = {cls for family in FAMILIES.values() for cls in family.classes.values()}
    found = [type(part) for part in layer.walk()]
    return {cls.__name__: cls for cls in found if cls not in ours}


DRAW_ALIKE = ("a copy", "an unpickled one")  # others have the seed, and not what was drawn since
IN_A_MODEL = ("one from a saved file", "a clone")


def twins(subject: Subject, case: Case) -> Iterator[tuple[str, Any]]:
    """What ought to compute the same as a layer."""
    layer = subject.layer
    yield "a copy", copy.deepcopy(layer)
    parts = [type(part) for part in layer.walk()]
    if not any("<locals>" in cls.__qualname__ for cls in parts):
        # Python does not pickle a class that is defined inside a function
        yield "an unpickled one", pickle.loads(pickle.dumps(layer))
    with custom_object_scope(foreign_classes(layer)):
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
        clone = clone_model(model)
        clone.set_weights(layer.get_weights())
        carry_on(layer, clone)
        yield "a clone", clone


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
