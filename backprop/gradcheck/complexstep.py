"""φ'(0) = Im φ(i h) / h + O(h²): no difference of near numbers, so h may be 1e-30.

It holds where every operation of the forward pass is analytic and takes complex numbers. `abs`,
`maximum`, a variance, an array that was allocated real break it, silently: so a complex step is
believed only where it agrees with the differences, and then its slope, exact to rounding, takes
their place.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from backprop.gradcheck.report import Entry

if TYPE_CHECKING:
    from backprop.gradcheck.engine import Check

STEP = 1e-30
EPS = float(np.finfo(np.float64).eps)


def refine(check: Check) -> None:
    """Replace slopes by differences with complex ones, where these are to be believed.

    Squire and Trapp: Using complex variables to estimate derivatives of real functions, SIAM Rev.
    40, 1998.
    """
    for i, entry in enumerate(check.entries[: len(check.probe.slots)]):
        if entry.verdict != "pass" or entry.method != "differences":
            check.skipped.append(f"complex step of {entry.name}: differences decided")
            continue
        found = slope(check, i)
        if isinstance(found, str):
            check.skipped.append(f"complex step of {entry.name}: {found}")
        else:
            check.entries[i] = found


def slope(check: Check, i: int) -> Entry | str:
    """The entry by a complex step, or why not."""
    probe, slot = check.probe, check.probe.slots[i]
    u = check.signs(i)
    point = list(check.point)
    point[i] = point[i] + 1j * STEP * u
    p = slot.parameter
    real = p.value if p is not None else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            if p is not None:
                p.bind(p.value.astype(np.complex128), p.gradient)
            y = probe.run(point).y
    except Exception as error:  # whatever a layer does to numbers that it does not know
        return f"the forward pass does not take it ({type(error).__name__})"
    finally:
        if p is not None:
            # where there is a p, its real value was kept
            p.bind(real, p.gradient)  # type: ignore[arg-type]
    if y.dtype.kind != "c":
        return "the forward pass drops the imaginary part"
    numeric = float(check.v @ np.imag(y)) / STEP
    check.rounding.measure()
    expected = check.expected(check.alone(i, u))
    differences = check.compare(check.alone(i, u))
    if not abs(numeric - differences.numeric) <= differences.bound:
        return "it disagrees with the differences, and they are believed"
    size = max(expected.size, abs(numeric))
    bound = expected.allowance + 64 * EPS * size
    difference = abs(numeric - expected.slope)
    good = difference <= bound
    return replace(
        differences,
        analytic=expected.slope,
        numeric=numeric,
        bound=bound,
        verdict="pass" if good else differences.verdict,
        reason="" if good else differences.reason,
        method="complex step",
    )
