"""Watching one number of the logs: is this epoch's value better than the best so far?

min: better means  value + min_delta < best        max: better means  value - min_delta > best
"""

from __future__ import annotations

import re
import warnings
from typing import Any

from backprop.callbacks.callback import Callback, Logs
from backprop.callbacks.console import say
from backprop.config import Configurable, snake_case

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
        If `mode` is unknown; at the first epoch, if ``"auto"`` cannot tell.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        mode: str = "auto",
        baseline: float | None = None,
        min_delta: float = 0,
    ):
        if mode not in ("auto", "min", "max"):
            raise ValueError(
                f"{type(self).__name__} expects mode 'auto', 'min' or 'max' and got {mode!r}"
            )
        self.monitor = monitor
        self.mode = mode
        self.best = baseline
        self.min_delta = abs(min_delta)
        self._upward: bool | None = None
        self._warned = False

    def _change(self, name: str, value: Any) -> None:
        super()._change(name, value)
        self._upward = None  # of another monitor, or another mode

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        self._upward = None  # another model, another metric of that name

    def is_improvement(self, value: float, reference: float | None) -> bool:
        """Whether `value` is better than `reference` by more than `min_delta`."""
        if self._upward is None:  # not before the first epoch: the model's metrics must exist
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
            raise ValueError(
                f"{type(self).__name__} cannot tell whether less or more {self.monitor!r} is "
                "better; say mode='min' or mode='max'"
            )
        return upward

    def monitored(self, logs: Logs | None) -> Any:
        """The watched value; None, with a warning once in a run, where the logs lack it."""
        logs = logs or {}
        value = logs.get(self.monitor)
        if value is None and not self._warned:
            self._warned = True
            hint = "; pass validation_data to fit()" if self.monitor.startswith("val_") else ""
            warnings.warn(
                f"{type(self).__name__} monitors {self.monitor!r}, which is not in the logs{hint}. "
                f"Available: {', '.join(logs) or 'nothing'}",
                stacklevel=2,
            )
        return value

    def say(self, message: str) -> None:
        """Print a line, below the progress bar where one is drawn."""
        say(message, after_bar=(self.params or {}).get("verbose") in (1, "auto"))


def direction(name: str, model: Any) -> bool | None:
    """Whether more of a metric is better; None where that is unknown.

    The metric's own word (`_direction`, as in Keras) counts before its class, and its class before
    its name.
    """
    if name == "loss":
        return False
    for metric in every_metric(model):
        if metric.name == name:
            if (said := getattr(metric, "_direction", None)) is not None:
                return said == "up"
            found = known_direction(snake_case(type(metric).__name__))
            return known_direction(name) if found is None else found
    return known_direction(name)


def known_direction(name: str) -> bool | None:
    name = re.sub(r"_\d+$", "", name)  # the second AUC of a model is auc_1
    return True if name in MORE.split() else False if name in LESS.split() else None


def every_metric(model: Any) -> list[Any]:
    """The metrics of a model, those inside containers of metrics too."""
    found = []
    for metric in getattr(model, "metrics", None) or ():
        found += every_metric(metric) if hasattr(metric, "metrics") else [metric]
    return [m for m in found if hasattr(m, "name")]
