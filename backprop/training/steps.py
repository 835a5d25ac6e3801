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

from backprop.layer import TRAINING, Array
from backprop.losses.several import Total
from backprop.nest import as_one, each, row_count, shapes
from backprop.training.batches import pack_x_y_sample_weight, unpack_x_y_sample_weight
from backprop.training.hooks import accepts, hooks_of, read_logs, refuse
from backprop.training.prepare import Prepared
from backprop.training.reader import Reader
from backprop.training.tracking import metrics_in

OWN_LOSS = frozenset(["compute_loss", "compute_loss_gradient"])


class Steps(Prepared):
    """A loop that leaves steps to the model where it has its own."""

    _own_loss = False  # whether the model computes the loss and its gradient by itself
    told: dict[str, Any] | None = None  # what a step of the model's own said last in this epoch
    _in_hand: tuple[Array, Array | None] | None = None  # y_pred and mask of this step

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        self._hooks = hooks_of(self.model)

    @property
    def has_loss(self) -> bool:
        """Whether there is a loss, of `compile` or of the model's own, and its gradient."""
        return self.loss is not None or hooks_of(self.model) >= OWN_LOSS

    def of_copy(self, model: Any, *, shortcuts: bool = True) -> Any:
        loop = super().of_copy(model, shortcuts=shortcuts)
        loop.across, loop._training = None, TRAINING
        loop._hooks = hooks_of(model)
        loop._own_loss = loop._hooks >= OWN_LOSS
        return loop

    def _find_hooks(self) -> None:
        """Take note of what the model does by itself, and refuse what would be ignored."""
        model = self.model
        refuse(type(model))
        self._hooks = hooks_of(model)
        self._own_loss = self._hooks >= OWN_LOSS
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
            return self._stepper_of_parts(name) if self.metrics.losses else super()._stepper(name)
        by_model = getattr(self.model, name)

        def own(x, y, w):
            x, y, _, w = self._as_drawn(x, y, None, w)
            data = pack_x_y_sample_weight(x, y, w)
            data = data if isinstance(data, tuple) else (data,)
            logs = read_logs(by_model(data), self.model, name)
            if name == "train_step":
                self.told = logs
            return logs

        return own

    def end_epoch(self, run: Any, epoch: int, so_far: Any, validation: Any) -> Any:
        so_far, self.told = self._said(so_far), None
        return super().end_epoch(run, epoch, so_far, validation)

    def _said(self, so_far: Any) -> Any:
        """The logs of an epoch; of one that goes on where no batch was left those of then, which a
        model has made by itself."""
        return so_far if self.told is None or so_far != self.results else self.told

    def _stepper_of_parts(self, name: str) -> Any:
        """The loop's own step, with the losses of several outputs in the logs."""
        step, results = getattr(self, name), self.results

        def tracked(x, y, w):
            outcome = step(x, y, w)
            self.track(outcome, x, y, w)
            self.add_parts(outcome[0], row_count(x))
            return results

        return tracked

    def add_parts(self, value: Any, rows: int) -> None:
        """Add the losses that a loss of a batch is made of, if it knows them."""
        if type(value) is Total:
            self.metrics.add_losses(value.parts, self.across.rows if self.across else rows)

    def default_step(self, data: Any, name: str) -> dict[str, Any]:
        """The step that a model's own ends in: `Sequential.train_step` and `test_step`. The batch
        is what the model has made of it, so it is checked as one that a user gives."""
        self._require(name, "")
        training = name == "train_step"
        x, y, w = unpack_x_y_sample_weight(data)
        x, y, w = self.prepare_batch(self.reader, x, y, w, who=f"{name}()", training=training)
        value, y_pred, mask = (self.train_step if training else self.test_step)(x, y, w)
        self.add_loss(value, row_count(x))
        self.add_parts(value, row_count(x))
        return self.metrics_by_model(x, y, y_pred, w, mask)

    def metrics_by_model(self, x, y, y_pred, w, mask) -> dict[str, Any]:
        """The logs that `compute_metrics` of the model makes."""
        given = self._as_drawn(x, y, y_pred, w)
        with self._step_in_hand(given[2], mask):
            logs = self.model.compute_metrics(*given)
        return read_logs(logs, self.model, "compute_metrics")

    def default_metrics(self, y: Any, y_pred: Any, sample_weight: Any) -> dict[str, Any]:
        """Update the metrics; see `Sequential.compute_metrics`."""
        mask = self._mask_of(y_pred)
        y, y_pred, sample_weight = self._as_arrays(y, y_pred, sample_weight)
        self.metrics.build(shapes(y), shapes(y_pred))
        self.metrics.update(y, y_pred, sample_weight, mask)
        # no loss was added up where a model has a whole step of its own, which reports its own
        return self.results() if self.loss_so_far.count else self.metrics.results(losses=False)

    def default_loss(self, y: Any, y_pred: Any, sample_weight: Any) -> float:
        """The loss of predictions; see `Sequential.compute_loss`."""
        self._require("compute_loss", "")
        mask = self._mask_of(y_pred)
        y, y_pred, sample_weight = self._as_arrays(y, y_pred, sample_weight)
        value = self.loss.forward(*self.loss.as_arrays(y, y_pred), sample_weight, mask)[0]
        # the trainer adds the penalties to what a step reports
        penalties = sum(self.model.losses) if self._in_hand is None else 0.0
        return as_number(value) * self.loss_weight + float(penalties)

    def default_prediction(self, x: Any) -> Any:
        """y for a batch, as the model was drawn; see `Sequential.predict_step`."""
        return self.model.arranged(self.forward_batch(x))

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

        inputs, outputs = self.reader.inputs, self.reader.outputs

        def own(x):
            y = model.predict_step((inputs.arranged(x),))
            if outputs.several or isinstance(outputs.structure, dict):
                return as_one(outputs.ordered(y, "what predict_step returns"))
            if not isinstance(y, np.ndarray):
                raise TypeError(
                    f"{type(model).__name__}.predict_step returns an array, got {type(y).__name__}"
                )
            return y

        return own

    # ------------------------------------------------------------------ several arrays

    def gradients(self, x: Any, y: Any, sample_weight: Any = None) -> Any:
        """Forward, loss, backward, regularize: every gradient of the model is set. Several arrays
        come as the model was drawn, or as a tuple in order."""
        return self.checked_gradients(*self._in_order(x, y, sample_weight))

    def _in_order(self, x, y, sample_weight) -> tuple[Any, Any, Any]:
        inputs, outputs = self.reader.inputs, self.reader.outputs
        y = outputs.in_order(y, "y", partly=True)
        w = outputs.in_order(sample_weight, "sample_weight", partly=True)
        return inputs.in_order(x, "x"), y, w

    def _as_drawn(self, x, y, y_pred, sample_weight) -> list:
        """A batch as the model's own methods are given it: several arrays as it was drawn."""
        inputs, outputs = self.reader.inputs, self.reader.outputs
        return [
            ends.arranged(given) if type(given) is tuple else given
            for ends, given in (
                *((inputs, x), (outputs, y)),
                *((outputs, y_pred), (outputs, sample_weight)),
            )
        ]

    def _as_arrays(self, y, y_pred, sample_weight) -> tuple[Any, Any, Any]:
        """What a method of the model passes on, as arrays or tuples of them."""
        outputs = self.reader.outputs
        if not outputs.several:
            return np.asarray(y), np.asarray(y_pred), sample_weight
        y = each(np.asarray, outputs.in_order(y, "y", partly=True))
        y_pred = each(np.asarray, outputs.in_order(y_pred, "y_pred"))
        return y, y_pred, self.reader.weight(sample_weight, row_count(y_pred))

    # ------------------------------------------------------------------ the model's own loss

    def _measure(self, x, y, y_pred, sample_weight, mask) -> Any:
        if self.across is not None:
            found = self.loss.forward(y, y_pred, sample_weight, mask)
            return self.across.weigh(self.loss, y, y_pred, *found)[0] * self.loss_weight
        if not self.owns("compute_loss"):
            return super()._measure(x, y, y_pred, sample_weight, mask)
        given = self._arguments_of_loss(x, y, y_pred, sample_weight)
        return self._value_by_model(given, mask, training=False)

    def _differentiate(self, x, y, y_pred, sample_weight, mask) -> tuple[Any, Any, bool]:
        if not self._own_loss:
            return super()._differentiate(x, y, y_pred, sample_weight, mask)
        given = self._arguments_of_loss(x, y, y_pred, sample_weight)
        value = self._value_by_model(given, mask, training=True)
        found = self.model.compute_loss_gradient(**given)
        if not self.reader.outputs.several:
            return value, self._checked_gradient(found, y_pred), False
        parts = self.reader.outputs.in_order(found, "what compute_loss_gradient returns")
        dy = [
            None if d is None else self._checked_gradient(d, y)
            for d, y in zip(parts, y_pred, strict=True)
        ]
        return value, tuple(dy), False

    def _checked_gradient(self, dy: Any, y_pred: Array) -> Array:
        dy = np.asarray(dy, y_pred.dtype)
        if dy.shape != y_pred.shape:
            raise ValueError(
                f"{type(self.model).__name__}.compute_loss_gradient returns dL/dy_pred, of shape "
                f"{y_pred.shape}, and returned {dy.shape}"
            )
        return dy

    def _arguments_of_loss(self, *batch: Any) -> dict[str, Any]:
        names = ("x", "y", "y_pred", "sample_weight")
        return dict(zip(names, self._as_drawn(*batch), strict=True))

    def _value_by_model(self, given: dict[str, Any], mask: Array | None, training: bool) -> float:
        compute_loss = self.model.compute_loss
        options = {"training": training} if accepts(compute_loss, "training") else {}
        with self._step_in_hand(given["y_pred"], mask):
            return as_number(compute_loss(**given, **options))


def as_number(value: Any) -> float:
    """A loss as a number, which may know its parts."""
    return value if type(value) is Total else float(value)
