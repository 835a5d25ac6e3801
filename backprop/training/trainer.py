"""The training loop: forward, loss, backward, regularize, step."""

from __future__ import annotations

import copy
import ctypes
import math
import os
import warnings
from collections.abc import Iterable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any

import numpy as np

from backprop import losses, optimizers, random
from backprop.callbacks import CallbackList, History
from backprop.checks import fraction, integer
from backprop.layer import PREDICT, TRAINING, Array, Context
from backprop.parallel import blas
from backprop.training.data import ArrayData, Batch, IterableData, as_data, located
from backprop.training.hooks import check_hooks, hooks_of
from backprop.training.options import (
    at_least_one,
    check_frequency,
    due,
    flat,
    number,
    only,
    validation_arrays,
    verbosity,
    warn_of_unused,
)
from backprop.training.reader import Reader
from backprop.training.steps import Outcome, Steps
from backprop.training.tracking import MetricSet, first_nonfinite, fresh
from backprop.tuning import PREDICTION_NUMBERS, PREDICTION_ROWS, RETURNED_BYTES

Data = ArrayData | IterableData


class Trainer(Steps):
    """Fits a model: owns the loop, the loss, the optimizer and the metrics.

    `Sequential.compile` makes one, and `Sequential.fit`, `evaluate` and `predict` are calls of it.

    Parameters
    ----------
    model : Chain
        With `parameters`, its `ParameterVector`, once it is built.
    loss : str or Loss, optional
        Not needed for `predict`.
    optimizer : str or Optimizer, default "rmsprop"
    metrics, weighted_metrics : list of str or Metric, optional
        The weighted ones are given the sample weights.
    callbacks : list of Callback, optional
        Of every run; `fit`, `evaluate` and `predict` take further ones.
    loss_weight : float, default 1
        A factor on the loss; the penalties of regularizers keep their size.

    Attributes
    ----------
    epoch, step : int
        Where the run is: the epoch, and the number of its batches that are done.
    seed : int
        Decides, with the epoch's number, the order of the samples.
    """

    def __init__(
        self,
        model: Any,
        loss: Any = None,
        optimizer: Any = "rmsprop",
        metrics: Iterable | None = None,
        callbacks: Iterable = (),
        *,
        weighted_metrics: Iterable | None = None,
        loss_weight: float | None = None,
    ):
        self.model = model
        self.loss: Any = losses.get(only(loss, "loss"))
        if self.loss is not None and self.loss.reduction in (None, "none"):
            raise ValueError(
                f"compile() expects a loss that is one number, got {self.loss!r}: "
                "choose reduction='sum_over_batch_size' or 'sum'"
            )
        self._after_softmax = None if self.loss is None else self.loss.after_softmax()
        self.optimizer = optimizers.get(optimizer)
        self.metrics = MetricSet(metrics, weighted_metrics, self.loss)
        self.loss_weight = 1.0 if loss_weight is None else number(only(loss_weight, "loss_weights"))
        self.callbacks = list(callbacks)
        self.reader = Reader(model, self.loss)
        self.seed = int(random.generator().integers(2**32))
        self.epoch = self.step = 0
        self._loss_sum = self._loss_rows = 0.0
        self._rehearsed: tuple | None = None
        self._prepared: Any = None
        self._warned = False
        self._divides = False
        self.validates = False  # whether the run has a validation, in some of its epochs
        self._fitting = False
        self._hooks = hooks_of(model)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_prepared": None}

    def anew(self, model: Any) -> Trainer:
        """A trainer of the same settings for a model of the same layers; the optimizer and the
        metrics begin with nothing."""
        optimizer = type(self.optimizer)(**self.optimizer._arguments)
        kept = [p for p in self.model.arrays() if p.gradient is not None]
        excluded = [i for i, p in enumerate(kept) if self.optimizer._excludes(p)]
        if excluded:
            parameters = [p for p in model.arrays() if p.gradient is not None]
            optimizer.exclude_from_weight_decay([parameters[i] for i in excluded])
        plain, weighted = (
            [fresh(m) for m, is_weighted in self.metrics.wanted if is_weighted is kind]
            for kind in (False, True)
        )
        return Trainer(
            model,
            copy.deepcopy(self.loss),
            optimizer,
            plain,
            self.callbacks,
            weighted_metrics=weighted,
            loss_weight=self.loss_weight,
        )

    # ------------------------------------------------------------------ one step

    def train_step(self, x: Array, y: Array, sample_weight: Array | None = None) -> Outcome:
        """One optimisation step on a batch that `Reader` has prepared; the outcome is that of
        before the step."""
        with self._threads():
            outcome = self.gradients(x, y, sample_weight)
            self.optimizer.step(self.model.parameters)
        return outcome

    def _threads(self) -> AbstractContextManager:
        """BLAS held to one thread for a whole step where layers have threads of their own: a
        product on BLAS' in between would leave them turning on the cores that the next layer's
        threads need."""
        return blas().held() if self._divides else nullcontext()

    def gradients(self, x: Array, y: Array, sample_weight: Array | None = None) -> Outcome:
        """Forward, loss, backward, regularize: every gradient of the model is set."""
        model = self.model
        ctx = Context(training=True, penalties=[]) if self._penalised else TRAINING
        y_pred, caches, mask = model.propagate(x, ctx)
        fused = self._fused if mask is None else None
        if self._own_loss:
            value, dy = self._model_loss(x, y, y_pred, sample_weight, mask)
        else:
            loss = fused or self.loss
            value, cache = loss.forward(y, y_pred, sample_weight, mask)
            dy = loss.backward(cache)
            if self.loss_weight != 1:
                value, dy = value * self.loss_weight, dy * self.loss_weight
        if fused is None:
            model.backward_params(dy, caches)
        else:
            model.backward_logits(dy, caches, dx=False)
        for p in self._regularized:
            value = value + p.regularizer(p.value)
            p.gradient += p.regularizer.gradient(p.value)
        if self._penalised:
            value = value + sum(ctx.penalties or ())
        if not math.isfinite(value):
            self._report_nonfinite(x, y, sample_weight, value)
        return value, y_pred, mask

    def prepare(self, data: Data, who: str, *, training: bool) -> Batch:
        """Build the model for the data and check that they fit it, the loss and the metrics, before
        anything is changed. Returns the first batch as it is trained on."""
        x, y, w = batch = data.first()
        free = data.reader.any_targets
        if y is None and not free:
            raise ValueError(f"{who} needs y: give it beside x, or batches of (x, y)")
        seen = (
            x.shape[1:],
            None if y is None else y.shape[1:],
            data.class_weight is None if w is None else w.shape[1:],
            free,
        )
        # a vector is new when a layer is
        known = self.model.built and self.model.parameters is self._prepared
        if not known or seen != self._rehearsed:
            data.reader.forget()
            self.model.build((None, *x.shape[1:]))
        batch = data.check(batch)
        if seen != self._rehearsed:
            if not free:
                self.rehearse(*batch)
            self._rehearsed = seen
        parameters = self.model.parameters
        if not known:
            self._settle()
            self._prepared = parameters
            self._regularized = [p for p in parameters.parameters if p.regularizer is not None]
            self._penalised = any(layer.penalises for layer in self.model.walk())
            self._warn_of_softmax(x.shape)
        self._fused = self._after_softmax if self.model.ends_in_softmax else None
        if training:
            parameters.refresh()
            if not self.optimizer.built:
                self.optimizer.build(parameters)
            if not parameters.segments():
                warnings.warn(
                    f"{self.model.name} has no trainable weights: training will not change it",
                    stacklevel=4,
                )
        return batch

    def _settle(self) -> None:
        """Have freed memory kept, and find out whether layers have threads of their own."""
        keep_freed_memory()
        self._divides = any(layer.divides_batches for layer in self.model.walk())

    def _warn_of_softmax(self, shape: tuple[int, ...]) -> None:
        """Say where a model ends in a softmax that cannot be meant."""
        if not self.model.ends_in_softmax:
            return
        advice = ""
        if self.model.compute_output_shape(shape)[-1] == 1:
            advice = (
                "over a single unit, which is 1 whatever x is, so it cannot learn: take 'sigmoid', "
                "or one unit for each class"
            )
        elif getattr(self.loss, "from_logits", False):
            advice = (
                "and the loss has from_logits=True, which takes another softmax of it: leave one "
                "of the two out"
            )
        if advice:
            warnings.warn(f"{self.model.name} ends in a softmax {advice}", stacklevel=5)

    def _check_sizes(self, data: Data, who: str, epochs: range, steps: int | None) -> None:
        """Raise where a batch that will be read has not the rows that a stateful layer needs."""
        wanted = self.reader.fixed_rows
        for i, rows in data.sizes(epochs, steps) if wanted else ():
            if rows != wanted:
                raise ValueError(
                    f"{self.model.name} is stateful and keeps the states of {wanted} sequences, so "
                    f"that every batch has {wanted} rows, and batch {i + 1} of {who} would "
                    f"have {rows}: give batch_size={wanted}, and as many rows as fill all batches"
                )

    def rehearse(self, x: Any, y: Array, w: Array | None) -> None:
        """Compute the loss and the metrics of made-up predictions: what does not fit is an error
        now, and not after a step."""
        shape = self.model.compute_output_shape(tuple(x.shape))
        with np.errstate(all="ignore"):
            y_pred = np.full([1 if n is None else n for n in shape], 0.5, self.model.dtype)
            if None not in shape and self.loss is not None:
                self.loss.forward(y, y_pred, w)
            self.metrics.build(y.shape, shape, (y, y_pred, w) if None not in shape else None)

    # ------------------------------------------------------------------ fit, evaluate, predict

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        *,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | list[int] = 1,
    ) -> History:
        """Train; see `Sequential.fit`."""
        self._find_hooks()
        check_hooks(self.model, self._hooks, self.optimizer.full_batch)
        self._require("fit", "train_step")
        who = "fit()"
        epochs = integer(epochs, who, "epochs", 0)
        initial_epoch = integer(initial_epoch, who, "initial_epoch", 0)
        steps_per_epoch = at_least_one(steps_per_epoch, who, "steps_per_epoch")
        validation_steps = at_least_one(validation_steps, who, "validation_steps")
        validation_batch_size = at_least_one(validation_batch_size, who, "validation_batch_size")
        verbose = verbosity(verbose, who)
        data = as_data(
            self._reader("train_step"),
            x,
            y,
            sample_weight,
            who=who,
            class_weight=class_weight,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=self.seed,
        )
        validation = self._validation(
            data, validation_data, validation_split, validation_batch_size, batch_size
        )
        self.validates = validation is not None
        if validation is not None:
            check_frequency(validation_freq)
            rounds = sum(due(epoch, validation_freq) for epoch in range(initial_epoch, epochs))
            if validation.once and rounds > 1 and validation_steps is None:
                raise ValueError(
                    "validation_data is an iterator, which can be read once, and is wanted "
                    f"{rounds} times: give arrays or a list of batches, or validation_steps"
                )
        else:
            warn_of_unused(validation_steps, validation_batch_size, validation_freq)
        if self.optimizer.full_batch:
            self._check_full_batch(data, batch_size, steps_per_epoch)
        self.prepare(data, who, training=True)
        if validation is not None:
            with located("validation_data"):
                self.prepare(validation, who, training=False)
                self._check_sizes(validation, who, range(1), validation_steps)
        self._check_sizes(data, who, range(initial_epoch, epochs), steps_per_epoch)

        run = CallbackList(
            [*self.callbacks, *flat(callbacks)],
            add_history=True,
            add_progbar=verbose != 0,
            model=self.model,
            verbose=verbose,
            epochs=epochs,
            steps=steps_per_epoch or data.steps,
        )
        self.model.stop_training = False
        self.epoch, self.step = initial_epoch, 0
        run.on_train_begin()  # a callback may restore an interrupted run: epoch, step and seed
        data.seed = self.seed
        self._fitting = True
        try:
            if self.optimizer.full_batch:
                logs = self._fit_full_batch(
                    run, data, epochs, validation, validation_steps, validation_freq
                )
            else:
                logs = self._fit_batches(
                    run,
                    data,
                    epochs,
                    steps_per_epoch,
                    validation,
                    validation_steps,
                    validation_freq,
                )
        finally:
            self._fitting = False
        if self.optimizer.use_ema and epochs > initial_epoch:
            self.optimizer.finalize_variable_values(self.model.parameters)
        run.on_train_end(logs)
        assert run.history is not None
        return run.history

    def _fit_batches(
        self, run, data, epochs, steps, validation, validation_steps, validation_freq
    ) -> dict[str, float]:
        logs: dict[str, float] = {}
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
            self.model.parameters.refresh()
            run.on_epoch_begin(epoch)
            for x, y, w in data.batches(epoch, start, steps):
                run.on_train_batch_begin(self.step)
                so_far = train(x, y, w)
                self.step += 1
                run.on_train_batch_end(self.step - 1, so_far)
                if self.model.stop_training:
                    break
            logs = self._end_epoch(run, epoch, validation, validation_steps, validation_freq)
            if self.model.stop_training:
                break
        return logs

    def _end_epoch(
        self, run, epoch, validation, validation_steps, validation_freq
    ) -> dict[str, float]:
        logs = self.logs()
        if validation is not None and due(epoch, validation_freq):
            why = validation.ended()
            if why:
                warnings.warn(f"epoch {epoch + 1} has no validation: {why}", stacklevel=5)
            else:
                with self.own_tracking():
                    found = self._evaluate(run, validation, validation_steps)
                logs |= {f"val_{name}": value for name, value in found.items()}
        self.epoch, self.step = epoch + 1, 0
        run.on_epoch_end(epoch, logs)
        return logs

    def _fit_full_batch(
        self, run, data, epochs, validation, validation_steps, validation_freq
    ) -> dict[str, float]:
        """An optimizer that needs the loss of all data at every trial point; one of its iterations
        is one epoch."""
        first, logs, begun = self.epoch, {}, False

        def closure() -> float:
            nonlocal begun
            if not begun:  # here, since the minimizer may find that there is nothing left to do
                begun = True
                run.on_epoch_begin(self.epoch)
            return self.full_gradient(data)

        def iterated(iteration: int, loss: float) -> bool:
            nonlocal logs, begun
            epoch = first + iteration
            self.track_full(data, loss)
            logs = self._end_epoch(run, epoch, validation, validation_steps, validation_freq)
            begun = False
            return self.model.stop_training or epoch + 1 >= epochs

        if epochs > first:
            self.optimizer.minimize(self.model.parameters, closure, epochs - first, iterated)
        return logs

    def _check_full_batch(self, data: Data, batch_size: int | None, steps: int | None) -> None:
        """Raise unless all data can be had as often as wanted, and the loss of all is the mean of
        that of the batches."""
        name = type(self.optimizer).__name__
        if steps is not None:
            raise ValueError(
                f"{name} takes all data in every epoch: leave out steps_per_epoch={steps}"
            )
        if data.once:
            raise ValueError(
                f"{name} reads all data again and again, and an iterator is read once: give arrays"
            )
        if isinstance(data, ArrayData) and batch_size is None:
            data.batch_size = max(data.n, 1)
        loss = "compute_loss" if self._own("compute_loss") else self.loss
        mean = getattr(loss, "reduction", None) in ("mean", "sum_over_batch_size")
        if not mean and data.steps != 1:
            raise ValueError(
                f"{name} adds up batches of a loss that is a mean over samples, and {loss!r} may "
                "be another: give all data as one batch"
            )

    def full_gradient(self, data: Data) -> float:
        """The loss of all data, and its gradient in the model's vector: the batches' means,
        weighted by their rows."""
        segments = self.model.parameters.segments()
        total = [np.zeros(s.size, np.float64) for s in segments]
        loss = rows = 0.0
        for x, y, w in data.batches(0):
            value, _, _ = self.gradients(x, y, w)
            n = x.shape[0]
            for whole, segment in zip(total, segments, strict=True):
                whole += n * segment.gradients.astype(np.float64)
            loss, rows = loss + n * float(value), rows + n
        if not rows:
            raise ValueError("the data yielded no batch: there is nothing to train on")
        for whole, segment in zip(total, segments, strict=True):
            segment.gradients[...] = whole / rows
        return loss / rows

    def track_full(self, data: Data, loss: float) -> None:
        """The metrics of all data at the accepted point."""
        self.reset()
        self._loss_sum, self._loss_rows = loss, 1.0
        by_model = self._own("compute_metrics")
        if self.metrics or by_model:
            for x, y, w in data.batches(0):
                y_pred, _, mask = self.model.propagate(x, PREDICT)
                if by_model:
                    self._logs = self._metrics_by_model(x, y, y_pred, w, mask)
                else:
                    self.metrics.update(y, y_pred, w, mask)

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        *,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
    ) -> dict[str, float]:
        """Loss and metrics; see `Sequential.evaluate`."""
        self._find_hooks()
        self._require("evaluate", "test_step")
        who = "evaluate()"
        steps = at_least_one(steps, who, "steps")
        verbose = verbosity(verbose, who)
        reader = self._reader("test_step")
        data = as_data(reader, x, y, sample_weight, who=who, batch_size=batch_size)
        self.prepare(data, who, training=False)
        self._check_sizes(data, who, range(1), steps)
        run = self._run_list(callbacks, verbose, steps or data.steps)
        with self.own_tracking():
            return self._evaluate(run, data, steps)

    def _evaluate(self, run: CallbackList, data: Data, steps: int | None) -> dict[str, float]:
        self.reset()
        run.on_test_begin()
        step, test = -1, self._stepper("test_step")
        for step, (x, y, w) in enumerate(data.batches(0, 0, steps)):
            run.on_test_batch_begin(step)
            so_far = test(x, y, w)
            run.on_test_batch_end(step, so_far)
        if step < 0:
            raise ValueError("the data yielded no batch: there is nothing to evaluate")
        logs = self.logs()
        run.on_test_end(logs)
        return logs

    def test_step(self, x: Array, y: Array, sample_weight: Array | None = None) -> Outcome:
        """The loss on one batch in inference."""
        penalties: list = []
        ctx = Context(backward=False, penalties=penalties) if self._penalised else PREDICT
        with self._threads():
            y_pred, _, mask = self.model.propagate(x, ctx)
            if "compute_loss" in self._hooks:
                given = {"x": x, "y": y, "y_pred": y_pred, "sample_weight": sample_weight}
                value = self._value_by_model(given, mask, training=False)
            else:
                value = self.loss.forward(y, y_pred, sample_weight, mask)[0] * self.loss_weight
        penalties += [p.regularizer(p.value) for p in self._regularized]
        return value + sum(penalties), y_pred, mask

    def predict(
        self,
        x: Any,
        *,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Array:
        """y for x; see `Sequential.predict`."""
        self._find_hooks()
        who = "predict()"
        steps = at_least_one(steps, who, "steps")
        verbose = verbosity(verbose, who)
        data = as_data(self.reader, x, who=who, batch_size=batch_size, targets=False)
        if isinstance(data, ArrayData) and data.n == 0:
            return self.forward_batch(data.x)
        x = data.first()[0]
        self.model.build((None, *x.shape[1:]))
        self.model.check_input(x.shape)
        wanted = self.reader.fixed_rows
        if batch_size is None and steps is None and isinstance(data, ArrayData):
            data.batch_size = wanted or rows_at_once(self.model, x.shape)
        self._check_sizes(data, who, range(1), steps)
        self._settle()
        run = self._run_list(callbacks, verbose, steps or data.steps)
        run.on_predict_begin()
        forward, outputs = self._predictor(), []
        for step, (x, _, _) in enumerate(data.batches(0, 0, steps)):
            run.on_predict_batch_begin(step)
            with self._threads():
                outputs.append(forward(x))
            run.on_predict_batch_end(step, {"outputs": outputs[-1]})
        run.on_predict_end()
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs)

    def predict_batch(self, x: Any) -> Array:
        """y for x as one batch, whatever its size; see `Sequential.predict_on_batch`."""
        self._find_hooks()
        return self.model.predict_step((x,)) if self._own("predict_step") else self.forward_batch(x)

    def forward_batch(self, x: Any) -> Array:
        """y for x, which is checked and cast, as one batch."""
        x = self.reader.dense(self.reader.x(x, whole=False))
        self.model.build((None, *x.shape[1:]))
        self.model.check_input(x.shape)
        return self.model.forward(x, PREDICT)[0]

    def one_batch(
        self, x: Any, y: Any, sample_weight: Any = None, class_weight: Any = None, *, training: bool
    ) -> dict[str, Any]:
        """A step on one batch as the user gave it, and the loss and the metrics of this batch."""
        kind = "train" if training else "test"
        what, name = f"{kind}_on_batch", f"{kind}_step"
        self._find_hooks()
        self._require(what, name)
        if training:
            if self.optimizer.full_batch:
                raise ValueError(f"{self.optimizer!r} needs all data at once: use fit()")
            check_hooks(self.model, self._hooks, full_batch=False)
        x, y, w = self._one_batch(
            self._reader(name), x, y, sample_weight, class_weight, f"{what}()", training
        )
        if not self._fitting:
            return self._report(name, x, y, w)
        with self.own_tracking():  # for a callback: the sums of the epoch go on as they were
            return self._report(name, x, y, w)

    def _report(self, name: str, x, y, w) -> dict[str, Any]:
        self.reset()
        self._stepper(name)(x, y, w)
        return self.logs()

    # ------------------------------------------------------------------ loss and metrics so far

    @contextmanager
    def own_tracking(self):
        """An evaluation leaves the sums of a training epoch as they were."""
        kept = self._loss_sum, self._loss_rows, self._logs, self.metrics.state()
        try:
            yield
        finally:
            self._loss_sum, self._loss_rows, self._logs = kept[:3]
            self.metrics.set_state(kept[3])

    # ------------------------------------------------------------------ helpers

    def _run_list(self, callbacks, verbose, steps) -> CallbackList:
        return CallbackList(
            [*self.callbacks, *flat(callbacks)],
            add_progbar=verbose != 0,
            model=self.model,
            verbose=verbose,
            epochs=1,
            steps=steps,
        )

    def _validation(
        self, data, validation_data, validation_split, validation_batch_size, batch_size
    ) -> Data | None:
        if validation_data is not None:
            with located("validation_data"):
                reader = self._reader("test_step")
                x, y, w = validation_arrays(validation_data, reader.any_targets)
                size = validation_batch_size or (batch_size if y is not None else None)
                return as_data(reader, x, y, w, batch_size=size)
        share = fraction(validation_split, "fit()", "validation_split")
        if not share:
            return None
        if not isinstance(data, ArrayData):
            raise ValueError(
                "validation_split needs arrays: an iterable of batches cannot be split, give "
                "validation_data"
            )
        rest = data.split(share)
        rest.reader = self._reader("test_step")
        rest.batch_size = validation_batch_size or rest.batch_size
        return rest

    def _report_nonfinite(self, x: Array, y: Any, sample_weight: Any, value: Any) -> None:
        """Say once which tensor went bad first."""
        if self._warned:
            return
        self._warned = True
        warnings.warn(
            f"the loss became {value} in step {self.step + 1} of epoch {self.epoch + 1}: "
            f"{first_nonfinite(self.model, self.loss, x, y, sample_weight)}",
            RuntimeWarning,
            stacklevel=5,
        )


def rows_at_once(model: Any, shape: tuple[int, ...]) -> int:
    """How many rows a prediction takes at a time: no array between two layers then has much more
    than a million numbers, which still lie in a cache."""
    widest = math.prod(shape[1:])
    for layer in model.layers:
        shape = tuple(layer.compute_output_shape(shape))
        widest = max(widest, math.prod(n or 1 for n in shape[1:]))
    least, most = PREDICTION_ROWS
    return min(max(PREDICTION_NUMBERS // max(widest, 1), least), most)


@cache
def keep_freed_memory() -> None:
    """Let the memory that a step frees serve the next one.

    The malloc of glibc returns free memory to the system, beyond some megabytes at first and 64 MiB
    at most; each step then waits for the same pages again. So it is told to keep all, but blocks of
    more than 32 MiB. Elsewhere, and where a limit was set by hand, this does nothing.
    """
    if not {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"} & set(os.environ):
        try:
            mallopt = ctypes.CDLL(None).mallopt
        except (AttributeError, OSError, TypeError):
            return  # not glibc
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(M_MMAP_THRESHOLD, RETURNED_BYTES)


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # as malloc.h numbers them
