"""`Trainer`: what users give to `compile`, `fit`, `evaluate` and `predict`, read and checked.

The loop itself is in `loop.py`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext
from typing import Any

import numpy as np

from backprop import optimizers
from backprop.callbacks import CallbackList, History
from backprop.checks import integer
from backprop.layer import Array
from backprop.training.batches import located
from backprop.training.data import ArrayData, as_data
from backprop.training.ends import ends_of
from backprop.training.full_batch import check_full_batch, run_full_batch
from backprop.training.hooks import check_hooks
from backprop.training.interrupts import Interrupted, Signals
from backprop.training.loop import logs_of
from backprop.training.options import at_least_one, flat, verbosity
from backprop.training.outputs import given_losses, given_metrics, read_losses, read_metrics
from backprop.training.prepare import evenly
from backprop.training.resuming import Resumable
from backprop.training.strategy import alone, checked, on_all_ranks
from backprop.training.tracking import fresh
from backprop.training.validation import read_validation


class Trainer(Resumable):
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
    on_nonfinite : str or OnNonfinite, default "warn"
        What happens to a step whose loss or gradient is NaN or infinite; see `Trained.compile`.
    strategy : SingleProcess or MPI, optional
        Where the work of `fit` and `evaluate` is done, see `backprop.distributed`. Default: in this
        process.

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
        on_nonfinite: Any = "warn",
        strategy: Any = None,
    ):
        outputs = ends_of(model)[1]
        found, weight = read_losses(outputs, loss, loss_weight)
        optimizer = optimizers.get(optimizer)
        if optimizer is None:
            raise ValueError("compile() expects an optimizer, such as 'adam', got None")
        tracked = read_metrics(outputs, metrics, weighted_metrics, found)
        tracked.order_losses(outputs, loss)
        super().__init__(model, found, optimizer, tracked, weight, on_nonfinite=on_nonfinite)
        self.callbacks = list(callbacks)
        self.validates = False  # whether the run has a validation, in some of its epochs
        self.strategy = checked(strategy)

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
            on_nonfinite=self.on_nonfinite,
            strategy=self.strategy,
        )

    # ------------------------------------------------------------------ fit, evaluate, predict

    @on_all_ranks
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
        *,
        strategy: Any = None,
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
            be read by index are shuffled as they are, those of other iterables are not; the data
            sets of `backprop.data` shuffle their rows, as far as these are in memory together.
            ``"batch"`` shuffles the rows of arrays within each batch, and leaves the batches where
            they are.
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
        strategy : SingleProcess or MPI, optional
            Where the work is done, of this run and from then on. Default: where it was, which is
            this process, unless the trainer was made with another.

        Returns
        -------
        History
            ``history.history["loss"]`` and the like hold a number per epoch.

        Raises
        ------
        RuntimeError
            Before `compile`.
        NonfiniteError
            At a step whose loss or gradient is NaN or infinite, if `compile` was told so.
        ValueError, TypeError
            For data that do not fit; the model is then as it was.
        """
        who = "fit()"
        self._turn.check(who, self.model.name)
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
        if self.across is not None:
            data = self.across.begin(data, validation, epochs)

        run = self._run_list(callbacks, verbose, steps_per_epoch or data.steps, epochs, True)
        with (
            self._turn.held(who, self.model.name),
            told_of_errors(run),
            self._runs(run, data, validation, initial_epoch),
        ):
            self.signals = self.across.signals() if self.across else Signals()
            try:
                with self.signals.caught(self.model):
                    if self.optimizer.full_batch:
                        logs = run_full_batch(self, run, data, epochs, validation)
                    else:
                        logs = self.run_epochs(run, data, epochs, steps_per_epoch, validation)
                if self.epoch < epochs:  # a signal may have come while an epoch was ended
                    self.signals.check()
            except Interrupted:
                logs = self.results()
                run.on_train_interrupt(self.epoch, self.step)
            finally:
                data.close()
                if validation is not None:
                    validation.data.close()
            if self.across is not None:
                self.across.end()
            if self.optimizer.use_ema and epochs > initial_epoch:
                self.optimizer.finalize_variable_values(self.model.parameters)
            run.on_train_end(logs)
        self.signals.leave()
        assert run.history is not None
        return run.history

    @on_all_ranks
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
        if self.across is not None:
            data = self.across.share(data)
        run = self._run_list(callbacks, verbose, steps or data.steps)
        with closing(data), told_of_errors(run), self._counting(halves=True) as trainer:
            return trainer.run_evaluation(run, data, steps)

    @contextmanager
    def _counting(self, changes: str = "", *, halves: bool = False) -> Iterator[Trainer]:
        """The trainer whose sums may be used: a copy's while another thread counts; what `changes`
        the model is refused then. For a callback, and between `halves` of an epoch, the sums of the
        epoch go on as they were."""
        if self._turn.take():
            try:
                with self.own_tracking() if halves and self.step else nullcontext():
                    yield self
            finally:
                self._turn.give_back()
        elif not self._turn.elsewhere:
            with self.own_tracking():
                yield self
        elif changes:
            raise self._turn.refusal(changes, self.model.name)
        else:
            yield self._beside()

    def _beside(self) -> Trainer:
        """A trainer of the same model with sums of its own."""
        other = copy.copy(self)
        other.loss_so_far, other.metrics = copy.deepcopy((self.loss_so_far, self.metrics))
        other.signals = Signals()
        return other

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
        told = batch_size is not None or steps is not None
        if not (told or verbose or callbacks or self.callbacks) and self._is_known_batch(x):
            return self.default_prediction(x)
        data = as_data(self.reader, x, who=who, batch_size=batch_size, targets=False)
        if isinstance(data, ArrayData) and data.n == 0:
            return self.default_prediction(data.x)
        in_memory = isinstance(data, ArrayData)
        known = self.get_ready(data.x if in_memory and not data.late else data.first()[0])
        if in_memory and not told:
            data.batch_size = known.fixed_rows or evenly(data.n, known.rows)
        if known.fixed_rows:
            self.check_sizes(data, who, range(1), steps)
        run = self._run_list(callbacks, verbose, steps or data.steps)
        with closing(data), told_of_errors(run):
            return self.model.arranged(self.run_prediction(run, data, steps))

    def _is_known_batch(self, x: Any) -> bool:
        """Whether x is one batch of rows that were predicted from before: for a few rows, all that
        a run of batches does beside takes as long as the model."""
        known = self.model._asked.get(x.shape[1:]) if type(x) is np.ndarray and x.ndim else None
        return (
            known is not None
            and self.model.built
            and 0 < len(x) <= known.rows
            and not (known.fixed_rows or self.owns("predict_step"))
        )

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
        alone(self, what)
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
        if self._turn.take():  # as `_counting` does, for less than it takes beside a small step
            try:
                return self._report(name, x, y, w)
            finally:
                self._turn.give_back()
        with self._counting(f"{what}()" if training else "") as trainer:
            return trainer._report(name, x, y, w)

    def _report(self, name: str, x, y, w) -> dict[str, Any]:
        self.reset()
        return logs_of(self._stepper(name)(x, y, w)) or self.logs_of_dropped()

    def _run_list(
        self, callbacks: Any, verbose: int, steps: int | None, epochs: int = 1, fits: bool = False
    ) -> CallbackList:
        return (self.across.callbacks if self.across else CallbackList)(
            [*self.callbacks, *flat(callbacks)],
            add_history=fits,
            add_progbar=verbose != 0,
            model=self.model,
            verbose=verbose,
            epochs=epochs,
            steps=steps,
        )


@contextmanager
def told_of_errors(run: CallbackList) -> Iterator[None]:
    """Within the block callbacks hear of an exception, before it goes on."""
    try:
        yield
    except BaseException as error:
        run.on_exception(error)
        raise
