"""Two threads that meet on purpose, at places that are drawn: a race that shows each time.

    first   ──┤ waits ├──────┤ waits ├─────────┤ waits ├──▶
    second    ╰─ whole ─╯    ╰─ whole ─╯       ╰─ whole ─╯

Left to themselves two threads that share an array spoil each other once in a thousand runs. Here
the first one stops within a line, and the second does all of its work there, which is what the
scheduler may do as well. A second that waits for a lock of the first does it later, as it should.
"""

from __future__ import annotations

import contextvars
import dis
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from types import CodeType, FrameType
from typing import Any

import numpy as np

PATIENCE = 0.05  # seconds, after which whom the second waits for may go on
HERE = Path(__file__).parent
# where nobody is stopped
FOREIGN = (
    *(sysconfig.get_path("stdlib"), np.__path__[0], "<frozen"),
    *(str(HERE / name) for name in ("laws", "case.py", "results.py", "interleave.py")),
)
# instructions that may read or write what another thread sees, all others being the thread's own
SHARED = (
    "BINARY_",
    "CALL",
    "COMPARE_",
    "LOAD_ATTR",
    "LOAD_GLOBAL",
    "LOAD_METHOD",
    "RETURN",
    "STORE_ATTR",
    "STORE_GLOBAL",
    "STORE_SUBSCR",
)

Place = tuple[CodeType, int]


def places_in(first: Callable[[], Any]) -> list[list[int]]:
    """Where a function can be stopped: for each place in the code, at which steps it comes by."""
    steps: dict[Place, list[int]] = {}
    count = 0

    def visit(place: Place) -> None:
        nonlocal count
        steps.setdefault(place, []).append(count)
        count += 1

    with traced(visit):
        first()
    return list(steps.values())


def interleaved(
    first: Callable[[], Any], second: Callable[[], Any], stops: Iterable[int]
) -> tuple[Any, list[Any]]:
    """Run the first function, and before each of some steps of it the second, on another thread.

    Parameters
    ----------
    first, second : callable
        Without arguments.
    stops : iterable of int
        Numbers of steps, as `places_in` counts them.

    Returns
    -------
    found : object
        What the first returned.
    others : list
        What the second did, each time.

    Raises
    ------
    Exception
        What either raised.

    Examples
    --------
    >>> from backprop.testing.interleave import interleaved, places_in
    >>> shared = [0]
    >>> def first():
    ...     shared[0] = 1
    ...     return shared[0]
    >>> def second():
    ...     shared[0] = 2
    >>> first(), interleaved(first, second, sum(places_in(first), []))[0]
    (1, 2)
    """
    wanted, count = frozenset(stops), 0
    worker = Worker(second)

    def visit(place: Place) -> None:
        nonlocal count
        if count in wanted:
            worker.run_once()
        count += 1

    try:
        with traced(visit):
            found = first()
    finally:
        others = worker.end()
    return found, others


class Worker:
    """A thread that calls a function each time it is told to."""

    def __init__(self, function: Callable[[], Any]):
        self.function, self.waits = function, False
        self.told: SimpleQueue[bool] = SimpleQueue()
        self.done: SimpleQueue[Any] = SimpleQueue()
        self.found: list[Any] = []
        self.errors: list[Exception] = []
        context = contextvars.copy_context()
        self.thread = threading.Thread(target=context.run, args=(self.work,), daemon=True)
        self.thread.start()

    def work(self) -> None:
        while self.told.get():
            try:
                self.found.append(self.function())
            except Exception as error:
                self.errors.append(error)
            self.done.put(None)

    def run_once(self) -> None:
        """Have it called now, and wait: not for ever, nor again, as it may wait for us."""
        if self.waits:
            return
        self.told.put(True)
        try:
            self.done.get(timeout=PATIENCE)
        except Empty:
            self.waits = True

    def end(self) -> list[Any]:
        """What the calls returned; raises what one raised."""
        self.told.put(False)
        self.thread.join()
        if self.errors:
            raise self.errors[0]
        return self.found


@contextmanager
def traced(visit: Callable[[Place], None]) -> Iterator[None]:
    """A context in which `visit` is called before each step of this thread that may read or write
    what another one sees, but for those of Python's library, of NumPy and of the laws."""
    kept: dict[CodeType, frozenset[int]] = {}

    def within(frame: FrameType, event: str, _: Any) -> Any:
        if event == "opcode" and frame.f_lasti in kept[frame.f_code]:
            visit((frame.f_code, frame.f_lasti))
        return within

    def enter(frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        if code not in kept:
            kept[code] = steps_of(code)
        if not kept[code]:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return within

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        yield
    finally:
        sys.settrace(before)


def steps_of(code: CodeType) -> frozenset[int]:
    """The offsets of a function's steps that another thread may come between."""
    if code.co_filename.startswith(FOREIGN):
        return frozenset()
    return frozenset(i.offset for i in dis.get_instructions(code) if i.opname.startswith(SHARED))
