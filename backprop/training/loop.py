"""The textbook's cycle: batch after batch, epoch after epoch.

    y, caches = model.forward(x)              forward
    L = loss.forward(y_true, y)               loss
    dy = loss.backward(cache)                 backward: of the loss,
    model.backward_params(dy, caches)           of the layers,
    gradients += those of the penalties         regularize
    optimizer.step(model.parameters)          update

What is here knows of nothing that can be wrong. `Trainer` is this loop behind three doors, a file
each: `prepare` has data checked and the model built, `steps` lets a subclass of the model write a
step anew, and `trainer` reads what users give.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from backprop import random
from backprop.callbacks import CallbackList
from backprop.layer import PREDICT, TRAINING, Array, Context
from backprop.nest import row_count
from backprop.parallel import alone, blas
from backprop.training.data import Data, joined
from backprop.training.interrupts import Signals
from backprop.training.tracking import LossMean, Metrics, set_aside
from backprop.training.validation import Validation

Outcome = tuple[Any, Array, Array | None]  # the loss, y_pred and its mask
Logs = dict[str, Any]


class Loop:
    """Trains a model that is built on batches that are ready for it.

    Parameters
    ----------
    model : Chain
        With `parameters`, its `ParameterVector`.
    loss : Loss, optional
    optimizer : Optimizer
    metrics : Metrics
    loss_weight : float
        A factor on the loss; the penalties of regularizers keep their size.
    """

    # what `prepare` finds out about the model
    _fused: Any = None  # the loss of a softmax that gives dL/dz, where the model ends in one
    _regularized: Sequence[Any] = ()  # the parameters with a penalty
    _penalised = False  # whether layers have penalties on what they put out
    _divides = False  # whether layers have threads of their own
    across: Any = None  # in a run on several processes, the others: see `strategy`
    _training = TRAINING

    def __init__(self, model: Any, loss: Any, optimizer: Any, metrics: Metrics, loss_weight: float):
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.metrics = metrics
        self.loss_weight = loss_weight
        self.seed = int(random.generator().integers(2**32))
        self.epoch = self.step = 0
        self.loss_so_far = LossMean(name="loss")
        self.signals = Signals()

    # ------------------------------------------------------------------ one step

    def train_step(self, x: Array, y: Array, sample_weight: Array | None = None) -> Outcome:
        """One optimisation step on a batch that `Reader` has prepared; the outcome is that of
        before the step."""
        with self._threads(x):
            outcome = self.checked_gradients(x, y, sample_weight)
            (self.across or self.optimizer).step(self.model.parameters)
        return outcome

    def checked_gradients(self, x: Array, y: Array, sample_weight: Array | None = None) -> Outcome:
        """What `_gradients` finds; `Guarded` looks whether it is finite."""
        return self._gradients(x, y, sample_weight)

    def _gradients(self, x: Array, y: Array, sample_weight: Array | None = None) -> Outcome:
        """Forward, loss, backward, regularize: every gradient of the model is set."""
        model = self.model
        ctx = Context(training=True, penalties=[]) if self._penalised else self._training
        y_pred, caches, mask = model.propagate(x, ctx)
        value, dy, fused = self._differentiate(x, y, y_pred, sample_weight, mask)
        if fused:
            model.backward_logits(dy, caches, dx=False)
        else:
            model.backward_params(dy, caches)
        for p in self._regularized:
            value = value + p.regularizer(p.value)
            if self.across is None or self.across.is_main:  # which sums the gradients of all
                p.gradient += p.regularizer.gradient(p.value)
        if self._penalised:
            value = value + sum(ctx.penalties or ())
        return value, y_pred, mask

    def _differentiate(self, x, y, y_pred, sample_weight, mask) -> tuple[Any, Array, bool]:
        """The loss and its gradient, and whether that is dL/dz of a softmax's input z."""
        fused = self._fused if mask is None or type(mask) is tuple else None
        loss = fused or self.loss
        value, cache = loss.forward(y, y_pred, sample_weight, mask)
        if self.across is None:
            dy = loss.backward(cache)
        else:
            value, share = self.across.weigh(loss, y, y_pred, value, cache)
            dy = loss.backward(cache, share)
        if self.loss_weight != 1:
            value, dy = value * self.loss_weight, dy * self.loss_weight
        return value, dy, fused is not None

    def test_step(self, x: Array, y: Array, sample_weight: Array | None = None) -> Outcome:
        """The loss on one batch in inference."""
        penalties: list = []
        ctx = Context(backward=False, penalties=penalties) if self._penalised else PREDICT
        with self._threads(x):
            y_pred, _, mask = self.model.propagate(x, ctx)
            value = self._measure(x, y, y_pred, sample_weight, mask)
        penalties += [p.regularizer(p.value) for p in self._regularized]
        return value + sum(penalties), y_pred, mask

    def _measure(self, x, y, y_pred, sample_weight, mask) -> Any:
        """The loss alone."""
        return self.loss.forward(y, y_pred, sample_weight, mask)[0] * self.loss_weight

    def _threads(self, x: Any) -> AbstractContextManager:
        """BLAS held to one thread for a whole step where layers have threads of their own for parts
        of a batch, of two rows at least: a product on BLAS' in between would leave them turning on
        the cores that the next layer's threads need. One thread of a program at a time steps: how
        many BLAS has decides the last digit."""
        return blas().held() if self._divides and row_count(x) > 1 else alone()

    # ------------------------------------------------------------------ epochs of steps

    def run_epochs(
        self,
        run: CallbackList,
        data: Data,
        epochs: int,
        steps: int | None,
        validation: Validation | None,
    ) -> Logs:
        """Train from where `epoch` and `step` are; returns the logs of the last epoch."""
        logs: Logs = {}
        first, train = self.epoch, self._stepper("train_step")
        for epoch in range(first, epochs):
            if epoch > first and (why := data.ended()):
                warnings.warn(
                    f"x ended after {epoch} of {epochs} epochs, and so does the run: {why}",
                    stacklevel=4,
                )
                break
            start = self.step if epoch == first else 0
            if start == 0:
                self.reset()
            self.epoch, self.step = epoch, start
            run.on_epoch_begin(epoch)
            so_far = self.results
            for x, y, w in data.batches(epoch, start, steps):
                run.on_train_batch_begin(self.step)
                so_far = train(x, y, w)
                self.step += 1
                run.on_train_batch_end(self.step - 1, so_far)
                if self.model.stop_training:
                    break
            self.signals.check()
            logs = self.end_epoch(run, epoch, so_far, validation)
            if self.model.stop_training:
                break
        return logs

    def end_epoch(
        self, run: CallbackList, epoch: int, so_far: Any, validation: Validation | None
    ) -> Logs:
        """Validate, where that is due, and report."""
        logs = self.logs_of_epoch(so_far)
        if validation is not None and validation.is_due(epoch):
            why = validation.data.ended()
            if why:
                warnings.warn(f"epoch {epoch + 1} has no validation: {why}", stacklevel=5)
            else:
                with self.own_tracking():
                    found = self.run_evaluation(run, validation.data, validation.steps)
                logs |= {f"val_{name}": value for name, value in found.items()}
        self.epoch, self.step = epoch + 1, 0
        run.on_epoch_end(epoch, logs)
        return logs

    def run_evaluation(self, run: CallbackList, data: Data, steps: int | None) -> Logs:
        self.reset()
        run.on_test_begin()
        so_far, test = None, self._stepper("test_step")
        for step, (x, y, w) in enumerate(data.batches(0, 0, steps)):
            run.on_test_batch_begin(step)
            so_far = test(x, y, w)
            run.on_test_batch_end(step, so_far)
            self.signals.check()
        if so_far is None:
            raise ValueError("the data yielded no batch: there is nothing to evaluate")
        logs = self.logs_of_epoch(so_far)
        run.on_test_end(logs)
        return logs

    def run_prediction(self, run: CallbackList, data: Data, steps: int | None) -> Array:
        run.on_predict_begin()
        forward, outputs = self._predictor(), []
        for step, (x, _, _) in enumerate(data.batches(0, 0, steps)):
            run.on_predict_batch_begin(step)
            with self._threads(x):
                outputs.append(forward(x))
            run.on_predict_batch_end(step, {"outputs": self.model.arranged(outputs[-1])})
        run.on_predict_end()
        return joined(outputs)

    def _stepper(self, name: str) -> Callable[[Any, Any, Any], Any]:
        """What happens to a batch in `train_step` or `test_step`. It returns the logs so far, or a
        function that computes them."""
        step, results = getattr(self, name), self.results

        def tracked(x, y, w):
            self.track(step(x, y, w), x, y, w)
            return results

        return tracked

    def _predictor(self) -> Callable[[Any], Array]:
        """x → y."""
        model = self.model
        return lambda x: model.forward(x, PREDICT)[0]

    # ------------------------------------------------------------------ loss and metrics so far

    def reset(self) -> None:
        """Forget the loss and the metrics so far."""
        self.loss_so_far.reset_state()
        self.metrics.reset()

    def track(self, outcome: Outcome, x, y, sample_weight) -> None:
        """Add a batch to the loss and the metrics of the epoch."""
        value, y_pred, mask = outcome
        self.add_loss(value, row_count(x))
        if self.metrics and not (self.across and self.across.idle):
            self.metrics.update(y, y_pred, sample_weight, mask)

    def add_loss(self, value: Any, rows: int) -> None:
        self.loss_so_far.add(float(value), self.across.rows if self.across else rows)

    def logs_of_epoch(self, so_far: Any) -> Logs:
        return self.across.logs(so_far) if self.across else logs_of(so_far)

    def results(self) -> Logs:
        """The loss and the metrics so far."""
        return {"loss": self.loss_so_far.result(), **self.metrics.results()}

    def own_tracking(self) -> AbstractContextManager[None]:
        """An evaluation leaves the sums of a training epoch as they were."""
        return set_aside(self.loss_so_far, self.metrics)


def logs_of(so_far: Logs | Callable[[], Logs]) -> Logs:
    """What a step has reported: logs, or a function that computes them."""
    return so_far() if callable(so_far) else dict(so_far)
