"""`BackpropClassifier`: a network that tells classes apart, as an estimator of scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import validate_data

from backprop import losses
from backprop.interop.estimators import networks
from backprop.interop.estimators.base import DTYPES, NetworkEstimator, steps_singly
from backprop.interop.estimators.classes import Coding, kind_of
from backprop.losses.labels import ClassNumbers, OneHotLabels

Array = np.ndarray
# losses of one class a row, or of what is a distribution only over several units
OF_CLASSES = (OneHotLabels, ClassNumbers, losses.KLDivergence, losses.CosineSimilarity)
OF_TWO = (losses.BinaryCrossentropy, losses.BinaryFocalCrossentropy)
OF_MARGINS = (losses.Hinge, losses.SquaredHinge, losses.CategoricalHinge)


def has_probabilities(e: Any) -> bool:
    """Whether outputs are probabilities or logits; a hinge loss trains scores that are neither."""
    loss = losses.get(e.loss) if isinstance(e.loss, str) else e.loss
    if isinstance(loss, OF_MARGINS):
        raise AttributeError(
            f"{type(e).__name__} with loss={e.loss!r} has scores, not probabilities: ask for its "
            "decision_function, or calibrate it with CalibratedClassifierCV"
        )
    return True


@dataclass(eq=False, repr=False, kw_only=True)
class BackpropClassifier(ClassifierMixin, NetworkEstimator):
    """p = softmax(network(z)), z = (X - mean) / deviation: classes told apart by a network.

        X: (n, features)    y: (n,) classes, or (n, labels)    p: (n, classes)

    The network is `hidden_layer_sizes` of Dense layers with an activation, as that of
    `sklearn.neural_network.MLPClassifier`, or what `model` makes. For two classes it has one unit,
    p = sigmoid, and for labels of which several may hold one for each. What is made small is

        L = -⟨w log p[class]⟩ + alpha Σ kernel² / (2 Σ_batch w)

    where w are the weights of the rows, and of their classes, and the sum that of a batch.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default (100,)
        Units of each hidden layer; none, ``()``, for a linear model.
    activation : str or function, default "relu"
        Of the hidden layers: ``"identity"``, ``"logistic"``, or a name of `backprop.activations`.
    model : callable or model, optional
        A function that returns a network, not compiled, in place of the above. Those of these
        arguments that it has are given to it by name: `n_features`; `n_outputs`, an int, of several
        columns of classes a tuple; `task`, ``"binary"``, ``"multiclass"``, ``"multilabel"``,
        ``"multioutput"``, ``"regression"`` or ``"reconstruction"``; `dtype`; and each parameter of
        the estimator. A network that ends in softmax or sigmoid gives probabilities, any other
        logits. A `Sequential` or `Model` itself is copied, with fresh weights.
    model_params : dict, optional
        Further arguments of that function.
    dropout : float, default 0
        Share of the units of each hidden layer that a step leaves out.
    alpha : float, default 0.0001
        L2 penalty, of the kernels of `hidden_layer_sizes`.
    loss : str or Loss, optional
        Default: cross-entropy. A name of `backprop.losses` is taken with logits where it can be; a
        loss of margins (``"hinge"``) trains scores, without `predict_proba`.
    solver : str or Optimizer, default "adam"
        ``"adam"``, ``"sgd"``, ``"lbfgs"``, any other name of `backprop.optimizers`, or an
        optimizer, of which a copy is used with the rate that it has.
    learning_rate : {"constant", "invscaling", "adaptive"}, default "constant"
        With ``solver="sgd"``: as it is; divided by (t + 1)^power_t after an epoch, with t rows seen
        so far; or divided by 5 where the run would have converged, which it has below 1e-6.
    learning_rate_init : float, default 0.005
        The rate of a solver given by name.
    batch_size : int or "auto", default "auto"
        Rows of a step, at most all. ``"auto"`` is 200.
    max_iter : int, default 200
        Epochs at most; with L-BFGS iterations.
    standardize : bool, default True
        Whether the network is given z, with the mean and the deviation of each column in the rows
        trained on. Columns of a sparse X are left as they are, whose zeros would be lost.
    shuffle : bool, default True
        The order of the rows anew for each epoch.
    random_state : int, RandomState or None
        Decides weights, order, dropout and the rows held out.
    tol : float, default 1e-4
        What counts as better; with L-BFGS, a gradient that counts as none.
    n_iter_no_change : int or inf, default 10
        The run has converged once the loss has not fallen by `tol` for more epochs than this, or
        the score of the rows held out not risen. With L-BFGS, only of the latter.
    early_stopping : bool, default False
        Hold rows out, stop by their score (accuracy, R²), and keep the weights of the best epoch.
    validation_fraction : float, default 0.1
        Share of the rows that is held out then, of each class alike.
    warm_start : bool, default False
        Whether `fit` goes on from the weights and the scaling of the last one.
    callbacks : list of Callback, optional
        Of `backprop.callbacks`. These very objects are told of the run; scikit-learn's `clone`, and
        so every fit of a search, copies them.
    verbose : bool, default False
        A line an epoch.
    momentum, nesterovs_momentum : float and bool, default 0.9 and True
        Of ``solver="sgd"``.
    power_t : float, default 0.5
        Of ``learning_rate="invscaling"``.
    beta_1, beta_2, epsilon : float, default 0.9, 0.999 and 1e-8
        Of ``solver="adam"``.
    max_fun : int, default 15000
        Evaluations of all rows at most, of ``solver="lbfgs"``.
    class_weight : dict, list of dict, or "balanced", optional
        A factor for the rows of each class, by its label; ``"balanced"`` is n / (k n_class). Of
        several columns a list.

    Attributes
    ----------
    classes_ : array, or a list of them for several columns of classes
    model_ : Sequential or Model
        The trained network, of standardized features: ``model_.save("net.npz")`` keeps it.
    scaling_ : Scaling or None
        `mean` and `scale` of the columns; ``model_.predict(scaling_.apply(X))`` is what the network
        puts out.
    loss_, loss_curve_, best_loss_ : float, list of float, float or None
        The loss, penalty included, of the last epoch, of each, and the lowest.
    validation_scores_, best_validation_score_ : list of float and float, or None
        With `early_stopping`: of each epoch, and the highest.
    n_iter_ : int
        Epochs of the last fit.
    t_ : int
        Rows that all epochs have seen.
    n_features_in_, feature_names_in_, n_outputs_, n_layers_
        As of any estimator, and of `MLPClassifier`.
    coefs_, intercepts_ : list of array
        Kernels and biases of the network's Dense layers.

    Raises
    ------
    ValueError, TypeError
        From `fit`, for parameters or data that do not fit, by name, and for weights that have
        become infinite.

    Warns
    -----
    ConvergenceWarning
        If `max_iter` ended the run.

    Notes
    -----
    The defaults are `MLPClassifier`'s but for `standardize` and a `learning_rate_init` that suits
    columns of deviation 1. Numbers are computed in float64, in float32 where X is of that. A weight
    of 2 is a row that is there twice: exactly so, up to rounding, where a batch holds all rows.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.model_selection import cross_val_score
    >>> from backprop.interop import BackpropClassifier
    >>> X, y = load_wine(return_X_y=True)
    >>> model = BackpropClassifier(hidden_layer_sizes=20, learning_rate_init=0.02, random_state=0)
    >>> bool(cross_val_score(model, X, y, cv=3).mean() > 0.95)
    True
    >>> model.fit(X, y).predict_proba(X[:1]).argmax()
    np.int64(0)
    """

    class_weight: Any = None

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> BackpropClassifier:
        """Train a network, or go on with `warm_start`.

        Parameters
        ----------
        X : array, data frame or sparse matrix, (n, features)
        y : array, (n,) or (n, columns)
            Classes of any kind; of several columns labels of 0 and 1, or classes each.
        sample_weight : array, (n,), optional
            Not negative.

        Returns
        -------
        BackpropClassifier
            Itself.
        """
        return self._fit(X, y, sample_weight)

    @steps_singly
    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> BackpropClassifier:
        """Train for one epoch of these rows, with the scaling of the first call.

        Parameters
        ----------
        X, y, sample_weight
            As of `fit`.
        classes : array, or a list of arrays for several columns
            All that will come; needed in the first call, unless `fit` was called or y holds labels
            of 0 and 1.

        Returns
        -------
        BackpropClassifier
            Itself.
        """
        return self._fit(X, y, sample_weight, classes=classes, incremental=True)

    def predict(self, X: Any) -> Array:
        """The likeliest class of each row, (n,); of labels 0 or 1 each, of columns a class each."""
        return self._outputs(X, "decode")

    @available_if(has_probabilities)
    def predict_proba(self, X: Any) -> Any:
        """The probability of each class, (n, classes), in the order of `classes_`; of each label;
        or a list of those of each column."""
        return self._outputs(X, "probabilities")

    @available_if(has_probabilities)
    def predict_log_proba(self, X: Any) -> Any:
        """The logarithms of `predict_proba`, also of what rounds to 0 or 1 there."""
        return self._outputs(X, "log_probabilities")

    def decision_function(self, X: Any) -> Any:
        """The logits: of two classes that of the second, (n,), of more one for each, (n, classes);
        of each label; or a list of those of each column."""
        return self._outputs(X, "scores")

    # ------------------------------------------------------------------ the task

    def _read(self, X: Any, y: Any, reset: bool) -> tuple[Any, Any]:
        X, y = validate_data(
            self, X, y, accept_sparse="csr", multi_output=True, dtype=DTYPES, reset=reset
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def _new_task(self, y: Array, classes: Any, incremental: bool) -> Coding:
        kind = kind_of(y)
        if classes is None:
            if incremental and kind != "multilabel":
                raise ValueError(
                    "the first call to partial_fit needs all classes that will come: "
                    "partial_fit(X, y, classes=...)"
                )
            return Coding.of(y, kind)
        if kind == "multioutput":
            task = Coding(kind, [np.unique(column) for column in classes])
        elif kind == "multilabel":
            task = Coding(kind, np.unique(classes))
        else:
            known = np.unique(classes)
            task = Coding("binary" if len(known) <= 2 else "multiclass", known)
        self._check_known(task, y)
        return task

    def _check_known(self, task: Coding, y: Array) -> None:
        found = task.unknown(y)
        if found:
            raise ValueError(
                f"y holds {found[:5]}, and the classes are {shown(task.classes)}: say all in the "
                "first call, partial_fit(X, y, classes=...)"
            )

    def _check_same(self, task: Coding, y: Array, classes: Any) -> None:
        if classes is not None and not same(task.classes, self._new_task(y, classes, True).classes):
            raise ValueError(
                f"classes={shown(classes)} are not those of the first call to partial_fit, "
                f"{shown(task.classes)}"
            )
        if not self.warm_start:
            self._check_known(task, y)
        elif not same(task.classes, Coding.of(y, kind_of(y)).classes):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous "
                f"call to fit. Previously got {task.classes}, `y` has {np.unique(y)}"
            )

    def _publish(self, task: Coding) -> None:
        self.classes_ = task.classes

    def _row_weights(self, X: Any, y: Array, sample_weight: Any, incremental: bool) -> Any:
        weight = super()._row_weights(X, y, sample_weight, incremental)
        if self.class_weight is None:
            return weight
        if incremental and self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' counts classes, and partial_fit does not see them all: "
                "give the numbers, compute_class_weight('balanced', classes=classes, y=y)"
            )
        of_classes = compute_sample_weight(self.class_weight, y)
        return of_classes if weight is None else weight * of_classes

    # ------------------------------------------------------------------ the network

    def _new_model(self, task: Coding, n: int, dtype: str) -> Any:
        named = self.loss is None or isinstance(self.loss, str)
        loss = None if self.loss is None else losses.get(self.loss)
        self._check_loss(loss, task)
        if task.task == "binary" and isinstance(loss, OF_CLASSES):
            task.as_two_outputs()
        if self.model is None:
            takes_logits = loss is None or hasattr(loss, "from_logits") if named else False
            takes_logits = takes_logits or getattr(loss, "from_logits", False)
            task.logits = takes_logits or isinstance(loss, OF_MARGINS)
            one_of_several = task.task in ("multiclass", "multioutput")
            ending = None if task.logits else "softmax" if one_of_several else "sigmoid"
            model = self._own_network(n, task.outputs, ending, dtype)
        else:
            model = self._given_model(task, n, dtype)
            networks.check_model(type(self).__name__, model, n)
            if task.task == "binary" and model.output_shape == (None, 2):
                task.as_two_outputs()
            networks.check_outputs(type(self).__name__, model, task.outputs)
            task.logits = not networks.gives_probabilities(model)
        if loss is None:
            of_one = task.task in ("binary", "multilabel")
            cls: Any = losses.BinaryCrossentropy if of_one else losses.SparseCategoricalCrossentropy
            loss = cls(from_logits=task.logits)
            if task.task == "multilabel":  # a sum over labels, which the loss takes the mean of
                task.factor = float(task.outputs)
        elif named and hasattr(loss, "from_logits"):
            named_loss: Any = type(loss)
            loss = named_loss(from_logits=task.logits)
        task.loss = loss
        task.one_hot = not isinstance(loss, ClassNumbers)
        return model

    def _check_loss(self, loss: Any, task: Coding) -> None:
        several = task.task == "multiclass" or task.task == "multioutput"
        if several and isinstance(loss, OF_TWO):
            raise ValueError(
                f"loss={self.loss!r} is for two classes or for labels, and y has more classes: "
                "leave it out, or take a categorical one"
            )
        if task.task == "multilabel" and isinstance(loss, OF_CLASSES):
            raise ValueError(
                f"loss={self.loss!r} is for one class a row, and y has several labels: leave it "
                "out, or take a binary one"
            )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.target_tags.multi_output = True
        return tags


def same(classes: Any, others: Any) -> bool:
    """Whether classes, or those of several columns, are equal."""
    if isinstance(classes, list):
        return len(classes) == len(others) and all(map(np.array_equal, classes, others))
    return np.array_equal(classes, others)


def shown(classes: Any) -> str:
    """Classes for a message."""
    return str([np.asarray(c).tolist() for c in classes] if isinstance(classes, list) else classes)
