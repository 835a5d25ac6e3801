"""What the three estimators share: their parameters, and the steps of a fit."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
import scipy.sparse
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from backprop import layers
from backprop.interop.estimators import fitting, networks, settings
from backprop.interop.estimators.progress import Progress
from backprop.interop.estimators.scaling import Scaling, scaled
from backprop.regularizers import L2
from backprop.seeds import own_seeds

Array = np.ndarray
DTYPES = (np.float64, np.float32)


@dataclass(eq=False, repr=False)
class NetworkEstimator(BaseEstimator):
    """The parameters of all three, which `BackpropClassifier` explains, and how they are fitted.

    What the targets are is a task (`Coding`, `Quantities`, `Reconstruction`), an object that turns
    targets into what the network is trained on, and outputs into what the user asked for.
    """

    hidden_layer_sizes: Any = (100,)
    activation: Any = "relu"
    _: KW_ONLY
    model: Any = None
    model_params: Any = None
    dropout: float = 0.0
    alpha: float = 0.0001
    loss: Any = None
    solver: Any = "adam"
    learning_rate: str = "constant"
    learning_rate_init: float = 0.005
    batch_size: Any = "auto"
    max_iter: int = 200
    standardize: bool = True
    shuffle: bool = True
    random_state: Any = None
    tol: float = 1e-4
    n_iter_no_change: float = 10
    early_stopping: bool = False
    validation_fraction: float = 0.1
    warm_start: bool = False
    callbacks: Any = None
    verbose: Any = False
    momentum: float = 0.9
    nesterovs_momentum: bool = True
    power_t: float = 0.5
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    max_fun: int = 15000

    # ------------------------------------------------------------------ what a subclass says

    def _read(self, X: Any, y: Any, reset: bool) -> tuple[Any, Any]:
        """Features and targets as arrays."""
        raise NotImplementedError

    def _new_task(self, y: Any, classes: Any, incremental: bool) -> Any:
        """The task that these targets pose."""
        raise NotImplementedError

    def _check_same(self, task: Any, y: Any, classes: Any) -> None:
        """Raise if these targets do not belong to the task that the network was made for."""
        raise NotImplementedError

    def _new_model(self, task: Any, n: int, dtype: str) -> Any:
        """The network for n features; its loss becomes `task.loss`, and a factor on that
        `task.factor`."""
        raise NotImplementedError

    def _publish(self, task: Any) -> None:
        """Set the attributes that say what is known of the targets."""

    def _row_weights(self, X: Any, y: Any, sample_weight: Any, incremental: bool) -> Any:
        """A weight for each row, or None."""
        if sample_weight is None:
            return None
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        if not weight.any():
            raise ValueError("sample_weight is 0 for every row: there is nothing to learn from")
        return weight

    # ------------------------------------------------------------------ a fit

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        classes: Any = None,
        incremental: bool = False,
    ) -> Any:
        settings.check(self)
        if incremental and self.early_stopping:
            raise ValueError(
                "partial_fit does not support early_stopping=True: one pass has no best epoch"
            )
        goes_on = hasattr(self, "model_") and (incremental or self.warm_start)
        X, y = self._read(X, y, reset=not goes_on)
        weight = self._row_weights(X, y, sample_weight, incremental)
        random = check_random_state(self.random_state)
        if goes_on:
            task = self._task
            self._check_same(task, y, classes)
        else:
            task = self._new_task(y, classes, incremental)
        train, held = fitting.split(self, task, X, y, weight, random)
        seed = int(random.randint(np.iinfo(np.int32).max))
        if goes_on:
            model, scaling, progress = self.model_, self.scaling_, self._progress
        else:
            dense = self.standardize and not scipy.sparse.issparse(X)
            scaling = Scaling(train[0], train[2]) if dense else None
            task.prepare(train[1], train[2])
            with own_seeds(seed):
                model = self._new_model(task, X.shape[1], X.dtype.name)
            progress = Progress()
        if not (goes_on and incremental):
            with own_seeds(seed):
                model.compile(networks.make_optimizer(self), task.loss, task.factor)
        try:
            fitting.run(self, model, task, scaling, progress, train, held, incremental)
        finally:
            progress.end()
            if progress.losses:  # an interrupted fit may be used
                self._keep(model, task, scaling, progress)
        fitting.check_weights(model)
        if not incremental:
            fitting.warn_if_unfinished(self, model, progress)
        return self

    def _keep(self, model: Any, task: Any, scaling: Any, progress: Progress) -> None:
        """Set what a fit leaves behind."""
        self.model_, self.scaling_ = model, scaling
        self._task, self._progress = task, progress
        self.n_iter_, self.t_ = progress.epochs, progress.seen
        self.loss_, self.loss_curve_ = progress.losses[-1], progress.losses
        held_out = bool(progress.scores)
        self.best_loss_ = None if held_out else progress.best_loss
        self.validation_scores_ = progress.scores if held_out else None
        self.best_validation_score_ = progress.best_score if held_out else None
        self.n_outputs_ = task.n_outputs
        self._publish(task)

    def _own_network(
        self, n: int, outputs: Any, ending: str | None, dtype: str, reverse: bool = False
    ) -> Any:
        """The network of `hidden_layer_sizes`, or of these in reverse."""
        return networks.own_network(
            n,
            outputs,
            ending,
            sizes=settings.sizes_of(self)[:: -1 if reverse else 1],
            activation=self.activation,
            dropout=self.dropout,
            penalty=L2(self.alpha) if self.alpha else None,
            dtype=dtype,
        )

    def _given_model(self, task: Any, n: int, dtype: str) -> Any:
        """What `model` makes."""
        named = {k: v for k, v in vars(self).items() if k in self._get_param_names()}
        named |= {"n_features": n, "n_outputs": task.outputs, "task": task.task, "dtype": dtype}
        return networks.given_network(type(self).__name__, self.model, named, self.model_params)

    # ------------------------------------------------------------------ what is asked of a fit

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def _checked(self, X: Any) -> Any:
        """Rows of features, checked and scaled."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=DTYPES, reset=False)
        return scaled(self.scaling_, X)

    def _outputs(self, X: Any, asked: str) -> Any:
        """What the method `asked` of the task makes of the network's outputs."""
        X = self._checked(X)
        outputs = self.model_.predict(X, verbose=0)
        return getattr(self._task, asked)(outputs)

    def _dense_layers(self) -> list[Any]:
        check_is_fitted(self)
        return [layer for layer in self.model_.walk() if isinstance(layer, layers.Dense)]

    @property
    def coefs_(self) -> list[Array]:
        """The kernels of the network's dense layers, (inputs, units) each; for scaled features."""
        return [layer.kernel for layer in self._dense_layers()]

    @property
    def intercepts_(self) -> list[Array]:
        """The biases of the network's dense layers, (units,) each."""
        return [layer.bias for layer in self._dense_layers() if layer.use_bias]

    @property
    def n_layers_(self) -> int:
        """Layers of units: the features, the hidden ones and the outputs."""
        return len(self._dense_layers()) + 1

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


steps_singly = available_if(fitting.steps_singly)
