"""Training by an optimizer that needs the loss of all data at every trial point, such as L-BFGS.

One of its iterations is one epoch. The loss of all data, and its gradient, are the batches' means,
weighted by their rows:

    L = Σ n_b L_b / Σ n_b        dL = Σ n_b dL_b / Σ n_b
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backprop.callbacks import CallbackList
from backprop.layer import PREDICT
from backprop.nest import row_count
from backprop.training.data import ArrayData, Data
from backprop.training.loop import Logs
from backprop.training.steps import Steps
from backprop.training.validation import Validation


def check_full_batch(trainer: Steps, data: Data, batch_size: int | None, steps: int | None) -> None:
    """Raise unless all data can be had as often as wanted, and the loss of all is the mean of that
    of the batches."""
    name = type(trainer.optimizer).__name__
    if steps is not None:
        raise ValueError(f"{name} takes all data in every epoch: leave out steps_per_epoch={steps}")
    if data.once:
        raise ValueError(
            f"{name} reads all data again and again, and an iterator is read once: give arrays"
        )
    if isinstance(data, ArrayData) and batch_size is None:
        data.batch_size = max(data.n, 1)
    loss = "compute_loss" if trainer.owns("compute_loss") else trainer.loss
    mean = getattr(loss, "reduction", None) in ("mean", "sum_over_batch_size")
    if not mean and data.steps != 1:
        raise ValueError(
            f"{name} adds up batches of a loss that is a mean over samples, and {loss!r} may "
            "be another: give all data as one batch"
        )


def run_full_batch(
    trainer: Steps, run: CallbackList, data: Data, epochs: int, validation: Validation | None
) -> Logs:
    """Train from the epoch where the trainer is; returns the logs of the last."""
    first, logs, begun = trainer.epoch, {}, False

    def closure() -> float:
        nonlocal begun
        if not begun:  # here, since the minimizer may find that there is nothing left to do
            begun = True
            trainer.signals.check()
            run.on_epoch_begin(trainer.epoch)
        return full_gradient(trainer, data)

    def iterated(iteration: int, loss: float) -> bool:
        nonlocal logs, begun
        trainer.signals.check()
        epoch = first + iteration
        logs = trainer.end_epoch(run, epoch, accepted(trainer, data, loss), validation)
        begun = False
        return trainer.model.stop_training or epoch + 1 >= epochs

    if epochs > first:
        trainer.optimizer.minimize(trainer.model.parameters, closure, epochs - first, iterated)
    return logs


def full_gradient(trainer: Steps, data: Data) -> float:
    """The loss of all data, and its gradient in the model's vector."""
    segments = trainer.model.parameters.segments()
    total = [np.zeros(s.size, np.float64) for s in segments]
    loss = rows = 0.0
    for x, y, w in data.batches(0):
        value, _, _ = trainer.checked_gradients(x, y, w)
        n = row_count(x)
        for whole, segment in zip(total, segments, strict=True):
            whole += n * segment.gradients.astype(np.float64)
        loss, rows = loss + n * float(value), rows + n
    if not rows:
        raise ValueError("the data yielded no batch: there is nothing to train on")
    for whole, segment in zip(total, segments, strict=True):
        segment.gradients[...] = whole / rows
    return loss / rows


def accepted(trainer: Steps, data: Data, loss: float) -> Any:
    """The logs of an accepted point: its loss, and the metrics of all data."""
    trainer.reset()
    trainer.add_loss(loss, 1)
    so_far: Any = trainer.results
    by_model = trainer.owns("compute_metrics")
    if trainer.metrics or by_model:
        for x, y, w in data.batches(0):
            y_pred, _, mask = trainer.model.propagate(x, PREDICT)
            if trainer.metrics.losses:
                value = trainer._measure(x, y, y_pred, w, mask)
                trainer.add_parts(value, row_count(x))
            if by_model:
                so_far = trainer.metrics_by_model(x, y, y_pred, w, mask)
            else:
                trainer.metrics.update(y, y_pred, w, mask)
    return so_far
