"""Normalization and embeddings in the words of ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop import layers as L
from backprop.interop.onnx_plain import of_length_one
from backprop.interop.onnx_writing import (
    NotInOnnx,
    Value,
    Writer,
    emits,
    inverse,
)
from backprop.layers.attention.positions import waves

LEAST = 1e-7  # of Normalization's standard deviation
SHORTEST = 1e-12  # row of UnitNormalization


def gamma_and_beta(layer: Any, n: int) -> tuple[Any, Any]:
    """Those of a layer, or 1 and 0."""
    gamma = layer.gamma if layer.scale else np.ones(n)
    beta = layer.beta if layer.center else np.zeros(n)
    return np.reshape(gamma, -1), np.reshape(beta, -1)


@emits(L.BatchNormalization, masked=True)
def batch(w: Writer, layer: Any, x: Value) -> Value:
    axis = layer.axis % x.ndim
    order = (0, axis, *(i for i in range(1, x.ndim) if i != axis))
    gamma, beta = gamma_and_beta(layer, x.shape[axis] or 0)
    numbers = (gamma, beta, layer.moving_mean, layer.moving_variance)
    y = w.node(
        "BatchNormalization",
        w.arranged(x, order),
        *(w.weight(np.asarray(a), "statistics") for a in numbers),
        epsilon=float(layer.epsilon),
    )
    return x.but(name=y, order=inverse(order))


@emits(L.LayerNormalization)
def by_row(w: Writer, layer: Any, x: Value) -> Value:
    if not layer.by_rows:
        return by_some_axes(w, layer, x)
    n = [x.shape[axis] or 0 for axis in layer.axes]
    gamma, beta = gamma_and_beta(layer, int(np.prod(n)))
    given = [w.weight(gamma.reshape(n), "gamma")]
    if layer.center:
        given.append(w.weight(beta.reshape(n), "beta"))
    y = w.node(
        "LayerNormalization",
        w.plain(x),
        *given,
        axis=layer.axes[0],
        epsilon=float(layer.epsilon),
    )
    return x.but(name=y, order=None)


def by_some_axes(w: Writer, layer: Any, x: Value) -> Value:
    name = w.plain(x)
    mean = w.reduced("ReduceMean", name, layer.axes, True)
    centred = w.node("Sub", name, mean)
    r = root_of_mean_square(w, centred, layer.axes, layer.epsilon)
    y = w.node("Div", name if layer.rms_scaling else centred, r)
    if layer.scale:
        y = w.node("Mul", y, w.constant(layer.gamma.reshape(layer.shape[1:])))
    if layer.center:
        y = w.node("Add", y, w.constant(layer.beta.reshape(layer.shape[1:])))
    return x.but(name=y, order=None)


def root_of_mean_square(w: Writer, x: str, axes: Any, epsilon: float) -> str:
    square = w.reduced("ReduceMean", w.node("Mul", x, x), axes, True)
    return w.node("Sqrt", w.node("Add", square, w.constant(epsilon)))


@emits(L.RMSNormalization)
def by_root_mean_square(w: Writer, layer: Any, x: Value) -> Value:
    name = w.plain(x)
    y = w.node("Div", name, root_of_mean_square(w, name, layer.axes, layer.epsilon))
    y = w.node("Mul", y, w.constant(layer.scale.reshape(layer.shape[1:])))
    return x.but(name=y, order=None)


@emits(L.UnitNormalization)
def to_length_one(w: Writer, layer: Any, x: Value) -> Value:
    return x.but(name=of_length_one(w, w.plain(x), layer.axes, SHORTEST), order=None)


@emits(L.GroupNormalization)
def by_group(w: Writer, layer: Any, x: Value) -> Value:
    axis = layer.axis % x.ndim
    order = (0, axis, *(i for i in range(1, x.ndim) if i != axis))
    front = w.arranged(x, order)
    rows = w.reshaped(front, (0, layer.count, -1))
    ones, zeros = (w.constant(f(layer.count)) for f in (np.ones, np.zeros))
    y = w.node("InstanceNormalization", rows, ones, zeros, epsilon=float(layer.epsilon))
    known = [x.shape[i] for i in order[1:]]
    if None in known:
        y = w.node("Reshape", y, w.node("Shape", front))
    else:
        y = w.reshaped(y, (0, *(n for n in known if n is not None)))
    beside = (-1, *(1 for _ in known[1:]))
    if layer.scale:
        y = w.node("Mul", y, w.constant(layer.gamma.reshape(beside)))
    if layer.center:
        y = w.node("Add", y, w.constant(layer.beta.reshape(beside)))
    return Value(y, x.shape, inverse(order))


@emits(L.Normalization)
def normalization(w: Writer, layer: Any, x: Value) -> Value:
    like = np.zeros([1 if n is None else n for n in x.shape], np.float32)
    mean = layer._beside(layer.mean, like)[0]
    s = np.maximum(np.sqrt(layer._beside(layer.variance, like)[0]), np.float32(LEAST))
    name = w.plain(x)
    if layer.invert:
        y = w.node("Add", w.node("Mul", name, w.constant(s)), w.constant(mean))
    else:
        y = w.node("Div", w.node("Sub", name, w.constant(mean)), w.constant(s))
    return Value(y, x.shape)


# --------------------------------------------------------------------------- embeddings, masks


@emits(L.Embedding, L.ReversibleEmbedding, masked=True)
def embedding(w: Writer, layer: Any, x: Value) -> Value:
    name = x.name
    if not x.integer:
        name = w.node("Cast", name, to=w.onnx.TensorProto.INT64)
    table = w.weight(layer.embeddings, "embeddings")
    y = w.node("Gather", table, name)
    mask = None
    if layer.mask_zero:
        zero = w.constant(0, np.int64)
        whole = w.node("Cast", name, to=w.onnx.TensorProto.INT64) if x.integer else name
        mask = w.node("Not", w.node("Equal", whole, zero))
    return Value(y, (*x.shape, layer.output_dim), mask=mask)


@emits(L.Masking, masked=True)
def masking(w: Writer, layer: Any, x: Value) -> Value:
    name = w.plain(x)
    same = w.node("Equal", name, w.constant(layer.mask_value))
    other = w.node("Cast", w.node("Not", same), to=w.onnx.TensorProto.FLOAT)
    kept = w.reduced("ReduceMax", other, [x.ndim - 1], True)
    mask = w.node("Cast", w.node("Squeeze", kept, w.integers([x.ndim - 1])), to=9)
    return Value(w.node("Mul", name, kept), x.shape, mask=w.all_of([x.mask, mask]))


@emits(L.Unembedding)
def unembedding(w: Writer, layer: Any, x: Value) -> Value:
    table = np.ascontiguousarray(layer.layer.embeddings.T)
    y = w.node("MatMul", w.plain(x), w.weight(table, "kernel"))
    return Value(y, layer.compute_output_shape(x.shape))


@emits(L.SinePositionEncoding, L.PositionEmbedding, masked=True)
def positions(w: Writer, layer: Any, x: Value) -> Value:
    steps = x.shape[1]
    if isinstance(layer, L.PositionEmbedding):
        table = layer.embeddings[:steps]
    elif steps is None:
        raise NotInOnnx("the length of its sequences is open: give Input() it")
    else:
        table = waves(0, steps, x.shape[2] or 0, layer.max_wavelength, np.dtype(np.float32))
    added = w.weight(table, "positions")
    if steps is None:
        count = w.node("Slice", w.node("Shape", w.plain(x)), w.integers([1]), w.integers([2]))
        added = w.node("Slice", added, w.integers([0]), count)
    return x.but(name=w.node("Add", w.plain(x), added), order=None)
