"""A trainable array of a layer, and what else a layer keeps: buffers and states.

The layer's attributes are the parameter's arrays. `vector.py` moves them into one block of memory.
"""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from backprop.variable import Variable

Array = np.ndarray


NOT_SHOWN = None, None  # a value, and a weak reference to the Variable of it


class Freezing:
    """How often layers were frozen or thawed: who has taken note of them sees whether some were."""

    count = 0


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
        self.memory: Any = None  # a block of a model's vector, and where in it the arrays begin
        self.offset = 0
        self.replicas: weakref.WeakSet[Parameter] = weakref.WeakSet()
        self._shown: Any = NOT_SHOWN

    @property
    def layer(self) -> Any:
        return self._layer()

    @property
    def trainable(self) -> bool:
        return self.gradient is not None and self.layer.trainable

    @property
    def path(self) -> str:
        layer = self.layer  # it may be gone before its optimizer
        return f"{layer.name}/{self.name}" if layer is not None else self.name

    @property
    def full_path(self) -> str:
        """Keras' path of it: with the layers around the layer, and what it keeps its weights in."""
        layer = self.layer
        if layer is None:
            return self.name
        within = layer.weights_within
        return "/".join([layer.scope(), *([within] if within else []), self.name])

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def size(self) -> int:
        return self.value.size

    @property
    def variable(self) -> Variable:
        """The value, with what Keras' users ask of it: a name, `assign`, `numpy`. It is the same
        object as long as somebody has it and the value stays where it is."""
        value, shown = self._shown
        found = shown() if value is self.value else None
        if found is None:
            found = Variable.of(self)
            self._shown = self.value, weakref.ref(found)
        return found

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
            "_shown": NOT_SHOWN,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        owner = state["_layer"]  # None where it is gone
        self._layer = (lambda: None) if owner is None else weakref.ref(owner)
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
