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
        self.factor = 0.5 if loss in (None, "squared_error") else None
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


@dataclass(eq=False, repr=False, kw_only=True)
class BackpropRegressor(RegressorMixin, NetworkEstimator):
    """y = mean + deviation * network(z), z likewise of X: quantities predicted by a network.

        X: (n, features)    y: (n,) or (n, targets)

    What is made small is, with r = (y - network's y) / deviation,

        L = ⟨w r²⟩ / 2 + alpha Σ kernel² / (2 Σ_batch w)

    Parameters
    ----------
    hidden_layer_sizes, activation, model, model_params, dropout, alpha, solver, learning_rate, \
    learning_rate_init, batch_size, max_iter, shuffle, random_state, tol, n_iter_no_change, \
    early_stopping, validation_fraction, warm_start, callbacks, verbose, momentum, \
    nesterovs_momentum, power_t, beta_1, beta_2, epsilon, max_fun
        As of `BackpropClassifier`; the score of rows held out is R².
    loss : str or Loss, optional
        ``"squared_error"`` (the default, halved as scikit-learn does), ``"absolute_error"``,
        ``"poisson"``, any other name of `backprop.losses`, or a loss. With Poisson's the network
        ends in exp, and y is not negative.
    standardize : bool, default True
        Whether columns of X are scaled as in `BackpropClassifier`, and those of y too where the
        loss is a squared or absolute error. For others, `TransformedTargetRegressor` can.

    Attributes
    ----------
    target_scaling_ : Scaling or None
        `mean` and `scale` of the columns of y: ``target_scaling_.undo(...)`` of what `model_` puts
        out is the prediction.
    model_, scaling_, loss_, loss_curve_, best_loss_, validation_scores_, best_validation_score_, \
    n_iter_, t_, n_features_in_, feature_names_in_, n_outputs_, n_layers_, coefs_, intercepts_
        As of `BackpropClassifier`.

    Raises
    ------
    ValueError, TypeError
        From `fit`, as `BackpropClassifier`.

    Warns
    -----
    ConvergenceWarning
        If `max_iter` ended the run.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.interop import BackpropRegressor
    >>> X = np.linspace(-2, 2, 80)[:, None]
    >>> y = 1000 + 300 * np.sin(2 * X[:, 0])
    >>> model = BackpropRegressor(solver="lbfgs", activation="tanh", max_iter=1000, random_state=0)
    >>> model = model.fit(X, y)
    >>> bool(model.score(X, y) > 0.999)
    True
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> BackpropRegressor:
        """Train a network, or go on with `warm_start`.

        Parameters
        ----------
        X : array, data frame or sparse matrix, (n, features)
        y : array, (n,) or (n, targets)
        sample_weight : array, (n,), optional
            Not negative.

        Returns
        -------
        BackpropRegressor
            Itself.
        """
        return self._fit(X, y, sample_weight)

    @steps_singly
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> BackpropRegressor:
        """Train for one epoch of these rows, with the scaling of the first call; the arguments are
        those of `fit`."""
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> Array:
        """What y is expected to be: (n,), or (n, targets)."""
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

    def _new_task(self, y: Array, classes: None, incremental: bool) -> Quantities:
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
            return self._own_network(n, task.outputs, ending, dtype)
        model = self._given_model(task, n, dtype)
        networks.check_model(type(self).__name__, model, n)
        networks.check_outputs(type(self).__name__, model, task.outputs)
        return model

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
