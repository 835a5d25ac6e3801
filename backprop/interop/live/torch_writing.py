"""What modules of PyTorch are written with: calls, and values whose axes wait to be turned.

Each kind of layer has a small function that appends its modules, in the table `EMITTERS`:

    @emits(layers.Softsign)
    def softsign(w, layer, x):
        return x.mapped(w.call(w.nn.Softsign(), x.name))

As in ONNX (`backprop/interop/onnx_writing.py`) a value may lie with its axes in another order than
the layer's: an image stays as a convolution made it, with its channels in front, until somebody
needs it otherwise.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from backprop import layers as L
from backprop.interop.live.torch_package import package
from backprop.interop.onnx_writing import Value, classes_of
from backprop.layer import Layer
from backprop.layers import registry
from backprop.nest import several

Array = np.ndarray
Emitter = Callable[["ModuleWriter", Any, Any], Any]
EMITTERS: dict[type, Emitter] = {}


class NotInTorch(ValueError):
    """A layer, or what it was given, for which there is no module."""


def emits(*classes: type) -> Callable[[Emitter], Emitter]:
    """Enter a function for some classes of layers into the table."""

    def enter(function: Emitter) -> Emitter:
        EMITTERS.update(dict.fromkeys(classes, function))
        return function

    return enter


class ModuleWriter:
    """A module that is being written.

    Parameters
    ----------
    inputs : int
        Of the model: the arrays with the first numbers.
    double : bool, default False
        Whether weights are float64.

    Attributes
    ----------
    torch, nn, own : module
        The packages, and the modules of `backprop/interop/live/torch_modules.py`.
    calls : list of (str, list of int, list of int)
        The name of a module, the arrays that it reads and those that it makes.
    steps : dict of str to Module
    faults : list of (str, str)
        Layers that have no module, by place, and why.
    """

    def __init__(self, inputs: int, double: bool = False):
        self.torch: Any = package()
        self.nn: Any = self.torch.nn
        self.own: Any = importlib.import_module("backprop.interop.live.torch_modules")
        self.calls: list[tuple[str, list[int], list[int]]] = []
        self.steps: dict[str, Any] = {}
        self.faults: list[tuple[str, str]] = []
        self.dtype = self.torch.float64 if double else self.torch.float32
        self._count = inputs
        self._at: list[str] = []  # the layers that are being written
        self._layer: Layer | None = None
        self._made: dict[Any, str] = {}  # the modules of a layer that is called again
        self._parts = 0
        self._turned: dict[Any, str] = {}

    @contextmanager
    def in_dtype(self) -> Iterator[None]:
        """Modules are made in the dtype that the model has."""
        before = self.torch.get_default_dtype()
        self.torch.set_default_dtype(self.dtype)
        try:
            yield
        finally:
            self.torch.set_default_dtype(before)

    # ------------------------------------------------------------------------- calls

    def call(self, module: Any, *reads: str) -> str:
        """Append a call of a module with one output; the number of the array that it makes."""
        return self.calls_of(module, reads, 1)[0]

    def calls_of(self, module: Any, reads: tuple[str, ...], outputs: int) -> list[str]:
        made = [*range(self._count, self._count + outputs)]
        self._count += outputs
        self.calls.append((self._named(module), [int(n) for n in reads], made))
        return [str(n) for n in made]

    def _named(self, module: Any) -> str:
        """The name of a module: of a layer that is called again, the one that it has."""
        self._parts += 1
        key = id(self._layer), self._parts
        if self._layer is None or key not in self._made:
            hint = "_".join(self._at) or type(module).__name__.lower()
            name, k = hint, 1
            while name in self.steps:
                name, k = f"{hint}_{k}", k + 1
            self.steps[name] = module
            self._made[key] = name
        return self._made[key]

    # ------------------------------------------------------------------------- values

    def arranged(self, x: Value, order: tuple[int, ...]) -> str:
        """The array with its axes in an order."""
        axes = tuple(x.laid[i] for i in order)
        if axes == tuple(range(len(axes))):
            return x.name
        key = x.name, axes
        if key not in self._turned:
            layer, self._layer = self._layer, None  # it belongs to no layer
            at, self._at = self._at, []
            self._turned[key] = self.call(self.own.Permute(*axes), x.name)
            self._layer, self._at = layer, at
        return self._turned[key]

    def plain(self, x: Value) -> str:
        """The array as a layer means it."""
        return self.arranged(x, tuple(range(x.ndim)))

    # ------------------------------------------------------------------------- layers

    def emit(self, layer: Layer, x: Any) -> Any:
        """Append what a layer does with a `Value`, or a tuple of them; what comes out."""
        before = self._layer, self._parts
        self._at.append("".join(c if c.isalnum() else "_" for c in layer.name))
        self._layer, self._parts = layer, 0
        try:
            emitter = next((EMITTERS[cls] for cls in classes_of(layer) if cls in EMITTERS), None)
            if emitter is None:
                raise NotInTorch(reason(type(layer)))
            if not any(one.integer_input for one in layer.walk()):
                x = tuple(map(self.as_float, x)) if isinstance(x, tuple) else self.as_float(x)
            return emitter(self, layer, x)
        except NotInTorch as error:
            self.faults.append(("/".join(self._at), f"{layer!r}: {error}"))
            return self.stand_in(layer, x)
        finally:
            self._at.pop()
            self._layer, self._parts = before

    def as_float(self, x: Any) -> Any:
        if x is None or not x.integer:
            return x
        return x.but(name=self.call(self.own.AsFloat(), x.name), integer=False)

    def stand_in(self, layer: Layer, x: Any) -> Any:
        """A value of the right shape, so that the layers behind are looked at too."""
        given = tuple(v.shape for v in x) if isinstance(x, tuple) else x.shape
        shape = layer.compute_output_shape(given)
        found = [Value("0", tuple(s)) for s in (shape if several(shape) else (shape,))]
        return tuple(found) if several(shape) else found[0]

    # ------------------------------------------------------------------------- weights

    def filled(self, module: Any, layer: Any, **weights: Array | None) -> Any:
        """The module with weights of a layer, frozen where the layer is."""
        with self.torch.no_grad():
            for name, value in weights.items():
                if value is not None:
                    tensor = getattr(module, name)
                    tensor.copy_(self.torch.tensor(np.ascontiguousarray(value)))
        if not layer.trainable:
            module.requires_grad_(False)
        return module

    def linear(self, layer: Any, kernel: Array, bias: Array | None) -> Any:
        module = self.nn.Linear(*kernel.shape, bias=bias is not None)
        return self.filled(module, layer, weight=kernel.T, bias=bias)


def reason(cls: type) -> str:
    """Why a class is in no table.

    Examples
    --------
    >>> from backprop import layers
    >>> reason(layers.Sparsemax)
    'there is no module for it'
    """
    if cls is L.Lambda:
        return "it is a function of Python"
    if cls.__name__ not in registry.classes or registry.classes[cls.__name__] is not cls:
        return "it is a class outside of the library"
    if cls in (L.Masking,):
        return "it makes a mask, and modules pass none on"
    if cls.__module__.startswith("backprop.layers.images"):
        return "it is one of the layers that prepare images: do so before the module"
    if cls.__module__.startswith(("backprop.layers.text", "backprop.layers.columns")):
        return "it prepares data: do so before the module"
    return "there is no module for it"


def level(w: ModuleWriter, xs: tuple[Value, ...]) -> tuple[list[str], tuple[int, ...] | None]:
    """Arrays in one order, and that order."""
    ndim = max(x.ndim for x in xs)
    if len({x.laid for x in xs}) == 1:
        return [x.name for x in xs], xs[0].order
    names = []
    for x in xs:
        name = w.plain(x)
        if x.ndim < ndim:  # those with fewer axes get theirs behind the batch
            name = w.call(w.own.Part(slice(None), *[None] * (ndim - x.ndim)), name)
        names.append(name)
    return names, None
