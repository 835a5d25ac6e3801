"""Layers around another layer, and what they take over from it."""

from __future__ import annotations

from typing import Any

from backprop.counts import by_its
from backprop.layer import INFERENCE, Layer
from backprop.promises import short_for


class Wrapper(Layer):
    """y = layer(x): the base of layers that run another one in a way of their own.

        x: (N, ...), y: (N, ...), as the layer has them

    Nothing happens on the way there, and so nothing on the way back: dx is that of the layer, which
    sets the gradients of its own parameters.

    A subclass writes anew what it does otherwise, most often `forward` and `backward`, and calls
    those of this class to run the layer. What it puts into `wraps` is what an error says that it
    expects. Arguments of its own stand behind `layer`: ``k: float = argument(default=2.0,
    after="layer")``, with `argument` from `backprop.arguments`.

    Parameters
    ----------
    layer : Layer
    **kwargs
        `activity_regularizer`, by default that of the layer, and `trainable`, `dtype`, `name` of
        every `Layer`.

    Raises
    ------
    TypeError
        Where `layer` is not a layer.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layer import INFERENCE
    >>> from backprop.layers import Dense, Wrapper
    >>> class Negated(Wrapper):
    ...     def forward(self, x, ctx=INFERENCE):
    ...         y, cache = super().forward(x, ctx)
    ...         return -y, cache
    ...
    ...     def backward(self, dy, cache):
    ...         return super().backward(-dy, cache)
    >>> Negated(Dense(2, kernel_initializer="ones"))(np.array([[1.0, 2.0]]))
    array([[-3., -3.]], dtype=float32)
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
        self.string_input, self.output_kind = self.layer.string_input, self.layer.output_kind
        self.changes_mask = self.layer.changes_mask

    def build(self, input_shape):
        self.layer.build(input_shape)

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)

    def compute_mask(self, x, mask=None):
        return self.layer.compute_mask(x, mask)

    def obeys_mask(self, x, mask):
        return self.layer.obeys_mask(x, mask)

    @property
    def mask_caveat(self):
        return self.layer.mask_caveat

    def check_input(self, shape):
        self.layer.check_input(shape)

    def check_values(self, x):
        self.layer.check_values(x)

    multiply_adds = by_its("layer")

    def forward(self, x, ctx=INFERENCE):
        y, cache, _ = self.propagate_of(self.layer, x, ctx)
        return y, cache

    def backward(self, dy, cache):
        return self.backward_of(self.layer, dy, cache, self.build_shape)

    @short_for("forward", "backward")
    def backward_params(self, dy, cache):
        self.layer.backward_params(dy, cache)
