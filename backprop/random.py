"""The seed of the process, and the draws of `keras.random`.

`set_random_seed` also seeds the global generators of Python and NumPy, for the script around the
library; the library itself never reads them.
"""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np

from backprop import checks
from backprop.absent import face
from backprop.defaults import floatx
from backprop.seeds import generator, own_seeds, plant, spawn

__all__ = ["generator", "own_seeds", "spawn"]


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
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"set_random_seed() expects an integer that is not negative, got {seed!r}")
    plant(int(seed))
    random.seed(int(seed))
    np.random.seed(int(seed) % 2**32)


def within_two(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Standard normal numbers, those beyond ±2 drawn again: one in 22 is, so a few rounds do."""
    n = math.prod(shape)
    kept, found = [], 0
    while found < n:
        z = rng.standard_normal(n)
        kept.append(z[np.abs(z) < 2])
        found += kept[-1].size
    return np.concatenate([*kept, np.empty(0)])[:n].reshape(shape)


# ----------------------------------------------------------------------- Keras' draws, from NumPy


def normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None) -> np.ndarray:
    """x[i] ~ N(mean, stddev²).

    Parameters
    ----------
    shape : tuple of int
    mean, stddev : float, default 0.0 and 1.0
    dtype : str, optional
        Default: `config.floatx`.
    seed : int or numpy.random.Generator, optional
        An int makes the same draw each time. Default: drawn from what `set_random_seed` was given.

    Examples
    --------
    >>> from backprop import random
    >>> random.normal((2, 3), seed=0).shape
    (2, 3)
    """
    mean, stddev = numbers("normal()", mean=mean, stddev=stddev)
    return drawn(mean + stddev * generator(seed).standard_normal(sizes(shape, "normal()")), dtype)


def truncated_normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None) -> np.ndarray:
    """x[i] ~ N(mean, stddev²), drawn anew where it is more than two stddev from the mean.

    The parameters are those of `normal`.
    """
    who = "truncated_normal()"
    mean, stddev = numbers(who, mean=mean, stddev=stddev)
    return drawn(mean + stddev * within_two(sizes(shape, who), generator(seed)), dtype)


def uniform(shape, minval=0.0, maxval=1.0, dtype=None, seed=None) -> np.ndarray:
    """x[i] ~ U[minval, maxval).

    Parameters
    ----------
    shape : tuple of int
    minval, maxval : float, default 0.0 and 1.0
    dtype, seed
        As of `normal`; integers are drawn by `randint`.

    Examples
    --------
    >>> from backprop import random
    >>> bool((random.uniform((100,), 2, 3) >= 2).all())
    True
    """
    who = "uniform()"
    minval, maxval = numbers(who, minval=minval, maxval=maxval)
    if minval > maxval:
        raise ValueError(f"{who} expects minval to be at most maxval, got {minval} and {maxval}")
    return drawn(generator(seed).uniform(minval, maxval, sizes(shape, who)), dtype)


def randint(shape, minval, maxval, dtype="int32", seed=None) -> np.ndarray:
    """Integers from minval to maxval - 1, each as likely.

    Parameters
    ----------
    shape : tuple of int
    minval, maxval : int
    dtype : str, default "int32"
    seed
        As of `normal`.
    """
    who = "randint()"
    low, high = checks.index(minval, who, "minval"), checks.index(maxval, who, "maxval")
    if low >= high:
        raise ValueError(f"{who} expects minval to be below maxval, got {low} and {high}")
    return generator(seed).integers(low, high, sizes(shape, who), dtype=dtype)


def categorical(logits, num_samples: int, dtype="int32", seed=None) -> np.ndarray:
    """Classes k of each row with the probabilities softmax(logits).

    The largest of logits[k] + g[k] falls on k with this probability where g[k] are independent
    Gumbel numbers.

    Parameters
    ----------
    logits : array_like, (N, classes)
    num_samples : int
    dtype : str, default "int32"
    seed
        As of `normal`.

    Returns
    -------
    ndarray of `dtype`, (N, num_samples)

    Examples
    --------
    >>> from backprop import random
    >>> random.categorical([[0.0, 100.0, 0.0]], 4)
    array([[1, 1, 1, 1]], dtype=int32)
    """
    logits = np.asarray(logits, np.float64)
    if logits.ndim != 2:
        raise ValueError(f"categorical() expects logits (N, classes), got {logits.shape}")
    count = checks.integer(num_samples, "categorical()", "num_samples")
    g = generator(seed).gumbel(size=(logits.shape[0], count, logits.shape[1]))
    return (logits[:, None] + g).argmax(-1).astype(dtype)


def shuffle(x, axis: int = 0, seed=None) -> np.ndarray:
    """A copy of `x` whose slices along an axis come in another order; `seed` as of `normal`."""
    return generator(seed).permutation(np.asarray(x), axis=axis)


def keras_orders(seed: int, *counts: int) -> list[np.ndarray]:
    """Orders of so many things each, in which Keras shuffles data sets and files: of a generator of
    their own, NumPy's older one.

    Examples
    --------
    >>> [order.tolist() for order in keras_orders(113, 4, 3)]
    [[3, 2, 0, 1], [1, 0, 2]]
    """
    rng = np.random.RandomState(seed)
    orders = [np.arange(n) for n in counts]
    for order in orders:
        rng.shuffle(order)
    return orders


def sizes(shape: Any, who: str) -> tuple[int, ...]:
    whole = isinstance(shape, int | np.integer)
    found = [shape] if whole else checks.sequence(shape, who, "shape", "a tuple of integers")
    return tuple(checks.integer(n, who, "each size of shape", least=0) for n in found)


def numbers(who: str, **given: Any) -> list[Any]:
    """A number each, or arrays that broadcast to what is drawn."""
    found = {name: checks.array(value, who, name) for name, value in given.items()}
    return [value[()] for value in found.values()]


def drawn(x: Any, dtype: Any) -> np.ndarray:
    """Numbers drawn in float64, in the dtype that was asked for."""
    dtype = np.dtype(dtype or floatx())
    if dtype.kind != "f":
        raise ValueError(
            f"the draw is of floats and was asked for {dtype}: randint() draws integers"
        )
    return np.asarray(x, dtype)


__getattr__, __dir__ = face(__name__, __all__)
