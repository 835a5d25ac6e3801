"""What a run keeps track of: its metrics, and the first tensor that goes bad."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import numpy as np

from backprop import metrics
from backprop.layer import TRAINING, Array
from backprop.layers.containers import Chain
from backprop.masks import cleaned
from backprop.training.options import listed


class MetricSet:
    """The metrics of a run, resolved when the shapes are known."""

    def __init__(self, plain: Iterable | None, weighted: Iterable | None, loss: Any):
        for name, given in (("metrics", plain), ("weighted_metrics", weighted)):
            if given is not None and not isinstance(given, list | tuple):
                raise TypeError(
                    f"compile() expects {name} to be a list, such as ['accuracy'], got {given!r}"
                )
        self.wanted = [(m, False) for m in listed(plain)] + [(m, True) for m in listed(weighted)]
        self.loss = loss
        self.items: list[tuple[str, Any, bool]] = []
        for identifier, _ in self.wanted:  # a misspelt name is an error of compile, not of fit
            metrics.resolve(identifier, (None, 2), (None, 2))

    def __bool__(self) -> bool:
        return bool(self.wanted)

    def build(self, y_shape, output_shape, trial: tuple | None = None) -> None:
        """Choose the metrics for these shapes, once, and try copies of them on a `trial` of
        (y, y_pred, weight)."""
        items = self.items or self._resolve(y_shape, output_shape)
        if trial is not None:
            y, y_pred, w = trial
            for _, metric, weighted in items:
                copy.deepcopy(metric).update_state(y, y_pred, w if weighted else None)
        self.items = items

    def _resolve(self, y_shape, output_shape) -> list[tuple[str, Any, bool]]:
        items: list[tuple[str, Any, bool]] = []
        for identifier, weighted in self.wanted:
            metric = metrics.resolve(identifier, output_shape, y_shape, self.loss)
            name, k = metric.name, 0
            while name in {taken for taken, _, _ in items}:
                k += 1
                name = f"weighted_{metric.name}" if weighted and k == 1 else f"{metric.name}_{k}"
            items.append((name, metric, weighted))
        return items

    def update(self, y, y_pred, sample_weight, mask=None) -> None:
        """Padding has no weight in any metric, whatever stands there; sample weights count in the
        weighted ones."""
        y, y_pred = cleaned(y, mask), cleaned(y_pred, mask)
        for _, metric, weighted in self.items:
            weight = sample_weight if weighted else None
            metric.update_state(
                y, y_pred, weight if mask is None else metrics.apply_mask(weight, mask)
            )

    def reset(self) -> None:
        for _, metric, _ in self.items:
            metric.reset_state()

    def results(self) -> dict[str, float]:
        return {name: metric.result() for name, metric, _ in self.items}

    def state(self) -> list[list[Array]]:
        return [[np.array(v) for v in metric.variables] for _, metric, _ in self.items]

    def set_state(self, state: list[list[Array]]) -> None:
        for (_, metric, _), values in zip(self.items, state, strict=False):
            for variable, value in zip(metric.variables, values, strict=True):
                variable[...] = value


def first_nonfinite(model: Chain, x: Any) -> str:
    """Which tensor is the first to hold NaN or infinity on the way from x to y."""
    for p in model.arrays():
        if not np.isfinite(p.value).all():
            return (
                f"the weight {p.path} holds NaN or infinity; a smaller learning rate or clipnorm "
                "may help"
            )
    ctx, layers = TRAINING, copy.deepcopy(model.layers)  # a look at the model must not change it
    with np.errstate(all="ignore"):
        for i, layer in enumerate(layers):
            x, _, mask = layer.propagate(x, ctx)
            ctx = ctx.with_mask(mask)
            if not np.isfinite(x).all():
                return (
                    f"the output of layer {i}, {layer!r}, is the first that holds NaN or infinity"
                )
    return "all weights and layer outputs are finite; the loss itself overflowed"
