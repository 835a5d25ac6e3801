"""What a forward pass must know besides its input."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from backprop import masks

Array = np.ndarray


@dataclass(frozen=True)
class Context:
    """What a forward pass must know besides its input.

    Attributes
    ----------
    training : bool
        Dropout drops and batch normalization takes the batch's statistics.
    mask : array_like of bool, (batch, time), optional
        True at a real step, False at padding; 1 and 0 will do. It may have more axes, of steps
        within steps, or that of the batch alone, and becomes an array of booleans here.
    backward : bool
        Whether a backward pass may follow. Where not, containers drop each cache at once.
    penalties : list, optional
        Where layers put penalties on their activity; the trainer adds them to the loss.
    """

    training: bool = False
    mask: Array | None = None
    backward: bool = True
    penalties: list | None = None

    def __post_init__(self):
        if self.mask is not None:
            object.__setattr__(self, "mask", masks.flags(self.mask, "Context"))

    def with_mask(self, mask: Array | None) -> Context:
        return self if mask is self.mask else replace(self, mask=mask)


INFERENCE = Context()
TRAINING = Context(training=True)
PREDICT = Context(backward=False)
