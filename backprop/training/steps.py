"""Who takes a step: the trainer or, where a subclass of the model has written one, the model.

A trainer's loop asks `_stepper` what happens to a batch. For a plain model it is the loop's own
step, and what is in this file is not on its way. A model with a `train_step`, `test_step`,
`compute_loss` or `compute_metrics` of its own is called instead, and calls back: `default_step`,
`default_loss` and `default_metrics` are what its ``super()`` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from backprop.layer import Array
from backprop.training.data import pack_x_y_sample_weight, unpack_x_y_sample_weight
from backprop.training.hooks import accepts, hooks_of, read_logs, refuse
from backprop.training.prepare import Prepared
from backprop.training.reader import Reader
from backprop.training.tracking import metrics_in


class Steps(Prepared):
    """A loop that leaves steps to the model where it has its own."""

    _own_loss = False  # whether the model computes the loss and its gradient by itself
    _in_hand: tuple[Array, Array | None] | None = None  # y_pred and mask of this step

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        self._hooks = hooks_of(self.model)

    def _find_hooks(self) -> None:
        """Take note of what the model does by itself, and refuse what would be ignored."""
        model = self.model
        refuse(type(model))
        self._hooks = hooks_of(model)
        self._own_loss = {"compute_loss", "compute_loss_gradient"} <= self._hooks
        self.metrics.own = metrics_in(model) if self._hooks else []

    def _require(self, what: str, name: str) -> None:
        """Raise without a loss, unless the model has a step or a loss of its own."""
        if self.loss is None and self._hooks.isdisjoint((name, "compute_loss")):
            raise RuntimeError(f"{what}() needs a loss: compile(loss='mse') or another")

    def owns(self, name: str) -> bool:
        """Whether the model has a hook of its own."""
        return name in self._hooks

    def _reader(self, name: str) -> Reader:
        """Who reads data for a step; a step of the model's own takes any targets."""
        return Reader(self.model, self.loss, any_targets=True) if self.owns(name) else self.reader

    def _stepper(self, name: str) -> Any:
        """What happens to a batch: a step of the loop's or, where a model has a say in it, of the
        model's."""
        if self._hooks.isdisjoint((name, "compute_loss", "compute_metrics")):
            return super()._stepper(name)
        by_model = getattr(self.model, name)

        def own(x, y, w):
            data = pack_x_y_sample_weight(x, y, w)
            data = data if isinstance(data, tuple) else (data,)
            return read_logs(by_model(data), self.model, name)

        return own

    def default_step(self, data: Any, name: str) -> dict[str, Any]:
        """The step that a model's own ends in: `Sequential.train_step` and `test_step`. The batch
        is what the model has made of it, so it is checked as one that a user gives."""
        self._require(name, "")
        training = name == "train_step"
        x, y, w = unpack_x_y_sample_weight(data)
        x, y, w = self.prepare_batch(self.reader, x, y, w, who=f"{name}()", training=training)
        value, y_pred, mask = (self.train_step if training else self.test_step)(x, y, w)
        self.add_loss(value, x.shape[0])
        return self.metrics_by_model(x, y, y_pred, w, mask)

    def metrics_by_model(self, x, y, y_pred, w, mask) -> dict[str, Any]:
        """The logs that `compute_metrics` of the model makes."""
        with self._step_in_hand(y_pred, mask):
            logs = self.model.compute_metrics(x, y, y_pred, w)
        return read_logs(logs, self.model, "compute_metrics")

    def default_metrics(self, y: Any, y_pred: Any, sample_weight: Any) -> dict[str, Any]:
        """Update the metrics; see `Sequential.compute_metrics`."""
        mask = self._mask_of(y_pred)
        y, y_pred = np.asarray(y), np.asarray(y_pred)
        self.metrics.build(y.shape, y_pred.shape)
        self.metrics.update(y, y_pred, sample_weight, mask)
        # no loss was added up where a model has a whole step of its own, which reports its own
        return self.results() if self._loss_rows else self.metrics.results()

    def default_loss(self, y: Any, y_pred: Any, sample_weight: Any) -> float:
        """The loss of predictions; see `Sequential.compute_loss`."""
        self._require("compute_loss", "")
        y_true, y_pred_ = self.loss.as_arrays(y, y_pred)
        value = self.loss.forward(y_true, y_pred_, sample_weight, self._mask_of(y_pred))[0]
        # the trainer adds the penalties to what a step reports
        penalties = sum(self.model.losses) if self._in_hand is None else 0.0
        return float(value) * self.loss_weight + float(penalties)

    @contextmanager
    def _step_in_hand(self, y_pred: Array, mask: Array | None) -> Iterator[None]:
        """While the model computes by itself: whose mask it is that no argument brings."""
        before, self._in_hand = self._in_hand, (y_pred, mask)
        try:
            yield
        finally:
            self._in_hand = before

    def _mask_of(self, y_pred: Any) -> Array | None:
        known, mask = self._in_hand or (None, None)
        return mask if y_pred is known else None

    def _predictor(self) -> Any:
        """x → y: the model's forward pass, or its own `predict_step`."""
        model = self.model
        if not self.owns("predict_step"):
            return super()._predictor()

        def own(x):
            y = model.predict_step((x,))
            if not isinstance(y, np.ndarray):
                raise TypeError(
                    f"{type(model).__name__}.predict_step returns an array, got {type(y).__name__}"
                )
            return y

        return own

    # ------------------------------------------------------------------ the model's own loss

    def _measure(self, x, y, y_pred, sample_weight, mask) -> Any:
        if not self.owns("compute_loss"):
            return super()._measure(x, y, y_pred, sample_weight, mask)
        given = {"x": x, "y": y, "y_pred": y_pred, "sample_weight": sample_weight}
        return self._value_by_model(given, mask, training=False)

    def _differentiate(self, x, y, y_pred, sample_weight, mask) -> tuple[Any, Array, bool]:
        if not self._own_loss:
            return super()._differentiate(x, y, y_pred, sample_weight, mask)
        given = {"x": x, "y": y, "y_pred": y_pred, "sample_weight": sample_weight}
        value = self._value_by_model(given, mask, training=True)
        dy = np.asarray(self.model.compute_loss_gradient(**given), y_pred.dtype)
        if dy.shape != y_pred.shape:
            raise ValueError(
                f"{type(self.model).__name__}.compute_loss_gradient returns dL/dy_pred, of shape "
                f"{y_pred.shape}, and returned {dy.shape}"
            )
        return value, dy, False

    def _value_by_model(self, given: dict[str, Any], mask: Array | None, training: bool) -> float:
        compute_loss = self.model.compute_loss
        options = {"training": training} if accepts(compute_loss, "training") else {}
        with self._step_in_hand(given["y_pred"], mask):
            return float(compute_loss(**given, **options))
