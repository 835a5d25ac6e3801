"""What a forward pass must know besides its input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar

from backprop import masks
from backprop.nest import each


@dataclass(frozen=True)
class Context:
    """What a forward pass must know besides its input.

    Attributes
    ----------
    training : bool or None
        Dropout drops and batch normalization takes the batch's statistics. None where a call did
        not say: inference, but for layers that change images, which Keras' call has do it.
    mask : array_like of bool, (batch, time), optional
        True at a real step, False at padding; 1 and 0 will do. It may have more axes, of steps
        within steps, or that of the batch alone, and becomes an array of booleans here. For a layer
        of several inputs a tuple with a mask or None for each, or None where none has one.
    backward : bool
        Whether a backward pass may follow. Where not, containers drop each cache at once.
    penalties : list, optional
        Where layers put penalties on their activity; the trainer adds them to the loss.
    ranks : Ranks, optional
        The processes that have the other rows of this batch, see `backprop.distributed`: a layer
        with statistics of the batch takes those of all ranks. None where all rows are here.
    """

    training: bool | None = False
    mask: Any = None
    backward: bool = True
    penalties: list | None = None
    ranks: Any = None

    def __post_init__(self):
        if self.mask is not None:
            found = each(lambda mask: masks.flags(mask, "Context"), self.mask)
            object.__setattr__(self, "mask", found)

    def with_mask(self, mask: Any) -> Context:
        return self if mask is self.mask else replace(self, mask=mask)

    def with_training(self, training: bool | None) -> Context:
        return self if training is self.training else replace(self, training=training)


class Logits(NamedTuple):
    """dL/dz where a network's output is a softmax of z: what a loss that knows this may give back
    in the place of dL/dy."""

    dz: Any


Found = TypeVar("Found")


@dataclass
class Constants:
    """What the layers of one forward pass have said to be constants, in order.

    Attributes
    ----------
    found : list of (str, object)
        What each is called, and its value.
    """

    found: list[tuple[str, Any]] = field(default_factory=list)
    left: list[Any] | None = None  # those that are still to be given back

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Within the block what `constant` makes is kept."""
        with self._at_hand(None):
            yield

    @contextmanager
    def given_back(self) -> Iterator[None]:
        """Within the block `constant` gives what was kept, and makes nothing."""
        with self._at_hand([value for _, value in self.found]):
            yield

    @contextmanager
    def _at_hand(self, left: list[Any] | None) -> Iterator[None]:
        self.left = left
        token = _constants.set(self)
        try:
            yield
        finally:
            _constants.reset(token)


_constants: ContextVar[Constants | None] = ContextVar("constants", default=None)


def constant(what: str, make: Callable[[], Found]) -> Found:
    """A value of a forward pass that the layer's backward pass counts as a constant on purpose.

    Differences see how it moves, and would call the gradient wrong. So a check of gradients asks
    for it once at a point and holds it while it moves from there; elsewhere it is `make()`.

    Parameters
    ----------
    what : str
        What it is called in a report.
    make : callable
        Computes it.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.gradcheck import gradcheck
    >>> from backprop.layer import INFERENCE, Layer
    >>> class Detached(Layer):
    ...     def forward(self, x, ctx=INFERENCE):
    ...         scale = constant("scale", lambda: np.abs(x).max())
    ...         return x / scale, scale
    ...
    ...     def backward(self, dy, scale):
    ...         return dy / scale
    >>> report = gradcheck(Detached(), np.array([[1.0, -2.0]]))
    >>> report.verdict, report.skipped[0]
    ('pass', 'scale: held constant, as backward says it is')
    """
    noted = _constants.get()
    if noted is None:
        return make()
    if noted.left:
        return noted.left.pop(0)
    value = make()
    if noted.left is None:
        noted.found.append((what, value))
    return value


INFERENCE = Context()
TRAINING = Context(training=True)
PREDICT = Context(backward=False)
