"""`LearningRateFinder`: how the loss falls, and then bursts, while the learning rate rises."""

from __future__ import annotations

import copy
import math
from typing import Annotated, Any

import numpy as np

from backprop.arguments import Convert
from backprop.callbacks.callback import Callback, Logs, lazy
from backprop.checks import number
from backprop.config import Configurable
from backprop.run_state import model_state, set_model_state

Array = np.ndarray

WARM = 5  # steps before a loss may count as burst, but one of a thousand times the first
FALLS = 0.02  # of itself, that a loss has to fall before a rate is suggested


def positive(value: Any, who: str, name: str) -> float:
    return number(value, who, name, least=0, above=True)


def below_one(value: Any, who: str, name: str) -> float:
    found = number(value, who, name, least=0)
    if found >= 1:
        raise ValueError(f"{who} expects {name} to be a number from 0 to below 1, got {value!r}")
    return found


def ten_or_more(value: Any, who: str, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 10:
        raise ValueError(f"{who} expects {name} to be an integer of at least 10, got {value!r}")
    return int(value)


class LearningRateFinder(Configurable, Callback):
    """Raise the learning rate step by step, from far too small to far too large, watch the loss,
    and put everything back.

        rate of step k = start * (end / start) ** (k / (steps - 1))

    The run ends when the rate is at its end, or before that when the loss has burst. Then the
    weights, the optimizer with its rate, the generators, moving statistics and states are, bit for
    bit, what they were, also when an exception ends the run.

    Parameters
    ----------
    start, end : float, default 1e-6 and 10
        The rates to begin and to end with.
    steps : int, default 100
        From the one to the other.
    diverge : float, default 4
        The loss has burst when its running mean is so many times its least one.
    smoothing : float, default 0.9
        How much of the running mean each step keeps.

    Attributes
    ----------
    rates, losses : list of float
        Of each step, the rate and the loss of its batch before the update.
    smoothed : ndarray
        The losses smoothed in both directions, so that nothing is shifted.
    suggestion : float or None
        The rate at which the smoothed loss has fallen half of its way, before it bursts: about
        where it falls most steeply. None where it never fell.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range, or `end` not above `start`; when a run begins, if the
        optimizer's rate is a schedule, or the optimizer takes all data at once.

    Notes
    -----
    Smith (2017), "Cyclical learning rates for training neural networks", section 3.3. Steps of the
    run are steps of `fit`: give it epochs enough, or let `find` do that. A generator that is given
    as data is read, and cannot be put back.

    Examples
    --------
    >>> import numpy as np
    >>> import backprop as bp
    >>> bp.utils.set_random_seed(0)
    >>> model = bp.Sequential([bp.Input((8,)), bp.layers.Dense(16, "tanh"), bp.layers.Dense(1)])
    >>> model.compile(bp.optimizers.SGD(), "mse")
    >>> x = np.random.default_rng(0).normal(size=(512, 8))
    >>> finder = bp.callbacks.LearningRateFinder()
    >>> 0.005 < finder.find(model, x, x[:, :1] * x[:, 1:2], batch_size=32) < 0.5
    True
    >>> model.optimizer.learning_rate
    0.01
    """

    runs_last = True

    start: Annotated[float, Convert(positive)] = 1e-6
    end: Annotated[float, Convert(positive)] = 10.0
    steps: Annotated[int, Convert(ten_or_more)] = 100
    diverge: Annotated[float, Convert(positive)] = 4.0
    smoothing: Annotated[float, Convert(below_one)] = 0.9

    def __post_init__(self):
        if self.end <= self.start:
            raise ValueError(
                f"LearningRateFinder expects end to be above start, got {self.start!r} and "
                f"{self.end!r}"
            )
        self.rates: list[float] = []
        self.losses: list[float] = []
        self._kept: Any = None

    def find(self, model: Any, x: Any = None, y: Any = None, **options: Any) -> float | None:
        """Run it: `model.fit` with as many epochs as it takes, and nothing else; returns the
        suggestion.

        Parameters
        ----------
        model : Sequential or Model
            Compiled.
        x, y, **options
            Of `fit`: ``batch_size``, ``sample_weight``, ``class_weight`` and others.
        """
        callbacks = [self, *options.pop("callbacks", ())]
        options = {"epochs": self.steps, "verbose": 0} | options
        with np.errstate(over="ignore", invalid="ignore"):  # it ends in too large a rate on purpose
            model.fit(x, y, callbacks=callbacks, **options)
        return self.suggestion

    # ------------------------------------------------------------------ what it has found

    @property
    def smoothed(self) -> Array:
        """The losses, smoothed forwards and back."""
        losses = np.array(self.losses)
        losses = losses[np.isfinite(losses)]
        kept = self.smoothing**2  # of two passes each does half
        return running_mean(running_mean(losses, kept)[::-1], kept)[::-1]

    @property
    def suggestion(self) -> float | None:
        """The rate at which the smoothed loss has fallen half of its way."""
        smoothed = self.smoothed
        least = int(np.argmin(smoothed)) if smoothed.size else 0
        if least < 3:
            return None
        plateau = float(np.median(smoothed[: max(least // 3, 3)]))
        fall = plateau - float(smoothed[least])
        if fall <= FALLS * abs(plateau):
            return None
        above = np.flatnonzero(smoothed[:least] > plateau - fall / 2)  # the last, as batches differ
        return self.rates[int(above[-1])]

    def plot(self, ax: Any = None) -> Any:
        """Draw the losses over the rates, and the suggestion, and return the matplotlib `Axes`;
        needs ``backprop[plot]``.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw. Default: a new figure.

        Raises
        ------
        ValueError
            Before a run.
        """
        if not self.losses:
            raise ValueError(
                "LearningRateFinder has nothing to draw: find(model, x, y) comes first"
            )
        if ax is None:
            try:
                from matplotlib.figure import Figure
            except ImportError as error:
                raise ImportError(
                    'a picture needs matplotlib: pip install "backprop[plot]"'
                ) from error
            ax = Figure(figsize=(5.2, 3.9), layout="constrained", dpi=120).subplots()
        smoothed = self.smoothed
        rates = self.rates[: len(smoothed)]
        ax.plot(self.rates, self.losses, color="0.75", linewidth=1, label="loss of a batch")
        ax.plot(rates, smoothed, linewidth=1.8, label="smoothed")
        if self.suggestion is not None:
            at = self.rates.index(self.suggestion)
            label = f"suggestion: {self.suggestion:.2g}"
            ax.plot([self.suggestion], [smoothed[at]], "o", color="black", label=label)
        ax.set_xscale("log")
        finite = smoothed[np.isfinite(smoothed)]
        if finite.size:
            low, high = float(finite.min()), float(finite[0])
            ax.set_ylim(low - 0.2 * abs(high - low), high + 0.8 * abs(high - low) + 1e-12)
        ax.set_xlabel("learning rate")
        ax.set_ylabel("loss")
        ax.legend(frameon=False)
        return ax

    # ------------------------------------------------------------------ the run

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_kept": None}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        optimizer = self.model.optimizer
        if optimizer.full_batch:
            raise ValueError(
                "LearningRateFinder needs an optimizer that takes steps of batches, and "
                f"{optimizer!r} takes all data at once"
            )
        rate = optimizer.learning_rate
        try:
            optimizer.learning_rate = rate  # a schedule refuses it
        except TypeError:
            raise TypeError(
                "LearningRateFinder raises the learning rate by itself, and that of the optimizer "
                "is a schedule: compile with a number, and make the schedule of what is found"
            ) from None
        self.rates, self.losses = [], []
        self._mean, self._least, self._before = 0.0, math.inf, (0.0, 0.0)
        if not optimizer.built:
            optimizer.build(self.model.parameters)
        header, arrays = copy.deepcopy(model_state(self.model))
        states = [state.value.copy() for state in self.model.states_kept()]
        self._kept = header, arrays, states, float(rate)

    @lazy
    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        k = len(self.rates)
        rate = self.start * (self.end / self.start) ** (k / (self.steps - 1))
        self.model.optimizer.learning_rate = rate
        self.rates.append(rate)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = self._loss_of_batch(logs or {})
        self.losses.append(loss)
        k = len(self.losses)
        self._mean = self.smoothing * self._mean + (1 - self.smoothing) * loss
        mean = self._mean / (1 - self.smoothing**k)
        self._least = min(self._least, mean) if math.isfinite(mean) else self._least
        limit = self.diverge if k > WARM else 1e3
        burst = not math.isfinite(mean) or mean > limit * abs(self._least)
        if burst or k == self.steps:
            self.model.stop_training = True

    def _loss_of_batch(self, logs: Logs) -> float:
        """Of this batch alone; `logs` has the mean over the epoch so far."""
        total, count = (float(v) for v in self.model.trainer.loss_so_far.variables)
        before, rows = self._before if batch_follows(count, self._before) else (0.0, 0.0)
        self._before = total, count
        if count <= rows:
            return float(logs.get("loss", math.nan))
        return (total - before) / (count - rows)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._put_back()

    def on_exception(self, error: BaseException) -> None:
        self._put_back()

    def _put_back(self) -> None:
        if self._kept is None:
            return
        header, arrays, states, rate = self._kept
        set_model_state(self.model, header, arrays)
        for state, value in zip(self.model.states_kept(), states, strict=True):
            state.value[...] = value
        self.model.optimizer.learning_rate = rate
        self._kept = None


# ------------------------------------------------------------------------------------- helpers


def batch_follows(count: float, before: tuple[float, float]) -> bool:
    """Whether the sums go on; a new epoch begins them anew."""
    return count > before[1]


def running_mean(a: Array, kept: float) -> Array:
    """Of each number and those before it, each weighing `kept` times the one behind it."""
    found, mean, weight = np.empty(len(a)), 0.0, 0.0
    for k, value in enumerate(a):
        mean, weight = kept * mean + value, kept * weight + 1
        found[k] = mean / weight
    return found
