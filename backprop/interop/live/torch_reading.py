"""Modules of PyTorch, read call by call: their arrays, and the layers that are drawn on them.

`torch.fx` runs a module's `forward` on symbols and writes down whom it calls. Each kind of module
has a small function in the table `MODULES`, and each function of PyTorch in `FUNCTIONS`:

    @reads_module("Softmax")
    def softmax(r, module, x):
        return r.along(x, module.dim, L.Softmax)

Two runs on real arrays, of two batch sizes, say which shapes there are and which numbers depend on
the batch. What has no counterpart is noted, and the rest is read all the same, so that one error
names all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backprop import layers as L
from backprop.interop.drawing import Drawer, Known
from backprop.symbols import Symbol

Array = np.ndarray
Reader = Callable[..., Any]
MODULES: dict[str, Reader] = {}
FUNCTIONS: dict[str, Reader] = {}
FEATUREWISE: set[str] = set()  # what treats each feature by itself, by the name of its class
BATCHES = 2, 3  # rows of the two runs


def reads_module(*names: str) -> Callable[[Reader], Reader]:
    """Enter a function for some classes of `torch.nn` into the table."""

    def enter(function: Reader) -> Reader:
        MODULES.update(dict.fromkeys(names, function))
        return function

    return enter


def reads_function(*names: str) -> Callable[[Reader], Reader]:
    """Enter a function for functions, operators and methods of tensors into the table."""

    def enter(function: Reader) -> Reader:
        FUNCTIONS.update(dict.fromkeys(names, function))
        return function

    return enter


@dataclass(frozen=True)
class Seen(Known):
    """An array of PyTorch, as the layers make it.

    Attributes
    ----------
    columns : ndarray, optional
        Of features that were flattened with their channels behind: feature j of PyTorch is feature
        columns[j] of the symbol.
    lies : bool
        Whether it is an image that lies as layers of images have it, or steps likewise: an output
        stays so.
    """

    columns: Array | None = None
    lies: bool = False


class Lost:
    """Stands for what could not be read."""


def seen(symbol: Symbol) -> Seen:
    """An array that lies as PyTorch has it."""
    return Seen(symbol, tuple(range(len(symbol.shape))))


def lying(symbol: Symbol, order: tuple[int, ...]) -> Seen:
    """An array that lies as layers have it, otherwise than in PyTorch."""
    return Seen(symbol, order, lies=True)


OURS = "Heads", "Rectifier", "GaussianNoise", "GaussianDropout"  # of torch_modules.py


def class_of(module: Any) -> str:
    """The name of a class that is read as a whole, of `torch.nn` or what `to_torch` writes; of a
    user's own class "", whatever it is called."""
    known = type(module).__module__.startswith("torch.nn.modules.") or is_ours(module)
    return type(module).__name__ if known else ""


def is_ours(module: Any) -> bool:
    where = type(module).__module__ == "backprop.interop.live.torch_modules"
    return where and type(module).__name__ in OURS


class ModuleReader(Drawer):
    """Draws layers for the calls of a traced module.

    Attributes
    ----------
    node : torch.fx.Node
        What is being read.
    results : list of dict
        Of each run: what every node returned.
    faults : list of (str, str)
        Where something has no counterpart, and why.
    """

    def __init__(self, traced: Any, results: list[dict[Any, Any]]):
        super().__init__()
        self.traced, self.results = traced, results
        self.modules = dict(traced.named_modules())
        self.values: dict[Any, Any] = {}
        self.faults: list[tuple[str, str]] = []
        self.node: Any = None
        self._parts = 0

    # ------------------------------------------------------------------------- the calls

    def read_all(self, doors: dict[Any, Seen]) -> list[Seen]:
        """Read all calls; what comes out."""
        self.values |= doors
        outputs: list[Seen] = []
        for node in self.traced.graph.nodes:
            self.node, self._parts = node, 0
            if node.op == "placeholder":
                continue
            try:
                if node.op == "output":
                    outputs = [*self.outputs(node)]
                else:
                    self.values[node] = self.checked(self.read(node))
            except Exception as error:  # arguments that are of no layer raise anything
                self.faults.append((self.place(node), str(error) or type(error).__name__))
                self.values[node] = self.stand_in(self.result(node))
        return outputs

    def read(self, node: Any) -> Any:
        if not self.depends(node):
            return self.constant_of(node)
        given = [self.value(a) for a in node.args]
        named = {k: self.value(v) for k, v in node.kwargs.items()}
        if any(isinstance(v, Lost) for v in (*given, *named.values())):
            return Lost()
        if node.op == "call_module":
            module = self.modules[node.target]
            reader = MODULES.get(class_of(module))
            if reader is None:
                raise ValueError(f"there is no layer for {type(module).__name__}")
            if module._forward_hooks or module._forward_pre_hooks:
                raise ValueError("it has hooks, which may change what it does")
            return reader(self, module, *given, **named)
        name = node.target if isinstance(node.target, str) else node.target.__name__
        reader = FUNCTIONS.get(name.strip("_"))
        if reader is None:
            raise ValueError(f"there is no layer for the function {name}")
        return reader(self, *given, **named)

    def outputs(self, node: Any) -> Iterator[Seen]:
        given = node.args[0]
        for one in given if isinstance(given, list | tuple) else [given]:
            found = self.value(one)
            if isinstance(found, tuple):  # of a recurrent module: its outputs without its states
                found = found[0]
            if isinstance(found, Lost):
                continue
            if not isinstance(found, Seen):
                raise ValueError("an output is no array that layers make, or a dict of them")
            yield found

    def value(self, argument: Any) -> Any:
        """An argument of a call, with what was read in place of nodes."""
        if isinstance(argument, list | tuple):
            return type(argument)(self.value(a) for a in argument)
        if isinstance(argument, slice):
            return slice(*map(self.value, (argument.start, argument.stop, argument.step)))
        if type(argument).__name__ == "Node":
            return self.values[argument]
        return argument

    def place(self, node: Any) -> str:
        return str(node.target) if node.op == "call_module" else str(node.name)

    def refused(self, why: str) -> ValueError:
        return ValueError(why)

    # ------------------------------------------------------------------------- what runs said

    def result(self, node: Any) -> Any:
        return self.results[0][node]

    def shape(self) -> tuple[int, ...]:
        """Of what the call that is being read returns, in the first run."""
        return tuple(self.result(self.node).shape)

    def depends(self, node: Any) -> bool:
        """Whether what a call returns are arrays that are made of inputs."""
        return any(depends_on(a, self.values) for a in (*node.args, *node.kwargs.values())) and (
            node.op not in ("get_attr",) and holds_arrays(self.result(node))
        )

    def constant_of(self, node: Any) -> Any:
        """What does not depend on inputs: sizes, numbers, constants, parameters by themselves."""
        if node.op == "get_attr":
            return self.result(node)
        one, other = (results[node] for results in self.results)
        if not holds_arrays(one):
            return one if one == other else Varies(one)
        if one.shape != other.shape:
            return Varies(one)
        return one

    def checked(self, found: Any) -> Any:
        """What was read, if it has the shape that PyTorch gave."""
        result = self.result(self.node)
        if isinstance(found, Seen) and hasattr(result, "shape"):
            pairs = [*zip(found.shape, result.shape, strict=True)]
            if any(size not in (None, wanted) for size, wanted in pairs):
                raise ValueError(f"layers make {found.shape} of it, PyTorch {tuple(result.shape)}")
        return found

    def stand_in(self, result: Any) -> Any:
        """An array of the right shape for one that could not be read, so that reading goes on."""
        if isinstance(result, tuple | list):
            return tuple(self.stand_in(r) for r in result)
        if not hasattr(result, "shape") or tuple(result.shape[:1]) != BATCHES[:1]:
            return Lost()
        return seen(L.Input(tuple(result.shape[1:])))

    # ------------------------------------------------------------------------- arrays

    def known(self, x: Any) -> Seen:
        if not isinstance(x, Seen):
            raise self.refused("it is called on a constant, or on what is no array")
        return x

    def arranged(self, x: Known, order: tuple[int, ...]) -> Symbol:
        assert getattr(x, "columns", None) is None, "features in another order reach what needs it"
        return super().arranged(x, order)

    def natural(self, x: Any) -> Seen:
        """The array with its axes as PyTorch sees them."""
        return seen(self.plain(x))

    def through(self, x: Any, *layers: Any) -> Seen:
        """What layers make that work number by number."""
        x = self.known(x)
        for layer in layers:
            x = replace(x, symbol=self.once(layer)(x.symbol))
        return x

    def axis_of(self, x: Seen, axis: Any) -> int:
        """Which axis of the symbol PyTorch calls so."""
        return x.order[self.axis(axis, x.ndim)]

    def along(self, x: Any, axis: Any, kind: Callable[..., Any]) -> Seen:
        """What a layer of a kind makes along an axis."""
        x = self.known(x)
        if axis is None:
            raise self.refused("it does not say along which axis")
        own = self.axis_of(x, axis)
        if own == 0:
            raise self.refused("it goes along the batch")
        return self.through(x, kind(axis=-1 if own == x.ndim - 1 else own))

    def reshaped(self, x: Any, shape: tuple[int, ...]) -> Seen:
        """The array in another shape, which begins with the batch."""
        x = self.known(x)
        sizes = x.symbol.shape[1:]
        if None in sizes:
            raise self.refused("sizes that are None are not known when it changes the shape")
        if shape[:1] != BATCHES[:1] or np.prod(shape[1:], dtype=int) != np.prod(sizes, dtype=int):
            raise self.refused(f"it takes the batch apart: {shape} with a batch of {BATCHES[0]}")
        layer = L.Flatten() if len(shape) == 2 else L.Reshape(tuple(shape[1:]))
        turned = [axis for axis in x.order if axis and sizes[axis - 1] > 1]
        if x.order[0] == 0 and turned == sorted(turned):
            return seen(self.once(layer)(x.symbol))
        if len(shape) == 2 and x.order[0] == 0 and self.only_features(self.node):
            places = np.arange(np.prod(sizes, dtype=int)).reshape(sizes)
            columns = places.transpose([axis - 1 for axis in x.order[1:]]).reshape(-1)
            return replace(seen(self.once(layer)(x.symbol)), columns=columns)
        return seen(self.once(layer)(self.plain(x)))

    def only_features(self, node: Any) -> bool:
        """Whether all that reads an array puts weights to its features one by one."""
        for user in node.users:
            name = class_of(self.modules[user.target]) if user.op == "call_module" else user.target
            name = getattr(name, "__name__", name)
            if name == "Linear" or isinstance(self.result(user), int):
                continue
            if name not in FEATUREWISE or not self.only_features(user):
                return False
        return bool(node.users)

    # ------------------------------------------------------------------------- weights

    def once(self, layer: Any) -> Any:
        """The layer, or the one that was made for this part of this module before."""
        return self._made.setdefault(self._part(), layer)

    def weighted(self, layer: Any, x: Any, *weights: Array, **options: Any) -> Any:
        made = self.once(layer)
        new = made is layer
        y = made(x, **options)
        if new:
            arrays = made.arrays()
            assert [p.shape for p in arrays] == [w.shape for w in weights], (made, weights)
            for p, w in zip(arrays, weights, strict=True):
                p.value[...] = w
            if self.frozen():
                made.trainable = False
        return y

    def frozen(self) -> bool:
        """Whether the module that is being read has weights, and none that is trained."""
        if self.node.op != "call_module":
            return False
        given = [*self.modules[self.node.target].parameters()]
        return bool(given) and not any(p.requires_grad for p in given)

    def _part(self) -> Any:
        """Which layer of which module comes next; a function has new ones in each call."""
        self._parts += 1
        who = self.modules[self.node.target] if self.node.op == "call_module" else self.node
        return id(who), self._parts


class Varies:
    """What is no array of inputs and differs with the batch; in the first run it was `value`."""

    def __init__(self, value: Any):
        self.value = value


def depends_on(argument: Any, values: dict[Any, Any]) -> bool:
    if isinstance(argument, list | tuple):
        return any(depends_on(a, values) for a in argument)
    found = values.get(argument) if type(argument).__name__ == "Node" else None
    if isinstance(found, list | tuple):
        return any(isinstance(f, Seen | Lost | tuple | list) for f in found)
    return isinstance(found, Seen | Lost)


def holds_arrays(value: Any) -> bool:
    if isinstance(value, list | tuple) and type(value).__name__ != "Size":
        return any(map(holds_arrays, value))
    return hasattr(value, "shape") and hasattr(value, "dtype")


def array(tensor: Any) -> Array:
    """A tensor's numbers."""
    if tensor.dtype.is_floating_point and tensor.element_size() < 4:
        raise ValueError(f"its weights are {tensor.dtype}, and float32 and float64 are read")
    return tensor.detach().cpu().numpy().copy()


def weights_of(*tensors: Any) -> list[Array]:
    """Those that are there, as arrays."""
    return [array(t) for t in tensors if t is not None]
