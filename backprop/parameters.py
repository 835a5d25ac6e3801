"""One vector of values, one vector of gradients: a model's arrays are views of the two.

A layer is born with arrays of its own. When a model is built, `ParameterVector` lays all trainable
values side by side in one block of memory, all gradients in another, and puts views of them into
the layers. An optimizer is then a function of two vectors, a global norm is one dot product, a
checkpoint is one write.

Two models may share layers. The model that was built last has them in its memory; the vector of the
other then consists of several stretches, which is why everything that walks over values walks over
segments.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from backprop.variable import Variable

Array = np.ndarray


class Parameter:
    """A trainable array of a layer (or a buffer: a weight that is saved and never trained).

    Attributes
    ----------
    value, gradient : ndarray
        Of the same shape. A buffer's gradient is None.
    layer : Layer
        Whose it is; a replica has parameters of its own that share the value.
    """

    def __init__(
        self,
        layer,
        name: str,
        value: Array,
        gradient: Array | None,
        regularizer=None,
        constraint=None,
    ):
        self._layer = weakref.ref(layer)
        self.name = name
        self.value = value
        self.gradient: Any = gradient
        self.regularizer = regularizer
        self.constraint = constraint
        self.memory: Memory | None = None
        self.offset = 0
        self.replicas: weakref.WeakSet[Parameter] = weakref.WeakSet()

    @property
    def layer(self) -> Any:
        return self._layer()

    @property
    def trainable(self) -> bool:
        return self.gradient is not None and self.layer.trainable

    @property
    def path(self) -> str:
        return f"{self.layer.name}/{self.name}"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def size(self) -> int:
        return self.value.size

    @property
    def variable(self) -> Variable:
        """The value, with what Keras' users ask of it: a name, `assign`, `numpy`."""
        return Variable.of(self)

    def place(self, value: Array, gradient: Array | None) -> None:
        """Move into other arrays: values and gradients are copied, the layer's attributes become
        the new arrays."""
        value[...] = self.value
        if gradient is not None:
            gradient[...] = self.gradient
        self.bind(value, gradient)

    def bind(self, value: Array, gradient: Array | None) -> None:
        self.value, self.gradient = value, gradient
        if self.layer is not None:
            self.layer.bind(self)
        for replica in self.replicas:
            replica.bind(value, replica.gradient)

    def astype(self, dtype) -> None:
        """Change the dtype of value and gradient; views of the arrays so far are left behind."""
        self.memory = None
        self._cast_gradients(dtype)
        self.bind(self.value.astype(dtype), self.gradient)

    def _cast_gradients(self, dtype) -> None:
        self.gradient = None if self.gradient is None else self.gradient.astype(dtype)
        for replica in self.replicas:
            replica._cast_gradients(dtype)

    def replica(self, layer) -> Parameter:
        """A parameter of `layer` with this value and a gradient of its own."""
        own = None if self.gradient is None else np.zeros_like(self.gradient)
        twin = Parameter(layer, self.name, self.value, own, self.regularizer, self.constraint)
        return self._stood_for_by(twin)

    def _stood_for_by(self, twin: Parameter) -> Parameter:
        self.replicas.add(twin)
        return twin

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {
            "_layer": self.layer,
            "memory": None,
            "replicas": list(self.replicas),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        self._layer = weakref.ref(state["_layer"])
        self.replicas = weakref.WeakSet(state["replicas"])

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path} {self.shape} {self.value.dtype}>"


class State(Parameter):
    """What a layer carries from one call to the next: a part of a run, and no weight of the layer.

    Attributes
    ----------
    fill : float
        What it is filled with at first, and by `reset`.
    """

    def __init__(self, layer, name: str, value: Array, fill: float):
        super().__init__(layer, name, value, None)
        self.fill = fill

    def reset(self) -> None:
        self.value[...] = self.fill

    def replica(self, layer) -> Parameter:
        return self._stood_for_by(State(layer, self.name, self.value, self.fill))


class Memory:
    """One block of values, one of gradients. No longer live once a parameter has moved out."""

    def __init__(self, size: int, dtype):
        self.values = np.zeros(size, dtype)
        self.gradients = np.zeros(size, dtype)
        self.live = True


class Segment:
    """A contiguous stretch of values and gradients, and the parameters that lie in it.

    Attributes
    ----------
    values, gradients : ndarray
        Views.
    start : int
        Where the stretch begins when all parameters of the `ParameterVector` are counted in order.
    """

    def __init__(self, parameters: list[Parameter], start: int):
        memory = parameters[0].memory
        assert memory is not None
        here = slice(parameters[0].offset, parameters[-1].offset + parameters[-1].size)
        self.memory = memory
        self.values = memory.values[here]
        self.gradients = memory.gradients[here]
        self.parameters = parameters
        self.start = start

    @property
    def size(self) -> int:
        return self.values.size


class ParameterVector:
    """The trainable arrays of a model as one vector of values and one of gradients.

    Parameters
    ----------
    parameters : iterable of Parameter
        In the model's order. They are moved into fresh memory, side by side, unless they lie so
        already.

    Examples
    --------
    >>> import backprop as bp
    >>> model = bp.Sequential([bp.Input((3,)), bp.layers.Dense(2)])
    >>> model.parameters.values.shape
    (8,)
    >>> model.parameters.values[:] = 1
    >>> model.layers[0].bias
    array([1., 1.], dtype=float32)
    """

    def __init__(self, parameters: Iterable[Parameter]):
        self.parameters = list(parameters)
        if any(p.memory is None for p in self.parameters) or len(merge(self.parameters)) > 1:
            self._lay()
        self._segments: list[Segment] = []
        self._trained: list[bool] = []
        self.refresh()

    def _lay(self) -> None:
        memory = Memory(self.size, self.parameters[0].value.dtype)
        offset = 0
        for p in self.parameters:
            if p.memory is not None:
                p.memory.live = False
            here = slice(offset, offset + p.size)
            p.place(memory.values[here].reshape(p.shape), memory.gradients[here].reshape(p.shape))
            p.memory, p.offset = memory, offset
            offset += p.size

    def refresh(self) -> None:
        """Take note of layers that were frozen or thawed."""
        trained = [p.trainable for p in self.parameters]
        if trained != self._trained:
            self._trained = trained
            self._find_segments()

    def _find_segments(self) -> None:
        segments = merge(self.parameters, lambda p: p.trainable)
        if not same_stretches(segments, self._segments):  # who has prepared for them knows the list
            self._segments = segments

    def segments(self) -> list[Segment]:
        """The trainable stretches: one, unless layers are frozen or shared with another model."""
        for segment in self._segments:
            if not segment.memory.live:
                self._find_segments()
                break
        return self._segments

    @property
    def size(self) -> int:
        return sum(p.size for p in self.parameters)

    @property
    def values(self) -> Array:
        """All values as one vector: a view, unless another model took some of the layers into its
        own vector."""
        return self._whole("values")

    @property
    def gradients(self) -> Array:
        """All gradients as one vector: a view, unless another model took some of the layers into
        its own vector."""
        return self._whole("gradients")

    def _whole(self, kind: str) -> Array:
        stretches = [getattr(segment, kind) for segment in merge(self.parameters)]
        return (
            stretches[0]
            if len(stretches) == 1
            else np.concatenate([np.zeros(0, np.float32), *stretches])
        )


def same_stretches(a: list[Segment], b: list[Segment]) -> bool:
    return len(a) == len(b) and all(
        s.memory is t.memory and s.parameters == t.parameters for s, t in zip(a, b, strict=True)
    )


def merge(
    parameters: list[Parameter], wanted: Callable[[Parameter], bool] = lambda p: True
) -> list[Segment]:
    """Join the wanted ones among the parameters where they lie side by side in one memory."""
    segments: list[Segment] = []
    run: list[Parameter] = []
    start = position = 0
    for p in parameters:
        follows = run and p.memory is run[-1].memory and p.offset == run[-1].offset + run[-1].size
        if run and not (follows and wanted(p)):
            segments.append(Segment(run, start))
            run = []
        if wanted(p):
            if not run:
                start = position
            run.append(p)
        position += p.size
    if run:
        segments.append(Segment(run, start))
    return segments


_allowance: ContextVar[list[int] | None] = ContextVar("allowance", default=None)


@contextmanager
def at_most(numbers: int):
    """Within the block layers can make no more weights than so many numbers, as many as a file
    holds that is being read: what a file declares is an error before it is memory."""
    token = _allowance.set([numbers])
    try:
        yield
    finally:
        _allowance.reset(token)


def spend(numbers: int, what: str) -> None:
    """Take so many numbers from the allowance, if there is one; `what` begins the error."""
    left = _allowance.get()
    if left is not None:
        left[0] -= numbers
        if left[0] < 0:
            raise ValueError(f"{what} of {numbers:,} numbers, more than there are weights for it")
