"""The first tensor of a step that is not finite, by a second look at its batch.

The look is taken at copies of the layers, so that it moves no statistic and draws no number.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from backprop.input_spec import show_shape
from backprop.layer import TRAINING, Array, Layer
from backprop.losses.several import WeightedSum
from backprop.nest import as_tuple, entries
from backprop.training.ends import ends_of


@dataclass(frozen=True)
class Finding:
    """The first tensor of a step that is not finite.

    Attributes
    ----------
    about : str
        Which it is and why, in a sentence.
    tensor : str
        ``"x"``, ``"weight dense/kernel"``, ``"output"``, ``"loss"``, ``"gradient dense/kernel"`` or
        the like.
    layer : str or None
        The name of the layer that put it out.
    range : (float, float) or None
        The least and the largest of its finite numbers; None where it has none.
    """

    about: str
    tensor: str = ""
    layer: str | None = None
    range: tuple[float, float] | None = None


def first_nonfinite(trainer: Any, x: Any, y: Any, sample_weight: Any) -> Finding:
    """What is the first to hold NaN or infinity on the way from x to the loss and back, and why."""
    model = trainer.model
    return (
        among_what_is_given(model, x, y, sample_weight)
        or on_the_way_to_the_loss(model, trainer.loss, x, y, sample_weight)
        or on_the_way_back(trainer, x, y, sample_weight)
        or Finding(
            "all weights, outputs of layers and gradients are finite in a second look; "
            + (
                "a penalty on an activity, what the model's compute_loss returns, or what a layer "
                "draws, is not"
                if trainer.across is None
                else "what is not is in the rows of another rank, or is what a layer draws"
            )
        )
    )


def among_what_is_given(model: Any, x: Any, y: Any, sample_weight: Any) -> Finding | None:
    """The weights and the batch."""
    for p in model.arrays():
        if not np.isfinite(p.value).all():
            return Finding(
                f"the weight {p.path} holds NaN or infinity ({numbers(p.value)}); a smaller "
                "learning rate or clipnorm may help",
                f"weight {p.path}",
                range=finite_range(p.value),
            )
    inputs, outputs = ends_of(model)
    for ends, what, given in (
        *((inputs, "x", x), (outputs, "y", y)),
        (outputs, "sample_weight", sample_weight),
    ):
        for name, array in ends.labelled(what, given):
            if isinstance(array, np.ndarray) and not np.isfinite(array).all():
                about = f"{name} holds NaN or infinity, in {where(array)} ({numbers(array)})"
                return Finding(about, name, range=finite_range(array))
    return None


def on_the_way_to_the_loss(model: Any, loss: Any, x: Any, y: Any, w: Any) -> Finding | None:
    """The outputs of the layers, the loss and the penalties."""
    found, y_pred, mask = look_at_layers(model, x)
    if found is not None:
        return found
    finite = "all weights and layer outputs are finite"
    if loss is not None and y is not None:
        for at, part, *given in each_loss(loss, y_pred, y, w, mask):
            about = about_loss(part, *given)
            if about:
                told = f"{finite}; the loss {type(part).__name__}{at} {about}"
                return Finding(told, "loss", range=finite_range(given[0]))
    with np.errstate(all="ignore"):
        for p in model.arrays():
            if p.regularizer is not None and not np.isfinite(
                np.asarray(p.regularizer(p.value), p.value.dtype)
            ):
                about = f"{finite}; the penalty {p.regularizer!r} of {p.path} overflowed"
                return Finding(about, f"penalty {p.path}", range=finite_range(p.value))
    return None


def on_the_way_back(trainer: Any, x: Any, y: Any, w: Any) -> Finding | None:
    """The gradients, from the loss down to the first layer."""
    twin = copy.deepcopy(trainer.model, {id(trainer): None})
    loop = trainer.of_copy(twin)
    found: list[Finding] = []
    for i, layer in enumerate(twin.sublayers()):
        for name in ("backward", "backward_params", "backward_logits"):
            layer.__dict__[name] = watched(i, layer, getattr(layer, name), found)
    with np.errstate(all="ignore"):
        loop._gradients(x, y, w)
    return found[0] if found else None


def watched(i: int, layer: Layer, method: Callable, found: list[Finding]) -> Callable:
    """A way back of a layer that notes the first gradient that is not finite."""

    def note(about: str, tensor: str, bad: Array, happened: list[str], of: str | None) -> None:
        if not found:
            found.append(
                Finding(
                    f"all outputs and the loss are finite; {about} is the first that holds NaN or "
                    f"infinity{reason(happened)} ({numbers(bad)})",
                    tensor,
                    of,
                    finite_range(bad),
                )
            )

    def call(dy: Any, *arguments: Any, **options: Any) -> Any:
        if (bad := first_bad(as_tuple(dy))) is not None:
            about = f"dL/dy, which layer {i}, {layer!r}, is given on the way back,"
            note(about, "gradient of the loss", bad, [], None)
        with noted() as happened:
            dx = method(dy, *arguments, **options)
        for p in layer.arrays():
            if p.gradient is not None and not np.isfinite(p.gradient).all():
                about = f"the gradient of {p.path} in layer {i}, {layer!r},"
                note(about, f"gradient {p.path}", p.gradient, happened, layer.name)
        if (bad := first_bad(as_tuple(dx))) is not None:
            about = f"dL/dx of layer {i}, {layer!r},"
            note(about, "gradient of the input", bad, happened, layer.name)
        return dx

    return call


def first_bad(arrays: tuple) -> Array | None:
    """The first that holds NaN or infinity; None stands where there is no gradient."""
    return next((a for a in arrays if a is not None and not np.isfinite(a).all()), None)


def numbers(a: Array) -> str:
    """How many of its numbers are not finite, and where the others lie."""
    nan, infinite = int(np.isnan(a).sum()), int(np.isinf(a).sum())
    counts = [f"{n} {what}" for n, what in ((nan, "NaN"), (infinite, "infinite")) if n]
    lies = finite_range(a)
    others = "" if lies is None else f", the others from {lies[0]:.4g} to {lies[1]:.4g}"
    return f"{' and '.join(counts)} of {a.size}{others}"


def finite_range(a: Array) -> tuple[float, float] | None:
    finite = a[np.isfinite(a)]
    return (float(finite.min()), float(finite.max())) if finite.size else None


def look_at_layers(model: Any, x: Any) -> tuple[Finding | None, Any, Any]:
    """Which layer puts out the first that is not finite; where none does, y and its mask."""
    trace = model.trace(x, TRAINING)
    try:
        while True:
            with noted() as happened:
                i, layer, y = next(trace)
            bad = first_bad(as_tuple(y))
            if bad is not None:
                about = (
                    f"the output of layer {i}, {layer!r}, is the first that holds NaN or infinity"
                    f"{reason(happened)} ({numbers(bad)})"
                )
                return Finding(about, "output", layer.name, finite_range(bad)), None, None
    except StopIteration as end:
        return None, *end.value


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
