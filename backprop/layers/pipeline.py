"""Layers that prepare data, one behind the other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from backprop.layers.chain import Chain
from backprop.layers.images.base import ImageLayer, is_one_image


class Pipeline(Chain):
    """y = fₖ(… f₂(f₁(x))): a `Chain` of layers that prepare data, such as those that change images.

        x: (N, ...)    y: (N, ...), as fₖ has it

    A call that does not say whether it trains does. Where there are layers that change images, one
    image may be given without its batch, and a dict of images and what belongs to them: each layer
    is called on what the one before returned.

    Parameters
    ----------
    layers : list of Layer
    **kwargs : `name`, and `trainable` and `dtype` of every `Layer`

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.layers import AutoContrast, MixUp, Pipeline
    >>> pipeline = Pipeline([AutoContrast(), MixUp(seed=0)])
    >>> pipeline({"images": np.ones((2, 4, 4, 3)), "labels": np.eye(2)})["labels"].sum(1)
    array([1., 1.], dtype=float32)
    """

    def __init__(self, layers: Iterable[Any], **kwargs):
        super().__init__(layers, **kwargs)

    def __call__(self, *inputs: Any, training: Any = None, **named: Any) -> Any:
        x = inputs[0] if inputs else None
        of_images = any(isinstance(layer, ImageLayer) for layer in self.layers)
        if not of_images or not (isinstance(x, dict) or is_one_image(x)):
            return super().__call__(*inputs, training=training, **named)
        for layer in self.layers:
            x = layer(x, training=training is None or training, **named)
        return x

    def propagate(self, x, ctx):
        return super().propagate(x, ctx if ctx.training is not None else ctx.with_training(True))
