"""A subject in float64 as one function of its input and its parameters.

    F: (x, parameters) → y, a vector        backward: v → ⟨v, dF⟩ for each of them

A penalty on weights or activity is one more entry of y, of weight 1. Every run starts from the same
buffers and the same states of the generators, so that F is a function: draws of dropout are the
same in every run. The subject itself is never touched, a copy is.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backprop.layer import Array, Context, Layer
from backprop.parameters import Parameter
from backprop.promises import came_back, pair

Point = list[Array]  # a value for each slot


class OutOfTime(Exception):
    """The time limit has passed."""


@dataclass(frozen=True)
class Slot:
    """What has a gradient: an input or a parameter."""

    name: str
    shape: tuple[int, ...]
    parameter: Parameter | None = None

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Place:
    """point + h · direction, where None stands still. Not added up: parameters may be large."""

    point: Sequence[Array]
    direction: Sequence[Array | None]
    h: float


@dataclass(frozen=True)
class Run:
    """One forward pass: y as a vector, and what backward needs."""

    y: Array
    shape: tuple[int, ...]
    cache: Any
    penalised: bool
    place: Place


class Probe:
    """A copy of a subject as a function of a point.

    Parameters
    ----------
    subject : Layer
        A layer, container, loss or model. One that is not built is built for `x`.
    x : ndarray
        The input; y_pred of a loss.
    y : ndarray, optional
        Targets of a compiled model or of a loss.
    sample_weight : ndarray, optional
        Of a loss.
    mask : ndarray of bool, optional
    training : bool
    dtype : dtype, default float64
    deadline : float, optional
        Of `time.monotonic()`, after which a run raises `OutOfTime`.
    """

    def __init__(
        self,
        subject: Any,
        x: Array,
        y: Any = None,
        *,
        sample_weight: Array | None = None,
        mask: Array | None = None,
        training: bool = True,
        dtype: Any = np.float64,
        deadline: float | None = None,
    ):
        if not x.ndim or not x.size:
            raise ValueError(f"gradcheck() expects rows to check on, got x of shape {x.shape}")
        self.dtype = np.dtype(dtype)
        self.mask, self.training, self.deadline = mask, training, deadline
        self.y, self.sample_weight = y, sample_weight
        self.evaluations = self.reversals = 0
        self.layer: Any
        self.loss: Any = None
        if subject.takes_targets:
            self.layer = copy.deepcopy(subject)
            self.layer.dtype = None  # that of y_pred
            self.layer.check_targets(y, x.shape)
            self.layer.check_labels(y, x.shape)
            integers = False
        else:
            trainer = getattr(subject, "trainer", None)
            if y is not None and trainer is None:
                raise ValueError(
                    f"{subject!r} has no loss for y: compile it, or check it on x alone"
                )
            self.loss = copy.deepcopy(trainer.loss) if trainer and y is not None else None
            if self.loss is not None:
                self.y = np.asarray(y)
                self.loss.dtype = None  # that of y_pred
            self.layer = copy_in(subject, x.shape, self.dtype)
            integers = self.layer.integer_input
            self.layer.check_input(x.shape)
        x = x if integers else x.astype(self.dtype)
        self.x = x
        arrays = [*self.layer.arrays(), *self.layer.states_kept()]
        self.parameters: list[Parameter] = [p for p in arrays if p.gradient is not None]
        self.buffers = [(p, p.value.copy()) for p in arrays if p.gradient is None]
        self.generators = [
            (part.rng.bit_generator, copy.deepcopy(part.rng.bit_generator.state))
            for part in parts(self.layer)
        ]
        paths = names(self.parameters)
        self.slots = [Slot(n, p.shape, p) for n, p in zip(paths, self.parameters, strict=True)]
        if not integers:
            self.slots.append(Slot("y_pred" if self.is_loss else "x", x.shape))

    @property
    def is_loss(self) -> bool:
        return self.layer.takes_targets

    @property
    def point(self) -> Point:
        """Where the copy stands now."""
        return [(s.parameter.value if s.parameter else self.x).copy() for s in self.slots]

    def set_buffers(self, values: Sequence[Array]) -> None:
        self.buffers = [
            (p, np.asarray(v, p.value.dtype))
            for (p, _), v in zip(self.buffers, values, strict=True)
        ]

    def stand(self, place: Place) -> None:
        """Write a place into the parameters, without an array of their size in between."""
        for slot, value, u in zip(self.slots, place.point, place.direction, strict=True):
            if slot.parameter is None:
                continue
            if u is None:
                slot.parameter.value[...] = value
            else:
                np.multiply(u, place.h, out=slot.parameter.value)
                slot.parameter.value += value

    def run(
        self,
        point: Sequence[Array],
        direction: Sequence[Array | None] | None = None,
        h: float = 0.0,
    ) -> Run:
        """One forward pass at point + h · direction, from the same buffers and generators as every
        other."""
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise OutOfTime
        place = Place(point, direction or [None] * len(point), h)
        for p, value in self.buffers:
            p.value[...] = value
        for generator, state in self.generators:
            generator.state = state
        self.stand(place)
        x = self.x.copy()  # of its own, as a layer may spoil it
        for slot, value, u in zip(self.slots, point, place.direction, strict=True):
            if slot.parameter is None:
                x = np.array(value) if u is None else value + h * u
        self.evaluations += 1
        if self.is_loss:
            value, cache = self.layer.forward(self.y, x, self.sample_weight, self.mask)
            return Run(np.ravel(value).astype(np.float64), np.shape(value), cache, False, place)
        penalties: list = []
        ctx = Context(self.training, self.mask, penalties=penalties)
        out, cache, mask = propagate(self.layer, x, ctx)
        if self.loss is None:
            y = np.append(np.ravel(out), sum(penalties)) if penalties else np.ravel(out).copy()
            return Run(y, np.shape(out), cache, bool(penalties), place)
        if self.evaluations == 1:
            self.loss.check(self.y, out.shape)
        value, loss_cache = self.loss.forward(self.y, out, None, mask)
        total = float(np.sum(value)) + sum(penalties) + sum(self.layer.losses)
        return Run(np.array([total]), (), (cache, loss_cache), bool(penalties), place)

    def weights(self, run: Run, rng: np.random.Generator) -> Array:
        """v: both signs, and sizes from 1/4 to 8, so that a gradient which is squared, clipped or
        ignored on its way is another one. A model's loss has weight 1, as in training."""
        if self.loss is not None:
            return np.ones(1)
        n = run.y.size - run.penalised
        v = rng.choice([-1.0, 1.0], n) * 2.0 ** rng.uniform(-2, 3, n)
        v = v.astype(np.float32).astype(np.float64)
        return np.append(v, 1.0) if run.penalised else v

    def reverse(self, run: Run, v: Array) -> list[Array]:
        """The gradient of <v, y> with respect to every slot, as copies."""
        self.reversals += 1
        self.stand(run.place)  # others may have run since
        if self.is_loss:
            dx = self.layer.backward(run.cache, v.astype(self.dtype).reshape(run.shape))
        elif self.loss is None:
            n = v.size - run.penalised
            dx = self.layer.backward(v[:n].astype(self.dtype).reshape(run.shape), run.cache)
        else:
            cache, loss_cache = run.cache
            dx = self.layer.backward(self.loss.backward(loss_cache), cache)
            for p in self.parameters:
                if p.regularizer is not None:
                    p.gradient += p.regularizer.gradient(p.value)
        if not self.is_loss and any(slot.parameter is None for slot in self.slots):
            came_back(self.layer, dx)
        found = []
        for slot in self.slots:
            g = np.array(dx if slot.parameter is None else slot.parameter.gradient)
            if g.shape != slot.shape:
                raise ValueError(
                    f"{self.layer!r}: backward returned a gradient of shape {g.shape} for "
                    f"{slot.name} of shape {slot.shape}"
                )
            found.append(g)
        return found


def propagate(layer: Layer, x: Array, ctx: Context) -> tuple[Array, Any, Array | None]:
    """`layer.propagate`; what a forward returns that is no pair is named as such."""
    if type(layer).propagate is not Layer.propagate:
        return layer.propagate(x, ctx)
    y, cache = pair(layer, layer.forward(x, ctx))
    return y, cache, layer.compute_mask(x, ctx.mask)


def names(parameters: list[Parameter]) -> list[str]:
    """Paths, numbered where two are the same."""
    paths = [p.path for p in parameters]
    return [
        path if paths.count(path) == 1 else f"{path}#{1 + paths[:i].count(path)}"
        for i, path in enumerate(paths)
    ]


def copy_in(subject: Layer, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    """A copy that computes in a dtype and is built."""
    layer = copy.deepcopy(subject, {id(getattr(subject, "trainer", None)): None})
    if layer.built:
        return layer.astype(dtype)
    for part in layer.walk():
        part.__dict__["dtype"] = dtype
    layer.build((None, *shape[1:]))
    return layer


def parts(layer: Any) -> Iterator[Any]:
    """All layers in a layer; where one stands in several places, its replicas too."""
    for part in layer.walk():
        yield part
        replicas = {id(r.layer): r.layer for p in part._parameters.values() for r in p.replicas}
        yield from replicas.values()


def largest(a: Array) -> float:
    """max|a|, without an array of its size; NaN if there is one."""
    return max(float(a.max(initial=0)), -float(a.min(initial=0)))
