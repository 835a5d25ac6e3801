"""`Trainer`: what users give to `compile`, `fit`, `evaluate` and `predict`, read and checked.

The loop itself is in `loop.py`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from typing import Any

from backprop import optimizers
from backprop.callbacks import CallbackList, History
from backprop.checks import integer
from backprop.layer import Array
from backprop.nest import any_rows, shapes
from backprop.training.data import ArrayData, as_data, located
from backprop.training.ends import ends_of
from backprop.training.full_batch import check_full_batch, run_full_batch
from backprop.training.hooks import check_hooks
from backprop.training.loop import logs_of
from backprop.training.options import at_least_one, flat, verbosity
from backprop.training.outputs import given_losses, given_metrics, read_losses, read_metrics
from backprop.training.steps import Steps
from backprop.training.tracking import fresh
from backprop.training.validation import read_validation
from backprop.tuning import PREDICTION_NUMBERS, PREDICTION_ROWS


class Trainer(Steps):
    """Fits a model: owns the loop, the loss, the optimizer and the metrics.

    `Sequential.compile` makes one, and `Sequential.fit`, `evaluate` and `predict` are calls of it.

    Parameters
    ----------
    model : Chain or Graph
        With `parameters`, its `ParameterVector`, once it is built.
    loss : str or Loss, or a list or dict of them, optional
        Not needed for `predict`.
    optimizer : str or Optimizer, default "rmsprop"
    metrics, weighted_metrics : list of str or Metric, or a list or dict of lists, optional
        The weighted ones are given the sample weights.
    callbacks : list of Callback, optional
        Of every run; `fit`, `evaluate` and `predict` take further ones.
    loss_weight : float, or a list or dict of float, default 1
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
        loss_weight: Any = None,
    ):
        outputs = ends_of(model)[1]
        loss, weight = read_losses(outputs, loss, loss_weight)
        optimizer = optimizers.get(optimizer)
        tracked = read_metrics(outputs, metrics, weighted_metrics, loss)
        super().__init__(model, loss, optimizer, tracked, weight)
        self.callbacks = list(callbacks)
        self.validates = False  # whether the run has a validation, in some of its epochs
        self._fitting = False

    def anew(self, model: Any) -> Trainer:
        """A trainer of the same settings for a model of the same layers; the optimizer and the
        metrics begin with nothing."""
        optimizer = type(self.optimizer)(**self.optimizer._arguments)
        kept = [p for p in self.model.arrays() if p.gradient is not None]
        excluded = [i for i, p in enumerate(kept) if self.optimizer._excludes(p)]
        if excluded:
            parameters = [p for p in model.arrays() if p.gradient is not None]
            optimizer.exclude_from_weight_decay([parameters[i] for i in excluded])
        loss, loss_weight = given_losses(self)
        plain, weighted = (
            given_metrics(self.metrics, weighted, fresh) for weighted in (False, True)
        )
        return Trainer(
            model,
            copy.deepcopy(loss),
            optimizer,
            plain,
            self.callbacks,
            weighted_metrics=weighted,
            loss_weight=loss_weight,
        )

    # ------------------------------------------------------------------ fit, evaluate, predict

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: Any = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
    ) -> History:
        """Train for a number of epochs.

        Parameters
        ----------
        x : array, memory map, SciPy sparse matrix, data frame, or iterable of batches
            A row per sample; an iterable yields ``(x, y)`` or ``(x, y, sample_weight)``. For
            several inputs a list of arrays, as the model was drawn, or a dict by their names.
        y : array, or a list or dict of arrays, optional
            Targets, unless they come with `x`. Outputs without a loss need none.
        batch_size : int, default 32
            Of arrays; an iterable has batches already. For L-BFGS the default is all rows, for a
            stateful model the number of sequences whose states it keeps.
        epochs : int, default 1
            The number of the last epoch; see `initial_epoch`.
        verbose : {"auto", 0, 1, 2}
            A progress bar, nothing, the bar, one line per epoch.
        callbacks : list of Callback, optional
        validation_split : float, default 0
            Share of the rows, from the end, that is kept for validation.
        validation_data : tuple or iterable, optional
            ``(x, y)`` or ``(x, y, sample_weight)``, or an iterable of batches. Comes before
            `validation_split`.
        shuffle : bool or "batch", default True
            Anew for each epoch; the order depends only on the seed and the epoch. Batches that can
            be read by index are shuffled as they are, those of other iterables are not. ``"batch"``
            shuffles the rows within each batch, and leaves the batches where they are.
        class_weight : dict of int to float, or "balanced", optional
            A factor for each class in the loss of training, by the class numbers that stand in `y`,
            or are one-hot there; those that are not named weigh 1. The loss says what the classes
            of its targets are: one for each sample, or for each step, pixel ... of it.
            ``"balanced"`` is n / (k n_c), as in scikit-learn, of the rows of `y` that are trained
            on. Rows of `validation_split` are not weighed.
        sample_weight : array, or a list or dict of arrays, optional
            A factor for each row, or for each step of it. Those of `validation_split` keep theirs.
            One array for several outputs weighs the rows of each.
        initial_epoch : int, default 0
            Where to go on.
        steps_per_epoch, validation_steps : int, optional
            Batches of an epoch, of a validation. Default: all. The next epoch goes on where one of
            some steps stopped; the end of the data ends an epoch too. Of batches that are read by
            index an epoch has as many as there were when the run began, or what is left of them:
            the run warns when their number changes.
        validation_batch_size : int, optional
            Default: `batch_size`.
        validation_freq : int or list of int, default 1
            After how many epochs, or after which, to validate.

        Returns
        -------
        History
            ``history.history["loss"]`` and the like hold a number per epoch.

        Raises
        ------
        RuntimeError
            Before `compile`.
        ValueError, TypeError
            For data that do not fit; the model is then as it was.
        """
        who = "fit()"
        self._find_hooks()
        check_hooks(self.model, self._hooks, self.optimizer.full_batch)
        self._require("fit", "train_step")
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
        validation = read_validation(
            self._reader("test_step"),
            data,
            validation_data,
            validation_split,
            batch_size,
            validation_batch_size,
            validation_steps,
            validation_freq,
        )
        to_do = range(initial_epoch, epochs)
        self.validates = validation is not None
        if validation is not None:
            validation.check(to_do)
        if self.optimizer.full_batch:
            check_full_batch(self, data, batch_size, steps_per_epoch)
        self.prepare(data, who, training=True)
        if validation is not None:
            with located("validation_data"):
                self.prepare(validation.data, who, training=False)
                self.check_sizes(validation.data, who, range(1), validation.steps)
        self.check_sizes(data, who, to_do, steps_per_epoch)

        run = self._run_list(callbacks, verbose, steps_per_epoch or data.steps, epochs, True)
        self.model.stop_training = False
        self.epoch, self.step = initial_epoch, 0
        run.on_train_begin()  # a callback may restore an interrupted run: epoch, step and seed
        data.seed = self.seed
        self._fitting = True
        try:
            if self.optimizer.full_batch:
                logs = run_full_batch(self, run, data, epochs, validation)
            else:
                logs = self.run_epochs(run, data, epochs, steps_per_epoch, validation)
        finally:
            self._fitting = False
        if self.optimizer.use_ema and epochs > initial_epoch:
            self.optimizer.finalize_variable_values(self.model.parameters)
        run.on_train_end(logs)
        assert run.history is not None
        return run.history

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
        who = "evaluate()"
        self._find_hooks()
        self._require("evaluate", "test_step")
        steps = at_least_one(steps, who, "steps")
        verbose = verbosity(verbose, who)
        reader = self._reader("test_step")
        data = as_data(reader, x, y, sample_weight, who=who, batch_size=batch_size)
        self.prepare(data, who, training=False)
        self.check_sizes(data, who, range(1), steps)
        run = self._run_list(callbacks, verbose, steps or data.steps)
        with self.own_tracking():
            return self.run_evaluation(run, data, steps)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Array:
        """y for x, in inference and in batches.

        Parameters
        ----------
        x : array, or iterable of batches
            A list of arrays, or a dict, is, as in Keras, one input each, and a `Sequential` has
            one: a list of batches holds tuples, ``[(x,), (x,)]``.
        batch_size : int, optional
            Default: as many rows as keep all arrays in a cache, from 32 to 4096; 32 with `steps`.
        verbose : {"auto", 0, 1, 2}
            2 is one line an epoch, 1 and "auto" a bar.
        steps : int, optional
            Stop after so many batches.
        callbacks : list of Callback, optional

        Returns
        -------
        ndarray, or lists and dicts of them as several outputs were drawn
        """
        who = "predict()"
        self._find_hooks()
        steps = at_least_one(steps, who, "steps")
        verbose = verbosity(verbose, who)
        data = as_data(self.reader, x, who=who, batch_size=batch_size, targets=False)
        if isinstance(data, ArrayData) and data.n == 0:
            return self.default_prediction(data.x)
        shape = shapes(data.first()[0])
        self.model.build(any_rows(shape))
        self.model.check_input(shape)
        if batch_size is None and steps is None and isinstance(data, ArrayData):
            data.batch_size = self.reader.fixed_rows or rows_at_once(self.model, shape)
        self.check_sizes(data, who, range(1), steps)
        self.settle()
        run = self._run_list(callbacks, verbose, steps or data.steps)
        return self.model.arranged(self.run_prediction(run, data, steps))

    def predict_batch(self, x: Any) -> Array:
        """y for x as one batch, whatever its size; see `Sequential.predict_on_batch`."""
        self._find_hooks()
        if self.owns("predict_step"):
            return self.model.predict_step((x,))
        return self.default_prediction(x)

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
        reader = self._reader(name)
        x, y, w = self.prepare_batch(
            reader, x, y, sample_weight, class_weight, who=f"{what}()", training=training
        )
        if not self._fitting:
            return self._report(name, x, y, w)
        with self.own_tracking():  # for a callback: the sums of the epoch go on as they were
            return self._report(name, x, y, w)

    def _report(self, name: str, x, y, w) -> dict[str, Any]:
        self.reset()
        return logs_of(self._stepper(name)(x, y, w))

    def _run_list(
        self, callbacks: Any, verbose: int, steps: int | None, epochs: int = 1, fits: bool = False
    ) -> CallbackList:
        return CallbackList(
            [*self.callbacks, *flat(callbacks)],
            add_history=fits,
            add_progbar=verbose != 0,
            model=self.model,
            verbose=verbose,
            epochs=epochs,
            steps=steps,
        )


def rows_at_once(model: Any, shape: Any) -> int:
    """How many rows a prediction takes at a time: no array between two layers then has much more
    than a million numbers, which still lie in a cache."""
    widest = max(math.prod(n or 1 for n in one[1:]) for one in model.shapes_within(shape))
    least, most = PREDICTION_ROWS
    return min(max(PREDICTION_NUMBERS // max(widest, 1), least), most)
