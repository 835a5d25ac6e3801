"""What mistakes in several families share: a mix-in stands before the layer that it spoils.

@padded("C")
class ConvolutionPaysMaskedSteps(ForgetsItsMask, Conv1D):
    '''dx at a masked step, which forward takes as 0, is that of any other step.'''
"""

from __future__ import annotations

from typing import Any

from backprop.layer import INFERENCE, TRAINING

Mixin: Any = object  # what `super()` finds is known only beside a layer


class PassesOn(Mixin):
    """dx = dy."""

    def backward(self, dy, cache):
        return dy


class Recalling(Mixin):
    """What is reversed is `recalled(*cache)`, and not what forward kept."""

    def backward(self, dy, cache):
        return super().backward(dy, self.recalled(*cache))


class RecallingLoss(Mixin):
    """The same of a loss."""

    def gradient(self, dvalues, cache):
        return super().gradient(dvalues, self.recalled(*cache))


class ForgetsItsMask(Recalling):
    """The way back without the mask, which is the last part of the cache."""

    def recalled(self, *cache):
        return *cache[:-1], None


class Spoiling(Mixin):
    """The way back is right, until `spoil` changes the gradients of the parameters."""

    def backward(self, dy, cache):
        dx = super().backward(dy, cache)
        self.spoil(dy, cache)
        return dx


class AlwaysTraining(Mixin):
    """Inference does what training does."""

    def forward(self, x, ctx=INFERENCE):
        return super().forward(x, TRAINING)
