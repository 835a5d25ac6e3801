"""Batches that threads or processes make in advance, in the order in which they are wanted."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

HERE: dict[str, Callable[[int], Any]] = {}  # in a process that makes batches: how it makes them


def in_advance(
    get: Callable[[int], Any],
    numbers: Iterable[int],
    *,
    workers: int = 1,
    ahead: int = 10,
    processes: bool = False,
) -> Iterator[tuple[int, Any]]:
    """Each number with ``get(number)``, which a worker has called while the one before was used.

    Parameters
    ----------
    get : callable
        Called by several workers at once. With `processes` it is copied into each of them.
    numbers : iterable of int
        May be endless, and is read where the result is.
    workers : int, default 1
    ahead : int, default 10
        So many results wait at most.
    processes : bool, default False
        Whether the workers are processes, as the start method of `multiprocessing` makes them,
        rather than threads.

    Raises
    ------
    Exception
        What `get` raised, where its result is due, with the traceback in the worker.

    Notes
    -----
    The workers are gone when the iterator has ended, by an error too, or has been closed; a call of
    `get` that runs then is waited for.

    Examples
    --------
    >>> dict(in_advance(lambda i: i * i, range(4), workers=2))
    {0: 0, 1: 1, 2: 4, 3: 9}
    """
    pool, call = started(get, workers, processes)
    waiting: deque = deque()
    try:
        for i in numbers:
            waiting.append((i, pool.submit(call, i)))
            if len(waiting) > ahead:
                number, future = waiting.popleft()
                yield number, future.result()
        while waiting:
            number, future = waiting.popleft()
            yield number, future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def started(get: Callable[[int], Any], workers: int, processes: bool) -> tuple[Any, Callable]:
    """A pool of workers, and what to have them call."""
    # imported here: importing the package should not pay for what few programs use
    from concurrent import futures

    if not processes:
        return futures.ThreadPoolExecutor(workers, thread_name_prefix="batches"), get
    return futures.ProcessPoolExecutor(workers, initializer=begin, initargs=(get,)), made


def begin(get: Callable[[int], Any]) -> None:
    """Begin a process. A keyboard's interrupt ends the run, and the run ends the process."""
    import signal

    HERE["get"] = get
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def made(number: int) -> Any:
    """The batch of this number, in a process that has begun."""
    return HERE["get"](number)
