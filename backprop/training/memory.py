"""What the system's malloc does with the memory of a step."""

from __future__ import annotations

import ctypes
import os
from functools import cache

from backprop.tuning import RETURNED_BYTES

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # as malloc.h numbers them


@cache
def keep_freed_memory() -> None:
    """Let the memory that a step frees serve the next one.

    The malloc of glibc returns free memory to the system, beyond some megabytes at first and 64 MiB
    at most; each step then waits for the same pages again. So it is told to keep all, but blocks of
    more than 32 MiB. Elsewhere, and where a limit was set by hand, this does nothing.
    """
    if not {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"} & set(os.environ):
        try:
            mallopt = ctypes.CDLL(None).mallopt
        except (AttributeError, OSError, TypeError):
            return  # not glibc
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(M_MMAP_THRESHOLD, RETURNED_BYTES)
