"""What a graph of layers is built with from a graph of ONNX: its arrays, and the layers on them.

The table `READERS` has a small function for each operator:

    @reads("Neg")
    def negative(r, node, x):
        return r.on(x, layers.MultiplyBy(-1.0))

How arrays are known whose axes ONNX sees in another order: `backprop/interop/drawing.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from backprop.interop.drawing import Drawer, Known
from backprop.interop.onnx_reading import File, Node

Array = np.ndarray
Reader = Callable[..., Any]
READERS: dict[str, Reader] = {}
OF_MASKS: dict[str, Reader] = {}  # for operators on what stands for a mask


def reads(*ops: str) -> Callable[[Reader], Reader]:
    """Enter a function for some operators into the table."""

    def enter(function: Reader) -> Reader:
        READERS.update(dict.fromkeys(ops, function))
        return function

    return enter


def reads_masks(*ops: str) -> Callable[[Reader], Reader]:
    """Enter a function for some operators on masks into their table."""

    def enter(function: Reader) -> Reader:
        OF_MASKS.update(dict.fromkeys(ops, function))
        return function

    return enter


class Followed:
    """What stands for an array that no layer makes, such as a mask, until a layer takes it in."""


class Builder(Drawer):
    """A graph of layers that is being built.

    Attributes
    ----------
    file : File
    arrays : dict of str to Known or ndarray
    done : set of int
        The nodes, by identity, that were taken together with one before them.
    followed : bool
        Whether there are masks.
    masks : dict
        What is known of those that come with arrays: see `masks_of`.
    """

    def __init__(self, file: File):
        super().__init__()
        self.file = file
        self.arrays: dict[str, Known | Array | None] = {"": None, **file.constants}
        self.done: set[int] = set()
        self.followed = False
        self.masks: dict[int, Any] = {}
        self.node: Node

    # ----------------------------------------------------------------------- the graph

    def read_all(self) -> None:
        for node in self.file.nodes:
            if id(node) in self.done:
                continue
            self.node = node
            given = [self.arrays[name] for name in node.inputs]
            masks = any(isinstance(x, Followed) for x in given) and node.op in OF_MASKS
            table = OF_MASKS if masks else READERS
            if node.op not in table:
                known = ", ".join(sorted(READERS))
                raise ValueError(f"its operator {node.op[:80]!r} is not read: these are, {known}")
            if not given and node.op != "Constant":
                raise ValueError(f"its {node.op} reads nothing")
            found = table[node.op](self, node, *given)
            self.followed |= isinstance(found, Followed)
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
