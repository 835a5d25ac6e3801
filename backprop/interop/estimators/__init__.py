"""Networks as estimators of scikit-learn."""

from __future__ import annotations

try:
    import sklearn  # noqa: F401 - looked for, before the files below need it
except ImportError as error:
    raise ImportError(
        "BackpropClassifier and its like are estimators of scikit-learn: "
        'pip install "backprop[sklearn]"'
    ) from error

from backprop.absent import face
from backprop.interop.estimators.classifier import BackpropClassifier
from backprop.interop.estimators.regressor import BackpropRegressor
from backprop.interop.estimators.transformer import BackpropTransformer

__all__ = ["BackpropClassifier", "BackpropRegressor", "BackpropTransformer"]

__getattr__, __dir__ = face(__name__, __all__)
