"""Watching one number of the logs: is this epoch's value better than the best so far?

min: better means  value + min_delta < best        max: better means  value - min_delta > best
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from backprop.arguments import Convert, of_kinds
from backprop.callbacks.callback import Callback, Logs
from backprop.callbacks.console import say
from backprop.callbacks.kinds import number as number_kind, optional
from backprop.checks import is_real, number, one_of
from backprop.config import Configurable
from backprop.spelling import nearest, snake_case

# names of metrics and losses by what is better
MORE = """
    accuracy acc binary_accuracy categorical_accuracy sparse_categorical_accuracy
    top_k_categorical_accuracy sparse_top_k_categorical_accuracy auc precision recall
    sensitivity_at_specificity specificity_at_sensitivity precision_at_recall recall_at_precision
    true_positives true_negatives f1_score fbeta_score io_u binary_io_u mean_io_u one_hot_io_u
    one_hot_mean_io_u cosine_similarity r2_score pearson_correlation concordance_correlation"""
LESS = """
    loss mse mae mape msle mean_squared_error mean_absolute_error mean_absolute_percentage_error
    mean_squared_logarithmic_error root_mean_squared_error log_cosh logcosh log_cosh_error huber
    binary_crossentropy categorical_crossentropy sparse_categorical_crossentropy crossentropy bce
    kl_divergence kld kullback_leibler_divergence poisson hinge squared_hinge categorical_hinge
    false_positives false_negatives"""


def comparable(value: Any, who: str, name: str) -> Any:
    if of_kinds(value, who, name, [float]) != value:
        raise ValueError(f"{who} expects {name} to be a number, got NaN: nothing is better")
    return value


def not_negative(value: Any, who: str, name: str) -> Any:
    if not is_real(value) or not value >= 0:
        raise ValueError(f"{who} expects {name} of at least 0 and got {value!r}")
    return value


def size(value: Any, who: str, name: str) -> float:
    return abs(number(value, who, name))


Comparable = Annotated[float, Convert(comparable)]
Size = Annotated[float, Convert(size)]
Patience = Annotated[int, Convert(not_negative)]
Rate = Annotated[float, Convert(not_negative)]


class MonitorCallback(Configurable, Callback):
    """Base of callbacks that watch one number of the logs.

    Parameters
    ----------
    monitor : str, default "val_loss"
        Name in the logs.
    mode : {"auto", "min", "max"}, default "auto"
        Whether less or more is better. ``"auto"`` asks the metric of that name.
    baseline : float, optional
        Best value before the first one is seen.
    min_delta : float, default 0
        A change that is not larger than this is none.

    Raises
    ------
    ValueError
        If `mode` is unknown; before training, if ``"auto"`` cannot tell.

    Warns
    -----
    UserWarning
        Once in a run, if the logs have no `monitor`, or an array in its place. A validation that is
        not due in an epoch is no reason.
    """

    remembers: ClassVar = {"best": optional(number_kind)}

    _upward = None  # whether more is better, once that is known
    _warned = False

    # written, as each subclass has these arguments in an order of its own
    def __init__(
        self,
        monitor: str = "val_loss",
        mode: str = "auto",
        baseline: float | None = None,
        min_delta: float = 0,
    ):
        who = type(self).__name__
        self.monitor = of_kinds(monitor, who, "monitor", [str])
        self.mode = one_of(mode, ("auto", "min", "max"), who, "mode")
        self.best = None if baseline is None else comparable(baseline, who, "baseline")
        self.min_delta = size(min_delta, who, "min_delta")

    def _change(self, name: str, value: Any) -> None:
        super()._change(name, value)
        self._upward = None  # of another monitor, or another mode

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        self._upward = None  # another model, another metric of that name

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "monitor": self.monitor}

    def set_state(self, state: Mapping[str, Any]) -> None:
        state = dict(state)
        monitor = state.pop("monitor", None)
        if monitor != self.monitor:
            raise ValueError(
                f"it watched {monitor!r}, and a best value of that says nothing of "
                f"{self.monitor!r}; keep the monitor and the order of the callbacks, or delete the "
                "backup"
            )
        super().set_state(state)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._warned = False
        if self.mode == "auto":
            self._upward = self._better_is_more()  # an error now, and not after an epoch

    def is_improvement(self, value: float, reference: float | None) -> bool:
        """Whether `value` is better than `reference` by more than `min_delta`."""
        if self._upward is None:  # not in the constructor: the model's metrics must exist
            self._upward = self._better_is_more()
        if reference is None:
            return True
        if reference != reference:  # a number is better than NaN, which no comparison would find
            return value == value
        if self._upward:
            return value - self.min_delta > reference
        return value + self.min_delta < reference

    def _better_is_more(self) -> bool:
        if self.mode != "auto":
            return self.mode == "max"
        name = self.monitor.removeprefix("val_")
        upward = direction(name, self.model)
        if upward is None:
            known = ["loss", *(name for name, _ in named_metrics(self.model))]
            raise ValueError(
                f"{type(self).__name__} cannot tell whether less or more {self.monitor!r} is "
                f"better; say mode='min' or mode='max'{nearest(name, known)}"
            )
        return upward

    def monitored(self, logs: Logs | None) -> Any:
        """The watched value; None where the logs lack it or it is an array, which is warned of once
        in a run unless a validation that is not due would bring it."""
        logs = logs or {}
        value = logs.get(self.monitor)
        if value is None:
            if not self.is_due_later(logs):
                unvalidated = self.monitor.startswith("val_") and not validated(logs)
                hint = "; pass validation_data to fit()" if unvalidated else ""
                self.warn_once(
                    f"{self.monitor!r}, which is not in the logs"
                    f"{hint or nearest(self.monitor, logs)}. "
                    f"Available: {', '.join(logs) or 'nothing'}"
                )
        elif np.ndim(value) > 0:
            self.warn_once(
                f"{self.monitor!r}, which is an array of shape {np.shape(value)}: only single "
                "numbers can be compared"
            )
            return None
        return value

    def is_due_later(self, logs: Logs) -> bool:
        """Whether the watched value is of the validation, and there was none in this epoch but is
        in others."""
        trainer = getattr(self.model, "trainer", None)
        return (
            self.monitor.startswith("val_")
            and getattr(trainer, "validates", False)
            and not validated(logs)
        )

    def warn_once(self, what: str) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(f"{type(self).__name__} monitors {what}", stacklevel=3)

    def say(self, message: str) -> None:
        """Print a line, below the progress bar where one is drawn."""
        say(message, after_bar=(self.params or {}).get("verbose") in (1, "auto"))


def validated(logs: Logs) -> bool:
    """Whether the logs have results of a validation."""
    return any(name.startswith("val_") for name in logs)


def direction(name: str, model: Any) -> bool | None:
    """Whether more of a metric is better; None where that is unknown.

    The metric's own word (`_direction`, as in Keras) counts before its class, and its class before
    its name.
    """
    if name == "loss":
        return False
    for known, metric in named_metrics(model):
        if known == name:
            if (said := getattr(metric, "_direction", None)) is not None:
                return said == "up"
            found = known_direction(snake_case(type(metric).__name__))
            return known_direction(name) if found is None else found
    return known_direction(name)


def known_direction(name: str) -> bool | None:
    name = re.sub(r"_\d+$", "", name)  # the second AUC of a model is auc_1
    return True if name in MORE.split() else False if name in LESS.split() else None


def named_metrics(model: Any) -> list[tuple[str, Any]]:
    """The metrics of a model by their names in the logs: of several outputs that of the output goes
    before."""
    compiled = getattr(getattr(model, "trainer", None), "metrics", None)
    named = [(name, metric) for name, metric, _ in getattr(compiled, "items", ())]
    return named + [(metric.name, metric) for metric in every_metric(model)]


def every_metric(model: Any) -> list[Any]:
    """The metrics of a model, those inside containers of metrics too."""
    found = []
    for metric in getattr(model, "metrics", None) or ():
        found += every_metric(metric) if hasattr(metric, "metrics") else [metric]
    return [m for m in found if hasattr(m, "name")]
