"""What an ONNX graph is written with: nodes, constants, and values whose axes wait to be turned.

Each kind of layer has a small function that appends its nodes, in the table `EMITTERS`:

    @emits(layers.Softsign)
    def softsign(w, layer, x):
        return x.mapped(w.node("Softsign", x.name))

ONNX has the channels of an image before its pixels, and the layers here have them behind. So a
`Value` may lie in the graph with its axes in another order than the layer's: an image stays as the
convolution made it until somebody needs it otherwise. What works number by number does not, and
between two convolutions no axis is turned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backprop.layer import Layer
from backprop.layers.chain import Chain
from backprop.layers.graph import Graph
from backprop.nest import as_tuple

Array = np.ndarray
Shape = tuple[int | None, ...]
Order = tuple[int, ...]
FAR = float(np.finfo(np.float32).min)  # the score of what is not seen: its exponential is 0


class NotInOnnx(ValueError):
    """A layer, or what it was given, that ONNX has no words for.

    Attributes
    ----------
    layer : Layer or None
        The innermost that was being written, once the error has left it.
    """

    layer: Layer | None = None


@dataclass(frozen=True)
class Value:
    """An array of the graph, as the layers know it.

    Attributes
    ----------
    name : str
        Of the array that lies in the graph.
    shape : tuple
        Of the array that a layer means, with the batch.
    order : tuple of int, optional
        Axis i of what is meant is axis order[i] of what lies there. Default: it is the same.
    mask : str, optional
        The name of the mask that goes with it: booleans, (batch, time).
    integer : bool
    """

    name: str
    shape: Shape
    order: Order | None = None
    mask: str | None = None
    integer: bool = False

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def laid(self) -> Order:
        return self.order or tuple(range(self.ndim))

    def mapped(self, name: str) -> Value:
        """What came out of an operation number by number."""
        return self.but(name=name, integer=False)

    def but(self, **changes: Any) -> Value:
        return replace(self, **changes)


def first_channel(ndim: int) -> Order:
    """(N, sizes ..., C) → (N, C, sizes ...)"""
    return (0, ndim - 1, *range(1, ndim - 1))


def last_channel(ndim: int) -> Order:
    """(N, C, sizes ...) → (N, sizes ..., C)"""
    return (0, *range(2, ndim), 1)


def inverse(order: Order) -> Order:
    return tuple(int(i) for i in np.argsort(order))


Emitter = Callable[["Writer", Any, Any], Any]
EMITTERS: dict[type, Emitter] = {}
MASKED: set[type] = set()  # those whose emitters look at masks themselves


def emits(*classes: type, masked: bool = False) -> Callable[[Emitter], Emitter]:
    """Enter a function for some classes of layers into the table."""

    def enter(function: Emitter) -> Emitter:
        EMITTERS.update(dict.fromkeys(classes, function))
        MASKED.update(classes if masked else ())
        return function

    return enter


class Writer:
    """A graph that is being written.

    Parameters
    ----------
    opset : int
        The version of the operators.

    Attributes
    ----------
    nodes, constants : list
        Of the protocol buffers of onnx.
    """

    def __init__(self, opset: int):
        import onnx

        self.onnx, self.opset = onnx, opset
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._count = 0
        self._known: dict[Any, str] = {}
        self._held: list[Array] = []
        self._at: list[str] = []  # the layers that are being written

    # ------------------------------------------------------------------------- nodes

    def new_name(self, hint: str) -> str:
        self._count += 1
        return "/".join([*self._at, f"{hint}_{self._count}"])

    def nodes_of(
        self, op: str, inputs: Sequence[str], outputs: int, **attributes: Any
    ) -> list[str]:
        """Append a node; the names of what comes out."""
        names = [self.new_name(op) for _ in range(outputs)]
        given = {k: v for k, v in attributes.items() if v is not None}
        self.nodes.append(self.onnx.helper.make_node(op, list(inputs), names, **given))
        return names

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Append a node with one output; its name."""
        return self.nodes_of(op, inputs, 1, **attributes)[0]

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """The name of a constant array; small ones that are equal are one."""
        array = np.asarray(value, dtype)
        key = array.dtype.str, array.shape, array.tobytes() if array.size < 32 else self._count
        if key not in self._known:
            self._known[key] = self._new_constant(array, "constant")
        return self._known[key]

    def weight(self, value: Array, name: str) -> str:
        """The name of a weight: that of a layer that is called twice is one, and of two layers
        never, whatever they hold."""
        key = value.__array_interface__["data"][0], value.shape, value.strides
        if key not in self._known:
            self._held.append(value)  # so that no other array comes to lie there
            self._known[key] = self._new_constant(np.asarray(value, np.float32), name)
        return self._known[key]

    def _new_constant(self, array: Array, hint: str) -> str:
        name = self.new_name(hint)
        contiguous = np.ascontiguousarray(array).reshape(array.shape)
        self.constants.append(self.onnx.numpy_helper.from_array(contiguous, name))
        return name

    def integers(self, values: Sequence[int]) -> str:
        return self.constant(np.asarray(values, np.int64).reshape(len(values)), np.int64)

    def reduced(self, op: str, name: str, axes: Sequence[int], keepdims: bool) -> str:
        """A sum, mean or maximum over axes, which became an input of the operators one by one."""
        since = {"ReduceSum": 13}.get(op, 18)
        if self.opset >= since:
            return self.node(op, name, self.integers(axes), keepdims=int(keepdims))
        return self.node(op, name, axes=list(axes), keepdims=int(keepdims))

    def reshaped(self, name: str, shape: Sequence[int]) -> str:
        """0 keeps an axis, -1 is what is left."""
        return self.node("Reshape", name, self.integers(shape))

    def turned(self, name: str, order: Order) -> str:
        """Axes in another order; the same twice is one node."""
        if order == tuple(range(len(order))):
            return name
        key = "Transpose", name, order
        if key not in self._known:
            self._known[key] = self.node("Transpose", name, perm=list(order))
        return self._known[key]

    # ------------------------------------------------------------------------ values

    def arranged(self, x: Value, order: Order) -> str:
        """The array with its axes in an order."""
        laid = x.laid
        return self.turned(x.name, tuple(laid[i] for i in order))

    def plain(self, x: Value) -> str:
        """The array as a layer means it."""
        return self.arranged(x, tuple(range(x.ndim)))

    def as_float(self, x: Value) -> Value:
        if not x.integer:
            return x
        cast = self.node("Cast", x.name, to=self.onnx.TensorProto.FLOAT)
        return x.but(name=cast, integer=False)

    # ------------------------------------------------------------------------ layers

    def emit(self, layer: Layer, x: Any) -> Any:
        """Append what a layer does with a `Value`, or a tuple of them; what comes out."""
        emitter = next((EMITTERS[cls] for cls in classes_of(layer) if cls in EMITTERS), None)
        self._at.append(layer.name.replace("/", "_"))
        try:
            if emitter is None:
                raise NotInOnnx(self.unknown(layer))
            if not any(layer.integer_input for layer in layer.walk()):
                x = tuple(map(self.as_float, x)) if isinstance(x, tuple) else self.as_float(x)
            y = emitter(self, layer, x)
            return y if not MASKED.isdisjoint(classes_of(layer)) else self.with_mask(layer, x, y)
        except NotInOnnx as error:
            if error.layer is None:
                where = "/".join(self._at)
                error.args = (f"{layer!r} ({where}) cannot be written to ONNX: {error}",)
                error.layer = layer
            raise
        finally:
            self._at.pop()

    def unknown(self, layer: Layer) -> str:
        from backprop.interop.onnx_reasons import reason

        return reason(type(layer))

    def with_mask(self, layer: Layer, x: Any, y: Any) -> Any:
        """The outputs of a layer with the mask that goes on, where its steps do not meet."""
        masks = [v.mask for v in as_tuple(x) if v is not None and v.mask is not None]
        if not masks:
            return y
        if not layer.time_local or isinstance(y, tuple):
            raise NotInOnnx("a mask comes to it, and what it makes of one is not written")
        return y.but(mask=self.all_of(masks))

    def all_of(self, masks: Sequence[str | None]) -> str | None:
        """The steps that are real in each of some masks."""
        given = list(dict.fromkeys(m for m in masks if m is not None))
        if not given:
            return None
        found = given[0]
        for mask in given[1:]:
            found = self.node("And", found, mask)
        return found


def classes_of(layer: Layer) -> tuple[type, ...]:
    """Whose emitter writes a layer: its class', and of a model that of what it is, a chain or a
    graph. A subclass may compute something else."""
    for kind in (Chain, Graph):
        same = ("propagate", "forward")
        if isinstance(layer, kind) and all(
            getattr(type(layer), name) is getattr(kind, name) for name in same
        ):
            return (kind,)
    return (type(layer),)
