"""The root of all seeds: every generator of the library is spawned from it.

The root is the one piece of state that belongs to the process, because `set_random_seed` has to
reach objects that do not exist yet.
"""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np

_root = np.random.SeedSequence()


def plant(seed: int) -> None:
    """Begin anew from a seed."""
    global _root
    _root = np.random.SeedSequence(seed)


def spawn() -> np.random.SeedSequence:
    """The next child of the root: independent of every other child, the same for the same seed and
    order."""
    return _root.spawn(1)[0]


def generator(
    seed: int | np.random.SeedSequence | np.random.Generator | None = None,
) -> np.random.Generator:
    """A generator for a seed; without one, for the next child of the root."""
    if isinstance(seed, np.random.Generator):
        return seed
    return np.random.default_rng(spawn() if seed is None else seed)


@contextmanager
def own_seeds(seed: int | np.random.SeedSequence):
    """Within the block seeds come from another root: what is built there moves nothing outside."""
    global _root
    before = _root
    _root = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    try:
        yield
    finally:
        _root = before
