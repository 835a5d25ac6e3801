"""What a model of Keras has for training: each method is a call of its trainer."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from backprop import checks
from backprop.layer import Array
from backprop.training.batches import unpack_x_y_sample_weight
from backprop.training.hooks import hook
from backprop.training.outputs import given_losses
from backprop.training.tracking import metrics_in
from backprop.training.trainer import Trainer

P = ParamSpec("P")
R = TypeVar("R")


def by_trainer(
    method: Callable[Concatenate[Trainer, P], R], compiled: bool = True
) -> Callable[Concatenate[Any, P], R]:
    """The trainer's method as one of the model: the same arguments and docstring.

    Parameters
    ----------
    method : function
        Of `Trainer`.
    compiled : bool, default True
        Whether `compile` must have been called before.
    """
    name = method.__name__

    @wraps(method)
    def call(model: Any, *args: P.args, **kwargs: P.kwargs) -> R:
        trainer = model._trainer(name) if compiled else model.trainer or Trainer(model)
        return getattr(trainer, name)(*args, **kwargs)

    return call


class Trained:
    """A chain or a graph that is compiled, fitted, evaluated and asked."""

    name: Any
    trainer: Trainer | None
    stop_training: bool
    activity_regularizer: Any

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss=None,
        loss_weights=None,
        metrics=None,
        weighted_metrics=None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
        on_nonfinite: Any = "warn",
    ) -> None:
        """Choose how to train.

        Outputs go by the names of the layers that make them, or by those of the dict that they were
        drawn as; that of a `Sequential` by the name of its last layer.

        Parameters
        ----------
        optimizer : str or Optimizer, default "rmsprop"
        loss : str or Loss, or a list or dict of them
            Of several outputs one each, in their order or by their names: what is None or missing
            is not trained. One alone is the loss of each.
        loss_weights : float, or a list or dict of float, optional
            A factor on the loss, on each of several. What is trained on is their weighted sum.
        metrics : list of str or Metric, or a list or dict of such lists, optional
            ``"accuracy"`` picks the kind that suits loss and data. Of several outputs a list each,
            in their order or by their names, which go before the metrics' names in logs:
            ``"age_mae"``.
        weighted_metrics : list, or a list or dict of lists, optional
            Given the sample weights.
        run_eagerly, steps_per_execution, jit_compile, auto_scale_loss
            Of Keras' engines; there is nothing here to compile, so only the defaults (or their
            equivalents) are taken.
        on_nonfinite : {"warn", "raise", "skip", "stop", "restore"} or OnNonfinite, default "warn"
            What happens to a step whose loss or gradient is NaN or infinite. ``"warn"``: a loss
            that is so is reported once, and the run goes on, as with Keras, where weights become
            NaN next. With all others the step is not taken: `NonfiniteError` is raised, the step is
            skipped and counted in the logs, the run stops, or goes back to values that were good
            and on with half the learning rate.
        """
        checks.flag(run_eagerly, "compile()", "run_eagerly")
        checks.flag(auto_scale_loss, "compile()", "auto_scale_loss")
        checks.one_of(jit_compile, ("auto", True, False, None), "compile()", "jit_compile")
        if steps_per_execution != 1 or jit_compile is True:
            raise ValueError(
                "steps_per_execution and jit_compile are of Keras' engines: there is nothing to "
                "compile here"
            )
        if self.activity_regularizer is not None:
            raise ValueError(
                f"{self.name} has an activity_regularizer, which a container around it would "
                "apply: give activity_regularizer= to its last layer"
            )
        self.trainer = Trainer(
            self,
            loss,
            optimizer,
            metrics,
            weighted_metrics=weighted_metrics,
            loss_weight=loss_weights,
            on_nonfinite=on_nonfinite,
        )
        self.stop_training = False

    def _trainer(self, what: str) -> Trainer:
        if self.trainer is None:
            raise RuntimeError(
                f"{what}() needs compile() first: model.compile(optimizer='adam', loss='mse')"
            )
        return self.trainer

    @property
    def optimizer(self) -> Any:
        return self.trainer and self.trainer.optimizer

    @property
    def loss(self) -> Any:
        return self.trainer and given_losses(self.trainer)[0]

    @property
    def metrics(self) -> list:
        """The mean of the loss, those of `compile`, and those that are attributes of the model."""
        if self.trainer is None:
            return metrics_in(self)
        compiled = [metric for _, metric, _ in self.trainer.metrics.items]
        return [self.trainer.loss_so_far, *compiled, *metrics_in(self)]

    @property
    def metrics_names(self) -> list[str]:
        return [] if self.trainer is None else list(self.trainer.results())

    @property
    def compiled(self) -> bool:
        return self.trainer is not None

    fit = by_trainer(Trainer.fit)

    def evaluate(
        self,
        x=None,
        y=None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight=None,
        steps: int | None = None,
        callbacks=None,
        return_dict: bool = False,
    ) -> Any:
        """Loss and metrics in inference: a list in the order of `metrics_names` (one number without
        metrics), where the loss is first, then those of several outputs; or a dict, in the order of
        its keys.

        The arguments are those of `fit`.
        """
        checks.flag(return_dict, "evaluate()", "return_dict")
        logs = self._trainer("evaluate").evaluate(
            x,
            y,
            batch_size=batch_size,
            verbose=verbose,
            sample_weight=sample_weight,
            steps=steps,
            callbacks=callbacks,
        )
        return present(logs, return_dict)

    predict = by_trainer(Trainer.predict, compiled=False)

    def predict_on_batch(self, x) -> Array:
        """y for x, as one batch."""
        return (self.trainer or Trainer(self)).predict_batch(x)

    def train_on_batch(
        self, x, y=None, sample_weight=None, class_weight=None, return_dict: bool = False
    ):
        """One optimisation step on a batch.

        Parameters
        ----------
        x, y, sample_weight, class_weight
            As `fit` takes them; all rows are one batch.
        return_dict : bool, default False

        Returns
        -------
        float, list or dict
            Loss and metrics of this batch alone, before the step, as `evaluate` returns them.
        """
        checks.flag(return_dict, "train_on_batch()", "return_dict")
        logs = self._trainer("train_on_batch").one_batch(
            x, y, sample_weight, class_weight, training=True
        )
        return present(logs, return_dict)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict: bool = False):
        """Loss and metrics of one batch alone, in inference, as `evaluate` returns them."""
        checks.flag(return_dict, "test_on_batch()", "return_dict")
        logs = self._trainer("test_on_batch").one_batch(x, y, sample_weight, training=False)
        return present(logs, return_dict)

    def reset_metrics(self) -> None:
        """Forget the loss and the metrics so far. `fit`, `evaluate`, `train_on_batch` and
        `test_on_batch` begin with it, so only `compute_metrics` by hand needs it."""
        self._trainer("reset_metrics").reset()

    def get_metrics_result(self) -> dict[str, float]:
        """The loss and the metrics so far: of the last batch of `train_on_batch` or
        `test_on_batch`, of the epoch until now within a `fit`, of its last epoch behind it."""
        return self._trainer("get_metrics_result").results()

    # ------------------------------------------------------------------ hooks of a subclass

    @hook
    def train_step(self, data) -> dict[str, float]:
        """One optimisation step on a batch of `fit` or `train_on_batch`.

        For subclasses: `fit` calls it only where it is overridden. An override changes the data and
        ends in ``super().train_step(data)``, or writes the step itself: ``self.trainer.gradients(x,
        y, sample_weight)`` returns (loss, y_pred, mask), of several outputs tuples in their order,
        and sets ``self.parameters.gradients``, ``self.optimizer.step(self.parameters)`` moves the
        weights.

        Parameters
        ----------
        data : tuple
            ``(x,)``, ``(x, y)`` or ``(x, y, sample_weight)``; see
            `utils.unpack_x_y_sample_weight`. Several arrays are lists and dicts as the model was
            drawn.

        Returns
        -------
        dict
            Loss and metrics of the epoch so far: what the last batch returns is the epoch's.
        """
        return self._trainer("train_step").default_step(data, "train_step")

    @hook
    def test_step(self, data) -> dict[str, float]:
        """The loss and the metrics of a batch of `evaluate`, of a validation or of
        `test_on_batch`; for subclasses, as `train_step`."""
        return self._trainer("test_step").default_step(data, "test_step")

    @hook
    def predict_step(self, data) -> Array:
        """y for a batch ``(x,)`` of `predict` or `predict_on_batch`; for subclasses, as
        `train_step`."""
        x, _, _ = unpack_x_y_sample_weight(data)
        return (self.trainer or Trainer(self)).default_prediction(x)

    @hook
    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training: bool = True
    ) -> float:
        """The loss of predictions, with the penalties on the weights.

        For subclasses: where it is overridden, it is what `evaluate` reports. To be trained on it
        needs its gradient, `compute_loss_gradient`. Within a step the penalties are left out, as
        the trainer adds them to what an override returns.
        """
        return self._trainer("compute_loss").default_loss(y, y_pred, sample_weight)

    @hook
    def compute_loss_gradient(self, x=None, y=None, y_pred=None, sample_weight=None) -> Array:
        """dL/dy_pred, where L is what an overridden `compute_loss` returns, without penalties; of
        several outputs one each, None for one that L does not depend on.

        It is called after `compute_loss` of the same batch, and only where a subclass writes both.
        """
        raise TypeError(
            f"{type(self).__name__} has no compute_loss_gradient(self, x, y, y_pred, "
            "sample_weight): the trainer knows the gradient of its loss by itself"
        )

    @hook
    def compute_metrics(self, x, y, y_pred, sample_weight=None) -> dict[str, float]:
        """Update the metrics with predictions; returns the loss and the metrics so far.

        For subclasses: where it is overridden, it makes the logs of each batch. Metrics that are
        attributes of the model are reset by themselves, and are in what this method returns.
        """
        return self._trainer("compute_metrics").default_metrics(y, y_pred, sample_weight)


def present(logs: dict[str, float], return_dict: bool):
    """Results as Keras returns them: a dict in the order of its keys, a list, or the loss alone."""
    if return_dict:
        return dict(sorted(logs.items()))
    values = list(logs.values())
    return values if len(values) > 1 else values[0]
