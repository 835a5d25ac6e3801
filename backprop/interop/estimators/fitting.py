"""One run of an estimator: rows held out, the epochs, and what to say of their end."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from backprop import optimizers
from backprop.interop.estimators import networks
from backprop.interop.estimators.progress import Progress
from backprop.interop.estimators.scaling import Scaling, scaled

LARGEST_BATCH = 200  # of batch_size="auto"

Rows = tuple[Any, Any, Any]  # X, y and the weights or None


def steps_singly(e: Any) -> bool:
    """Whether the solver takes one batch after another; where not, why there is no partial_fit."""
    solver = optimizers.get(e.solver) if isinstance(e.solver, str) else e.solver
    if solver.full_batch:
        raise AttributeError(
            f"partial_fit takes single steps, and solver={e.solver!r} needs all data at once"
        )
    return True


def split(e: Any, task: Any, X: Any, y: Any, weight: Any, random: Any) -> tuple[Rows, Rows | None]:
    """The rows to train on, and those that early stopping holds out."""
    if not e.early_stopping:
        return (X, y, weight), None
    train, held = train_test_split(
        np.arange(X.shape[0]),
        test_size=e.validation_fraction,
        random_state=random,
        stratify=task.strata(y),
    )
    if len(held) < 2:
        raise ValueError(
            f"The validation set is too small: validation_fraction={e.validation_fraction} of "
            f"{X.shape[0]} rows is {len(held)}, and a score needs 2. Increase it, or give more rows"
        )
    return rows_of(X, y, weight, train), rows_of(X, y, weight, held)


def rows_of(X: Any, y: Any, weight: Any, rows: Any) -> Rows:
    return X[rows], y if y is None else y[rows], weight if weight is None else weight[rows]


def run(
    e: Any,
    model: Any,
    task: Any,
    scaling: Scaling | None,
    progress: Progress,
    train: Rows,
    held: Rows | None,
    incremental: bool,
) -> None:
    """Train a compiled model: `max_iter` epochs at most, or one more."""
    X, y, weight = train
    n = X.shape[0]
    total = n if weight is None else weight.sum()
    if weight is not None:  # of mean 1, so that the loss is a mean over weights
        weight = (weight * (n / total)).astype(X.dtype)
    batch = min(LARGEST_BATCH if e.batch_size == "auto" else e.batch_size, n)
    if model.optimizer.full_batch:
        batch = n
    if e.model is None:
        for penalty in networks.penalties_of(model):
            penalty.l2 = e.alpha / (2 * total * batch / n)
    X = scaled(scaling, X)
    stops = e.early_stopping or not model.optimizer.full_batch
    progress.begin(
        tol=e.tol,
        patience=e.n_iter_no_change if stops else np.inf,
        verbose=bool(e.verbose),
        score=None if held is None else score_of(model, task, scaling, held),
        rate=e.learning_rate,
        initial_rate=e.learning_rate_init,
        power=e.power_t,
        rows=n,
    )
    first = model.trainer.epoch if incremental else 0
    model.stop_training = False
    targets = task.encode(X, y)
    model.fit(
        X,
        targets,
        batch_size=batch,
        epochs=first + (1 if incremental else e.max_iter),
        initial_epoch=first,
        verbose=0,
        callbacks=[progress, *(e.callbacks or ())],
        shuffle=e.shuffle and batch < n,
        sample_weight=weight,
    )
    if not progress.losses:  # L-BFGS found nothing to do
        found = model.evaluate(X, targets, batch, 0, weight, return_dict=True)
        progress.losses.append(found["loss"])


def score_of(model: Any, task: Any, scaling: Scaling | None, held: Rows) -> Any:
    """() → how good the model is on rows that were held out."""
    X = scaled(scaling, held[0])
    targets = task.encode(X, held[1])
    return lambda: task.score(targets, model.predict(X, verbose=0), held[2])


def check_weights(model: Any) -> None:
    """Raise if training has ended in numbers that are none."""
    if not all(np.isfinite(w).all() for w in model.get_weights()):
        raise ValueError(
            "training ended with weights that are NaN or infinite: lower learning_rate_init, or "
            "scale X (and the targets of a regression), whose numbers may be too large"
        )


def warn_if_unfinished(e: Any, model: Any, progress: Progress) -> None:
    """Say that a run ended for want of iterations."""
    by_limit = progress.epochs >= e.max_iter and not progress.converged
    if model.optimizer.full_batch:
        by_limit = not (model.optimizer.converged or model.stop_training)
    if by_limit:
        warnings.warn(
            f"{type(e).__name__} has not converged after {progress.epochs} iterations: raise "
            "max_iter (or max_fun, with solver='lbfgs'), learning_rate_init or tol",
            ConvergenceWarning,
            stacklevel=4,
        )
