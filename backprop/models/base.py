"""What every model has, be it a chain or a graph: one vector, a trainer, files."""

from __future__ import annotations

from typing import Any

from backprop import checks
from backprop.input_spec import with_last_axis
from backprop.layer import Layer
from backprop.layers.containers import Listed, take_in
from backprop.models.habits import Habits
from backprop.models.insight import Insight
from backprop.models.inspected import Inspected
from backprop.models.trained import Trained
from backprop.spelling import nearest
from backprop.symbols import Symbol
from backprop.training.hooks import refuse
from backprop.training.trainer import Trainer
from backprop.vector import ParameterVector


class BaseModel(Trained, Habits, Insight, Inspected, Listed):
    """A container that can be trained, put before the class of the container.

    How a model is compiled and trained is in `backprop.models.trained`, how it is saved, described
    and lets text go on in `backprop.models.habits`, what it can be asked about itself in
    `backprop.models.insight` and `backprop.models.inspected`.
    """

    def __init__(self, *arguments: Any, **options: Any):
        self.trainer: Trainer | None = None
        self.history: Any = None
        self.stop_training = False
        self._vector: ParameterVector | None = None
        self._asked: dict[Any, Any] = {}  # what predictions need to know, by the shape of a row
        super().__init__(*arguments, **options)

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        refuse(type(self))
        return super().__call__(*inputs, **named)

    def cast(self, x: Any) -> Any:
        x = super().cast(x)
        declared = self.build_shape if self.built else None
        if declared is None:
            return x
        if type(x) is not tuple:
            return with_last_axis(x, declared)
        return tuple([with_last_axis(a, s) for a, s in zip(x, declared, strict=False)])

    @property
    def parameters(self) -> ParameterVector:
        """All trainable values as one vector, all gradients as another."""
        self._require_built("parameters")
        if self._vector is None:
            self._vector = ParameterVector(p for p in self.arrays() if p.gradient is not None)
        return self._vector

    def _require_built(self, what: str) -> None:
        if not self.built:
            raise ValueError(
                f"{self.name} is not built yet, so it has no {what}: give it an Input, call it on "
                "data, or build((None, ...))"
            )

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """A layer by its name or its place."""
        if (name is None) == (index is None):
            raise ValueError("get_layer() takes a name or an index")
        if index is not None:
            index = checks.index(index, "get_layer()", "index")
            if not -len(self.layers) <= index < len(self.layers):
                raise ValueError(
                    f"{self.name} has {len(self.layers)} layers and was asked for number {index}"
                )
            return self.layers[index]
        names = [layer.name for layer in self.layers]
        if name not in names:
            raise ValueError(
                f"{self.name} has no layer {name!r}{nearest(name, names)}; "
                f"it has {', '.join(names)}"
            )
        return self.layers[names.index(name)]

    @property
    def inputs(self) -> list[Symbol]:
        """What goes in, symbolic arrays."""
        return list(self._drawing("inputs")[0])

    @property
    def outputs(self) -> list[Symbol]:
        """What comes out, symbolic arrays."""
        return list(self._drawing("outputs")[1])

    @property
    def input(self) -> Any:
        """What goes in: a symbolic array, or lists and dicts of several as the model takes them."""
        return self._drawing("input")[0][0]

    @property
    def output(self) -> Any:
        """What comes out: a symbolic array, or lists and dicts of several as the model gives
        them."""
        return self._drawing("output")[1][0]

    def _drawing(self, what: str) -> tuple[list[Symbol], list[Symbol]]:
        if not self.built:
            raise AttributeError(
                f"{self.name} is not built yet, so it has no {what}: give it an Input, call it on "
                "data, or build((None, ...))"
            )
        return self.symbols()

    def __getstate__(self):
        return super().__getstate__() | {"_vector": None, "_asked": {}}

    def __setstate__(self, state):
        super().__setstate__(state)
        for p in (p for layer in self.walk() for p in layer._parameters.values()):
            p.memory = None
        take_in(self, self.layers)
