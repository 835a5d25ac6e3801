"""Seeds and generators: every layer draws from its own, and all are spawned from one root.

The root is the one piece of state that belongs to the process, because `set_random_seed` has to
reach objects that do not exist yet. It also seeds the global generators of Python and NumPy, for
the script around the library; the library itself never reads them.
"""

from __future__ import annotations

import random
from contextlib import contextmanager

import numpy as np

_root = np.random.SeedSequence()


def set_random_seed(seed: int) -> None:
    """Make everything that is built or drawn from now on reproducible.

    Models and layers take their seeds when they are built, in the order in which they are built.
    What was built before keeps its own generators.

    As Keras does, this also seeds Python's `random` and NumPy's `numpy.random`, so that a script
    that makes its data with them makes the same data each time. What such a script draws moves
    nothing in a model, and no model moves what it draws.

    Parameters
    ----------
    seed : int
        Not negative. `numpy.random` takes its last 32 bits.

    Examples
    --------
    >>> import backprop, numpy
    >>> backprop.utils.set_random_seed(0)
    >>> numpy.random.rand(2).round(4)
    array([0.5488, 0.7152])
    """
    global _root
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"set_random_seed() expects an integer that is not negative, got {seed!r}")
    _root = np.random.SeedSequence(int(seed))
    random.seed(int(seed))
    np.random.seed(int(seed) % 2**32)


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
