"""A copy of a model, and its loss of a batch as a function of the weights that are trained."""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.layer import Context
from backprop.nest import each
from backprop.run_state import generator_state

Array = np.ndarray


def prepared(model: Any, x: Any, y: Any, sample_weight: Any, who: str) -> tuple[Any, Any, Any]:
    """One batch as a user gives it, checked and as the model's arrays; a model that is not built is
    built for it."""
    trainer = model.trainer
    if trainer is None:
        raise RuntimeError(f"{who} of a loss needs compile() first: model.compile(loss='mse')")
    trainer._find_hooks()
    trainer._require(who.rstrip("()"), "compute_loss")
    return trainer.prepare_batch(trainer.reader, x, y, sample_weight, who=who, training=False)


class LossOfWeights:
    """L(w) of one batch, all penalties in it, and dL/dw: of a copy of a model in float64.

    Parameters
    ----------
    model : Sequential or Model
        Compiled.
    x, y, sample_weight
        One batch, as `fit` takes it.
    who : str
        Who asks, for messages.
    training : bool
        Whether layers behave as in training. What they draw is the same at each w.

    Attributes
    ----------
    twin : Sequential or Model
        The copy.
    start : ndarray (n,)
        The weights that are trained, as the model has them.
    """

    def __init__(self, model: Any, x: Any, y: Any, sample_weight: Any, who: str, training: bool):
        batch = prepared(model, x, y, sample_weight, who)
        self.x, self.y, self.weight = (each(widened, part) for part in batch)
        self.twin = model.astype("float64")
        self.loop = model.trainer.of_copy(self.twin)
        self.training = training
        self.parameters = [p for p in self.twin.parameters.parameters if p.trainable]
        if not self.parameters:
            raise ValueError(f"{who}: {model.name} has no weights that are trained")
        self.start = np.concatenate([p.value.ravel() for p in self.parameters])
        self._moved = [
            p for layer in self.twin.walk() for p in layer._parameters.values() if not p.trainable
        ]
        self._kept = [p.value.copy() for p in self._moved]
        self._draws = [(layer, generator_state(layer)) for layer in self.twin.walk()]

    def value(self, w: Array) -> float:
        """L(w)."""
        return self._run(w, backward=False)

    def gradient(self, w: Array) -> Array:
        """dL/dw."""
        self._run(w, backward=True)
        return np.concatenate([p.gradient.ravel() for p in self.parameters])

    def split(self, w: Array) -> list[Array]:
        """A vector of all weights, as the arrays that these are."""
        parts = np.split(w, np.cumsum([p.size for p in self.parameters])[:-1])
        return [part.reshape(p.shape) for part, p in zip(parts, self.parameters, strict=True)]

    def _run(self, w: Array, backward: bool) -> float:
        for p, value in zip(self.parameters, self.split(w), strict=True):
            p.value[...] = value
        for p, before in zip(self._moved, self._kept, strict=True):
            p.value[...] = before
        for layer, state in self._draws:
            if state is not None:
                layer._rng.bit_generator.state = state
        ctx = Context(training=self.training, backward=backward, penalties=[])
        y_pred, caches, mask = self.twin.propagate(self.x, ctx)
        value, dy, fused = self.loop._differentiate(self.x, self.y, y_pred, self.weight, mask)
        if backward:
            if fused:
                self.twin.backward_logits(dy, caches, dx=False)
            else:
                self.twin.backward_params(dy, caches)
        for p in self.loop._regularized:
            value = value + p.regularizer(p.value)
            if backward:
                p.gradient += p.regularizer.gradient(p.value)
        return float(value) + float(sum(ctx.penalties or ()))


def widened(a: Any) -> Any:
    """Floating point numbers in float64."""
    return a.astype(np.float64) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a
