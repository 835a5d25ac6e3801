"""The root of all seeds: every generator of the library is spawned from it.

The root is the one piece of state that belongs to the process, because `set_random_seed` has to
reach objects that do not exist yet. What wants seeds of its own has them for its own thread and
what that calls, so that a model that is read in one thread moves no seed of another.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np


class Root:
    """Where seeds come from."""

    def __init__(self, sequence: np.random.SeedSequence):
        self.sequence = sequence


_process = Root(np.random.SeedSequence())
_root: ContextVar[Root] = ContextVar("root", default=_process)


def plant(seed: int) -> None:
    """Begin anew from a seed."""
    _root.get().sequence = np.random.SeedSequence(seed)


def spawn() -> np.random.SeedSequence:
    """The next child of the root: independent of every other child, the same for the same seed and
    order."""
    return _root.get().sequence.spawn(1)[0]


def generator(
    seed: int | np.random.SeedSequence | np.random.Generator | None = None,
) -> np.random.Generator:
    """A generator for a seed; without one, for the next child of the root."""
    if isinstance(seed, np.random.Generator):
        return seed
    whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool) and seed >= 0
    if not whole and seed is not None and not isinstance(seed, np.random.SeedSequence):
        raise ValueError(
            f"a generator expects seed to be an integer that is not negative, a Generator or None, "
            f"got {seed!r}"
        )
    return np.random.default_rng(spawn() if seed is None else seed)


@contextmanager
def own_seeds(seed: int | np.random.SeedSequence):
    """Within the block seeds come from another root: what is built there moves nothing outside."""
    sequence = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    token = _root.set(Root(sequence))
    try:
        yield
    finally:
        _root.reset(token)
