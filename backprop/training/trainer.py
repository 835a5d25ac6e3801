"""The training loop: forward, loss, backward, regularize, step."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from typing import Any

import numpy as np

from backprop import losses, metrics, optimizers, random
from backprop.callbacks import CallbackList, History
from backprop.checks import integer
from backprop.layer import PREDICT, TRAINING, Array, Context
from backprop.layers.containers import Chain
from backprop.training.data import ArrayData, IterableData, Reader, as_data, take, unpack_x_y_sample_weight

Outcome = tuple[Any, Array, Array | None]  # the loss, y_pred and its mask


class Trainer:
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
        Of every run; `fit` takes further ones.
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
        self.loss: Any = losses.get(loss)
        self.optimizer = optimizers.get(optimizer)
        self.metrics = MetricSet(metrics, weighted_metrics, self.loss)
        self.loss_weight = 1.0 if loss_weight is None else number(loss_weight)
        self.callbacks = list(callbacks)
        self.reader = Reader(model)
        self.seed = int(random.generator().integers(2**32))
        self.epoch = self.step = 0
        self._loss_sum = self._loss_rows = 0.0
        self._warned = False

    # ------------------------------------------------------------------ one step

    def train_step(self, x: Array, y: Array, sample_weight: Array | None = None) -> Outcome:
        """One optimisation step on a batch that `Reader` has prepared; the outcome is that of before the step."""
        outcome = self.gradients(x, y, sample_weight)
        self.optimizer.step(self.model.parameters)
        return outcome

    def gradients(self, x: Array, y: Array, sample_weight: Array | None = None) -> Outcome:
        """Forward, loss, backward, regularize: every gradient of the model is set."""
        model, loss = self.model, self.loss
        ctx = Context(training=True, penalties=[]) if self._penalised else TRAINING
        y_pred, caches, mask = model.propagate(x, ctx)
        value, cache = loss.forward(y, y_pred, sample_weight, mask)
        if not math.isfinite(value):
            self._report_nonfinite(x, value)
        dy = loss.backward(cache)
        if self.loss_weight != 1:
            value, dy = value * self.loss_weight, dy * self.loss_weight
        model.backward_params(dy, caches)
        for p in self._regularized:
            value = value + p.regularizer(p.value)
            p.gradient += p.regularizer.gradient(p.value)
        if self._penalised:
            value = value + sum(ctx.penalties or ())
        return value, y_pred, mask

    def prepare(self, batch: tuple, *, training: bool) -> None:
        """Build the model for the data and check that the two fit, before anything is changed."""
        x, y, _ = batch
        self.model.build((None, *x.shape[1:]))
        self.model.check_input(x.shape)
        parameters = self.model.parameters
        if training:
            parameters.refresh()
            if not self.optimizer.built:
                self.optimizer.build(parameters)
            if not parameters.segments():
                warnings.warn(f"{self.model.name} has no trainable weights: training will not change it", stacklevel=4)
        self._regularized = [p for p in parameters.parameters if p.regularizer is not None]
        self._penalised = any(layer.penalises for layer in self.model.walk())
        if self.loss is not None and y is not None:
            self.loss.check(y, self.model.output_shape)
        if y is not None:
            self.metrics.build(y.shape, self.model.output_shape)

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
        self._require("fit", loss=True)
        epochs = integer(epochs, "fit()", "epochs", 0)
        if self.optimizer.full_batch and batch_size is None and x is not None and hasattr(x, "shape"):
            batch_size = max(1, x.shape[0])
        data = as_data(
            self.reader, x, y, sample_weight, class_weight=class_weight, batch_size=batch_size, shuffle=shuffle, seed=self.seed
        )
        validation = self._validation(data, validation_data, validation_split, validation_batch_size or batch_size)
        batch = first_batch(data, "fit()")
        if batch[1] is None:
            raise ValueError("fit() needs y: give it beside x, or batches of (x, y)")
        self.prepare(batch, training=True)
        if validation is not None:
            self.prepare(first_batch(validation, "validation"), training=False)

        steps = steps_per_epoch or data.steps
        run = CallbackList(
            [*self.callbacks, *flat(callbacks)],
            add_history=True,
            add_progbar=verbose != 0,
            model=self.model,
            verbose=1 if verbose == "auto" else verbose,
            epochs=epochs,
            steps=steps,
        )
        self.model.stop_training = False
        self.epoch, self.step = initial_epoch, 0
        run.on_train_begin()  # a callback may restore an interrupted run: its epoch and step
        if self.optimizer.full_batch:
            logs = self._fit_full_batch(run, data, epochs, validation, validation_steps, validation_freq)
        else:
            logs = self._fit_batches(run, data, epochs, steps, validation, validation_steps, validation_freq)
        if self.optimizer.use_ema and epochs > initial_epoch:
            self.optimizer.finalize_variable_values(self.model.parameters)
        run.on_train_end(logs)
        assert run.history is not None
        return run.history

    def _fit_batches(self, run, data, epochs, steps, validation, validation_steps, validation_freq) -> dict[str, float]:
        logs: dict[str, float] = {}
        first = self.epoch
        for epoch in range(first, epochs):
            start = self.step if epoch == first else 0
            if start == 0:
                self.reset()
            self.epoch, self.step = epoch, start
            self.model.parameters.refresh()
            run.on_epoch_begin(epoch)
            for x, y, w in take(data, epoch, start, steps):
                run.on_train_batch_begin(self.step)
                self.track(self.train_step(x, y, w), x, y, w)
                self.step += 1
                run.on_train_batch_end(self.step - 1, self.results)
                if self.model.stop_training:
                    break
            if self.step == 0:
                raise ValueError(f"the data yielded no batch in epoch {epoch + 1}: there is nothing to train on")
            logs = self._end_epoch(run, epoch, validation, validation_steps, validation_freq)
            if self.model.stop_training:
                break
        return logs

    def _end_epoch(self, run, epoch, validation, validation_steps, validation_freq) -> dict[str, float]:
        logs = self.results()
        if validation is not None and due(epoch, validation_freq):
            with self.own_tracking():
                found = self._evaluate(run, validation, validation_steps)
            logs |= {f"val_{name}": value for name, value in found.items()}
        self.epoch, self.step = epoch + 1, 0
        run.on_epoch_end(epoch, logs)
        return logs

    def _fit_full_batch(self, run, data, epochs, validation, validation_steps, validation_freq) -> dict[str, float]:
        """An optimizer that needs the loss of all data at every trial point; one of its iterations is one epoch."""
        first, logs = self.epoch, {}

        def iterated(iteration: int, loss: float) -> bool:
            nonlocal logs
            epoch = first + iteration
            self.track_full(data, loss)
            logs = self._end_epoch(run, epoch, validation, validation_steps, validation_freq)
            if self.model.stop_training or epoch + 1 >= epochs:
                return True
            run.on_epoch_begin(epoch + 1)
            return False

        if epochs > first:
            run.on_epoch_begin(first)
            self.optimizer.minimize(
                self.model.parameters, lambda: self.full_gradient(data), epochs - first, iterated
            )
        return logs

    def full_gradient(self, data: ArrayData | IterableData) -> float:
        """The loss of all data, and its gradient in the model's vector: the batches' means, weighted by their rows."""
        segments = self.model.parameters.segments()
        total = [np.zeros(s.size, np.float64) for s in segments]
        loss = rows = 0.0
        for x, y, w in data.batches(0):
            value, _, _ = self.gradients(x, y, w)
            n = x.shape[0]
            for whole, segment in zip(total, segments, strict=True):
                whole += n * segment.gradients.astype(np.float64)
            loss, rows = loss + n * float(value), rows + n
        for whole, segment in zip(total, segments, strict=True):
            segment.gradients[...] = whole / rows
        return loss / rows

    def track_full(self, data: ArrayData | IterableData, loss: float) -> None:
        """The metrics of all data at the accepted point."""
        self.reset()
        if self.metrics:
            for x, y, w in data.batches(0):
                y_pred, _, mask = self.model.propagate(x, PREDICT)
                self.metrics.update(y, y_pred, w, mask)
        self._loss_sum, self._loss_rows = loss, 1.0

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
        self._require("evaluate", loss=True)
        data = as_data(self.reader, x, y, sample_weight, batch_size=batch_size)
        batch = first_batch(data, "evaluate()")
        if batch[1] is None:
            raise ValueError("evaluate() needs y: give it beside x, or batches of (x, y)")
        self.prepare(batch, training=False)
        run = self._run_list(callbacks, verbose, steps or data.steps)
        with self.own_tracking():
            return self._evaluate(run, data, steps)

    def _evaluate(self, run: CallbackList, data: ArrayData | IterableData, steps: int | None) -> dict[str, float]:
        self.reset()
        run.on_test_begin()
        step = -1
        for step, (x, y, w) in enumerate(take(data, 0, 0, steps)):
            run.on_test_batch_begin(step)
            self.track(self.test_step(x, y, w), x, y, w)
            run.on_test_batch_end(step, self.results)
        if step < 0:
            raise ValueError("the data yielded no batch: there is nothing to evaluate")
        logs = self.results()
        run.on_test_end(logs)
        return logs

    def test_step(self, x: Array, y: Array, sample_weight: Array | None = None) -> Outcome:
        """The loss on one batch in inference."""
        penalties: list = []
        ctx = Context(backward=False, penalties=penalties) if self._penalised else PREDICT
        y_pred, _, mask = self.model.propagate(x, ctx)
        value, _ = self.loss.forward(y, y_pred, sample_weight, mask)
        return value * self.loss_weight + sum(self.model.losses) + sum(penalties), y_pred, mask

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
        data = as_data(self.reader, x, batch_size=batch_size)
        if isinstance(data, ArrayData):
            x = data.x
            self.model.build((None, *x.shape[1:]))
            self.model.check_input(x.shape)
            if data.n == 0:
                return self.model.forward(x, PREDICT)[0]
        else:
            x = data.first()[0]
            self.model.build((None, *x.shape[1:]))
        run = self._run_list(callbacks, verbose, steps or data.steps)
        run.on_predict_begin()
        outputs = []
        for step, (x, _, _) in enumerate(take(data, 0, 0, steps)):
            run.on_predict_batch_begin(step)
            outputs.append(self.model.forward(x, PREDICT)[0])
            run.on_predict_batch_end(step, {"outputs": outputs[-1]})
        run.on_predict_end()
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs)

    def one_batch(self, x: Any, y: Any, sample_weight: Any = None, class_weight: Any = None, *, training: bool) -> dict:
        """A step on one batch as the user gave it; the metrics go on from call to call until they are reset."""
        self._require("train_on_batch" if training else "test_on_batch", loss=True)
        n = len(x) if not hasattr(x, "shape") else x.shape[0]
        data = ArrayData(self.reader, x, y, sample_weight, batch_size=max(n, 1), class_weight=class_weight)
        batch = first_batch(data, "train_on_batch()" if training else "test_on_batch()")
        if batch[1] is None:
            raise ValueError("a step needs y beside x")
        self.prepare(batch, training=training)
        x, y, w = batch
        if training and self.optimizer.full_batch:
            raise ValueError(f"{self.optimizer!r} needs all data at once: use fit()")
        self.track(self.train_step(x, y, w) if training else self.test_step(x, y, w), x, y, w)
        return self.results()

    # ------------------------------------------------------------------ loss and metrics so far

    def reset(self) -> None:
        self._loss_sum = self._loss_rows = 0.0
        self.metrics.reset()

    def track(self, outcome: Outcome, x, y, sample_weight) -> None:
        """Add a batch to the loss and the metrics of the epoch."""
        value, y_pred, mask = outcome
        n = x.shape[0]
        self._loss_sum += n * float(value)
        self._loss_rows += n
        if self.metrics:
            self.metrics.update(y, y_pred, sample_weight, mask)

    def results(self) -> dict[str, float]:
        return {"loss": self._loss_sum / max(self._loss_rows, 1), **self.metrics.results()}

    @contextmanager
    def own_tracking(self):
        """An evaluation leaves the sums of a training epoch as they were."""
        kept = self._loss_sum, self._loss_rows, self.metrics.state()
        try:
            yield
        finally:
            self._loss_sum, self._loss_rows = kept[:2]
            self.metrics.set_state(kept[2])

    # ------------------------------------------------------------------ helpers

    def _run_list(self, callbacks, verbose, steps) -> CallbackList:
        verbose = 1 if verbose == "auto" else verbose
        return CallbackList(
            flat(callbacks), add_progbar=verbose != 0, model=self.model, verbose=verbose, epochs=1, steps=steps
        )

    def _validation(self, data, validation_data, fraction, batch_size) -> ArrayData | IterableData | None:
        if validation_data is not None:
            if isinstance(validation_data, list | tuple):
                x, y, w = unpack_x_y_sample_weight(validation_data)
                return as_data(self.reader, x, y, w, batch_size=batch_size)
            return as_data(self.reader, validation_data, batch_size=batch_size)
        if not fraction:
            return None
        if not isinstance(data, ArrayData):
            raise ValueError("validation_split needs arrays: an iterable of batches cannot be split, give validation_data")
        if not 0 < fraction < 1:
            raise ValueError(f"validation_split expects a number from 0 to 1, got {fraction!r}")
        rest = data.split(fraction)
        rest.batch_size = batch_size or rest.batch_size
        return rest

    def _require(self, what: str, loss: bool) -> None:
        if loss and self.loss is None:
            raise RuntimeError(f"{what}() needs a loss: compile(loss='mse') or another")

    def _report_nonfinite(self, x: Array, value: Any) -> None:
        """Say once which tensor went bad first."""
        if self._warned:
            return
        self._warned = True
        warnings.warn(
            f"the loss became {value} in step {self.step + 1} of epoch {self.epoch + 1}: {first_nonfinite(self.model, x)}",
            RuntimeWarning,
            stacklevel=5,
        )


class MetricSet:
    """The metrics of a run, resolved when the shapes are known."""

    def __init__(self, plain: Iterable | None, weighted: Iterable | None, loss: Any):
        for name, given in (("metrics", plain), ("weighted_metrics", weighted)):
            if given is not None and not isinstance(given, list | tuple):
                raise TypeError(f"compile() expects {name} to be a list, such as ['accuracy'], got {given!r}")
        self.wanted = [(m, False) for m in plain or ()] + [(m, True) for m in weighted or ()]
        self.loss = loss
        self.items: list[tuple[str, Any, bool]] = []
        for identifier, _ in self.wanted:
            if isinstance(identifier, str):  # a misspelt name is an error of compile, not of fit
                metrics.resolve(identifier, (None, 2), (None, 2))

    def __bool__(self) -> bool:
        return bool(self.wanted)

    def build(self, y_shape, output_shape) -> None:
        if self.items:
            return
        for identifier, weighted in self.wanted:
            metric = metrics.resolve(identifier, output_shape, y_shape, self.loss)
            name, k = metric.name, 0
            while name in {taken for taken, _, _ in self.items}:
                k += 1
                name = f"weighted_{metric.name}" if weighted and k == 1 else f"{metric.name}_{k}"
            self.items.append((name, metric, weighted))

    def update(self, y, y_pred, sample_weight, mask=None) -> None:
        """Padding has no weight in any metric; sample weights count in the weighted ones."""
        for _, metric, weighted in self.items:
            weight = sample_weight if weighted else None
            metric.update_state(y, y_pred, weight if mask is None else metrics.apply_mask(weight, mask))

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


def first_batch(data: ArrayData | IterableData, who: str) -> tuple:
    """The first batch, or an error if there is none."""
    if isinstance(data, IterableData):
        return data.first()
    if data.n == 0:
        raise ValueError(f"{who} got no rows: x has shape {data.x.shape}")
    return next(iter(ArrayData.batches(data, 0)))


def number(loss_weight: Any) -> float:
    """The weight of the one loss: a number, alone or in a list."""
    if isinstance(loss_weight, list | tuple) and len(loss_weight) == 1:
        loss_weight = loss_weight[0]
    if not isinstance(loss_weight, int | float):
        raise ValueError(f"a Sequential has one output, so loss_weights is one number; got {loss_weight!r}")
    return float(loss_weight)


def flat(callbacks: Any) -> list:
    return [] if callbacks is None else list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]


def due(epoch: int, freq: int | list[int]) -> bool:
    """Whether an epoch ends with a validation: every `freq`-th, or those of a list (counted from 1)."""
    return (epoch + 1) in freq if isinstance(freq, list | tuple | set) else (epoch + 1) % freq == 0


def first_nonfinite(model: Chain, x: Any) -> str:
    """Which tensor is the first to hold NaN or infinity on the way from x to y."""
    for p in model.arrays():
        if not np.isfinite(p.value).all():
            return f"the weight {p.path} holds NaN or infinity; a smaller learning rate or clipnorm may help"
    with np.errstate(all="ignore"):
        for i, layer in enumerate(model.layers):
            x = layer.forward(x, TRAINING)[0]
            if not np.isfinite(x).all():
                return f"the output of layer {i}, {layer!r}, is the first that holds NaN or infinity"
    return "all weights and layer outputs are finite; the loss itself overflowed"
