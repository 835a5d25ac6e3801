"""One job in parts on several threads, with BLAS' own threads kept out of the way.

A product uses all cores by itself, what is around it does not: NumPy adds, rectifies and
exponentiates on one. It lets go of Python's lock meanwhile, so threads that each take a part of the
batch run side by side. BLAS is held to one thread for the time: its own would wait for the next
product, turning, on the cores that ours need.

To wake a thread takes about 50 microseconds, and so does every meeting of two at Python's lock. So
parts are worth it that work for a millisecond, in calls of a tenth of one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar, copy_context
from functools import cache, wraps
from itertools import pairwise
from threading import Lock, RLock, active_count
from typing import Any, TypeVar

Result = TypeVar("Result")

SCIPYS = "scipy.linalg.cython_blas"  # which brings a library of its own
in_part = ContextVar("in_part", default=False)  # whether this thread works on a part already


def share(
    work: Callable[[slice], Result], n: int, least: int = 1, *, follow: bool = False
) -> list[Result]:
    """[work(part) for the parts of range(n)], side by side: one part for each thread that BLAS has.

    Parameters
    ----------
    work : callable
        Takes a slice of range(n). It must not write what another part reads or writes. What it
        shares out in turn stays on its own thread.
    n : int
    least : int, default 1
        A part has at least so many.
    follow : bool, default False
        Only where BLAS is held already: its threads are in the way for a while after a product, and
        a pass over an array is too short to be worth that.

    Examples
    --------
    >>> from backprop.parallel import share
    >>> sum(share(lambda part: sum(range(100)[part]), 100))
    4950
    """
    count = n // max(least, 1)
    if count > 1 and not in_part.get() and (blas().is_held or not follow):
        count = min(count, blas().threads)
    else:
        count = 1
    if count == 1:
        return [work(slice(0, n))]
    ends = [n * i // count for i in range(count + 1)]
    return run([lambda part=slice(*pair): work(part) for pair in pairwise(ends)])


def run(tasks: list[Callable[[], Result]]) -> list[Result]:
    """What the tasks return, the first on the caller's thread, each other on one of its own; an
    error of any is raised when all have ended."""
    first, *others = tasks

    def alone(task: Callable[[], Result]) -> Result:
        in_part.set(True)
        return task()

    with blas().held():
        # each in a copy of the caller's context, which holds NumPy's errstate
        later = [threads(len(others)).submit(copy_context().run, alone, task) for task in others]
        try:
            found = [copy_context().run(alone, first)]
        finally:
            wait(later)
    return found + [task.result() for task in later]


def blocks(part: slice, step: int) -> Iterator[slice]:
    """A part piece by piece, `step` at a time: what stays in a cache from one pass to the next."""
    for i in range(part.start, part.stop, step):
        yield slice(i, min(i + step, part.stop))


def pays() -> bool:
    """Whether `run` has a second thread: BLAS has more than one, and this is not a part already."""
    return not in_part.get() and blas().threads > 1


FREE = nullcontext()


def alone() -> AbstractContextManager:
    """For a step that leaves the threads of products to BLAS: its turn, where others may compute
    meanwhile."""
    return FREE if active_count() == 1 else blas().turn()


class Blas:
    """The BLAS libraries of this process, which all of its threads share: NumPy's, and SciPy's from
    when that is loaded."""

    def __init__(self):
        self._limits: Any = None
        self._look()
        self._lock = Lock()
        self._turn = RLock()
        self._holders = 0
        self._before = 1  # how many threads there were when the first holder came

    def _look(self) -> None:
        from threadpoolctl import ThreadpoolController  # here: few need it, and it takes a while

        self._knows_scipy = SCIPYS in sys.modules
        self._libraries = ThreadpoolController().select(user_api="blas")
        self._shares_out = self.threads > 1

    @property
    def threads(self) -> int:
        """As many as BLAS may use while nobody holds it: `OPENBLAS_NUM_THREADS` and
        `threadpoolctl.threadpool_limits` set it, and `share` takes no more than that."""
        if self._limits is not None:
            return self._before
        return min((library.num_threads for library in self._libraries.lib_controllers), default=1)

    @property
    def kernels(self) -> list[str]:
        """NumPy's library, its version, and the kernel that it has chosen for the processor."""
        found = [library.info() for library in self._libraries.lib_controllers]
        return [
            f"{one['internal_api']} {one['version']}, {one.get('architecture', 'unknown')} kernel"
            for one in found
            if "numpy" in one["filepath"]
        ]

    @property
    def is_held(self) -> bool:
        return self._limits is not None

    def turn(self) -> AbstractContextManager:
        """The turn of a thread to multiply, where a product takes several threads. How many these
        are decides the last digit, and to hold BLAS means it for the whole process: who computes at
        the same time would change what another finds."""
        return self._turn if self._shares_out else FREE

    @contextmanager
    def held(self) -> Iterator[None]:
        """One thread for each product, until the last of all holders lets go."""
        with self.turn(), self._hold():
            yield

    @contextmanager
    def _hold(self) -> Iterator[None]:
        with self._lock:
            if not self._holders:
                if SCIPYS in sys.modules and not self._knows_scipy:
                    self._look()
                self._let_go()
                self._before = self.threads
                self._limits = self._libraries.limit(limits=1)
            self._holders += 1
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                if not self._holders:
                    self._let_go()
                    self._limits.restore_original_limits()
                    self._limits = None
                    self._let_go()

    def _let_go(self) -> None:
        """Let any thread set the limit: from threadpoolctl 3.8 on only the first that did may do it
        again, and what others set is passed over."""
        for library in self._libraries.lib_controllers:
            if hasattr(library, "clear_controlling_thread"):
                library.clear_controlling_thread(force=True)


@cache
def blas() -> Blas:
    return Blas()


@cache
def threads(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(count, 1), "backprop")


class Turns:
    """Whose turn it is to do what changes a layer."""

    lock = RLock()


def one_at_a_time(method: Callable, like: Callable | None = None) -> Callable:
    """A method that one thread of the process runs at a time, named and described like another: to
    build a model changes it, and several threads may be the first to need it."""

    @wraps(like or method)
    def alone(*args: Any, **kwargs: Any) -> Any:
        with Turns.lock:
            return method(*args, **kwargs)

    return alone


def forget() -> None:
    """Start anew in a forked process, which has none of its parent's threads and holds nothing."""
    Turns.lock = RLock()
    threads.cache_clear()
    blas.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget)
