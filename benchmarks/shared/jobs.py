"""Starts jobs of several ranks, here or on hosts, and reads what they found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from shared.links import Hosts
from shared.machine import THREADS

JOB = Path(__file__).with_name("rank_job.py")
LIMIT = 1800  # seconds after which a job is given up
# ranks that wait leave the cores to the others, of which there may be more than cores
YIELDING = {"MPIR_CVAR_POLLS_BEFORE_YIELD": "1", "MPIR_CVAR_ENABLE_HEAVY_YIELD": "1"}


def launcher() -> Path:
    found = Path(sys.executable).with_name("mpiexec")
    if not found.exists():
        raise SystemExit("there is no mpiexec beside this Python: pip install mpich mpi4py")
    return found


def measured(
    ranks: int, request: dict[str, Any], hosts: Hosts | None = None, threads: int = 1
) -> dict[str, Any]:
    """The answer of a job of so many ranks, each with so many BLAS threads.

    Raises
    ------
    RuntimeError
        With the job's output, where it failed.
    """
    start = [str(launcher()), "-n", str(ranks)]
    if hosts is not None:
        start = hosts.mpiexec(launcher(), ranks)
    settings = {name: str(threads) for name in THREADS}
    if ranks > len(os.sched_getaffinity(0)) or hosts is not None:
        settings |= YIELDING
    return answered([*start, sys.executable, str(JOB)], request, settings)


def of_torch(request: dict[str, Any]) -> dict[str, float]:
    """Seconds of each row's step with PyTorch's DistributedDataParallel."""
    command = [sys.executable, str(JOB.with_name("ddp_job.py"))]
    return answered(command, request, dict.fromkeys(THREADS, "1"))


def answered(
    command: list[str], request: dict[str, Any], settings: dict[str, str]
) -> dict[str, Any]:
    """What a command that is given two files writes into the second."""
    with tempfile.TemporaryDirectory() as folder:
        asked, found = Path(folder, "request"), Path(folder, "answer")
        asked.write_text(json.dumps(request))
        job = subprocess.Popen(
            [*command, str(asked), str(found)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | settings,
        )
        try:
            out, _ = job.communicate(timeout=LIMIT)
        finally:
            job.kill()
        if job.returncode or not found.exists():
            raise RuntimeError(f"{' '.join(command)} failed:\n{out}")
        return json.loads(found.read_text())
