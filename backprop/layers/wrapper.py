"""Layers around another layer, and what they take over from it."""

from __future__ import annotations

from typing import Any

from backprop.layer import Layer


class Wrapper(Layer):
    """A layer that runs another one, `layer`, in a way of its own.

    A subclass says in `wraps` what it expects.
    """

    layer: Any

    wraps = "a layer"

    def __post_init__(self):
        if not isinstance(self.layer, Layer):
            who = type(self).__name__
            raise TypeError(f"{who} expects {self.wraps}, got {self.layer!r}: {who}(Dense(8))")
        # the penalty on the layer's y is one on this y: a container puts it behind this layer
        if self.activity_regularizer is None:
            self.activity_regularizer = self.layer.activity_regularizer
        self.integer_input = self.layer.integer_input
        self.changes_mask = self.layer.changes_mask
