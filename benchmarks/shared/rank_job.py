"""What each rank of a job measures: collective calls, what it computes for its rows, whole steps.

    mpiexec -n 2 python rank_job.py REQUEST ANSWER

REQUEST is a file of JSON with "sizes" (bytes of the calls), "rows" (names, of `shared/rows.py`),
"seconds" (of a block), "rounds" (blocks, which take turns with those of the other kinds) and
"sharded" (whether `shard_optimizer` is measured too). Rank 0 writes the medians to ANSWER.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from mpi4py import MPI as mpi

import backprop as bp
from backprop.distributed import MPI
from shared.network import GATHER, SCATTER, SUM, Call
from shared.peers.keras_like import compiled, steps as loop_of
from shared.rows import ROWS, Row, batches

LEAST = 3  # calls or steps of a block


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


def computing(comm: Any, row: Row, seconds: float) -> Callable[[], float]:
    """A block of steps of one process on all ranks at once: seconds a step, of the slowest."""
    loop = loop_of(bp, row)
    loop.run(2)
    took, done = loop.run(LEAST)
    count = comm.bcast(max(LEAST, round(seconds * done / took)))

    def block() -> float:
        comm.Barrier()
        took, done = loop.run(count)
        return comm.allreduce(took / done, mpi.MAX)

    return block


def stepping(comm: Any, row: Row, seconds: float, shard: bool) -> Callable[[], Any]:
    """A block of steps inside `fit`: seconds a step, seconds of it in calls, and the calls."""
    model, found = compiled(bp, row), batches(row)
    strategy = MPI(shard_optimizer=shard)

    def run(count: int) -> Any:
        data = [found[i % len(found)] for i in range(count)]
        x, y = (np.concatenate(part) for part in zip(*data, strict=True))
        watch = Clock() if strategy.size == 1 else Watch()
        options = {"batch_size": row.batch, "shuffle": False, "verbose": 0}
        model.fit(x, y, callbacks=[watch], strategy=strategy, **options)
        if isinstance(watch, Clock):
            return float(np.median(np.diff(watch.ends))), 0.0, []
        steps = watch.recorder.steps()
        ends = [calls[-1][3] for calls in steps]
        waited = [sum(end - begin for *_, begin, end in calls) for calls in steps]
        calls = [(kind, bytes) for kind, bytes, *_ in steps[0]]
        return float(np.median(np.diff(ends))), median(waited), calls

    each = run(LEAST + 2)[0]
    rows_at_hand = 2e8 / sum(a.nbytes for a in found[0])  # so that a block's data fit in memory
    count = comm.bcast(int(max(LEAST + 2, min(seconds / each, 200, rows_at_hand))))
    return lambda: run(count)


def steps(comm: Any, row: Row, request: dict[str, Any]) -> dict[str, Any]:
    """What a row takes: to compute shares of its batch, and whole steps."""
    n, seconds = comm.size, request["seconds"]
    shares = {-(-row.batch // n)}
    if n == 1 and request["line"]:
        shares |= {max(1, row.batch * part // 8) for part in (1, 2, 4)}
    compute = {b: computing(comm, replace(row, batch=b), seconds) for b in sorted(shares)}
    whole = {False: stepping(comm, row, seconds, False)}
    if request["sharded"] and n > 1:
        whole[True] = stepping(comm, row, seconds, True)
    blocks: dict[Any, list[Any]] = {key: [] for key in (*compute, *(("fit", s) for s in whole))}
    for _ in range(request["rounds"]):
        for b, block in compute.items():
            blocks[b].append(block())
        for shard, run in whole.items():
            blocks["fit", shard].append(run())
    fits = {
        "sharded" if shard else "whole": {
            "seconds": median(t for t, *_ in blocks["fit", shard]),
            "blocks": [t for t, *_ in blocks["fit", shard]],
            "in calls": median(waited for _, waited, _ in blocks["fit", shard]),
            "calls": blocks["fit", shard][0][2],
        }
        for shard in whole
    }
    return {"compute": [(b, median(blocks[b])) for b in compute], "fit": fits}


def main() -> None:
    request = json.loads(Path(sys.argv[1]).read_text())
    comm = mpi.COMM_WORLD
    answer: dict[str, Any] = {"calls": collectives(comm, request) if comm.size > 1 else []}
    answer["rows"] = {name: steps(comm, ROWS[name], request) for name in request["rows"]}
    if comm.rank == 0:
        Path(sys.argv[2]).write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
