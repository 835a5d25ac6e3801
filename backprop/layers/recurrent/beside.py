"""Work that follows the loop over time, or runs ahead of it, on a second thread.

The loop cannot be shared out, as a step waits for the one before, and its products are too small
for two threads. What surrounds it can: what x gives to z runs ahead of the steps, and the sums over
time follow them, and these cost nearly as much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from queue import SimpleQueue

from backprop import parallel
from backprop.tuning import FIRST_STRETCH, LARGE_LOOP, STRETCH, STRETCH_NUMBERS


def pays(numbers: int, steps: int, least: int) -> bool:
    """Whether a second thread is worth it, for at least so many steps."""
    return steps >= least and numbers >= LARGE_LOOP and parallel.pays()


def stretch(numbers: int) -> int:
    """The steps of a piece, if each has so many numbers of z: more where there are few of them, so
    that a call has something to do."""
    return max(STRETCH, STRETCH_NUMBERS // max(numbers, 1))


def stretches(steps: int, *, length: int = STRETCH, beside: bool) -> Iterator[slice]:
    """The steps in order, piece by piece; the first piece is short where another thread waits."""
    for t in range(0, steps, length):
        end = min(t + length, steps)
        if beside and t == 0:
            yield slice(0, FIRST_STRETCH)
            t = FIRST_STRETCH
        yield slice(t, end)


def follow(pieces: Iterator[slice], work: Callable[[slice], None], *, beside: bool = False) -> None:
    """work(piece) for each of the pieces, in their order, as soon as it comes; `beside` what brings
    them, on a second thread, or in turns with it.

    Examples
    --------
    >>> from backprop.layers.recurrent.beside import follow, stretches
    >>> follow(stretches(45, beside=False), print)
    slice(0, 20, None)
    slice(20, 40, None)
    slice(40, 45, None)
    """
    if not beside:
        for piece in pieces:
            work(piece)
        return
    done: SimpleQueue[slice | None] = SimpleQueue()

    def lead():
        try:
            for piece in pieces:
                done.put(piece)
        finally:
            done.put(None)

    def trail():
        for piece in iter(done.get, None):
            work(piece)

    parallel.run([lead, trail])
