"""Activations in the words of ONNX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from backprop import layers as L
from backprop.interop.onnx_writing import NotInOnnx, Value, Writer, emits
from backprop.layers.activations import Linear

HALF, THIRD_OF_2 = 0.5, 1 / 6

# what takes numbers one by one: the name of what goes in → that of what comes out
ByNumber = Callable[[Writer, Any, str], str]


def operator(op: str, **attributes: Any) -> ByNumber:
    return lambda w, layer, x: w.node(op, x, **attributes)


def clip(w: Writer, x: str, low: float | None, high: float | None) -> str:
    ends = ["" if end is None else w.constant(end) for end in (low, high)]
    while ends and not ends[-1]:
        ends.pop()
    return w.node("Clip", x, *ends)


def relu(w: Writer, layer: Any, x: str) -> str:
    t, s, top = layer.threshold, layer.negative_slope, layer.max_value
    if not t and top is None:
        return w.node("LeakyRelu", x, alpha=float(s)) if s else w.node("Relu", x)
    above = w.node("ThresholdedRelu", x, alpha=float(t)) if t else w.node("Relu", x)
    y = clip(w, above, 0.0, top) if top is not None else above
    if s:
        below = w.node("Min", w.node("Sub", x, w.constant(t)), w.constant(0.0))
        y = w.node("Add", y, w.node("Mul", below, w.constant(s)))
    return y


def gelu(w: Writer, layer: Any, x: str) -> str:
    if layer.approximate:
        cube = w.node("Mul", w.node("Mul", x, x), x)
        inner = w.node("Add", x, w.node("Mul", cube, w.constant(0.044715)))
        h = w.node("Tanh", w.node("Mul", inner, w.constant(np.sqrt(2 / np.pi))))
    else:
        h = w.node("Erf", w.node("Mul", x, w.constant(np.sqrt(0.5))))
    gate = w.node("Mul", w.node("Add", h, w.constant(1.0)), w.constant(HALF))
    return w.node("Mul", x, gate)


def silu(w: Writer, layer: Any, x: str) -> str:
    return w.node("Mul", x, w.node("Sigmoid", x))


def mish(w: Writer, layer: Any, x: str) -> str:
    return w.node("Mul", x, w.node("Tanh", w.node("Softplus", x)))


def celu(w: Writer, layer: Any, x: str) -> str:
    left = w.node("Elu", w.node("Div", x, w.constant(layer.alpha)), alpha=1.0)
    left = w.node("Min", w.node("Mul", left, w.constant(layer.alpha)), w.constant(0.0))
    return w.node("Add", w.node("Relu", x), left)


def log_sigmoid(w: Writer, layer: Any, x: str) -> str:
    return w.node("Neg", w.node("Softplus", w.node("Neg", x)))


def tanh_shrink(w: Writer, layer: Any, x: str) -> str:
    return w.node("Sub", x, w.node("Tanh", x))


def soft_shrink(w: Writer, layer: Any, x: str) -> str:
    return w.node("Sub", x, clip(w, x, -layer.threshold, layer.threshold))


def hard_shrink(w: Writer, layer: Any, x: str) -> str:
    far = w.node("Greater", w.node("Abs", x), w.constant(layer.threshold))
    return w.node("Where", far, x, w.constant(0.0))


def threshold(w: Writer, layer: Any, x: str) -> str:
    above = w.node("Greater", x, w.constant(layer.threshold))
    return w.node("Where", above, x, w.constant(layer.default_value))


def sparse_sigmoid(w: Writer, layer: Any, x: str) -> str:
    up = w.node("Add", clip(w, x, -1.0, 1.0), w.constant(1.0))
    return w.node("Mul", up, w.constant(HALF))


def sparse_plus(w: Writer, layer: Any, x: str) -> str:
    s = sparse_sigmoid(w, layer, x)
    right = w.node("Relu", w.node("Sub", x, w.constant(1.0)))
    return w.node("Add", w.node("Mul", s, s), right)


def squareplus(w: Writer, layer: Any, x: str) -> str:
    r = w.node("Sqrt", w.node("Add", w.node("Mul", x, x), w.constant(layer.b)))
    return w.node("Mul", w.node("Add", x, r), w.constant(HALF))


BY_NUMBER: dict[type, ByNumber] = {
    L.ReLU: relu,
    L.LeakyReLU: lambda w, layer, x: w.node("LeakyRelu", x, alpha=float(layer.negative_slope)),
    L.ReLU6: lambda w, layer, x: clip(w, x, 0.0, 6.0),
    L.ELU: lambda w, layer, x: w.node("Elu", x, alpha=float(layer.alpha)),
    L.SELU: operator("Selu", alpha=L.SELU.alpha, gamma=L.SELU.scale),
    L.CELU: celu,
    L.Exponential: operator("Exp"),
    L.Sigmoid: operator("Sigmoid"),
    L.Tanh: operator("Tanh"),
    L.Softsign: operator("Softsign"),
    L.Softplus: operator("Softplus"),
    L.HardSigmoid: operator("HardSigmoid", alpha=THIRD_OF_2, beta=HALF),
    L.HardSiLU: operator("HardSwish"),
    L.HardTanh: lambda w, layer, x: clip(w, x, -1.0, 1.0),
    L.LogSigmoid: log_sigmoid,
    L.SiLU: silu,
    L.GELU: gelu,
    L.Mish: mish,
    L.TanhShrink: tanh_shrink,
    L.SoftShrink: soft_shrink,
    L.HardShrink: hard_shrink,
    L.Threshold: threshold,
    L.SparseSigmoid: sparse_sigmoid,
    L.SparsePlus: sparse_plus,
    L.Squareplus: squareplus,
    L.Absolute: operator("Abs"),
}


@emits(*BY_NUMBER)
def by_number(w: Writer, layer: Any, x: Value) -> Value:
    return x.mapped(BY_NUMBER[type(layer)](w, layer, x.name))


@emits(L.Activation)
def activation(w: Writer, layer: Any, x: Value) -> Value:
    return activated(w, layer.activation, x)


def activated(w: Writer, layer: Any, x: Value) -> Value:
    """The value behind the activation of a layer."""
    return x if type(layer) is Linear else w.emit(layer, x)


@emits(L.Softmax, L.LogSoftmax)
def along_an_axis(w: Writer, layer: Any, x: Value) -> Value:
    if isinstance(layer.axis, tuple):
        raise NotInOnnx(f"ONNX normalizes along one axis, and its axis is {layer.axis}")
    # wherever that axis lies
    return x.mapped(w.node(type(layer).__name__, x.name, axis=x.laid[layer.axis]))


@emits(L.GLU)
def glu(w: Writer, layer: Any, x: Value) -> Value:
    at, axis = x.laid[layer.axis], layer.axis % x.ndim
    pieces = {"num_outputs": 2} if w.opset >= 18 else {}
    a, b = w.nodes_of("Split", [x.name], 2, axis=at, **pieces)
    shape = layer.compute_output_shape(x.shape)
    assert shape[axis] != x.shape[axis] or shape[axis] is None
    return x.mapped(w.node("Mul", a, w.node("Sigmoid", b))).but(shape=shape)


@emits(L.PReLU)
def prelu(w: Writer, layer: Any, x: Value) -> Value:
    return x.but(name=w.node("PRelu", w.plain(x), w.constant(layer.alpha)), order=None)
