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
OF_CLASSES = (OneHotLabels, ClassNumbers)  # losses of one class a row
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


@dataclass(eq=False, repr=False)
class BackpropClassifier(ClassifierMixin, NetworkEstimator):
    """A network that tells classes apart."""

    class_weight: Any = None

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> BackpropClassifier:
        return self._fit(X, y, sample_weight)

    @steps_singly
    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> BackpropClassifier:
        return self._fit(X, y, sample_weight, classes=classes, incremental=True)

    def predict(self, X: Any) -> Array:
        return self._outputs(X, "decode")

    @available_if(has_probabilities)
    def predict_proba(self, X: Any) -> Any:
        return self._outputs(X, "probabilities")

    @available_if(has_probabilities)
    def predict_log_proba(self, X: Any) -> Any:
        return self._outputs(X, "log_probabilities")

    def decision_function(self, X: Any) -> Any:
        return self._outputs(X, "scores")

    # ------------------------------------------------------------------ the task

    def _read(self, X: Any, y: Any, reset: bool) -> tuple[Any, Any]:
        X, y = validate_data(
            self, X, y, accept_sparse="csr", multi_output=True, dtype=DTYPES, reset=reset
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def _new_task(self, y: Array, classes: Any) -> Coding:
        kind = kind_of(y)
        if classes is None:
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
        if classes is not None and not same(task.classes, self._new_task(y, classes).classes):
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
            model = networks.own_network(n, dtype=dtype, **self._own_parts(task, ending))
        else:
            model = self._given_model(task, n, dtype)
            networks.check_model(type(self).__name__, model, n)
            if task.task == "binary" and model.output_shape == (None, 2):
                task.as_two_outputs()
            networks.check_outputs(type(self).__name__, model, task.outputs)
            task.logits = not networks.gives_probabilities(model)
        if loss is None:
            of_one = task.task in ("binary", "multilabel")
            loss = losses.BinaryCrossentropy if of_one else losses.SparseCategoricalCrossentropy
            loss = loss(from_logits=task.logits)
            if task.task == "multilabel":  # a sum over labels, which the loss takes the mean of
                task.factor = float(task.outputs)
        elif named and hasattr(loss, "from_logits"):
            loss = type(loss)(from_logits=task.logits)
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
