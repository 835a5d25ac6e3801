"""What was found on one gradient: a verdict, and the numbers that it stands on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Entry:
    """One input or parameter.

    Attributes
    ----------
    name, shape
    verdict : {"pass", "fail", "inconclusive"}
    reason : str
        What stands behind a verdict that is not ``"pass"``, and how one at a kink was found.
    analytic : float
        <gradient, u> by the backward pass.
    numeric : float
        The slope along u by differences.
    bound : float
        The largest difference that the error of the differences and rounding explain.
    size : float
        Σ |gradient · u|: what a difference is to be compared with.
    jump : float
        How much the slopes on the two sides of the point differ.
    evaluations : int
        Forward passes spent, beside those that the whole check shares.
    method : str
        ``"differences"``, ``"kinks"``, ``"complex step"``, ``"float32"`` or ``"every entry"``.
    seen : float
        The least difference that would have been found wrong, where it is more than `bound`: one
        that agrees early is known better than one that does not.
    step : float
        At which scale the function was seen: the last step, as a share of the root mean square of
        the numbers that it moved (of 1 where these are 0). 0 where no step was taken.
    """

    name: str
    shape: Shape
    verdict: str
    reason: str
    analytic: float
    numeric: float
    bound: float
    size: float
    jump: float = 0.0
    evaluations: int = 0
    method: str = "differences"
    seen: float = 0.0
    step: float = 0.0

    @property
    def difference(self) -> float:
        return abs(self.analytic - self.numeric)

    @property
    def floor(self) -> float:
        """The smallest error of a single entry that would have been seen: |u| is at least 1/2."""
        least = max(self.bound, self.seen)
        return 2 * least if self.method in ("differences", "complex step") else least


def undecided(name: str, shape: Shape, cause: str) -> Entry:
    """Nothing can be said, whatever the slopes are."""
    reason = f"undecided because of {cause}"
    return Entry(name, shape, "inconclusive", reason, np.nan, np.nan, np.inf, 0.0)


def wrong_outright(name: str, shape: Shape, reason: str, method: str = "differences") -> Entry:
    """A mistake that shows without a slope: NaN, or numbers of another dtype."""
    return Entry(name, shape, "fail", reason, np.nan, np.nan, 0.0, 0.0, method=method)


def apart(analytic: float, numeric: float) -> str:
    """What backward and differences say, with as many digits as it takes to tell them apart.

    Examples
    --------
    >>> from backprop.gradcheck.entry import apart
    >>> apart(1.5, -0.2), apart(28.44731, 28.44732)
    ('backward says 1.5, differences say -0.2', 'backward says 28.44731, differences say 28.44732')
    """
    digits = 6
    while digits < 17 and f"{analytic:.{digits}g}" == f"{numeric:.{digits}g}":
        digits += 1
    return f"backward says {analytic:.{digits}g}, differences say {numeric:.{digits}g}"


def place_of(k: Any, shape: Shape) -> Shape:
    """Where the k-th number of an array stands, in plain integers."""
    return tuple(map(int, np.unravel_index(k, shape))) if shape else ()


def not_finite(gradient: np.ndarray) -> str:
    """What is said of the first NaN or infinity in a gradient; empty if there is none."""
    finite = np.isfinite(gradient)
    if finite.all():
        return ""
    at = place_of(np.argmin(finite), gradient.shape)
    return f"backward gives {gradient[at]} for entry {at}"
