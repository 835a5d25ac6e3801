"""`BackpropTransformer`: the code of an autoencoder, as a transformer of scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from backprop import checks, losses
from backprop.interop.estimators import networks, settings
from backprop.interop.estimators.base import DTYPES, NetworkEstimator, steps_singly
from backprop.models import Sequential
from backprop.models.base import BaseModel

Array = np.ndarray


class Reconstruction:
    """Features as what a network gives back of them."""

    task = "reconstruction"

    def __init__(self, n: int, loss: Any):
        self.outputs = self.n_outputs = n
        self.loss = losses.get("mean_squared_error" if loss is None else loss)
        self.factor = 1.0

    def prepare(self, y: None, weight: Array | None) -> None:
        """There are no targets but the features."""

    def strata(self, y: None) -> None:
        return None

    def encode(self, X: Array, y: None) -> Array:
        return X

    def score(self, targets: Array, outputs: Array, weight: Array | None) -> float:
        """-⟨(x - x̂)²⟩."""
        return -float(np.average(np.square(targets - outputs).mean(-1), weights=weight))


@dataclass(eq=False, repr=False)
class BackpropTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, NetworkEstimator):
    """The code of an autoencoder."""

    n_components: int = 2

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> BackpropTransformer:
        return self._fit(X, None, sample_weight)

    @steps_singly
    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> BackpropTransformer:
        return self._fit(X, None, sample_weight, incremental=True)

    def transform(self, X: Any) -> Array:
        return self.encoder_.predict(self._dense(self._checked(X)), verbose=0)

    def inverse_transform(self, X: Any) -> Array:
        check_is_fitted(self)
        code = np.asarray(X)
        features = self.decoder_.predict(code, verbose=0)
        return features if self.scaling_ is None else self.scaling_.undo(features)

    def score(self, X: Any, y: Any = None) -> float:
        X = self._dense(self._checked(X))
        return self._task.score(X, self.model_.predict(X, verbose=0), None)

    # ------------------------------------------------------------------ the task

    def _read(self, X: Any, y: None, reset: bool) -> tuple[Any, None]:
        checks.integer(self.n_components, type(self).__name__, "n_components")
        X = validate_data(self, X, accept_sparse="csr", dtype=DTYPES, reset=reset)
        return self._dense(X), None

    @staticmethod
    def _dense(X: Any) -> Array:
        """What is given back is dense, so sparse features are made so."""
        return X.toarray() if scipy.sparse.issparse(X) else X

    def _new_task(self, y: None, classes: None) -> Reconstruction:
        return Reconstruction(self.n_features_in_, self.loss)

    def _check_same(self, task: Reconstruction, y: None, classes: None) -> None:
        """The features are the targets, and `_read` has looked at them."""

    def _new_model(self, task: Reconstruction, n: int, dtype: str) -> Any:
        if self.model is not None:
            return self._joined(self._given_model(task, n, dtype), task, n, dtype)
        parts = self._own_parts(task, None)
        encoder = networks.own_network(
            n, dtype=dtype, **(parts | {"outputs": self.n_components})
        )
        sizes = settings.sizes_of(self)[::-1]
        decoder = networks.own_network(
            self.n_components, dtype=dtype, **(parts | {"sizes": sizes})
        )
        return self._joined((encoder, decoder), task, n, dtype)

    def _joined(self, both: Any, task: Reconstruction, n: int, dtype: str) -> Any:
        """An encoder and a decoder behind each other."""
        who = type(self).__name__
        if not (isinstance(both, tuple) and len(both) == 2):
            raise TypeError(f"{who} expects model= to return (encoder, decoder), got {both!r}")
        encoder, decoder = both
        networks.check_model(who, encoder, n)
        networks.check_model(who, decoder, encoder.output_shape[-1])
        networks.check_outputs(who, decoder, task.outputs)
        model = Sequential([encoder, decoder], dtype=dtype)
        model.build((None, n))
        return model

    @property
    def encoder_(self) -> BaseModel:
        """The part of `model_` that makes the code."""
        check_is_fitted(self)
        return self.model_.layers[0]

    @property
    def decoder_(self) -> BaseModel:
        """The part of `model_` that makes features of a code."""
        check_is_fitted(self)
        return self.model_.layers[1]

    @property
    def _n_features_out(self) -> int:
        return self.encoder_.output_shape[-1]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
