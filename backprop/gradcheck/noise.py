"""How far a computed function scatters by rounding alone: ECNoise.

A smooth function, seen at equally spaced points so near to each other that it is straight there,
has higher differences of 0; what is left of them is noise. Of m + 1 values the k-th differences
T[i, k] = T[i+1, k-1] - T[i, k-1], T[i, 0] = φ_i, of independent noise of deviation σ have

    E T² = (2k)! / (k!)² σ²      so that      σ_k² = (k!)² / (2k)! · mean_i T[i, k]²

A level k is believed where two neighbours agree with it and its differences change their sign.
"""

from __future__ import annotations

import math

import numpy as np

Array = np.ndarray

EPS = float(np.finfo(np.float64).eps)
EVALUATIONS = 7
STEP = 2.0**-50  # of each number's own size: a few units in its last place
COARSE = 2.0**-26  # where the function does not move over STEP, it may be one of few digits


def deviation(values: Array) -> float:
    """σ of the noise in equally spaced values of a function.

    Parameters
    ----------
    values : ndarray, (m + 1,)
        At points that lie as near as rounding allows.

    Returns
    -------
    float
        Where no level of differences is believed, the largest σ of the upper levels: too much
        rather than too little.

    References
    ----------
    Moré and Wild: Estimating computational noise, SIAM J. Sci. Comput. 33, 2011, algorithm 4.1.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.gradcheck.noise import deviation
    >>> noise = np.random.default_rng(0).standard_normal(7)
    >>> 0.25 < deviation(1e6 + 30 * np.arange(7) + noise) < 4
    True
    """
    sigma, turns = levels(values)
    first = believed_of(sigma, turns)
    return max(sigma[1:], default=0.0) if first is None else first


def believed(values: Array) -> float:
    """σ of the noise as in `deviation`, but 0 where no level of differences is believed: too little
    rather than too much.

    Examples
    --------
    >>> import numpy as np
    >>> from backprop.gradcheck.noise import believed
    >>> believed(np.exp(np.arange(7.0)))
    0.0
    """
    return believed_of(*levels(values)) or 0.0


def levels(values: Array) -> tuple[list[float], list[bool]]:
    """σ by each level of differences, and whether these change their sign."""
    t = np.asarray(values, np.float64)
    sigma, turns = [], []
    for k in range(1, len(t)):
        t = np.diff(t)
        gamma = math.factorial(k) ** 2 / math.factorial(2 * k)
        sigma.append(math.sqrt(gamma * float(np.mean(t * t))))
        turns.append(bool(t.min() < 0 < t.max()))
    return sigma, turns


def believed_of(sigma: list[float], turns: list[bool]) -> float | None:
    """σ of the first level that two neighbours agree with, and that changes its sign."""
    for k in range(len(sigma) - 2):
        three = sigma[k : k + 3]
        if turns[k] and max(three) <= 4 * min(three):
            return three[0]
    return None


def too_fine(values: Array) -> bool:
    """Whether more than half of the values are one: the steps were too small to see noise."""
    _, counts = np.unique(values, return_counts=True)
    return bool(2 * counts.max() > len(values))
