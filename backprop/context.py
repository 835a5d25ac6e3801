"""What a forward pass must know besides its input."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from backprop import masks
from backprop.nest import each


@dataclass(frozen=True)
class Context:
    """What a forward pass must know besides its input.

    Attributes
    ----------
    training : bool
        Dropout drops and batch normalization takes the batch's statistics.
    mask : array_like of bool, (batch, time), optional
        True at a real step, False at padding; 1 and 0 will do. It may have more axes, of steps
        within steps, or that of the batch alone, and becomes an array of booleans here. For a layer
        of several inputs a tuple with a mask or None for each, or None where none has one.
    backward : bool
        Whether a backward pass may follow. Where not, containers drop each cache at once.
    penalties : list, optional
        Where layers put penalties on their activity; the trainer adds them to the loss.
    """

    training: bool = False
    mask: Any = None
    backward: bool = True
    penalties: list | None = None

    def __post_init__(self):
        if self.mask is not None:
            found = each(lambda mask: masks.flags(mask, "Context"), self.mask)
            object.__setattr__(self, "mask", found)

    def with_mask(self, mask: Any) -> Context:
        return self if mask is self.mask else replace(self, mask=mask)

    def with_training(self, training: bool) -> Context:
        return self if training is self.training else replace(self, training=training)


class Logits(NamedTuple):
    """dL/dz where a network's output is a softmax of z: what a loss that knows this may give back
    in the place of dL/dy."""

    dz: Any


INFERENCE = Context()
TRAINING = Context(training=True)
PREDICT = Context(backward=False)
