"""Modules for dense layers, activations, merging, arithmetic and shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from backprop import layers as L
from backprop.interop.live.torch_writing import ModuleWriter, NotInTorch, emits, level
from backprop.interop.onnx_normalization import LEAST
from backprop.interop.onnx_writing import Value, last_channel
from backprop.layers.activations import Linear
from backprop.layers.attention.positions import waves
from backprop.layers.chain import Chain
from backprop.layers.graph import Graph
from backprop.layers.inputs import AsFloat
from backprop.nest import as_tuple, each, leaves

NOTHING = (L.Linear, L.Identity, L.ActivityRegularization, AsFloat)


@emits(*NOTHING)
def nothing(w: ModuleWriter, layer: Any, x: Value) -> Value:
    return x


# --------------------------------------------------------------------------------- containers


@emits(Chain)
def chain(w: ModuleWriter, layer: Any, x: Any) -> Any:
    for part in layer.layers:
        x = w.emit(part, x)
    return x


@emits(Graph)
def graph(w: ModuleWriter, layer: Any, x: Any) -> Any:
    wiring = layer._wiring
    known = dict(zip(leaves(wiring.inputs), as_tuple(x), strict=True))
    known[None] = None  # what a call was not given
    for part, reads, writes, _ in wiring.calls:
        y = w.emit(part, each(known.__getitem__, reads))
        known |= dict(zip(as_tuple(writes), as_tuple(y), strict=True))
    found = [known[place] for place in leaves(wiring.outputs)]
    return tuple(found) if len(found) > 1 else found[0]


@emits(L.Parallel)
def parallel(w: ModuleWriter, layer: Any, x: Value) -> Value:
    return w.emit(layer._merging, tuple(w.emit(branch, x) for branch in layer.branches))


@emits(L.Residual)
def residual(w: ModuleWriter, layer: Any, x: Value) -> Value:
    return activated(w, layer.activation, parallel(w, layer, x))


@emits(L.TransformerBlock)
def block(w: ModuleWriter, layer: Any, x: Value) -> Any:
    return w.emit(layer.chain, x)


@emits(L.TransformerDecoder)
def decoder(w: ModuleWriter, layer: Any, x: Any) -> Any:
    return w.emit(layer.graph, x)


@emits(L.TimeDistributed)
def time_distributed(w: ModuleWriter, layer: Any, x: Value) -> Value:
    inner, steps = layer.layer, x.shape[1]
    if isinstance(inner, L.Dense) and inner.activation.time_local:
        return w.emit(inner, x)
    if steps is None:
        raise NotInTorch("the length of its sequences is open: give Input() it")
    y = w.emit(inner, Value(w.call(w.own.Rows(), w.plain(x)), (None, *x.shape[2:])))
    if isinstance(y, tuple):
        raise NotInTorch("its layer gives more than one array")
    return Value(w.call(w.own.Steps(steps), w.plain(y)), (None, steps, *y.shape[1:]))


# -------------------------------------------------------------------------------------- dense


@emits(L.Dense)
def dense(w: ModuleWriter, layer: Any, x: Value) -> Value:
    bias = layer.bias if layer.use_bias else None
    y = w.call(w.linear(layer, layer.kernel, bias), w.plain(x))
    return activated(w, layer.activation, Value(y, (*x.shape[:-1], layer.units)))


def activated(w: ModuleWriter, layer: Any, x: Value) -> Value:
    """The value behind the activation of a layer."""
    return x if type(layer) is Linear else w.emit(layer, x)


@emits(L.Activation)
def activation(w: ModuleWriter, layer: Any, x: Value) -> Value:
    return activated(w, layer.activation, x)


def relu(w: ModuleWriter, layer: Any) -> Any:
    if layer.threshold or (layer.max_value is not None and layer.negative_slope):
        return w.own.Rectifier(layer.threshold, layer.negative_slope, layer.max_value)
    if layer.max_value is not None:
        return w.nn.Hardtanh(0.0, float(layer.max_value))
    return w.nn.LeakyReLU(layer.negative_slope) if layer.negative_slope else w.nn.ReLU()


def dropout(w: ModuleWriter, layer: Any) -> Any:
    if layer.noise_shape is not None:
        raise NotInTorch("it drops what a noise_shape says")
    return getattr(w.nn, type(layer).__name__)(layer.rate)


# what takes numbers one by one
BY_NUMBER: dict[type, Callable[[ModuleWriter, Any], Any]] = {
    L.ReLU: relu,
    L.Dropout: dropout,
    L.AlphaDropout: dropout,
    L.GaussianNoise: lambda w, layer: w.own.GaussianNoise(layer.stddev),
    L.GaussianDropout: lambda w, layer: w.own.GaussianDropout(layer.rate),
    L.ReLU6: lambda w, layer: w.nn.ReLU6(),
    L.LeakyReLU: lambda w, layer: w.nn.LeakyReLU(layer.negative_slope),
    L.ELU: lambda w, layer: w.nn.ELU(layer.alpha),
    L.SELU: lambda w, layer: w.nn.SELU(),
    L.CELU: lambda w, layer: w.nn.CELU(layer.alpha),
    L.Exponential: lambda w, layer: w.own.Function("exp"),
    L.Absolute: lambda w, layer: w.own.Function("abs"),
    L.Sigmoid: lambda w, layer: w.nn.Sigmoid(),
    L.Tanh: lambda w, layer: w.nn.Tanh(),
    L.Softsign: lambda w, layer: w.nn.Softsign(),
    L.Softplus: lambda w, layer: w.nn.Softplus(),
    L.HardSigmoid: lambda w, layer: w.nn.Hardsigmoid(),
    L.HardSiLU: lambda w, layer: w.nn.Hardswish(),
    L.HardTanh: lambda w, layer: w.nn.Hardtanh(),
    L.LogSigmoid: lambda w, layer: w.nn.LogSigmoid(),
    L.SiLU: lambda w, layer: w.nn.SiLU(),
    L.GELU: lambda w, layer: w.nn.GELU("tanh" if layer.approximate else "none"),
    L.Mish: lambda w, layer: w.nn.Mish(),
    L.TanhShrink: lambda w, layer: w.nn.Tanhshrink(),
    L.SoftShrink: lambda w, layer: w.nn.Softshrink(layer.threshold),
    L.HardShrink: lambda w, layer: w.nn.Hardshrink(layer.threshold),
    L.Threshold: lambda w, layer: w.nn.Threshold(layer.threshold, layer.default_value),
}


@emits(*BY_NUMBER)
def by_number(w: ModuleWriter, layer: Any, x: Value) -> Value:
    return x.mapped(w.call(BY_NUMBER[type(layer)](w, layer), x.name))


@emits(L.Softmax, L.LogSoftmax)
def along_an_axis(w: ModuleWriter, layer: Any, x: Value) -> Value:
    if isinstance(layer.axis, tuple):
        raise NotInTorch(f"PyTorch normalizes along one axis, and its axis is {layer.axis}")
    kind = getattr(w.nn, type(layer).__name__)
    return x.mapped(w.call(kind(dim=laid_at(x, layer.axis)), x.name))


def laid_at(x: Value, axis: int) -> int:
    """Where an axis lies; the last one is -1, as users write it."""
    at = x.laid[axis]
    return -1 if at == x.ndim - 1 else at


@emits(L.GLU)
def glu(w: ModuleWriter, layer: Any, x: Value) -> Value:
    y = w.call(w.nn.GLU(dim=laid_at(x, layer.axis)), x.name)
    return x.mapped(y).but(shape=layer.compute_output_shape(x.shape))


@emits(L.PReLU)
def prelu(w: ModuleWriter, layer: Any, x: Value) -> Value:
    alpha = layer.alpha
    own = [axis for axis, n in enumerate(alpha.shape, 1) if n > 1]
    if len(own) > 1:
        raise NotInTorch("PyTorch has one slope for each channel, or one for all")
    axis = own[0] if own else 1
    order = (0, axis, *(i for i in range(1, x.ndim) if i != axis))
    module = w.filled(w.nn.PReLU(alpha.size), layer, weight=alpha.reshape(-1))
    return x.but(name=w.call(module, w.arranged(x, order)), order=inverted(order))


def inverted(order: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argsort(order))


# ------------------------------------------------------------------------------------ merging

MERGE = {
    L.Add: "add",
    L.Multiply: "mul",
    L.Subtract: "sub",
    L.Divide: "div",
    L.Maximum: "maximum",
    L.Minimum: "minimum",
}


@emits(*MERGE, L.Average)
def merge(w: ModuleWriter, layer: Any, xs: tuple[Value, ...]) -> Value:
    names, order = level(w, xs)
    op = MERGE.get(type(layer))
    y = w.call(w.own.Merge(op) if op else w.own.Average(), *names)
    return Value(y, layer.compute_output_shape(tuple(x.shape for x in xs)), order)


@emits(L.Concatenate)
def concatenate(w: ModuleWriter, layer: Any, xs: tuple[Value, ...]) -> Value:
    names, order = level(w, xs)
    axis = layer.axis % xs[0].ndim
    at = axis if order is None else order[axis]
    shape = layer.compute_output_shape(tuple(x.shape for x in xs))
    return Value(w.call(w.own.Concatenate(at), *names), shape, order)


@emits(L.Matmul)
def matmul(w: ModuleWriter, layer: Any, xs: tuple[Value, ...]) -> Value:
    y = w.call(w.own.Merge("matmul"), *map(w.plain, xs))
    return Value(y, layer.compute_output_shape(tuple(x.shape for x in xs)))


@emits(L.Dot)
def dot(w: ModuleWriter, layer: Any, xs: tuple[Value, ...]) -> Value:
    ends = layer.along([x.ndim for x in xs])
    names = [w.plain(x) for x in xs]
    if layer.normalize:
        ways = zip(names, ends, strict=True)
        names = [w.call(w.own.Normalize(axis), name) for name, axis in ways]
    letters = [
        ["a", *(side[i] for i in range(x.ndim - 1))] for x, side in zip(xs, SIDES, strict=True)
    ]
    letters[1][ends[1]] = letters[0][ends[0]]
    rest = [c for i, c in enumerate(letters[0]) if i != ends[0]]
    rest += [c for c in letters[1][1:] if c != letters[0][ends[0]]]
    y = w.call(
        w.own.Einsum(f"{''.join(letters[0])},{''.join(letters[1])}->{''.join(rest)}"), *names
    )
    if len(rest) == 1:
        y = w.call(w.own.Part(slice(None), None), y)
    return Value(y, layer.compute_output_shape(tuple(x.shape for x in xs)))


SIDES = "bcdefgh", "ijklmno"  # letters for the axes of either array

# --------------------------------------------------------------------------------- arithmetic

# the operator, and whether the constant comes first
CONSTANTS = {
    L.AddConstant: ("add", False),
    L.SubtractFrom: ("sub", True),
    L.MultiplyBy: ("mul", False),
    L.DivideBy: ("div", False),
    L.DivideInto: ("div", True),
    L.RaiseTo: ("pow", False),
    L.PowerOf: ("pow", True),
}


@emits(*CONSTANTS)
def with_constant(w: ModuleWriter, layer: Any, x: Value) -> Value:
    op, first = CONSTANTS[type(layer)]
    if np.ndim(layer.value) == 0:
        return x.mapped(computed(w, op, layer.value, x.name, first))
    y = computed(w, op, layer.value, w.plain(x), first)
    return Value(y, layer.compute_output_shape(x.shape))


def computed(w: ModuleWriter, op: str, value: Any, name: str, first: bool = False) -> str:
    return w.call(w.own.Arithmetic(op, np.asarray(value, float).tolist(), first), name)


@emits(L.MatmulConstant)
def matmul_constant(w: ModuleWriter, layer: Any, x: Value) -> Value:
    y = computed(w, "matmul", layer.value, w.plain(x), layer.first)
    return Value(y, layer.compute_output_shape(x.shape))


@emits(L.Rescaling)
def rescaling(w: ModuleWriter, layer: Any, x: Value) -> Value:
    y = computed(w, "mul", layer.scale, w.plain(x))
    return Value(computed(w, "add", layer.offset, y), x.shape)


@emits(L.Normalization)
def normalization(w: ModuleWriter, layer: Any, x: Value) -> Value:
    like = np.zeros([1 if n is None else n for n in x.shape], np.float32)
    mean = layer._beside(layer.mean, like)[0]
    s = np.maximum(np.sqrt(layer._beside(layer.variance, like)[0]), np.float32(LEAST))
    ways = [("mul", s), ("add", mean)] if layer.invert else [("sub", mean), ("div", s)]
    y = w.plain(x)
    for op, value in ways:
        y = computed(w, op, value, y)
    return Value(y, x.shape)


@emits(L.PositionEmbedding, L.SinePositionEncoding)
def positions(w: ModuleWriter, layer: Any, x: Value) -> Value:
    steps = x.shape[1]
    if steps is None:
        raise NotInTorch("the length of its sequences is open: give Input() it")
    if isinstance(layer, L.PositionEmbedding):
        table = layer.embeddings[:steps]
        module = w.filled(w.own.Positions(*table.shape), layer, weight=table)
        return Value(w.call(module, w.plain(x)), x.shape)
    table = waves(0, steps, x.shape[2] or 0, layer.max_wavelength, np.dtype(np.float32))
    return Value(computed(w, "add", table, w.plain(x)), x.shape)


# ------------------------------------------------------------------------------------- shapes


@emits(L.Flatten)
def flatten(w: ModuleWriter, layer: Any, x: Value) -> Value:
    first = x.ndim > 2 and layer.data_format == "channels_first"
    name = w.arranged(x, last_channel(x.ndim)) if first else w.plain(x)
    if x.ndim == 2:
        return Value(name, x.shape)
    return Value(w.call(w.nn.Flatten(), name), layer.compute_output_shape(x.shape))


@emits(L.Reshape)
def reshape(w: ModuleWriter, layer: Any, x: Value) -> Value:
    shape = layer.compute_output_shape(x.shape)
    if len(shape) < 2 or x.ndim < 2 or None in shape[1:]:
        raise NotInTorch("its sizes are open, or there are none")
    name = w.plain(x)
    if x.ndim > 2:
        name = w.call(w.nn.Flatten(), name)
    if len(shape) > 2:
        name = w.call(w.nn.Unflatten(1, tuple(shape[1:])), name)
    return Value(name, shape)


@emits(L.Permute)
def permute(w: ModuleWriter, layer: Any, x: Value) -> Value:
    order = tuple(x.laid[i] for i in (0, *layer.dims))
    return Value(x.name, layer.compute_output_shape(x.shape), order)


@emits(L.RepeatVector)
def repeat_vector(w: ModuleWriter, layer: Any, x: Value) -> Value:
    y = w.call(w.own.Repeat(layer.n), w.plain(x))
    return Value(y, layer.compute_output_shape(x.shape))


@emits(L.Slice)
def part(w: ModuleWriter, layer: Any, x: Value) -> Value:
    index = layer.expanded(x.ndim)
    if any(isinstance(item, slice) and (item.step or 1) < 0 for item in index):
        raise NotInTorch("it goes backwards")
    y = w.call(w.own.Part(*index), w.plain(x))
    return Value(y, layer.compute_output_shape(x.shape))
