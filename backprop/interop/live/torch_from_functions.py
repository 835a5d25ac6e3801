"""Layers for the functions, operators and methods of tensors that modules call."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from backprop import layers as L
from backprop.interop.live.torch_from_images import WHOLE, pad
from backprop.interop.live.torch_reading import (
    FEATUREWISE,
    FUNCTIONS,
    MODULES,
    ModuleReader,
    Seen,
    Varies,
    array,
    reads_function,
    seen,
)
from backprop.layers.arithmetic.slices import written

Array = np.ndarray
WINDOWS = "kernel_size", "stride", "padding"
# functions that are modules: its class, the arguments behind x in order, and what it is else
SAME: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {
    **{name.lower(): (name, (), {}) for name in ("ReLU", "ReLU6", "SELU", "SiLU", "Mish")},
    "sigmoid": ("Sigmoid", (), {}),
    "tanh": ("Tanh", (), {}),
    "softsign": ("Softsign", (), {}),
    "tanhshrink": ("Tanhshrink", (), {}),
    "logsigmoid": ("LogSigmoid", (), {}),
    "log_sigmoid": ("LogSigmoid", (), {}),
    "hardsigmoid": ("Hardsigmoid", (), {}),
    "hardswish": ("Hardswish", (), {}),
    "gelu": ("GELU", ("approximate",), {"approximate": "none"}),
    "leaky_relu": ("LeakyReLU", ("negative_slope",), {"negative_slope": 0.01}),
    "elu": ("ELU", ("alpha",), {"alpha": 1.0}),
    "celu": ("CELU", ("alpha",), {"alpha": 1.0}),
    "softplus": ("Softplus", ("beta", "threshold"), {"beta": 1}),
    "hardtanh": ("Hardtanh", ("min_val", "max_val"), {"min_val": -1.0, "max_val": 1.0}),
    "softshrink": ("Softshrink", ("lambd",), {"lambd": 0.5}),
    "hardshrink": ("Hardshrink", ("lambd",), {"lambd": 0.5}),
    "threshold": ("Threshold", ("threshold", "value"), {}),
    "dropout": ("Dropout", ("p",), {"p": 0.5}),
    "softmax": ("Softmax", ("dim",), {"dim": None}),
    "log_softmax": ("LogSoftmax", ("dim",), {"dim": None}),
    "glu": ("GLU", ("dim",), {"dim": -1}),
    **{
        f"{kind}_pool{d}d": (f"{name}Pool{d}d", (*WINDOWS, *more), defaults)
        for d in (1, 2, 3)
        for kind, name, more, defaults in (
            (
                "max",
                "Max",
                ("dilation", "ceil_mode", "return_indices"),
                {
                    "stride": None,
                    "padding": 0,
                    "dilation": 1,
                    "ceil_mode": False,
                    "return_indices": False,
                },
            ),
            (
                "avg",
                "Avg",
                ("ceil_mode", "count_include_pad", "divisor_override"),
                {"stride": None, "padding": 0, "ceil_mode": False, "count_include_pad": True},
            ),
        )
    },
    **{
        f"adaptive_{way.lower()}_pool{d}d": (f"Adaptive{way}Pool{d}d", ("output_size",), {})
        for d in (1, 2, 3)
        for way in WHOLE
    },
    "interpolate": (
        "Upsample",
        ("size", "scale_factor", "mode", "align_corners"),
        {"mode": "nearest", "align_corners": None},
    ),
}
NO_MATTER = {"inplace", "training", "dtype", "_stacklevel", "recompute_scale_factor", "antialias"}
FEATUREWISE |= {name for name, (kind, _, _) in SAME.items() if kind in FEATUREWISE}


def as_module(name: str) -> Callable[..., Any]:
    """The reader of a function that does what a module does."""
    kind, places, defaults = SAME[name]

    def read(r: ModuleReader, x: Any, *args: Any, **kwargs: Any) -> Any:
        given = defaults | dict(zip(places, args, strict=False)) | kwargs
        given = {k: v for k, v in given.items() if k not in NO_MATTER}
        stands_for = type(kind, (SimpleNamespace,), {})
        return MODULES[kind](r, stands_for(**given), x)

    return read


FUNCTIONS |= {name: as_module(name) for name in SAME}


# ----------------------------------------------------------------------------------- arithmetic


def no_power() -> Any:
    raise ValueError("it raises one array to another")


# by the function of PyTorch: the layer of two arrays, and the operator with a constant
ARITHMETIC: dict[str, tuple[Callable[[], Any], Callable[[Any, Any], Any]]] = {
    "add": (L.Add, operator.add),
    "iadd": (L.Add, operator.add),
    "sub": (L.Subtract, operator.sub),
    "isub": (L.Subtract, operator.sub),
    "mul": (L.Multiply, operator.mul),
    "imul": (L.Multiply, operator.mul),
    "div": (L.Divide, operator.truediv),
    "truediv": (L.Divide, operator.truediv),
    "itruediv": (L.Divide, operator.truediv),
    "maximum": (L.Maximum, np.maximum),
    "minimum": (L.Minimum, np.minimum),
    "pow": (no_power, operator.pow),
}


def arithmetic(name: str) -> Callable[..., Any]:
    kind, of_constant = ARITHMETIC[name]

    def read(r: ModuleReader, a: Any, b: Any) -> Any:
        if isinstance(a, Seen) and isinstance(b, Seen):
            a, b = alike(r, a, b)
            return replace(a, symbol=kind()([a.symbol, b.symbol]))
        x, other = (a, b) if isinstance(a, Seen) else (b, a)
        if isinstance(other, Varies) or of_constant in (np.maximum, np.minimum):
            raise r.refused("it puts an array and a number together that depends on the batch")
        if not hasattr(other, "shape"):
            pair = (x.symbol, other) if x is a else (other, x.symbol)
            return replace(x, symbol=of_constant(*pair))
        return with_array(r, x, other, name, of_constant, x is a)

    return read


def with_array(r: ModuleReader, x: Seen, t: Any, name: str, of: Any, first: bool) -> Seen:
    """Arithmetic with a buffer, which is a constant, or positions, which are trained."""
    x, value = r.natural(x), array(t)
    if value.ndim == x.ndim:
        if value.shape[0] != 1:
            raise r.refused("an array of its own differs from row to row of the batch")
        value = value[0]
    if t.requires_grad:
        if name not in ("add", "iadd") or value.shape != x.symbol.shape[1:] or value.ndim != 2:
            raise r.refused("it uses a parameter of its own, and positions that are added are read")
        layer = L.PositionEmbedding(len(value))
        return replace(x, symbol=r.weighted(layer, x.symbol, value))
    return replace(x, symbol=of(x.symbol, value) if first else of(value, x.symbol))


def alike(r: ModuleReader, *xs: Seen) -> list[Seen]:
    """Arrays whose axes lie alike."""
    if len({x.ndim for x in xs}) > 1:
        raise r.refused("it puts arrays of different numbers of axes together")
    return [*xs] if len({x.order for x in xs}) == 1 else [r.natural(x) for x in xs]


FUNCTIONS |= {name: arithmetic(name) for name in ARITHMETIC}

UNARY: dict[str, Callable[[Any], Any]] = {
    "neg": operator.neg,
    "abs": abs,
    "square": lambda x: x**2,
    "sqrt": lambda x: x**0.5,
    "exp": lambda x: L.Exponential()(x),
}


def unary(name: str) -> Callable[..., Any]:
    return lambda r, x: replace(r.known(x), symbol=UNARY[name](r.known(x).symbol))


FUNCTIONS |= {name: unary(name) for name in UNARY}


@reads_function("matmul", "bmm")
def product(r: ModuleReader, a: Any, b: Any) -> Seen:
    if isinstance(a, Seen) and isinstance(b, Seen):
        return seen(L.Matmul()([r.plain(a), r.plain(b)]))
    x, other = (a, b) if isinstance(a, Seen) else (b, a)
    if isinstance(other, Varies) or other.requires_grad:
        raise r.refused("it multiplies by a parameter of its own, or what differs with the batch")
    return seen(L.MatmulConstant(array(other), first=x is b)(r.plain(x)))


@reads_function("cat", "concat", "concatenate")
def joined(r: ModuleReader, parts: Any, dim: int = 0, axis: int | None = None) -> Seen:
    xs = alike(r, *map(r.known, parts))
    own = r.axis_of(xs[0], dim if axis is None else axis)
    if own == 0:
        raise r.refused("it joins batches")
    own = -1 if own == xs[0].ndim - 1 else own
    return replace(xs[0], symbol=L.Concatenate(axis=own)([x.symbol for x in xs]))


# ----------------------------------------------------------------------------------- shapes


@reads_function("flatten", "view", "reshape", "unflatten", "squeeze", "unsqueeze")
def shaped(r: ModuleReader, x: Any, *args: Any, **kwargs: Any) -> Any:
    if isinstance(x, tuple):  # states of one layer, of which the axis of layers is dropped
        if len(x) != 1:
            raise r.refused("it works on the states of several layers")
        return x[0]
    return x if r.known(x).shape[1:] == r.shape()[1:] else r.reshaped(x, r.shape())


@reads_function("contiguous", "clone", "to", "float", "double", "long", "type_as")
def same(r: ModuleReader, x: Any, *args: Any, **kwargs: Any) -> Seen:
    return r.known(x)


@reads_function("permute")
def turned(r: ModuleReader, x: Any, *dims: Any) -> Seen:
    x = r.known(x)
    given = dims[0] if len(dims) == 1 and isinstance(dims[0], list | tuple) else dims
    return replace(x, order=tuple(x.order[r.axis(d, x.ndim)] for d in given), lies=False)


@reads_function("transpose", "swapaxes")
def swapped(r: ModuleReader, x: Any, dim0: int, dim1: int) -> Seen:
    x = r.known(x)
    a, b = r.axis(dim0, x.ndim), r.axis(dim1, x.ndim)
    order = [*x.order]
    order[a], order[b] = order[b], order[a]
    return replace(x, order=tuple(order), lies=False)


@reads_function("pad")
def around(
    r: ModuleReader, x: Any, pad_: Any, mode: str = "constant", value: float | None = None
) -> Seen:
    if mode != "constant":
        raise r.refused(f"its mode is {mode!r}: constants are read")
    return pad(r, x, pad_, value or 0)


@reads_function("mean", "amax")
def over_pixels(r: ModuleReader, x: Any, dim: Any = None, keepdim: bool = False) -> Seen:
    x = r.known(x)
    name = r.node.target if isinstance(r.node.target, str) else r.node.target.__name__
    axes = [x.order[r.axis(d, x.ndim)] for d in np.atleast_1d(() if dim is None else dim).tolist()]
    if sorted(axes) != [*range(1, x.ndim - 1)] or not 3 <= x.ndim <= 5:
        raise r.refused(f"it goes over the axes {dim}: all pixels, or all steps, are read")
    kind = WHOLE["Avg" if name == "mean" else "Max"][x.ndim - 3]
    y = kind(keepdims=keepdim)(x.symbol)
    return Seen(y, x.order) if keepdim else seen(y)


@reads_function("getitem")
def item(r: ModuleReader, x: Any, index: Any) -> Any:
    if isinstance(x, tuple | list):
        return x[index]
    x = r.known(x)
    given = index if isinstance(index, tuple) else (index,)
    if ... in given:
        at = given.index(...)
        given = (*given[:at], *[slice(None)] * (x.ndim - len(given) + 1), *given[at + 1 :])
    if None in given and all(part is None or part == slice(None) for part in given):
        return r.reshaped(x, r.shape())
    return picked(r, x, given)


@reads_function("expand")
def repeated(r: ModuleReader, x: Any, *sizes: Any) -> Seen:
    x = r.natural(x)
    if x.ndim != 3 or x.shape[1] != 1 or x.shape[2] != r.shape()[2]:
        raise r.refused("it repeats other than one row of features, (N, 1, n)")
    return seen(L.RepeatVector(r.shape()[1])(L.Flatten()(x.symbol)))


@reads_function("normalize")
def of_length_one(
    r: ModuleReader, x: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Any = None
) -> Seen:
    x = r.known(x)
    if p != 2 or eps != 1e-12 or out is not None:
        raise r.refused("its p is not 2, or its eps another than 1e-12")
    axes = sorted(r.axis_of(x, d) for d in np.atleast_1d(dim).tolist())
    return r.through(x, L.UnitNormalization(axes if len(axes) > 1 else axes[0]))


@reads_function("flip")
def reversed_(r: ModuleReader, x: Any, *dims: Any) -> Seen:
    x = r.known(x)
    given = dims[0] if len(dims) == 1 and isinstance(dims[0], list | tuple) else dims
    own: list[Any] = [slice(None)] * x.ndim
    for dim in given:
        own[r.axis_of(x, dim)] = slice(None, None, -1)
    if own[0] != slice(None):
        raise r.refused("it turns the batch round")
    return replace(x, symbol=L.Slice(written(tuple(own)))(x.symbol))


@reads_function("select")
def selected(r: ModuleReader, x: Any, dim: int, index: int) -> Seen:
    x = r.known(x)
    return picked(r, x, (*[slice(None)] * r.axis(dim, x.ndim), index))


@reads_function("chunk", "split")
def parts(r: ModuleReader, x: Any, sizes: Any, dim: int = 0) -> tuple[Seen, ...]:
    x, axis, first, found = r.known(x), r.axis(dim, r.known(x).ndim), 0, []
    for part in r.result(r.node):
        last = first + part.shape[axis]
        found.append(picked(r, x, (*[slice(None)] * axis, slice(first, last))))
        first = last
    return tuple(found)


def picked(r: ModuleReader, x: Seen, index: tuple[Any, ...]) -> Seen:
    """Slices and places along the axes that PyTorch sees."""
    index = (*index, *[slice(None)] * (x.ndim - len(index)))
    own: list[Any] = [slice(None)] * x.ndim
    for part, axis in zip(index, x.order, strict=True):
        ends = (part.start, part.stop, part.step) if isinstance(part, slice) else (part,)
        if not all(e is None or type(e) is int for e in ends) or part is None:
            raise r.refused("it takes parts that are no slices and places")
        own[axis] = part
    if own[0] != slice(None):
        raise r.refused("it takes a part of the batch")
    if all(part == slice(None) for part in own):
        return x
    y = L.Slice(written(tuple(own)))(x.symbol)
    rest = [a for a in x.order if isinstance(own[a], slice)]
    return Seen(y, tuple(sorted(rest).index(a) for a in rest))
