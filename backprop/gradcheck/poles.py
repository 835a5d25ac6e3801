"""Where the backward pass gives an infinity or a NaN: is there a slope?

log x at 1e-310 and √x at 0 have none that a number can hold. Then the one-sided differences of an
output along the entry,

    s(h) = (y(h) - y(0)) / h        h ↓ 0

grow from step to step, as log h does at the least. Where none grows, on either side, there is a
slope, and the backward pass misses it.
"""

from __future__ import annotations

import numpy as np

from backprop.gradcheck.measured import Measured
from backprop.gradcheck.noise import EPS
from backprop.gradcheck.places import Direction

FIRST, RATIO, STEPS = 2.0**-16, 2.0**-12, 80  # the last is below all numbers
EXACT = 2.0**-42  # of a number: steps that show three digits of the slope of one that is not 0
GROWTH = 1 + 1e-2  # of a slope: log h has moved by more from one step to the next


def has_slope(i: int, here: Measured) -> bool:
    """Whether y has slopes, on either side, along the first entry of slot i that is not finite."""
    gradient = here.gradients[i]
    at = np.unravel_index(np.argmin(np.isfinite(gradient)), gradient.shape)
    one = np.zeros(gradient.shape)
    one[at] = 1.0
    size = float(np.abs(here.point[i][at]))
    return any(bounded(here, here.alone(i, one), side, size) for side in (1, -1))


def bounded(here: Measured, direction: Direction, side: int, size: float) -> bool:
    """Whether all differences on a side stop growing, before a step is lost in a number's size."""
    y = here.run.y
    grows, before = np.ones(y.shape, bool), np.zeros(y.shape)
    for k in range(STEPS):
        h = FIRST * RATIO**k * max(size, 1.0)
        told = (y == 0) | (h > EXACT * max(size, 1.0))  # what is not yet lost in rounding
        if h <= EPS * size or not h or not told.any():
            break
        s = np.abs(here.probe.outputs(here.point, direction, side * h, here.run) - y) / h
        if k:
            grows &= ~(told & np.isfinite(s) & (s <= GROWTH * before + 8 * EPS * np.abs(y) / h))
        if not grows.any():
            return True
        before = s
    return False
