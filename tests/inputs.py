"""Inputs and weights with nothing special about them, the same in every run."""

import numpy as np


def drawn(shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def normal(*shape, seed=0):
    return drawn(shape, seed)


def distinct(shape, seed=0, dtype=np.float64):
    """All different, so that a small step changes no winner."""
    count = int(np.prod(shape))
    numbers = np.random.default_rng(seed).permutation(count).reshape(shape) / 7 - count / 15
    return numbers.astype(dtype)


def with_weights(layer, x, seed=0):
    """The layer, built for x, with generic weights."""
    layer.build((None, *x.shape[1:]))
    rng = np.random.default_rng(seed)
    layer.set_weights([0.7 * rng.standard_normal(w.shape) for w in layer.weights])
    return layer
