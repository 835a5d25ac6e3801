"""φ'(0) = Im φ(i h) / h + O(h²): no difference of near numbers, so h may be 1e-30.

It holds where every operation of the forward pass is analytic and takes complex numbers. `abs`,
`maximum`, a variance, an array that was allocated real break it, silently: so a complex step is
believed only where it agrees with the differences, and then its slope, exact to rounding, takes
their place.
"""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np

from backprop.gradcheck.comparison import Comparison
from backprop.gradcheck.entry import Entry
from backprop.gradcheck.noise import EPS

STEP = 1e-30


def by_complex_step(i: int, entry: Entry, compare: Comparison) -> Entry | str:
    """The entry of slot i with its slope by a complex step, or why that is not to be believed.

    Squire and Trapp: Using complex variables to estimate derivatives of real functions, SIAM Rev.
    40, 1998.
    """
    if entry.verdict != "pass" or entry.method != "differences":
        return "differences decided"
    here, probe = compare.here, compare.probe
    u = here.drawn(i)
    point = list(here.point)
    point[i] = point[i] + 1j * STEP * u
    try:
        with warnings.catch_warnings(), probe.complex_in(probe.slots[i]):
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            y = probe.run(point).y
    except Exception as error:  # whatever a layer does to numbers that it does not know
        return f"the forward pass does not take it ({type(error).__name__})"
    if y.dtype.kind != "c":
        return "the forward pass drops the imaginary part"
    numeric = float(here.v @ np.imag(y)) / STEP
    compare.rounding.measure()
    direction = here.alone(i, u)
    expected, differences = compare.expected(direction), compare.along(direction)
    if not abs(numeric - differences.numeric) <= differences.bound:
        return "it disagrees with the differences, and they are believed"
    size = max(expected.size, abs(numeric))
    bound = expected.allowance + 64 * EPS * size
    good = abs(numeric - expected.slope) <= bound
    return replace(
        differences,
        analytic=expected.slope,
        numeric=numeric,
        bound=bound,
        seen=0.0,
        step=here.share(STEP, direction),
        verdict="pass" if good else differences.verdict,
        reason="" if good else differences.reason,
        method="complex step",
    )
