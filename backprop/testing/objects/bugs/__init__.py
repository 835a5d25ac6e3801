"""Mistakes planted in regularizers, constraints, initializers, metrics and optimizers.

Each breaks one thing in a subclass of ours, or is a small class with one thing wrong, and says what
in its docstring. The laws of its kind have to find it: `python -m backprop.testing.selftest
--objects` shows which law does.
"""

from __future__ import annotations

from backprop.testing.bugs.bank import planted_in
from backprop.testing.objects.bugs import (
    constraints,
    initializers,
    metrics,
    optimizers,
    regularizers,
)
from backprop.testing.objects.bugs.bank import Mistake

__all__ = ["MISTAKES", "Mistake"]

FAMILIES = regularizers, constraints, initializers, metrics, optimizers
MISTAKES: tuple[Mistake, ...] = tuple(
    mistake for family in FAMILIES for mistake in planted_in(vars(family))
)
