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

from collections.abc import Callable, Iterable

import numpy as np

from backprop.parameters import Freezing, Parameter

Array = np.ndarray


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
        self._frozen, trained = Freezing.count, [p.trainable for p in self.parameters]
        if trained != self._trained:
            self._trained = trained
            self._find_segments()

    def _find_segments(self) -> None:
        segments = merge(self.parameters, lambda p: p.trainable)
        if not same_stretches(segments, self._segments):  # who has prepared for them knows the list
            self._segments = segments

    def segments(self) -> list[Segment]:
        """The trainable stretches: one, unless layers are frozen or shared with another model."""
        if self._frozen != Freezing.count:
            self.refresh()
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
