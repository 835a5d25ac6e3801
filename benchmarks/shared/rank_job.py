"""What each rank of a job measures: collective calls, and whole steps.

    mpiexec -n 2 python rank_job.py REQUEST ANSWER

REQUEST is a file of JSON with "sizes" (bytes of the calls), "rows" (names, of `shared/rows.py`),
"seconds" (of a block), "rounds" (blocks, which take turns with those of the other kinds), "sharded"
(whether `shard_optimizer` is measured too) and "line" (whether one rank has parts of a batch too).
Rank 0 writes the medians to ANSWER.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import backprop as bp
from backprop.distributed import MPI, SingleProcess

MPI()  # before mpi4py is imported, so that MPICH is as a user's script has it

import numpy as np  # noqa: E402
from mpi4py import MPI as mpi  # noqa: E402

from shared.network import GATHER, SCATTER, SUM, Call  # noqa: E402
from shared.peers.keras_like import compiled  # noqa: E402
from shared.rows import ROWS, Row, batches  # noqa: E402

LEAST = 3  # calls or steps of a block


class Step(NamedTuple):
    """Seconds of a step, and of those the ones outside collective calls, of the slowest rank."""

    seconds: float
    outside: float
    calls: list[Call]


class Recorder:
    """A communicator that notes its calls on arrays: kind, bytes, and when they began and ended."""

    def __init__(self, comm: Any):
        self.comm = comm
        self.noted: list[tuple[str, int, float, float]] = []

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.comm, name)
        if name not in (SUM, SCATTER, GATHER):
            return call

        def noted(first: Any, second: Any, *rest: Any) -> None:
            begin = time.perf_counter()
            call(first, second, *rest)
            whole = {SUM: second, SCATTER: first, GATHER: second[0] if name == GATHER else None}
            self.noted.append((name, whole[name].nbytes, begin, time.perf_counter()))

        return noted

    def steps(self) -> list[list[tuple[str, int, float, float]]]:
        """The calls of each whole step, of which the last is the last of the largest kind."""
        most = max(bytes for _, bytes, *_ in self.noted)
        kind = [kind for kind, bytes, *_ in self.noted if bytes == most][-1]
        found: list[list[tuple[str, int, float, float]]] = [[]]
        for call in self.noted:
            found[-1].append(call)
            if call[:2] == (kind, most):
                found.append([])
        return found[1:-1]  # what comes before the end of the first step is more than a step


class Watch(bp.callbacks.Callback):
    """Lets a run's calls be noted. It has no method for batches, which the ranks would have to
    agree on after each."""

    recorder: Recorder

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        across = self.model.trainer.across
        across.comm = self.recorder = Recorder(across.comm)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        across = self.model.trainer.across
        across.comm = self.recorder.comm


class Clock(bp.callbacks.Callback):
    """When each batch of a run in one process ended."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.ends.append(time.perf_counter())


def calls_of(comm: Any, kind: str, size: int) -> Callable[[], None]:
    """A collective call on so many bytes."""
    n, numbers = comm.size, max(1, size // 4)
    whole = np.zeros(numbers, np.float32)
    counts = [(k + 1) * numbers // n - k * numbers // n for k in range(n)]
    part = np.zeros(counts[comm.rank], np.float32)
    if kind == SUM:
        return lambda: comm.Allreduce(mpi.IN_PLACE, whole)
    if kind == SCATTER:
        return lambda: comm.Reduce_scatter(whole, part, counts)
    return lambda: comm.Allgatherv(mpi.IN_PLACE, [whole, counts])


def collectives(comm: Any, request: dict[str, Any]) -> list[tuple[Call, float]]:
    """The seconds of each call, medians of blocks that take turns."""
    kinds = (SUM, SCATTER, GATHER) if request["sharded"] else (SUM,)
    # a rank's part of a call that scatters is a number at least
    calls = [(kind, m) for kind in kinds for m in request["sizes"] if kind == SUM or m > 1024]
    made = {call: calls_of(comm, *call) for call in calls}
    times: dict[Call, list[float]] = {call: [] for call in calls}
    counts = {}
    for call, work in made.items():
        work()
        begin = time.perf_counter()
        work()
        each = time.perf_counter() - begin
        counts[call] = comm.bcast(max(LEAST, round(request["seconds"] / each)))
    for _ in range(request["rounds"]):
        for call, work in made.items():
            comm.Barrier()
            begin = time.perf_counter()
            for _ in range(counts[call]):
                work()
            times[call].append((time.perf_counter() - begin) / counts[call])
    return [(call, median(times[call])) for call in calls]


def stepping(comm: Any, row: Row, seconds: float, strategy: SingleProcess) -> Callable[[], Step]:
    """A block of steps inside `fit`: on all ranks together, or on all at once, each for itself."""
    model, found = compiled(bp, row), batches(row)

    def run(count: int) -> Step:
        data = [found[i % len(found)] for i in range(count)]
        x, y = (np.concatenate(part) for part in zip(*data, strict=True))
        watch = Clock() if strategy.size == 1 else Watch()
        options = {"batch_size": row.batch, "shuffle": False, "verbose": 0}
        comm.Barrier()
        model.fit(x, y, callbacks=[watch], strategy=strategy, **options)
        if isinstance(watch, Clock):
            each = (watch.ends[-1] - watch.ends[0]) / (count - 1)
            each = comm.allreduce(each, mpi.MAX)
            return Step(each, each, [])
        steps = watch.recorder.steps()
        ends = np.array([calls[-1][3] for calls in steps])
        waited = np.array([sum(end - begin for *_, begin, end in calls) for calls in steps])
        outside = float(np.median(np.diff(ends) - waited[1:]))
        calls = [(kind, bytes) for kind, bytes, *_ in steps[0]]
        return Step(float(np.median(np.diff(ends))), comm.allreduce(outside, mpi.MAX), calls)

    each = run(LEAST + 2).seconds
    at_hand = 2e8 / sum(a.nbytes for a in found[0])  # batches whose data fit in memory
    count = comm.bcast(int(max(LEAST + 2, min(seconds / each, 200, at_hand))))
    return lambda: run(count)


def steps(comm: Any, row: Row, request: dict[str, Any]) -> dict[str, Any]:
    """What steps of a row take. On several ranks: where each has its share of the batch alone, and
    in each form of the optimizer. On one: by the rows of the batch."""
    seconds, n = request["seconds"], comm.size

    def alone(rows: int) -> Callable[[], Step]:
        return stepping(comm, replace(row, batch=rows), seconds, SingleProcess())

    if n == 1:
        parts = (1, 2, 4, 8) if request["line"] else (8,)
        made = {str(b): alone(b) for b in sorted({max(1, row.batch * p // 8) for p in parts})}
    else:
        made = {"alone": alone(-(-row.batch // n)), "whole": stepping(comm, row, seconds, MPI())}
        if request["sharded"]:
            made["sharded"] = stepping(comm, row, seconds, MPI(shard_optimizer=True))
    blocks: dict[str, list[Step]] = {name: [] for name in made}
    for _ in range(request["rounds"]):
        for name, run in made.items():
            blocks[name].append(run())
    return {
        name: {
            "seconds": median(step.seconds for step in found),
            "least": min(step.seconds for step in found),
            "outside": median(step.outside for step in found),
            "calls": found[0].calls,
        }
        for name, found in blocks.items()
    }


def main() -> None:
    request = json.loads(Path(sys.argv[1]).read_text())
    comm = mpi.COMM_WORLD
    answer: dict[str, Any] = {"calls": collectives(comm, request) if comm.size > 1 else []}
    answer["rows"] = {name: steps(comm, ROWS[name], request) for name in request["rows"]}
    if comm.rank == 0:
        Path(sys.argv[2]).write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
