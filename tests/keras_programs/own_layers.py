"""Layers of a user's own, which are written in another way for each library: Keras differentiates
`call`, here `backward` is what was derived."""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.layer import INFERENCE, Layer


def divergence(keras: Any) -> Any:
    """A layer `(mean, log_var) → mean` that adds to the loss how far a normal distribution is from
    the standard one."""
    return Divergence if keras.__name__ == "backprop" else of_keras()["Divergence"]


def positions(keras: Any) -> Any:
    """A layer that adds a learned vector for each place of a sequence."""
    if keras.__name__ == "backprop":
        return keras.layers.PositionEmbedding
    return of_keras()["Positions"]


class Divergence(Layer):
    """y = mean, and the loss grows by weight mean over rows of KL(N(mean, e^log_var) ‖ N(0, 1)).

    mean, log_var, y: (N, d)

    KL = ½ Σ (e^log_var + mean² - 1 - log_var)
    dmean = dy + weight mean / N        dlog_var = ½ weight (e^log_var - 1) / N
    """

    weight: float = 1.0

    call_inputs = ("mean", "log_var")
    penalises = True  # type: ignore[assignment] - whatever it is given

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def forward(self, x, ctx=INFERENCE):
        mean, log_var = x
        if ctx.penalties is not None:
            far = 0.5 * (np.exp(log_var) + mean**2 - 1 - log_var).sum(-1)
            ctx.penalties.append(self.weight * far.mean())
        return mean, x

    def backward(self, dy, cache):
        mean, log_var = cache
        share = self.weight / len(mean)
        return dy + share * mean, 0.5 * share * (np.exp(log_var) - 1)


def of_keras() -> dict[str, Any]:
    import keras
    from keras import ops

    class Divergence(keras.layers.Layer):
        def __init__(self, weight=1.0, **kwargs):
            super().__init__(**kwargs)
            self.weight = weight

        def call(self, mean, log_var):
            far = ops.sum(ops.exp(log_var) + mean**2 - 1 - log_var, axis=-1) / 2
            self.add_loss(self.weight * ops.mean(far))
            return mean

    class Positions(keras.layers.Layer):
        def __init__(self, max_length, **kwargs):
            super().__init__(**kwargs)
            self.max_length, self.supports_masking = max_length, True

        def build(self, input_shape):
            self.table = self.add_weight(shape=(self.max_length, input_shape[-1]))

        def call(self, x):
            return x + self.table[: x.shape[1]]

    return {"Divergence": Divergence, "Positions": Positions}
