"""What is to be done with a step whose loss or gradient is NaN or infinite, and what it raises; see
`backprop.training.guarded`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import KW_ONLY
from typing import Annotated, Any

from backprop.checks import Positive, choice, where
from backprop.config import Configurable
from backprop.training.nonfinite import Finding


class NonfiniteError(FloatingPointError):
    """The loss or a gradient of a step is NaN or infinite; the step was not taken.

    A `FloatingPointError`, as NumPy raises under ``np.errstate(all="raise")``, so that one handler
    does for both.

    Attributes
    ----------
    epoch, step : int
        Of the run, from 0.
    loss : float
        Of the step.
    tensor : str
        The first that is not finite, such as ``"output"`` or ``"gradient dense/kernel"``.
    layer : str or None
        The name of the layer that put it out.
    range : (float, float) or None
        The least and the largest of its finite numbers.
    checkpoint : str or None
        The file that the run has saved last, of values that were finite.
    """

    def __init__(
        self,
        message: str = "",
        epoch: int = 0,
        step: int = 0,
        loss: float = math.nan,
        found: Finding | None = None,
        checkpoint: str | None = None,
    ):
        super().__init__(message)
        self.epoch, self.step, self.loss, self.checkpoint = epoch, step, loss, checkpoint
        self.tensor = "" if found is None else found.tensor
        self.layer = None if found is None else found.layer
        self.range = None if found is None else found.range


class OnNonfinite(Configurable):
    """What `compile` takes as `on_nonfinite`, where more is to be said than the policy.

    Parameters
    ----------
    policy : {"warn", "raise", "skip", "stop", "restore"}
    factor : float, default 0.5
        What the learning rate is multiplied with when values are restored; above 0 and at most 1.
        With a schedule, whose rate no number replaces, it has to be 1.
    every : int, default 100
        Values are kept for `restore` every so many steps. Those are gone back to that at least so
        many good steps have followed, or those of the beginning.
    limit : int, default 10
        So often in succession: the last of so many steps that would be skipped with no good one
        between them, or of so many restorations with fewer than `every`, raises `NonfiniteError`.

    Examples
    --------
    >>> import backprop as bp
    >>> model = bp.Sequential([bp.Input((3,)), bp.layers.Dense(1)])
    >>> model.compile("sgd", "mse", on_nonfinite=bp.OnNonfinite("restore", factor=0.1))
    """

    policy: Annotated[str, choice("warn", "raise", "skip", "stop", "restore")]
    _: KW_ONLY
    factor: Annotated[float, where(lambda v: 0 < v <= 1, "a {name} above 0 and at most 1")] = 0.5
    every: Positive = 100
    limit: Positive = 10


def read_policy(given: Any) -> OnNonfinite:
    if isinstance(given, OnNonfinite):
        return given
    if isinstance(given, Mapping):  # of a file
        return OnNonfinite(**given)
    if not isinstance(given, str):
        raise TypeError(
            "compile() expects on_nonfinite to be 'warn', 'raise', 'skip', 'stop', 'restore' or an "
            f"OnNonfinite, got {given!r}"
        )
    return OnNonfinite(given)
