"""What a graph of layers is built with from a graph of ONNX: its arrays, and the layers on them.

The table `READERS` has a small function for each operator:

    @reads("Neg")
    def negative(r, node, x):
        return r.on(x, layers.MultiplyBy(-1.0))

Layers have the batch in front and, of images, the channels behind. So an array of ONNX is known as
a symbolic array of the layers and the order of axes in which ONNX sees it: a Transpose changes the
order, and nothing is computed. Where axes must lie as ONNX has them a `Permute` is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backprop import layers as L
from backprop.interop.onnx_reading import File, Node
from backprop.interop.onnx_writing import inverse
from backprop.layer import Layer
from backprop.symbols import Symbol

Array = np.ndarray
Order = tuple[int, ...]
Reader = Callable[..., Any]
READERS: dict[str, Reader] = {}


@dataclass(frozen=True)
class Known:
    """An array of the graph.

    Attributes
    ----------
    symbol : Symbol
        What the layers make.
    order : tuple of int
        Axis i of ONNX' array is axis order[i] of the symbol.
    lead : int, optional
        Where ONNX has an axis of length one more: that of a recurrent operator's directions.
    """

    symbol: Symbol
    order: Order
    lead: int | None = None

    @property
    def shape(self) -> tuple[int | None, ...]:
        """As ONNX has it."""
        return tuple(self.symbol.shape[i] for i in self.order)

    @property
    def ndim(self) -> int:
        return len(self.order)


def as_is(symbol: Symbol) -> Known:
    return Known(symbol, tuple(range(len(symbol.shape))))


def reads(*ops: str) -> Callable[[Reader], Reader]:
    """Enter a function for some operators into the table."""

    def enter(function: Reader) -> Reader:
        READERS.update(dict.fromkeys(ops, function))
        return function

    return enter


class Builder:
    """A graph of layers that is being built.

    Attributes
    ----------
    file : File
    arrays : dict of str to Known or ndarray
    done : set of int
        The nodes, by identity, that were taken together with one before them.
    """

    def __init__(self, file: File):
        self.file = file
        self.arrays: dict[str, Known | Array | None] = {"": None, **file.constants}
        self.done: set[int] = set()
        self._made: dict[Any, Layer] = {}
        self._held: list[Array] = []
        self.node: Node

    # ----------------------------------------------------------------------- the graph

    def read_all(self) -> None:
        for node in self.file.nodes:
            if id(node) in self.done:
                continue
            if node.op not in READERS:
                known = ", ".join(sorted(READERS))
                raise ValueError(f"its operator {node.op[:80]!r} is not read: these are, {known}")
            self.node = node
            given = [self.arrays[name] for name in node.inputs]
            if not given and node.op != "Constant":
                raise ValueError(f"its {node.op} reads nothing")
            found = READERS[node.op](self, node, *given)
            self.give(node, found)

    def give(self, node: Node, found: Any) -> None:
        found = found if isinstance(found, list) else [found]
        for name, value in zip(node.outputs, found, strict=False):
            self.arrays[name] = value
        missing = [name for name in node.outputs[len(found) :] if self.file.readers.get(name)]
        if missing:
            raise self.refused(f"its output {missing[0]!r} is not read here")

    def refused(self, why: str) -> ValueError:
        return ValueError(f"its {self.node.op} ({', '.join(self.node.outputs)[:80]}): {why}")

    def alone(self, name: str, op: str) -> Node | None:
        """The node of a kind that alone reads an array, if it is so."""
        readers = self.file.readers.get(name, [])
        good = len(readers) == 1 and readers[0].op == op and name not in self.file.outputs
        return readers[0] if good else None

    def take(self, node: Node, found: Known) -> None:
        """A node is done, and this is what it makes."""
        self.done.add(id(node))
        self.give(node, found)

    # ----------------------------------------------------------------------- arrays

    def known(self, x: Any) -> Known:
        """An array that the layers make."""
        if not isinstance(x, Known):
            raise self.refused("a constant, or nothing, stands where an array was expected")
        if x.lead is not None:
            raise self.refused("it reads the axis of directions of a recurrent operator")
        return x

    def plain(self, x: Any) -> Symbol:
        """The symbol with its axes as ONNX has them."""
        x = self.known(x)
        return self.arranged(x, tuple(range(x.ndim)))

    def arranged(self, x: Known, order: Order) -> Symbol:
        """The symbol whose axis i is ONNX' axis order[i]."""
        axes = tuple(x.order[i] for i in order)
        if axes == tuple(range(x.ndim)):
            return x.symbol
        if axes[0] != 0:
            raise self.refused("it works along the batch, or needs it behind another axis")
        return L.Permute(axes[1:])(x.symbol)

    def on(self, x: Any, layer: Layer) -> Known:
        """What a layer makes that works number by number."""
        x = self.known(x)
        return replace(x, symbol=layer(x.symbol))

    def constant(self, x: Any, what: str) -> Array:
        if not isinstance(x, np.ndarray):
            raise self.refused(f"its {what} is no constant")
        return x

    def numbers(self, x: Any, what: str) -> list[int]:
        """Whole numbers that are constants."""
        found = self.constant(x, what)
        if found.dtype.kind not in "iu" or found.ndim > 1 or found.size > 64:
            raise self.refused(f"its {what} is no list of whole numbers")
        return [int(n) for n in found.reshape(-1)]

    def scalar(self, x: Any, what: str) -> float:
        found = self.constant(x, what)
        if found.size != 1:
            raise self.refused(f"its {what} is no number")
        return float(found.reshape(()))

    def axis(self, axis: Any, ndim: int) -> int:
        if not isinstance(axis, int) or not -ndim <= axis < ndim:
            raise self.refused(f"it has axis {axis} of {ndim}")
        return axis % ndim

    def axes(self, x: Any, ndim: int, default: Sequence[int] | None = None) -> list[int]:
        """Those of the second input or, in older versions, of the attribute."""
        given = self.node.get("axes") if x is None else self.numbers(x, "axes")
        given = default if given is None else given
        if given is None:
            raise self.refused("it names no axes")
        found = [self.axis(axis, ndim) for axis in given]
        if len(set(found)) < len(found):
            raise self.refused(f"it names an axis twice: {found}")
        return found

    # ----------------------------------------------------------------------- weights

    def weighted(self, layer: Layer, x: Any, *weights: Array, **options: Any) -> Any:
        """Call a layer, and put weights into it, parameters first and then statistics. Where such
        a layer has these weights already, it is called once more."""
        key = self._key(layer, x, weights)
        if key in self._made:
            return self._made[key](x, **options)
        y = layer(x, **options)
        arrays = layer.arrays()
        if [p.shape for p in arrays] != [w.shape for w in weights]:
            raise self.refused(
                f"its weights have shapes {[w.shape for w in weights]}, and "
                f"{type(layer).__name__} needs {[p.shape for p in arrays]}"
            )
        for p, w in zip(arrays, weights, strict=True):
            if w.dtype.kind != "f":
                raise self.refused(f"its weights are of dtype {w.dtype}")
            p.value[...] = w
        self._made[key] = layer
        self._held += weights  # so that no other array comes to lie there
        return y

    def _key(self, layer: Layer, x: Any, weights: Sequence[Array]) -> Any:
        """What two calls of one layer have in common."""
        lie = tuple((w.__array_interface__["data"][0], w.shape, w.strides) for w in weights)
        return repr(layer), x.shape[1:], lie

    def bias_behind(self, n: int, axis: int = -1) -> tuple[Array | None, Node | None]:
        """The bias that the next node alone adds to what this one makes, and that node."""
        name = self.node.outputs[0]
        node = self.alone(name, "Add")
        if node is None or len(node.inputs) != 2:
            return None, None
        other = self.arrays.get(next((i for i in node.inputs if i != name), ""))
        if not isinstance(other, np.ndarray) or other.size != n or other.dtype.kind != "f":
            return None, None
        shape = other.shape
        if axis == -1:
            fits = shape[-1:] == (n,)
        else:  # the channels of images, which stand in front
            fits = len(shape) >= 2 and shape[-axis:][:1] == (n,)
        return (other.reshape(n), node) if fits else (None, None)

    def with_bias(self, found: Known, node: Node | None) -> Known:
        if node is not None:
            self.take(node, found)
        return found


def behind(x: Known) -> Order:
    """The order that has the channels of ONNX' images behind: (N, C, sizes ...) → ..."""
    return (0, *range(2, x.ndim), 1)


def images(symbol: Symbol) -> Known:
    """What has its channels behind, and is seen with them in front."""
    return Known(symbol, inverse((0, *range(2, len(symbol.shape)), 1)))
