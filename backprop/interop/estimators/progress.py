"""`Progress`: when a run has converged, by scikit-learn's rule, and what it has to show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from backprop.callbacks.callback import Callback, Logs
from backprop.callbacks.console import say

SMALLEST = 1e-6  # the rate that "adaptive" does not go below


class Progress(Callback):
    """Stop once more than `patience` epochs in a row were not better than the best by `tol`.

    Better is a lower loss of training or, where there is a `score` of rows that were held out, a
    higher score; then the weights of the best epoch are put back at the end.

    Parameters
    ----------
    tol, patience : float
    verbose : bool
        A line for each epoch.
    score : callable, optional
        () → the score of the rows held out, for the present weights.
    rate : {"constant", "invscaling", "adaptive"}
        What becomes of the learning rate: nothing; rate / (t + 1)^power after t rows; a fifth where
        the run would stop, down to 1e-6.
    power : float
    rows : int
        Of an epoch.

    Attributes
    ----------
    losses, scores : list of float
        Of each epoch.
    best_loss, best_score : float
    waited : int
        Epochs in a row that were no better.
    seen : int
        Rows that were trained on, t.
    converged : bool
        Whether the run was stopped here.
    """

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.scores: list[float] = []
        self.best_loss, self.best_score = np.inf, -np.inf
        self.best_weights: list[Any] | None = None
        self.waited = self.seen = 0
        self.converged = False

    def begin(
        self,
        *,
        tol: float,
        patience: float,
        verbose: bool,
        score: Callable[[], float] | None,
        rate: str,
        initial_rate: float,
        power: float,
        rows: int,
    ) -> None:
        """Settings of the next run; what was counted goes on."""
        self.tol, self.patience, self.verbose, self.score = tol, patience, verbose, score
        self.rate, self.initial_rate, self.power, self.rows = rate, initial_rate, power, rows
        self.epochs = 0
        self.converged = False

    def end(self) -> None:
        """Forget what belongs to a run: the rows held out, and the model."""
        self.score = self.model = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        assert logs is not None
        self.epochs += 1
        self.seen += self.rows
        self.losses.append(float(logs["loss"]))
        if self.verbose:
            say(f"Iteration {self.epochs}, loss = {self.losses[-1]:.8f}")
        better = self._scored() if self.score is not None else self._lost()
        self.waited = 0 if better else self.waited + 1
        if self.rate == "invscaling":
            self._set_rate(self.initial_rate / (self.seen + 1) ** self.power)
        if self.waited > self.patience:
            self._stop_or_slow_down()

    def _lost(self) -> bool:
        better = self.losses[-1] <= self.best_loss - self.tol
        self.best_loss = min(self.best_loss, self.losses[-1])
        return better

    def _scored(self) -> bool:
        assert self.score is not None
        score = self.score()
        self.scores.append(score)
        if self.verbose:
            say(f"Validation score: {score:.6f}")
        better = not score < self.best_score + self.tol
        if self.best_weights is None or score > self.best_score:
            self.best_score, self.best_weights = score, self.model.get_weights()
        return better

    def _stop_or_slow_down(self) -> None:
        if self.rate == "adaptive" and self.model.optimizer.learning_rate > SMALLEST:
            self._set_rate(self.model.optimizer.learning_rate / 5)
            self.waited = 0
            return
        self.converged = True
        self.model.stop_training = True
        if self.verbose:
            what = "Training loss" if self.score is None else "Validation score"
            say(f"{what} has not improved by {self.tol:g} for {self.patience:g} epochs: stopping")

    def _set_rate(self, rate: float) -> None:
        self.model.optimizer.learning_rate = rate
        if self.verbose:
            say(f"Learning rate: {rate:.6g}")

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.score is not None and self.best_weights is not None:
            self.model.set_weights(self.best_weights)
