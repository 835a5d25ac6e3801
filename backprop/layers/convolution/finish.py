"""What is done with the sums of a convolution while they are in the cache.

The engines call it with arrays (..., filters) that hold each number of z once, in any order of the
other axes, perhaps beside numbers that are not in z; it may change them in place.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Finish = Callable[[np.ndarray], None]


def leave(z: np.ndarray) -> None:
    """Let the sums be as they are."""
