"""How a job ends: whole, and with the traceback of the rank that failed.

Ranks wait for each other, so one that fails, or leaves, would leave the others waiting for ever.
Within a run `Job.fail` therefore asks whether all ranks have failed together, as they do for an
argument that is wrong on each: then the exception goes on as it does anywhere. If not, the
traceback of this rank is printed and the job is aborted. The same is done for an exception that
ends a script. A rank that ends without one tells so, and who comes to a run later is told.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import time
import traceback
from typing import Any

PATIENCE = 2.0  # seconds in which ranks that fail together do so
LEFT = 7  # tag of the message that a rank has come to its end


class Job:
    """The ranks of an MPI job, and how it ends.

    Attributes
    ----------
    comm : mpi4py.MPI.Comm
        For what runs say to each other.
    rank, size : int
    """

    def __init__(self, world: Any):
        self.rank, self.size = world.Get_rank(), world.Get_size()
        if self.size == 1:
            self.comm = world
            return
        self.comm, self.failures, self.ends = world.Dup(), world.Dup(), world.Dup()
        self._others = sys.excepthook
        sys.excepthook = self._uncaught
        atexit.register(self._leave)

    # ------------------------------------------------------------------ beginning together

    def meet(self, who: str) -> None:
        """Wait until all ranks are here; raise if one of them has come to its end."""
        request, pause = self.comm.Ibarrier(), 1e-5
        while not request.Test():
            gone = self._gone()
            if gone is not None:
                raise RuntimeError(
                    f"rank {gone} came to its end and takes no part in {who}(): all ranks of a job "
                    "must call it"
                )
            time.sleep(pause)
            pause = min(2 * pause, 0.01)

    def _gone(self) -> int | None:
        """A rank that has come to its end, if this one was told: rank 0 is, and tells."""
        from mpi4py import MPI as mpi

        status = mpi.Status()
        source = 0 if self.rank else mpi.ANY_SOURCE
        return status.Get_source() if self.ends.Iprobe(source, LEFT, status) else None

    def _leave(self) -> None:
        """At the end of the process: say so, and wait for the others, which may have work to do."""
        from mpi4py import MPI as mpi

        if mpi.Is_finalized():
            return
        others = range(1, self.size) if self.rank == 0 else [0]
        waiting = [self.ends.isend(self.rank, dest=other, tag=LEFT) for other in others]
        waiting += [self.ends.irecv(source=other, tag=LEFT) for other in others]
        while not all([request.test()[0] for request in waiting]):
            time.sleep(0.01)

    # ------------------------------------------------------------------ failing

    def fail(self, error: BaseException) -> None:
        """End the job with this exception, unless all ranks have one now."""
        if hasattr(error, "on_all_ranks"):
            return
        request, until = self.failures.Ibarrier(), time.monotonic() + PATIENCE
        while not request.Test():
            if time.monotonic() > until:
                self._abort(error)
            time.sleep(0.01)
        said = self.failures.allgather(f"{type(error).__name__}: {error}")
        error.on_all_ranks = len(set(said)) == 1  # type: ignore[attr-defined] - a note

    def _abort(self, error: BaseException) -> None:
        sys.stdout.flush()
        lines = traceback.format_exception(error)
        print(f"rank {self.rank} of {self.size} failed, which ends the job:", file=sys.stderr)
        print("".join(lines), file=sys.stderr, end="", flush=True)
        code = error.code if isinstance(error, SystemExit) else 1
        self.comm.Abort(code if isinstance(code, int) and code else 1)

    def _uncaught(self, kind: type, error: BaseException, trace: Any) -> None:
        """An exception ends the script: of one that all have, rank 0's traceback is enough."""
        self.fail(error)
        if self.rank == 0 or not error.on_all_ranks:  # type: ignore[attr-defined] - see fail
            self._others(kind, error, trace)
        if issubclass(kind, KeyboardInterrupt):
            self._exit(128 + signal.SIGINT)

    def _exit(self, code: int) -> None:
        """End this process as Python ends others: it would end one that was interrupted by the
        signal itself, which a launcher takes for a crash."""
        from mpi4py import MPI as mpi

        atexit._run_exitfuncs()
        mpi.Finalize()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
