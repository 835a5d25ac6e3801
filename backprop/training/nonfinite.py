"""The first tensor of a step that is not finite, by a second look at its batch."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from backprop.input_spec import show_shape
from backprop.layer import TRAINING, Array
from backprop.losses.several import WeightedSum
from backprop.nest import as_tuple, entries
from backprop.training.ends import ends_of


def warn_nonfinite(trainer: Any, x: Any, y: Any, sample_weight: Any, value: Any) -> None:
    """Say which tensor went bad first."""
    warnings.warn(
        f"the loss became {value} in step {trainer.step + 1} of epoch {trainer.epoch + 1}: "
        f"{first_nonfinite(trainer.model, trainer.loss, x, y, sample_weight)}",
        RuntimeWarning,
        stacklevel=5,
    )


def first_nonfinite(model: Any, loss: Any, x: Any, y: Any, sample_weight: Any) -> str:
    """What is the first to hold NaN or infinity on the way from x to the loss, and why."""
    inputs, outputs = ends_of(model)
    for p in model.arrays():
        if not np.isfinite(p.value).all():
            return (
                f"the weight {p.path} holds NaN or infinity; a smaller learning rate or clipnorm "
                "may help"
            )
    for ends, what, given in (
        *((inputs, "x", x), (outputs, "y", y)),
        (outputs, "sample_weight", sample_weight),
    ):
        for name, array in ends.labelled(what, given):
            if isinstance(array, np.ndarray) and not np.isfinite(array).all():
                return f"{name} holds NaN or infinity, in {where(array)}"
    about, y_pred, mask = look_at_layers(model, x)
    if about:
        return about
    found = "all weights and layer outputs are finite"
    if loss is not None and y is not None:
        for at, part, *given in each_loss(loss, y_pred, y, sample_weight, mask):
            about = about_loss(part, *given)
            if about:
                return f"{found}; the loss {type(part).__name__}{at} {about}"
    with np.errstate(all="ignore"):
        for p in model.arrays():
            if p.regularizer is not None and not np.isfinite(
                np.asarray(p.regularizer(p.value), p.value.dtype)
            ):
                return f"{found}; the penalty {p.regularizer!r} of {p.path} overflowed"
    return f"{found}; a penalty on an activity, or what the model's compute_loss returns, is not"


def look_at_layers(model: Any, x: Any) -> tuple[str, Any, Any]:
    """Which layer puts out the first that is not finite; where none does, y and its mask."""
    trace = model.trace(x, TRAINING)
    try:
        while True:
            with noted() as happened:
                i, layer, y = next(trace)
            if not all(np.isfinite(array).all() for array in as_tuple(y)):
                about = (
                    f"the output of layer {i}, {layer!r}, is the first that holds NaN or infinity"
                )
                return about + reason(happened), None, None
    except StopIteration as end:
        return "", *end.value


def each_loss(loss: Any, *given: Any) -> Iterator[tuple]:
    """The loss with what it is given, or each of several, and at which output it is."""
    if not isinstance(loss, WeightedSum):
        yield "", loss, *given
        return
    for i in loss.places:
        yield f" of {loss.names[i]!r}", loss.losses[i], *entries(given, i)


def about_loss(loss: Any, y_pred: Array, y: Any, weight: Any, mask: Array | None) -> str:
    """What went wrong in a loss whose outputs are finite; nothing where nothing did."""
    with noted() as happened:
        y_true, aligned = loss.align(y, loss.cast(y_pred))
        values = loss.values(y_true, aligned)[0]
        plain, weighted = (loss.forward(y, y_pred, w, mask)[0] for w in (None, weight))
    bad = ~np.isfinite(values)
    if bad.any():
        at = tuple(np.argwhere(bad)[0].tolist())  # where the value is, so is what it was made of
        made_of = [extremes(a[at] if a.ndim >= len(at) else a) for a in (aligned, y_true)]
        advice = f"; {loss.domain}" if loss.domain else ""
        return (
            f"is {values[at]}, first in row {at[0] if at else 0}{reason(happened)}, where y_pred "
            f"holds {made_of[0]} and y {made_of[1]}{advice}"
        )
    if not np.isfinite(plain):
        return "of each sample is finite, and their sum overflowed"
    return "" if np.isfinite(weighted) else f"overflowed with sample_weight {extremes(weight)}"


class noted:
    """A block in which NumPy tells of divisions by zero, overflows and invalid operations."""

    def __enter__(self) -> list[str]:
        self.kinds: list[str] = []
        self.state = np.errstate(
            divide="call", over="call", invalid="call", call=lambda kind, _: self.kinds.append(kind)
        )
        self.state.__enter__()
        return self.kinds

    def __exit__(self, *error: Any) -> None:
        self.state.__exit__(*error)


def reason(happened: list[str]) -> str:
    """The first of what NumPy has told of, in words."""
    return f" ({WORDS.get(happened[0], happened[0])})" if happened else ""


WORDS = {
    "divide by zero": "a division by zero, or the logarithm of zero",
    "invalid value": "the logarithm or root of a negative number, or infinity less infinity",
    "overflow": "an overflow: scaled data, a smaller learning rate or clipnorm may help",
}


def extremes(a: Array) -> str:
    low, high = np.min(a), np.max(a)
    return f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"


def where(a: Array) -> str:
    row = np.argwhere(~np.isfinite(a))[0].tolist()
    return f"row {row[0]} of a batch of shape {show_shape(a.shape)}"
