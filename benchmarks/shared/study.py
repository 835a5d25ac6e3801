"""A script's command line and its course: processes, rows, runs, and what is written of them."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from shared import instructions
from shared.machine import describe, limit_threads
from shared.peers import OURS, PEERS, PLAIN, peers_for
from shared.results import Claims, Record, Result, as_json, measure, show
from shared.rows import Row
from shared.worker import Failure, Process


@dataclass(frozen=True)
class Study:
    """What a script measures.

    Attributes
    ----------
    work : {"variants", "predictions"}
        The method of `Peer` that names the ways to do it.
    what : str
        The heading of the times.
    compared : (str, str)
        What the numbers and the arrays are that sides are compared by; "" where there are none.
    verified : int
        How many of the numbers.
    least : int
        Steps in a block, however long they take.
    main : str
        The ratio that counts.
    claims : callable
        All ratios of a result.
    """

    work: str
    what: str
    compared: tuple[str, str]
    verified: int
    least: int
    main: str
    claims: Callable[[Result], Claims]


def parser(study: Study, text: str | None) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    peers = peers_for(study.work)
    made.add_argument("--peers", nargs="*", default=peers, choices=peers)
    made.add_argument("--rounds", type=int, default=25, help="blocks of each side")
    made.add_argument("--seconds", type=float, default=0.04, help="of one block")
    made.add_argument("--repeat", type=int, default=1, metavar="N", help="whole runs: the median")
    made.add_argument("--threads", type=int, default=2)
    made.add_argument(
        "--isa",
        choices=instructions.CHOICES,
        help="hold every library to these instructions (default: what the CPU has)",
    )
    made.add_argument(
        "--quick", action="store_true", help="short blocks of small batches: does it run?"
    )
    made.add_argument("--json", metavar="FILE", help="write all numbers there")
    made.add_argument(
        "--show", nargs="+", metavar="FILE", help="measure nothing: what such files say together"
    )
    return made


def run(study: Study, rows: list[Row], options: argparse.Namespace) -> list[Result]:
    """Measure the rows as often as asked for; returns what the last run found."""
    if options.show:
        Record.read(study.main, options.show).summary(study.what)
        return []
    if options.quick:
        rows, study = [row.small() for row in rows], replace(study, least=1)
        options.rounds, options.seconds = 2, 0.002
    limit_threads(options.threads)
    if options.isa:
        instructions.hold(options.isa)
    started, found = time.time(), []
    record = Record(study.main, {})
    for turn in range(options.repeat):
        if options.repeat > 1:
            print(f"\nrun {turn + 1} of {options.repeat}")
        found = one_run(study, rows, options, record)
    record.summary(study.what)
    load = f", load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"{time.time() - started:.0f} s in all{load} (of which this run is about 1)")
    if any(found["refused"] for found in record.rows().values()):
        raise SystemExit("not every peer does the same work: see REFUSED above")
    return found


def one_run(
    study: Study, rows: list[Row], options: argparse.Namespace, record: Record
) -> list[Result]:
    """Every row once, each library in a process that was started for this run."""
    results = []
    with contextlib.ExitStack() as stack:
        processes = {}
        for name in sides(options.peers):
            processes[name] = Process(name, options.threads)
            stack.callback(processes[name].close)
        if not record.about:
            record.about = about(processes, options)
            print("\n".join(f"{name:20} {value}" for name, value in record.about.items()))
            print(f"medians of {options.rounds} blocks of about {options.seconds} s, interleaved")
        for row in rows:
            result = measure(
                *(study.work, row, processes, study.verified),
                *(options.seconds, options.rounds, study.least),
            )
            results.append(result)
            show(result, study.what, study.compared)
            record.add(row.name, as_json(result, study.claims(result)))
            if options.json:  # after each row: a run that is cut short leaves what it found
                record.write(options.json)
    return results


def sides(peers: list[str]) -> list[str]:
    """Ours, with which the others are compared, comes first; then ours without compiled kernels,
    where that is another side."""
    compiles = importlib.util.find_spec("numba") and os.environ.get("BACKPROP_KERNELS") != "numpy"
    first = [OURS, PLAIN] if compiles else [OURS]
    return [*first, *(name for name in dict.fromkeys(peers) if name not in (OURS, PLAIN))]


def about(processes: dict[str, Process], options: argparse.Namespace) -> dict[str, str]:
    """The machine, versions, and what each library says that it computes with."""
    distributions = dict.fromkeys(d for name in processes for d in PEERS[name].distributions)
    found = describe(distributions) | {"threads": str(options.threads)}
    found.pop("blas")  # each process says it of its own
    found["instructions"] = options.isa or "what the CPU has"
    for name, process in processes.items():
        try:
            found[f"with {name}"] = process.ask("arithmetic")
        except Failure as failure:
            found[f"with {name}"] = f"absent: {failure}"
    return found
