"""`BackpropRegressor`: a network that predicts quantities, as an estimator of scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import column_or_1d
from sklearn.utils.validation import validate_data

from backprop import losses
from backprop.interop.estimators import networks
from backprop.interop.estimators.base import DTYPES, NetworkEstimator, steps_singly
from backprop.interop.estimators.scaling import Scaling

Array = np.ndarray
# scikit-learn's names of losses
LOSSES = {"squared_error": "mean_squared_error", "absolute_error": "mean_absolute_error"}
# losses that scale with the targets, so that these may be scaled
OF_DIFFERENCES = (losses.MeanSquaredError, losses.MeanAbsoluteError)


class Quantities:
    """Numbers as a network is trained on them: scaled like features, where the loss allows it.

    Attributes
    ----------
    scaling : Scaling or None
    """

    task = "regression"
    scaling: Scaling | None = None

    def __init__(self, y: Array, loss: Any, standardize: bool):
        self.one = y.ndim == 1
        self.outputs = self.n_outputs = 1 if self.one else y.shape[1]
        given = LOSSES.get(loss, loss) if isinstance(loss, str) else loss
        self.loss = losses.get("mean_squared_error" if given is None else given)
        self.factor = 0.5 if loss in (None, "squared_error") else 1.0
        self.standardize = standardize and isinstance(self.loss, OF_DIFFERENCES)

    def prepare(self, y: Array, weight: Array | None) -> None:
        """Learn the scaling from the rows that are trained on."""
        if self.standardize:
            self.scaling = Scaling(y.reshape(len(y), -1), weight, "y")

    def strata(self, y: Array) -> None:
        return None

    def encode(self, X: Any, y: Array) -> Array:
        y = y.reshape(len(y), -1).astype(X.dtype, copy=False)
        return y if self.scaling is None else self.scaling.apply(y)

    def decode(self, outputs: Array) -> Array:
        y = outputs if self.scaling is None else self.scaling.undo(outputs)
        return y[:, 0] if self.one else y

    def score(self, targets: Array, outputs: Array, weight: Array | None) -> float:
        """R²; NaN where an output is not finite."""
        if not np.isfinite(outputs).all():
            return float("nan")
        return float(r2_score(targets, outputs, sample_weight=weight))


@dataclass(eq=False, repr=False)
class BackpropRegressor(RegressorMixin, NetworkEstimator):
    """A network that predicts quantities."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> BackpropRegressor:
        return self._fit(X, y, sample_weight)

    @steps_singly
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> BackpropRegressor:
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> Array:
        return self._outputs(X, "decode")

    # ------------------------------------------------------------------ the task

    def _read(self, X: Any, y: Any, reset: bool) -> tuple[Any, Any]:
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse="csr",
            multi_output=True,
            y_numeric=True,
            dtype=DTYPES,
            reset=reset,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def _new_task(self, y: Array, classes: Any) -> Quantities:
        return Quantities(y, self.loss, self.standardize)

    def _check_same(self, task: Quantities, y: Array, classes: Any) -> None:
        n = 1 if y.ndim == 1 else y.shape[1]
        if n != task.outputs:
            raise ValueError(
                f"y has {n} columns, and the network was made for {task.outputs}: fit a new "
                "estimator, or say warm_start=False"
            )

    def _publish(self, task: Quantities) -> None:
        self.target_scaling_ = task.scaling

    def _new_model(self, task: Quantities, n: int, dtype: str) -> Any:
        if self.model is None:
            ending = "exponential" if isinstance(task.loss, losses.Poisson) else None
            return networks.own_network(n, dtype=dtype, **self._own_parts(task, ending))
        model = self._given_model(task, n, dtype)
        networks.check_model(type(self).__name__, model, n)
        networks.check_outputs(type(self).__name__, model, task.outputs)
        return model

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
