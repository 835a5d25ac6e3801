"""`BackpropTransformer`: the code of an autoencoder, as a transformer of scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted, validate_data

from backprop import checks, losses
from backprop.interop.estimators import networks
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
        self.factor = None

    def prepare(self, y: None, weight: Array | None) -> None:
        """There are no targets but the features."""

    def strata(self, y: None) -> None:
        return None

    def encode(self, X: Array, y: None) -> Array:
        return X

    def score(self, targets: Array, outputs: Array, weight: Array | None) -> float:
        """-⟨(x - x̂)²⟩."""
        return -float(np.average(np.square(targets - outputs).mean(-1), weights=weight))


@dataclass(eq=False, repr=False, kw_only=True)
class BackpropTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, NetworkEstimator):
    """code = encoder(z), z = (X - mean) / deviation: what an autoencoder keeps of X.

        X: (n, features)    code: (n, n_components)

    The decoder gives z back of the code, through the hidden layers of the encoder in reverse. What
    is made small is

        L = ⟨w (z - decoder(encoder(z)))²⟩ + alpha Σ kernel² / (2 Σ_batch w)

    Parameters
    ----------
    n_components : int, default 2
        Numbers of the code.
    hidden_layer_sizes, activation, model_params, dropout, alpha, solver, learning_rate, \
    learning_rate_init, batch_size, max_iter, standardize, shuffle, random_state, tol, \
    n_iter_no_change, early_stopping, validation_fraction, warm_start, callbacks, verbose, \
    momentum, nesterovs_momentum, power_t, beta_1, beta_2, epsilon, max_fun
        As of `BackpropClassifier`, each hidden size in the encoder and again in the decoder; the
        score of rows held out is `score`.
    model : callable, optional
        As of `BackpropClassifier`, but it returns two networks, (encoder, decoder).
    loss : str or Loss, optional
        Default: the mean squared error.

    Attributes
    ----------
    encoder_, decoder_, model_ : Sequential or Model
        The two parts, and the first before the second.
    scaling_, loss_, loss_curve_, best_loss_, validation_scores_, best_validation_score_, n_iter_, \
    t_, n_features_in_, feature_names_in_, n_outputs_, n_layers_, coefs_, intercepts_
        As of `BackpropClassifier`.

    Raises
    ------
    ValueError, TypeError
        From `fit`, as `BackpropClassifier`.

    Warns
    -----
    ConvergenceWarning
        If `max_iter` ended the run.

    Notes
    -----
    A sparse X is made dense, as what is given back of it is.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.interop import BackpropTransformer
    >>> t = np.linspace(-1, 1, 60)
    >>> X = np.c_[t, 2 * t, -t, t + 3]  # a line in four dimensions
    >>> coder = BackpropTransformer(n_components=1, hidden_layer_sizes=(), solver="lbfgs",
    ...                             random_state=0).fit(X)
    >>> coder.transform(X).shape
    (60, 1)
    >>> bool(np.abs(coder.inverse_transform(coder.transform(X)) - X).max() < 0.01)
    True
    """

    n_components: int = 2

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> BackpropTransformer:
        """Train a network, or go on with `warm_start`.

        Parameters
        ----------
        X : array, data frame or sparse matrix, (n, features)
        y : None
            Not looked at; pipelines hand it on.
        sample_weight : array, (n,), optional
            Not negative.

        Returns
        -------
        BackpropTransformer
            Itself.
        """
        return self._fit(X, None, sample_weight)

    @steps_singly
    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> BackpropTransformer:
        """Train for one epoch of these rows, with the scaling of the first call; the arguments are
        those of `fit`."""
        return self._fit(X, None, sample_weight, incremental=True)

    def transform(self, X: Any) -> Array:
        """The code of each row, (n, n_components)."""
        return self.encoder_.predict(self._dense(self._checked(X)), verbose=0)

    def inverse_transform(self, X: Any) -> Array:
        """The features, (n, features), that the decoder makes of codes X, (n, n_components)."""
        check_is_fitted(self)
        features = self.decoder_.predict(check_array(X, dtype="numeric"), verbose=0)
        return features if self.scaling_ is None else self.scaling_.undo(features)

    def score(self, X: Any, y: Any = None) -> float:
        """-⟨(z - decoder(encoder(z)))²⟩: 0 where nothing is lost."""
        z = self._dense(self._checked(X))
        return self._task.score(z, self.model_.predict(z, verbose=0), None)

    # ------------------------------------------------------------------ the task

    def _read(self, X: Any, y: None, reset: bool) -> tuple[Any, None]:
        checks.integer(self.n_components, type(self).__name__, "n_components")
        X = validate_data(self, X, accept_sparse="csr", dtype=DTYPES, reset=reset)
        return self._dense(X), None

    @staticmethod
    def _dense(X: Any) -> Array:
        """What is given back is dense, so sparse features are made so."""
        return X.toarray() if scipy.sparse.issparse(X) else X

    def _new_task(self, y: None, classes: None, incremental: bool) -> Reconstruction:
        return Reconstruction(vars(self)["n_features_in_"], self.loss)

    def _check_same(self, task: Reconstruction, y: None, classes: None) -> None:
        """The features are the targets, and `_read` has looked at them."""

    def _new_model(self, task: Reconstruction, n: int, dtype: str) -> Any:
        if self.model is not None:
            return self._joined(self._given_model(task, n, dtype), task, n)
        encoder = self._own_network(n, self.n_components, None, dtype)
        decoder = self._own_network(self.n_components, n, None, dtype, reverse=True)
        return self._joined((encoder, decoder), task, n)

    def _joined(self, both: Any, task: Reconstruction, n: int) -> Any:
        """An encoder and a decoder behind each other."""
        who = type(self).__name__
        if not (isinstance(both, tuple) and len(both) == 2):
            raise TypeError(f"{who} expects model= to return (encoder, decoder), got {both!r}")
        encoder, decoder = both
        networks.check_model(who, encoder, n)
        networks.check_model(who, decoder, encoder.output_shape[-1])
        networks.check_outputs(who, decoder, task.outputs)
        model = Sequential([encoder, decoder], dtype=encoder.dtype)
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
