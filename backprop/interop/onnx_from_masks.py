"""Masks in ONNX, which are arrays like others there, and here go from layer to layer by themselves.

`to_onnx` writes which steps are real as booleans that are made of integers that are not 0, or of
steps that are not `mask_value`; recurrent operators are told the lengths of their sequences. Here
the forms that such an array goes through are followed, and an `Embedding` or `Masking` makes the
mask in their place. Where one would come to a layer otherwise than the graph says, it is an error.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backprop import layers as L
from backprop.interop.drawing import Known, as_is
from backprop.interop.onnx_building import Builder, Followed, reads, reads_masks
from backprop.interop.onnx_reading import Node
from backprop.nest import as_tuple
from backprop.symbols import Call, Symbol

FLOAT, INT32, BOOL = 1, 6, 9  # ONNX' numbers of dtypes
STEPS = 3  # of a mask that shows where masks go
RECURRENT = L.LSTM, L.GRU, L.SimpleRNN
# what takes no heed of a mask beside layers for which steps do not meet, and what was told of it
ALONG = (
    *(*RECURRENT, L.GlobalAveragePooling1D, L.Slice, L.Concatenate, L.Average),
    *(L.Add, L.Subtract, L.Multiply, L.Divide, L.Maximum, L.Minimum),
    *(L.AddConstant, L.SubtractFrom, L.MultiplyBy, L.DivideBy, L.DivideInto, L.RaiseTo, L.PowerOf),
)
NOT_FOLLOWED = "lengths of recurrent operators, and means over the time, are read of masks"


@dataclass(frozen=True)
class Real(Followed):
    """Which steps are real, in one of its forms.

    Attributes
    ----------
    sources : frozenset of (Symbol, float)
        The arrays, and the number that padding is made of there.
    form : str
        What it is on its way: see `TURNS`.
    x : Known, optional
        What weights were put to.
    keep : bool
        Whether the axis of the steps is kept.
    """

    sources: frozenset[tuple[Symbol, float]]
    form: str
    x: Known | None = None
    keep: bool = False


@dataclass(frozen=True)
class Held(Followed):
    """What of a recurrent operator nobody reads, or reads to put it at masked steps alone."""


# the operator, the form that it reads, the axis that it runs along or the dtype → the next form
TURNS: dict[tuple[str, str, int | None], str] = {
    ("Not", "padding", None): "steps",
    ("Not", "same", None): "features",
    ("Cast", "steps", INT32): "numbers",
    ("Cast", "steps", FLOAT): "weights",
    ("Cast", "features", FLOAT): "features",
    ("Cast", "row", BOOL): "steps",
    ("ReduceSum", "numbers", 1): "lengths",
    ("ReduceMax", "features", 2): "kept",
    ("Squeeze", "kept", 2): "row",
    ("Unsqueeze", "steps", 2): "column",
    ("Unsqueeze", "weights", 2): "beside",
    ("ReduceSum", "beside", 1): "count",
    ("ReduceSum", "weighted", 1): "total",
}


@reads("Equal")
def equal(r: Builder, node: Node, x: Any, value: Any) -> Real:
    x, number = r.known(x), r.scalar(value, "constant")
    whole = x.symbol.dtype.kind in "iu"
    if (whole and (number or x.ndim != 2)) or (not whole and x.ndim != 3):
        raise r.refused("of it masks are read: integers that are 0, or steps of one number")
    return Real(frozenset({(x.symbol, number)}), "padding" if whole else "same")


@reads_masks("Not", "Cast", "ReduceSum", "ReduceMax", "Squeeze", "Unsqueeze")
def turned(r: Builder, node: Node, x: Any, axes: Any = None) -> Followed:
    if isinstance(x, Held):
        return x
    at: Any = node.get("to")
    if node.op not in ("Cast", "Not"):
        found = r.axes(axes, 2 if node.op == "ReduceSum" else 3)
        at = found[0] if len(found) == 1 else None
    form = TURNS.get((node.op, x.form, at)) if isinstance(x, Real) else None
    if form is None or not isinstance(x, Real):
        raise r.refused(NOT_FOLLOWED)
    keep = node.op == "ReduceSum" and bool(node.get("keepdims", 1))
    return replace(x, form=form, keep=keep)


@reads_masks("And")
def both(r: Builder, node: Node, a: Any, b: Any) -> Real:
    if not all(isinstance(x, Real) and x.form == "steps" for x in (a, b)):
        raise r.refused(NOT_FOLLOWED)
    return replace(a, sources=a.sources | b.sources)


@reads_masks("Mul")
def put_to(r: Builder, node: Node, x: Any, mask: Any) -> Any:
    """Steps that are masked become 0, by `Masking`; or weights are put to steps, for a mean."""
    x, mask = (x, mask) if isinstance(x, Known) else (mask, x)
    if not isinstance(mask, Real) or mask.form not in ("kept", "beside"):
        raise r.refused("it multiplies by a mask")
    if mask.form == "beside":
        return replace(mask, form="weighted", x=r.known(x))
    [(symbol, number)] = mask.sources
    if r.plain(x) is not symbol:
        raise r.refused("it multiplies by the mask of another array")
    return as_is(L.Masking(number)(symbol))


@reads_masks("Max")
def at_least_one(r: Builder, node: Node, x: Any, least: Any) -> Real:
    if not isinstance(x, Real) or x.form != "count" or r.scalar(least, "least") != 1:
        raise r.refused(NOT_FOLLOWED)
    return x


@reads_masks("Div")
def mean(r: Builder, node: Node, total: Any, count: Any) -> Known:
    forms = [x.form if isinstance(x, Real) else None for x in (total, count)]
    if forms != ["total", "count"] or total.sources != count.sources or total.keep != count.keep:
        raise r.refused("it divides what is no sum of real steps by their number")
    x = r.plain(total.x)
    expect(r, x, total.sources)
    return as_is(L.GlobalAveragePooling1D(keepdims=total.keep)(x))


@reads_masks("Where")
def held(r: Builder, node: Node, mask: Any, y: Any, last: Any) -> Known:
    """A recurrent layer holds what was last at masked steps by itself."""
    if not (isinstance(mask, Real) and mask.form == "column" and isinstance(last, Held)):
        raise r.refused(NOT_FOLLOWED)
    expect(r, r.known(y).symbol, mask.sources)
    return r.known(y)


# --------------------------------------------------------------------------------- where masks go


def expect(r: Builder, symbol: Symbol, sources: Iterable[tuple[Symbol, float]]) -> None:
    """Raise unless these masks, and no others, come with an array."""
    if not r.followed:
        return
    if masks_of(r.masks, [symbol])[id(symbol)] != {(id(s), n) for s, n in sources}:
        raise r.refused("it knows of other masks than those that come to its layer here")


Masks = dict[int, frozenset[tuple[int, float]]]


def masks_of(found: Masks, symbols: Iterable[Symbol]) -> Masks:
    """What the masks of arrays are made of, by the identity of the array: the identity of what has
    padding, and its number. What was found before is taken from there, and the rest added."""
    for call in calls_before(symbols, found):
        outputs = as_tuple(call.outputs)
        given = [found.get(id(s), frozenset()) for s in call.reads]
        sources = frozenset().union(*given)
        passed: Any = [True] if sources else [None] * len(outputs)
        if sources:
            passed = passed_on(call, [bool(g) for g in given])
        own = number_of(call.layer)
        if own is not None:
            sources, passed = sources | {(id(call.reads[0]), own)}, [True]
        for symbol, mask in zip(outputs, passed, strict=True):
            found[id(symbol)] = frozenset() if mask is None else sources
    return found


def number_of(layer: Any) -> float | None:
    """What a layer makes a mask of."""
    if isinstance(layer, L.Masking):
        return float(layer.mask_value)
    return 0.0 if isinstance(layer, L.Embedding) and layer.mask_zero else None


def calls_before(symbols: Iterable[Symbol], done: Container[int] = ()) -> list[Call]:
    """The calls that make arrays, each behind those that it reads, but those of arrays that are
    done."""
    found: dict[int, Call] = {}
    waiting = [*symbols]
    while waiting:
        symbol = waiting.pop()
        if symbol.call.number not in found and id(symbol) not in done:
            found[symbol.call.number] = symbol.call
            waiting += symbol.call.reads
    return [found[number] for number in sorted(found)]


def passed_on(call: Call, given: list[bool]) -> list[Any]:
    """For each output of a call, what its mask would be; None for none."""
    xs = [np.zeros((2, *(n or STEPS for n in s.shape[1:])), s.dtype) for s in call.reads]
    masks = [
        np.ones(x.shape[:2], bool) if mask else None for x, mask in zip(xs, given, strict=True)
    ]
    alone = not isinstance(call.inputs, tuple)
    x, mask = (xs[0], masks[0]) if alone else (tuple(xs), tuple(masks))
    if not call.layer.obeys_mask(x, mask):
        return [None] * len(as_tuple(call.outputs))
    return list(as_tuple(call.layer.compute_mask(x, mask)))


def check_masks(r: Builder, outputs: Iterable[Symbol]) -> None:
    """Raise where a mask comes to a layer that would heed it, and the graph knows nothing of it."""
    if not r.followed:
        return
    known = masks_of(r.masks, outputs)
    for call in calls_before(outputs):
        layer = call.layer
        if any(known[id(s)] for s in call.reads) and not (
            layer.time_local or isinstance(layer, ALONG)
        ):
            raise ValueError(f"a mask, of which its graph knows nothing, would come to {layer!r}")


def makes_mask(r: Builder, name: str) -> bool:
    """Whether an array of integers is compared with 0, by the graph, to make a mask."""
    waiting, ends = [name], []
    while waiting:
        for node in r.file.readers.get(waiting.pop(), []):
            if node.op == "Cast":
                waiting += node.outputs
            elif node.op == "Equal":
                ends += [r.arrays.get(i) for i in node.inputs]
    return any(isinstance(end, np.ndarray) and end.size == 1 and not end.any() for end in ends)


def is_read(r: Builder, name: str) -> bool:
    """Whether somebody makes something of an array."""
    return name in r.file.outputs or any(
        node.op not in ("Squeeze", "Transpose") or is_read(r, node.outputs[0])
        for node in r.file.readers.get(name, [])
    )


def only_held(r: Builder, name: str) -> bool:
    """Whether a last state is read where it stands at masked steps, and nowhere else."""
    readers = r.file.readers.get(name, [])
    if name in r.file.outputs or not is_read(r, name):
        return False
    return all(
        node.op == "Where"
        or (node.op in ("Squeeze", "Unsqueeze") and only_held(r, node.outputs[0]))
        for node in readers
    )


def is_held(r: Builder, name: str) -> bool:
    """Whether the outputs of all steps go where masked ones become the last state."""
    readers = r.file.readers.get(name, [])
    return any(
        node.op == "Where" or (node.op in ("Squeeze", "Transpose") and is_held(r, node.outputs[0]))
        for node in readers
    )
