"""scikit-learn: `partial_fit` of its perceptrons, which share this row's arithmetic in float32.

Its regressor halves the loss and leaves the mean over the outputs out of the gradients, which are
therefore outputs / 2 times those of the mean squared error. Adam divides that out again when its
epsilon grows by the same factor, so the steps are equal.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor

from shared.layers import Dense
from shared.peers import NotOffered, Peer, Variants, require
from shared.peers.loop import Loop
from shared.rows import SGD, Array, Row, batches, weights


def variants(row: Row, peer: Peer) -> Variants:
    require(row, "Dense")
    if any(layer.activation != "relu" for layer in dense(row)[:-1]):
        raise NotOffered("one activation for all hidden layers, here ReLU")
    if row.loss == "binary" or (row.loss == "mse" and isinstance(row.optimizer, SGD)):
        raise NotOffered(f"no {row.loss} with {type(row.optimizer).__name__} that does this work")
    return {"partial_fit": lambda: partial_fit(row)}


def dense(row: Row) -> list[Dense]:
    return [layer for layer in row.layers if isinstance(layer, Dense)]


def estimator(row: Row, scale: float) -> Any:
    how = row.optimizer
    options: dict[str, Any] = {
        "hidden_layer_sizes": tuple(layer.units for layer in dense(row)[:-1]),
        "alpha": 0.0,
        "batch_size": row.batch,
        "shuffle": False,
        "learning_rate_init": how.lr,
        "random_state": 0,
    }
    if isinstance(how, SGD):
        options |= {"solver": "sgd", "momentum": how.momentum, "nesterovs_momentum": False}
    else:
        options |= {
            "beta_1": how.beta_1,
            "beta_2": how.beta_2,
            "epsilon": how.epsilon * scale,
        }
    return (MLPClassifier if row.loss == "crossentropy" else MLPRegressor)(**options)


def slots(row: Row) -> tuple[str, ...]:
    """Where its optimizer keeps its means."""
    return ("velocities",) if isinstance(row.optimizer, SGD) else ("ms", "vs")


def ready(row: Row, x: Array, y: Array, scale: float = 1.0) -> Any:
    """The estimator as before its first step, with the row's weights; it needs a batch to see."""
    model, start = estimator(row, scale), weights(row)
    options = {"classes": np.arange(dense(row)[-1].units)} if row.loss == "crossentropy" else {}
    model.partial_fit(x, y, **options)  # makes weights and an optimizer, which are replaced
    for kernel, bias, k, b in zip(
        model.coefs_, model.intercepts_, start[::2], start[1::2], strict=True
    ):
        assert kernel.dtype == np.float32, kernel.dtype
        kernel[...], bias[...] = k, b
    optimizer = model._optimizer
    for name in slots(row):
        setattr(optimizer, name, [np.zeros_like(a) for a in getattr(optimizer, name)])
    optimizer.t = 0
    return model


def partial_fit(row: Row) -> Loop:
    scale = 1.0 if row.loss == "crossentropy" else dense(row)[-1].units / 2
    given = batches(row)
    model = ready(row, *given[0], scale)

    def step(x: Array, y: Array) -> float:
        model.partial_fit(x, y)
        return model.loss_ if row.loss == "crossentropy" else 2 * model.loss_

    def gradients() -> list[Array]:
        """After the first step, from the mean that the optimizer keeps: kernels, then biases."""
        how = row.optimizer
        share = -how.lr if isinstance(how, SGD) else (1 - how.beta_1) * scale
        means = getattr(model._optimizer, slots(row)[0])
        half = len(means) // 2
        pairs = zip(means[:half], means[half:], strict=True)
        return [m / np.float32(share) for pair in pairs for m in pair]

    return Loop(step, given, gradients)
