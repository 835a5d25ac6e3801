"""One step of training of a copy, with everything that went through its layers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backprop.callbacks.looks import parts_of, runs
from backprop.inspection.batches import prepared
from backprop.layer import Layer
from backprop.nest import as_tuple
from backprop.taps import leave, listen

Array = np.ndarray


@dataclass
class Pass:
    """One call of a layer, forwards and back."""

    x: tuple[Any, ...]
    y: tuple[Any, ...]
    cache: Any
    dy: tuple[Any, ...] | None = None  # or dz, where the layer ends in a softmax
    dx: tuple[Any, ...] | None = None
    dz: Any = None  # dL/dz behind the activation of the layer, where it has one


@dataclass
class Part:
    """A layer, what it is called, its calls, and its arrays before the step and after it; whether
    it was given dL/dz, as it ends in a softmax that the loss goes the short way with."""

    name: str
    layer: Any
    passes: list[Pass] = field(default_factory=list)
    before: dict[str, Array] = field(default_factory=dict)
    gradients: dict[str, Array] = field(default_factory=dict)
    after: dict[str, Array] = field(default_factory=dict)
    trained: dict[str, bool] = field(default_factory=dict)
    logits: bool = False
    passed: Any = None  # the dz that its activation has passed back last


@dataclass
class Step:
    """A step of training.

    Attributes
    ----------
    x, y, weight
        The batch, as the model's arrays.
    parts : list of Part
        In the order in which they ran.
    y_pred, dy
        What the model put out, and dL/dy; dL/dz behind a softmax whose loss goes the short way.
    fused : bool
        Whether it is that.
    data_loss, penalties, after : float
        The loss without penalties, these, and both together behind the step, with the same draws.
    slope : float
        ⟨dL/dw, Δw⟩: by how much the loss should change, if it were a plane.
    """

    x: Any
    y: Any
    weight: Any
    parts: list[Part]
    y_pred: Any
    dy: Any
    fused: bool
    loss: Any
    optimizer: Any
    data_loss: Any
    penalties: float
    after: float
    slope: float


def watched_step(model: Any, x: Any, y: Any, sample_weight: Any, who: str) -> Step:
    """The step that `train_on_batch` would take, taken by a copy."""
    x, y, w = prepared(model, x, y, sample_weight, who)
    twin = copy.deepcopy(model)
    trainer = twin.trainer
    trainer._find_hooks()
    trainer.know_penalties()
    parts = parts_in(twin)
    stops = [watch(part) for part in parts]
    again = copy.deepcopy([layer._rng for layer in twin.walk()])
    heard: list[Any] = []
    found = trainer._differentiate

    def differentiate(*batch: Any) -> Any:
        heard.append(found(*batch))
        return heard[-1]

    trainer._differentiate = differentiate
    total, y_pred, _ = trainer._gradients(x, y, w)
    data_loss, dy, fused = heard[0]
    for stop in stops:
        stop()
    for part in parts:
        for name, p in arrays_of(part.layer):
            part.before[name] = p.value.copy()
            part.gradients[name] = p.gradient.copy()
            part.trained[name] = p.trainable
    trainer.optimizer.step(twin.parameters)
    slope = 0.0
    for part in parts:
        for name, p in arrays_of(part.layer):
            part.after[name] = p.value.copy()
            if part.trained[name]:
                moved = p.value.astype(np.float64) - part.before[name]
                slope += float((moved * part.gradients[name]).sum())
    for layer, rng in zip(twin.walk(), again, strict=True):
        layer.__dict__["_rng"] = rng
    after = trainer._gradients(x, y, w)[0]
    return Step(
        x=x,
        y=y,
        weight=w,
        parts=parts,
        y_pred=y_pred,
        dy=dy,
        fused=fused,
        loss=trainer.loss,
        optimizer=trainer.optimizer,
        data_loss=data_loss,
        penalties=float(total) - float(data_loss),
        after=float(after),
        slope=slope,
    )


def parts_in(model: Any) -> list[Part]:
    """The layers in the order in which they run, each once."""
    found = {id(layer): Part(name, layer) for name, layer in reversed(parts_of(model).items())}
    return list(reversed(found.values()))


def arrays_of(layer: Any) -> list[tuple[str, Any]]:
    """The arrays with a gradient, by name; those of layers within by theirs too."""
    return [
        (p.name if part is layer else f"{part.name}/{p.name}", p)
        for part in layer.walk()
        for p in part.own_arrays()
        if p.gradient is not None
    ]


def watch(part: Part) -> Callable[[], None]:
    """Have the calls of a layer noted, until what is returned is called."""
    layer = part.layer

    def forward(_: Any, arguments: tuple, found: Any) -> None:
        part.passes.append(Pass(as_tuple(arguments[0]), as_tuple(found[0]), found[1]))

    def back(_: Any, arguments: tuple, found: Any) -> None:
        dy, cache = arguments
        mine = [one for one in part.passes if one.cache is cache]  # one method may call another
        waiting = [one for one in mine if one.dy is None]
        one = (waiting or mine)[-1]
        one.dy = as_tuple(dy)
        if part.passed is not None:
            one.dz, part.passed = part.passed, None
        if found is not None:
            one.dx = as_tuple(found)

    def logits(_: Any, arguments: tuple, found: Any) -> None:
        back(_, arguments, found)
        part.logits = True

    def through_activation(_: Any, arguments: tuple, found: Any) -> None:
        part.passed = found

    told: list[tuple[Any, str, Any]] = [
        (layer, runs(layer), forward),
        (layer, "backward", back),
        (layer, "backward_params", back),
        (layer, "backward_logits", logits),
    ]
    activation = getattr(layer, "activation", None)
    if isinstance(activation, Layer):
        told += [(activation, name, through_activation) for name in ("backward", "backward_finish")]
    for one in told:
        listen(*one)

    def stop() -> None:
        for one in told:
            leave(*one)

    return stop
