"""The point at which a check looks, and the directions in which it moves.

Numbers are rounded to float32, so that float32 and float64 see the same ones. Parameters and
buffers leave gamma = 1, bias = 0, variance = 1, where mistakes hide. No entry of a direction is
small, so that a wrong entry anywhere shows. What stands for a mask is no number, and stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from backprop.gradcheck.passes import Passes
from backprop.gradcheck.places import Point, Slot
from backprop.gradcheck.probe import Array, Probe
from backprop.layers import Graph
from backprop.masks import flags
from backprop.nest import as_tuple, each
from backprop.parameters import Parameter
from backprop.training.ends import ends_of


def prepared(
    subject: Any,
    x: Any,
    y: Any,
    rng: np.random.Generator,
    *,
    training: bool = True,
    mask: Any = None,
    values: str = "random",
    rounded: bool = True,
    deadline: float | None = None,
) -> tuple[Probe, Point]:
    """A subject as a function, and the point at which to check it; see `gradcheck`. Numbers are
    `rounded` to what float32 holds, if the subject computes in that."""
    weight = None
    if subject.takes_targets:
        x, y, weight = of_loss(subject, x, y)
    x = inputs_of(subject, x)
    rounded = rounded and computes_in_float32(subject)
    given = x
    if rounded:
        x = each(single, x)
    probe = Probe(
        subject,
        x,
        y,
        sample_weight=weight,
        mask=masks_of(subject, mask, x),
        training=training,
        passes=Passes(deadline),
    )
    if values == "random":
        leave_special_values(probe, rng)
    point = probe.point
    if rounded:
        point = [single(p) for p in point]
    probe.rounded = rounded and moved(given, x)
    if (values == "random" and probe.parameters) or probe.rounded:
        probe.home = ()  # nobody gave it these
    return probe, point


def moved(given: Any, x: Any) -> bool:
    """Whether an input was given otherwise."""
    pairs = zip(as_tuple(given), as_tuple(x), strict=True)
    return any(
        a is not None and a.dtype.kind == "f" and not np.array_equal(a, b, equal_nan=True)
        for a, b in pairs
    )


def inputs_of(subject: Any, x: Any) -> Any:
    """x as arrays: a tuple for a layer of several inputs, None where one is not given."""
    if isinstance(subject, Graph):  # which may be given a dict by names
        x = ends_of(subject)[0].in_order(x, "x")
    if subject.several_inputs and isinstance(x, list | tuple):
        return each(np.asarray, tuple(x))
    return np.asarray(x)


def masks_of(subject: Any, mask: Any, x: Any) -> Any:
    """The mask as booleans: for several inputs a tuple with one, or None, for each."""
    if mask is None:
        return None
    if type(x) is not tuple:
        return flags(mask, "gradcheck")
    if not isinstance(mask, list | tuple) or len(mask) > len(x):
        raise TypeError(
            f"gradcheck() of {subject!r} was given {len(x)} inputs, so mask is a tuple with a mask "
            f"or None for each, got {type(mask).__name__}"
        )
    found = each(lambda m: flags(m, "gradcheck"), tuple(mask))
    return (*found, *[None] * (len(x) - len(found)))


def leave_special_values(probe: Probe, rng: np.random.Generator) -> None:
    """Move parameters and buffers: at gamma = 1, bias = 0, variance = 1 mistakes hide.

    What is of one sign gets the other one too, where the forward pass can be computed there: a
    scale inside a root or a logarithm stays what it is.
    """
    # upwards only: a variance stays one
    probe.set_buffers(
        [
            b * (1 + 0.5 * rng.random(b.shape)) + 0.25 * rng.random(b.shape)
            if b.dtype.kind == "f"
            else b
            for _, b in probe.buffers
        ]
    )
    moved = [allowed(p, nearby(p.value, rng)) for p in probe.parameters]
    turned = [
        allowed(p, both_signs(v, rng)) if one_sign(p.value) else v
        for p, v in zip(probe.parameters, moved, strict=True)
    ]
    settle(probe.parameters, moved, turned, lambda: computable(probe))


def computable(probe: Probe) -> bool:
    """Whether the forward pass can be computed where the copy stands."""
    spent = probe.passes.forward
    try:
        return bool(np.isfinite(probe.run(probe.point).y).all())
    except Exception:  # whatever a layer says to a number that it does not expect
        probe.passes.forward = spent
        return False


def nearby(value: Array, rng: np.random.Generator) -> Array:
    """A parameter moved by a tenth to a half of its size; by as much of 1 where it is 0."""
    rms = float(np.sqrt(np.mean(value**2))) if value.size else 0.0
    return value + signs(value.shape, rng, 0.1, 0.5) * (rms or 1.0)


def both_signs(value: Array, rng: np.random.Generator) -> Array:
    """The same numbers, every second of which, at random, has the other sign."""
    turns = np.resize([1.0, -1.0], value.size)
    return np.abs(value) * rng.permutation(turns).reshape(value.shape) * rng.choice([-1.0, 1.0])


def one_sign(value: Array) -> bool:
    return bool(value.any()) and not value.min() < 0 < value.max()


def allowed(parameter: Parameter, value: Array) -> Array:
    """A value that the parameter's constraint allows, as near as can be to what is asked for."""
    if parameter.constraint is None:
        return value
    for asked in (value, np.abs(value)):
        if np.allclose(parameter.constraint(asked.copy()), asked, 1e-12, 0.0):
            return asked
    return np.asarray(parameter.constraint(value.copy()))


def settle(
    parameters: Sequence[Parameter],
    safe: Sequence[Array],
    wanted: Sequence[Array],
    computable: Callable[[], bool],
) -> None:
    """Give each parameter the value that is wanted where the layer can be computed there, and the
    safe one elsewhere."""

    def give(values: Sequence[Array]) -> None:
        for p, value in zip(parameters, values, strict=True):
            p.value[...] = value

    give(wanted)
    chosen = list(wanted)
    others = [k for k, v in enumerate(wanted) if v is not safe[k]]
    if not others or computable():
        return
    chosen = list(safe)
    for k in others if len(others) > 1 else ():
        give([*chosen[:k], wanted[k], *chosen[k + 1 :]])
        if computable():
            chosen[k] = wanted[k]
    give(chosen)


def signs(
    shape: Sequence[int], rng: np.random.Generator, least: float = 0.5, most: float = 1.5
) -> Array:
    """A direction in which no entry is small: ±1 times 0.5 to 1.5."""
    u = rng.random(shape, np.float32)  # half the time of float64, and as good
    u -= 0.5
    u *= 2 * (most - least)
    u += np.copysign(np.float32(least), u)
    return u.astype(np.float64)


def direction_of(slot: Slot, rng: np.random.Generator) -> Array:
    """A random direction for one input or parameter; what stands for a mask stands still."""
    u = signs(slot.shape, rng)
    if slot.still is not None:
        u[slot.still] = 0.0
    return u


def shaken(
    point: Sequence[Array],
    slots: Sequence[Slot],
    width: float,
    rng: np.random.Generator,
    least: float = 0.0,
) -> Point:
    """A point in float32, every number moved by up to a share of its size, or of `least`."""
    found = []
    for p, slot in zip(point, slots, strict=True):
        move = width * rng.uniform(-1, 1, p.shape)
        if slot.still is not None:
            move[slot.still] = 0.0
        found.append((p + move * np.maximum(np.abs(p), least)).astype(np.float32))
    return found


def single(a: Array) -> Array:
    """The same numbers as float32 holds them, in float64; as they are where float32 cannot."""
    if a.dtype.kind != "f":
        return a
    rounded = a.astype(np.float32).astype(np.float64)
    return rounded if np.isfinite(rounded).all() else a.astype(np.float64)


def computes_in_float32(subject: Any) -> bool:
    """Whether a subject does so by itself."""
    return subject.dtype is None or np.dtype(subject.dtype) == np.float32


def of_loss(loss: Any, x: Any, y: Any) -> tuple[Array, Array, Array | None]:
    """(y_pred, y_true, sample_weight) of what was given for a loss."""
    if y is not None or not isinstance(x, tuple | list) or len(x) not in (2, 3):
        raise ValueError(
            f"gradcheck() of a loss expects (y_true, y_pred) or (y_true, y_pred, sample_weight) "
            f"as x and no y: gradcheck({loss!r}, (y_true, y_pred))"
        )
    weight = np.asarray(x[2]) if len(x) == 3 and x[2] is not None else None
    return np.asarray(x[1], np.float64), np.asarray(x[0]), weight
