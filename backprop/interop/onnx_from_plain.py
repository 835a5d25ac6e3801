"""Layers for ONNX' products, arithmetic and activations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from backprop import layers as L
from backprop.bounds import reckon
from backprop.interop.drawing import Known, as_is
from backprop.interop.onnx_building import Builder, reads
from backprop.interop.onnx_from_sizes import Sizes, joined
from backprop.interop.onnx_reading import Node
from backprop.layer import Layer
from backprop.symbols import Symbol

# ----------------------------------------------------------------------------------- activations

BY_NUMBER = {
    "Relu": lambda node: L.ReLU(),
    "LeakyRelu": lambda node: L.LeakyReLU(node.get("alpha", 0.01)),
    "ThresholdedRelu": lambda node: L.ReLU(threshold=node.get("alpha", 1.0)),
    "Elu": lambda node: L.ELU(node.get("alpha", 1.0)),
    "Celu": lambda node: L.CELU(node.get("alpha", 1.0)),
    "Exp": lambda node: L.Exponential(),
    "Sigmoid": lambda node: L.Sigmoid(),
    "Tanh": lambda node: L.Tanh(),
    "Softsign": lambda node: L.Softsign(),
    "Softplus": lambda node: L.Softplus(),
    "HardSwish": lambda node: L.HardSiLU(),
    "Mish": lambda node: L.Mish(),
    "Gelu": lambda node: L.GELU(node.get("approximate", "none") == "tanh"),
    "Abs": lambda node: L.Absolute(),
    "Neg": lambda node: L.MultiplyBy(-1.0),
    "Sqrt": lambda node: L.RaiseTo(0.5),
    "Reciprocal": lambda node: L.DivideInto(1.0),
}


@reads(*BY_NUMBER)
def by_number(r: Builder, node: Node, x: Any) -> Known:
    return r.on(x, BY_NUMBER[node.op](node))


@reads("Selu", "HardSigmoid")
def of_one_form(r: Builder, node: Node, x: Any) -> Known:
    layer, names = {
        "Selu": (L.SELU(), {"alpha": L.SELU.alpha, "gamma": L.SELU.scale}),
        "HardSigmoid": (L.HardSigmoid(), {"alpha": 1 / 6, "beta": 0.5}),
    }[node.op]
    for name, value in names.items():
        default = value if node.op == "Selu" else {"alpha": 0.2, "beta": 0.5}[name]
        if not math.isclose(node.get(name, default), value, rel_tol=1e-5):
            raise r.refused(f"its {name} is {node.get(name, default)}, and here it is {value}")
    return r.on(x, layer)


@reads("Softmax", "LogSoftmax")
def along_an_axis(r: Builder, node: Node, x: Any) -> Known:
    x = r.known(x)
    if r.file.opset < 13 and node.get("axis", 1) not in (-1, x.ndim - 1):
        raise r.refused("before version 13 it runs over several axes")
    axis = x.order[r.axis(node.get("axis", -1), x.ndim)]
    if axis == 0:
        raise r.refused("it runs over the batch")
    kind = L.Softmax if node.op == "Softmax" else L.LogSoftmax
    return r.on(x, kind(-1 if axis == x.ndim - 1 else axis))


@reads("PRelu")
def prelu(r: Builder, node: Node, x: Any, slope: Any) -> Known:
    x, alpha = r.plain(x), r.constant(slope, "slope")
    sizes = x.shape[1:]
    alpha = alpha.reshape((1,) * max(len(sizes) - alpha.ndim, 0) + alpha.shape)
    alpha = alpha.reshape(alpha.shape[alpha.ndim - len(sizes) :])
    shared = [i + 1 for i, n in enumerate(alpha.shape) if n == 1 and sizes[i] != 1]
    return as_is(r.weighted(L.PReLU(shared_axes=shared or None), x, alpha))


@reads("Clip")
def clip(r: Builder, node: Node, x: Any, low: Any = None, high: Any = None) -> Known:
    ends = [
        node.get(name) if end is None else r.scalar(end, name)
        for name, end in (("min", low), ("max", high))
    ]
    if ends == [0, 6]:
        return r.on(x, L.ReLU6())
    if ends == [-1, 1]:
        return r.on(x, L.HardTanh())
    if ends[0] == 0 and ends[1] is not None:
        return r.on(x, L.ReLU(max_value=ends[1]))
    return at_most(r, at_least(r, x, ends[0]), ends[1])


def at_least(r: Builder, x: Any, end: float | None) -> Known:
    if end is None:
        return r.known(x)
    return r.on(x, L.ReLU() if end == 0 else L.Threshold(end, end))


def at_most(r: Builder, x: Any, end: float | None) -> Known:
    if end is None:
        return r.known(x)
    turned = at_least(r, r.on(x, L.MultiplyBy(-1.0)), -end)
    return r.on(turned, L.MultiplyBy(-1.0))


@reads("Erf")
def erf(r: Builder, node: Node, x: Any) -> Known:
    """x Φ(x), the GELU, of which it is a part."""
    steps = gelu_around(r, node)
    if steps is None:
        raise r.refused("it is read as a part of GELU, x (1 + erf(x / √2)) / 2, alone")
    source, last, between = steps
    found = r.on(r.arrays[source], L.GELU())
    r.done.update(id(n) for n in between)
    r.take(last, found)
    return found  # nobody else reads it


def gelu_around(r: Builder, node: Node) -> tuple[str, Node, list[Node]] | None:
    """What goes into the GELU around a node, its last node, and those between."""
    before = [n for n in r.file.nodes if node.inputs[0] in n.outputs and n.op in ("Mul", "Div")]
    if not before or len(before[0].inputs) != 2:
        return None
    variables = [i for i in before[0].inputs if not isinstance(r.arrays.get(i), np.ndarray)]
    factor = constant_of(r, before[0])
    wanted = math.sqrt(0.5) if before[0].op == "Mul" else math.sqrt(2)
    add = r.alone(node.outputs[0], "Add")
    if len(variables) != 1 or not near(factor, wanted) or add is None:
        return None
    [x] = variables
    first = r.alone(add.outputs[0], "Mul")
    second = None if first is None else r.alone(first.outputs[0], "Mul")
    if first is None or second is None or not near(constant_of(r, add), 1.0):
        return None
    halves = [near(constant_of(r, n), 0.5) for n in (first, second)]
    if halves == [True, False] and x in second.inputs:
        return x, second, [add, first]
    if halves == [False, True] and x in first.inputs:
        return x, second, [add, first]
    return None


def constant_of(r: Builder, node: Node) -> float | None:
    """The one number among what a node reads."""
    found = [r.arrays.get(i) for i in node.inputs]
    numbers = [a for a in found if isinstance(a, np.ndarray) and a.size == 1]
    return float(numbers[0].reshape(())) if numbers else None


def near(a: float | None, b: float) -> bool:
    return a is not None and math.isclose(a, b, rel_tol=1e-5)


# --------------------------------------------------------------------------------------- products


@reads("MatMul")
def matmul(r: Builder, node: Node, a: Any, b: Any) -> Known:
    if isinstance(b, np.ndarray) and b.ndim == 2 and b.dtype.kind == "f":
        return dense(r, r.plain(a), b)
    if isinstance(a, np.ndarray) and a.ndim == 2:
        return as_is(L.MatmulConstant(a, first=True)(r.plain(b)))
    return as_is(L.Matmul()([r.plain(a), r.plain(b)]))


@reads("Gemm")
def gemm(r: Builder, node: Node, a: Any, b: Any, c: Any = None) -> Known:
    kernel = r.constant(b, "second input") * np.float32(node.get("alpha", 1.0))
    if kernel.ndim != 2 or node.get("transA", 0):
        raise r.refused("it multiplies by no matrix, or turns what goes in")
    kernel = kernel.T if node.get("transB", 0) else kernel
    bias = None
    if c is not None:
        bias = r.constant(c, "bias") * np.float32(node.get("beta", 1.0))
        bias = np.broadcast_to(bias.reshape(-1), kernel.shape[1:]) if bias.size else bias
    return dense(r, r.plain(a), kernel, bias)


def dense(r: Builder, x: Symbol, kernel: Any, bias: Any = None) -> Known:
    node = None
    if len(x.shape) < 2:
        raise r.refused("what it multiplies has no features")
    if bias is None:
        bias, node = r.bias_behind(kernel.shape[1])
    weights = (kernel,) if bias is None else (kernel, bias)
    y = r.weighted(L.Dense(kernel.shape[1], use_bias=bias is not None), x, *weights)
    return r.with_bias(as_is(y), node)


@reads("Einsum")
def einsum(r: Builder, node: Node, a: Any, b: Any) -> Known:
    equation = node.get("equation", "").replace(" ", "")
    inputs, _, out = equation.partition("->")
    parts = inputs.split(",")
    if "." in equation or len(parts) != 2 or not out:
        raise r.refused(f"its equation is {equation!r}")
    of_a, of_b = parts
    if isinstance(b, np.ndarray):
        x = r.plain(a)
        lengths = dict(zip(of_b, b.shape, strict=True)) | dict(zip(of_a, x.shape, strict=True))
        layer = L.EinsumDense(equation, tuple(lengths[c] for c in out[1:]))
        return as_is(r.weighted(layer, x, b))
    x, y = r.plain(a), r.plain(b)
    shared = [c for c in of_a[1:] if c in of_b]
    natural = of_a[:1] + "".join(c for c in of_a[1:] + of_b[1:] if c not in shared)
    if len(shared) != 1 or of_a[:1] != of_b[:1] or out != natural or len(set(of_a)) < len(of_a):
        raise r.refused(f"its equation is {equation!r}, and a dot product was expected")
    found = L.Dot((of_a.index(shared[0]), of_b.index(shared[0])))([x, y])
    return as_is(L.Slice(":, 0")(found) if len(out) == 1 else found)


# ------------------------------------------------------------------------------------- arithmetic

TWO = {"Add": L.Add, "Sub": L.Subtract, "Mul": L.Multiply, "Div": L.Divide}
SEVERAL = {"Max": L.Maximum, "Min": L.Minimum, "Mean": L.Average, "Sum": L.Add}
BY_CONSTANT = {"Add": L.AddConstant, "Mul": L.MultiplyBy, "Div": L.DivideBy, "Pow": L.RaiseTo}
TO_CONSTANT = {
    "Add": L.AddConstant,
    "Mul": L.MultiplyBy,
    "Sub": L.SubtractFrom,
    "Div": L.DivideInto,
    "Pow": L.PowerOf,
}


@reads("Add", "Sub", "Mul", "Div", "Pow")
def arithmetic(r: Builder, node: Node, a: Any, b: Any) -> Known:
    if isinstance(b, np.ndarray):
        if node.op == "Sub":
            return with_constant(r, a, lambda c: L.AddConstant(-c), b)
        return with_constant(r, a, BY_CONSTANT[node.op], b)
    if isinstance(a, np.ndarray):
        return with_constant(r, b, TO_CONSTANT[node.op], a)
    if node.op == "Pow":
        raise r.refused("its exponent is no constant")
    return merged(r, TWO[node.op](), [a, b])


def with_constant(r: Builder, x: Any, kind: Any, value: Any) -> Known:
    if value.dtype.kind != "f":
        raise r.refused(f"its constant is of dtype {value.dtype}")
    if value.size == 1:
        return r.on(x, kind(float(value.reshape(()))))
    if value.ndim and value.shape[0] == 1 and value.ndim == r.known(x).ndim:
        value = value[0]
    if value.ndim >= r.known(x).ndim:
        raise r.refused(f"its constant of shape {value.shape} is one for each of the batch")
    return as_is(kind(np.asarray(value, np.float64))(r.plain(x)))


@reads(*SEVERAL)
def several(r: Builder, node: Node, *given: Any) -> Known:
    constants = [a for a in given if isinstance(a, np.ndarray)]
    if not constants:
        return merged(r, SEVERAL[node.op](), list(given))
    if node.op in ("Max", "Min") and len(given) == 2 and len(constants) == 1:
        [x] = [a for a in given if not isinstance(a, np.ndarray)]
        return (at_least if node.op == "Max" else at_most)(r, x, r.scalar(constants[0], "constant"))
    raise r.refused("constants stand among what it merges")


def merged(r: Builder, layer: Layer, given: list[Any]) -> Known:
    xs = [r.known(x) for x in given]
    if len({x.ndim for x in xs}) > 1:
        raise r.refused("it merges arrays with different numbers of axes")
    if len(xs) == 1:
        return xs[0]
    if len({x.order for x in xs}) == 1:
        return Known(layer([x.symbol for x in xs]), xs[0].order)
    return as_is(layer([r.plain(x) for x in xs]))


@reads("Concat")
def concat(r: Builder, node: Node, *given: Any) -> Any:
    if all(isinstance(x, np.ndarray | Sizes) for x in given):
        return joined(r, given)
    xs = [r.known(x) for x in given]
    axis = r.axis(node.get("axis"), xs[0].ndim)
    if len({x.order for x in xs}) > 1:
        xs = [as_is(r.plain(x)) for x in xs]
    at = xs[0].order[axis]
    if at == 0:
        raise r.refused("it joins rows of the batch")
    at = -1 if at == xs[0].ndim - 1 else at
    return Known(L.Concatenate(at)([x.symbol for x in xs]), xs[0].order)


ROW = {"ReduceMean": lambda n: np.full((n, 1), 1 / n), "ReduceSum": lambda n: np.ones((n, 1))}
OVER_SIZES = {
    "ReduceMean": (L.GlobalAveragePooling1D, L.GlobalAveragePooling2D, L.GlobalAveragePooling3D),
    "ReduceMax": (L.GlobalMaxPooling1D, L.GlobalMaxPooling2D, L.GlobalMaxPooling3D),
}


@reads("ReduceMean", "ReduceSum", "ReduceMax")
def reduced(r: Builder, node: Node, x: Any, axes: Any = None) -> Known:
    x, keep = r.known(x), bool(node.get("keepdims", 1))
    given = r.axes(axes, x.ndim)
    ours = sorted(x.order[axis] for axis in given)
    kinds = OVER_SIZES.get(node.op)
    if (
        kinds
        and 3 <= x.ndim <= 5
        and ours
        in (
            list(range(1, x.ndim - 1)),
            list(range(2, x.ndim)),
        )
    ):
        where = "channels_last" if ours[0] == 1 else "channels_first"
        y = kinds[x.ndim - 3](data_format=where, keepdims=keep)(x.symbol)
        if keep:
            return Known(y, x.order)
        rest = [axis for axis in x.order if axis not in ours]
        return Known(y, tuple(sorted(rest).index(axis) for axis in rest))
    n = x.shape[-1]
    if node.op not in ROW or given != [x.ndim - 1] or n is None or x.ndim < 2:
        raise r.refused("it runs over other axes than the sizes of images or, with a sum, the last")
    reckon(n, f"its {node.op}")
    y = L.MatmulConstant(ROW[node.op](n))(r.plain(x))
    return as_is(y if keep else L.Slice("..., 0")(y))
